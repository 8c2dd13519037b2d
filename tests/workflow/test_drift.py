"""What has changed since an earlier report."""

import pytest

from homeport.errors import UsageError
from homeport.reference import Reference
from homeport.workflow.drift import Earlier, Moved, Turned, with_drift
from homeport.workflow.verify import Origin, Verdict, Verification

APP, NEW = "r.io/app:1", "r.io/new:1"


def test_new_gone_moved_and_turned_images_are_told_apart() -> None:
    before = Earlier("r.io", (Verdict(APP, "proven", "sha256:a"), Verdict("r.io/old:1", "missing")))
    drift = before.drift([Verdict(APP, "proven", "sha256:b"), Verdict(NEW, "proven", "sha256:c")])
    assert (drift.appeared, drift.gone) == ((NEW,), ("r.io/old:1",))
    assert drift.moved == (Moved(APP, "sha256:a", "sha256:b"),)
    assert drift.turned == ()
    turned = before.drift([Verdict(APP, "differs", "sha256:a"), Verdict(APP, "unpullable")]).turned
    assert turned == (Turned(APP, ("proven",), ("differs", "unpullable")),)


def test_a_name_that_moved_is_wrong_unless_the_lock_says_what_it_stands_for() -> None:
    now = Verification((Verdict(APP, "proven", "sha256:b"),))
    drift = Earlier("r.io", (Verdict(APP, "proven", "sha256:a"),)).drift(now.verdicts)
    (verdict,) = with_drift(now, drift, Origin()).verdicts
    assert (verdict.status, verdict.reasons) == ("differs", ("sha256:b now, sha256:a at the last report",))
    locked = Origin({Reference.parse(APP): frozenset({"sha256:b"})})
    assert with_drift(now, drift, locked) == now


@pytest.mark.parametrize(
    "text", ["", "[]", '{"x":' + "[" * 100_000, '{"registry": "r.io"}', '{"registry": "other", "images": []}']
)
def test_what_is_no_report_of_this_registry_is_refused(tmp_path, text) -> None:
    (tmp_path / "before.json").write_text(text)
    with pytest.raises(UsageError, match=r"before\.json: it is "):
        Earlier.read(tmp_path / "before.json", "r.io")
    with pytest.raises(UsageError, match="cannot be read"):
        Earlier.read(tmp_path / "missing.json", "r.io")
