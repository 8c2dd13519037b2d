"""Names in the `data` of Secrets, rewritten in base64: on wish alone, and nothing of the contents is shown but names of images.

What is encoded cannot be spliced by characters; so a Secret's texts are relocated, and proved, as a text of their own, and each value
that changed is encoded again in the form that it had.
"""

import base64
import json
import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from homeport.discovery.documents import parse_documents
from homeport.discovery.inputs import Source
from homeport.discovery.secrets import Decoded, decoded_secrets
from homeport.errors import UnprovenError
from homeport.relocation.relocate import Edit, Relocated
from homeport.relocation.splice import Splice, respell, splice
from homeport.relocation.sweep import Left

_LINE: Final = re.compile(r"([ \t]*)(\S+)")


def relocate_secrets(source: Source, done: Relocated, relocate: Callable[[Source], Relocated]) -> Relocated:
    """Return a result with the names in its Secrets' `data` rewritten, too.

    `relocate` rewrites and proves a text of its own. Raises UnprovenError, and what `relocate` raises.
    """
    changes: list[Splice] = []
    edits: list[Edit] = []
    references = set(done.references)
    wanted: list[dict[str, str]] = []
    now = msgspec.structs.replace(source, text=done.text)
    for secret in _secrets(now):
        result = relocate(Source(source.name, json.dumps(secret.value)))
        wanted.append(json.loads(result.text)["data"])
        changes += _changes(now, secret, wanted[-1])
        edits += (msgspec.structs.replace(it, line=secret.line(it.path)) for it in result.edits)
        references.update(result.references)
    text = splice(done.text, changes)
    if [secret.value["data"] for secret in _secrets(msgspec.structs.replace(source, text=text))] != wanted:
        raise UnprovenError(f"{source.name}: the Secrets' data does not read as planned, so it is not written")
    everything = tuple(sorted(references, key=str))
    return msgspec.structs.replace(done, text=text, edits=(*done.edits, *edits), references=everything)


def left_in_secrets(source: Source, sweep: Callable[[str], list[Left]]) -> list[Left]:
    """Say in which values of Secrets `sweep` finds something, and not what: that may be a secret."""
    return [
        Left(source.name, secret.scalars[key].line, f"data.{key}", reason)
        for secret in _secrets(source)
        for key, text in secret.value["data"].items()
        for reason in dict.fromkeys(it.reason for it in sweep(text))
    ]


def _secrets(source: Source) -> Iterator[Decoded]:
    for document in parse_documents(source):
        yield from decoded_secrets(document.root)


def _changes(source: Source, secret: Decoded, after: dict[str, str]) -> Iterator[Splice]:
    for key, scalar in secret.scalars.items():
        if after[key] != secret.value["data"][key]:
            new = base64.b64encode(after[key].encode()).decode()
            raw = source.text[scalar.start : scalar.end]
            text = _wrapped(raw, new) if "\n" in raw.strip() else respell(raw, str(scalar), new)
            if text is None or scalar.alias:
                raise UnprovenError(
                    f"{source.name}:{scalar.line}: data.{key} is written in a way that cannot be edited"
                )
            yield Splice(scalar.start, scalar.end, text)


def _wrapped(raw: str, new: str) -> str | None:
    """Write base64 into a block scalar, in lines as long as those that are there."""
    header, end, body = raw.partition("\n")
    first = _LINE.match(body)
    if not header.rstrip().endswith(("|", "|-", "|+")) or first is None:
        return None
    margin, width = first[1], len(first[2])
    lines = (new[at : at + width] for at in range(0, len(new), width))
    stop = body[len(body.rstrip()) :]
    return header + end + ("\r\n" if "\r\n" in raw else "\n").join(margin + line for line in lines) + stop
