"""One image of 8 layers of 100 MB from one distribution v3 to another, beside skopeo and crane: python benchmarks/mirror.py."""

import multiprocessing
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.timing import interleave, table
from homeport.registry.session import Registries
from tests.kit import images
from tests.kit.peers import distribution, peer

LAYERS, LAYER_BYTES = 8, 100_000_000
HOMEPORT = str(Path(sys.executable).parent / "homeport")
REPOSITORY, TAG = "app", "1"


def publish(host: str) -> None:
    """Push the image; in a process of its own, because a child's peak memory starts at its parent's."""
    layers = [images.layer(str(number), LAYER_BYTES) for number in range(LAYERS)]
    with Registries() as registries:
        images.put(images.image(*layers), registries.client(host), REPOSITORY, TAG)


def commands(source: str, target: str) -> dict[str, list[str]]:
    """Return what is compared."""
    here, there = f"{source}/{REPOSITORY}:{TAG}", f"{target}/{REPOSITORY}:{TAG}"
    insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    return {
        "skopeo copy --all": [peer("skopeo"), "copy", "--all", *insecure, f"docker://{here}", f"docker://{there}"],
        "crane copy": [peer("crane"), "copy", "--insecure", here, there],
        "homeport mirror": [HOMEPORT, "mirror", "--to", target, here],
    }


def main(rounds: int) -> None:
    """Compare first copies, each into an empty target."""
    memory = Path("/dev/shm")  # a file system in memory, so that disks do not decide
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        source_data, target_data = Path(folder, "source"), Path(folder, "target")
        with distribution(source_data) as source, distribution(target_data) as target:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                pool.apply(publish, (source,))
            emptied = target_data / "data" / "docker"
            results = interleave(
                commands(source, target), rounds, before=lambda _: shutil.rmtree(emptied, ignore_errors=True)
            )
    print(table(results, "skopeo copy --all"))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
