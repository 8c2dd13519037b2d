"""Redis Enterprise for Kubernetes: releases, image fields, version rules."""

from homeport.applications.redis_enterprise.fields import FIELDS as KNOWLEDGE

__all__ = ["KNOWLEDGE"]
