"""Signed bundles: what is not signed by the right key is refused before anything is pushed."""

from pathlib import Path

import msgspec
import pytest

from homeport.errors import ContentError, UsageError
from homeport.mapping import Mapping, Target
from homeport.mirror.bundle.archives import open_layout
from homeport.mirror.bundle.contents import CONTENTS, SIGNATURE, SUMS, Contents
from homeport.mirror.bundle.keys import PublicKey, open_signer
from homeport.mirror.bundle.load import load
from homeport.mirror.bundle.save import Saved, Wishes, save
from homeport.reference import Reference
from homeport.store.files import Archive, read_whole
from homeport.store.tar import header
from tests.kit import images
from tests.kit.keys import write_keys
from tests.kit.memory import MemoryRegistry

APP = "source.example/team/app:1"


class Signed:
    """A registry with an image, and a key."""

    def __init__(self, folder: Path, kind: str = "ed25519") -> None:
        self.folder = folder
        self.source, self.target = MemoryRegistry("source.example"), MemoryRegistry("target.example")
        images.put(images.image(images.layer("app", 20_000)), self.source, "team/app", "1")
        self.private, self.public = write_keys(folder, "own", kind)

    def save(self, to: str = "b.tar", *, signed: bool = True, **wishes: object) -> Saved:
        sign = open_signer(self.private, _no_password) if signed else None
        found = [Reference.parse(APP)]
        return save(found, lambda _: self.source, self.folder / to, wishes=Wishes(sign=sign, **wishes))

    def load(self, *names: str, key: Path | None = None) -> None:
        self.target.forget_calls()
        with open_layout([self.folder / name for name in names], [PublicKey(key or self.public)]) as layout:
            assert not load(layout, Mapping(Target.parse("target.example")), self.target).failed

    def body(self, path: str, of: str = "b.tar") -> bytes:
        archive = Archive([self.folder / of])
        try:
            return read_whole(archive, path, 1 << 20)
        finally:
            archive.close()

    def change(self, path: str, body: bytes) -> None:
        """Put other bytes of the same size in the place of a file of the bundle."""
        file = self.folder / "b.tar"
        archive = Archive([file])
        archive.close()
        entry, whole = archive.table[path], file.read_bytes()
        assert len(body) == entry.size
        file.write_bytes(whole[: entry.offset] + body + whole[entry.offset + entry.size :])


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


def _no_password() -> bytes:
    raise AssertionError("no password is wanted")


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_a_signed_bundle_is_loaded_with_the_right_key_alone(tmp_path: Path, kind: str):
    signed = Signed(tmp_path, kind)
    signed.save()
    _, other = write_keys(tmp_path, "other", kind)
    with pytest.raises(ContentError, match=r"b\.tar is not signed by .*other\.pub"):
        signed.load("b.tar", key=other)
    assert not signed.target.calls
    signed.load("b.tar")


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_signing_twice_gives_equal_bytes(tmp_path: Path, kind: str):
    signed = Signed(tmp_path, kind)
    signed.save("one.tar")
    signed.save("two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_what_is_not_signed_is_refused_where_a_key_is_named(signed: Signed):
    signed.save(signed=False)
    with pytest.raises(ContentError, match="is not signed; it is to be signed by"):
        signed.load("b.tar")
    assert not signed.target.calls


def test_one_of_several_keys_is_enough(signed: Signed):
    signed.save()
    _, other = write_keys(signed.folder, "other")
    with open_layout([signed.folder / "b.tar"], [PublicKey(other), PublicKey(signed.public)]) as layout:
        assert layout.images


def test_parts_of_a_signed_bundle_are_checked_alike(signed: Signed):
    files = signed.save(split_size=8 << 10).files
    _, other = write_keys(signed.folder, "other")
    names = [file.name for file in files if file.suffix != ".sha256"]
    signed.load(*names)
    with pytest.raises(ContentError, match="is not signed by"):
        signed.load(*names, key=other)


def test_a_table_that_was_made_anew_is_found(signed: Signed):
    signed.save(riders={"app.yaml": b"image: good\n"})
    changed = signed.body(CONTENTS).replace(b'"source.example/team/app:1"', b'"source.example/team/bad:1"')
    signed.change(CONTENTS, changed)
    signed.change(SUMS, _decoded(changed).sums())
    with pytest.raises(ContentError, match="is not signed by"):
        signed.load("b.tar")


def test_a_table_that_was_changed_below_the_signed_checksums_is_found(signed: Signed):
    signed.save()
    changed = signed.body(CONTENTS).replace(b'"source.example/team/app:1"', b'"source.example/team/bad:1"')
    assert changed == _decoded(changed).encode()
    signed.change(CONTENTS, changed)
    with pytest.raises(ContentError, match=r"homeport-bundle\.sha256 is damaged in it"):
        signed.load("b.tar")
    assert not signed.target.calls


@pytest.mark.parametrize("path", ["riders/app.yaml", "index.json", "oci-layout", SUMS, SIGNATURE, CONTENTS])
def test_every_small_file_is_covered(signed: Signed, path: str):
    signed.save(riders={"app.yaml": b"image: good\n"})
    body = bytearray(signed.body(path))
    body[-3] ^= 1
    signed.change(path, bytes(body))
    with pytest.raises(ContentError, match=r"b\.tar"):
        signed.load("b.tar")
    assert not signed.target.calls


def test_what_was_added_to_an_archive_is_refused(signed: Signed):
    signed.save()
    file = signed.folder / "b.tar"
    whole = file.read_bytes()
    file.write_bytes(header("riders/evil.yaml", 0) + whole)
    with pytest.raises(ContentError, match=r"riders/evil\.yaml in it is not in its table of contents"):
        signed.load("b.tar")


def test_a_folder_keeps_no_signature_of_an_earlier_bundle(signed: Signed):
    (signed.folder / "layout").mkdir()
    signed.save("layout")
    signed.load("layout")
    signed.save("layout", signed=False, riders={"more.yaml": b"{}"})
    with pytest.raises(ContentError, match="is not signed; "):
        signed.load("layout")


def test_an_encrypted_key_asks_for_its_password(tmp_path: Path):
    private, public = write_keys(tmp_path, "own", password="open sesame")
    sign = open_signer(private, lambda: b"open sesame")
    assert PublicKey(public).has_signed(b"content", sign(b"content"))
    assert not PublicKey(public).has_signed(b"other", sign(b"content"))
    with pytest.raises(UsageError, match="the password is wrong"):
        open_signer(private, lambda: b"shut")


@pytest.mark.parametrize("kind", ["p384", "rsa"])
def test_keys_of_other_kinds_do_not_sign(tmp_path: Path, kind: str):
    private, _ = write_keys(tmp_path, "own", kind)
    with pytest.raises(UsageError, match="is a key of another kind"):
        open_signer(private, _no_password)


@pytest.mark.parametrize(
    ("kind", "words"), [("secp256k1", "over another curve, secp256k1"), ("rsa1024", "only 1024 bits")]
)
def test_keys_that_are_weak_or_strange_check_nothing(tmp_path: Path, kind: str, words: str):
    with pytest.raises(UsageError, match=words):
        PublicKey(write_keys(tmp_path, "own", kind)[1])


def test_files_that_are_no_keys_are_said(tmp_path: Path):
    private, public = write_keys(tmp_path, "own")
    (tmp_path / "text").write_text("none")
    for file in (tmp_path / "text", public):
        with pytest.raises(UsageError, match="is no private key in PEM"):
            open_signer(file, _no_password)
    for file in (tmp_path / "text", private):
        with pytest.raises(UsageError, match="is no public key in PEM"):
            PublicKey(file)
    with pytest.raises(UsageError, match="No such file"):
        PublicKey(tmp_path / "none")


def _decoded(body: bytes) -> Contents:
    return msgspec.json.decode(body, type=Contents)
