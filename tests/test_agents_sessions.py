"""Charging sessions as the fleet: what is read, what is refused, what cars do and what others are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agents.fleet import VehicleFleet
from agents.session_file import read_sessions
from sim.clock import NEVER_S
from sim.errors import ScenarioError
from sim.scenario import Scenario
from sim.trace import OPEN_AT_START, SERVED, SESSIONS
from tests.agents_cases import Run, region, scenario_of

HEADER = "session_id,arrival,departure,energy_kwh,declared_departure,declared_energy_kwh,charger_kw,charger_id,site\n"
GOOD = (
    HEADER
    + "a,2016-04-20 07:30,2016-04-20 16:00,12,2016-04-20 17:00,20,,1,yard\n"
    + "b,2016-04-20 09:00,2016-04-20 10:00,3,,,4,2,yard\n"
    + "c,2016-04-20 17:00,2016-04-21 07:00,5,2016-04-20 18:00,4,,1,yard\n"
)
CLASS = {
    "name": "car",
    "share": 1.0,
    "battery_kwh": 50.0,
    "consumption_kwh_per_km": 0.2,
    "charge_limit_kw": 6.0,
    "discharge_limit_kw": 0.0,
    "charge_efficiency": 0.9,
    "discharge_efficiency": 0.9,
    "soc_min": 0.0,
    "soc_max": 1.0,
    "initial_soc": 0.1,
}


def scenario(changes: dict[str, Any] | None = None) -> Scenario:
    """A yard to which cars come from away."""
    return scenario_of(
        {
            "fleet.size": "sessions",
            "fleet.departure_soc": "none",
            "fleet.plug_in_probability": {"H": 0.0, "W": 1.0},
            "fleet.classes": [CLASS],
            "travel.source": "sessions",
            "travel.sessions": {"file": "s.csv", "zone": "scenario", "faults": "refuse"},
            "regions": [region("away", "H", chargers=0), region("yard", "W")],
        }
        | (changes or {})
    )


def written(tmp_path: Path, text: str) -> Any:
    """Write the file and tell where it is."""
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    return lambda file: tmp_path / file


def faults(tmp_path: Path, rows: str, changes: dict[str, Any] | None = None) -> list[str]:
    """Give the faults of a file's rows."""
    with pytest.raises(ScenarioError) as caught:
        read_sessions(scenario(changes), written(tmp_path, HEADER + rows))
    return list(caught.value.faults)


def test_each_session_is_a_car(tmp_path: Path) -> None:
    """It comes, takes what its session took at full power, and leaves; no more than that, however long it stays."""
    written(tmp_path, GOOD)
    run = Run(scenario({"simulation.days": 2}), lambda _, cars: cars.charge_limit_kw, base_dir=tmp_path)
    segments, trips = run.segments, run.trips
    for car, (energy_kwh, limit_kw) in enumerate(((12.0, 6.0), (3.0, 4.0), (5.0, 6.0))):
        own = segments[segments["vehicle_id"] == car]
        taken = (own["power_kw"] * (own["end_s"] - own["start_s"]) / 3600).sum()
        assert taken == pytest.approx(energy_kwh)
        assert own["power_kw"].max() <= limit_kw
        assert own["energy_end_kwh"].iloc[-1] == pytest.approx(5.0 + 0.9 * energy_kwh)
    assert trips["planned_arrive_s"].tolist()[::2] == [27_000, 32_400, 61_200]
    assert trips["planned_depart_s"].tolist()[1::2] == [57_600, 36_000, 86_400 + 25_200]
    leaves = trips.iloc[1::2]
    assert leaves["required_kwh"].tolist() == pytest.approx([15.8, 7.7, 9.5])
    assert leaves["declared_depart_s"].fillna(-1).tolist() == [61_200, -1, 64_800]


def test_others_are_told_the_declaration(tmp_path: Path) -> None:
    """Until a car is full it shows what its driver asked for; a driver who said nothing shows a whole battery."""
    shown: dict[int, dict[int, tuple[float, float, int]]] = {0: {}, 1: {}}

    def look(now_s: int, cars: Any) -> Any:
        for car, words in shown.items():
            if cars.is_plugged[car]:
                words[now_s] = (
                    float(cars.energy_max_kwh[car]),
                    float(cars.required_kwh[car]),
                    int(cars.departure_s[car]),
                )
        return cars.charge_limit_kw

    written(tmp_path, GOOD)
    Run(scenario(), look, base_dir=tmp_path)
    asked = 5.0 + 0.9 * 20.0
    assert shown[0][27_000] == pytest.approx((asked, asked, 61_200))
    assert shown[0][27_000 + 2 * 3600][:2] == pytest.approx((15.8, 15.8))  # full after 12 kWh at 6 kW
    assert shown[1][32_400][:2] == pytest.approx((50.0, 40.0))  # undeclared_soc = 0.8
    assert shown[1][32_400][2] == NEVER_S


def test_faults_are_told_at_once(tmp_path: Path) -> None:
    """Each with its row, its session and what is wrong."""
    rows = (
        "a,2016-04-20 09:00,2016-04-20 08:00,1,,,,,yard\n"
        "b,2016-04-20 09:00,2016-04-20 10:00,7,,,,,yard\n"
        "c,2016-04-20 09:00,2016-04-20 19:00,51,,,,,yard\n"
        "d,2016-04-20 09:00,2016-04-20 10:00,1,,,,7,yard\n"
        "e,2016-04-20 09:30,2016-04-20 10:30,1,,,,7,yard\n"
        "d,2016-04-20 11:00,2016-04-20 12:00,1,,,,,yard\n"
        "f,2016-04-20 09:00-07:00,2016-04-20 12:00,1,,,,,yard\n"
        "g,2016-04-20 09:00,2016-04-20 12:00,-1,,,,,yard\n"
        "h,2016-04-20 09:00,noon,1,,,,,yard\n"
        "i,2016-04-20 09:00,2016-04-20 12:00,1,2016-04-20 08:00,,,,yard\n"
    )
    told = faults(tmp_path, rows)
    for place, what in (
        ("s.csv row 2: session 'a'", "departure is not after arrival"),
        ("s.csv row 3: session 'b'", "takes 7 kWh, 6 kW give 6.000 kWh"),
        ("s.csv row 4: session 'c'", "a battery of the class takes 50 kWh"),
        ("s.csv row 6: session 'e'", "begins at charger '7' while row 5 is there"),
        ("s.csv row 7: session 'd'", "the same session_id as row 5"),
        ("s.csv row 8: session 'f'", "has an offset"),
        ("s.csv row 9: session 'g'", "energy_kwh '-1' is not a number above 0"),
        ("s.csv row 10: session 'h'", "'noon' is no ISO datetime"),
        ("s.csv row 11: session 'i'", "declared_departure is not after arrival"),
    ):
        assert any(line.startswith(place) and what in line for line in told), (place, what, told)
    assert len([line for line in told if "row 5" in line and line.startswith("s.csv row 5")]) == 0


def test_dropped_sessions_are_counted(tmp_path: Path) -> None:
    """Faulty ones and those open at the start stay in the table, with what is wrong, and are no cars."""
    text = (
        GOOD
        + (
            "x,2016-04-20 09:00,2016-04-20 08:00,1,,,,,yard\n"
            "y,2016-04-19 23:00,2016-04-20 08:00,1,,,,,yard\n"
            "z,2016-04-21 23:30,2016-04-21 23:50,1,,,,,yard\n"  # within the day after, which declarations may reach
            "late,2016-04-25 09:00,2016-04-25 12:00,1,,,,,yard\n"
        )
    )
    settings = {"file": "s.csv", "zone": "scenario", "faults": "drop"}
    fleet = VehicleFleet(scenario({"travel.sessions": settings}), locate=written(tmp_path, text))
    table = SESSIONS.build(fleet.session_columns()).to_pandas().set_index("session_id")
    assert table["status"].to_dict() == {
        "y": OPEN_AT_START, "a": SERVED, "b": SERVED, "x": "order", "c": SERVED, "z": SERVED
    }  # fmt: skip
    assert fleet.n == 4
    assert table.loc[["a", "b", "c", "z"], "vehicle_id"].tolist() == [0, 1, 2, 3]
    assert table.loc[["x", "y"], "vehicle_id"].isna().all()


@pytest.mark.parametrize(
    ("zone", "text", "seconds"),
    [
        ("America/Los_Angeles", "2016-04-20 09:00", 16 * 3600),  # PDT is UTC-7; the scenario's clock is UTC+1
        ("America/Los_Angeles", "2016-04-20T09:00-07:00", 16 * 3600 + 3600),
        ("UTC", "2016-04-20 09:00", 10 * 3600),
        ("scenario", "2016-04-20 09:00", 9 * 3600),
    ],
)
def test_instants_come_on_the_scenarios_clock(tmp_path: Path, zone: str, text: str, seconds: int) -> None:
    """Wall time of the file's zone becomes the scenario's standard time, with or without an offset."""
    rows = HEADER + f"a,{text},2016-04-21 06:00,1,,,,,yard\n"
    if "T" in text:
        rows = rows.replace("2016-04-21 06:00", "2016-04-21T06:00-07:00")
    settings = {"file": "s.csv", "zone": zone, "faults": "refuse"}
    found = read_sessions(scenario({"travel.sessions": settings}), written(tmp_path, rows))
    expected = 17 * 3600 if zone == "America/Los_Angeles" else seconds
    assert found.arrive_s.tolist() == [expected]


def test_a_foreign_offset_is_a_fault(tmp_path: Path) -> None:
    """An offset that the file's zone does not have then, and an hour that summer time leaves out."""
    settings = {"file": "s.csv", "zone": "America/Los_Angeles", "faults": "refuse"}
    rows = (
        "a,2016-04-20T09:00-08:00,2016-04-20T12:00-07:00,1,,,,,yard\n"
        "b,2016-03-13 02:30,2016-03-13 12:00,1,,,,,yard\n"
    )
    told = faults(tmp_path, rows, {"travel.sessions": settings})
    assert any("row 2" in line and "UTC-07:00 then" in line for line in told)
    assert any("row 3" in line and "does not exist in America/Los_Angeles" in line for line in told)


def test_sites_are_regions(tmp_path: Path) -> None:
    """Sessions of named sites go to their regions, others are left out; a site that is not there is told."""
    settings = {"file": "s.csv", "zone": "scenario", "faults": "refuse", "regions": {"north": "yard"}}
    text = GOOD.replace(",2,yard", ",2,north")
    found = read_sessions(scenario({"travel.sessions": settings}), written(tmp_path, text))
    assert found.session_id == ("b",)
    wrong = settings | {"regions": {"south": "yard"}}
    assert faults(tmp_path, GOOD.removeprefix(HEADER), {"travel.sessions": wrong}) == [
        "travel.sessions.regions.south: s.csv has no such site (yard)"
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("session_id,arrival\n", "column 'departure' is missing"),
        (HEADER.replace("site", "colour"), "column 'colour' is unknown"),
    ],
)
def test_columns_are_checked(tmp_path: Path, text: str, fault: str) -> None:
    """Missing and unknown columns are named."""
    with pytest.raises(ScenarioError, match=fault):
        read_sessions(scenario(), written(tmp_path, text))


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    """Texts or timestamps, the same sessions."""
    read_csv = read_sessions(scenario(), written(tmp_path, GOOD))
    frame = pd.read_csv(tmp_path / "s.csv", dtype={"charger_id": str})
    for name in ("arrival", "departure", "declared_departure"):
        frame[name] = pd.to_datetime(frame[name])
    frame.to_parquet(tmp_path / "s.parquet")
    settings = {"file": "s.parquet", "zone": "scenario", "faults": "refuse"}
    found = read_sessions(scenario({"travel.sessions": settings}), lambda file: tmp_path / file)
    assert found.session_id == read_csv.session_id
    for name in ("arrive_s", "depart_s", "energy_kwh", "declared_depart_s", "declared_kwh"):
        np.testing.assert_array_equal(getattr(found, name), getattr(read_csv, name))
