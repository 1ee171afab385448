"""The audit of runs on sessions with a queue: sound ones pass, damaged ones are named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.audit import audit
from experiments.reading import read_run
from experiments.running import run

Change = Callable[[pd.DataFrame], pd.DataFrame]
ROWS = (
    "session_id,arrival,departure,energy_kwh,declared_departure,declared_energy_kwh\n"
    "a,2019-06-19 07:00,2019-06-19 12:00,20,2019-06-19 13:00,30\n"
    "b,2019-06-19 08:00,2019-06-19 15:00,15,,\n"  # waits until 12:00
    "c,2019-06-19 09:00,2019-06-19 11:00,5,2019-06-19 11:00,5\n"  # waits and leaves unplugged
    "d,2019-06-19 10:00,2019-06-19 18:00,5,2019-06-19 18:00,5\n"  # finds two waiting, and balks
    "e,2019-06-19 16:00,2019-06-20 06:00,10,2019-06-20 08:00,12\n"
    "f,2019-06-19 12:30,2019-06-19 12:00,5,,\n"  # cannot be
)
SCENARIO = """
extends = "workplace-charging"
[travel.sessions]
file = "yard.csv"
zone = "America/Los_Angeles"
faults = "drop"
regions = {}
[fleet.drivers]
balk_at = 2
[[regions]]
name = "away"
place_type = "H"
weight = 1.0
chargers = 0
import_limit_kw = "unlimited"
export_limit_kw = 0.0
[[regions]]
name = "yard"
place_type = "W"
weight = 1.0
chargers = 1
import_limit_kw = 6.0
export_limit_kw = 0.0
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a yard with one charger and five sessions."""
    folder = tmp_path_factory.mktemp("yard")
    (folder / "yard.csv").write_text(ROWS, encoding="utf-8")
    (folder / "yard.toml").write_text(SCENARIO, encoding="utf-8")
    run(folder / "yard.toml", out=folder / "run")
    return folder / "run"


def test_waits_and_sessions_are_told(sound: Path) -> None:
    """Who waits, who leaves, who does not queue; energies and key figures; no finding."""
    opened = read_run(sound)
    waits = opened.queue.set_index("vehicle_id")
    assert waits["outcome"].to_dict() == {1: "plugged", 2: "left", 3: "balked"}
    assert ((waits["end_s"] - waits["join_s"]) / 3600).to_dict() == {1: 4.0, 2: 2.0, 3: 0.0}
    kpis = opened.kpis
    assert (kpis["queue_h"], kpis["queued_stops"], kpis["unplugged_departures"]) == (6.0, 2.0, 2.0)
    assert (kpis["sessions_served"], kpis["sessions_dropped"]) == (5.0, 1.0)
    sessions = opened.sessions.set_index("session_id")
    assert sessions.loc["f", "status"] == "order"
    assert kpis["departure_shortfall_kwh"] >= 10.0  # c and d get nothing
    assert audit(sound) == []


def moved(column: str, by: float, row: int = 0) -> Change:
    """Change one cell."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame.index[row], column] += by
        return frame

    return change


def called(column: str, value: object, row: int = 0) -> Change:
    """Overwrite one cell."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame.index[row], column] = value
        return frame

    return change


@pytest.mark.parametrize(
    ("table", "change", "claim"),
    [
        ("queue", moved("end_s", 3600), "waits though it is plugged in"),
        ("queue", moved("join_s", -3600 * 2), "waits where it is not parked"),
        ("queue", called("outcome", "left"), "does not depart at the end of its wait"),
        ("queue", called("outcome", "waiting", 1), "waits on, though its wait ends before the run"),
        ("queue", called("region", "away", 1), "waits where it is not parked"),
        ("queue", called("vehicle_id", 99, 1), "of no car, region or time of the run"),
        ("sessions", moved("energy_kwh", 1.0), "soc_max"),
        ("sessions", moved("energy_kwh", 100.0), "cannot give that in its stay"),
        ("sessions", moved("arrive_s", 60), "arrives at another time than its session"),
        ("sessions", moved("depart_s", 60), "leaves at another time than its session"),
        ("sessions", moved("charge_limit_kw", 5.0), "above its class's"),
        ("sessions", called("status", "served", 4), "should be one for each of 0..5"),
        ("sessions", moved("vehicle_id", 1), "not one to one"),
        ("sessions", called("declared_depart_s", pd.NA), "has a declared departure, its session has none"),
        ("sessions", called("status", "overlap"), "should be one for each of 0..3"),
    ],
)
def test_damage_is_named(
    sound: Path, tmp_path: Path, rewrite: Any, table: str, change: Change, claim: str
) -> None:
    """One cell that is not what the run says is found, by words that tell what is wrong."""
    folder = shutil.copytree(sound, tmp_path / "run")
    rewrite(folder, table, change)
    told = [str(finding) for finding in audit(folder)]
    assert any(claim in line for line in told), told


def test_a_free_charger_beside_a_wait_is_named(sound: Path, tmp_path: Path, rewrite: Any) -> None:
    """Sessions of a region with two chargers would not have waited."""
    folder = shutil.copytree(sound, tmp_path / "run")
    text = (folder / "scenario.toml").read_text(encoding="utf-8")
    assert text.count("chargers = 1\n") == 1
    (folder / "scenario.toml").write_text(text.replace("chargers = 1\n", "chargers = 2\n"), encoding="utf-8")
    assert any("of 2 chargers are taken" in str(finding) for finding in audit(folder))
