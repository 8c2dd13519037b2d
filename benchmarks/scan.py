"""How fast and how large a scan is: python benchmarks/scan.py.

Ten thousand small files of several kinds through the command line, and a bundle of schemas beside PyYAML's C composer.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.relocate import made_bundle
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.scan import scan_source

HOMEPORT = str(Path(sys.executable).parent / "homeport")
FILES = 10_000
MANIFESTS = (
    """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: x}
spec:
  template:
    spec:
      containers:
      - {name: a, image: quay.io/a/b:1, args: [--helper-image=a/b:2], env: [{name: X_IMAGE, value: c/d:3}]}
""",
    """\
apiVersion: v1
kind: ConfigMap
metadata: {name: x}
data:
  a.yaml: |
    image: {repository: a/b, tag: 1}
""",
    "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: x}\nspec: {image: quay.io/e/f:1, replicas: 2}\n",
    "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {ports: [{port: 80}], selector: {app: x}}\n",
)


def small_files() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FILES):
            Path(folder, f"{number}.yaml").write_text(MANIFESTS[number % len(MANIFESTS)])
        begin = time.perf_counter()
        subprocess.run([HOMEPORT, "scan", "-o", "names", folder], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{FILES:,} small files: {seconds:.1f} s, {peak:.0f} MiB")


def bundle() -> None:
    text = made_bundle()

    def scan() -> object:
        return scan_source(Source("bundle", text), Knowledge())

    def compose() -> object:
        return list(yaml.compose_all(text, Loader=yaml.CSafeLoader))

    best = {}
    for _ in range(5):
        for name, function in (("scan", scan), ("compose", compose)):
            begin = time.process_time()
            function()
            best[name] = min(best.get(name, 1e9), time.process_time() - begin)
    ratio = best["scan"] / best["compose"]
    print(
        f"{len(text):,} characters of schemas: {best['scan']:.3f} s, {ratio:.2f} of PyYAML's C composer ({best['compose']:.3f} s)"
    )


if __name__ == "__main__":
    small_files()
    bundle()
