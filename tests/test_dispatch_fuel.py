from __future__ import annotations

import numpy as np
import pytest
from dispatch_cases import fuel_cost_per_h, printed_fuel_cost_per_h
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dispatch.fuel import PiecewiseCost, convex_under_estimator, equal_pieces


def test_default_coefficients_give_one_line() -> None:
    """The known fit's cheapest kWh is at full load: the under-estimator is the line 0.990 P."""
    estimate = convex_under_estimator(fuel_cost_per_h, 65.0)
    assert estimate.slope_per_kwh == pytest.approx([0.990], abs=5e-4)
    assert estimate.width_kw.sum() == pytest.approx(65.0)


def test_printed_coefficients_give_a_line_then_tangents() -> None:
    """As printed the line is 1.289 P up to about 41 kW, from where the curve bends away from it."""
    estimate = convex_under_estimator(printed_fuel_cost_per_h, 65.0)
    assert estimate.slope_per_kwh[0] == pytest.approx(1.289, abs=5e-4)
    assert 39 < estimate.width_kw[0] < 46
    assert len(estimate.slope_per_kwh) > 2
    power = np.linspace(0, 65, 131)
    assert (printed_fuel_cost_per_h(power) - estimate(power))[82:].max() < 1.5


@settings(max_examples=60, deadline=None)
@given(
    cubic=st.floats(0.0, 0.1),
    square=st.floats(0.2, 0.4),
    linear=st.floats(0.35, 0.5),
    constant=st.floats(0.05, 0.2),
    limit=st.floats(5.0, 200.0),
)
def test_estimate_is_convex_below_the_cost_and_touches_it(
    cubic: float, square: float, linear: float, constant: float, limit: float
) -> None:
    """Whatever the efficiency curve: slopes increase, the estimate never exceeds the cost, and touches it at P*."""
    share = np.linspace(0, 1, 101)
    assume((cubic * share**3 - square * share**2 + linear * share + constant).min() > 0.04)

    def cost(power: np.ndarray) -> np.ndarray:
        x = np.asarray(power) / limit
        return 0.3 * np.asarray(power) / (cubic * x**3 - square * x**2 + linear * x + constant)

    estimate = convex_under_estimator(cost, limit)
    power = np.linspace(0, limit, 33_333)
    assert np.all(np.diff(estimate.slope_per_kwh) > 0)
    assert np.all(estimate.width_kw > 0)
    assert np.all(estimate(power) <= cost(power) + 1e-12)
    assert (cost(power[1:]) - estimate(power[1:])).min() < 1e-3 * cost(np.array([limit]))[0]


def test_pieces_follow_the_curve() -> None:
    """Eight chords err by at most 1.4 per hour and meet the curve at their ends."""
    pieces = equal_pieces(fuel_cost_per_h, 65.0, 8)
    power = np.linspace(0, 65, 1001)
    assert np.abs(pieces(power) - fuel_cost_per_h(power)).max() < 1.4
    edges = np.linspace(0, 65, 9)
    np.testing.assert_allclose(pieces(edges), fuel_cost_per_h(edges), atol=1e-9)


def test_no_turbine_is_a_piece_of_no_width() -> None:
    """Where there is no turbine the cost has one piece of width 0."""
    assert convex_under_estimator(fuel_cost_per_h, 0.0).width_kw.tolist() == [0.0]


def test_a_cost_at_standstill_is_refused() -> None:
    """The estimate goes through the origin: a cost at 0 kW cannot be followed."""
    with pytest.raises(ValueError, match="0 at 0 kW"):
        convex_under_estimator(lambda p: p + 1.0, 10.0)


def test_piecewise_cost_is_read_only() -> None:
    """The arrays of a cost cannot be changed afterwards."""
    with pytest.raises(ValueError, match="read-only"):
        PiecewiseCost(width_kw=np.ones(1), slope_per_kwh=np.ones(1)).width_kw[0] = 2.0
