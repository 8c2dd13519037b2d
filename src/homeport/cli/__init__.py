"""What a person types: parse, call, render. The only room that prints or exits."""

import gc
import os
import sys


def main() -> None:
    """Run `homeport` and exit with the code of the design."""
    arguments = sys.argv[1:]
    if arguments in ([], ["--help"], ["-h"], ["--version"]):
        print(_greeting(arguments))
        return
    # Modules are no garbage: looking for some among them, every 700 objects while they load, takes 10 ms.
    gc.set_threshold(50_000)
    from homeport.cli.app import run

    _end(run(arguments))


def _end(code: int) -> None:
    """End the process at once: nobody is served by 20 ms of taking everything apart first."""
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except BrokenPipeError:
        pass
    except OSError as error:
        print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
        code = code or 1
    os._exit(code)


def _greeting(arguments: list[str]) -> str:
    """Answer the commonest calls without importing the command line's library (0.1 s)."""
    if arguments == ["--version"]:
        from homeport import __version__

        return f"homeport {__version__}"
    from homeport.cli.commands import help_text

    return help_text()
