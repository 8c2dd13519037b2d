"""Node configuration says what the mapping says, in the runtimes' own words."""

import re
import tomllib

import pytest
import yaml

from homeport.mapping import Mapping
from homeport.reference import Reference
from homeport.relocation.nodes import Prefix, node_files, prefixes_of

TO = "registry.example.com:5000/mirror"
FOUND = [Reference.parse(it) for it in ("nginx:1", "redislabs/redis:1", "quay.io/org/app:1", f"{TO}/a/b:1")]


@pytest.mark.parametrize(
    ("options", "prefixes"),
    [
        ({}, {"docker.io": TO, "quay.io": TO}),
        ({"keep_registry": True}, {"docker.io": f"{TO}/docker.io", "quay.io": f"{TO}/quay.io"}),
        (
            {"redirects": ("quay.io=q", "quay.io/org=o", "docker.io/nginx=web", "ghcr.io=g")},
            {
                "docker.io": TO,
                "docker.io/nginx": f"{TO}/web",
                "docker.io/library/nginx": f"{TO}/web",
                "quay.io": f"{TO}/q",
                "quay.io/org": f"{TO}/o",
            },
        ),
    ],
)
def test_prefixes_rewrite_names_as_the_mapping_does(options, prefixes):
    mapping = Mapping.parse(TO, **options)
    found = prefixes_of(mapping, FOUND)
    assert {it.source: it.home for it in found} == prefixes
    for reference in FOUND[:3]:
        longest = max(
            (it for it in found if f"{reference.name}/".startswith(f"{it.source}/")), key=lambda it: len(it.source)
        )
        assert reference.name.replace(longest.source, longest.home, 1) == mapping.relocate(reference).name


def test_containerd_asks_the_target_alone_below_its_path():
    result = node_files([Prefix("docker.io", TO), Prefix("localhost:5000", "r.io")], "containerd")
    files = {path: tomllib.loads(text) for path, text in result.files.items()}
    host = {"capabilities": ["pull", "resolve"], "override_path": True}
    assert files["etc/containerd/certs.d/docker.io/hosts.toml"] == {
        "server": "https://registry.example.com:5000/v2/mirror",
        **host,
        "host": {"https://registry.example.com:5000/v2/mirror": host},
    }
    assert files["etc/containerd/certs.d/localhost:5000/hosts.toml"]["server"] == "https://r.io/v2"
    assert result.missing == ()


def test_what_containerd_cannot_express_is_said():
    result = node_files([Prefix("quay.io", TO), Prefix("quay.io/org", f"{TO}/o")], "containerd")
    assert list(result.files) == ["etc/containerd/certs.d/quay.io/hosts.toml"]
    assert result.missing == (f"containerd knows registries, not paths of them: quay.io/org would not go to {TO}/o",)


def test_cri_o_replaces_prefixes():
    (text,) = node_files(
        [Prefix("quay.io", TO), Prefix("quay.io/org", f"{TO}/o")], "cri-o", plain_http=True
    ).files.values()
    assert tomllib.loads(text)["registry"] == [
        {"prefix": "quay.io", "location": TO, "insecure": True},
        {"prefix": "quay.io/org", "location": f"{TO}/o", "insecure": True},
    ]


def test_openshift_gets_a_set_for_digests_and_one_for_tags():
    (text,) = node_files([Prefix("quay.io", TO)], "openshift").files.values()
    entry = {"source": "quay.io", "mirrors": [TO], "mirrorSourcePolicy": "NeverContactSource"}
    assert [(it["kind"], it["spec"]) for it in yaml.safe_load_all(text)] == [
        ("ImageDigestMirrorSet", {"imageDigestMirrors": [entry]}),
        ("ImageTagMirrorSet", {"imageTagMirrors": [entry]}),
    ]


@pytest.mark.parametrize("runtime", ["containerd", "cri-o", "openshift"])
def test_nothing_to_send_elsewhere_needs_no_file(runtime):
    assert node_files([], runtime).files == {}


PLACE = r"((?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))+)?(?::[0-9]+)?)(?:(?:/[a-z0-9]+(?:(?:(?:[._]|__|[-]*)[a-z0-9]+)+)?)+)?"
"""The pattern of sources and mirrors in OpenShift's CustomResourceDefinitions (github.com/openshift/api config/v1)."""


def test_openshifts_mirror_sets_are_as_their_definitions_ask():
    prefixes = [Prefix("docker.io", TO), Prefix("quay.io/org/app", "r.io/a_b/c--d"), Prefix("localhost:5000", "r.io")]
    result = node_files([*prefixes, Prefix("ghcr.io", "[::1]:5000/m")], "openshift")
    sets = list(yaml.safe_load_all(result.files["openshift/homeport-mirrors.yaml"]))
    fields = {"ImageDigestMirrorSet": "imageDigestMirrors", "ImageTagMirrorSet": "imageTagMirrors"}
    assert {it["kind"] for it in sets} == set(fields)
    for each in sets:
        assert (each["apiVersion"], list(each["spec"])) == ("config.openshift.io/v1", [fields[each["kind"]]])
        entries = each["spec"][fields[each["kind"]]]
        assert {it["source"]: it["mirrors"] for it in entries} == {it.source: [it.home] for it in prefixes}
        for entry in entries:
            assert set(entry) == {"source", "mirrors", "mirrorSourcePolicy"}
            assert entry["mirrorSourcePolicy"] in {"NeverContactSource", "AllowContactingSource"}
            assert all(re.fullmatch(PLACE, place) for place in (entry["source"], *entry["mirrors"]))
    assert result.missing == ("OpenShift takes no such place: ghcr.io would not go to [::1]:5000/m",)
