"""Run the main job on this machine: no internet, nothing left running. Started by `make demo`."""

import shlex
import subprocess
import sys
from pathlib import Path

NAMESPACE = "redis"
SECRET = "private-registry"


class Terminal:
    """Types commands as a person would, and shows what they print."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def run(self, line: str, *, typed: str = "", expect: int = 0) -> str:
        print(f"\n\033[1m$ homeport {line}\033[0m" if sys.stdout.isatty() else f"\n$ homeport {line}", flush=True)
        command, _, output = line.partition(" > ")
        done = subprocess.run(
            [sys.executable, "-c", "from homeport.cli import main; main()", *shlex.split(command)],
            cwd=self.folder,
            env=self.environment,
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if not output else None,
            text=True,
            check=False,
        )
        if output:
            (self.folder / output.strip()).write_text(done.stdout)
        else:
            print(done.stdout, end="", flush=True)
        if done.returncode != expect:
            sys.exit(f"the demo failed: exit code {done.returncode}, expected {expect}")
        return done.stdout
