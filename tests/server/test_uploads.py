import pytest
import urllib3

from homeport.errors import StoreFullError
from homeport.store.filesystem import FileSystemStore
from tests.kit.servers import running_registry
from tests.server.conftest import Client, digest_of

CONTENT = b"0123456789" * 1000
DIGEST = digest_of(CONTENT)
ABSENT = "sha256:" + "0" * 64


def start(client: Client) -> str:
    answer = client.call("POST", "blobs/uploads/")
    assert answer.status == 202
    assert answer.headers["range"] == "0-0"
    location = answer.headers["location"]
    assert location.startswith(f"/v2/{client.repository}/blobs/uploads/")
    assert answer.headers["docker-upload-uuid"] == location.rpartition("/")[2]
    return location


def held(client: Client, content: bytes) -> bool:
    return client.call("GET", f"blobs/{digest_of(content)}").body == content


def test_a_blob_is_pushed_in_one_request(client):
    answer = client.call("POST", f"blobs/uploads/?digest={DIGEST}", CONTENT)
    assert answer.status == 201
    assert answer.headers["location"] == f"/v2/{client.repository}/blobs/{DIGEST}"
    assert answer.headers["docker-content-digest"] == DIGEST
    assert held(client, CONTENT)


def test_a_blob_is_pushed_with_post_and_put(client):
    answer = client.at("PUT", f"{start(client)}?digest={DIGEST}", CONTENT)
    assert answer.status == 201
    assert answer.headers["location"] == f"/v2/{client.repository}/blobs/{DIGEST}"
    assert held(client, CONTENT)


def test_docker_streams_without_a_length_and_closes_with_an_empty_put(client):
    location = start(client)
    answer = client.at("PATCH", location, iter([CONTENT[:4000], CONTENT[4000:]]))
    assert answer.status == 202
    assert answer.headers["range"] == f"0-{len(CONTENT) - 1}"
    assert client.at("PUT", f"{answer.headers['location']}?digest={DIGEST}").status == 201
    assert held(client, CONTENT)


def test_chunks_follow_each_other_and_the_last_comes_with_the_put(client):
    location = start(client)
    for first, last in ((0, 2999), (3000, 5999)):
        answer = client.at("PATCH", location, CONTENT[first : last + 1], content_range=f"{first}-{last}")
        assert (answer.status, answer.headers["range"]) == (202, f"0-{last}")
    status = client.at("GET", location)
    assert (status.status, status.headers["range"], status.body) == (204, "0-5999", b"")
    answer = client.at("PUT", f"{location}?digest={DIGEST}", CONTENT[6000:], content_range="6000-9999")
    assert answer.status == 201
    assert held(client, CONTENT)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize(("first", "last"), [(0, 2999), (2999, 5999), (3001, 6000)])
def test_a_chunk_out_of_order_is_refused_and_told_where_to_go_on(client, method, first, last):
    location = start(client)
    client.at("PATCH", location, CONTENT[:3000], content_range="0-2999")
    body = CONTENT[first : last + 1]
    answer = client.at(method, f"{location}?digest={DIGEST}", body, content_range=f"{first}-{last}")
    assert (answer.status, answer.codes) == (416, ["BLOB_UPLOAD_INVALID"])
    assert (answer.headers["range"], answer.headers["location"]) == ("0-2999", location)
    assert client.at("PUT", f"{location}?digest={DIGEST}", CONTENT[3000:]).status == 201
    assert held(client, CONTENT)


def test_a_chunk_whose_length_lies_is_refused_before_anything_is_stored(client):
    location = start(client)
    answer = client.at("PATCH", location, CONTENT[:3000], content_range="0-3000")
    assert (answer.status, answer.codes) == (400, ["SIZE_INVALID"])
    assert client.at("PATCH", location, CONTENT, content_range="no range").codes == ["BLOB_UPLOAD_INVALID"]
    assert client.at("PATCH", location, CONTENT, content_range="0-9999").status == 202


def test_a_streamed_chunk_whose_length_lies_is_refused(client):
    answer = client.at("PATCH", start(client), iter([CONTENT]), content_range="0-3000")
    assert (answer.status, answer.codes) == (400, ["SIZE_INVALID"])


@pytest.mark.parametrize("way", ["post", "put", "patch", "chunk", "last chunk"])
def test_content_that_is_not_its_digest_is_refused(client, way):
    if way == "post":
        answer = client.call("POST", f"blobs/uploads/?digest={ABSENT}", CONTENT)
    else:
        location, rest = start(client), CONTENT
        if way == "patch":
            client.at("PATCH", location, iter([CONTENT]))
            rest = b""
        if way in ("chunk", "last chunk"):
            size = 5000 if way == "last chunk" else len(CONTENT)
            client.at("PATCH", location, CONTENT[:size], content_range=f"0-{size - 1}")
            rest = CONTENT[size:]
        answer = client.at("PUT", f"{location}?digest={ABSENT}", rest)
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert client.call("HEAD", f"blobs/{ABSENT}").status == 404
    assert client.call("HEAD", f"blobs/{DIGEST}").status == 404


@pytest.mark.parametrize("query", ["", "?digest=", "?digest=sha256:xyz", "?digest=../../x"])
def test_a_put_without_a_digest_is_refused_and_the_upload_stays(client, query):
    location = start(client)
    answer = client.at("PUT", location + query, CONTENT)
    assert (answer.status, answer.codes) == (400, ["DIGEST_INVALID"])
    assert client.at("PUT", f"{location}?digest={DIGEST}", CONTENT).status == 201


def test_an_upload_in_one_request_that_fails_leaves_nothing_behind(tmp_path, pool):
    with running_registry(tmp_path / "data") as registry:
        client = Client(registry.url, "a", pool)
        answer = client.call("POST", f"blobs/uploads/?digest={DIGEST}", CONTENT, content_range="5-10004")
        assert answer.status == 416
        assert list((tmp_path / "data" / "uploads").iterdir()) == []


def test_a_cancelled_upload_is_unknown(client):
    location = start(client)
    assert client.at("DELETE", location).status == 204
    for method in ("GET", "PATCH", "PUT", "DELETE"):
        answer = client.at(method, f"{location}?digest={DIGEST}", CONTENT if method[0] == "P" else None)
        assert (answer.status, answer.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])


def test_a_finished_upload_is_unknown(client):
    location = start(client)
    assert client.at("PUT", f"{location}?digest={DIGEST}", CONTENT).status == 201
    assert client.at("GET", location).status == 404


def test_an_upload_is_unknown_in_another_repository(client):
    session = start(client).rpartition("/")[2]
    assert client.at("GET", f"/v2/another/blobs/uploads/{session}").status == 404


def test_a_blob_is_mounted_from_a_repository_that_holds_it(client):
    client.push_blob(CONTENT)
    answer = client.at("POST", f"/v2/mounts/here/blobs/uploads/?mount={DIGEST}&from={client.repository}")
    assert (answer.status, answer.headers["location"]) == (201, f"/v2/mounts/here/blobs/{DIGEST}")
    assert client.at("GET", f"/v2/mounts/here/blobs/{DIGEST}").body == CONTENT


def test_a_blob_is_mounted_from_wherever_it_is_where_no_source_is_named(client):
    content = b"only once in this registry"
    digest = client.push_blob(content)
    answer = client.at("POST", f"/v2/mounts/anonymous/blobs/uploads/?mount={digest}")
    assert (answer.status, answer.headers["location"]) == (201, f"/v2/mounts/anonymous/blobs/{digest}")
    assert client.at("GET", f"/v2/mounts/anonymous/blobs/{digest}").body == content


@pytest.mark.parametrize("query", [f"mount={DIGEST}&from=without/it", f"mount={ABSENT}"])
def test_a_mount_that_is_not_possible_becomes_an_upload(client, query):
    client.push_blob(CONTENT)
    answer = client.at("POST", f"/v2/mounts/there/blobs/uploads/?{query}")
    assert answer.status == 202
    assert client.at("PUT", f"{answer.headers['location']}?digest={DIGEST}", CONTENT).status == 201


def test_a_mount_from_a_name_that_is_none_is_refused(client):
    answer = client.call("POST", f"blobs/uploads/?mount={DIGEST}&from=../../etc")
    assert (answer.status, answer.codes) == (400, ["NAME_INVALID"])


def test_only_known_algorithms_are_promised(client):
    assert client.call("POST", "blobs/uploads/?digest-algorithm=sha512").status == 202
    assert client.call("POST", "blobs/uploads/?digest-algorithm=md5").codes == ["DIGEST_INVALID"]


def test_too_many_parameters_are_refused(client):
    assert client.call("POST", "blobs/uploads/?" + "a=b&" * 100).status == 414


def test_who_leaves_too_many_uploads_open_has_to_wait(tmp_path, pool, monkeypatch):
    monkeypatch.setattr("homeport.server.open_uploads.MOST", 3)
    with running_registry(tmp_path / "data", users={"me": "x", "you": "y"}) as registry:
        client = Client(registry.url, "a", pool)

        def upload(user: str, password: str):
            token = urllib3.make_headers(basic_auth=f"{user}:{password}")["authorization"]
            return client.call("POST", "blobs/uploads/", authorization=token)

        opened = [upload("me", "x") for _ in range(4)]
        assert [answer.status for answer in opened] == [202, 202, 202, 429]
        assert opened[3].codes == ["TOOMANYREQUESTS"]
        assert opened[3].headers["retry-after"] == "60"
        assert upload("you", "y").status == 202
        registry.store.cancel_upload("a", opened[0].headers["location"].rpartition("/")[2])
        assert [upload("me", "x").status for _ in range(2)] == [202, 429]
        assert len(list((tmp_path / "data" / "uploads").iterdir())) == 4


class _FullUpload:
    offset = 0

    def write(self, _data: bytes) -> None:
        raise StoreFullError("cannot store what was received: No space left on device")

    def close(self) -> None:
        pass


class _FullStore(FileSystemStore):
    full = True

    def open_upload(self, repository, session):
        return _FullUpload() if self.full else super().open_upload(repository, session)

    def put_manifest(self, *args, **kwargs):
        if self.full:
            raise StoreFullError("cannot store manifest: No space left on device")
        return super().put_manifest(*args, **kwargs)


def test_a_full_disk_is_answered_clearly_and_service_goes_on(tmp_path, pool):
    store = _FullStore(tmp_path / "data")
    with running_registry(store=store) as registry:
        client = Client(registry.url, "a", pool)
        answers = [
            client.call("POST", f"blobs/uploads/?digest={DIGEST}", CONTENT),
            client.at("PATCH", start(client), CONTENT),
            client.call("PUT", "manifests/x", b"{}", content_type="application/vnd.any+json"),
        ]
        for answer in answers:
            assert answer.status == 507
            assert answer.json["errors"] == [{"code": "UNAVAILABLE", "message": "the registry has no room left"}]
        assert client.at("GET", "/v2/").status == 200
        store.full = False
        assert client.push_blob(CONTENT) == DIGEST
        assert held(client, CONTENT)


def test_an_unforeseen_fault_is_told_in_general_terms_only(pool):
    class Broken(FileSystemStore):
        def __init__(self) -> None:
            pass

        def start_upload(self, repository: str) -> str:
            raise RuntimeError("the password is hunter2")

    with running_registry(store=Broken()) as registry:
        answer = Client(registry.url, "a", pool).call("POST", "blobs/uploads/")
    assert (answer.status, answer.codes) == (500, ["UNKNOWN"])
    assert b"hunter2" not in answer.body
