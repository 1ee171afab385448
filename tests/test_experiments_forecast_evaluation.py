"""The evaluation of forecasters on real series: its shape, its intervals, and that it scores what it says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from experiments.forecast_evaluation import evaluate, evaluation_scenario, student_interval, summary
from experiments.shipped import locate
from sim.world import build_world


def test_a_day_of_persistence_by_hand() -> None:
    """MAE of four issues of a day from the series themselves, for each quantity."""
    table = evaluate(2, ("persistence", "seasonal-naive"))
    world = build_world(evaluation_scenario(), locate)
    days = [0, evaluation_scenario().simulation.days - 2]
    row = [96 * day + offset - world.first_step for day in days for offset in (0, 24, 48, 72)]
    for name in ("load_kw", "wind_kw", "buy_price_per_kwh"):
        values = getattr(world, name)
        expected = np.mean([np.abs(values[a : a + 96] - values[a - 96 : a]).mean() for a in row])
        chosen = table[
            (table.quantity == name) & (table.forecaster == "persistence") & (table.score == "mae")
        ]
        assert chosen["mean"].item() == pytest.approx(expected)
    assert set(table.score) == {"mae", "rmse", "mase", "pinball", "coverage"}
    assert (table.loc[table.forecaster == "seasonal-naive", "difference"] == 0.0).all()


def test_summary_by_hand() -> None:
    """Two days, 1 and 3 against 2 and 2: mean 2, difference 0 with the interval of -1 and 1."""
    rows = [
        {"quantity": "q", "forecaster": kind, "day": day, "score": "mae", "level": np.nan, "value": value}
        for kind, values in {"learned": (1.0, 3.0), "seasonal-naive": (2.0, 2.0)}.items()
        for day, value in enumerate(values)
    ]
    table = summary(pd.DataFrame(rows)).set_index("forecaster")
    assert table.loc["learned", "mean"] == 2.0
    assert table.loc["learned", "difference"] == 0.0
    assert table.loc["learned", "difference_high"] == pytest.approx(
        student_interval(np.array([-1.0, 1.0]))[2]
    )


def test_one_day_has_no_interval() -> None:
    """A single day says nothing of other days: no width."""
    assert student_interval(np.array([2.0])) == (2.0, 2.0, 2.0)
