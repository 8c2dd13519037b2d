"""The pull secret in the fields that custom resources have for it, each in its own form."""

from typing import Any

import pytest

from homeport.cluster.changes import Change, operations
from homeport.discovery.knowledge import Knowledge, SecretField, SecretForm
from homeport.discovery.walk import walk
from homeport.mapping import Target
from homeport.reference import Reference
from homeport.workflow.live_changes import BroughtOnly, Rules, unnamed, wanted_of

TARGET = Target.parse("registry.example.com/mirror")
IMAGE = "registry.example.com/mirror/team/web:1"


def knows(form: SecretForm, *path: str) -> Knowledge:
    return Knowledge(secrets=(SecretField("example.com", "Shop", path or ("spec", "pull"), form),))


def shop(**spec: Any) -> dict[str, Any]:
    metadata = {"namespace": "shop", "name": "corner", "resourceVersion": "7"}
    spec = {"containers": [{"name": "c", "image": IMAGE}], **spec}
    return {"apiVersion": "example.com/v1", "kind": "Shop", "metadata": metadata, "spec": spec}


def rules(form: SecretForm, *path: str, serves: bool = False) -> Rules:
    return Rules(BroughtOnly(TARGET), knows(form, *path), "private", serves=lambda *_: serves)


ABSENT = object()


@pytest.mark.parametrize(
    ("form", "before", "change", "operation"),
    [
        ("name", ABSENT, (("spec", "pull"), None, "private"), ("add", "/spec/pull", "private")),
        ("name", None, (("spec", "pull"), None, "private"), ("add", "/spec/pull", "private")),
        ("name", "", (("spec", "pull"), "", "private"), ("replace", "/spec/pull", "private")),
        ("object", ABSENT, (("spec", "pull"), None, {"name": "private"}), ("add", "/spec/pull", {"name": "private"})),
        ("object", {}, (("spec", "pull", "name"), None, "private"), ("add", "/spec/pull/name", "private")),
        ("object", {"name": ""}, (("spec", "pull", "name"), "", "private"), ("replace", "/spec/pull/name", "private")),
        ("names", ABSENT, (("spec", "pull", "[private]"), None, "private"), ("add", "/spec/pull", ["private"])),
        ("names", ["theirs"], (("spec", "pull", "[private]"), None, "private"), ("add", "/spec/pull/-", "private")),
        ("objects", ABSENT, (("spec", "pull", "[private]"), None, {"name": "private"}),
         ("add", "/spec/pull", [{"name": "private"}])),
        ("objects", [{"name": "theirs"}], (("spec", "pull", "[private]"), None, {"name": "private"}),
         ("add", "/spec/pull/-", {"name": "private"})),
    ],
)  # fmt: skip
def test_each_form_gets_the_secret_and_keeps_what_is_there(
    form: SecretForm, before: Any, change: tuple[Any, ...], operation: tuple[str, str, Any]
) -> None:
    value = shop() if before is ABSENT else shop(pull=before)
    wanted = wanted_of(value, rules(form))
    assert wanted.changes == (Change(*change),)
    assert (wanted.left, wanted.account, wanted.is_at_target) == ((), "", True)
    guard, written = operations(value, wanted.changes)
    assert guard == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert (written["op"], written["path"], written["value"]) == operation


@pytest.mark.parametrize(
    ("form", "there"),
    [("name", "private"), ("object", {"name": "private"}), ("names", ["private"]), ("objects", [{"name": "private"}])],
)
def test_what_names_the_secret_stays_as_it_is(form: SecretForm, there: Any) -> None:
    wanted = wanted_of(shop(pull=there), rules(form))
    assert (wanted.changes, wanted.left) == ((), ())


@pytest.mark.parametrize(("form", "there"), [("name", "theirs"), ("object", {"name": "theirs"})])
def test_a_single_other_name_is_told_and_not_overwritten_unless_it_serves(form: SecretForm, there: Any) -> None:
    wanted = wanted_of(shop(pull=there), rules(form))
    assert wanted.changes == ()
    (left,) = wanted.left
    assert (left.path, left.image, left.is_secret) == ("spec.pull", "theirs", True)
    assert "theirs is there: give that one credentials for registry.example.com" in left.reason
    wanted = wanted_of(shop(pull=there), rules(form, serves=True))
    assert (wanted.changes, wanted.left) == ((), ())


def test_whether_another_secret_serves_is_asked_for_what_is_pulled_from_the_target() -> None:
    asked: list[tuple[str, str, list[str]]] = []

    def serves(namespace: str, name: str, pulled: Any) -> bool:
        asked.append((namespace, name, [str(it) for it in pulled]))
        return True

    mapping = BroughtOnly(TARGET, brought=frozenset({Reference.parse("team/next:1")}))
    value = shop(pull="theirs", next={"image": "team/next:1"}, other={"image": "quay.io/x/y:1"})
    wanted_of(value, Rules(mapping, knows("name"), "private", serves=serves))
    ((namespace, name, pulled),) = asked
    assert (namespace, name) == ("shop", "theirs")
    assert sorted(pulled) == [IMAGE.replace("web", "next"), IMAGE]


@pytest.mark.parametrize(
    ("form", "there"), [("name", ["x"]), ("names", "x"), ("object", "x"), ("objects", {"name": "x"}), ("name", 5)]
)
def test_a_field_of_another_form_is_told(form: SecretForm, there: Any) -> None:
    wanted = wanted_of(shop(pull=there), rules(form))
    assert wanted.changes == ()
    (left,) = wanted.left
    assert left.is_secret
    assert "of another form" in left.reason


def test_a_field_in_a_list_is_told_by_the_name_of_its_item() -> None:
    value = shop(parts=[{"name": "a", "pull": "private"}, {"name": "b", "size": 1}])
    wanted = wanted_of(value, rules("name", "spec", "parts", "*", "pull"))
    (change,) = wanted.changes
    assert (change.where, change.new) == ("spec.parts[b].pull", "private")
    assert operations(value, [change])[1]["path"] == "/spec/parts/1/pull"


@pytest.mark.parametrize(
    ("form", "there", "operation"),
    [
        ("name", "private", ("remove", "/spec/pull")),
        ("object", {"name": "private"}, ("remove", "/spec/pull")),
        ("object", {"name": "private", "key": "x"}, ("remove", "/spec/pull/name")),
        ("names", ["a", "private"], ("remove", "/spec/pull/1")),
        ("names", ["private"], ("remove", "/spec/pull")),
        ("objects", [{"name": "private"}, {"name": "b"}], ("remove", "/spec/pull/0")),
    ],
)
def test_each_form_lets_the_secret_go(form: SecretForm, there: Any, operation: tuple[str, str]) -> None:
    value = shop(pull=there)
    (place,) = (it for it in walk(value, "cluster", knows(form)).secrets if it.where == "spec.pull")
    change = unnamed(value, place, "private")
    written = operations(value, [change])[1]
    assert (written["op"], written["path"]) == operation
    assert change.new is None
    assert (
        operations({"metadata": {"resourceVersion": "7"}, "spec": shop()["spec"]}, [change], undo=True)[1]["op"]
        == "add"
    )
