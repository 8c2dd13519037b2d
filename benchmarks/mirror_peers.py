"""The commands that bring a list of images from one registry to another: Homeport's and those of its peers."""

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.kit.peers import peer

HOMEPORT = str(Path(sys.executable).parent / "homeport")
AT_ONCE = 8
"""How many of a tool that brings one image run at once, and how much at once is asked of a tool that brings many."""


class Job:
    """What is brought, REPOSITORY:TAG each, and over what."""

    def __init__(self, source: str, target: str, names: Sequence[str], folder: Path, *, tls: bool) -> None:
        self.source, self.target, self.names, self.folder, self.tls = source, target, names, folder, tls
        self.cache = folder / "cache"

    def each(self, *command: str) -> list[str]:
        """Run a command for each image; {} stands for its name."""
        if len(self.names) == 1:
            return [part.replace("{}", self.names[0]) for part in command]
        listed = self.folder / "names"
        listed.write_text("\n".join(self.names))
        line = f"xargs -P {AT_ONCE} -I{{}} {shlex.join(command)} < {shlex.quote(str(listed))}"
        return ["sh", "-c", line]


def _homeport(job: Job) -> list[str]:
    listed = job.folder / "references"
    listed.write_text("\n".join(f"{job.source}/{name}" for name in job.names))
    plain = "" if job.tls else f"--plain-http {job.source} --plain-http {job.target}"
    cache = f"XDG_CACHE_HOME={shlex.quote(str(job.cache))}"
    return ["sh", "-c", f"{cache} exec {HOMEPORT} mirror {plain} --to {job.target} - < {shlex.quote(str(listed))}"]


def _crane(job: Job) -> list[str]:
    insecure = [] if job.tls else ["--insecure"]
    return job.each(peer("crane"), "copy", *insecure, f"{job.source}/{{}}", f"{job.target}/{{}}")


def _regctl(job: Job) -> list[str]:
    hosts = [] if job.tls else [f"--host=reg={host},tls=disabled" for host in (job.source, job.target)]
    return job.each(peer("regctl"), *hosts, "image", "copy", f"{job.source}/{{}}", f"{job.target}/{{}}")


def _regsync(job: Job, parallel: str = "", requests: str = "") -> list[str]:
    lines = ["version: 1", f"defaults: {{{parallel}}}", "creds:"]
    tls = "" if job.tls else ", tls: disabled"
    lines += [f'- {{registry: "{host}"{requests}{tls}}}' for host in (job.source, job.target)]
    lines.append("sync:")
    lines += [f'- {{source: "{job.source}/{name}", target: "{job.target}/{name}", type: image}}' for name in job.names]
    config = job.folder / f"regsync{parallel[-1:]}.yml"
    config.write_text("\n".join(lines))
    return [peer("regsync"), "once", "-c", str(config)]


def _regsync_tuned(job: Job) -> list[str]:
    return _regsync(job, f"parallel: {AT_ONCE}", f", reqConcurrent: {AT_ONCE}")


def _oras(job: Job) -> list[str]:
    plain = [] if job.tls else ["--from-plain-http", "--to-plain-http"]
    return job.each(peer("oras"), "cp", "--no-tty", *plain, f"{job.source}/{{}}", f"{job.target}/{{}}")


def _skopeo(job: Job) -> list[str]:
    insecure = [] if job.tls else ["--src-tls-verify=false", "--dest-tls-verify=false"]
    there = f"docker://{job.target}/{{}}"
    return job.each(peer("skopeo"), "copy", "--all", *insecure, f"docker://{job.source}/{{}}", there)


COMMANDS: dict[str, Callable[[Job], list[str]]] = {
    "homeport": _homeport,
    "crane": _crane,
    "regctl": _regctl,
    "regsync": _regsync,
    f"regsync-{AT_ONCE}": _regsync_tuned,
    "oras": _oras,
    "skopeo": _skopeo,
}
