"""Save one image of 8 layers of 100 MB to a file and load it, beside skopeo and crane: python benchmarks/bundle.py."""

import multiprocessing
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.mirror import HOMEPORT, REPOSITORY, TAG, publish
from benchmarks.timing import interleave, table
from tests.kit.peers import distribution, peer


def saving(source: str, folder: Path) -> dict[str, list[str]]:
    """Return what writes the image to a file."""
    name = f"{source}/{REPOSITORY}:{TAG}"
    archive = f"oci-archive:{folder}/skopeo.tar:{REPOSITORY}:{TAG}"
    return {
        "skopeo copy, to oci-archive": [peer("skopeo"), "copy", "--src-tls-verify=false", f"docker://{name}", archive],
        "crane pull": [peer("crane"), "pull", "--insecure", name, str(folder / "crane.tar")],
        "homeport bundle save": [HOMEPORT, "bundle", "save", "-o", str(folder / "homeport.tar"), name],
    }


def loading(target: str, folder: Path) -> dict[str, list[str]]:
    """Return what reads it back."""
    there = f"{target}/{REPOSITORY}:{TAG}"
    archive = f"oci-archive:{folder}/skopeo.tar:{REPOSITORY}:{TAG}"
    return {
        "skopeo copy, from oci-archive": [
            peer("skopeo"),
            "copy",
            "--dest-tls-verify=false",
            archive,
            f"docker://{there}",
        ],
        "crane push": [peer("crane"), "push", "--insecure", str(folder / "crane.tar"), there],
        "homeport bundle load": [HOMEPORT, "bundle", "load", "--to", target, str(folder / "homeport.tar")],
    }


def main(rounds: int) -> None:
    """Compare both ways, each into an empty file or registry."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        emptied = folder / "target" / "data" / "docker"
        with distribution(folder / "source") as source, distribution(folder / "target") as target:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                pool.apply(publish, (source,))

            def unsave(_: str) -> None:
                for file in folder.glob("*.tar"):
                    file.unlink()

            print(table(interleave(saving(source, folder), rounds, before=unsave), "skopeo copy, to oci-archive"))
            for tool, command in saving(source, folder).items():
                interleave({tool: command}, 0)
            results = interleave(
                loading(target, folder), rounds, before=lambda _: shutil.rmtree(emptied, ignore_errors=True)
            )
            print()
            print(table(results, "skopeo copy, from oci-archive"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
