"""Ageing of batteries after a run: rainflow cycles by depth, and time at a state of charge; pure.

A cycle of depth d uses up 1 / N(d) of a battery's life, with the Woehler curve N(d) = N1 d^-k, and cycles add up
(Palmgren-Miner); half cycles count half (ASTM E1049 rainflow counting, package ``rainflow``). At rest capacity fades
with time, the faster the fuller: f(s) = f_ref c^(s - s_ref). Both are lives used: fade over the fade at which a
battery is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import rainflow

from sim.arrays import FloatArray
from sim.clock import STEP_S
from sim.scenario import Ageing

YEAR_S: Final = 365.0 * 86_400.0
NO_DEPTH: Final = 1e-9
"""Cycles shallower than this are rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wear:
    """What a stretch of time did to one battery."""

    full_cycles: float  # equivalent: energy through the battery, both ways, over twice its capacity
    cycle_life: float  # share of its life used by cycles
    calendar_life: float  # share of its life used by time

    @property
    def life(self) -> float:
        """Share of its life used by both."""
        return self.cycle_life + self.calendar_life


def cycle_life(soc: FloatArray, ageing: Ageing) -> float:
    """Share of a battery's life that the cycles of a series of states of charge use.

    >>> flat = Ageing(cycles_at_full_depth=1000.0, depth_exponent=2.0, calendar_fade_per_year=0.0, calendar_soc=0.5,
    ...               calendar_soc_factor=1.0, end_of_life_fade=0.2, replacement_cost_per_kwh=1.0)
    >>> f"{cycle_life(np.array([0.0, 1.0, 0.0]), flat):.4g}, {cycle_life(np.array([0.2, 0.7]), flat):.4g}"
    '0.001, 0.000125'
    """
    used = 0.0
    series = np.concatenate([soc[:1], soc])  # the package sees no cycle in a series of two points
    for depth, _, count, _, _ in rainflow.extract_cycles(series):
        if depth > NO_DEPTH:
            used += count * depth**ageing.depth_exponent / ageing.cycles_at_full_depth
    return float(used)


def calendar_life(soc_start: FloatArray, soc_end: FloatArray, seconds: FloatArray, ageing: Ageing) -> float:
    """Share of a battery's life that time uses, the state of charge moving evenly within each stretch.

    >>> yearly = Ageing(cycles_at_full_depth=1.0, depth_exponent=1.0, calendar_fade_per_year=0.02, calendar_soc=0.5,
    ...                 calendar_soc_factor=4.0, end_of_life_fade=0.2, replacement_cost_per_kwh=1.0)
    >>> half, full, year = np.array([0.5]), np.array([1.0]), np.array([YEAR_S])
    >>> f"{calendar_life(half, half, year, yearly):.4g}, {calendar_life(full, full, year, yearly):.4g}"
    '0.1, 0.2'
    """
    rate = np.log(ageing.calendar_soc_factor)
    low, high = (np.exp(rate * (soc - ageing.calendar_soc)) for soc in (soc_start, soc_end))
    change = rate * (soc_end - soc_start)
    moves = np.abs(change) > 1e-12
    mean = np.where(moves, (high - low) / np.where(moves, change, 1.0), low)  # mean of an exponential
    fade = ageing.calendar_fade_per_year * float((mean * seconds).sum()) / YEAR_S
    return fade / ageing.end_of_life_fade


def wear_of(
    energy_start_kwh: FloatArray,
    energy_end_kwh: FloatArray,
    seconds: FloatArray,
    capacity_kwh: float,
    ageing: Ageing,
) -> Wear:
    """Wear of one battery over stretches that follow each other, shapes (n,)."""
    if not len(seconds):
        return Wear(full_cycles=0.0, cycle_life=0.0, calendar_life=0.0)
    start, end = energy_start_kwh / capacity_kwh, energy_end_kwh / capacity_kwh
    return Wear(
        full_cycles=float(np.abs(end - start).sum()) / 2.0,
        cycle_life=cycle_life(np.append(start[:1], end), ageing),
        calendar_life=calendar_life(start, end, seconds, ageing),
    )


def cars_wear(segments: pd.DataFrame, vehicles: pd.DataFrame, ageing: Ageing) -> pd.DataFrame:
    """Wear of each car's battery over a run; driving is part of it.

    Returns
    -------
    DataFrame
        vehicle_id, full_cycles, cycle_life, calendar_life, ageing_cost [currency].
    """
    capacity = vehicles.set_index("vehicle_id")["battery_kwh"]
    ordered = segments.sort_values(["vehicle_id", "start_s"])
    rows = []
    for vehicle_id, mine in ordered.groupby("vehicle_id", sort=True):
        size = float(capacity.loc[int(str(vehicle_id))])
        seconds = (mine["end_s"] - mine["start_s"]).to_numpy(np.float64)
        wear = wear_of(
            mine["energy_start_kwh"].to_numpy(np.float64),
            mine["energy_end_kwh"].to_numpy(np.float64),
            seconds,
            size,
            ageing,
        )
        rows.append(
            {
                "vehicle_id": vehicle_id,
                **_told(wear, size, ageing),
            }
        )
    return pd.DataFrame(rows, columns=["vehicle_id", *_COLUMNS])


def storage_wear(
    storage: pd.DataFrame, capacity_kwh: Mapping[int, float], initial_kwh: Mapping[int, float], ageing: Ageing
) -> pd.DataFrame:
    """Wear of each stationary battery over a run.

    Parameters
    ----------
    storage
        ``storage.parquet``: the energy of each unit at the end of each step.
    capacity_kwh, initial_kwh
        By ``unit_id``: rated capacity, and what was stored when the run began.

    Returns
    -------
    DataFrame
        unit_id, full_cycles, cycle_life, calendar_life, ageing_cost [currency].
    """
    rows = []
    for unit_id, own in storage.sort_values(["unit_id", "step_start_s"]).groupby("unit_id", sort=True):
        unit, after_kwh = int(str(unit_id)), own["energy_kwh"].to_numpy(np.float64)
        before_kwh = np.append(initial_kwh[unit], after_kwh[:-1])
        wear = wear_of(
            before_kwh, after_kwh, np.full(len(after_kwh), float(STEP_S)), capacity_kwh[unit], ageing
        )
        rows.append({"unit_id": unit, **_told(wear, capacity_kwh[unit], ageing)})
    return pd.DataFrame(rows, columns=["unit_id", *_COLUMNS])


_COLUMNS: Final = ("full_cycles", "cycle_life", "calendar_life", "ageing_cost")


def _told(wear: Wear, capacity_kwh: float, ageing: Ageing) -> dict[str, float]:
    cost = wear.life * capacity_kwh * ageing.replacement_cost_per_kwh
    return dict(zip(_COLUMNS, (wear.full_cycles, wear.cycle_life, wear.calendar_life, cost), strict=True))
