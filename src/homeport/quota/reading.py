"""What a registry's answer says of a pull limit.

Docker Hub sends ``ratelimit-limit: 100;w=21600``, ``ratelimit-remaining: 76;w=21600`` and ``docker-ratelimit-source`` with each
manifest, on GET and HEAD; an image without them is not limited (docs.docker.com, Docker Hub pull usage and limits).
"""

import re
from collections.abc import Mapping

import msgspec

_AMOUNT = re.compile(r"\s*(\d{1,18})\s*(?:;(.*))?", re.DOTALL)
_WINDOW = re.compile(r"\s*w\s*=\s*\"?(\d{1,12})\"?\s*")


class Reading(msgspec.Struct, frozen=True):
    """A pull limit as a registry stated it: pulls, pulls left, the window in seconds (0: not said), and whom it counts."""

    limit: int
    remaining: int
    window: int = 0
    source: str = ""

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "Reading | None":
        """Read the headers of an answer (names in lower case or a case-blind mapping); None: not limited."""
        limit = _amount(headers.get("ratelimit-limit", ""))
        if limit is None:
            return None
        remaining = _amount(headers.get("ratelimit-remaining", ""))
        return cls(
            limit=limit[0],
            remaining=limit[0] if remaining is None else remaining[0],
            window=limit[1] or (remaining[1] if remaining else 0),
            source=headers.get("docker-ratelimit-source", "").strip(),
        )

    @property
    def used(self) -> int:
        """Pulls that count at present."""
        return max(0, self.limit - self.remaining)

    def __str__(self) -> str:
        hours = f" per {self.window / 3600:g} h" if self.window else ""
        return f"{self.remaining} of {self.limit} pulls{hours} left"


def _amount(header: str) -> tuple[int, int] | None:
    match = _AMOUNT.fullmatch(header)
    if match is None:
        return None
    window = next((int(found[1]) for part in (match[2] or "").split(";") if (found := _WINDOW.fullmatch(part))), 0)
    return int(match[1]), window
