"""Checks before anything is applied: pure functions from what manifests or a cluster say to numbered problems."""

from collections.abc import Callable, Iterator
from typing import Final

from homeport.applications.redis_enterprise.checks import platform, registries, secrets, shapes, versions
from homeport.applications.redis_enterprise.checks.problem import Context, Problem, Rule, Severity

__all__ = ["CHECKS", "RULES", "Context", "Problem", "Rule", "Severity", "check"]

CHECKS: Final[tuple[Callable[[Context], Iterator[Problem]], ...]] = (
    versions.check_tags,
    versions.check_operators,
    versions.check_clusters,
    versions.check_old_forms,
    shapes.check_image_specs,
    shapes.check_keys,
    shapes.check_secret_fields,
    shapes.check_digests,
    registries.check_operator_images,
    registries.check_cluster_images,
    registries.check_extra_containers,
    registries.check_openshift_names,
    registries.check_modules,
    secrets.check_pull_secrets,
    platform.check_bundles,
    platform.check_architecture,
    platform.check_upgrade,
)

RULES: Final = tuple(
    sorted(
        (
            value
            for module in (versions, shapes, registries, secrets, platform)
            for value in vars(module).values()
            if isinstance(value, Rule)
        ),
        key=lambda rule: rule.id,
    )
)
"""Every rule, by its number."""


def check(context: Context) -> tuple[Problem, ...]:
    """Run every check; errors come first, then by number and place."""
    found = [problem for each in CHECKS for problem in each(context)]
    return tuple(sorted(found, key=lambda it: (it.severity, it.id, it.source, it.line, it.path)))
