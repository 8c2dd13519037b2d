"""The way from one release to another."""

import pytest

from homeport.applications.redis_enterprise.manifests import Wish
from homeport.applications.redis_enterprise.upgrade import UNKNOWN_TARGET, Route, plan_upgrade, read_route
from homeport.errors import UsageError
from homeport.mapping import Target
from tests.applications.redis_enterprise.texts import facts, operator, rec

REG = Target.parse("reg.io/m")


def plan(begin, end, *, redis=None, olm=None, rhel7=False, **wish):
    return plan_upgrade(Route(begin, Wish(end, REG, redis, **wish), olm, rhel7))


def hops(*arguments, **options):
    return [(hop.operator, hop.redis) for hop in plan(*arguments, **options).hops]


@pytest.mark.parametrize(
    ("begin", "end", "wanted"),
    [
        ("7.2.4-7", "7.2.4-12", ["7.2.4-12"]),
        ("7.2.4-7", "7.8.6-1", ["7.4.2-2", "7.8.6-1"]),
        ("7.4.2-2", "7.8.6-1", ["7.8.6-1"]),
        ("7.4.6-2", "8.2.0-13", ["8.2.0-13"]),
        ("6.2.8-2", "6.2.12-1", ["6.2.12-1"]),
        ("6.2.8-2", "7.2.4-7", ["6.2.10-45", "7.2.4-7"]),
        ("6.2.8-2", "8.2.0-13", ["6.2.10-45", "7.4.2-2", "8.2.0-13"]),
        ("7.2.4-7", "7.4.2-2", ["7.4.2-2"]),
    ],
)
def test_minimum_hops(begin, end, wanted):
    assert [operator for operator, _ in hops(begin, end)] == wanted
    assert all(hop.why for hop in plan(begin, end).hops[:-1])
    assert plan(begin, end).hops[-1].why == ""


def test_from_rhel_7_the_nodes_go_over_7_2_4():
    assert hops("6.2.18-3", "7.4.6-2", rhel7=True, openshift=True) == [
        ("7.2.4-2", "7.2.4-52.rhel7-openshift"),
        ("7.2.4-7", "7.2.4-64.rhel8-openshift"),
        ("7.4.6-2", "7.4.6-22.rhel8-openshift"),
    ]
    assert hops("6.2.18-3", "6.2.18-41", rhel7=True, openshift=True) == [("6.2.18-41", "6.2.18-65.rhel7-openshift")]
    assert hops("7.2.4-2", "7.2.4-7", rhel7=True, openshift=True) == [("7.2.4-7", "7.2.4-64.rhel8-openshift")]
    # Red Hat had RHEL 7 images alone up to 6.2.10-4.
    assert ("7.2.4-2", "7.2.4-52.rhel7-openshift") in hops("6.2.8-2", "7.4.2-2", openshift=True)
    assert ("7.2.4-2", "7.2.4-52.rhel7-openshift") in hops("6.2.10-4", "7.4.2-2", openshift=True)
    assert hops("6.2.18-3", "7.4.2-2", openshift=True) == [("7.4.2-2", "7.4.2-54.rhel8-openshift")]


def test_the_order_of_the_steps_with_what_waits_and_restarts():
    (hop,) = plan("7.2.4-7", "7.4.2-2", namespace="redis", pull_secret="regcred").hops
    assert [step.title.partition(" ")[0] for step in hop.steps] == ["Mirror", "Apply", "Reapply", "Upgrade", "Upgrade"]
    mirror, bundle, webhook, cluster, databases = hop.steps
    images = "docker.io/redislabs/redis:7.4.2-54 docker.io/redislabs/operator:7.4.2-2 docker.io/redislabs/k8s-controller:7.4.2-2"
    assert mirror.commands[-1] == f"homeport mirror --to reg.io/m {images}"
    assert bundle.commands[0].endswith("/v7.4.2-2/bundle.yaml")
    assert bundle.commands[1] == "homeport relocate --to reg.io/m --pull-secret regcred --in-place bundle.yaml"
    assert "kubectl apply -n redis -f bundle.yaml" in bundle.commands
    assert "manages neither cluster nor databases" in bundle.suspended
    assert any("s/OPERATOR_NAMESPACE/redis/g" in command for command in webhook.commands)
    assert '"versionTag":"7.4.2-54"' in cluster.commands[0]
    assert '"pullSecrets":[{"name":"regcred"}]' in cluster.commands[0]
    assert '"nodes"' not in cluster.commands[0]
    assert "highest number down" in cluster.restarts
    assert "call-home" not in cluster.restarts
    assert "redisVersion" in databases.commands[-1]


def test_pulls_of_the_roll_out():
    assert [hop.pulls for hop in plan("7.4.6-2", "8.2.0-13", nodes=3).hops] == [9]
    assert [hop.pulls for hop in plan("7.4.6-2", "8.2.0-13", nodes=5, call_home=False).hops] == [12]


@pytest.mark.parametrize(("end", "commit"), [("7.4.6-9", "c9711ae"), ("7.8.6-11", "65cb922")])
def test_where_the_git_tag_holds_another_bundle_the_commit_is_named(end, commit):
    (hop,) = plan("7.4.6-7", end).hops
    assert f"/{commit}/bundle.yaml" in hop.steps[1].commands[0]


def test_with_olm_the_subscription_upgrades_the_operator():
    (hop,) = plan("7.4.6-2", "8.2.0-13", olm=True, openshift=True).hops
    assert len(hop.steps) == 4
    assert "installplan" in hop.steps[1].commands[0]
    assert "registry.connect.redhat.com/redislabs/services-manager@sha256:6aafeed58c42d9c2" in hop.steps[0].commands[1]


def test_a_newer_build_of_redis_alone_leaves_the_operator():
    (hop,) = plan("7.2.4-12", "7.2.4-12", redis="7.2.4-130").hops
    assert [step.title.partition(" ")[0] for step in hop.steps] == ["Mirror", "Upgrade", "Upgrade"]


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        ("7.4.2-2", "7.2.4-7", "goes back, and no way back is documented"),
        ("7.2.4-7", "7.2.4-7", "is there already"),
        ("7.22.2-43", "8.0.20-26", "7-22-2-43-august2026.md"),
        ("7.2.4-7", "99.0.0-1", "not among the known releases"),
        ("1.0.0-1", "7.2.4-7", "not among the known releases"),
        ("nonsense", "7.2.4-7", "not an operator's version"),
    ],
)
def test_what_is_not_supported_is_refused_with_the_reason(begin, end, words):
    with pytest.raises(UsageError, match=words):
        plan(begin, end)


def test_the_gap_of_olm_is_refused_unless_olm_is_not_there():
    with pytest.raises(UsageError, match="OLM"):
        plan("7.22.2-43", "8.0.20-26", olm=True)
    assert hops("7.22.2-43", "8.0.20-26", olm=False) == [("8.0.20-26", "8.0.20-96.26")]


def route(*texts, begin="7.2.4-7", end="7.4.2-2"):
    return read_route(facts(*texts), Route(begin, Wish(end, REG)))


def test_manifests_tell_the_rest():
    red_hat = "registry.connect.redhat.com/redislabs/redis-enterprise-operator"
    found = route(
        operator("7.2.4-7", red_hat),
        rec("nodes: 5\nredisEnterpriseImageSpec: {versionTag: 7.2.4-64.rhel7-openshift}", "prod"),
    )
    assert (found.wish.openshift, found.wish.nodes, found.wish.cluster) == (True, 5, "prod")
    assert (found.rhel7, found.olm) == (True, False)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([rec(status="{state: Upgrade}")], "has begun already"),
        ([rec(status="{state: InvalidUpgrade}")], "has begun already"),
        (
            [rec("upgradeSpec: {autoUpgradeRedisEnterprise: true}\nbootstrapperImageSpec: {digestHash: x}")],
            "digestHash beside autoUpgradeRedisEnterprise",
        ),
        ([operator("7.2.4-2")], "are of operator 7.2.4-2, not of 7.2.4-7"),
    ],
)
def test_an_upgrade_does_not_begin_where_manifests_say_it_must_not(texts, words):
    with pytest.raises(UsageError, match=words):
        route(*texts)


def test_what_to_look_after_before():
    notes = " ".join(plan("6.2.8-2", "8.2.0-13").before)
    assert "Redis 7.2 or later" in notes
    assert "RHEL 9" in notes
    assert "call-home" in notes
    assert "redisenterprise.admission.redislabs" in notes
    assert len(plan("7.22.2-21", "8.2.0-13").before) == 2


AT_HOME = """\
redisEnterpriseImageSpec: {repository: r.io:5000/a/m/redislabs/redis, versionTag: 7.2.4-64}
bootstrapperImageSpec: {repository: r.io:5000/a/m/redislabs/operator}
pullSecrets: [{name: regcred}]"""


def test_the_files_tell_the_registry_the_secret_and_the_namespace():
    running = facts(
        operator("7.2.4-7", "r.io:5000/a/m/redislabs/operator"),
        rec(AT_HOME).replace("{name: rec}", "{name: rec, namespace: redis}"),
    )
    learned = read_route(running, Route("7.2.4-7", Wish("7.4.2-2", UNKNOWN_TARGET), None)).wish
    assert (str(learned.target), learned.pull_secret, learned.namespace) == ("r.io:5000/a/m", "regcred", "redis")
    said = Wish("7.4.2-2", REG, pull_secret="mine", namespace="other")
    kept = read_route(running, Route("7.2.4-7", said, None)).wish
    assert (kept.target, kept.pull_secret, kept.namespace) == (REG, "mine", "other")


@pytest.mark.parametrize("repository", ["redislabs/operator", "r.io/operator"])
def test_where_they_do_not_tell_a_registry_none_is_guessed(repository):
    learned = read_route(
        facts(operator("7.2.4-7", repository), rec()), Route("7.2.4-7", Wish("7.4.2-2", UNKNOWN_TARGET), None)
    )
    assert (learned.wish.target, learned.wish.pull_secret) == (UNKNOWN_TARGET, None)
