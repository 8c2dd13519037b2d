"""What other tools decide is handed over to them: real Helm upgrades a real release with the file, and its pods move."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from homeport.cli.app import run
from tests.kit.peers import peer
from tests.peers.kube_site import Site, workload

pytestmark = pytest.mark.peers

CHART = {
    "Chart.yaml": "{apiVersion: v2, name: demo, version: 0.3.1, kubeVersion: '>=1.99.0-0 || >=1.20.0-0'}\n",
    "values.yaml": """\
image: {repository: docker.io/team/web, tag: '1'}
sidecars: []
imagePullSecrets: []
password: ''
replicas: 0
""",
    "values.schema.json": '{"type": "object", "properties": {"replicas": {"type": "integer"}}}\n',
    "files/greeting.txt": "hello\n",
    "templates/_names.tpl": """\
{{- define "image" }}{{ .Values.image.repository }}:{{ .Values.image.tag }}{{ end }}
""",
    "templates/web.yaml": """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations: {greeting: {{ .Files.Get "files/greeting.txt" | trim | quote }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      imagePullSecrets: {{ toJson .Values.imagePullSecrets }}
      containers:
      - {name: main, image: {{ include "image" . | quote }}}
      {{- range .Values.sidecars }}
      - {name: {{ .name }}, image: {{ .image | quote }}}
      {{- end }}
""",
}
FIXED = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: fixed}
spec:
  schedule: 0 0 1 1 *
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: c, image: 'team/fixed:1'}]}
"""


class Helm:
    """One Helm with a home of its own, on a cluster."""

    def __init__(self, name: str, site: Site, folder: Path, files: dict[str, str]) -> None:
        self.binary, self.chart = peer(name), folder / "chart"
        for inside, text in files.items():
            (self.chart / inside).parent.mkdir(parents=True, exist_ok=True)
            (self.chart / inside).write_text(text)
        homes = {f"HELM_{what}_HOME": str(folder / what.lower()) for what in ("CACHE", "CONFIG", "DATA")}
        kubeconfig = str(site.node.api.kubeconfig())
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "KUBECONFIG": kubeconfig, **homes}

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            (self.binary, *arguments), capture_output=True, text=True, check=False, timeout=180, env=self.environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def on_path(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let homeport find it."""
        folder.mkdir()
        (folder / "helm").symlink_to(self.binary)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("name", ["helm3", "helm4"])
def test_a_helm_release_moves_by_the_values_that_are_written_for_it(
    name: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    space = f"release-{name}"
    monkeypatch.setenv("KUBECONFIG", str(site.node.api.kubeconfig()))
    site.publish("team/web:1", "team/side:2")
    site.node.namespace(space)
    helm = Helm(name, site, tmp_path / "helm", CHART)
    helm.on_path(tmp_path / "bin", monkeypatch)
    given = tmp_path / "given.yaml"
    given.write_text("replicas: 1\npassword: s3cret-of-mine\nsidecars: [{name: side, image: 'team/side:2'}]\n")
    helm.run("install", "shop", str(helm.chart), "-n", space, "-f", str(given), "--wait")
    names = ["docker.io/team/web:1", "docker.io/team/side:2"]
    file = site.job(tmp_path / "job", space, [workload("Deployment", "x", space, it) for it in names])
    monkeypatch.setenv("DOCKER_CONFIG", str(file.parent))

    # The release is left, and the exit code says so; its values are in the file, its password is not.
    out_dir = tmp_path / "out"
    assert run(["apply", str(file), "--cluster", "--hand-over", str(out_dir), "-o", "json"]) == 1
    report = json.loads(capsys.readouterr().out)["cluster"]
    values = out_dir / f"helm/{space}.shop.values.yaml"
    upgrade = f"helm upgrade shop CHART --version 0.3.1 -n {space} --reuse-values --values {values}"
    assert report["handed"] == [{"file": str(values), "use": [upgrade]}]
    assert report["not_handed"] == []
    assert any("Helm (release shop) decides" in it for it in report["left"])
    target = f"{site.own.host}/mirror"
    assert yaml.safe_load(values.read_text()) == {
        "image": {"repository": f"{target}/team/web"},
        "sidecars": [{"name": "side", "image": f"{target}/team/side:2"}],
        "imagePullSecrets": [{"name": "private"}],
    }
    assert values.stat().st_mode & 0o077 == 0
    assert site.images(space) == {"docker.io/team/web:1", "team/side:2"}

    words = upgrade.replace("CHART", str(helm.chart)).split()[1:]
    helm.run(*words, "--wait")
    assert site.images(space) == {f"{target}/team/web:1", f"{target}/team/side:2"}
    assert "s3cret-of-mine" in helm.run("get", "values", "shop", "-n", space)
    assert run(["apply", str(file), "--cluster", "--hand-over", str(out_dir), "-o", "json"]) == 0
    report = json.loads(capsys.readouterr().out)["cluster"]
    assert (report["handed"], report["not_handed"]) == ([], [])


def test_an_image_that_no_value_says_is_told_with_the_way_through_the_post_renderer(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(site.node.api.kubeconfig()))
    site.publish("team/web:1", "team/fixed:1")
    site.node.namespace("hardcoded")
    helm = Helm("helm4", site, tmp_path / "helm", {**CHART, "templates/fixed.yaml": FIXED})
    helm.run("install", "shop", str(helm.chart), "-n", "hardcoded")
    objects = [workload("Deployment", "x", "hardcoded", it) for it in ("team/web:1", "team/fixed:1")]
    file = site.job(tmp_path / "job", "hardcoded", objects)
    monkeypatch.setenv("DOCKER_CONFIG", str(file.parent))
    apply = ["apply", str(file), "--cluster", "--dry-run", "--hand-over", str(tmp_path / "out")]

    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(apply) == 1
    out = capsys.readouterr().out
    assert "not written: Helm (release shop): not rendered: there is no helm on the PATH" in out
    assert not (tmp_path / "out").exists()

    helm.on_path(tmp_path / "bin", monkeypatch)
    assert run(apply) == 1
    out = capsys.readouterr().out
    assert f"written: {tmp_path}/out/helm/hardcoded.shop.values.yaml\n" in out
    assert "not written: Helm (release shop): team/fixed:1: no value says this image" in out
    assert (
        f"homeport helm-plugin DIR --to {site.own.host}/mirror --pull-secret private, and then: helm upgrade shop CHART"
        in out
    )
