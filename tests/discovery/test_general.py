"""Images wherever they stand: split fields, environment, arguments, embedded documents; and what only looks like one."""

import base64
import json
from textwrap import dedent

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from homeport.discovery.findings import Scan
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.scan import scan_object, scan_source

SHA = "sha256:" + "ab" * 32


def scan(text: str) -> Scan:
    return scan_source(Source("test.yaml", dedent(text)), Knowledge())


def named(text: str) -> set[str]:
    result = scan(text)
    assert result.errors == ()
    return {f"open: {it.text}" if it.open else it.text for it in result.findings}


def uncertain(text: str) -> set[str]:
    return {it.text for it in scan(text).uncertain}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image: {repository: a/b, tag: '1.10'}", {"a/b:1.10"}),
        ("image: {registry: r.io, repository: a/b, tag: 1}", {"r.io/a/b:1"}),
        (f"image: {{registry: r.io, repository: a/b, tag: 1, digest: '{SHA}'}}", {f"r.io/a/b@{SHA}"}),
        (f"image: {{repository: a/b, tag: '1@{SHA}'}}", {f"a/b:1@{SHA}"}),
        ("image: {repository: a/b, tag: ''}", {"open: a/b"}),
        ("image: {repository: a/b, pullPolicy: Always}", {"open: a/b"}),
        ("x: {repository: r.io/org, image: app, version: v1}", {"r.io/org/app:v1"}),
        (f"x: {{repository: r.io/org, image: app, version: '{SHA}'}}", {f"r.io/org/app@{SHA}"}),
        ("x: {repository: r.io/org, image: app}", {"open: r.io/org/app"}),
        ("image: {repository: r.io/org, name: app, tag: 1}", {"r.io/org/app:1"}),
        ("image: {repository: r.io/org/app, name: app, tag: 1}", {"r.io/org/app:1"}),
        ("x: {hub: r.io/istio, image: proxyv2, tag: 1.2}", {"r.io/istio/proxyv2:1.2"}),
        ("x: {image: a/b, tag: 3}", {"a/b:3"}),
        ("x: {image: a/b:1, version: 3}", {"a/b:1"}),
        ("x: {image: a/b, defaultImageVersion: 3}", {"a/b:3"}),
        (
            "x: {driverRepository: r.io/a/d, driverVersion: 3, toolRepository: r.io/a/t, toolTag: 4}",
            {"r.io/a/d:3", "r.io/a/t:4"},
        ),
        ("{imageRepository: a/b, imageTag: 2, imagePullPolicy: Always}", {"a/b:2"}),
        ("spec: {version: v8, pd: {baseImage: p/pd}, kv: {baseImage: p/kv, version: v9}}", {"p/pd:v8", "p/kv:v9"}),
        (
            "base: q.io/p\nparts: {s: {tag: v1, image: server, match: [{os: x, image: old}]}}",
            {"q.io/p/server:v1", "q.io/p/old:v1"},
        ),
        (
            "images: {l: {repository: k, name: logger, tag: 1}}\ndefaults: {registry: docker.io}",
            {"docker.io/k/logger:1"},
        ),
        ("global: {imageRegistry: r.io}\nimage: {repository: a/b, tag: 1}", {"r.io/a/b:1"}),
        (
            "d: {image: pilot, hub: '', tag: '', global: {hub: r.io/t, tag: 1, proxy: {image: proxyv2}}}",
            {"r.io/t/pilot:1", "r.io/t/proxyv2:1"},
        ),
        ("global: {image: {registry: r.io}}\nimage: {image: a/b, tag: 1}", {"r.io/a/b:1"}),
        (
            "w: {image: {registry: '', tag: 2}, api: {image: {repository: a/b}}, ui: {image: {repository: a/c}}}",
            {"a/b:2", "a/c:2"},
        ),
        ("imageRegistry: q.io\nimageNamespace: org\nimage: {name: app, repository: ''}", {"open: q.io/org/app"}),
        ("image: {registry: null, defaultRegistry: r.io, repository: a/b, tag: null}", {"open: r.io/a/b"}),
        ("{image: 'q.io/a/b:v1', baseImage: q.io/a/b, version: v1}", {"q.io/a/b:v1"}),
        ("{controllerImage: r.io/a/b, controllerImageVersion: ''}", {"open: r.io/a/b"}),
        ("image: {name: agent, tag: 7, repository: null}", set()),
        ("image: {name: r.io/a/b, version: ''}", {"open: r.io/a/b"}),
        ("image: {name: r.io/a/b, version: 1}", {"r.io/a/b:1"}),
        (
            "{image: a/b, tag: 1, digest: '', digestChroot: 'sha256:abababababababababababababababababababababababababababababababab'}",
            {"a/b:1"},
        ),
        ("image: {registry: mine, repository: a/b, tag: 1}", {"a/b:1"}),
        ("defaultRegistry: r.io\nimage: {registry: prom, name: prometheus, tag: v2}", {"prom/prometheus:v2"}),
        ("image: {repository: a/b, crdRepository: a/crds, release: v3.2.1}", {"a/b:v3.2.1", "a/crds:v3.2.1"}),
        ("{repository: a/b, release: prometheus, pullPolicy: Always}", {"open: a/b"}),
        ("{image: a/b, imageTag: 1, sidecarImage: r.io/c/d}", {"a/b:1", "r.io/c/d"}),
        (
            "{a_image_name: o/a, b_image_name: o/b, image_tag_version: v1, b_image_tag_version: v2, image_registry: docker.io}",
            {"docker.io/o/a:v1", "docker.io/o/b:v2"},
        ),
        ("global: {registry: {address: r.io/org}, images: {x: {repository: x, tag: v1}}}", {"r.io/org/x:v1"}),
        ("images: {reaper: {repository: org, name: reaper, tag: 1}}", {"org/reaper:1"}),
        ("images: {reaper: {repository: 'r.io:5000/m/org', name: reaper, tag: 1}}", {"r.io:5000/m/org/reaper:1"}),
        ("images: {reaper: {repository: r.io/org/reaper, name: reaper, tag: 1}}", {"r.io/org/reaper:1"}),
        ("images: [{repository: nginx, name: web, tag: 1}]", {"nginx:1"}),
        ("redis: {image: redis, version: 5.0.3}", {"redis:5.0.3"}),
        ("redis: {image: redis, version: stable, replicas: 1}", {"redis"}),
        ("global: {imageRegistry: ''}\nimage: {registry: docker.io, repository: a/b, tag: 1}", {"docker.io/a/b:1"}),
    ],
)
def test_split_fields_are_joined(text, expected):
    assert named(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "spec: {image: a/b:1, natsImage: nats:2, driver_image: d/e:3, container-image: f:4}",
            {"a/b:1", "nats:2", "d/e:3", "f:4"},
        ),
        ("image: {application: a/b:1, init: c/d:2}", {"a/b:1", "c/d:2"}),
        ("image: {value: a/b:1, options: [a/b:1, c/d:2]}", {"a/b:1", "c/d:2"}),
        ("images: {controller: a/b:1, webhook: nginx:2}", {"a/b:1", "nginx:2"}),
        ("images: [a/b:1, r.io/c]", {"a/b:1", "r.io/c"}),
        ("plugin: quay.io/a/b:v1", {"quay.io/a/b:v1"}),
        (f"plugin: a/b@{SHA}", {f"a/b@{SHA}"}),
        ("{kind: X, spec: {image: rancher/kubectl}}", {"rancher/kubectl"}),
        ("spec: {image: nginx, replicas: 2}", {"nginx"}),
        ("url: docker://quay.io/a/b:1", {"quay.io/a/b:1"}),
        (
            "tags: [{from: {kind: DockerImage, name: r.io/a/b}}, {from: {kind: ImageStreamTag, name: '2.0'}}]",
            {"r.io/a/b"},
        ),
        ("relatedImages: [{name: '', image: r.io/a/b:1}]", {"r.io/a/b:1"}),
        ("- {op: add, value: {image: r.io/a/b:1}}", {"r.io/a/b:1"}),
        (
            "schema: olm.bundle\nimage: q.io/a/bundle:1\nrelatedImages: [{name: x, image: q.io/a/x:1}]",
            {"q.io/a/bundle:1", "q.io/a/x:1"},
        ),
        ("params: [{name: BUILDER_IMAGE, default: g.io/a/b:1}, {name: CONTEXT, default: ./}]", {"g.io/a/b:1"}),
        ("initContainers: {plugin: {image: {repository: a/b, tag: 1}}}", {"a/b:1"}),
        ("annotations: {containerImage: quay.io/a/b:1}", {"quay.io/a/b:1"}),
    ],
)
def test_keys_and_values_speak_of_images(text, expected):
    assert named(text) == expected


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"RELATED_IMAGE_X": "q.io/a/b:1", "DRIVER_IMAGE-580": f"a/b@{SHA}"}, {"q.io/a/b:1", f"a/b@{SHA}"}),
        ({"INIT_IMAGE": "busybox"}, {"busybox"}),
        ({"X_IMAGE": "q.io/a/b", "VERSION": "1.2", "Y_VERSION": "3"}, {"q.io/a/b"}),
        ({"M_DATABASE_IMAGE": "q.io/a/b", "DATABASE_VERSION": "1.2"}, {"open: q.io/a/b"}),
        ({"X_IMAGE": "q.io/a/b", "Y_IMAGE": "q.io/a/c:1", "IMAGE_TAG": "1.2"}, {"open: q.io/a/b", "q.io/a/c:1"}),
        ({"MAVEN_BUILDER": "quay.io/a/b:1"}, {"quay.io/a/b:1"}),
        ({"MONGODB_IMAGE": "server", "MONGODB_REPO_URL": "quay.io/mongodb"}, {"open: quay.io/mongodb/server"}),
        ({"X_IMAGE_REPOSITORY": "quay.io/a/x", "X_VERSION": "1"}, {"quay.io/a/x:1"}),
        ({"KAFKA_IMAGES": "3.7=q.io/s/k:3.7\n3.8=q.io/s/k:3.8\n"}, {"q.io/s/k:3.7", "q.io/s/k:3.8"}),
        ({"IMAGE_REPOSITORY": "quay.io/org"}, set()),
        ({"MANAGER_IMAGE_REPOSITORY": "quay.io/org/manager"}, {"open: quay.io/org/manager"}),
        ({"ENABLE_IMAGE_SCAN": "true", "HOST": "db:5432", "URL": "http://a/b:1", "IMAGE_DIGEST": SHA}, set()),
    ],
)
def test_environment_variables(env, expected):
    rows = [{"name": name, "value": value} for name, value in env.items()]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "image": "x:1", "env": rows}]}}
    assert named(yaml.dump(pod)) - {"x:1"} == expected
    live = {it.text for it in scan_object(pod, "cluster", Knowledge()).findings}
    assert live - {"x:1"} == {it.removeprefix("open: ") for it in expected}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--helper-image=a/b:1"], {"a/b:1"}),
        (["-util-image", " a/b:1"], {"a/b:1"}),
        (["--manager-image", "a/b:1", "--verbose", "x/y:2"], {"a/b:1"}),
        (["--prometheus-config-reloader=quay.io/a/b:1"], {"quay.io/a/b:1"}),
        (["--images=q.io/a/b:1,q.io/c/d:2"], {"q.io/a/b:1", "q.io/c/d:2"}),
        (["--listen=0.0.0.0:8080", "--leader-election=true", "--class=k8s.io/ingress-nginx"], set()),
        (['--config={"image": "a/b:1"}', '-images=[{"name":"$(params.IMAGE)"}]'], {"a/b:1"}),
        (["docker:k8s:/config/podspec.yaml", "system:auth-delegator"], set()),
    ],
)
def test_arguments(args, expected):
    assert named(yaml.dump({"kind": "X", "spec": {"args": args}})) == expected


def test_an_argument_is_edited_in_its_own_characters():
    text = "args: ['--helper-image=a/b:1']"
    (found,) = scan(text).findings
    (part,) = found.parts
    assert (found.how, text[part.start : part.end], part.encodings) == ("argument", "a/b:1", ("single",))


INNER = '# image: not/this:0\nagent:\n  image: a/b:1\n  deep: |\n    {"image": {"repository": "c/d", "tag": "2"}}\n'


@pytest.mark.parametrize("style", ["|", '"', ">", "'"])
def test_documents_in_strings_at_any_depth(style):
    text = yaml.dump({"kind": "ConfigMap", "data": {"a.yaml": INNER}}, default_style=style)
    found = scan(text).findings
    assert {it.text for it in found} == {"a/b:1", "c/d:2"}
    assert {it.how for it in found} == {"embedded document"}
    assert {it.path for it in found} == {"data['a.yaml'] -> agent.image", "data['a.yaml'] -> agent.deep -> image"}
    for part in (part for it in found for part in it.parts):
        assert text[part.start : part.end] == part.value


def test_lines_of_what_is_no_document():
    text = 'data:\n  x.conf: |\n    [a]\n    sandbox_image = "r.io/p/pause:3"\n    # old_image = r.io/p/no:1\n    image={{ .Values.x }}\n'
    assert named(text) == {"r.io/p/pause:3"}
    assert scan(text).findings[0].line == 4


def test_names_that_a_script_calls_something_with():
    text = f"""\
    steps:
    - name: x
      script: |
        #!/bin/sh
        X_IMAGE=quay.io/a/set:1
        crane copy quay.io/a/from:1 \\
          "docker://quay.io/a/quoted@{SHA}"
        # quay.io/a/comment:1
        docker push quay.io/a/pushed:1 && echo quay.io/a/said:1
        curl https://quay.io/a/url:1; cat quay.io/plain
    containers:
    - command: [sh, -c, "ctr pull quay.io/a/line:1"]
      args: ["--flag is quay.io/a/arg:1 here"]
    """
    assert named(text) == {
        "quay.io/a/set:1",
        "quay.io/a/from:1",
        f"quay.io/a/quoted@{SHA}",
        "quay.io/a/line:1",
        "quay.io/a/arg:1",
    }
    assert len(scan(text).findings) == 5


def test_charts_lists_in_annotations():
    text = yaml.dump(
        {"annotations": {"helm.sh/images": "- name: a\n  image: q.io/a/b:1\n", "images": "- {name: c, image: d:2}\n"}}
    )
    assert named(text) == {"q.io/a/b:1", "d:2"}


@pytest.mark.parametrize(
    "text",
    [
        "volumes: [{name: a, rbd: {image: foo/bar:1, pool: p}}]",
        "{image: foo/bar:1, pool: p, monitors: ['1.2.3.4:6789']}",
        "spec: {imagePullPolicy: Always, imagePullSecrets: [{name: a/b:1}], osImage: 'linux:7'}",
        "imageReferences: ['ghcr.io/a/b:*', 'ghcr.io/a/b:1']",
        "image: $(params.IMAGE)",
        "image: '{{ .Values.image }}:1'",
        "image: ghcr.io/a/b:*",
        "icon: {image: https://example.com/a:1}",
        "nodeSelector: 'kubernetes.io/os:linux'",
        "hosts: ['db.example.com:5432', 'localhost:9090', '10.0.0.1:80/a']",
        "repository: https://github.com/a/b\ntag: v1",
        "{repository: github.com/a/b, tag: v1}",
        "{chart: a, repository: stable, version: 1.2.3}",
        "description: 'quay.io/a/b:1'",
        "version: latest",
        "{type: object, properties: {image: {default: 'quay.io/a/b:1'}}}",
        "status: {image: 'quay.io/a/b:1'}",
        "images: [{name: a/b, newName: c/d, newTag: '1'}]",
        "roleRef: {name: 'system:auth-delegator'}",
        "queue-sidecar-image: ko://knative.dev/serving/cmd/queue",
        "caBundle: TUlJ/abc:1",
        "# image: a/b:1\nx: 1",
        'metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: \'{"image":"quay.io/a/b:1"}\'}}',
    ],
)
def test_traps(text):
    assert named(text) == set()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data:\n  _example: |\n    image: a/b:1\n", "a/b:1"),
        ('data: {001.json.example: \'{"image": "a/b:1"}\'}', "a/b:1"),
        ('annotations: {alm-examples: \'[{"image": "a/b:1"}]\'}', "a/b:1"),
        ("machine: {image: ubuntu}", "ubuntu"),
        ("any: org/thing:1.2", "org/thing:1.2"),
    ],
)
def test_examples_and_weak_likenesses_are_uncertain(text, expected):
    assert named(text) == set()
    assert uncertain(text) == {expected}


def test_how_and_how_sure():
    text = "spec: {image: quay.io/a/b:1, plugin: quay.io/c/d:1}"
    assert [(it.text, it.how, it.sure) for it in scan(text).findings] == [
        ("quay.io/a/b:1", "shape", "certain"),
        ("quay.io/c/d:1", "shape", "likely"),
    ]


def test_parts_of_a_split_name_that_inherits():
    text = "defaults: {registry: docker.io}\nimages: {l: {repository: k, name: logger, tag: v1}}\n"
    (found,) = scan(text).findings
    assert [(part.role, text[part.start : part.end]) for part in found.parts] == [
        ("registry", "docker.io"),
        ("repository", "k"),
        ("name", "logger"),
        ("tag", "v1"),
    ]


def test_strings_in_strings_end_somewhere():
    text = "image: a/b:1"
    for _ in range(12):
        text = json.dumps({"x": text})
    assert scan(text).errors == ()


def test_documents_in_strings_have_a_bound(monkeypatch):
    monkeypatch.setattr("homeport.discovery.general.MAX_EMBEDDED", 1_000)
    text = "a: &x |\n  image: a/b:1\n  more: x\nb: [" + ", ".join(["*x"] * 100) + "]\n"
    (error,) = scan(text).errors
    assert "more than 1,000 characters" in error


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_long_strings_take_no_more_than_their_share(size):
    for unit in ("a/", "a:", "image=", "- ", "'x\\n", "{", "a/b:1 ", "-", "x.y/z"):
        assert scan(json.dumps({"image": unit * size, "x": f"image: x\n{unit * size}"})).errors == ()


def test_secrets_data_is_left_alone():
    value = base64.b64encode(b"image: quay.io/a/b:1").decode()
    assert named(f"{{apiVersion: v1, kind: Secret, data: {{a: {value}}}}}") == set()


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.text(max_size=30),
        st.sampled_from(["a/b:1", "{image: a/b:1}", "x\n- y: ["]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                [
                    "image",
                    "repository",
                    "tag",
                    "registry",
                    "name",
                    "value",
                    "env",
                    "args",
                    "base",
                    "version",
                    "kind",
                    "x",
                ]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=20,
)


@given(VALUES)
def test_no_value_breaks_the_scan(value):
    text = yaml.dump(value, allow_unicode=True)
    result = scan_source(Source("x", text), Knowledge())
    for part in (part for it in result.findings for part in it.parts):
        assert part.start < 0 or part.value in text[part.start : part.end] or part.encodings or "\\" in text
    scan_object(value if isinstance(value, dict) else {"x": value}, "cluster", Knowledge())
