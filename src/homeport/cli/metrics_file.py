"""The figures of a mirror as Prometheus reads them from a file (node_exporter's textfile collector)."""

from collections import Counter
from pathlib import Path

from homeport.cli.mirror_report import Report
from homeport.errors import StoreError, UsageError
from homeport.mirror.plan import Bound
from homeport.store.durable import write_file

_STATUSES = ("copied", "present", "failed")


def check_metrics_file(file: Path, *, dry_run: bool) -> None:
    """Raise UsageError where the file could not be written in the end."""
    if dry_run:
        raise UsageError("--metrics-file is about a run", hint="Leave --dry-run or --metrics-file out.")
    if not file.parent.is_dir():
        raise UsageError(f"--metrics-file {file}: there is no folder {file.parent}", hint="Make it, or name another.")


def write_metrics(file: Path, report: Report, *, seconds: float, at: float) -> None:
    """Write a file, whole or not at all; `at` is when the mirror ended, in Unix time. Raises StoreError."""
    try:
        write_file(file, metrics_text(report, seconds=seconds, at=at).encode(), staging=file.parent)
    except OSError as error:
        raise StoreError(f"cannot write {file}: {error.strerror}") from None


def metrics_text(report: Report, *, seconds: float, at: float) -> str:
    """Return the text format of Prometheus, version 0.0.4."""
    tally = Counter(image.status for image in report.images)
    requests = {"source": report.requests.source, "target": report.requests.target}
    return "".join(
        (
            _gauge("images", "Images by what became of them.", {f'status="{name}"': tally[name] for name in _STATUSES}),
            _gauge("requests", "Requests by side.", {f'side="{side}"': _number(n) for side, n in requests.items()}),
            _gauge(
                "counted_pulls",
                "Manifests fetched, which limited registries count.",
                {"": _number(report.counted_pulls)},
            ),
            _gauge("bytes", "Bytes of blobs copied.", {"": _number(report.bytes)}),
            _gauge("duration_seconds", "How long the last mirror took.", {"": round(seconds, 3)}),
            _gauge("last_run_timestamp_seconds", "When the last mirror ended.", {"": round(at, 3)}),
            _gauge("success", "Whether all images are at the target.", {"": int(not tally["failed"])}),
        )
    )


def _gauge(name: str, text: str, values: dict[str, float]) -> str:
    full = f"homeport_mirror_{name}"
    lines = [f"{full}{{{labels}}} {value}" if labels else f"{full} {value}" for labels, value in values.items()]
    return "\n".join((f"# HELP {full} {text}", f"# TYPE {full} gauge", *lines, ""))


def _number(number: int | Bound) -> int:
    return number if isinstance(number, int) else number.low
