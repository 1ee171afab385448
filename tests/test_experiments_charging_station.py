"""Days at the station: the paper's laws of return, a year of building and sun, instances."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from dispatch.station.day import surplus_capacity_kwh
from experiments.charging_station.instance import Year, day_of, pv_for_capacity, year_of
from experiments.charging_station.returns import (
    ReturnLaws,
    Returns,
    draw_returns,
    plugged_fraction,
    sessions_of,
)
from experiments.shipped import data_files

LAWS = ReturnLaws()


@pytest.fixture(scope="module")
def year() -> Year:
    """The shipped station with a small building."""
    return year_of(560.0)


def test_returns_follow_their_laws() -> None:
    """Means and clips; a car's draws depend on nothing but the car; needs follow the arrival energy."""
    cars = draw_returns(LAWS, 4000, seed=3)
    angle = 2 * np.pi * cars.arrive_h / 24
    mean_h = (np.arctan2(np.sin(angle).mean(), np.cos(angle).mean()) / (2 * np.pi) * 24) % 24
    assert mean_h == pytest.approx(17.6, abs=0.2)
    leaves = (cars.arrive_h + cars.stay_h) % 24
    angle = 2 * np.pi * leaves / 24
    assert (np.arctan2(np.sin(angle).mean(), np.cos(angle).mean()) / (2 * np.pi) * 24) % 24 == pytest.approx(
        8.92, abs=0.2
    )
    assert cars.need_kwh.mean() == pytest.approx(0.5 * 50 / 0.95, abs=0.3)
    assert cars.need_kwh.min() >= 0.1 * 50 / 0.95 - 1e-9
    assert cars.need_kwh.max() <= 0.8 * 50 / 0.95 + 1e-9
    np.testing.assert_array_equal(draw_returns(LAWS, 10, seed=3).arrive_h, cars.arrive_h[:10])
    assert not np.array_equal(draw_returns(LAWS, 10, seed=3, day=1).arrive_h, cars.arrive_h[:10])


def test_plugged_time_is_the_stay() -> None:
    """Hours of a cyclic day add up to each stay, in hours and in quarter-hours."""
    cars = draw_returns(LAWS, 50, seed=1)
    for n_steps in (24, 96):
        inside = plugged_fraction(cars, n_steps)
        assert inside.min() >= 0.0
        assert inside.max() <= 1.0 + 1e-12
        np.testing.assert_allclose(inside.sum(axis=0) * 24 / n_steps, cars.stay_h, atol=1e-9)
    late = Returns(arrive_h=np.array([23.5]), stay_h=np.array([1.0]), need_kwh=np.ones(1))
    assert plugged_fraction(late, 24)[[23, 0, 1], 0].tolist() == [0.5, 0.5, 0.0]


def test_shipped_sessions_are_drawn_by_these_laws() -> None:
    """The file is what the code draws; nothing in it is beyond its stay."""
    drawn = sessions_of(LAWS, 200, date(2016, 6, 13), 7, seed=1)
    shipped = pd.read_csv(data_files()["returns_200_cars"], dtype={"session_id": str})
    pd.testing.assert_frame_equal(drawn, shipped, check_dtype=False)
    stay_h = (pd.to_datetime(drawn["departure"]) - pd.to_datetime(drawn["arrival"])).dt.total_seconds() / 3600
    assert (drawn["energy_kwh"] <= 7.6 * stay_h + 1e-9).all()


def test_building_and_sun_are_sized(year: Year) -> None:
    """The building has its peak; PV is so large that equation (3) gives the capacity that was asked for."""
    assert year.building_kw.max() == pytest.approx(560.0)
    sized = year.sized(1200.0)
    assert surplus_capacity_kwh(sized.pv_kw, sized.building_kw, 0.25) == pytest.approx(1200.0, rel=1e-9)
    assert pv_for_capacity(year, 600.0) < sized.pv_rated_kw
    assert sized.pv_kw[160].argmax() in range(40, 56)  # the sun is highest around noon


def test_a_day_has_the_same_energy_in_hours_and_quarters(year: Year) -> None:
    """Means of the building, the sun and the cars' limits; valley hours are those of the lowest price."""
    cars = draw_returns(LAWS, 30, seed=1)
    hours, quarters = (day_of(year, 165, cars, LAWS, steps_per_hour=n) for n in (1, 4))
    for name in ("building_kw", "pv_kw"):
        assert getattr(hours, name).sum() == pytest.approx(getattr(quarters, name).mean() * 24)
    np.testing.assert_allclose(hours.car_limit_kw.sum(axis=0), quarters.car_limit_kw.sum(axis=0) / 4)
    assert np.flatnonzero(hours.is_grid_charging_hour).tolist() == [0, 1, 2, 3, 4, 5, 6, 23]
