"""What the study runs: parts, each a Monte Carlo study of its own that is resumed by itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from experiments.experiment.parts import Part
from experiments.monte_carlo.contracts import Level
from experiments.monte_carlo.design.factors import Factors
from experiments.multi_microgrid.axes import Axis, factorial, one_at_a_time, physical_axes
from experiments.running import resolve
from sim.scenario import Scenario

SCENARIO: Final = "multi-microgrid"
SEASONS: Final = (date(2016, 1, 20), date(2016, 4, 20), date(2016, 7, 20), date(2016, 10, 19))
FIRST_DAY: Final = date(2016, 1, 6)
"""First of the days of a year; the last is ``SPAN_DAYS`` later. 28 of them are 13 days apart: all weekdays come."""

SPAN_DAYS: Final = 351
FORECASTERS: Final = ("perfect", "persistence", "seasonal-naive", "learned")
PARTS: Final = ("load", "weather", "cars")
"""What regret is split into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is run; nothing else may differ between a quick and a full study."""

    name: str
    n_cars: int
    n_fleets: int
    n_days: int
    n_stochastic_days: int
    n_paths: int
    shortened: Mapping[str, tuple[str, ...]]
    """Levels of the designed experiment, by axis, where not all are run."""


FULL: Final = Extent(
    name="full", n_cars=100, n_fleets=20, n_days=28, n_stochastic_days=8, n_paths=5, shortened={}
)
QUICK: Final = Extent(
    name="quick",
    n_cars=12,
    n_fleets=2,
    n_days=2,
    n_stochastic_days=1,
    n_paths=2,
    shortened={
        "departure": ("0.9", "none"),
        "pooling": ("islands", "free"),
        "export": ("none", "free"),
        "wear": ("0.12",),
    },
)


def base(extent: Extent, *overrides: str) -> Scenario:
    """The shipped scenario with ties of no capacity between its regions, so that pooling is a matter of a limit."""
    names = resolve(SCENARIO).region_names
    ties = ", ".join(
        f'{{ from_region = "{one}", to_region = "{other}", limit_kw = 0.0 }}'
        for one, other in itertools.combinations(names, 2)
    )
    common = (f"ties=[{ties}]", f"fleet.size={extent.n_cars}", "output.report=false")
    return resolve(SCENARIO, overrides=[*common, "output.forecasts_max_days=0", *overrides])


def axes_of(scenario: Scenario) -> dict[str, Axis]:
    """Axes of the designed experiment, for the scenario's own turbine and cars."""
    turbine = scenario.regions[0].turbine
    assert turbine is not None
    return physical_axes(turbine.model_dump(), scenario.fleet.classes[0].discharge_limit_kw)


def design_axes(scenario: Scenario, extent: Extent) -> list[Axis]:
    """Axes of the factorial, with the levels that the extent runs."""
    axes = axes_of(scenario)
    return [
        axis.only(*extent.shortened[name]) if name in extent.shortened else axis
        for name, axis in axes.items()
    ]


def bridge_axes(scenario: Scenario) -> list[Axis]:
    """Assumptions that are switched one at a time on the way to the paper's table."""
    axes = axes_of(scenario)
    plugs = scenario.fleet.plug_in_probability
    always = dict.fromkeys(plugs, 1.0)
    names = ("departure", "pooling", "export", "turbine")
    plug = Axis(name="plug", key="fleet.plug_in_probability", levels={"0.3 away": plugs, "always": always})
    return [*(axes[name] for name in names), plug]


def parts(extent: Extent) -> Iterator[Part]:
    """All parts, in the order in which they are run."""
    perfect, real = base(extent, 'forecast.kind="perfect"'), base(extent)
    yield Part(
        name="table5",
        scenario=perfect,
        policies=("uncontrolled", "own-cost", "rolling"),
        factors=None,
        n_replications=extent.n_fleets,
        keep="1",
    )
    yield Part(
        name="bridge",
        scenario=perfect,
        policies=("uncontrolled", "own-cost", "day-ahead"),
        factors=one_at_a_time(bridge_axes(perfect)),
        n_replications=extent.n_fleets,
    )
    yield Part(
        name="factorial",
        scenario=perfect,
        policies=("day-ahead",),
        factors=factorial(design_axes(perfect, extent)),
        n_replications=extent.n_fleets,
    )
    yield Part(
        name="rolling",
        scenario=real,
        policies=("uncontrolled", "rolling"),
        factors=Factors(design="list", cells=list(rolling_cells(real))),
        n_replications=extent.n_fleets,
    )
    yield Part(
        name="mobility",
        scenario=perfect,
        policies=("day-ahead",),
        factors=Factors(design="list", cells=list(mobility_cells(perfect))),
        n_replications=extent.n_fleets,
    )


ROLLING: Final[tuple[tuple[str, str, str, str, str, str], ...]] = (
    # departure, pooling, export, V2G, turbine, wear: the scenario's own setting, each axis' other levels, and corners
    ("0.5", "islands", "none", "on", "physical", "0.12"),
    ("0.5", "islands", "none", "off", "physical", "0.12"),
    ("0.9", "islands", "none", "on", "physical", "0.12"),
    ("none", "islands", "none", "on", "physical", "0.12"),
    ("0.5", "100 kW ties", "none", "on", "physical", "0.12"),
    ("0.5", "free", "none", "on", "physical", "0.12"),
    ("0.5", "free", "none", "off", "physical", "0.12"),
    ("0.5", "islands", "100 kW", "on", "physical", "0.12"),
    ("0.5", "islands", "free", "on", "physical", "0.12"),
    ("0.5", "islands", "none", "on", "printed", "0.12"),
    ("0.5", "islands", "none", "on", "physical", "0.24"),
    ("none", "free", "free", "on", "physical", "0.12"),
)


def rolling_cells(scenario: Scenario) -> Iterator[dict[str, Level]]:
    """Cells of the designed experiment that are run in the rolling simulator too."""
    axes = axes_of(scenario).values()
    for labels in ROLLING:
        yield {axis.key: axis.levels[label] for axis, label in zip(axes, labels, strict=True)}


MOBILITY: Final = ("charging only", "V2G at home", "V2G everywhere", "fixed at home", "fixed everywhere")
"""Kinds of storage that are compared: the cars', where they may give back, or fixed batteries of the same size."""


def mobility_cells(scenario: Scenario) -> Iterator[dict[str, Level]]:
    """Each kind of storage on each seasonal day."""
    for kind, day in itertools.product(MOBILITY, SEASONS):
        yield {**_storage(scenario, kind), "simulation.start": day}


def _storage(scenario: Scenario, kind: str) -> dict[str, Level]:
    """Levels of one kind of storage. Fixed batteries have the cars' energy, power, efficiencies and start in sum."""
    home = scenario.travel.home
    gives = {"V2G at home", "V2G everywhere"}
    n_regions = len(scenario.regions)
    cell: dict[str, Level] = {
        "fleet.classes.*.discharge_limit_kw": (
            scenario.fleet.classes[0].discharge_limit_kw if kind in gives else 0.0
        )
    }
    for region in scenario.regions:
        at_home = region.place_type == home
        share = {"fixed at home": float(at_home), "fixed everywhere": 1.0 / n_regions}.get(kind, 0.0)
        own = [battery.model_dump() for battery in region.batteries]
        cell[f"regions.{region.name}.bidirectional"] = at_home or kind != "V2G at home"
        cell[f"regions.{region.name}.batteries"] = own + ([_as_battery(scenario, share)] if share else [])
    return cell


def _as_battery(scenario: Scenario, share: float) -> dict[str, Any]:
    """A share of the whole fleet as one stationary battery."""
    car, n = scenario.fleet.classes[0], share * scenario.fleet.size
    return {
        "capacity_kwh": n * car.battery_kwh,
        "charge_limit_kw": n * car.charge_limit_kw,
        "discharge_limit_kw": n * car.discharge_limit_kw,
        "charge_efficiency": car.charge_efficiency,
        "discharge_efficiency": car.discharge_efficiency,
        "soc_min": car.soc_min,
        "soc_max": car.soc_max,
        "initial_soc": car.initial_soc,
    }


def days_of_year(n: int) -> list[date]:
    """Days spread evenly over the year of the load profiles.

    >>> [day.isoformat() for day in days_of_year(3)]
    ['2016-01-06', '2016-06-29', '2016-12-22']
    """
    return [FIRST_DAY + timedelta(days=SPAN_DAYS * k // max(n - 1, 1)) for k in range(n)]
