"""Signatures that cosign made are demanded, travel along, and are found by cosign at the target."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from homeport.mapping import Mapping, Target
from homeport.mirror import MirrorResult, mirror
from homeport.mirror.bundle.keys import PublicKey
from homeport.mirror.signatures import Demand
from homeport.reference import Reference
from tests.kit import images
from tests.kit.clients import open_registries
from tests.kit.keys import write_keys
from tests.kit.peers import distribution, run_peer
from tests.kit.servers import running_registry

pytestmark = pytest.mark.peers

QUIET = ("--tlog-upload=false", "--use-signing-config=false", "--yes")
FORMS = {
    "tag": ("--new-bundle-format=false",),
    "referrer": ("--new-bundle-format=false", "--registry-referrers-mode=oci-1-1"),
    "bundle": (),
}


class Cosign:
    """cosign with keys in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keys(self, name: str, kind: str) -> PublicKey:
        private, public = write_keys(self.folder, name, kind)
        self.run("import-key-pair", "--key", str(private), "-o", str(self.folder / f"{name}-cosign"), "--yes")
        return PublicKey(public)

    def sign(self, name: str, image: str, *options: str) -> None:
        self.run("sign", "--key", str(self.folder / f"{name}-cosign.key"), *QUIET, *options, image)

    def verify(self, name: str, image: str, *options: str) -> str:
        key = str(self.folder / f"{name}-cosign.pub")
        return self.run("verify", "--key", key, "--insecure-ignore-tlog", *options, image)

    def run(self, *arguments: str) -> str:
        return run_peer(
            "cosign",
            *arguments,
            COSIGN_PASSWORD="",
            COSIGN_EXPERIMENTAL="1",
            HOME=str(self.folder),
        )


@contextmanager
def registry_of(kind: str, data: Path) -> Iterator[str]:
    with ExitStack() as stack:
        yield (
            stack.enter_context(running_registry()).host
            if kind == "homeport"
            else stack.enter_context(distribution(data))
        )


def bring(source: str, target: str, *demands: Demand) -> MirrorResult:
    with open_registries() as registries:
        return mirror(
            [Reference.parse(f"{source}/app:1")],
            Mapping(Target.parse(target)),
            registries.client,
            registries.client(target),
            referrers=True,
            demands=demands,
        )


@pytest.mark.parametrize(
    ("form", "kind"), [("tag", "p256"), ("referrer", "p256"), ("bundle", "p256"), ("bundle", "rsa")]
)
def test_what_cosign_signed_is_let_through_and_verified_at_the_target(form: str, kind: str, tmp_path: Path):
    cosign, content = Cosign(tmp_path), images.multi_arch("app", attested=False)
    own, other = cosign.keys("own", kind), cosign.keys("other", kind)
    with registry_of("homeport", tmp_path) as source, registry_of("homeport", tmp_path) as target:
        with open_registries() as registries:
            images.put(content, registries.client(source), "app", "1")
        cosign.sign("own", f"{source}/app@{content.digest}", *FORMS[form])

        (refused,) = bring(source, target, Demand(other)).images
        (copied,) = bring(source, target, Demand(own)).images

        assert "none of its 1 signatures is by that key" in refused.error
        assert copied.status == "copied"
        options = (
            () if form == "bundle" else ("--new-bundle-format=false", *(FORMS[form][1:] and ("--experimental-oci11",)))
        )
        assert content.digest in cosign.verify("own", f"{target}/app@{content.digest}", *options)


def test_a_registry_without_referrers_has_the_bundle_under_a_tag(tmp_path: Path):
    """Distribution lists no referrers: cosign writes and reads the tag that stands in, and so does the mirror."""
    cosign, content = Cosign(tmp_path), images.multi_arch("app", attested=False)
    own = cosign.keys("own", "p256")
    with registry_of("registry", tmp_path / "a") as source, registry_of("registry", tmp_path / "b") as target:
        with open_registries() as registries:
            images.put(content, registries.client(source), "app", "1")
        cosign.sign("own", f"{source}/app@{content.digest}")
        assert bring(source, target, Demand(own)).images[0].status == "copied"
        assert content.digest in cosign.verify("own", f"{target}/app@{content.digest}")

        cosign.keys("second", "p256")
        cosign.sign("second", f"{source}/app@{content.digest}")
        assert "1 signature" in bring(source, target, Demand(own)).images[0].note
        assert content.digest in cosign.verify("second", f"{target}/app@{content.digest}")
        assert bring(source, target, Demand(own)).images[0].status == "present"
