"""Cars still to come: yesterday's stays again, or those the laws of travel lead one to expect."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from sim.arrays import FloatArray, IntArray
from sim.arrival_charging import expected_load
from sim.clock import DAY_S, STEP_S
from sim.contracts import ChainStatistics, Fleet, Stays, Stores
from sim.stores import stores_from_stays, stores_of_stays_ahead

WEEK_S = 7 * DAY_S


class CarsAhead(Protocol):
    """Whoever says which cars are still to come."""

    def stores(self, now_s: int, n_steps: int, n_regions: int) -> Stores:
        """Stays that begin after now, as stores."""
        ...


class YesterdaysStays:
    """Stays that began in the last 24 h, a day later."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def stores(self, now_s: int, n_steps: int, n_regions: int) -> Stores:
        """Stays that begin after now, as stores."""
        cars = self._fleet.cars(now_s)
        return stores_from_stays(
            self._fleet.stays(now_s - DAY_S),
            now_s=now_s,
            n_steps=n_steps,
            n_regions=n_regions,
            charge_efficiency=cars.charge_efficiency,
            discharge_efficiency=cars.discharge_efficiency,
        )


class LikelyStays:
    """Stays of virtual cars, scaled to the fleet; the energy they bring as measured in the last 24 h.

    Parameters
    ----------
    fleet
        Measured stays.
    statistics
        Virtual stays of a week.
    first_weekday
        Of day 0, Monday = 0.
    """

    def __init__(self, fleet: Fleet, statistics: ChainStatistics, first_weekday: int) -> None:
        self._fleet, self._statistics, self._first_weekday = fleet, statistics, first_weekday

    def stores(self, now_s: int, n_steps: int, n_regions: int) -> Stores:
        """Stays that begin after now, as stores."""
        statistics = self._statistics
        begin_s = seconds_ahead(statistics.stays.plug_s, now_s, self._first_weekday)
        arriving = arriving_kwh(statistics.stays, self._fleet.stays(now_s - DAY_S), n_regions)
        return stores_of_stays_ahead(
            replace(statistics.stays, arriving_kwh=arriving),
            begin_s=begin_s,
            n_steps=n_steps,
            n_regions=n_regions,
            charge_efficiency=statistics.charge_efficiency,
            discharge_efficiency=statistics.discharge_efficiency,
            weight=statistics.cars_per_virtual_car,
        )


def true_unmanaged_kw(fleet: Fleet, now_s: int, n_steps: int, n_regions: int) -> FloatArray:
    """What cars that do not take part will truly draw, (K, R): for those who may know their trips."""
    cars, trips = fleet.unmanaged(now_s, now_s + n_steps * STEP_S)
    return expected_load(cars, trips, now_s=now_s, step_s=STEP_S, n_steps=n_steps, n_regions=n_regions)


def seconds_ahead(week_s: IntArray, now_s: int, first_weekday: int) -> IntArray:
    """Seconds from now to the next time of the week; what falls on now is a week ahead.

    >>> seconds_ahead(np.array([0, 3600]), 0, 0).tolist()
    [604800, 3600]
    """
    return (week_s - first_weekday * DAY_S - now_s - 1) % WEEK_S + 1


def arriving_kwh(expected: Stays, measured: Stays, n_regions: int) -> FloatArray:
    """Energy that expected stays bring: the mean measured in their region, else the bound of travel's laws."""
    count = np.bincount(measured.region_index, minlength=n_regions)
    total = np.bincount(measured.region_index, weights=measured.arriving_kwh, minlength=n_regions)
    mean = total / np.maximum(count, 1)
    at = expected.region_index
    brought = np.where(count[at] > 0, mean[at], expected.arriving_kwh)
    return np.asarray(np.clip(brought, expected.energy_min_kwh, expected.energy_max_kwh))
