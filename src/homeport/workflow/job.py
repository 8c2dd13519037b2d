"""The whole job of one homeport.yaml: what it reads, what it would do. Changes nothing."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from homeport.applications.application import Versions
from homeport.applications.redis_enterprise import at_red_hat, images_of
from homeport.cluster.cost import Cost, Holdings, Start, cost_of
from homeport.discovery.findings import Unresolved
from homeport.discovery.inputs import MAX_SIZE, Source, read_inputs
from homeport.errors import InputError, UsageError
from homeport.mapping import Mapping
from homeport.mirror.executor import forecast
from homeport.mirror.expected import Expected, expect_all
from homeport.mirror.kept import KeptManifests
from homeport.mirror.lock import Lock, Portion
from homeport.mirror.plan import Plan
from homeport.reference import Reference
from homeport.registry.session import Registries
from homeport.relocation.sweep import Left
from homeport.workflow.config import Config, mapping_of
from homeport.workflow.packages import build
from homeport.workflow.pulls import Pulls, read_pulls
from homeport.workflow.rewrite import Rewritten, learner, place_in, rewrite


class Job(msgspec.Struct, frozen=True):
    """What a homeport.yaml asks for: the images to bring, and the manifests as they will be written, by path.

    `open` are repositories whose tag comes from elsewhere; `unresolved` are places that still need a person; `errors` the inputs
    that could not be read or proved.
    """

    config: Config
    mapping: Mapping
    references: tuple[Reference, ...]
    files: dict[Path, Rewritten]
    open: tuple[Reference, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()
    errors: tuple[str, ...] = ()

    @property
    def left(self) -> tuple[Left, ...]:
        """Words of the rewritten manifests that a second, independent look found not to name the target."""
        return tuple(word for file in self.files.values() for word in file.left)

    @property
    def is_clear(self) -> bool:
        """Whether no place needs a person any more."""
        return not (self.unresolved or self.left or self.errors)

    @property
    def changed_files(self) -> tuple[Path, ...]:
        """The manifests that are not yet as they will be."""
        return tuple(path for path, file in self.files.items() if not holds(path, file.content))


class JobPlan(msgspec.Struct, frozen=True):
    """What would be done: the mirror's plan, what it counts at sources that limit pulls, and what each node pulls that holds nothing yet."""

    job: Job
    mirror: Plan
    quotas: tuple[Expected, ...] = ()
    node: tuple[Cost, ...] = ()


def read_job(config: Config) -> Job:
    """Read the manifests that a configuration names, and rewrite them in memory; raises UsageError, CollisionError."""
    mapping = mapping_of(config)
    names = [str(config.folder / name) for name in config.sources]
    sources, unread = read_inputs(names, stdin=io.BytesIO())
    if not sources:
        raise UsageError("; ".join(map(str, unread)), hint=f"`sources` in {config.file} names what to read.")
    versions = versions_of(config)
    rewriting = rewrite(
        sources,
        mapping,
        versions=versions,
        default_registry=config.default_registry,
        pull_secret=config.pull_secret.name if config.pull_secret else None,
    )
    # What is not read of kustomizations is said by the rewriting.
    texts = [it for it in build(sources, MAX_SIZE) if isinstance(it, Source)]
    pulls = read_pulls(texts, learner(versions, mapping.target.registry), default_registry=config.default_registry)
    named = dict.fromkeys((*_named(pulls), *_released(config, rewriting.files)))
    references = tuple(reference for reference in named if not mapping.holds(reference))
    mapping.relocate_all(references)
    return Job(
        config,
        mapping,
        references,
        place_in(config.output_folder, rewriting.files),
        tuple(dict.fromkeys(pull.reference for pull in pulls.pulls if pull.open)),
        tuple(place for file in rewriting.files for place in file.result.unresolved),
        tuple(map(str, (*unread, *rewriting.failures))),
    )


def plan_job(
    job: Job, registries: Registries, *, locked: bool = False, kept: KeptManifests | None = None, deep: bool = False
) -> JobPlan:
    """Ask both sides by HEADs, which no registry counts, what would be done; with `locked` as `apply_job` has it.

    `kept` has the manifests that earlier runs fetched. With `deep` the others are fetched into it, which counts, so that
    `apply_job` does not fetch them again.
    """
    target = registries.client(job.mapping.target.registry)
    planned = forecast(
        job.references,
        job.mapping,
        registries.client,
        target,
        platforms=job.config.platforms,
        locked=locked_digests(job.config) if locked else None,
        kept=kept,
        deep=deep,
        referrers=True,
        keep_tags=True,
    )
    quotas = expect_all(planned, registries.standing, job.config.platforms)
    return JobPlan(job, planned, tuple(quotas), cost_of_node(job))


def rewritten_pulls(job: Job, secrets: Sequence[Source] = ()) -> Pulls:
    """Return what the manifests pull as they will be written; `secrets` are texts of Secrets beside them."""
    sources = [msgspec.structs.replace(file.source, text=file.result.text) for file in job.files.values()]
    learn = learner(versions_of(job.config), job.mapping.target.registry)
    return read_pulls(sources, learn, secrets=secrets, default_registry=job.config.default_registry)


def cost_of_node(job: Job) -> tuple[Cost, ...]:
    """Return what one node pulls at most when the manifests as they will be written start there, by registry."""
    images = dict.fromkeys(pull.reference.pinned for pull in rewritten_pulls(job).pulls if not pull.open)
    return cost_of((Start(image, node="each") for image in images), Holdings())


def locked_digests(config: Config) -> dict[str, str]:
    """Return the digests that a job is to keep to; raises UsageError where there is no lock that can be read, or one of other platforms."""
    try:
        lock = Lock.read(config.lock_file)
    except InputError as error:
        raise UsageError(error.message, hint=error.hint or "Run `homeport apply` once without --locked.") from None
    hint = f"Set `platforms` of {config.file} to those again, or run `homeport apply` once without --locked."
    lock.check(Portion.of(config.platforms), config.lock_file, hint)
    return lock.digests


def versions_of(config: Config) -> Versions:
    """Return what a configuration says of the release."""
    redis = config.redis_enterprise
    return Versions(redis.operator, redis.redis) if redis else Versions()


def holds(path: Path, content: bytes) -> bool:
    """Tell whether a file has this content already."""
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _named(pulls: Pulls) -> list[Reference]:
    return [pull.reference.pinned for pull in pulls.pulls if not pull.open]


def _released(config: Config, files: Iterable[Rewritten]) -> list[Reference]:
    """Return the images of the release that the configuration names: they are brought even where no manifest names them yet."""
    redis = config.redis_enterprise
    openshift = at_red_hat(reference for file in files for reference in file.result.references)
    return images_of(redis.operator, redis.redis, openshift=openshift) if redis else []
