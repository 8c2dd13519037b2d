"""What each pod will pull, and by which rule."""

import pytest

from homeport.applications.redis_enterprise import KNOWLEDGE, knowledge
from homeport.applications.redis_enterprise.effective import effective_images
from homeport.applications.redis_enterprise.implied import choose
from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source
from homeport.discovery.scan import scan_source
from homeport.discovery.walk import walk
from tests.applications.redis_enterprise.texts import facts, operator, rec

RED_HAT = "registry.connect.redhat.com/redislabs"
DIGEST = "sha256:" + "d" * 64


def pulled(*texts, openshift=None):
    found = effective_images(facts(*texts), openshift=openshift)
    return {it.container: it.image for it in found if "operator" not in it.pod}


def rules(*texts):
    return {it.container: it.rule for it in effective_images(facts(*texts)) if "operator" not in it.pod}


def test_the_operators_own_pods():
    found = effective_images(facts(operator("7.2.4-7", "reg.io/redislabs/operator")))
    assert [(it.pod, it.container, it.image) for it in found] == [
        ("Deployment/redis-enterprise-operator", "redis-enterprise-operator", "reg.io/redislabs/operator:7.2.4-7"),
        ("Deployment/redis-enterprise-operator", "admission", "reg.io/redislabs/operator:7.2.4-7"),
    ]


def test_a_cluster_that_names_nothing_does_not_follow_the_operators_registry():
    assert pulled(operator("7.2.4-7", "reg.io/redislabs/operator"), rec()) == {
        "redis-enterprise-node": "docker.io/redislabs/redis:7.2.4-64",
        "bootstrapper": "docker.io/redislabs/operator:7.2.4-7",
        "services-rigger": "docker.io/redislabs/k8s-controller:7.2.4-7",
    }


@pytest.mark.parametrize(
    ("version", "redis", "rigger"),
    [
        # before 8.2.0-12 OpenShift's default is Docker Hub's repository, with Red Hat's tag
        ("7.2.4-7", "docker.io/redislabs/redis:7.2.4-64.rhel8-openshift", "docker.io/redislabs/k8s-controller:7.2.4-7"),
        ("8.0.20-26", "docker.io/redislabs/redis:8.0.20-96.26", "docker.io/redislabs/k8s-controller:8.0.20-26"),
        ("8.2.0-12", f"{RED_HAT}/redis-enterprise:8.2.0-25.12", f"{RED_HAT}/services-manager:8.2.0-12"),
    ],
)
def test_the_default_on_openshift_depends_on_the_release(version, redis, rigger):
    found = pulled(operator(version, f"{RED_HAT}/redis-enterprise-operator"), rec())
    assert (found["redis-enterprise-node"], found["services-rigger"]) == (redis, rigger)


def test_what_a_person_says_of_the_platform_counts():
    found = pulled(operator("8.2.0-12", "reg.io/redislabs/operator"), rec(), openshift=True)
    assert found["bootstrapper"] == f"{RED_HAT}/redis-enterprise-operator:8.2.0-12"


def test_a_repository_alone_takes_the_operators_tag_and_a_tag_alone_its_repository():
    spec = """
    redisEnterpriseImageSpec: {versionTag: 7.2.4-99}
    bootstrapperImageSpec: {repository: reg.io/redislabs/operator}
    redisEnterpriseServicesRiggerImageSpec: {repository: reg.io/r, versionTag: 7.2.4-7}
    """
    assert pulled(operator(), rec(spec)) == {
        "redis-enterprise-node": "docker.io/redislabs/redis:7.2.4-99",
        "bootstrapper": "reg.io/redislabs/operator:7.2.4-7",
        "services-rigger": "reg.io/r:7.2.4-7",
    }
    assert rules(operator(), rec(spec))["services-rigger"] == (
        "redisEnterpriseServicesRiggerImageSpec.repository and versionTag"
    )


def test_a_digest_wins_over_the_tag():
    spec = f"redisEnterpriseImageSpec: {{repository: reg.io/r, versionTag: 7.2.4-64, digestHash: '{DIGEST}'}}"
    assert pulled(operator(), rec(spec))["redis-enterprise-node"] == f"reg.io/r@{DIGEST}"


def test_the_operators_environment_gives_defaults():
    text = operator("8.2.0-12").replace(
        "      - name: admission",
        f"        env:\n        - {{name: DEFAULT_RS_IMAGE_DIGEST, value: '{DIGEST}'}}\n"
        "        - {name: DEFAULT_RIGGER_IMAGE_REPOSITORY, value: reg.io/rigger}\n      - name: admission",
    )
    found = pulled(text, rec())
    assert found["redis-enterprise-node"] == f"docker.io/redislabs/redis@{DIGEST}"
    assert found["services-rigger"] == "reg.io/rigger:8.2.0-12"
    config = f"""
    kind: ConfigMap
    metadata: {{name: operator-environment-config}}
    data: {{DEFAULT_BOOTSTRAPPER_IMAGE_DIGEST: '{DIGEST}'}}
    """
    assert pulled(operator(), config, rec())["bootstrapper"] == f"docker.io/redislabs/operator@{DIGEST}"


def test_a_digest_of_the_environment_beside_an_own_repository_is_said_to_be_undocumented():
    config = f"kind: ConfigMap\nmetadata: {{name: operator-environment-config}}\ndata: {{DEFAULT_RS_IMAGE_DIGEST: '{DIGEST}'}}"
    spec = "redisEnterpriseImageSpec: {repository: reg.io/r}"
    assert "not documented" in rules(operator(), config, rec(spec))["redis-enterprise-node"]


def test_the_call_home_client_runs_unless_it_is_disabled():
    assert pulled(operator("7.22.0-7"), rec())["call-home-client"] == "docker.io/redislabs/re-call-home-client:7.22.0-7"
    assert "call-home-client" not in pulled(operator("7.8.6-19"), rec())
    disabled = "usageMeter: {callHomeClient: {disabled: true}}"
    assert "call-home-client" not in pulled(operator("7.22.0-7"), rec(disabled))


def test_an_unknown_operator_leaves_the_tag_open():
    found = {it.container: it for it in effective_images(facts(rec()))}
    assert found["redis-enterprise-node"].open
    assert found["redis-enterprise-node"].image == "docker.io/redislabs/redis"
    (redis,) = (it for it in effective_images(facts(operator("99.0.0-1"), rec())) if it.container.endswith("node"))
    assert redis.open
    assert "whose Redis tag is not known" in redis.rule


def test_what_a_person_adds_to_the_pods():
    spec = """
    sideContainersSpec: [{name: exporter, image: busybox:1}]
    redisEnterpriseAdditionalPodSpecAttributes: {initContainers: [{name: gears, image: 'python:3.7'}]}
    servicesRiggerSpec: {servicesRiggerAdditionalPodSpecAttributes: {initContainers: [{name: wait, image: 'alpine:3'}]}}
    """
    found = {it.container: (it.pod, it.image) for it in effective_images(facts(operator(), rec(spec)))}
    assert found["exporter"] == ("StatefulSet/rec", "busybox:1")
    assert found["gears"] == ("StatefulSet/rec", "python:3.7")
    assert found["wait"] == ("Deployment/rec-services-rigger", "alpine:3")


CSV = f"""
apiVersion: operators.coreos.com/v1alpha1
kind: ClusterServiceVersion
metadata: {{name: redis-enterprise-operator.v8.2.0-12.0, namespace: placeholder}}
spec:
  version: 8.2.0-12.0
  install:
    spec:
      deployments:
      - name: redis-enterprise-operator
        spec:
          template:
            spec:
              containers:
              - name: redis-enterprise-operator
                image: {RED_HAT}/redis-enterprise-operator@{DIGEST}
                env:
                - {{name: IS_OPENSHIFT, value: 'true'}}
                - {{name: DEFAULT_RS_IMAGE_DIGEST, value: '{DIGEST}'}}
"""


def test_an_olm_bundle_pins_the_default():
    found = pulled(CSV, rec().replace("name: rec", "name: rec, namespace: redis"))
    assert found["redis-enterprise-node"] == f"{RED_HAT}/redis-enterprise@{DIGEST}"
    assert found["services-rigger"] == f"{RED_HAT}/services-manager:8.2.0-12"


def test_a_pod_that_is_not_the_operators_is_none():
    text = "kind: Job\napiVersion: batch/v1\nspec: {template: {spec: {containers: [{name: redis-enterprise-operator, image: a}]}}}"
    assert facts(text, "just a text", "- a list").operators == ()


def test_on_openshift_with_an_unknown_operator_the_newest_rule_counts():
    assert pulled(rec(), openshift=True)["services-rigger"] == f"{RED_HAT}/services-manager"


@pytest.mark.parametrize("version", ["7.2.4-7", "7.22.0-17", "8.0.20-23", "8.2.0-12", "8.2.0-13", "9.9.9-1"])
@pytest.mark.parametrize("repository", ["redislabs/operator", f"{RED_HAT}/redis-enterprise-operator"])
def test_what_a_scan_says_is_pulled_by_default_is_what_the_pods_pull(version, repository):
    text = operator(version, repository) + "---\n" + rec()
    source = Source("all.yaml", text)
    rules = knowledge(choose(scan_source(source, KNOWLEDGE).findings))
    implied = [it.implied for document in parse_documents(source) for it in walk(document.root, "", rules).implied]
    said = {str(it.default or it.reference) for it in implied if it.reference}
    taken = {it for it in pulled(text).values() if ":" in it}
    assert said == taken
    belongs = {str(it.reference) for it in implied if it.reference}
    assert all(it.startswith(RED_HAT) == (repository != "redislabs/operator") for it in belongs)


@pytest.mark.parametrize("part", ["versionTag: 7.2.4-- 64", f"digestHash: {DIGEST}x"])
def test_a_tag_or_digest_that_is_none_is_told_and_nothing_is_guessed(part):
    rules = knowledge(choose((), operator="7.2.4-7"))
    source = Source("r.yaml", rec(f"redisEnterpriseImageSpec: {{{part}}}"))
    (place, *_) = scan_source(source, rules).unresolved
    assert place.reason.endswith(f"its {part.partition(':')[0]} is none")
