"""The station's exact plans: rules kept, optima certified and equal to another formulation's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import Bounds as Box
from scipy.optimize import LinearConstraint, milp

from dispatch.station.day import StationDay, surplus_capacity_kwh, uncontrolled_kw
from dispatch.station.decoding import decode
from dispatch.station.evolution import Search, genetic, nsga2, scores
from dispatch.station.front import front, hypervolume, weighted_sums
from dispatch.station.optimum import ALLOWED_KW, InfeasibleError, StationSolver
from dispatch.station.plan import StationPlan, grid_kw, objectives, stored_kwh, violation_kw
from dispatch.station.program import Bounds, Weights
from tests.station_cases import station_day


def independent(
    day: StationDay, load_of: str, cost_weight: float, spread_weight: float, spread: float
) -> float:
    """Optimum of the same day by scipy's milp, written down anew: rows one by one, variables by name."""
    steps, cars, unit = range(day.n_steps), range(day.n_cars), day.storage
    names = [f"{kind}{k}" for kind in ("c", "d", "b", "s", "w", "y", "z") for k in steps]
    names += [f"x{k}_{i}" for k in steps for i in cars] + ["top", "bottom"]
    index = {name: i for i, name in enumerate(names)}
    rows, low, high = [], [], []

    def row(terms: dict[str, float], lower: float, upper: float) -> None:
        line = np.zeros(len(names))
        for name, coefficient in terms.items():
            line[index[name]] += coefficient
        rows.append(line), low.append(lower), high.append(upper)

    start = unit.initial_soc * unit.capacity_kwh
    for k in steps:
        sum_of_cars = {f"x{k}_{i}": 1.0 for i in cars}
        negative = {name: -1.0 for name in sum_of_cars}
        own = day.building_kw[k] - day.pv_kw[k]
        row({f"b{k}": 1, f"s{k}": -1, f"w{k}": -1, f"c{k}": -1, f"d{k}": 1} | negative, own, own)
        stored = {}
        for j in range(k + 1):
            stored |= {
                f"c{j}": day.step_h * unit.charge_efficiency, f"d{j}": -day.step_h / unit.discharge_efficiency
            }  # fmt: skip
        least = start if k == day.n_steps - 1 else unit.soc_min * unit.capacity_kwh
        row(stored, least - start, unit.soc_max * unit.capacity_kwh - start)
        row({f"c{k}": 1, f"y{k}": -unit.charge_limit_kw}, -np.inf, 0)
        row({f"d{k}": 1, f"y{k}": unit.discharge_limit_kw}, -np.inf, unit.discharge_limit_kw)
        if not day.is_grid_charging_hour[k]:
            big = float(day.car_limit_kw[k].sum())
            row({f"c{k}": 1, f"z{k}": -unit.charge_limit_kw}, -np.inf, 0)
            row({f"c{k}": 1, f"z{k}": big} | sum_of_cars, -np.inf, day.pv_kw[k] + big)
        load = dict(sum_of_cars)
        shift = day.building_kw[k]
        if load_of == "with storage":
            load |= {f"c{k}": 1, f"d{k}": -1}
        if load_of == "grid":
            load, shift = {f"b{k}": 1, f"s{k}": -1}, 0.0
        row(load | {"top": -1}, -np.inf, -shift)
        row(load | {"bottom": -1}, -shift, np.inf)
    for i in cars:
        need = float(day.reachable_kwh()[i])
        row({f"x{k}_{i}": day.step_h for k in steps}, need, need)
    row({"top": 1, "bottom": -1}, -np.inf, spread)
    objective, upper, lower = np.zeros(len(names)), np.full(len(names), np.inf), np.zeros(len(names))
    for k in steps:
        objective[index[f"b{k}"]] = cost_weight * day.step_h * day.building_price_per_kwh[k]
        objective[index[f"s{k}"]] = -cost_weight * day.step_h * day.sell_price_per_kwh[k]
        upper[index[f"c{k}"]], upper[index[f"d{k}"]] = unit.charge_limit_kw, unit.discharge_limit_kw
        upper[index[f"w{k}"]] = day.pv_kw[k]
        upper[index[f"y{k}"]] = upper[index[f"z{k}"]] = 1.0
        for i in cars:
            upper[index[f"x{k}_{i}"]] = day.car_limit_kw[k, i]
    objective[index["top"]], objective[index["bottom"]] = spread_weight, -spread_weight
    lower[index["top"]] = lower[index["bottom"]] = -np.inf
    whole = [1 if name[0] in "yz" else 0 for name in names]
    found = milp(
        objective,
        integrality=whole,
        bounds=Box(lower, upper),
        constraints=LinearConstraint(np.array(rows), low, high),
        options={"mip_rel_gap": 1e-9},
    )
    assert found.success, found.message
    return float(found.fun)


@pytest.mark.parametrize("load_of", ["building and cars", "with storage", "grid"])
@pytest.mark.parametrize(
    "weights", [Weights(cost=1.0), Weights(peak_valley_kw=1.0), Weights(cost=0.01, peak_valley_kw=0.1)]
)
def test_optimum_equals_another_formulation(load_of: str, weights: Weights) -> None:
    """Written down twice, solved by two interfaces: the same objective; the plan keeps every rule."""
    day = station_day(8, seed=3)
    found = StationSolver(day, load_of, weights).optimum()
    other = independent(day, load_of, weights.cost, weights.peak_valley_kw, np.inf)
    assert found.objective == pytest.approx(other, rel=1e-6, abs=1e-6)
    assert violation_kw(day, found.plan) <= ALLOWED_KW
    assert found.gap <= 1e-6
    sum_of_both = (
        weights.cost * found.reached.total_cost + weights.peak_valley_kw * found.reached.peak_valley_kw
    )
    assert sum_of_both == pytest.approx(found.objective, rel=1e-6, abs=1e-6)


def test_front_goes_down_and_every_point_is_optimal() -> None:
    """Costs rise as the difference falls; a point in the middle equals the other formulation's under its bound."""
    day = station_day(8, seed=5)
    traced = front(day, "with storage", n_points=9)
    cost, spread = traced.points.T
    assert (np.diff(cost) >= -1e-6).all()
    assert (np.diff(spread) <= 1e-6).all()
    assert spread[0] - spread[-1] > 1.0  # there is something to choose
    assert all(one.gap <= 1e-6 for one in traced.optima)
    for k in (2, 4, 6):
        bound = float(np.linspace(spread[0], spread[-1], 9)[k])
        assert cost[k] == pytest.approx(independent(day, "with storage", 1.0, 0.0, bound), rel=1e-6)
    assert 0 < traced.knee < 8
    for one in weighted_sums(day, "with storage", (0.3, 0.7), (float(cost[0]), float(spread[0])), traced):
        reached = np.array([one.reached.total_cost, one.reached.peak_valley_kw])
        assert not (
            (traced.points < reached - 1e-6).all(axis=1)
        ).any()  # no point of the front beats it in both


def test_carbon_is_a_third_objective() -> None:
    """The least emissions are below those of the cheapest plan, and cost more."""
    traced = front(station_day(8, seed=5), "with storage", second="emission_kg", n_points=3)
    cost, emission = traced.points.T
    assert emission[-1] < emission[0] - 1e-3
    assert cost[-1] > cost[0] + 1e-3


def test_rules_bind() -> None:
    """In the cheapest plan storage takes from the grid in valley hours only, and the day ends as full as it began."""
    day = station_day(10, seed=2, capacity_kwh=200.0)
    plan = StationSolver(day, "grid", Weights(cost=1.0)).optimum().plan
    spare = np.maximum(day.pv_kw - plan.car_kw.sum(axis=1), 0.0)
    outside = ~day.is_grid_charging_hour
    assert (plan.charge_kw <= spare + 1e-6)[outside].all()
    assert plan.charge_kw[~outside].sum() > 1.0
    stored = stored_kwh(day, plan)
    assert stored[-1] >= 100.0 - 1e-6
    assert stored.min() >= 20.0 - 1e-6
    assert stored.max() <= 180.0 + 1e-6
    free = replace(day, is_grid_charging_hour=np.ones(24, dtype=bool))
    assert (
        StationSolver(free, "grid", Weights(cost=1.0)).optimum().objective
        <= objectives(day, plan, "grid").cost + 1e-6
    )


def test_ordered_charging_never_costs_more() -> None:
    """Case 2 against case 1 without storage: any uncontrolled plan is one of those that are ordered."""
    day = station_day(10, seed=4, capacity_kwh=0.0)
    nothing = np.zeros(24)
    first = StationPlan(
        car_kw=uncontrolled_kw(day), charge_kw=nothing, discharge_kw=nothing, curtailed_kw=nothing
    )
    assert violation_kw(day, first) <= ALLOWED_KW
    case1 = objectives(day, first, "building and cars")
    assert case1.unmet_kwh == pytest.approx((day.car_need_kwh - day.reachable_kwh()).sum())
    case2 = StationSolver(day, "building and cars", Weights(cost=1.0)).optimum()
    assert case2.reached.cost < case1.cost
    flat = StationSolver(day, "building and cars", Weights(peak_valley_kw=1.0)).optimum()
    assert flat.reached.peak_valley_kw < case1.peak_valley_kw


def test_what_cannot_be_given_is_unmet() -> None:
    """A car whose stay is too short, and a connection that is too small, are counted and no error."""
    day = station_day(6, seed=4)
    day = replace(day, car_need_kwh=day.car_need_kwh + np.array([500.0, 0, 0, 0, 0, 0]))
    reached = StationSolver(day, "grid", Weights(cost=1.0)).optimum().reached
    assert reached.unmet_kwh == pytest.approx(day.car_need_kwh[0] - day.reachable_kwh()[0], abs=1e-6)
    tight = replace(day, import_limit_kw=22.0)
    assert StationSolver(tight, "grid", Weights(cost=1.0)).optimum().reached.unmet_kwh > reached.unmet_kwh


def test_bounds_that_nothing_keeps_are_told() -> None:
    """A spread below the least one."""
    with pytest.raises(InfeasibleError, match="no plan keeps"):
        StationSolver(station_day(6), "building and cars", Weights(cost=1.0)).optimum(
            Bounds(peak_valley_kw=0.5)
        )


def test_prices_apart_follow_the_flow_rule() -> None:
    """Cars and storage pay their own price for what sun and discharge leave them; the program's bill is the plan's."""
    day = station_day(6, seed=8)
    dearer = replace(day, station_price_per_kwh=1.3 * day.building_price_per_kwh)
    found = StationSolver(dearer, "grid", Weights(cost=1.0)).optimum()
    assert found.objective == pytest.approx(found.reached.total_cost, rel=1e-6)
    bought = np.maximum(grid_kw(dearer, found.plan), 0.0)
    assert found.reached.gross_cost > float((bought * day.building_price_per_kwh).sum())
    with pytest.raises(ValueError, match="not convex"):
        replace(day, station_price_per_kwh=0.9 * day.building_price_per_kwh)


def test_surplus_capacity_and_hypervolume_by_hand() -> None:
    """Equation (3) takes the best day; areas add up without overlaps."""
    assert (
        surplus_capacity_kwh(np.array([[1.0, 4.0], [3.0, 3.0]]), np.array([[2.0, 1.0], [1.0, 1.0]]), 1.0)
        == 4.0
    )
    points = np.array([[1.0, 3.0], [2.0, 2.0], [2.5, 2.5], [3.0, 1.0], [9.0, 9.0]])
    assert hypervolume(points, np.array([4.0, 4.0])) == pytest.approx(3 * 1 + 2 * 1 + 1 * 1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_genes_become_a_plan_that_keeps_the_rules(seed: int) -> None:
    """Random and extreme genes: cars served as far as can be, storage within its rules; scored as plans are."""
    day = station_day(9, seed=seed, capacity_kwh=120.0, wear_price_per_kwh=0.02, demand_price_per_kw=0.5)
    rng = np.random.default_rng(seed)
    genes = np.vstack([rng.random((20, 48)), np.zeros(48), np.ones(48), np.full(48, 0.5)])
    decoded = decode(day, genes)
    found = scores(day, decoded, "with storage")
    for individual in range(len(genes)):
        plan = decoded.plan(individual)
        assert violation_kw(day, plan) <= ALLOWED_KW
        reached = objectives(day, plan, "with storage")
        assert reached.unmet_kwh == pytest.approx((day.car_need_kwh - day.reachable_kwh()).sum(), abs=1e-6)
        assert found[individual] == pytest.approx([reached.total_cost, reached.peak_valley_kw], rel=1e-9)


def test_search_comes_near_the_optimum_and_never_beats_it() -> None:
    """The genetic algorithm improves, is the same for the same seed, and stays above the certified bound."""
    day = station_day(6, seed=2)
    best = StationSolver(day, "with storage", Weights(cost=1.0)).optimum()
    search = Search(population=40, generations=60, seed=5)
    found = genetic(day, "with storage", (1.0, 0.0), search)
    assert (np.diff(found.history) <= 0.0).all()  # the best survives
    assert found.values[0, 0] >= best.bound - 1e-6
    assert found.values[0, 0] < found.history[0]
    again = genetic(day, "with storage", (1.0, 0.0), search)
    np.testing.assert_array_equal(found.history, again.history)


def test_nsga2_stays_behind_the_exact_front() -> None:
    """No point found is below the front: each is as dear as the optimum under its own difference, or dearer."""
    day = station_day(6, seed=2)
    found = nsga2(day, "with storage", Search(population=40, generations=40, seed=3))
    cheap = StationSolver(day, "with storage", Weights(cost=1.0))
    for cost, spread in found.values[:: max(1, len(found.values) // 5)]:
        assert cost >= cheap.optimum(Bounds(peak_valley_kw=float(spread))).bound - 1e-6
    traced = front(day, "with storage", n_points=9)
    reference = traced.nadir * 1.1
    assert hypervolume(found.values, reference) <= hypervolume(traced.points, reference) * 1.05
