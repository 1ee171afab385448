"""Demand charge: planned as another formulation plans it, and lower peaks for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dispatch_cases import OPTIONS, World, site, world
from scipy.optimize import linprog

from dispatch.plan import cost
from dispatch.rolling_horizon import RollingHorizon
from dispatch.stationary import no_cars
from dispatch.stochastic import Stochastic
from experiments.running import run
from sim.clock import DAY_S, STEP_S
from sim.contracts import Forecast, Paths, Snapshot

PRICE = 2.0
NOON = DAY_S // 2


def forecast(load_kw: np.ndarray, price: np.ndarray, now_s: int) -> Forecast:
    """A load and a price, nothing else; shape (K, 1)."""
    none = np.zeros_like(load_kw)
    return Forecast(
        now_s=now_s, kind="hand", load_kw=load_kw, pv_kw=none, wind_kw=none, buy_price_per_kwh=price,
        sell_price_per_kwh=none, curtailment_price_per_kwh=none, measured_car_load_kw=none,
    )  # fmt: skip


def independent(load_kw: np.ndarray, price: np.ndarray, peak_kw: float, *, n_today: int) -> float:
    """Least cost of a battery beside a load by linprog: a peak of what is left of today, one of tomorrow."""
    n, h = len(load_kw), 0.25
    columns = 4 * n + 2  # charge, discharge, energy, import, peaks
    charge, give, energy, bought = (slice(k * n, (k + 1) * n) for k in range(4))
    objective = np.zeros(columns)
    objective[charge] = h * 0.0018
    objective[give] = h * (0.0018 + 0.12)
    objective[bought] = h * price
    objective[energy.stop - 1] = -0.35 / 0.9
    objective[-2:] = PRICE
    equal, right, below, most = [], [], [], []
    for k in range(n):
        row = np.zeros(columns)
        row[energy.start + k], row[charge.start + k], row[give.start + k] = 1.0, -h * 0.9, h / 0.9
        if k:
            row[energy.start + k - 1] = -1.0
        equal.append(row), right.append(0.0 if k else 100.0)
        row = np.zeros(columns)
        row[bought.start + k], row[charge.start + k], row[give.start + k] = 1.0, -1.0, 1.0
        equal.append(row), right.append(load_kw[k])
        row = np.zeros(columns)
        row[bought.start + k], row[-2 if k < n_today else -1] = 1.0, -1.0
        below.append(row), most.append(0.0)
    bounds = (
        [(0.0, 45.0)] * (2 * n) + [(50.0, 237.5)] * n + [(0.0, None)] * n + [(peak_kw, None), (0.0, None)]
    )
    found = linprog(objective, below, most, equal, right, bounds, method="highs")
    assert found.status == 0
    return float(found.fun)


@pytest.mark.parametrize(("now_s", "n_today"), [(NOON, 48), (DAY_S - STEP_S, 1)])
@pytest.mark.parametrize("peak_kw", [0.0, 90.0])
def test_a_decision_equals_another_formulation(now_s: int, n_today: int, peak_kw: float) -> None:
    """Two days in the horizon, a peak of today already made; the plan's own account agrees with the program."""
    rng = np.random.default_rng(3)
    load, price = rng.uniform(20.0, 120.0, 96), rng.uniform(0.3, 1.2, 96)
    made = site(1, 1, days=3, turbine_limit_kw=np.zeros(1), demand_price_per_kw_day=PRICE)
    policy = RollingHorizon(OPTIONS)
    policy.start(made)
    snapshot = Snapshot(
        now_s=now_s,
        cars=no_cars(),
        battery_energy_kwh=np.array([100.0]),
        turbine_kw=np.zeros(1),
        peak_import_kw=np.array([peak_kw]),
    )
    asked = forecast(load[:, None], price[:, None], now_s)
    schedule = policy.decide(snapshot, asked)
    expected = independent(load, price, peak_kw, n_today=n_today)
    assert schedule.decision.status == "optimal"
    assert schedule.decision.objective == pytest.approx(expected, rel=1e-7)
    problem = policy.problem(snapshot, asked)
    solved = policy.session(problem).solve_cold(problem)
    assert cost(problem, solved.plan) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("perfect", [True, False])
def test_warm_against_cold(perfect: bool) -> None:
    """Each decision solved from scratch has the objective that the kept basis gave, over midnight too."""
    made = world(6, 3, days=2, demand_price_per_kw_day=PRICE)
    policy = RollingHorizon(OPTIONS)
    policy.start(made.site)
    for step in [*range(4), *range(93, 99)]:
        made.step = step
        snapshot = replace(made.snapshot(), peak_import_kw=np.array([30.0, 10.0, 20.0]))
        asked = made.forecast(perfect=perfect)
        schedule, fresh = policy.decide(snapshot, asked), _fresh(made).decide(snapshot, asked)
        assert schedule.decision.objective == pytest.approx(fresh.decision.objective, rel=1e-6)
        made.advance(schedule)


def _fresh(made: World) -> RollingHorizon:
    policy = RollingHorizon(OPTIONS)
    policy.start(made.site)
    return policy


def test_each_path_has_its_peak() -> None:
    """Two paths of the same probability, of loads 100 and 60 kW in one step: the expected charge is of 80 kW."""
    made = site(
        1, 0, turbine_limit_kw=np.zeros(1), demand_price_per_kw_day=PRICE, energy_value_per_kwh=0.0
    )  # fmt: skip
    load = np.array([[[100.0]], [[60.0]]])
    none, price = np.zeros((2, 1, 1)), np.full((2, 1, 1), 0.4)
    paths = Paths(
        probability=np.array([0.5, 0.5]), load_kw=load, pv_kw=none, wind_kw=none, buy_price_per_kwh=price,
        sell_price_per_kwh=none,
    )  # fmt: skip
    asked = replace(forecast(load[0], price[0], 0), paths=paths)
    policy = Stochastic(OPTIONS)
    policy.start(made)
    snapshot = Snapshot(now_s=0, cars=no_cars(), battery_energy_kwh=np.zeros(0), turbine_kw=np.zeros(1))
    found = policy.decide(snapshot, asked).decision
    assert found.objective == pytest.approx(80.0 * (0.25 * 0.4 + PRICE))


def test_a_run_pays_for_its_peaks_and_lowers_them(tmp_path: Path) -> None:
    """The charge is what the tables say; the rolling policy has a lower peak with it than without."""
    settings = ["fleet.size=6", "simulation.days=2", 'forecast.kind="perfect"', "output.report=false"]
    runs = {
        price: run(
            "multi-microgrid",
            overrides=[*settings, f"economics.demand_price_per_kw_day={price}"],
            out=tmp_path / str(price),
        )
        for price in (0.0, 5.0)
    }
    for price, done in runs.items():
        grid = done.grid.assign(day=done.grid["step_start_s"] // DAY_S)
        peaks = grid.groupby(["region", "day"])["import_kw"].max().sum()
        assert done.kpis["demand_cost_cny"] == pytest.approx(price * peaks)
    assert runs[5.0].kpis["demand_cost_cny"] / 5.0 < 0.98 * _peaks(runs[0.0])
    assert runs[0.0].kpis["demand_cost_cny"] == 0.0


def _peaks(done) -> float:
    grid = done.grid.assign(day=done.grid["step_start_s"] // DAY_S)
    return float(grid.groupby(["region", "day"])["import_kw"].max().sum())
