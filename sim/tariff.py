"""Prices of each step, the value of stored energy, and what energy costs: pure but for one JSON file read.

Three kinds of tariff: clock-hour periods, a published schedule by season and weekday (JSON as acnportal's
``TimeOfUseTariff`` has it; its demand charges are not settled here), and a price series.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sim.arrays import FloatArray, freeze
from sim.clock import STEP_H, STEPS_PER_DAY
from sim.errors import ScenarioError
from sim.scenario import PeriodTariff, Scenario, ScheduleTariff, SeriesTariff

Locate = Callable[[str], Path]
_STEPS_PER_HOUR: Final = 4
_WEEKEND: Final = (5, 6)  # Saturday and Sunday, by date.weekday()
_DAYS_OF: Final = {"ALL": range(7), "WEEKDAYS": range(5), "WEEKENDS": _WEEKEND}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prices:
    """Prices per kWh and step; arrays (S,), or (S, R) by region."""

    buy_per_kwh: FloatArray
    sell_per_kwh: FloatArray
    curtailment_per_kwh: FloatArray

    def __post_init__(self) -> None:
        freeze(self)


class Season(BaseModel):
    """One entry of a published schedule: prices from clock hours on, for some dates and weekdays."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    id: str
    effective_start: Annotated[str, Field(pattern=r"^\d{1,2}-\d{1,2}$", description="month-day, inclusive")]
    effective_end: Annotated[str, Field(pattern=r"^\d{1,2}-\d{1,2}$", description="month-day, inclusive")]
    dow_mask: Literal["ALL", "WEEKDAYS", "WEEKENDS"]
    times: Annotated[list[float], Field(min_length=1, description="clock hours, ascending from 0")]
    tariffs: Annotated[list[float], Field(min_length=1, description="price from each of these hours on")]

    def is_active(self, day: date) -> bool:
        """Whether the entry holds on a day; seasons may run across the new year."""
        first, last = _month_day(self.effective_start), _month_day(self.effective_end)
        today = (day.month, day.day)
        in_season = first <= today <= last if first <= last else today >= first or today <= last
        return in_season and day.weekday() in _DAYS_OF[self.dow_mask]

    def day_prices(self) -> FloatArray:
        """Price of each of a day's steps, shape (96,)."""
        starts = [_step_of_hour(hour) for hour in self.times]
        return np.repeat(self.tariffs, np.diff([*starts, STEPS_PER_DAY]))

    def faults(self) -> list[str]:
        """List what is wrong with the entry's hours, one line each."""
        found = [
            f"{self.id}: hour {h:g} is not a quarter of an hour" for h in self.times if not _is_quarter(h)
        ]
        if len(self.times) != len(self.tariffs):
            found.append(f"{self.id}: {len(self.times)} times but {len(self.tariffs)} tariffs")
        if self.times[0] != 0 or np.any(np.diff(self.times) <= 0) or self.times[-1] >= 24:
            found.append(f"{self.id}: times must ascend from 0 to below 24, are {self.times}")
        return found


def period_faults(tariff: PeriodTariff) -> list[str]:
    """List what keeps the periods from covering each quarter-hour of a day exactly once, one line each."""
    faults = []
    count = np.zeros(STEPS_PER_DAY, dtype=np.int64)
    for period in tariff.periods:
        for begin, end in period.hours:
            if not (0 <= begin < end <= 24 and _is_quarter(begin) and _is_quarter(end)):
                faults.append(
                    f"tariff.periods: hours [{begin:g}, {end:g}] of {period.name} are not two quarter-hours, "
                    "the first before the second, in 0..24"
                )
            else:
                count[_step_of_hour(begin) : _step_of_hour(end)] += 1
    for times, what in ((0, "no period"), (2, "more than one period")):
        wrong = np.flatnonzero(count == 0 if times == 0 else count >= times)
        if wrong.size and not faults:
            faults.append(f"tariff.periods: clock hour {wrong[0] / _STEPS_PER_HOUR:g} has {what}")
    return faults


def period_prices(tariff: PeriodTariff, n_days: int) -> Prices:
    """Prices of a clock-hour table, repeated every day; shapes (n_days * 96,).

    Raises
    ------
    ScenarioError
        When the periods do not cover the day exactly once.
    """
    if faults := period_faults(tariff):
        raise ScenarioError(faults)
    day = np.empty((3, STEPS_PER_DAY))
    for period in tariff.periods:
        values = (period.buy_per_kwh, period.sell_per_kwh, period.curtailment_per_kwh)
        for begin, end in period.hours:
            day[:, _step_of_hour(begin) : _step_of_hour(end)] = np.array(values)[:, None]
    buy, sell, curtailment = np.tile(day, n_days)
    return Prices(buy_per_kwh=buy, sell_per_kwh=sell, curtailment_per_kwh=curtailment)


def read_schedule(path: Path) -> tuple[Season, ...]:
    """Read a published schedule.

    Raises
    ------
    ScenarioError
        When the file is missing, is not JSON or does not hold together (all faults).
    """
    place = f"tariff.file: {path.name}"
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError([f"{place}: {error.strerror or error}"]) from error
    except ValueError as error:
        raise ScenarioError([f"{place}: not JSON: {error}"]) from error
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("schedule"), list)
        or not content["schedule"]
    ):
        raise ScenarioError([f"{place}: has no `schedule` list"])
    try:
        seasons = tuple(Season.model_validate(entry) for entry in content["schedule"])
    except ValidationError as error:
        lines = [f"{place}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ScenarioError(lines) from error
    if faults := [f"{place}: {fault}" for season in seasons for fault in season.faults()]:
        raise ScenarioError(faults)
    return seasons


def schedule_prices(
    tariff: ScheduleTariff, seasons: tuple[Season, ...], first_day: date, n_days: int
) -> Prices:
    """Prices of a published schedule from a calendar day on; shapes (n_days * 96,).

    Raises
    ------
    ScenarioError
        When on some day no entry holds, or more than one.
    """
    days = [first_day + timedelta(days=offset) for offset in range(n_days)]
    active = [[season for season in seasons if season.is_active(day)] for day in days]
    faults = [
        f"tariff.file: on {day} {len(found)} entries hold, not one: {', '.join(s.id for s in found) or '-'}"
        for day, found in zip(days, active, strict=True)
        if len(found) != 1
    ]
    if faults:
        raise ScenarioError(faults)
    buy = np.concatenate([found[0].day_prices() for found in active])
    return Prices(
        buy_per_kwh=buy,
        sell_per_kwh=buy * tariff.sell_fraction,
        curtailment_per_kwh=np.full(len(buy), tariff.curtailment_per_kwh),
    )


def series_prices(tariff: SeriesTariff, values: FloatArray) -> Prices:
    """Prices from a series' values per step, shape (S,), in the column's own unit.

    >>> tariff = SeriesTariff.model_construct(
    ...     per_mwh=True, buy_adder_per_kwh=0.1, sell_fraction=0.5, curtailment_per_kwh=0.0)
    >>> prices = series_prices(tariff, np.array([50.0, -20.0]))
    >>> prices.buy_per_kwh, prices.sell_per_kwh
    (array([0.15, 0.08]), array([ 0.025, -0.01 ]))
    """
    per_kwh = values / 1000.0 if tariff.per_mwh else values
    return Prices(
        buy_per_kwh=per_kwh + tariff.buy_adder_per_kwh,
        sell_per_kwh=per_kwh * tariff.sell_fraction,
        curtailment_per_kwh=np.full(len(per_kwh), tariff.curtailment_per_kwh),
    )


def mean_charge_efficiency(scenario: Scenario) -> float:
    """Charge efficiency of the fleet's classes, weighted by their shares (the size does not matter)."""
    shares = np.array([vehicle.share for vehicle in scenario.fleet.classes])
    efficiencies = np.array([vehicle.charge_efficiency for vehicle in scenario.fleet.classes])
    if shares.sum() <= 0.0:
        raise ScenarioError(["fleet.classes: the shares sum to 0"])
    return float(shares @ efficiencies / shares.sum())


def energy_value_per_kwh(scenario: Scenario, locate: Locate) -> float:
    """Value lambda of a stored kWh at the run's end: as stated, or max(0, lowest buying price) / eta_c.

    Raises
    ------
    ScenarioError
        When it is ``auto`` and the tariff is a series, which has no table.
    """
    stated, tariff = scenario.economics.energy_value_per_kwh, scenario.tariff
    if stated != "auto":
        return float(stated)
    if isinstance(tariff, SeriesTariff):
        raise ScenarioError(["economics.energy_value_per_kwh: auto needs a tariff table; give a number"])
    if isinstance(tariff, PeriodTariff):
        lowest = min(period.buy_per_kwh for period in tariff.periods)
    else:
        lowest = min(min(season.tariffs) for season in read_schedule(locate(tariff.file)))
    return max(0.0, lowest) / mean_charge_efficiency(scenario)


def net_cost(
    bought_kw: FloatArray, sold_kw: FloatArray, buy_per_kwh: FloatArray, sell_per_kwh: FloatArray
) -> float:
    """Cost of bought less sold energy, sum of (buy P_buy - sell P_sell) dt   (Zhang 2025, Eqs. 21 to 23).

    With import and export it is the grid's bill, with cars' charging and discharging the cars' bill. Arrays
    of one shape (or broadcastable to it): means per step [kW] and prices [per kWh].

    >>> net_cost(np.array([4.0, 0.0]), np.array([0.0, 8.0]), np.array([0.5, 0.5]), np.array([0.25, 0.25]))
    0.0
    """
    return float(np.sum(buy_per_kwh * bought_kw - sell_per_kwh * sold_kw)) * STEP_H


def _is_quarter(hour: float) -> bool:
    return float(hour * _STEPS_PER_HOUR).is_integer()


def _step_of_hour(hour: float) -> int:
    return int(hour * _STEPS_PER_HOUR)


def _month_day(text: str) -> tuple[int, int]:
    month, day = text.split("-")
    return int(month), int(day)
