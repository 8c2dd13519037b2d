"""The cost of a roll-out in words."""

from collections.abc import Iterable, Sequence

from homeport.cli.output import columns, count
from homeport.cluster.cost import Cost


def cost_lines(costs: Sequence[Cost], unknown: Iterable[str] = ()) -> list[str]:
    """Write what nodes will pull, by registry and pull policy."""
    rows = [("REGISTRY", "PULL POLICY", "IMAGES", "PULLS", "")]
    rows += [(cost.registry, cost.policy, str(cost.images), str(cost.pulls), _doubt(cost)) for cost in costs]
    return [*columns(rows, indent="  "), *(f"  unknown: {sentence}" for sentence in unknown)] if costs else []


def _doubt(cost: Cost) -> str:
    if not cost.unknown_nodes:
        return ""
    verb = "does" if cost.unknown_nodes == 1 else "do"
    return f"{count(cost.unknown_nodes, 'node')} {verb} not report all images"
