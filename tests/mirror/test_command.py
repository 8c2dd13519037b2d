"""`homeport mirror` as a person runs it."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import tarfile
import termios
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from homeport.cli.metrics_file import metrics_text
from homeport.cli.mirror_report import Image, Report, Requests
from homeport.mirror.lock import Lock
from tests.kit import images
from tests.kit.clients import open_registries
from tests.kit.keys import write_keys
from tests.kit.scripted import Reply, Seen, scripted
from tests.kit.servers import HOMEPORT, RunningRegistry, running_registry
from tests.kit.tally import Tally

OLD = "redislabs/redis:7.2.4-64"


class Shell:
    """A source and a target, and the command between them."""

    def __init__(self, stack: ExitStack, home: Path) -> None:
        self.from_source, self.to_target = Tally(), Tally()
        self.source: RunningRegistry = stack.enter_context(running_registry(app_wrapper=self.from_source.wrap))
        self.target: RunningRegistry = stack.enter_context(running_registry(app_wrapper=self.to_target.wrap))
        stack.callback(self.from_source.go.set)
        stack.callback(self.to_target.go.set)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), "COLUMNS": "200"}

    def publish(self, content: images.Content, name: str) -> str:
        repository, _, tag = name.partition(":")
        with open_registries() as registries:
            images.put(content, registries.client(self.source.host), repository, tag)
        self.from_source.requests.clear()
        return f"{self.source.host}/{name}"

    def run(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return self.run_to(self.target.host, *arguments, typed=typed)

    def run_to(self, target: str, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        command = (*HOMEPORT, "mirror", "--to", target, *arguments)
        return subprocess.run(
            command, input=typed, capture_output=True, text=True, check=False, timeout=60, env=self.environment
        )

    def report(self, *arguments: str, typed: str = "") -> dict[str, Any]:
        return json.loads(self.run(*arguments, "-o", "json", typed=typed).stdout)

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            (*HOMEPORT, "mirror", "--to", self.target.host, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def tag(self, repository: str, tag: str) -> str | None:
        with open_registries() as registries:
            head = registries.client(self.target.host).head_manifest(repository, tag)
            return head.digest if head else None


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with ExitStack() as stack:
        yield Shell(stack, tmp_path)


def test_the_report_keeps_to_its_contract(shell: Shell):
    content = images.multi_arch("redis")
    name = shell.publish(content, OLD)

    report = shell.report(name, f"{shell.source.host}/none:1")

    assert report["images"][0] == {
        "source": name,
        "target": f"{shell.target.host}/{OLD}",
        "digest": content.digest,
        "status": "copied",
    }
    assert report["images"][1]["status"] == "failed"
    assert report["images"][1]["digest"] is None
    assert "is not there" in report["images"][1]["error"]
    assert report["counted_pulls"] == 1 + len(content.children)
    assert report["bytes"] == content.size
    pings = 1
    assert report["requests"] == {
        "source": shell.from_source.count() - pings,
        "target": shell.to_target.count() - pings,
    }


def test_the_options_of_names_say_where_an_image_goes(shell: Shell):
    content = images.image()
    name = shell.publish(content, "team/app:1")
    kept = shell.source.host.replace(":", "-")
    assert shell.report("--keep-registry", name)["images"][0]["target"] == f"{shell.target.host}/{kept}/team/app:1"
    (moved,) = shell.report("--map", f"{shell.source.host}=by/map", name)["images"]
    assert moved["target"] == f"{shell.target.host}/by/map/team/app:1"
    assert shell.tag(f"{kept}/team/app", "1") == shell.tag("by/map/team/app", "1") == content.digest
    refused = shell.run("--map", f"{shell.source.host}=quay.io/x", name)
    assert (refused.returncode, "is not the target's registry" in refused.stderr) == (2, True)


def test_a_bundle_is_loaded_under_the_same_names(shell: Shell, tmp_path: Path):
    content = images.image()
    name = shell.publish(content, "team/app:1")
    bundle = str(tmp_path / "b.tar")
    for arguments in (["save", "-o", bundle, name], ["load", "--to", shell.target.host, "--keep-registry", bundle]):
        command = (*HOMEPORT, "bundle", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=shell.environment)
        assert done.returncode == 0, done.stderr
    assert shell.tag(f"{shell.source.host.replace(':', '-')}/team/app", "1") == content.digest


def test_exit_codes_tell_whether_all_is_there(shell: Shell):
    name = shell.publish(images.image(), "app:1")
    assert shell.run(name).returncode == 0
    assert shell.run(name, f"{shell.source.host}/none:1").returncode == 1
    assert shell.run().returncode == 2


def test_references_come_from_stdin_with_comments(shell: Shell):
    one, two = shell.publish(images.image(label="1"), "app:1"), shell.publish(images.image(label="2"), "app:2")
    report = shell.report("-", typed=f"# images\n\n{one}  # the first\n  {two}\n")
    assert [image["source"] for image in report["images"]] == [one, two]


def test_an_open_tag_is_refused_in_words_and_the_rest_is_brought(shell: Shell):
    name = shell.publish(images.image(), "app:1")

    done = shell.run("-", typed=f"{name}\nopen: redislabs/redis\n")

    assert done.returncode == 1
    assert "docker.io/redislabs/redis: its tag comes from elsewhere" in done.stdout
    assert shell.tag("app", "1")
    assert shell.tag("redislabs/redis", "latest") is None


def test_references_come_from_a_scan(shell: Shell, tmp_path: Path):
    name = shell.publish(images.image(), "app:1")
    scan = {
        "images": [
            {"reference": name, "registry": shell.source.host, "open": False, "findings": []},
            {"reference": "docker.io/redislabs/redis", "registry": "docker.io", "open": True, "findings": []},
        ],
        "unresolved": [{"path": "spec.x"}],
        "errors": [],
    }
    (tmp_path / "scan.json").write_text(json.dumps(scan))

    done = shell.run("--from-scan", str(tmp_path / "scan.json"), "-o", "json")

    assert [image["status"] for image in json.loads(done.stdout)["images"]] == ["copied", "failed"]
    assert "1 places name no image" in done.stderr
    assert shell.report("--from-scan", "-", typed=json.dumps(scan))["images"][0]["status"] == "present"


@pytest.mark.parametrize(
    ("arguments", "typed", "words"),
    [
        ((), "", "no image is named"),
        (("Upper/Case",), "", "'Upper/Case' is not an image name"),
        (("-",), "fine:1\nnot fine\n", "stdin, line 2: 'not fine' is not an image name"),
        (("--dryrun", "app:1"), "", "unknown option: --dryrun"),
        (("--platform", "amd64", "app:1"), "", "'amd64' is not a platform"),
        (("--from-scan", "none.json"), "", "none.json: No such file"),
        (("--from-scan", "-"), "[]", "is not the report of a scan"),
        (("--from-scan", "-"), '{"x":' + "[" * 100_000, "is not the report of a scan"),
        (("--ca-file", "none.pem", "app:1"), "", "--ca-file none.pem: there is no such file"),
        (("--locked", "--lock", "none.lock", "app:1"), "", "none.lock: No such file"),
        (("--list", "none.yaml"), "", "none.yaml: cannot be read"),
        (("--deep", "app:1"), "", "--deep is about a dry run"),
        (("--metrics-file", "none/x.prom", "app:1"), "", "--metrics-file none/x.prom: there is no folder none"),
        (("--metrics-file", "x.prom", "--dry-run", "app:1"), "", "--metrics-file is about a run"),
        (("--rebuild-index", "app:1"), "", "--rebuild-index is about platforms"),
        (("--verify-key", "docker.io/*=none.pub", "app:1"), "", "none.pub cannot be read"),
        (("--authfile", "none.json", "app:1"), "", "--authfile none.json: there is no such file"),
        (("a.example/app:1", "b.example/app:1"), "", "a.example/app:1 and b.example/app:1 would both become"),
    ],
)
def test_what_cannot_be_started_is_said_in_two_lines(shell: Shell, arguments: tuple[str, ...], typed: str, words: str):
    done = shell.run(*arguments, typed=typed)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert done.stdout == ""


def test_a_scheme_in_the_target_is_refused(shell: Shell):
    done = subprocess.run(
        (*HOMEPORT, "mirror", "--to", "https://registry.example.com", "app:1"),
        capture_output=True,
        text=True,
        check=False,
        env=shell.environment,
    )
    assert done.returncode == 2
    assert "without a scheme" in done.stderr


def test_no_images_are_nothing_to_do(shell: Shell):
    done = shell.run("-")
    assert done.returncode == 0
    assert "no images" in done.stdout


def test_a_dry_run_changes_nothing_and_costs_no_pull(shell: Shell):
    content = images.multi_arch("redis")
    name = shell.publish(content, OLD)

    report = shell.report(name, "--dry-run")

    assert report["images"][0]["status"] == "pending"
    assert report["counted_pulls"]["low"] == 1
    assert report["bytes"] == {"low": 0, "high": None}
    lists = {f"GET /v2/redislabs/redis/{path}": 1 for path in ("tags/list", f"referrers/{content.digest}")}
    assert shell.from_source.kinds() == {"GET /v2/": 1, "HEAD manifests": 1, **lists}
    assert shell.to_target.kinds() == {"GET /v2/": 1, "HEAD manifests": 1, "GET manifests": 1}
    assert shell.target.store.repositories(limit=1) == []


def test_a_lock_is_written_and_kept_to(shell: Shell, tmp_path: Path):
    content = images.multi_arch("redis")
    name = shell.publish(content, OLD)
    lock = str(tmp_path / "homeport.lock")
    assert shell.run(name, "--lock", lock).returncode == 0
    assert json.loads((tmp_path / "homeport.lock").read_text()) == {name: content.digest}

    shell.from_source.requests.clear()
    assert shell.report(name, "--lock", lock, "--locked")["requests"] == {"source": 0, "target": 1}
    assert shell.from_source.count() == 0

    other = shell.publish(images.image(), "other:1")
    done = shell.run(name, other, "--lock", lock, "--locked")
    assert done.returncode == 2
    assert f"the lock does not have {other}" in done.stderr


def test_a_lock_brings_the_platforms_that_it_was_made_with(shell: Shell, tmp_path: Path):
    name, lock = shell.publish(images.multi_arch("redis"), OLD), str(tmp_path / "homeport.lock")
    assert shell.run(name, "--lock", lock, "--platform", "linux/amd64").returncode == 0
    first = shell.target

    with running_registry() as empty:
        shell.target = empty
        done = shell.run(name, "--lock", lock, "--locked")
        assert done.returncode == 0
        assert f"{lock} was made with linux/amd64 alone: the same again" in done.stderr
        with open_registries() as registries:
            heads = [
                [
                    registries.client(host).head_manifest("redislabs/redis", child.digest) is not None
                    for child in images.multi_arch("redis").children
                ]
                for host in (first.host, empty.host)
            ]
        assert heads == [[True, False, True, False]] * 2
        assert shell.run(name, "--lock", lock, "--locked", "--platform", "linux/amd64").returncode == 0


@pytest.mark.parametrize("wish", [("--platform", "linux/arm64"), ("--platform", "linux/amd64", "--rebuild-index")])
def test_other_platforms_than_those_of_a_lock_are_refused(shell: Shell, tmp_path: Path, wish: tuple[str, ...]):
    name, lock = shell.publish(images.multi_arch("redis"), OLD), str(tmp_path / "homeport.lock")
    assert shell.run(name, "--lock", lock, "--platform", "linux/amd64").returncode == 0
    done = shell.run(name, "--lock", lock, "--locked", *wish)
    assert done.returncode == 2
    assert f"{lock} was made with linux/amd64 alone, not with" in done.stderr
    assert "Leave --platform and --rebuild-index out to bring the same again" in done.stderr
    assert shell.run(name, "--lock", lock).returncode == 0
    assert "platforms" not in json.loads(Path(lock).read_text())


def test_an_index_that_was_made_anew_is_made_anew_for_its_lock(shell: Shell, tmp_path: Path):
    content, lock = images.multi_arch("redis"), str(tmp_path / "homeport.lock")
    name = shell.publish(content, OLD)
    assert shell.run(name, "--lock", lock, "--platform", "linux/amd64", "--rebuild-index").returncode == 0
    rebuilt = shell.tag("redislabs/redis", "7.2.4-64")
    assert rebuilt != content.digest
    done = shell.run(name, "--lock", lock, "--locked")
    assert done.returncode == 0
    assert "ANOTHER DIGEST" in done.stderr
    assert shell.tag("redislabs/redis", "7.2.4-64") == rebuilt


def test_a_deep_dry_run_is_exact_and_paid_once(shell: Shell):
    content = images.multi_arch("redis")
    name = shell.publish(content, OLD)
    report = shell.report(name, "--dry-run", "--deep")
    assert report["bytes"] == {"low": 0, "high": content.size}
    assert report["counted_pulls"] == {"low": 1 + len(content.children), "high": 1 + len(content.children)}
    assert shell.report(name)["counted_pulls"] == 0
    assert shell.from_source.count("GET manifests") == 1 + len(content.children)


def test_yaml_says_what_json_says(shell: Shell):
    name = shell.publish(images.image(), "app:1")
    shell.run(name)
    assert yaml.safe_load(shell.run(name, "-o", "yaml").stdout) == shell.report(name)


def test_one_error_of_many_images_is_shown_once(shell: Shell):
    done = subprocess.run(
        (*HOMEPORT, "mirror", "--to", "127.0.0.1:1", *(shell.publish(images.image(), f"app:{n}") for n in range(3))),
        capture_output=True,
        text=True,
        check=False,
        env=shell.environment,
    )
    assert done.returncode == 1
    assert done.stdout.count("error: ") == 1
    assert "refused" in done.stdout


def test_an_interrupt_ends_the_command_and_the_next_run_goes_on(shell: Shell):
    content = images.multi_arch("redis")
    name = shell.publish(content, OLD)
    layer = content.children[1].blobs[1][0].digest
    shell.from_source.hold = lambda asked: asked.path.endswith(layer)

    with shell.begin(name) as process:
        assert shell.from_source.held.wait(30)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    assert shell.tag("redislabs/redis", "7.2.4-64") is None
    shell.from_source.go.set()
    assert shell.report(name)["images"][0]["digest"] == shell.tag("redislabs/redis", "7.2.4-64") == content.digest


def test_a_killed_run_leaves_no_tag_and_the_next_fetches_only_what_is_missing(shell: Shell):
    content = images.multi_arch("redis")
    name = shell.publish(content, OLD)
    layer = content.children[1].blobs[1][0].digest
    shell.from_source.hold = lambda asked: asked.path.endswith(layer) and not shell.from_source.go.is_set()

    with shell.begin(name) as process:
        assert shell.from_source.held.wait(30)
        process.kill()
    assert shell.tag("redislabs/redis", "7.2.4-64") is None
    shell.from_source.go.set()
    with open_registries() as registries:
        client = registries.client(shell.target.host)
        kept = [digest for digest in content.all_blobs if client.has_blob("redislabs/redis", digest)]
    shell.from_source.requests.clear()

    report = shell.report(name)

    assert report["images"][0]["status"] == "copied"
    assert shell.tag("redislabs/redis", "7.2.4-64") == content.digest
    assert layer not in kept
    assert shell.from_source.count("GET blobs") == len(content.all_blobs) - len(kept)
    with open_registries() as registries:
        client = registries.client(shell.target.host)
        assert all(client.get_manifest("redislabs/redis", part.digest) == part.manifest for part in content.walk())


def test_memory_does_not_grow_with_the_image(shell: Shell, tmp_path: Path):
    """The peak is that of a grandchild: a child's begins at its parent's."""
    sizes = 4 * [40_000_000]
    with running_registry(tmp_path / "source") as source, running_registry(tmp_path / "target") as target:
        with open_registries() as registries:
            layers = [images.layer(str(number), size) for number, size in enumerate(sizes)]
            images.put(images.image(*layers), registries.client(source.host), "app", "1")
        command = [*HOMEPORT, "mirror", "--to", target.host, f"{source.host}/app:1"]
        peak = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)"
        )
        done = subprocess.run(
            [sys.executable, "-c", peak, *command], capture_output=True, text=True, check=True, env=shell.environment
        )
    assert int(done.stdout) < 100


def test_a_list_chooses_tags(shell: Shell, tmp_path: Path):
    for tag in ("7.2.4-52", "7.2.4-64", "7.4.2-54", "latest"):
        shell.publish(images.image(label=tag), f"redislabs/redis:{tag}")
    other = shell.publish(images.image(), "app:1")
    wish = {"repository": f"{shell.source.host}/redislabs/redis", "versions": "7.2", "latest": 1}
    file = tmp_path / "images.yaml"
    file.write_text(yaml.safe_dump({"images": [other, wish]}))
    report = shell.report("--list", str(file))
    assert [image["source"] for image in report["images"]] == [other, f"{wish['repository']}:7.2.4-64"]

    file.write_text(yaml.safe_dump({"images": [{**wish, "version": "7"}]}))
    done = shell.run("--list", str(file))
    assert done.returncode == 2
    assert "unknown field `version`" in done.stderr
    file.write_text(yaml.safe_dump({"images": [{**wish, "repository": f"{wish['repository']}:7"}]}))
    assert "a repository has no tag" in shell.run("--list", str(file)).stderr
    file.write_text(yaml.safe_dump({"images": [{**wish, "versions": "9"}]}))
    assert "no tag is as the list wants it" in shell.run("--list", str(file)).stderr


def test_images_come_from_files_too(shell: Shell, tmp_path: Path):
    one, two = images.multi_arch("one"), images.image(label="two")
    names = [shell.publish(one, "app:1"), shell.publish(two, "app:2")]
    layout = tmp_path / "layout"
    layout.mkdir()
    for output in (str(tmp_path / "b.tar"), str(layout)):
        subprocess.run((*HOMEPORT, "bundle", "save", "-o", output, *names), env=shell.environment, check=True)
    shell.from_source.requests.clear()

    plan = shell.report("--dry-run", f"oci-archive:{tmp_path}/b.tar")
    assert [image["status"] for image in plan["images"]] == ["pending", "pending"]
    assert shell.tag("app", "1") is None
    report = shell.report(f"oci-archive:{tmp_path}/b.tar:{names[0]}")
    assert [image["source"] for image in report["images"]] == [names[0]]
    assert shell.tag("app", "1") == one.digest
    report = shell.report(f"oci:{layout}")
    assert [image["status"] for image in report["images"]] == ["present", "copied"]
    assert report["counted_pulls"] == 0
    assert shell.from_source.count() == 0
    done = shell.run(f"oci:{layout}:none:1")
    assert done.returncode == 2
    assert "there is no none:1 in it" in done.stderr


def test_a_program_gets_events_and_figures(shell: Shell, tmp_path: Path):
    name = shell.publish(images.image(), "app:1")
    wishes = ("--platform", "linux/amd64", "--rebuild-index", "--metrics-file", str(tmp_path / "homeport.prom"))
    done = shell.run(name, f"{name}9", "-o", "json", *wishes)

    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert (events[0]["event"], "ANOTHER DIGEST" in events[0]["message"]) == ("warning", True)
    assert [each["event"] for each in events if each["event"] != "progress"].count("image_finished") == 2
    assert {each["status"] for each in events if each["event"] == "image_finished"} == {"copied", "failed"}
    assert {image["status"] for image in json.loads(done.stdout)["images"]} == {"copied", "failed"}
    figures = dict(
        line.rsplit(" ", 1)
        for line in (tmp_path / "homeport.prom").read_text().splitlines()
        if not line.startswith("#")
    )
    assert (
        figures['homeport_mirror_images{status="copied"}'] == figures['homeport_mirror_images{status="failed"}'] == "1"
    )
    assert figures["homeport_mirror_counted_pulls"] == "1"
    assert figures["homeport_mirror_success"] == "0"
    assert float(figures["homeport_mirror_last_run_timestamp_seconds"]) > 1e9
    assert {file.name for file in tmp_path.iterdir()} == {"homeport.prom", ".cache"}


def test_figures_are_what_a_parser_of_prometheus_reads():
    report = Report([Image("a", "b", None, "failed")], Requests(3, 4), 2, 1000)
    families = {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(metrics_text(report, seconds=1.5, at=1e9))
    }
    assert families["homeport_mirror_images"] == {("copied",): 0, ("present",): 0, ("failed",): 1}
    assert families["homeport_mirror_requests"] == {("source",): 3, ("target",): 4}
    assert families["homeport_mirror_duration_seconds"] == {(): 1.5}
    assert families["homeport_mirror_success"] == {(): 0}


def test_a_folder_is_a_target_too(shell: Shell, tmp_path: Path):
    name, folder = shell.publish(images.multi_arch("app"), "app:1"), tmp_path / "layout"
    for status in ("copied", "present"):
        done = shell.run_to(f"oci:{folder}", name, "-o", "json")
        (image,) = json.loads(done.stdout)["images"]
        assert (image["status"], image["target"]) == (status, f"oci:{folder}:{name}")
    assert shell.report(f"oci:{folder}")["images"][0]["status"] == "copied"
    assert "keep their full names" in shell.run_to(f"oci:{folder}", name, "--keep-registry").stderr


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
def test_an_archive_is_a_target_too(shell: Shell, tmp_path: Path, kind: str):
    name, to = shell.publish(images.image(images.layer("app")), "app:1"), f"{kind}:{tmp_path}/a.tar"
    shell.publish(images.image(images.layer("two")), "two:1")
    for status in ("copied", "present"):
        done = shell.run_to(to, name, "-o", "json")
        (image,) = json.loads(done.stdout)["images"]
        assert (image["status"], image["target"]) == (status, f"{to}:{name}"), done.stderr
    assert shell.report(to)["images"][0]["status"] == "copied"
    assert "without a name" in shell.run_to(f"{to}:app", name).stderr

    written = (tmp_path / "a.tar").read_bytes()
    shell.publish(images.image(images.layer("three")), "three:1")
    done = shell.run_to(to, f"{shell.source.host}/three:1", f"{shell.source.host}/none:1")
    assert done.returncode == 1
    assert f"warning: {tmp_path}/a.tar was not written" in done.stderr
    assert "a.tar.unfinished" in done.stderr
    assert (tmp_path / "a.tar").read_bytes() == written

    # What is in files goes into the same one, at once with what a registry has.
    assert shell.run_to(f"oci:{tmp_path}/layout", f"{shell.source.host}/two:1").returncode == 0
    done = shell.run_to(to, f"{shell.source.host}/three:1", f"oci:{tmp_path}/layout")
    assert "2 copied" in done.stdout, done.stderr
    assert not (tmp_path / "a.tar.unfinished").exists()
    assert "3 copied" in shell.run_to(f"oci:{tmp_path}/all", f"{kind}:{tmp_path}/a.tar").stdout


def test_what_is_about_an_image_is_not_for_docker(shell: Shell, tmp_path: Path):
    content = images.image(images.layer("app"))
    name = shell.publish(content, "app:1")
    with open_registries() as registries:
        images.put(images.about(content), registries.client(shell.source.host), "app")
    for kind, entries in (("docker-archive", 1), ("oci-archive", 2)):
        assert shell.run_to(f"{kind}:{tmp_path}/{kind}.tar", name).returncode == 0
        with tarfile.open(tmp_path / f"{kind}.tar") as archive:
            index = archive.extractfile("index.json")
            assert index
            assert len(json.load(index)["manifests"]) == entries


def test_a_lock_is_of_what_registries_have(shell: Shell, tmp_path: Path):
    name, layout = shell.publish(images.image(images.layer("app")), "app:1"), f"oci:{tmp_path}/layout"
    two = shell.publish(images.image(images.layer("two")), "two:1")
    shell.run_to(layout, two)
    assert "2 copied" in shell.run("--lock", str(tmp_path / "lock"), name, layout).stdout
    assert list(Lock.read(tmp_path / "lock").digests) == [name]


def test_a_dry_run_writes_no_archive(shell: Shell, tmp_path: Path):
    name = shell.publish(images.image(images.layer("app")), "app:1")
    before = set(tmp_path.iterdir())
    done = shell.run_to(f"oci-archive:{tmp_path}/a.tar", name, f"{shell.source.host}/none:1", "--dry-run")
    assert "1 pending, 1 failed" in done.stdout
    assert "was not written" not in done.stderr
    assert {file.name for file in set(tmp_path.iterdir()) - before} <= {".cache"}


def test_on_a_terminal_each_image_on_its_way_has_a_bar(shell: Shell, tmp_path: Path):
    big = images.image(images.layer("big", 3_000_000))
    name = shell.publish(big, "app:1")
    shell.publish(images.image(images.layer("small")), "small:1")
    shell.from_source.hold = lambda asked: asked.path.endswith(big.blobs[1][0].digest)
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    environment = {**shell.environment, "TERM": "xterm"}
    del environment["COLUMNS"]
    (tmp_path / "list").write_text(f"{name}\nopen: team/open\n{shell.source.host}/small:1\n")
    command = (*HOMEPORT, "mirror", "--to", shell.target.host, "-")
    with (tmp_path / "list").open() as typed, (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(command, stdin=typed, stdout=out, stderr=inner, env=environment)
    os.close(inner)
    seen = b""
    try:
        while f"{name} ".encode() not in seen or b"1/2 images" not in seen:
            seen += os.read(outer, 1 << 16)
        shell.from_source.go.set()
        with suppress(OSError):  # that is how a terminal ends
            while more := os.read(outer, 1 << 16):
                seen += more
    finally:
        shell.from_source.go.set()
        assert process.wait(30) == 1
        os.close(outer)
    # The last thing is that the bars are wiped away, line by line.
    assert seen.endswith(b"\x1b[2K")
    assert b"3.0/3.0 MB" in seen
    report = (tmp_path / "out").read_text()
    assert "\x1b" not in report
    assert "2 copied, 1 failed" in report


def test_repositories_are_created_where_amazon_wants_that(shell: Shell):
    ecr, made = "123456789012.dkr.ecr.eu-west-1.amazonaws.com", []

    def amazon(seen: Seen) -> Reply:
        if seen.headers["x-amz-target"].endswith("CreateRepository"):
            made.append(json.loads(seen.body)["repositoryName"])
            return Reply(200, {}, b"{}")
        return Reply(200, {}, json.dumps({"repositories": [{"repositoryName": name} for name in made]}).encode())

    name = shell.publish(images.image(), "app:1")
    with scripted(amazon) as api:
        shell.environment |= {
            "AWS_ACCESS_KEY_ID": "A",
            "AWS_SECRET_ACCESS_KEY": "s",
            "AWS_ENDPOINT_URL_ECR": api.url,
            "HOMEPORT_ENDPOINTS": f"{ecr}={shell.target.url}",
        }
        first = shell.run_to(f"{ecr}/team", name, "--create-repositories")
        second = shell.run_to(f"{ecr}/team", name, "--create-repositories")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert made == ["team/app"]
    assert f"created repository {ecr}/team/app" in first.stderr
    assert "created" not in second.stderr
    assert "is no registry of Amazon ECR" in shell.run(name, "--create-repositories").stderr


def test_a_dry_run_says_which_signature_is_demanded(shell: Shell, tmp_path: Path):
    key = write_keys(tmp_path, "own", "p256")[1]
    content = images.multi_arch("redis")
    name = shell.publish(content, OLD)
    wish = (name, "--dry-run", "--verify-key", str(key))
    done = shell.run(*wish)
    assert done.returncode == 1
    assert f"is not signed by {key}: no signature was found" in done.stdout
    with open_registries() as registries:
        client = registries.client(shell.source.host)
        images.put(images.about(content), client, "redislabs/redis", f"{content.digest.replace(':', '-')}.sig")
    done = shell.run(*wish)
    assert done.returncode == 0
    assert (
        f"note: {name}: it must be signed by {key}: that is looked at before it is copied, or with --deep"
        in done.stdout
    )
    assert shell.from_source.count("GET manifests") == 0
    done = shell.run(*wish, "--deep")
    assert done.returncode == 1
    assert f"is not signed by {key}: no signature was found" in done.stdout
    assert shell.from_source.count("GET manifests") == 1
