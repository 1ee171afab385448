"""What a driver tells the charger at plug-in."""

from __future__ import annotations

from typing import NamedTuple

from sim.clock import NEVER_S


class Declaration(NamedTuple):
    """A driver's word: when the car will leave, and the energy it then needs."""

    departure_s: int
    required_kwh: float


def declare(departure_s: int, required_kwh: float, *, error_s: int = 0, plug_s: int = 0) -> Declaration:
    """Declare the planned departure, delays so far included, and the lower bound of the domain there.

    The only place where truth becomes a declaration. A driver who errs by ``error_s`` still names no instant before the
    plug-in; who plans no departure names none.

    >>> declare(28_800, 15.0)
    Declaration(departure_s=28800, required_kwh=15.0)
    >>> declare(28_800, 15.0, error_s=-3_600, plug_s=27_000)
    Declaration(departure_s=27001, required_kwh=15.0)
    """
    if departure_s == NEVER_S or error_s == 0:
        return Declaration(departure_s, required_kwh)
    return Declaration(max(departure_s + error_s, plug_s + 1), required_kwh)
