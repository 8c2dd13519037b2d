import json

import pytest

from homeport.oci.digest import digest_of as any_digest_of
from homeport.oci.manifest import MAX_MANIFEST_BYTES
from homeport.oci.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, SCHEMA1_SIGNED
from tests.kit.servers import running_registry
from tests.server.conftest import Client, digest_of

ABSENT = "sha256:" + "0" * 64
CONFIG = b'{"architecture":"amd64","os":"linux"}'


def image(client: Client, **fields) -> bytes:
    digest = client.push_blob(CONFIG)
    config = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": len(CONFIG)}
    return json.dumps({"schemaVersion": 2, "config": config, "layers": [], **fields}).encode()


def put(client: Client, identifier: str, body: bytes, media_type: str = OCI_MANIFEST):
    return client.call("PUT", f"manifests/{identifier}", body, content_type=media_type)


def test_a_manifest_is_served_byte_for_byte_by_tag_and_digest(client):
    body = image(client).replace(b": ", b" :\r\n\t") + b"\n\n"
    answer = put(client, "7.2.4-64", body)
    digest = digest_of(body)
    assert answer.status == 201
    assert answer.headers["location"] == f"/v2/{client.repository}/manifests/{digest}"
    assert answer.headers["docker-content-digest"] == digest
    for identifier in ("7.2.4-64", digest):
        for method, served in (("GET", body), ("HEAD", b"")):
            answer = client.call(method, f"manifests/{identifier}")
            assert (answer.status, answer.body) == (200, served)
            assert answer.headers["content-type"] == OCI_MANIFEST
            assert answer.headers["content-length"] == str(len(body))
            assert answer.headers["docker-content-digest"] == digest


@pytest.mark.parametrize("accept", ["application/json", SCHEMA1_SIGNED, DOCKER_MANIFEST])
def test_nothing_is_converted_whatever_the_client_accepts(client, accept):
    put(client, "x", image(client))
    assert client.call("GET", "manifests/x", accept=accept).headers["content-type"] == OCI_MANIFEST


@pytest.mark.parametrize("media_type", [DOCKER_MANIFEST, f"{OCI_MANIFEST}; charset=utf-8"])
def test_the_type_is_kept_as_pushed_without_parameters(client, media_type):
    put(client, "x", image(client), media_type)
    assert client.call("HEAD", "manifests/x").headers["content-type"] == media_type.partition(";")[0]


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index_may_lack_children(client, media_type):
    child = {
        "mediaType": OCI_MANIFEST,
        "digest": ABSENT,
        "size": 2,
        "platform": {"architecture": "arm64", "os": "linux"},
    }
    digest = client.push_manifest("x", media_type=media_type, manifests=[child])
    assert client.call("HEAD", "manifests/x").headers["docker-content-digest"] == digest


def test_an_image_may_not_lack_blobs_and_is_told_which(client):
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": ABSENT, "size": 3}
    answer = put(client, "x", image(client, layers=[layer]))
    assert (answer.status, answer.codes) == (400, ["MANIFEST_BLOB_UNKNOWN"])
    assert answer.json["errors"][0]["detail"] == {"digests": [ABSENT]}
    assert client.call("HEAD", "manifests/x").status == 404


def test_a_layer_that_is_not_distributed_need_not_be_there(client):
    layer = {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": ABSENT, "size": 3}
    assert put(client, "x", image(client, layers=[layer]), DOCKER_MANIFEST).status == 201


def test_a_type_nobody_has_heard_of_is_kept_as_it_is(client):
    body = b'{"config": 17, "layers": "none"}'
    assert put(client, "x", body, "application/vnd.future+json").status == 201
    answer = client.call("GET", "manifests/x")
    assert (answer.body, answer.headers["content-type"]) == (body, "application/vnd.future+json")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'"x"', b"{}{}"])
@pytest.mark.parametrize("media_type", [OCI_MANIFEST, "application/vnd.future+json"])
def test_what_is_no_json_object_is_no_manifest(client, body, media_type):
    answer = put(client, "x", body, media_type)
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])


def test_a_manifest_without_any_type_is_refused_and_one_that_states_it_is_not(client):
    assert client.call("PUT", "manifests/x", b'{"schemaVersion":2}').codes == ["MANIFEST_INVALID"]
    assert client.call("PUT", "manifests/x", image(client, mediaType=OCI_MANIFEST)).status == 201
    assert client.call("HEAD", "manifests/x").headers["content-type"] == OCI_MANIFEST


def test_a_manifest_that_contradicts_its_type_is_refused(client):
    answer = put(client, "x", image(client, mediaType=OCI_INDEX))
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX])
def test_a_manifest_that_is_an_image_and_an_index_is_refused(client, media_type):
    child = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 2}
    answer = put(client, "x", image(client, manifests=[child]), media_type)
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])


def test_schema_1_is_refused_with_what_to_do(client):
    answer = put(client, "x", b'{"schemaVersion":1}', SCHEMA1_SIGNED)
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])
    assert "schema 1" in answer.json["errors"][0]["message"]


def test_a_digest_in_the_url_must_be_that_of_the_manifest(client):
    answer = put(client, ABSENT, image(client))
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    sha512 = any_digest_of(image(client), "sha512")
    assert put(client, sha512, image(client)).headers["docker-content-digest"] == sha512
    assert client.call("GET", f"manifests/{sha512}").body == image(client)


def test_a_manifest_of_4_mib_is_taken_and_a_larger_one_is_not(client):
    body = b'{"a":"' + b"x" * (MAX_MANIFEST_BYTES - 8) + b'"}'
    assert put(client, "x", body, "application/vnd.any+json").status == 201
    assert client.call("GET", "manifests/x").body == body
    for larger in (body + b" ", iter([body, b" "])):
        answer = put(client, "x", larger, "application/vnd.any+json")
        assert (answer.status, answer.codes) == (413, ["MANIFEST_INVALID"])
    assert client.call("GET", "manifests/x").body == body


def test_a_digest_can_be_given_tags_as_it_is_pushed(client):
    body = image(client)
    answer = put(client, f"{digest_of(body)}?tag=a&tag=b", body)
    assert (answer.status, answer.headers["oci-tag"]) == (201, "a, b")
    assert client.call("GET", "tags/list").json["tags"] == ["a", "b"]
    assert put(client, f"{digest_of(body)}?tag=../c", body).codes == ["MANIFEST_INVALID"]
    assert put(client, digest_of(body) + "?tag=" + "&tag=".join("abcdefghij" * 6), body).status == 201


def test_pushing_over_a_tag_moves_it_and_keeps_the_old_manifest(client):
    old, new = (
        client.push_manifest("x", media_type=OCI_INDEX, a=1),
        client.push_manifest("x", media_type=OCI_INDEX, a=2),
    )
    assert client.call("HEAD", "manifests/x").headers["docker-content-digest"] == new
    assert client.call("HEAD", f"manifests/{old}").status == 200


def test_deleting_by_tag_and_by_digest(client):
    digest = client.push_manifest("x", media_type=OCI_INDEX)
    for tag in ("y", "z"):
        client.push_manifest(tag, media_type=OCI_INDEX)
    assert client.call("DELETE", "manifests/x").status == 202
    assert client.call("DELETE", "manifests/x").codes == ["MANIFEST_UNKNOWN"]
    assert client.call("HEAD", f"manifests/{digest}").status == 200
    assert client.call("DELETE", f"manifests/{digest}").status == 202
    for identifier in ("y", "z", digest):
        assert client.call("HEAD", f"manifests/{identifier}").status == 404
    assert client.call("DELETE", f"manifests/{digest}").status == 404


def test_a_manifest_that_is_not_there_is_unknown_and_so_may_be_its_repository(client):
    """A client that is about to push takes NAME_UNKNOWN to mean that nothing is there, untagged manifests included."""
    for code in ("NAME_UNKNOWN", "MANIFEST_UNKNOWN"):
        for identifier in ("x", ABSENT):
            answer = client.call("GET", f"manifests/{identifier}")
            assert (answer.status, answer.codes) == (404, [code])
            assert client.call("HEAD", f"manifests/{identifier}").status == 404
        untagged = image(client)
        assert put(client, digest_of(untagged), untagged).status == 201


def test_a_subject_need_not_exist_and_is_confirmed(client):
    subject = {"mediaType": OCI_MANIFEST, "digest": ABSENT, "size": 7}
    answer = put(client, "x", image(client, subject=subject))
    assert (answer.status, answer.headers["oci-subject"]) == (201, ABSENT)


def test_a_manifest_that_the_disk_spoilt_is_mended_by_a_push(tmp_path, pool):
    with running_registry(tmp_path / "data") as registry:
        client = Client(registry.url, "a", pool)
        digest = client.push_manifest("x", media_type=OCI_INDEX)
        (tmp_path / "data/repositories/a/_manifests" / digest.replace(":", "-")).write_bytes(b"x\ny")
        assert client.call("GET", "manifests/x").status == 500
        seen = client.call("HEAD", "manifests/x")
        assert seen.status == 404
        assert "spoilt" in seen.headers["warning"]
        client.push_manifest("x", media_type=OCI_INDEX)
        assert client.call("HEAD", "manifests/x").headers["docker-content-digest"] == digest


BOMBS = {
    "a list of lists": b"[" * 2_000_000,
    "closed lists": b"[" * 2_000_000 + b"]" * 2_000_000,
    "objects": b'{"a":' * 600_000 + b"1" + b"}" * 600_000,
    "lists where manifests are": b'{"schemaVersion":2,"manifests":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "lists that nobody knows": b'{"schemaVersion":2,"manifests":[],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number": b'{"schemaVersion":' + b"9" * 1_000_000 + b',"manifests":[]}',
    "no UTF-8": b'{"schemaVersion":2,"manifests":[],"annotations":{"a":"\xff"}}',
    "half a character": b'{"schemaVersion":2,"manifests":[],"annotations":{"a":"\\ud800"}}',
    "UTF-16": '{"schemaVersion":2,"manifests":[]}'.encode("utf-16"),
    "nothing": b"",
    "null": b"null",
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("media_type", [OCI_MANIFEST, OCI_INDEX])
def test_what_nobody_can_read_is_refused(client, bomb, media_type):
    answer = client.call("PUT", "manifests/x", BOMBS[bomb], content_type=media_type)
    assert (answer.status, answer.codes) == (400, ["MANIFEST_INVALID"])
    assert client.call("GET", "manifests/x").status == 404
