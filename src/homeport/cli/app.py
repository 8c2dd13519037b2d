"""The tree of commands; each lives in a module of its own that is imported when it is called."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from homeport import __version__
from homeport.errors import HomeportError, UsageError

DONE, WRONG, NOT_STARTED, INTERRUPTED = 0, 1, 2, 130
"""Exit codes: all done; done, but something failed or is wrong; nothing could be started; ^C."""

_COMMANDS = {
    "scan": "Find where images come from: manifests or a live cluster, grouped by registry.",
    "serve": "Run a private registry.",
    "mirror": "Bring images to a registry under the same tags and digests.",
    "relocate": "Point manifests at a registry.",
    "secret": "Make pull secrets.",
    "limits": "Show Docker Hub's pull quota, and what a mirror would count.",
    "verify": "Prove that everything is at the registry and nothing is pulled from elsewhere.",
    "plan": "Show what `apply` would do, from homeport.yaml; changes nothing.",
    "apply": "Do the whole job of homeport.yaml; doing it again does nothing.",
}


def build_app() -> App:
    """Return the tree of commands, none of them imported yet."""
    app = App(
        name="homeport",
        help="Run Kubernetes applications from a registry of your own.",
        version=f"homeport {__version__}",
        help_formatter="plain",
        print_error=False,
        exit_on_error=False,
        result_action="return_value",
    )
    for name, sentence in _COMMANDS.items():
        app.command(f"homeport.cli.{name}:{name}", name=name, help=sentence)
    return app


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; errors go to stderr in one or two lines."""
    try:
        return build_app()(arguments) or DONE
    except CycloptsError as error:
        complain(UsageError(str(error), hint="Run the command with --help to see how it is called."))
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def complain(error: HomeportError) -> None:
    """Print an error and what to do next."""
    print(f"error: {error}", file=sys.stderr)
    if error.hint:
        print(f"  {error.hint}", file=sys.stderr)
