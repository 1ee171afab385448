"""Quantile margins: the rolling program on the cautious view, no more and no less."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dispatch_cases import OPTIONS, World, world
from forecast_cases import LEVELS, with_quantiles

from dispatch.margin import Margin, at_level, cautious, earlier, needier
from dispatch.rolling_horizon import RollingHorizon
from sim.clock import NEVER_S
from sim.errors import ForecastLacksError, PolicyError


def started(made: World, **changes) -> Margin:
    """Make a policy that is ready for a world."""
    policy = Margin(replace(OPTIONS, **changes))
    policy.start(made.site)
    return policy


def test_cautious_forecast_by_hand() -> None:
    """At level 0.8 load is midway between its quantiles 0.7 and 0.9, sun and wind midway between 0.1 and 0.3."""
    forecast = with_quantiles(world(0, 1).forecast(8, perfect=False), 0.5)
    cautioned = cautious(forecast, 0.8)
    np.testing.assert_allclose(cautioned.load_kw, 1.15 * forecast.load_kw)
    np.testing.assert_allclose(cautioned.pv_kw, 0.85 * forecast.pv_kw)
    np.testing.assert_allclose(cautioned.wind_kw, 0.85 * forecast.wind_kw)
    np.testing.assert_array_equal(cautioned.buy_price_per_kwh, forecast.buy_price_per_kwh)


@pytest.mark.parametrize("level", [0.1, 0.3, 0.42, 0.9])
def test_quantiles_between_levels_against_numpy(level: float) -> None:
    """Interpolation is numpy's, value by value, and exact at the levels issued."""
    values = np.sort(np.random.default_rng(1).normal(size=(5, 4, 2)), axis=0)
    expected = [np.interp(level, LEVELS, values[:, k, r]) for k in range(4) for r in range(2)]
    np.testing.assert_allclose(at_level(LEVELS, values, level).ravel(), expected, rtol=1e-12)


def test_margins_of_drivers_by_hand() -> None:
    """A departure moves up to the next boundary and no further; a need rises within the battery; others stay."""
    made = world(5, 1)
    cars = replace(
        made.cars(),
        is_plugged=np.array([True, True, True, True, False]),
        departure_s=np.array([7200, 1200, 600, -300, NEVER_S]),
        required_kwh=np.array([10.0, 26.0, 27.0, 6.0, 0.0]),
    )
    assert earlier(cars, 0, 900, 1800.0).departure_s.tolist() == [5400, 900, 600, -300, NEVER_S]
    assert needier(cars, 0.1).required_kwh == pytest.approx([12.1, 27.0, 27.0, 8.1, 0.0])


def test_no_margin_is_rolling() -> None:
    """At level 0.5, where the quantile is the point, and without other margins decisions are those of `rolling`."""
    made = world(6, 2)
    policy, rolling = started(made, margin_level=0.5), RollingHorizon(OPTIONS)
    rolling.start(made.site)
    for _ in range(4):
        forecast = with_quantiles(made.forecast(perfect=False), 0.5)
        ours, theirs = (one.decide(made.snapshot(), forecast) for one in (policy, rolling))
        np.testing.assert_allclose(ours.car_power_kw, theirs.car_power_kw, atol=1e-9)
        assert ours.decision.objective == pytest.approx(theirs.decision.objective, rel=1e-9)
        assert ours.marginals is not None
        made.advance(ours)


def test_margins_cost_in_expectation() -> None:
    """The more cautious the view, the dearer the plan: each margin alone raises the objective.

    Energy that drives away is given no worth here: else cars leave with more than they need, margin or not.
    """
    made = world(6, 2)
    made.step = 24

    def objective(**changes: float) -> float:
        forecast = with_quantiles(made.forecast(perfect=False), 0.5)
        policy = started(made, departing_energy_value=0.0, **changes)
        return policy.decide(made.snapshot(), forecast).decision.objective

    point = objective(margin_level=0.5)
    assert objective(margin_level=0.7) > point + 1.0
    assert objective(margin_level=0.5, departure_margin_min=60.0) > point
    assert objective(margin_level=0.5, required_margin_soc=0.2) > point


def test_what_cannot_be_cautious_is_told() -> None:
    """Without quantiles, or beyond those issued, there is a message that names the field."""
    made = world(1, 1)
    with pytest.raises(
        ForecastLacksError, match="policy margin: the forecasts carry no quantiles; .* `forecast`"
    ):
        started(made).decide(made.snapshot(), made.forecast())
    forecast = with_quantiles(made.forecast(), 0.5)
    with pytest.raises(PolicyError, match=r"level 0\.95 \(dispatch\.margin_level.*0\.1 to 0\.9"):
        started(made, margin_level=0.95).decide(made.snapshot(), forecast)
