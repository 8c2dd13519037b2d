"""Whatever stands in a manifest, checks and reports come to an end without an exception."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeport.applications.redis_enterprise.checks import Context, check
from homeport.applications.redis_enterprise.effective import effective_images
from homeport.applications.redis_enterprise.facts import Facts
from homeport.applications.redis_enterprise.fields import FIELDS
from homeport.applications.registry import KNOWLEDGE
from homeport.cluster.pull_access import FilePullSecrets
from homeport.discovery.walk import walk

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        ["", "7.2.4-64", "redislabs/redis", "reg.io/a:1@b", "sha256:1", "Upgrade", "::", "http://[", "[::1]:5"]
    ),
    st.text(max_size=8),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=4), inner, max_size=2)),
    max_leaves=4,
)
image_spec = st.one_of(
    anything, st.fixed_dictionaries({}, optional=dict.fromkeys(("repository", "versionTag", "digestHash"), anything))
)
container = st.one_of(
    anything,
    st.fixed_dictionaries({"name": anything, "image": anything}, optional={"env": st.lists(anything, max_size=1)}),
)
pods = st.fixed_dictionaries(
    {"containers": st.one_of(anything, st.lists(container, max_size=2))},
    optional={"imagePullSecrets": anything, "nodeSelector": anything, "affinity": anything},
)
specs = st.fixed_dictionaries(
    {},
    optional={
        **{field.path[1]: image_spec for field in FIELDS.images},
        "usageMeter": st.one_of(
            anything, st.fixed_dictionaries({"callHomeClient": st.fixed_dictionaries({"imageSpec": image_spec})})
        ),
        "pullSecrets": st.one_of(anything, st.lists(anything, max_size=2)),
        "sideContainersSpec": st.one_of(anything, st.lists(container, max_size=2)),
        "userDefinedModules": st.lists(
            st.fixed_dictionaries(
                {"source": st.fixed_dictionaries({"https": st.fixed_dictionaries({"url": scalars})})}
            ),
            max_size=1,
        ),
        "nodeSelector": anything,
        "nodes": anything,
        "upgradeSpec": anything,
    },
)
objects = st.one_of(
    anything,
    st.builds(
        lambda spec, status: {
            "apiVersion": "app.redislabs.com/v1",
            "kind": "RedisEnterpriseCluster",
            "metadata": {"name": "rec"},
            "spec": spec,
            "status": status,
        },
        st.one_of(anything, specs),
        st.one_of(anything, st.fixed_dictionaries({"state": scalars})),
    ),
    st.builds(
        lambda pod: {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "redis-enterprise-operator"},
            "spec": {"template": {"spec": pod}},
        },
        st.one_of(anything, pods),
    ),
    st.builds(
        lambda version, related, deployments: {
            "kind": "ClusterServiceVersion",
            "spec": {"version": version, "relatedImages": related, "install": {"spec": {"deployments": deployments}}},
        },
        scalars,
        st.one_of(anything, st.lists(container, max_size=2)),
        st.one_of(
            anything,
            st.lists(
                st.fixed_dictionaries(
                    {"spec": st.fixed_dictionaries({"template": st.fixed_dictionaries({"spec": pods})})}
                ),
                max_size=1,
            ),
        ),
    ),
    st.builds(
        lambda image, cluster, secrets: {
            "operator": {"image": image},
            "admission": {"setCABundle": True},
            "cluster": cluster,
            "imagePullSecrets": secrets,
        },
        image_spec,
        st.one_of(anything, st.fixed_dictionaries({"create": st.just(value=True), "spec": specs, "name": scalars})),
        anything,
    ),
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(objects, max_size=3), st.sampled_from([None, "", "reg.io"]), st.sampled_from([None, True, False]))
def test_no_manifest_breaks_the_checks(roots, home, openshift):
    facts = Facts.of(("f", root) for root in roots)
    context = Context.of(facts, FilePullSecrets.of(roots), secrets_known=True, home=home, openshift=openshift)
    for problem in check(context):
        assert problem.id.startswith("RE")
        assert problem.what
    effective_images(facts, openshift=openshift)
    for root in roots:
        walk(root, "f", KNOWLEDGE)
