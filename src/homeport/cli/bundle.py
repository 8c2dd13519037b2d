"""`homeport bundle`: images in one file, for the way across an air gap."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import App, Parameter

from homeport.cli.app import DONE, NOT_STARTED, WRONG, complain
from homeport.cli.image_list import choose, read_list
from homeport.cli.mapping_options import MappingOptions
from homeport.cli.mirror_report import Image, Report, failures, joined, refused, report_result, report_table
from homeport.cli.output import Form, columns, count, render
from homeport.cli.platforms import check_platforms
from homeport.cli.progress import shown_bytes, watching
from homeport.cli.references import Named, read_references
from homeport.cli.registry_options import RegistryOptions
from homeport.errors import CollisionError, UsageError
from homeport.mapping import Mapping, Target
from homeport.mirror.bundle.archives import bundles, open_layout
from homeport.mirror.bundle.contents import read_contents
from homeport.mirror.bundle.load import content_of, write_riders
from homeport.mirror.bundle.load import load as bring
from homeport.mirror.bundle.load import verify as check
from homeport.mirror.bundle.save import Saved, Wishes
from homeport.mirror.bundle.save import save as write
from homeport.mirror.kept import KeptManifests
from homeport.mirror.spool import Spool
from homeport.reference import Reference
from homeport.store.oci_layout import Layout

bundle = App(name="bundle", help_format="plaintext", help_formatter="plain")

Shown = Annotated[Form, Parameter(name="--report")]
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


class _Loading(msgspec.Struct, frozen=True):
    name: str | None
    extract: Path | None
    keep_tag: bool


class _Content(msgspec.Struct, frozen=True):
    images: list[dict[str, str]]
    files: list[str]
    platforms: list[str]
    lacks: int


@bundle.command
def save(
    *references: Annotated[str, Parameter(allow_leading_hyphen=True)],
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    from_scan: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    image_list: Annotated[Path | None, Parameter(name="--list")] = None,
    platform: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    split_size: str | None = None,
    since: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    include: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    referrers: bool = True,
    on_limit: Literal["stop", "wait"] = "stop",
    report: Shown = "table",
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Write images into one file. It appears whole or not at all; run again, an interrupted save goes on.

    Args:
        references: Images, as in nginx:1.27 or quay.io/org/app@sha256:...; - reads them from stdin, one a line.
        output: The file, or a folder that exists: an OCI layout in a tar archive, or in the folder.
        from_scan: Take the images of a report of `homeport scan -o json`; - reads it from stdin.
        image_list: Take the images of this list, which can choose the tags of a repository by pattern, by version, or the latest few.
        platform: Take only this platform, os/architecture, of images that have several; may be repeated.
        split_size: Split the file into parts of at most this size, as in 4GB or 700MiB, with a list of their checksums.
        since: Leave out what this bundle holds, which the other side has; may be repeated.
        referrers: Take along what is about an image: signatures, SBOMs, attestations.
        on_limit: What to do when a pull limit is used up: stop, or wait and go on when the registry gives pulls again.
        include: Let this file come along: manifests, a scan's report; may be repeated.
        report: How the report is written to stdout: table, json or yaml.
        registries: How registries are reached.
    """
    check_platforms(platform)
    named = read_references(references, from_scan, optional=image_list is not None)
    listed = read_list(image_list) if image_list else ()
    for warning in named.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    wishes = Wishes(
        split_size=_bytes(split_size) if split_size else None,
        platforms=platform,
        riders=_riders(include),
        left_out=_content_of(since),
        referrers=referrers,
        patience=on_limit == "wait",
    )
    with watching() as watcher, registries.open(watcher.waits) as opened:
        chosen = (*named.references, *choose(listed, opened))
        saved = write(chosen, opened.client, output, wishes=wishes, kept=KeptManifests.of_user(), observer=watcher)
    made = _report_saved(saved, named)
    print(render(made, report, _saved_table(made, output)))
    return WRONG if any(image.status == "failed" for image in made.images) else DONE


@bundle.command
def load(
    *files: Path,
    to: str,
    name: str | None = None,
    extract: Path | None = None,
    keep_tag: bool = True,
    report: Annotated[Form, Parameter(name=["--report", "--output", "-o"])] = "table",
    names: MappingOptions = MappingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Bring the images of a bundle to a registry, under the same tags and digests; what is there already is skipped.

    Args:
        files: Bundles, in parts or whole, or archives of `docker save`, crane and skopeo, or folders with an OCI layout.
        to: The target, REGISTRY[/PATH]; the source's registry is dropped from names, the path is kept.
        name: What the image is, REPOSITORY:TAG, where the archive holds one that has no name.
        keep_tag: Give images that are known by digest alone a tag at the target, keep-..., so that no clean-up removes them.
        extract: Write the files that came along (save --include) to this folder.
        report: How the report is written to stdout: table, json or yaml.
        names: What images are called at the target, as for mirror, relocate and verify.
        registries: How registries are reached.
    """
    mapping = names.mapping(to)
    _check_files(files)
    if extract and not extract.is_dir():
        raise UsageError(f"--extract {extract}: there is no such folder", hint="Make it first.")
    try:
        reports = [_load(paths, mapping, _Loading(name, extract, keep_tag), registries) for paths in bundles(files)]
    except CollisionError as error:
        complain(error)
        return NOT_STARTED
    made = joined(reports)
    print(render(made, report, report_table(made, mapping.target)))
    return WRONG if failures(made) else DONE


@bundle.command(name="list")
def list_(*files: Path, output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table") -> int:
    """Show which images a bundle holds, and which files came along.

    Args:
        files: A bundle, or all of its parts, or another archive of images.
        output: table, json or yaml.
    """
    _check_files(files)
    for paths in bundles(files):
        with open_layout(paths) as layout:
            contents = read_contents(layout.files)
            content = _Content(
                images=[
                    {"reference": str(each.reference or each.written), "digest": each.manifest.digest}
                    for each in layout.images
                ],
                files=list(contents.riders) if contents else [],
                platforms=list(contents.platforms) if contents else [],
                lacks=len(contents.lacks) if contents else 0,
            )
        print(render(content, output, _list_table(content)))
    return DONE


@bundle.command
def verify(*files: Path) -> int:
    """Read all of a bundle and check every digest. Needs no network.

    Args:
        files: A bundle, or all of its parts, or another archive of images.
    """
    _check_files(files)
    wrong = []
    for paths in bundles(files):
        with open_layout(paths) as layout:
            found = check(layout, paths)
            print("\n".join(found) or f"{paths[0]}: {count(len(layout.images), 'image')}, all as their digests say")
            wrong += found
    return WRONG if wrong else DONE


def _load(paths: Sequence[Path], mapping: Mapping, wishes: _Loading, options: RegistryOptions) -> Report:
    with open_layout(paths) as layout, watching() as watcher, options.open(watcher.waits) as registries:
        if wishes.name:
            layout.name_the_only_one(Reference.parse(wishes.name).pinned)
        target = registries.client(mapping.target.registry)
        result = bring(layout, mapping, target, keep_tags=wishes.keep_tag, observer=watcher, spool=Spool.of_user())
        if wishes.extract:
            for file in write_riders(layout, wishes.extract):
                print(f"wrote {file}", file=sys.stderr)
        return report_result(result, _nameless(layout))


def _nameless(layout: Layout) -> list[Image]:
    return [
        Image(
            each.written,
            "",
            each.manifest.digest,
            "failed",
            f"{layout.files.name()}: image {each.manifest.digest} has no full name in it",
            "Say what it is: --name REPOSITORY:TAG",
        )
        for each in layout.images
        if each.reference is None
    ]


def _check_files(files: Sequence[Path]) -> None:
    if not files:
        raise UsageError("no file is named", hint="Name a bundle, or the parts of one.")


def _riders(files: Sequence[Path]) -> dict[str, bytes]:
    riders: dict[str, bytes] = {}
    for file in files:
        if file.name in riders:
            raise UsageError(f"--include {file}: another file is called {file.name} too")
        try:
            riders[file.name] = file.read_bytes()
        except OSError as error:
            raise UsageError(f"--include {file}: {error.strerror}") from None
    return riders


def _content_of(since: Sequence[Path]) -> dict[str, list[str]]:
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


def _list_table(content: _Content) -> str:
    lines = columns([("IMAGE", "DIGEST"), *((each["reference"], each["digest"][:19]) for each in content.images)])
    if content.files:
        lines += ["", f"files: {', '.join(content.files)}"]
    if content.platforms:
        lines.append(f"only for {', '.join(content.platforms)}")
    if content.lacks:
        lines.append(f"leaves {count(content.lacks, 'blob')} to the bundle that it was made since")
    return "\n".join(lines)
