"""The tree of commands; each lives in a module of its own that is imported when it is called."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, UnknownCommandError

from homeport import __version__
from homeport.cli.commands import COMMANDS, SUMMARY
from homeport.cli.plain_help import PlainHelp
from homeport.errors import HomeportError, UsageError

DONE, WRONG, NOT_STARTED, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: all done; done, but something failed or is wrong; nothing could be started; ^C."""


def build_app() -> App:
    """Return the tree of commands, none of them imported yet."""
    app = App(
        name="homeport",
        help=SUMMARY,
        version=f"homeport {__version__}",
        help_format="plaintext",
        help_formatter=PlainHelp(),
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    for name, sentence in COMMANDS.items():
        attribute = name.replace("-", "_")
        app.command(f"homeport.cli.{attribute}:{attribute}", name=name, help=sentence)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors go to stderr in one or two lines."""
    try:
        return build_app()(arguments) or DONE
    except UnknownCommandError:
        complain(_unknown_command(arguments[0]))
        return NOT_STARTED
    except CycloptsError as error:
        complain(UsageError(str(error).strip(), hint=f"`homeport {arguments[0]} --help` shows how it is called."))
        return NOT_STARTED
    except UsageError as error:
        complain(error)
        return NOT_STARTED
    except HomeportError as error:
        complain(error)
        return WRONG
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has gone (head, less); the interpreter must not complain while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def complain(error: HomeportError) -> None:
    """Print an error and what to do next."""
    print(f"error: {error}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)


def _unknown_command(name: str) -> UsageError:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return UsageError(
        f"there is no command {name!r}",
        hint=f"Did you mean {near[0]}?" if near else "`homeport --help` lists the commands.",
    )
