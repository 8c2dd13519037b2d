"""Charts that real Helm packages cross the gap, and real Helm pulls them there."""

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kit.charts import write_chart
from tests.kit.peers import peer
from tests.kit.servers import HOMEPORT, running_registry
from tests.kit.web import Page, web_server

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("name", ["helm3", "helm4"])
def test_charts_cross_the_gap_and_helm_pulls_them(tmp_path: Path, name: str):
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment |= {f"HELM_{what}_HOME": str(tmp_path / what.lower()) for what in ("CACHE", "CONFIG", "DATA")}

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            tuple(map(str, command)), capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    helm = peer(name)
    chart = write_chart(tmp_path / "chart")
    for folder in ("repository", "pulled"):
        (tmp_path / folder).mkdir()
    run(helm, "package", chart, "--version", "1.2.3+build.4", "--app-version", "7.2", "-d", "repository")
    run(helm, "package", chart, "--version", "2.0.0", "-d", tmp_path)
    run(helm, "repo", "index", "repository")
    [package] = (tmp_path / "repository").glob("*.tgz")

    with ExitStack() as stack:
        web = stack.enter_context(web_server())
        source, target = (stack.enter_context(running_registry()).host for _ in range(2))
        web.pages = {f"/stable/{file.name}": Page(file.read_bytes()) for file in package.parent.iterdir()}
        run(helm, "push", "demo-2.0.0.tgz", f"oci://{source}/charts", "--plain-http")

        wanted = ("--chart", f"{web.url}/stable/demo:1.2.3+build.4", "--chart", f"oci://{source}/charts/demo:2.0.0")
        run(*HOMEPORT, "bundle", "save", "-o", "charts.tar", *wanted)
        run(*HOMEPORT, "bundle", "load", "--to", f"{target}/mirror", "charts.tar")
        for at, version in (("stable/demo", "1.2.3+build.4"), ("charts/demo", "2.0.0")):
            pulled = (f"oci://{target}/mirror/{at}", "--plain-http", "--version", version)
            run(helm, "pull", *pulled, "-d", tmp_path / "pulled")
            assert f"version: {version}" in run(helm, "show", "chart", *pulled)
    assert (tmp_path / "pulled" / package.name).read_bytes() == package.read_bytes()
    assert (tmp_path / "pulled/demo-2.0.0.tgz").read_bytes() == (tmp_path / "demo-2.0.0.tgz").read_bytes()
