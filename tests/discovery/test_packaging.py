"""Charts, archives and kustomizations as files: bounded, and nothing leaves its folder."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from homeport.discovery.inputs import Source
from homeport.discovery.packaging import archives
from homeport.discovery.packaging.archives import read_archive
from homeport.discovery.packaging.charts import Chart, is_chart, read_chart, unrendered, without_actions
from homeport.discovery.packaging.kustomization import Resource, read_kustomization
from homeport.discovery.packaging.transformer import ImageRule
from homeport.errors import InputError
from tests.kit.charts import pack_chart, write_chart

SIZE = 1 << 20


def packed(*members: tuple[str, bytes], mode: str = "w:gz", **special: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        for entry in special.values():
            archive.addfile(entry)
    return stream.getvalue()


@pytest.mark.parametrize("name", ["../evil.yaml", "/etc/evil.yaml", "a/../../evil.yaml", "a\\..\\evil.yaml"])
def test_no_name_leads_out_of_an_archive(name):
    with pytest.raises(InputError, match="outside of itself"):
        read_archive(packed((name, b"x")), "a.tgz")


def test_links_and_devices_are_left_out():
    link = tarfile.TarInfo("link.yaml")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("device.yaml")
    device.type = tarfile.CHRTYPE
    assert read_archive(packed(("a.yaml", b"x"), link=link, device=device), "a.tgz") == {"a.yaml": b"x"}


def test_a_bomb_is_refused_before_it_is_unpacked():
    with pytest.raises(InputError, match="larger than 67,108,864 bytes when unpacked"):
        read_archive(gzip.compress(bytes(archives.MAX_UNPACKED + 1)), "a.tgz")


def test_too_many_members_are_refused(monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    with pytest.raises(InputError, match="more than 2 members"):
        read_archive(packed(*((f"{number}", b"") for number in range(3))), "a.tgz")


@pytest.mark.parametrize(
    "content",
    [b"nothing", gzip.compress(b"nothing"), packed(("a", b"x" * 999))[:80], b"\x1f\x8bx"],
    ids=[
        "text",
        "no tar",
        "cut",
        "no gzip",
    ],  # gzip writes the time: names must not differ from one process to the next
)
def test_what_is_no_archive_is_an_error(content):
    with pytest.raises(InputError, match=r"a\.tgz: the archive"):
        read_archive(content, "a.tgz")


@pytest.fixture(params=["folder", "archive"])
def chart(request, tmp_path) -> Chart:
    path = write_chart(tmp_path / "demo")
    if request.param == "archive":
        path = pack_chart(path, tmp_path / "demo-0.1.0.tgz")
    assert is_chart(path)
    return read_chart(path, SIZE)


def test_a_chart_is_read_with_its_dependencies_under_their_alias(chart):
    assert chart.title == "demo"
    assert list(chart.parts) == ["store"]
    assert b"ghcr.io/org/cache" in chart.parts["store"].files["values.yaml"]


def test_a_packed_dependency_is_read_too(tmp_path):
    write_chart(tmp_path / "demo")
    pack_chart(tmp_path / "demo/charts/cache", tmp_path / "demo/charts/cache-0.1.0.tgz")
    for file in (tmp_path / "demo/charts/cache").rglob("*.*"):
        file.unlink()
    assert b"ghcr.io/org/cache" in read_chart(tmp_path / "demo", SIZE).parts["store"].files["values.yaml"]


def test_without_rendering_values_and_templates_are_read(chart):
    found = {it.relative: it for it in unrendered(chart, SIZE) if isinstance(it, Source)}
    assert {"values.yaml", "templates/hook.yaml"} <= set(found)
    assert "Chart.yaml" not in found


@pytest.mark.parametrize(
    ("text", "blanked"),
    [
        ("a: {{ .Values.a }}\n", "a: " + " " * 15 + "\n"),
        ('- "{{ a }}/{{ b }}:{{ c }}"\r\n', "- " + " " * 25 + "\r\n"),
        ("a: b:{{ c }}\n", "a: b:$$$$$$$\n"),
        ("{{- if .x }}\na: 1\n{{- end }}\n", "            \na: 1\n          \n"),
        ("{{- /* a\nb */ -}}\na: 1\n", "        \n        \na: 1\n"),
        ("a: '{{ x }}'\n", "a:          \n"),
        ("image: nginx:1\n", "image: nginx:1\n"),
    ],
)
def test_a_templates_actions_are_blanked_in_place(text, blanked):
    assert without_actions(text) == blanked
    assert len(blanked) == len(text)


def test_a_chart_in_itself_ends(tmp_path):
    inner = packed(("c/Chart.yaml", b"name: c\n"))
    for _ in range(12):
        inner = packed(("c/Chart.yaml", b"name: c\n"), ("c/charts/c.tgz", inner))
    (tmp_path / "c.tgz").write_bytes(inner)
    with pytest.raises(InputError, match="more than 10 deep"):
        read_chart(tmp_path / "c.tgz", SIZE)


def test_a_link_out_of_a_charts_folder_is_left_out(tmp_path):
    (tmp_path / "secret.yaml").write_text("x: y\n")
    write_chart(tmp_path / "demo")
    (tmp_path / "demo/templates/leak.yaml").symlink_to(tmp_path / "secret.yaml")
    assert "templates/leak.yaml" not in read_chart(tmp_path / "demo", SIZE).files


@pytest.mark.parametrize(
    ("rule", "text", "after"),
    [
        (ImageRule("nginx", new_tag="2"), "nginx:1", "nginx:2"),
        (ImageRule("nginx", new_name="q.io/n"), "nginx:1", "q.io/n:1"),
        (ImageRule("nginx", new_name="q.io/n", new_tag="2"), "nginx@sha256:abc", "q.io/n:2"),
        (ImageRule("nginx", digest="sha256:abc"), "nginx:1", "nginx@sha256:abc"),
        (ImageRule("nginx", new_tag="2"), "other/nginx:1", "other/nginx:1"),
        (ImageRule("r.io:5000/a", new_tag="2"), "r.io:5000/a", "r.io:5000/a:2"),
    ],
)
def test_an_images_transformer_replaces_as_kustomize_does(rule, text, after):
    assert rule.apply(text) == after


def kustomization(folder: Path, **fields: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "kustomization.yaml").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    return folder


def test_a_kustomization_is_read_with_its_bases_and_patches(tmp_path):
    base = kustomization(tmp_path / "base", resources=["pod.yaml"], images="[{name: nginx, newTag: '1'}]")
    (base / "pod.yaml").write_text("kind: Pod\n")
    top = kustomization(
        tmp_path / "top",
        resources=["../base"],
        patches="[{path: p.yaml}]",
        images="[{name: nginx, newTag: '2'}]",
    )
    (top / "p.yaml").write_text("kind: Pod\n")
    found = [(it.source.relative, len(it.steps)) for it in read_kustomization(top, SIZE) if isinstance(it, Resource)]
    assert found == [("pod.yaml", 2), ("kustomization.yaml", 2), ("kustomization.yaml", 1), ("p.yaml", 1)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"resources": ["https://example.com/x.yaml"]}, "is remote"),
        ({"resources": ["github.com/org/repo?ref=v1"]}, "is remote"),
        ({"resources": ["../outside.yaml"]}, "outside of the kustomization's folder"),
        ({"resources": ["/etc/hostname"]}, "outside of the kustomization's folder"),
        ({"resources": ["missing.yaml"]}, "cannot be read"),
        ({"helmCharts": "[{name: x}]"}, "helmCharts is not read"),
    ],
)
def test_what_a_kustomization_names_and_is_not_read_is_said(tmp_path, fields, reason):
    (tmp_path / "outside.yaml").write_text("kind: Pod\n")
    errors = [
        it for it in read_kustomization(kustomization(tmp_path / "k", **fields), SIZE) if isinstance(it, InputError)
    ]
    assert [reason in str(error) for error in errors] == [True]


def test_kustomizations_that_name_each_other_end(tmp_path):
    kustomization(tmp_path / "a", resources=["../b"])
    kustomization(tmp_path / "b", resources=["../a"])
    assert len(list(read_kustomization(tmp_path / "a", SIZE))) == 2
