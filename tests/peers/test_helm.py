"""Real Helm 3 and Helm 4 render through `homeport relocate`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.charts import IMAGES, write_chart
from tests.kit.peers import peer
from tests.kit.servers import HOMEPORT

pytestmark = pytest.mark.peers

TO = "registry.example.com:5000/mirror"
AT_TARGET = {
    f"{TO}/redislabs/operator:7.2.4-7",
    f"{TO}/org/exporter:1",
    f"{TO}/org/cache:v3",
}


class Helm:
    """One Helm with a home of its own, and homeport on its PATH."""

    def __init__(self, name: str, folder: Path) -> None:
        self.binary, self.folder = peer(name), folder
        self.chart = write_chart(folder / "chart")
        homes = {f"HELM_{what}_HOME": str(folder / what.lower()) for what in ("CACHE", "CONFIG", "DATA")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {"PATH": path, "HOME": str(folder), **homes}

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            (self.binary, *arguments), capture_output=True, text=True, check=False, timeout=120, env=self.environment
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def images(self, *arguments: str) -> list[str]:
        rendered = self.run("template", "release", str(self.chart), *arguments)
        return re.findall(r"^\s*(?:- )?image: \"?([^\s\"]+)", rendered, re.MULTILINE)


def test_helm_4_relocates_hooks_too_through_the_plugin(tmp_path):
    helm = Helm("helm4", tmp_path)
    made = subprocess.run(
        (*HOMEPORT, "helm-plugin", str(tmp_path / "plugin"), "--to", TO, "--pull-secret", "regcred"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"helm plugin install {tmp_path / 'plugin'}" in made.stdout
    helm.run("plugin", "install", str(tmp_path / "plugin"))
    images = helm.images("--post-renderer", "homeport")
    assert set(images) == AT_TARGET
    assert len(images) == 4
    assert helm.run("template", "r", str(helm.chart), "--post-renderer", "homeport").count("name: regcred") == 3


def test_helm_3_takes_the_command_and_leaves_hooks_out(tmp_path):
    helm = Helm("helm3", tmp_path)
    words = ("relocate", "--to", TO, "-")
    options = [it for word in words for it in ("--post-renderer-args", word)]
    images = helm.images("--post-renderer", "homeport", *options)
    assert sorted(set(images) - AT_TARGET) == ["docker.io/redislabs/operator:7.2.4-7"], "the hook's image stays"
    assert set(images) >= AT_TARGET


def test_an_override_of_values_reaches_what_values_say_hooks_too(tmp_path):
    helm = Helm("helm3", tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/helm").symlink_to(helm.binary)
    environment = {**helm.environment, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{helm.environment['PATH']}"}
    command = (*HOMEPORT, "relocate", "--to", TO, "--helm-values", str(tmp_path / "over.yaml"), str(helm.chart))
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    for name in ("helm3", "helm4"):
        images = Helm(name, tmp_path / name).images("--values", str(tmp_path / "over.yaml"))
        assert (set(images), len(images)) == (AT_TARGET, 4)
    scanned = subprocess.run(
        (*HOMEPORT, "scan", "-o", "names", str(helm.chart)),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert scanned.stdout.splitlines() == IMAGES
