"""Reactive power of inverters in a decision's program: circles as polygons, chargers, and what flows of it.

With q what an inverter takes (taken - given) and S its rating, t_i the middles of ``SIDES`` equal angles:

- inverter: P^2 + q^2 <= S^2 as the polygon whose corners lie on the circle,
      cos(t_i) (P_c - P_d) + sin(t_i) q <= S cos(pi / SIDES)
  so that every plan can be executed; (S, 0) is a corner, so that active power alone loses nothing, and nowhere is
  more of S given away than ``GIVEN_AWAY``
- chargers of a region, whatever their active power, with f what they give per kW of the plugged cars' limits:
      |q| <= f sum of the limits
- what inverters below a branch take, flows through it beside the loads' reactive power Q0:
      D_m = sum of q at the child + sum of D of the branches below
- rating of such a branch, at each of its ends, with l_p what flows there beside P, and Q0 what flows there:
      cos(t_i) (P + l_p) + sin(t_i) (Q0 + D) <= S cos(pi / SIDES)

Sides that nothing within reach can touch are left out. Where the loads alone are beyond a rating, a plan without
flow stays possible, as with the exact bound of the branches that carry no inverter's reactive power.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from dispatch.itinerary import Itinerary
from sim.arrays import BoolArray, FloatArray, freeze
from sim.contracts import Cars, Site
from sim.microgrid import charger_room_kvar

SIDES: Final = 16
GIVEN_AWAY: Final = 1.0 - float(np.cos(np.pi / SIDES))
"""Most of a rating that an inscribed polygon leaves unused: 1.9 %."""
COST_SHARE: Final = 1e-6
"""A kvarh costs this share of a kWh unserved: reactive power serves limits, and is not used without need."""
_MIDDLE: Final = (np.arange(SIDES) + 0.5) * 2.0 * np.pi / SIDES
ACTIVE: Final[FloatArray] = np.cos(_MIDDLE)
"""Coefficient of the active power in each side, shape (SIDES,)."""
REACTIVE: Final[FloatArray] = np.sin(_MIDDLE)
"""Coefficient of the reactive power."""
_CORNER: Final = np.arange(SIDES + 1) * 2.0 * np.pi / SIDES


def has_reactive(site: Site) -> bool:
    """Whether a site's program decides on reactive power: some inverter can give it, and its feeder is known."""
    return site.network is not None and (site.battery_apparent_kva is not None or has_charger_kvar(site))


def has_charger_kvar(site: Site) -> bool:
    """Whether a site's program decides on reactive power of chargers."""
    return site.network is not None and site.charger_kvar_per_kw is not None


def battery_rating_kva(site: Site) -> FloatArray:
    """Ratings of the batteries' inverters, 0 where there is none; (B,)."""
    if site.battery_apparent_kva is None:
        return np.zeros(len(site.battery_region_index))
    return site.battery_apparent_kva


def planned_charger_room_kvar(site: Site, cars: Cars, itinerary: Itinerary) -> FloatArray | None:
    """Reactive power that the chargers of each region can take or give in a plan's steps, (K, R).

    In the first step what execution allows; then that of the cars known, times the plugged fraction of the step. None
    where none is decided.
    """
    if not has_charger_kvar(site):
        return None
    assert site.charger_kvar_per_kw is not None
    per_kw, plugged_kw = site.charger_kvar_per_kw, cars.charge_limit_kw * itinerary.fraction
    room_kvar: FloatArray = np.zeros((itinerary.n_steps, site.n_regions))
    for region in np.flatnonzero(per_kw > 0.0):
        here = itinerary.region_index == region
        room_kvar[:, region] = per_kw[region] * (plugged_kw * here).sum(axis=1)
    room_kvar[0] = charger_room_kvar(site, cars)
    return room_kvar


def reactive_price_per_kvarh(site: Site) -> float:
    """Price of reactive power in a program."""
    return COST_SHARE * site.unserved_price_per_kwh


def reach_kvar(site: Site, room_kvar: FloatArray | None = None) -> FloatArray:
    """Most reactive power that inverters can send either way through each branch, (M,), or (K, M) with chargers.

    Parameters
    ----------
    room_kvar : ndarray, shape (K, R)
        Of the chargers in each step; None where none is decided.
    """
    assert site.network is not None
    of_batteries = _battery_reach_kvar(site)
    if room_kvar is None:
        return of_batteries
    return of_batteries + room_kvar @ site.network.feeder.below.T


@lru_cache(maxsize=8)
def _battery_reach_kvar(site: Site) -> FloatArray:
    assert site.network is not None
    at_bus = np.bincount(site.battery_region_index, battery_rating_kva(site), site.n_regions)
    through: FloatArray = site.network.feeder.below @ at_bus
    through.setflags(write=False)
    return through


def capability_upper(site: Site) -> FloatArray:
    """Right-hand sides of the inverters' polygons, (B, SIDES); inf where a side cannot be touched.

    At a given active power the side above it is the only one that binds: those beyond the battery's limits do not.
    """
    rating = battery_rating_kva(site)[:, np.newaxis]
    least, most = _spans(np.cos(_CORNER), rating)
    touched = (least <= site.battery_charge_limit_kw[:, np.newaxis]) & (
        most >= -site.battery_discharge_limit_kw[:, np.newaxis]
    )
    return np.where(touched & (rating > 0.0), rating * (1.0 - GIVEN_AWAY), np.inf)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BranchEnds:
    """One end of every branch in each step, as its rating is held there."""

    rating_kva: FloatArray  # (K, M), at the voltage of the step; inf where there is none
    known_kvar: FloatArray  # (K, M), what flows there without the inverters
    loss_kw: FloatArray  # (K, M), what flows there beside what arrives at the child

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def room_kw(self) -> FloatArray:
        """Most active power that the rating leaves beside the known reactive power, (K, M)."""
        return np.asarray(np.sqrt(np.maximum(self.rating_kva**2 - self.known_kvar**2, 0.0)))


def rating_upper(site: Site, ends: tuple[BranchEnds, ...], room_kvar: FloatArray | None = None) -> FloatArray:
    """Right-hand sides of the branches' polygons over P and D, (K, M, SIDES); inf where a side cannot be touched.

    Parameters
    ----------
    ends
        At which the rating is held.
    room_kvar : ndarray, shape (K, R)
        As for ``reach_kvar``.
    """
    reach = reach_kvar(site, room_kvar)[..., np.newaxis]
    return np.asarray(np.min([_end_upper(end, reach) for end in ends], axis=0))


def _end_upper(end: BranchEnds, reach: FloatArray) -> FloatArray:
    rating, known = end.rating_kva[..., np.newaxis], end.known_kvar[..., np.newaxis]
    least, most = _spans(np.sin(_CORNER), np.where(np.isfinite(rating), rating, 1.0))
    touched = (least <= np.maximum(known + reach, -rating)) & (most >= np.minimum(known - reach, rating))
    beside = ACTIVE * end.loss_kw[..., np.newaxis] + REACTIVE * known
    room = np.maximum(rating * (1.0 - GIVEN_AWAY) - beside, 0.0)
    return np.where(touched & (reach > 0.0) & np.isfinite(rating), room, np.inf)


def _spans(corners: FloatArray, rating: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Between which values of one coordinate each side lies, for corners of the unit circle."""
    ends = corners[:-1], corners[1:]
    margin = 1e-9 * rating  # corners at 1e-17 instead of 0 are corners at 0
    return np.minimum(*ends) * rating - margin, np.maximum(*ends) * rating + margin


def carries_reactive(site: Site) -> BoolArray:
    """Through which branches inverters send reactive power in some step, (M,)."""
    assert site.network is not None
    carries: BoolArray = reach_kvar(site) > 0.0
    if site.charger_kvar_per_kw is not None:
        carries = carries | (site.network.feeder.below @ site.charger_kvar_per_kw > 0.0)
    return carries
