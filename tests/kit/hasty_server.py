"""`homeport` with leases of tests.kit.soak.LEASE: a collection need not wait for an hour."""

from functools import partial

from homeport.cli import main
from homeport.server import service
from homeport.store.filesystem import FileSystemStore
from tests.kit.soak import LEASE

if __name__ == "__main__":
    setattr(service, "FileSystemStore", partial(FileSystemStore, lease_seconds=LEASE))  # noqa: B010 - as a test would
    main()
