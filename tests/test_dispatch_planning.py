"""Storage on a feeder: plans against grids of all plans, bounds that are bounds, and promises kept step by step."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from scipy.optimize import linprog

from dispatch.highs import Outcome, Solver
from dispatch.planning import hosting as hosting_module
from dispatch.planning import planner as planner_module
from dispatch.planning.day import (
    Capital,
    Case,
    Design,
    FeederDay,
    Storage,
    fixed_sizes,
    free_sizes,
    one_day,
)
from dispatch.planning.front import front, grid
from dispatch.planning.hosting import hosting, scaled
from dispatch.planning.judging import Violation, judge, taken_kw
from dispatch.planning.planner import LimitsError, Planned, Planner, UnsolvedError, best_plan
from dispatch.planning.program import (
    COLUMN_UNITS,
    OBJECTIVES,
    UNBOUNDED,
    Amounts,
    Layout,
    Options,
    Reserve,
    States,
    least_current_kva,
    tangents,
)
from dispatch.planning.reach import reach
from dispatch.planning.reserve import draw_activations, execute, reserve_plan
from dispatch.planning.siting import exact_sites, greedy_sites, sweep
from dispatch.station.sizing import Asset
from experiments.assemble import assemble
from experiments.shipped import load_scenario
from sim.feeder.ac import ac_power_flow
from sim.feeder.model import BASE_KVA, Feeder, Network
from sim.world import World

COST = Amounts(cost=1.0)
BATTERY = Storage(wear_price_per_kwh=0.01)


def network(
    n_buses: int = 5, *, rating_kva: float = np.inf, b_pu: float = 0.0, band: tuple[float, float] = (0.9, 1.1)
) -> Network:
    """A street with a branch: 0 - 1 - 2 - 3, and 4, 5 from 1."""
    parents = [0, 1, 2, 1, 4][: n_buses - 1]
    m = n_buses - 1
    feeder = Feeder(
        bus_names=tuple("abcdef"[:n_buses]),
        load_kw=np.zeros(n_buses),
        load_kvar=np.zeros(n_buses),
        source_index=0,
        branch_names=tuple(f"L{i}" for i in range(m)),
        parent_index=np.array(parents),
        child_index=np.arange(1, n_buses),
        r_pu=np.array([0.02, 0.05, 0.06, 0.08, 0.05][:m]),
        x_pu=np.array([0.02, 0.03, 0.03, 0.04, 0.03][:m]),
        b_pu=np.full(m, b_pu),
        rating_kva=np.full(m, rating_kva),
        is_transformer=np.zeros(m, dtype=np.bool_),
    )
    return Network(
        feeder=feeder,
        source_pu=1.0,
        voltage_min_pu=band[0],
        voltage_max_pu=band[1],
        load_kvar_per_kw=np.zeros(n_buses),
    )


def day(net: Network, n_steps: int = 6, *, seed: int = 1, pv_kw: float = 0.0, **changes) -> FeederDay:
    """Loads that rise, prices that swing, sun in the middle."""
    rng, n = np.random.default_rng(seed), net.feeder.n_buses
    load = rng.uniform(20.0, 120.0, (n_steps, n))
    load[:, 0] = 0.0
    sun = np.zeros((n_steps, n))
    sun[:, n - 1] = pv_kw * np.sin(np.pi * (np.arange(n_steps) + 0.5) / n_steps)
    buy = 0.1 + 0.2 * rng.random(n_steps)
    values = {
        "network": net,
        "step_h": 24.0 / n_steps,
        "demand_kw": load,
        "demand_kvar": 0.3 * load,
        "pv_kw": sun,
        "buy_per_kwh": buy,
        "sell_per_kwh": 0.5 * buy,
        "grid_kg_per_kwh": rng.uniform(0.2, 0.6, n_steps),
    }
    return FeederDay(**(values | changes))


def swept_flow(net: Network, demand_kw: np.ndarray, demand_kvar: np.ndarray) -> tuple[np.ndarray, float]:
    """Voltages and loss of one state by backward and forward sweeps in complex numbers (no charging)."""
    feeder = net.feeder
    z = feeder.r_pu + 1j * feeder.x_pu
    load = (demand_kw + 1j * demand_kvar) / 1000.0
    voltage = np.full(feeder.n_buses, net.source_pu, dtype=complex)
    for _ in range(60):
        current = np.conj(load / voltage)
        branch = feeder.below @ current
        voltage = net.source_pu - feeder.below.T @ (z * branch)
    return np.abs(voltage), float((feeder.r_pu * np.abs(branch) ** 2).sum() * 1000.0)


def short_case(lowest: float) -> Case:
    """Three hours with a peak in the middle, before a price that is better to discharge at."""
    net, prices = network(4, band=(lowest, 1.1)), np.array([0.1, 0.2, 0.3])
    made = day(net, 3, step_h=1.0, buy_per_kwh=prices, sell_per_kwh=0.5 * prices)
    made = replace(made, demand_kw=made.demand_kw * [[0.5], [3.0], [1.0]])
    return one_day(made, Storage(), fixed_sizes([3], [300.0], [80.0]))


LOWEST = 0.95
"""A band within which the peak is served only when storage helps then, which costs more."""


@pytest.mark.parametrize("lowest", [0.8, LOWEST])
def test_no_plan_of_a_fine_grid_undercuts(lowest: float) -> None:
    """No plan of a fine grid, judged by another power flow, is below the bound; the best costs what the plan does."""
    case = short_case(lowest)
    net, made, unit, kwh, kw, site = case.network, case.days[0], case.storage, 300.0, 80.0, 3
    planned = best_plan(case, COST)
    assert planned.judged.keeps_limits
    powers, costs = np.linspace(-kw, kw, 41), []
    states = {}
    for step, power in product(range(3), powers):
        demand = made.demand_kw[step].copy()
        demand[site] += power
        pu, loss = swept_flow(net, demand, made.demand_kvar[step])
        exchange = demand.sum() + loss
        price = made.buy_per_kwh[step] if exchange > 0.0 else made.sell_per_kwh[step]
        states[step, power] = (price * exchange, pu[1:].min() >= lowest)
    for plan in product(powers, repeat=3):
        energy, fits = unit.initial_soc * kwh, True
        for power in plan:
            energy += unit.charge_efficiency * power if power > 0.0 else power / unit.discharge_efficiency
            fits &= unit.soc_min * kwh <= energy <= unit.soc_max * kwh
        if fits and energy >= unit.initial_soc * kwh and all(states[i, p][1] for i, p in enumerate(plan)):
            costs.append(sum(states[i, p][0] for i, p in enumerate(plan)))
    assert min(costs) > planned.bound
    assert planned.value == pytest.approx(min(costs), rel=3e-3)
    assert planned.value < min(costs) + 1e-6
    assert planned.gap < 1e-4


def test_the_band_costs_something() -> None:
    """The grid's second case is another one than its first: the band binds."""
    free, kept = (best_plan(short_case(lowest), COST).bound for lowest in (0.8, LOWEST))
    assert kept > free * (1.0 + 1e-4)


def test_tangents_lie_below_everywhere() -> None:
    """A tangent at any state is no more than the current of any other, and touches its own."""
    net, rng = network(), np.random.default_rng(2)
    case = one_day(day(net), BATTERY, fixed_sizes([2], [10.0], [5.0]))
    layout, feeder = Layout(case, Options()), net.feeder

    def state() -> States:
        return States(
            flow_kw=rng.normal(0.0, 200.0, (6, 4)),
            flow_kvar=rng.normal(0.0, 80.0, (6, 4)),
            current_kva=np.zeros((6, 4)),
            squared_pu=rng.uniform(0.8, 1.2, (6, 5)),
        )

    around = state()
    block = tangents(feeder, layout, around, np.ones((6, 4), dtype=np.bool_))
    for other in (around, *(state() for _ in range(20))):
        values = np.zeros(layout.n_columns)
        values[layout.flow], values[layout.kvar] = other.flow_kw, other.flow_kvar
        values[layout.voltage] = 1000.0 * other.squared_pu
        least = least_current_kva(feeder, other).ravel()
        below = block @ values
        assert (below <= least + 1e-9).all()
        if other is around:
            assert np.abs(below - least).max() < 1e-9


@pytest.mark.parametrize("b_pu", [0.0, 0.02])
def test_every_state_is_within_reach(b_pu: float) -> None:
    """Flows and voltages of random plans that keep the band stay within the ends that chords are drawn between."""
    net = network(5, b_pu=b_pu)
    case = one_day(day(net, pv_kw=150.0), BATTERY, fixed_sizes([2, 4], [200.0, 200.0], [60.0, 40.0]))
    ends, rng = reach(case, Options()), np.random.default_rng(3)
    assert ends is not None
    made = case.days[0]
    for _ in range(50):
        demand = made.demand_kw - made.pv_kw * rng.random(made.pv_kw.shape)
        demand[:, [2, 4]] += rng.uniform(-1.0, 1.0, (6, 2)) * [60.0, 40.0]
        flow = ac_power_flow(net.feeder, demand, made.demand_kvar, source_pu=1.0)
        arriving = flow.sent_kw - flow.loss_kw
        assert (flow.voltage_pu >= 0.9).all()
        assert (ends.flow_low <= arriving + 1e-6).all()
        assert (arriving <= ends.flow_high + 1e-6).all()
        at_child = flow.voltage_pu[:, net.feeder.child_index] ** 2
        series_kvar = flow.sent_kvar - flow.loss_kvar - net.feeder.b_pu / 2.0 * BASE_KVA * at_child
        assert (ends.kvar_low <= series_kvar + 1e-6).all()
        assert (series_kvar <= ends.kvar_high + 1e-6).all()
        assert (ends.squared_low <= flow.voltage_pu**2 + 1e-9).all()
        assert (flow.loss_kw <= ends.current_high * net.feeder.r_pu + 1e-6).all()


@pytest.mark.parametrize("b_pu", [0.0, 0.02])
def test_a_plan_is_what_it_says(b_pu: float) -> None:
    """Energy adds up, powers balance, and the program's voltages are those of the plan's AC power flow."""
    net = network(b_pu=b_pu)
    case = one_day(day(net, 12, pv_kw=200.0), BATTERY, fixed_sizes([2, 4], [200.0, 300.0], [60.0, 90.0]))
    planned = best_plan(case, COST)
    plan, made = planned.plan, case.days[0]
    assert planned.gap < 1e-4
    assert planned.plan.overlap_kw < 1e-5
    assert np.abs(np.sqrt(plan.squared_pu) - planned.judged.voltage_pu).max() < 1e-4
    before = np.vstack([BATTERY.initial_soc * plan.kwh, plan.stored_kwh[:-1]])
    gained = made.step_h * (0.95 * plan.charge_kw - plan.discharge_kw / 0.95)
    assert np.abs(plan.stored_kwh - before - gained).max() < 1e-6
    assert (plan.stored_kwh[-1] >= 0.5 * plan.kwh - 1e-6).all()
    exchange = taken_kw(case, plan).sum(axis=1) + planned.judged.loss_kw.sum(axis=1)
    assert np.abs(exchange - planned.judged.exchange_kw).max() < 1e-6
    assert planned.value < judge(case, idle(case), Options()).reached.cost - 1.0


def test_peak_less_valley_counts_days_by_weight() -> None:
    """The mean of two days' spreads, one of which stands for three times as many days."""
    net = network()
    days = (day(net, seed=1), day(net, seed=2))
    case = Case(
        days=days,
        weight=np.array([30.0, 10.0]),
        storage=BATTERY,
        design=fixed_sizes([2], [100.0], [50.0]),
    )
    judged = judge(case, idle(case), Options())
    one, two = (np.ptp(part) for part in judged.exchange_kw.reshape(2, -1))
    assert abs(one - two) > 10.0
    assert judged.reached.peak_valley_kw == pytest.approx(0.75 * one + 0.25 * two)


def idle(case: Case):
    """A plan in which storage does nothing."""
    planner = Planner(replace(case, design=case.design.only([])), COST)
    plan = planner.plan().plan
    return replace(
        plan, kwh=case.design.kwh_lower, kw=case.design.kw_lower, curtailed_kw=0.0 * plan.curtailed_kw
    )


def test_self_discharge_loses_what_it_must() -> None:
    """Storage that may not fall below its start replaces what it loses; what it loses is the day's share, by steps."""
    unit = Storage(self_discharge_per_day=0.2, initial_soc=0.5, soc_min=0.5, wear_price_per_kwh=1.0)
    made = day(network(), 12)
    load = np.repeat(made.demand_kw[:1], 12, axis=0)
    flat = replace(made, demand_kw=load, demand_kvar=0.3 * load)
    flat = replace(flat, buy_per_kwh=np.full(12, 0.2), sell_per_kwh=np.full(12, 0.1))
    plan = best_plan(one_day(flat, unit, fixed_sizes([3], [100.0], [50.0])), COST).plan
    assert flat.step_h * 0.95 * plan.charge_kw.sum() == pytest.approx(
        12 * 50.0 * (1.0 - 0.8 ** (1 / 12)), rel=1e-4
    )
    empties = replace(unit, soc_min=0.0, self_discharge_per_day=0.5)
    still = idle(one_day(flat, empties, fixed_sizes([3], [100.0], [0.0])))
    stands = execute(still, empties, np.zeros(12, dtype=np.int64), step_h=2.0, steps_per_day=12)
    assert stands.stored_kwh[-1, 0] == pytest.approx(25.0)


def test_without_losses_it_is_a_small_linear_program() -> None:
    """Where lines have next to no impedance, the cost is that of a linear program written down anew."""
    net = network(5)
    tiny = replace(net.feeder, r_pu=np.full(4, 1e-9), x_pu=np.full(4, 1e-9))
    made = day(replace(net, feeder=tiny), 8, pv_kw=900.0, export_limit_kw=150.0)
    unit = Storage(self_discharge_per_day=0.1, wear_price_per_kwh=0.02, initial_soc=0.4)
    kwh, kw, n, h = 500.0, 120.0, 8, made.step_h
    planned = best_plan(one_day(made, unit, fixed_sizes([3], [kwh], [kw])), COST)
    eye, zero = np.eye(n), np.zeros((n, n))  # columns: bought, sold, curtailed, charge, discharge
    balance = np.hstack([eye, -eye, -eye, -eye, eye])
    decay = np.tril(0.9 ** (h / 24.0 * (np.arange(n)[:, None] - np.arange(n)[None, :])))
    energy = np.hstack([zero, zero, zero, h * 0.95 * decay, -h / 0.95 * decay])
    start = 0.4 * kwh * 0.9 ** (h / 24.0 * np.arange(1, n + 1))
    least = np.full(n, unit.soc_min * kwh)
    least[-1] = 0.4 * kwh
    found = linprog(
        np.concatenate([h * made.buy_per_kwh, -h * made.sell_per_kwh, np.zeros(2 * n), np.full(n, h * 0.02)]),
        A_ub=np.vstack([energy, -energy, np.hstack([zero, zero, zero, eye, eye])]),
        b_ub=np.concatenate([unit.soc_max * kwh - start, start - least, np.full(n, kw)]),
        A_eq=balance,
        b_eq=(made.demand_kw - made.pv_kw).sum(axis=1),
        bounds=[
            *[(0.0, None)] * n,
            *[(0.0, 150.0)] * n,
            *[(0.0, sun) for sun in made.pv_kw.sum(axis=1)],
            *[(0.0, kw)] * (2 * n),
        ],
    )
    assert found.status == 0
    assert planned.bound == pytest.approx(found.fun, rel=1e-5)
    assert planned.value == pytest.approx(found.fun, rel=1e-5)
    assert planned.judged.keeps_limits
    assert planned.plan.curtailed_kw.sum() > 1.0
    assert planned.judged.exchange_kw.min() == pytest.approx(-150.0, abs=1e-2)


def test_objectives_of_several_days_are_what_ac_power_flow_reaches() -> None:
    """Each objective's column equals, at the end of the loop, what is reached over weighted days."""
    case = replace(siting_case(), capital=None, design=fixed_sizes([3, 5], [300.0, 200.0], [90.0, 80.0]))
    planner = Planner(case, COST, Options(has_deviation=True), relative_gap=1e-7)
    planned = planner.plan()
    outcome = planner.relaxed()
    columns = outcome.values[planner.program.layout.objectives] / COLUMN_UNITS
    reached = planned.judged.reached.as_array()
    tight = [0, 2, 4, 5]  # peaks and deviations are pressed on their columns only where they are bounded
    assert columns[tight] == pytest.approx(reached[tight], rel=1e-4)
    bounds = replace(UNBOUNDED, peak_valley_kw=reached[1], voltage_deviation_pu=reached[3])
    planner.plan(bounds=bounds)
    pressed = planner.relaxed(bounds=bounds).values[planner.program.layout.objectives] / COLUMN_UNITS
    assert (pressed <= reached * (1.0 + 1e-6) + 1e-9)[[1, 3]].all()
    assert pressed[0] == pytest.approx(reached[0], rel=1e-4)
    tighter = replace(UNBOUNDED, peak_valley_kw=0.9 * reached[1])
    assert planner.plan(bounds=tighter).judged.reached.peak_valley_kw <= 0.9 * reached[1] * (1.0 + 2e-4)


def paid_case() -> Case:
    """A night in which taking energy is paid for."""
    made = day(network(4), 4)
    paid = replace(
        made, buy_per_kwh=np.array([-0.2, -0.1, -0.2, 0.1]), sell_per_kwh=np.array([-0.3, -0.2, -0.3, 0.0])
    )
    return one_day(paid, BATTERY, fixed_sizes([3], [100.0], [50.0]))


def test_charging_beside_discharging_gets_binaries() -> None:
    """Paid to take energy, the relaxation burns it in storage; with binaries it does not, at a bound of their own."""
    case = paid_case()
    loose, strict = (best_plan(case, COST, node_limit=nodes) for nodes in (0, 1000))
    assert strict.n_binaries > 0
    assert max(loose.plan.overlap_kw, strict.plan.overlap_kw) < 1e-5
    assert strict.bound > loose.bound + 0.1
    assert strict.value <= loose.value + 1e-6
    assert strict.gap < 5e-3


def test_charging_beside_discharging_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no program with one way has an answer, the plan says so, a grid leaves it out, and binaries help."""
    monkeypatch.setattr(planner_module, "_REPAIRS", 0)
    loose, strict = (best_plan(paid_case(), COST, relative_gap=3e-3, node_limit=nodes) for nodes in (0, 1000))
    assert loose.is_within
    assert loose.gap < 3e-3
    assert not loose.is_found
    assert strict.is_found
    assert strict.n_binaries > 0
    plans = grid(paid_case(), "wear_kwh", "loss_kwh", n_points=3).plans
    assert plans
    assert all(one.is_one_way for one in plans)


@pytest.mark.parametrize("b_pu", [0.0, 0.01])
@pytest.mark.parametrize("is_transformer", [False, True])
def test_ratings_are_kept(b_pu: float, is_transformer: bool) -> None:
    """A rating that plans would exceed binds, and is kept by AC power flow."""
    free = network(b_pu=b_pu)
    made = day(free)
    sizes = fixed_sizes([3], [800.0], [200.0])
    most = best_plan(one_day(made, BATTERY, sizes), COST).judged.exchange_kw.max()
    feeder = replace(
        free.feeder,
        rating_kva=np.array([0.9 * most, np.inf, np.inf, np.inf]),
        is_transformer=np.full(4, is_transformer),
    )
    tight = replace(made, network=replace(free, feeder=feeder))
    planned = best_plan(one_day(tight, BATTERY, sizes), COST)
    assert planned.judged.keeps_limits
    assert planned.judged.loading[:, 0].max() == pytest.approx(1.0, abs=1e-3)
    assert planned.gap < 1e-4


def test_limits_that_cannot_be_kept_are_named() -> None:
    """Hard limits tell the bus; limits with a price give a plan that tells what it violates."""
    net = network(band=(0.9999, 1.1))
    case = one_day(day(net), BATTERY, fixed_sizes([2], [100.0], [50.0]))
    with pytest.raises(LimitsError, match="bus d below the band"):
        best_plan(case, COST)
    priced = best_plan(case, COST, Options(beyond_price=10.0))
    assert any(one.what == "bus d" for one in priced.judged.violations)
    assert priced.value > priced.judged.reached.cost
    assert priced.gap < 1e-3


KINDS_OF_BRANCH = [(0.0, False), (0.0, True), (0.01, False), (0.01, True)]


def overloaded(b_pu: float, is_transformer: bool, share: float) -> Case:
    """A first branch, line, cable or transformer, rated for a share of the largest exchange without storage."""
    free = network(b_pu=b_pu)
    most = day(free).demand_kw.sum(axis=1).max()
    feeder = replace(
        free.feeder,
        rating_kva=np.array([share * most, np.inf, np.inf, np.inf]),
        is_transformer=np.full(4, is_transformer),
    )
    return one_day(day(replace(free, feeder=feeder)), BATTERY, fixed_sizes([2], [200.0], [50.0]))


@pytest.mark.parametrize(("b_pu", "is_transformer"), KINDS_OF_BRANCH)
def test_ratings_that_cannot_be_kept_are_named_or_paid_for(b_pu: float, is_transformer: bool) -> None:
    """Whatever branch is overloaded is named; with a price, what is paid for is what the busier end exceeds."""
    case, price = overloaded(b_pu, is_transformer, 0.5), 0.3
    with pytest.raises(LimitsError, match="cannot keep: branch L0 above its rating$"):
        best_plan(case, COST)
    planned = best_plan(case, COST, Options(beyond_price=price))
    made, feeder = case.days[0], case.network.feeder
    assert [one.what for one in planned.judged.violations] == ["branch L0"]
    flow = ac_power_flow(feeder, taken_kw(case, planned.plan), made.demand_kvar, source_pu=1.0)
    sent = flow.sent_kw[:, 0] ** 2 + flow.sent_kvar[:, 0] ** 2
    lost_kw, lost_kvar = flow.loss_kw[:, 0], flow.loss_kvar[:, 0]
    got = (flow.sent_kw[:, 0] - lost_kw) ** 2 + (flow.sent_kvar[:, 0] - lost_kvar) ** 2
    room = feeder.rating_kva[0] ** 2
    at_child = room if is_transformer else room * flow.voltage_pu[:, 1] ** 2
    beyond_kva = np.maximum(np.maximum(sent - room, got - at_child), 0.0) / 1000.0
    paid = price * made.step_h * beyond_kva.sum()
    assert paid > 1.0
    assert planned.value == pytest.approx(planned.judged.reached.cost + paid, rel=1e-9)
    assert -1e-7 < planned.gap < 1e-4


@pytest.mark.parametrize(("b_pu", "is_transformer"), KINDS_OF_BRANCH)
def test_a_high_price_keeps_ratings_that_can_be_kept(b_pu: float, is_transformer: bool) -> None:
    """Where beyond a rating costs more than to stay below it, a plan costs what it does with hard limits."""
    case = overloaded(b_pu, is_transformer, 1.03)
    free = best_plan(overloaded(b_pu, is_transformer, 2.0), COST)
    hard, priced = best_plan(case, COST), best_plan(case, COST, Options(beyond_price=10.0))
    assert hard.bound > free.value
    assert hard.is_found
    assert priced.value == pytest.approx(hard.value, rel=1e-4)


def test_a_solver_without_an_answer_says_nothing_of_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told apart from limits that cannot be kept, by planners and by the search for sites."""
    case = one_day(day(network()), BATTERY, fixed_sizes([2], [100.0], [50.0]))
    assert best_plan(case, COST).judged.keeps_limits
    for name in ("_ITERATIONS", "_WARM_ITERATIONS"):
        monkeypatch.setattr(planner_module, name, 1)
    with pytest.raises(UnsolvedError, match="no plan: the solver ended with iteration_limit"):
        best_plan(case, COST)
    with pytest.raises(UnsolvedError):
        greedy_sites(case)


CAPITAL = Capital(
    kwh=Asset(price=300.0, life_years=12.0),
    kw=Asset(price=100.0, life_years=12.0),
    site=Asset(price=9000.0, life_years=20.0),
    rate=0.05,
)


def siting_case(most_sites: int = 2) -> Case:
    """Two days, four candidates."""
    net = network(6, band=(0.93, 1.07))
    days = tuple(day(net, 6, seed=seed, pv_kw=250.0) for seed in (1, 5))
    days = tuple(replace(one, buy_per_kwh=2.0 * one.buy_per_kwh) for one in days)
    design = free_sizes([2, 3, 4, 5], kwh_max=400.0, kw_max=150.0, most_sites=most_sites)
    unit = replace(BATTERY, kw_per_kwh=0.5)
    return Case(days=days, weight=np.array([200.0, 165.0]), storage=unit, design=design, capital=CAPITAL)


def test_exact_sites_are_the_best_of_all_subsets() -> None:
    """The mixed-integer program finds what planning for every set of sites finds; greedily it is never cheaper."""
    case = siting_case()
    exact, greedily = exact_sites(case), greedy_sites(case)
    planner = Planner(case, COST)
    plans = [
        planner.plan(replace(case, design=case.design.only(sites)))
        for n in (0, 1, 2)
        for sites in combinations(range(4), n)
    ]
    assert max(one.gap for one in plans) < 1e-4
    best = min(one.value for one in plans)
    assert exact.yearly_cost == pytest.approx(best, rel=1e-4)
    assert exact.bound <= best
    assert exact.bound <= exact.yearly_cost <= greedily.yearly_cost * (1.0 + 1e-4)
    assert exact.gap < 2e-4
    assert 0 < len(exact.bus) <= 2
    assert greedily.bound <= exact.bound * (1.0 + 1e-4)


def test_storage_that_stands_stays_where_it_stands() -> None:
    """Sites beside a dear unit that is there already: it is in every plan, and paid for; the best of all subsets."""
    case = siting_case()
    dear = replace(CAPITAL, kwh=Asset(price=3000.0, life_years=12.0))
    standing = replace(
        case.design, kwh_lower=np.array([0.0, 120.0, 0.0, 0.0]), kw_lower=np.array([0.0, 60.0, 0.0, 0.0])
    )
    for capital in (CAPITAL, dear):
        now = replace(case, design=standing, capital=capital)
        exact, greedily = exact_sites(now), greedy_sites(now)
        planner = Planner(now, COST)
        plans = [
            planner.plan(replace(now, design=standing.only(sites))).value
            for sites in ([1], [0, 1], [1, 2], [1, 3])
        ]
        assert exact.yearly_cost == pytest.approx(min(plans), rel=2e-4)
        for found in (exact, greedily):
            assert case.design.bus[1] in found.bus
            assert found.bound <= found.yearly_cost * (1.0 + 1e-6)
            assert found.planned.plan.kwh[1] >= 120.0 - 1e-6


def test_a_paid_site_is_paid_with_nothing_on_it() -> None:
    """Value and bound both hold its annuity, to the cent."""
    made = day(network())
    design = replace(fixed_sizes([2, 4], [100.0, 0.0], [50.0, 0.0]))
    one, two = (
        best_plan(
            Case(
                days=(made,),
                weight=np.array([365.0]),
                storage=BATTERY,
                design=replace(design, pays_site=np.array(paid)),
                capital=CAPITAL,
            ),
            COST,
        )
        for paid in ([0.0, 0.0], [0.0, 1.0])
    )
    site = CAPITAL.per_year()[2]
    assert two.value - one.value == pytest.approx(site, rel=1e-4)
    assert two.bound - one.bound == pytest.approx(site, rel=1e-4)
    assert two.gap > -1e-7


def test_annuities_by_hand() -> None:
    """Price times rate over one less the discount of the last year."""
    per_kwh, per_kw, per_site = CAPITAL.per_year()
    assert per_kwh == pytest.approx(300.0 * 0.05 / (1.0 - 1.05**-12))
    assert per_kwh == pytest.approx(33.8476, abs=1e-4)
    assert per_kw == pytest.approx(11.2825, abs=1e-4)
    assert per_site == pytest.approx(722.1833, abs=1e-4)


def test_planners_do_not_choose_sites() -> None:
    """Sites are shares in a program without binaries: more candidates than sites are refused."""
    case = siting_case(most_sites=1)
    refusal = r"Design: most_sites is 1, 4 candidates have an upper bound above 0; which of them"
    with pytest.raises(ValueError, match=refusal):
        best_plan(case, COST)
    with pytest.raises(ValueError, match=refusal):
        front(case, "loss_kwh")
    assert best_plan(replace(case, design=case.design.only([2])), COST).is_found


def test_a_sweep_keeps_to_its_design() -> None:
    """Sizes beyond a candidate's, or with more power than the storage has, are no limits that cannot be kept."""
    case = siting_case(most_sites=1)
    with pytest.raises(ValueError, match=r"sweep: 500 kwh at candidate 0 is outside its design's 0\.\.400"):
        sweep(case, [100.0, 500.0], kw_per_kwh=0.25)
    with pytest.raises(ValueError, match=r"sweep: 160 kw at candidate 0 is outside its design's 0\.\.150"):
        sweep(case, [400.0], kw_per_kwh=0.4)
    with pytest.raises(ValueError, match=r"sweep: 60 kW for 100 kWh, the storage's kw_per_kwh is 0\.5"):
        sweep(case, [100.0], kw_per_kwh=0.6)


def test_the_bound_of_exact_sites_is_the_solvers_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that stops early has a bound below its plan: that one is told, not the plan's own cost."""
    honest, bounds = Solver.solve_integer, []

    def loose(self: Solver, *given, **named) -> Outcome:
        outcome = honest(self, *given, **named)
        bounds.append(0.9 * outcome.bound)
        return replace(outcome, bound=bounds[-1])

    monkeypatch.setattr(Solver, "solve_integer", loose)
    case = siting_case()
    found = exact_sites(case)
    shares = greedy_sites(case).bound  # of all candidates at once, with sites relaxed to shares
    assert found.bound <= max(*bounds, shares) * (1.0 + 1e-6)
    assert shares < found.yearly_cost * (1.0 - 1e-4)


def hourly(world: World, values: np.ndarray) -> np.ndarray:
    """Means over the hours of the run's first day."""
    return values[world.rows(0, 96)].reshape(24, 4, -1).mean(axis=1)


def shipped_days() -> tuple[FeederDay, ...]:
    """Hours of four days of the 33-bus feeder without cars."""
    days: list[FeederDay] = []
    for date in ("2019-02-05", "2019-05-07", "2019-07-09", "2019-10-08"):
        _, actors = assemble(load_scenario("storage-network", ["fleet.size=0", f"simulation.start={date}"]))
        world = actors.world
        net = days[0].network if days else actors.site.network
        assert net is not None
        load, source = hourly(world, world.load_kw), net.feeder.source_index
        days.append(
            FeederDay(
                network=net,
                step_h=1.0,
                demand_kw=load,
                demand_kvar=load * net.load_kvar_per_kw,
                pv_kw=hourly(world, world.pv_kw),
                buy_per_kwh=hourly(world, world.buy_price_per_kwh)[:, source],
                sell_per_kwh=hourly(world, world.sell_price_per_kwh)[:, source],
                grid_kg_per_kwh=hourly(world, world.grid_kg_per_kwh)[:, 0],
            )
        )
    return tuple(days)


@pytest.mark.slow
@pytest.mark.parametrize("price", [0.28, 0.3])
def test_sites_on_the_shipped_feeder(price: float) -> None:
    """Eight candidates over four days, where little storage or none pays: greedy, exact and bound in order."""
    days = shipped_days()
    names = days[0].network.feeder.bus_names
    design = free_sizes(
        [names.index(name) for name in ("18", "33", "25", "8", "22", "13", "30", "6")],
        kwh_max=1000.0,
        kw_max=300.0,
        most_sites=3,
    )
    capital = Capital(
        kwh=Asset(price=60.0 * price, life_years=15.0),
        kw=Asset(price=20.0 * price, life_years=15.0),
        site=Asset(price=5000.0 * price, life_years=20.0),
        rate=0.04,
    )
    unit = Storage(wear_price_per_kwh=0.01, kw_per_kwh=0.5, self_discharge_per_day=0.01)
    case = Case(days=days, weight=np.full(4, 91.25), storage=unit, design=design, capital=capital)
    greedily, exact = greedy_sites(case), exact_sites(case)
    assert exact.bound <= exact.yearly_cost <= greedily.yearly_cost * (1.0 + 1e-6)
    assert exact.gap < 1e-4
    assert greedily.gap < 1e-3
    assert exact.planned.judged.keeps_limits


def test_every_place_alone() -> None:
    """No single site at any swept size costs less than one chosen with free sizes, and size 0 is no storage."""
    case = siting_case(most_sites=1)
    found, one = sweep(case, [0.0, 100.0, 300.0], kw_per_kwh=0.25), exact_sites(case)
    assert (found.yearly_cost >= one.bound).all()
    assert np.ptp(found.yearly_cost[:, 0]) < 1e-3
    assert (found.bound <= found.yearly_cost + 1e-6).all()
    assert (np.ptp(found.yearly_cost[:, 1:], axis=0) > 1.0).all()


def in_band(case: Case, lowest: float) -> Case:
    """The same days within a narrower band."""
    net = replace(case.network, voltage_min_pu=lowest)
    return replace(case, days=tuple(replace(one, network=net) for one in case.days))


def spoil(monkeypatch: pytest.MonkeyPatch, *spoilt: tuple[int, ...]) -> None:
    """Let plans with storage at just these sites leave a limit by AC power flow."""
    honest = Planner.plan

    def plan(self: Planner, case: Case) -> Planned:
        planned = honest(self, case)
        if tuple(np.flatnonzero(case.design.kwh_upper > 0.0).tolist()) not in spoilt:
            return planned
        left = Violation(what="bus b", day=0, step=0, excess=0.01)
        return replace(planned, judged=replace(planned.judged, violations=(left,)))

    monkeypatch.setattr(Planner, "plan", plan)


@pytest.mark.parametrize("none_too", [False, True])
def test_a_site_whose_plan_leaves_a_limit_gives_way_to_the_next(
    monkeypatch: pytest.MonkeyPatch, none_too: bool
) -> None:
    """The search takes the best of those that have a plan, whether or not there is one without storage."""
    case = siting_case(most_sites=1)
    planner = Planner(case, COST)
    costs = np.array(
        [planner.plan(replace(case, design=case.design.only([site]))).value for site in range(4)]
    )
    first, second = costs.argsort()[:2].tolist()
    assert greedy_sites(case).bus.tolist() == [case.design.bus[first]]
    spoil(monkeypatch, (first,), *([()] if none_too else []))
    found = greedy_sites(case)
    assert found.bus.tolist() == [case.design.bus[second]]
    assert found.yearly_cost == pytest.approx(costs[second], rel=1e-4)


def test_no_single_site_is_proven_or_merely_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only two sites together keep the band, it is proven; where plans leave a limit, it is not."""
    narrow = in_band(siting_case(), 0.978)
    assert len(exact_sites(narrow).bus) == 2
    with pytest.raises(LimitsError, match="no single site lets"):
        greedy_sites(narrow)
    spoil(monkeypatch, (), (0,), (1,), (2,), (3,))
    with pytest.raises(UnsolvedError, match="no single site was found"):
        greedy_sites(siting_case())


def test_a_sweep_tells_impossible_from_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes too small for the band are impossible; those whose plan leaves a limit have no cost either."""
    case = in_band(siting_case(), 0.974)
    sizes = [0.0, 100.0, 300.0]
    before = sweep(case, sizes, kw_per_kwh=0.25)
    assert (before.is_impossible == np.isnan(before.yearly_cost)).all()
    assert before.is_impossible[:, 0].all()
    assert not before.is_impossible[:2, 2].any()
    spoil(monkeypatch, (0,))
    after = sweep(case, sizes, kw_per_kwh=0.25)
    assert (after.is_impossible == before.is_impossible).all()
    assert np.isnan(after.yearly_cost[0]).all()
    assert np.isnan(after.bound[0]).all()
    assert after.yearly_cost[1:] == pytest.approx(before.yearly_cost[1:], nan_ok=True)


@pytest.mark.parametrize(
    "second", ["peak_valley_kw", "loss_kwh", "voltage_deviation_pu", "wear_kwh", "emission_kg"]
)
def test_slopes_of_bounds_are_bounds(second) -> None:
    """What a bound promises of looser bounds on an objective is below what these really allow; it is not nothing."""
    case = one_day(day(network(), 8, pv_kw=100.0), BATTERY, fixed_sizes([2, 4], [200.0, 200.0], [60.0, 60.0]))
    loose, *_, tight, tightest = front(case, second, n_points=6).points[:, 1]
    planner = Planner(case, COST, Options(has_deviation=True))
    at = {
        limit: planner.plan(bounds=replace(UNBOUNDED, **{second: float(limit)}))
        for limit in (tight, tight + 0.3 * (tight - tightest), 0.5 * (tight + loose))
    }
    first = at[tight]
    slope = first.slopes[OBJECTIVES.index(second)]
    assert slope < 0.0
    assert np.count_nonzero(first.slopes) == 1
    for limit, looser in at.items():
        assert first.bound + slope * (limit - tight) <= looser.bound + 1e-6 * abs(looser.bound)
    assert first.bound > list(at.values())[1].bound + 1e-6 * abs(first.bound)


@pytest.mark.parametrize(
    "second", ["peak_valley_kw", "loss_kwh", "voltage_deviation_pu", "wear_kwh", "emission_kg"]
)
def test_fronts_fall(second) -> None:
    """Along a front cost rises and the other objective falls; every point keeps the limits, near its bound."""
    net = network()
    case = one_day(day(net, 8, pv_kw=100.0), BATTERY, fixed_sizes([2, 4], [200.0, 200.0], [60.0, 60.0]))
    found = front(case, second, n_points=5)
    cost, other = found.points.T
    assert (np.diff(cost) >= -1e-4 * abs(cost[0])).all()
    assert (np.diff(other) <= 1e-4 * max(abs(other[0]), 1e-6)).all()
    assert other[-1] < other[0]
    assert all(one.judged.keeps_limits and one.exceeds == 0.0 for one in found.plans)
    assert all(one.plan.overlap_kw < 1e-5 for one in found.plans)
    assert (found.gaps[:-1] < 2e-3).all()
    assert found.gaps[-1] < 2e-2


def test_a_grid_of_three_objectives_dominates_nothing_of_itself() -> None:
    """No plan of the grid is at least as good as another in everything and better in something."""
    case = one_day(day(network(), 6), BATTERY, fixed_sizes([3], [300.0], [80.0]))
    points = grid(case, "wear_kwh", "loss_kwh", n_points=3).points
    assert len(points) >= 3
    for point in points:
        assert not ((points <= point).all(axis=1) & (points < point).any(axis=1)).any()


def reserve_case() -> tuple[Case, Reserve]:
    """A night of storage that trades, and a market that pays well for what it holds."""
    case = one_day(day(network(), 12), BATTERY, fixed_sizes([2, 4], [200.0, 300.0], [60.0, 90.0]))
    prices = np.full(12, 0.05)
    return case, Reserve(up_per_kw_h=prices, down_per_kw_h=0.7 * prices, duration_h=4.0)


def test_reserve_with_its_energy_delivers_every_single_call() -> None:
    """Every call of the duration, wherever it begins, is delivered; without the rows for energy some are not."""
    case, reserve = reserve_case()
    kept, promised = (
        reserve_plan(case, replace(reserve, keeps_energy=keeps)).plan for keeps in (True, False)
    )
    assert promised.up_kw.sum() + promised.down_kw.sum() > 1.05 * (kept.up_kw.sum() + kept.down_kw.sum())
    assert kept.up_kw.sum() > 0.0
    assert kept.down_kw.sum() > 0.0
    missed = asked = 0
    for begin, way in product(range(11), (1, -1)):
        calls = np.zeros(12, dtype=np.int64)
        calls[begin : begin + 2] = way
        made = execute(kept, case.storage, calls, step_h=2.0, steps_per_day=12)
        held = kept.up_kw if way > 0 else kept.down_kw
        is_asked = bool(held[begin : begin + 2].any())  # a call of nothing is none
        assert made.share == pytest.approx(1.0, abs=1e-6)
        assert made.n_activations == made.n_delivered == is_asked
        asked += is_asked
        other = execute(promised, case.storage, calls, step_h=2.0, steps_per_day=12)
        missed += other.n_activations - other.n_delivered
    assert asked >= 12
    assert missed > 0


def test_without_calls_a_schedule_is_carried_out() -> None:
    """Energy is that of the schedule, and nothing is asked for."""
    case, reserve = reserve_case()
    plan = reserve_plan(case, reserve).plan
    made = execute(plan, case.storage, np.zeros(12, dtype=np.int64), step_h=2.0, steps_per_day=12)
    assert np.abs(made.stored_kwh - plan.stored_kwh).max() < 1e-5
    assert made.share == 1.0
    assert made.n_activations == 0


def test_calls_last_and_come_as_often_as_told() -> None:
    """Runs last 1 / (1 - persistence) steps in the mean; the same generator draws the same calls."""
    calls = draw_activations(np.random.default_rng(3), 40_000, probability=0.1, persistence=0.75)
    again = draw_activations(np.random.default_rng(3), 40_000, probability=0.1, persistence=0.75)
    assert (calls == again).all()
    begins = (calls != 0) & (np.append(0, calls[:-1]) == 0)
    assert np.count_nonzero(calls) / begins.sum() == pytest.approx(4.0, rel=0.05)
    assert begins.sum() / (np.append(0, calls[:-1]) == 0).sum() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("is_idle", [True, False])
def test_no_more_sun_than_is_hosted(is_idle: bool) -> None:
    """What is hosted keeps the limits by AC power flow; one kW more leaves them, or is above the bound."""
    net = network(band=(0.9, 1.04))
    case = one_day(day(net, 12), BATTERY, fixed_sizes([3], [400.0], [100.0]))
    share = np.array([0.0, 0.0, 1.0, 2.0, 0.0])
    profile = np.clip(np.sin(np.pi * (np.arange(12) - 2.0) / 8.0), 0.0, 1.0)
    found = hosting(case, share, profile, most_kw=5000.0, is_idle=is_idle)
    assert found.judged.keeps_limits
    assert found.kw <= found.bound_kw + 1e-3
    assert found.bound_kw < 1.05 * found.kw
    assert found.plan.hosted_kw.sum(axis=1).max() == pytest.approx(found.kw * profile.max())
    more = scaled(found.plan, (found.kw + 1.0) / found.kw)
    assert not judge(case, more, Options()).keeps_limits


def test_storage_makes_room_for_sun() -> None:
    """With storage free more is hosted than the idle feeder can be proven to take."""
    net = network(band=(0.9, 1.04))
    case = one_day(day(net, 12), BATTERY, fixed_sizes([3], [400.0], [100.0]))
    share, profile = np.array([0.0, 0.0, 1.0, 2.0, 0.0]), np.ones(12) * (np.arange(12) == 6)
    still, free = (hosting(case, share, profile, most_kw=5000.0, is_idle=idle_) for idle_ in (True, False))
    assert free.kw > still.bound_kw


def test_no_sun_is_hosted_by_charging_beside_discharging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no program with one way has an answer, storage burns sun by none of the plans that are told."""
    net = network(band=(0.9, 1.04))
    case = one_day(day(net, 12), BATTERY, fixed_sizes([3], [400.0], [100.0]))
    share, profile = np.array([0.0, 0.0, 1.0, 2.0, 0.0]), np.ones(12)
    monkeypatch.setattr(planner_module, "_REPAIRS", 0)
    found = hosting(case, share, profile, most_kw=5000.0)
    assert found.plan.overlap_kw < 1e-5
    assert found.judged.keeps_limits
    assert found.kw > 100.0


def test_no_schedule_found_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that the relaxation keeps, and no plan that was tried, are told to be impossible of idle storage alone."""
    case = one_day(day(network()), BATTERY, fixed_sizes([3], [400.0], [100.0]))
    share, profile = np.array([0.0, 0.0, 1.0, 2.0, 0.0]), np.ones(6)
    monkeypatch.setattr(hosting_module, "keeps", lambda _case, _plan: False)
    with pytest.raises(UnsolvedError, match="no schedule was found"):
        hosting(case, share, profile, most_kw=5000.0)
    with pytest.raises(LimitsError, match="even without further sun"):
        hosting(case, share, profile, most_kw=5000.0, is_idle=True)


def test_inputs_that_cannot_be_are_refused() -> None:
    """Shapes, prices and shares."""
    made = day(network())
    with pytest.raises(ValueError, match="bought to be sold"):
        replace(made, sell_per_kwh=2.0 * made.buy_per_kwh)
    with pytest.raises(ValueError, match="buy_per_kwh has 5"):
        replace(made, buy_per_kwh=np.ones(5))
    with pytest.raises(ValueError, match="soc_min"):
        Storage(initial_soc=0.99)
    with pytest.raises(ValueError, match="finite"):
        free_sizes([1], kwh_max=np.inf, kw_max=1.0)
    with pytest.raises(ValueError, match="candidates"):
        Design(
            bus=np.array([1]),
            kwh_lower=np.zeros(2),
            kwh_upper=np.ones(1),
            kw_lower=np.zeros(1),
            kw_upper=np.ones(1),
        )
    with pytest.raises(ValueError, match="share their network"):
        Case(
            days=(made, day(network())),
            weight=np.ones(2),
            storage=BATTERY,
            design=fixed_sizes([1], [1.0], [1.0]),
        )
