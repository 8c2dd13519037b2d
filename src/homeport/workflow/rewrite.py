"""Point many manifests at a target at once: one release, one set of names, no two sources on one target."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from homeport.applications.application import Versions
from homeport.applications.registry import KNOWLEDGE, learn_all
from homeport.discovery.findings import Finding
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.scan import scan_source
from homeport.discovery.secret_fields import teach
from homeport.errors import CollisionError, HomeportError, UsageError
from homeport.mapping import Mapping
from homeport.reference import DOCKER_HUB
from homeport.relocation.kustomized import NOT_ASKED, Kustomizations, real_path
from homeport.relocation.relocate import Relocated, relocate
from homeport.relocation.sweep import Left, sweep


class Rewritten(msgspec.Struct, frozen=True):
    """A manifest and its proved result; `left` is what a second, independent look at its text found besides."""

    source: Source
    result: Relocated
    left: tuple[Left, ...] = ()

    @property
    def content(self) -> bytes:
        """The result as bytes."""
        return self.source.encode(self.result.text)


class Rewriting(msgspec.Struct, frozen=True):
    """What became of many manifests; `operators` are the tags of the operator that they may belong to."""

    files: tuple[Rewritten, ...]
    failures: tuple[HomeportError, ...]
    operators: tuple[str, ...]


def learner(versions: Versions) -> Callable[[Iterable[Finding]], Knowledge]:
    """Return what makes the rules from a first look at the manifests."""

    def learn(findings: Iterable[Finding]) -> Knowledge:
        return learn_all(findings, versions).knowledge

    return learn


def rewrite(
    sources: Sequence[Source],
    mapping: Mapping,
    *,
    versions: Versions,
    default_registry: str = DOCKER_HUB,
    pull_secret: str | None = None,
    taught: Knowledge | None = None,
) -> Rewriting:
    """Rewrite manifests; one that cannot be read or proved is an error beside the others.

    `taught` are rules beside those of applications; without them the schemas among the manifests teach.

    Raises CollisionError where two images of different manifests would get one name.
    """
    taught = teach(sources) if taught is None else taught
    first = KNOWLEDGE + taught
    findings = [it for source in sources for it in scan_source(source, first, default_registry).findings]
    learned = learn_all(findings, versions)
    knowledge = learned.knowledge + taught
    kustomizations = Kustomizations(sources, mapping, default_registry)
    asked = kustomizations.asked(lambda source: scan_source(source, knowledge, default_registry).findings)
    done: list[Rewritten] = []
    failures: list[HomeportError] = []
    for source in sources:
        try:
            result = relocate(
                source,
                mapping,
                knowledge=knowledge,
                default_registry=default_registry,
                pull_secret=pull_secret,
                asked=asked.get(real_path(source), NOT_ASKED),
            )
        except CollisionError:
            raise
        except HomeportError as error:
            failures.append(error)
        else:
            done.append(Rewritten(source, result))
    references = sorted({it for one in done for it in one.result.references}, key=str)
    mapping.relocate_all(references)
    texts = {real_path(it.source): msgspec.structs.replace(it.source, text=it.result.text) for it in done}
    unproven = kustomizations.unproven(texts)
    failures += unproven.values()
    swept = kustomizations.swept(texts)
    return Rewriting(
        tuple(
            msgspec.structs.replace(
                one,
                left=tuple(
                    sweep(one.source.name, swept.get(real_path(one.source), one.result.text), mapping, references)
                ),
            )
            for one in done
            if real_path(one.source) not in unproven
        ),
        tuple(failures),
        learned.operators,
    )


def place_in(folder: Path, files: Sequence[Rewritten]) -> dict[Path, Rewritten]:
    """Say where each manifest goes in a folder, under its name; raises UsageError where two have the same."""
    placed: dict[Path, Rewritten] = {}
    for file in files:
        path = folder / file.source.relative
        if path in placed:
            raise UsageError(
                f"{placed[path].source.name} and {file.source.name} would both be written to {path}",
                hint="Name the folder that holds them both, or relocate them in runs of their own.",
            )
        placed[path] = file
    return placed
