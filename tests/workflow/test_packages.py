"""Charts, kustomizations and patterns become texts, and what they do not say is said."""

import io
import os
import stat
from pathlib import Path

import pytest

from homeport.applications.redis_enterprise import KNOWLEDGE
from homeport.discovery.scan import scan_source
from homeport.workflow.helm import Settings
from homeport.workflow.packages import read_packages
from tests.kit.charts import IMAGES, pack_chart, write_chart

FAKE_HELM = """\
#!/bin/sh
echo "$@" > "$0.called"
case "$*" in
  *broken*) echo "Error: values do not fit" >&2; exit 1 ;;
esac
printf -- '---\\n# Source: demo/templates/pod.yaml\\nkind: Pod\\napiVersion: v1\\nspec: {containers: [{image: "a/rendered:1"}]}\\n'
"""


def read(*names: str, settings: Settings | None = None, rewriting: bool = False) -> tuple[list[str], list[str]]:
    sources, errors = read_packages(
        names, stdin=io.BytesIO(b"image: quay.io/a/stdin:1\n"), max_size=1 << 20, settings=settings, rewriting=rewriting
    )
    found = {it.text for source in sources for it in scan_source(source, KNOWLEDGE).findings}
    return sorted(found), [str(error) for error in errors]


@pytest.fixture
def helm(tmp_path, monkeypatch) -> Path:
    binary = tmp_path / "bin" / "helm"
    binary.parent.mkdir()
    binary.write_text(FAKE_HELM)
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{binary.parent}{os.pathsep}{os.environ['PATH']}")
    return binary


@pytest.fixture
def no_helm(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_chart_is_rendered_where_helm_is(tmp_path, helm):
    chart = write_chart(tmp_path / "demo")
    (tmp_path / "mine.yaml").write_text("x: y\n")
    found = read(str(chart), settings=Settings((tmp_path / "mine.yaml",), ("a.b=c",)))
    assert found == (["a/rendered:1"], [])
    called = Path(f"{helm}.called").read_text()
    assert called == f"template release-name {chart} --include-crds --values {tmp_path}/mine.yaml --set a.b=c\n"


@pytest.mark.usefixtures("no_helm")
@pytest.mark.parametrize("packed", [False, True])
def test_without_helm_a_chart_is_read_for_what_it_says_and_reported(tmp_path, packed):
    path = write_chart(tmp_path / "demo")
    if packed:
        path = pack_chart(path, tmp_path / "demo-0.1.0.tgz")
    found, (error,) = read(str(path))
    assert found == IMAGES
    assert error == (
        f"{path}: not rendered: there is no helm on the PATH; only what its values and templates say is known"
    )


@pytest.mark.usefixtures("no_helm")
def test_for_rewriting_a_chart_counts_only_where_it_is_rendered(tmp_path):
    found, (error,) = read(str(write_chart(tmp_path / "demo")), rewriting=True)
    assert found == []
    assert "not rendered" in error


@pytest.mark.usefixtures("helm")
def test_a_chart_that_does_not_render_is_read_for_what_it_says_too(tmp_path):
    chart = write_chart(tmp_path / "broken")
    found, (error,) = read(str(chart))
    assert found == IMAGES
    assert "not rendered: helm says: values do not fit" in error


def test_a_kustomizations_transformers_are_applied(tmp_path):
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [pod.yaml]\nimages:\n- {name: nginx, newName: quay.io/my/nginx, newTag: '2'}\n- {name: a/b, newTag: '3'}\n"
    )
    (tmp_path / "pod.yaml").write_text(
        "kind: Pod\napiVersion: v1\nspec:\n  initContainers:\n  - image: 'a/b:1'\n  containers:\n  - image: nginx:1 # kept\n"
        "    env: [{name: A_IMAGE, value: 'a/b:1'}]\n"
    )
    assert read(str(tmp_path)) == (["a/b:1", "a/b:3", "quay.io/my/nginx:2"], [])
    (tmp_path / "pod.yaml").write_text(
        "kind: ConfigMap\napiVersion: v1\ndata:\n  a.yaml: |\n    kind: Pod\n    spec: {containers: [{image: 'nginx:1'}]}\n"
    )
    assert read(str(tmp_path)) == (["nginx:1"], []), "a transformer looks into no strings"
    (tmp_path / "pod.yaml").write_text("kind: Pod\nspec: {containers: [{image: 'nginx:1'}, {image: 'a/b:1'}]}\n")
    assert read(str(tmp_path), rewriting=True)[0][:2] == ["a/b:1", "nginx:1"]


def test_patterns_folders_and_stdin_are_read_in_one_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/one.yaml", "a/b/two.yaml", "c.yml"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(f"image: quay.io/a/{Path(name).stem}:1\n")
    every = ["quay.io/a/one:1", "quay.io/a/stdin:1", "quay.io/a/two:1"]
    assert read("a/**/*.yaml", "-") == (every, [])
    assert read(str(tmp_path / "*.yml")) == (["quay.io/a/c:1"], [])
    found, errors = read("*.nothing", "c.yml")
    assert (found, errors) == (["quay.io/a/c:1"], ["*.nothing: no file has such a name"])


def test_a_broken_package_does_not_hide_the_others(tmp_path):
    (tmp_path / "bad.tgz").write_bytes(b"nothing")
    (tmp_path / "good.yaml").write_text("image: quay.io/a/b:1\n")
    found, errors = read(str(tmp_path / "bad.tgz"), str(tmp_path / "good.yaml"))
    assert found == ["quay.io/a/b:1"]
    assert "bad.tgz: the archive cannot be read" in errors[0]
