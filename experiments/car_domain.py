"""One car's own capacity domain, rebuilt from its trips and segments as two broken lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sim.arrays import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class CarLimits:
    """What bounds a car's energy, and the rate at which full charging fills the battery."""

    energy_min_kwh: float
    energy_max_kwh: float
    stored_kw: float  # eta_c P

    @classmethod
    def of(cls, vehicle: Any) -> CarLimits:
        """Limits from a row of ``vehicles``."""
        return cls(
            energy_min_kwh=float(vehicle.battery_kwh * vehicle.soc_min),
            energy_max_kwh=float(vehicle.battery_kwh * vehicle.soc_max),
            stored_kw=float(vehicle.charge_efficiency * vehicle.charge_limit_kw),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Line:
    """A broken line of energy over time: straight between its points; shapes (n,)."""

    at_s: FloatArray
    kwh: FloatArray

    def at(self, instants_s: FloatArray | float) -> FloatArray:
        """Energy at given instants."""
        return np.asarray(np.interp(instants_s, self.at_s, self.kwh), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class CarDomain:
    """Lower and upper bound of a car's energy through the run."""

    lower: Line
    upper: Line


def car_domain(limits: CarLimits, trips: Sequence[Any], segments: Sequence[Any]) -> CarDomain:
    """Capacity domain of one car for its itinerary as it happened (Zhang 2025, section 2.6).

    Backward L = max(E_min, required - eta_c P (departure - t)) in plugged rows, constant in others, from each
    departure's ``required_kwh``; forward U = min(E_max, U + eta_c P dt) in plugged rows and max(U - e, E_min)
    over trips. After the last departure in the tables nothing more is known to be needed.

    Parameters
    ----------
    limits
        Of the car.
    trips, segments
        The car's rows as records, in order of time.
    """
    stays = [row for row in segments if row.activity != "driving"]
    begun = [trip for trip in trips if not pd.isna(trip.depart_s)]
    return CarDomain(lower=_lower(limits, begun, stays), upper=_upper(limits, begun, stays))


def _lower(limits: CarLimits, begun: Sequence[Any], stays: list[Any]) -> Line:
    points: list[tuple[float, float]] = []
    bound = limits.energy_min_kwh
    after = len(begun)
    for row in reversed(stays):
        while after > 0 and begun[after - 1].depart_s >= row.end_s:
            after -= 1
            bound = begun[after].required_kwh
            points.append((begun[after].depart_s, bound))
        points.append((row.end_s, bound))
        if row.plugged:
            reach_s = (bound - limits.energy_min_kwh) * 3600.0 / limits.stored_kw
            if reach_s < row.end_s - row.start_s:
                points.append((row.end_s - reach_s, limits.energy_min_kwh))
            bound = max(limits.energy_min_kwh, bound - limits.stored_kw * (row.end_s - row.start_s) / 3600.0)
        points.append((row.start_s, bound))
    return _line(points[::-1])


def _upper(limits: CarLimits, begun: Sequence[Any], stays: list[Any]) -> Line:
    arrived = [trip for trip in begun if not pd.isna(trip.arrive_s)]
    points: list[tuple[float, float]] = []
    bound = stays[0].energy_start_kwh if stays else limits.energy_min_kwh
    done = 0
    for row in stays:
        while done < len(arrived) and arrived[done].arrive_s <= row.start_s:
            bound = max(bound - arrived[done].energy_kwh, limits.energy_min_kwh)
            done += 1
        points.append((row.start_s, bound))
        if row.plugged:
            full_s = (limits.energy_max_kwh - bound) * 3600.0 / limits.stored_kw
            if full_s < row.end_s - row.start_s:
                points.append((row.start_s + full_s, limits.energy_max_kwh))
            gain = limits.stored_kw * (row.end_s - row.start_s) / 3600.0
            bound = min(limits.energy_max_kwh, bound + gain)
        points.append((row.end_s, bound))
    return _line(points)


def _line(points: list[tuple[float, float]]) -> Line:
    """Line through points, without the ones that repeat."""
    kept = [point for i, point in enumerate(points) if i == 0 or point != points[i - 1]]
    array = np.array(kept, dtype=np.float64).reshape(-1, 2)
    return Line(at_s=array[:, 0], kwh=array[:, 1])
