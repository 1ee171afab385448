"""What a driver tells the charger at plug-in."""

from __future__ import annotations

from typing import NamedTuple


class Declaration(NamedTuple):
    """A driver's word: when the car will leave, and the energy it then needs."""

    departure_s: int
    required_kwh: float


def declare(departure_s: int, required_kwh: float) -> Declaration:
    """Declare the planned departure, delays so far included, and the lower bound of the domain there.

    The only place where truth becomes a declaration: a driver who errs or games would do it here.

    >>> declare(28_800, 15.0)
    Declaration(departure_s=28800, required_kwh=15.0)
    """
    return Declaration(departure_s, required_kwh)
