"""What a rollback refuses before it touches anything."""

import pytest

from homeport.cluster.changes import Change
from homeport.cluster.record import Changed, Record
from homeport.discovery.findings import ObjectKey
from homeport.errors import ClusterError
from homeport.workflow.live_rollback import plan_rollback

KEY = ObjectKey("app.redislabs.com/v1", "RedisEnterpriseCluster", "redis", "rec")
CHANGE = Change(("spec", "redisEnterpriseImageSpec", "repository"), "redislabs/redis", "r.io/redislabs/redis")
RECORD = Record("r.io", (Changed(KEY, (CHANGE,)),))


class OneObject:
    """An API server that has one object."""

    def __init__(self, state):
        spec = {"redisEnterpriseImageSpec": {"repository": "r.io/redislabs/redis", "versionTag": "7.2.4-64"}}
        metadata = {"name": KEY.name, "namespace": KEY.namespace}
        self.value = {"apiVersion": KEY.api_version, "kind": KEY.kind, "metadata": metadata, "spec": spec}
        self.value["status"] = {"state": state}

    def path(self, _value):
        return "/rec"

    def get(self, _path):
        return self.value


@pytest.mark.parametrize("state", ["Upgrade", "InvalidUpgrade"])
def test_a_redis_cluster_whose_upgrade_has_begun_keeps_its_names(state):
    with pytest.raises(ClusterError, match=f"is in state {state}: its names are not taken back"):
        plan_rollback(OneObject(state), RECORD)


@pytest.mark.parametrize("state", ["Running", "Initializing"])
def test_any_other_goes_back_and_so_does_one_that_never_came_up(state):
    plan = plan_rollback(OneObject(state), RECORD)
    assert [(step.object, step.changes) for step in plan.restored] == [(KEY, (CHANGE,))]
