"""Statistics of travel agree with a real fleet, count no stay twice, and price what drives away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from simulation_cases import simulate

from agents.chain_statistics import chain_statistics
from agents.fleet import VehicleFleet
from experiments.shipped import load_scenario
from sim.arrays import FloatArray
from sim.clock import DAY_S, STEP_S
from sim.contracts import ChainStatistics, Stays
from sim.forecasting.cars import LikelyStays, arriving_kwh, seconds_ahead
from sim.forecasting.departing import DepartingPrices, best_between

WEDNESDAY = 2
NOBODY = Stays(
    **{name: np.zeros(0, dtype=np.int64) for name in ("vehicle_index", "region_index", "plug_s", "unplug_s")},
    **{
        name: np.zeros(0)
        for name in (
            "arriving_kwh",
            "required_kwh",
            "energy_min_kwh",
            "energy_max_kwh",
            "charge_limit_kw",
            "discharge_limit_kw",
        )
    },
)


class NothingMeasured:
    """A fleet's side that forecasters see, without any stay."""

    def stays(self, since_s: int) -> Stays:
        """Nobody."""
        return NOBODY


@pytest.fixture(scope="module")
def statistics() -> ChainStatistics:
    """Statistics of the shipped scenario for a fleet of 400."""
    return chain_statistics(load_scenario("multi-microgrid", ["fleet.size=400"]))


def stores(statistics: ChainStatistics, now_s: int, n_steps: int = 96) -> Any:
    """Stays expected from now on."""
    fleet: Any = NothingMeasured()
    return LikelyStays(fleet, statistics, WEDNESDAY).stores(now_s, n_steps, 3)


def test_expected_stays_agree_with_a_large_fleet(statistics: ChainStatistics) -> None:
    """Of 5,000 sampled cars of the run's own draws, as many plug in per car, place and time as expected."""
    scenario = load_scenario("multi-microgrid", ["fleet.size=5000"])
    plan = VehicleFleet(scenario).plan
    trips = plan.itineraries
    used = plan.is_plugged & (trips.arrive_s >= 0) & (trips.arrive_s < DAY_S)
    expected = stores(statistics, 0).arriving_n / 400.0
    for region in range(3):
        real = np.bincount(
            trips.arrive_s[used & (trips.destination_index == region)] // (8 * 3600), minlength=3
        )
        thirds = expected[:, region].reshape(3, 32).sum(axis=1)
        np.testing.assert_allclose(thirds, real / 5000.0, atol=0.03)
    assert expected.sum() == pytest.approx(used.sum() / 5000.0, rel=0.05)


def test_statistics_are_not_the_runs_own_draws(statistics: ChainStatistics) -> None:
    """They are the same in every replication, and none of their cars is one of the run's."""
    other = chain_statistics(load_scenario("multi-microgrid", ["fleet.size=400", "simulation.replication=3"]))
    np.testing.assert_array_equal(other.stays.plug_s, statistics.stays.plug_s)
    own = VehicleFleet(load_scenario("multi-microgrid", ["simulation.days=7"])).plan.itineraries
    shared = np.intersect1d(own.arrive_s, statistics.stays.plug_s)
    assert len(shared) < 0.2 * len(own.arrive_s)


def test_no_stay_is_counted_twice(statistics: ChainStatistics) -> None:
    """What is expected from noon is what is expected from midnight less the morning's; now itself has begun."""
    day, noon = stores(statistics, 0, 96).arriving_n, stores(statistics, DAY_S // 2, 48).arriving_n
    np.testing.assert_allclose(noon[1:], day[49:], atol=1e-9)
    assert seconds_ahead(np.array([WEDNESDAY * DAY_S]), 0, WEDNESDAY).tolist() == [7 * DAY_S]


def test_energy_arriving_is_measured_where_it_can_be(statistics: ChainStatistics) -> None:
    """Regions with stays measured bring their mean, others the bound of the travel's laws."""
    measured = replace(NOBODY, region_index=np.array([1, 1]), arriving_kwh=np.array([10.0, 14.0]))
    brought = arriving_kwh(statistics.stays, measured, 3)
    at_work = statistics.stays.region_index == 1
    assert np.unique(brought[at_work]).tolist() == [12.0]
    np.testing.assert_array_equal(brought[~at_work], statistics.stays.arriving_kwh[~at_work])


def one_departure() -> ChainStatistics:
    """One virtual car that leaves region 0 on Wednesday at 08:00 and is plugged in region 1 from 09:00 to 11:00."""
    whole = np.array([0], dtype=np.int64)
    return ChainStatistics(
        stays=NOBODY,
        charge_efficiency=np.ones(1),
        discharge_efficiency=np.ones(1),
        cars_per_virtual_car=1.0,
        departs_s=whole + WEDNESDAY * DAY_S + 8 * 3600,
        departs_region_index=whole,
        stop_departure_index=whole,
        stop_region_index=whole + 1,
        stop_begin_s=whole + 3600,
        stop_end_s=whole + 3 * 3600,
    )


def test_departing_price_by_hand() -> None:
    """The one departure meets the best price of region 1 between 09:00 and 11:00; elsewhere lambda's holds."""
    price = np.full((96, 2), 0.3)
    price[38, 1], price[50, 1], price[38, 0] = 0.8, 2.0, 5.0
    found = DepartingPrices(one_departure(), WEDNESDAY, 0.1).price(0, price)
    assert found[32, 0] == 0.8
    assert found[32, 1] == 0.1
    low = DepartingPrices(one_departure(), WEDNESDAY, 0.9).price(0, price)
    assert (low == 0.9).all()


def test_best_price_against_brute_force() -> None:
    """The table of maxima agrees with a loop for random intervals."""
    rng = np.random.default_rng(0)
    price: FloatArray = rng.random((300, 3))
    begin = rng.integers(0, 200, 500)
    end, region = begin + rng.integers(1, 97, 500), rng.integers(0, 3, 500)
    brute = [price[a:b, r].max() for a, b, r in zip(begin, end, region, strict=True)]
    np.testing.assert_array_equal(best_between(price, begin, end, region), brute)


def test_a_run_uses_the_price_of_departures() -> None:
    """`chain_statistics` hands prices over, within the tariff's range, and changes what cars do."""
    usual, _ = simulate(("fleet.size=10",))
    priced, _ = simulate(("fleet.size=10", "dispatch.departing_energy_value=chain_statistics"))
    price = priced.forecasts[0].departing_price_per_kwh
    assert price is not None
    assert price.shape == (96, 3)
    assert 0.35 < price.min() <= price.max() <= 1.18 + 1e-9
    different = [
        not np.array_equal(a.car_power_kw, b.car_power_kw)
        for a, b in zip(usual.schedules, priced.schedules, strict=True)
    ]
    assert any(different)
    assert STEP_S * len(different) == DAY_S
