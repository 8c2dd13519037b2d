"""Several processes that serve one store on one port; the kernel spreads connections over them."""

import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from types import FrameType
from typing import Final

RESTARTS: Final = 100
"""After so many workers that ended by themselves, something is wrong for good."""

_ENDINGS = (signal.SIGTERM, signal.SIGINT)


def run_workers(count: int, serve: Callable[[int, Callable[[], None]], None], on_ready: Callable[[], None]) -> bool:
    """Run `serve(number, ready)` in `count` processes until a signal ends them; False if they ended by themselves.

    A worker that dies is replaced. Nothing is lost with it but its running requests: all state is in the store.
    """
    reader, writer = os.pipe()
    children: dict[int, int] = {}
    stopping = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        for child in children:
            with suppress(ProcessLookupError):  # it has ended, and was waited for just now
                os.kill(child, number)

    def start(number: int) -> None:
        # A signal must find a child either with its own handlers, or not at all.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
        child = os.fork()
        if not child:
            _run_child(lambda: serve(number, lambda: os.close(_told(writer))), before)
        children[child] = number
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    for ending in _ENDINGS:
        signal.signal(ending, stop)
    for number in range(count):
        start(number)
    for _ in range(count):
        if os.read(reader, 1) != b".":
            break
    if not stopping:
        on_ready()
    restarts = 0
    while children:
        child, _ = os.wait()
        number = children.pop(child)
        if not stopping and restarts < RESTARTS:
            restarts += 1
            start(number)
    return stopping


def _told(writer: int) -> int:
    os.write(writer, b".")
    return writer


def _run_child(serve: Callable[[], None], mask: Iterable[int]) -> None:
    """Run a worker and leave the process without coming back into its parent's code."""
    code = 1
    try:
        for ending in _ENDINGS:
            signal.signal(ending, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        serve()
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)
