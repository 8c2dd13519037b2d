"""Time commands in turn and compare medians, so that a machine's changing speed touches all alike."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

_UNUSUAL = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")


@dataclass
class Samples:
    """Wall and CPU seconds, and peak memory in MiB, of each run."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def median(self, figure: str) -> float:
        """Return the median of one figure."""
        return statistics.median(getattr(self, figure))


def measure(command: Sequence[str], samples: Samples, env: Mapping[str, str] | None = None) -> None:
    """Run a command once and add what the operating system says of it; raises when it fails."""
    # As on a person's machine: compiled modules are kept, output is buffered.
    usual = {name: text for name, text in (env or os.environ).items() if name not in _UNUSUAL}
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=usual)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    samples.wall.append(wall)
    samples.cpu.append(usage.ru_utime + usage.ru_stime)
    samples.memory.append(usage.ru_maxrss / 1024)


def interleave(
    commands: Mapping[str, Sequence[str]], rounds: int, before: Callable[[str], None] = lambda _: None
) -> dict[str, Samples]:
    """Run all commands in turn, one warm-up round first; `before` prepares each run and is not timed."""
    results = {name: Samples() for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            before(name)
            measure(command, results[name] if turn else Samples())
    return results


def table(results: Mapping[str, Samples], peer: str) -> str:
    """Return medians and the ratio of each wall time to the peer's, as a Markdown table."""
    rows = ["| command | wall s | CPU s | peak MiB | wall / peer |", "| --- | --- | --- | --- | --- |"]
    base = results[peer].median("wall")
    for name, samples in results.items():
        wall, cpu, memory = (samples.median(figure) for figure in ("wall", "cpu", "memory"))
        rows.append(f"| {name} | {wall:.3f} | {cpu:.3f} | {memory:.0f} | {wall / base:.2f} |")
    return "\n".join(rows)
