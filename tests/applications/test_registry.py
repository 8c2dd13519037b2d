"""All applications together; a second operator beside Redis Enterprise is data and one pure function."""

from homeport.applications.application import Versions
from homeport.applications.registry import APPLICATIONS, KNOWLEDGE, learn_all
from homeport.applications.victoria_metrics import VICTORIA_METRICS
from homeport.discovery.inputs import Source
from homeport.discovery.scan import scan_source
from homeport.mapping import Mapping, Target
from homeport.relocation.relocate import relocate

SINGLE = """\
apiVersion: operator.victoriametrics.com/v1beta1
kind: VMSingle
metadata: {name: one}
spec:
  image:
    repository: victoriametrics/victoria-metrics  # pinned
    tag: v1.110.13
"""
CLUSTER = """\
apiVersion: operator.victoriametrics.com/v1beta1
kind: VMCluster
metadata: {name: many}
spec:
  vmselect: {image: {repository: victoriametrics/vmselect, tag: v1.110.13-cluster}}
  vmstorage: {replicaCount: 2}
"""


def test_each_application_has_a_name_and_its_rules_are_in_the_whole():
    assert len({application.name for application in APPLICATIONS}) == len(APPLICATIONS) == 2
    for application in APPLICATIONS:
        assert set(application.knowledge.secrets) <= set(KNOWLEDGE.secrets)
        assert set(application.knowledge.implied) <= set(KNOWLEDGE.implied)


def test_its_images_are_found_where_its_fields_are():
    scan = scan_source(Source("f", SINGLE), KNOWLEDGE)
    assert [(it.text, it.path, it.how) for it in scan.findings] == [
        ("victoriametrics/victoria-metrics:v1.110.13", "spec.image", "rule victoria-metrics-operator")
    ]


def test_what_it_pulls_by_default_is_said_to_be_unknown():
    scan = scan_source(Source("f", CLUSTER), KNOWLEDGE)
    assert [it.text for it in scan.findings] == ["victoriametrics/vmselect:v1.110.13-cluster"]
    assert [(it.path, it.reason.rpartition(", of ")[2]) for it in scan.unresolved] == [
        ("spec.vmstorage.image", "victoriametrics/vmstorage")
    ]


def test_it_is_relocated_with_its_pull_secret_and_nothing_else_changes():
    result = relocate(
        Source("f", SINGLE), Mapping(Target.parse("reg.io/m")), knowledge=KNOWLEDGE, pull_secret="regcred"
    )
    assert (
        result.text
        == SINGLE.replace("repository: victoriametrics/", "repository: reg.io/m/victoriametrics/")
        + "  imagePullSecrets:\n  - name: regcred\n"
    )


def test_objects_of_other_groups_are_not_its_own():
    other = SINGLE.replace("operator.victoriametrics.com", "example.org")
    assert all(it.how != "rule victoria-metrics-operator" for it in scan_source(Source("f", other), KNOWLEDGE).findings)


def test_what_a_person_says_reaches_every_application():
    learned = learn_all((), Versions("7.2.4-7"))
    assert learned.operators == ("7.2.4-7",)
    assert set(VICTORIA_METRICS.knowledge.secrets) < set(learned.knowledge.secrets)
