"""The values of the chart: found, completed and rewritten, and nothing else touched."""

import pytest

from homeport.applications.redis_enterprise import KNOWLEDGE
from homeport.discovery.inputs import Source
from homeport.discovery.scan import scan_source
from homeport.mapping import Mapping, Target
from homeport.relocation.relocate import relocate

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
