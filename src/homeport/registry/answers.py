"""Bad answers, said in one sentence."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from homeport.errors import (
    AuthenticationError,
    ForbiddenError,
    NotARegistryError,
    NotFoundError,
    RateLimitedError,
    RegistryError,
)
from homeport.oci.unreadable import UNREADABLE
from homeport.quota.reading import Reading
from homeport.quota.retry_after import parse_retry_after
from homeport.registry.addresses import shown
from homeport.registry.retry import Transient
from homeport.registry.transport import Response

LONGEST_TEXT = 256
_MOST_BYTES = 1 << 14
_PULL_LIMIT = re.compile(r"pull rate limit", re.IGNORECASE)
_LOGIN_LOCK = re.compile(r"too many (failed )?(log-?in|authentication) attempts|account (is )?locked", re.IGNORECASE)
_UNSTATED_WAIT = 15.0
"""Seconds to leave a registry alone that says it is asked too much, and not for how long."""
_SHORTEST_WAIT = 1.0
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_FULL = (500, 503, 507)
_NO_SPACE = re.compile(
    r"no space left|disk quota|ENOSPC|out of space|insufficient storage|quota exceeded", re.IGNORECASE
)


class _Error(msgspec.Struct):
    code: str = ""
    message: str | None = ""
    detail: object = None


class _Errors(msgspec.Struct):
    errors: list[_Error] = []
    details: object = None
    """What Docker Hub's token service says instead."""


class Refusal(msgspec.Struct, frozen=True):
    """An answer that is not what was asked for: who gave it, to what request, on whose behalf, and its text.

    `login` is the name that `docker login` takes.
    """

    host: str
    asked: str
    identity: str
    login: str
    status: int
    headers: dict[str, str]
    text: str
    is_page: bool

    @classmethod
    def of(cls, response: Response, *, host: str, asked: str, identity: str, login: str) -> "Refusal":
        """Read an answer, a limited part of it."""
        body = response.read(_MOST_BYTES)
        return cls(
            host=host,
            asked=asked,
            identity=identity,
            login=login,
            status=response.status,
            headers={name.lower(): text for name, text in response.headers.items()},
            text=error_text(body),
            is_page=is_page(response.headers, body),
        )

    def failure(self, *, now: datetime | None = None) -> Exception:
        """Return what to raise: a RegistryError, or a Transient where trying again may help."""
        wait = parse_retry_after(self.headers.get("retry-after", ""), now or datetime.now(UTC))
        if self.status in (401, 403, 429) and _LOGIN_LOCK.search(self.text):
            return self._locked()
        if self.status == 429:
            return self._too_many(wait)
        error = self._error()
        is_full = self.status in _FULL and _NO_SPACE.search(self.text)
        if self.status in (408, 500, 502, 503, 504, 522, 524) and not is_full:
            return Transient(error, wait)
        return error

    def _too_many(self, wait: float | None) -> Exception:
        reading = Reading.of(self.headers)
        if _PULL_LIMIT.search(self.text) or (reading and reading.remaining == 0):
            return used_up(f"{self.host}: {self.asked}", self.identity, f" ({reading})" if reading else "", wait)
        wait = _UNSTATED_WAIT if wait is None else max(wait, _SHORTEST_WAIT)
        error = RateLimitedError(
            self._said("too many requests in a short time"),
            host=self.host,
            retry_after=wait,
            hint=f"This is not the limit on pulls: it passes. Run the same command again in {wait:.0f} s.",
        )
        return Transient(error, wait)

    def _locked(self) -> RegistryError:
        """Say that a user may not log in for a while; each further try would prolong it (docker/hub-feedback 2201)."""
        return AuthenticationError(
            self._said(f"{self.identity} is locked out after failed logins"),
            host=self.host,
            status=self.status,
            hint=f"Wait ten minutes, then log in with the right password: docker login {self.login}",
        )

    def _error(self) -> RegistryError:
        if self.status in (400, 404, 405) and self.is_page:
            return not_a_registry(self.host, self.asked, f"a web page (status {self.status})")
        if self.status == 401:
            return AuthenticationError(
                self._said(f"not allowed for {self.identity}"), host=self.host, status=401, hint=self._login_hint()
            )
        if self.status == 403:
            return ForbiddenError(
                self._said(f"forbidden for {self.identity}"),
                host=self.host,
                status=403,
                hint="Use an account with the right to this repository (docker login), or ask for it.",
            )
        if self.status == 404:
            return NotFoundError(
                self._said("not found"),
                host=self.host,
                status=404,
                hint="Check the name and the tag, letter by letter.",
            )
        if 300 <= self.status < 400:
            elsewhere = shown(self.headers.get("location", ""))
            return RegistryError(
                f"{self.host}: {self.asked}: it sends us to {elsewhere}, where this request cannot follow",
                host=self.host,
                status=self.status,
                hint="Name the registry by the host that answers in the end.",
            )
        return RegistryError(self._said(f"status {self.status}"), host=self.host, status=self.status, hint=self._hint())

    def _said(self, what: str) -> str:
        return f"{self.host}: {self.asked}: {what}" + (f": {self.text}" if self.text else "")

    def _login_hint(self) -> str:
        if self.identity == "anonymous":
            return f"The name may be wrong or private; to log in: docker login {self.login}"
        return f"The name may be wrong, or the password out of date: docker login {self.login}"

    def _hint(self) -> str:
        if self.status in _FULL and _NO_SPACE.search(self.text):
            return "The registry's storage is full: make room there, then run the same command again."
        if self.status == 413:
            return "A proxy before the registry limits the size of requests (nginx: client_max_body_size 0)."
        if self.status >= 500:
            return "The registry or a proxy before it failed; its log says why."
        return ""


def used_up(asked: str, identity: str, left: str, wait: float | None = None) -> RateLimitedError:
    """Say that no more pulls are given for now."""
    return RateLimitedError(
        f"{asked}: the pull limit is used up for {identity}{left}",
        host=asked.partition(":")[0],
        retry_after=wait,
        hint="`homeport limits` shows the quota; log in for a larger one, or go on when the window has moved on.",
    )


def not_a_registry(host: str, asked: str, came: str) -> NotARegistryError:
    """Say that something else than a registry answered."""
    return NotARegistryError(
        f"{host}: {asked}: this is not a registry: {came} came back",
        host=host,
        hint="Check host and port; a registry answers at /v2/ of its host.",
    )


def is_page(headers: Mapping[str, str], body: bytes = b"") -> bool:
    """Tell whether an answer is for a browser."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    start = body.lstrip()[:15].lower()
    return start.startswith((b"<!doctype html", b"<html")) or (
        kind == "text/html" and not body.lstrip().startswith(b"{")
    )


def error_text(body: bytes) -> str:
    """Return what an error's body says, in one printable line of at most 256 characters; "" for pages and nothing."""
    try:
        found = msgspec.json.decode(body, type=_Errors)
        text = "; ".join(filter(None, map(_one_error, found.errors)))
        if not text and isinstance(found.details, str):
            text = found.details
    except UNREADABLE:
        text = "" if body.lstrip().startswith(b"<") else body.decode(errors="replace")
    line = " ".join(_UNPRINTABLE.sub(" ", text).split())
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 3] + "..."


def _one_error(error: _Error) -> str:
    import json  # spaced as people read it

    detail = error.detail if isinstance(error.detail, str) else json.dumps(error.detail) if error.detail else ""
    said = ": ".join(filter(None, (error.code, error.message)))
    return f"{said} ({detail})" if detail and detail not in said else said
