"""The values that point a chart at a target, as a file for `helm --values`: the chart itself stays as it is.

Values are the place where a chart says its images; that the override reaches every image is proved by rendering with it.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from homeport.discovery.findings import Unresolved
from homeport.discovery.inputs import Source, read_file
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.packaging.charts import Chart, read_chart, values_of
from homeport.discovery.scan import scan_source
from homeport.errors import HomeportError, InputError
from homeport.mapping import Mapping
from homeport.reference import Reference
from homeport.relocation.relocate import Edit, Insertion, Relocated, relocate
from homeport.workflow.helm import Settings, overridden, render

_NAMED_SECRETS: Final = frozenset({"imagePullSecrets"})
_SECRET_NAMES: Final = frozenset({"pullSecrets"})


class Override(msgspec.Struct, frozen=True):
    """A values file; `text` is empty where nothing has to change. `left` are images that would still be pulled from elsewhere.

    `errors` say what could not be read or proved.
    """

    text: str
    references: tuple[Reference, ...]
    edits: tuple[Edit, ...]
    insertions: tuple[Insertion, ...]
    left: tuple[Unresolved, ...]
    errors: tuple[HomeportError, ...]


class Rules(msgspec.Struct, frozen=True):
    """How names are read and written."""

    mapping: Mapping
    knowledge: Knowledge
    default_registry: str
    pull_secret: str | None = None


def override_values(path: Path, settings: Settings, rules: Rules, max_size: int) -> Override:
    """Make the override of a chart; raises InputError where it cannot be read, CollisionError."""
    chart = read_chart(path, max_size)
    values: dict[str, Any] = {}
    results: list[Relocated] = []
    errors: list[HomeportError] = []
    for keys, source in _sources(chart, settings, max_size):
        try:
            result = relocate(
                source,
                rules.mapping,
                knowledge=rules.knowledge,
                default_registry=rules.default_registry,
                pull_secret=rules.pull_secret,
            )
            changed = difference(_load(source.text, source.name), _load(result.text, source.name), rules.pull_secret)
        except HomeportError as error:
            errors.append(error)
            continue
        results.append(result)
        for key in reversed(keys):
            changed = {key: changed} if changed else {}
        values = merge(values, changed)
    references = sorted({it for result in results for it in result.references}, key=str)
    rules.mapping.relocate_all(references)
    text = yaml.dump(values, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True) if values else ""
    left, unproved = _prove(path, settings, rules, text, max_size=max_size)
    edits = tuple(edit for result in results for edit in result.edits)
    insertions = tuple(added for result in results for added in result.insertions)
    left = [place for result in results for place in result.unresolved] + left
    return Override(text, tuple(references), edits, insertions, tuple(left), (*errors, *unproved))


def difference(before: Any, after: Any, pull_secret: str | None = None) -> dict[str, Any]:
    """Return what of two values' mappings differs, as an override: lists whole, because Helm replaces them."""
    changed: dict[str, Any] = {}
    for key, new in after.items() if isinstance(after, dict) else ():
        old = before.get(key) if isinstance(before, dict) else None
        takes = pull_secret and isinstance(new, list) and key in _NAMED_SECRETS | _SECRET_NAMES
        value = _with_secret(key, new, pull_secret) if takes and pull_secret else new
        if isinstance(value, dict) and isinstance(old, dict):
            if below := difference(old, value, pull_secret):
                changed[key] = below
        elif value != old:
            changed[key] = value
    return changed


def _with_secret(key: str, value: list[Any], secret: str) -> list[Any]:
    """Add a pull secret to a list of them, in the form of those that are there, or the one that charts mostly take."""
    if secret in value or {"name": secret} in value:
        return value
    plain = key in _SECRET_NAMES or (bool(value) and all(isinstance(it, str) for it in value))
    return [secret if plain else {"name": secret}, *value]


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another, as Helm does with values."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _sources(chart: Chart, settings: Settings, max_size: int) -> Iterator[tuple[tuple[str, ...], Source]]:
    """Yield all values, the ones that count less first: those of parts, the chart's own, the person's."""
    for keys, part in reversed(list(overridden(chart))):
        if (source := values_of(part, max_size)) is not None:
            yield keys, source
    for file in settings.values:
        yield (), read_file(file, file.name, max_size)


def _prove(
    path: Path, settings: Settings, rules: Rules, text: str, *, max_size: int
) -> tuple[list[Unresolved], list[HomeportError]]:
    """Render with the override, and name what would still come from elsewhere."""
    with tempfile.TemporaryDirectory(prefix="homeport-") as folder:
        file = Path(folder) / "values.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            rendered = render(
                path, path.name, msgspec.structs.replace(settings, values=(*settings.values, file)), max_size
            )
        except InputError as error:
            return [], [error]
    scan = scan_source(rendered, rules.knowledge, rules.default_registry)
    left = [
        Unresolved(it.source, it.line, it.object, it.path, it.text, _why_left(it.reference, rules.mapping))
        for it in scan.findings
        if not rules.mapping.holds(it.reference)
    ]
    return [*left, *scan.unresolved], [InputError(error, file=rendered.name) for error in scan.errors]


def _why_left(reference: Reference, mapping: Mapping) -> str:
    if mapping.relocate(reference) == reference:
        return "it is not among the images that are brought"
    return "no value says this image; relocate what Helm renders"


def _load(text: str, name: str) -> Any:
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader) or {}
    except yaml.YAMLError as error:
        raise InputError(f"these are no values: {error}", file=name) from error
