"""How large storage, sun and chargers should be, by few days and by the year; what storage may cost to pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from dispatch.station.day import StationDay
from dispatch.station.optimum import StationSolver
from dispatch.station.program import Weights
from dispatch.station.sizing import Asset, Capital, Limits, Sized, Sizes, annuity, at_sizes, size
from experiments.charging_station.cases import LAWS, USEFUL_KWH
from experiments.charging_station.instance import N_DAYS, Year, day_of, year_of
from experiments.charging_station.representative import representatives
from experiments.charging_station.returns import draw_returns
from sim.arrays import FloatArray

CAPITAL: Final = Capital(
    storage_kwh=Asset(price=900.0, life_years=12.0),
    storage_kw=Asset(price=400.0, life_years=12.0),
    pv_kw=Asset(price=3200.0, life_years=25.0),
    charger=Asset(price=4000.0, life_years=10.0),
    rate=0.06,
)
"""Prices in CNY, our assumption [A]; the break-even price needs the rate and the life alone."""

DAYS_A_YEAR: Final = 365.0
WEAR_PER_KWH: Final = 0.03
DEMAND_PER_KW_DAY: Final = 1.3
"""A demand charge of about 40 CNY per kW and month, by days [A]."""

STORAGE_KW: Final = 500.0
CAPACITIES: Final = tuple(float(kwh) for kwh in range(0, 1401, 200))
BREAK_EVEN_DAYS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """One instance, and by how much it is sized and checked."""

    building: str
    peak_kw: float
    n_cars: int
    representative: tuple[int, ...]
    year_every: int
    seed: int = 1

    def year(self) -> Year:
        """The instance's year; its sun is that of equation (3), with wear and a demand charge."""
        year = year_of(self.peak_kw).sized(USEFUL_KWH)
        terms = replace(
            year.terms, wear_price_per_kwh=WEAR_PER_KWH, demand_price_per_kw_day=DEMAND_PER_KW_DAY
        )
        return replace(year, terms=terms)

    def days(self, year: Year, numbers: Sequence[int]) -> list[StationDay]:
        """Days in hours, each with cars of its own."""
        return [
            day_of(
                year,
                day,
                draw_returns(LAWS, self.n_cars, seed=self.seed, day=day),
                LAWS,
                steps_per_hour=1,
            )
            for day in numbers
        ]


def sizing(task: Sizing) -> pd.DataFrame:
    """Sizes by k days and by the year, checked on the year; then the price at which more storage still pays.

    Returns
    -------
    DataFrame
        Rows of ``what`` = "sizes": one per number of days, with sizes, yearly cost as those days tell it (bound),
        yearly cost on the days of the year by each day's own optimum, and the certified gap of the year's sizes. Rows
        of "break-even": by capacity, yearly operation at 500 kW (weighted days, each day's optimum) and the price per
        kWh below which the last 200 kWh pay.
    """
    year = task.year()
    return pd.concat([_sizes(task, year), _break_even(task, year)], ignore_index=True)


def _sizes(task: Sizing, year: Year) -> pd.DataFrame:
    numbers = np.arange(0, N_DAYS, task.year_every)
    all_days = task.days(year, numbers.tolist())
    even = np.full(len(numbers), DAYS_A_YEAR / len(numbers))
    whole = _sized(all_days, even, year)
    bound = whole.bound
    rows = []
    for k in (*task.representative, 0):
        if k:
            chosen = representatives(year, k, DAYS_A_YEAR)
            found = _sized(task.days(year, chosen.days.tolist()), chosen.weights, year)
        else:
            found = whole
        cost = found.capital_cost + operation(all_days, even, found.sizes, year)
        rows.append(
            {
                "what": "sizes",
                "building": task.building,
                "days": k or len(numbers),
                "storage [kWh]": found.sizes.storage_kwh,
                "storage [kW]": found.sizes.storage_kw,
                "PV [kW]": found.sizes.pv_kw,
                "charging points": found.sizes.chargers,
                "cost by these days [CNY/year]": found.bound,
                "cost on the year [CNY/year]": cost,
                "above the bound of the year %": 100.0 * (cost - bound) / abs(bound),
                "error of cost %": 100.0 * (found.bound - cost) / abs(cost),
            }
        )
    return pd.DataFrame(rows)


def _sized(days: Sequence[StationDay], weights: FloatArray, year: Year) -> Sized:
    roof = Sizes(storage_kwh=np.inf, storage_kw=np.inf, pv_kw=year.pv_rated_kw, chargers=np.inf)
    return size(
        days,
        weights,
        pv_rated_kw=year.pv_rated_kw,
        capital=CAPITAL,
        limits=Limits(upper=roof),
        charger_kw=LAWS.charge_limit_kw,
    )


def operation(days: Sequence[StationDay], weights: FloatArray, sizes: Sizes, year: Year) -> float:
    """Yearly operation at given sizes: each day's own optimum with all rules, weighted."""
    costs = [
        _optimum_cost(
            at_sizes(day, sizes, pv_rated_kw=year.pv_rated_kw, charger_kw=LAWS.charge_limit_kw), year
        )
        for day in days
    ]
    return float(weights @ costs)


def _optimum_cost(day: StationDay, year: Year) -> float:
    return StationSolver(day, year.terms.load_of, Weights(cost=1.0)).optimum().objective


def _break_even(task: Sizing, year: Year) -> pd.DataFrame:
    k = min(BREAK_EVEN_DAYS, max(task.representative))
    chosen = representatives(year, k, DAYS_A_YEAR)
    per_year = annuity(CAPITAL.rate, CAPITAL.storage_kwh.life_years)
    before, rows = np.nan, []
    for capacity_kwh in CAPACITIES:
        days = task.days(year.with_storage(capacity_kwh), chosen.days.tolist())
        cost = float(chosen.weights @ [_optimum_cost(day, year) for day in days])
        saved = before - cost
        rows.append(
            {
                "what": "break-even",
                "building": task.building,
                "days": k,
                "capacity [kWh]": capacity_kwh,
                "operation [CNY/year]": cost,
                "saved by the last 200 kWh [CNY/year]": saved,
                "break-even [CNY/kWh]": saved / (CAPACITIES[1] - CAPACITIES[0]) / per_year,
            }
        )
        before = cost
    return pd.DataFrame(rows)
