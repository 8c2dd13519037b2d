"""What the registry's own log proves of what runs: which node's runtime fetched which manifest, and when.

A runtime fetches a manifest that its node lacks, and keeps what it has: containerd asks for a tag's digest by HEAD and goes on to GET
only what is not in its store (core/remotes/docker, core/remotes/handlers.go); CRI-O always sends GET. So a GET proves from where the
node had a manifest when it lacked it, and silence proves nothing. Whatever follows is checked against the manifest's digests.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Annotated, BinaryIO, Final, Literal

import msgspec

from homeport.cluster.nodes import Node
from homeport.mapping import Mapping as NameMapping
from homeport.oci.unreadable import UNREADABLE
from homeport.workflow.live_running import Running

How = Literal["fetched", "asked", "other", "silent"]

_RUNTIME: Final = re.compile(r"(containerd|cri-o|docker)/", re.IGNORECASE)
_LONGEST: Final = 1 << 18
_NAMED: Final = 5
_PLAIN: Final = (b"listening on http", b"note: ")
"""What the registry says beside its log."""

_ROUNDING: Final = timedelta(seconds=1)
"""Clusters write whole seconds, the registry's log parts of them."""


class Fetch(msgspec.Struct, frozen=True):
    """A line of the log: a manifest, and who had it when."""

    digest: str
    repository: str
    client: str
    agent: str
    at: datetime


class Shown(msgspec.Struct, frozen=True):
    """What the log shows of the containers of one image on one node.

    `fetched`: the node's runtime fetched the manifest before they started; `asked`: it asked for its digest, and held it already;
    `other`: a runtime fetched it whose address is no node's; `silent`: none of these, and `reason` says what is known.
    """

    image: str
    node: str
    digest: str
    how: How
    containers: tuple[str, ...]
    fetch: Fetch | None = None
    reason: str = ""


class LogEvidence(msgspec.Struct, frozen=True):
    """What a log shows: its lines, from when to when it tells of manifests, lines that cannot be read, and what runs."""

    lines: int
    manifests: int
    begins: datetime | None
    ends: datetime | None
    damaged: int
    damaged_lines: tuple[str, ...]
    shown: tuple[Shown, ...]


class _Line(msgspec.Struct):
    event: str
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)]
    method: str = ""
    status: int | str = 0
    repository: str = ""
    client: str = ""
    agent: str = ""
    digest: str = ""


class _Case:
    """A container, and the best that the log has shown of it so far."""

    def __init__(self, running: Running, digests: frozenset[str], node: Node | None) -> None:
        self.running, self.digests = running, digests
        self.after = _time(node.created) if node else None
        self.until = _time(running.started)
        self.found: dict[How, Fetch] = {}

    def holds(self, at: datetime) -> bool:
        """Tell whether something of that time can be about it: its address belonged to another machine before its node was there."""
        return (self.after is None or at >= self.after) and (self.until is None or at < self.until + _ROUNDING)

    def note(self, how: How, fetch: Fetch) -> None:
        """Keep the last one before the container started."""
        if self.holds(fetch.at) and (how not in self.found or self.found[how].at < fetch.at):
            self.found[how] = fetch


class LogReader:
    """Reads logs of any size, line by line, in any order; it holds no more than what runs needs."""

    def __init__(
        self, running: Iterable[Running], nodes: Iterable[Node], mapping: NameMapping, proven: Mapping[str, str]
    ) -> None:
        """`proven` are the digests at the target by image: what a node reports may be a part of them."""
        known = {node.name: node for node in nodes}
        self._cases = [
            _Case(each, frozenset(filter(None, (each.digest, proven.get(str(each.reference))))), known.get(each.node))
            for each in running
            if mapping.holds(each.reference)
        ]
        self._nodes = {_address(it) for node in known.values() for it in node.addresses}
        self._by_digest: dict[str, list[_Case]] = {}
        self._by_node: dict[tuple[str, str], list[_Case]] = {}
        for case in self._cases:
            node = known.get(case.running.node)
            for digest in case.digests:
                self._by_digest.setdefault(digest, []).append(case)
                for address in {_address(it) for it in node.addresses} if node else ():
                    self._by_node.setdefault((digest, address), []).append(case)
        self._earliest: dict[str, Fetch] = {}
        self._lines = self._manifests = self._damaged = 0
        self._damaged_lines: list[str] = []
        self._begins: datetime | None = None
        self._ends: datetime | None = None

    def read(self, file: BinaryIO, name: str) -> None:
        """Read a log; lines that cannot be read are counted."""
        number = 0
        for number, line in enumerate(_lines(file), 1):
            if not (line.startswith(b"{") and line.rstrip().endswith(b"}")):
                if line.strip() and not line.startswith(_PLAIN):
                    self._spoilt(name, number)
            elif b"/manifests/" in line:
                try:
                    self._take(msgspec.json.decode(line, type=_Line))
                except UNREADABLE:
                    self._spoilt(name, number)
        self._lines += number

    def evidence(self) -> LogEvidence:
        """Return what was read."""
        grouped: dict[tuple[str, str, str, How, str], dict[Fetch | None, list[str]]] = {}
        for case in self._cases:
            how, reason = self._judge(case)
            key = str(case.running.reference), case.running.node, case.running.digest or "", how, reason
            grouped.setdefault(key, {}).setdefault(case.found.get(how), []).append(case.running.place)
        shown = [
            Shown(image, node, digest, how, tuple(sorted(places)), fetch, reason)
            for (image, node, digest, how, reason), found in sorted(grouped.items(), key=lambda item: item[0])
            for fetch, places in found.items()
        ]
        return LogEvidence(
            self._lines,
            self._manifests,
            self._begins,
            self._ends,
            self._damaged,
            tuple(self._damaged_lines),
            tuple(shown),
        )

    def fetched(self) -> frozenset[tuple[str, str]]:
        """Return the keys of the containers whose node fetched their manifest here."""
        return frozenset(case.running.key for case in self._cases if "fetched" in case.found)

    def _spoilt(self, name: str, number: int) -> None:
        self._damaged += 1
        if len(self._damaged_lines) < _NAMED:
            self._damaged_lines.append(f"{name}:{number}")

    def _take(self, line: _Line) -> None:
        if line.event != "request":
            return
        self._manifests += 1
        at = line.timestamp.astimezone(UTC)
        self._begins = at if self._begins is None else min(at, self._begins)
        self._ends = at if self._ends is None else max(at, self._ends)
        if line.status != 200 or line.method not in ("GET", "HEAD") or not _RUNTIME.match(line.agent):
            return
        if line.digest not in self._by_digest:
            return
        client = _address(line.client)
        fetch = Fetch(line.digest, line.repository, line.client, line.agent, at)
        if client in self._nodes:
            for case in self._by_node.get((line.digest, client), ()):
                case.note("fetched" if line.method == "GET" else "asked", fetch)
        elif line.method == "GET":
            before = self._earliest.get(line.digest)
            if before is None or at < before.at:
                self._earliest[line.digest] = fetch

    def _judge(self, case: _Case) -> tuple[How, str]:
        for digest in case.digests:
            other = self._earliest.get(digest)
            if other and (case.until is None or other.at < case.until + _ROUNDING):
                case.found.setdefault("other", other)
        for how in ("fetched", "asked", "other"):
            if how in case.found:
                return how, ""
        if not case.digests:
            return "silent", "its node reports no digest"
        if self._begins is None:
            return "silent", "the log tells of no manifest"
        if case.until and case.until < self._begins:
            return "silent", "it started before the log begins"
        return "silent", "no runtime fetched its manifest before it started: its node had it already, or from elsewhere"


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines; of one that is longer than any the registry writes, only its beginning."""
    while line := file.readline(_LONGEST):
        whole = line
        while len(line) == _LONGEST and not line.endswith(b"\n"):
            line = file.readline(_LONGEST)
        yield whole


@lru_cache(maxsize=4096)
def _address(text: str) -> str:
    """Write an address in one way; an IPv4 address that came by way of IPv6 is itself."""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except ValueError:
        return None
