from __future__ import annotations

import math

import numpy as np
import pytest
from dispatch_cases import World, world

from dispatch.baselines import Uncontrolled
from sim.errors import PolicyError


def by_the_second(made: World, n_steps: int) -> np.ndarray:
    """Charge every car second by second along its trips, as the fleet is said to, and take means over steps."""
    cars, trips, now = made.cars(), made.true_trips(made.now_s + n_steps * 900), made.now_s
    joules = np.zeros((n_steps, made.site.n_regions))
    for car in range(cars.n):
        mine = [j for j in range(len(trips.depart_s)) if trips.vehicle_index[j] == car]
        energy, region, plugged = made.energy[car], cars.region_index[car], cars.is_plugged[car]
        power, left, until = 0.0, 0, now
        for second in range(now, now + n_steps * 900):
            replug = second == now
            while mine and trips.arrive_s[mine[0]] == second and trips.depart_s[mine[0]] <= second:
                j = mine.pop(0)
                energy = max(energy - trips.energy_kwh[j], cars.energy_min_kwh[car])
                region, plugged, replug = trips.region_index[j], trips.is_plugged[j], True
            away = bool(mine) and trips.depart_s[mine[0]] <= second
            if not plugged or away:
                continue
            if replug or second % 900 == 0:
                boundary = (second // 900 + 1) * 900
                rate = cars.charge_efficiency[car] * cars.charge_limit_kw[car] / 3600
                seconds = (cars.energy_max_kwh[car] - energy) / rate
                power, until = cars.charge_limit_kw[car], boundary
                if seconds < boundary - second:
                    left = math.ceil(seconds)
                    power, until = power * seconds / left if left else 0.0, second + left
            if second < until:
                joules[(second - now) // 900, region] += power
                energy += cars.charge_efficiency[car] * power / 3600
    return joules / 900


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("step", [0, 30, 71])
def test_expected_load_against_charging_by_the_second(seed: int, step: int) -> None:
    """The closed form is what charging second by second gives, from the second of each arrival."""
    made = world(4, seed, unlike=seed == 2)
    made.step = step
    made.energy = np.random.default_rng(seed).uniform(made.energy_min, made.energy_max)
    policy = Uncontrolled()
    policy.start(made.site)
    schedule = policy.decide(made.snapshot(), made.forecast(40))
    np.testing.assert_allclose(schedule.expected_car_load_kw, by_the_second(made, 40), atol=2e-6)


def test_full_power_for_all_who_are_plugged() -> None:
    """Plugged cars get their limit, others nothing; without true trips no load is expected."""
    made = world(8, 1, unlike=True)
    made.step = 40
    policy = Uncontrolled()
    policy.start(made.site)
    schedule = policy.decide(made.snapshot(), made.forecast(perfect=False))
    plugged = made.cars().is_plugged
    assert 0 < plugged.sum() < 8
    np.testing.assert_array_equal(schedule.car_power_kw, np.where(plugged, made.limit_kw, 0.0))
    assert schedule.expected_car_load_kw is None
    assert policy.charges_on_arrival


def test_uncontrolled_needs_start() -> None:
    """A policy that was never started says so."""
    made = world(1, 1)
    with pytest.raises(PolicyError, match="before start"):
        Uncontrolled().decide(made.snapshot(), made.forecast())
