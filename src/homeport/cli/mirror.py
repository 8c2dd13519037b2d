"""`homeport mirror`: bring images to a registry."""

import time
from collections.abc import Callable, Iterable
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Parameter

from homeport.cli.app import DONE, NOT_STARTED, WRONG, complain
from homeport.cli.image_list import choose, read_list
from homeport.cli.local_sources import LocalSource, split_local
from homeport.cli.local_targets import LocalTarget, full_names, local_target
from homeport.cli.mapping_options import MappingOptions
from homeport.cli.metrics_file import write_metrics
from homeport.cli.mirror_options import ImageOptions, RunOptions
from homeport.cli.mirror_report import Report, failures, joined, refused, report_plan, report_result, report_table
from homeport.cli.output import Form, render
from homeport.cli.platforms import check_platforms, warn_of_other_digests
from homeport.cli.progress import tell, watching
from homeport.cli.references import Named, read_references
from homeport.cli.registry_options import RegistryOptions
from homeport.errors import CollisionError
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
    output: Annotated[Form, Parameter(name=["--output", "-o"])] = "table",
    what: ImageOptions = ImageOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    how: RunOptions = RunOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    names: MappingOptions = MappingOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
    registries: RegistryOptions = RegistryOptions(),  # noqa: B008  # frozen; cyclopts reads options from the default
) -> int:
    """Bring images to a registry under the same tags and digests; what is there already costs no pull.

    Args:
        references: Images, as in nginx:1.27 or quay.io/org/app@sha256:...; - reads them from stdin, one a line. oci:FOLDER,
            oci-archive:FILE and docker-archive:FILE, each with :NAME or for all in it, are images in files.
        to: The target, REGISTRY[/PATH]; the source's registry is dropped from names, the path is kept. Or oci:FOLDER, an OCI layout, in
            which images have their full names; oci-archive:FILE, the same in one file; docker-archive:FILE, which docker load reads.
        output: How the report is written to stdout: table, json or yaml. With json, what happens meanwhile is written to stderr as one JSON
            object a line, unless that is a terminal.
        what: Which images, and what of them.
        how: How the run goes.
        names: What images are called at the target.
        registries: How registries are reached.
    """
    files = local_target(to)
    mapping = full_names(names) if files else names.mapping(to)
    held = _locked(what, output) if what.locked else None
    if held:
        what = replace(what, platform=held.portion.platforms, rebuild_index=held.portion.rebuild_index)
    check_platforms(what.platform)
    if what.rebuild_index:
        warn_of_other_digests(what.platform, output)
    how.check()
    remote, local = split_local(references)
    named = read_references(remote, what.from_scan, optional=bool(what.image_list or local))
    for warning in named.warnings:
        tell("warning", warning, output)
    job = _Job(
        named,
        mapping,
        registries,
        what,
        how,
        output,
        wishes=read_list(what.image_list) if what.image_list else (),
        locked=held.digests if held else None,
        mirrors=_mirrors(how.source_mirror),
        demands=_demands(what.verify_key),
        files=files,
    )
    begun = time.monotonic()
    try:
        with closing(files) if files else nullcontext():
            report = _do(job, local)
    except CollisionError as error:
        complain(error)
        return NOT_STARTED
    if how.metrics_file:
        write_metrics(how.metrics_file, report, seconds=time.monotonic() - begun, at=time.time())
    if files:
        report = files.shown(report)
    print(render(report, output, report_table(report, to if files else mapping.target)))
    return WRONG if failures(report) else DONE


class _Job(msgspec.Struct, frozen=True):
    """What was asked for: names, and wishes that need the tags of repositories."""

    named: Named
    mapping: Mapping
    options: RegistryOptions
    what: ImageOptions
    how: RunOptions
    form: Form
    wishes: "tuple[str | Selection, ...]"
    locked: dict[str, str] | None
    mirrors: "dict[str, tuple[Place, ...]]"
    demands: "tuple[Demand, ...]"
    files: LocalTarget | None
    layout: "Layout | None" = None

    @property
    def lock(self) -> Path | None:
        """The lock that is to be written: of what registries have."""
        return None if self.what.locked or self.layout else self.what.lock

    @property
    def referrers(self) -> bool:
        return self.what.referrers and not (self.files and self.files.is_docker)


def _do(job: _Job, local: Iterable[LocalSource]) -> Report:
    do = _forecast if job.how.dry_run else _run
    report = joined([do(job), *(_from_files(job, source, do) for source in local)])
    if job.files and not job.how.dry_run:
        job.files.finish(report, job.form)
    return report


def _from_files(job: _Job, source: LocalSource, do: Callable[[_Job], Report]) -> Report:
    from homeport.mirror.bundle.archives import open_layout

    with open_layout([source.path]) as layout:
        named = Named(source.references(layout))
        return do(msgspec.structs.replace(job, named=named, wishes=(), locked=None, layout=layout))


# What few jobs need is imported by those: a mirror that has nothing to do is to be done in no time.


def _locked(what: ImageOptions, form: Form) -> "Lock":
    from homeport.cli.locks import read_lock

    return read_lock(what.lock, what.platform, rebuild_index=what.rebuild_index, form=form)


def _lock(file: Path) -> "Lock":
    from homeport.mirror.lock import Lock

    return Lock.read(file) if file.exists() else Lock()


def _portion(job: _Job) -> "Portion":
    from homeport.mirror.lock import Portion

    return Portion.of(job.what.platform, rebuild_index=job.what.rebuild_index)


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
    if job.files:
        return job.files.open(job.mapping, references)
    return registries.client(job.mapping.target.registry)


def _run(job: _Job) -> Report:
    before = _lock(job.lock) if job.lock else None
    with watching(job.form) as watcher, job.options.open(watcher.waits) as registries:
        references = (*job.named.references, *choose(job.wishes, registries))
        if job.how.create_repositories:
            _create_repositories(job, references, registries)
        result = bring(
            references,
            job.mapping,
            job.layout.at if job.layout else registries.client,
            _target(job, references, registries),
            observer=watcher,
            platforms=job.what.platform,
            locked=job.locked,
            kept=KeptManifests.of_user(),
            referrers=job.referrers,
            keep_tags=job.what.keep_tag,
            patience=job.how.on_limit == "wait",
            rebuild_index=job.what.rebuild_index,
            one_platform=bool(job.files and job.files.is_docker),
            fail_fast=job.how.fail_fast,
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
            platforms=job.what.platform,
            locked=job.locked,
            kept=KeptManifests.of_user(),
            referrers=job.referrers,
            keep_tags=job.what.keep_tag,
            rebuild_index=job.what.rebuild_index,
            deep=job.how.deep,
            demands=job.demands,
        )
        quotas = expect_all(plan, registries.standing, job.what.platform)
    return report_plan(plan, refused(job.named.open, job.mapping), quotas)
