"""Scores of forecasts by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mean_pinball_loss

from sim.forecasting import scores


def test_mase_by_hand() -> None:
    """Days 1, 3 and 7: the naive error is 3; a forecast that is off by 6 scores 2."""
    scale = scores.naive_error(np.array([[1.0], [3.0], [7.0]]), 1)
    assert scale.tolist() == [3.0]
    assert scores.mean_absolute_scaled_error(np.array([[10.0]]), np.array([[4.0]]), scale) == 2.0


def test_mase_has_no_value_without_a_scale() -> None:
    """A series that never changed cannot scale anything: nan, not infinity."""
    assert np.isnan(scores.mean_absolute_scaled_error(np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1)))


def test_pinball_loss_against_scikit_learn() -> None:
    """Mean over levels of the library's loss."""
    rng = np.random.default_rng(0)
    actual, quantiles, levels = rng.random(50), rng.random((3, 50)), np.array([0.1, 0.5, 0.8])
    expected = np.mean(
        [mean_pinball_loss(actual, q, alpha=level) for q, level in zip(quantiles, levels, strict=True)]
    )
    assert scores.pinball_loss(actual, quantiles, levels) == pytest.approx(expected)


def test_coverage_by_hand() -> None:
    """Three of four values are not above their quantile."""
    assert scores.coverage(np.array([1.0, 2.0, 3.0, 4.0]), np.full(4, 3.0)) == 0.75
