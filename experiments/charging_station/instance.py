"""Days at the station, from a scenario: its building, sun, tariff and storage, and cars of the paper's laws."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from dispatch.station.day import StationDay, StationStorage, surplus_capacity_kwh
from experiments.charging_station.returns import ReturnLaws, Returns, plugged_fraction
from experiments.running import resolve
from experiments.shipped import locate
from sim.clock import STEPS_PER_DAY
from sim.contracts import FloatArray
from sim.scenario import Region, Scenario
from sim.world import build_world

SCENARIO: Final = "charging-station"
REGION: Final = "station"
FIRST_DAY, N_DAYS = date(2016, 1, 2), 363
"""Days of a year that the profiles and the weather cover with a day on either side."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Year:
    """A year at the station, in quarter-hours by days; arrays (D, 96)."""

    first_day: date
    building_kw: FloatArray
    pv_kw: FloatArray  # at the scenario's rated power
    buy_per_kwh: FloatArray
    sell_per_kwh: FloatArray
    storage: StationStorage
    pv_rated_kw: float
    emission_kg_per_kwh: float

    def sized(self, capacity_kwh: float) -> Year:
        """The same year with as much sun as makes a capacity the useful one by equation (3)."""
        return self.with_pv(pv_for_capacity(self, capacity_kwh))

    def with_pv(self, rated_kw: float) -> Year:
        """The same year with another rated power of PV."""
        return Year(
            first_day=self.first_day,
            building_kw=self.building_kw,
            pv_kw=self.pv_kw * rated_kw / self.pv_rated_kw,
            buy_per_kwh=self.buy_per_kwh,
            sell_per_kwh=self.sell_per_kwh,
            storage=self.storage,
            pv_rated_kw=rated_kw,
            emission_kg_per_kwh=self.emission_kg_per_kwh,
        )


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
    region = _station(scenario)
    world = build_world(scenario, locate)
    at = scenario.region_names.index(REGION)
    shape = (N_DAYS, STEPS_PER_DAY)
    truth = world.window(0, N_DAYS * STEPS_PER_DAY)
    building = truth.load_kw[:, at].reshape(shape)
    factor = scenario.emissions.grid_kg_per_kwh
    assert region.pv is not None
    return Year(
        first_day=FIRST_DAY,
        building_kw=building * building_peak_kw / building.max(),
        pv_kw=truth.pv_kw[:, at].reshape(shape),
        buy_per_kwh=truth.buy_price_per_kwh[:, at].reshape(shape),
        sell_per_kwh=truth.sell_price_per_kwh[:, at].reshape(shape),
        storage=_storage(region),
        pv_rated_kw=float(region.pv.rated_kw),
        emission_kg_per_kwh=factor if isinstance(factor, float) else float("nan"),
    )


def _station(scenario: Scenario) -> Region:
    return next(region for region in scenario.regions if region.name == REGION)


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

    price = steps(year.buy_per_kwh)
    return StationDay(
        step_h=1.0 / steps_per_hour,
        building_kw=steps(year.building_kw),
        pv_kw=steps(year.pv_kw),
        building_price_per_kwh=price,
        station_price_per_kwh=price,
        sell_price_per_kwh=steps(year.sell_per_kwh),
        emission_kg_per_kwh=np.full(n_steps, year.emission_kg_per_kwh),
        is_grid_charging_hour=price <= price.min() + 1e-12,
        car_limit_kw=laws.charge_limit_kw * plugged_fraction(cars, n_steps),
        car_need_kwh=cars.need_kwh,
        storage=year.storage,
    )
