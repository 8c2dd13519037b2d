"""The second look at a rewritten text: it finds what the scan does not see, and leaves alone what pulls nothing."""

import pytest

from homeport.mapping import Mapping
from homeport.reference import Reference
from homeport.relocation.sweep import sweep

MIRROR = Mapping.parse("registry.example.com:5000/mirror", redirects=("gcr.io=registry.example.com:5000/gcr",))
BARE = Mapping.parse("registry.example.com")
KEPT = Mapping.parse("registry.example.com", keep_registry=True)
SOURCES = [Reference.parse(it) for it in ("quay.io/org/app:1", "redislabs/redis:7.2.4-64", "nginx:1")]
DIGEST = "sha256:" + "a" * 64


def left(text: str, mapping: Mapping = MIRROR) -> list[tuple[int, str]]:
    return [(it.line, it.text) for it in sweep("m.yaml", text, mapping, SOURCES)]


@pytest.mark.parametrize(
    "text",
    [
        "registry: quay.io",
        "a: b\nregistries: [quay.io, other]",
        "repository: quay.io/other",
        "- --relay=quay.io/org/relay",
        'args: ["--image", "quay.io/org/app"]',
        "source: docker://quay.io/org/app",
        "chart: oci://quay.io/charts/app",
        r'x: "{\"image\":\"quay.io/org/app:1\"}"',
        r'x: "image: a\nquay.io/org/app:1"',
        "x: index.docker.io/redislabs/redis",
        "default: docker.io/redislabs/other",
        "repository: redislabs/redis",
        "x: redislabs/redis:7.2.4-64",
        f"x: redislabs/redis@{DIGEST}",
        "x: ghcr.io/never/seen:1.2",
        "x: ghcr.io/never/seen:latest",
        f"x: ghcr.io/never/seen@{DIGEST}",
        "x: localhost:5000/never/seen:1",
        "image: busybox:1.36",
        "  sideImage: 'busybox:musl'",
        "agent_image=busybox:1.36",
        '{"initImage": "team/tool:2"}',
        "registry.example.com:5000/other/app:1",
        "x: registry.example.com:5000/mirrored/app:1",
        "x: don't # not a comment's end\ny: quay.io/org/app",
    ],
)
def test_what_still_points_elsewhere_is_named_with_its_line(text):
    ((line, word),) = left(text)
    assert line == text.count("\n") + 1
    assert word in text


@pytest.mark.parametrize(
    "text",
    [
        "image: registry.example.com:5000/mirror/org/app:1",
        "image: registry.example.com:5000/gcr/org/app:1",
        f"image: registry.example.com:5000/mirror/redislabs/redis@{DIGEST}",
        "x: docker://registry.example.com:5000/mirror/org/app:1",
        "registry: registry.example.com:5000\nrepository: mirror/redislabs/redis\ntag: 1",
        "hub: registry.example.com:5000/mirror\nimage: busybox:1.36",
        "# quay.io/org/app:1",
        "a: b  # image: redislabs/redis:7.2.4-64",
        "a: 'x' # quay.io",
        "x: |\n  # image: quay.io/org/app:1\n  y: z",
        "homepage: https://quay.io/repository/org/app:1",
        "see: http://ghcr.io/a/b:1",
        "mail: someone@quay.io",
        '{"auths": {"quay.io": {}, "quay.io/org": {}}}',
        "quay.io/org/app: annotated",
        "app.kubernetes.io/name: redis",
        "apiVersion: app.redislabs.com/v1",
        "x: app.kubernetes.io/name:redis",
        "topologyKey: kubernetes.io/hostname",
        "url: github.com/redislabs/redis-docs",
        "name: system:auth-delegator",
        "imagePullPolicy: Always",
        "image:\n  name: x",
        "image: block-device",
        "volumes: {rbd: {pool: p, image: foo}}",
        "image: ${IMAGE}",
        "image: $(REGISTRY)/app:1",
        "description: pull quay.io/org/app:1",
        "description: >-\n  words\n\n  quay.io/org/app:1",
        "- description: |\n    quay.io/org/app:1\n  name: x",
        "properties:\n  image:\n    description: as in\n      redislabs/redis:7.2.4-64\n    type: string",
        '{"description": "as in \\"quay.io/org/app:1\\"", "type": "string"}',
        'kubectl.kubernetes.io/last-applied-configuration: |\n  {"image":"redislabs/redis:7.2.4-64"}',
        'alm-examples: |\n  {"image":"quay.io/org/app:1"}',
        "001.json.example: |\n  {}\n  image: quay.io/org/app:1",
        "time: 12:30:01",
        "path: /var/lib/redislabs/redis",
        "host: example.com:8080/metrics",
    ],
)
def test_what_pulls_nothing_is_left_alone(text):
    assert left(text) == []


def test_a_description_ends_where_its_block_ends():
    text = "spec:\n  description: |\n    quay.io/a/b:1\n  other: quay.io/a/b:1\n"
    assert left(text) == [(4, "quay.io/a/b:1")]


def test_at_a_target_without_a_path_a_split_name_keeps_its_repository():
    split = "registry: registry.example.com\nrepository: redislabs/redis\n"
    assert left(split, BARE) == []
    assert left("registry: other.example.com\nrepository: redislabs/redis\n", BARE) == [(2, "redislabs/redis")]


def test_a_repository_that_has_a_name_of_its_own_at_the_target_is_there():
    mapping = Mapping.parse("registry.example.com/m", redirects=("docker.io/nginx=registry.example.com/web",))
    assert left("image: registry.example.com/web:1\n", mapping) == []
    assert left("image: registry.example.com/other:1\n", mapping) == [(1, "registry.example.com/other:1")]


def test_a_kept_registry_is_no_source():
    assert left("image: registry.example.com/quay.io/org/app:1\n", KEPT) == []
    assert left("image: quay.io/org/app:1\n", KEPT) == [(1, "quay.io/org/app:1")]


def test_a_word_is_named_once_in_a_line_and_says_why():
    (found,) = sweep("m.yaml", "x: [quay.io/a/b, quay.io/a/b]", MIRROR, SOURCES)
    assert (found.source, found.reason) == ("m.yaml", "quay.io is a source registry")
