"""What is about an image comes along with it: referrers, and the tags of cosign."""

import threading
from pathlib import Path

import pytest

from homeport.errors import NotFoundError, RegistryError
from homeport.mapping import Mapping, Target
from homeport.mirror import companions
from homeport.mirror.bundle.archives import open_layout
from homeport.mirror.bundle.load import load, verify
from homeport.mirror.bundle.save import Wishes, save
from homeport.mirror.companions import read_stand_in, stand_in
from homeport.mirror.kept import KeptManifests
from homeport.reference import Reference
from tests.kit import images
from tests.kit.memory import Call, MemoryRegistry
from tests.mirror.conftest import World

APP = "source.example/app:1"


@pytest.fixture
def content() -> images.Content:
    return images.multi_arch("app", attested=False)


@pytest.fixture
def signed(world: World, content: images.Content) -> images.Content:
    """An image with a referrer at the source."""
    signature = images.about(content)
    images.put(content, world.source, "app", "1")
    images.put(signature, world.source, "app")
    return signature


def put_stand_in(registry: MemoryRegistry, content: images.Content, *about: images.Content) -> None:
    registry.validates = False
    images.put(images.index(*about), registry, "app", stand_in(content.digest))


def test_referrers_come_along_and_cost_one_pull_each(world: World, content: images.Content, signed: images.Content):
    result = world.mirror(APP, referrers=True)
    assert not result.failed
    assert world.target.manifests["app"][signed.digest] == signed.manifest
    assert signed.all_blobs.items() <= world.target.blobs["app"].items()
    assert result.traffic.counted_pulls == 1 + len(content.children) + 1
    assert set(world.target.tagged["app"]) == {"1"}


def test_a_tag_is_given_after_what_is_about_its_image(world: World, signed: images.Content):
    world.mirror(APP, referrers=True)
    puts = [call.what for call in world.target.calls if call.verb == "PUT manifest"]
    assert puts[-1] == "1"
    assert signed.digest in puts


def test_they_stay_behind_unless_wanted(world: World, signed: images.Content):
    world.mirror(APP)
    assert signed.digest not in world.target.manifests["app"]
    assert not world.source.count("GET tags", "GET referrers")


def test_what_is_about_a_platform_and_about_a_signature_comes_along(world: World, content: images.Content):
    sbom = images.about(content.children[1], "what is in it")
    signed = images.about(sbom, "signed")
    for each in (content, sbom, signed):
        images.put(each, world.source, "app", "1" if each is content else None)
    result = world.mirror(APP, referrers=True)
    assert not result.failed
    assert {sbom.digest, signed.digest} <= world.target.manifests["app"].keys()
    assert result.traffic.counted_pulls == 1 + len(content.children) + 2
    puts = [call.what for call in world.target.calls if call.verb == "PUT manifest"]
    assert puts.index(sbom.digest) < puts.index(signed.digest) < puts.index("1")


def test_what_is_signed_later_comes_to_an_image_that_is_there(world: World, content: images.Content):
    images.put(content, world.source, "app", "1")
    world.mirror(APP, referrers=True)
    later = [images.about(content, "later"), images.about(content.children[0], "later")]
    for each in later:
        images.put(each, world.source, "app")
    plan = world.forecast(APP, referrers=True)
    result = world.mirror(APP, referrers=True)
    assert plan.images[0].status == "pending"
    assert result.images[0].status == "copied"
    assert "it was there; 2 signatures" in result.images[0].note
    assert {each.digest for each in later} <= world.target.manifests["app"].keys()
    assert result.traffic.counted_pulls == 2
    assert "1" not in [call.what for call in world.target.calls if call.verb == "PUT manifest"]
    assert world.mirror(APP, referrers=True).images[0].status == "present"
    assert world.forecast(APP, referrers=True).images[0].status == "present"


def test_source_and_target_are_asked_at_once_and_then_for_all_lists(world: World, content: images.Content):
    """Each of the questions of a round is answered when all of them were asked."""
    images.put(content, world.source, "app", "1")
    world.mirror(APP, referrers=True)
    heads = threading.Barrier(2)
    lists = threading.Barrier(1 + 1 + len(content.children))

    def meet(call: Call) -> None:
        if call.verb == "HEAD manifest":
            heads.wait(30)
        elif call.verb in ("GET tags", "GET referrers"):
            lists.wait(30)

    world.source.trouble = world.target.trouble = meet
    assert world.mirror(APP, referrers=True).images[0].status == "present"


@pytest.mark.parametrize("lists_referrers", [True, False])
def test_an_unchanged_image_costs_no_pull_and_two_heads(
    world: World, content: images.Content, tmp_path: Path, lists_referrers: bool
):
    signature = images.about(content)
    images.put(content, world.source, "app", "1")
    images.put(signature, world.source, "app")
    if not lists_referrers:
        put_stand_in(world.source, content, signature)
        world.source.lists_referrers = False
    kept = KeptManifests(tmp_path / "kept")
    world.mirror(APP, referrers=True, kept=kept)
    result = world.mirror(APP, referrers=True, kept=kept)
    assert result.images[0].status == "present"
    assert result.traffic.counted_pulls == world.source.counted_pulls == 0
    more = 0 if lists_referrers else 1  # the tag that stands in may name more by now
    assert world.source.count("HEAD manifest") == 1 + more
    assert world.source.count("GET referrers") == 1 + len(content.children) + 1
    assert world.source.count("GET tags") == 1
    assert (world.target.count(), world.target.count("GET referrers")) == (2, 1)


def test_of_a_repository_with_very_many_tags_those_of_cosign_are_asked_for(
    world: World, content: images.Content, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(companions, "_MOST_TAGS", 2)
    signature = images.image(images.layer("signature"))
    for each, tag in ((content, "1"), (content, "2"), (signature, f"{stand_in(content.digest)}.sig")):
        images.put(each, world.source, "app", tag)
    assert not world.mirror(APP, referrers=True).failed
    assert world.target.tagged["app"][f"{stand_in(content.digest)}.sig"] == signature.digest
    candidates = [call for call in world.source.calls if call.verb == "HEAD manifest" and "sha256-" in call.what]
    assert len(candidates) == 1 + len(companions.SUFFIXES) + 1  # and once more for what the signature's tag names


def test_a_tag_that_says_an_image_signs_itself_leads_nowhere(world: World, content: images.Content):
    for tag in ("1", f"{stand_in(content.digest)}.sig"):
        images.put(content, world.source, "app", tag)
    assert world.forecast(APP, referrers=True).images[0].seen.companions == 1


def test_with_a_lock_nothing_is_asked_of_the_source(world: World, content: images.Content, signed: images.Content):
    world.mirror(APP, referrers=True)
    images.put(images.about(content, "later"), world.source, "app")
    for name in (APP, f"source.example/app@{content.digest}"):
        result = world.mirror(name, referrers=True, locked={APP: content.digest})
        assert result.images[0].status == "present"
        assert (world.source.count(), world.target.count()) == (0, 1)
        assert world.forecast(name, referrers=True, locked={APP: content.digest}).images[0].status == "present"
        assert world.source.count() == 0


def test_a_source_that_lists_too_many_tags_is_asked_for_those_of_cosign(world: World, content: images.Content):
    tag = stand_in(content.digest) + ".sig"
    images.put(content, world.source, "app", "1")
    images.put(images.image(images.layer("signature")), world.source, "app", tag)
    world.source.tagged["app"].update({f"0.{number}": content.digest for number in range(5001)})
    world.mirror(APP, referrers=True)
    assert set(world.target.tagged["app"]) == {"1", tag}


def test_a_signature_that_was_added_at_the_target_is_not_lost(world: World, content: images.Content):
    """cosign adds its signature to those that are under the tag already."""
    tag = stand_in(content.digest) + ".sig"
    theirs, ours = images.layer("theirs"), images.layer("ours")
    images.put(content, world.source, "app", "1")
    images.put(images.image(theirs), world.source, "app", tag)
    world.mirror(APP, referrers=True)

    images.put(images.image(theirs, ours), world.target, "app", tag)
    result = world.mirror(APP, referrers=True)
    assert "left as they are there" in result.images[0].note
    assert world.target.tagged["app"][tag] == images.image(theirs, ours).digest

    more = images.image(theirs, ours, images.layer("more"))
    images.put(more, world.source, "app", tag)
    world.mirror(APP, referrers=True)
    assert world.target.tagged["app"][tag] == more.digest


def test_tags_are_listed_once_for_all_images_of_a_repository(world: World):
    for number in range(4):
        images.put(images.image(label=str(number)), world.source, "app", str(number))
    world.mirror(*(f"source.example/app:{number}" for number in range(4)), referrers=True)
    assert world.source.count("GET tags") == 1


@pytest.mark.parametrize("lists_tags", [True, False])
def test_signatures_of_cosign_come_along_under_their_tags(world: World, content: images.Content, lists_tags: bool):
    world.source.lists_tags = lists_tags
    images.put(content, world.source, "app", "1")
    signature = images.image(images.layer("signature"))
    tag = stand_in(content.digest) + ".sig"
    images.put(signature, world.source, "app", tag)
    images.put(images.image(images.layer("other")), world.source, "app", stand_in("sha256:" + 64 * "a") + ".sig")
    assert not world.mirror(APP, referrers=True).failed
    assert world.target.tagged["app"] == {"1": content.digest, tag: signature.digest}


def test_a_source_without_the_api_has_a_tag_that_stands_in(world: World, content: images.Content):
    signature = images.about(content)
    images.put(content, world.source, "app", "1")
    images.put(signature, world.source, "app")
    put_stand_in(world.source, content, signature)
    world.source.lists_referrers = False
    assert not world.mirror(APP, referrers=True).failed
    assert signature.digest in world.target.manifests["app"]
    assert set(world.target.tagged["app"]) == {"1"}


def test_a_target_without_the_api_gets_the_tag_and_keeps_what_others_named_there(
    world: World, content: images.Content, signed: images.Content
):
    world.target.lists_referrers = False
    mine = images.about(content, "signed at the target")
    images.put(mine, world.target, "app")
    put_stand_in(world.target, content, mine)
    assert not world.mirror(APP, referrers=True).failed
    named = read_stand_in(world.target, "app", content.digest)
    assert {each.digest for each in named} == {mine.digest, signed.digest}


def test_the_image_itself_under_the_tag_is_no_list(world: World, content: images.Content):
    images.put(content, world.source, "app", "1")
    world.source.tagged["app"][stand_in(content.digest)] = content.digest
    world.source.lists_referrers = False
    result = world.mirror(APP, referrers=True)
    assert not result.failed
    assert result.images[0].note == ""


def test_what_cannot_be_looked_for_is_a_note(world: World, content: images.Content):
    images.put(content, world.source, "app", "1")

    def refuse(call: Call) -> None:
        if call.verb == "GET referrers":
            raise RegistryError("no answer", host="source.example", status=500)

    world.source.trouble = refuse
    result = world.mirror(APP, referrers=True)
    assert result.images[0].status == "copied"
    assert "could not be looked for: no answer" in result.images[0].note


def test_a_referrer_that_cannot_be_brought_keeps_the_tag_away(world: World, signed: images.Content):
    def refuse(call: Call) -> None:
        if (call.verb, call.what) == ("GET manifest", signed.digest):
            raise NotFoundError("gone", host="source.example", status=404)

    world.source.trouble = refuse
    assert world.mirror(APP, referrers=True).failed
    assert "1" not in world.target.tagged["app"]


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_run_stays_within_its_forecast(world: World, content: images.Content, is_signed: bool):
    images.put(content, world.source, "app", "1")
    if is_signed:
        images.put(images.about(content), world.source, "app")
    plan = world.forecast(APP, referrers=True)
    assert not world.source.counted_pulls
    traffic = world.mirror(APP, referrers=True).traffic
    for name in ("source", "target", "bytes", "counted_pulls"):
        assert getattr(traffic, name) in getattr(plan.cost, name), name


def test_they_cross_the_gap(world: World, content: images.Content, signed: images.Content, tmp_path: Path):
    tag = stand_in(content.digest) + ".att"
    images.put(images.image(images.layer("attestation")), world.source, "app", tag)
    further = images.about(images.about(content.children[0]))
    images.put(images.about(content.children[0]), world.source, "app")
    images.put(further, world.source, "app")
    save([Reference.parse(APP)], world.find, tmp_path / "b.tar", wishes=Wishes(referrers=True))
    with open_layout([tmp_path / "b.tar"]) as layout:
        assert verify(layout, [tmp_path / "b.tar"]) == []
        result = load(layout, Mapping(Target.parse("target.example")), world.target)
    assert not result.failed
    assert {signed.digest, further.digest} <= world.target.manifests["app"].keys()
    assert set(world.target.tagged["app"]) == {"1", tag}


def test_an_image_known_by_digest_alone_gets_a_tag_that_keeps_it(world: World, content: images.Content):
    images.put(content, world.source, "app", "1")
    name = f"source.example/app@{content.digest}"
    world.mirror(name, keep_tags=True)
    (tag,) = world.target.tagged["app"]
    assert tag.startswith("keep-")
    result = world.mirror(name, keep_tags=True)
    assert result.images[0].status == "present"
    assert (world.source.count(), world.target.count()) == (0, 1)


def test_one_that_is_there_without_a_tag_gets_it_without_a_pull(world: World, content: images.Content):
    images.put(content, world.source, "app", "1")
    name = f"source.example/app@{content.digest}"
    world.mirror(name)
    assert not world.target.tagged["app"]
    plan = world.forecast(name, keep_tags=True)
    result = world.mirror(name, keep_tags=True)
    assert world.target.tagged["app"]
    assert result.traffic.counted_pulls == 0
    assert result.traffic.target in plan.cost.target
