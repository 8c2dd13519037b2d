"""Charts as manifests: rendered by the helm binary where there is one, else read for what they say."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from homeport.discovery.inputs import Source
from homeport.discovery.packaging.charts import Chart, read_chart, unrendered
from homeport.errors import InputError

_SECONDS: Final = 300
_RELEASE: Final = "release-name"


class Settings(msgspec.Struct, frozen=True):
    """What a person sets when a chart is rendered, as for helm itself: values files, and KEY=VALUE."""

    values: tuple[Path, ...] = ()
    set: tuple[str, ...] = ()


def read_package(
    path: Path, settings: Settings, max_size: int, *, rendered_only: bool = False
) -> Iterator[Source | InputError]:
    """Yield a chart's manifests: one rendered text, hooks and CRDs included; without helm its files, and an error that says so.

    Raises InputError where the chart cannot be read at all.
    """
    chart = read_chart(path, max_size)
    try:
        yield render(path, chart.title, settings, max_size)
    except InputError as error:
        yield error
        if not rendered_only:
            yield from unrendered(chart, max_size)


def render(path: Path, title: str, settings: Settings, max_size: int) -> Source:
    """Render a chart with the helm binary; raises InputError with what helm said."""
    helm = shutil.which("helm")
    if helm is None:
        raise _not_rendered(path, "there is no helm on the PATH")
    command = [helm, "template", _RELEASE, str(path.resolve()), "--include-crds"]
    command += [word for file in settings.values for word in ("--values", str(file))]
    command += [word for pair in settings.set for word in ("--set", pair)]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise _not_rendered(path, f"helm took longer than {_SECONDS} seconds") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().removeprefix("Error: ").partition("\n")[0]
        raise _not_rendered(path, f"helm says: {said[:400]}")
    if len(done.stdout) > max_size:
        raise _not_rendered(path, f"it renders to more than {max_size:,} bytes")
    return Source(f"{path} (rendered)", done.stdout.decode(errors="replace"), relative=f"{title}.yaml")


def overridden(chart: Chart) -> Iterator[tuple[tuple[str, ...], Chart]]:
    """Yield a chart and all charts in it, each with the keys below which the top chart's values hold its own."""
    pending: list[tuple[tuple[str, ...], Chart]] = [((), chart)]
    for keys, one in pending:
        yield keys, one
        pending += [((*keys, key), part) for key, part in one.parts.items()]


def _not_rendered(path: Path, reason: str) -> InputError:
    hint = "Install helm, or give its settings (--values, --set), or scan the output of helm template."
    return InputError(
        f"not rendered: {reason}; only what its values and templates say is known", file=str(path), hint=hint
    )
