"""One line for each thing worth knowing, on stderr, never a credential: key=value on a terminal, JSON elsewhere."""

import sys

import msgspec
import structlog


def log_to_stderr() -> None:
    """Send the log to stderr."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])
            if sys.stderr.isatty()
            else structlog.processors.JSONRenderer(serializer=lambda fields, **_: msgspec.json.encode(fields).decode()),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
