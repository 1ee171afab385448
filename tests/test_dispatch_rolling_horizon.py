from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dispatch_cases import OPTIONS, World, site, world
from dispatch_oracle import optimum

import dispatch.decision as decision_module
from dispatch.day_ahead import DayAheadOptions, day_ahead_optimum
from dispatch.problem import build
from dispatch.rolling_horizon import RollingHorizon
from dispatch.session import Failure, Session, Solved
from sim.clock import NEVER_S, STEP_H, STEP_S
from sim.contracts import Schedule
from sim.errors import PolicyError, ScenarioError
from sim.taper import Taper


def started(made: World, **changes) -> RollingHorizon:
    """Make a policy that is ready for a world."""
    policy = RollingHorizon(replace(OPTIONS, **changes))
    policy.start(made.site)
    return policy


def decide(policy: RollingHorizon, made: World, *, perfect: bool, n_steps: int = 96) -> Schedule:
    """Decide the world's present step."""
    return policy.decide(made.snapshot(n_steps=n_steps), made.forecast(n_steps, perfect=perfect))


@pytest.mark.parametrize("perfect", [True, False])
@pytest.mark.parametrize("seed", range(1, 11))
def test_decisions_against_an_independent_program(seed: int, perfect: bool) -> None:
    """The first decision and later ones have the optimum of a program written down by another route."""
    made = world(5, seed, unlike=seed % 2 == 0)
    policy = started(made)
    for step in (0, 1, 33, 34):
        made.step = step
        schedule = decide(policy, made, perfect=perfect)
        if step != 1:
            expected = optimum(made.site, made.snapshot(), made.forecast(perfect=perfect))
            if perfect or schedule.decision.lowered_kwh == 0:
                assert schedule.decision.turbine_bound == pytest.approx(expected, rel=1e-6)
            else:
                assert schedule.decision.turbine_bound < expected
        made.advance(schedule)


@pytest.mark.parametrize(
    "changes",
    [
        {"import_limit_kw": np.array([350.0, 300.0, 380.0])},
        {"import_limit_kw": np.array([5.0, 5.0, 5.0]), "turbine_limit_kw": np.zeros(3)},
        {"export_limit_kw": np.array([50.0, np.inf, 0.0])},
        {"ties": 2},
        {"ties": 2, "tie_limit_kw": np.array([40.0, 60.0]), "tie_loss_fraction": np.array([0.05, 0.1])},
        {"energy_value_per_kwh": 0.0},
        {"can_discharge_cars": np.array([True, False, False])},
        {"battery_kept_per_step": np.array([0.99, 1.0, 0.95])},
        {"battery_kept_per_step": np.full(3, 0.99), "energy_value_per_kwh": 0.0},
    ],
    ids=[
        "import-limit",
        "hardly-any-import",
        "export",
        "pooling",
        "lossy-ties",
        "no-end-value",
        "home-only",
        "self-discharge",
        "self-discharge-no-end-value",
    ],
)
def test_other_sites_against_an_independent_program(changes: dict) -> None:
    """Import and export limits, ties and end values enter the program as the equations say."""
    made = world(5, 3, **changes)
    for perfect in (True, False):
        policy = started(made)
        for step in (0, 30, 31):
            made.step = step
            schedule = decide(policy, made, perfect=perfect)
            assert schedule.decision.lowered_kwh == 0
            expected = optimum(made.site, made.snapshot(), made.forecast(perfect=perfect))
            assert schedule.decision.turbine_bound == pytest.approx(expected, rel=1e-6)


def tapered(made: World, to_share: float) -> World:
    """Let every second car's charging slow down from 60 % of its battery on."""
    share = np.where(np.arange(made.n_cars) % 2 == 0, to_share, 1.0)
    made.taper = Taper(from_kwh=0.6 * made.size, to_kwh=made.energy_max, to_share=share)
    return made


@pytest.mark.parametrize("perfect", [True, False])
@pytest.mark.parametrize("seed", [1, 2, 4, 6])
def test_tapering_against_an_independent_program(seed: int, perfect: bool) -> None:
    """Powers near full enter the program as the equation says, over trips and gaps too, and bind."""
    made, free = tapered(world(5, seed, unlike=seed % 2 == 0), 0.05), world(5, seed, unlike=seed % 2 == 0)
    policy, binds = started(made), 0
    for step in (0, 1, 33, 34, 60, 61):
        made.step = step
        schedule = decide(policy, made, perfect=perfect)
        expected = optimum(made.site, made.snapshot(), made.forecast(perfect=perfect))
        assert schedule.decision.turbine_bound == pytest.approx(expected, rel=1e-6)
        cars = made.cars()
        assert (schedule.car_power_kw <= cars.charge_limit_now_kw + 1e-9).all()
        free.step, free.energy = step, made.energy
        without = decide(started(free), free, perfect=perfect)
        binds += schedule.decision.turbine_bound > without.decision.turbine_bound + 1e-6
        made.advance(schedule)
    assert binds >= 2


@pytest.mark.parametrize("value", ["lambda", 0.9])
def test_departing_value_against_an_independent_program(value: str | float) -> None:
    """Energy that drives away is worth what the scenario says."""
    made = world(5, 2)
    made.step = 20
    schedule = decide(started(made, departing_energy_value=value), made, perfect=False)
    expected = optimum(made.site, made.snapshot(), made.forecast(perfect=False), departing=value)
    assert schedule.decision.turbine_bound == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("perfect", [True, False])
def test_warm_against_cold(perfect: bool) -> None:
    """Each decision's program solved from scratch has the objective that the kept basis gave."""
    made = world(8, 4)
    policy = started(made, turbine="off", window="shrinking")
    for step in [*range(12), *range(40, 50)]:
        made.step = step
        snapshot, forecast = made.snapshot(), made.forecast(perfect=perfect)
        schedule = policy.decide(snapshot, forecast)
        problem = policy.problem(snapshot, forecast)
        fresh = started(made, turbine="off", window="shrinking").decide(snapshot, forecast)
        assert schedule.decision.objective == pytest.approx(fresh.decision.objective, rel=1e-6)
        assert problem.n_steps == 96 - made.step
        made.advance(schedule)


def test_session_solves_cold_apart() -> None:
    """A session's own cold solve of a problem agrees with its warm one, and leaves the session as it is."""
    made = world(6, 5)
    policy = started(made)
    for _ in range(4):
        made.advance(decide(policy, made, perfect=True))
    problem = policy.problem(made.snapshot(), made.forecast())
    session = policy.session(problem)
    cold, warm = session.solve_cold(problem), session.solve(problem)
    assert isinstance(cold, Solved)
    assert isinstance(warm, Solved)
    assert warm.outcome.objective == pytest.approx(cold.outcome.objective, rel=1e-6)
    assert warm.outcome.iterations < cold.outcome.iterations


@pytest.mark.parametrize("seed", [1, 2])
def test_shrinking_window_against_day_ahead(seed: int) -> None:
    """With perfect forecasts a horizon that shrinks to the run's end spends what one day-ahead optimum spends."""
    made = world(6, seed)
    options = DayAheadOptions(
        turbine="off", pieces=8, is_cyclic=False, is_strict=False, mip_relative_gap=1e-6, mip_node_limit=None,
        iteration_limit=10**6,
    )  # fmt: skip
    best = day_ahead_optimum(made.site, made.snapshot(), made.forecast(), options)
    policy, spent = started(made, turbine="off", window="shrinking"), 0.0
    for _ in range(96):
        schedule = decide(policy, made, perfect=True, n_steps=96 - made.step)
        spent += _realised_cost(made, schedule)
        made.advance(schedule)
    under_way = (made.trips.depart_s <= made.now_s) & (made.trips.arrive_s > made.now_s)
    stored = made.energy.sum() + made.battery.sum() - made.trips.energy_kwh[under_way].sum()
    spent -= made.site.energy_value_per_kwh * stored
    assert spent == pytest.approx(best.objective, rel=1e-6)


def _realised_cost(made: World, schedule: Schedule) -> float:
    """Cost of the step by Eqs. (17)-(24), worked out from the set-points (no export, no ties, turbines off)."""
    cars, s, k = made.cars(), made.site, made.step
    fraction = np.clip((np.minimum(cars.departure_s, NEVER_S) - made.now_s) / STEP_S, 0, 1) * cars.is_plugged
    power = schedule.car_power_kw * fraction
    net = made.load[k] - made.pv[k] - made.wind[k]
    np.add.at(net, np.maximum(cars.region_index, 0), power)
    np.add.at(net, s.battery_region_index, schedule.battery_power_kw)
    assert np.all(schedule.turbine_kw == 0)
    hourly = (made.buy[k] * np.maximum(net, 0) + made.phi[k] * np.maximum(-net, 0)).sum()
    hourly += s.battery_operation_per_kwh * np.abs(schedule.battery_power_kw).sum()
    wear = np.maximum(-power, 0).sum() + np.maximum(-schedule.battery_power_kw, 0).sum()
    return STEP_H * float(hourly + s.throughput_price_per_kwh * wear)


def test_runs_are_bit_identical() -> None:
    """Two runs from a fresh start, and one by an object that has run before, give the same numbers to the last bit."""
    policy = started(world(6, 7))
    answers = []
    for kept in (policy, policy, started(world(6, 7))):
        made = world(6, 7)
        kept.start(made.site)
        parts = []
        for _ in range(20):
            schedule = decide(kept, made, perfect=False)
            parts.append(
                np.concatenate([schedule.car_power_kw, schedule.battery_power_kw, schedule.turbine_kw])
            )
            parts.append(np.array([schedule.decision.objective]))
            made.advance(schedule)
        answers.append(np.concatenate(parts).tobytes())
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize("fallback", ["charge", "idle"])
def test_a_solve_past_its_iteration_limit_falls_back_visibly(fallback: str) -> None:
    """With one iteration allowed every decision is the named fallback, and says so; requirements are still met."""
    made = world(6, 1)
    policy = started(made, iteration_limit=1, fallback=fallback)
    for _ in range(40):
        cars, schedule = made.cars(), decide(policy, made, perfect=False)
        assert schedule.decision.fallback
        assert schedule.decision.status == f"fallback:{fallback}"
        assert not schedule.battery_power_kw.any()
        if fallback == "charge":
            np.testing.assert_array_equal(schedule.car_power_kw, np.where(cars.is_plugged, 5.0, 0.0))
        made.advance(schedule)
        leaves = cars.is_plugged & (cars.departure_s <= made.now_s)
        reach = cars.energy_kwh + 4.5 * (cars.departure_s - made.now_s + STEP_S) / 3600
        assert np.all(made.energy[leaves] >= np.minimum(cars.required_kwh, reach)[leaves] - 1e-6)


def test_a_fleet_beyond_the_limit_is_refused() -> None:
    """Above max_exact_cars the policy refuses with the numbers."""
    made = world(3, 1)
    with pytest.raises(PolicyError, match=r"3 cars exceed dispatch\.max_exact_cars = 2"):
        decide(started(made, max_exact_cars=2), made, perfect=True)


def test_decide_needs_start() -> None:
    """A policy that was never started says so."""
    made = world(1, 1)
    with pytest.raises(PolicyError, match="before start"):
        RollingHorizon(OPTIONS).decide(made.snapshot(), made.forecast())


def test_no_cars_at_all() -> None:
    """A fleet of none leaves the stationary units, whose optimum another program confirms."""
    made = world(0, 1)
    schedule = decide(started(made), made, perfect=True)
    assert schedule.car_power_kw.shape == (0,)
    expected = optimum(made.site, made.snapshot(), made.forecast())
    assert schedule.decision.turbine_bound == pytest.approx(expected, rel=1e-6)


def test_order_of_the_cars_does_not_matter() -> None:
    """A fleet in another order has the same objective (Hypothesis of symmetry, by one permutation)."""
    made = world(6, 3)
    snapshot, forecast = made.snapshot(), made.forecast(perfect=False)
    order = np.array([3, 0, 5, 1, 4, 2])
    cars = snapshot.cars
    per_car = {name: value for name in cars.__slots__ if (value := getattr(cars, name)) is not None}
    shuffled = replace(cars, **{name: value[order] for name, value in per_car.items()})
    one = started(made).decide(snapshot, forecast).decision
    other = started(made).decide(replace(snapshot, cars=shuffled), forecast).decision
    assert one.objective == pytest.approx(other.objective, rel=1e-9)


def test_free_pooling_is_never_dearer_and_equals_one_bus() -> None:
    """Free ties can only help, and pool the three regions into one."""
    apart, pooled = world(0, 2), world(0, 2, ties=2)
    merged = world(0, 2, n_regions=1, turbine_limit_kw=np.zeros(1))
    for part in ("load", "pv", "wind"):
        setattr(merged, part, getattr(pooled, part).sum(axis=1, keepdims=True))
    alone, together, one = (
        decide(started(w, turbine="off"), w, perfect=True).decision.objective for w in (apart, pooled, merged)
    )
    assert together <= alone + 1e-6
    assert together == pytest.approx(one, rel=1e-9)


def test_turbine_is_executed_only_if_cheaper_at_true_cost() -> None:
    """At the peak the under-estimator runs turbines, their true cost does not pay; with an import limit it does."""
    cheap, dear = world(2, 1), world(2, 1, import_limit_kw=np.full(3, 330.0))
    off = decide(started(cheap, turbine="off"), cheap, perfect=True)
    both = decide(started(cheap), cheap, perfect=True)
    assert both.decision.turbine_bound < both.decision.objective
    assert both.decision.objective == pytest.approx(off.decision.objective, rel=1e-9)
    assert both.decision.turbine_gap > 0
    assert not both.turbine_kw.any()
    ramps = [decide(started(dear), dear, perfect=True).turbine_kw for dear.step in (60, 64, 68)]
    assert any(power.any() for power in ramps)


def test_turbine_off_ramps_down() -> None:
    """A turbine that runs when it shall not goes down by its ramp, never at once."""
    made = world(1, 1)
    made.turbine = np.array([12.0, 3.0, 0.0])
    schedule = decide(started(made, turbine="off"), made, perfect=True)
    np.testing.assert_allclose(schedule.turbine_kw, [7.0, 0.0, 0.0], atol=1e-9)


def test_a_failed_comparison_keeps_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the program with turbines off cannot be solved, the plan with turbines is executed, not the fallback."""
    made = world(4, 1, import_limit_kw=np.full(3, 420.0))
    made.step = 40
    whole = decide(started(made, turbine="convex"), made, perfect=True)
    calls = []

    def fails(*_: object) -> Failure:
        calls.append(1)
        return Failure(reason="iteration_limit", iterations=7)

    monkeypatch.setattr(decision_module, "_without_turbines", fails)
    alone = decide(started(made, turbine="convex"), made, perfect=True)
    assert calls
    assert not alone.decision.fallback
    assert alone.decision.status in ("optimal", "feasible")
    assert alone.decision.turbine_bound == pytest.approx(whole.decision.turbine_bound, rel=1e-9)
    assert alone.marginals.account.program == "relaxation"


def test_marginals_explain_the_decision() -> None:
    """A region that imports values a kWh at its price; a car kept back by its departure names it and its price."""
    made = world(6, 1)
    made.step = 20
    schedule = decide(started(made), made, perfect=False)
    marginals = schedule.marginals
    assert marginals is not None
    regions = marginals.vehicle_id == -1
    assert regions.sum() == 3
    assert marginals.vehicle_id[~regions].tolist() == np.flatnonzero(made.cars().is_plugged).tolist()
    net = made.load[20] - made.pv[20] - made.wind[20]
    assert np.all(marginals.value_per_kwh[regions] <= made.buy[20] + 1e-9)
    assert np.all(marginals.value_per_kwh[regions][net > 200] == pytest.approx(made.buy[20][net > 200]))
    protected = marginals.protected_departure_s[~regions] != NEVER_S
    assert np.all(marginals.departure_dual_per_kwh[~regions][protected] > 0)
    later = marginals.best_later_step_s != NEVER_S
    assert np.all(marginals.best_later_step_s[later] > made.now_s)


def test_import_limit_holds_and_lack_is_counted_not_fatal() -> None:
    """Where the connection cannot even feed the cars, the program still has a solution within the limit."""
    made = world(6, 1, import_limit_kw=np.full(3, 1.0), turbine_limit_kw=np.zeros(3), n_batteries=0)
    made.load[:] = 0.0
    made.pv[:] = 0.0
    made.wind[:] = 0.0
    made.energy[:] = made.energy_min
    schedule = decide(started(made), made, perfect=True)
    assert not schedule.decision.fallback
    load = schedule.expected_car_load_kw
    assert load is not None
    assert load.max() <= 1.0 + 1e-6


def test_negative_prices_between_regions_apart_are_legal() -> None:
    """What is bought in one region cannot be sold in another that no tie without a limit joins to it."""
    made = world(2, 1, export_limit_kw=np.full(3, np.inf))
    made.buy[:] = made.sell[:] = -0.05
    schedule = decide(started(made), made, perfect=True)
    assert not schedule.decision.fallback


@pytest.mark.parametrize("ties", [0, 2])
def test_endless_gain_is_refused_as_bad_input(ties: int) -> None:
    """Selling above buying without a limit, here or over free ties, is named; with a cap it is legal."""
    export = np.array([0.0, 0.0, np.inf]) if ties else np.array([np.inf, 0.0, 0.0])
    made = world(2, 1, ties=ties, export_limit_kw=export)
    made.sell[3] = 2.0
    with pytest.raises(
        ScenarioError, match=r"prices at 00:45: selling in region [02] brings 2 per kWh bought in"
    ):
        decide(started(made), made, perfect=True)
    capped = world(2, 1, ties=ties, export_limit_kw=np.minimum(export, 500.0))
    capped.sell[3] = 2.0
    assert decide(started(capped), capped, perfect=True).decision.status == "optimal"


def test_site_of_one_step_horizon() -> None:
    """A horizon of a single step is legal."""
    made = world(2, 1)
    schedule = decide(started(made), made, perfect=True, n_steps=1)
    assert schedule.decision.status == "optimal"


@pytest.mark.slow
def test_a_day_of_a_hundred_cars_has_no_fallback_and_no_gap() -> None:
    """96 decisions of 100 cars: all optimal within 1e-6, nothing overlaps, the balance of energy closes."""
    made = world(100, 1)
    policy = started(made)
    for _ in range(96):
        schedule = decide(policy, made, perfect=False)
        assert schedule.decision.status == "optimal"
        assert schedule.decision.gap <= 1e-6
        assert schedule.decision.max_overlap_kw <= 1e-6
        made.advance(schedule)


def test_build_needs_no_forecast_of_cars() -> None:
    """Without stores and trips only the current stays are planned."""
    made = world(3, 1)
    forecast = replace(made.forecast(perfect=False), stores=None)
    problem = build(site(), made.snapshot(), forecast, departing_energy_value="lambda")
    assert problem.pools is None
    session = Session(made.site, made.cars(), 96, iteration_limit=10**6)
    assert isinstance(session.solve(problem), Solved)
