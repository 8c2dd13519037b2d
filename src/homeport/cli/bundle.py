"""`homeport bundle`: images in one file, for the way across an air gap."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import App, Parameter

from homeport.cli.app import DONE, WRONG
from homeport.cli.output import Form, columns, count, render
from homeport.cli.signing import VerifyKeys, read_verify_keys
from homeport.errors import UsageError
from homeport.mirror.bundle.archives import open_layout
from homeport.mirror.bundle.contents import SIGNATURE, read_contents
from homeport.mirror.bundle.load import verify as check
from homeport.mirror.bundle.parts import bundles

bundle = App(name="bundle", help_format="plaintext", help_formatter="plain")
for _name, _help in {
    "save": "Write images into one file.",
    "load": "Bring the images of a bundle to a registry.",
}.items():
    bundle.command(f"homeport.cli.bundle_{_name}:{_name}", name=_name, help=_help)


class _Content(msgspec.Struct, frozen=True):
    images: list[dict[str, str]]
    files: list[str]
    platforms: list[str]
    lacks: int
    signature: Literal["none", "unchecked", "good"]


@bundle.command(name="list")
def list_(
    *files: Path, verify_key: VerifyKeys = (), output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table"
) -> int:
    """Show which images a bundle holds, and which files came along.

    Args:
        files: A bundle, or all of its parts, or another archive of images.
        verify_key: Show only what is signed by this public key (PEM), or another that is named; may be repeated.
        output: table, json or yaml.
    """
    check_files(files)
    keys = read_verify_keys(verify_key)
    for paths in bundles(files):
        with open_layout(paths, keys) as layout:
            contents = read_contents(layout.files)
            content = _Content(
                images=[
                    {"reference": str(each.reference or each.written), "digest": each.manifest.digest}
                    for each in layout.images
                ],
                files=list(contents.riders) if contents else [],
                platforms=list(contents.platforms) if contents else [],
                lacks=len(contents.lacks) if contents else 0,
                signature="good" if keys else "none" if layout.files.size(SIGNATURE) is None else "unchecked",
            )
        print(render(content, output, _list_table(content)))
    return DONE


@bundle.command
def verify(*files: Path, verify_key: VerifyKeys = ()) -> int:
    """Read all of a bundle and check every digest. Needs no network.

    Args:
        files: A bundle, or all of its parts, or another archive of images.
        verify_key: It must be signed by this public key (PEM), or another that is named; may be repeated.
    """
    check_files(files)
    keys = read_verify_keys(verify_key)
    signed = ", and signed" if keys else ""
    wrong = []
    for paths in bundles(files):
        with open_layout(paths, keys) as layout:
            found = check(layout, paths)
            print(
                "\n".join(found)
                or f"{paths[0]}: {count(len(layout.images), 'image')}, all as their digests say{signed}"
            )
            wrong += found
    return WRONG if wrong else DONE


def check_files(files: Sequence[Path]) -> None:
    """Raise UsageError unless there is a file."""
    if not files:
        raise UsageError("no file is named", hint="Name a bundle, or the parts of one.")


def _list_table(content: _Content) -> str:
    lines = columns([("IMAGE", "DIGEST"), *((each["reference"], each["digest"][:19]) for each in content.images)])
    if content.files:
        lines += ["", f"files: {', '.join(content.files)}"]
    if content.platforms:
        lines.append(f"only for {', '.join(content.platforms)}")
    if content.signature != "none":
        lines.append(
            "signed, as it should be" if content.signature == "good" else "signed; --verify-key KEY checks by whom"
        )
    if content.lacks:
        lines.append(f"leaves {count(content.lacks, 'blob')} to the bundle that it was made since")
    return "\n".join(lines)
