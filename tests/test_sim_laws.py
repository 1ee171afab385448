"""Truncated laws by inverse CDF."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.errors import ScenarioError
from sim.laws import quantile, truncated_normal
from sim.scenario import Law

MIDDLE = (np.arange(20_000) + 0.5) / 20_000
LAWS = [
    Law(family="gamma", shape=24.0, scale=0.3125, low=4, high=12),
    Law(family="lognorm", shape=0.7, scale=20.0855, high=150),
    Law(family="genextreme", shape=0.4, loc=480, scale=110, low=60, high=840),
    Law(family="genextreme", shape=-0.45, loc=40, scale=35, low=15, high=480),
    Law(family="weibull_min", shape=1.08, scale=166),
    Law(family="norm", loc=3.0, scale=2.0, low=8.0),
    Law(family="expon", scale=3.0, low=60.0, high=70.0),
    Law(family="uniform", loc=-1.0, scale=4.0, high=2.0),
]


@pytest.mark.parametrize("law", [law for law in LAWS if law.family != "expon"], ids=lambda law: law.family)
def test_quantiles_against_redrawing(law: Law) -> None:
    """The conditional law is what drawing until it fits gives (Kolmogorov-Smirnov against rejection)."""
    shape = () if law.shape is None else (law.shape,)
    frozen = getattr(stats, law.family)(*shape, loc=law.loc, scale=law.scale)
    low = -np.inf if law.low is None else law.low
    high = np.inf if law.high is None else law.high
    mass = frozen.cdf(high) - frozen.cdf(low)
    drawn = frozen.rvs(size=int(20_000 / mass), random_state=np.random.default_rng(1))
    kept = drawn[(drawn >= low) & (drawn <= high)]
    assert stats.ks_2samp(quantile(law, MIDDLE), kept).pvalue > 1e-3


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.family)
def test_values_stay_within_the_truncation_and_rise(law: Law) -> None:
    """Quantiles never leave the bounds, and never fall, uniforms of 0 and just below 1 included."""
    values = quantile(law, np.concatenate([[0.0], MIDDLE, [1.0 - 2.0**-53]]))
    assert np.isfinite(values).all()
    assert (np.diff(values) >= 0).all()
    assert values[0] >= (-np.inf if law.low is None else law.low)
    assert values[-1] <= (np.inf if law.high is None else law.high)


def test_the_upper_tail_keeps_its_digits() -> None:
    """Twenty scales out, the exponential's tail is an exponential again: 60 + 3 x its own quantile."""
    law = Law(family="expon", scale=3.0, low=60.0)
    u = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(quantile(law, u), 60.0 - 3.0 * np.log1p(-u), rtol=1e-9)


def test_no_probability_is_a_fault() -> None:
    """A truncation where the law has no mass in double precision is refused."""
    with pytest.raises(ScenarioError, match="no probability"):
        quantile(Law(family="norm", low=60.0, high=61.0), [0.5])


@given(
    u=st.floats(0, 1, exclude_max=True),
    mean=st.floats(-50, 50),
    sd=st.floats(0.1, 30),
    low=st.floats(-200, 200),
    width=st.floats(0.001, 100),
)
def test_truncated_normal_against_scipy(u: float, mean: float, sd: float, low: float, width: float) -> None:
    """Values lie in the interval, and where it holds probability they are scipy's truncated normal."""
    high = low + width
    value = truncated_normal(u, mean, sd, low, high).item()
    assert low <= value <= high
    start, end = (low - mean) / sd, (high - mean) / sd
    if max(start, -end) < 6.0 and 1e-6 < u < 1 - 1e-6:
        # In the upper tail the mirror image of the same uniform is taken, which is the same quantile.
        oracle = stats.truncnorm.ppf(u, start, end, loc=mean, scale=sd)
        np.testing.assert_allclose(value, oracle, rtol=1e-6, atol=1e-6 * max(sd, 1.0))


def test_truncated_normal_without_probability_takes_the_nearest_bound() -> None:
    """An empty or unreachable interval gives the bound nearest to the mean, whatever the uniform."""
    for u in (0.0, 0.3, 0.999):
        assert truncated_normal(u, 0.0, 1.0, 50.0, 60.0).item() == 50.0
        assert truncated_normal(u, 0.0, 1.0, -60.0, -50.0).item() == -50.0
        assert truncated_normal(u, 5.0, 1.0, 9.0, 7.0).item() == 7.0


@pytest.mark.parametrize(
    ("family", "shape"),
    [
        ("gamma", 0.6),
        ("gamma", 24.0),
        ("lognorm", 0.7),
        ("genextreme", 0.4),
        ("genextreme", 0.0),
        ("genextreme", -0.45),
        ("weibull_min", 0.8),
        ("weibull_min", 1.08),
        ("norm", None),
        ("expon", None),
        ("uniform", None),
    ],
)
@pytest.mark.parametrize("within", [(0.0, 1.0), (0.02, 0.97), (0.6, 0.999), (0.999, 1.0)])
def test_quantiles_against_scipy_stats(family: str, shape: float | None, within: tuple[float, float]) -> None:
    """Each family written out here is scipy's of that name, parameters and truncation alike."""
    frozen = getattr(stats, family)(*(() if shape is None else (shape,)), loc=3.0, scale=2.5)
    low, high = (float(frozen.ppf(p)) for p in within)
    law = Law(
        family=family,  # type: ignore[arg-type]
        shape=shape,
        loc=3.0,
        scale=2.5,
        low=low if np.isfinite(low) and within[0] > 0 else None,
        high=high if np.isfinite(high) and within[1] < 1 else None,
    )
    u = np.linspace(0.001, 0.999, 57)
    expected = frozen.isf(1 - within[0] - u * (within[1] - within[0])) if within[0] > 0.5 else None
    if expected is None:
        expected = frozen.ppf(within[0] + u * (within[1] - within[0]))
    np.testing.assert_allclose(quantile(law, u), expected, rtol=1e-7)
