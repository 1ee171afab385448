"""Sharing a sum among cars against a linear program of scipy's, on days drawn at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from station_cases import station_day

from dispatch.station.car_flow import CarFlow, most_kwh
from dispatch.station.day import StationDay
from sim.arrays import FloatArray


def drawn(seed: int, *, n_cars: int) -> StationDay:
    """A day whose cars come, go and need at random, some of them nothing."""
    rng = np.random.default_rng(seed)
    day = station_day(n_cars, seed=seed)
    n_steps = day.n_steps
    limit = rng.uniform(0.0, 8.0, (n_steps, n_cars)) * (rng.random((n_steps, n_cars)) < rng.uniform(0.1, 0.9))
    need = rng.uniform(0.0, 40.0, n_cars) * (rng.random(n_cars) < 0.9)
    return replace(day, car_limit_kw=limit, car_need_kwh=need)


def most_shared_kwh(day: StationDay, cars_kw: FloatArray) -> float:
    """Most of a sum that cars can take, by another formulation."""
    n_steps, n_cars = day.car_limit_kw.shape
    by_step = np.kron(np.eye(n_steps), np.ones(n_cars))
    by_car = np.kron(np.ones(n_steps), np.eye(n_cars))
    h = day.step_h
    found = linprog(
        -np.ones(n_steps * n_cars),
        A_ub=np.vstack([by_step, by_car]),
        b_ub=np.concatenate([h * cars_kw, day.reachable_kwh()]),
        bounds=np.stack([np.zeros(n_steps * n_cars), h * day.car_limit_kw.ravel()], axis=1),
    )
    return float(-found.fun)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_cars=st.integers(1, 12),
    factor=st.floats(0.0, 3.0),
)
def test_shares_as_much_as_a_linear_program_and_names_what_is_beyond(
    seed: int, n_cars: int, factor: float
) -> None:
    """Share as much as a linear program does, and name a cut with just what is beyond."""
    day = drawn(seed, n_cars=n_cars)
    rng = np.random.default_rng(seed + 1)
    cars_kw = factor * rng.random(day.n_steps) * day.car_limit_kw.sum(axis=1)
    asked_kwh = day.step_h * float(cars_kw.sum())
    shared = CarFlow(day).share(cars_kw)
    given_kwh = day.step_h * float(shared.car_kw.sum())
    best_kwh = most_shared_kwh(day, cars_kw)
    assert (shared.car_kw >= 0.0).all()
    assert (shared.car_kw <= day.car_limit_kw + 1e-9).all()
    assert (day.step_h * shared.car_kw.sum(axis=0) <= day.reachable_kwh() + 1e-9).all()
    assert (shared.car_kw.sum(axis=1) <= cars_kw + 1e-9).all()
    assert abs(given_kwh - best_kwh) < 1e-6 * max(1.0, asked_kwh)
    assert abs(shared.excess_kwh - (asked_kwh - best_kwh)) < 1e-6 * max(1.0, asked_kwh)  # min cut
    if shared.excess_kwh > 1e-6:
        in_cut_kwh = day.step_h * float(cars_kw[shared.cut].sum())
        assert in_cut_kwh - most_kwh(day, shared.cut) == shared.excess_kwh


def test_what_can_be_shared_is_shared_to_the_last() -> None:
    """Share a sum that cars were seen to take, to rounding."""
    day = drawn(7, n_cars=40)
    rng = np.random.default_rng(8)
    some_kw = day.car_limit_kw * rng.random(day.car_limit_kw.shape)
    some_kw *= np.minimum(1.0, day.reachable_kwh() / np.maximum(day.step_h * some_kw.sum(axis=0), 1e-12))
    shared = CarFlow(day).share(some_kw.sum(axis=1))
    assert shared.excess_kwh < 1e-9
    assert np.abs(shared.car_kw.sum(axis=1) - some_kw.sum(axis=1)).max() < 1e-9


def test_without_cars_there_is_nothing_to_share() -> None:
    """Leave everything over where there are no cars."""
    day = station_day(1)
    empty = replace(day, car_limit_kw=np.zeros((day.n_steps, 0)), car_need_kwh=np.zeros(0))
    shared = CarFlow(empty).share(np.eye(1, day.n_steps)[0] * 3.0)
    assert shared.car_kw.shape == (day.n_steps, 0)
    assert shared.excess_kwh == 3.0 * empty.step_h
