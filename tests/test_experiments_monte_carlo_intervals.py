"""Intervals equal scipy's, row by row, and say what they cannot know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.monte_carlo.analysis.intervals import bootstrap_interval, expanded, moments, t_interval

RESAMPLES = 999


def sample(seed: int, n: int, n_series: int = 3) -> np.ndarray:
    """Skewed values of several sizes."""
    return np.random.default_rng(seed).exponential(size=(n_series, n)) * np.logspace(0, 6, n_series)[:, None]


def scipy_bootstrap(values: np.ndarray, *, n_resamples: int, seed: int) -> Any:
    """Scipy's interval on the values themselves, at the expanded level."""
    return stats.bootstrap(
        (values,),
        np.mean,
        axis=-1,
        confidence_level=expanded(0.95, values.shape[-1]),
        n_resamples=n_resamples,
        method="BCa",
        rng=np.random.default_rng(seed),
    ).confidence_interval


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(2, 40), confidence=st.sampled_from([0.9, 0.95, 0.99]))
def test_t_interval_against_scipy(seed: int, n: int, confidence: float) -> None:
    """Every row has the interval that scipy gives it alone."""
    values = sample(seed, n)
    low, high = t_interval(values, confidence)
    for index, row in enumerate(values):
        expected = stats.t.interval(confidence, n - 1, loc=row.mean(), scale=stats.sem(row))
        assert (low[index], high[index]) == pytest.approx(expected, rel=1e-10)


def test_t_interval_by_hand() -> None:
    """10, 12, 14: mean 12, standard error 2 / sqrt(3), and 4.3027 of them on either side."""
    low, high = t_interval(np.array([10.0, 12.0, 14.0]))
    assert (12.0 - low, high - 12.0) == pytest.approx([4.302652729749462 * 2 / 3**0.5] * 2)


@pytest.mark.parametrize(("seed", "n"), [(1, 12), (2, 20), (3, 61)])
def test_bootstrap_against_scipy(seed: int, n: int) -> None:
    """Resampling numbers and weighing gives what scipy gives on the values themselves, from the same draws."""
    values = sample(seed, n)
    low, high = bootstrap_interval(values, np.random.default_rng(seed), n_resamples=RESAMPLES)
    expected = scipy_bootstrap(values, n_resamples=RESAMPLES, seed=seed)
    assert low == pytest.approx(expected.low, rel=1e-9)
    assert high == pytest.approx(expected.high, rel=1e-9)


def test_equal_resampled_means_stay_equal() -> None:
    """Counts of tenths have the interval of counts: no tie with the mean is broken by rounding."""
    counts = np.array([0.0, 0, 1, 3, 0, 7, 1, 0, 2, 1])
    whole = bootstrap_interval(counts, np.random.default_rng(1))
    tenths = bootstrap_interval(counts * 0.1 + 0.7, np.random.default_rng(1))
    exact = scipy_bootstrap(counts, n_resamples=9_999, seed=1)
    assert [float(end) for end in whole] == pytest.approx([exact.low, exact.high], rel=1e-9)
    assert [(float(end) - 0.7) * 10 for end in tenths] == pytest.approx([exact.low, exact.high], rel=1e-9)


def test_intervals_cover_what_they_say() -> None:
    """Of intervals from 20 normal values, 95 of 100 hold the mean, by either way; within three standard deviations."""
    values = np.random.default_rng(11).normal(5.0, 2.0, size=(4_000, 20))
    for low, high in (
        t_interval(values),
        bootstrap_interval(values, np.random.default_rng(1), n_resamples=1_999),
    ):
        covered = ((low <= 5.0) & (high >= 5.0)).mean()
        assert abs(covered - 0.95) < 3 * (0.95 * 0.05 / 4_000) ** 0.5


def test_bootstrap_follows_the_skew() -> None:
    """A long tail to the right moves both ends to the right of Student's."""
    values = np.random.default_rng(5).lognormal(sigma=1.0, size=60)
    low, high = bootstrap_interval(values, np.random.default_rng(1))
    t_low, t_high = t_interval(values)
    assert low > t_low
    assert high > t_high


@settings(deadline=None, max_examples=25)
@given(shift=st.floats(-1e6, 1e6), power=st.integers(-250, 250))
def test_bootstrap_moves_with_the_values(shift: float, power: int) -> None:
    """Another unit or zero of the scale changes the ends as it changes the values, however large or small."""
    values = sample(7, 12)[0]
    low, high = bootstrap_interval(values, np.random.default_rng(1), n_resamples=RESAMPLES)
    for moved, back in (
        (values * 10.0**power, lambda end: end / 10.0**power),
        (values + shift, lambda end: end - shift),
    ):
        ends = bootstrap_interval(moved, np.random.default_rng(1), n_resamples=RESAMPLES)
        assert [back(end) for end in ends] == pytest.approx([float(low), float(high)], rel=1e-6)


def test_the_same_draws_give_the_same_bits() -> None:
    """An interval is a function of values and generator; another generator moves it a little."""
    values = sample(3, 20)
    once, again, other = (bootstrap_interval(values, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    width = once.high - once.low
    assert (np.abs(once.low - other.low) < 0.05 * width).all()


@pytest.mark.parametrize("interval", [t_interval, lambda x: bootstrap_interval(x, np.random.default_rng(1))])
def test_a_faulty_or_constant_series_leaves_the_others_alone(interval: object) -> None:
    """NaN and infinity have no interval, equal values one of no width, and the rest what they have alone."""
    good = sample(1, 20, 1)[0]
    bad = np.tile(good, (4, 1))
    bad[0, 3], bad[1, [0, 5]], bad[2, :] = np.nan, np.inf, 0.1
    low, high = interval(bad)  # type: ignore[operator]
    alone = interval(good[None, :])  # type: ignore[operator]
    assert np.isnan([low[:2], high[:2]]).all()
    assert (low[2], high[2]) == (0.1, 0.1)
    assert (low[3], high[3]) == pytest.approx((alone[0][0], alone[1][0]), rel=1e-12)


def test_too_few_values_have_no_interval() -> None:
    """One value has no t interval, two no bootstrap."""
    assert np.isnan(t_interval(np.array([1.0]))).all()
    assert not np.isnan(t_interval(np.array([1.0, 2.0]))).any()
    assert np.isnan(bootstrap_interval(np.array([1.0, 2.0]), np.random.default_rng(1))).all()
    assert not np.isnan(bootstrap_interval(np.array([1.0, 2.0, 4.0]), np.random.default_rng(1))).any()


def test_moments_lose_no_digits() -> None:
    """A small spread about a large mean, and none about a number that has no exact sum."""
    mean, sd = moments(np.array([1e12 + 1.0, 1e12 + 2.0, 1e12 + 3.0]))
    assert (float(mean), float(sd)) == (1e12 + 2.0, 1.0)
    mean, sd = moments(np.full(7, 0.1))
    assert (float(mean), float(sd)) == (0.1, 0.0)
