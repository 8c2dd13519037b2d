"""Charts that real Helm packages cross the gap, and real Helm pulls them there."""

import io
import json
import os
import subprocess
import tarfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from homeport.mirror.bundle.chart_versions import highest
from tests.kit.charts import write_chart
from tests.kit.peers import peer
from tests.kit.servers import HOMEPORT, running_registry
from tests.kit.web import Page, web_server

pytestmark = pytest.mark.peers


RANGES = (
    *(
        "",
        "*",
        "^1.2",
        "~1.2.0",
        "1.2",
        "1.x",
        ">=1 <2",
        ">1",
        "<2",
        "<=1.2",
        ">0-0",
        "^2.0.0-0",
        "~2.0.0-0",
        "!=2.0.0",
    ),
    *("^0.1", "^0.0.1", "0.1 - 1.2", "^3 || ~0.1", ">=1.2, <1.10", "v1.2.0", "1.10.0", "4"),
)
VERSIONS = (
    "0.0.1",
    "0.0.2",
    "0.1.0",
    "0.1.9",
    "1.2.0",
    "1.2.9",
    "1.10.0+build.4",
    "2.0.0-rc.10",
    "2.0.0",
    "3.0.0-rc.1",
)


class Bench:
    """Helm and Homeport in a folder of their own."""

    def __init__(self, folder: Path, helm: str) -> None:
        self.folder, self._helm = folder, peer(helm)
        self.environment = {**os.environ, "HOME": str(folder)}
        self.environment |= {f"HELM_{what}_HOME": str(folder / what.lower()) for what in ("CACHE", "CONFIG", "DATA")}

    def tried(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        line = tuple(map(str, command))
        return subprocess.run(line, capture_output=True, text=True, check=False, env=self.environment, cwd=self.folder)

    def homeport(self, *arguments: str) -> str:
        done = self.tried(*HOMEPORT, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def helm(self, *arguments: str | Path) -> str:
        done = self.tried(self._helm, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def shown(self, *arguments: str) -> str | None:
        """Ask Helm for a chart; return its version, None where there is none."""
        done = self.tried(self._helm, "show", "chart", *arguments)
        lines = [line for line in done.stdout.splitlines() if line.startswith("version: ")]
        return lines[0].removeprefix("version: ") if done.returncode == 0 else None


@pytest.fixture(params=["helm3", "helm4"])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    return Bench(tmp_path, request.param)


def test_charts_cross_the_gap_and_helm_pulls_them(bench: Bench, tmp_path: Path):
    chart = write_chart(tmp_path / "chart")
    for folder in ("repository", "pulled"):
        (tmp_path / folder).mkdir()
    bench.helm("package", chart, "--version", "1.2.3+build.4", "--app-version", "7.2", "-d", "repository")
    bench.helm("package", chart, "--version", "2.0.0", "-d", tmp_path)
    bench.helm("repo", "index", "repository")
    [package] = (tmp_path / "repository").glob("*.tgz")

    with ExitStack() as stack:
        web = stack.enter_context(web_server())
        source, target = (stack.enter_context(running_registry()).host for _ in range(2))
        web.pages = {f"/stable/{file.name}": Page(file.read_bytes()) for file in package.parent.iterdir()}
        bench.helm("push", "demo-2.0.0.tgz", f"oci://{source}/charts", "--plain-http")

        wanted = ("--chart", f"{web.url}/stable/demo:^1", "--chart", f"oci://{source}/charts/demo")
        bench.homeport("bundle", "save", "-o", "charts.tar", *wanted)
        bench.homeport("bundle", "load", "--to", f"{target}/mirror", "charts.tar")
        for at, version in (("stable/demo", "1.2.3+build.4"), ("charts/demo", "2.0.0")):
            pulled = (f"oci://{target}/mirror/{at}", "--plain-http", "--version", version)
            bench.helm("pull", *pulled, "-d", tmp_path / "pulled")
            assert f"version: {version}" in bench.helm("show", "chart", *pulled)
    assert (tmp_path / "pulled" / package.name).read_bytes() == package.read_bytes()
    assert (tmp_path / "pulled/demo-2.0.0.tgz").read_bytes() == (tmp_path / "demo-2.0.0.tgz").read_bytes()


def test_charts_are_mirrored_like_any_image_and_helm_finds_their_versions(bench: Bench, tmp_path: Path):
    chart = write_chart(tmp_path / "chart")
    with ExitStack() as stack:
        source, target = (stack.enter_context(running_registry()).host for _ in range(2))
        tags = []
        for version in ("1.2.3", "1.10.0+build.4", "2.0.0-rc.1"):
            bench.helm("package", chart, "--version", version)
            bench.helm("push", f"demo-{version}.tgz", f"oci://{source}/charts", "--plain-http")
            tags.append(f"{source}/charts/demo:{version.replace('+', '_')}")
        bench.homeport("mirror", "--to", f"{target}/mirror", *tags)
        (tmp_path / "pulled").mkdir()
        for version in ("1.2.3", "1.10.0+build.4", "2.0.0-rc.1"):
            there = (f"oci://{target}/mirror/charts/demo", "--plain-http", "--version", version)
            bench.helm("pull", *there, "-d", tmp_path / "pulled")
            name = f"demo-{version}.tgz"
            assert (tmp_path / "pulled" / name).read_bytes() == (tmp_path / name).read_bytes()
        there = (f"oci://{target}/mirror/charts/demo", "--plain-http", "--version")
        assert bench.shown(*there, "^1.2") == "1.10.0+build.4"
        assert bench.shown(*there, "~1.2.0") == "1.2.3"
        assert bench.shown(*there, ">0-0") == "2.0.0-rc.1"


def test_a_range_means_the_version_that_helm_takes(bench: Bench):
    with web_server() as web:
        lines = ["apiVersion: v1", "entries:", "  demo:"]
        for version in VERSIONS:
            body = _package(version)
            web.pages[f"/demo-{version}.tgz"] = Page(body)
            entry = {"name": "demo", "apiVersion": "v2", "version": version, "urls": [f"demo-{version}.tgz"]}
            lines.append(f"  - {json.dumps(entry)}")
        web.pages["/index.yaml"] = Page("\n".join(lines).encode())
        bench.helm("repo", "add", "here", web.url)
        taken = {text: bench.shown("here/demo", "--version", text) for text in RANGES}
    assert {text: highest(VERSIONS, text) for text in RANGES} == taken


def _package(version: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        text = f"apiVersion: v2\nname: demo\nversion: {version}\n".encode()
        member = tarfile.TarInfo("demo/Chart.yaml")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return held.getvalue()
