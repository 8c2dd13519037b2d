"""Whether a number of pulls fits a limit, and if not, when it would."""

import msgspec

from homeport.quota.reading import Reading


class Forecast(msgspec.Struct, frozen=True):
    """What a limit lets through: does it fit now (None: cannot be told), and the most seconds until it would all be through.

    Registries state no moment at which pulls are given back, so the window is taken as one that rolls: what is used now is back
    after one window at the latest. `seconds` is None where that cannot be told.
    """

    fits: bool | None
    seconds: float | None


def forecast(at_least: int, at_most: int | None, reading: Reading | None) -> Forecast:
    """Hold counted pulls, known by their bounds (None: no upper one), against a limit (None: there is none)."""
    if reading is None or at_most == 0:
        return Forecast(fits=True, seconds=0.0)
    if at_most is not None and at_most <= reading.remaining:
        return Forecast(fits=True, seconds=0.0)
    fits = False if at_least > reading.remaining else None
    if at_most is None or reading.limit == 0 or reading.window == 0:
        return Forecast(fits=fits, seconds=None)
    windows = -(-(at_most - reading.remaining) // reading.limit)
    return Forecast(fits=fits, seconds=float(windows * reading.window))
