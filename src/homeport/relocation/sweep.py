"""A second look at a rewritten text that shares nothing with the first: plain text, no YAML, no knowledge of fields.

The scan that proves a relocation reads with the same eyes that planned it; what they do not see, they do not miss. The sweep looks at
words instead. Comments, descriptions, examples and the last applied configuration pull nothing and are passed over.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from homeport.errors import InvalidReferenceError
from homeport.mapping import Mapping
from homeport.reference import DOCKER_HUB, Reference, split_registry

_WORD: Final = re.compile(r"[\w.:/@+\-\[\]]+")
_PULLED: Final = re.compile(r"(?:docker|docker-pullable|oci|ostree-unverified-registry|cri-o)://")
_ESCAPE: Final = re.compile(r"\\[nrt]")
_COMMENT: Final = re.compile(r"""(?:^|(?<=\s))\#|"(?:[^"\\]|\\.)*"|(?<![\w)])'[^']*'""")
_PROSE_KEYS: Final = (
    r"description|_?examples?|alm-examples|[\w.-]+\.example|kubectl\.kubernetes\.io/last-applied-configuration"
)
_PROSE: Final = re.compile(rf"""( *(?:- +)*)["']?(?:{_PROSE_KEYS})["']?:(?:\s|$)""")
_PROSE_IN_JSON: Final = re.compile(rf'"(?:{_PROSE_KEYS})"\s*:\s*"(?:[^"\\]|\\.)*"')
_IMAGE_KEY: Final = re.compile(r"""(?:^|[\s"'{,\-._/])\w*[iI]mage\\?["']?\s*[:=]\s*(?:\\?["'])?$""")
_VALUE: Final = re.compile(r"""(?:^|[:=,\[(]|-\s)\s*\\?["']?$""")
_KEY_END: Final = re.compile(r"""\\?["']?\s*:(?:\s|$|[{\[])""")
_NAMED_TAGS: Final = frozenset({"latest", "stable", "main", "master", "edge", "nightly", "dev"})
_NEAR: Final = 6


class Left(msgspec.Struct, frozen=True):
    """A word of a rewritten text that does not name the target; lines count from 1."""

    source: str
    line: int
    text: str
    reason: str


def sweep(name: str, text: str, mapping: Mapping, sources: Iterable[Reference]) -> list[Left]:
    """List what still names a source's host, a repository that was mapped, or an image that is not at the target."""
    look = _Look(mapping, sources)
    lines = text.split("\n")
    found: dict[tuple[int, str], Left] = {}
    for number in look.lines(text):
        code = _code(lines[number])
        for match in _WORD.finditer(code):
            word, reason = look.judge(code, match.start(), match.group(), lines, number)
            if reason and not _is_prose(lines, number):
                found.setdefault((number, word), Left(name, number + 1, word, reason))
    return list(found.values())


class _Look:
    """What to look for, from the images that were relocated."""

    def __init__(self, mapping: Mapping, sources: Iterable[Reference]) -> None:
        self.mapping = mapping
        moved = [it for it in dict.fromkeys(sources) if not mapping.holds(it)]
        self.hosts = {it.registry for it in moved}
        self.repositories = {it.repository: it for it in moved if "/" in it.repository}
        self.homes = tuple(f"{home}/" for home in (mapping.target, *(it.home for it in mapping.redirects)))

    def lines(self, text: str) -> list[int]:
        """Return the lines, counted from 0, that may hold something: with a slash, a host, or the word image."""
        places = {at for needle in ("/", "mage", *self.hosts) for at in _starts_of_lines(text, needle)}
        numbers: list[int] = []
        line = last = 0
        for at in sorted(places):
            line += text.count("\n", last, at)
            last = at
            numbers.append(line)
        return numbers

    def judge(self, code: str, start: int, word: str, lines: list[str], number: int) -> tuple[str, str]:
        """Say what is wrong with a word of a line, if anything."""
        end = start + len(word)
        if "://" in word:
            scheme = _PULLED.search(word)
            if not scheme:
                return word, ""
            word = word[scheme.end() :]
        key = word.endswith(":") or bool(_KEY_END.match(code, end))
        word = word.rstrip(".:").removeprefix("[").removesuffix("]")
        if key or word.startswith(self.homes) or not word.strip("./:@-"):
            return word, ""
        return word, self._reason(word, code[:start], code[end : end + 1], lines, number)

    def _reason(self, word: str, before: str, after: str, lines: list[str], number: int) -> str:
        host, slash, rest = word.partition("/")
        if slash and rest and self._is_source(host):
            return f"{host} is a source registry"
        if word in self.hosts and _VALUE.search(before):
            return f"{word} is a source registry"
        name = re.split("[:@]", word, maxsplit=1)[0]
        if name in self.repositories and not self._beside_target(lines, number):
            return f"{self.repositories[name].name} was relocated"
        if name == word:
            return ""
        try:
            reference = Reference.parse(word)
        except InvalidReferenceError:
            return ""
        if after in {"*", "$", "{"} or self.mapping.holds(reference) or not (reference.tag or reference.digest):
            return ""
        hosted = bool(slash) and split_registry(word, "")[0] != ""
        if hosted and (reference.digest or _is_version(reference.tag or "")):
            return "this image is not at the target"
        if _IMAGE_KEY.search(before) and not self._beside_target(lines, number):
            return "this image is not at the target"
        return ""

    def _is_source(self, host: str) -> bool:
        return host in self.hosts or (host == "index.docker.io" and DOCKER_HUB in self.hosts)

    def _beside_target(self, lines: list[str], number: int) -> bool:
        """Tell whether a line near by holds the target's registry alone: then a name is split, and this is a part of it."""
        near = lines[max(number - _NEAR, 0) : number + _NEAR + 1]
        words = (word.rstrip("/") for line in near for word in _WORD.findall(line))
        registry = self.mapping.target.registry
        return any(word == registry or word == str(self.mapping.target) for word in words)


def _is_version(tag: str) -> bool:
    return tag in _NAMED_TAGS or any(map(str.isdigit, tag))


def _starts_of_lines(text: str, needle: str) -> Iterator[int]:
    """Yield where each line begins that holds a needle."""
    at = text.find(needle)
    while at >= 0:
        yield text.rfind("\n", 0, at) + 1
        end = text.find("\n", at)
        at = text.find(needle, end) if end >= 0 else -1


def _is_prose(lines: list[str], number: int) -> bool:
    """Tell whether a line stands at a key of prose or below one: each line above with less indentation is what it belongs to."""
    if _PROSE.match(lines[number]):
        return True
    indentation = own = _indentation(lines[number])
    above = number
    while indentation > 0 and above > 0:
        above -= 1
        line = lines[above]
        if line.strip() and (outer := _indentation(line)) < indentation:
            indentation = outer
            if (prose := _PROSE.match(line)) and len(prose[1]) < own:
                return True
    return False


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _code(line: str) -> str:
    """Return a line without its comment and the prose in it; quotes are followed within the line alone."""
    for match in _COMMENT.finditer(line):
        if match.group() == "#":
            line = line[: match.start()]
            break
    if '"' in line:
        line = _PROSE_IN_JSON.sub('""', line)
    return _ESCAPE.sub("  ", line)
