"""Scan and verify a large simulated cluster, beside kubectl: python -m benchmarks.cluster."""

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from benchmarks.cluster.keeper import hold
from benchmarks.timing import Samples, measure, table


@contextmanager
def cluster(sizes: tuple[int, int, int]) -> Iterator[Connection]:
    """Run the cluster until the block ends; data lies in memory, so that disks do not decide."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        keeper = multiprocessing.get_context("spawn").Process(target=hold, args=(theirs, Path(folder), sizes))
        keeper.start()
        theirs.close()
        try:
            yield ours
        finally:
            ours.close()
            keeper.join(60)
            keeper.kill()


def main() -> None:
    """Measure in interleaved rounds and print medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--workloads", type=int, default=1000)
    parser.add_argument("--pods-each", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with cluster((options.nodes, options.workloads, options.pods_each)) as pipe:
        commands, added = pipe.recv()
        # As people run it: Python keeps what it has compiled.
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | added
        results = {name: Samples() for name in commands}
        lists: dict[str, int] = {}
        for turn in range(options.rounds + 1):
            for name, command in commands.items():
                pipe.send("lists")
                before = pipe.recv()
                measure(command, results[name] if turn else Samples(), environment)
                pipe.send("lists")
                lists[name] = pipe.recv() - before
    print(table(results, next(iter(commands))))
    for name, number in lists.items():
        print(f"{name}: {number} lists")


if __name__ == "__main__":
    main()
