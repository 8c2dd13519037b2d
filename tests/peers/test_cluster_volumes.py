"""Image volumes, which containerd 2 mounts: they move, come back without Docker Hub, and are proven like any other pull."""

from pathlib import Path

import pytest

from homeport.cli.app import run
from tests.peers.kube_site import Site, workload

pytestmark = pytest.mark.peers


def test_image_volumes_move_house_too(
    newer_site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = newer_site
    monkeypatch.setenv("KUBECONFIG", str(site.node.api.kubeconfig()))
    site.publish("team/tool:1", "team/model:7")
    volumes = [{"name": "model", "image": {"reference": "team/model:7", "pullPolicy": "IfNotPresent"}}]
    tool = workload("Deployment", "tool", "volumes", "team/tool:1", volumes=volumes)
    tool["spec"]["template"]["spec"]["containers"][0] |= {
        "volumeMounts": [{"name": "model", "mountPath": "/model"}],
        "readinessProbe": {"exec": {"command": ["/bin/busybox", "ls", "/model/bin/busybox"]}, "periodSeconds": 1},
    }
    file = site.job(tmp_path / "job", "volumes", [tool])
    monkeypatch.setenv("DOCKER_CONFIG", str(file.parent))
    site.start("volumes", [tool])
    assert run(["apply", str(file), "--cluster"]) == 0, "".join(capsys.readouterr())
    with site.without(site.hub):
        site.node.kubectl("delete", "pods", "--all", "-n", "volumes")
        site.node.forget_images()
        site.wait_for_pods("volumes", 1)
        spec = site.get("deployment", "volumes", "tool")["spec"]["template"]["spec"]
        target = f"{site.own.host}/mirror"
        assert spec["volumes"][0]["image"]["reference"] == f"{target}/team/model:7"
        lock = ["--lock", str(file.parent / "homeport.lock")]
        verify = ["verify", "--ca-file", str(site.ca_file), "--registry", target, "--cluster", "-n", "volumes", *lock]
        assert run(verify) == 0, "".join(capsys.readouterr())
    field = [{"op": "replace", "path": "/spec/template/spec/volumes/0/image/reference", "value": "team/model:7"}]
    site.patch("deployment", "volumes", "tool", field)
    capsys.readouterr()
    assert run(verify) == 1
    assert "docker.io/team/model:7" in capsys.readouterr().out.splitlines()
