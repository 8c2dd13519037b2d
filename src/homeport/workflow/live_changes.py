"""What has to change in one live object, so that it pulls from the target. Pure: an object in, changes out."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import yaml

from homeport.cluster.api import FIELD_MANAGER
from homeport.cluster.changes import Change, Path, adding, by_name, differences, locate, owned_fields, value_at
from homeport.cluster.owners import controller, owner_of, tool_of
from homeport.discovery.findings import Finding, ObjectKey
from homeport.discovery.inputs import Source
from homeport.discovery.kinds import pod_spec_path
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.tree import dig, text_of
from homeport.discovery.walk import SecretPlace, Walk, walk
from homeport.errors import HomeportError
from homeport.mapping import Mapping as NameMapping
from homeport.reference import DOCKER_HUB, Reference
from homeport.relocation.relocate import relocate

ROLLED: Final = ("Deployment", "StatefulSet", "DaemonSet")
_FIXED: Final = {
    "Pod": "a pod of its own is not changed: delete it, and create it from the relocated manifest",
    "Job": "a Job's pods cannot be changed: delete it, and create it from the relocated manifest",
    "ReplicaSet": "its pods would not be replaced: change its manifest, and delete its pods",
    "ReplicationController": "its pods would not be replaced: change its manifest, and delete its pods",
    "PodTemplate": "nothing tells when it is used: change its manifest",
}

_BUNDLE: Final = "its catalog decides what it says: change it there, or let nodes redirect the pulls (`homeport nodes`)"


Serves = Callable[[str, str, Iterable[Reference]], bool]


class Left(msgspec.Struct, frozen=True):
    """An image that goes on being pulled from elsewhere, or the field of a pull secret, and why nothing was done about it."""

    object: ObjectKey
    path: str
    image: str
    reason: str
    is_secret: bool = False


class Wanted(msgspec.Struct, frozen=True, eq=False):
    """An object and its changes; `is_at_target` tells whether it pulls anything from the target, now or with the changes.

    `account` is the service account whose pods need the pull secret, because the object names no list of its own. One that is to pull
    from the target by the word of a tool that decides it is `handed`.
    """

    value: dict[str, Any]
    key: ObjectKey
    changes: tuple[Change, ...] = ()
    account: str = ""
    left: tuple[Left, ...] = ()
    is_at_target: bool = False
    handed: bool = False


class BroughtOnly(NameMapping, frozen=True):
    """A rule of names that leaves alone what is not brought."""

    brought: frozenset[Reference] = frozenset()

    def relocate(self, reference: Reference) -> Reference:
        """Return the name at the target; a name without a tag that comes from elsewhere stands for all tags."""
        known = reference.pinned in self.brought or any(
            it.name == reference.name for it in self.brought if reference.tag is None and reference.digest is None
        )
        return super().relocate(reference) if known else reference


class Rules(msgspec.Struct, frozen=True, eq=False):
    """What objects are to become: the images that are brought and their new names, and the pull secret.

    `serves` tells whether another secret of a namespace has credentials for images. With `hand_over` tools are told what to change.
    """

    mapping: BroughtOnly
    knowledge: Knowledge
    secret: str = ""
    default_registry: str = DOCKER_HUB
    serves: Serves = lambda *_: False
    hand_over: bool = False

    def behind(self, value: Mapping[str, Any]) -> bool:
        """Tell whether an object names an image that is to be pulled from the target and is not."""
        noted = walk(value, "cluster", self.knowledge, self.default_registry)
        return any(self.mapping.relocate(it.reference) != it.reference for it in noted.findings)


def wanted_of(value: dict[str, Any], rules: Rules) -> Wanted:
    """Return what an object should become; what cannot be changed here is left with a reason."""
    key = key_of(value)
    noted = walk(value, "cluster", rules.knowledge, rules.default_registry)
    here = any(rules.mapping.holds(it.reference) for it in noted.findings)
    away = [it for it in noted.findings if not rules.mapping.holds(it.reference)]
    moving = [it for it in away if rules.mapping.relocate(it.reference) != it.reference]
    left = [_left(it, "it is not among the images that are brought") for it in away if it not in moving]
    known = bool(_known(noted, rules))
    reason = _why_not(value)
    if reason or not (here or moving or known):
        handed = rules.hand_over and bool(reason and moving) and is_decided(value)
        soon = here or (rules.hand_over and moving)
        account = _lending(value, key, noted) if reason and soon and rules.secret else ""
        return Wanted(value, key, account=account, left=(*left, *(_left(it, reason) for it in moving)), handed=handed)
    try:
        moved = moved_of(value, rules) if moving or known else ()
    except HomeportError as error:
        return Wanted(value, key, left=(*left, *(_left(it, error.message) for it in moving)))
    named = [*(it.reference for it in noted.findings), *_known(noted, rules)]
    pulled = [rules.mapping.relocate(it) for it in named]
    secured, conflicts, account = _secured(value, key, noted, rules, [it for it in pulled if rules.mapping.holds(it)])
    return Wanted(value, key, (*moved, *secured), account=account, left=(*left, *conflicts), is_at_target=True)


def _known(noted: Walk, rules: Rules) -> list[Reference]:
    """Return the images that are brought and that an operator would add."""
    implied = [it.implied.reference for it in noted.implied if it.implied.reference]
    return [it for it in implied if it.pinned in rules.mapping.brought]


def moved_of(value: dict[str, Any], rules: Rules) -> tuple[Change, ...]:
    """Return the changes of names, as a rewritten manifest of the object shows them; raises HomeportError.

    The rewriting proves its own result by scanning it again.
    """
    text = manifest_of(value)
    result = relocate(
        Source("cluster", text), rules.mapping, knowledge=rules.knowledge, default_registry=rules.default_registry
    )
    before, after = (yaml.load(it, Loader=yaml.CSafeLoader) for it in (text, result.text))
    found = differences(before, after)
    return tuple(
        Change(by_name(value, path), old, new) if old is not None else adding(value, by_name(value, path), new)
        for path, old, new in found
    )


def manifest_of(value: Mapping[str, Any]) -> str:
    """Write a live object as the manifest that it may have come from: without what clusters add."""
    shown = {name: inner for name, inner in value.items() if name != "status"}
    shown["metadata"] = {
        name: value["metadata"][name] for name in ("namespace", "name", "annotations") if name in value["metadata"]
    }
    text: str = yaml.dump(shown, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=1 << 20)
    return text


def takes_secret(key: ObjectKey, noted: Walk) -> bool:
    """Tell whether an object has pull secrets of its own; a pod without a list has those of its service account."""
    places = _places(noted)
    return bool(places) and all(place.names or not is_built_in(key) for place in places)


def fields_of(step: Wanted) -> dict[Path, Any]:
    """Return all that server-side apply is to own of an object: what it owns already, and the changes.

    A list without names (arguments) is one field: it is owned as a whole.
    """
    fields = owned_fields(step.value, FIELD_MANAGER)
    changed: Any = copy.deepcopy(step.value)
    for change in step.changes:
        whole = next((number for number, it in enumerate(change.path) if isinstance(it, int)), None)
        if whole is None:
            fields[change.path] = change.new
        else:
            *outer, last = locate(changed, change.path)
            dig(changed, outer)[last] = change.new
            fields[change.path[:whole]] = value_at(changed, change.path[:whole])
    return fields


def lend(account: Mapping[str, Any], secret: str) -> tuple[Change, ...]:
    """Return the change with which a service account lends a pull secret, none where it does already."""
    return tuple(_listed(account, ("imagePullSecrets",), secret))


def is_built_in(key: ObjectKey) -> bool:
    """Tell whether server-side apply knows an object's lists by the names of their items."""
    return pod_spec_path(key) is not None


def word(value: object) -> str:
    """Write a field's value for people."""
    if isinstance(value, Mapping) and set(value) == {"name"}:
        return str(value["name"])
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {word(inner)}" for name, inner in value.items())
    return "(none)" if value is None else str(value)


def is_decided(value: Mapping[str, Any]) -> bool:
    """Tell whether a tool decides an object by a unit of its own; what a controller or OLM makes of another one is not asked for."""
    if key_of(value).kind == "ClusterServiceVersion":
        return "olm.copiedFrom" not in (value["metadata"].get("labels") or {})
    owner = tool_of(value)
    return controller(value) is None and owner is not None and bool(owner.kind)


def _why_not(value: Mapping[str, Any]) -> str:
    """Say why an object is not changed here; empty where it is."""
    if owner := owner_of(value):
        return str(owner)
    key = key_of(value)
    if key.kind == "ClusterServiceVersion":
        return _BUNDLE
    return _FIXED.get(key.kind, "") if pod_spec_path(key) else ""


def _left(finding: Finding, reason: str) -> Left:
    return Left(finding.object, finding.path, finding.text, reason)


def _secured(
    value: Mapping[str, Any], key: ObjectKey, noted: Walk, rules: Rules, pulled: Sequence[Reference]
) -> tuple[tuple[Change, ...], tuple[Left, ...], str]:
    """Add the pull secret to the fields that an object has; else return the service account that is to lend it."""
    places = _places(noted)
    own = [place for place in places if place.names or not is_built_in(key)]
    if not rules.secret or not places:
        return (), (), ""
    wanted = [_named(value, place, rules, pulled) for place in own]
    changes = tuple(it for it in wanted if isinstance(it, Change))
    conflicts = tuple(it for it in wanted if isinstance(it, Left))
    return changes, conflicts, "" if own else _account_of(value, places[0].path)


def _named(
    value: Mapping[str, Any], place: SecretPlace, rules: Rules, pulled: Sequence[Reference]
) -> Change | Left | None:
    """Return the change that names the pull secret in a field; of one that takes a single other name, why it is left."""
    secret, there = rules.secret, dig(value, place.path)
    shape = list if place.form in {"objects", "names"} else dict if place.form == "object" else str
    if secret in place.names:
        return None
    if there is not None and not isinstance(there, shape):
        reason = "this field is of another form than its definition says"
        return Left(place.object, place.where, secret, reason, is_secret=True)
    if place.names and shape is not list:
        (other, *_) = place.names
        if rules.serves(place.object.namespace, other, pulled):
            return None
        registry = rules.mapping.target.registry
        reason = (
            f"it takes one pull secret, and {other} is there: give that one credentials for {registry}, or remove it"
        )
        return Left(place.object, place.where, other, reason, is_secret=True)
    path, new = _item(place, secret)
    path = by_name(value, path)
    if shape is list:
        return Change(path, None, new)
    return Change(path, "", new) if value_at(value, path) == "" else adding(value, path, new)


def unnamed(value: Mapping[str, Any], place: SecretPlace, secret: str) -> Change:
    """Return the change that takes a pull secret out of a field; a mapping that says nothing else goes as a whole."""
    path, name = _item(place, secret)
    if place.form == "object" and dig(value, place.path) == {"name": secret}:
        path, name = place.path, {"name": secret}
    return Change(by_name(value, path), name, None)


def _item(place: SecretPlace, secret: str) -> tuple[Path, Any]:
    """Return where a field holds the name of a secret, and what is there."""
    if place.form == "objects":
        return (*place.path, f"[{secret}]"), {"name": secret}
    if place.form == "names":
        return (*place.path, f"[{secret}]"), secret
    return ((*place.path, "name") if place.form == "object" else place.path), secret


def _lending(value: Mapping[str, Any], key: ObjectKey, noted: Walk) -> str:
    """Return the service account that can lend a pull secret to pods whose manifest is decided elsewhere, Helm for one."""
    owners = value["metadata"].get("ownerReferences") or ()
    is_made = any(it.get("controller") and it["kind"] != "ClusterServiceVersion" for it in owners)
    places = _places(noted)
    own = [place for place in places if place.names or not is_built_in(key)]
    if is_made or own or not places or owner_of(value) is None:
        return ""
    return _account_of(value, places[0].path)


def _places(noted: Walk) -> list[SecretPlace]:
    """Return the places for pull secrets that are fields of the object itself, not of a text in it."""
    return [place for place in noted.secrets if not place.inside]


def _account_of(value: Mapping[str, Any], path: tuple[str | int, ...]) -> str:
    """Return the service account that lends the pull secret where a pod lists none.

    A list of its own would take from a pod what its service account lends (plugin/pkg/admission/serviceaccount).
    """
    return text_of(dig(value, (*path[:-1], "serviceAccountName"))) or "default"


def _listed(value: Mapping[str, Any], path: tuple[str | int, ...], secret: str) -> Iterable[Change]:
    where = (*path, f"[{secret}]")
    return () if value_at(value, where) else (Change(where, None, {"name": secret}),)


def key_of(value: Mapping[str, Any]) -> ObjectKey:
    """Return what names a live object."""
    metadata = value["metadata"]
    return ObjectKey(value["apiVersion"], value["kind"], metadata.get("namespace", ""), metadata["name"])
