"""Changes of single fields: made by a JSON patch, and taken back without a trace."""

import copy
from typing import Any

import pytest

from homeport.cluster.changes import Change, adding, by_name, configuration, locate, operations, state_of

POD = {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"}]}
VALUE: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"namespace": "n", "name": "d", "resourceVersion": "7"},
    "spec": {"template": {"spec": POD}},
}
IMAGE = ("spec", "template", "spec", "containers", "[b]", "image")


def patched(value: dict[str, Any], written: list[dict[str, Any]]) -> dict[str, Any]:
    """Apply a JSON patch as RFC 6902 says, for the operations that are used."""
    root = copy.deepcopy(value)
    for each in written:
        *steps, last = [step.replace("~1", "/").replace("~0", "~") for step in each["path"].split("/")[1:]]
        here: Any = root
        for step in steps:
            here = here[int(step)] if isinstance(here, list) else here[step]
        if each["op"] == "test":
            assert here[last] == each["value"]
        elif each["op"] == "remove":
            del here[int(last) if isinstance(here, list) else last]
        elif isinstance(here, list):
            here.append(each["value"]) if last == "-" else here.__setitem__(int(last), each["value"])
        else:
            here[last] = each["value"]
    return root


def test_items_of_lists_are_found_by_name_when_others_sort_them() -> None:
    path = by_name(VALUE, ("spec", "template", "spec", "containers", 1, "image"))
    assert path == IMAGE
    assert Change(path, "", "").where == "spec.template.spec.containers[b].image"
    turned = copy.deepcopy(VALUE)
    turned["spec"]["template"]["spec"]["containers"].reverse()
    assert locate(turned, path) == ("spec", "template", "spec", "containers", 0, "image")


def test_items_that_share_a_name_keep_their_index() -> None:
    value = {"list": [{"name": "a", "image": "x"}, {"name": "a", "image": "y"}]}
    assert by_name(value, ("list", 1, "image")) == ("list", 1, "image")


@pytest.mark.parametrize(
    "change",
    [
        Change(IMAGE, "y:1", "r/y:1"),
        Change(("spec", "template", "spec", "imagePullSecrets", "[mine]"), None, {"name": "mine"}),
        adding(VALUE, ("spec", "deep", "er", "repository"), "r/z"),
        adding(VALUE, ("metadata", "annotations", "a/b~c"), "v"),
    ],
)
def test_a_change_is_made_and_taken_back_without_a_trace(change: Change) -> None:
    assert state_of(VALUE, change) == "old"
    made = patched(VALUE, operations(VALUE, [change]))
    assert state_of(made, change) == "new"
    assert patched(made, operations(made, [change], undo=True)) == VALUE


def test_what_others_added_to_a_list_stays() -> None:
    change = Change(("imagePullSecrets", "[mine]"), None, {"name": "mine"})
    account = {"metadata": {"resourceVersion": "1"}, "imagePullSecrets": [{"name": "theirs"}]}
    made = patched(account, operations(account, [change]))
    assert made["imagePullSecrets"] == [{"name": "theirs"}, {"name": "mine"}]
    made["imagePullSecrets"].append({"name": "later"})
    back = patched(made, operations(made, [change], undo=True))
    assert back["imagePullSecrets"] == [{"name": "theirs"}, {"name": "later"}]


def test_what_somebody_else_changed_is_neither_old_nor_new() -> None:
    change = Change(IMAGE, "before", "after")
    assert state_of(VALUE, change) == "other"


def test_server_side_apply_owns_the_fields_and_no_more() -> None:
    secret = ("spec", "template", "spec", "imagePullSecrets", "[mine]")
    wanted = configuration(VALUE, {IMAGE: "r/y:1", secret: {"name": "mine"}})
    pod = {"containers": [{"name": "b", "image": "r/y:1"}], "imagePullSecrets": [{"name": "mine"}]}
    assert wanted["spec"] == {"template": {"spec": pod}}
    assert wanted["metadata"] == {"namespace": "n", "name": "d"}
