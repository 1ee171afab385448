"""Rules of thumb, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dispatch_cases import OPTIONS, World, site, world
from hypothesis import given
from hypothesis import strategies as st

from dispatch.rules import EarliestDeadline, FirstCome, LeastLaxity, ValleyFirst, laxity_s, shared_out
from sim.clock import NEVER_S
from sim.contracts import Forecast, Snapshot
from sim.errors import PolicyError


def parked(made: World, departure_s: list[int], energy: list[float], required: list[float]) -> Snapshot:
    """All cars plugged in at region 0, with these declarations."""
    cars = replace(
        made.cars(),
        region_index=np.zeros(made.n_cars, np.int64),
        is_plugged=np.ones(made.n_cars, bool),
        departure_s=np.array(departure_s),
        energy_kwh=np.array(energy),
        required_kwh=np.array(required),
    )
    return replace(made.snapshot(), cars=cars)


def priced(made: World, prices: list[float]) -> Forecast:
    """Forecast with these buying prices everywhere."""
    forecast = made.forecast(len(prices), perfect=False)
    return replace(
        forecast, buy_price_per_kwh=np.repeat(np.array(prices)[:, None], made.site.n_regions, axis=1)
    )


def test_valley_first_by_hand() -> None:
    """Full power only where no step of one's own stay is cheaper; elsewhere as late as possible, but in time."""
    made = world(5, 1)
    policy = ValleyFirst()
    policy.start(made.site)
    forecast = priced(made, [2.0, 3.0, 2.0, 1.0, 1.0])
    # leaves after two steps; after three (equal prices); inside the fourth; much later; must charge 1 kWh by 00:15
    snapshot = parked(
        made, [1800, 2700, 2701, NEVER_S, 3600], [10.0] * 5, [10.0, 10.0, 10.0, 10.0, 10.0 + 0.9 * 5.0]
    )
    power = policy.decide(snapshot, forecast).car_power_kw
    assert power[:4].tolist() == [5.0, 5.0, 0.0, 0.0]
    assert power[4] == pytest.approx(5.0)
    relaxed = parked(made, [3600] * 5, [10.0] * 5, [10.0 + 0.9 * 5.0 * 0.8] * 5)
    assert policy.decide(relaxed, forecast).car_power_kw == pytest.approx(np.full(5, 1.0))


def test_valley_first_reads_each_region_and_each_plug() -> None:
    """The price is that of the car's region; a car that is not plugged gets nothing."""
    made = world(3, 1)
    policy = ValleyFirst()
    policy.start(made.site)
    snapshot = parked(made, [7200] * 3, [10.0] * 3, [6.0] * 3)
    cars = replace(snapshot.cars, region_index=np.array([0, 1, -1]), is_plugged=np.array([True, True, False]))
    forecast = priced(made, [2.0, 1.0, 2.0])
    prices = forecast.buy_price_per_kwh.copy()
    prices[:, 1] = [1.0, 1.0, 2.0]
    power = policy.decide(
        replace(snapshot, cars=cars), replace(forecast, buy_price_per_kwh=prices)
    ).car_power_kw
    assert power.tolist() == [0.0, 5.0, 0.0]


def test_laxity_by_hand() -> None:
    """Two hours until departure and 4.5 kWh short at 5 kW and 0.9 leave one hour."""
    made = world(2, 1)
    assert laxity_s(parked(made, [7200, 7200], [10.0, 20.0], [14.5, 14.5])) == pytest.approx([3600.0, 7200.0])


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (np.inf, [5.0, 5.0, 5.0, 0.0]),  # the last is full
        (12.0, [5.0, 2.0, 5.0, 0.0]),  # least laxity first: 2, 0, then 1
        (7.0, [2.0, 0.0, 5.0, 0.0]),
        (3.0, [0.0, 0.0, 3.0, 0.0]),
        (0.0, [0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_least_laxity_by_hand(limit: float, expected: list[float]) -> None:
    """Cars share a region's limit in order of laxity, up to full."""
    made = world(4, 1)
    policy = LeastLaxity(replace(OPTIONS, car_limit_kw=limit))
    policy.start(made.site)
    snapshot = parked(made, [7200, 14400, 3600, 1800], [10.0, 10.0, 10.0, 27.0], [10.0, 10.0, 12.0, 27.0])
    power = policy.decide(snapshot, made.forecast(perfect=False)).car_power_kw
    assert power == pytest.approx(expected)


def test_must_charge_comes_before_lesser_laxity() -> None:
    """A car that must charge now keeps its power although one that must not leaves sooner."""
    made = world(2, 1)
    policy = LeastLaxity(replace(OPTIONS, car_limit_kw=5.0))
    policy.start(made.site)
    must = (
        10.0 + 0.9 * 5.0 * 1.5
    )  # an hour and a half of full power until 01:30, declared for 01:36: laxity 360 s
    snapshot = parked(made, [300, 5760], [10.0, 10.0], [6.0, must])
    assert laxity_s(snapshot).round(6).tolist() == [300.0, 360.0]
    power = policy.decide(snapshot, made.forecast(perfect=False)).car_power_kw
    assert power == pytest.approx([2.0, 3.0])


def test_least_laxity_keeps_the_connection_by_forecast() -> None:
    """Cars get no more than the import limit leaves beside the forecast load and supply."""
    made = World(site(import_limit_kw=np.array([100.0, np.inf, np.inf])), 4, 1)
    policy = LeastLaxity(OPTIONS)
    policy.start(made.site)
    forecast = made.forecast(4, perfect=False)
    load, none = np.full_like(forecast.load_kw, 120.0), np.zeros_like(forecast.load_kw)
    snapshot = parked(made, [7200] * 4, [10.0] * 4, [6.0] * 4)
    for supply, expected in ((28.0, 8.0), (0.0, 0.0), (60.0, 20.0)):
        given_forecast = replace(forecast, load_kw=load, pv_kw=none + supply, wind_kw=none)
        assert policy.decide(snapshot, given_forecast).car_power_kw.sum() == pytest.approx(expected)


def test_earliest_deadline_by_hand() -> None:
    """Who leaves first is served first although another must charge now; who declares nothing comes last."""
    made = world(3, 1)
    policy = EarliestDeadline(replace(OPTIONS, car_limit_kw=7.0))
    policy.start(made.site)
    must = 10.0 + 0.9 * 5.0 * 2.0  # of the second: full power until 02:00
    snapshot = parked(made, [NEVER_S, 7200, 3600], [10.0, 10.0, 10.0], [6.0, must, 6.0])
    power = policy.decide(snapshot, made.forecast(perfect=False)).car_power_kw
    assert power == pytest.approx([0.0, 2.0, 5.0])


def test_first_come_by_hand() -> None:
    """Who was plugged in before is served before; who comes back after leaving has come anew."""
    made = world(3, 1)
    policy = FirstCome(replace(OPTIONS, car_limit_kw=7.0))
    policy.start(made.site)
    snapshot = parked(made, [7200, 7200, 7200], [10.0, 10.0, 10.0], [6.0, 6.0, 6.0])

    def served(now_s: int, plugged: list[bool]) -> list[float]:
        cars = replace(snapshot.cars, is_plugged=np.array(plugged))
        at = replace(snapshot, now_s=now_s, cars=cars)
        return policy.decide(at, made.forecast(perfect=False)).car_power_kw.round(9).tolist()

    assert served(0, [False, False, True]) == [0.0, 0.0, 5.0]
    assert served(900, [False, True, True]) == [0.0, 2.0, 5.0]
    assert served(1800, [True, True, False]) == [2.0, 5.0, 0.0]
    assert served(2700, [True, True, True]) == [2.0, 5.0, 0.0]
    policy.start(made.site)
    assert served(0, [True, True, True]) == [5.0, 2.0, 0.0]


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 12))
def test_sharing_out_keeps_room_and_order(seed: int, n: int) -> None:
    """Nobody gets more than wanted, no region more than its room, and who waits behind gets nothing before."""
    rng = np.random.default_rng(seed)
    wanted, region = rng.uniform(0.0, 5.0, n), rng.integers(-1, 3, n)
    order, room = rng.permutation(n), rng.uniform(0.0, 12.0, 3)
    got = shared_out(wanted, region, order, room)
    assert np.all((got >= 0) & (got <= wanted))
    assert not got[region == -1].any()
    for place in range(3):
        queue = order[region[order] == place]
        assert got[queue].sum() == pytest.approx(min(room[place], wanted[queue].sum()))
        short = np.flatnonzero(got[queue] < wanted[queue] - 1e-9)
        if len(short):
            assert not got[queue][short[0] + 1 :].any()


@pytest.mark.parametrize("policy", [ValleyFirst(), LeastLaxity(OPTIONS), FirstCome(OPTIONS)])
def test_rules_need_start(policy) -> None:
    """A rule that was never started says so."""
    made = world(1, 1)
    with pytest.raises(PolicyError, match="before start"):
        policy.decide(made.snapshot(), made.forecast())
