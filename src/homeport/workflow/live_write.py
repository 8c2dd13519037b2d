"""Make planned changes of one live object, or take them back: on the object as it is by then, with nobody's work lost.

Operators write the status of what they look after again and again, so what was read for the plan is old when its turn comes.
"""

from collections.abc import Collection
from typing import Any, Final

import msgspec

from homeport.cluster.api import Api, ConflictError
from homeport.cluster.changes import Change, State, configuration, operations, state_of, value_at
from homeport.cluster.owners import is_person
from homeport.errors import ClusterError
from homeport.workflow.live_changes import Wanted, fields_of, is_built_in, word

_TRIES: Final = 5


def change(api: Api, step: Wanted, *, dry_run: bool = False, take_over: Collection[str] = ()) -> None:
    """Make the changes of an object as it was read; raises ConflictError and ClusterError.

    Fields are taken over from people's tools, and from the field managers that `take_over` names.
    """
    if not is_built_in(step.key):
        api.patch(step.value, operations(step.value, step.changes), dry_run=dry_run)
        return
    wanted = configuration(step.value, fields_of(step))
    try:
        api.apply(wanted, dry_run=dry_run)
    except ConflictError as error:
        if not error.managers or strangers(error, take_over):
            raise
        api.apply(wanted, force=True, dry_run=dry_run)


def strangers(error: ConflictError, take_over: Collection[str] = ()) -> list[str]:
    """Return the field managers of a conflict that go on setting their fields."""
    return [name for name in error.managers if not is_person(name) and name not in take_over]


def change_now(api: Api, step: Wanted, take_over: Collection[str] = ()) -> bool:
    """Make those changes of an object that are still to be made; tell whether there were any.

    Raises ClusterError where a field is by now neither what it was nor what it is to be, or the object is gone.
    """
    for _ in range(_TRIES):
        found, pending = _pending(api, step, "old")
        if not pending:
            return False
        try:
            change(api, msgspec.structs.replace(step, value=found, changes=pending), take_over=take_over)
        except ConflictError as error:
            if error.managers:
                raise
        else:
            return True
    raise _busy(step)


def patch_now(api: Api, step: Wanted, *, undo: bool = False) -> bool:
    """Make changes by a JSON patch, or take them back; as `change_now`."""
    for _ in range(_TRIES):
        found, pending = _pending(api, step, "new" if undo else "old")
        if not pending:
            return False
        try:
            api.patch(found, operations(found, pending, undo=undo))
        except ConflictError:
            continue
        return True
    raise _busy(step)


def _pending(api: Api, step: Wanted, before: State) -> tuple[dict[str, Any], tuple[Change, ...]]:
    found = api.get(api.path(step.value))
    if found is None or found["metadata"].get("deletionTimestamp"):
        raise ClusterError(f"{step.key} was deleted before it could be changed", hint="Run the same command again.")
    states = [(it, state_of(found, it)) for it in step.changes]
    for each, state in states:
        if state == "other":
            now = word(value_at(found, each.path))
            raise ClusterError(
                f"{step.key} {each.where} was changed by somebody else meanwhile: it is {now} now",
                status=409,
                hint="Run the same command again: it looks at what is there now.",
            )
    return found, tuple(it for it, state in states if state == before)


def _busy(step: Wanted) -> ClusterError:
    return ClusterError(
        f"{step.key} is changed by somebody else again and again: {_TRIES} tries to change it met another writer",
        status=409,
        hint="Run the same command again when it is at rest.",
    )
