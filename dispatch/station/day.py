"""What a day at the station is: building, sun, prices, cars and storage, in steps of equal length.

Equations by the numbers of Guo et al. 2024 (doi 10.3389/fenrg.2024.1517011) as read in docs/background/station.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sim.arrays import BoolArray, FloatArray, freeze

LoadOf = Literal["building and cars", "with storage", "grid"]
"""Whose peak and valley equation (8) is about: L1, L2 = L1 + storage, or L3, the exchange with the grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationStorage:
    """The stationary battery; a capacity of 0 is none."""

    capacity_kwh: float
    charge_limit_kw: float
    discharge_limit_kw: float
    charge_efficiency: float
    discharge_efficiency: float
    soc_min: float
    soc_max: float
    initial_soc: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StationDay:
    """Inputs of one day in K steps with n cars; arrays (K,) unless said otherwise."""

    step_h: float
    building_kw: FloatArray
    pv_kw: FloatArray
    building_price_per_kwh: FloatArray  # of grid energy for the building, rho c_b in (7)
    station_price_per_kwh: (
        FloatArray  # of grid energy for cars and storage, rho c_e; not below the building's
    )
    sell_price_per_kwh: FloatArray
    emission_kg_per_kwh: FloatArray  # of grid energy
    is_grid_charging_hour: BoolArray  # whether storage may charge from the grid (Fig. 2: valley hours)
    car_limit_kw: FloatArray  # (K, n) largest mean power of each car in each step, 0 outside its stay
    car_need_kwh: FloatArray  # (n,) at the bus
    storage: StationStorage
    import_limit_kw: float = np.inf
    export_limit_kw: float = np.inf
    cars_limit_kw: float = np.inf  # of all cars together, such as of the charging points that there are
    demand_price_per_kw: float = 0.0  # of the day's largest import
    wear_price_per_kwh: float = 0.0  # of storage energy discharged at the bus
    unmet_price_per_kwh: float = 1000.0  # of energy that limits keep from a car

    def __post_init__(self) -> None:
        n_steps, n_cars = self.car_limit_kw.shape
        if len(self.car_need_kwh) != n_cars:
            raise ValueError(f"car_need_kwh has {len(self.car_need_kwh)} cars, car_limit_kw {n_cars}")
        for name in self.__slots__:
            value = getattr(self, name)
            if (
                isinstance(value, np.ndarray)
                and name not in {"car_limit_kw", "car_need_kwh"}
                and len(value) != n_steps
            ):
                raise ValueError(f"{name} has {len(value)} steps, car_limit_kw {n_steps}")
        if (self.station_price_per_kwh < self.building_price_per_kwh).any():
            raise ValueError(
                "station_price_per_kwh is below building_price_per_kwh: the bill is not convex then"
            )
        if (self.sell_price_per_kwh > self.building_price_per_kwh).any():
            raise ValueError(
                "sell_price_per_kwh is above building_price_per_kwh: energy could be bought to be sold"
            )
        freeze(self)

    @property
    def n_steps(self) -> int:
        """Steps of the day."""
        return len(self.pv_kw)

    @property
    def n_cars(self) -> int:
        """Cars of the day."""
        return len(self.car_need_kwh)

    def reachable_kwh(self) -> FloatArray:
        """Of each car's need, what full power in its stay can give; (n,). Equation (6) where it is the whole."""
        return np.asarray(np.minimum(self.car_need_kwh, self.car_limit_kw.sum(axis=0) * self.step_h))


def evenly_kw(day: StationDay) -> FloatArray:
    """Every car at the same share of its limit throughout its stay, to what it can reach, (K, n)."""
    most_kwh = day.car_limit_kw.sum(axis=0) * day.step_h
    share = np.divide(day.reachable_kwh(), most_kwh, out=np.zeros(day.n_cars), where=most_kwh > 0.0)
    return np.asarray(day.car_limit_kw * share)


def uncontrolled_kw(day: StationDay) -> FloatArray:
    """Every car at full power from its arrival until it has its need, (K, n): case 1.

    Columns whose stay wraps around midnight begin at their first step after a step without them.
    """
    gained: FloatArray = np.zeros(day.car_limit_kw.shape)
    left = day.reachable_kwh()
    begin = _arrival_step(day.car_limit_kw)
    cars = np.arange(day.n_cars)
    for ahead in range(day.n_steps):
        step = (begin + ahead) % day.n_steps
        power = np.minimum(day.car_limit_kw[step, cars], left / day.step_h)
        gained[step, cars] += power
        left = np.maximum(left - power * day.step_h, 0.0)
    return gained


def _arrival_step(limit_kw: FloatArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    here = limit_kw > 0.0
    comes = here & ~np.roll(here, 1, axis=0)
    return np.asarray(np.where(comes.any(axis=0), comes.argmax(axis=0), 0), dtype=np.int64)


def surplus_capacity_kwh(pv_kw: FloatArray, building_kw: FloatArray, step_h: float) -> float:
    """Largest useful capacity by equation (3): the most that sun exceeds the building in a day.

    E_max = max over days d of sum over t of max(0, PV(d, t) - B(d, t)) dt

    Parameters
    ----------
    pv_kw, building_kw : ndarray, shape (D, K)
        Days of a year.

    >>> surplus_capacity_kwh(np.array([[0.0, 5.0], [2.0, 2.0]]), np.ones((2, 2)), 0.5)
    2.0
    """
    return float(np.maximum(pv_kw - building_kw, 0.0).sum(axis=1).max() * step_h)
