"""A clock that tests turn."""

from homeport.registry.retry import Clock


class FakeClock(Clock):
    """Waits at once, and remembers how long it would have been."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> bool:
        self.slept.append(seconds)
        self.time += seconds
        return True
