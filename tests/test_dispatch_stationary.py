from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dispatch_cases import OPTIONS, World, world
from dispatch_oracle import optimum

from dispatch.baselines import OwnCost, Uncontrolled
from dispatch.rolling_horizon import RollingHorizon
from dispatch.stationary import WithStationary, known_car_load, mean_load_of_step, no_cars
from sim.contracts import Forecast, Schedule, Site, Snapshot


class Still:
    """A user's policy: cars only, nothing moves."""

    name = "still"
    needs_own_chain = False
    charges_on_arrival = False

    def start(self, site: Site) -> None:
        """Nothing to get ready."""

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """No power."""
        return Schedule(car_power_kw=np.zeros(snapshot.cars.n))


def started(made: World, inner, **changes) -> WithStationary:
    """Complete a policy and make it ready for a world."""
    policy = WithStationary(inner, replace(OPTIONS, **changes))
    policy.start(made.site)
    return policy


@pytest.mark.parametrize("perfect", [True, False])
def test_batteries_against_an_independent_program(perfect: bool) -> None:
    """The common program is the optimum of the microgrids with the car load known: by another program's account."""
    made = world(6, 2)
    policy, inner = started(made, Uncontrolled()), Uncontrolled()
    inner.start(made.site)
    for made.step in (0, 1, 40):
        snapshot, forecast = made.snapshot(), made.forecast(perfect=perfect)
        forecast = replace(forecast, measured_car_load_kw=np.full((96, 3), 7.0))
        decision = policy.decide(snapshot, forecast).decision
        load = known_car_load(made.site, snapshot, forecast, inner.decide(snapshot, forecast))
        alone = replace(forecast, load_kw=forecast.load_kw + load, trips=None, stores=None)
        expected = optimum(made.site, replace(snapshot, cars=no_cars()), alone)
        assert decision.turbine_bound == pytest.approx(expected, rel=1e-6)


def test_whole_schedules_pass_through() -> None:
    """A policy that schedules everything is not touched, nor its attributes."""
    made = world(4, 1)
    inner = RollingHorizon(OPTIONS)
    policy = started(made, inner)
    alone = RollingHorizon(OPTIONS)
    alone.start(made.site)
    one, other = (p.decide(made.snapshot(), made.forecast()) for p in (policy, alone))
    np.testing.assert_array_equal(one.car_power_kw, other.car_power_kw)
    np.testing.assert_array_equal(one.battery_power_kw, other.battery_power_kw)
    assert one.decision == other.decision
    assert (policy.name, policy.needs_own_chain, policy.charges_on_arrival) == ("rolling", False, False)
    own = WithStationary(OwnCost(), OPTIONS)
    assert own.needs_own_chain


def test_later_load_is_yesterdays_unless_foreseen() -> None:
    """Under persistence later steps have the load measured a day earlier; under true trips what the policy expects."""
    made = world(6, 1)
    measured = np.arange(96 * 3, dtype=float).reshape(96, 3)
    persistence = replace(made.forecast(perfect=False), measured_car_load_kw=measured)
    schedule = Schedule(car_power_kw=np.full(6, 5.0), expected_car_load_kw=np.full((96, 3), 3.0))
    load = known_car_load(made.site, made.snapshot(), persistence, schedule)
    np.testing.assert_array_equal(load[1:], measured[1:])
    np.testing.assert_allclose(load[0], [30.0, 0.0, 0.0])
    perfect = known_car_load(made.site, made.snapshot(), made.forecast(), schedule)
    np.testing.assert_array_equal(perfect, np.full((96, 3), 3.0))


def test_mean_load_of_a_step_by_hand() -> None:
    """Full in 400.5 s: 400.5/401 of the power for 401 s; gone after 600 s: two thirds; empty cars give nothing."""
    made = world(4, 1)
    made.energy = np.array([27 - 4.5 * 400.5 / 3600, 15.0, 6.0, 26.0])
    snapshot = made.snapshot()
    departure = np.array([10**6, 600, 10**6, 200])
    snapshot = replace(snapshot, cars=replace(snapshot.cars, departure_s=departure))
    load = mean_load_of_step(made.site, snapshot, np.array([5.0, 3.0, -5.0, 5.0]))
    expected = 5 * 400.5 / 900 + 3 * 600 / 900 + 0.0 + 5 * 200 / 900
    assert load[0] == pytest.approx(expected)
    assert load[1:].tolist() == [0, 0]


def test_users_policy_gets_batteries() -> None:
    """A policy that moves nothing still has its batteries and turbines scheduled, in shape."""
    made = world(3, 1)
    schedule = started(made, Still()).decide(made.snapshot(), made.forecast(perfect=False))
    assert schedule.battery_power_kw is not None
    assert np.abs(schedule.battery_power_kw).max() > 1
    assert schedule.turbine_kw is not None
    assert schedule.decision.status == "optimal"


def test_failed_common_solve_falls_back_visibly() -> None:
    """With one iteration allowed batteries rest, and the decision says why."""
    made = world(3, 1)
    schedule = started(made, Still(), iteration_limit=1).decide(made.snapshot(), made.forecast())
    assert schedule.decision.status == "fallback:charge"
    assert schedule.battery_power_kw is not None
    assert not schedule.battery_power_kw.any()
    assert not schedule.car_power_kw.any()
