"""Do the whole job of one homeport.yaml; doing it again does nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from homeport.cluster.pull_secrets import check_for_kubelet, make_pull_secret
from homeport.discovery.inputs import Source
from homeport.mapping import Target
from homeport.mirror.executor import mirror
from homeport.mirror.kept import KeptManifests
from homeport.mirror.lock import Lock, Portion
from homeport.mirror.mirrors import Mirrors, mirrors_of
from homeport.mirror.observer import Observer
from homeport.mirror.result import MirrorResult
from homeport.mirror.spool import Spool
from homeport.registry.session import Registries
from homeport.relocation.write import write_whole
from homeport.workflow.config import Config
from homeport.workflow.job import Job, holds, locked_digests, rewritten_pulls
from homeport.workflow.verify import Origin, Verification, verify

CREDENTIALS_FILE = "pull-secret.yaml"


class Applied(msgspec.Struct, frozen=True):
    """What was done. `verification` is None where an image failed: nothing is pointed at what is not there."""

    mirror: MirrorResult
    written: tuple[Path, ...] = ()
    verification: Verification | None = None
    errors: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether all was done and proved."""
        return self.verification is not None and not self.verification.wrong and not self.errors


def apply_job(
    job: Job,
    registries: Registries,
    observer: Observer | None = None,
    *,
    locked: bool = False,
    kept: KeptManifests | None = None,
    spool: Spool | None = None,
) -> Applied:
    """Bring the images, then write lock, manifests and pull secret, then prove it.

    With `locked` a tag that is not what the lock says is refused, and a source is asked only for what the target lacks.
    `kept` has the manifests that earlier runs fetched, `spool` what transfers that broke have left.
    """
    secret = _secret_text(job, registries)
    target = registries.client(job.mapping.target.registry)
    result = mirror(
        job.references,
        job.mapping,
        registries.client,
        target,
        observer=observer,
        platforms=job.config.platforms,
        locked=locked_digests(job.config) if locked else None,
        kept=kept,
        referrers=True,
        keep_tags=True,
        mirrors=_mirrors(job.config, registries),
        spool=spool,
        quotas=registries.standing,
    )
    lock = _lock(job, result)
    written = _write({job.config.lock_file: lock.encode()})
    if result.failed:
        return Applied(result, written)
    written += _write({path: file.content for path, file in job.files.items()})
    if secret:
        # The folder may be under version control, and this one file holds a password.
        folder = job.config.output_folder
        written += _write(
            {folder / CREDENTIALS_FILE: secret.encode(), folder / ".gitignore": f"{CREDENTIALS_FILE}\n".encode()}
        )
    return Applied(result, written, prove_job(job, registries, lock, secret))


def _mirrors(config: Config, registries: Registries) -> Mirrors:
    places = {name: tuple(map(Target.parse, entry.mirrors)) for name, entry in config.registries.items()}
    return mirrors_of(places, registries.client)


def prove_job(job: Job, registries: Registries, lock: Lock, secret: str) -> Verification:
    """Verify the manifests as they were written, with the pull secret alone."""
    pulls = rewritten_pulls(job, [Source(CREDENTIALS_FILE, secret)] if secret else [])
    return verify(pulls, job.mapping, registries, Origin.of(job.mapping, lock))


def _lock(job: Job, result: MirrorResult) -> Lock:
    file = job.config.lock_file
    return (Lock.read(file) if file.exists() else Lock()).after(result, Portion.of(job.config.platforms))


def pull_secrets_of(job: Job, registries: Registries, namespaces: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the manifests of the pull secret, one for each namespace, by default those of the configuration.

    Raises UsageError where no credentials for it are stored.
    """
    wanted, target = job.config.pull_secret, job.mapping.target
    if wanted is None:
        return []
    credential = check_for_kubelet(registries.credential(target.registry, target.path), target)
    return [
        make_pull_secret(wanted.name, namespace, target, credential) for namespace in namespaces or wanted.namespaces
    ]


def _secret_text(job: Job, registries: Registries) -> str:
    text: str = yaml.dump_all(pull_secrets_of(job, registries), Dumper=yaml.CSafeDumper, sort_keys=False)
    return text


def _write(contents: dict[Path, bytes]) -> tuple[Path, ...]:
    """Write the files that are not yet as they should be, each in one piece."""
    changed = tuple(path for path, content in contents.items() if not holds(path, content))
    for path in changed:
        write_whole(path, contents[path], mode=0o600 if path.name == CREDENTIALS_FILE else None)
    return changed
