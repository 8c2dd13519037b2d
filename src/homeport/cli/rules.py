"""`homeport rules`: what is known of operators, and why a field was or was not taken for an image."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from homeport.applications.registry import KNOWLEDGE
from homeport.cli.app import DONE, WRONG
from homeport.cli.output import columns
from homeport.cli.scan import read_own_rules
from homeport.cli.sources import SourceName, read_sources
from homeport.discovery.findings import Finding
from homeport.discovery.inputs import MAX_SIZE, Source
from homeport.discovery.knowledge import Knowledge
from homeport.discovery.rules import Rules, shipped_rules
from homeport.discovery.scan import scan_source
from homeport.discovery.schemas import learn

rules = App(name="rules", help_format="plaintext", help_formatter="plain")

OwnRules = Annotated[list[Path] | None, Parameter(name="--rules", negative="")]


@rules.command(name="list")
def list_(*, own: OwnRules = None) -> int:
    """List the rules, the kinds that they are about, and the source of each.

    Args:
        own: A file of rules of your own, beside those that are shipped.
    """
    known = read_own_rules(own or ()).before(shipped_rules())
    print("\n".join(columns((rule.name, ", ".join(rule.kinds), rule.source) for rule in known.rules)))
    return DONE


@rules.command
def explain(file: SourceName, path: str = "", /, *, own: OwnRules = None) -> int:
    """Say for the fields at or below a path what was found there, by what, and how sure that is.

    Args:
        file: The manifest.
        path: A path as `homeport scan` writes it, such as spec.image; the beginning of one is enough.
        own: A file of rules of your own, beside those that are shipped.
    """
    sources, errors = read_sources([file], MAX_SIZE)
    if errors:
        raise errors[0]
    mine = read_own_rules(own or ()) + learn(sources)
    found = [line for source in sources for line in _explained(source, path, mine)]
    print("\n".join(found) if found else f"nothing at {path or 'all'} is taken for an image, and no rule speaks of it")
    return DONE if found else WRONG


def _explained(source: Source, path: str, mine: Rules) -> Iterator[str]:
    scan = scan_source(source, KNOWLEDGE + Knowledge(rules=mine))
    known = {rule.how: rule for rule in mine.before(shipped_rules()).rules}
    for finding in (*scan.findings, *scan.uncertain):
        if finding.path.startswith(path):
            yield from _finding(finding)
            if (rule := known.get(finding.how.removesuffix(", not named"))) is not None:
                yield f"  source: {rule.source}"
    for place in scan.unresolved:
        if place.path.startswith(path):
            yield f"{place.path}: unresolved: {place.text!r}: {place.reason}"
    yield from (f"error: {error}" for error in scan.errors)


def _finding(finding: Finding) -> Iterator[str]:
    tag = ", its tag comes from elsewhere" if finding.open else ""
    yield f"{finding.path}: {finding.text}{tag}"
    yield f"  {finding.reference}"
    yield f"  found by: {finding.how} ({finding.sure}), line {finding.line}"
    for part in finding.parts:
        inside = f", inside {' in '.join(part.encodings)} text" if part.encodings else ""
        place = f"characters {part.start} to {part.end}{inside}" if part.start >= 0 else "no place that can be edited"
        yield f"  {part.role}: {part.value} ({place})"
