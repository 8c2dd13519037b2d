"""What apply has changed in a cluster, kept there in a ConfigMap and in a file, so that it can be taken back.

It is written before anything is changed: after a half-finished apply it names what may have been changed, and what is there tells.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from homeport.cluster.api import Api
from homeport.cluster.changes import Change
from homeport.discovery.findings import ObjectKey
from homeport.errors import InputError, StoreError
from homeport.oci.unreadable import UNREADABLE
from homeport.store.durable import write_file

NAME: Final = "homeport-applied"
_KEY: Final = "changes.json"


class Changed(msgspec.Struct, frozen=True):
    """The changes of one object."""

    object: ObjectKey
    changes: tuple[Change, ...]


class Record(msgspec.Struct, frozen=True):
    """All changes since the last rollback, in the order in which they are made."""

    target: str = ""
    objects: tuple[Changed, ...] = ()

    def adding(self, target: str, more: Iterable[Changed]) -> "Record":
        """Add changes; of a field that was changed before, the oldest value is what goes back."""
        merged = {each.object: {change.path: change for change in each.changes} for each in self.objects}
        for each in more:
            fields = merged.setdefault(each.object, {})
            for change in each.changes:
                before = fields.get(change.path)
                fields[change.path] = msgspec.structs.replace(change, old=before.old) if before else change
        return Record(target, tuple(Changed(key, tuple(fields.values())) for key, fields in merged.items()))

    def encode(self) -> bytes:
        """Return it as JSON for people."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


class Journal:
    """Where the record is kept: a ConfigMap of a namespace, and a file."""

    def __init__(self, api: Api, namespace: str, file: Path) -> None:
        self._api, self._file = api, file
        self._value: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": namespace, "name": NAME, "labels": {"app.kubernetes.io/managed-by": "homeport"}},
        }

    def read(self) -> Record:
        """Return the record of the cluster, else that of the file; raises ClusterError and InputError."""
        found = self._api.get(self._api.path(self._value))
        if found is not None:
            return _decode((found.get("data") or {}).get(_KEY, "").encode(), f"ConfigMap {NAME}")
        try:
            return _decode(self._file.read_bytes(), str(self._file))
        except FileNotFoundError:
            return Record()
        except OSError as error:
            raise InputError(error.strerror or str(error), file=str(self._file)) from None

    def write(self, record: Record) -> None:
        """Keep a record in both places; raises ClusterError and StoreError."""
        content = record.encode()
        try:
            write_file(self._file, content, staging=self._file.parent)
        except OSError as error:
            raise StoreError(f"cannot write {self._file}: {error.strerror}") from None
        value = {**self._value, "data": {_KEY: content.decode()}}
        found = self._api.get(self._api.path(value))
        if found is None:
            self._api.create(value)
        elif found.get("data") != value["data"]:
            self._api.replace(found | {"data": value["data"]})

    def clear(self) -> None:
        """Forget everything: all has been taken back."""
        found = self._api.get(self._api.path(self._value))
        if found is not None:
            self._api.delete(found)
        self._file.unlink(missing_ok=True)


def _decode(content: bytes, where: str) -> Record:
    try:
        return msgspec.json.decode(content, type=Record)
    except UNREADABLE as error:
        raise InputError(f"is no record of changes: {error}", file=where) from None
