"""The values that point a Helm release of a live cluster at the target, made from what Helm keeps of it, and proved by rendering."""

import tempfile
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec
import yaml

from homeport.cluster.helm_releases import Chart, File, Release
from homeport.discovery.inputs import MAX_SIZE
from homeport.errors import HomeportError, InputError
from homeport.workflow.helm import Settings
from homeport.workflow.helm_values import Override, Rules, merge, override_values

_LEFT_OUT: Final = frozenset({"dependencies", "kubeVersion"})
"""Charts that it contains are not kept, and no cluster is there while it is rendered."""


class ReleaseValues(msgspec.Struct, frozen=True):
    """A values file for a release; `left` says which images it does not reach, `failure` why there is none."""

    text: str = ""
    left: tuple[str, ...] = ()
    failure: str = ""


def values_of_release(release: Release, rules: Rules) -> ReleaseValues:
    """Make the values file; what is not proved by rendering is not given out."""
    if release.subcharts:
        return ReleaseValues(
            failure=f"Helm keeps no contained charts, and {', '.join(release.subcharts)} rendered a part of it"
        )
    with tempfile.TemporaryDirectory(prefix="homeport-") as folder:
        chart = Path(folder) / "chart"
        try:
            write_release(release, chart)
            made = override_values(chart, Settings(), rules, MAX_SIZE)
        except HomeportError as error:
            return ReleaseValues(failure=_without(str(error), chart))
        return _judged(made, chart)


def write_release(release: Release, folder: Path) -> None:
    """Write a release's chart as a folder, with the values that count now; raises InputError for names that lead out of it."""
    chart: Chart = release.chart
    metadata = {name: value for name, value in chart.metadata.items() if name not in _LEFT_OUT}
    values: dict[str, Any] = merge(chart.values or {}, release.config or {})
    files = [*(chart.templates or ()), *(chart.files or ())]
    files += [File("Chart.yaml", _dump(metadata)), File("values.yaml", _dump(values))]
    files += [File("values.schema.json", chart.schema)] if chart.schema else []
    for file in files:
        inside = PurePosixPath(file.name)
        if inside.is_absolute() or ".." in inside.parts or "\0" in file.name:
            raise InputError("this name leads out of the chart", file=file.name)
        path = folder / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)


def _judged(made: Override, chart: Path) -> ReleaseValues:
    if made.errors:
        return ReleaseValues(failure=_without("; ".join(it.message for it in made.errors), chart))
    left = tuple(f"{it.text}: {it.reason}" for it in made.left)
    if not made.text:
        return ReleaseValues(left=left, failure="none of its values says an image that is brought")
    return ReleaseValues(made.text, left)


def _without(sentence: str, chart: Path) -> str:
    """Leave the passing folder out of what was said."""
    return sentence.replace(f"{chart}/", "").replace(f"{chart}: ", "").replace(str(chart), "its chart")


def _dump(value: object) -> bytes:
    text: str = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return text.encode()
