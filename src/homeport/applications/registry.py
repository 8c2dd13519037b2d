"""All applications that Homeport knows. Another one is another value here."""

from collections.abc import Iterable
from typing import Final

from homeport.applications.application import Application, Learned, Versions
from homeport.applications.redis_enterprise import REDIS_ENTERPRISE
from homeport.applications.victoria_metrics import VICTORIA_METRICS
from homeport.discovery.findings import Finding
from homeport.discovery.knowledge import Knowledge

APPLICATIONS: Final[tuple[Application, ...]] = (REDIS_ENTERPRISE, VICTORIA_METRICS)
KNOWLEDGE: Final = sum((application.knowledge for application in APPLICATIONS), Knowledge())
"""The rules of all applications, where nothing is known of their releases."""


def learn_all(findings: Iterable[Finding], versions: Versions = Versions()) -> Learned:  # noqa: B008  # frozen
    """Make the rules of all applications from what a first look found, and from what a person says."""
    seen = tuple(findings)
    learned = [application.learn(seen, versions) for application in APPLICATIONS]
    return Learned(
        sum((each.knowledge for each in learned), Knowledge()),
        tuple(tag for each in learned for tag in each.operators),
    )
