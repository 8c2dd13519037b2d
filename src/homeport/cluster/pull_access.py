"""With which pull secrets the kubelet pulls the image at a place.

A pod's own list counts; a pod without one gets its service account's when it is created, and keeps it (Kubernetes,
plugin/pkg/admission/serviceaccount). A secret is looked up in the pod's namespace; one that is not there is passed over.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

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


class PullSecrets(msgspec.Struct, frozen=True):
    """The pull secrets and service accounts at hand.

    A secret is a keyring, or the reason why each pull with it fails. `live` objects are all that the cluster has, but for those
    that are `hidden`; a file says nothing of what else there is.
    """

    secrets: Mapping[Name, Keyring | str] = {}
    accounts: Mapping[Name, tuple[str, ...]] = {}
    hidden: frozenset[Name] = frozenset()
    live: bool = False

    @classmethod
    def of(cls, objects: Iterable[object], *, live: bool = False, hidden: Iterable[Name] = ()) -> "PullSecrets":
        """Collect the secrets and accounts among objects and Lists of them."""
        secrets: dict[Name, Keyring | str] = {}
        accounts: dict[Name, tuple[str, ...]] = {}
        for value in _flat(objects):
            metadata = value.get("metadata")
            name = text_of(dig(metadata, ("namespace",))), text_of(dig(metadata, ("name",)))
            key = ObjectKey(text_of(value.get("apiVersion")), text_of(value.get("kind")), *name)
            if key.kind == "Secret" and key.api_version in ("", "v1"):
                secrets[name] = _read(value)
            elif is_service_account(key):
                accounts[name] = _names(value.get("imagePullSecrets"))
        return cls(secrets, accounts, frozenset(hidden), live)

    def access(self, finding: Finding, noted: Walk) -> Access:
        """Tell with what the image of a finding is pulled; `noted` is the walk that found it."""
        places = [place for place in noted.secrets if place.object == finding.object and _governs(place, finding.path)]
        if not places:
            return Access(unknown=f"which pull secret a {finding.object.kind or 'thing'} pulls with is not known")
        names = tuple(dict.fromkeys(name for place in places for name in place.names))
        account = "" if names else self.lender(places[0])
        if account:
            names = _found(self.accounts, finding.object.namespace, account) or ()
        return self._with(names, finding.object.namespace, account)

    def lender(self, place: SecretPlace) -> str:
        """Return the service account that fills an empty list of a pod; a live pod was filled when it was created."""
        path = pod_spec_path(place.object)
        if path is None or (self.live and place.object.kind == "Pod"):
            return ""
        spec = dig(place.root, path)
        return text_of(dig(spec, ("serviceAccountName",))) or text_of(dig(spec, ("serviceAccount",))) or "default"

    def _with(self, names: Sequence[str], namespace: str, account: str) -> Access:
        access = Access(secrets=tuple(names), lender=account)
        for name in names:
            secret = _found(self.secrets, namespace, name)
            if isinstance(secret, str):
                return msgspec.structs.replace(access, broken=f"Secret {name}: {secret}")
            if secret is None and (not self.live or (namespace, name) in self.hidden):
                where = self._elsewhere(name) or ("may not be read" if self.live else "is in none of the files")
                return msgspec.structs.replace(access, unknown=f"Secret {name} {where}")
            if secret is not None:
                ignored = tuple(f"Secret {name}: {sentence}" for sentence in secret.ignored)
                access = msgspec.structs.replace(access, keyring=access.keyring + Keyring(secret.entries, ignored))
        return access

    def _elsewhere(self, name: str) -> str:
        """Tell in which namespaces a secret is, when it is not in the pod's."""
        others = sorted(namespace for namespace, other in self.secrets if other == name)
        return f"is in namespace {', '.join(others)} only, where other pods cannot use it" if others else ""


def path_in_object(path: str) -> str:
    """Return a finding's path as it is inside its object, when the document is a List."""
    return _LIST_ITEM.sub("", path, count=1) if path.startswith("items[") else path


def secret_names(noted: Walk) -> set[Name]:
    """Return the pull secrets that objects name, for whoever is to fetch them."""
    return {(place.object.namespace, name) for place in noted.secrets for name in place.names}


def _flat(objects: Iterable[object]) -> Iterator[Mapping[str, Any]]:
    pending = list(objects)
    while pending:
        value = pending.pop()
        if is_map(value):
            yield value
            items = value.get("items")
            pending += items if text_of(value.get("kind")) == "List" and is_list(items) else ()


def _read(secret: Mapping[str, Any]) -> Keyring | str:
    try:
        return parse_pull_secret(secret)
    except UnreadableCredentialsError as error:
        return str(error)


def _names(references: object) -> tuple[str, ...]:
    names = (text_of(dig(reference, ("name",))) for reference in references) if is_list(references) else ()
    return tuple(filter(None, names))


def _governs(place: SecretPlace, path: str) -> bool:
    """Tell whether a list of pull secrets is for the image at a path: it stands in the same mapping, or further out."""
    around = write_path(place.path[:-1])
    return not around or path_in_object(path).startswith((f"{around}.", f"{around}["))


def _found(table: Mapping[Name, Any], namespace: str, name: str) -> Any:
    """Look up by name in a namespace, where one that is left out fits any."""
    if (namespace, name) in table or namespace:
        return table.get((namespace, name), table.get(("", name)))
    return next((value for (_, other), value in table.items() if other == name), None)
