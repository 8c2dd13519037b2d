"""What has to change in one live object, so that it pulls from the target. Pure: an object in, changes out."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from homeport.cluster.changes import Change, Path, adding, by_name, read_path, value_at
from homeport.cluster.owners import owner_of
from homeport.discovery.findings import Finding, ObjectKey
from homeport.discovery.kinds import pod_spec_path
from homeport.discovery.knowledge import Knowledge, group_of
from homeport.discovery.tree import dig, text_of, write_path
from homeport.discovery.walk import ImpliedPlace, Walk
from homeport.mapping import Mapping as NameMapping
from homeport.reference import Reference

ROLLED: Final = ("Deployment", "StatefulSet", "DaemonSet")
_REPLACED: Final = (*ROLLED, "CronJob")
_FIXED: Final = {
    "Pod": "a pod of its own is not changed: delete it, and create it from the relocated manifest",
    "Job": "a Job's pods cannot be changed: delete it, and create it from the relocated manifest",
    "ReplicaSet": "its pods would not be replaced: change its manifest, and delete its pods",
    "ReplicationController": "its pods would not be replaced: change its manifest, and delete its pods",
    "PodTemplate": "nothing tells when it is used: change its manifest",
}


class Left(msgspec.Struct, frozen=True):
    """An image that goes on being pulled from elsewhere, and why nothing was done about it."""

    object: ObjectKey
    path: str
    image: str
    reason: str


class Wanted(msgspec.Struct, frozen=True, eq=False):
    """An object, its changes, and all fields that are to be owned by server-side apply; none for custom resources.

    `account` is the service account whose pods need the pull secret, because the object names no list of its own.
    """

    value: dict[str, Any]
    key: ObjectKey
    changes: tuple[Change, ...] = ()
    fields: dict[Path, Any] = {}
    account: str = ""
    left: tuple[Left, ...] = ()

    @property
    def is_at_target(self) -> bool:
        """Whether it pulls anything from the target, now or with the changes."""
        return bool(self.fields)


class Rules(msgspec.Struct, frozen=True, eq=False):
    """What objects are to become: the images that are brought and their new names, and the pull secret."""

    mapping: NameMapping
    brought: frozenset[Reference]
    knowledge: Knowledge
    secret: str = ""

    def relocated(self, reference: Reference, *, is_open: bool) -> Reference | None:
        """Return the new name, None for what is not brought. An open name stands for all tags of its repository."""
        target = self.mapping.relocate(reference)
        if target == reference:
            return target
        if is_open:
            return target if any(it.name == reference.name for it in self.brought) else None
        return target if reference.pinned in self.brought else None


def wanted_of(value: dict[str, Any], noted: Walk, rules: Rules) -> Wanted:
    """Return what an object should become; what cannot be changed here is left with a reason."""
    key = _key(value)
    reason = _why_not(value)
    changes: list[Change] = []
    fields: dict[Path, Any] = {}
    left: list[Left] = []
    for finding in noted.findings:
        target = rules.relocated(finding.reference, is_open=finding.open)
        path = by_name(value, (*read_path(finding.path), *_repository_of(finding, key, rules.knowledge)))
        if target is None:
            left.append(Left(key, finding.path, finding.text, "it is not among the images that are brought"))
            continue
        old = value_at(value, path)
        new = str(target) if finding.parts[0].role == "reference" else target.name
        if target == finding.reference:
            fields[path] = old
        elif reason:
            left.append(Left(key, finding.path, finding.text, reason))
        else:
            fields[path] = new
            changes.append(Change(path, old, new))
    for place in noted.implied if not reason else ():
        for change in _named(place, rules):
            changes.append(change)
            fields[change.path] = change.new
    if reason:
        return Wanted(value, key, left=tuple(left))
    account = ""
    if rules.secret and fields:
        own = [place.path for place in noted.secrets if place.names or not is_built_in(key)]
        account = "" if own or not noted.secrets else _account_of(value, noted.secrets[0].path)
        for path in own:
            fields[(*path, f"[{rules.secret}]")] = {"name": rules.secret}
            changes += _listed(value, path, rules.secret)
    return Wanted(value, key, tuple(changes), fields, account, tuple(left))


def lend(account: Mapping[str, Any], secret: str) -> tuple[Change, ...]:
    """Return the change with which a service account lends a pull secret, none where it does already."""
    return tuple(_listed(account, ("imagePullSecrets",), secret))


def is_built_in(key: ObjectKey) -> bool:
    """Tell whether server-side apply knows an object's lists by the names of their items."""
    return pod_spec_path(key) is not None


def _why_not(value: Mapping[str, Any]) -> str:
    """Say why an object is not changed here; empty where it is."""
    if owner := owner_of(value):
        return str(owner)
    return _FIXED.get(value["kind"], "") if pod_spec_path(_key(value)) else ""


def _named(place: ImpliedPlace, rules: Rules) -> Iterator[Change]:
    """Name an image that an object pulls without naming it."""
    implied, field = place.implied, place.implied.field
    target = rules.relocated(implied.reference, is_open=False) if implied.reference else None
    if target is None:
        return
    spec = {field.repository: target.name, field.tag: target.tag}
    if dig(place.root, field.path) is None:
        yield adding(place.root, field.path, {name: value for name, value in spec.items() if value})
        return
    for name, value in spec.items():
        if value and not text_of(dig(place.root, (*field.path, name))):
            yield adding(place.root, (*field.path, name), value)


def _account_of(value: Mapping[str, Any], path: tuple[str | int, ...]) -> str:
    """Return the service account that lends the pull secret where a pod lists none.

    A list of its own would take from a pod what its service account lends (plugin/pkg/admission/serviceaccount).
    """
    return text_of(dig(value, (*path[:-1], "serviceAccountName"))) or "default"


def _listed(value: Mapping[str, Any], path: tuple[str | int, ...], secret: str) -> Iterable[Change]:
    where = (*path, f"[{secret}]")
    return () if value_at(value, where) else (Change(where, None, {"name": secret}),)


def _repository_of(finding: Finding, key: ObjectKey, knowledge: Knowledge) -> tuple[str, ...]:
    """Return the key under which a split name keeps its repository."""
    if finding.parts[0].role == "reference":
        return ()
    for field in knowledge.images:
        if (field.group, field.kind) == (group_of(key.api_version), key.kind) and write_path(
            field.path
        ) == finding.path:
            return (field.repository,)
    return ("repository",)


def _key(value: Mapping[str, Any]) -> ObjectKey:
    metadata = value["metadata"]
    return ObjectKey(value["apiVersion"], value["kind"], metadata.get("namespace", ""), metadata["name"])
