"""Wind draws: their law, persistence, correlation, and what a draw may not depend on."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from sim.weather import WindLaw, wind_speeds_m_s

LAW = WindLaw(scale_m_s=4.8, shape=3.5, persistence=0.95, correlation=0.7)


def speeds(law: WindLaw = LAW, region_index: int = 0, n_days: int = 400, seed: int = 3) -> np.ndarray:
    """Speeds of one region, one per step."""
    return wind_speeds_m_s(law, seed=seed, replication=0, region_index=region_index, n_days=n_days)


def as_normals(speeds_m_s: np.ndarray) -> np.ndarray:
    """Undo the copula by scipy's own laws."""
    return stats.norm.ppf(stats.weibull_min(LAW.shape, scale=LAW.scale_m_s).cdf(speeds_m_s))


def test_independent_speeds_follow_the_weibull_law_against_scipy() -> None:
    """Without persistence, 38,400 speeds pass a Kolmogorov-Smirnov test against scipy's Weibull law."""
    drawn = speeds(dataclasses.replace(LAW, persistence=0.0))
    assert stats.kstest(drawn, stats.weibull_min(3.5, scale=4.8).cdf).pvalue > 0.01


def test_persistent_speeds_keep_the_law() -> None:
    """Persistence leaves quantiles alone: about 1,000 independent speeds remain of 38,400."""
    expected = stats.weibull_min(3.5, scale=4.8).ppf([0.1, 0.5, 0.9])
    np.testing.assert_allclose(np.quantile(speeds(), [0.1, 0.5, 0.9]), expected, rtol=0.05)


def test_persistence_is_the_autocorrelation_of_the_ranks() -> None:
    """The normals behind the speeds correlate by 0.95 per step, 0.95^4 per hour."""
    z = as_normals(speeds())
    for lag in (1, 4):
        assert np.corrcoef(z[:-lag], z[lag:])[0, 1] == pytest.approx(0.95**lag, abs=0.02)


def test_persistence_runs_across_midnight() -> None:
    """The last step of a day and the first of the next are as close as any two."""
    days = as_normals(speeds()).reshape(-1, 96)
    assert np.corrcoef(days[:-1, -1], days[1:, 0])[0, 1] == pytest.approx(0.95, abs=0.03)


def test_regions_correlate() -> None:
    """The normals behind two regions' speeds correlate by 0.7."""
    first, second = as_normals(speeds(region_index=0)), as_normals(speeds(region_index=1))
    assert np.corrcoef(first, second)[0, 1] == pytest.approx(0.7, abs=0.05)


def test_no_correlation_and_full_correlation() -> None:
    """At 1 all regions have one wind; at 0 they have nothing in common."""
    full = dataclasses.replace(LAW, correlation=1.0)
    np.testing.assert_allclose(speeds(full, 0), speeds(full, 2), rtol=1e-12)
    none = dataclasses.replace(LAW, correlation=0.0, persistence=0.0)
    assert abs(np.corrcoef(speeds(none, 0), speeds(none, 1))[0, 1]) < 0.02


def test_more_days_leave_earlier_days_alone() -> None:
    """Ten days begin with the same three days as three days."""
    np.testing.assert_array_equal(speeds(n_days=10)[:288], speeds(n_days=3))


def test_the_first_step_has_the_stationary_law() -> None:
    """Over 1,500 seeds the very first speed follows the Weibull law: the start is stationary."""
    first = [speeds(n_days=1, seed=seed)[0] for seed in range(1500)]
    assert stats.kstest(first, stats.weibull_min(3.5, scale=4.8).cdf).pvalue > 0.01


def test_seed_replication_and_region_draw_anew() -> None:
    """Another seed, replication or region gives other wind; the same gives the same, bit for bit."""
    base = wind_speeds_m_s(LAW, seed=1, replication=0, region_index=0, n_days=1)
    np.testing.assert_array_equal(base, wind_speeds_m_s(LAW, seed=1, replication=0, region_index=0, n_days=1))
    for seed, replication, region in ((2, 0, 0), (1, 1, 0), (1, 0, 1)):
        other = wind_speeds_m_s(LAW, seed=seed, replication=replication, region_index=region, n_days=1)
        assert not np.isclose(base, other).any()


def test_a_longer_past_changes_nothing_later() -> None:
    """Days before day -1 come on top; days -1 on stay as they were, and so does a shorter past."""

    def with_past(days_before: int) -> np.ndarray:
        return wind_speeds_m_s(LAW, seed=3, replication=1, region_index=1, n_days=3, days_before=days_before)

    plain, some, more = with_past(0), with_past(4), with_past(20)
    np.testing.assert_array_equal(some[4 * 96 :], plain)
    np.testing.assert_array_equal(more[16 * 96 :], some)


def test_the_past_has_the_law_persistence_and_correlation_of_the_rest() -> None:
    """Drawn backward, the normals are standard, correlate by 0.95 per step, also over the seam, and 0.7 apart."""

    def past(region_index: int, seed: int = 3) -> np.ndarray:
        drawn = wind_speeds_m_s(
            LAW, seed=seed, replication=0, region_index=region_index, n_days=1, days_before=400
        )
        return as_normals(drawn)

    z, other = past(0)[: 400 * 96], past(1)[: 400 * 96]
    assert np.quantile(z, [0.1, 0.5, 0.9]) == pytest.approx(stats.norm.ppf([0.1, 0.5, 0.9]), abs=0.12)
    assert np.corrcoef(z[:-1], z[1:])[0, 1] == pytest.approx(0.95, abs=0.01)
    assert np.corrcoef(z, other)[0, 1] == pytest.approx(0.7, abs=0.05)
    seams = np.array(
        [
            as_normals(
                wind_speeds_m_s(LAW, seed=seed, replication=0, region_index=0, n_days=1, days_before=1)
            )[95:97]
            for seed in range(300)
        ]
    )
    assert np.corrcoef(seams.T)[0, 1] == pytest.approx(0.95, abs=0.03)
