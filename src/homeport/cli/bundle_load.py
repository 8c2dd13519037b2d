"""`homeport bundle load`: bring the images of a bundle to a registry."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from homeport.cli.app import DONE, NOT_STARTED, WRONG, complain
from homeport.cli.bundle import check_files
from homeport.cli.mapping_options import MappingOptions
from homeport.cli.mirror_report import Image, Report, failures, joined, report_result, report_table
from homeport.cli.output import Form, render
from homeport.cli.platforms import check_platforms, warn_of_other_digests
from homeport.cli.progress import watching
from homeport.cli.registry_options import RegistryOptions
from homeport.cli.signing import VerifyKeys, read_verify_keys
from homeport.errors import CollisionError, UsageError
from homeport.mapping import Mapping
from homeport.mirror.bundle.archives import open_layout
from homeport.mirror.bundle.load import load as bring
from homeport.mirror.bundle.load import write_riders
from homeport.mirror.bundle.parts import bundles
from homeport.mirror.bundle.signature import VerifyKey
from homeport.mirror.spool import Spool
from homeport.reference import Reference
from homeport.store.oci_layout import Layout


class _Loading(msgspec.Struct, frozen=True):
    name: str | None
    extract: Path | None
    platforms: tuple[str, ...]
    rebuild_index: bool
    keep_tag: bool
    keys: tuple[VerifyKey, ...]


def load(
    *files: Path,
    to: str,
    name: str | None = None,
    platform: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    extract: Path | None = None,
    rebuild_index: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    keep_tag: bool = True,
    verify_key: VerifyKeys = (),
    report: Annotated[Form, Parameter(name=["--report", "--output", "-o"])] = "table",
    names: MappingOptions = MappingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Bring the images of a bundle to a registry, under the same tags and digests; what is there already is skipped.

    Args:
        files: Bundles, in parts or whole, or archives of `docker save`, crane and skopeo, or folders with an OCI layout.
        to: The target, REGISTRY[/PATH]; the source's registry is dropped from names, the path is kept.
        name: What the image is, REPOSITORY:TAG, where the archive holds one that has no name.
        platform: Bring only this platform, os/architecture, of images that have several; may be repeated. Index and digest stay as
            they are, so the target must take an index that lacks platforms.
        rebuild_index: With --platform, make the index anew for these platforms: any target takes it, and its digest is another one.
        keep_tag: Give images that are known by digest alone a tag at the target, keep-..., so that no clean-up removes them.
        extract: Write the files that came along (save --include) to this folder.
        verify_key: Load nothing that is not a bundle signed by this public key (PEM), or another that is named; may be repeated.
        report: How the report is written to stdout: table, json or yaml.
        names: What images are called at the target, as for mirror, relocate and verify.
        registries: How registries are reached.
    """
    mapping = names.mapping(to)
    check_files(files)
    check_platforms(platform)
    if rebuild_index:
        warn_of_other_digests(platform)
    if extract and not extract.is_dir():
        raise UsageError(f"--extract {extract}: there is no such folder", hint="Make it first.")
    wishes = _Loading(name, extract, platform, rebuild_index, keep_tag, read_verify_keys(verify_key))
    try:
        with ExitStack() as stack:
            # All are opened, and their signatures checked, before anything of one is pushed.
            layouts = [stack.enter_context(open_layout(paths, wishes.keys)) for paths in bundles(files)]
            reports = [_load(layout, mapping, wishes, registries) for layout in layouts]
    except CollisionError as error:
        complain(error)
        return NOT_STARTED
    made = joined(reports)
    print(render(made, report, report_table(made, mapping.target)))
    return WRONG if failures(made) else DONE


def _load(layout: Layout, mapping: Mapping, wishes: _Loading, options: RegistryOptions) -> Report:
    with watching() as watcher, options.open(watcher.waits) as registries:
        if wishes.name:
            layout.name_the_only_one(Reference.parse(wishes.name).pinned)
        target = registries.client(mapping.target.registry)
        result = bring(
            layout,
            mapping,
            target,
            platforms=wishes.platforms,
            rebuild_index=wishes.rebuild_index,
            keep_tags=wishes.keep_tag,
            observer=watcher,
            spool=Spool.of_user(),
        )
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
