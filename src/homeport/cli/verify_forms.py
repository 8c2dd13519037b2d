"""A verification for pipelines: JUnit's XML, and SARIF 2.1.0 (OASIS)."""

import html
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from homeport import __version__
from homeport.workflow.verify import WRONG, Status, Verdict

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(registry: str, verdicts: Sequence[Verdict], errors: Sequence[str]) -> str:
    """Return one test case for each image and status: wrong ones fail, unknown ones are skipped, unread inputs are errors."""
    failed = sum(verdict.status in WRONG for verdict in verdicts)
    skipped = sum(verdict.status == "unknown" for verdict in verdicts)
    counts = f'tests="{len(verdicts) + len(errors)}" failures="{failed}" errors="{len(errors)}" skipped="{skipped}"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name="{_xml(f"homeport verify {registry}")}" {counts}>',
    ]
    for verdict in verdicts:
        case = f'<testcase classname="{_xml(registry)}" name="{_xml(f"{verdict.image} ({verdict.status})")}"'
        tag = "failure" if verdict.status in WRONG else "skipped" if verdict.status == "unknown" else ""
        message = _xml("; ".join((verdict.status, *verdict.reasons)))
        body = f'<{tag} message="{message}">{_xml(chr(10).join(verdict.places))}</{tag}>' if tag else ""
        lines.append(f"  {case}>{body}</testcase>" if body else f"  {case}/>")
    for number, error in enumerate(errors, 1):
        lines.append(
            f'  <testcase classname="{_xml(registry)}" name="input {number}"><error message="{_xml(error)}"/></testcase>'
        )
    return "\n".join([*lines, "</testsuite>"])


def sarif(registry: str, verdicts: Sequence[Verdict], errors: Sequence[str], meanings: dict[Status, str]) -> str:
    """Return a log with one result for each image that is wrong (error) or unknown (warning); its places are logical locations."""
    driver = {
        "name": "homeport",
        "version": __version__,
        "rules": [
            {"id": status, "shortDescription": {"text": f"{words} (verify {registry})"}}
            for status, words in meanings.items()
            if status != "proven"
        ],
    }
    failed = [{"level": "error", "message": {"text": error}} for error in errors]
    run = {
        "tool": {"driver": driver},
        "results": list(_results(verdicts, meanings)),
        "invocations": [{"executionSuccessful": not errors, "toolExecutionNotifications": failed}],
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode()


def _results(verdicts: Sequence[Verdict], meanings: dict[Status, str]) -> Iterator[dict[str, Any]]:
    for verdict in verdicts:
        if verdict.status == "proven":
            continue
        yield {
            "ruleId": verdict.status,
            "level": "error" if verdict.status in WRONG else "warning",
            "message": {"text": f"{verdict.image}: {'; '.join((meanings[verdict.status], *verdict.reasons))}"},
            "locations": [{"logicalLocations": [{"fullyQualifiedName": place}]} for place in verdict.places],
        }


def _xml(text: str) -> str:
    """Escape a text for XML, without the characters that XML cannot hold."""
    return html.escape(_NOT_XML.sub("?", text))
