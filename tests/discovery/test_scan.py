"""What a scan finds in texts and live objects."""

from textwrap import dedent

import msgspec
import pytest
import yaml

from homeport.applications.redis_enterprise.fields import FIELDS
from homeport.discovery.findings import ObjectKey, Scan
from homeport.discovery.inputs import Source
from homeport.discovery.scan import scan_object, scan_source


def scan(text: str, default_registry: str = "docker.io") -> Scan:
    return scan_source(Source("test.yaml", dedent(text)), FIELDS, default_registry)


def found(result: Scan) -> list[tuple[str, str]]:
    return [(finding.path, finding.text) for finding in result.findings]


POD = "{containers: [{name: a, image: a:1}], initContainers: [{image: b:2}], ephemeralContainers: [{image: c:3}]}"
PLACES = ["initContainers[0].image", "containers[0].image", "ephemeralContainers[0].image"]


@pytest.mark.parametrize(
    ("api_version", "kind", "path"),
    [
        ("v1", "Pod", "spec"),
        ("v1", "PodTemplate", "template.spec"),
        ("v1", "ReplicationController", "spec.template.spec"),
        ("apps/v1", "Deployment", "spec.template.spec"),
        ("apps/v1", "StatefulSet", "spec.template.spec"),
        ("apps/v1", "DaemonSet", "spec.template.spec"),
        ("apps/v1", "ReplicaSet", "spec.template.spec"),
        ("extensions/v1beta1", "Deployment", "spec.template.spec"),
        ("batch/v1", "Job", "spec.template.spec"),
        ("batch/v1beta1", "CronJob", "spec.jobTemplate.spec.template.spec"),
    ],
)
def test_every_built_in_kind_with_pods(api_version, kind, path):
    nested = POD
    for key in reversed(path.split(".")):
        nested = f"{{{key}: {nested}}}"
    result = scan(f"{{apiVersion: {api_version}, kind: {kind}, metadata: {{namespace: n, name: x}}, {nested[1:]}")
    assert found(result) == [
        (f"{path}.{place}", f"{image}") for place, image in zip(PLACES, ["b:2", "a:1", "c:3"], strict=True)
    ]
    assert {finding.how for finding in result.findings} == {"built-in field"}
    assert {finding.object for finding in result.findings} == {ObjectKey(api_version, kind, "n", "x")}


def test_lists_are_opened_and_each_item_speaks_for_itself():
    result = scan(
        f"""
        apiVersion: v1
        kind: List
        items:
        - {{apiVersion: v1, kind: Pod, metadata: {{name: one}}, spec: {POD}}}
        - {{apiVersion: v1, kind: ConfigMap, metadata: {{name: two}}}}
        ---
        {{apiVersion: v1, kind: PodList, items: [{{metadata: {{name: three}}, spec: {{containers: [{{image: d}}]}}}}]}}
        """
    )
    assert [(str(finding.object), finding.text) for finding in result.findings] == [
        ("Pod/one", "b:2"),
        ("Pod/one", "a:1"),
        ("Pod/one", "c:3"),
        ("Pod/three", "d"),
    ]
    assert result.findings[0].path == "items[0].spec.initContainers[0].image"


def test_image_volumes_are_found_and_block_devices_are_not():
    result = scan(
        """
        apiVersion: v1
        kind: Pod
        spec:
          volumes:
          - name: artifact
            image: {reference: "quay.io/a/b:1"}
          - name: device
            rbd: {image: foo}
          - name: code
            gitRepo: {repository: git@example.com:x}
        """
    )
    assert found(result) == [("spec.volumes[0].image.reference", "quay.io/a/b:1")]


def test_schemas_are_read_past():
    result = scan(
        """
        apiVersion: apiextensions.k8s.io/v1
        kind: CustomResourceDefinition
        spec: {template: {spec: {containers: [{name: a, image: not/me:1}]}}}
        """
    )
    assert result == Scan()


def test_names_without_a_domain_come_from_the_default_registry():
    document = "{apiVersion: v1, kind: Pod, spec: {containers: [{image: redislabs/operator:7.2.4-7}, {image: nginx}]}}"
    assert [str(finding.reference) for finding in scan(document).findings] == [
        "docker.io/redislabs/operator:7.2.4-7",
        "docker.io/library/nginx",
    ]
    assert str(scan(document, "registry.redhat.io").findings[1].reference) == "registry.redhat.io/nginx"


REC = """
apiVersion: app.redislabs.com/v1alpha1
kind: RedisEnterpriseCluster
metadata: {name: rec}
spec:
  redisEnterpriseImageSpec: {repository: r.io/redislabs/redis, versionTag: 7.2.4-64}
  bootstrapperImageSpec:
    repository: redislabs/operator
  redisEnterpriseServicesRiggerImageSpec:
    repository: redislabs/k8s-controller
    versionTag: 7.2.4-7
    digestHash: sha256:DIGEST
  usageMeter: {callHomeClient: {imageSpec: {repository: redislabs/re-call-home-client, versionTag: 1.10}}}
  sideContainersSpec:
  - {name: side, image: side:1}
  redisEnterpriseAdditionalPodSpecAttributes:
    initContainers: [{name: gears, image: python:3.7}]
  servicesRiggerSpec:
    servicesRiggerAdditionalPodSpecAttributes:
      volumes: [{name: v, image: {reference: data:1}}]
""".replace("DIGEST", "a" * 64)


def test_a_redis_enterprise_cluster_names_images_in_all_its_fields():
    result = scan(REC)
    assert found(result) == [
        ("spec.redisEnterpriseImageSpec", "r.io/redislabs/redis:7.2.4-64"),
        ("spec.bootstrapperImageSpec", "redislabs/operator"),
        ("spec.redisEnterpriseServicesRiggerImageSpec", "redislabs/k8s-controller@sha256:" + "a" * 64),
        ("spec.usageMeter.callHomeClient.imageSpec", "redislabs/re-call-home-client:1.10"),
        ("spec.sideContainersSpec[0].image", "side:1"),
        ("spec.redisEnterpriseAdditionalPodSpecAttributes.initContainers[0].image", "python:3.7"),
        ("spec.servicesRiggerSpec.servicesRiggerAdditionalPodSpecAttributes.volumes[0].image.reference", "data:1"),
    ]
    assert {finding.how for finding in result.findings} == {"rule redis-enterprise"}
    assert [finding.open for finding in result.findings] == [False, True, False, False, False, False, False]
    assert result.findings[1].reference.tag is None


def test_a_live_object_scans_like_its_text_but_has_no_places():
    live = scan_object(yaml.load(REC, Loader=yaml.BaseLoader), "cluster", FIELDS)
    assert found(live) == found(scan(REC))
    assert {finding.line for finding in live.findings} == {-1}
    assert {part.start for finding in live.findings for part in finding.parts} == {-1}


def test_parts_point_at_the_scalars():
    result = scan(REC)
    text = dedent(REC)
    for finding in result.findings:
        for part in finding.parts:
            assert text[part.start : part.end] == part.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("spec: {attributes: {initContainers: [{name: g, image: 'python:3.7'}]}}", "python:3.7"),
        ("{kind: Rollout, apiVersion: argoproj.io/v1, spec: {template: {spec: {containers: [{image: a:1}]}}}}", "a:1"),
        ("{kind: X, apiVersion: x/v1, spec: {sidecars: [{name: s, image: s:1}]}}", "s:1"),
        ("{kind: X, apiVersion: x/v1, deep: [{volumes: [{image: {reference: 'v:1'}}]}]}", "v:1"),
    ],
)
def test_shapes_are_known_wherever_they_stand(text, expected):
    (finding,) = scan(text).findings
    assert (finding.text, finding.how) == (expected, "shape")


@pytest.mark.parametrize(
    "text",
    [
        "images: [{name: logo, image: 'https://example.com/logo.png'}]",
        "pools: [{name: p, image: foo}, {name: q}]",
        "{kind: X, apiVersion: x/v1, properties: {image: {type: string}}}",
        "containers: [a, b]",
    ],
)
def test_what_looks_like_an_image_and_is_none_is_left_alone(text):
    result = scan(text)
    assert (result.findings, result.unresolved, result.errors) == ((), (), ())


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("Nginx:1", "lower case"),
        ("$(IMAGE)", "variable"),
        ("'{{ .Values.image }}'", "variable"),
        ("'${REPO}/x:1'", "variable"),
        ("''", "no text"),
        ("{a: b}", "no text"),
        ("https://example.com/x", "not a host"),
    ],
)
def test_what_should_name_an_image_and_does_not_is_unresolved_with_the_reason(image, reason):
    result = scan(f"{{apiVersion: v1, kind: Pod, spec: {{containers: [{{name: a, image: {image}}}]}}}}")
    assert result.findings == ()
    assert reason in result.unresolved[0].reason
    assert result.unresolved[0].path == "spec.containers[0].image"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("{repository: 'redislabs/redis:7.2.4-64'}", "holds a tag"),
        ("{repository: redislabs/redis, versionTag: 'redislabs/redis:6.2.4-55'}", "versionTag"),
        ("{repository: redislabs/redis, digestHash: 'sha256:1'}", "digestHash"),
        ("{repository: redislabs/redis, versionTag: '${TAG}'}", "variable"),
    ],
)
def test_split_fields_that_do_not_join_are_unresolved(spec, reason):
    result = scan(
        f"{{apiVersion: app.redislabs.com/v1, kind: RedisEnterpriseCluster, spec: {{redisEnterpriseImageSpec: {spec}}}}}"
    )
    assert result.findings == ()
    assert reason in result.unresolved[0].reason


def test_a_key_that_stands_twice_is_reported():
    result = scan("apiVersion: v1\nkind: Pod\nspec:\n  containers: [{image: a:1}]\n  containers: [{image: b:1}]\n")
    assert [(finding.line, finding.text) for finding in result.unresolved] == [(5, "containers")]


def test_a_text_that_cannot_be_read_is_one_error():
    assert scan("a: [\n").errors == (
        "test.yaml:2:1: did not find expected node content (while parsing a flow node that began in line 2)",
    )


def test_findings_are_plain_values():
    finding = scan(REC).findings[0]
    assert msgspec.to_builtins(finding)["object"]["apiVersion"] == "app.redislabs.com/v1alpha1"
