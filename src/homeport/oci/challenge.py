"""What a 401 asks for: the WWW-Authenticate header (RFC 9110 sections 5.6 and 11.6.1)."""

import re
from collections.abc import Iterable

import msgspec

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_SCHEME = re.compile(rf"\s*({_WORD})(?=\s|,|$)")
_PARAMETER = re.compile(rf'\s*({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}|[^\s,"]+))\s*(?:,|$)')
_SEPARATOR = re.compile(r"[\s,]*")
_ESCAPE = re.compile(r"\\(.)")


class Challenge(msgspec.Struct, frozen=True):
    """One way to prove who one is: a scheme in lower case and its parameters, their names in lower case."""

    scheme: str
    parameters: dict[str, str] = {}

    @property
    def realm(self) -> str:
        """For Bearer the address that hands out tokens, for Basic a text; "" where none is given."""
        return self.parameters.get("realm", "")

    @property
    def scopes(self) -> tuple[str, ...]:
        """The rights that would do, as ``type:name:actions``."""
        return tuple(self.parameters.get("scope", "").split())


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Read the challenges of one or more WWW-Authenticate headers; what is malformed ends its header."""
    return tuple(challenge for header in headers for challenge in _challenges(header))


def _challenges(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = _skip(header, 0)
    while position < len(header):
        scheme = _SCHEME.match(header, position)
        if scheme is None:
            break
        parameters, position = _parameters(header, scheme.end())
        found.append(Challenge(scheme[1].lower(), parameters))
        position = _skip(header, position)
    return found


def _parameters(header: str, position: int) -> tuple[dict[str, str], int]:
    parameters: dict[str, str] = {}
    position = _skip(header, position)
    while parameter := _PARAMETER.match(header, position):
        name, quoted, plain = parameter.groups()
        parameters.setdefault(name.lower(), plain if quoted is None else _ESCAPE.sub(r"\1", quoted))
        position = _skip(header, parameter.end())
    return parameters, position


def _skip(header: str, position: int) -> int:
    separator = _SEPARATOR.match(header, position)
    return separator.end() if separator else position
