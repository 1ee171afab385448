"""What the study runs: parts, each a Monte Carlo study of its own that is resumed by itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from experiments.experiment.parts import Part
from experiments.monte_carlo.contracts import Level
from experiments.monte_carlo.design.factors import Factors
from experiments.multi_microgrid.axes import Axis, factorial, one_at_a_time, physical_axes
from experiments.running import resolve
from experiments.shipped import locate
from sim.scenario import PvWeather, Scenario, WindDraw
from sim.scenario_reading import with_entries

SCENARIO: Final = "multi-microgrid"
FIRST_DAY: Final = date(2016, 2, 1)
"""First of the days of a year; the last is ``SPAN_DAYS`` later. 28 of them are 12 days apart: each weekday comes four
times. Before the first lie the four weeks of one year's loads that forecasters learn from."""

SPAN_DAYS: Final = 324
FORECASTERS: Final = ("perfect", "persistence", "seasonal-naive", "learned")
REAL_FORECASTERS: Final = ("persistence", "learned")
"""Those under which policies are compared."""

START: Final = "simulation.start"

PARTS: Final = ("load", "weather", "cars")
"""What regret is split into; prices are published."""

POLICIES: Final = ("uncontrolled", "own-cost", "valley-first", "least-laxity", "rolling", "margin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is run; nothing else may differ between a quick and a full study."""

    name: str
    n_cars: int
    n_fleets: int
    n_fleets_a_day: int  # where kinds of storage are compared
    n_days: int
    stochastic_every: int  # of the days, on which the two-stage program is run
    split_every: int  # of the days, on which regret is split
    split_forecasters: tuple[str, ...]  # whose regret is split
    n_paths: int
    rolling_every: int  # of the settings that are run in the rolling simulator
    drivers_every: int  # of the kinds of drivers
    shortened: Mapping[str, tuple[str, ...]]
    """Levels of the designed experiment, by axis, where not all are run."""

    bridged: Mapping[str, tuple[str, ...]]
    """Levels of the bridge to the paper's table, the scenario's own first, by axis, where not all are run."""


FULL: Final = Extent(
    name="full",
    n_cars=100,
    n_fleets=20,
    n_fleets_a_day=4,
    n_days=28,
    stochastic_every=3,
    split_every=2,
    split_forecasters=REAL_FORECASTERS,
    n_paths=5,
    rolling_every=1,
    drivers_every=1,
    shortened={},
    bridged={},
)
QUICK: Final = Extent(
    name="quick",
    n_cars=12,
    n_fleets=2,
    n_fleets_a_day=1,
    n_days=2,
    stochastic_every=2,
    split_every=2,
    split_forecasters=("learned",),
    n_paths=2,
    rolling_every=6,
    drivers_every=3,
    shortened={
        "departure": ("0.9", "none"),
        "pooling": ("islands", "free"),
        "export": ("none", "free"),
        "turbine": ("physical",),
        "wear": ("0.12",),
    },
    bridged={"departure": ("0.5", "0.9"), "pooling": ("islands", "free"), "export": ("none", "free")},
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


def some_levels(axes: Iterable[Axis], levels: Mapping[str, tuple[str, ...]]) -> list[Axis]:
    """Each axis with the levels named, or with all of its own."""
    return [axis.only(*levels[axis.name]) if axis.name in levels else axis for axis in axes]


def design_axes(scenario: Scenario, extent: Extent) -> list[Axis]:
    """Axes of the factorial, with the levels that the extent runs."""
    return some_levels(axes_of(scenario).values(), extent.shortened)


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
        factors=one_at_a_time(some_levels(bridge_axes(perfect), extent.bridged)),
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
        factors=Factors(design="list", cells=list(rolling_cells(real))[:: extent.rolling_every]),
        n_replications=extent.n_fleets,
    )
    yield Part(
        name="mobility",
        scenario=perfect,
        policies=("day-ahead",),
        factors=Factors(design="list", cells=list(mobility_cells(perfect, extent))),
        n_replications=extent.n_fleets_a_day,
    )
    yield from year_parts(extent, with_real_wind(real))
    yield Part(
        name="drivers",
        scenario=real,
        policies=("uncontrolled", "rolling"),
        factors=Factors(design="list", cells=list(driver_cells(real).values())[:: extent.drivers_every]),
        n_replications=extent.n_fleets,
        keep=f"0-{extent.n_fleets - 1}",
    )


def year_parts(extent: Extent, scenario: Scenario) -> Iterator[Part]:
    """Parts on days of the year with real wind, each day with a fleet of its own: cells of a day are paired."""
    days = list(days_with_seeds(scenario, extent))
    yield Part(
        name="optimum",
        scenario=with_entries(scenario, {"forecast.kind": "perfect"}, locate),
        policies=("day-ahead",),
        factors=Factors(design="list", cells=days),
        n_replications=1,
    )
    yield Part(
        name="forecasts",
        scenario=scenario,
        policies=("rolling",),
        factors=Factors(design="list", cells=list(forecast_cells(days, extent))),
        n_replications=1,
    )
    yield Part(
        name="policies",
        scenario=scenario,
        policies=POLICIES,
        factors=Factors(design="list", cells=list(by_forecaster(days))),
        n_replications=1,
        keep="1",
    )
    yield Part(
        name="stochastic",
        scenario=with_entries(scenario, {"forecast.n_paths": extent.n_paths}, locate),
        policies=("stochastic",),
        factors=Factors(design="list", cells=list(by_forecaster(days[:: extent.stochastic_every]))),
        n_replications=1,
        keep="1",
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


def mobility_cells(scenario: Scenario, extent: Extent) -> Iterator[dict[str, Level]]:
    """Each kind of storage on each day of the year."""
    for kind, day in itertools.product(MOBILITY, days_with_seeds(scenario, extent)):
        yield {**storage_levels(scenario, kind), **day}


def storage_levels(scenario: Scenario, kind: str) -> dict[str, Level]:
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
        own = [battery.model_dump(exclude_none=True) for battery in region.batteries]
        cell[f"regions.{region.name}.bidirectional"] = at_home or kind != "V2G at home"
        cell[f"regions.{region.name}.batteries"] = own + ([_as_battery(scenario, share)] if share else [])
    return cell


def _as_battery(scenario: Scenario, share: float) -> dict[str, Any]:
    """A share of the whole fleet as one stationary battery."""
    car, n = scenario.fleet.classes[0], share * scenario.fleet.n_drawn
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
    ['2016-02-01', '2016-07-12', '2016-12-21']
    """
    return [FIRST_DAY + timedelta(days=SPAN_DAYS * k // max(n - 1, 1)) for k in range(n)]


def days_with_seeds(scenario: Scenario, extent: Extent) -> Iterator[dict[str, Level]]:
    """Levels of each day: its date, and a seed, so that an interval over days is one over fleets too."""
    for number, day in enumerate(days_of_year(extent.n_days)):
        yield {"simulation.start": day, "simulation.seed": scenario.simulation.seed + number}


def with_real_wind(scenario: Scenario) -> Scenario:
    """The scenario with wind by the weather year's measured speeds instead of draws."""
    region = scenario.regions[0]
    assert isinstance(region.wind, WindDraw)
    assert isinstance(region.pv, PvWeather)
    speed = region.pv.irradiance.model_copy(update={"column": "wind_speed_m_s"})
    table = {"turbine": region.wind.turbine.model_dump(), "speed": speed.model_dump(exclude_none=True)}
    return with_entries(scenario, {"regions.*.wind": table}, locate)


def forecast_cells(days: Sequence[dict[str, Level]], extent: Extent) -> Iterator[dict[str, Level]]:
    """Each day under each forecaster, and with sets of parts known of those whose regret is split.

    The empty set is the forecaster by itself, and that of all parts the perfect one: neither is run twice. Those by
    themselves under which policies are compared are run there.
    """
    for day in days:
        for kind in FORECASTERS:
            if kind not in REAL_FORECASTERS:
                yield day | _forecast(kind)
        yield day | _forecast("learned", cars="statistics")
        yield day | _forecast("learned", cars="statistics", leaving="chain_statistics")
    for day in days[:: extent.split_every]:
        for kind, known in itertools.product(extent.split_forecasters, subsets(PARTS)[1:-1]):
            yield day | _forecast(kind, known=known)


def by_forecaster(days: Sequence[dict[str, Level]]) -> Iterator[dict[str, Level]]:
    """Each day under each real forecaster; days with the slower one stand together, so that workers share them."""
    for kind, day in itertools.product(REAL_FORECASTERS, days):
        yield day | _forecast(kind)


def _forecast(
    kind: str, *, known: tuple[str, ...] = (), cars: str = "yesterday", leaving: str = "median_price"
) -> dict[str, Level]:
    return {
        "forecast.kind": kind,
        "forecast.known": list(known),
        "forecast.cars": cars,
        "dispatch.departing_energy_value": leaving,
    }


def subsets(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All subsets, the empty one first.

    >>> subsets(("a", "b"))
    [(), ('a',), ('b',), ('a', 'b')]
    """
    sizes = range(len(parts) + 1)
    return [chosen for size in sizes for chosen in itertools.combinations(parts, size)]


def driver_cells(scenario: Scenario) -> dict[str, dict[str, Level]]:
    """Kinds of drivers, by label."""
    drivers = scenario.fleet.drivers
    own: dict[str, Level] = {
        "fleet.drivers.participation_share": drivers.participation_share,
        "fleet.drivers.missing_share": drivers.missing_share,
        "fleet.drivers.departure_error_min": drivers.departure_error_min.model_dump(exclude_none=True),
        "fleet.drivers.min_range_km": drivers.min_range_km,
        "fleet.plug_in_probability": dict(scenario.fleet.plug_in_probability),
    }
    changes: dict[str, dict[str, Level]] = {
        "as they declare": {},
        "departures wrong by 30 min (sd)": {"fleet.drivers.departure_error_min": _normal(0.0, 30.0)},
        "leave 30 min early on average": {"fleet.drivers.departure_error_min": _normal(30.0, 30.0)},
        "a fifth declares nothing": {"fleet.drivers.missing_share": 0.2},
        "half take part": {"fleet.drivers.participation_share": 0.5},
        "insist on 60 km": {"fleet.drivers.min_range_km": 60.0},
        "plug in at home only": {
            "fleet.plug_in_probability": {
                place: float(place == scenario.travel.home) for place in scenario.fleet.plug_in_probability
            }
        },
    }
    return {label: {**own, **change} for label, change in changes.items()}


def _normal(mean_min: float, sd_min: float) -> dict[str, Level]:
    return {"family": "norm", "loc": mean_min, "scale": sd_min}
