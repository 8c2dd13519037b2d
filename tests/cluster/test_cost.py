"""What a roll-out costs: images times the nodes that lack them."""

from homeport.cluster.cost import Holding, Holdings, Start, cost_of, counted_at
from homeport.cluster.nodes import Node
from homeport.mirror.plan import Bound
from homeport.reference import Reference

WEB = Reference.parse("docker.io/team/web:1")
OWN = Reference.parse("registry.example.com/team/web:1")


def node(name: str, *images: str, reported: int = 1) -> Node:
    listed = [{"names": [image]} for image in images] + [{"names": [f"x/{i}:1"]} for i in range(reported)]
    return Node.of({"metadata": {"name": name}, "status": {"images": listed}})


def pulls(*starts: Start, nodes: Holdings) -> Bound:
    (cost,) = cost_of(starts, nodes)
    return cost.pulls


def test_a_node_that_holds_an_image_does_not_pull_it():
    nodes = Holdings([node("a", str(WEB)), node("b"), node("c")])
    assert nodes.of(str(WEB)) == Holding(1, 2, 0)
    assert pulls(*(Start(WEB, node=name) for name in "abc"), nodes=nodes) == Bound.exactly(2)


def test_pods_without_a_node_may_start_on_one_or_on_many():
    nodes = Holdings([node("a"), node("b"), node("c")])
    assert pulls(Start(WEB, pods=2), nodes=nodes) == Bound(1, 2)
    assert pulls(Start(WEB, pods=9), nodes=nodes) == Bound(1, 3)
    held = Holdings([node("a", str(WEB)), node("b"), node("c")])
    assert pulls(Start(WEB, pods=9), nodes=held) == Bound(0, 2)


def test_fifty_images_are_as_many_as_a_node_reports():
    nodes = Holdings([node("a", reported=49), node("b", reported=50), node("c", str(WEB), reported=49)])
    assert nodes.of(str(WEB)) == Holding(1, 1, 1)
    (cost,) = cost_of([Start(WEB, node="b")], nodes)
    assert (cost.pulls, cost.unknown_nodes) == (Bound(0, 1), 1)
    assert Node.of({"metadata": {"name": "d"}, "status": {"images": [{"names": list("vwxyz")}]}}).complete is False


def test_a_node_that_reports_nothing_has_not_reported_yet():
    assert Holdings([Node.of({"metadata": {"name": "new"}})]).of(str(WEB)) == Holding(0, 0, 1)


def test_a_pod_that_runs_proves_what_its_node_holds():
    nodes = Holdings([node("a", reported=50)], [("a", str(WEB))])
    assert pulls(Start(WEB, node="a"), nodes=nodes) == Bound()


def test_nothing_is_pulled_where_that_is_forbidden():
    assert pulls(Start(WEB, "Never", node="a"), nodes=Holdings([node("a")])) == Bound()


def test_registries_and_policies_are_apart_and_a_limit_counts_the_index_too():
    costs = cost_of([Start(WEB, node="a"), Start(OWN, node="a"), Start(WEB, "Always", 1)], Holdings([node("a")]))
    assert [(cost.registry, cost.policy) for cost in costs] == [
        ("docker.io", "Always"),
        ("docker.io", "IfNotPresent"),
        ("registry.example.com", "IfNotPresent"),
    ]
    assert counted_at("docker.io", costs) == Bound(2, 4)


def test_without_the_right_to_list_nodes_each_start_may_pull():
    assert pulls(Start(WEB, pods=3), nodes=Holdings()) == Bound(1, 3)
    assert pulls(Start(WEB, node="a"), Start(WEB, node="b"), nodes=Holdings()) == Bound.exactly(2)
