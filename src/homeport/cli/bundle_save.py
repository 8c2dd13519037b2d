"""`homeport bundle save`: write images into one file."""

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from homeport.cli.app import DONE, WRONG
from homeport.cli.bundle_charts import Charts
from homeport.cli.bundle_sources import at_hand, read_riders
from homeport.cli.image_list import choose, read_list
from homeport.cli.local_sources import split_local
from homeport.cli.locks import read_lock
from homeport.cli.mirror_report import refused
from homeport.cli.output import Form, columns, count, render
from homeport.cli.platforms import check_platforms
from homeport.cli.progress import shown_bytes, watching
from homeport.cli.references import Named, read_references
from homeport.cli.registry_options import RegistryOptions
from homeport.cli.signing import open_sign_key
from homeport.errors import UsageError
from homeport.mapping import Mapping, Target
from homeport.mirror.bundle.archives import open_layout
from homeport.mirror.bundle.delta import content_of
from homeport.mirror.bundle.local import with_layouts
from homeport.mirror.bundle.parts import bundles
from homeport.mirror.bundle.save import Saved, Wishes
from homeport.mirror.bundle.save import save as write
from homeport.mirror.kept import KeptManifests
from homeport.mirror.lock import Lock, Portion, is_lock
from homeport.mirror.result import MirrorResult

_SIZE = re.compile(r"([0-9]{1,15})\s*([kMGT]i?)?B?", re.IGNORECASE)
_UNITS = {
    "": 1,
    "k": 10**3,
    "m": 10**6,
    "g": 10**9,
    "t": 10**12,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "ti": 1 << 40,
}


class _Saved(msgspec.Struct, frozen=True, omit_defaults=True):
    reference: str
    digest: str | None
    status: str
    error: str = ""
    hint: str = ""


class _SaveReport(msgspec.Struct, frozen=True):
    images: list[_Saved]
    files: list[str]
    requests: int
    counted_pulls: int
    bytes: int


def save(
    *references: Annotated[str, Parameter(allow_leading_hyphen=True)],
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    from_scan: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    image_list: Annotated[Path | None, Parameter(name="--list")] = None,
    chart: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    platform: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    split_size: str | None = None,
    compress: Literal["zstd"] | None = None,
    lock: Path | None = None,
    locked: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    since: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    include: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    sign_key: Path | None = None,
    sign_password_file: Path | None = None,
    referrers: bool = True,
    on_limit: Literal["stop", "wait"] = "stop",
    report: Annotated[Form, Parameter(name="--report")] = "table",
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Write images into one file. It appears whole or not at all; run again, an interrupted save goes on.

    Args:
        references: Images, as in nginx:1.27 or quay.io/org/app@sha256:...; - reads them from stdin, one a line. oci:FOLDER,
            oci-archive:FILE and docker-archive:FILE, each with :NAME or for all in it, are images in files.
        output: The file, or a folder that exists: an OCI layout in a tar archive, or in the folder.
        from_scan: Take the images of a report of `homeport scan -o json`; - reads it from stdin.
        image_list: Take the images of this list, which can choose the tags of a repository by pattern, by version, or the latest few.
        chart: Take this Helm chart along, https://HOST/PATH/NAME:VERSION of a classic repository or oci://HOST/PATH/NAME:VERSION; it
            is loaded as an OCI chart. Of a range of versions, as in ^1.2 or ">=1 <2", the highest is taken; without one, the latest.
            May be repeated.
        platform: Take only this platform, os/architecture, of images that have several; may be repeated.
        split_size: Split the file into parts of at most this size, as in 4GB or 700MiB, with a list of their checksums.
        compress: Compress the file as a whole, as one is whose name ends on .zst. Layers are compressed already, as a rule.
        since: Leave out what the other side has: what this bundle holds, or what the images of this lock had; may be repeated.
        lock: Write the digest that each tag had to this file.
        locked: Read the file of --lock, or homeport.lock, instead: refuse tags that have moved since. The platforms are those that it was
            made with.
        referrers: Take along what is about an image: signatures, SBOMs, attestations.
        on_limit: What to do when a pull limit is used up: stop, or wait and go on when the registry gives pulls again.
        include: Let this file, or folder, come along: manifests, CRDs, a scan's report; may be repeated.
        sign_key: Sign the bundle with this private key (PEM; Ed25519 or ECDSA P-256), so that --verify-key finds any change.
        sign_password_file: Read the password of an encrypted key from this file; else it is asked for.
        report: How the report is written to stdout: table, json or yaml.
        registries: How registries are reached.
    """
    held = read_lock(lock, platform) if locked else None
    platform = held.portion.platforms if held else platform
    check_platforms(platform)
    remote, local = split_local(references)
    charts = Charts.parse(chart)
    named = read_references(remote, from_scan, optional=bool(image_list or local or chart))
    listed = read_list(image_list) if image_list else ()
    for warning in named.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    wishes = Wishes(
        split_size=_bytes(split_size) if split_size else None,
        packed=compress is not None,
        platforms=platform,
        riders=read_riders(include),
        left_out=_content_of(file for file in since if not is_lock(file)),
        since=tuple(Lock.read(file) for file in since if is_lock(file)),
        locked=held.digests if held else None,
        referrers=referrers,
        patience=on_limit == "wait",
        sign=open_sign_key(sign_key, sign_password_file) if sign_key else None,
    )
    if wishes.locked is not None:
        charts = charts.kept_to(wishes.locked)
    with watching() as watcher, registries.open(watcher.waits) as opened:
        asked = (*named.references, *choose(listed, opened), *charts.found(opened))
        with at_hand(local, charts.classic, opened) as layouts:
            saved = write(
                (*asked, *layouts.references),
                with_layouts(layouts.layouts, asked, opened.client),
                output,
                wishes=wishes,
                kept=KeptManifests.of_user(),
                observer=watcher,
            )
    for note in saved.notes:
        print(f"warning: {note}", file=sys.stderr)
    if lock and not locked and saved.files:
        _write_lock(lock, saved, platform)
    made = _report_saved(saved, named)
    print(render(made, report, _saved_table(made, output)))
    return WRONG if any(image.status == "failed" for image in made.images) else DONE


def _write_lock(file: Path, saved: Saved, platforms: Sequence[str]) -> None:
    before = Lock.read(file) if file.exists() else Lock()
    before.after(MirrorResult(saved.images, saved.traffic), Portion.of(platforms)).write(file)


def _content_of(since: Iterable[Path]) -> dict[str, list[str]]:
    content: dict[str, list[str]] = {}
    for paths in bundles(since):
        with open_layout(paths) as layout:
            for digest, names in content_of(layout).items():
                content[digest] = [*content.get(digest, ()), *names]
    return content


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text.strip())
    size = int(match[1]) * _UNITS[(match[2] or "").lower()] if match else 0
    if size < 1 << 16:
        raise UsageError(f"--split-size {text}: that is no size of a part", hint="Write 4GB, 700MiB; at least 64KiB.")
    return size


def _report_saved(saved: Saved, named: Named) -> _SaveReport:
    images = [
        _Saved(
            str(image.wanted.source),
            image.digest,
            "saved" if image.status == "copied" else "failed",
            image.error,
            image.hint,
        )
        for image in saved.images
    ]
    images += [
        _Saved(image.source, None, "failed", image.error, image.hint)
        for image in refused(named.open, Mapping(Target("localhost")))
    ]
    return _SaveReport(
        images,
        [str(file) for file in saved.files],
        requests=saved.traffic.source,
        counted_pulls=saved.traffic.counted_pulls,
        bytes=saved.traffic.bytes,
    )


def _saved_table(report: _SaveReport, output: Path) -> str:
    rows = [(image.status, image.reference, (image.digest or "")[:19]) for image in report.images]
    lines = columns([("STATUS", "IMAGE", "DIGEST"), *rows])
    for error, hint in dict.fromkeys((image.error, image.hint) for image in report.images if image.error):
        lines += ["", f"error: {error}", *([f"  {hint}"] if hint else [])]
    written = ", ".join(report.files) or f"{output} was not written, as not all images could be read"
    lines += ["", f"{written}; {shown_bytes(report.bytes)} fetched; {count(report.requests, 'request')}"]
    return "\n".join(lines) + f"; {count(report.counted_pulls, 'counted pull')}"
