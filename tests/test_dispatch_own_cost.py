from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dispatch_cases import world
from scipy.optimize import linprog

from dispatch.baselines import OwnCost
from dispatch.own_cost import cheapest_charging
from sim.clock import DAY_S
from sim.errors import PolicyError


def lexicographic(price, value, capacity, lower, upper) -> np.ndarray:
    """Solve one car by linear programs: least cost, then fewest kWh, then earliest."""
    n = len(price)
    prefix = np.tril(np.ones((n, n)))
    rows, right = [*prefix, *-prefix], [*upper, *-lower]
    for goal in (price - value, np.ones(n), np.arange(n, dtype=float)):
        answer = linprog(goal, A_ub=np.array(rows), b_ub=np.array(right), bounds=[(0, u) for u in capacity])
        assert answer.status == 0
        rows.append(goal)
        right.append(answer.fun + 1e-10)
    return answer.x


def random_case(seed: int, n_steps: int, n_cars: int, n_prices: int):
    """Capacities, prices with many ties, and bounds around a random feasible plan."""
    rng = np.random.default_rng(seed)
    capacity = rng.choice([0.0, 0.5, 1.0], (n_steps, n_cars), p=[0.3, 0.2, 0.5])
    price = rng.choice(rng.uniform(0.2, 1.2, n_prices).round(2), (n_steps, n_cars))
    known = np.cumsum(capacity * rng.uniform(0, 1, capacity.shape), axis=0)
    lower = known - rng.exponential(1.0, capacity.shape)
    upper = known + rng.exponential(1.0, capacity.shape)
    return price, 0.5, capacity, lower, upper


@pytest.mark.parametrize("n_prices", [2, 3, 20])
@pytest.mark.parametrize("seed", range(6))
def test_greedy_against_lexicographic_programs(seed: int, n_prices: int) -> None:
    """The greedy gives, for every car, the very plan of three linear programs in turn: cost, kWh, earliness."""
    price, value, capacity, lower, upper = random_case(seed, 24, 5, n_prices)
    stored = cheapest_charging(price, value, capacity, lower, upper)
    for car in range(5):
        expected = lexicographic(price[:, car], value, capacity[:, car], lower[:, car], upper[:, car])
        np.testing.assert_allclose(stored[:, car], expected, atol=1e-6)


def test_common_prices_give_the_same_as_each_car_alone() -> None:
    """The quick way for cars under one tariff agrees with cars decided one by one."""
    price, value, capacity, lower, upper = random_case(3, 48, 8, 4)
    price[:] = price[:, :1]
    together = cheapest_charging(price, value, capacity, lower, upper)
    for car in range(8):
        part = slice(car, car + 1)
        alone = cheapest_charging(price[:, part], value, capacity[:, part], lower[:, part], upper[:, part])
        np.testing.assert_allclose(together[:, part], alone, atol=1e-12)


def test_price_equal_to_the_value_charges_nothing() -> None:
    """At break-even the fewest kWh win."""
    ones = np.ones((4, 1))
    assert not cheapest_charging(0.5 * ones, 0.5, ones, 0 * ones, 9 * ones).any()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_policy_keeps_its_cars_bounds_and_only_charges(seed: int) -> None:
    """Along its own chain every car's plan keeps its battery's bounds and its departures' requirements."""
    made = world(12, seed, unlike=True)
    policy = OwnCost()
    policy.start(made.site)
    for made.step in (0, 31, 47, 70):
        snapshot, forecast = made.snapshot(own=True), made.forecast(perfect=False)
        itinerary = policy.itinerary(snapshot, forecast)
        charge = policy.plan(snapshot, forecast, itinerary)
        stored = 0.25 * charge * made.charge_efficiency
        energy = itinerary.start_kwh + np.cumsum(stored - itinerary.leaving_kwh, axis=0)
        known = itinerary.is_known
        assert np.all((energy >= itinerary.lower_kwh - 1e-9)[known])
        assert np.all((energy <= itinerary.upper_kwh + 1e-9)[known])
        assert np.all(charge >= 0)
        assert np.all(charge <= made.limit_kw * itinerary.fraction + 1e-9)
        schedule = policy.decide(snapshot, forecast)
        np.testing.assert_allclose(schedule.expected_car_load_kw.sum(), charge.sum())


def test_long_trip_from_a_stop_without_charger_is_prepared_at_home() -> None:
    """What a long way home needs is charged before the first trip, when the stop between has no charger."""
    made = world(1, 1)
    way = replace(
        made.trips,
        vehicle_index=np.zeros(2, np.int64),
        depart_s=np.array([27_706, 66_377]),
        arrive_s=np.array([28_513, 72_015]),
        region_index=np.array([1, 0]),
        is_plugged=np.array([False, True]),
        energy_kwh=np.array([1.0, 11.8]),
        required_kwh=np.array([18.8, 17.8]),
        car_energy_kwh=made.energy,
    )
    made.trips = way
    policy = OwnCost()
    policy.start(made.site)
    for _ in range(31):
        schedule = policy.decide(made.snapshot(own=True), made.forecast(perfect=False))
        made.advance(schedule)
    assert made.energy[0] == pytest.approx(18.8, abs=1e-6)


def test_regions_with_different_prices_are_told_apart() -> None:
    """A car that will stand where it is cheap fills up there."""
    made = world(6, 1)
    made.buy[:, 0], made.buy[:, 1:] = 1.0, 0.1
    policy = OwnCost()
    policy.start(made.site)
    made.step = 20
    load = policy.decide(made.snapshot(own=True), made.forecast()).expected_car_load_kw
    at_home = world(6, 1)
    at_home.step = 20
    other = OwnCost()
    other.start(at_home.site)
    flat = other.decide(at_home.snapshot(own=True), at_home.forecast()).expected_car_load_kw
    assert load[:, 1:].sum() > flat[:, 1:].sum()
    assert load[:, 0].sum() <= flat[:, 0].sum() + 1e-9


def test_a_shrinking_horizon_ends_with_the_run() -> None:
    """A departure just after midnight binds a horizon that rolls on, and not one that ends with the run."""
    made = world(1, 1, energy_value_per_kwh=0.0)
    made.step, made.energy[:] = 92, 10.0
    snapshot, forecast = made.snapshot(own=True, n_steps=4), made.forecast(4)
    assert snapshot.cars.is_plugged.all()
    assert len(snapshot.own_trips.depart_s) == 0
    soon = replace(snapshot.cars, departure_s=np.array([DAY_S + 900]), required_kwh=np.array([13.125]))
    snapshot = replace(snapshot, cars=soon)
    stored = {}
    for window in ("rolling", "shrinking"):
        policy = OwnCost(window)
        policy.start(made.site)
        charge_kw = policy.plan(snapshot, forecast, policy.itinerary(snapshot, forecast))
        stored[window] = 0.9 * 0.25 * charge_kw.sum()
    assert stored == pytest.approx({"rolling": 13.125 - 1.125 - 10.0, "shrinking": 0.0})


def test_policy_needs_its_own_chain() -> None:
    """Without its own trips the policy cannot decide, and says so."""
    made = world(2, 1)
    policy = OwnCost()
    policy.start(made.site)
    with pytest.raises(PolicyError, match="own trips"):
        policy.decide(made.snapshot(), made.forecast())
