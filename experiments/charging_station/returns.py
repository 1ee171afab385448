"""Cars that come home and leave again: the paper's laws of return, departure and arrival energy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

import numpy as np
import pandas as pd

from sim.arrays import FloatArray, freeze
from sim.laws import quantile
from sim.randomness import Stream, uniform_block
from sim.scenario import Law

HOURS_PER_DAY: Final = 24.0
_HOUR_S: Final = 3600.0
_PER_KWH: Final = 1e4  # digits of an energy in a file, cut off: it must stay within reach


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnLaws:
    """Laws of one evening's return, the next departure, and the energy on arrival; times wrap at midnight."""

    return_h: Law = Law(family="norm", loc=17.6, scale=3.4)
    departure_h: Law = Law(family="norm", loc=8.92, scale=3.24)
    arrival_soc: Law = Law(family="norm", loc=0.4, scale=0.1)
    arrival_soc_range: tuple[float, float] = (0.1, 0.8)
    expected_soc: float = 0.9
    battery_kwh: float = 50.0
    charge_limit_kw: float = 7.6
    charge_efficiency: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Returns:
    """Stays of n cars in a day that repeats itself; arrays (n,)."""

    arrive_h: FloatArray  # in [0, 24)
    stay_h: FloatArray  # equation (6): departure less return, one day later where it is negative
    need_kwh: FloatArray  # at the bus, to the expected energy

    def __post_init__(self) -> None:
        freeze(self)


def draw_returns(laws: ReturnLaws, n: int, *, seed: int, replication: int = 0, day: int = 0) -> Returns:
    """Draw cars; car i's draws depend on nothing but i."""
    uniforms = np.array(
        [uniform_block(seed, replication, Stream.VEHICLE, car, day, 3) for car in range(n)]
    ).reshape(n, 3)
    arrive_h = np.mod(quantile(laws.return_h, uniforms[:, 0]), HOURS_PER_DAY)
    depart_h = np.mod(quantile(laws.departure_h, uniforms[:, 1]), HOURS_PER_DAY)
    soc = np.clip(quantile(laws.arrival_soc, uniforms[:, 2]), *laws.arrival_soc_range)
    lacking_kwh = np.maximum(laws.expected_soc - soc, 0.0) * laws.battery_kwh
    return Returns(
        arrive_h=arrive_h,
        stay_h=np.mod(depart_h - arrive_h, HOURS_PER_DAY),
        need_kwh=lacking_kwh / laws.charge_efficiency,
    )


def plugged_fraction(returns: Returns, n_steps: int) -> FloatArray:
    """Part of each step of the day in which each car is there, (K, n).

    >>> cars = Returns(arrive_h=np.array([23.0]), stay_h=np.array([2.5]), need_kwh=np.zeros(1))
    >>> plugged_fraction(cars, 24)[[22, 23, 0, 1, 2], 0].tolist()
    [0.0, 1.0, 1.0, 0.5, 0.0]
    """
    length = HOURS_PER_DAY / n_steps
    begin = np.arange(n_steps)[:, None] * length
    inside = np.zeros((n_steps, len(returns.arrive_h)))
    for shift in (0.0, -HOURS_PER_DAY):
        first = np.maximum(begin, returns.arrive_h + shift)
        last = np.minimum(begin + length, returns.arrive_h + shift + returns.stay_h)
        inside += np.maximum(last - first, 0.0)
    return np.asarray(inside / length)


def sessions_of(
    laws: ReturnLaws, n: int, first_day: date, n_days: int, *, seed: int, replication: int = 0
) -> pd.DataFrame:
    """Sessions of cars that come home each day and leave after the next departure, as ``travel.sessions`` reads them.

    What full power cannot give in a stay is not asked for: `Returns.need_kwh` tells it.
    """
    rows = []
    for day in range(n_days):
        cars = draw_returns(laws, n, seed=seed, replication=replication, day=day)
        midnight = datetime.combine(first_day, time()) + timedelta(days=day)
        arrive_s = np.rint(cars.arrive_h * _HOUR_S).astype(np.int64)
        stay_s = np.rint(cars.stay_h * _HOUR_S).astype(np.int64)
        energy_kwh = np.minimum(cars.need_kwh, laws.charge_limit_kw * stay_s / _HOUR_S)
        energy_kwh = np.floor(energy_kwh * _PER_KWH) / _PER_KWH
        for car in np.flatnonzero((stay_s > 0) & (energy_kwh > 0.0)).tolist():
            arrival = midnight + timedelta(seconds=int(arrive_s[car]))
            departure = arrival + timedelta(seconds=int(stay_s[car]))
            told = (departure.isoformat(sep=" "), float(energy_kwh[car]))
            rows.append((f"{day}-{car}", arrival.isoformat(sep=" "), *told, *told))
    names = (
        "session_id",
        "arrival",
        "departure",
        "energy_kwh",
        "declared_departure",
        "declared_energy_kwh",
    )
    return pd.DataFrame(rows, columns=list(names))
