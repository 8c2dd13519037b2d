"""The folder of what broken transfers left: whose a file is, how large it may become, what a crash may do to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from homeport.mirror.spool import Spool
from homeport.oci.digest import digest_of
from homeport.oci.manifest import Descriptor
from homeport.oci.transfer import Upload
from tests.kit.clients import read_all

DATA = os.urandom(3 << 20)


def descriptor(data: bytes) -> Descriptor:
    return Descriptor("x", digest_of(data), len(data))


BLOB = descriptor(DATA)


def fill(spool: Spool, data: bytes, count: int | None = None) -> Path:
    """Leave the first bytes of a blob behind, as a process does that is killed."""
    part = spool.part(descriptor(data))
    assert part
    part.append(memoryview(data[:count]))
    part.close()
    return part._path


def test_a_part_is_gone_on_with_and_its_hash_is_of_what_is_there(tmp_path: Path):
    spool = Spool(tmp_path / "spool")
    file = fill(spool, DATA, 2_000_000)
    assert spool.has_part(BLOB)
    part = spool.part(BLOB)
    assert part
    begun = part.begun()
    assert begun.hasher
    assert (begun.offset, f"sha256:{begun.hasher.hexdigest()}") == (2_000_000, digest_of(DATA[:2_000_000]))
    part.append(memoryview(DATA[2_000_000:]))
    assert read_all(part.reader()) == DATA
    part.drop()
    part.close()
    assert not file.exists()


@pytest.mark.parametrize("left", [DATA[:-1] + b"?", DATA + b"x"])
def test_a_whole_part_that_is_wrong_is_dropped(tmp_path: Path, left: bytes):
    spool = Spool(tmp_path)
    fill(spool, DATA, 1).write_bytes(left)
    part = spool.part(BLOB)
    assert part
    assert part.begun().offset == 0
    part.close()
    assert not spool.has_part(BLOB)


def test_nobody_else_may_read_it(tmp_path: Path):
    spool = Spool(tmp_path / "spool", least=1)
    part = fill(spool, DATA, 10)
    with spool.trace("r.example", "a/b", BLOB) as trace:
        trace.note(Upload("https://r.example/upload?_state=secret"), is_unproven=False)
        assert {oct(file.stat().st_mode)[-3:] for file in (tmp_path / "spool").iterdir()} == {"600"}
    assert oct(part.parent.stat().st_mode)[-3:] == "700"


def test_a_file_belongs_to_one_at_a_time_until_it_is_killed(tmp_path: Path):
    spool = Spool(tmp_path, least=1)
    script = (
        "import sys, time; sys.path.insert(0, '.')\n"
        "from pathlib import Path; from tests.mirror.test_spool import BLOB, Spool, Upload, Descriptor\n"
        "blob = Descriptor('x', sys.argv[2], int(sys.argv[3])); spool = Spool(Path(sys.argv[1]), least=1)\n"
        "part = spool.part(blob); part.append(memoryview(b'begun'))\n"
        "trace = spool.trace('r.example', 'a/b', blob); trace.note(Upload('/up'), is_unproven=True)\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    arguments = (str(tmp_path), BLOB.digest, str(BLOB.size))
    with subprocess.Popen((sys.executable, "-c", script, *arguments), stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "ready\n"
        assert spool.part(BLOB) is None
        with spool.trace("r.example", "a/b", BLOB) as trace:
            assert (trace.upload, trace.was_there) == (None, False)
        other.kill()
    part = spool.part(BLOB)
    assert part
    assert part.begun().offset == 5
    part.close()
    with spool.trace("r.example", "a/b", BLOB) as trace:
        assert (trace.upload, trace.was_there, trace.is_unproven) == (Upload("/up"), True, True)
        trace.forget()
    assert not list(tmp_path.glob("*.upload"))


@pytest.mark.parametrize("torn", [b"", b'{"locat', b"\x00\x00", b'{"x":' + b"[" * 9_000, b'{"location": "\xff"}'])
def test_a_note_that_a_crash_has_torn_says_only_that_there_was_one(tmp_path: Path, torn: bytes):
    spool = Spool(tmp_path, least=1)
    with spool.trace("r.example", "a/b", BLOB) as trace:
        trace.note(Upload("/up"), is_unproven=False)
    (file,) = tmp_path.iterdir()
    file.write_bytes(torn)
    with spool.trace("r.example", "a/b", BLOB) as trace:
        assert (trace.upload, trace.was_there) == (None, True)


def test_the_longest_unused_gives_way_but_not_what_is_in_use(tmp_path: Path):
    spool = Spool(tmp_path, most=10 << 20)
    contents = [os.urandom(3 << 20) for _ in range(5)]
    files = [fill(spool, content, 10) for content in contents[:3]]
    for age, file in enumerate(files):
        os.utime(file, (1e9 + age, 1e9 + age))
    held = spool.part(descriptor(contents[0]))
    assert held
    fill(spool, contents[3], 10)
    assert [file.exists() for file in files] == [True, False, True]
    held.close()
    assert spool.part(descriptor(os.urandom(11 << 20))) is None
    assert files[0].exists()


def test_it_leaves_a_disk_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spool = Spool(tmp_path)
    room = os.statvfs(tmp_path)
    monkeypatch.setattr("homeport.mirror.spool._SPARE_BYTES", room.f_bavail * room.f_frsize)
    assert spool.part(BLOB) is None
    assert not list(tmp_path.iterdir())


def test_what_nobody_came_back_for_is_swept(tmp_path: Path):
    spool = Spool(tmp_path)
    old, young = fill(spool, DATA, 10), fill(spool, DATA[1:], 10)
    os.utime(old, (1e9, 1e9))
    spool.sweep()
    assert (old.exists(), young.exists()) == (False, True)


def test_a_folder_that_cannot_be_is_done_without(tmp_path: Path):
    (tmp_path / "file").touch()
    spool = Spool(tmp_path / "file" / "spool", least=1)
    spool.sweep()
    assert spool.part(BLOB) is None
    with spool.trace("r.example", "a/b", BLOB) as trace:
        trace.note(Upload("/up"), is_unproven=False)
        trace.forget()


def test_small_blobs_leave_no_trace(tmp_path: Path):
    with Spool(tmp_path).trace("r.example", "a/b", BLOB) as trace:
        trace.note(Upload("/up"), is_unproven=False)
    assert not list(tmp_path.iterdir())


def test_a_link_is_not_followed(tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    spool = Spool(tmp_path / "spool")
    fill(spool, DATA, 1).unlink()
    (tmp_path / "spool" / f"{BLOB.digest.replace(':', '-')}.{BLOB.size}").symlink_to(victim)
    assert spool.part(BLOB) is None
    assert victim.read_text() == "mine"
