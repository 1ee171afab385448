"""What the study runs: days of a year as Monte Carlo parts, everything else as sheets of independent calls."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from dispatch.planning.evolution import Search
from experiments.experiment.parts import Part
from experiments.experiment.sheets import Sheet
from experiments.forecast_evaluation import FORECASTERS as SCORED
from experiments.monte_carlo.contracts import Level
from experiments.monte_carlo.design.factors import Factors
from experiments.running import resolve
from experiments.storage_network.forecast_scores import charging_scores, scores_of_days
from experiments.storage_network.hosting import FORESIGHT, MODES, RATING_MARGIN, Hosting, hosted
from experiments.storage_network.planning import (
    Charging,
    Holding,
    Many,
    Setting,
    Sun,
    Trade,
    evolved,
    held,
    lit,
    methods,
    sited,
    traded,
)
from experiments.storage_network.single_day import SCENARIO, single_day
from sim.scenario import Scenario

FIRST_DAY: Final = date(2019, 2, 5)
"""A Tuesday, with four weeks of prices before it that forecasters learn from."""
EVERY_DAYS: Final = 11
"""From one of the study's days to the next: 30 of them span 320 days of 2019 and take turns through the week."""

YEAR: Final = (0, 8, 16, 23)
"""Numbers of the days that stand for a year: a Tuesday in February, a Saturday in May, Wednesdays in July and
October."""
MAY_TO_JULY: Final = slice(8, 16)
"""Numbers of the days on which the feeder is asked for the sun that it takes: all of the study's from 4 May to 20 July,
clear or not."""

START: Final = "simulation.start"
SEED: Final = "simulation.seed"
KIND: Final = "forecast.kind"
TARIFF: Final = "tariff"
KNOWN: Final = "forecast.known"
DEMAND: Final = "economics.demand_price_per_kw_day"

TIGHT_PU: Final = 0.98
"""Lower end of a band that the feeder's loads alone leave on many days."""
INVERTER_KVA: Final = 400.0
"""Of each unit's inverter where it gives reactive power [A]."""
CHARGER_KVAR_PER_KW: Final = 0.48
"""Of cars' chargers where they give reactive power: inverters rated at a power factor of 0.9."""
DEMAND_PRICE: Final = 0.30
"""Of the largest quarter-hour of a day, EUR per kW and day: about 110 a year [A]."""

_TIMES_OF_USE: Final = {
    "kind": "periods",
    "periods": [
        {
            "name": "night",
            "hours": [[0.0, 7.0], [23.0, 24.0]],
            "buy_per_kwh": 0.085,
            "sell_per_kwh": 0.02,
            "curtailment_per_kwh": 0.0,
        },
        {
            "name": "day",
            "hours": [[7.0, 23.0]],
            "buy_per_kwh": 0.11,
            "sell_per_kwh": 0.04,
            "curtailment_per_kwh": 0.0,
        },
    ],
}
"""A night and a day price around the year's mean of the day-ahead ones with their fee [A]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is run; nothing else may differ between a quick and a full study."""

    name: str
    n_cars: int
    n_days: int
    forecasters: tuple[str, ...]  # under which policies are compared, beside perfect forecasts
    markets_every: int  # of the days, on which tariffs are compared
    known_every: int  # of the days, on which parts of the forecasts are known or not
    scored: tuple[str, ...]  # forecasters
    scored_every: int  # of the days, on which they are
    charging_every: int  # of the days, on which forecasts of charging are scored
    n_fleets: int  # of which the feeder's hosting capacity is asked
    hosting_step: int  # cars
    hosting_most: int  # cars where each charges when it comes
    coordinated_most: int  # cars otherwise
    tight_every: int  # of the days, on which a narrower band is kept
    sited: tuple[int, ...]  # cars that charge when they come, for which storage is sited
    n_planned: int  # days that stand for the year where storage is sited
    n_points: int  # of a front
    seconds: tuple[str, ...]  # objectives beside cost
    search: Search  # of all six objectives at once
    n_compared: int  # points of the search that get a bound
    n_draws: int  # of calls of reserve, on each day that is planned


FULL: Final = Extent(
    name="full",
    n_cars=300,
    n_days=30,
    forecasters=("persistence", "learned"),
    markets_every=6,
    known_every=3,
    scored=SCORED,
    scored_every=1,
    charging_every=5,
    n_fleets=4,
    hosting_step=100,
    hosting_most=2400,
    coordinated_most=1200,
    tight_every=3,
    sited=(1600, 2000, 2400),
    n_planned=4,
    n_points=9,
    seconds=("peak_valley_kw", "loss_kwh", "voltage_deviation_pu", "wear_kwh", "emission_kg"),
    search=Search(),
    n_compared=30,
    n_draws=100,
)
QUICK: Final = Extent(
    name="quick",
    n_cars=50,
    n_days=2,
    forecasters=("persistence",),
    markets_every=2,
    known_every=2,
    scored=("persistence", "seasonal-naive"),
    scored_every=2,
    charging_every=2,
    n_fleets=2,
    hosting_step=200,
    hosting_most=400,
    coordinated_most=200,
    tight_every=2,
    sited=(1600,),
    n_planned=1,
    n_points=3,
    seconds=("peak_valley_kw",),
    search=Search(partitions=2, population=24, generations=4, end_population=8, end_generations=4),
    n_compared=2,
    n_draws=5,
)


def base(extent: Extent, *overrides: str) -> Scenario:
    """A single day of the scenario with the extent's cars."""
    return single_day(extent.n_cars, *overrides)


def days_of_year(n: int) -> list[date]:
    """The study's days.

    >>> [day.isoformat() for day in days_of_year(30)][::29]
    ['2019-02-05', '2019-12-21']
    """
    return [FIRST_DAY + timedelta(days=EVERY_DAYS * k) for k in range(n)]


def day_cells(extent: Extent) -> list[dict[str, Level]]:
    """Levels of each day: its date and a fleet of its own, so that an interval over days is one over fleets too."""
    return [{START: day, SEED: 1 + number} for number, day in enumerate(days_of_year(extent.n_days))]


def parts(extent: Extent) -> Iterator[Part]:
    """All parts, in the order in which they are run.

    Under perfect forecasts one plan for the whole day is the optimum; it is not made again every 15 minutes. Stations
    that are alone are run under the first of the forecasters.
    """
    days = day_cells(extent)
    keep = 'dispatch.feeder_limits="keep"'
    margin = f"dispatch.feeder_rating_margin={RATING_MARGIN}"
    perfect = 'forecast.kind="perfect"'
    yield _part("optimum", base(extent, keep, perfect), ("day-ahead",), days)
    yield _part("pooled", base(extent, perfect), ("day-ahead",), days)
    yield _part("uncontrolled", base(extent), ("uncontrolled",), days)
    yield _part("alone", base(extent), ("each-alone",), by_forecaster(days, extent.forecasters[:1]))
    yield _part("ignored", base(extent), ("rolling",), by_forecaster(days, extent.forecasters))
    yield _part("kept", base(extent, keep), ("rolling",), by_forecaster(days, extent.forecasters))
    yield _part("margin", base(extent, keep, margin), ("rolling",), by_forecaster(days, extent.forecasters))
    yield _part("known", base(extent, keep), ("rolling",), known_cells(days[:: extent.known_every]))
    yield from tight_parts(extent, days[:: extent.tight_every])
    markets = list(market_cells(days[:: extent.markets_every]))
    yield _part("markets", base(extent, keep, margin), ("uncontrolled", "rolling"), markets)


def _part(
    name: str, scenario: Scenario, policies: tuple[str, ...], cells: Iterable[dict[str, Level]]
) -> Part:
    return Part(
        name=name,
        scenario=scenario,
        policies=policies,
        factors=Factors(design="list", cells=list(cells)),
        n_replications=1,
        keep="1",
    )


def tight_parts(extent: Extent, days: Sequence[dict[str, Level]]) -> Iterator[Part]:
    """The optimum where the band ends at ``TIGHT_PU``: without reactive power, with storage's, with chargers' too."""
    tight = (
        'dispatch.feeder_limits="keep"',
        'forecast.kind="perfect"',
        f"feeder.voltage_min_pu={TIGHT_PU}",
    )
    yield _part("tight", base(extent, *tight), ("day-ahead",), days)
    regions = resolve(SCENARIO).regions
    inverters = [
        f"regions.{region.name}.batteries.{number}.apparent_power_kva={INVERTER_KVA}"
        for region in regions
        for number in range(len(region.batteries))
    ]
    yield _part("tight-reactive", base(extent, *tight, *inverters), ("day-ahead",), days)
    chargers = [
        f"regions.{region.name}.charger_kvar_per_kw={CHARGER_KVAR_PER_KW}"
        for region in regions
        if region.chargers != 0
    ]
    yield _part("tight-chargers", base(extent, *tight, *inverters, *chargers), ("day-ahead",), days)


def by_forecaster(days: Sequence[dict[str, Level]], forecasters: Sequence[str]) -> Iterator[dict[str, Level]]:
    """Each day under each forecaster; days with a slow one stand together, so that workers share them."""
    for kind, day in itertools.product(forecasters, days):
        yield {**day, KIND: kind}


KNOWN_PARTS: Final = ((), ("price", "load"), ("price", "weather"), ("price", "cars"))
"""What is known as it will be where parts of the forecasts are told apart; elsewhere the price alone is."""


def known_cells(days: Sequence[dict[str, Level]]) -> Iterator[dict[str, Level]]:
    """Each day with less known than elsewhere, the price, and with one part more."""
    for known in KNOWN_PARTS:
        for day in days:
            yield {**day, KNOWN: list(known)}


def market_cells(days: Sequence[dict[str, Level]]) -> Iterator[dict[str, Level]]:
    """Each day at two prices, at the market's, and at the market's with a demand charge."""
    tariff = resolve(SCENARIO).tariff.model_dump(exclude_none=True)
    for prices, demand in ((_TIMES_OF_USE, 0.0), (tariff, 0.0), (tariff, DEMAND_PRICE)):
        for day in days:
            yield {**day, TARIFF: prices, DEMAND: demand}


def sheets(extent: Extent) -> Iterator[Sheet]:
    """All sheets, in the order in which they are made."""
    yield Sheet(name="hosting", call=hosted, inputs=list(_hostings(extent)))
    yield Sheet(
        name="forecast-scores",
        call=scores_of_days,
        inputs=[(day, extent.scored) for day in days_of_year(extent.n_days)[:: extent.scored_every]],
    )
    yield Sheet(
        name="charging-scores",
        call=charging_scores,
        inputs=[
            (day, 1 + number, extent.n_cars)
            for number, day in enumerate(days_of_year(extent.n_days)[:: extent.charging_every])
        ],
    )

    yield from planning_sheets(extent)


def planning_sheets(extent: Extent) -> Iterator[Sheet]:
    """What is planned for days in hours: sites, fronts, reserve, further sun."""
    year = tuple(days_of_year(FULL.n_days)[number] for number in YEAR[: extent.n_planned])

    def on(charging: Charging, *days: date) -> Setting:
        return Setting(days=days, charging=charging, n_cars=FULL.n_cars)

    sites = [Setting(days=year, charging="uncontrolled", n_cars=n) for n in extent.sited]
    yield Sheet(name="siting", call=sited, inputs=list(methods(sites)))
    one = on("coordinated", FIRST_DAY)
    yield Sheet(
        name="fronts",
        call=traded,
        inputs=[Trade(setting=one, second=name, n_points=extent.n_points) for name in extent.seconds],
    )
    yield Sheet(
        name="many",
        call=evolved,
        inputs=[Many(setting=one, search=extent.search, n_compared=extent.n_compared)],
    )
    yield Sheet(
        name="reserve",
        call=held,
        inputs=[
            Holding(setting=on("coordinated", day), keeps_energy=keeps, n_draws=extent.n_draws)
            for day, keeps in itertools.product(year, (True, False))
        ],
    )
    summer = days_of_year(FULL.n_days)[MAY_TO_JULY][: 2 * extent.n_planned]
    yield Sheet(
        name="sun",
        call=lit,
        inputs=[
            Sun(setting=on("coordinated", day), is_idle=idle)
            for day, idle in itertools.product(summer, (True, False))
        ],
    )


def _hostings(extent: Extent) -> Iterator[Hosting]:
    for mode, seed in itertools.product(MODES, range(1, extent.n_fleets + 1)):
        most = extent.hosting_most if mode.startswith("uncontrolled") else extent.coordinated_most
        if mode == FORESIGHT and seed > extent.n_fleets // 2:
            continue  # one plan for so many cars takes minutes
        yield Hosting(mode=mode, seed=seed, day=FIRST_DAY, step=extent.hosting_step, most=most)
