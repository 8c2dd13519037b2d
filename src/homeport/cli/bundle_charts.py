"""Helm charts that `homeport bundle save` takes along: of classic repositories or registries, by version or range."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Self

import msgspec

from homeport.errors import InvalidReferenceError, UsageError
from homeport.mirror.bundle.chart_versions import ChartRange, highest, is_exact
from homeport.mirror.bundle.charts import ChartName, no_such_chart
from homeport.reference import Reference
from homeport.registry.session import Registries

_OCI = "oci://"

Locked = Mapping[str, str]
"""The digests of a lock, by reference."""


class ChartImage(msgspec.Struct, frozen=True):
    """A chart of a registry: its repository, and a range of versions, "" for the latest; or the image itself."""

    image: Reference
    versions: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``oci://HOST/PATH/NAME[:VERSION]``; raises UsageError."""
        path, slash, last = text.removeprefix(_OCI).rpartition("/")
        name, _, version = last.partition(":")
        if "@" not in last and not is_exact(version):
            with suppress(UsageError):  # then it is a tag, as stable may be
                ChartRange.parse(version or "*")
                return cls(_reference(text, f"{path}{slash}{name}"), version or "*")
        return cls(_reference(text, f"{path}{slash}{last.replace('+', '_')}"))


class Charts(msgspec.Struct, frozen=True):
    """What was asked for by `--chart`."""

    classic: tuple[ChartName, ...] = ()
    images: tuple[ChartImage, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Read the arguments; raises UsageError."""
        texts = tuple(texts)
        return cls(
            tuple(ChartName.parse(text) for text in texts if not text.startswith(_OCI)),
            tuple(ChartImage.parse(text) for text in texts if text.startswith(_OCI)),
        )

    def kept_to(self, locked: Locked) -> "Charts":
        """Take the versions that a lock has of ranges; raises UsageError where it has none."""
        return Charts(
            tuple(
                chart if is_exact(chart.version) else chart.at(_of_lock(locked, chart.at("0").reference, chart.version))
                for chart in self.classic
            ),
            tuple(
                _at(chart, _of_lock(locked, chart.image, chart.versions)) if chart.versions else chart
                for chart in self.images
            ),
        )

    def found(self, registries: Registries) -> tuple[Reference, ...]:
        """Return the charts of registries; the tags of a repository are asked for where there is a range. Raises HomeportError."""
        return tuple(_found(chart, registries).image for chart in self.images)


def _found(chart: ChartImage, registries: Registries) -> ChartImage:
    if not chart.versions:
        return chart
    tags = registries.client(chart.image.registry).tags(chart.image.repository)
    versions = [tag.replace("_", "+") for tag in tags]
    # Like Helm, which takes neither 1.2 nor v1.2.3 for the version of a chart.
    wanted = [each for each in versions if each == chart.versions or (is_exact(each) and each[0] != "v")]
    version = highest(wanted, chart.versions)
    if version is None:
        raise no_such_chart(f"{chart.image.name}:{chart.versions}", wanted, chart.image.registry)
    return _at(chart, version)


def _of_lock(locked: Locked, repository: Reference, versions: str) -> str:
    names = [Reference.parse(name) for name in locked]
    there = [(name.tag or "").replace("_", "+") for name in names if name.name == repository.name]
    version = highest(there, versions)
    if version is None:
        raise UsageError(
            f"the lock has no {repository.name}:{versions}",
            hint="Run once without --locked, so that it is written anew.",
        )
    return version


def _at(chart: ChartImage, version: str) -> ChartImage:
    return ChartImage(msgspec.structs.replace(chart.image, tag=version.replace("+", "_")))


def _reference(text: str, name: str) -> Reference:
    try:
        return Reference.parse(name)
    except InvalidReferenceError as error:
        raise UsageError(f"--chart {text}: {error}", hint=error.hint) from None
