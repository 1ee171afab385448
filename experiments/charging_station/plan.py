"""What the study runs: real days as Monte Carlo parts, everything else as sheets of independent calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import Final

import numpy as np

from dispatch.station.evolution import Search
from experiments.charging_station.cases import Setting, Variant, cases, changes, curves, reach
from experiments.charging_station.execution import hourly_and_real
from experiments.charging_station.fronts import (
    METHODS,
    Hunt,
    Trace,
    capacity,
    hunted,
    three_objectives,
    traced,
)
from experiments.charging_station.instance import N_DAYS
from experiments.charging_station.sizing import Sizing, sizing
from experiments.experiment.parts import Part
from experiments.experiment.sheets import Sheet
from experiments.monte_carlo.contracts import Level
from experiments.monte_carlo.design.factors import Factors
from experiments.running import resolve
from sim.scenario import Scenario

PEAKS: Final = {"small": 560.0, "middle": 1500.0, "large": 4000.0}
"""Largest quarter-hour of the buildings of three independent instances [kW]."""

DAY: Final = 165
"""15 June: the day of the tables and curves; days spread over the year stand beside it."""

WORKPLACE: Final = "workplace-station"
FIRST_REAL_DAY: Final = date(2019, 6, 3)
"""A Monday; twelve weeks from here have 60 weekdays."""

START: Final = "simulation.start"
RULES: Final = (
    "uncontrolled", "first-come", "earliest-deadline", "least-laxity", "valley-first", "rolling", "margin",
)  # fmt: skip
READINGS: Final = ("building and cars", "with storage", "grid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is run; nothing else may differ between a quick and a full study."""

    name: str
    buildings: tuple[str, ...]
    n_cars: int
    n_days: int  # of the year, on which reductions are looked at
    n_points: int  # of a front
    n_bounds: int  # of each of two bounded objectives beside cost
    has_quarter_hours: bool
    n_seeds: int
    population: int  # of searches
    generations: Mapping[str, int]  # by building: a search takes ten times as long as the exact front
    quarter_generations: int
    n_capacity_seeds: int
    n_real_days: int
    n_paths: int
    representative: tuple[int, ...]  # numbers of days that sizes are chosen by
    year_every: int  # of the days of the year that sizes are checked on

    def search(self, building: str, seed: int) -> Search:
        """One search on a building's hours."""
        return Search(population=self.population, generations=self.generations[building], seed=seed)


FULL: Final = Extent(
    name="full",
    buildings=tuple(PEAKS),
    n_cars=200,
    n_days=24,
    n_points=25,
    n_bounds=5,
    has_quarter_hours=True,
    n_seeds=20,
    population=100,
    generations={"small": 300, "middle": 600, "large": 600},
    quarter_generations=2400,
    n_capacity_seeds=3,
    n_real_days=60,
    n_paths=5,
    representative=(4, 8, 12, 24),
    year_every=1,
)
QUICK: Final = Extent(
    name="quick",
    buildings=("small",),
    n_cars=30,
    n_days=2,
    n_points=5,
    n_bounds=2,
    has_quarter_hours=False,
    n_seeds=2,
    population=20,
    generations={"small": 10},
    quarter_generations=10,
    n_capacity_seeds=1,
    n_real_days=2,
    n_paths=2,
    representative=(2, 4),
    year_every=40,
)


def setting(extent: Extent, building: str, day: int = DAY, steps_per_hour: int = 1) -> Setting:
    """One day of one instance."""
    return Setting(
        building=building,
        peak_kw=PEAKS[building],
        day=day,
        steps_per_hour=steps_per_hour,
        n_cars=extent.n_cars,
    )


def days_of_year(n: int) -> list[int]:
    """Numbers of days spread evenly over the year.

    >>> days_of_year(3)
    [0, 181, 362]
    """
    return [int(day) for day in np.linspace(0, N_DAYS - 1, n).round()]


def sheets(extent: Extent) -> Iterator[Sheet]:
    """All sheets, in the order in which they are made."""
    at_day = [setting(extent, building) for building in extent.buildings]
    steps = (1, 4) if extent.has_quarter_hours else (1,)
    yield Sheet(name="cases", call=cases, inputs=at_day)
    yield Sheet(name="curves", call=curves, inputs=at_day)
    yield Sheet(
        name="fronts",
        call=traced,
        inputs=[
            Trace(
                setting=setting(extent, building, steps_per_hour=per_hour),
                case=case,
                n_points=extent.n_points,
            )
            for per_hour in steps
            for building in extent.buildings
            for case in ("2", "3")
        ],
    )
    yield Sheet(
        name="carbon",
        call=traced,
        inputs=[
            Trace(setting=one, case="3", n_points=extent.n_points, second="emission_kg") for one in at_day
        ],
    )
    yield Sheet(
        name="three",
        call=three_objectives,
        inputs=[Trace(setting=one, case="3", n_points=extent.n_bounds) for one in at_day],
    )
    yield Sheet(name="searches", call=hunted, inputs=list(_hunts(extent, at_day)))
    yield Sheet(
        name="reach",
        call=reach,
        inputs=[
            replace(setting(extent, building, day), overrides=(f'station.peak_valley_of="{reading}"',))
            for building in extent.buildings
            for reading in READINGS
            for day in days_of_year(extent.n_days)
        ],
    )
    yield Sheet(name="bridge", call=changes, inputs=list(_variants(extent)))
    yield Sheet(
        name="execution",
        call=hourly_and_real,
        inputs=[
            setting(extent, building, day)
            for building in extent.buildings
            for day in days_of_year(max(2, extent.n_days // 2))
        ],
    )
    searches = tuple(extent.search(extent.buildings[0], seed=1 + k) for k in range(extent.n_capacity_seeds))
    yield Sheet(
        name="capacity",
        call=partial(capacity, searches=searches),
        inputs=[replace(one, capacity_kwh=float(kwh)) for one in at_day[:1] for kwh in range(0, 1201, 200)],
    )
    yield Sheet(
        name="sizing",
        call=sizing,
        inputs=[
            Sizing(
                building=building,
                peak_kw=PEAKS[building],
                n_cars=extent.n_cars,
                representative=extent.representative,
                year_every=extent.year_every if first else 3 * extent.year_every,
            )
            for first, building in zip((True, False, False), extent.buildings, strict=False)
        ],
    )


def _hunts(extent: Extent, at_day: Sequence[Setting]) -> Iterator[Hunt]:
    for one in at_day:
        for seed in range(1, extent.n_seeds + 1):
            for method in METHODS:
                yield Hunt(setting=one, method=method, search=extent.search(one.building, seed))
    if extent.has_quarter_hours:
        quarters = replace(at_day[0], steps_per_hour=4)
        search = Search(population=extent.population, generations=extent.quarter_generations)
        for method in METHODS:
            yield Hunt(setting=quarters, method=method, search=search)


def _variants(extent: Extent) -> Iterator[Variant]:
    """The small building's days with one assumption switched at a time."""
    for day in days_of_year(extent.n_days):
        base = setting(extent, extent.buildings[0], day)
        yield Variant(name="as it is", setting=base)
        for name, overrides in SWITCHES.items():
            yield Variant(name=name, setting=replace(base, overrides=overrides))
        for share in (0.2, 0.8, 1.0):
            yield Variant(name=f"w1 = {share:g}", setting=base, cost_share=share)
        for building in extent.buildings[1:]:
            yield Variant(name=f"{building} building", setting=setting(extent, building, day))
        yield Variant(name="storage of 500 kWh", setting=replace(base, capacity_kwh=500.0))


_PRICES: Final = (
    '{ file = "shipped:dayahead_nl_2019_2020", column = "price_eur_per_mwh", time_column = "time_utc", '
    'step_minutes = 60, zone = "UTC", stamp = "beginning", to_quarter_hours = "hold", wrap = "none" }'
)
SWITCHES: Final[dict[str, tuple[str, ...]]] = {
    "peak of building and cars (L1)": ('station.peak_valley_of="building and cars"',),
    "peak of the exchange with the grid (L3)": ('station.peak_valley_of="grid"',),
    "storage may always charge from the grid": ("station.grid_charging_share=1.0",),
    "nothing paid for what is sold": ("tariff.periods.*.sell_per_kwh=0.0",),
    "storage wears: 0.12 a kWh": ("economics.throughput_price_per_kwh=0.12",),
    "one price at all hours": ("tariff.periods.*.buy_per_kwh=0.6998",),
    "real day-ahead prices (2019) and a fee of 50 a MWh": (
        "simulation.start=2019-01-03",
        "economics.energy_value_per_kwh=0.0",  # asked for beside a price series; a day's plan has no use for it
        f'tariff={{ kind = "series", series = {_PRICES}, per_mwh = true, buy_adder_per_kwh = 0.05, '
        "sell_fraction = 1.0, curtailment_per_kwh = 0.0 }",
    ),
}
"""Overrides of the scenario that switch one assumption."""


def real_days(n: int) -> list[date]:
    """Weekdays in a row.

    >>> [day.isoformat() for day in real_days(6)][-2:]
    ['2019-06-07', '2019-06-10']
    """
    return [FIRST_REAL_DAY + timedelta(days=7 * (k // 5) + k % 5) for k in range(n)]


def workplace(*overrides: str) -> Scenario:
    """The shipped workplace without its report."""
    return resolve(WORKPLACE, overrides=["output.report=false", "output.forecasts_max_days=0", *overrides])


def parts(extent: Extent) -> Iterator[Part]:
    """Real days in the rolling simulator, and their optima with everything known.

    A plan made once cannot answer to what chargers take before the first decision about a car: under the optimum they
    wait for it.
    """
    days: list[dict[str, Level]] = [{START: day} for day in real_days(extent.n_real_days)]

    def part(name: str, policies: tuple[str, ...], *overrides: str) -> Part:
        return Part(
            name=name,
            scenario=workplace(*overrides),
            policies=policies,
            factors=Factors(design="list", cells=days),
            n_replications=1,
            keep="1",
        )

    perfect = 'forecast.kind="perfect"'
    yield part("optimum", ("day-ahead",), perfect, 'fleet.arrival_power="none"')
    yield part("perfect", ("rolling",), perfect)
    yield part("real-days", RULES)
    yield part("load-known", ("rolling",), 'forecast.known=["load", "weather"]')
    yield part("cars-known", ("rolling",), 'forecast.known=["cars"]')
    yield part("learned", ("rolling",), 'forecast.kind="learned"')
    yield part("stochastic", ("stochastic",), f"forecast.n_paths={extent.n_paths}")
