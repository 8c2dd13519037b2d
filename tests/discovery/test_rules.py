"""Rules as data: the language, and each rule that is shipped."""

import contextlib
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.rules import Rules, read_rules, select, shipped_rules
from homeport.discovery.scan import scan_source
from homeport.errors import InputError


def scan(text: str, rules: Rules | None = None):
    return scan_source(Source("test.yaml", dedent(text)), Knowledge(rules=rules or Rules()))


def named(text: str, rules: Rules | None = None) -> set[str]:
    """Return what a scan names by a rule."""
    found = [it for it in scan(text, rules).findings if it.how.startswith("rule ")]
    return {f"open {it.text}" if it.open else it.text for it in found}


def of(api: str, kind: str, spec: str, key: str = "spec") -> str:
    return f"{{apiVersion: {api}, kind: {kind}, metadata: {{name: x}}, {key}: {spec}}}"


SHIPPED = [
    (
        "system-upgrade-controller",
        of("upgrade.cattle.io/v1", "Plan", "{version: v1.30.1+k3s1, upgrade: {image: rancher/k3s-upgrade}}"),
        {"rancher/k3s-upgrade:v1.30.1-k3s1"},
    ),
    (
        "system-upgrade-controller",
        of(
            "upgrade.cattle.io/v1",
            "Plan",
            "{channel: x, prepare: {image: a/b:1}, upgrade: {image: rancher/k3s-upgrade}}",
        ),
        {"open rancher/k3s-upgrade", "a/b:1"},
    ),
    (
        "scylla-operator",
        of("scylla.scylladb.com/v1", "ScyllaCluster", "{version: 6.2.0, repository: docker.io/scylladb/scylla}"),
        {"docker.io/scylladb/scylla:6.2.0"},
    ),
    (
        "tidb-operator",
        of(
            "pingcap.com/v1alpha1",
            "TidbCluster",
            "{version: v8, pd: {baseImage: p/pd}, tikv: {baseImage: p/kv, version: v9}}",
        ),
        {"p/pd:v8", "p/kv:v9"},
    ),
    (
        "gpu-operator",
        of(
            "nvidia.com/v1",
            "ClusterPolicy",
            "{dcgm: {repository: nvcr.io/n, image: dcgm, version: sha256:" + "a" * 64 + "}}",
        ),
        {"nvcr.io/n/dcgm@sha256:" + "a" * 64},
    ),
    (
        "network-operator",
        of(
            "mellanox.com/v1alpha1",
            "NicClusterPolicy",
            "{ofedDriver: {repository: nvcr.io/n, image: doca, version: '1'}}",
        ),
        {"nvcr.io/n/doca:1"},
    ),
    (
        "cass-operator",
        of(
            "config.k8ssandra.io/v1beta2",
            "ImageConfig",
            "{l: {repository: k, name: logger, tag: v1}}, defaults: {registry: r.io}, types: {c: {repository: k, name: api}}",
            "images",
        ),
        {"r.io/k/logger:v1", "open r.io/k/api"},
    ),
    (
        "solr-operator",
        of("solr.apache.org/v1beta1", "SolrCloud", "{solrImage: {tag: 9, repository: a.io/solr}}"),
        {"a.io/solr:9"},
    ),
    (
        "victoria-metrics-operator",
        of("operator.victoriametrics.com/v1beta1", "VMCluster", "{vmselect: {image: {repository: v/s, tag: v1}}}"),
        {"v/s:v1"},
    ),
    ("cloudnative-pg", of("postgresql.cnpg.io/v1", "Cluster", "{imageName: postgres}"), {"postgres"}),
    ("cloudnative-pg", of("postgresql.cnpg.io/v1", "ImageCatalog", "{images: [{major: 16, image: pg}]}"), {"pg"}),
    ("postgres-operator", of("acid.zalan.do/v1", "postgresql", "{dockerImage: spilo}"), {"spilo"}),
    ("rook", of("ceph.rook.io/v1", "CephCluster", "{cephVersion: {image: ceph}}"), {"ceph"}),
    (
        "percona-server-mongodb-operator",
        of("psmdb.percona.com/v1", "PerconaServerMongoDB", "{image: a, backup: {image: b}}"),
        {"a", "b"},
    ),
    ("minio-operator", of("minio.min.io/v2", "Tenant", "{image: minio}"), {"minio"}),
    (
        "strimzi",
        of("kafka.strimzi.io/v1", "Kafka", "{kafka: {image: k}, entityOperator: {userOperator: {image: u}}}"),
        {"k", "u"},
    ),
    ("jaeger-operator", of("jaegertracing.io/v1", "Jaeger", "{allInOne: {image: j}}"), {"j"}),
    ("opentelemetry-operator", of("opentelemetry.io/v1alpha1", "Instrumentation", "{java: {image: j}}"), {"j"}),
    ("fluent-operator", of("fluentbit.fluent.io/v1alpha2", "FluentBit", "{image: f}"), {"f"}),
    ("opensearch-operator", of("opensearch.opster.io/v1", "OpenSearchCluster", "{general: {image: o}}"), {"o"}),
    (
        "cdi",
        of("cdi.kubevirt.io/v1beta1", "DataVolume", "{source: {registry: {url: 'docker://quay.io/a/b'}}}"),
        {"quay.io/a/b"},
    ),
    (
        "metal3",
        of("metal3.io/v1alpha1", "BareMetalHost", "{image: {url: 'oci://quay.io/os/image:1'}}"),
        {"quay.io/os/image:1"},
    ),
    (
        "argocd-operator",
        of(
            "argoproj.io/v1beta1",
            "ArgoCD",
            "{image: q.io/a/cd, redis: {image: redis, version: 5.0.3}, sso: {dex: {image: q.io/d, version: v2}},"
            " ha: {redisProxyImage: haproxy, redisProxyVersion: '2.0'}}",
        ),
        {"open q.io/a/cd", "redis:5.0.3", "q.io/d:v2", "haproxy:2.0"},
    ),
    (
        "flux-kustomization",
        of(
            "kustomize.toolkit.fluxcd.io/v1",
            "Kustomization",
            "{images: [{name: nginx, newTag: '2'}, {name: a, newName: q.io/a/b, newTag: '1'}, {name: c, newName: q.io/c/d}]}",
        ),
        {"q.io/a/b:1", "open q.io/c/d"},
    ),
]


@pytest.mark.parametrize(("rule", "text", "expected"), SHIPPED)
def test_shipped_rules_name_images(rule, text, expected):
    assert rule in {it.name for it in shipped_rules().rules}
    assert named(text) == expected
    assert {it.how for it in scan(text).findings} == {f"rule {rule}"}


REFERENCE = "quay.io/a/b:1"
NOT_IMAGES = [
    ("flux-image-reflector", of("image.toolkit.fluxcd.io/v1", "ImageRepository", f"{{image: {REFERENCE}}}")),
    (
        "sigstore-policy",
        of("policy.sigstore.dev/v1beta1", "ClusterImagePolicy", f"{{images: [{{glob: {REFERENCE}}}]}}"),
    ),
    (
        "sigstore-policy",
        of(
            "policy.sigstore.dev/v1beta1",
            "ClusterImagePolicy",
            f"{{authorities: [{{source: [{{oci: '{REFERENCE}'}}]}}]}}",
        ),
    ),
    ("kyverno", of("kyverno.io/v1", "ClusterPolicy", f"{{rules: [{{verifyImages: [{{image: {REFERENCE}}}]}}]}}")),
    (
        "kyverno",
        of(
            "kyverno.io/v1",
            "Policy",
            f"{{rules: [{{validate: {{pattern: {{spec: {{containers: [{{name: '*', image: '{REFERENCE}'}}]}}}}}}}}]}}",
        ),
    ),
    (
        "kyverno",
        of(
            "kyverno.io/v1",
            "ClusterPolicy",
            f"{{rules: [{{context: [{{imageRegistry: {{reference: '{REFERENCE}'}}}}]}}]}}",
        ),
    ),
    ("kyverno", of("kyverno.io/v2", "PolicyException", f"{{podSecurity: [{{images: ['{REFERENCE}']}}]}}")),
    ("kyverno-policies", of("policies.kyverno.io/v1", "PolicyException", f"{{images: ['{REFERENCE}']}}")),
    (
        "kyverno-policies",
        of(
            "policies.kyverno.io/v1",
            "NamespacedImageValidatingPolicy",
            f"{{matchImageReferences: [{{glob: '{REFERENCE}'}}]}}",
        ),
    ),
    (
        "trivy-operator-reports",
        of("aquasecurity.github.io/v1alpha1", "SbomReport", f"{{image: {REFERENCE}}}", "report"),
    ),
    ("openshift-mirrors", of("config.openshift.io/v1", "ImageTagMirrorSet", f"{{images: [{REFERENCE}]}}")),
    (
        "openshift-build",
        of("build.openshift.io/v1", "BuildConfig", f"{{output: {{to: {{kind: DockerImage, name: '{REFERENCE}'}}}}}}"),
    ),
    ("shipwright", of("shipwright.io/v1beta1", "Build", f"{{output: {{image: {REFERENCE}}}}}")),
    ("shipwright", of("shipwright.io/v1beta1", "BuildRun", f"{{build: {{spec: {{output: {{image: {REFERENCE}}}}}}}}}")),
    (
        "shipwright",
        of("shipwright.io/v1alpha1", "Build", f"{{trigger: {{when: [{{image: {{names: ['{REFERENCE}']}}}}]}}}}"),
    ),
    ("kpack", of("kpack.io/v1alpha2", "Image", f"{{tag: {REFERENCE}}}")),
    ("kpack", of("kpack.io/v1alpha2", "ClusterBuilder", f"{{tag: {REFERENCE}}}")),
    ("kpack", of("kpack.io/v1alpha2", "Build", f"{{lastBuild: {{image: {REFERENCE}}}}}")),
    ("cluster-api", of("infrastructure.cluster.x-k8s.io/v1beta1", "GCPMachine", f"{{image: {REFERENCE}}}")),
    ("cluster-api", of("infrastructure.cluster.x-k8s.io/v1beta1", "GCPMachinePool", f"{{imageFamily: {REFERENCE}}}")),
    (
        "metal3",
        of(
            "metal3.io/v1alpha1", "BareMetalHost", f"{{image: {{url: 'https://{REFERENCE}', checksum: '{REFERENCE}'}}}}"
        ),
    ),
    ("piraeus-operator", of("piraeus.io/v1", "LinstorCluster", "{repository: quay.io/piraeus/x}")),
]


@pytest.mark.parametrize(("rule", "text"), NOT_IMAGES)
def test_shipped_rules_leave_out_what_is_not_pulled(rule, text):
    assert rule in {it.name for it in shipped_rules().rules}
    assert scan(text).findings == ()


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        (
            "eck",
            of("elasticsearch.k8s.elastic.co/v1", "Elasticsearch", "{version: 8.1}"),
            ["elasticsearch/elasticsearch:8.1"],
        ),
        ("eck", of("elasticsearch.k8s.elastic.co/v1", "Elasticsearch", "{version: 8, image: a/b:1}"), []),
        ("eck-kibana", of("kibana.k8s.elastic.co/v1", "Kibana", "{version: 8.1}"), ["kibana/kibana:8.1"]),
        (
            "eck-logstash",
            of("logstash.k8s.elastic.co/v1alpha1", "Logstash", "{version: 8.1}"),
            ["logstash/logstash:8.1"],
        ),
        (
            "eck-agent",
            of("agent.k8s.elastic.co/v1alpha1", "Agent", "{version: 8.1}"),
            ["elastic-agent/elastic-agent:8.1"],
        ),
        ("eck-apm-server", of("apm.k8s.elastic.co/v1", "ApmServer", "{version: 8.1}"), ["apm/apm-server:8.1"]),
        (
            "istio-operator",
            of("install.istio.io/v1alpha1", "IstioOperator", "{hub: r.io/i, tag: '1'}"),
            ["pilot:1", "proxyv2:1"],
        ),
    ],
)
def test_what_is_pulled_without_being_named_is_uncertain(rule, text, expected):
    result = scan(text)
    assert not [it for it in result.findings if it.how.startswith("rule")]
    assert [it.text.partition("/")[2].removeprefix("i/") for it in result.uncertain] == expected
    assert {it.how for it in result.uncertain} <= {f"rule {rule}, not named"}


@pytest.mark.parametrize(
    ("api", "kind", "spec"),
    [
        ("kyverno.io/v1", "ClusterPolicy", "{rules: [{mutate: {patchStrategicMerge: {spec: {containers: [IMAGE]}}}}]}"),
        ("kyverno.io/v1", "ClusterPolicy", "{rules: [{generate: {data: {spec: {containers: [IMAGE]}}}}]}"),
        ("kpack.io/v1alpha2", "Image", "{source: {registry: IMAGE}}"),
        ("kpack.io/v1alpha2", "Build", "{builder: IMAGE}"),
        ("kpack.io/v1alpha2", "ClusterStack", "{buildImage: IMAGE}"),
        ("kpack.io/v1alpha2", "ClusterStore", "{sources: [IMAGE]}"),
        ("shipwright.io/v1alpha1", "Build", "{builder: IMAGE}"),
        ("shipwright.io/v1beta1", "Build", "{source: {ociArtifact: IMAGE}}"),
        ("shipwright.io/v1beta1", "ClusterBuildStrategy", "{steps: [IMAGE]}"),
        ("infrastructure.cluster.x-k8s.io/v1beta1", "DockerMachineTemplate", "{template: {spec: {customImage: NAME}}}"),
    ],
)
def test_shipped_rules_leave_in_what_is_pulled(api, kind, spec):
    text = of(api, kind, spec.replace("IMAGE", "{name: x, image: NAME}").replace("NAME", f"'{REFERENCE}'"))
    assert [it.text for it in scan(text).findings] == [REFERENCE]


def test_every_shipped_rule_names_its_source_and_is_tested():
    names = {rule.name for rule in shipped_rules().rules}
    tested = (
        {it[0] for it in (*SHIPPED, *NOT_IMAGES)} | {it for it in names if it.startswith("eck")} | {"istio-operator"}
    )
    assert names == tested
    assert all(rule.source.startswith("github.com/") and "/" in rule.kinds[0] for rule in shipped_rules().rules)


OWN = """
- name: mine
  source: the manual
  kinds: [example.com/Thing]
  images:
  - {at: "spec.parts[*]", registry: host | $.spec.host, repository: what, tag: release}
  not_images: [spec.logo]
"""


def test_ones_own_rules():
    rules = read_rules(OWN, "mine.yaml")
    text = of(
        "example.com/v1",
        "Thing",
        "{logo: quay.io/not/this:1, host: r.io, parts: [{what: a/b, release: 1}, {host: s.io, what: c, release: 2}]}",
    )
    assert named(text, rules) == {"r.io/a/b:1", "s.io/c:2"}
    assert {it.text for it in scan(text, rules).findings} == {"r.io/a/b:1", "s.io/c:2"}


def test_a_rule_reaches_objects_in_strings():
    text = "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n    apiVersion: minio.min.io/v2\n    kind: Tenant\n    spec: {image: minio}\n"
    (found,) = scan(text).findings
    assert (found.how, found.line, found.parts[0].encodings) == ("rule minio-operator", 7, ("plain", "block"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1", "rules are a list"),
        ("- [", "no YAML"),
        ("- {name: x, source: y, kinds: [a/B], image: z}", "rule x"),
        ("- {name: x, source: y, kinds: [a/B], images: [{at: spec}]}", "rule x: an entry of images needs"),
        ("- {source: y}", "rule 1"),
    ],
)
def test_broken_rules_are_named(text, message):
    with pytest.raises(InputError, match=message):
        read_rules(text, "mine.yaml")


@given(st.text(alphabet="-{}[]:, \n#'\"namesourckidtgepl.*/$|", max_size=200))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(InputError):
        read_rules(text, "mine.yaml")


@given(
    st.text(max_size=60),
    st.recursive(st.integers(), lambda it: st.lists(it) | st.dictionaries(st.text(max_size=3), it)),
)
def test_any_path_leads_somewhere_or_nowhere(path, value):
    assert all(isinstance(steps, tuple) for steps, _ in select(value, path))


def test_paths():
    value = {"a": [{"b.c": 1}, {"b.c": 2}], "d": {"e": 3}}
    assert list(select(value, "a[*]['b.c']")) == [(("a", 0, "b.c"), 1), (("a", 1, "b.c"), 2)]
    assert list(select(value, "a[1]['b.c']")) == [(("a", 1, "b.c"), 2)]
    assert list(select(value, "d.*")) == [(("d", "e"), 3)]
    assert list(select(value, "x.y")) == []
