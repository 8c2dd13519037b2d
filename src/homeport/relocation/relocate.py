"""Point a manifest at a registry: plan the edits, splice them in, and prove the result by scanning it again."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from homeport.discovery.documents import Document, dig_inside, parse_documents
from homeport.discovery.findings import Finding, ObjectKey, Part, Unresolved
from homeport.discovery.inputs import Source
from homeport.discovery.kinds import is_kustomization
from homeport.discovery.knowledge import Knowledge, SecretForm
from homeport.discovery.packaging.transformer import image_rules
from homeport.discovery.scan import repeated_keys
from homeport.discovery.tree import dig, line_of, text_of
from homeport.discovery.walk import ImpliedPlace, SecretPlace, Walk, walk
from homeport.errors import InputError, UnprovenError
from homeport.mapping import Mapping
from homeport.reference import DOCKER_HUB, Reference
from homeport.relocation.edits import Edits
from homeport.relocation.insertion import Additions
from homeport.relocation.kustomized import NOT_ASKED, Asked
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
    asked: Asked = NOT_ASKED,
) -> Relocated:
    """Rewrite every image name of a text to the target's; raises InputError, CollisionError, UnprovenError.

    Nothing but the names changes: a split name's repository, a whole name's scalar; tags and digests stay. Where `pull_secret` is
    given it is added to what pulls: pod specifications, service accounts, and custom resources that have a field for it. `asked` is
    what kustomizations ask that build upon it.
    """
    knowledge = msgspec.structs.replace(knowledge, own=mapping.target.registry)
    planned = [
        _Plan(
            source,
            document,
            walk(document.root, source.name, knowledge, default_registry, source.text),
            mapping,
            pull_secret,
            asked=asked,
        )
        for document in parse_documents(source)
    ]
    named = {it for plan in planned for it in plan.references}
    references = tuple(sorted(named.union(asked.references), key=str))
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


class _Plan:
    """The changes of one document, and what a scan of the result must show."""

    def __init__(
        self,
        source: Source,
        document: Document,
        noted: Walk,
        mapping: Mapping,
        pull_secret: str | None,
        *,
        asked: Asked,
    ) -> None:
        self.source, self.document, self.mapping, self.secret = source, document, mapping, pull_secret
        self.asked, self.kept = asked, set[tuple[str, str]]()
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
        if is_kustomization(document.root, source.name):
            self._transformer()
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
            kept = (str(finding.object), finding.path) in self.kept
            if not kept and self.mapping.relocate(finding.reference) != finding.reference:
                raise self._unproven(f"{finding.object} {finding.path} would still pull {finding.reference}")
        left = len(noted.unresolved) + len(document.repeated) + len(noted.implied)
        if left != self._left or [place.where for place in noted.implied] != self.still_implied:
            raise self._unproven("other places are unresolved than before")
        for secrets in noted.secrets:
            if self.secret and self.secret not in secrets.names and secrets.where not in self.unsecured:
                raise self._unproven(f"{secrets.object} {secrets.where} lacks the pull secret")

    def _rewrite(self, finding: Finding, scalar: object) -> None:
        if finding.parts and finding.parts[0].start in self.asked.kept:
            # A kustomization's entry speaks for it.
            self.kept.add((str(finding.object), finding.path))
            self.expected.append((str(finding.object), finding.path, str(finding.reference), finding.open))
            return
        target = self.mapping.relocate(finding.reference)
        self.references.append(finding.reference)
        self.expected.append((str(finding.object), finding.path, str(target), finding.open))
        renamed = self._edits.add(finding, scalar, target)
        if target != finding.reference:
            old, new = ("/".join(it) for it in zip(*((part.value, value) for part, value in renamed), strict=True))
            self.edits.append(Edit(finding.source, finding.line, finding.object, finding.path, old, new))

    def _transformer(self) -> None:
        """Lead a kustomization's entries to the target, add those that are lacking, and say what it does not tell."""
        root, name = self.document.root, self.source.name
        key = ObjectKey(text_of(root.get("apiVersion")), text_of(root.get("kind")) or "Kustomization")
        for index, (source, target) in self.asked.renamed.items():
            new_name, path = dig(root, ("images", index, "newName")), f"images[{index}].newName"
            if text_of(new_name):
                part = Part("repository", text_of(new_name), new_name.start, new_name.end)
                line = line_of(new_name)
                self._edits.add(Finding(name, line, key, path, "", part.value, source, parts=(part,)), new_name, target)
                self.edits.append(Edit(name, line, key, path, part.value, target.name))
            elif (node := self._additions.add(root, ("images", index, "newName"), target.name)) is not None:
                self._insert(node, key, path, target.name)
        added = [{"name": old, "newName": target.name} for old, (_, target) in self.asked.added.items()]
        if added and (node := self._additions.add(root, ("images",), added)) is not None:
            for entry in added:
                self._insert(node, key, "images", f"{entry['name']} -> {entry['newName']}")
        reasons = list(self.asked.unread)
        if self.source.path is None and any(True for _ in image_rules(root)):
            reasons.append(
                "its images are rewritten together with its resources alone; name the folder that holds them"
            )
        self.unresolved += [Unresolved(name, line_of(root), key, "", "", reason) for reason in reasons]

    def _unproven(self, reason: str) -> UnprovenError:
        hint = "Nothing was written. Please report this manifest; it is a fault of Homeport."
        return UnprovenError(f"{self.source.name}: the result could not be proved: {reason}", hint=hint)

    def _name(self, place: ImpliedPlace) -> None:
        """Add the image that an object pulls without naming it, where it is known which."""
        implied, field = place.implied, place.implied.field
        if implied.reference is not None:
            target = self.mapping.relocate(implied.reference)
            spec = {field.repository: target.name}
            if target.tag and not text_of(dig_inside(place.root, (*field.path, field.tag), implied.inside)):
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
