"""Save one image to a file and load it, beside skopeo, crane and regctl.

`python benchmarks/bundle.py` takes 8 layers of 100 MB, files and registries in memory; `--layers 20` makes it 2 GB. `--folder DIR` puts the
files on a disk: then each that is written is synced, the peers' by `sync FILE`, as Homeport does it by itself, and each that is loaded comes from the
disk, not from the page cache. Prints medians of interleaved runs as Markdown.
"""

import argparse
import multiprocessing
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.mirror_peers import HOMEPORT
from benchmarks.timing import interleave, table
from homeport.registry.session import Registries
from tests.kit import images
from tests.kit.peers import distribution, peer

REPOSITORY, TAG = "app", "1"
LAYER_BYTES = 100_000_000
MEMORY = Path("/dev/shm")


def publish(host: str, layers: int) -> None:
    """Push the image; in a process of its own, because a child's peak memory starts at its parent's."""
    with Registries() as registries:
        content = images.image(*(images.layer(str(number), LAYER_BYTES) for number in range(layers)))
        images.put(content, registries.client(host), REPOSITORY, TAG)


def saving(source: str, folder: Path, *, synced: bool) -> dict[str, list[str]]:
    """Return what writes the image to a file."""
    name = f"{source}/{REPOSITORY}:{TAG}"
    peers = {
        "skopeo copy, to oci-archive": (
            "skopeo",
            "copy",
            "--src-tls-verify=false",
            f"docker://{name}",
            f"oci-archive:{folder}/skopeo.tar:{name}",
        ),
        "crane pull": ("crane", "pull", "--insecure", name, f"{folder}/crane.tar"),
        "regctl image export": (
            "regctl",
            f"--host=reg={source},tls=disabled",
            "image",
            "export",
            name,
            f"{folder}/regctl.tar",
        ),
    }
    commands = {}
    for label, (tool, *arguments) in peers.items():
        line = shlex.join((peer(tool), *arguments))
        commands[label] = ["sh", "-c", f"{line} && sync {folder}/{tool}.tar" if synced else f"exec {line}"]
    return commands | {
        "homeport bundle save": [HOMEPORT, "bundle", "save", "-o", f"{folder}/homeport.tar", name],
        "homeport bundle save, zstd": [HOMEPORT, "bundle", "save", "-o", f"{folder}/homeport.tar.zst", name],
    }


def loading(source: str, target: str, folder: Path) -> dict[str, list[str]]:
    """Return what reads it back."""
    there, host = f"{target}/{REPOSITORY}:{TAG}", f"--host=reg={target},tls=disabled"
    archive = f"oci-archive:{folder}/skopeo.tar:{source}/{REPOSITORY}:{TAG}"
    return {
        "skopeo copy, from oci-archive": [
            peer("skopeo"),
            "copy",
            "--dest-tls-verify=false",
            archive,
            f"docker://{there}",
        ],
        "crane push": [peer("crane"), "push", "--insecure", f"{folder}/crane.tar", there],
        "regctl image import": [peer("regctl"), host, "image", "import", there, f"{folder}/regctl.tar"],
        "homeport bundle load": [HOMEPORT, "bundle", "load", "--to", target, f"{folder}/homeport.tar"],
        "homeport bundle load, zstd": [HOMEPORT, "bundle", "load", "--to", target, f"{folder}/homeport.tar.zst"],
    }


def forget(folder: Path) -> None:
    """Have the page cache hold nothing of the files in a folder, so that they are read from the disk."""
    for file in folder.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main(rounds: int, layers: int, place: Path | None) -> None:
    """Compare both ways, each into an empty file or registry."""
    memory = MEMORY if MEMORY.is_dir() else None
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place or memory)))
        source = stack.enter_context(distribution(data / "source"))
        target = stack.enter_context(distribution(data / "target"))
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            pool.apply(publish, (source, layers))

        def unsave(_: str) -> None:
            for file in folder.iterdir():
                file.unlink()

        commands = saving(source, folder, synced=place is not None)
        print(f"{layers} layers of {LAYER_BYTES // 1_000_000} MB, files {'on a disk' if place else 'in memory'}\n")
        print(table(interleave(commands, rounds, before=unsave), "crane pull"))
        unsave("")
        for command in commands.values():
            subprocess.run(command, check=True, capture_output=True)

        def unload(_: str) -> None:
            shutil.rmtree(data / "target" / "data" / "docker", ignore_errors=True)
            if place:
                forget(folder)

        print()
        print(table(interleave(loading(source, target, folder), rounds, before=unload), "crane push"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    main(arguments.rounds, arguments.layers, arguments.folder)
