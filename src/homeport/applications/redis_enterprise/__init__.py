"""Redis Enterprise for Kubernetes: releases, image fields, version rules, checks, and the way from one release to another."""

from collections.abc import Sequence
from typing import Final

from homeport.applications.application import Application, Learned, Versions
from homeport.applications.redis_enterprise.implied import Choice, choose, knowledge
from homeport.applications.redis_enterprise.releases import at_red_hat, images_of
from homeport.discovery.findings import Finding

KNOWLEDGE: Final = knowledge(Choice())
"""All rules, where nothing is known of the release."""


def learn(findings: Sequence[Finding], versions: Versions) -> Learned:
    """Learn the release from the operator among the findings, unless a person says it."""
    choice = choose(findings, versions.operator, versions.redis)
    return Learned(knowledge(choice), choice.operators)


REDIS_ENTERPRISE: Final = Application("Redis Enterprise", KNOWLEDGE, learn)

__all__ = ["KNOWLEDGE", "REDIS_ENTERPRISE", "Choice", "at_red_hat", "choose", "images_of", "knowledge"]
