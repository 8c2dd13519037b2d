"""How fast a manifest is rewritten, beside PyYAML's C composer: python benchmarks/relocate.py [FILE].

FILE is taken twice over (a Redis Enterprise bundle is then 1.5 MB); without one a bundle of that shape is made. Both sides run in
this process in turn, so that the machine's changing speed touches both alike.
"""

import statistics
import sys
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


if __name__ == "__main__":
    run()
