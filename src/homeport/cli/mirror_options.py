"""Options of `homeport mirror`: which images and what of them, and how the run goes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from homeport.cli.metrics_file import check_metrics_file
from homeport.errors import UsageError


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Options that say which images, and what of them.

    Attributes:
        from_scan: Take the images of a report of `homeport scan -o json`; - reads it from stdin.
        image_list: Take the images of this list, which can choose the tags of a repository by pattern, by version, or the latest few.
        platform: Bring only this platform, os/architecture, of images that have several; may be repeated. Index and digest stay as they
            are, so the target must take an index that lacks platforms; Docker Registry and Harbor may not.
        rebuild_index: With --platform, make indexes anew that name these platforms alone. Their digests change: what names an image by
            its digest will not find it, and signatures of the whole image do not fit.
        lock: Write the digest that each tag had to this file.
        locked: Read the file of --lock, or homeport.lock, instead: refuse tags that have moved since, and ask the source for nothing
            that the target has. The platforms are those that it was made with.
        referrers: Bring along what is about an image: signatures, SBOMs, attestations.
        keep_tag: Give images that are known by digest alone a tag at the target, keep-..., so that no clean-up removes them.
        verify_key: Bring only images that cosign has signed with this key, the file of a public one in PEM; PATTERN=KEY demands it of
            repositories that match, as in 'docker.io/redislabs/*=redis.pub'. May be repeated: one of the keys that match must have signed.
    """

    from_scan: Annotated[Path | None, Parameter(allow_leading_hyphen=True)] = None
    image_list: Annotated[Path | None, Parameter(name="--list")] = None
    platform: Annotated[tuple[str, ...], Parameter(negative="")] = ()
    rebuild_index: Annotated[bool, Parameter(negative="", show_default=False)] = False
    lock: Path | None = None
    locked: Annotated[bool, Parameter(negative="", show_default=False)] = False
    referrers: bool = True
    keep_tag: bool = True
    verify_key: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options that say how the run goes.

    Attributes:
        create_repositories: Create the repositories that are missing at an Amazon ECR, which takes no push to others. Other registries
            make them by themselves.
        source_mirror: NAME=REGISTRY[/PATH], as in docker.io=mirror.gcr.io: take content of the registry NAME from there, by digest and
            verified, and from NAME itself what is not there. May be repeated.
        on_limit: What to do when a pull limit is used up: stop asking that registry, or wait and go on when it gives pulls again.
        fail_fast: Begin nothing more once an image has failed.
        metrics_file: Write the figures of the run to this file as Prometheus reads them, for node_exporter's textfile collector.
        dry_run: Only say what would be done and cost; asks by HEAD alone, which no registry counts as a pull.
        deep: With --dry-run, fetch the manifests too, which counts as pulls, and say exactly what would be copied. They are kept: the
            mirror afterwards does not fetch them again.
    """

    create_repositories: Annotated[bool, Parameter(negative="", show_default=False)] = False
    source_mirror: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = ()
    on_limit: Literal["stop", "wait"] = "stop"
    fail_fast: Annotated[bool, Parameter(negative="", show_default=False)] = False
    metrics_file: Path | None = None
    dry_run: Annotated[bool, Parameter(negative="", show_default=False)] = False
    deep: Annotated[bool, Parameter(negative="", show_default=False)] = False

    def check(self) -> None:
        """Raise UsageError where options do not go together."""
        if self.deep and not self.dry_run:
            raise UsageError("--deep is about a dry run", hint="Add --dry-run, or leave --deep out.")
        if self.metrics_file:
            check_metrics_file(self.metrics_file, dry_run=self.dry_run)
