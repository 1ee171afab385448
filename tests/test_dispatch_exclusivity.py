from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dispatch_cases import OPTIONS, World, world
from dispatch_oracle import optimum

from dispatch.decision import decide as decide_problem
from dispatch.exclusivity import exact_price, net_power
from dispatch.rolling_horizon import RollingHorizon
from sim.contracts import Decision, Schedule


def windy(n_cars: int, seed: int, price: float) -> World:
    """Give much more supply than the load takes at times, and no export: burning would pay at a low price."""
    return world(n_cars, seed, supply_factor=2.0, throughput_price_per_kwh=price)


def decide(made: World, *, perfect: bool = True, **changes) -> tuple[RollingHorizon, Schedule]:
    """Decide a world without turbines."""
    policy = RollingHorizon(replace(OPTIONS, turbine="off", **changes))
    policy.start(made.site)
    return policy, policy.decide(made.snapshot(), made.forecast(perfect=perfect))


def test_exact_price_by_hand() -> None:
    """With eta = 0.81 and phi up to 0.5 burning stops paying at 0.5 x 0.19 / 0.81; a negative price counts too."""
    made = windy(2, 1, 0.12)
    problem = decide(made)[0].problem(made.snapshot(), made.forecast())
    assert exact_price(problem) == pytest.approx(0.5 * 0.19 / 0.81)
    made.buy[5] = -2.0
    problem = decide(made)[0].problem(made.snapshot(), made.forecast())
    assert exact_price(problem) == pytest.approx(2.0 * 0.19 / 0.81)


@pytest.mark.parametrize("perfect", [True, False])
def test_default_price_keeps_exclusivity_by_itself(perfect: bool) -> None:
    """At the default throughput price no decision of a windy day overlaps, and each is optimal."""
    made = windy(8, 1, 0.12)
    for made.step in (0, 20, 36, 44, 60):
        decision = decide(made, perfect=perfect)[1].decision
        assert decision.max_overlap_kw <= 1e-6
        assert decision.status == "optimal"


def test_default_price_against_a_strict_program() -> None:
    """At the default price the relaxation has the optimum of the program with a binary everywhere."""
    made = windy(2, 2, 0.12)
    made.step = 36
    decision = decide(made)[1].decision
    strict = optimum(made.site, made.snapshot(), made.forecast(), exclusive=True, turbines=False)
    assert decision.objective == pytest.approx(strict, rel=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_free_throughput_is_repaired_with_a_known_gap(seed: int) -> None:
    """At zero price the relaxation cheats; what is executed is one-way, within limits, and within a known gap."""
    made = windy(10, seed, 0.0)
    made.step = 30
    policy, schedule = decide(made)
    decision = schedule.decision
    assert decision.max_overlap_kw > 1.0
    assert decision.bound <= decision.objective
    assert decision.gap == pytest.approx(
        (decision.objective - decision.bound) / max(1, abs(decision.objective))
    )
    assert 0 < decision.gap < 0.05
    problem = policy.problem(made.snapshot(), made.forecast())
    assert np.all(np.abs(schedule.car_power_kw) <= problem.cars.charge_limit_kw)


def both_ways(made: World, n_steps: int) -> list[Decision]:
    """Decide by repair, by binaries within the scenario's gap, and by binaries within a tight one."""
    decisions = []
    for way, gap in (("repair", 1e-3), ("milp", 1e-3), ("milp", 1e-6)):
        options = replace(
            OPTIONS, turbine="off", exclusivity=way, mip_relative_gap=gap, mip_node_limit=100_000
        )
        policy = RollingHorizon(options)
        policy.start(made.site)
        decisions.append(policy.decide(made.snapshot(), made.forecast(n_steps)).decision)
    return decisions


@pytest.mark.parametrize(
    ("n_cars", "n_steps", "seed"), [(3, 12, 1), (3, 12, 2), pytest.param(10, 20, 2, marks=pytest.mark.slow)]
)
def test_free_throughput_against_a_strict_program(n_cars: int, n_steps: int, seed: int) -> None:
    """At zero price the strict optimum lies between bound and objective, and binaries where it cheats reach it."""
    made = windy(n_cars, seed, 0.0)
    made.step = 36
    snapshot, forecast = made.snapshot(), made.forecast(n_steps)
    strict = optimum(made.site, snapshot, forecast, exclusive=True, turbines=False, gap=1e-7)
    repaired, closed, exact = both_ways(made, n_steps)
    for decision in (repaired, closed, exact):
        assert decision.bound <= strict + 1e-6 * abs(strict)
        assert decision.objective >= strict - 1e-6 * abs(strict)
    assert repaired.gap > 1e-3
    assert closed.binaries > 0
    assert closed.gap <= 1e-3
    assert exact.objective == pytest.approx(strict, rel=2e-6)


@pytest.mark.parametrize("limit_kw", [60.0, np.inf])
def test_lossy_ties_flow_one_way(limit_kw: float) -> None:
    """Energy is not destroyed by sending it round over a lossy tie: what is executed flows one way, its gap known."""
    made = world(
        8, 1, supply_factor=2.0, ties=2, tie_loss_fraction=np.full(2, 0.1), tie_limit_kw=np.full(2, limit_kw)
    )
    made.step = 30
    policy, schedule = decide(made)
    problem = policy.problem(made.snapshot(), made.forecast())
    plan = decide_problem(policy.session(problem), problem, replace(OPTIONS, turbine="off")).executed.plan
    assert np.minimum(plan.tie_forth_kw, plan.tie_back_kw).max() <= 1e-6
    assert plan.tie_forth_kw.max() + plan.tie_back_kw.max() > 1.0
    assert schedule.decision.status == "feasible"
    assert schedule.decision.gap > 1e-3


def test_lossy_ties_against_a_strict_program() -> None:
    """With binaries where energy is sent round the plan is the optimum of the program that forbids it everywhere."""
    made = world(
        3, 1, supply_factor=2.0, ties=2, tie_loss_fraction=np.full(2, 0.1), tie_limit_kw=np.full(2, 60.0)
    )
    made.step = 36
    strict = optimum(made.site, made.snapshot(), made.forecast(12), exclusive=True, turbines=False, gap=1e-7)
    repaired, closed, exact = both_ways(made, 12)
    for decision in (repaired, closed, exact):
        assert decision.bound <= strict + 1e-6 * abs(strict)
        assert decision.objective >= strict - 1e-6 * abs(strict)
    assert exact.objective == pytest.approx(strict, rel=2e-6)


def test_negative_prices_over_unlimited_lossy_ties_have_an_answer() -> None:
    """Being paid for taking does not make a program endless that could lose energy over a tie."""
    made = world(4, 1, ties=2, tie_loss_fraction=np.full(2, 0.1))
    made.buy -= 0.7
    made.sell[:] = made.buy
    decision = decide(made)[1].decision
    assert not decision.fallback
    assert decision.bound <= decision.objective


def test_net_power_keeps_the_stored_energy() -> None:
    """Netting moves as much energy in the battery as both ways did, whatever the efficiencies."""
    rng = np.random.default_rng(1)
    charge, discharge = rng.uniform(0, 5, 50), rng.uniform(0, 5, 50)
    eta_c, eta_d = rng.uniform(0.8, 1, 50), rng.uniform(0.8, 1, 50)
    net = net_power(charge, discharge, eta_c, eta_d)
    stored = np.where(net > 0, eta_c * net, net / eta_d)
    np.testing.assert_allclose(stored, eta_c * charge - discharge / eta_d, atol=1e-12)
    np.testing.assert_array_equal(net_power(charge, 0 * discharge, eta_c, eta_d), charge)
