"""How fast a manifest is rewritten, beside PyYAML's C composer: python benchmarks/relocate.py [FILE].

FILE is taken twice over (a Redis Enterprise bundle is then 1.5 MB); without one a bundle of that shape is made. Both sides run in
this process in turn, so that the machine's changing speed touches both alike.

Then whole processes: `homeport relocate` beside what people do by hand with yq (github.com/mikefarah/yq, `$YQ` or on the PATH) and with
a round trip of ruamel.yaml (where `$RUAMEL_PYTHON`, or this Python, has it), and how many lines each changes besides the names.
"""

import difflib
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from homeport.applications.redis_enterprise import KNOWLEDGE, choose, knowledge
from homeport.discovery.inputs import Source
from homeport.discovery.scan import scan_source
from homeport.mapping import Mapping, Target
from homeport.relocation.relocate import relocate
from homeport.relocation.sweep import sweep

MAPPING = Mapping(Target.parse("registry.example.com:5000/mirror"))
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "spec": {"template": {"spec": {"containers": [{"name": n, "image": "redislabs/operator:7.2.4-7"} for n in "ab"]}}},
}


def made_bundle() -> str:
    """Return a bundle like a real one: large schemas, one Deployment."""
    field = {"description": "Why this field is there, in words that go on for a line or two.", "type": "string"}
    schema: dict[str, object] = {"properties": {f"field{i}": field for i in range(25)}, "type": "object"}
    for _ in range(3):
        schema = {"properties": {f"part{i}": schema for i in range(5)}, "type": "object"}
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": {"schema": schema}}
    dumper = yaml.CSafeDumper
    dumper.ignore_aliases = lambda *_: True
    return yaml.dump_all([crd, DEPLOYMENT], Dumper=dumper, sort_keys=False, explicit_start=True)


def compose(text: str) -> None:
    """Do what the peer does."""
    for _ in yaml.compose_all(text, Loader=yaml.CSafeLoader):
        pass


def whole_job(source: Source) -> None:
    """Scan to learn the release, rewrite, prove by scanning again, and sweep: what the command does with one file."""
    findings = scan_source(source, KNOWLEDGE).findings
    result = relocate(source, MAPPING, knowledge=knowledge(choose(findings)), pull_secret="regcred")
    assert result.edits
    assert not sweep(source.name, result.text, MAPPING, result.references)


def run(rounds: int = 9) -> None:
    """Time all in turn, one warm-up round first, and print medians."""
    text = (Path(sys.argv[1]).read_text(encoding="utf-8") if sys.argv[1:] else made_bundle()) * 2
    source = Source("bundle.yaml", text)
    jobs: dict[str, Callable[[], object]] = {
        "PyYAML's C composer": lambda: compose(text),
        "scan": lambda: scan_source(source, KNOWLEDGE),
        "scan, relocate, prove, sweep": lambda: whole_job(source),
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(rounds + 1):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    base = statistics.median(seconds["PyYAML's C composer"])
    print(f"{len(text.encode()) / 1e6:.2f} MB, medians of {rounds} rounds in turn\n")
    print("| job | seconds | / composer |\n| --- | --- | --- |")
    for name, samples in seconds.items():
        print(f"| {name} | {statistics.median(samples):.3f} | {statistics.median(samples) / base:.2f} |")


TARGET = "registry.example.com:5000/mirror"
YQ = f'(.. | select(tag == "!!map" and has("image")).image | select(tag == "!!str")) |= "{TARGET}/" + .'
RUAMEL = f"""
import sys
from ruamel.yaml import YAML
yaml = YAML()
yaml.preserve_quotes = True
yaml.width = 1 << 20
def walk(node):
    if isinstance(node, dict):
        if isinstance(node.get("image"), str):
            node["image"] = "{TARGET}/" + node["image"]
        node = list(node.values())
    for each in node if isinstance(node, list) else ():
        walk(each)
documents = list(yaml.load_all(open(sys.argv[1], newline="")))
for each in documents:
    walk(each)
yaml.dump_all(documents, sys.stdout)
"""


def commands(file: Path) -> dict[str, list[str]]:
    """Return what can be run here: each writes the rewritten file to its standard output."""
    found = {
        "homeport relocate": [str(Path(sys.executable).with_name("homeport")), "relocate", "--to", TARGET, str(file)]
    }
    yq = os.environ.get("YQ") or shutil.which("yq")
    # Another program of this name is a wrapper of jq.
    if yq and b"mikefarah" in subprocess.run([yq, "--version"], capture_output=True, check=False).stdout:
        found["yq"] = [yq, YQ, str(file)]
    python = os.environ.get("RUAMEL_PYTHON") or (sys.executable if importlib.util.find_spec("ruamel.yaml") else "")
    if python:
        found["ruamel.yaml"] = [python, "-c", RUAMEL, str(file)]
    return found


def changed_besides_names(before: str, after: str) -> int:
    """Count the lines that are another or gone, but for those in which a name was written at the target."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    gone = [line[1:] for line in lines if line.startswith("-") and not line.startswith("---")]
    named = {line.replace(f"{TARGET}/", "") for line in after.splitlines() if TARGET in line}
    return sum(line not in named for line in gone)


def run_peers(rounds: int = 3) -> None:
    """Time whole processes in turn, and print medians with what they changed."""
    text = Path(sys.argv[1]).read_text(encoding="utf-8") if sys.argv[1:] else made_bundle()
    with tempfile.TemporaryDirectory(prefix="homeport-bench-") as folder:
        file = Path(folder) / "bundle.yaml"
        file.write_text(text, encoding="utf-8")
        jobs = commands(file)
        seconds: dict[str, list[float]] = {name: [] for name in jobs}
        outputs: dict[str, str] = {}
        for _ in range(rounds):
            for name, command in jobs.items():
                started = time.perf_counter()
                outputs[name] = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                seconds[name].append(time.perf_counter() - started)
    print(f"\n{len(text.encode()) / 1e6:.2f} MB, whole processes, medians of {rounds} rounds in turn\n")
    print("| command | seconds | names at the target | lines changed besides |\n| --- | --- | --- | --- |")
    for name, samples in seconds.items():
        besides = changed_besides_names(text, outputs[name])
        print(f"| {name} | {statistics.median(samples):.2f} | {outputs[name].count(TARGET)} | {besides} |")


if __name__ == "__main__":
    run()
    run_peers()
