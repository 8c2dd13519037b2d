"""Kustomizations rewritten together with what they build upon: entries lead to the target, names that they match stay."""

import io
from pathlib import Path
from textwrap import dedent

import pytest

from homeport.applications.application import Versions
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.scan import scan_source
from homeport.mapping import Mapping
from homeport.workflow.packages import read_packages
from homeport.workflow.rewrite import Rewriting, rewrite

MIRROR = Mapping.parse("reg.io:5000/m")
POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: a, image: 'nginx:1'}\n"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_yaml", ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder


def run(*names: Path) -> tuple[Rewriting, dict[str, str]]:
    """Rewrite, write, and rewrite again, which must change nothing; return the first result and its texts."""
    results = []
    for _ in range(2):
        sources, _ = read_packages([str(it) for it in names], stdin=io.BytesIO(), max_size=1 << 20, rewriting=True)
        result = rewrite(sources, MIRROR, versions=Versions())
        results.append(result)
        for file in result.files:
            assert file.source.path is not None
            file.source.path.write_bytes(file.content)
    first, second = results
    assert all(it.source.text == it.result.text for it in second.files), "a second run must change nothing"
    return first, {it.source.relative: it.result.text for it in first.files}


def built(folder: Path) -> list[str]:
    sources, errors = read_packages([str(folder)], stdin=io.BytesIO(), max_size=1 << 20)
    assert not errors
    return sorted(it.text for source in sources for it in scan_source(source, Knowledge()).findings)


def test_what_an_entry_matches_stays_and_the_entry_leads_to_the_target(tmp_path):
    write(
        tmp_path,
        pod_yaml=POD + "  - {name: b, image: 'quay.io/x/y:1'}\n",
        kustomization_yaml="""\
            resources: [pod.yaml]
            images:
            - name: nginx     # what pipelines set
              newTag: "1.25"
            """,
    )
    result, texts = run(tmp_path)
    assert texts["pod.yaml"] == POD + "  - {name: b, image: 'reg.io:5000/m/x/y:1'}\n"
    assert texts["kustomization.yaml"] == dedent(
        """\
        resources: [pod.yaml]
        images:
        - name: nginx     # what pipelines set
          newTag: "1.25"
          newName: reg.io:5000/m/library/nginx
        """
    )
    assert built(tmp_path) == ["reg.io:5000/m/library/nginx:1.25", "reg.io:5000/m/x/y:1"]
    named = {str(reference) for file in result.files for reference in file.result.references}
    assert named == {"docker.io/library/nginx:1.25", "quay.io/x/y:1"}, "what is mirrored is what is built"
    assert not any(file.left or file.result.unresolved for file in result.files)


@pytest.mark.parametrize("new_name", ["quay.io/org/app", "'quay.io/org/app'", '"quay.io/org/app"'])
def test_a_new_name_becomes_the_targets_in_its_spelling(tmp_path, new_name):
    kustomization = "resources: [pod.yaml]\r\nimages:\r\n- name: controller\r\n  newName: {} # released\r\n"
    write(tmp_path, pod_yaml=POD.replace("nginx:1", "controller:latest"))
    (tmp_path / "kustomization.yaml").write_bytes(kustomization.format(new_name).encode())
    result, texts = run(tmp_path)
    after = new_name.replace("quay.io/org/app", "reg.io:5000/m/org/app")
    assert (tmp_path / "kustomization.yaml").read_bytes() == kustomization.format(after).encode()
    assert "controller:latest" in texts["pod.yaml"]
    (reference,) = {it for file in result.files for it in file.result.references}
    assert str(reference) == "quay.io/org/app:latest", "a placeholder is no image"


def test_a_base_that_one_overlay_renames_and_another_does_not(tmp_path):
    write(
        tmp_path,
        base__pod_yaml=POD,
        base__kustomization_yaml="resources: [pod.yaml]\n",
        prod__kustomization_yaml="resources: [../base]\nimages: [{name: nginx, newTag: '2'}]\n",
        dev__kustomization_yaml="resources: [../base]\n",
    )
    _, texts = run(tmp_path)
    assert texts["base/pod.yaml"] == POD
    assert texts["dev/kustomization.yaml"] == (
        "resources: [../base]\nimages:\n- name: nginx\n  newName: reg.io:5000/m/library/nginx\n"
    )
    assert built(tmp_path / "prod") == ["reg.io:5000/m/library/nginx:2"]
    assert built(tmp_path / "dev") == ["reg.io:5000/m/library/nginx:1"]


def test_an_entry_that_another_one_builds_upon_stays(tmp_path):
    write(
        tmp_path,
        base__pod_yaml=POD,
        base__kustomization_yaml="resources: [pod.yaml]\nimages: [{name: nginx, newName: my/nginx}]\n",
        prod__kustomization_yaml="resources: [../base]\nimages: [{name: my/nginx, newTag: '2'}]\n",
        dev__kustomization_yaml="resources: [../base]\n",
    )
    result, texts = run(tmp_path)
    assert texts["base/kustomization.yaml"] == "resources: [pod.yaml]\nimages: [{name: nginx, newName: my/nginx}]\n"
    assert "{newName: reg.io:5000/m/my/nginx, name: my/nginx, newTag: '2'}" in texts["prod/kustomization.yaml"]
    assert texts["dev/kustomization.yaml"].endswith("- name: my/nginx\n  newName: reg.io:5000/m/my/nginx\n")
    assert built(tmp_path / "dev") == ["reg.io:5000/m/my/nginx:1"]
    assert not any(file.left for file in result.files)


def test_a_base_that_is_not_among_the_manifests_gets_entries(tmp_path):
    write(
        tmp_path,
        base__pod_yaml=POD
        + "---\nkind: Foo\napiVersion: x.io/v1\nmetadata: {name: f}\nspec: {image: 'quay.io/a/b:1'}\n",
        base__kustomization_yaml="resources: [pod.yaml]\n",
        prod__kustomization_yaml="resources: [../base]\n",
    )
    result, texts = run(tmp_path / "prod")
    assert "newName: reg.io:5000/m/library/nginx" in texts["kustomization.yaml"]
    assert (tmp_path / "base" / "pod.yaml").read_text().startswith(POD)
    (place,) = result.files[0].result.unresolved
    assert place.reason.endswith("pod.yaml:11: quay.io/a/b:1 is in a file that is not among these; name it, too")


def test_components_work_on_what_was_gathered_before_them(tmp_path):
    write(
        tmp_path,
        pod_yaml=POD,
        kustomization_yaml="resources: [pod.yaml]\ncomponents: [mirror]\n",
        mirror__kustomization_yaml="kind: Component\nimages: [{name: nginx, newName: quay.io/x/nginx}]\n",
    )
    assert built(tmp_path) == ["quay.io/x/nginx:1"]
    _, texts = run(tmp_path)
    assert texts["pod.yaml"] == POD
    assert "newName: reg.io:5000/m/x/nginx" in texts["mirror/kustomization.yaml"]


def test_patches_are_seen_as_kustomize_merges_them(tmp_path):
    write(
        tmp_path,
        pod_yaml=POD,
        kustomization_yaml="""\
            resources: [pod.yaml]
            images: [{name: redis, newTag: "7"}]
            patches:
            - patch: |-
                kind: Pod
                metadata: {name: p}
                spec: {containers: [{name: a, image: "redis:6"}]}
            - target: {kind: Pod}
              patch: |-
                - {op: add, path: /spec/initContainers/-, value: {name: i, image: "redis:5"}}
                - {op: replace, path: /spec/initContainers/0/image, value: "busybox:1"}
            """,
    )
    assert built(tmp_path) == ["busybox:1", "redis:7", "redis:7", "redis:7"], "the container, and the two patches"
    _, texts = run(tmp_path)
    assert 'image: "redis:6"' in texts["kustomization.yaml"]
    assert 'image: "redis:5"' in texts["kustomization.yaml"]
    assert 'value: "reg.io:5000/m/library/busybox:1"' in texts["kustomization.yaml"]
    assert built(tmp_path).count("reg.io:5000/m/library/redis:7") == 3


def test_files_of_generators_are_read_as_what_they_become(tmp_path):
    write(
        tmp_path,
        kustomization_yaml="configMapGenerator: [{name: c, files: [a.conf, key=b.yaml], envs: [c.env]}]\n",
        **{
            "a.conf": "image = quay.io/a/conf:1\n",
            "b_yaml": "image: quay.io/a/yaml:1\n",
            "c.env": "X_IMAGE=quay.io/a/env:1\n",
        },
    )
    assert built(tmp_path) == ["quay.io/a/conf:1", "quay.io/a/env:1", "quay.io/a/yaml:1"]


def test_what_is_remote_is_said_and_its_entries_lead_to_the_target(tmp_path):
    write(
        tmp_path,
        kustomization_yaml="resources: ['https://example.com/a.yaml']\nimages: [{name: nginx, newTag: '2'}]\n",
    )
    result, texts = run(tmp_path)
    assert "newName: reg.io:5000/m/library/nginx" in texts["kustomization.yaml"]
    (place,) = result.files[0].result.unresolved
    assert "https://example.com/a.yaml is remote" in place.reason


def test_a_digest_alone_is_an_entry_too(tmp_path):
    digest = "sha256:" + "a" * 64
    entry = f"images:\n- name: nginx\n  digest: {digest}\n"
    write(tmp_path, pod_yaml=POD, kustomization_yaml=f"resources: [pod.yaml]\n{entry}")
    _, texts = run(tmp_path)
    assert texts["pod.yaml"] == POD
    assert texts["kustomization.yaml"].endswith(f"{entry}  newName: reg.io:5000/m/library/nginx\n")
    assert built(tmp_path) == [f"reg.io:5000/m/library/nginx@{digest}"]


def test_nothing_is_written_of_what_would_be_built_wrongly(tmp_path, monkeypatch):
    monkeypatch.setattr("homeport.relocation.kustomized._Planned._lead", lambda *_: None)
    write(tmp_path, pod_yaml=POD, kustomization_yaml="resources: [pod.yaml]\nimages: [{name: nginx, newTag: '2'}]\n")
    sources, _ = read_packages([str(tmp_path)], stdin=io.BytesIO(), max_size=1 << 20, rewriting=True)
    result = rewrite(sources, MIRROR, versions=Versions())
    assert result.files == ()
    assert "kustomize would build nginx:2 of nginx:2" in str(result.failures[0])


def test_configurations_of_a_base_let_a_component_see_further_fields(tmp_path):
    env = "  - name: b\n    env: [{name: RELATED_IMAGE_X, value: image-x}, {name: HOW, value: kustomize}]\n"
    write(
        tmp_path,
        manager__pod_yaml=POD + env,
        manager__fields_yaml="images:\n- {kind: Pod, path: 'spec/containers[]/env/value'}\n",
        manager__kustomization_yaml="resources: [pod.yaml]\nconfigurations: [fields.yaml]\n",
        tags__kustomization_yaml="kind: Component\nimages: [{name: image-x, newName: quay.io/x/y, newTag: '1'}]\n",
        all__kustomization_yaml="resources: [../manager]\ncomponents: [../tags]\n",
    )
    assert built(tmp_path) == ["nginx:1", "quay.io/x/y:1"]
    result, texts = run(tmp_path)
    assert not result.failures
    assert texts["manager/pod.yaml"] == POD.replace("nginx:1", "reg.io:5000/m/library/nginx:1") + env
    assert built(tmp_path) == ["reg.io:5000/m/library/nginx:1", "reg.io:5000/m/x/y:1"]
