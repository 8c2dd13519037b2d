"""A problem in a deployment, and what the checks look at."""

from collections import Counter
from typing import Final, Literal

import msgspec

from homeport.applications.redis_enterprise.effective import Situation, resolve
from homeport.applications.redis_enterprise.facts import Facts, Steps, Thing, read_image
from homeport.applications.redis_enterprise.fields import FIELDS
from homeport.applications.redis_enterprise.releases import RED_HAT
from homeport.cluster.pull_access import PullSecrets
from homeport.discovery.findings import ObjectKey
from homeport.discovery.mirror_sets import mirrored_image, rules_of
from homeport.reference import DOCKER_HUB, Reference

Severity = Literal["error", "warning"]
PUBLIC: Final = frozenset({DOCKER_HUB, RED_HAT})
SHARED: Final = PUBLIC | {
    "registry.redhat.io",
    "registry.access.redhat.com",
    "quay.io",
    "ghcr.io",
    "gcr.io",
    "registry.k8s.io",
    "public.ecr.aws",
    "mcr.microsoft.com",
    "nvcr.io",
}
"""Registries on the internet that many share; a private one beside another private one is nobody's mistake."""


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong, or that a person should know: where, why, and what to do. Lines are -1 in live objects."""

    id: str
    severity: Severity
    source: str
    line: int
    object: ObjectKey
    path: str
    what: str
    why: str
    fix: str


class Rule(msgspec.Struct, frozen=True):
    """A rule with the number that it keeps, and the reason for it."""

    id: str
    severity: Severity
    why: str

    def broken(self, thing: Thing, path: Steps, what: str, fix: str) -> Problem:
        """Return the problem at a place."""
        return Problem(
            self.id, self.severity, thing.source, thing.line(path), thing.key, thing.where(path), what, self.why, fix
        )


class Context(msgspec.Struct, frozen=True, eq=False):
    """What the checks look at: the facts, each cluster's situation, the pull secrets, and the registry that all is to come from.

    `home` is empty where no registry but the public ones is in use; where a person has named it, the check is `strict`, and no other
    registry is right. `secrets_known` tells whether an absent Secret is known to be
    absent: in a live cluster, and in files that hold Secrets.
    """

    facts: Facts
    situations: tuple[Situation, ...]
    secrets: PullSecrets
    secrets_known: bool
    home: str
    openshift: bool
    strict: bool

    @classmethod
    def of(
        cls,
        facts: Facts,
        secrets: PullSecrets,
        *,
        secrets_known: bool,
        home: str | None = None,
        openshift: bool | None = None,
    ) -> "Context":
        """Learn what is not said: the private registry that most images are from, and the platform."""
        situations = tuple(Situation.of(facts, cluster, openshift=openshift) for cluster in facts.clusters)
        return cls(
            facts,
            situations,
            secrets,
            secrets_known,
            _home(facts, situations) if home is None else home,
            any(it.openshift for it in situations) or any(it.openshift for it in facts.operators) or openshift is True,
            home is not None,
        )

    @property
    def expected(self) -> str:
        """The registry that images should be from: the private one, else the one that the operator is from; empty if unknown."""
        registries = {image.registry for operator in self.facts.operators for image in operator.images}
        return self.home or (registries.pop() if len(registries) == 1 else "")

    def is_mirrored(self, image: Reference) -> bool:
        """Tell whether a mirror set sends the pulls of an image to home, and never to its source."""
        rules = (rule for thing in self.facts.things for rule in rules_of(thing.root, thing.key, thing.source))
        pulled = mirrored_image(image, tuple(rules))
        return pulled is not None and not pulled.source_allowed and pulled.mirrors[0].startswith(f"{self.home}/")

    def strays(self, registry: str) -> bool:
        """Tell whether an image of a registry should be from home."""
        return bool(self.home) and registry != self.home and (self.strict or registry in SHARED)


def _home(facts: Facts, situations: tuple[Situation, ...]) -> str:
    used = [image.registry for operator in facts.operators for image in operator.images]
    for situation in situations:
        named = (resolve(situation, field) for field in FIELDS.images)
        used += [image.registry for it in named if it.named and (image := read_image(it.repository))]
    private = Counter(registry for registry in used if registry not in PUBLIC)
    return private.most_common(1)[0][0] if private else ""
