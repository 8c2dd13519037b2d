"""Checks of pull secrets, matched as the kubelet matches them: host, port, path, wildcards."""

from collections.abc import Iterator
from typing import Final

import msgspec

from homeport.applications.redis_enterprise.checks.problem import PUBLIC, Context, Problem, Rule
from homeport.applications.redis_enterprise.effective import Situation, extra_containers, resolve
from homeport.applications.redis_enterprise.facts import Steps, Thing, read_image
from homeport.applications.redis_enterprise.fields import FIELDS
from homeport.cluster.keyring import Keyring
from homeport.cluster.pull_access import Held, names_in
from homeport.discovery.tree import dig, text_of
from homeport.reference import Reference

MISSING: Final = Rule(
    "RE030", "error", "A pod uses Secrets of its own namespace alone; one that is absent is passed over."
)
NO_ENTRY: Final = Rule(
    "RE031", "error", "The kubelet sends a credential only where the entry's host, port and path match."
)
BROKEN: Final = Rule(
    "RE032", "error", "A Secret that the kubelet cannot read fails every pull of the pod that names it."
)
NONE_NAMED: Final = Rule(
    "RE033", "warning", "Without a pull secret the kubelet pulls anonymously, unless the node has credentials."
)


class Pod(msgspec.Struct, frozen=True, eq=False):
    """A pod that pulls: where its list of secrets stands, its own secrets, its service account, and its images."""

    thing: Thing
    path: Steps
    names: tuple[str, ...]
    account: str
    images: tuple[Reference, ...]


def check_pull_secrets(context: Context) -> Iterator[Problem]:
    """Check for each pod that its secrets are there, readable, and serve its images."""
    for pod in _pods(context):
        lent = () if pod.names else context.secrets.lent(pod.thing.key.namespace, pod.account)
        names = pod.names or lent or ()
        if names:
            yield from _check(context, pod, names)
        elif lent is not None and (private := _private(pod)):
            yield NONE_NAMED.broken(
                pod.thing,
                pod.path,
                f"{private[0].registry} is private, and neither this nor service account {pod.account} names a secret",
                f"Add {pod.path[-1]}: [{{name: NAME}}], and make it: homeport secret NAME --registry {private[0].registry}",
            )


def _check(context: Context, pod: Pod, names: tuple[str, ...]) -> Iterator[Problem]:
    namespace = pod.thing.key.namespace
    keyring, unsure = Keyring(), False
    for name in names:
        held = context.secrets.secret(namespace, name)
        if held.broken:
            yield BROKEN.broken(
                pod.thing, pod.path, f"Secret {name}: {held.broken}", f"Make it anew: homeport secret {name}"
            )
        elif _is_absent(held, filled=context.secrets.filled):
            unsure = True
            if context.secrets_known:
                yield MISSING.broken(
                    pod.thing,
                    pod.path,
                    held.unknown or f"there is no Secret {name} in namespace {namespace}",
                    f"Make it: homeport secret {name} --registry REGISTRY" + (f" -n {namespace}" if namespace else ""),
                )
        unsure = unsure or bool(held.unknown)
        keyring += held.keyring
    if unsure:
        return
    for image in _private(pod):
        if not keyring.match(image):
            kept = ", ".join(sorted({entry.key for entry in keyring.entries})) or "nothing"
            yield NO_ENTRY.broken(
                pod.thing,
                pod.path,
                f"no entry of {', '.join(names)} serves {image}; there {'is' if kept == 'nothing' else 'are'}: {kept}",
                f"Make the secret for it: homeport secret {names[0]} --registry {image.registry}",
            )
            return


def _pods(context: Context) -> Iterator[Pod]:
    for operator in context.facts.operators:
        spec = dig(operator.thing.root, operator.pod)
        account = text_of(dig(spec, ("serviceAccountName",))) or "default"
        path = (*operator.pod, "imagePullSecrets")
        yield Pod(operator.thing, path, names_in(dig(operator.thing.root, path)), account, tuple(operator.images))
    for situation in context.situations:
        yield _cluster_pod(situation)


def _cluster_pod(situation: Situation) -> Pod:
    cluster = situation.cluster
    fields = [field for field in FIELDS.images if field is not FIELDS.images[-1] or situation.runs_call_home]
    texts = [resolve(situation, field).image for field in fields]
    texts += [text for _, _, _, text in extra_containers(cluster)]
    names = names_in(dig(cluster.root, ("spec", "pullSecrets")))
    account = text_of(dig(cluster.root, ("spec", "serviceAccountName"))) or cluster.key.name
    images = tuple(image for text in texts if (image := read_image(text)))
    return Pod(cluster, ("spec", "pullSecrets"), names, account, images)


def _private(pod: Pod) -> list[Reference]:
    return [image for image in pod.images if image.registry not in PUBLIC]


def _is_absent(held: Held, *, filled: bool) -> bool:
    """Tell whether a Secret is not there; files leave open what they do not hold, a cluster answers with nothing."""
    if not filled:
        return bool(held.unknown)
    return not (held.keyring.entries or held.keyring.ignored or held.unknown)
