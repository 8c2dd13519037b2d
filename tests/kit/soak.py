"""A client of a store that remembers what it was promised: `python -m tests.kit.soak DIRECTORY|URL NUMBER EVENTS`.

Clients share repositories and blobs, and each owns its tags. It prints, as JSON, its events, its tags with their digests, and
every promise that was broken. What a server that was killed did not answer is no promise.
"""

import json
import random
import sys
import time
from pathlib import Path

from homeport.oci.digest import digest_of
from homeport.oci.manifest import RawManifest
from homeport.oci.media_types import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from homeport.store.filesystem import FileSystemStore
from tests.kit.http_store import HttpStore

LEASE = 2.0
REPOSITORIES = ("soak/a", "soak/b", "soak/c/d")
CONTENTS = tuple(f"blob {number} ".encode() * (number + 1) for number in range(60))


class Client:
    """Pushes, mounts, looks, moves and deletes at random, and checks what it sees."""

    def __init__(self, store: FileSystemStore | HttpStore, number: int) -> None:
        self.store = store
        self.random = random.Random(number)
        self.name = f"client-{number}"
        self.tags: dict[str, str] = {}
        self.broken: list[str] = []
        self.slow = self.unanswered = 0
        self.count = 0

    def run(self, events: int) -> None:
        """Do that many events."""
        works = (self.push, self.push, self.push, self.look, self.look, self.look, self.look, self.untag, self.delete)
        while self.count < events:
            try:
                self.random.choice(works)()
            except ConnectionError:
                self.unanswered += 1
            self.count += 1

    def push(self) -> None:
        """Push an image as clients do: look, mount or upload each blob, then the manifest."""
        repository = self.random.choice(REPOSITORIES)
        contents = sorted(self.random.sample(CONTENTS[self.shift() :][:8], 3))
        started = time.monotonic()
        for content in contents:
            self.provide(repository, content)
        manifest = self.manifest(contents)
        tag = f"{self.name}-{self.random.randrange(30)}"
        old = self.tags.pop(f"{repository}:{tag}", None)
        missing = self.store.put_manifest(
            repository, manifest, tags=[tag], needs=[digest_of(content) for content in contents]
        )
        if not missing:
            self.tags[f"{repository}:{tag}"] = manifest.digest
            return
        if old:
            self.tags[f"{repository}:{tag}"] = old
        if time.monotonic() - started < LEASE:
            self.broken.append(f"{repository} lost {missing} before their manifest came")
        else:
            self.slow += 1

    def shift(self) -> int:
        """Return where the contents of the moment begin: they change, so that old ones fall out of use."""
        return int(time.time() / (3 * LEASE)) * 7 % (len(CONTENTS) - 8)

    def provide(self, repository: str, content: bytes) -> None:
        """Make a repository hold a blob."""
        digest = digest_of(content)
        blob = self.store.open_blob(repository, digest)
        if blob:
            blob.close()
        elif not self.store.link_blob(repository, digest, self.random.choice(REPOSITORIES)):
            upload = self.store.open_upload(repository, self.store.start_upload(repository))
            assert upload
            upload.write(content)
            upload.commit(digest)

    def manifest(self, contents: list[bytes]) -> RawManifest:
        """Make a manifest that is this client's own."""
        kinds = (OCI_CONFIG, OCI_LAYER_GZIP, OCI_LAYER_GZIP)
        named = [
            {"mediaType": kind, "digest": digest_of(content), "size": len(content)}
            for kind, content in zip(kinds, contents, strict=True)
        ]
        fields = {"schemaVersion": 2, "config": named[0], "layers": named[1:], "annotations": {"of": self.name}}
        return RawManifest.of(json.dumps(fields).encode(), OCI_MANIFEST)

    def look(self) -> None:
        """Read an image through its tag, with all its blobs."""
        if self.tags:
            self.verify(*self.random.choice(list(self.tags.items())))

    def verify(self, name: str, digest: str) -> None:
        """Check one promise."""
        repository, _, tag = name.partition(":")
        manifest = self.store.get_manifest(repository, tag)
        if manifest is None or manifest.digest != digest:
            self.broken.append(f"{name} is {manifest and manifest.digest}, not {digest}")
            return
        fields = json.loads(manifest.body)
        for wanted in (fields["config"], *fields["layers"]):
            blob = self.store.open_blob(repository, wanted["digest"])
            if blob is None:
                self.broken.append(f"{name} lost {wanted['digest']}")
                continue
            if digest_of(blob.read(0, blob.size)) != wanted["digest"]:
                self.broken.append(f"{name}: {wanted['digest']} is spoilt")
            blob.close()

    def untag(self) -> None:
        """Delete a tag."""
        if self.tags:
            name = self.random.choice(list(self.tags))
            repository, _, tag = name.partition(":")
            del self.tags[name]
            if not self.store.delete_tag(repository, tag):
                self.broken.append(f"{name} was gone before it was deleted")

    def delete(self) -> None:
        """Delete a manifest with all its tags."""
        if self.tags:
            name, digest = self.random.choice(list(self.tags.items()))
            repository = name.partition(":")[0]
            self.tags = {
                key: value for key, value in self.tags.items() if value != digest or key.partition(":")[0] != repository
            }
            self.store.delete_manifest(repository, digest)


def open_store(place: str) -> FileSystemStore | HttpStore:
    """Return the store of a directory, or of a server."""
    return HttpStore(place) if "://" in place else FileSystemStore(Path(place), lease_seconds=LEASE)


def main() -> None:
    """Run one client and print what it was promised."""
    client = Client(open_store(sys.argv[1]), int(sys.argv[2]))
    client.run(int(sys.argv[3]))
    for name, digest in client.tags.items():
        client.verify(name, digest)
    counts = {"events": client.count, "slow": client.slow, "unanswered": client.unanswered}
    print(json.dumps({**counts, "tags": client.tags, "broken": client.broken}))


if __name__ == "__main__":
    main()
