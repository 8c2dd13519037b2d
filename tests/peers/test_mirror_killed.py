"""A mirror that is killed in the middle of a large blob, at registries of others: the next one goes on there."""

import json
import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from homeport.errors import HomeportError
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.registry.retry import Clock
from tests.kit import images
from tests.kit.clients import open_registries, read_all
from tests.kit.peers import distribution
from tests.kit.rough_line import Fate, rough_line
from tests.kit.servers import HOMEPORT, running_registry, serve_process
from tests.kit.tally import Tally
from tests.peers.nginx import nginx

pytestmark = pytest.mark.peers
KINDS = ["homeport", "registry", "docker-registry"]
SIZE = 24_000_000
NO_RANGES = 'proxy_set_header Range ""; proxy_hide_header Accept-Ranges; max_ranges 0;'


def registry(stack: ExitStack, kind: str, data: Path) -> str:
    if kind == "homeport":
        return stack.enter_context(serve_process(data)).host
    return stack.enter_context(distribution(data, kind))


@pytest.mark.parametrize("kind", KINDS)
def test_an_upload_that_is_cut_again_and_again_gets_there(kind: str, tmp_path: Path):
    """Distribution 2.x cancels it at each cut: there it begins anew, and ends once it is let."""
    data = os.urandom(SIZE)
    blob = Descriptor("x", digest_of(data), SIZE)
    with ExitStack() as stack:
        host = registry(stack, kind, tmp_path)
        line = stack.enter_context(rough_line(host, lambda number: Fate(up=5_000_000 if number < 3 else None)))
        registries = stack.enter_context(open_registries(clock=Clock()))
        client = registries.client(line.host)
        client.put_blob("a/b", blob, images.BytesReader(data), client.start_blob("a/b", blob.digest))
        with client.open_blob("a/b", blob) as reader:
            assert read_all(reader) == data
        sent = registries.traffic.of(line.host).sent
        assert sent < (5 * SIZE if kind == "docker-registry" else 2 * SIZE)


@pytest.mark.parametrize("kind", KINDS)
def test_the_process_after_a_killed_one_goes_on(kind: str, tmp_path: Path):
    content = images.image(images.layer("large", SIZE))
    blob, data = max(content.blobs, key=lambda one: one[0].size)
    tally = Tally()
    with ExitStack() as stack:
        source = stack.enter_context(running_registry(app_wrapper=tally.wrap))
        line = stack.enter_context(rough_line(registry(stack, kind, tmp_path / "target")))
        with open_registries() as registries:
            images.put(content, registries.client(source.host), "app", "1")
        command = (*HOMEPORT, "mirror", "--to", line.host, "-o", "json", "--no-referrers", f"{source.host}/app:1")
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

        def run() -> subprocess.Popen[bytes]:
            tally.requests.clear()
            return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)

        kills = 2 if kind == "docker-registry" else 1
        for _ in range(kills):
            line.silent.clear()
            line.fate = lambda _number: Fate(up=10_000_000, falls_silent=True)
            with run() as process:
                assert line.silent.wait(60)
                process.kill()
            line.mend()
        with run() as process:
            report = json.loads(process.communicate(timeout=120)[0])
        assert process.returncode == 0

        with open_registries() as registries, registries.client(line.host).open_blob("app", blob) as reader:
            assert read_all(reader) == data
        asked = [one.range for one in tally.requests if one.path.endswith(blob.digest) and one.method == "GET"]
        if kind == "docker-registry":  # all of it had come to the spool before the second kill
            assert asked == []
        else:
            (rest,) = asked
            start = int(rest.removeprefix("bytes=").removesuffix("-"))
            assert start > 5_000_000
            assert report["bytes"] == blob.size - start


def test_a_source_without_ranges_is_read_twice_however_often_the_target_is_cut(tmp_path: Path):
    content = images.image(images.layer("large", SIZE))
    blob, data = max(content.blobs, key=lambda one: one[0].size)
    tally = Tally()
    with ExitStack() as stack:
        origin = stack.enter_context(running_registry(app_wrapper=tally.wrap))
        source = stack.enter_context(nginx(tmp_path, origin.host, more=NO_RANGES))
        target = stack.enter_context(distribution(tmp_path / "target"))
        line = stack.enter_context(rough_line(target, lambda number: Fate(up=7_000_000 if number < 12 else None)))
        with open_registries() as registries:
            images.put(content, registries.client(origin.host), "app", "1")
        tally.requests.clear()
        command = (*HOMEPORT, "mirror", "--to", line.host, "--no-referrers", f"{source}/app:1")
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        subprocess.run(command, env=environment, check=True, timeout=120)
        with open_registries() as registries, registries.client(target).open_blob("app", blob) as reader:
            assert read_all(reader) == data
    assert sum(one.path.endswith(blob.digest) for one in tally.requests) == 2


def test_a_registry_that_never_takes_a_whole_blob_is_given_up(tmp_path: Path):
    data = os.urandom(SIZE)
    blob = Descriptor("x", digest_of(data), SIZE)
    with (
        distribution(tmp_path, "docker-registry") as host,
        rough_line(host, lambda _number: Fate(up=5_000_000)) as line,
        open_registries() as registries,
    ):
        client = registries.client(line.host)
        with pytest.raises(HomeportError):
            client.put_blob("a/b", blob, images.BytesReader(data), client.start_blob("a/b", blob.digest))
