"""Signatures by cosign that are demanded: what is accepted, what is refused, and that nothing of a refused image is copied."""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from homeport.cli.signing import read_demands
from homeport.errors import UsageError
from homeport.mirror.bundle.keys import PublicKey
from homeport.mirror.companions import stand_in
from homeport.mirror.kept import KeptManifests
from homeport.mirror.result import ImageResult
from homeport.mirror.signatures import IMAGE_SIGNED, SIMPLE_SIGNING, Demand
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor, RawManifest
from homeport.oci.media_types import OCI_MANIFEST
from homeport.reference import Reference
from tests.kit import images
from tests.kit.keys import write_keys
from tests.mirror.conftest import World

APP = "source.example/team/app:1"
KINDS = ["p256", "p384", "rsa", "ed25519"]
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


class Pair:
    """A key pair that signs as cosign does."""

    def __init__(self, folder: Path, name: str, kind: str) -> None:
        private, self.public = write_keys(folder, name, kind)
        self._key = load_pem_private_key(private.read_bytes(), None)
        self.demand = Demand(PublicKey(self.public))

    def sign(self, body: bytes) -> str:
        if isinstance(self._key, EllipticCurvePrivateKey):
            signature = self._key.sign(body, ECDSA(SHA384() if self._key.curve.name == "secp384r1" else SHA256()))
        elif isinstance(self._key, RSAPrivateKey):
            signature = self._key.sign(body, PKCS1v15(), SHA256())
        else:
            assert isinstance(self._key, Ed25519PrivateKey)
            signature = self._key.sign(body)
        return b64encode(signature).decode()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path, "own", "p256")


@pytest.fixture
def content(world: World) -> images.Content:
    content = images.multi_arch("app")
    images.put(content, world.source, "team/app", "1")
    return content


def simple(pair: Pair, digest: str) -> tuple[str, bytes, dict[str, str]]:
    image = {"docker-manifest-digest": digest}
    critical = {"identity": {"docker-reference": "x"}, "image": image, "type": "cosign container image signature"}
    payload = json.dumps({"critical": critical, "optional": None}).encode()
    return SIMPLE_SIGNING, payload, {"dev.cosignproject.cosign/signature": pair.sign(payload)}


def bundle(pair: Pair, digest: str, predicate: str = IMAGE_SIGNED) -> tuple[str, bytes, dict[str, str]]:
    algorithm, _, value = digest.partition(":")
    statement = {"_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {algorithm: value}}]}
    payload = json.dumps({**statement, "predicateType": predicate, "predicate": {}}).encode()
    kind = "application/vnd.in-toto+json"
    signature = pair.sign(f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload)
    envelope = {"payload": b64encode(payload).decode(), "payloadType": kind, "signatures": [{"sig": signature}]}
    return BUNDLE, json.dumps({"mediaType": BUNDLE, "dsseEnvelope": envelope}).encode(), {}


def artifact(*layers: tuple[str, bytes, dict[str, str]], about: images.Content | None = None) -> images.Content:
    config = Descriptor("application/vnd.oci.empty.v1+json", digest_of(b"{}"), 2)
    named = [(Descriptor(kind, digest_of(body), len(body), annotations=notes), body) for kind, body, notes in layers]
    fields = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [each for each, _ in named]}
    if about:
        fields["subject"] = about.descriptor()
    return images.Content(RawManifest.of(images.encoded(fields), OCI_MANIFEST), ((config, b"{}"), *named))


def under_the_tag(world: World, content: images.Content, *layers: tuple[str, bytes, dict[str, str]]) -> None:
    images.put(artifact(*layers), world.source, "team/app", f"{stand_in(content.digest)}.sig")


def as_referrer(world: World, content: images.Content, *layers: tuple[str, bytes, dict[str, str]]) -> None:
    images.put(artifact(*layers, about=content), world.source, "team/app")


Form = tuple[
    Callable[[Pair, str], tuple[str, bytes, dict[str, str]]],
    Callable[..., None],
]
FORMS: dict[str, Form] = {
    "tag": (simple, under_the_tag),
    "referrer": (simple, as_referrer),
    "bundle": (bundle, as_referrer),
}


def demand(world: World, *demands: Demand) -> ImageResult:
    (image,) = world.mirror(APP, demands=demands).images
    return image


def assert_refused(world: World, image: ImageResult, words: str) -> None:
    assert image.status == "failed"
    assert words in image.error
    assert "It was not copied" in image.hint
    assert not any(world.target.manifests.values())
    assert not any(world.target.blobs.values())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_by_the_key_lets_an_image_through(
    world: World, content: images.Content, tmp_path: Path, form: str, kind: str
):
    pair, (make, place) = Pair(tmp_path, "own", kind), FORMS[form]
    place(world, content, make(pair, content.digest))
    assert demand(world, pair.demand).status == "copied"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_by_another_key_does_not(
    world: World, content: images.Content, tmp_path: Path, form: str, kind: str
):
    make, place = FORMS[form]
    place(world, content, make(Pair(tmp_path, "other", kind), content.digest))
    image = demand(world, Pair(tmp_path, "own", kind).demand)
    assert_refused(world, image, f"is not signed by {tmp_path}/own.pub: none of its 1 signatures is by that key")
    assert APP in image.error
    assert content.digest in image.error


@pytest.mark.parametrize("form", FORMS)
def test_a_signature_of_another_image_does_not(world: World, content: images.Content, pair: Pair, form: str):
    make, place = FORMS[form]
    other = digest_of(b"other")
    place(world, content, make(pair, other))
    assert_refused(world, demand(world, pair.demand), f"what the key signed is about {other}")


def test_an_image_without_a_signature_is_refused(world: World, content: images.Content, pair: Pair):
    assert_refused(world, demand(world, pair.demand), "no signature was found")


def test_a_signed_statement_about_an_image_does_not_vouch_for_it(world: World, content: images.Content, pair: Pair):
    as_referrer(world, content, bundle(pair, content.digest, "https://spdx.dev/Document"))
    assert_refused(world, demand(world, pair.demand), "no signature was found")


@pytest.mark.parametrize(
    "layer",
    [
        (SIMPLE_SIGNING, b"{}", {}),
        (SIMPLE_SIGNING, b"not json", {"dev.cosignproject.cosign/signature": "AAAA"}),
        (BUNDLE, b'{"messageSignature": {}}', {}),
        (BUNDLE, b'{"x":' + 100_000 * b"[", {}),
        (SIMPLE_SIGNING, b'{"critical": "\xff"}', {}),
        (
            BUNDLE,
            b'{"dsseEnvelope": {"payload": "*", "payloadType": "application/vnd.in-toto+json", "signatures": []}}',
            {},
        ),
        (BUNDLE, b'{"dsseEnvelope": {"payload": "e30=", "payloadType": "text/plain", "signatures": []}}', {}),
    ],
)
def test_what_cannot_be_read_is_no_signature(
    world: World, content: images.Content, pair: Pair, layer: tuple[str, bytes, dict[str, str]]
):
    as_referrer(world, content, layer)
    assert_refused(world, demand(world, pair.demand), "no signature was found")
    under_the_tag(world, content, layer, simple(pair, content.digest))
    assert demand(world, pair.demand).status == "copied"


def test_a_payload_that_was_changed_is_refused(world: World, content: images.Content, pair: Pair):
    """The signature is of other bytes, in which the digest of this image was put in place of the right one."""
    kind, payload, notes = simple(pair, digest_of(b"other"))
    as_referrer(world, content, (kind, payload.replace(digest_of(b"other").encode(), content.digest.encode()), notes))
    assert_refused(world, demand(world, pair.demand), "none of its 1 signatures is by that key")


def test_a_pattern_says_which_repositories_demand_a_key(world: World, content: images.Content, pair: Pair):
    images.put(images.image(), world.source, "free/app", "1")
    demands = [Demand(pair.demand.key, "source.example/team/*")]
    result = world.mirror(APP, "source.example/free/app:1", demands=demands)
    assert [image.status for image in result.images] == ["failed", "copied"]
    assert world.source.count("GET referrers") == 1


def test_one_of_several_keys_is_enough(world: World, content: images.Content, pair: Pair, tmp_path: Path):
    under_the_tag(world, content, simple(pair, content.digest))
    other = Pair(tmp_path, "other", "ed25519").demand
    assert demand(world, other, pair.demand).status == "copied"


def test_an_image_that_is_there_must_be_signed_too_and_costs_no_pull_again(
    world: World, content: images.Content, pair: Pair, tmp_path: Path
):
    world.mirror(APP)
    (image,) = world.mirror(APP, demands=[pair.demand]).images
    assert image.status == "failed"
    under_the_tag(world, content, simple(pair, content.digest))
    kept = KeptManifests(tmp_path / "kept")
    for pulls in (1, 0):
        result = world.mirror(APP, demands=[pair.demand], kept=kept)
        assert result.images[0].status == "present"
        assert result.traffic.counted_pulls == pulls


def test_an_sbom_is_not_fetched_to_look_for_a_signature(world: World, content: images.Content, pair: Pair):
    under_the_tag(world, content, simple(pair, content.digest))
    listed = Descriptor(OCI_MANIFEST, digest_of(b"sbom"), 100, artifact_type="application/spdx+json")
    world.source.referrers = lambda _repository, _digest: (listed,)  # type: ignore[method-assign]
    assert demand(world, pair.demand).status == "copied"


def test_keys_are_read_with_and_without_a_pattern(pair: Pair):
    every, some = read_demands([str(pair.public), f"docker.io/redislabs/*={pair.public}"])
    assert (every.pattern, some.pattern) == ("*", "docker.io/redislabs/*")
    assert some.is_about(Reference.parse("redislabs/redis:1"))
    assert not some.is_about(Reference.parse("quay.io/redislabs/redis:1"))
    assert every.is_about(Reference.parse("quay.io/redislabs/redis:1"))
    with pytest.raises(UsageError, match=r"none\.pub cannot be read"):
        read_demands(["docker.io/*=none.pub"])
