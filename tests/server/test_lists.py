import json
import re

import pytest

from homeport.oci.media_types import OCI_INDEX, OCI_MANIFEST
from tests.kit.servers import running_registry
from tests.server.conftest import Client

SUBJECT = "sha256:" + "1" * 64


def following(client: Client, path: str, key: str) -> list[list[str]]:
    pages = []
    while path:
        answer = client.at("GET", path)
        assert answer.status == 200
        pages.append(answer.json[key])
        match = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("link", ""))
        path = match[1] if match else ""
    return pages


def test_tags_are_listed_sorted(client):
    for tag in ("b", "7.2.4-64", "a", "B"):
        client.push_manifest(tag, media_type=OCI_INDEX)
    assert client.call("GET", "tags/list").json == {"name": client.repository, "tags": ["7.2.4-64", "B", "a", "b"]}
    assert "link" not in client.call("GET", "tags/list").headers


@pytest.mark.parametrize(("n", "sizes"), [(1, [1, 1, 1, 1]), (3, [3, 1]), (4, [4]), (5, [4]), (99999999, [4])])
def test_tags_come_page_by_page_with_links(client, n, sizes):
    for tag in "abcd":
        client.push_manifest(tag, media_type=OCI_INDEX)
    pages = following(client, f"/v2/{client.repository}/tags/list?n={n}", "tags")
    assert [len(page) for page in pages] == sizes
    assert [tag for page in pages for tag in page] == list("abcd")


def test_last_works_without_n_and_is_left_out(client):
    for tag in "abc":
        client.push_manifest(tag, media_type=OCI_INDEX)
    assert client.call("GET", "tags/list?last=a").json["tags"] == ["b", "c"]
    assert client.call("GET", "tags/list?last=aa&n=1").json["tags"] == ["b"]
    assert client.call("GET", "tags/list?last=c").json["tags"] == []


def test_no_tags_are_asked_for_and_none_come(client):
    client.push_manifest("a", media_type=OCI_INDEX)
    answer = client.call("GET", "tags/list?n=0")
    assert answer.json["tags"] == []
    assert "link" not in answer.headers


@pytest.mark.parametrize("n", ["-1", "x", "", "1e3", "\u0663", "9" * 30])
def test_a_length_that_is_no_number_is_refused(client, n):
    client.push_manifest("a", media_type=OCI_INDEX)
    assert client.call("GET", f"tags/list?n={n}").status == 400


def test_a_repository_that_is_not_there_is_unknown(client):
    answer = client.call("GET", "tags/list")
    assert (answer.status, answer.codes) == (404, ["NAME_UNKNOWN"])


def test_the_catalog_lists_what_holds_a_manifest(pool):
    with running_registry() as registry:
        for name in ("b/c", "a", "b"):
            Client(registry.url, name, pool).push_manifest("x", media_type=OCI_INDEX)
        client = Client(registry.url, "only/blobs", pool)
        client.push_blob(b"x")
        assert client.at("GET", "/v2/_catalog").json == {"repositories": ["a", "b", "b/c"]}
        assert following(client, "/v2/_catalog?n=2", "repositories") == [["a", "b"], ["b/c"]]


def push_referrer(client: Client, tag: str, **fields) -> tuple[str, int]:
    fields["subject"] = {"mediaType": OCI_MANIFEST, "digest": SUBJECT, "size": 7}
    digest = client.push_manifest(tag, media_type=fields.pop("type", OCI_INDEX), **fields)
    return digest, int(client.call("HEAD", f"manifests/{tag}").headers["content-length"])


def test_what_refers_to_a_digest_is_an_index(client):
    config = client.push_blob(b"{}")
    descriptor = {"mediaType": "application/vnd.some.config+json", "digest": config, "size": 2}
    notes = {"org.example": "yes"}
    signature, signature_size = push_referrer(client, "s", artifactType="application/vnd.sig+json", annotations=notes)
    image, image_size = push_referrer(client, "i", type=OCI_MANIFEST, config=descriptor, layers=[])
    plain, plain_size = push_referrer(client, "p")
    answer = client.call("GET", f"referrers/{SUBJECT}")
    assert answer.headers["content-type"] == OCI_INDEX
    assert "oci-filters-applied" not in answer.headers
    index = answer.json
    expected = [
        {
            "mediaType": OCI_INDEX,
            "digest": signature,
            "size": signature_size,
            "artifactType": "application/vnd.sig+json",
            "annotations": notes,
        },
        {
            "mediaType": OCI_MANIFEST,
            "digest": image,
            "size": image_size,
            "artifactType": "application/vnd.some.config+json",
        },
        {"mediaType": OCI_INDEX, "digest": plain, "size": plain_size},
    ]
    assert (index["schemaVersion"], index["mediaType"]) == (2, OCI_INDEX)
    assert sorted(map(json.dumps, index["manifests"])) == sorted(
        json.dumps(
            {key: entry[key] for key in ("mediaType", "digest", "size", "annotations", "artifactType") if key in entry}
        )
        for entry in expected
    )


@pytest.mark.parametrize("asked", ["application/vnd.a%2Bjson", "application/vnd.a+json"])
def test_referrers_are_filtered_by_type(client, asked):
    wanted, _ = push_referrer(client, "a", artifactType="application/vnd.a+json")
    push_referrer(client, "b", artifactType="application/vnd.b+json")
    answer = client.call("GET", f"referrers/{SUBJECT}?artifactType={asked}")
    assert [entry["digest"] for entry in answer.json["manifests"]] == [wanted]
    assert answer.headers["oci-filters-applied"] == "artifactType"


def test_referrers_come_page_by_page(client):
    pushed = sorted(
        push_referrer(client, f"t{number}", artifactType=f"a/{number % 2}", annotations={"n": str(number)})[0]
        for number in range(5)
    )
    pages, path = [], f"/v2/{client.repository}/referrers/{SUBJECT}?n=2"
    while path:
        answer = client.at("GET", path)
        pages.append([entry["digest"] for entry in answer.json["manifests"]])
        path = answer.headers.get("link", "")[1:].partition(">")[0]
    assert pages == [pushed[:2], pushed[2:4], pushed[4:]]
    filtered = client.call("GET", f"referrers/{SUBJECT}?artifactType=a/0&n=2")
    rest = client.at("GET", filtered.headers["link"][1:].partition(">")[0])
    assert [len(answer.json["manifests"]) for answer in (filtered, rest)] == [2, 1]
    assert client.call("GET", f"referrers/{SUBJECT}?n=0").json["manifests"] == []


def test_no_page_of_referrers_is_longer_than_clients_take(client):
    for number in range(3):
        push_referrer(client, f"t{number}", annotations={"note": str(number) * 2_000_000})
    answer = client.call("GET", f"referrers/{SUBJECT}")
    assert len(answer.body) <= 4 << 20
    assert len(answer.json["manifests"]) == 2
    rest = client.at("GET", answer.headers["link"][1:].partition(">")[0])
    assert len(rest.json["manifests"]) == 1


def test_a_referrer_that_the_disk_spoilt_is_told_and_hides_no_other(tmp_path, pool):
    with running_registry(tmp_path / "data") as registry:
        client = Client(registry.url, "a", pool)
        good, bad = push_referrer(client, "good")[0], push_referrer(client, "bad", artifactType="x/y")[0]
        (tmp_path / "data/repositories/a/_manifests" / bad.replace(":", "-")).write_bytes(b"x\ny")
        answer = client.call("GET", f"referrers/{SUBJECT}")
        assert [entry["digest"] for entry in answer.json["manifests"]] == [good]
        assert answer.headers["warning"].startswith('299 - "')
        assert bad in answer.headers["warning"]


def test_what_there_is_beyond_the_specification_is_told(client):
    names = [entry["name"] for entry in client.at("GET", "/v2/_oci/ext/discover").json["extensions"]]
    assert names == ["_oci", "_catalog"]


def test_nothing_refers_to_an_unknown_digest(client):
    answer = client.call("GET", f"referrers/{SUBJECT}")
    assert (answer.status, answer.json["manifests"]) == (200, [])
    assert client.call("GET", "referrers/sha256:x").codes == ["DIGEST_INVALID"]


def test_a_deleted_manifest_refers_to_nothing(client):
    digest, _ = push_referrer(client, "a")
    client.call("DELETE", f"manifests/{digest}")
    assert client.call("GET", f"referrers/{SUBJECT}").json["manifests"] == []
