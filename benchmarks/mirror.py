"""Bring images from one distribution v3 to another, beside crane, regctl, regsync, oras and skopeo.

`python benchmarks/mirror.py --work small-delay --rounds 3`; without --work all of them. Both registries are on this machine with their data
in memory. Prints medians of interleaved runs as Markdown.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import msgspec

from benchmarks.delay import delayed
from benchmarks.mirror_peers import COMMANDS, Job
from benchmarks.timing import Samples, interleave, measure, table
from homeport.registry.session import Registries
from tests.kit import images
from tests.kit.peers import distribution

REPOSITORY, TAG = "app", "1"
PLATFORMS = (images.AMD64, images.ARM64, images.S390X, images.ARM_V7)
DELAY = 0.04


def publish(host: str) -> list[str]:
    """Push one image of 8 layers of 100 MB."""
    layers = [images.layer(str(number), 100_000_000) for number in range(8)]
    with Registries() as registries:
        images.put(images.image(*layers), registries.client(host), REPOSITORY, TAG)
    return [f"{REPOSITORY}:{TAG}"]


def publish_shared(host: str) -> list[str]:
    """Push 25 images of 4 platforms: on each a base of 10 MB that all share, 4 MB that five share, and 1 MB of its own."""
    with Registries() as registries:
        for number in range(25):
            children = (
                images.image(
                    images.layer(f"base {platform}", 10_000_000),
                    images.layer(f"runtime {number % 5} {platform}", 4_000_000),
                    images.layer(f"own {number} {platform}", 1_000_000),
                    platform=platform,
                    label=str(number),
                )
                for platform in PLATFORMS
            )
            images.put(images.index(*children), registries.client(host), f"team/app{number}", TAG)
    return [f"team/app{number}:{TAG}" for number in range(25)]


def publish_small(host: str) -> list[str]:
    """Push 200 images of two layers of 20 kB."""
    with Registries() as registries:
        for number in range(200):
            layers = (images.layer(f"{part} {number}", 20_000) for part in range(2))
            images.put(images.image(*layers, label=str(number)), registries.client(host), f"small/app{number}", TAG)
    return [f"small/app{number}:{TAG}" for number in range(200)]


class Work(msgspec.Struct, frozen=True):
    """What is brought, under which conditions; `again` into a target that has it all."""

    title: str
    publish: Callable[[str], list[str]]
    again: bool = False
    delay: float = 0.0
    tls: bool = False


WORKS = {
    "large": Work("one image of 8 layers of 100 MB", publish),
    "large-tls": Work("the same over TLS", publish, tls=True),
    "shared": Work("25 images of 4 platforms that share layers", publish_shared),
    "again": Work("the same again, nothing changed", publish_shared, again=True),
    "again-delay": Work("the same again, each answer 40 ms later", publish_shared, again=True, delay=DELAY),
    "small-delay": Work("200 small images, each answer 40 ms later", publish_small, delay=DELAY),
}


@contextmanager
def registries_for(work: Work, folder: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Run a source that has the images and a target; yield both as clients are to reach them, and the images' names."""
    with ExitStack() as stack:
        certificate = None
        if work.tls:
            from tests.kit.servers import write_certificate  # large, and a child's peak memory starts at its parent's

            authority, *certificate = write_certificate(folder)
            os.environ["SSL_CERT_FILE"] = str(authority)
            stack.callback(os.environ.pop, "SSL_CERT_FILE")
        source, target = (
            stack.enter_context(distribution(folder / side, certificate=certificate)) for side in ("source", "target")
        )
        # In a process of its own, because a child's peak memory starts at its parent's.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            names = pool.apply(work.publish, (source,))
        if work.delay:
            source, target = (stack.enter_context(delayed(host, work.delay)) for host in (source, target))
        yield source, target, names


def run(work: Work, peers: list[str], rounds: int) -> str:
    """Do one work with all peers in turn and return the table."""
    memory = Path("/dev/shm")  # a file system in memory, so that disks do not decide
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        with registries_for(work, folder) as (source, target, names):
            job = Job(source, target, names, folder, tls=work.tls)
            commands = {peer: COMMANDS[peer](job) for peer in peers}
            emptied = folder / "target" / "data" / "docker"
            if work.again:
                measure(COMMANDS["homeport"](job), Samples())

            def empty(_: str) -> None:
                if not work.again:
                    shutil.rmtree(emptied, ignore_errors=True)
                    shutil.rmtree(job.cache, ignore_errors=True)

            results = interleave(commands, rounds, before=empty)
    fastest = min(
        (peer for peer in peers if peer != "homeport"),
        key=lambda peer: results[peer].median("wall"),
        default="homeport",
    )
    return f"{work.title} (peer: {fastest})\n\n{table(results, fastest)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", nargs="*", choices=WORKS, default=list(WORKS))
    parser.add_argument("--peers", nargs="*", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for name in options.work:
        print(run(WORKS[name], options.peers, options.rounds), flush=True)


if __name__ == "__main__":
    main()
