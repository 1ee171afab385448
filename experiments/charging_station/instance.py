"""Days at the station, from a scenario: its building, sun, tariff and storage, and cars of the paper's laws."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np

from dispatch.station.day import LoadOf, StationDay, StationStorage, surplus_capacity_kwh
from experiments.charging_station.returns import ReturnLaws, Returns, plugged_fraction
from experiments.running import resolve
from experiments.shipped import locate
from sim.arrays import BoolArray, FloatArray
from sim.clock import STEPS_PER_DAY
from sim.scenario import PvWeather, Region
from sim.world import build_world

SCENARIO: Final = "charging-station"
FIRST_DAY, N_DAYS = date(2016, 1, 2), 363
"""Days of a year that the profiles and the weather cover with a day on either side."""

_QUANTILE_DUST: Final = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a day is judged: the scenario's ``station`` table, and prices beside the tariff."""

    load_of: LoadOf
    grid_charging_share: float
    station_adder_per_kwh: float
    wear_price_per_kwh: float
    demand_price_per_kw_day: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Year:
    """A year at the station, in quarter-hours by days; arrays (D, 96)."""

    first_day: date
    building_kw: FloatArray
    pv_kw: FloatArray  # at the rated power
    buy_per_kwh: FloatArray
    sell_per_kwh: FloatArray
    emission_kg_per_kwh: FloatArray  # of imported energy
    storage: StationStorage
    pv_rated_kw: float
    terms: Terms

    def sized(self, capacity_kwh: float) -> Year:
        """The same year with as much sun as makes a capacity the useful one by equation (3)."""
        return self.with_pv(pv_for_capacity(self, capacity_kwh))

    def with_pv(self, rated_kw: float) -> Year:
        """The same year with another rated power of PV."""
        return replace(self, pv_kw=self.pv_kw * rated_kw / self.pv_rated_kw, pv_rated_kw=rated_kw)

    def with_storage(self, capacity_kwh: float) -> Year:
        """The same year with another capacity at the same powers; 0 is none."""
        return replace(self, storage=replace(self.storage, capacity_kwh=capacity_kwh))


def year_of(building_peak_kw: float, *, overrides: tuple[str, ...] = ()) -> Year:
    """A year of the shipped station with a building of a given peak.

    Parameters
    ----------
    building_peak_kw
        Largest quarter-hour of the building's year.
    overrides
        Further ``key=value`` changes of the scenario.
    """
    dates = (f"simulation.start={FIRST_DAY.isoformat()}", f"simulation.days={N_DAYS}")
    scenario = resolve(SCENARIO, overrides=[*dates, *overrides])
    assert scenario.station is not None
    at = scenario.region_names.index(scenario.station.region)
    region = scenario.regions[at]
    world = build_world(scenario, locate)
    rows = world.rows(0, N_DAYS * STEPS_PER_DAY)
    shape = (N_DAYS, STEPS_PER_DAY)
    building = world.load_kw[rows, at].reshape(shape)
    assert isinstance(region.pv, PvWeather)
    return Year(
        first_day=FIRST_DAY,
        building_kw=building * building_peak_kw / building.max(),
        pv_kw=world.pv_kw[rows, at].reshape(shape),
        buy_per_kwh=world.buy_price_per_kwh[rows, at].reshape(shape),
        sell_per_kwh=world.sell_price_per_kwh[rows, at].reshape(shape),
        emission_kg_per_kwh=world.grid_kg_per_kwh[rows].reshape(shape),
        storage=_storage(region),
        pv_rated_kw=float(region.pv.rated_kw),
        terms=Terms(
            load_of=scenario.station.peak_valley_of,
            grid_charging_share=scenario.station.grid_charging_share,
            station_adder_per_kwh=scenario.station.station_adder_per_kwh,
            wear_price_per_kwh=scenario.economics.throughput_price_per_kwh,
            demand_price_per_kw_day=scenario.economics.demand_price_per_kw_day,
        ),
    )


def _storage(region: Region) -> StationStorage:
    (unit,) = region.batteries
    return StationStorage(
        capacity_kwh=unit.capacity_kwh,
        charge_limit_kw=unit.charge_limit_kw,
        discharge_limit_kw=unit.discharge_limit_kw,
        charge_efficiency=unit.charge_efficiency,
        discharge_efficiency=unit.discharge_efficiency,
        soc_min=unit.soc_min,
        soc_max=unit.soc_max,
        initial_soc=unit.initial_soc,
    )


def pv_for_capacity(year: Year, capacity_kwh: float) -> float:
    """Rated power of PV [kW] for which equation (3) gives a capacity; found by halving, the bound only rises."""
    low, high = 0.0, 1.0
    while _surplus_kwh(year.with_pv(high)) < capacity_kwh:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _surplus_kwh(year.with_pv(middle)) < capacity_kwh else (low, middle)
    return high


def _surplus_kwh(year: Year) -> float:
    return surplus_capacity_kwh(year.pv_kw, year.building_kw, 24.0 / STEPS_PER_DAY)


def day_of(year: Year, day: int, cars: Returns, laws: ReturnLaws, *, steps_per_hour: int) -> StationDay:
    """One day of a year with given cars.

    Parameters
    ----------
    day
        Its number in the year.
    steps_per_hour
        1 (the paper's) or 4.
    """
    n_steps = 24 * steps_per_hour
    mean = STEPS_PER_DAY // n_steps

    def steps(values: FloatArray) -> FloatArray:
        return np.asarray(values[day].reshape(n_steps, mean).mean(axis=1))

    price, terms = steps(year.buy_per_kwh), year.terms
    return StationDay(
        step_h=1.0 / steps_per_hour,
        building_kw=steps(year.building_kw),
        pv_kw=steps(year.pv_kw),
        building_price_per_kwh=price,
        station_price_per_kwh=price + terms.station_adder_per_kwh,
        sell_price_per_kwh=steps(year.sell_per_kwh),
        emission_kg_per_kwh=steps(year.emission_kg_per_kwh),
        is_grid_charging_hour=cheapest_share(price, terms.grid_charging_share),
        car_limit_kw=laws.charge_limit_kw * plugged_fraction(cars, n_steps),
        car_need_kwh=cars.need_kwh,
        storage=year.storage,
        wear_price_per_kwh=terms.wear_price_per_kwh,
        demand_price_per_kw=terms.demand_price_per_kw_day,
    )


def cheapest_share(price_per_kwh: FloatArray, share: float) -> BoolArray:
    """Steps among the cheapest share of a day; steps of the price at its edge are all among them, (K,).

    >>> cheapest_share(np.array([2.0, 1.0, 3.0, 1.0]), 0.25).tolist()
    [False, True, False, True]
    """
    n_cheap = math.ceil(share * len(price_per_kwh) - _QUANTILE_DUST)
    if n_cheap == 0:
        return np.zeros(len(price_per_kwh), dtype=np.bool_)
    edge = np.sort(price_per_kwh)[n_cheap - 1]
    return np.asarray(price_per_kwh <= edge + _QUANTILE_DUST)
