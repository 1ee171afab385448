"""From a scenario to its forecaster."""

from __future__ import annotations

import numpy as np

from sim.contracts import ChainStatistics, Fleet, Forecaster, Site
from sim.forecasting.cars import CarsAhead, LikelyStays, YesterdaysStays
from sim.forecasting.departing import DepartingPrices
from sim.forecasting.forecaster import MeasuredForecaster, PartlyKnown, Wanted
from sim.forecasting.learned import LearnedMethod
from sim.forecasting.method import Method, PriceRule
from sim.forecasting.past import Measurements, Past
from sim.forecasting.perfect import PerfectForecaster
from sim.forecasting.repeat import RepeatMethod
from sim.history import wants_paths, wants_quantiles
from sim.scenario import Scenario
from sim.world import World


def needs_statistics(scenario: Scenario) -> bool:
    """Whether the forecaster asks for statistics of travel."""
    asks = (
        scenario.forecast.cars == "statistics"
        or scenario.dispatch.departing_energy_value == "chain_statistics"
    )
    return asks and scenario.forecast.kind != "perfect"


def build_forecaster(
    scenario: Scenario,
    world: World,
    site: Site,
    fleet: Fleet,
    measurements: Measurements,
    statistics: ChainStatistics | None,
) -> Forecaster:
    """Forecaster of a scenario.

    Parameters
    ----------
    statistics
        Of travel; wanted where ``needs_statistics`` says so.
    """
    if scenario.forecast.kind == "perfect":
        return PerfectForecaster(world, fleet, measurements)
    part = scenario.forecast
    past = Past(world, measurements)
    levels = tuple(part.quantile_levels) if wants_quantiles(scenario) else ()
    wanted = Wanted(
        levels=levels,
        n_paths=part.n_paths if wants_paths(scenario) else 0,
        seed=scenario.simulation.seed,
        replication=scenario.simulation.replication,
    )
    forecaster = MeasuredForecaster(
        past,
        _method(scenario, past, levels),
        _cars(scenario, fleet, statistics),
        wanted,
        PriceRule.of(scenario),
        _departing(scenario, site, statistics),
    )
    return PartlyKnown(forecaster, world, fleet, frozenset(part.known)) if part.known else forecaster


def _method(scenario: Scenario, past: Past, levels: tuple[float, ...]) -> Method:
    part = scenario.forecast
    if part.kind == "learned":
        return LearnedMethod(
            past,
            part.learner,
            levels,
            history_days=part.history_days,
            horizon=scenario.dispatch.horizon_steps,
            start=scenario.simulation.start,
            price_rule=PriceRule.of(scenario),
        )
    return RepeatMethod(past, part.kind, np.array(levels), part.history_days)


def _cars(scenario: Scenario, fleet: Fleet, statistics: ChainStatistics | None) -> CarsAhead:
    if scenario.forecast.cars == "yesterday":
        return YesterdaysStays(fleet)
    assert statistics is not None
    return LikelyStays(fleet, statistics, scenario.simulation.start.weekday())


def _departing(scenario: Scenario, site: Site, statistics: ChainStatistics | None) -> DepartingPrices | None:
    if statistics is None or scenario.dispatch.departing_energy_value != "chain_statistics":
        return None
    efficiency = float(statistics.discharge_efficiency.mean())
    least = site.energy_value_per_kwh / efficiency
    return DepartingPrices(statistics, scenario.simulation.start.weekday(), least)
