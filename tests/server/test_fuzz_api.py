"""Whatever is asked, in whatever words: an answer of the protocol comes, never a fault, and nothing outside the store is touched."""

import asyncio
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport.oci.digest import digest_of
from homeport.oci.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from homeport.server.app import Registry
from homeport.store.check import check_store
from homeport.store.filesystem import FileSystemStore
from homeport.store.layout import names_in
from tests.kit.promises import ask

BLOB = b"content"
DIGEST = digest_of(BLOB)
ODD = [
    "",
    ".",
    "..",
    "%2e%2e",
    "%2f",
    "..%2f..",
    "%00",
    "\0",
    "a%0a",
    "%c3%28",
    "A",
    "-a",
    "a" * 300,
    "é",
    "_tags",
    "a:b",
    "*",
    "~",
]
NAMES = st.sampled_from(["a", "a/b", "library/redis", "x-y", "manifests", "blobs/uploads", "tags"])
DIGESTS = st.sampled_from(
    [DIGEST, digest_of(b""), digest_of(BLOB, "sha512"), "sha256:..", "sha256:" + "A" * 64, "md5:0", "sha256:"]
)
TAGS = st.sampled_from(["x", "7.2.4-64", "latest", "A_b", "a" * 128, "a" * 129])
WORDS = st.one_of(st.sampled_from(ODD), NAMES, DIGESTS, TAGS, st.text(max_size=12))
NUMBERS = st.sampled_from(["0", "1", "-1", "2", "10001", "9" * 30, "1e9", "٣", "", " 1"])


def escaped(text: str) -> str:
    """Make what a URL can hold of a text, and leave its percent signs as they are."""
    return "".join(
        c if 32 < ord(c) < 127 and c != "?" else "".join(f"%{byte:02x}" for byte in c.encode("utf-8", "replace"))
        for c in text
    )


@st.composite
def urls(draw) -> str:
    name = draw(NAMES | st.sampled_from(ODD) | st.lists(WORDS, max_size=4).map("/".join))
    end = draw(
        st.one_of(
            st.builds("manifests/{}".format, TAGS | DIGESTS | WORDS),
            st.builds("blobs/{}".format, DIGESTS | WORDS),
            st.builds("referrers/{}".format, DIGESTS | WORDS),
            st.builds("blobs/uploads/{}".format, st.just("") | st.just("0" * 32) | st.just("SESSION") | WORDS),
            st.just("tags/list"),
            st.lists(WORDS, max_size=3).map("/".join),
        )
    )
    values = {
        "n": NUMBERS,
        "last": WORDS,
        "digest": DIGESTS,
        "mount": DIGESTS,
        "from": NAMES | WORDS,
        "tag": TAGS | WORDS,
    }
    values |= {"artifactType": WORDS, "digest-algorithm": WORDS, "ns": WORDS}
    keys = draw(st.lists(st.sampled_from(sorted(values)), max_size=4))
    query = "&".join(f"{key}={escaped(draw(values[key]))}" for key in keys)
    path = draw(st.sampled_from([f"/v2/{name}/{end}"] * 8 + ["/v2/_catalog", "/v2/", f"/{name}", "/token", "/metrics"]))
    return f"{escaped(path)}?{query}"


RANGES = [
    "bytes=0-3",
    "bytes=-3",
    "bytes=5-",
    "bytes=9-2",
    "bytes=0-0,2-3,-1",
    "bytes=" + "0-1," * 500,
    "0-6",
    "7-9",
    "0-9" * 50,
    "x",
]
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "range": st.sampled_from(RANGES),
        "content-range": st.sampled_from(RANGES) | NUMBERS,
        "content-type": st.sampled_from(
            [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, "a/b; c=d", "", "\xe9"]
        ),
        "content-length": NUMBERS | st.just("7"),
        "authorization": WORDS.map(escaped),
        "accept": WORDS.map(escaped),
    },
)
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | DIGESTS, lambda it: st.lists(it, max_size=3), max_leaves=6
)
DESCRIPTOR = st.fixed_dictionaries(
    {}, optional={"mediaType": JSON, "digest": DIGESTS | JSON, "size": st.integers() | JSON, "urls": JSON}
)
FIELDS = {
    "schemaVersion": st.just(2) | JSON,
    "mediaType": st.sampled_from([OCI_INDEX, OCI_MANIFEST]) | JSON,
    "config": DESCRIPTOR | JSON,
}
FIELDS |= {"layers": st.lists(DESCRIPTOR, max_size=2) | JSON, "manifests": st.lists(DESCRIPTOR, max_size=2) | JSON}
FIELDS |= {
    "subject": DESCRIPTOR | JSON,
    "annotations": st.dictionaries(st.text(max_size=3), JSON, max_size=2),
    "artifactType": JSON,
}
MANIFESTS = st.fixed_dictionaries({}, optional=FIELDS).map(lambda fields: json.dumps(fields).encode())
BODIES = st.one_of(st.just(b""), st.just(BLOB), MANIFESTS, MANIFESTS, st.binary(max_size=20))
REQUESTS = st.tuples(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]), urls(), BODIES, HEADERS
)


def tell(requests: list[tuple[str, str, bytes, dict[str, str]]]) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        store = FileSystemStore(Path(folder) / "data")
        app = Registry(store)

        async def run() -> None:
            session = store.start_upload("a")
            for method, url, body, headers in requests:
                answer = await ask(app, method, url.replace("SESSION", session), body, headers, lambda: None)
                assert answer.status < 500, (method, url, body, headers)
                assert answer.status >= 200

        asyncio.run(run())
        assert names_in(Path(folder)) == ["data"]
        assert set(names_in(store.layout.root)) == {"layout", "blobs", "repositories", "staging", "uploads"}
        assert list(check_store(store.layout)) == []


@settings(max_examples=100)
@given(st.lists(REQUESTS, min_size=1, max_size=12))
def test_whatever_is_asked_an_answer_comes_and_the_store_stays_whole(requests):
    tell(requests)


@pytest.mark.long
@settings(max_examples=20_000)
@given(st.lists(REQUESTS, min_size=1, max_size=12))
def test_very_much_is_asked(requests):
    tell(requests)
