"""A user's own itineraries: what is read, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.fleet import VehicleFleet
from agents.itinerary_file import parse_instant
from sim.clock import DAY_S
from sim.errors import ScenarioError
from tests.agents_cases import Run, region, scenario_of

HEADER = "vehicle,depart,arrive,from,to,km\n"
GOOD = (
    HEADER
    + "1,07:00,07:30,home,work,15\n1,17:00,17:30,work,home,15\n"
    + "0,36000,37800,home,other,10\n0,12:00:30,12:30,other,home,10\n"
)


def own(tmp_path: Path, text: str, changes: dict[str, Any] | None = None) -> VehicleFleet:
    """Build a fleet of three from a file's text."""
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8")
    base = {"fleet.size": 3, "travel.source": "itineraries", "travel.itineraries": "mine.csv"}
    return VehicleFleet(scenario_of(base | (changes or {})), locate=lambda file: tmp_path / file)


def faults(tmp_path: Path, text: str, changes: dict[str, Any] | None = None) -> list[str]:
    """Give the faults of a file's text."""
    with pytest.raises(ScenarioError) as caught:
        own(tmp_path, text, changes)
    return list(caught.value.faults)


def test_trips_are_those_of_the_file(tmp_path: Path) -> None:
    """Instants in three notations; sorted by car and departure; copied to the day before and after."""
    plan = own(tmp_path, GOOD).plan.itineraries
    here = plan.day == 0
    assert plan.vehicle_index[here].tolist() == [0, 0, 1, 1]
    assert plan.depart_s[here].tolist() == [36_000, 43_230, 25_200, 61_200]
    assert plan.arrive_s[here].tolist() == [37_800, 45_000, 27_000, 63_000]
    assert plan.distance_km[here].tolist() == [10, 10, 15, 15]
    for day in (-1, 1):
        assert (plan.depart_s[plan.day == day] - day * DAY_S).tolist() == plan.depart_s[here].tolist()
    assert plan.is_first_from_home.tolist() == [True, False] * 6
    assert (np.diff(plan.first_trip) == [6, 6, 0]).all()


def test_own_itineraries_run(tmp_path: Path) -> None:
    """A run on a file has the file's trips in its tables; a car without rows stays at home."""
    (tmp_path / "mine.csv").write_text(GOOD, encoding="utf-8")
    changes = {
        "fleet.size": 3,
        "travel.source": "itineraries",
        "travel.itineraries": "mine.csv",
        "simulation.days": 2,
    }
    run = Run(scenario_of(changes), base_dir=tmp_path)
    assert run.trips["vehicle_id"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert run.trips["day"].tolist() == [0, 0, 1, 1] * 2
    assert run.vehicles["chain"].tolist() == ["H-O-H", "H-W-H", "H"]
    np.testing.assert_allclose(run.trips["energy_kwh"], run.trips["distance_km"] * 0.15)


def test_days_outside_the_file_may_be_spent_at_home(tmp_path: Path) -> None:
    """With itineraries_outside = stay only the file's days have trips."""
    plan = own(tmp_path, GOOD, {"travel.itineraries_outside": "stay"}).plan.itineraries
    assert set(plan.day.tolist()) == {0}


def test_a_day_that_does_not_close_is_not_copied(tmp_path: Path) -> None:
    """A car away over night has no copies of its day; the other car has."""
    text = (
        HEADER
        + "0,20:00,20:30,home,work,9\n0,1+06:00,1+06:30,work,home,9\n"
        + "1,1+08:00,1+09:00,home,work,9\n1,1+10:00,1+11:00,work,home,9\n"
    )
    plan = own(tmp_path, text, {"simulation.days": 3}).plan.itineraries
    assert plan.day[plan.vehicle_index == 0].tolist() == [0, 1]
    assert plan.day[plan.vehicle_index == 1].tolist() == [1, 1, 2, 2, 3, 3]
    assert plan.follows_night_at_home[plan.vehicle_index == 0].tolist() == [True, False]


def test_home_is_where_the_first_row_begins(tmp_path: Path) -> None:
    """Homes come from the file; cars without rows keep a drawn one; classes are drawn as ever."""
    regions = [region("a", "H"), region("b", "H"), region("c", "W")]
    text = HEADER + "0,7:00,7:30,b,c,9\n0,8:00,8:30,c,b,9\n1,7:00,7:30,a,c,9\n1,8:00,8:30,c,a,9\n"
    changes = {"regions": regions, "fleet.plug_in_probability": {"H": 1.0, "W": 0.5}}
    assert own(tmp_path, text, changes).population.home_index.tolist()[:2] == [1, 0]


def test_plug_in_draws_are_per_car_day_and_stop(tmp_path: Path) -> None:
    """The draws of a car's stops do not change with other cars' rows."""
    rows = ["{0},7:00,7:30,home,work,9\n", "{0},9:00,9:30,work,other,3\n", "{0},11:00,11:30,other,home,9\n"]
    one = HEADER + "".join(row.format(7) for row in rows)
    all_of_them = HEADER + "".join(row.format(car) for car in range(40) for row in rows)
    few, many = (own(tmp_path, text, {"fleet.size": 40}).plan.itineraries for text in (one, all_of_them))
    np.testing.assert_array_equal(few.plugs_in, many.plugs_in[many.vehicle_index == 7])
    away = many.plugs_in[many.destination_index != 0]
    assert 0.15 < away.mean() < 0.45


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("-3600", -3600),
        ("08:15", 29_700),
        ("8:15:30", 29_730),
        ("2+00:00", 2 * DAY_S),
        ("-1+23:00", -3600),
        ("2016-04-20T08:15", 29_700),
        ("2016-04-21 00:00:00", DAY_S),
        ("2016-04-20T06:15:00+00:00", 26_100),  # Central European standard time, all year
        ("24:00", None),
        ("08:60", None),
        ("8h", None),
        ("", None),
        ("1e3", None),
    ],
)
def test_notations_of_instants(text: str, seconds: int | None) -> None:
    """Seconds, HH:MM, D+HH:MM and ISO datetimes are read; anything else is refused."""
    assert parse_instant(text, scenario_of()) == seconds


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("0,7:00,7:30,home,werk,15", "row 2: to 'werk' is not a region"),
        ("0,7:00,6:30,home,work,15", "arrival 06:30 is not after the departure"),
        ("0,7:00,7:00,home,work,0", "arrival 07:00 is not after the departure"),
        ("0,7:00,7:30,home,work,-1", "km -1 is below 0"),
        ("0,7:00,7:30,home,work,nan", "km 'nan' is not a number"),
        ("0,7:00,7:30,home,work", "km '' is not a number"),
        ("0,7:00,7:30,home,work,1,2", "more values than columns"),
        ("x,7:00,7:30,home,work,1", "vehicle 'x' is not a whole number from 0"),
        ("-1,7:00,7:30,home,work,1", "vehicle '-1' is not a whole number from 0"),
        ("3,7:00,7:30,home,work,1", "vehicles are 0..2 (fleet.size 3)"),
        ("0,sieben,7:30,home,work,1", "depart 'sieben' is not an instant"),
        ("0,7:00,7:30,home,work,80", "160 km/h, above max_speed_kmh 120"),
        ("0,7:00,9:30,home,work,150", "150 km need 22.50 kWh, the battery gives 21.00 kWh"),
        ("0,7:00,7:30,home,work,9\n0,7:20,8:00,work,home,9", "before it has arrived at 07:30 (row 2)"),
        ("0,7:00,7:30,home,work,9\n0,8:00,8:30,other,home,9", "from 'other', but row 2 took it to 'work'"),
        ("0,7:00,7:30,work,home,9", "begins at 'work' of place type 'W'; its home must be of type 'H'"),
        ("0,-1+23:00,0+01:00,home,work,9", "is not at its home 'home' at 00:00 of the first day"),
        ("0,00:10,1:30,home,other,100\n0,2:00,4:00,other,home,100",
         "vehicle 0 at 00:10: needs 27.00 kWh at departure, full charging gives at most 15.75 kWh"),
    ],
)  # fmt: skip
def test_each_fault_is_named(tmp_path: Path, rows: str, said: str) -> None:
    """Every kind of fault says where, what, value and bound, and names the file."""
    changes = {"fleet.plug_in_probability": {"H": 1.0, "W": 0.0, "O": 0.0}, "fleet.departure_soc": "none"}
    found = faults(tmp_path, HEADER + rows + "\n", changes)
    assert any(said in fault for fault in found), found
    assert all(fault.startswith("mine.csv ") for fault in found)


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    """Faults of different rows and kinds are listed together."""
    text = HEADER + "0,7:00,6:30,home,work,15\n1,7:00,7:30,home,werk,15\n9,7:00,7:30,home,work,-3\n"
    assert len(faults(tmp_path, text)) == 4


def test_columns_must_be_those_expected(tmp_path: Path) -> None:
    """Missing and unknown columns are named; so is a file that cannot be read."""
    found = faults(tmp_path, "vehicle,depart,arrive,from,too,km\n")
    assert found == [
        "mine.csv row 1: column 'to' is missing",
        "mine.csv row 1: column 'too' is unknown (vehicle, depart, arrive, from, to, km)",
    ]
    assert "cannot read" in faults(tmp_path, GOOD, {"travel.itineraries": "absent.csv"})[0]


def test_departure_wish_counts_in_the_domain(tmp_path: Path) -> None:
    """A first departure soon after the start cannot reach S_user = 0.9, and can with none."""
    text = HEADER + "0,00:30,1:00,home,work,9\n0,8:00,8:30,work,home,9\n"
    changes: dict[str, Any] = {"fleet.departure_soc": 0.9}
    assert (
        "needs 27.00 kWh at departure, full charging gives at most 17.25 kWh"
        in faults(tmp_path, text, changes)[0]
    )
    assert own(tmp_path, text, {"fleet.departure_soc": "none"}).n == 3
