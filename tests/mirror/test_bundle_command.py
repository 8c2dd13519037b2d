"""`homeport bundle` as a person runs it."""

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.kit import images
from tests.kit.clients import open_registries
from tests.kit.keys import write_keys
from tests.kit.servers import HOMEPORT, running_registry
from tests.kit.tally import Tally


class Shell:
    """A source, a target, a folder, and the command."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self.home = home
        self.from_source = Tally()
        self.source = stack.enter_context(running_registry(app_wrapper=self.from_source.wrap))
        self.at_target = Tally()
        self.target = stack.enter_context(running_registry(app_wrapper=self.at_target.wrap))
        stack.callback(self.from_source.go.set)
        stack.callback(self.at_target.go.set)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "COLUMNS": "200"}

    def publish(self, content: images.Content, name: str) -> str:
        repository, _, tag = name.partition(":")
        with open_registries() as registries:
            images.put(content, registries.client(self.source.host), repository, tag)
        self.from_source.requests.clear()
        return f"{self.source.host}/{name}"

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            (*HOMEPORT, "bundle", *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.home,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        with self.begin(*arguments) as process:
            out, errors = process.communicate(timeout=60)
            return process.returncode, out, errors


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with ExitStack() as stack:
        yield Shell(stack, tmp_path)


def test_images_cross_the_gap(shell: Shell):
    content = images.multi_arch("redis")
    name = shell.publish(content, "redislabs/redis:7.2.4-64")
    (shell.home / "app.yaml").write_text("kind: List\n")
    for folder in ("out", "crds", "relocated"):
        (shell.home / folder).mkdir()
    (shell.home / "crds/rec.yaml").write_text("kind: CustomResourceDefinition\n")
    (shell.home / "relocated/app.yaml").write_text("kind: Other\n")

    riders = [word for name in ("app.yaml", "crds", "relocated") for word in ("--include", name)]
    code, out, _ = shell.run("save", "-o", "b.tar", *riders, "--report", "json", name)
    assert code == 0
    report = json.loads(out)
    assert report["images"] == [{"reference": name, "digest": content.digest, "status": "saved"}]
    assert report["files"] == ["b.tar"]
    assert report["counted_pulls"] == 1 + len(content.children)
    assert report["bytes"] == content.size

    code, out, _ = shell.run("load", "--to", shell.target.host, "b.tar", "--extract", "out", "--report", "json")
    assert code == 0
    report = json.loads(out)
    assert report["images"][0]["status"] == "copied"
    assert report["images"][0]["digest"] == content.digest
    assert report["counted_pulls"] == 0
    assert (shell.home / "out/app.yaml").read_text() == "kind: List\n"
    assert (shell.home / "out/crds/rec.yaml").read_text() == "kind: CustomResourceDefinition\n"
    assert (shell.home / "out/relocated/app.yaml").read_text() == "kind: Other\n"

    code, out, _ = shell.run("list", "b.tar", "-o", "json")
    assert json.loads(out)["images"] == [{"reference": name, "digest": content.digest}]
    assert shell.run("verify", "b.tar")[0] == 0


def test_a_delta_is_made_since_a_bundle(shell: Shell):
    one = shell.publish(images.multi_arch("redis"), "redislabs/redis:1")
    two = shell.publish(images.multi_arch("other"), "redislabs/redis:2")
    assert shell.run("save", "-o", "one.tar", one)[0] == 0
    code, out, _ = shell.run("save", "-o", "two.tar", "--since", "one.tar", one, two)
    assert code == 0
    assert "leaves" in shell.run("list", "two.tar")[1]
    code, out, _ = shell.run("load", "--to", shell.target.host, "two.tar")
    assert code == 1
    assert "load the bundle first" in out
    assert shell.run("load", "--to", shell.target.host, "one.tar", "two.tar")[0] == 0


def test_a_lock_is_written_kept_to_and_saved_since(shell: Shell):
    one = shell.publish(images.multi_arch("redis"), "redislabs/redis:1")
    assert shell.run("save", "-o", "one.tar", "--lock", "homeport.lock", one)[0] == 0
    assert shell.run("load", "--to", shell.target.host, "one.tar")[0] == 0

    two = shell.publish(images.multi_arch("other"), "redislabs/redis:2")
    code, _, errors = shell.run("save", "-o", "two.tar", "--locked", two)
    assert code == 1
    assert "failed" in errors
    assert not (shell.home / "two.tar").exists()
    assert shell.run("save", "-o", "two.tar", "--since", "homeport.lock", "--lock", "new.lock", one, two)[0] == 0
    assert shell.run("load", "--to", shell.target.host, "two.tar")[0] == 0
    assert list(json.loads((shell.home / "new.lock").read_text())) == [one, two]
    assert (shell.home / "two.tar").stat().st_size < (shell.home / "one.tar").stat().st_size


def test_a_lock_saves_the_platforms_that_it_was_made_with(shell: Shell):
    one = shell.publish(images.multi_arch("redis"), "redislabs/redis:1")
    assert shell.run("save", "-o", "one.tar", "--lock", "homeport.lock", "--platform", "linux/amd64", one)[0] == 0
    code, _, errors = shell.run("save", "-o", "two.tar", "--locked", one)
    assert code == 0
    assert "homeport.lock was made with linux/amd64 alone: the same again" in errors
    assert (shell.home / "two.tar").read_bytes() == (shell.home / "one.tar").read_bytes()
    code, _, errors = shell.run("save", "-o", "three.tar", "--locked", "--platform", "linux/arm64", one)
    assert code == 2
    assert "was made with linux/amd64 alone, not with linux/arm64 alone" in errors


def test_a_range_of_a_charts_versions_is_the_highest_and_then_what_the_lock_has(shell: Shell):
    for tag in ("1.2.0", "1.10.0_build.4", "1.11.0-rc.1", "2.0.0", "latest", "9", "v9.0.0"):
        name = shell.publish(images.image(label=tag), f"charts/demo:{tag}").rpartition(":")[0]

    def saved(chart: str, *options: str) -> list[str]:
        code, out, errors = shell.run("save", "-o", "c.tar", "--report", "json", "--chart", chart, *options)
        return [image["reference"] for image in json.loads(out)["images"]] if out else [str(code), errors]

    assert saved(f"oci://{name}") == [f"{name}:2.0.0"]
    assert saved(f"oci://{name}:>=1.2 <2", "--lock", "homeport.lock") == [f"{name}:1.10.0_build.4"]
    shell.publish(images.image(label="new"), "charts/demo:1.20.0")
    shell.from_source.requests.clear()
    assert saved(f"oci://{name}:>=1.2 <2", "--locked", "--no-referrers") == [f"{name}:1.10.0_build.4"]
    assert not [asked for asked in shell.from_source.requests if "tags" in asked.path]
    assert saved(f"oci://{name}:^1.2", "--no-referrers") == [f"{name}:1.20.0"]
    assert saved(f"oci://{name}:latest") == [f"{name}:latest"]
    code, said = saved(f"oci://{name}:^3")
    assert code == "1"
    assert "no such chart" in said
    assert "It has 1." in said
    code, said = saved(f"oci://{name}:^2", "--locked")
    assert code == "2"
    assert f"the lock has no {name}:^2" in said


def test_images_of_files_and_of_a_registry_go_into_one_bundle(shell: Shell):
    redis, other = images.multi_arch("redis"), images.image(images.layer("other"))
    one, two = shell.publish(redis, "redislabs/redis:1"), shell.publish(other, "team/other:2")
    assert shell.run("save", "-o", "one.tar", one, two)[0] == 0
    three = shell.publish(images.image(images.layer("three")), "team/three:3")
    code, out, _ = shell.run("save", "-o", "both.tar", f"oci-archive:one.tar:{one}", three, "--report", "json")
    assert code == 0
    assert [image["reference"] for image in json.loads(out)["images"]] == [three, one]
    assert [asked.path for asked in shell.from_source.requests if redis.digest in asked.path] == []
    assert shell.run("load", "--to", shell.target.host, "both.tar")[0] == 0
    assert shell.run("list", "both.tar", "-o", "json")[1].count(redis.digest) == 1

    code, _, errors = shell.run("save", "-o", "none.tar", "oci-archive:one.tar:team/none:1")
    assert code == 2
    assert "there is no team/none:1 in it" in errors


def test_a_damaged_bundle_is_said_in_two_lines(shell: Shell):
    name = shell.publish(images.image(images.layer("app", 9000)), "app:1")
    shell.run("save", "-o", "b.tar", name)
    file = shell.home / "b.tar"
    file.write_bytes(file.read_bytes()[:-3000])
    for arguments in (("load", "--to", shell.target.host), ("verify",), ("list",)):
        code, out, errors = shell.run(*arguments, "b.tar")
        assert code == 1
        assert errors.splitlines()[0].startswith("error: b.tar: it is cut off")
        assert (out, len(errors.splitlines())) == ("", 2)


def test_an_image_without_a_name_is_reported_and_can_be_given_one(shell: Shell):
    name = shell.publish(images.image(), "app:1")
    (shell.home / "layout").mkdir()
    shell.run("save", "-o", "layout", name)
    index = shell.home / "layout/index.json"
    index.write_text(index.read_text().replace(name, "1.0"))
    (shell.home / "layout/homeport-bundle.json").unlink()
    code, out, _ = shell.run("load", "--to", shell.target.host, "layout")
    assert code == 1
    assert "--name REPOSITORY:TAG" in out
    assert shell.run("load", "--to", shell.target.host, "layout", "--name", "app:1.0")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("save", "-o", "b.tar"), "no image is named"),
        (("save", "-o", "none/b.tar", "app:1"), "there is no folder none"),
        (("save", "-o", "b.tar", "--split-size", "lots", "app:1"), "is no size"),
        (("save", "-o", "b.tar", "--include", "none", "app:1"), "--include none: No such file"),
        (("save", "-o", "b.tar", "--include", "homeport.lock", "app:1"), "has a homeport.lock of its own"),
        (("save", "-o", "b.tar", "--chart", "demo:1", "app:1"), "is no chart"),
        (("save", "-o", "b.tar", "--sign-key", "none", "app:1"), "none cannot be read: No such file"),
        (("load", "--to", "registry.example"), "no file is named"),
        (("load", "--to", "registry.example", "--extract", "none", "b.tar"), "there is no such folder"),
    ],
)
def test_what_cannot_be_started_is_said(shell: Shell, arguments: tuple[str, ...], words: str):
    code, out, errors = shell.run(*arguments)
    assert (code, out) == (2, "")
    assert words in errors


@pytest.mark.parametrize("file", ["b.tar", "b.tar.zst"])
def test_a_killed_save_leaves_no_bundle_and_the_next_goes_on(shell: Shell, file: str):
    content = images.multi_arch("redis")
    name = shell.publish(content, "app:1")
    layer = content.children[1].blobs[1][0].digest
    shell.from_source.hold = lambda asked: asked.path.endswith(layer) and not shell.from_source.go.is_set()
    with shell.begin("save", "-o", file, name) as process:
        assert shell.from_source.held.wait(30)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert not (shell.home / file).exists()
    shell.from_source.go.set()
    assert shell.run("save", "-o", file, name)[0] == 0
    asked = Counter(asked.path for asked in shell.from_source.requests if asked.kind == "GET blobs")
    assert max(asked.values()) <= 2  # once by either; the killed one's last requests may reach the source after its end
    assert shell.run("verify", file)[0] == 0


def test_a_bundle_is_signed_and_checked(shell: Shell):
    private, public = write_keys(shell.home, "own", password="open sesame")
    _, other = write_keys(shell.home, "other")
    (shell.home / "word").write_text("open sesame\n")
    name = shell.publish(images.image(), "app:1")
    code, _, errors = shell.run("save", "-o", "b.tar", "--sign-key", private.name, name)
    assert code == 2
    assert "--sign-password-file FILE" in errors

    assert shell.run("save", "-o", "b.tar", "--sign-key", private.name, "--sign-password-file", "word", name)[0] == 0
    assert "signed; --verify-key KEY checks by whom" in shell.run("list", "b.tar")[1]
    for command in (("load", "--to", shell.target.host), ("verify",), ("list",)):
        code, out, errors = shell.run(*command, "b.tar", "--verify-key", other.name)
        assert (code, out) == (1, "")
        assert "b.tar is not signed by other.pub" in errors
    assert shell.run("save", "-o", "unsigned.tar", name)[0] == 0
    both = ("b.tar", "unsigned.tar", "--verify-key", public.name)
    assert "unsigned.tar is not signed" in shell.run("load", "--to", shell.target.host, *both)[2]
    assert shell.target.store.repositories(limit=1) == []
    assert "and signed" in shell.run("verify", "b.tar", "--verify-key", public.name)[1]
    assert shell.run("load", "--to", shell.target.host, "b.tar", "--verify-key", public.name)[0] == 0


def test_a_killed_load_gives_no_tag_and_the_next_sends_no_blob_again(shell: Shell):
    name = shell.publish(images.multi_arch("redis"), "app:1")
    assert shell.run("save", "-o", "b.tar", name)[0] == 0
    shell.at_target.hold = lambda asked: asked.method == "PUT" and asked.path.endswith("/manifests/1")
    with shell.begin("load", "--to", shell.target.host, "b.tar") as process:
        assert shell.at_target.held.wait(30)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert shell.target.store.tags("app", limit=9) == []
    shell.at_target.hold = lambda _asked: False
    shell.at_target.requests.clear()
    code, out, _ = shell.run("load", "--to", shell.target.host, "b.tar", "--report", "json")
    assert code == 0
    assert json.loads(out)["bytes"] == 0
    assert shell.at_target.count("POST blobs", "PATCH blobs", "PUT blobs") == 0
