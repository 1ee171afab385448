"""Forecasters scored on real series by rolling origins: errors, quantiles and their confidence over days.

Loads are the shipped SimBench profiles, PV and wind come from the shipped typical meteorological year, prices are
the shipped day-ahead prices of the Netherlands. ``python -m experiments.forecast_evaluation [quick | full]``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Final

import numpy as np
import pandas as pd
from scipy import stats

from experiments.experiment.processes import in_processes
from experiments.shipped import load_scenario, locate
from sim.arrays import FloatArray, IntArray
from sim.clock import STEP_S, STEPS_PER_DAY
from sim.forecasting.learned import LearnedMethod
from sim.forecasting.method import Method, PriceRule
from sim.forecasting.past import Past
from sim.forecasting.quantities import NAMES, stacked
from sim.forecasting.repeat import RepeatMethod
from sim.forecasting.scores import (
    coverage,
    mean_absolute_error,
    mean_absolute_scaled_error,
    naive_error,
    pinball_loss,
    root_mean_square_error,
)
from sim.scenario import Scenario
from sim.world import World, build_world

FORECASTERS: Final = ("persistence", "seasonal-naive", "learned")
REFERENCE: Final = "seasonal-naive"
N_DAYS: Final = {"quick": 4, "full": 28}
ISSUES: Final = tuple(range(0, STEPS_PER_DAY, STEPS_PER_DAY // 4))  # every 6 h
HORIZON: Final = STEPS_PER_DAY
CONFIDENCE: Final = 0.95
_START, _DAYS = date(2020, 1, 30), 334
"""A leap year, as that of the loads, so that weekdays follow each other without a break."""


class _Clock:
    """A meter that is set to a step and has seen no cars."""

    def __init__(self, next_step: int) -> None:
        self.next_step = next_step

    def net_car_load_kw(self, steps: IntArray) -> FloatArray:
        """Nothing is measured of cars here."""
        raise LookupError(f"no cars are measured in {len(steps)} steps")

    def unmanaged_kw(self, steps: IntArray) -> FloatArray:
        """Nothing is measured of cars here."""
        return self.net_car_load_kw(steps)


def evaluation_scenario() -> Scenario:
    """The shipped three microgrids with real wind speeds and day-ahead prices, over the year 2020."""
    speed = (
        '{file = "shipped:tmy3_greensboro", column = "wind_speed_m_s", time_column = "time", step_minutes = 60, '
        'zone = "scenario", stamp = "ending", to_quarter_hours = "linear", wrap = "year"}'
    )
    curve = "{rated_kw = 200.0, cut_in_m_s = 3.0, rated_m_s = 10.0, cut_out_m_s = 25.0}"
    price = (
        '{file = "shipped:dayahead_nl_2019_2020", column = "price_eur_per_mwh", time_column = "time_utc", '
        'step_minutes = 60, zone = "UTC", stamp = "beginning", to_quarter_hours = "hold", wrap = "none"}'
    )
    terms = "per_mwh = true, buy_adder_per_kwh = 0.0, sell_fraction = 1.0, curtailment_per_kwh = 0.0"
    return load_scenario(
        "multi-microgrid",
        [
            f"simulation.start={_START}",
            f"simulation.days={_DAYS}",
            "forecast.kind=seasonal-naive",
            "economics.energy_value_per_kwh=0.0",
            f'tariff={{kind = "series", {terms}, series = {price}}}',
            *(
                f"regions.{name}.wind={{turbine = {curve}, speed = {speed}}}"
                for name in ("home", "work", "other")
            ),
        ],
    )


def evaluate(
    n_days: int,
    forecasters: tuple[str, ...] = FORECASTERS,
    scenario: Scenario | None = None,
    workers: int | None = 0,
) -> pd.DataFrame:
    """Score forecasters on origin days spread over the year.

    Parameters
    ----------
    n_days
        Origin days; each issues four forecasts of 96 steps.
    forecasters
        Of ``FORECASTERS``; the reference among them, for paired differences.
    scenario
        Whose series are forecast; the shipped real ones when not given.
    workers
        Processes among which the days are shared; None: one per core, 0: this process.

    Returns
    -------
    DataFrame
        One row per quantity, forecaster and score (coverage also per level): mean over days with its confidence
        interval, and mean paired difference to the reference with its own.
    """
    chosen = evaluation_scenario() if scenario is None else scenario
    score = partial(day_scores, chosen, forecasters)
    days = origin_days(chosen, n_days)
    return summary(pd.concat(in_processes(score, days, workers=workers), ignore_index=True))


def origin_days(scenario: Scenario, n: int) -> list[int]:
    """Numbers of days spread over the scenario's, the last but one at most."""
    spread = np.linspace(0, scenario.simulation.days - 2, n).round().astype(int)
    return [int(day) for day in np.unique(spread)]


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Means over days and paired differences to the reference, each with a Student interval."""
    keys = ["quantity", "score", "level"]
    wide = scores.pivot_table(index=[*keys, "day"], columns="forecaster", values="value", dropna=False)
    rows = []
    for key, group in wide.groupby(level=keys, dropna=False, sort=False):
        for forecaster in wide.columns:
            values = group[forecaster].to_numpy()
            if np.isnan(values).all():
                continue
            mean, low, high = student_interval(values)
            gain, gain_low, gain_high = student_interval(values - group[REFERENCE].to_numpy())
            rows.append((*key, forecaster, mean, low, high, gain, gain_low, gain_high, len(values)))
    names = [
        *keys,
        "forecaster",
        "mean",
        "low",
        "high",
        "difference",
        "difference_low",
        "difference_high",
        "n_days",
    ]
    return pd.DataFrame(rows, columns=names)


def student_interval(values: FloatArray) -> tuple[float, float, float]:
    """Mean of days and its confidence interval; without width where there is one day.

    >>> tuple(round(value, 3) for value in student_interval(np.array([1.0, 2.0, 3.0])))
    (2.0, -0.484, 4.484)
    """
    mean = float(values.mean())
    if len(values) < 2:  # noqa: PLR2004
        return mean, mean, mean
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2.0, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def day_scores(scenario: Scenario, forecasters: tuple[str, ...], day: int) -> pd.DataFrame:
    """Scores of forecasters on one day, a row per forecaster, quantity, score and level."""
    world = build_world(scenario, locate)
    return pd.DataFrame(row for kind in forecasters for row in _kind_scores(scenario, world, kind, day))


def _kind_scores(scenario: Scenario, world: World, kind: str, day: int) -> Iterator[dict[str, object]]:
    """Scores of one forecaster on one day, over its issues, steps and regions."""
    levels = np.array(scenario.forecast.quantile_levels)
    actual, expected, quantiles = issued(scenario, world, kind, day)
    first = day * STEPS_PER_DAY
    before = world.window(
        first - scenario.forecast.history_days * STEPS_PER_DAY, scenario.forecast.history_days * STEPS_PER_DAY
    )
    scales = [naive_error(series, STEPS_PER_DAY) for series in stacked(before)]
    for index, name in enumerate(NAMES):
        real, mean, spread = actual[:, index], expected[:, index], quantiles[:, :, index]
        found: list[tuple[str, float, float]] = [
            ("mae", np.nan, mean_absolute_error(real, mean)),
            ("rmse", np.nan, root_mean_square_error(real, mean)),
            ("mase", np.nan, mean_absolute_scaled_error(real, mean, scales[index])),
            ("pinball", np.nan, pinball_loss(real, spread, levels)),
            *(("coverage", tau, coverage(real, q)) for tau, q in zip(levels.tolist(), spread, strict=True)),
        ]
        for score, level, value in found:
            yield {
                "quantity": name,
                "forecaster": kind,
                "day": day,
                "score": score,
                "level": level,
                "value": value,
            }


def issued(
    scenario: Scenario, world: World, kind: str, day: int, *, has_quantiles: bool = True
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What happened, means and quantiles of a day's issues: (I, 4, K, R) twice and (L, I, 4, K, R).

    Parameters
    ----------
    world
        Of the scenario, with its history before the day.
    kind
        Of ``FORECASTERS``.
    day
        Number of the scenario's day.
    has_quantiles
        Whether quantiles are asked for; without them L is 0, and nothing is trained for them.
    """
    actual, expected, quantiles = [], [], []
    meter = _Clock(day * STEPS_PER_DAY)
    levels = tuple(scenario.forecast.quantile_levels) if has_quantiles else ()
    method = _method(scenario, Past(world, meter), kind, levels)
    for offset in ISSUES:
        step = day * STEPS_PER_DAY + offset
        meter.next_step = step
        actual.append(stacked(world.window(step, HORIZON)))
        expected.append(stacked(method.expect(step * STEP_S, HORIZON)))
        none = np.empty((0, *expected[-1].shape))
        quantiles.append(method.quantiles(step * STEP_S, HORIZON) if has_quantiles else none)
    return np.stack(actual), np.stack(expected), np.stack(quantiles, axis=1)


def _method(scenario: Scenario, past: Past, kind: str, levels: tuple[float, ...]) -> Method:
    part = scenario.forecast
    if kind != "learned":
        return RepeatMethod(past, kind, np.array(levels), part.history_days)
    return LearnedMethod(
        past,
        part.learner,
        levels,
        history_days=part.history_days,
        horizon=HORIZON,
        start=scenario.simulation.start,
        price_rule=PriceRule.of(scenario),
    )


def main(arguments: list[str]) -> int:
    """Print the scores; ``quick`` or ``full``."""
    size = arguments[0] if arguments else "quick"
    table = evaluate(N_DAYS[size], workers=None)
    print(table.round(4).to_string(index=False))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
