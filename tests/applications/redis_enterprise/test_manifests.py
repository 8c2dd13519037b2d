"""The manifests of a release at a private registry are complete, and right by Homeport's own checks."""

import pytest
import yaml

from homeport.applications.redis_enterprise.checks import Context, check
from homeport.applications.redis_enterprise.effective import effective_images
from homeport.applications.redis_enterprise.facts import Facts
from homeport.applications.redis_enterprise.manifests import Wish, make_manifests
from homeport.applications.redis_enterprise.model import Release
from homeport.applications.redis_enterprise.releases import releases
from homeport.cluster.pull_access import FilePullSecrets
from homeport.errors import UsageError
from homeport.mapping import Target

GCR = Target.parse("gcr.io/yourproject")


def image_spec(name, tag):
    return {"imagePullPolicy": "IfNotPresent", "repository": f"gcr.io/yourproject/redislabs/{name}", "versionTag": tag}


def test_the_documented_examples_field_for_field():
    made = make_manifests(Wish("7.22.0-7", GCR, call_home=False))
    assert made.cluster == {
        "apiVersion": "app.redislabs.com/v1",
        "kind": "RedisEnterpriseCluster",
        "metadata": {"name": "rec"},
        "spec": {
            "nodes": 3,
            "redisEnterpriseImageSpec": image_spec("redis", "7.22.0-28"),
            "bootstrapperImageSpec": image_spec("operator", "7.22.0-7"),
            "redisEnterpriseServicesRiggerImageSpec": image_spec("k8s-controller", "7.22.0-7"),
            # what the documentation leaves out: otherwise the client is pulled from Docker Hub
            "usageMeter": {"callHomeClient": {"disabled": True}},
        },
    }
    spec = made.operator["spec"]
    assert made.operator["metadata"] == {"name": "redis-enterprise-operator"}
    assert (spec["replicas"], spec["selector"]) == (1, {"matchLabels": {"name": "redis-enterprise-operator"}})
    assert spec["template"]["metadata"] == {"labels": {"name": "redis-enterprise-operator"}}
    assert spec["template"]["spec"] == {
        "serviceAccountName": "redis-enterprise-operator",
        "containers": [
            {"name": name, "image": "gcr.io/yourproject/redislabs/operator:7.22.0-7"}
            for name in ("redis-enterprise-operator", "admission")
        ],
    }
    assert made.secret == ""


def test_the_documented_examples_with_a_pull_secret():
    made = make_manifests(Wish("7.22.0-7", GCR, pull_secret="regcred"))
    assert made.operator["spec"]["template"]["spec"]["imagePullSecrets"] == [{"name": "regcred"}]
    assert made.cluster["spec"]["pullSecrets"] == [{"name": "regcred"}]
    assert "imagePullSecrets" not in made.cluster["spec"]
    assert made.secret.startswith(
        "homeport secret regcred --registry gcr.io/yourproject --username USER --password-stdin"
    )
    assert made.cluster["spec"]["usageMeter"]["callHomeClient"]["imageSpec"] == image_spec(
        "re-call-home-client", "7.22.0-7"
    )


@pytest.mark.parametrize(
    ("release", "openshift"),
    [
        (release, openshift)
        for release in releases()
        for openshift in (False, True)
        if not openshift or release.redis[0].openshift
    ],
    ids=lambda it: it.operator if isinstance(it, Release) else "openshift" if it else "kubernetes",
)
def test_every_release_passes_the_checks_and_pulls_what_is_mirrored(release, openshift):
    made = make_manifests(Wish(release.operator, GCR, pull_secret="regcred", openshift=openshift))
    facts = Facts.of([("operator", made.operator), ("cluster", made.cluster)])
    assert check(Context.of(facts, FilePullSecrets({}, {}), secrets_known=False)) == ()
    pulled = {it.image for it in effective_images(facts)}
    assert pulled == {f"gcr.io/yourproject/{image.repository}:{image.tag}" for image in made.images}


def test_names_and_namespace():
    made = make_manifests(
        Wish("8.2.0-13", GCR, namespace="redis", cluster="prod", nodes=5, minimal=True, pull_secret="p")
    )
    assert made.cluster["metadata"] == {"name": "prod", "namespace": "redis"}
    assert made.operator["metadata"]["namespace"] == "redis"
    assert made.cluster["spec"]["nodes"] == 5
    assert made.cluster["spec"]["redisEnterpriseImageSpec"]["versionTag"] == "8.2.0-46.13.minimal"
    assert " -n redis " in made.secret


def test_an_operator_without_a_client_has_none_to_disable():
    assert "usageMeter" not in make_manifests(Wish("7.2.4-7", GCR, call_home=False)).cluster["spec"]


def test_an_unknown_release_needs_its_redis_tag():
    with pytest.raises(UsageError, match="no published Redis tag"):
        make_manifests(Wish("99.0.0-1", GCR))
    assert make_manifests(Wish("99.0.0-1", GCR, redis="99.0.0-5.1")).cluster["spec"]["usageMeter"]


def test_they_are_plain_yaml():
    made = make_manifests(Wish("7.2.4-7", GCR))
    assert yaml.safe_load(yaml.safe_dump(made.cluster)) == made.cluster
