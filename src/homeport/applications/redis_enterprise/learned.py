"""The file in which a person keeps releases that Homeport was taught: $HOMEPORT_RELEASES, or one in the configuration folder."""

import os
from pathlib import Path

import msgspec

from homeport.applications.redis_enterprise.model import Taught
from homeport.errors import StoreError, UsageError
from homeport.oci.unreadable import UNREADABLE
from homeport.store.durable import write_file


def learned_file() -> Path:
    """Return where it is, whether it is there or not."""
    if named := os.environ.get("HOMEPORT_RELEASES"):
        return Path(named)
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "homeport" / "redis-enterprise.json"


def read_learned() -> Taught:
    """Read it; nothing where there is none. Raises UsageError where it is not what was written."""
    file = learned_file()
    try:
        return msgspec.json.decode(file.read_bytes(), type=Taught)
    except (FileNotFoundError, NotADirectoryError):
        return Taught()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except UNREADABLE as error:
        raise UsageError(
            f"{file} does not hold releases: {error}", hint="Mend it, or move it away and teach the releases again."
        ) from None


def write_learned(taught: Taught) -> Path:
    """Put it in place, whole or not at all; raises StoreError."""
    file = learned_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, msgspec.json.format(msgspec.json.encode(taught), indent=2) + b"\n", file.parent)
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}") from None
    return file
