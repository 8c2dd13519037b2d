"""How long a registry asks one to wait."""

from datetime import UTC, datetime

_EPOCH_FROM = 1_000_000_000
"""A number this large is a moment, not a wait: hub.docker.com sends Unix time (docker/hub-feedback 2459)."""


def parse_retry_after(header: str, now: datetime) -> float | None:
    """Return the seconds to wait from now: seconds, an HTTP date (RFC 9110 section 10.2.3) or Unix time; None: unreadable."""
    text = header.strip()
    if text.isascii() and text.isdigit() and len(text) <= 12:
        number = float(text)
        return max(0.0, number - now.timestamp()) if number >= _EPOCH_FROM else number
    from email.utils import parsedate_to_datetime  # brings the mail parser along, for a header that is rare

    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
