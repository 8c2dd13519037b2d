"""What a registry's log shows of a cluster, for people."""

from typing import TYPE_CHECKING, Final

from homeport.cli.output import columns, count

if TYPE_CHECKING:
    from homeport.workflow.live_log import How, LogEvidence, Shown

_MEANINGS: "Final[dict[How, str]]" = {
    "fetched": "fetched by its node",
    "asked": "asked for by its node, which held it",
    "other": "fetched from an address that is no node's",
    "silent": "not shown",
}


def log_lines(log: "LogEvidence") -> list[str]:
    """Write who fetched what runs, and which containers the log does not show."""
    rows = [
        (it.image, it.node, str(len(it.containers)), _MEANINGS[it.how], *_fetch(it))
        for it in sorted(log.shown, key=lambda it: (list(_MEANINGS).index(it.how), it.image, it.node))
    ]
    lines = ["", *columns([("IMAGE", "NODE", "CONTAINERS", "BY THE REGISTRY'S LOG", "AT", "FROM"), *rows])]
    for each in log.shown:
        if each.how == "silent":
            lines += [
                f"not shown by the log: {each.reason}",
                f"  {each.image}",
                *(f"    {it}" for it in each.containers),
            ]
    if log.damaged:
        more = ", ..." if log.damaged > len(log.damaged_lines) else ""
        lines.append(f"of the log {count(log.damaged, 'line')} cannot be read: {', '.join(log.damaged_lines)}{more}")
    span = f", {log.begins:%Y-%m-%dT%H:%M:%SZ} to {log.ends:%Y-%m-%dT%H:%M:%SZ}" if log.begins and log.ends else ""
    return [*lines, f"the log: {count(log.lines, 'line')}, {count(log.manifests, 'request')} for manifests{span}"]


def _fetch(shown: "Shown") -> tuple[str, str]:
    if shown.fetch is None:
        return "", ""
    return f"{shown.fetch.at:%Y-%m-%dT%H:%M:%SZ}", f"{shown.fetch.client} {shown.fetch.agent}"
