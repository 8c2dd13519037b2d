"""The values of the chart: found, completed and rewritten, and nothing else touched."""

import pytest

from homeport.applications.redis_enterprise import Choice, knowledge
from homeport.applications.registry import KNOWLEDGE, learn_all
from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source
from homeport.discovery.scan import scan_source
from homeport.mapping import Mapping, Target
from homeport.relocation.relocate import relocate
from tests.applications.redis_enterprise.texts import problems

VALUES = """\
# Secrets for the operator
imagePullSecrets: null
operator:
  image:
    # Leave blank for the default
    repository: ""
    tag: 8.2.0-12
admission:
  setCABundle: true
openshift:
  mode: false
cluster:
  create: false
  spec: {}
"""


def names(text):
    scan = scan_source(Source("values.yaml", text), KNOWLEDGE)
    return [it.text for it in scan.findings], [it.path for it in scan.unresolved]


def rewritten(text):
    result = relocate(
        Source("values.yaml", text), Mapping(Target.parse("reg.io/m")), knowledge=KNOWLEDGE, pull_secret="regcred"
    )
    assert result.unresolved == ()
    again = relocate(
        Source("values.yaml", result.text),
        Mapping(Target.parse("reg.io/m")),
        knowledge=KNOWLEDGE,
        pull_secret="regcred",
    )
    assert again.text == result.text
    return result.text


def test_an_empty_repository_is_the_charts_default():
    assert names(VALUES) == (["docker.io/redislabs/operator:8.2.0-12"], [])
    on_openshift = VALUES.replace("mode: false", "mode: true")
    red_hat = "registry.connect.redhat.com/redislabs/redis-enterprise-operator:8.2.0-12"
    assert names(on_openshift) == ([red_hat], [])
    assert names(VALUES.replace("    tag: 8.2.0-12\n", "")) == ([], ["operator.image"])


def test_repository_and_secret_are_filled_in():
    assert rewritten(VALUES) == VALUES.replace('""', "reg.io/m/redislabs/operator").replace("null", "[regcred]")


def test_secrets_that_are_there_stay_and_are_names():
    listed = VALUES.replace("imagePullSecrets: null", "imagePullSecrets:\n  - other")
    assert "imagePullSecrets:\n  - regcred\n  - other\n" in rewritten(listed)
    assert rewritten(VALUES.replace("null", "[regcred]")).count("regcred") == 1


def test_a_cluster_in_the_values_is_completed():
    text = rewritten(VALUES.replace("create: false\n  spec: {}", "create: true\n  spec:\n    nodes: 3"))
    assert (
        """\
  spec:
    nodes: 3
    redisEnterpriseImageSpec:
      repository: reg.io/m/redislabs/redis
      versionTag: 8.2.0-25.12
    bootstrapperImageSpec:
      repository: reg.io/m/redislabs/operator
      versionTag: 8.2.0-12
    redisEnterpriseServicesRiggerImageSpec:
      repository: reg.io/m/redislabs/k8s-controller
      versionTag: 8.2.0-12
    usageMeter:
      callHomeClient:
        imageSpec:
          repository: reg.io/m/redislabs/re-call-home-client
          versionTag: 8.2.0-12
    pullSecrets:
    - name: regcred
"""
        in text
    )


def test_a_cluster_that_is_not_made_stays_as_it_is():
    assert "redisEnterpriseImageSpec" not in rewritten(VALUES.replace("spec: {}", "spec:\n    nodes: 3"))


@pytest.mark.parametrize(
    "text",
    [
        "operator: {image: {repository: '', tag: '1'}}\nimagePullSecrets: null\n",
        "kind: Operator\noperator: {image: {repository: '', tag: '1'}}\nadmission: {setCABundle: true}\n",
        "admission: {setCABundle: true}\nimagePullSecrets: null\n",
    ],
)
def test_values_of_other_charts_are_not_taken_for_these(text):
    assert names(text) == ([], [])
    assert rewritten(text) == text


RENDERED = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: redis-enterprise-cluster-spec, namespace: redis}
data:
  cluster.yaml: |
    apiVersion: app.redislabs.com/v1
    kind: RedisEnterpriseCluster
    metadata: {name: rec}
    spec:
      redisEnterpriseImageSpec: {repository: redislabs/redis, versionTag: 8.2.0-25.13}
---
apiVersion: batch/v1
kind: Job
metadata: {name: redis-enterprise-cluster-creator, namespace: redis}
spec: {template: {spec: {containers: [{name: create-cluster, image: 'redislabs/operator:8.2.0-12'}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: redis-enterprise-operator, namespace: redis}
spec:
  template:
    spec:
      containers:
      - {name: redis-enterprise-operator, image: 'redislabs/operator:8.2.0-12'}
      - {name: admission, image: 'redislabs/operator:8.2.0-12'}
"""


def test_the_cluster_in_a_rendered_charts_config_map_is_seen():
    source = Source("rendered.yaml", RENDERED)
    rules = learn_all(scan_source(source, KNOWLEDGE).findings).knowledge
    scan = scan_source(source, rules)
    assert [it.text for it in scan.findings].count("redislabs/operator:8.2.0-12") == 3
    assert "redislabs/redis:8.2.0-25.13" in [it.text for it in scan.findings]
    added = {it.text for it in scan.findings if it.how == "the operator's default"}
    assert added == {
        f"docker.io/redislabs/{name}:8.2.0-12" for name in ("operator", "k8s-controller", "re-call-home-client")
    }
    assert scan.unresolved == ()


def completed(text):
    for _ in range(2):
        source = Source("rendered.yaml", text)
        rules = learn_all(scan_source(source, KNOWLEDGE).findings).knowledge
        mapping = Mapping(Target.parse("reg.io/m"))
        result = relocate(source, mapping, knowledge=rules, pull_secret="regcred")
        before, text = text, result.text
    assert text == before, "a second run must change nothing"
    return result


INSIDE = """\
      redisEnterpriseImageSpec: {repository: reg.io/m/redislabs/redis, versionTag: 8.2.0-25.13}
      bootstrapperImageSpec:
        repository: reg.io/m/redislabs/operator
        versionTag: 8.2.0-12
      redisEnterpriseServicesRiggerImageSpec:
        repository: reg.io/m/redislabs/k8s-controller
        versionTag: 8.2.0-12
      usageMeter:
        callHomeClient:
          imageSpec:
            repository: reg.io/m/redislabs/re-call-home-client
            versionTag: 8.2.0-12
      pullSecrets:
      - name: regcred
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("header", ["|", "|2", "|+", "| # rendered"])
def test_and_is_completed_where_it_stands(end, header):
    spec = "      redisEnterpriseImageSpec: {repository: redislabs/redis, versionTag: 8.2.0-25.13}\n"
    head, _, tail = RENDERED.replace("cluster.yaml: |", f"cluster.yaml: {header}").partition(spec)
    result = completed((head + spec + tail).replace("\n", end))
    text = result.text.replace("\r\n", "\n")
    assert text.startswith(head + INSIDE)
    assert ("\r\n" in result.text) == (end == "\r\n")
    assert "\n" not in result.text.replace("\r\n", "") or end == "\n"
    assert result.unresolved == ()


def test_a_cluster_with_an_end_of_its_own_keeps_it():
    text = RENDERED.replace("cluster.yaml: |", "cluster.yaml: |-").replace(
        "8.2.0-25.13}\n", "8.2.0-25.13}\n  other: x\n"
    )
    after = completed(text).text
    root = parse_documents(Source("f", after))[0].root
    inner = parse_documents(Source("f", str(root["data"]["cluster.yaml"])))[0].root
    assert inner["spec"]["pullSecrets"] == [{"name": "regcred"}]
    assert inner["spec"]["bootstrapperImageSpec"]["repository"] == "reg.io/m/redislabs/operator"
    assert (root["data"]["other"], str(root["data"]["cluster.yaml"])[-1:]) == ("x", "}")


def test_where_lines_cannot_be_added_it_is_told():
    cluster = "{kind: RedisEnterpriseCluster, apiVersion: app.redislabs.com/v1, spec: {nodes: 3}}"
    config = (
        f"kind: ConfigMap\nmetadata: {{name: redis-enterprise-cluster-spec}}\ndata: {{cluster.yaml: '{cluster}'}}\n"
    )
    mapping, rules = Mapping(Target.parse("reg.io/m")), knowledge(Choice(("8.2.0-12",)))
    result = relocate(Source("f", config), mapping, knowledge=rules, pull_secret="regcred")
    assert result.text == config
    assert len(result.unresolved) == 5
    assert sum("cluster.spec of the chart's values" in it.reason for it in result.unresolved) == 4


def test_and_it_is_checked_with_the_lines_of_the_file():
    (problem,) = problems(RENDERED)
    assert (problem.id, problem.line) == ("RE002", 10)
    assert problem.path == "data['cluster.yaml'].spec.redisEnterpriseImageSpec.versionTag"


@pytest.mark.parametrize("text", ["a: [", "just a text", "kind: Other"])
def test_a_config_map_that_holds_something_else_is_left_alone(text):
    config = f"kind: ConfigMap\nmetadata: {{name: redis-enterprise-cluster-spec}}\ndata: {{cluster.yaml: '{text}'}}\n"
    assert scan_source(Source("f", config), KNOWLEDGE).unresolved == ()


@pytest.mark.parametrize(
    ("old", "new"), [("kind: ConfigMap", "kind: Secret"), ("redis-enterprise-cluster-spec", "another")]
)
def test_other_objects_that_hold_a_cluster_are_not_the_charts(old, new):
    text = RENDERED.partition("---")[0].replace(old, new)
    assert scan_source(Source("f", text), KNOWLEDGE).unresolved == ()
