"""Change a text at given places and leave every other character as it is."""

from collections.abc import Iterable

import msgspec

from homeport.errors import UnprovenError


class Splice(msgspec.Struct, frozen=True, order=True):
    """Characters `start` to `end` become `text`; an insertion has both equal."""

    start: int
    end: int
    text: str


def splice(text: str, splices: Iterable[Splice]) -> str:
    """Apply splices that do not overlap, those at one place in the order given; the string is built once."""
    pieces: list[str] = []
    at = 0
    for change in sorted(splices, key=lambda change: (change.start, change.end)):
        if change.start < at:
            raise UnprovenError(f"two edits overlap at character {change.start}")
        pieces += (text[at : change.start], change.text)
        at = change.end
    return "".join((*pieces, text[at:]))


def respell(raw: str, old: str, new: str) -> str | None:
    """Return a scalar's raw text with another value, in the same style; None where its spelling allows no safe edit.

    `raw` may begin with an anchor or a tag, which stay. `new` is an image name: no style needs to escape it.
    """
    for quote in ('"', "'"):
        if raw.endswith(quote):
            if raw.endswith(f"{quote}{old}{quote}"):
                return f"{raw[: -len(old) - 2]}{quote}{new}{quote}"
            # The old value was written with escapes; without an anchor or a tag the whole scalar is its quotes.
            return f"{quote}{new}{quote}" if raw.startswith(quote) else None
    header, line_end, body = raw.partition("\n")
    if line_end:
        # A block scalar: the value stands in one line below its indicator.
        return f"{header}\n{body.replace(old, new)}" if body.strip() == old else None
    if not raw.endswith(old):
        return None
    # An IPv6 host begins with a bracket, which begins a list in a plain scalar.
    return raw[: len(raw) - len(old)] + (f'"{new}"' if new.startswith("[") else new)
