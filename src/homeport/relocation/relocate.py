"""Point a manifest at a registry: plan the edits, splice them in, and prove the result by scanning it again."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from homeport.discovery.documents import Document, parse_documents
from homeport.discovery.findings import Finding, ObjectKey, Unresolved
from homeport.discovery.inputs import Source
from homeport.discovery.knowledge import Knowledge, SecretForm
from homeport.discovery.naming import Named, read_whole
from homeport.discovery.packaging.kustomization import KUSTOMIZATION_FILES, image_rules
from homeport.discovery.scan import repeated_keys
from homeport.discovery.tree import dig, line_of, text_of
from homeport.discovery.walk import ImpliedPlace, SecretPlace, Walk, walk
from homeport.errors import InputError, UnprovenError
from homeport.mapping import Mapping
from homeport.reference import DOCKER_HUB, Reference
from homeport.relocation.edits import Edits
from homeport.relocation.insertion import Additions
from homeport.relocation.splice import Splice, splice

_Place = tuple[str, str, str, bool]
_FORMS: Final[dict[SecretForm, str]] = {
    "objects": "list of {name: SECRET}",
    "names": "list of names",
    "object": "{name: SECRET}",
    "name": "name",
}


class Edit(msgspec.Struct, frozen=True):
    """A scalar that was rewritten, from `old` to `new`."""

    source: str
    line: int
    object: ObjectKey
    path: str
    old: str
    new: str


class Insertion(msgspec.Struct, frozen=True):
    """An entry that was added: what it says, and the line of the original that it stands in or after."""

    source: str
    line: int
    object: ObjectKey
    path: str
    text: str


class Relocated(msgspec.Struct, frozen=True):
    """A proved result. `unresolved` are places that still need a person.

    `references` are the sources of all images that the result names, those of added fields included: what a mirror has to bring.
    """

    text: str
    references: tuple[Reference, ...] = ()
    edits: tuple[Edit, ...] = ()
    insertions: tuple[Insertion, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()


def relocate(
    source: Source,
    mapping: Mapping,
    *,
    knowledge: Knowledge,
    default_registry: str = DOCKER_HUB,
    pull_secret: str | None = None,
) -> Relocated:
    """Rewrite every image name of a text to the target's; raises InputError, CollisionError, UnprovenError.

    Nothing but the names changes: a split name's repository, a whole name's scalar; tags and digests stay. Where `pull_secret` is
    given it is added to what pulls: pod specifications, service accounts, and custom resources that have a field for it.
    """
    planned = [
        _Plan(
            source,
            document,
            walk(document.root, source.name, knowledge, default_registry, source.text),
            mapping,
            pull_secret,
        )
        for document in parse_documents(source)
    ]
    references = tuple(sorted({it for plan in planned for it in plan.references}, key=str))
    mapping.relocate_all(references)
    splices = [change for plan in planned for change in plan.splices()]
    text = splice(source.text, splices)
    if splices:
        _prove(msgspec.structs.replace(source, text=text), planned, knowledge, default_registry)
    return Relocated(
        text,
        references,
        tuple(edit for plan in planned for edit in plan.edits),
        tuple(insertion for plan in planned for insertion in plan.insertions),
        tuple(place for plan in planned for place in plan.unresolved),
    )


def _prove(result: Source, planned: Sequence["_Plan"], knowledge: Knowledge, default_registry: str) -> None:
    """Scan the result and compare: one-to-one the names that were planned, and none from elsewhere."""
    try:
        documents = parse_documents(result)
    except InputError as error:
        raise UnprovenError(f"the rewritten text could not be read again, so it is not written: {error}") from error
    if len(documents) != len(planned):
        raise UnprovenError(
            f"{result.name}: the rewritten text has {len(documents)} documents instead of {len(planned)}"
        )
    for plan, document in zip(planned, documents, strict=True):
        plan.check(document, walk(document.root, result.name, knowledge, default_registry, result.text))


def _transformers(source: Source, document: Document, mapping: Mapping) -> Iterator[Unresolved]:
    """Yield a kustomization's image entries: they match names as they are written, and would not match the new ones."""
    root = document.root
    kind = text_of(dig(root, ("kind",)))
    if kind not in {"Kustomization", "Component"} and (kind or Path(source.name).name not in KUSTOMIZATION_FILES):
        return
    reason = "kustomize matches images by their names as written, which change; use --kustomize with the output of kustomize build"
    for index, rule in enumerate(image_rules(root)):
        named = read_whole(rule.new_name or rule.name, DOCKER_HUB)
        if isinstance(named, Named) and not mapping.holds(named.reference):
            line = line_of(dig(root, ("images", index)))
            yield Unresolved(source.name, line, ObjectKey(kind=kind), f"images[{index}]", named.text, reason)


class _Plan:
    """The changes of one document, and what a scan of the result must show."""

    def __init__(
        self, source: Source, document: Document, noted: Walk, mapping: Mapping, pull_secret: str | None
    ) -> None:
        self.source, self.document, self.mapping, self.secret = source, document, mapping, pull_secret
        self.edits: list[Edit] = []
        self.insertions: list[Insertion] = []
        self.unresolved = [*noted.unresolved, *repeated_keys(document, source.name)]
        self.expected: list[_Place] = []
        self.references: list[Reference] = []
        self.still_implied: list[str] = []
        self.unsecured: list[str] = []
        self._edits = Edits(source.text, document)
        self._additions = Additions(source.text, document.root)
        for finding, scalar in zip(noted.findings, noted.scalars, strict=True):
            self._rewrite(finding, scalar)
        for implied in noted.implied:
            self._name(implied)
        self._left = len(self.unresolved)
        self.unresolved += _transformers(source, document, mapping)
        for secrets in noted.secrets:
            self._secure(secrets)

    def splices(self) -> Iterator[Splice]:
        """Yield the changes of the text."""
        yield from self._edits.splices()
        yield from self._additions.splices()

    def check(self, document: Document, noted: Walk) -> None:
        """Compare a scan of the result with what was planned; raises UnprovenError."""
        planned = Counter(self.expected)
        found = Counter((str(it.object), it.path, str(it.reference), it.open) for it in noted.findings)
        for place in (planned - found) + (found - planned):
            raise self._unproven(f"{place[0]} {place[1]} {place[2]} is not named as planned")
        for finding in noted.findings:
            if self.mapping.relocate(finding.reference) != finding.reference:
                raise self._unproven(f"{finding.object} {finding.path} would still pull {finding.reference}")
        left = len(noted.unresolved) + len(document.repeated) + len(noted.implied)
        if left != self._left or [place.where for place in noted.implied] != self.still_implied:
            raise self._unproven("other places are unresolved than before")
        for secrets in noted.secrets:
            if self.secret and self.secret not in secrets.names and secrets.where not in self.unsecured:
                raise self._unproven(f"{secrets.object} {secrets.where} lacks the pull secret")

    def _rewrite(self, finding: Finding, scalar: object) -> None:
        target = self.mapping.relocate(finding.reference)
        self.references.append(finding.reference)
        self.expected.append((str(finding.object), finding.path, str(target), finding.open))
        renamed = self._edits.add(finding, scalar, target)
        if target != finding.reference:
            old, new = ("/".join(it) for it in zip(*((part.value, value) for part, value in renamed), strict=True))
            self.edits.append(Edit(finding.source, finding.line, finding.object, finding.path, old, new))

    def _unproven(self, reason: str) -> UnprovenError:
        hint = "Nothing was written. Please report this manifest; it is a fault of Homeport."
        return UnprovenError(f"{self.source.name}: the result could not be proved: {reason}", hint=hint)

    def _name(self, place: ImpliedPlace) -> None:
        """Add the image that an object pulls without naming it, where it is known which."""
        implied, field = place.implied, place.implied.field
        if implied.reference is not None:
            target = self.mapping.relocate(implied.reference)
            spec = {field.repository: target.name}
            if target.tag and not text_of(dig(place.root, (*field.path, field.tag))):
                spec[field.tag] = target.tag
            if (node := self._additions.add(place.root, field.path, spec)) is not None:
                self.references.append(implied.reference)
                self.expected.append((str(place.object), place.where, str(target), False))
                self._insert(node, place.object, place.where, str(target))
                return
        self.still_implied.append(place.where)
        self._leave(place, implied.reason)

    def _secure(self, place: SecretPlace) -> None:
        if self.secret is None or self.secret in place.names:
            return
        single = place.form in {"object", "name"}
        if single and place.names:
            self.unsecured.append(place.where)
            self._leave(place, f"it takes one pull secret, and {place.names[0]} is there; {self.secret} was not added")
            return
        entry = self.secret if place.form in {"names", "name"} else {"name": self.secret}
        node = self._additions.add(place.root, place.path, entry if single else [entry])
        if node is not None:
            self._insert(node, place.object, place.where, self.secret)
            return
        self.unsecured.append(place.where)
        self._leave(place, f"this is no {_FORMS[place.form]}, so the pull secret was not added")

    def _leave(self, place: ImpliedPlace | SecretPlace, reason: str) -> None:
        line = line_of(place.root)
        self.unresolved.append(Unresolved(self.source.name, line, place.object, place.where, "", reason))

    def _insert(self, node: object, key: ObjectKey, path: str, text: str) -> None:
        self.insertions.append(Insertion(self.source.name, line_of(node), key, path, text))
