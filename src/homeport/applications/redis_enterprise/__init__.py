"""Redis Enterprise for Kubernetes: releases, image fields, version rules."""

from typing import Final

from homeport.applications.redis_enterprise.implied import Choice, choose, knowledge
from homeport.applications.redis_enterprise.releases import images_of

KNOWLEDGE: Final = knowledge(Choice())
"""All rules, where nothing is known of the release."""

__all__ = ["KNOWLEDGE", "Choice", "choose", "images_of", "knowledge"]
