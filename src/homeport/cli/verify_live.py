"""The part of `homeport verify` that is about a live cluster."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from cyclopts import Parameter

from homeport.cli.log_lines import log_lines
from homeport.cli.output import columns
from homeport.discovery.findings import Finding
from homeport.discovery.knowledge import Knowledge
from homeport.errors import UsageError
from homeport.mapping import Mapping
from homeport.registry.session import Registries
from homeport.workflow.verify import Origin, Verification
from homeport.workflow.verify import verify as prove

if TYPE_CHECKING:
    from homeport.workflow.live_log import LogEvidence, LogReader
    from homeport.workflow.live_origin import Evidence
    from homeport.workflow.live_probe import Probed

_GZIP: Final = b"\x1f\x8b"


class Witnessed(msgspec.Struct, frozen=True):
    """What a cluster witnesses beside names and digests: from where nodes pulled, and that they can."""

    origins: "tuple[Evidence, ...]" = ()
    probes: "tuple[Probed, ...] | None" = None
    unknown: tuple[str, ...] = ()
    log: "LogEvidence | None" = None


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class LiveOptions:
    """Options that say which cluster is verified, and how."""

    cluster: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Verify what a live cluster runs and will run, instead of files."""
    context: Annotated[str | None, Parameter(show_default=False)] = None
    """The kubeconfig's context."""
    namespace: Annotated[tuple[str, ...], Parameter(name=["--namespace", "-n"], negative="", show_default=False)] = ()
    """A namespace of the cluster, all by default; may be repeated."""
    probe: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Let each node pull an image, by a pod in each namespace that starts nothing and is removed again."""
    pool: Annotated[str, Parameter(show_default=False)] = ""
    """With --probe: let only one node of each value of this label pull."""

    access_log: Annotated[tuple[Path, ...], Parameter(negative="", show_default=False, allow_leading_hyphen=True)] = ()
    """What homeport serve --access-log wrote, - for stdin: shows which nodes fetched what runs; may be repeated."""

    def check(self, files: Iterable[str]) -> None:
        """Refuse what does not go together; raises UsageError."""
        if self.cluster == bool(tuple(files)):
            raise UsageError(
                "--cluster takes no files" if self.cluster else "nothing is named that could be verified",
                hint="homeport verify --registry REGISTRY FILE..., or homeport verify --registry REGISTRY --cluster",
            )
        if not self.cluster and (self.context or self.namespace):
            raise UsageError("--context and --namespace belong to --cluster", hint="Add --cluster, or leave them out.")
        if self.probe and not self.cluster:
            raise UsageError("--probe belongs to --cluster", hint="Add --cluster, or leave it out.")
        if self.access_log and not self.cluster:
            raise UsageError("--access-log belongs to --cluster", hint="Add --cluster, or leave it out.")
        for file in self.access_log:
            _check_log(file)
        if self.pool and not self.probe:
            raise UsageError("--pool belongs to --probe", hint="Add --probe, or leave it out.")

    def verify(
        self,
        mapping: Mapping,
        registries: Registries,
        origin: Origin,
        learn: Callable[[Iterable[Finding]], Knowledge],
        default_registry: str,
    ) -> tuple[Verification, Witnessed]:
        """Judge a cluster; raises UsageError, ClusterError, and RegistryError where the target cannot be asked at all."""
        from homeport.cluster import require_kube

        require_kube()
        from homeport.cluster.api import Api
        from homeport.cluster.kubeconfig import load_config
        from homeport.workflow.live_log import LogReader
        from homeport.workflow.live_origin import evidence_of, unknown_of
        from homeport.workflow.live_probe import probe, wishes_of, with_probes
        from homeport.workflow.live_pulls import read_live
        from homeport.workflow.live_running import with_running

        with Api(load_config(self.context)) as api:
            live = read_live(api, self.namespace, learn, default_registry)
            verification = prove(live.pulls, mapping, registries, origin)
            verification = with_running(verification, live.running, registries, origin, live.fleet)
            evidence = evidence_of(live.running, live.events, default_registry)
            proven = {it.image: it.digest for it in verification.verdicts if it.status == "proven" and it.digest}
            log = LogReader(live.running, live.nodes, mapping, proven)
            shown = self._read_logs(log)
            fetched = log.fetched()
            others = [it for it in live.running if it.key not in fetched]
            unknown = (*live.unknown, *unknown_of(evidence_of(others, live.events, default_registry)))
            if not self.probe:
                return verification, Witnessed(evidence, None, unknown, shown)
            absent = {it.image for it in verification.verdicts if it.status == "missing"}
            there = (pull for pull in live.pulls.pulls if str(pull.reference.pinned) not in absent)
            with ended_as_interrupted():
                probed = probe(api, wishes_of(there, mapping, live.nodes, live.fleet, self.pool), _say)
            return with_probes(verification, probed), Witnessed(evidence, tuple(probed), unknown, shown)

    def _read_logs(self, log: "LogReader") -> "LogEvidence | None":
        """Read all logs; raises UsageError where one cannot be read to its end."""
        for file in self.access_log:
            try:
                if str(file) == "-":
                    log.read(sys.stdin.buffer, "-")
                else:
                    with file.open("rb") as opened:
                        log.read(opened, str(file))
            except OSError as error:
                raise UsageError(f"--access-log {file}: it cannot be read: {error.strerror}") from None
        return log.evidence() if self.access_log else None


def witnessed_lines(witnessed: Witnessed) -> list[str]:
    """Write what a cluster witnesses."""
    lines: list[str] = []
    if witnessed.origins:
        rows = [
            (it.image, str(it.pulled), str(it.present), str(it.silent), _nodes(it.nodes)) for it in witnessed.origins
        ]
        head = ("CONTAINERS OF", "PULLED BY THIS NAME", "WAS ON THE NODE", "UNKNOWN", "PULLED BY NODES")
        lines += ["", *columns([head, *rows])]
    if witnessed.probes is not None:
        said = {True: "yes", False: "no", None: "unknown"}
        rows = [(it.node, it.namespace, it.image, said[it.pulled], it.reason) for it in witnessed.probes]
        lines += ["", *columns([("NODE", "NAMESPACE", "IMAGE", "PULLED", ""), *rows])]
    if witnessed.log:
        lines += log_lines(witnessed.log)
    return lines + [f"unknown: {sentence}" for sentence in witnessed.unknown]


def _check_log(file: Path) -> None:
    """Refuse what is no log before the cluster is read; raises UsageError."""
    if str(file) == "-":
        return
    try:
        with file.open("rb") as opened:
            begins = opened.read(len(_GZIP))
    except OSError as error:
        raise UsageError(f"--access-log {file}: it cannot be read: {error.strerror}") from None
    if begins == _GZIP:
        hint = f"Unpack it on the way: zcat {file} | homeport verify --cluster --access-log - ..."
        raise UsageError(f"--access-log {file}: it is packed by gzip", hint=hint)


def _nodes(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@contextmanager
def ended_as_interrupted() -> Iterator[None]:
    """Take SIGTERM for ^C, so that what was made is removed."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
