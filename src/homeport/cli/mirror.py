"""`homeport mirror`: bring images to a registry."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import Parameter

from homeport.cli.app import DONE, NOT_STARTED, WRONG, complain
from homeport.cli.image_list import choose, read_list
from homeport.cli.local_sources import LocalSource, split_local
from homeport.cli.local_targets import folder_of, full_names, in_folder, open_folder
from homeport.cli.mapping_options import MappingOptions
from homeport.cli.metrics_file import check_metrics_file, write_metrics
from homeport.cli.mirror_report import Report, failures, joined, refused, report_plan, report_result, report_table
from homeport.cli.output import Form, render
from homeport.cli.platforms import check_platforms, warn_of_other_digests
from homeport.cli.progress import tell, watching
from homeport.cli.references import Named, read_references
from homeport.cli.registry_options import RegistryOptions
from homeport.errors import CollisionError, UsageError
from homeport.mapping import Mapping
from homeport.mirror.executor import forecast
from homeport.mirror.executor import mirror as bring
from homeport.mirror.expected import expect_all
from homeport.mirror.kept import KeptManifests
from homeport.mirror.spool import Spool
from homeport.reference import Reference

if TYPE_CHECKING:
    from homeport.mapping import Target as Place
    from homeport.mirror.lock import Lock, Portion
    from homeport.mirror.mirrors import Mirrors
    from homeport.mirror.ports import Target
    from homeport.mirror.selection import Selection
    from homeport.mirror.signatures import Demand
    from homeport.registry.session import Registries
    from homeport.store.oci_layout import Layout


def mirror(
    *references: Annotated[str, Parameter(allow_leading_hyphen=True)],
    to: str,
    from_scan: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None,
    image_list: Annotated[Path | None, Parameter(name="--list")] = None,
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
    platform: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    rebuild_index: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    lock: Path | None = None,
    locked: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    referrers: bool = True,
    keep_tag: bool = True,
    verify_key: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    create_repositories: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    source_mirror: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    on_limit: Literal["stop", "wait"] = "stop",
    fail_fast: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    metrics_file: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    deep: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    names: MappingOptions = MappingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Bring images to a registry under the same tags and digests; what is there already costs no pull.

    Args:
        references: Images, as in nginx:1.27 or quay.io/org/app@sha256:...; - reads them from stdin, one a line. oci:FOLDER,
            oci-archive:FILE and docker-archive:FILE, each with :NAME or for all in it, are images in files.
        to: The target, REGISTRY[/PATH]; the source's registry is dropped from names, the path is kept. Or oci:FOLDER, an OCI layout, in
            which images have their full names.
        from_scan: Take the images of a report of `homeport scan -o json`; - reads it from stdin.
        image_list: Take the images of this list, which can choose the tags of a repository by pattern, by version, or the latest few.
        output: How the report is written to stdout: table, json or yaml. With json, what happens meanwhile is written to stderr as one JSON
            object a line, unless that is a terminal.
        platform: Bring only this platform, os/architecture, of images that have several; may be repeated. Index and digest stay as
            they are, so the target must take an index that lacks platforms; Docker Registry and Harbor may not.
        rebuild_index: With --platform, make indexes anew that name these platforms alone. Their digests change: what names an image by its
            digest will not find it, and signatures of the whole image do not fit.
        lock: Write the digest that each tag had to this file.
        locked: Read the file of --lock, or homeport.lock, instead: refuse tags that have moved since, and ask the source for nothing
            that the target has. The platforms are those that it was made with.
        referrers: Bring along what is about an image: signatures, SBOMs, attestations.
        keep_tag: Give images that are known by digest alone a tag at the target, keep-..., so that no clean-up removes them.
        verify_key: Bring only images that cosign has signed with this key, the file of a public one in PEM; PATTERN=KEY demands it of
            repositories that match, as in 'docker.io/redislabs/*=redis.pub'. May be repeated: one of the keys that match must have signed.
        create_repositories: Create the repositories that are missing at an Amazon ECR, which takes no push to others. Other registries make
            them by themselves.
        source_mirror: NAME=REGISTRY[/PATH], as in docker.io=mirror.gcr.io: take content of the registry NAME from there, by digest and verified,
            and from NAME itself what is not there. May be repeated.
        on_limit: What to do when a pull limit is used up: stop asking that registry, or wait and go on when it gives pulls again.
        fail_fast: Begin nothing more once an image has failed.
        metrics_file: Write the figures of the run to this file as Prometheus reads them, for node_exporter's textfile collector.
        dry_run: Only say what would be done and cost; asks by HEAD alone, which no registry counts as a pull.
        deep: With --dry-run, fetch the manifests too, which counts as pulls, and say exactly what would be copied. They are kept: the
            mirror afterwards does not fetch them again.
        names: What images are called at the target.
        registries: How registries are reached.
    """
    folder = folder_of(to)
    mapping = full_names(names) if folder else names.mapping(to)
    held = _locked(lock, platform, rebuild_index=rebuild_index, form=output) if locked else None
    if held:
        platform, rebuild_index = held.portion.platforms, held.portion.rebuild_index
    check_platforms(platform)
    if rebuild_index:
        warn_of_other_digests(platform, output)
    if deep and not dry_run:
        raise UsageError("--deep is about a dry run", hint="Add --dry-run, or leave --deep out.")
    if metrics_file:
        check_metrics_file(metrics_file, dry_run=dry_run)
    begun = time.monotonic()
    remote, local = split_local(references)
    named = read_references(remote, from_scan, optional=bool(image_list or local))
    for warning in named.warnings:
        tell("warning", warning, output)
    job = _Job(
        named,
        mapping,
        registries,
        wishes=read_list(image_list) if image_list else (),
        platforms=platform,
        locked=held.digests if held else None,
        lock=lock if not locked else None,
        deep=deep,
        referrers=referrers,
        keep_tags=keep_tag,
        patience=on_limit == "wait",
        rebuild_index=rebuild_index,
        fail_fast=fail_fast,
        create=create_repositories,
        form=output,
        mirrors=_mirrors(source_mirror),
        folder=folder,
        demands=_demands(verify_key),
    )
    try:
        do = _forecast if dry_run else _run
        report = joined([do(job), *(_from_files(job, source, do) for source in local)])
    except CollisionError as error:
        complain(error)
        return NOT_STARTED
    if metrics_file:
        write_metrics(metrics_file, report, seconds=time.monotonic() - begun, at=time.time())
    if folder:
        report = in_folder(report, folder)
    print(render(report, output, report_table(report, to if folder else mapping.target)))
    return WRONG if failures(report) else DONE


class _Job(msgspec.Struct, frozen=True):
    """What was asked for: names, and wishes that need the tags of repositories; `lock` is the file to be written."""

    named: Named
    mapping: Mapping
    options: RegistryOptions
    wishes: "tuple[str | Selection, ...]"
    platforms: tuple[str, ...]
    locked: dict[str, str] | None
    lock: Path | None
    deep: bool
    referrers: bool
    keep_tags: bool
    patience: bool
    rebuild_index: bool
    fail_fast: bool
    create: bool
    form: Form
    mirrors: "dict[str, tuple[Place, ...]]"
    folder: Path | None
    demands: "tuple[Demand, ...]"
    layout: "Layout | None" = None


def _from_files(job: _Job, source: LocalSource, do: Callable[[_Job], Report]) -> Report:
    from homeport.mirror.bundle.archives import open_layout

    with open_layout([source.path]) as layout:
        named = Named(source.references(layout))
        return do(msgspec.structs.replace(job, named=named, wishes=(), locked=None, lock=None, layout=layout))


# What few jobs need is imported by those: a mirror that has nothing to do is to be done in no time.


def _locked(file: Path | None, platforms: tuple[str, ...], *, rebuild_index: bool, form: Form) -> "Lock":
    from homeport.cli.locks import read_lock

    return read_lock(file, platforms, rebuild_index=rebuild_index, form=form)


def _lock(file: Path) -> "Lock":
    from homeport.mirror.lock import Lock

    return Lock.read(file) if file.exists() else Lock()


def _portion(job: _Job) -> "Portion":
    from homeport.mirror.lock import Portion

    return Portion.of(job.platforms, rebuild_index=job.rebuild_index)


def _demands(keys: tuple[str, ...]) -> "tuple[Demand, ...]":
    if not keys:
        return ()
    from homeport.cli.signing import read_demands

    return read_demands(keys)


def _mirrors(texts: tuple[str, ...]) -> "dict[str, tuple[Place, ...]]":
    if not texts:
        return {}
    from homeport.mirror.mirrors import parse_mirrors

    return parse_mirrors(texts)


def _mirrored(job: _Job, registries: "Registries") -> "Mirrors":
    from homeport.mirror.mirrors import mirrors_of

    return mirrors_of(job.mirrors, registries.client)


def _create_repositories(job: _Job, references: Iterable[Reference], registries: "Registries") -> None:
    registry = job.mapping.target.registry
    for name in registries.create_repositories(
        registry, [job.mapping.relocate(each).repository for each in references]
    ):
        tell("repository_created", f"created repository {registry}/{name}", job.form)


def _target(job: _Job, references: Iterable[Reference], registries: "Registries") -> "Target":
    if job.folder:
        return open_folder(job.folder, job.mapping, references)
    return registries.client(job.mapping.target.registry)


def _run(job: _Job) -> Report:
    before = _lock(job.lock) if job.lock else None
    with watching(job.form) as watcher, job.options.open(watcher.waits) as registries:
        references = (*job.named.references, *choose(job.wishes, registries))
        if job.create:
            _create_repositories(job, references, registries)
        result = bring(
            references,
            job.mapping,
            job.layout.at if job.layout else registries.client,
            _target(job, references, registries),
            observer=watcher,
            platforms=job.platforms,
            locked=job.locked,
            kept=KeptManifests.of_user(),
            referrers=job.referrers,
            keep_tags=job.keep_tags,
            patience=job.patience,
            rebuild_index=job.rebuild_index,
            fail_fast=job.fail_fast,
            demands=job.demands,
            spool=Spool.of_user(),
            quotas=registries.standing,
            mirrors=_mirrored(job, registries),
        )
    if before and job.lock:
        before.after(result, _portion(job)).write(job.lock)
    return report_result(result, refused(job.named.open, job.mapping))


def _forecast(job: _Job) -> Report:
    with job.options.open() as registries:
        references = (*job.named.references, *choose(job.wishes, registries))
        plan = forecast(
            references,
            job.mapping,
            job.layout.at if job.layout else registries.client,
            _target(job, references, registries),
            platforms=job.platforms,
            locked=job.locked,
            kept=KeptManifests.of_user(),
            referrers=job.referrers,
            keep_tags=job.keep_tags,
            rebuild_index=job.rebuild_index,
            deep=job.deep,
            demands=job.demands,
        )
        quotas = expect_all(plan, registries.standing, job.platforms)
    return report_plan(plan, refused(job.named.open, job.mapping), quotas)
