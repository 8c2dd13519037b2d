"""Pages beside the registry's own, for those who run it: no login, and nothing in them that a client named."""

import os
from asyncio import to_thread

from homeport.server.metrics import Metrics
from homeport.server.replies import Reply
from homeport.store.layout import Layout

PATHS = frozenset({b"/healthz", b"/readyz", b"/metrics"})
MIN_FREE_BYTES = 16 << 20


async def answer_health(path: bytes, metrics: Metrics | None, layout: Layout | None) -> Reply:
    """Say that the process lives, whether the store takes pushes, or what was counted."""
    text = (("content-type", "text/plain; charset=utf-8"), ("cache-control", "no-store"))
    if path == b"/metrics":
        return Reply(200, text, await to_thread(metrics.text)) if metrics else Reply(404, text, b"no metrics\n")
    if path == b"/readyz" and layout and (problem := await to_thread(_problem, layout)):
        return Reply(503, text, f"{problem}\n".encode())
    return Reply(200, text, b"ok\n")


def _problem(layout: Layout) -> str:
    if not os.access(layout.staging, os.W_OK):
        return "the data directory cannot be written to"
    space = os.statvfs(layout.staging)
    return "the disk is full" if space.f_bavail * space.f_frsize < MIN_FREE_BYTES else ""
