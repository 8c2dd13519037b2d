"""Bring images from their sources to the target: a pure plan, and an executor.

>>> mirror([Reference.parse("redislabs/redis:7.2.4-64")], Mapping(Target.parse("registry.example.com")), sources, target)
"""

from homeport.mirror.executor import forecast, mirror
from homeport.mirror.expected import Expected, expect, expect_all
from homeport.mirror.job import Concurrency, Sources
from homeport.mirror.observer import Observer
from homeport.mirror.plan import Bound, Cost, ImagePlan, Plan, Seen, Step, Wanted
from homeport.mirror.result import ImageResult, MirrorResult, Traffic

__all__ = [
    "Bound",
    "Concurrency",
    "Cost",
    "Expected",
    "ImagePlan",
    "ImageResult",
    "MirrorResult",
    "Observer",
    "Plan",
    "Seen",
    "Sources",
    "Step",
    "Traffic",
    "Wanted",
    "expect",
    "expect_all",
    "forecast",
    "mirror",
]
