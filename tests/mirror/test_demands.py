"""Signatures by cosign that are demanded: what is accepted, what is refused, and that nothing of a refused image is copied."""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from homeport.cli.signing import read_demands
from homeport.errors import UsageError
from homeport.mirror import Bound, ImagePlan, expect
from homeport.mirror.bundle.keys import PublicKey
from homeport.mirror.companions import stand_in
from homeport.mirror.kept import KeptManifests
from homeport.mirror.result import ImageResult
from homeport.mirror.signatures import IMAGE_SIGNED, SIMPLE_SIGNING, Demand
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor, RawManifest
from homeport.oci.media_types import OCI_MANIFEST
from homeport.quota.experience import Experience, Standing
from homeport.quota.reading import Reading
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


# What a dry run says of signatures, and what it costs.


def foreseen(world: World, *demands: Demand, **wishes: Any) -> ImagePlan:
    (image,) = world.forecast(APP, demands=demands, **wishes).images
    return image


@pytest.mark.parametrize("form", FORMS)
def test_a_dry_run_says_that_a_signature_is_demanded_and_reads_none(
    world: World, content: images.Content, pair: Pair, form: str
):
    make, place = FORMS[form]
    place(world, content, make(pair, content.digest))
    image = foreseen(world, pair.demand)
    assert world.source.counted_pulls == 0
    assert image.status == "pending"
    assert (
        image.seen.note == f"it must be signed by {pair.public}: that is looked at before it is copied, or with --deep"
    )
    result = world.mirror(APP, demands=[pair.demand])
    assert result.traffic.counted_pulls in image.cost.counted_pulls
    assert result.traffic.source in image.cost.source
    assert image.cost.counted_pulls.low == 2


def test_a_dry_run_fails_what_cannot_be_signed(world: World, content: images.Content, pair: Pair):
    image = foreseen(world, pair.demand)
    assert image.status == "failed"
    assert "is not signed by" in image.seen.error
    assert "no signature was found" in image.seen.error
    assert "It was not copied" in image.seen.hint
    assert world.source.counted_pulls == 0


def test_a_dry_run_asks_nothing_of_what_need_not_be_signed(world: World, content: images.Content, pair: Pair):
    image = foreseen(world, Demand(pair.demand.key, "source.example/other/*"))
    assert (image.status, image.seen.note) == ("pending", "")
    assert world.source.count("GET referrers") == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_deep_dry_run_finds_what_the_run_would_refuse_and_pays_for_nothing_else(
    world: World, content: images.Content, pair: Pair, tmp_path: Path, form: str
):
    make, place = FORMS[form]
    place(world, content, make(Pair(tmp_path, "other", "p256"), content.digest))
    kept = KeptManifests(tmp_path / "kept")
    plan = world.forecast(APP, demands=[pair.demand], deep=True, kept=kept)
    assert world.source.counted_pulls == 1
    assert plan.cost.counted_pulls == Bound.exactly(1)
    (refused,) = world.mirror(APP, demands=[pair.demand], kept=kept).images
    assert (plan.images[0].status, plan.images[0].seen.error) == ("failed", refused.error)
    assert world.source.counted_pulls == 0


def test_a_present_image_that_is_not_signed_is_foreseen_too(world: World, content: images.Content, pair: Pair):
    world.mirror(APP)
    assert foreseen(world, pair.demand).status == "failed"
    under_the_tag(world, content, simple(pair, content.digest))
    image = foreseen(world, pair.demand)
    assert image.status == "present"
    assert image.cost.counted_pulls == Bound.exactly(1)


@pytest.mark.parametrize("stands_in", [False, True], ids=["", "lists stand in"])
@pytest.mark.parametrize("referrers", [False, True], ids=["alone", "with referrers"])
def test_a_deep_dry_run_and_its_mirror_count_what_the_mirror_alone_counts(
    tmp_path: Path, referrers: bool, stands_in: bool
):
    """Signed in every form, by the wrong key, by several, under two tags, and not at all."""
    own, other = (Pair(tmp_path, name, "p256") for name in ("own", "other"))
    counted, plans = {}, []
    for deep in (False, True):
        world, kept = World(), KeptManifests(tmp_path / f"kept-{deep}")
        names = _publish_signed(world, own, other, stands_in=stands_in)
        wishes: dict[str, Any] = {"demands": [own.demand], "kept": kept, "referrers": referrers}
        before = 0
        if deep:
            plans.append(world.forecast(*names, deep=True, **wishes))
            before = world.source.counted_pulls
        result = world.mirror(*names, **wishes)
        assert [image.status for image in result.images].count("failed") == 2
        counted[deep] = before + result.traffic.counted_pulls
        assert before == 0 or [image.status == "failed" for image in plans[0].images] == [
            image.status == "failed" for image in result.images
        ]
    assert counted[True] == counted[False]
    assert counted[True] in plans[0].cost.counted_pulls


@pytest.mark.parametrize("referrers", [False, True], ids=["alone", "with referrers"])
@pytest.mark.parametrize("demanded", [False, True], ids=["", "demanded"])
def test_a_dry_run_counts_nothing_where_a_list_of_referrers_is_a_manifest(
    world: World, content: images.Content, pair: Pair, tmp_path: Path, referrers: bool, demanded: bool
):
    signature = artifact(bundle(pair, content.digest), about=content)
    images.put(signature, world.source, "team/app")
    _stand_in(world, content, signature)
    wishes: dict[str, Any] = {
        "referrers": referrers,
        "demands": [pair.demand] if demanded else [],
        "kept": KeptManifests(tmp_path / "kept"),
    }
    plan = world.forecast(APP, **wishes)
    assert world.source.counted_pulls == 0
    assert plan.images[0].status == "pending"
    result = world.mirror(APP, **wishes)
    assert not result.failed
    assert result.traffic.counted_pulls in plan.cost.counted_pulls
    plan = world.forecast(APP, **wishes)
    assert world.source.counted_pulls == 0
    assert plan.cost.counted_pulls.low == 0
    assert plan.images[0].status == "present"


def test_a_list_that_is_not_read_leaves_open_what_is_likely(world: World, content: images.Content):
    signature = images.about(content)
    images.put(signature, world.source, "team/app")
    _stand_in(world, content, signature)
    plan = world.forecast(APP, referrers=True)
    known = Experience(gets=100, counted=100, named=1, possible=1)
    expected = expect(plan, "source.example", Standing(Reading(100, 100), known))
    assert (expected.pulls.low, expected.pulls.high, expected.likely) == (2, None, None)


def _stand_in(world: World, content: images.Content, *about: images.Content) -> None:
    world.source.lists_referrers = world.source.validates = False
    images.put(images.index(*about), world.source, "team/app", stand_in(content.digest))


def _publish_signed(world: World, own: Pair, other: Pair, *, stands_in: bool) -> list[str]:
    contents = {tag: images.multi_arch(tag) for tag in ("tag", "referrer", "bundle", "both", "wrong", "unsigned")}
    for tag, content in contents.items():
        images.put(content, world.source, "team/app", tag)
    images.put(contents["tag"], world.source, "team/app", "again")
    under_the_tag(world, contents["tag"], simple(own, contents["tag"].digest))
    about = {
        "referrer": [simple(own, contents["referrer"].digest)],
        "bundle": [bundle(own, contents["bundle"].digest)],
        "both": [make(pair, contents["both"].digest) for make in (simple, bundle) for pair in (other, own)],
        "wrong": [bundle(other, contents["wrong"].digest)],
    }
    for tag, layers in about.items():
        named = [artifact(layer, about=contents[tag]) for layer in layers]
        for each in named:
            images.put(each, world.source, "team/app")
        if stands_in:
            _stand_in(world, contents[tag], *named)
    return [f"source.example/team/app:{tag}" for tag in (*contents, "again")]
