"""Mirror sets say from where images are pulled (examples after github.com/openshift/api config/v1, operator/v1alpha1)."""

import json
from textwrap import dedent

import pytest

from homeport.cli.app import run
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.mirror_sets import mirror_rules, mirrored
from homeport.discovery.scan import scan_source

SHA = "sha256:" + "ab" * 32


def mirrors(text: str, image: str) -> tuple[tuple[str, ...], bool] | None:
    source = Source("m.yaml", dedent(text))
    pod = Source("p.yaml", f"kind: Pod\nspec: {{containers: [{{name: a, image: '{image}'}}]}}\n")
    found = mirrored(scan_source(pod, Knowledge()).findings, mirror_rules(source))
    return (found[0].mirrors, found[0].source_allowed) if found else None


DIGESTS = """\
apiVersion: config.openshift.io/v1
kind: ImageDigestMirrorSet
metadata: {name: d}
spec:
  imageDigestMirrors:
  - source: quay.io
    mirrors: [r.io/quay]
    mirrorSourcePolicy: NeverContactSource
  - source: quay.io/libpod
    mirrors: [r.io/a/libpod, r.io/b]
  - source: "*.redhat.io"
    mirrors: [mirror.local/redhat]
  - {source: docker.io/library/nginx, mirrors: [r.io/nginx]}
  - {source: ghcr.io}
"""


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (f"quay.io/org/app@{SHA}", ((f"r.io/quay/org/app@{SHA}",), False)),
        (f"quay.io/libpod/x@{SHA}", ((f"r.io/a/libpod/x@{SHA}", f"r.io/b/x@{SHA}"), True)),
        (f"registry.redhat.io/product/repo@{SHA}", ((f"mirror.local/redhat/product/repo@{SHA}",), True)),
        (f"nginx@{SHA}", ((f"r.io/nginx@{SHA}",), True)),
        (f"quay.io/org/app:1@{SHA}", ((f"r.io/quay/org/app@{SHA}",), False)),
        ("quay.io/org/app:1", None),
        (f"ghcr.io/org/app@{SHA}", None),
        (f"quay.io.example.com/org/app@{SHA}", None),
    ],
)
def test_the_longest_source_counts_and_digests_alone(image, expected):
    assert mirrors(DIGESTS, image) == expected


def test_mirrors_of_one_source_are_merged_in_their_order():
    text = DIGESTS + "---\n" + DIGESTS.replace("[r.io/quay]", "[r.io/quay, z.io]")
    assert mirrors(text, f"quay.io/a/b@{SHA}") == ((f"r.io/quay/a/b@{SHA}", f"z.io/a/b@{SHA}"), False)


def test_tags_have_a_set_of_their_own_and_the_old_kind_is_about_digests():
    tags = """\
    apiVersion: config.openshift.io/v1
    kind: ImageTagMirrorSet
    spec: {imageTagMirrors: [{source: docker.io, mirrors: [r.io/hub]}]}
    """
    assert mirrors(tags, "nginx") == (("r.io/hub/library/nginx:latest",), True)
    assert mirrors(tags, f"nginx@{SHA}") is None
    old = """\
    apiVersion: operator.openshift.io/v1alpha1
    kind: ImageContentSourcePolicy
    spec: {repositoryDigestMirrors: [{source: docker.io, mirrors: [r.io/hub]}]}
    """
    assert mirrors(old, f"a/b@{SHA}") == ((f"r.io/hub/a/b@{SHA}",), True)
    assert mirrors(old, "a/b:1") is None


@pytest.mark.parametrize(
    "spec", ["{}", "{imageDigestMirrors: x}", "{imageDigestMirrors: [1, {source: [a]}, {}]}", "[]"]
)
def test_broken_sets_say_nothing(spec):
    text = f"apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nspec: {spec}\n"
    assert mirrors(text, f"a/b@{SHA}") is None


def test_the_scan_reports_them_and_relocation_takes_their_sources_for_none(tmp_path, capsys):
    (tmp_path / "sets.yaml").write_text(DIGESTS)
    (tmp_path / "pod.yaml").write_text(
        f"kind: Pod\nspec: {{containers: [{{name: a, image: 'quay.io/org/app@{SHA}'}}]}}\n"
    )
    assert run(["scan", str(tmp_path), "-o", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["mirrored"]
    assert (found["mirrors"], found["source_allowed"], found["line"]) == ([f"r.io/quay/org/app@{SHA}"], False, 6)
    assert run(["scan", str(tmp_path)]) == 0
    line = next(it for it in capsys.readouterr().out.splitlines() if it.startswith("pulled by"))
    assert line.endswith(f": r.io/quay/org/app@{SHA}, never from its source  (ImageDigestMirrorSet/d)")
    assert run(["relocate", "--to", "r.io", "--dry-run", str(tmp_path)]) == 0
