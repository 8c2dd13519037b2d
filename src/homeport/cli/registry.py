"""`homeport registry`: look after a registry's directory and its users."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from homeport.cli.app import DONE, WRONG
from homeport.errors import UsageError

registry = App(name="registry", help="Look after a registry of your own: check, gc, user.", help_format="plaintext")
_user = App(name="user", help="Add users to an htpasswd file.", help_format="plaintext")
registry.command(_user)

Flag = Annotated[bool, Parameter(negative="")]


@registry.command
def gc(data: Path, *, dry_run: Flag = False, grace: str = "2h", untagged: tuple[str, ...] = ()) -> int:
    """Remove what nothing names any more; the registry may serve meanwhile.

    Parameters
    ----------
    data
        The directory of the registry.
    dry_run
        Say what would be removed; remove nothing.
    grace
        What was touched since stays, whatever names it: a number and s, m, h or d, one hour at least.
    untagged
        Also remove untagged manifests of repositories like this (`team/*`, `**`), unless something kept names them.
    """
    from homeport.server.config import seconds
    from homeport.store.collection import Policy, collect

    try:
        policy = Policy(grace=seconds(grace), untagged=untagged, dry_run=dry_run)
    except ValueError as error:
        raise UsageError(str(error), hint="For example --grace 24h.") from None
    done = collect(_layout(data), policy)
    for manifest in done.manifests:
        print(manifest)
    print(f"{'would remove' if dry_run else 'removed'}: {done}", file=sys.stderr)
    return WRONG if done.unreadable else DONE


@registry.command
def check(data: Path, *, repair: Flag = False) -> int:
    """Read everything and name every damage, a line each; the registry may serve meanwhile.

    Parameters
    ----------
    data
        The directory of the registry.
    repair
        Mend what can be: spoilt files go to DATA/spoilt, so that a push brings them anew; void tags go.
    """
    from homeport.store.check import check_store

    left = 0
    for damage in check_store(_layout(data), repair=repair):
        left += not damage.repaired
        print(damage)
    return WRONG if left else DONE


@_user.command
def add(name: str, *, htpasswd: Path) -> int:
    """Add a user, or change a password, which is read from stdin.

    Parameters
    ----------
    name
        The user.
    htpasswd
        The file of users; it is made if there is none.
    """
    from homeport.server.login import add_user

    if sys.stdin.isatty():
        from getpass import getpass

        password = getpass(f"password of {name}: ")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    add_user(htpasswd, name, password)
    print(f"{name} can log in", file=sys.stderr)
    return DONE


def _layout(data: Path):  # type: ignore[no-untyped-def]  # noqa: ANN202 - the store is imported when it is needed
    from homeport.store.layout import Layout

    layout = Layout(data)
    if not layout.check():
        raise UsageError(f"{data} is not a registry", hint="Name the directory that `homeport serve --data` has.")
    return layout
