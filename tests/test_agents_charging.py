"""Charge plans: exact energy, whole seconds, one form for scalars and arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agents.charging import ENERGY_TOLERANCE_KWH, Plans, bus_energy, make_plan, make_plans, stored_energy
from sim.clock import NEVER_S, STEP_S

SETS = st.floats(-11, 11).filter(lambda x: x == 0 or abs(x) > 1e-3)
GAPS = st.one_of(st.floats(0, 60), st.sampled_from([0.0, 1e-12, 1e-9, 1.125, 12.0]))
FACTORS = st.sampled_from([0.9, 0.95, 1.0, 1 / 0.9])


@given(
    now=st.integers(-86_400, 200_000), cars=st.lists(st.tuples(SETS, GAPS, FACTORS), min_size=1, max_size=8)
)
def test_scalar_and_array_plans_agree_bit_for_bit(now: int, cars: list[tuple[float, float, float]]) -> None:
    """Both forms of the formula give the same numbers."""
    arrays = make_plans(now, *(np.array(column) for column in zip(*cars, strict=True)))
    for k, car in enumerate(cars):
        assert make_plan(now, *car) == tuple(values[k].item() for values in arrays)


@given(now=st.integers(-86_400, 200_000), set_kw=SETS, gap=GAPS, factor=FACTORS)
def test_a_plan_closes_its_gap_exactly(now: int, set_kw: float, gap: float, factor: float) -> None:
    """Power times time is the gap; only the last step's power differs, and never exceeds the set-point."""
    plan = make_plan(now, set_kw, gap, factor)
    if set_kw == 0.0 or gap <= ENERGY_TOLERANCE_KWH:
        assert plan == (0.0, NEVER_S, 0.0, NEVER_S)
        return
    assert now <= plan.last_s < plan.end_s
    assert plan.end_s - plan.last_s <= STEP_S
    assert plan.last_s == now or plan.last_s % STEP_S == 0
    assert abs(plan.last_kw) <= abs(set_kw)
    moved = (plan.set_kw * (plan.last_s - now) + plan.last_kw * (plan.end_s - plan.last_s)) / 3600.0 * factor
    np.testing.assert_allclose(abs(moved), gap, atol=3e-8)
    exact_s = gap * 3600.0 / (abs(set_kw) * factor)
    assert -1e-5 <= plan.end_s - now - exact_s <= max(1.0, 1e-5)


@given(set_kw=SETS, gap=st.floats(0.5, 20), times=st.lists(st.integers(0, 90_000), min_size=2, max_size=6))
def test_stored_energy_against_summing_seconds(set_kw: float, gap: float, times: list[int]) -> None:
    """Energy equals a sum over the plan's pieces at any instant; at its end it is the bound exactly."""
    factor = 0.9 if set_kw > 0 else 1 / 0.9
    bound = 20.0 + np.sign(set_kw) * gap
    plan = make_plan(0, set_kw, gap, factor)
    plans = Plans(
        since_s=np.array([0]),
        since_kwh=np.array([20.0]),
        set_kw=np.array([plan.set_kw]),
        last_s=np.array([plan.last_s]),
        last_kw=np.array([plan.last_kw]),
        end_s=np.array([plan.end_s]),
        end_kwh=np.array([bound]),
        factor=np.array([factor]),
    )
    for now in times:
        full_s = min(now, plan.last_s)
        rest_s = max(min(now, plan.end_s) - plan.last_s, 0)
        bus = (plan.set_kw * full_s + plan.last_kw * rest_s) / 3600.0
        np.testing.assert_allclose(bus_energy(plans, now).item(), bus, atol=1e-9)
        np.testing.assert_allclose(stored_energy(plans, now).item(), 20.0 + factor * bus, atol=1e-7)
    if plan.end_s < NEVER_S:
        assert stored_energy(plans, plan.end_s).item() == bound
