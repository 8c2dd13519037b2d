from collections.abc import Callable
from typing import Any

import pytest

from homeport.mapping import Mapping, Target
from homeport.mirror import MirrorResult, Observer, Plan, forecast, mirror
from homeport.reference import Reference
from tests.kit.memory import MemoryRegistry


class World:
    """Two registries in memory, and the mirror between them."""

    def __init__(self) -> None:
        self.source = MemoryRegistry("source.example")
        self.target = MemoryRegistry("target.example")
        self.mapping = Mapping(Target.parse("target.example"))

    def mirror(self, *references: str, observer: Observer | None = None, **wishes: Any) -> MirrorResult:
        self.forget_calls()
        wanted = map(Reference.parse, references)
        return mirror(wanted, self.mapping, self.find, self.target, observer=observer, **wishes)

    def forecast(self, *references: str, **wishes: Any) -> Plan:
        self.forget_calls()
        wanted = map(Reference.parse, references)
        return forecast(wanted, self.mapping, self.find, self.target, **wishes)

    def find(self, registry: str) -> MemoryRegistry:
        return {"source.example": self.source, "target.example": self.target}[registry]

    def forget_calls(self) -> None:
        self.source.forget_calls()
        self.target.forget_calls()

    def calls(self, side: MemoryRegistry, matches: Callable[[str], bool]) -> list[str]:
        return [str(call) for call in side.calls if matches(str(call))]


@pytest.fixture
def world() -> World:
    return World()
