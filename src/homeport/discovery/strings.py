"""Strings that hold more than one value: arguments, lines, lists, whole documents."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from homeport.discovery.joins import Entry, Piece
from homeport.discovery.places import Text
from homeport.discovery.tree import text_of

MAX_LEVELS: Final = 8
"""How many documents deep strings are opened."""

MAX_LISTED: Final = 1_000
"""How many names one string may list."""

_FLAG: Final = re.compile(r"-{0,2}([A-Za-z][\w.-]*)=(?=.)", re.DOTALL)
_BARE_FLAG: Final = re.compile(r"--?([A-Za-z][\w.-]*)")
_LINE: Final = re.compile(
    r"""^[ \t]*(?:-[ \t]+|export[ \t]+)?["']?([A-Za-z0-9_][\w./-]*)["']?[ \t]*[:=][ \t]*["']?([^\s"'#,;]+)["']?[ \t]*[,;]?[ \t]*\r?$""",
    re.MULTILINE,
)
_SCRIPT_LINE: Final = re.compile(r"[^\r\n]+")
_SCRIPT_WORD: Final = re.compile(r"""[^\s"'`=|;&()<>,]+""")
_MAKES: Final = re.compile(
    r"^\s*#|(?<![\w./-])(?:annotate|build|curl|echo|git|grep|label|login|printf|push|rmi?|sed|tag|wget)(?![\w./-])"
)
_ITEM: Final = re.compile(r"[^\s,;]+")
_WORTH: Final = re.compile(r"image|@sha256:|repository|[a-z0-9]/[a-z0-9._-]+:\w", re.IGNORECASE)


def flags(items: Sequence[Any], text: Text) -> Iterator[Entry]:
    """Yield what arguments set: ``--flag=value``, ``NAME=value``, and a flag with the next item."""
    waiting = ""
    for index, item in enumerate(items):
        if not isinstance(item, str):
            waiting = ""
            continue
        value = text_of(item)
        match = _FLAG.match(value)
        if match is not None and "\n" not in value:
            yield Entry(match.group(1), Piece(item, text, match.end()), (index,))
        elif waiting and not value.startswith("-"):
            yield Entry(waiting, Piece(item, text), (index,))
        bare = _BARE_FLAG.fullmatch(value)
        waiting = bare.group(1) if bare is not None else ""


def lines(piece: Piece) -> Iterator[Entry]:
    """Yield ``name=value`` and ``name: value`` from the lines of a text that is no document; comments are none."""
    for match in _LINE.finditer(piece.value):
        yield Entry(match.group(1), piece.cut(match.start(2), match.end(2)), ())


def is_script(path: Sequence[str | int], text: str) -> bool:
    """Tell whether a string is a script or a command line: by its first line, its key, or the list that it stands in."""
    return " " in text and (
        text.startswith("#!") or path[-1:] == ("script",) or path[-2:-1] in (("command",), ("args",))
    )


def script_words(piece: Piece) -> Iterator[Piece]:
    """Yield the words of a script, without comments and without lines that make, push, print or edit things."""
    for line in _SCRIPT_LINE.finditer(piece.value):
        if _MAKES.search(line.group()) is None:
            for word in _SCRIPT_WORD.finditer(line.group()):
                yield piece.cut(line.start() + word.start(), line.start() + word.end())


def listed(piece: Piece) -> list[Piece]:
    """Return the items of a text that lists them, each without the ``name=`` before it; none where there are very many."""
    pieces: list[Piece] = []
    for match in _ITEM.finditer(piece.value):
        if len(pieces) == MAX_LISTED:
            return []
        start = match.start() + match.group().rfind("=") + 1
        if start < match.end():
            pieces.append(piece.cut(start, match.end()))
    return pieces


def may_hold_document(text: str) -> bool:
    """Tell whether a string is worth reading as YAML or JSON: it has the form of one and a word that speaks of images."""
    start = text.lstrip()[:1]
    return (start in ("{", "[") or ("\n" in text and ":" in text)) and bool(_WORTH.search(text))
