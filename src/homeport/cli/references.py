"""Which images a command is about: named on the command line, line by line on stdin, or found by a scan."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from homeport.errors import InvalidReferenceError, UsageError
from homeport.oci.unreadable import UNREADABLE
from homeport.reference import Reference

STDIN = "-"
_OPEN = "open:"


class Named(msgspec.Struct, frozen=True):
    """Images to work on; `open` are repositories whose tag comes from elsewhere, `warnings` sentences for a person."""

    references: tuple[Reference, ...] = ()
    open: tuple[Reference, ...] = ()
    warnings: tuple[str, ...] = ()

    def __add__(self, other: "Named") -> "Named":
        return Named(self.references + other.references, self.open + other.open, self.warnings + other.warnings)


class _Found(msgspec.Struct):
    reference: str
    open: bool = False


class _Scan(msgspec.Struct):
    images: list[_Found]
    unresolved: list[object] = []
    errors: list[object] = []


def read_references(arguments: Iterable[str], from_scan: Path | None, *, optional: bool = False) -> Named:
    """Read the names that were typed, ``-`` for those on stdin, and a scan's report; raises UsageError.

    `optional` says that there may be none, as there is another source of them.
    """
    arguments = tuple(arguments)
    if not arguments and from_scan is None and not optional:
        raise UsageError("no image is named", hint="Name images, or - to read them from stdin, or --from-scan FILE.")
    named = Named()
    for argument in arguments:
        named += _read_lines(sys.stdin, "stdin") if argument == STDIN else _one(argument, "")
    return named if from_scan is None else named + _read_scan(from_scan)


def _read_lines(lines: Iterable[str], name: str) -> Named:
    named = Named()
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            named += _one(text, f"{name}, line {number}: ")
    return named


def _read_scan(file: Path) -> Named:
    name = "stdin" if str(file) == STDIN else str(file)
    try:
        report = msgspec.json.decode(
            sys.stdin.buffer.read() if str(file) == STDIN else file.read_bytes(), type=_Scan, strict=True
        )
    except OSError as error:
        raise UsageError(f"--from-scan {name}: {error.strerror}") from None
    except UNREADABLE as error:
        raise UsageError(
            f"--from-scan {name} is not the report of a scan: {error}",
            hint="Make one: homeport scan SOURCE... -o json > scan.json",
        ) from None
    named = Named(warnings=tuple(_warnings(report, name)))
    for found in report.images:
        named += _one(f"{_OPEN} {found.reference}" if found.open else found.reference, f"{name}: ")
    return named


def _one(text: str, place: str) -> Named:
    if text.startswith("-"):
        raise UsageError(f"{place}unknown option: {text}", hint="`homeport mirror --help` shows how it is called.")
    is_open = text.startswith(_OPEN)
    try:
        reference = Reference.parse(text.removeprefix(_OPEN).strip())
    except InvalidReferenceError as error:
        raise UsageError(f"{place}{error}", hint=error.hint) from None
    return Named(open=(reference,)) if is_open else Named((reference,))


def _warnings(report: _Scan, name: str) -> Iterator[str]:
    if report.unresolved:
        yield f"{name}: {len(report.unresolved)} places name no image that could be read; they are not among these"
    if report.errors:
        yield f"{name}: {len(report.errors)} inputs could not be read; their images are not among these"
