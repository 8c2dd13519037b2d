"""A story of pushes and deletes, told to a registry, and what the registry has promised at each point of it."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from homeport.oci.digest import digest_of
from homeport.oci.manifest import RawManifest
from homeport.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from homeport.server.app import Registry
from homeport.store.collection import Policy, collect
from homeport.store.filesystem import FileSystemStore
from homeport.store.layout import names_in

Key = tuple[str, str, str]
"""blob, manifest, tag or upload; its repository; its digest or name."""

Value = str | int | None
"""What a tag names, how many bytes an upload has at least, "there", or None."""

THERE = "there"


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: Mapping[str, str]


async def ask(app: Registry, method: str, url: str, body: bytes, headers: Mapping[str, str], on_answer: Any) -> Answer:
    """Ask the application itself; `on_answer` is called before the answer goes out."""
    path, _, query = url.partition("?")
    said = {"content-length": str(len(body)), **headers}
    lines = [(name.encode(), value.encode()) for name, value in said.items()]
    scope = {"type": "http", "method": method, "scheme": "http", "client": ("127.0.0.1", 1), "headers": lines}
    scope |= {"path": path, "raw_path": path.encode(), "query_string": query.encode()}
    answers: list[Answer] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            lines = {name.decode(): value.decode() for name, value in message["headers"]}
            answers.append(Answer(message["status"], lines))
            on_answer()

    await app(scope, receive, send)
    return answers[0]


class Story:
    """What is asked of the registry, and what it has promised: the values that each thing may have.

    All repositories are below `home`.
    """

    def __init__(self, store: FileSystemStore, on_answer: Callable[[], None] = lambda: None, *, home: str = "") -> None:
        self.store, self.home = store, home
        self.app = Registry(store)
        self.promised: dict[Key, set[Value]] = {}
        self.chapters: list[tuple[dict[Key, set[Value]], dict[Key, Value]]] = []
        self.refused: list[tuple[int, str]] = []
        self._on_answer = on_answer

    async def ask(
        self, method: str, path: str, body: bytes = b"", then: Mapping[Key, Value] | None = None, **headers: str
    ) -> Answer:
        """Ask for something below /v2/; `then` is what is so after a success, and may be so after a failure."""
        then = self._at_home(then or {})
        self._begin(then)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await ask(self.app, method, f"/v2/{self.home}{path}", body, names, self._on_answer)
        if answer.status >= 300:
            self.refused.append((answer.status, f"{method} {path}"))
        # A blob that cannot be mounted is to be uploaded: nothing was promised.
        self._end(then, done=answer.status < 300 and not ("mount=" in path and answer.status == 202))
        return answer

    def unsure(self, upload: Key) -> None:
        """Take an upload for one that may be gone."""
        kind, repository, name = upload
        self.promised[kind, self.home + repository, name].add(None)

    def _at_home(self, then: Mapping[Key, Value]) -> dict[Key, Value]:
        return {(kind, self.home + repository, name): value for (kind, repository, name), value in then.items()}

    def _begin(self, then: Mapping[Key, Value]) -> None:
        self.chapters.append(({key: set(values) for key, values in self.promised.items()}, dict(then)))

    def _end(self, then: Mapping[Key, Value], *, done: bool) -> None:
        for key, value in then.items():
            self.promised[key] = {value} if done else {*self.promised.get(key, {None}), value}

    def allowed(self, answered: int) -> dict[Key, set[Value]]:
        """Return what may be so when so many answers had gone out: promises, and what was being asked for then."""
        promised, then = self.chapters[answered] if answered < len(self.chapters) else (self.promised, {})
        keys = promised.keys() | then.keys() | self.promised.keys()
        asked = {key: {then[key]} if key in then else set() for key in keys}
        return {key: promised.get(key, {None}) | asked[key] for key in keys}


def blob(name: str, size: int = 5000) -> bytes:
    return (name.encode() * size)[:size]


def image(*layers: bytes, subject: RawManifest | None = None) -> RawManifest:
    parts = [{"mediaType": OCI_LAYER_GZIP, "digest": digest_of(data), "size": len(data)} for data in layers]
    fields: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": parts[1:]}
    fields["config"] = {**parts[0], "mediaType": OCI_CONFIG}
    if subject:
        fields["subject"] = {"mediaType": OCI_MANIFEST, "digest": subject.digest, "size": len(subject.body)}
    return RawManifest.of(json.dumps(fields).encode(), OCI_MANIFEST)


CONFIG, LAYER, LARGE, ORPHAN = blob("config", 50), blob("layer"), blob("large", 90_000), blob("orphan")
IMAGE, SECOND = image(CONFIG, LAYER), image(CONFIG, LARGE)
SIGNATURE = image(CONFIG, subject=IMAGE)
INDEX = RawManifest.of(json.dumps({"schemaVersion": 2, "manifests": []}).encode(), OCI_INDEX)


async def whole(story: Story, repository: str, content: bytes) -> None:
    """Push a blob in one request."""
    digest = digest_of(content)
    then: dict[Key, Value] = {("blob", repository, digest): THERE}
    await story.ask("POST", f"{repository}/blobs/uploads/?digest={digest}", content, then)


async def in_pieces(story: Story, repository: str, content: bytes, pieces: int) -> None:
    """Push a blob as Docker does: open, append, close; what failed is tried once more."""
    opened = await story.ask("POST", f"{repository}/blobs/uploads/")
    if opened.status >= 300:
        return
    path = opened.headers["location"].removeprefix(f"/v2/{story.home}")
    upload: Key = ("upload", repository, path.rpartition("/")[2])
    size = -(-len(content) // pieces)
    for start in range(0, len(content), size):
        stop = min(start + size, len(content))
        piece, where = content[start:stop], f"{start}-{stop - 1}"
        for _ in range(2):
            answer = await story.ask("PATCH", path, piece, {upload: stop}, content_range=where)
            if answer.status < 300 or answer.headers.get("range") == f"0-{stop - 1}":
                break
            story.unsure(upload)  # it is given up where the disk failed
        else:
            return
    digest = digest_of(content)
    then: dict[Key, Value] = {("blob", repository, digest): THERE, upload: None}
    for _ in range(2):
        if (await story.ask("PUT", f"{path}?digest={digest}", b"", then)).status < 300:
            return


async def manifest(story: Story, repository: str, raw: RawManifest, *tags: str) -> None:
    """Push a manifest by its digest, with tags; what failed is tried once more."""
    query = "&".join(f"tag={tag}" for tag in tags)
    then: dict[Key, Value] = {("manifest", repository, raw.digest): THERE}
    then |= {("tag", repository, tag): raw.digest for tag in tags}
    path = f"{repository}/manifests/{raw.digest}?{query}"
    for _ in range(2):
        if (await story.ask("PUT", path, raw.body, then, content_type=raw.media_type)).status < 500:
            return


async def tell(story: Story) -> None:
    """Ask for everything that changes something, some of it twice."""
    await whole(story, "a/b", CONFIG)
    await in_pieces(story, "a/b", LAYER, 2)
    await manifest(story, "a/b", IMAGE, "one", "latest")
    await whole(story, "a/b", LAYER)
    await in_pieces(story, "c", LARGE, 3)
    mounted: dict[Key, Value] = {("blob", "c", digest_of(CONFIG)): THERE}
    await story.ask("POST", f"c/blobs/uploads/?mount={digest_of(CONFIG)}&from={story.home}a/b", b"", mounted)
    await manifest(story, "c", SECOND, "latest")
    await manifest(story, "a/b", SIGNATURE)
    await manifest(story, "a/b", INDEX, "latest")
    await manifest(story, "a/b", IMAGE, "one")
    await whole(story, "c", ORPHAN)
    await story.ask("DELETE", "a/b/manifests/one", b"", {("tag", "a/b", "one"): None})
    await manifest(story, "c", INDEX, "old", "older")
    gone: dict[Key, Value] = {("tag", "c", tag): None for tag in ("old", "older")}
    await story.ask("DELETE", f"c/manifests/{INDEX.digest}", b"", {**gone, ("manifest", "c", INDEX.digest): None})
    await story.ask("DELETE", f"c/blobs/{digest_of(ORPHAN)}", b"", {("blob", "c", digest_of(ORPHAN)): None})
    await whole(story, "a/b", ORPHAN)


async def collected(stories: Sequence[Story]) -> None:
    """Remove what nothing names after these stories; that it is gone at once is not promised."""
    then = [story._at_home(unnamed()) for story in stories]
    for story, gone in zip(stories, then, strict=True):
        story._begin(gone)
    await asyncio.to_thread(collect, stories[0].store.layout, Policy(grace=0, lease=0, untagged=("**",)))
    for story, gone in zip(stories, then, strict=True):
        story._on_answer()
        story._end(gone, done=False)


def unnamed() -> dict[Key, Value]:
    """What a collection removes after the story."""
    removed = [("blob", digest_of(data)) for data in (CONFIG, LAYER, ORPHAN)]
    removed += [("manifest", raw.digest) for raw in (IMAGE, SIGNATURE)]
    return {(kind, "a/b", name): None for kind, name in removed}


def broken(store: FileSystemStore, allowed: Mapping[Key, set[Value]]) -> list[str]:
    """Return what is not as it may be; raises what no store may raise."""
    found = {key: _state(store, key) for key in allowed}
    wrong = [
        f"{key} is {found[key]}, not {values}"
        for key, values in allowed.items()
        if not _is_in(key[0], found[key], values)
    ]
    for name, place in store.layout.walk():
        tags = store.tags(name, limit=1000) or ()
        wrong += [f"{name}:{tag} is listed and names nothing" for tag in tags if not store.get_manifest(name, tag)]
        for entry in names_in(place / "_manifests"):
            store.referrers(name, entry.replace("-", ":", 1))
    return wrong


def _is_in(kind: str, value: Value, values: set[Value]) -> bool:
    if kind != "upload" or value is None:
        return value in values
    return None in values or any(isinstance(it, int) and isinstance(value, int) and it <= value for it in values)


def _state(store: FileSystemStore, key: Key) -> Value:
    kind, repository, name = key
    if kind == "upload":
        return store.upload_size(repository, name)
    if kind == "blob":
        held = store.open_blob(repository, name)
        if held is None:
            return None
        content = held.read(0, held.size)
        held.close()
        return THERE if digest_of(content) == name else "spoilt"
    raw = store.get_manifest(repository, name)
    return None if raw is None else raw.digest if kind == "tag" else THERE
