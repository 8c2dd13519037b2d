"""The steps of one upgrade, with the exact commands.

The order is the vendor's (redis/docs, upgrade/upgrade-redis-cluster.md and upgrade-olm.md): operator with admission and CRDs, webhook,
cluster, databases. The operator suspends the management of cluster and databases from its own upgrade until the cluster's is done.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from homeport.applications.redis_enterprise.manifests import Wish, make_manifests
from homeport.applications.redis_enterprise.releases import bundle_images
from homeport.reference import Reference

_RAW: Final = "https://raw.githubusercontent.com/RedisLabs/redis-enterprise-k8s-docs"
_WRONG_GIT_TAGS: Final = {"7.4.6-9": "c9711ae", "7.8.6-11": "65cb922"}
"""Releases whose git tag holds the bundle of another one, and the commit that holds the right one."""


class Step(msgspec.Struct, frozen=True):
    """One step: what is done, with which commands, what waits meanwhile, and what restarts in which order."""

    title: str
    commands: tuple[str, ...]
    suspended: str = ""
    restarts: str = ""


def hop_steps(begin: str, wish: Wish, images: Sequence[Reference], *, olm: bool) -> tuple[Step, ...]:
    """Return the steps that bring a deployment to a release."""
    operator = () if begin == wish.operator else (_subscription(wish),) if olm else (_bundle(wish), _webhook(wish))
    digests = bundle_images(wish.operator) if olm else []
    return (_mirror(wish, [*images, *digests]), *operator, _cluster(wish), _databases(wish))


def _mirror(wish: Wish, images: Sequence[Reference]) -> Step:
    names = " ".join(map(str, images))
    cost = f"homeport mirror --dry-run --to {wish.target} {names}"
    return Step(
        "Mirror the images; the dry run says what it costs", (cost, f"homeport mirror --to {wish.target} {names}")
    )


def _bundle(wish: Wish) -> Step:
    file = "openshift.bundle.yaml" if wish.openshift else "bundle.yaml"
    at = _WRONG_GIT_TAGS.get(wish.operator, f"v{wish.operator}")
    secret = f" --pull-secret {wish.pull_secret}" if wish.pull_secret else ""
    return Step(
        "Apply the bundle: operator, admission, CRDs, roles",
        (
            f"curl -fsSO {_RAW}/{at}/{file}",
            f"homeport relocate --to {wish.target}{secret} --in-place {file}",
            f"homeport redis-enterprise check {file}",
            f"kubectl apply{_in(wish)} -f {file}",
            f"kubectl rollout status{_in(wish)} deployment/redis-enterprise-operator",
        ),
        suspended="from here until the cluster's upgrade is done, the operator manages neither cluster nor databases",
        restarts="the operator's pod, with both of its containers",
    )


def _webhook(wish: Wish) -> Step:
    namespace = wish.namespace or "NAMESPACE"
    patch = '{"webhooks":[{"name":"redisenterprise.admission.redislabs","clientConfig":{"caBundle":"\'"$CERT"\'"}}]}'
    at = _WRONG_GIT_TAGS.get(wish.operator, f"v{wish.operator}")
    return Step(
        "Reapply the ValidatingWebhookConfiguration, where the admission controller is in use",
        (
            f"curl -fsSO {_RAW}/{at}/admission/webhook.yaml",
            f"sed 's/OPERATOR_NAMESPACE/{namespace}/g' webhook.yaml | kubectl apply -f -",
            f"CERT=$(kubectl get secret admission-tls{_in(wish)} -o jsonpath='{{.data.cert}}')",
            f"kubectl patch validatingwebhookconfiguration redis-enterprise-admission --patch '{patch}'",
        ),
        suspended="until it is done the API server may refuse databases (failurePolicy: Fail)",
    )


def _subscription(wish: Wish) -> Step:
    return Step(
        "Let OLM upgrade the operator: approve the install plan of this release in the Subscription's channel",
        (
            f"oc get installplan{_in(wish)}",
            f'oc patch installplan INSTALL-PLAN{_in(wish)} --type merge -p \'{{"spec":{{"approved":true}}}}\'',
            f"oc get csv{_in(wish)} -w",
        ),
        suspended="from here until the cluster's upgrade is done, the operator manages neither cluster nor databases",
        restarts="the operator's pod, with both of its containers; OLM undoes edits of its Deployment",
    )


def _cluster(wish: Wish) -> Step:
    spec = {key: value for key, value in make_manifests(wish).cluster["spec"].items() if key != "nodes"}
    patch = msgspec.json.encode({"spec": spec}).decode()
    client = "; the call-home client's next job" if "imageSpec" in str(spec.get("usageMeter")) else ""
    return Step(
        "Upgrade the cluster soon after",
        (
            f"kubectl patch rec {wish.cluster}{_in(wish)} --type merge -p '{patch}'",
            f"kubectl rollout status{_in(wish)} statefulset/{wish.cluster}",
            f"kubectl get rec {wish.cluster}{_in(wish)}",
        ),
        suspended="databases are not managed, and image specs are left alone, until the state is Running again",
        restarts=f"the pods of StatefulSet {wish.cluster}, one at a time from the highest number down;"
        f" the services rigger's pod{client}",
    )


def _databases(wish: Wish) -> Step:
    return Step(
        "Upgrade the databases",
        (
            f"kubectl get rec {wish.cluster}{_in(wish)} -o jsonpath='{{.status.bundledDatabaseVersions}}'",
            f'kubectl patch redb DATABASE{_in(wish)} --type merge -p \'{{"spec":{{"redisVersion":"VERSION"}}}}\'',
        ),
    )


def _in(wish: Wish) -> str:
    return f" -n {wish.namespace}" if wish.namespace else ""
