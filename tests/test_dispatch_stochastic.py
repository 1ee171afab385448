"""The two-stage program: against rolling, against another formulation, and within the bounds of its theory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from dispatch_cases import OPTIONS, World, site, world
from dispatch_oracle import expected_optimum, optimum
from forecast_cases import with_paths

from dispatch.assembly import Assembly
from dispatch.problem import Problem
from dispatch.rolling_horizon import RollingHorizon
from dispatch.scenarios import ScenarioSession
from dispatch.session import Failure, Session, Solved
from dispatch.stationary import no_cars
from dispatch.stochastic import Stochastic, path_forecasts
from sim.contracts import Forecast, Paths, Schedule, Snapshot
from sim.errors import ForecastLacksError, PolicyError, ScenarioError

UP = np.array([0.8, 1.0, 1.25])
DOWN = np.array([1.5, 1.0, 0.4])
ODDS = np.array([0.2, 0.5, 0.3])


def started(made: World, **changes) -> Stochastic:
    """Make a policy that is ready for a world."""
    policy = Stochastic(replace(OPTIONS, **changes))
    policy.start(made.site)
    return policy


def decide(policy: Stochastic, made: World, *, perfect: bool = False, n_steps: int = 96) -> Schedule:
    """Decide the world's present step over three paths."""
    forecast = with_paths(made.forecast(n_steps, perfect=perfect), UP, DOWN, ODDS)
    return policy.decide(made.snapshot(n_steps=n_steps), forecast)


@pytest.mark.parametrize("n_paths", [1, 3])
def test_paths_all_alike_are_rolling(n_paths: int) -> None:
    """One path, or several that do not differ, have the objective of `rolling` on that path, step after step."""
    made = world(6, 2)
    policy, rolling = started(made), RollingHorizon(OPTIONS)
    rolling.start(made.site)
    for _ in range(5):
        forecast = with_paths(made.forecast(perfect=False), np.full(n_paths, 1.1), np.full(n_paths, 0.9))
        schedule = policy.decide(made.snapshot(), forecast)
        expected = rolling.decide(made.snapshot(), path_forecasts(forecast)[0])
        assert schedule.decision.objective == pytest.approx(expected.decision.objective, rel=1e-6)
        assert schedule.decision.turbine_bound == pytest.approx(expected.decision.turbine_bound, rel=1e-6)
        assert schedule.decision.status == "optimal"
        made.advance(schedule)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"import_limit_kw": np.array([350.0, 300.0, 380.0])},
        {"export_limit_kw": np.array([50.0, np.inf, 0.0]), "ties": 2},
        {"ties": 2, "tie_limit_kw": np.array([40.0, 60.0]), "tie_loss_fraction": np.array([0.05, 0.1])},
        {"can_discharge_cars": np.array([True, False, False])},
    ],
    ids=["no-export", "import-limit", "export-pooled", "lossy-ties", "home-only"],
)
@pytest.mark.parametrize("perfect", [False, True])
def test_expected_cost_against_an_independent_program(changes: dict, perfect: bool) -> None:
    """Whole copies of an independent model, their first powers set equal row by row, have the same optimum."""
    made = world(4, 3, unlike=perfect, **changes)
    policy = started(made)
    for made.step in (0, 1, 33):
        schedule = decide(policy, made, perfect=perfect, n_steps=40)
        paths = path_forecasts(with_paths(made.forecast(40, perfect=perfect), UP, DOWN, ODDS))
        expected = expected_optimum(made.site, made.snapshot(n_steps=40), paths, ODDS.tolist())
        assert schedule.decision.lowered_kwh == 0
        assert schedule.decision.turbine_bound == pytest.approx(expected, rel=1e-6)


def fixed_as(plan_of: Solved) -> Callable[[Problem, Assembly], Assembly]:
    """Fix the first step's powers of cars, batteries and turbines to those of a plan."""

    def change(problem: Problem, assembly: Assembly) -> Assembly:
        at = assembly.layout.columns
        for part in (at.charge, at.discharge, at.battery_charge, at.battery_discharge, at.turbine):
            values = plan_of.assembly.values(plan_of.outcome.values, part)[0]
            assembly = assembly.bounded(assembly.columns(part)[0], values, values)
        return assembly

    return change


def alone(
    made: World, forecast: Forecast, change: Callable[[Problem, Assembly], Assembly] | None = None
) -> Solved:
    """Solve one forecast's program by itself, from scratch."""
    policy = RollingHorizon(OPTIONS)
    policy.start(made.site)
    problem = policy.problem(made.snapshot(), forecast)
    session = Session(made.site, problem.cars, problem.n_steps, iteration_limit=10**6)
    solved = session.solve(problem, change)
    assert isinstance(solved, Solved)
    return solved


@pytest.mark.parametrize(("seed", "step"), [(1, 0), (2, 30), (3, 44), (4, 70)])
def test_between_wait_and_see_and_the_mean_value_solution(seed: int, step: int) -> None:
    """WS <= SP <= EEV: knowing the path cannot cost, and planning for the mean cannot gain (EVPI, VSS >= 0)."""
    made = world(4, seed, import_limit_kw=np.array([400.0, 380.0, 420.0]))
    made.step = step
    forecast = with_paths(made.forecast(perfect=False), UP, DOWN, ODDS)
    found = started(made).decide(made.snapshot(), forecast).decision.turbine_bound
    paths = path_forecasts(forecast)
    wait_and_see = sum(p * alone(made, path).outcome.objective for p, path in zip(ODDS, paths, strict=True))
    mean = replace(
        paths[0],
        load_kw=np.tensordot(ODDS, np.stack([path.load_kw for path in paths]), axes=1),
        pv_kw=np.tensordot(ODDS, np.stack([path.pv_kw for path in paths]), axes=1),
        wind_kw=np.tensordot(ODDS, np.stack([path.wind_kw for path in paths]), axes=1),
    )
    change = fixed_as(alone(made, mean))
    mean_value = sum(
        p * alone(made, path, change).outcome.objective for p, path in zip(ODDS, paths, strict=True)
    )
    assert wait_and_see <= found + 1e-6
    assert found <= mean_value + 1e-6


def two_steps(made_site, dear: float) -> tuple[Snapshot, Forecast]:
    """A battery at its least energy; the next step's price is 1.0 with probability `dear`, else 0.2."""
    shape = (2, 1)
    snapshot = Snapshot(now_s=0, cars=no_cars(), battery_energy_kwh=np.array([50.0]), turbine_kw=np.zeros(1))
    load, none = np.full(shape, 100.0), np.zeros(shape)
    price = np.array([[[0.5], [1.0]], [[0.5], [0.2]]])
    paths = Paths(
        probability=np.array([dear, 1.0 - dear]),
        load_kw=np.stack([load, load]),
        pv_kw=np.zeros((2, 2, 1)),
        wind_kw=np.zeros((2, 2, 1)),
        buy_price_per_kwh=price,
        sell_price_per_kwh=np.zeros((2, 2, 1)),
    )
    forecast = Forecast(
        now_s=0, kind="hand", load_kw=load, pv_kw=none, wind_kw=none, buy_price_per_kwh=price[0],
        sell_price_per_kwh=none, curtailment_price_per_kwh=none, measured_car_load_kw=none, paths=paths,
    )  # fmt: skip
    return snapshot, forecast


@pytest.mark.parametrize(("dear", "power", "expected"), [(0.5, 45.0, 26.375), (0.3, 0.0, 23.5)])
def test_the_first_step_is_one_for_all_paths(dear: float, power: float, expected: float) -> None:
    """By hand: charge 45 kW now at 0.5 only if the expected price of the next step is above; each path alone differs.

    Charging: 0.25 h (145 kW 0.5 + 55 kW (0.5 1.0 + 0.5 0.2)) = 26.375. Not charging at odds 0.3: 0.25 h 100 kW (0.5 +
    0.3 1.0 + 0.7 0.2) = 23.5. With the dear path known one would charge, with the cheap one not: the costs of waiting
    and seeing are less.
    """
    one = np.ones(1)
    made = site(
        1, 1, turbine_limit_kw=np.zeros(1), battery_charge_efficiency=one, battery_discharge_efficiency=one,
        battery_operation_per_kwh=0.0, throughput_price_per_kwh=0.0, energy_value_per_kwh=0.0,
    )  # fmt: skip
    snapshot, forecast = two_steps(made, dear)
    policy = Stochastic(OPTIONS)
    policy.start(made)
    schedule = policy.decide(snapshot, forecast)
    assert schedule.battery_power_kw == pytest.approx([power], abs=1e-9)
    assert schedule.decision.objective == pytest.approx(expected, abs=1e-9)
    firsts, costs = [], []
    for path in path_forecasts(forecast):
        policy.start(made)
        known = policy.decide(snapshot, with_paths(path, np.ones(1), np.ones(1)))
        firsts.append(float(known.battery_power_kw[0]))
        costs.append(known.decision.objective)
    assert firsts == pytest.approx([45.0, 0.0], abs=1e-9)
    assert dear * costs[0] + (1.0 - dear) * costs[1] < expected - 0.5
    assert schedule.marginals is not None
    assert schedule.marginals.value_per_kwh[0] == pytest.approx(0.5)


def test_warm_against_cold() -> None:
    """Each decision solved from scratch has the objective that the kept basis gave."""
    made = world(8, 4)
    policy = started(made)
    for step in [*range(8), *range(40, 44)]:
        made.step = step
        schedule, fresh = decide(policy, made), decide(started(made), made)
        assert schedule.decision.objective == pytest.approx(fresh.decision.objective, rel=1e-6)
        made.advance(schedule)
    assert schedule.decision.iterations < fresh.decision.iterations


def test_another_number_of_paths_begins_anew() -> None:
    """A forecast with more paths than before is decided as a fresh policy decides it."""
    made = world(4, 1)
    policy = started(made)
    decide(policy, made)
    more = with_paths(made.forecast(perfect=False), np.linspace(0.9, 1.1, 4), np.ones(4))
    ours, fresh = policy.decide(made.snapshot(), more), started(made).decide(made.snapshot(), more)
    np.testing.assert_array_equal(ours.car_power_kw, fresh.car_power_kw)
    assert ours.decision.objective == fresh.decision.objective


def test_no_unit_charges_and_discharges_on_any_path() -> None:
    """Without a price on throughput and with much surplus the relaxation burns energy; what is executed does not."""
    made = world(5, 2, supply_factor=4.0, throughput_price_per_kwh=0.0)
    made.step = 46
    policy = started(made)
    schedule = decide(policy, made)
    row = schedule.decision
    assert row.max_overlap_kw > 0.1
    assert row.objective >= row.bound
    assert row.gap > 0
    paths = path_forecasts(with_paths(made.forecast(perfect=False), UP, DOWN, ODDS))
    relaxed = expected_optimum(made.site, made.snapshot(), paths, ODDS.tolist())
    assert row.turbine_bound == pytest.approx(relaxed, rel=1e-6)


def test_turbine_runs_only_if_cheaper_at_true_expected_cost() -> None:
    """At free import the turbines' under-estimator pays and their true cost does not; short imports start them."""
    cheap, dear = world(2, 1), world(2, 1, import_limit_kw=np.full(3, 330.0))
    off, both = decide(started(cheap, turbine="off"), cheap), decide(started(cheap), cheap)
    assert both.decision.turbine_bound < both.decision.objective
    assert both.decision.objective == pytest.approx(off.decision.objective, rel=1e-9)
    assert not both.turbine_kw.any()
    assert any(decide(started(dear), dear).turbine_kw.any() for dear.step in (60, 64, 68))


def test_a_failed_comparison_keeps_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the program with turbines off cannot be solved, the plan with turbines is executed, not the fallback."""
    made = world(2, 1, import_limit_kw=np.full(3, 330.0))
    made.step = 60
    whole = decide(started(made), made)
    calls = []

    def fails(*_: object) -> Failure:
        calls.append(1)
        return Failure(reason="iteration_limit", iterations=7)

    monkeypatch.setattr(ScenarioSession, "solve_variant", fails)
    alone = decide(started(made), made)
    assert len(calls) == 1
    assert not alone.decision.fallback
    assert alone.turbine_kw.any()
    assert alone.decision.turbine_bound == pytest.approx(whole.decision.turbine_bound, rel=1e-9)
    assert alone.decision.turbine_gap >= whole.decision.turbine_gap


def test_runs_are_bit_identical() -> None:
    """Two runs, one by an object that has run before, give the same numbers to the last bit."""
    policy, answers = started(world(6, 7)), []
    for _ in range(2):
        made = world(6, 7)
        policy.start(made.site)
        parts = []
        for _ in range(6):
            schedule = decide(policy, made)
            parts += [
                schedule.car_power_kw,
                schedule.battery_power_kw,
                np.array([schedule.decision.objective]),
            ]
            made.advance(schedule)
        answers.append(np.concatenate(parts).tobytes())
    assert answers[0] == answers[1]


def test_a_failed_solve_falls_back_visibly() -> None:
    """With one iteration allowed the named fallback is executed, and the row says so."""
    made = world(6, 1)
    schedule = decide(started(made, iteration_limit=1, fallback="charge"), made)
    assert schedule.decision.fallback
    assert schedule.decision.status == "fallback:charge"
    np.testing.assert_array_equal(schedule.car_power_kw, np.where(made.cars().is_plugged, 5.0, 0.0))


def test_what_cannot_be_decided_is_told() -> None:
    """No paths, too many cars, prices that earn without end on one path alone: each has its message."""
    made = world(3, 1, export_limit_kw=np.full(3, np.inf))
    with pytest.raises(
        ForecastLacksError, match="policy stochastic: the forecasts carry no paths; .* `forecast`"
    ):
        started(made).decide(made.snapshot(), made.forecast())
    with pytest.raises(PolicyError, match=r"policy stochastic: 3 cars exceed dispatch\.max_exact_cars = 2"):
        decide(started(made, max_exact_cars=2), made)
    forecast = with_paths(made.forecast(perfect=False), np.ones(2), np.ones(2))
    prices = forecast.paths.sell_price_per_kwh.copy()
    prices[1, 3] = 2.0
    with pytest.raises(ScenarioError, match=r"prices at 00:45: selling"):
        started(made).decide(
            made.snapshot(), replace(forecast, paths=replace(forecast.paths, sell_price_per_kwh=prices))
        )


def test_a_sure_forecast_is_the_programs_own_optimum() -> None:
    """With one path the expected plan is that path's: the oracle of a single forecast agrees too."""
    made = world(5, 3)
    made.step = 20
    forecast = with_paths(made.forecast(perfect=False), np.ones(1), np.ones(1))
    schedule = started(made).decide(made.snapshot(), forecast)
    expected = optimum(made.site, made.snapshot(), made.forecast(perfect=False))
    assert schedule.decision.turbine_bound == pytest.approx(expected, rel=1e-6)
