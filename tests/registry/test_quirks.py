"""What registries are known to do otherwise than written, played by stand-ins."""

from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from homeport.mapping import Mapping, Target
from homeport.mirror import mirror
from homeport.mirror.companions import stand_in
from homeport.oci.media_types import OCI_INDEX
from homeport.reference import Reference
from tests.kit import images
from tests.kit.clients import open_registries
from tests.kit.memory import MemoryRegistry
from tests.kit.scripted import Reply, Seen, scripted

CONTENT = images.image(images.layer("app"))
SIGNATURE = images.about(CONTENT)


def of_content(content: images.Content) -> Reply:
    kind = {"Content-Type": content.manifest.media_type, "Docker-Content-Digest": content.digest}
    return Reply(200, kind, content.manifest.body)


def play(seen: Seen, *, referrers: Reply, tags: tuple[str, ...] = ()) -> Reply:
    """Serve an image, its signature, and the tag that stands in for a list of referrers."""
    listed = images.index(SIGNATURE)
    manifests = {"1": CONTENT, CONTENT.digest: CONTENT, SIGNATURE.digest: SIGNATURE, listed.digest: listed}
    if stand_in(CONTENT.digest) in tags:
        manifests[stand_in(CONTENT.digest)] = listed
    path, _, name = seen.path.rpartition("/")
    if path.endswith("/referrers"):
        return referrers
    if path.endswith("/manifests") and name in manifests:
        return of_content(manifests[name])
    if path.endswith("/blobs") and (data := {**CONTENT.all_blobs, **SIGNATURE.all_blobs}.get(name)):
        return Reply(200, {}, data)
    if "/tags/list" in seen.path:
        return Reply(200, {"Content-Type": "application/json"}, msgspec.json.encode({"tags": ["1", *tags]}))
    return Reply(200 if seen.path == "/v2/" else 404)


@pytest.mark.parametrize("status", [303, 307])
def test_ghcr_sends_who_asks_for_referrers_to_a_page_that_is_limited(status: int):
    """Its signatures are found by tags, and the page is never asked (artifacthub/hub 4785)."""
    target = MemoryRegistry("target.example")
    with scripted(lambda _seen: Reply(429)) as page:
        referrers = Reply(status, {"Location": f"{page.url}/-/v2/packages"})
        tags = (stand_in(CONTENT.digest),)
        with (
            scripted(lambda seen: play(seen, referrers=referrers, tags=tags)) as ghcr,
            open_registries() as registries,
        ):
            wanted = [Reference.parse(f"{ghcr.host}/app:1")]
            result = mirror(wanted, Mapping(Target("target.example")), registries.client, target, referrers=True)
    assert result.images[0].status == "copied"
    assert result.images[0].note == ""
    assert page.seen == []
    assert SIGNATURE.digest in target.manifests["app"]


def test_a_list_of_referrers_behind_a_redirect_of_the_same_host_is_read():
    body = msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [SIGNATURE.descriptor()]})

    def answer(seen: Seen) -> Reply:
        if seen.path == "/elsewhere":
            return Reply(200, {"Content-Type": OCI_INDEX}, body)
        return play(seen, referrers=Reply(307, {"Location": "/elsewhere"}))

    with scripted(answer) as server, open_registries() as registries:
        found = registries.client(server.host).referrers("app", CONTENT.digest)
    assert [each.digest for each in found or ()] == [SIGNATURE.digest]


def test_quay_is_told_from_which_repository_a_blob_is_mounted():
    with scripted(lambda seen: Reply(201 if seen.method == "POST" else 200)) as quay, open_registries() as registries:
        assert registries.client(quay.host).start_blob("a/two", CONTENT.digest, mount_from="a/one") is None
    (asked,) = quay.asked("POST")
    assert parse_qs(urlsplit(asked).query) == {"mount": [CONTENT.digest], "from": ["a/one"]}


def test_amazon_answers_201_to_a_part_of_a_blob():
    blob, data = CONTENT.blobs[1]
    received = bytearray()

    def ecr(seen: Seen) -> Reply:
        session = {"Location": "/v2/app/blobs/uploads/1", "Range": f"0-{len(received) - 1}"}
        if seen.method == "PATCH":
            received.extend(seen.body)
            return Reply(201, {**session, "Range": f"0-{len(received) - 1}"})
        if seen.method == "PUT":
            return Reply(413) if seen.body else Reply(201, {"Docker-Content-Digest": blob.digest})
        return Reply(202, session) if seen.method == "POST" else Reply(200)

    with scripted(ecr) as server, open_registries() as registries:
        client = registries.client(server.host)
        upload = client.start_blob("app", blob.digest)
        assert upload
        client.put_blob("app", blob, images.BytesReader(data), upload)
    assert bytes(received) == data
