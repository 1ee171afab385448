"""How well load, sun, price and charging are forecast at single buses and for the feeder in sum."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from experiments.experiment.sums import mean_row
from experiments.forecast_evaluation import issued
from experiments.running import resolve
from experiments.shipped import locate
from experiments.storage_network.single_day import SCENARIO, simulated
from sim.arrays import BoolArray, FloatArray
from sim.clock import STEPS_PER_DAY
from sim.forecasting.quantities import NAMES
from sim.forecasting.scores import mean_absolute_error, root_mean_square_error
from sim.world import build_world

QUANTITIES: Final = ("load_kw", "pv_kw", "wind_kw", "buy_price_per_kwh")
WINDY: Final = ("shops-south", "offices-north")
"""Regions that get a turbine where forecasts are scored: the scenario has none."""
_TURBINE: Final = (
    "{turbine = {rated_kw = 100.0, cut_in_m_s = 3.0, rated_m_s = 11.0, cut_out_m_s = 25.0}, "
    'speed = {column = "wind_speed_m_s", file = "shipped:tmy3_greensboro", time_column = "time", step_minutes = 60, '
    'zone = "scenario", stamp = "ending", to_quarter_hours = "linear", wrap = "year"}}'
)
CHARGING: Final = "charging_kw"
FLEETS: Final = 4
"""Other fleets whose mean charging is the statistical forecast of a fleet's."""


def scores_of_days(asked: tuple[date, tuple[str, ...]]) -> pd.DataFrame:
    """Errors of one day's forecasts, issued every six hours for the 24 hours that follow.

    Parameters
    ----------
    asked
        A day, and forecasters.

    Returns
    -------
    DataFrame
        A row per quantity, forecaster and reading (``per bus``: over all buses that have any, ``in sum``: of the
        feeder): ``mae``, ``rmse``, ``mean`` of what came (kW, or currency per kWh).
    """
    day, forecasters = asked
    scenario = resolve(
        SCENARIO,
        overrides=[
            f"simulation.start={day}",
            "simulation.days=2",
            'forecast.kind="learned"',
            *(f"regions.{name}.wind={_TURBINE}" for name in WINDY),
        ],
    )
    with threadpool_limits(limits=1):
        world = build_world(scenario, locate)
        buses = {
            f"{part}_kw": np.array([getattr(region, part) is not None for region in scenario.regions])
            for part in ("load", "pv", "wind")
        } | {"buy_price_per_kwh": np.ones(len(scenario.regions), dtype=np.bool_)}
        rows = []
        for kind in forecasters:
            actual, expected, _ = issued(scenario, world, kind, 0, has_quantiles=False)
            for name in QUANTITIES:
                index = NAMES.index(name)
                rows += [
                    {"day": day.isoformat(), "forecaster": kind, **row}
                    for row in _scores(name, actual[:, index], expected[:, index], buses[name])
                ]
    return pd.DataFrame(rows)


def charging_scores(asked: tuple[date, int, int]) -> pd.DataFrame:
    """Errors of charging forecasts of a day on which every car charges when it comes.

    Parameters
    ----------
    asked
        The day, the fleet's seed, and its number of cars.

    Returns
    -------
    DataFrame
        As `scores_of_days`: ``one day`` is one day of another fleet, as a day before would be, ``statistics`` the
        mean of several.
    """
    day, seed, n_cars = asked
    came = _charging_kw(day, seed, n_cars)
    has: BoolArray = np.asarray(came.any(axis=0))
    others = [_charging_kw(day, 1000 + seed * FLEETS + k, n_cars) for k in range(FLEETS)]
    return pd.DataFrame(
        {"day": day.isoformat(), "forecaster": kind, **row}
        for kind, forecast in (("one day", others[0]), ("statistics", np.mean(others, axis=0)))
        for row in _scores(CHARGING, came, forecast, has)
    )


def scores_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean errors over days, with the 95 % interval of the MAE; ``of the mean`` is the MAE over what came.

    Parameters
    ----------
    rows
        Of `scores_of_days` and `charging_scores`.
    """
    table = []
    for (name, reading, kind), own in rows.groupby(["quantity", "reading", "forecaster"], sort=False):
        mae = mean_row(own["mae"])
        table.append(
            {
                "quantity": name,
                "reading": reading,
                "forecaster": kind,
                "MAE": mae["mean"],
                "low": mae["ci_low"],
                "high": mae["ci_high"],
                "RMSE": float(own["rmse"].mean()),
                "of the mean [%]": 100.0 * float(own["mae"].mean() / own["mean"].mean()),
                "n": mae["n"],
            }
        )
    return pd.DataFrame(table)


def _scores(
    name: str, actual: FloatArray, expected: FloatArray, has: BoolArray
) -> Iterator[dict[str, object]]:
    """Scores over everything but the last axis, that of buses: for those that have any, and for their sum."""
    if name == "buy_price_per_kwh":  # one price for all
        readings = {"in sum": (actual[..., 0], expected[..., 0])}
    else:
        readings = {
            "per bus": (actual[..., has], expected[..., has]),
            "in sum": (actual.sum(axis=-1), expected.sum(axis=-1)),
        }
    for reading, (came, said) in readings.items():
        yield {
            "quantity": name,
            "reading": reading,
            "mae": mean_absolute_error(came, said),
            "rmse": root_mean_square_error(came, said),
            "mean": float(came.mean()),
        }


def _charging_kw(day: date, seed: int, n_cars: int) -> FloatArray:
    """Charging at each bus and step where every car charges when it comes, (S, R)."""
    scenario = resolve(
        SCENARIO,
        overrides=[
            'dispatch.policy="uncontrolled"',
            f"fleet.size={n_cars}",
            f"simulation.start={day}",
            f"simulation.seed={seed}",
            "output.report=false",
        ],
    )
    grid = simulated(scenario).tables["grid"]
    return np.asarray(grid["ev_charge_kw"], dtype=np.float64).reshape(STEPS_PER_DAY, -1)
