from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dispatch_cases import world

from dispatch.itinerary import Itinerary, by_trips, declared
from dispatch.problem import departing_price, reachable_pools
from sim.clock import NEVER_S
from sim.contracts import Cars, Stores, Trips


def cars(
    energy: float = 15.0, departure_s: int = NEVER_S, required: float = 0.0, *, plugged: bool = True
) -> Cars:
    """One car of 6 to 27 kWh, 5 kW, 0.9 both ways: full charging stores 1.125 kWh a step."""
    one = np.ones(1)
    return Cars(
        vehicle_id=np.zeros(1, np.int64),
        region_index=np.array([1 if plugged else -1]),
        is_plugged=np.array([plugged]),
        energy_kwh=energy * one,
        departure_s=np.array([departure_s]),
        required_kwh=required * one,
        energy_min_kwh=6.0 * one,
        energy_max_kwh=27.0 * one,
        charge_limit_kw=5.0 * one,
        discharge_limit_kw=5.0 * one,
        charge_efficiency=0.9 * one,
        discharge_efficiency=0.9 * one,
    )


def trips(*rows: tuple[int, int, int, bool, float, float], start: float | None = None) -> Trips:
    """Trips of that car: departure, arrival, region, plugged there, energy, required."""
    depart, arrive, region, plugged, energy, required = zip(*rows, strict=True)
    return Trips(
        vehicle_index=np.zeros(len(rows), np.int64),
        depart_s=np.array(depart),
        arrive_s=np.array(arrive),
        region_index=np.array(region),
        is_plugged=np.array(plugged),
        energy_kwh=np.array(energy),
        required_kwh=np.array(required),
        car_energy_kwh=None if start is None else np.array([start]),
    )


def along(these: Cars, way: Trips, n_steps: int = 6) -> Itinerary:
    """Itinerary of six steps."""
    return by_trips(these, way, 0, n_steps, step_s=900, keeps_tail=True)


def test_departure_step_counts_its_plugged_fraction() -> None:
    """Leaving at 25 minutes: one whole step, two thirds of the next, nothing after; there the requirement stands."""
    plan = declared(cars(departure_s=1500, required=16.0), 0, 4, step_s=900, keeps_tail=True)
    np.testing.assert_allclose(plan.fraction[:, 0], [1, 2 / 3, 0, 0])
    assert plan.region_index[:, 0].tolist() == [1, 1, -1, -1]
    assert plan.is_known[:, 0].tolist() == [True, True, False, False]
    assert plan.lower_kwh[:2, 0].tolist() == [6.0, 16.0]
    assert plan.last_step.tolist() == [1]
    assert plan.departs_with_value.tolist() == [True]
    assert plan.lowered_kwh == 0


def test_unreachable_requirement_is_lowered_and_counted() -> None:
    """In 25 minutes 15 kWh become 16.875 at most: a requirement of 20 is lowered by 3.125."""
    plan = declared(cars(departure_s=1500, required=20.0), 0, 4, step_s=900, keeps_tail=True)
    assert plan.lower_kwh[1, 0] == pytest.approx(15 + 1.125 * 5 / 3)
    assert plan.lowered_kwh == pytest.approx(20 - (15 + 1.125 * 5 / 3))


def test_departure_on_a_boundary_belongs_to_the_step_before() -> None:
    """Leaving at the end of step 1, the car has two whole steps."""
    plan = declared(cars(departure_s=1800, required=10.0), 0, 4, step_s=900, keeps_tail=True)
    assert plan.fraction[:, 0].tolist() == [1, 1, 0, 0]
    assert plan.last_step.tolist() == [1]


def test_departure_beyond_the_horizon_binds_at_its_end() -> None:
    """Two steps after the horizon 18 kWh are needed: at its end 18 less two steps of full charging."""
    plan = declared(cars(departure_s=6 * 900, required=18.0), 0, 4, step_s=900, keeps_tail=True)
    assert plan.lower_kwh[3, 0] == pytest.approx(18 - 2.25)
    assert not plan.departs_with_value[0]
    free = declared(cars(departure_s=6 * 900, required=18.0), 0, 4, step_s=900, keeps_tail=False)
    assert free.lower_kwh[3, 0] == 6.0


def test_waiting_car_is_taken_to_leave_at_the_next_boundary() -> None:
    """A car still plugged at its departure waits for energy: it is planned for one whole step."""
    plan = declared(cars(departure_s=0, required=15.5), 0, 3, step_s=900, keeps_tail=True)
    assert plan.fraction[:, 0].tolist() == [1, 0, 0]
    assert plan.lower_kwh[0, 0] == 15.5


def test_a_trip_by_hand() -> None:
    """Leaves home in step 1, arrives in step 2, is plugged at work from step 3: its trip is taken where it leaves."""
    plan = along(cars(), trips((1500, 2400, 2, True, 3.0, 10.0)))
    np.testing.assert_allclose(plan.fraction[:, 0], [1, 2 / 3, 0, 1, 1, 1])
    assert plan.region_index[:, 0].tolist() == [1, 1, -1, 2, 2, 2]
    assert plan.leaving_kwh[:, 0].tolist() == [0, 3, 0, 0, 0, 0]
    assert plan.lower_kwh[1, 0] == 7.0  # 10 at departure less the trip
    assert plan.upper_kwh[1, 0] == 24.0
    assert plan.is_known[:, 0].tolist() == [True, True, False, True, True, True]


def test_stay_without_a_charger_asks_the_stay_before() -> None:
    """Two trips without charging between: the second is taken at the next known step, and asked of the first stay."""
    way = trips((1500, 1700, 2, False, 3.0, 8.0), (2800, 3000, 1, True, 2.0, 9.0))
    plan = along(cars(), way)
    assert plan.fraction[:, 0].tolist() == [1, pytest.approx(2 / 3), 0, 0, 1, 1]
    assert plan.is_known[:, 0].tolist() == [True, True, False, False, True, True]
    assert plan.leaving_kwh[:, 0].tolist() == [0, 3, 0, 0, 2, 0]
    assert plan.lower_kwh[1, 0] == 9.0  # after the first trip: what the second needs at its departure
    assert plan.departure_s[1, 0] == 2800  # whose requirement it is


def test_two_trips_in_one_step() -> None:
    """Each requirement is asked at the step's end, less all trips from its departure on."""
    way = trips((1000, 1100, 2, True, 2.0, 14.0), (1300, 1400, 1, True, 1.0, 11.0))
    plan = along(cars(), way)
    assert plan.leaving_kwh[1, 0] == 3.0
    assert plan.lower_kwh[1, 0] == max(14.0 - 3.0, 11.0 - 1.0)


def test_trip_under_way_is_taken_first() -> None:
    """A driving car's trip is taken before it arrives; its own requirement is history."""
    plan = along(cars(0.0, plugged=False), trips((-300, 1000, 2, True, 4.0, 20.0), start=12.0))
    assert plan.start_kwh.tolist() == [12.0]
    assert plan.fraction[:, 0].tolist() == [0, 0, 1, 1, 1, 1]
    assert plan.leaving_kwh[2, 0] == 4.0
    assert plan.lowered_kwh == 0


def test_a_trip_too_long_is_helped() -> None:
    """A trip that even full charging cannot feed is helped to the least energy, and the kWh counted."""
    plan = along(cars(7.0), trips((900, 2000, 2, True, 10.0, 16.0)))
    assert plan.help_kwh == pytest.approx(10 + 6 - (7 + 1.125))
    assert plan.leaving_kwh[0, 0] == pytest.approx(10 - plan.help_kwh)
    assert plan.lower_kwh[0, 0] == pytest.approx(6.0)
    assert plan.lowered_kwh == pytest.approx(16 - 10 - 6 + plan.help_kwh - plan.help_kwh)


def test_bounds_can_always_be_kept() -> None:
    """Whatever the fleet, charging at full power keeps all bounds (so the program has a solution)."""
    for seed in range(4):
        made = world(10, seed, unlike=True)
        made.energy = np.random.default_rng(seed).uniform(made.energy_min, made.energy_min + 3)
        for made.step in (0, 29, 40, 60):
            forecast = made.forecast()
            plans = (
                by_trips(made.cars(), forecast.trips, made.now_s, 96, step_s=900, keeps_tail=True),
                declared(made.cars(), made.now_s, 96, step_s=900, keeps_tail=True),
            )
            for plan in plans:
                energy = plan.start_kwh.copy()
                rate = made.charge_efficiency * made.limit_kw / 4
                for k in range(96):
                    known = plan.is_known[k]
                    top = np.maximum(made.energy_max, energy)
                    energy = np.minimum(energy + rate * plan.fraction[k], top) - plan.leaving_kwh[k] * known
                    assert np.all(energy[known] >= plan.lower_kwh[k, known] - 1e-9)
                    assert np.all(plan.lower_kwh[k, known] <= plan.upper_kwh[k, known] + 1e-9)


def test_departing_price_choices() -> None:
    """The departing value is the median of 24 h at the bus, lambda, or a number."""
    made = world(1, 1)
    forecast = made.forecast()
    np.testing.assert_allclose(
        departing_price(forecast, "median_price", 0.4)[0], np.median(made.buy[:96], axis=0)
    )
    assert departing_price(forecast, "lambda", 0.4).tolist() == [[0.4] * 3]
    assert departing_price(forecast, 0.7, 0.4).tolist() == [[0.7] * 3]


def test_pools_are_lowered_to_what_charging_reaches() -> None:
    """A store that arrives with 8 kWh and leaves a step later cannot leave with 12: lowered by what lacks."""
    zero = np.zeros((2, 1))
    arriving, leaving = zero.copy(), zero.copy()
    arriving[0], leaving[1] = 8.0, 12.0
    here = np.array([[1.0], [0.0]])
    pools = reachable_pools(
        Stores(
            n_plugged=here,
            arriving_n=here,
            charge_limit_kw=np.array([[5.0], [2.5]]),
            discharge_limit_kw=np.array([[5.0], [2.5]]),
            arriving_kwh=arriving,
            leaving_min_kwh=leaving,
            leaving_max_kwh=np.array([[0.0], [27.0]]),
            energy_min_kwh=6.0 * here,
            energy_max_kwh=27.0 * here,
            charge_efficiency=0.9,
            discharge_efficiency=0.9,
        ),
        2,
        900,
    )
    assert pools.leaving_min_kwh[1, 0] == pytest.approx(8 + 1.125 * 1.5)
    assert pools.lowered_kwh == pytest.approx(12 - 8 - 1.125 * 1.5)


def test_who_knows_the_trips_knows_that_a_driver_asked_for_too_little() -> None:
    """A car told to hold 18 kWh that will need 20 is charged to 20, and no further."""
    modest = replace(cars(), energy_max_kwh=np.array([18.0]))
    plan = along(modest, trips((4500, 5400, 2, False, 1.0, 20.0)))
    assert plan.lower_kwh[4, 0] == pytest.approx(20.0 - 1.0)
    assert plan.upper_kwh[:, 0].max() == pytest.approx(20.0)
    assert plan.lowered_kwh == 0
