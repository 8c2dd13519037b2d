"""Point many manifests at a target at once: one release, one set of names, no two sources on one target."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from homeport.applications.application import Versions
from homeport.applications.registry import KNOWLEDGE, learn_all
from homeport.discovery.findings import Finding
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.mirror_sets import mirror_rules
from homeport.discovery.scan import scan_source
from homeport.discovery.secret_fields import teach
from homeport.errors import CollisionError, HomeportError, UsageError
from homeport.mapping import Mapping
from homeport.reference import DOCKER_HUB, Reference
from homeport.relocation.kustomized import NOT_ASKED, Asked, Kustomizations, real_path
from homeport.relocation.relocate import Relocated, relocate
from homeport.relocation.secret_data import left_in_secrets, relocate_secrets
from homeport.relocation.splice import Splice, splice
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


def learner(versions: Versions, registry: str) -> Callable[[Iterable[Finding]], Knowledge]:
    """Return what makes the rules from a first look at the manifests, for a person with a registry."""

    def learn(findings: Iterable[Finding]) -> Knowledge:
        return learn_all(findings, versions).knowledge + Knowledge(own=registry)

    return learn


def rewrite(
    sources: Sequence[Source],
    mapping: Mapping,
    *,
    versions: Versions,
    default_registry: str = DOCKER_HUB,
    pull_secret: str | None = None,
    taught: Knowledge | None = None,
    decode_secrets: bool = False,
) -> Rewriting:
    """Rewrite manifests; one that cannot be read or proved is an error beside the others.

    `taught` are rules beside those of applications; without them the schemas among the manifests teach. `decode_secrets` rewrites the
    base64 `data` of Secrets, too.

    Raises CollisionError where two images of different manifests would get one name.
    """
    taught = (teach(sources) if taught is None else taught) + Knowledge(own=mapping.target.registry)
    first = KNOWLEDGE + taught
    findings = [it for source in sources for it in scan_source(source, first, default_registry).findings]
    learned = learn_all(findings, versions)
    knowledge = learned.knowledge + taught
    run = _Run(mapping, knowledge, default_registry, pull_secret, decode_secrets)
    kustomizations = Kustomizations(sources, mapping, default_registry)
    asked = kustomizations.asked(lambda source: scan_source(source, knowledge, default_registry).findings)
    done: list[Rewritten] = []
    failures: list[HomeportError] = []
    for source in sources:
        try:
            done.append(run.one(source, asked.get(real_path(source), NOT_ASKED)))
        except CollisionError:
            raise
        except HomeportError as error:
            failures.append(error)
    references = sorted({it for one in done for it in one.result.references}, key=str)
    mapping.relocate_all(references)
    texts = {real_path(it.source): msgspec.structs.replace(it.source, text=it.result.text) for it in done}
    unproven = kustomizations.unproven(texts)
    swept = kustomizations.swept(texts)
    files = (
        run.swept(one, swept.get(real_path(one.source), one.result.text), references)
        for one in done
        if real_path(one.source) not in unproven
    )
    return Rewriting(tuple(files), (*failures, *unproven.values()), learned.operators)


class _Run(msgspec.Struct, frozen=True):
    """What all manifests of a run are rewritten by."""

    mapping: Mapping
    knowledge: Knowledge
    default_registry: str
    pull_secret: str | None
    decode_secrets: bool

    def one(self, source: Source, asked: Asked) -> Rewritten:
        """Rewrite one manifest; raises HomeportError."""
        result = relocate(
            source,
            self.mapping,
            knowledge=self.knowledge,
            default_registry=self.default_registry,
            pull_secret=self.pull_secret,
            asked=asked,
        )
        return Rewritten(source, relocate_secrets(source, result, self._inside) if self.decode_secrets else result)

    def swept(self, one: Rewritten, text: str, references: Sequence[Reference]) -> Rewritten:
        """Look at the result by other eyes; `text` is what it comes to where kustomize builds upon it."""
        shown = msgspec.structs.replace(one.source, text=text)
        # The source that a mirror set names is where nothing is pulled from any more.
        sources = (Splice(*it.place, " " * (it.place[1] - it.place[0])) for it in mirror_rules(shown) if it.mirrors)
        left = sweep(one.source.name, splice(text, sources), self.mapping, references)
        if self.decode_secrets:
            result = msgspec.structs.replace(one.source, text=one.result.text)
            left += left_in_secrets(result, lambda inside: sweep("", inside, self.mapping, references))
        return msgspec.structs.replace(one, left=tuple(left))

    def _inside(self, source: Source) -> Relocated:
        return relocate(source, self.mapping, knowledge=self.knowledge, default_registry=self.default_registry)


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
