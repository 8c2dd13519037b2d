"""Each check fires on a small deployment that is wrong, and keeps quiet on one that is right."""

import base64
import json
import textwrap

import pytest

from homeport.applications.redis_enterprise.checks import CHECKS, RULES
from tests.applications.redis_enterprise.texts import operator, problems, rec

PRIVATE = "reg.example.com:5000/mirror/redislabs"
RED_HAT = "registry.connect.redhat.com/redislabs"
DIGEST = "sha256:" + "d" * 64
OTHER = "sha256:" + "e" * 64


def numbers(*texts, **options):
    return {problem.id for problem in problems(*texts, **options)}


def complete(version="7.2.4-7", redis="7.2.4-64", more="", at=PRIVATE):
    return rec(
        f"""
redisEnterpriseImageSpec: {{repository: {at}/redis, versionTag: {redis}}}
bootstrapperImageSpec: {{repository: {at}/operator, versionTag: {version}}}
redisEnterpriseServicesRiggerImageSpec: {{repository: {at}/k8s-controller, versionTag: {version}}}
{textwrap.dedent(more)}"""
    )


CLIENT = f"usageMeter: {{callHomeClient: {{imageSpec: {{repository: {PRIVATE}/re-call-home-client}}}}}}"


def private(version="7.2.4-7"):
    return operator(version, f"{PRIVATE}/operator")


def olm(related=DIGEST, default=DIGEST):
    return f"""
    apiVersion: operators.coreos.com/v1alpha1
    kind: ClusterServiceVersion
    metadata: {{name: redis-enterprise-operator.v7.2.4-7.0}}
    spec:
      version: 7.2.4-7.0
      install: {{spec: {{deployments: [{{spec: {{template: {{spec: {{containers: [
        {{name: redis-enterprise-operator, image: '{RED_HAT}/redis-enterprise-operator@{DIGEST}',
         env: [{{name: DEFAULT_RS_IMAGE_DIGEST, value: '{default}'}}]}}]}}}}}}}}]}}}}
      relatedImages: [{{name: redis-enterprise-node, image: '{RED_HAT}/redis-enterprise@{related}'}}]
    """


def secret(name="regcred", host="reg.example.com:5000", content=None, namespace=""):
    config = json.dumps({"auths": {host: {"auth": base64.b64encode(b"ann:secret").decode()}}})
    data = base64.b64encode((content or config).encode()).decode()
    place = f", namespace: {namespace}" if namespace else ""
    return (
        f"kind: Secret\napiVersion: v1\nmetadata: {{name: {name}{place}}}\n"
        f"type: kubernetes.io/dockerconfigjson\ndata: {{.dockerconfigjson: {data}}}\n"
    )


WITH_SECRET = "pullSecrets: [{name: regcred}]"


def node(architecture):
    return f"kind: Node\napiVersion: v1\nmetadata: {{name: n}}\nstatus: {{nodeInfo: {{architecture: {architecture}}}}}"


def stateful_set(tag):
    return f"""
    kind: StatefulSet
    apiVersion: apps/v1
    metadata: {{name: rec}}
    spec: {{template: {{spec: {{containers: [{{name: redis-enterprise-node, image: 'redislabs/redis:{tag}'}}]}}}}}}
    """


def spec_with(**parts):
    return rec("\n".join(f"{key}: {value}" for key, value in parts.items()))


AFFINITY = """
redisEnterpriseAdditionalPodSpecAttributes:
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
        - matchExpressions: [{key: kubernetes.io/arch, operator: In, values: [%s]}]
"""

CASES = {
    "RE001": (
        [operator(), complete("7.2.4-2", "7.2.4-64", at="redislabs")],
        [operator(), complete(at="redislabs")],
    ),
    "RE002": ([operator(), spec_with(redisEnterpriseImageSpec="{versionTag: 7.2.4-52}")], [operator(), complete()]),
    "RE003": (
        [operator(), spec_with(redisEnterpriseImageSpec="{versionTag: 7.4.2-54}")],
        [operator(), spec_with(redisEnterpriseImageSpec="{versionTag: 7.2.4-64}")],
    ),
    "RE004": ([operator("99.0.0-1")], [operator()]),
    "RE005": (
        [spec_with(redisEnterpriseImageSpec=f"{{repository: {RED_HAT}/redis-enterprise, versionTag: 7.2.4-64}}")],
        [spec_with(redisEnterpriseImageSpec=f"{{repository: {RED_HAT}/redis-enterprise, versionTag: 8.2.0-46.13}}")],
    ),
    "RE006": (
        [spec_with(redisEnterpriseImageSpec="{versionTag: 7.2.4-64.minimal}")],
        [spec_with(redisEnterpriseImageSpec="{versionTag: 8.2.0-46.13.minimal}")],
    ),
    "RE007": (
        [rec(name="one"), rec(name="two")],
        [
            rec(name="one").replace("name: one", "name: one, namespace: a"),
            rec().replace("name: rec", "name: r, namespace: b"),
        ],
    ),
    "RE008": ([spec_with(serviceBrokerSpec="{enabled: true}")], [rec()]),
    "RE009": ([operator(), operator("7.2.4-2")], [operator(), operator()]),
    "RE010": (
        [spec_with(bootstrapperImageSpec="{repository: 'redislabs/operator:7.2.4-7'}")],
        [spec_with(bootstrapperImageSpec="{repository: 'reg.io:5000/redislabs/operator'}")],
    ),
    "RE011": (
        [spec_with(redisEnterpriseImageSpec="{versionTag: 'redislabs/redis:6.2.4-55'}")],
        [spec_with(redisEnterpriseImageSpec="{versionTag: 6.2.4-55}")],
    ),
    "RE012": ([spec_with(RedisEnterpriseImageSpec="{versionTag: 7.2.4-64}")], [rec()]),
    "RE013": (
        [spec_with(redisEnterpriseImageSpec="{tag: 7.2.4-64}")],
        [spec_with(redisEnterpriseImageSpec="{imagePullPolicy: Always}")],
    ),
    "RE014": ([spec_with(imagePullSecrets="[{name: regcred}]")], [rec(WITH_SECRET)]),
    "RE015": ([rec("pullSecrets: [regcred]")], [rec(WITH_SECRET)]),
    "RE016": ([spec_with(autoUpgradeRedisEnterprise="true")], [rec("upgradeSpec: {autoUpgradeRedisEnterprise: true}")]),
    "RE020": (
        [operator().replace("redislabs/operator", f"{PRIVATE}/operator", 1)],
        [private()],
    ),
    "RE021": ([private(), rec()], [private(), complete()]),
    "RE022": (
        [private("7.22.0-7"), complete("7.22.0-7", "7.22.0-28")],
        [private("7.22.0-7"), complete("7.22.0-7", more=CLIENT)],
    ),
    "RE023": ([operator(), complete()], [private(), complete()]),
    "RE024": (
        [private(), complete(more="sideContainersSpec: [{name: c, image: 'python:3.7'}]")],
        [private(), complete(more=f"sideContainersSpec: [{{name: c, image: '{PRIVATE}/python:3.7'}}]")],
    ),
    "RE025": (
        [
            operator("8.2.0-13", f"{RED_HAT}/redis-enterprise-operator"),
            complete("8.2.0-13", "8.2.0-46.13", at="redislabs"),
        ],
        [operator("8.2.0-13"), complete("8.2.0-13", "8.2.0-46.13", at="redislabs")],
    ),
    "RE026": (
        [
            private(),
            complete(more="userDefinedModules: [{name: m, source: {https: {url: 'https://example.org/m.zip'}}}]"),
        ],
        [
            private(),
            complete(more="userDefinedModules: [{name: m, source: {https: {url: 'https://reg.example.com/m'}}}]"),
        ],
    ),
    "RE030": (
        [private(), complete(more=WITH_SECRET), secret("other")],
        [private(), complete(more=WITH_SECRET), secret()],
    ),
    "RE031": (
        [private(), complete(more=WITH_SECRET), secret(host="reg.example.com")],
        [private(), complete(more=WITH_SECRET), secret(host="*.example.com:5000/mirror")],
    ),
    "RE032": (
        [private(), complete(more=WITH_SECRET), secret(content="no JSON")],
        [private(), complete(more=WITH_SECRET), secret()],
    ),
    "RE033": (
        [private()],
        [private().replace("      containers:", "      imagePullSecrets: [{name: regcred}]\n      containers:")],
    ),
    "RE040": (
        [
            olm(),
            rec(
                f"upgradeSpec: {{autoUpgradeRedisEnterprise: true}}\nbootstrapperImageSpec: {{versionTag: 7.2.4-7, digestHash: '{DIGEST}'}}"
            ),
        ],
        [
            olm(),
            rec(
                f"upgradeSpec: {{autoUpgradeRedisEnterprise: false}}\nbootstrapperImageSpec: {{versionTag: 7.2.4-7, digestHash: '{DIGEST}'}}"
            ),
        ],
    ),
    "RE041": (
        [operator(), rec(f"bootstrapperImageSpec: {{versionTag: 7.2.4-7, digestHash: '{DIGEST}'}}")],
        [olm(), rec(f"bootstrapperImageSpec: {{versionTag: 7.2.4-7, digestHash: '{DIGEST}'}}")],
    ),
    "RE042": (
        [olm(), rec(f"bootstrapperImageSpec: {{digestHash: '{DIGEST}'}}")],
        [olm(), rec(f"bootstrapperImageSpec: {{versionTag: 7.2.4-7, digestHash: '{DIGEST}'}}")],
    ),
    "RE043": ([olm(related="sha256:1")], [olm()]),
    "RE044": ([olm(default=OTHER)], [olm()]),
    "RE045": (
        [rec("bootstrapperImageSpec: {versionTag: 7.2.4-7, digestHash: 'sha256:1'}")],
        [rec(f"bootstrapperImageSpec: {{versionTag: 7.2.4-7, digestHash: '{DIGEST}'}}")],
    ),
    "RE050": ([rec("nodeSelector: {kubernetes.io/arch: arm64}")], [rec("nodeSelector: {kubernetes.io/arch: amd64}")]),
    "RE051": (
        [rec(), node("amd64"), node("arm64")],
        [rec("nodeSelector: {kubernetes.io/arch: amd64}"), node("amd64"), node("arm64")],
    ),
    "RE052": ([rec(status="{state: Upgrade}")], [rec(status="{state: Running}")]),
    "RE053": (
        [
            rec("redisEnterpriseImageSpec: {versionTag: 7.2.4-64}", status="{state: Upgrade}"),
            stateful_set("7.2.4-52"),
        ],
        [
            rec("redisEnterpriseImageSpec: {versionTag: 7.2.4-64}", status="{state: Running}"),
            stateful_set("7.2.4-52"),
        ],
    ),
    "RE054": ([rec(status="{state: InvalidUpgrade}")], [rec(status="{state: Running}")]),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_fires_where_it_should_and_only_there(rule):
    wrong, right = CASES[rule.id]
    fired = [problem for problem in problems(*wrong) if problem.id == rule.id]
    assert fired
    assert rule.id not in numbers(*right)
    for problem in fired:
        assert problem.severity == rule.severity
        assert problem.source.startswith("f")
        assert problem.line > 0
        assert problem.what
        assert problem.fix


def test_rules_have_numbers_of_their_own_and_all_are_tested():
    assert len({rule.id for rule in RULES}) == len(RULES) == len(CASES)
    assert len(CHECKS) == len(set(CHECKS))


@pytest.mark.parametrize(
    "texts",
    [
        [operator(), rec()],
        [operator(), complete(at="redislabs")],
        [operator("8.2.0-13", f"{RED_HAT}/redis-enterprise-operator"), rec()],
        [olm(), rec(f"redisEnterpriseImageSpec: {{repository: {RED_HAT}/redis-enterprise}}").replace("nodes", "nodes")],
    ],
)
def test_public_deployments_are_right_as_they_are(texts):
    wrong = [problem for problem in problems(*texts) if problem.severity == "error" and problem.id != "RE021"]
    assert wrong == []


def test_a_private_deployment_that_is_complete_has_no_problem():
    deployment = private("8.2.0-13").replace(
        "      containers:", "      imagePullSecrets: [{name: regcred}]\n      containers:"
    )
    cluster = complete("8.2.0-13", "8.2.0-46.13", more=f"{CLIENT}\n{WITH_SECRET}")
    assert problems(deployment, cluster, secret()) == ()


def test_on_openshift_the_default_changes_with_8_2_0_12():
    before = [operator("8.0.20-26", f"{RED_HAT}/redis-enterprise-operator"), rec()]
    after = [operator("8.2.0-12", f"{RED_HAT}/redis-enterprise-operator"), rec()]
    assert "RE021" in numbers(*before)
    assert numbers(*after) == set()


def test_where_and_how_to_mend_it():
    (problem,) = (it for it in problems(operator(), complete("7.2.4-2", at="redislabs")) if "bootstrapper" in it.path)
    assert (problem.source, problem.line, str(problem.object)) == ("f1.yaml", 6, "RedisEnterpriseCluster/rec")
    assert problem.path == "spec.bootstrapperImageSpec.versionTag"
    assert problem.what == "the bootstrapper has tag 7.2.4-2, the operator 7.2.4-7"
    assert problem.fix == "Write versionTag: 7.2.4-7."


def test_the_fix_of_a_wrong_redis_tag_is_in_the_platforms_form():
    spec = f"redisEnterpriseImageSpec: {{repository: {RED_HAT}/redis-enterprise, versionTag: 8.0.20-44.23}}"
    (problem,) = (it for it in problems(operator(), rec(spec)) if it.id == "RE003")
    assert problem.fix == "Write versionTag: 7.2.4-64.rhel8-openshift."


def test_two_clusters_of_different_versions_are_named():
    one = rec("redisEnterpriseImageSpec: {versionTag: 7.2.4-64}", name="one")
    two = rec("redisEnterpriseImageSpec: {versionTag: 7.4.2-54}", name="two")
    (problem,) = (it for it in problems(one, two) if it.id == "RE007")
    assert problem.what == "one (7.2.4-64) and two (7.4.2-54) are in one namespace"


def test_an_unknown_field_is_named_with_the_near_one():
    (problem,) = problems(spec_with(redisEnterpriseImagesSpec="{}"))
    assert (problem.severity, problem.fix) == ("warning", "Did you mean redisEnterpriseImageSpec?")


def test_a_secret_of_another_namespace_does_not_count():
    deployment = private().replace(
        "name: redis-enterprise-operator\n", "name: redis-enterprise-operator\n  namespace: redis\n", 1
    )
    deployment = deployment.replace("      containers:", "      imagePullSecrets: [{name: regcred}]\n      containers:")
    assert "RE030" in numbers(deployment, secret(namespace="other"))
    assert "RE030" not in numbers(deployment, secret(namespace="redis"))


def test_a_service_account_lends_its_secrets():
    account = "kind: ServiceAccount\napiVersion: v1\nmetadata: {name: rec}\nimagePullSecrets: [{name: regcred}]"
    found = [it for it in problems(private(), complete(), account) if it.object.kind == "RedisEnterpriseCluster"]
    assert found == []


def test_where_no_secret_is_in_the_files_its_absence_is_not_known():
    assert "RE030" not in numbers(private(), complete(more=WITH_SECRET))


def test_affinity_to_arm_nodes():
    assert "RE050" in numbers(rec(AFFINITY % "arm64"))
    assert "RE050" not in numbers(rec(AFFINITY % "arm64, amd64"))
    assert "RE050" in numbers(rec(), node("arm64"))


def test_images_of_the_time_before_6_0_20_are_named():
    text = operator("6.0.6-6", "redislabs/operator").replace("redislabs/operator", "redislabs/operator-internal")
    assert "RE008" in numbers(text)


def test_a_registry_that_a_person_names_counts():
    assert "RE023" in numbers(operator(), complete(at="redislabs"), home="reg.example.com:5000")


def test_the_values_of_the_chart():
    values = f"""
    imagePullSecrets: [{{name: regcred}}]
    operator: {{image: {{repository: {PRIVATE}/operator, tag: 8.2.0-12}}}}
    cluster:
      create: true
      spec:
        redisEnterpriseImageSpec: {{repository: {PRIVATE}/redis, versionTag: 8.2.0-99.12}}
    """
    found = {problem.id: problem for problem in reversed(problems(values))}
    assert found["RE015"].fix == "Write - regcred."
    assert found["RE021"].path == "cluster.spec.bootstrapperImageSpec"
    assert found["RE002"].path == "cluster.spec.redisEnterpriseImageSpec.versionTag"
    assert "RE002" not in numbers(values.replace("create: true", "create: false"))


def test_side_containers_of_another_private_registry_are_nobodys_mistake():
    side = "sideContainersSpec: [{name: c, image: 'harbor.corp.example/team/exporter:1'}]"
    assert "RE024" not in numbers(private(), complete(more=side))
    assert "RE024" in numbers(private(), complete(more=side), home="reg.example.com:5000")
    assert "RE024" in numbers(private(), complete(more=side.replace("harbor.corp.example", "quay.io")))


@pytest.mark.parametrize(
    ("version", "redis", "number"),
    [
        ("7.2.4-16", "7.2.4-999", "RE004"),  # the last operator of its version may have got a newer build
        ("7.2.4-7", "7.2.4-999", "RE002"),  # 7.2.4-12 came after it
        ("7.2.4-16", "7.2.4-1", "RE002"),
        ("7.2.4-7", "7.2.4-92", "RE002"),
        ("8.2.0-13", "8.2.0-99.13", "RE002"),  # one build for each operator
    ],
)
def test_a_build_that_is_not_known_may_be_a_newer_one(version, redis, number):
    found = numbers(operator(version), spec_with(redisEnterpriseImageSpec=f"{{versionTag: {redis}}}"))
    assert found == {number}


def test_arm_nodes_matter_unless_every_cluster_is_sent_to_amd64():
    pinned = "nodeSelector: {kubernetes.io/arch: amd64}"
    nodes = [node("amd64"), node("arm64")]
    assert "RE051" in numbers(rec(pinned, "one"), rec(name="two"), *nodes)
    assert "RE051" in numbers(rec("nodeSelector: {kubernetes.io/arch: ppc64le}"), *nodes)
    assert "RE051" in numbers(operator(), *nodes)
    assert "RE051" not in numbers(rec(), node("amd64"))


def test_the_entries_that_a_secret_has_are_named():
    found = {it.id: it for it in problems(private(), complete(more=WITH_SECRET), secret(host="other.example.com"))}
    assert found["RE031"].what.endswith("there are: other.example.com")


def test_the_suggested_build_keeps_the_suffix_that_is_written():
    spec = "redisEnterpriseImageSpec: {repository: reg.io/r, versionTag: 7.2.4-52.rhel8-openshift}"
    (problem,) = (it for it in problems(operator(), rec(spec)) if it.id == "RE002")
    assert problem.fix == "Write versionTag: 7.2.4-64.rhel8-openshift."
    several = "redisEnterpriseImageSpec: {repository: redislabs/redis, versionTag: 7.4.2-129}"
    (problem,) = (it for it in problems(operator("7.4.2-2"), rec(several)) if it.id == "RE002")
    assert problem.fix == "Write one of 7.4.2-54, 7.4.2-104."


@pytest.mark.parametrize("first", [True, False])
def test_the_container_that_was_forgotten_is_the_one_that_is_named(first):
    count = 1 if first else 2
    text = operator("7.2.4-7", f"{PRIVATE}/operator") if first else operator()
    wrong = text.replace(f"{PRIVATE}/operator", "redislabs/operator", 1) if first else text
    wrong = wrong if first else text.replace("redislabs/operator", f"{PRIVATE}/operator", 1)
    (problem,) = (it for it in problems(wrong) if it.id == "RE020")
    assert problem.path.endswith(f"containers[{count - 1}].image")
    assert problem.fix == f"Write image: {PRIVATE}/operator:7.2.4-7"


def test_before_6_0_12_red_hats_tags_are_not_known_here():
    spec = f"redisEnterpriseImageSpec: {{repository: {RED_HAT}/redis-enterprise, versionTag: %s}}"
    assert "RE005" not in numbers(rec(spec % "6.0.8-30"))
    assert "RE005" in numbers(rec(spec % "6.0.12-57"))


def test_the_fix_of_an_absent_spec_names_the_image_beside_the_operators():
    fixes = [it.fix for it in problems(private("7.22.0-7"), rec()) if it.id in ("RE021", "RE022")]
    assert [fix.partition(" Or ")[0] for fix in fixes] == [
        f"Write bootstrapperImageSpec.repository: {PRIVATE}/operator.",
        f"Write redisEnterpriseImageSpec.repository: {PRIVATE}/redis.",
        f"Write redisEnterpriseServicesRiggerImageSpec.repository: {PRIVATE}/k8s-controller.",
        f"Write usageMeter.callHomeClient.imageSpec.repository: {PRIVATE}/re-call-home-client.",
    ]
    red_hat = operator("7.2.4-7", f"{PRIVATE}/redis-enterprise-operator")
    fixes = {it.fix for it in problems(red_hat, rec()) if it.id == "RE021"}
    assert f"Write redisEnterpriseServicesRiggerImageSpec.repository: {PRIVATE}/services-manager." in fixes
    elsewhere = {it.fix for it in problems(operator(), rec(), home="reg.io") if it.id == "RE021"}
    assert "Write bootstrapperImageSpec.repository." in elsewhere


def test_what_olm_installs_is_sent_by_the_nodes_and_not_edited():
    cluster = complete(at=PRIVATE)
    (found,) = [it for it in problems(olm(), cluster) if it.id == "RE023"]
    assert "homeport nodes --runtime openshift" in found.fix
    assert "homeport relocate" not in found.fix
    home = PRIVATE.partition("/")[0]
    mirrors = f"""
    apiVersion: config.openshift.io/v1
    kind: ImageDigestMirrorSet
    metadata: {{name: homeport}}
    spec: {{imageDigestMirrors: [{{source: {RED_HAT.partition("/")[0]}, mirrors: [{home}/m], mirrorSourcePolicy: NeverContactSource}}]}}
    """
    assert "RE023" not in numbers(olm(), cluster, mirrors)
    for broken in (
        mirrors.replace("NeverContactSource", "AllowContactingSource"),
        mirrors.replace(f"[{home}/m]", "[other.io]"),
    ):
        assert "RE023" in numbers(olm(), cluster, broken)
