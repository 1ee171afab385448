"""Forecasters: what each knows, what it may not know, and the stays a forecast expects."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from sim.arrays import BoolArray, FloatArray
from sim.clock import DAY_S, NEVER_S, STEP_S
from sim.contracts import Cars, Forecast, Forecaster, Stays, Trips
from sim.forecasting.cars import YesterdaysStays
from sim.forecasting.expected import expected_stays
from sim.forecasting.forecaster import MeasuredForecaster, Wanted
from sim.forecasting.past import Measurements, Past, steps_of_yesterday
from sim.forecasting.perfect import PerfectForecaster
from sim.forecasting.repeat import RepeatMethod
from sim.world import World

N_STEPS = 4 * 96  # days -1 to 2


def make_world(seed: int = 0, *, published: bool = True) -> World:
    """Build a world of two regions with random contents."""
    rng = np.random.default_rng(seed)

    def draw() -> FloatArray:
        return rng.random((N_STEPS, 2))

    return World(
        first_step=-96,
        load_kw=draw(),
        pv_kw=draw(),
        wind_kw=draw(),
        buy_price_per_kwh=draw(),
        sell_price_per_kwh=draw(),
        curtailment_price_per_kwh=draw(),
        grid_kg_per_kwh=np.ones(N_STEPS),
        prices_are_published=published,
    )


def make_trips(*rows: tuple[int, int, int, int, bool, float, float]) -> Trips:
    """Build trips of (vehicle, depart, arrive, region, plugged, kWh, required kWh)."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * 7
    return Trips(
        vehicle_index=np.array(columns[0], dtype=np.int64),
        depart_s=np.array(columns[1], dtype=np.int64),
        arrive_s=np.array(columns[2], dtype=np.int64),
        region_index=np.array(columns[3], dtype=np.int64),
        is_plugged=np.array(columns[4], dtype=np.bool_),
        energy_kwh=np.array(columns[5], dtype=np.float64),
        required_kwh=np.array(columns[6], dtype=np.float64),
    )


class OneCar:
    """A fleet's side that forecasters see: one car, parked from 06:00 to 07:00 of day -1."""

    n = 1

    def __init__(self) -> None:
        self.asked_s: list[tuple[int, int]] = []

    def cars(self, now_s: int) -> Cars:
        """Return the car, unplugged."""
        one: BoolArray = np.zeros(1, dtype=np.bool_)
        whole, number = np.zeros(1, dtype=np.int64), np.ones(1)
        return Cars(
            vehicle_id=whole,
            region_index=whole - 1,
            is_plugged=one,
            energy_kwh=0.0 * number,
            departure_s=whole + NEVER_S,
            required_kwh=0.0 * number,
            energy_min_kwh=6.0 * number,
            energy_max_kwh=27.0 * number,
            charge_limit_kw=5.0 * number,
            discharge_limit_kw=5.0 * number,
            charge_efficiency=0.9 * number,
            discharge_efficiency=0.8 * number,
        )

    def trips(self, now_s: int, until_s: int) -> Trips:
        """Return no trips, and remember what was asked."""
        self.asked_s.append((now_s, until_s))
        return make_trips()

    def unmanaged(self, now_s: int, until_s: int) -> tuple[Cars, Trips]:
        """Return nobody who does not take part."""
        return self.cars(now_s), make_trips()

    def stays(self, since_s: int) -> Stays:
        """Return the stay, if it began after ``since_s``."""
        begins_s = -DAY_S + 6 * 3600
        number = np.ones(int(begins_s > since_s))
        whole = number.astype(np.int64)
        return Stays(
            vehicle_index=0 * whole,
            region_index=whole,
            plug_s=begins_s * whole,
            unplug_s=(begins_s + 3600) * whole,
            arriving_kwh=10.0 * number,
            required_kwh=12.0 * number,
            energy_min_kwh=6.0 * number,
            energy_max_kwh=27.0 * number,
            charge_limit_kw=5.0 * number,
            discharge_limit_kw=5.0 * number,
        )


def measured(until_step: int) -> Measurements:
    """Measure steps -96 to before ``until_step``: a step's number in region 0, its negative in region 1."""
    book = Measurements(2)
    for step in range(-96, until_step):
        book.record(step, np.array([step, -step], dtype=float))
    return book


def persistence(world: World, until_step: int) -> Forecaster:
    """Build a persistence forecaster to which the steps before ``until_step`` are known."""
    fleet: Any = OneCar()
    past = Past(world, measured(until_step))
    method = RepeatMethod(past, "persistence", np.empty(0), 1)
    wanted = Wanted(levels=(), n_paths=0, seed=0, replication=0)
    return MeasuredForecaster(past, method, YesterdaysStays(fleet), wanted, None, None)


def same(one: Forecast, other: Forecast) -> bool:
    """Tell whether two forecasts agree in every array, stores included."""
    parts: list[tuple[Any, Any]] = [(one, other), (one.stores, other.stores)]
    return all(
        np.array_equal(getattr(a, item.name), getattr(b, item.name))
        for a, b in parts
        if a is not None
        for item in fields(a)
        if isinstance(getattr(a, item.name), np.ndarray)
    )


def with_other_future(world: World, step: int) -> World:
    """Return a world that is the same before a step and another from it on (published prices apart)."""
    other = make_world(99)
    row = step - world.first_step

    def spliced(name: str) -> FloatArray:
        return np.concatenate([getattr(world, name)[:row], getattr(other, name)[row:]])

    return replace(world, load_kw=spliced("load_kw"), pv_kw=spliced("pv_kw"), wind_kw=spliced("wind_kw"))


@pytest.mark.parametrize("step", [0, 1, 50, 96, 130])
def test_persistence_is_yesterday(step: int) -> None:
    """Every step of a day ahead is the step 96 before; tariff tables are known ahead."""
    world = make_world()
    forecast = persistence(world, step).issue(step * STEP_S, 96)
    row = step  # row of step - 96
    np.testing.assert_array_equal(forecast.load_kw, world.load_kw[row : row + 96])
    np.testing.assert_array_equal(forecast.pv_kw, world.pv_kw[row : row + 96])
    np.testing.assert_array_equal(forecast.wind_kw, world.wind_kw[row : row + 96])
    np.testing.assert_array_equal(forecast.buy_price_per_kwh, world.buy_price_per_kwh[row + 96 : row + 192])
    np.testing.assert_array_equal(forecast.measured_car_load_kw[:, 0], np.arange(step - 96, step))
    assert forecast.kind == "persistence"
    assert forecast.trips is None


def test_persistence_of_a_price_series_is_yesterday_too() -> None:
    """Prices that are not published are expected as they were."""
    world = make_world(published=False)
    forecast = persistence(world, 10).issue(10 * STEP_S, 96)
    np.testing.assert_array_equal(forecast.buy_price_per_kwh, world.buy_price_per_kwh[10:106])
    np.testing.assert_array_equal(forecast.sell_price_per_kwh, world.sell_price_per_kwh[10:106])


def test_persistence_repeats_yesterday_over_longer_horizons() -> None:
    """The 97th step is the first again; shorter horizons are a prefix."""
    world = make_world()
    long, day, short = (persistence(world, 10).issue(10 * STEP_S, k) for k in (150, 96, 4))
    np.testing.assert_array_equal(long.load_kw[96:], day.load_kw[:54])
    np.testing.assert_array_equal(short.load_kw, day.load_kw[:4])
    assert steps_of_yesterday(10 * STEP_S, 97)[[0, 96]].tolist() == [-86, -86]


@pytest.mark.parametrize("published", [True, False])
def test_persistence_cannot_see_what_is_to_come(published: bool) -> None:
    """Another future from now on leaves the forecast unchanged to the bit."""
    world = make_world(published=published)
    for step in (0, 40, 96, 150):
        changed = with_other_future(world, step)
        assert not np.array_equal(changed.load_kw, world.load_kw)
        now_s = step * STEP_S
        assert same(persistence(world, step).issue(now_s, 96), persistence(changed, step).issue(now_s, 96))


def test_perfect_sees_what_is_to_come() -> None:
    """The same change moves the perfect forecast, which is the truth."""
    world = make_world()
    changed = with_other_future(world, 40)
    fleet: Any = OneCar()
    seen, other = (PerfectForecaster(w, fleet, measured(40)).issue(40 * STEP_S, 96) for w in (world, changed))
    assert not same(seen, other)
    np.testing.assert_array_equal(seen.load_kw, world.load_kw[136 : 136 + 96])
    np.testing.assert_array_equal(seen.wind_kw, world.wind_kw[136 : 136 + 96])
    np.testing.assert_array_equal(seen.measured_car_load_kw[:, 0], np.arange(-56, 40))
    assert seen.trips is not None
    assert seen.stores is None
    assert fleet.asked_s[0] == (40 * STEP_S, 136 * STEP_S)


def test_the_past_ends_now() -> None:
    """Asking the past for a step that is not over, or for one before day -1, is an error with its time."""
    past = Past(make_world(), measured(10))
    assert past.window(np.arange(-96, 10)).load_kw.shape == (106, 2)
    with pytest.raises(LookupError, match=r"step 10 \(02:30\) is not measured: known are -96\.\.9"):
        past.window(np.arange(5, 11))
    with pytest.raises(LookupError, match="step -97"):
        past.window(np.arange(-97, 0))
    with pytest.raises(LookupError, match="step 10"):
        past.net_car_load_kw(np.array([10]))


def test_a_forecast_cannot_be_issued_ahead_of_time() -> None:
    """A forecaster that is asked for a boundary not reached yet would need steps that are not over."""
    with pytest.raises(LookupError, match="is not measured"):
        persistence(make_world(), 10).issue(11 * STEP_S, 96)


def test_measurements_come_in_order() -> None:
    """Gaps and repetitions in the meter's book are errors; it grows as long as a run is."""
    book = measured(0)
    with pytest.raises(ValueError, match="step 1 was measured, expected step 0"):
        book.record(1, np.zeros(2))
    long = measured(3000)
    np.testing.assert_array_equal(long.net_car_load_kw(np.array([-96, 2999]))[:, 0], [-96.0, 2999.0])


def test_yesterdays_stay_is_expected_again() -> None:
    """A stay of day -1 from 06:00 to 07:00 in region 1 is expected at 06:00 of day 0, seen from 01:00."""
    forecast = persistence(make_world(), 4).issue(4 * STEP_S, 96)
    stores = forecast.stores
    assert stores is not None
    assert np.argwhere(stores.arriving_n > 0).tolist() == [[20, 1]]
    assert (stores.charge_efficiency, stores.discharge_efficiency) == pytest.approx((0.9, 0.8))
    n, arriving, leaving = expected_stays(forecast)
    assert n[20, 1] == 1.0
    assert arriving[20, 1] == 10.0
    assert leaving[23, 1] == pytest.approx(12.0)
    later = persistence(make_world(), 30).issue(30 * STEP_S, 96)
    assert later.stores is not None
    assert later.stores.arriving_n.sum() == 0.0


def test_expected_stays_of_true_trips_by_hand() -> None:
    """Stays between a car's trips count at their first whole boundary and in the step of their departure."""
    trips = make_trips(
        (0, 7 * 3600, 7 * 3600 + 1000, 1, True, 3.0, 15.0),  # plugged in region 1 from 07:16:40 to 16:00
        (0, 16 * 3600, 16 * 3600 + 900, 0, True, 3.0, 9.0),  # then in region 0 beyond the horizon
        (1, 8 * 3600, 8 * 3600 + 60, 1, False, 1.0, 8.0),  # stops without plugging in
        (1, 9 * 3600, 9 * 3600 + 60, 0, True, 1.0, 7.0),  # plugs in, leaves before a boundary
        (1, 9 * 3600 + 120, 9 * 3600 + 300, 1, True, 1.0, 6.5),
    )
    forecast = replace(persistence(make_world(), 0).issue(0, 96), stores=None, trips=trips)
    n, arriving, leaving = expected_stays(forecast)
    assert np.argwhere(n > 0).tolist() == [[30, 1], [37, 1], [65, 0]]
    assert arriving[30, 1] == pytest.approx(12.0)
    assert arriving[65, 0] == pytest.approx(6.0)
    assert arriving[37, 1] == pytest.approx(5.5)
    assert np.argwhere(leaving > 0).tolist() == [[63, 1]]
    assert leaving[63, 1] == pytest.approx(9.0)


def test_a_forecast_without_cars_expects_none() -> None:
    """Neither trips nor stores: zeros of the right shape; so with no trips at all."""
    bare = replace(persistence(make_world(), 0).issue(0, 8), stores=None)
    for forecast in (bare, replace(bare, trips=make_trips())):
        for values in expected_stays(forecast):
            assert values.shape == (8, 2)
            assert values.sum() == 0.0
