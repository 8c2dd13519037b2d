"""Run the works in interleaved rounds and print medians."""

import argparse
import os
import shutil
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.server import work
from benchmarks.server.peers import CLIENT_CORE, Server, running
from homeport.oci.digest import digest_of
from tests.kit.servers import write_certificate

PEERS = ["homeport", "distribution v3", "distribution v2", "go-containerregistry", "nginx"]


def measure(name: str, server: Server, tmp: Path, only: set[str]) -> dict[str, float]:
    """Do every work once; nginx only serves."""
    blob = f"{server.url}/v2/a/b/blobs/"
    figures: dict[str, float] = {}

    def note(what: str, figure: float) -> None:
        figures[what] = figure

    def wanted(what: str) -> bool:
        return not only or any(word in what for word in only)

    before = server.cpu()
    if wanted("manifest"):
        note("manifest GET /s", work.wrk(f"{server.url}/v2/a/b/manifests/1", tmp))
    if wanted("HEAD"):
        note("manifest HEAD /s", work.heads(server))
    if wanted("1 MB blob"):
        note("1 MB blob GET /s", work.wrk(blob + digest_of(work.MEGABYTE), tmp))
    if wanted("range") and name != "go-containerregistry":
        note("64 kB range /s", work.wrk(blob + digest_of(work.BIG), tmp, "range"))
    if wanted("100 MB blob"):
        start = server.cpu()
        note("100 MB blob GET MB/s", work.big_get(server))
        note("CPU s per GB served", (server.cpu() - start) / (8 * len(work.BIG) / 1e9))
    if name != "nginx":
        if wanted("push"):
            start = server.cpu()
            note("push 100 MB MB/s", work.pushes(server, len(work.BIG), 4, 1) * len(work.BIG) / 1e6)
            note("CPU s per GB pushed", (server.cpu() - start) / (4 * len(work.BIG) / 1e9))
            note("push 1 MB /s", work.pushes(server, 1 << 20, 200, 4))
        if wanted("mixed"):
            p99, rate = work.mixed(server)
            note("mixed: p99 of manifest GETs ms", p99)
            note("mixed: MB/s", rate)
    note("CPU s in all", server.cpu() - before)
    note("peak MiB", server.peak())
    return figures


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", nargs="*", default=PEERS)
    parser.add_argument("--only", nargs="*", default=[])
    options = parser.parse_args()
    os.sched_setaffinity(0, {int(CLIENT_CORE)})
    results: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for _ in range(options.rounds):
        for name in options.peers:
            data = Path(tempfile.mkdtemp(prefix="bench-", dir="/var/tmp"))
            try:
                with running(name, data) as server:
                    work.fill(server, data / "root" if name == "nginx" else None)
                    for what, figure in measure(name, server, data, set(options.only)).items():
                        results[what][name].append(figure)
                if name != "go-containerregistry" and (not options.only or "TLS" in options.only):
                    ca_file, *tls = write_certificate(data)
                    with running(name, data, (tls[0], tls[1])) as server:
                        results["50 clients over TLS: pulls /s"][name].append(work.tls_pulls(server, ca_file))
            finally:
                shutil.rmtree(data)
    print("| work | " + " | ".join(options.peers) + " |")
    print("|" + " --- |" * (len(options.peers) + 1))
    for what, row in results.items():
        cells = [f"{statistics.median(row[name]):,.4g}" if row.get(name) else "" for name in options.peers]
        print(f"| {what} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
