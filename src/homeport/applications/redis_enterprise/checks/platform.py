"""Checks of what surrounds a cluster: OLM bundles, nodes, and an upgrade under way."""

from collections.abc import Iterator
from typing import Final

from homeport.applications.redis_enterprise.checks.problem import Context, Problem, Rule
from homeport.applications.redis_enterprise.facts import Facts, Steps, Thing, read_image, same_namespace
from homeport.applications.redis_enterprise.fields import REDIS
from homeport.discovery.tree import dig, is_list, is_map, text_of
from homeport.oci.digest import is_digest

PLACEHOLDER: Final = Rule(
    "RE043", "error", "A bundle was once published with a placeholder for a digest (certified-operators, pull 8431)."
)
UNRELATED: Final = Rule(
    "RE044", "error", "oc-mirror and a disconnected catalog bring what relatedImages names, and nothing else."
)
ARM: Final = Rule("RE050", "error", 'The images are built for amd64 alone; on arm they end in "exec format error".')
SOME_ARM: Final = Rule(
    "RE051", "warning", 'The images are built for amd64 alone; a pod on an arm node ends in "exec format error".'
)
UPGRADING: Final = Rule(
    "RE052",
    "warning",
    "Image specs are left alone until an upgrade has ended; before 8.0.6-8 an edit is blocked (RED-84166).",
)
EDITED: Final = Rule(
    "RE053",
    "error",
    "A tag that is edited while an upgrade runs is blocked before 8.0.6-8 (RED-84166), and mixes two upgrades.",
)
INVALID: Final = Rule("RE054", "error", "The operator refuses to go on until the spec is mended.")

_ARCH: Final = ("kubernetes.io/arch", "beta.kubernetes.io/arch")
_NODE_POD: Final = ("spec", "redisEnterpriseAdditionalPodSpecAttributes")


def check_bundles(context: Context) -> Iterator[Problem]:
    """Check the digests of ClusterServiceVersions."""
    for thing in context.facts.things:
        related = dig(thing.root, ("spec", "relatedImages"))
        if thing.key.kind != "ClusterServiceVersion" or not is_list(related):
            continue
        known = set()
        for index, image in enumerate(related):
            digest = text_of(dig(image, ("image",))).partition("@")[2]
            known.add(digest)
            if digest and not is_digest(digest):
                yield PLACEHOLDER.broken(
                    thing,
                    ("spec", "relatedImages", index, "image"),
                    f"{text_of(dig(image, ('name',)))} has the digest {digest!r}",
                    "Take another bundle of the same release.",
                )
        for operator in context.facts.operators:
            if operator.thing is not thing:
                continue
            for name, value in operator.environment.items():
                if name.endswith("_IMAGE_DIGEST") and value not in known:
                    yield UNRELATED.broken(
                        thing,
                        operator.pod,
                        f"{name} is {value}, which relatedImages does not name",
                        "Mirror that digest as well, or take another bundle of the same release.",
                    )


def check_architecture(context: Context) -> Iterator[Problem]:
    """Check that no pod is sent to arm nodes."""
    for cluster in context.facts.clusters:
        places: tuple[Steps, ...] = (("spec", "nodeSelector"), (*_NODE_POD, "nodeSelector"))
        affinity: Steps = (*_NODE_POD, "affinity", "nodeAffinity")
        yield from _arm(cluster, places, affinity)
    for operator in context.facts.operators:
        yield from _arm(operator.thing, ((*operator.pod, "nodeSelector"),), (*operator.pod, "affinity", "nodeAffinity"))
    nodes = [thing for thing in context.facts.things if thing.key.kind == "Node"]
    arm = [thing for thing in nodes if _architecture(thing).startswith("arm")]
    if arm and not _pinned(context.facts):
        whole = len(arm) == len(nodes)
        yield (ARM if whole else SOME_ARM).broken(
            arm[0],
            ("status", "nodeInfo", "architecture"),
            f"{len(arm)} of {len(nodes)} nodes are {_architecture(arm[0])}",
            "Add amd64 nodes." if whole else "Add nodeSelector: {kubernetes.io/arch: amd64} to the cluster.",
        )


def check_upgrade(context: Context) -> Iterator[Problem]:
    """Check whether an upgrade is under way, and whether the tag was edited since it began."""
    for cluster in context.facts.clusters:
        state, path = text_of(dig(cluster.root, ("status", "state"))), (*REDIS.path, REDIS.tag)
        if state == "InvalidUpgrade":
            yield INVALID.broken(
                cluster, ("status", "state"), "the state is InvalidUpgrade", "Mend what is named here."
            )
        if state != "Upgrade":
            continue
        wanted, running = text_of(dig(cluster.root, path)), _rolling(context.facts, cluster)
        if wanted and running and wanted != running:
            yield EDITED.broken(
                cluster,
                path,
                f"the nodes are being brought to {running}, and the tag says {wanted}",
                f"Write {REDIS.tag}: {running}, and go on from there once the state is Running.",
            )
        else:
            yield UPGRADING.broken(
                cluster, ("status", "state"), "an upgrade is under way", "Wait for the state Running (kubectl get rec)."
            )


def _arm(thing: Thing, selectors: tuple[Steps, ...], affinity: Steps) -> Iterator[Problem]:
    for path in selectors:
        for label in _ARCH:
            value = text_of(dig(thing.root, (*path, label)))
            if value.startswith("arm"):
                yield ARM.broken(thing, (*path, label), f"the pods are sent to {value} nodes", f"Write {label}: amd64.")
    required = dig(thing.root, (*affinity, "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"))
    for term in required if is_list(required) else ():
        expressions = dig(term, ("matchExpressions",))
        for expression in expressions if is_list(expressions) else ():
            values = dig(expression, ("values",))
            if (
                text_of(dig(expression, ("key",))) in _ARCH
                and text_of(dig(expression, ("operator",))) == "In"
                and is_list(values)
                and all(text_of(value).startswith("arm") for value in values)
            ):
                yield ARM.broken(thing, affinity, "the pods are sent to arm nodes", "Write amd64 there.")


def _pinned(facts: Facts) -> bool:
    """Tell whether every cluster is sent to amd64 nodes."""
    selectors = [dig(cluster.root, ("spec", "nodeSelector")) for cluster in facts.clusters]
    return bool(selectors) and all(is_map(it) and any(it.get(label) == "amd64" for label in _ARCH) for it in selectors)


def _architecture(node: Thing) -> str:
    labels = (text_of(dig(node.root, ("metadata", "labels", label))) for label in _ARCH)
    return text_of(dig(node.root, ("status", "nodeInfo", "architecture"))) or next(filter(None, labels), "")


def _rolling(facts: Facts, cluster: Thing) -> str:
    """Return the Redis tag that the cluster's StatefulSet is at."""
    for thing in facts.things:
        if (
            thing.key.kind == "StatefulSet"
            and thing.key.name == cluster.key.name
            and same_namespace(thing.key, cluster.key)
        ):
            containers = dig(thing.root, ("spec", "template", "spec", "containers"))
            for container in containers if is_list(containers) else ():
                image = read_image(text_of(dig(container, ("image",))))
                if text_of(dig(container, ("name",))) == "redis-enterprise-node" and image:
                    return image.tag or ""
    return ""
