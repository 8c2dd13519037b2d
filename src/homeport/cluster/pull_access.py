"""With which pull secrets the kubelet pulls the image at a place.

A pod's own list counts; a pod without one gets its service account's when it is created, and keeps it (Kubernetes,
plugin/pkg/admission/serviceaccount). A secret is looked up in the pod's namespace; one that is not there is passed over.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from homeport.cluster.keyring import Keyring, UnreadableCredentialsError
from homeport.cluster.pull_secrets import parse_pull_secret
from homeport.discovery.findings import Finding, ObjectKey
from homeport.discovery.kinds import is_service_account, pod_spec_path
from homeport.discovery.tree import dig, is_list, is_map, text_of, write_path
from homeport.discovery.walk import SecretPlace, Walk

_LIST_ITEM: Final = re.compile(r"(?:items\[\d+\]\.)+")

Name = tuple[str, str]
"""Namespace and name; an object in a file may leave its namespace out, and then has any."""


class Access(msgspec.Struct, frozen=True):
    """The credentials for the images at a place.

    `secrets` are the names of the pull secrets, `lender` the service account that lends them, `unknown` says why it cannot be told
    what the kubelet has, `broken` why each pull fails.
    """

    keyring: Keyring = Keyring()
    secrets: tuple[str, ...] = ()
    lender: str = ""
    unknown: str = ""
    broken: str = ""


class Held(msgspec.Struct, frozen=True):
    """A pull secret as the kubelet has it: what it holds, nothing where it is absent.

    `broken` says why each pull with it fails, `unknown` why it cannot be told what it holds.
    """

    keyring: Keyring = Keyring()
    broken: str = ""
    unknown: str = ""


class PullSecrets(Protocol):
    """Knows pull secrets and service accounts."""

    @property
    def filled(self) -> bool:
        """Whether pods have been through admission, which fills an empty list from the service account."""

    def secret(self, namespace: str, name: str) -> Held:
        """Return a pull secret."""

    def lent(self, namespace: str, account: str) -> tuple[str, ...] | None:
        """Return the names of the pull secrets that a service account lends; None where that cannot be told."""


class FilePullSecrets(msgspec.Struct, frozen=True):
    """What files hold; of what else there is in the cluster they say nothing.

    An object without a namespace goes where it is applied, and so fits any.
    """

    secrets: dict[Name, Held] = {}
    accounts: dict[Name, tuple[str, ...]] = {}
    filled: bool = False

    @classmethod
    def of(cls, objects: Iterable[object]) -> "FilePullSecrets":
        """Collect the secrets and accounts among objects and Lists of them."""
        found = cls({}, {})
        for value in _flat(objects):
            metadata = value.get("metadata")
            name = text_of(dig(metadata, ("namespace",))), text_of(dig(metadata, ("name",)))
            key = ObjectKey(text_of(value.get("apiVersion")), text_of(value.get("kind")), *name)
            if key.kind == "Secret" and key.api_version in ("", "v1"):
                found.secrets[name] = held(value)
            elif is_service_account(key):
                found.accounts[name] = names_in(value.get("imagePullSecrets"))
        return found

    def secret(self, namespace: str, name: str) -> Held:
        """Return a pull secret; one that is in no file is unknown."""
        found: Held | None = _find(self.secrets, namespace, name)
        if found is not None:
            return found
        others = sorted(namespace for namespace, other in self.secrets if other == name)
        where = (
            f"only in namespace {', '.join(others)}, whose pods alone can use it" if others else "in none of the files"
        )
        return Held(unknown=f"Secret {name} is {where}")

    def lent(self, namespace: str, account: str) -> tuple[str, ...]:
        """Return the names of the pull secrets that a service account lends; one that is in no file lends none."""
        return _find(self.accounts, namespace, account) or ()


def access_to(finding: Finding, noted: Walk, secrets: PullSecrets) -> Access:
    """Tell with what the image of a finding is pulled; `noted` is the walk that found it."""
    places = [place for place in noted.secrets if place.object == finding.object and _governs(place, finding.path)]
    if not places:
        return Access(unknown=f"which pull secret a {finding.object.kind or 'thing'} pulls with is not known")
    names = tuple(dict.fromkeys(name for place in places for name in place.names))
    lender = "" if names else _lender(places[0], filled=secrets.filled)
    if lender:
        lent = secrets.lent(finding.object.namespace, lender)
        if lent is None:
            return Access(lender=lender, unknown=f"service account {lender} may not be read")
        names = lent
    found = {name: secrets.secret(finding.object.namespace, name) for name in names}
    keyring = Keyring()
    for name, each in found.items():
        ignored = tuple(f"Secret {name}: {sentence}" for sentence in each.keyring.ignored)
        keyring += Keyring(each.keyring.entries, ignored)
    return Access(
        keyring,
        names,
        lender,
        unknown=next((each.unknown for each in found.values() if each.unknown), ""),
        broken=next((f"Secret {name}: {each.broken}" for name, each in found.items() if each.broken), ""),
    )


def held(secret: Mapping[str, Any]) -> Held:
    """Read a Secret's manifest."""
    try:
        return Held(parse_pull_secret(secret))
    except UnreadableCredentialsError as error:
        return Held(broken=str(error))


def names_in(references: object) -> tuple[str, ...]:
    """Return the names in a list of ``{name: NAME}``."""
    names = (text_of(dig(reference, ("name",))) for reference in references) if is_list(references) else ()
    return tuple(filter(None, names))


def path_in_object(path: str) -> str:
    """Return a finding's path as it is inside its object, when the document is a List."""
    return _LIST_ITEM.sub("", path, count=1) if path.startswith("items[") else path


def _lender(place: SecretPlace, *, filled: bool) -> str:
    """Return the service account that fills an empty list of a pod; a pod that was filled at its creation stays as it is."""
    path = pod_spec_path(place.object)
    if path is None or (filled and place.object.kind == "Pod"):
        return ""
    spec = dig(place.root, path)
    return text_of(dig(spec, ("serviceAccountName",))) or text_of(dig(spec, ("serviceAccount",))) or "default"


def _flat(objects: Iterable[object]) -> Iterator[Mapping[str, Any]]:
    pending = list(objects)
    while pending:
        value = pending.pop()
        if is_map(value):
            yield value
            items = value.get("items")
            pending += items if text_of(value.get("kind")) == "List" and is_list(items) else ()


def _governs(place: SecretPlace, path: str) -> bool:
    """Tell whether a list of pull secrets is for the image at a path: it stands in the same mapping, or further out."""
    around = write_path(place.path[:-1])
    return not around or path_in_object(path).startswith((f"{around}.", f"{around}["))


def _find(table: Mapping[Name, Any], namespace: str, name: str) -> Any:
    """Look up by name in a namespace, where one that is left out fits any."""
    if (namespace, name) in table or namespace:
        return table.get((namespace, name), table.get(("", name)))
    return next((value for (_, other), value in table.items() if other == name), None)
