"""The audit passes sound runs and names what is wrong with damaged ones."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from experiments.audit import audit
from experiments.audit_findings import Findings
from experiments.audit_folder import read_folder
from experiments.audit_series import step_values
from experiments.reading import read_run

Change = Callable[[pd.DataFrame], pd.DataFrame]
Rewrite = Callable[[Path, str, Change], None]


def setting(column: str, value: object, **where: object) -> Change:
    """Change of one cell's column in all rows that match."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        rows = pd.Series(True, index=frame.index)
        for name, wanted in where.items():
            rows &= frame[name] == wanted
        assert rows.any(), f"no row matches {where}"
        frame.loc[rows, column] = value
        return frame

    return change


def adding(column: str, amount: float, **where: object) -> Change:
    """Addition to one column in all rows that match."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        rows = pd.Series(True, index=frame.index)
        for name, wanted in where.items():
            rows &= frame[name] == wanted
        assert rows.any(), f"no row matches {where}"
        frame.loc[rows, column] += amount
        return frame

    return change


def without(**where: object) -> Change:
    """Remove the rows that match."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        rows = pd.Series(True, index=frame.index)
        for name, wanted in where.items():
            rows &= frame[name] == wanted
        assert rows.any(), f"no row matches {where}"
        return frame[~rows]

    return change


def swapped_cars(frame: pd.DataFrame) -> pd.DataFrame:
    """Give each car the other one's life."""
    frame["vehicle_id"] = 1 - frame["vehicle_id"]
    return frame


def doubled(frame: pd.DataFrame) -> pd.DataFrame:
    """Give the first row twice."""
    return pd.concat([frame, frame.iloc[[0]]])


def cut_in_two(frame: pd.DataFrame) -> pd.DataFrame:
    """Cut a row of car 1 where nothing changes."""
    first = frame[(frame["vehicle_id"] == 1) & (frame["start_s"] == 0)]
    rest = frame.drop(first.index)
    return pd.concat([rest, first.assign(end_s=18_000), first.assign(start_s=18_000)])


def curtailed_while_importing(frame: pd.DataFrame) -> pd.DataFrame:
    """Let PV shine at nine and not be used, though work imports."""
    rows = (frame["region"] == "work") & (frame["step_start_s"] == 32_400)
    frame.loc[rows, ["pv_kw", "pv_curtailed_kw"]] = 1.0
    return frame


NOON = 43_200
DAMAGES: list[tuple[str, str, Change, str, str]] = [
    (
        "one power",
        "segments",
        setting("power_kw", 3.9, vehicle_id=0, start_s=7200),
        "energy balance",
        "vehicle 0 at 02:00",
    ),
    (
        "one energy",
        "segments",
        adding("energy_end_kwh", 0.01, vehicle_id=0, start_s=7200),
        "continuity",
        "vehicle 0",
    ),
    ("a missing segment", "segments", without(vehicle_id=0, start_s=16_200), "tiling", "vehicle 0 at 08:00"),
    ("a row given twice", "segments", doubled, "tiling", "vehicle 0 at 00:00"),
    ("a needless cut", "segments", cut_in_two, "merging", "vehicle 1 at 05:00"),
    (
        "power unplugged",
        "segments",
        setting("plugged", False, vehicle_id=0, start_s=NOON),
        "states",
        "vehicle 0 at 12:00",
    ),
    ("another place", "segments", setting("region", "work", vehicle_id=1), "places", "vehicle 1"),
    (
        "too much power",
        "segments",
        setting("power_kw", 4.5, vehicle_id=0, start_s=79_200),
        "power limit",
        "22:00",
    ),
    ("swapped cars", "segments", swapped_cars, "drives", "vehicle 1 at 08:00"),
    (
        "another initial energy",
        "segments",
        adding("energy_start_kwh", 0.5, vehicle_id=1, start_s=0),
        "initial energy",
        "vehicle 1",
    ),
    (
        "a trip's energy",
        "trips",
        setting("energy_kwh", 2.2, trip_index=0),
        "trip energy",
        "vehicle 0, trip planned at 08:00",
    ),
    ("a trip's distance", "trips", setting("distance_km", 11.0, trip_index=1), "trip energy", "17:00"),
    ("a trip's departure", "trips", setting("depart_s", 28_700, trip_index=0), "realised", "08:00"),
    ("a trip's destination", "trips", setting("destination", "home", trip_index=0), "places", "vehicle 0"),
    ("a missing trip", "trips", without(trip_index=1), "drives", "vehicle 0 at 17:00"),
    ("a requirement", "trips", setting("required_kwh", 9.0, trip_index=0), "required energy", "vehicle 0"),
    ("help out of nowhere", "trips", setting("unmet_kwh", 0.5, trip_index=1), "unmet", "17:00"),
    ("a car's battery", "vehicles", setting("battery_kwh", 21.0, vehicle_id=1), "fleet", "vehicle 1"),
    ("a car's chain", "vehicles", setting("chain", "H-W-O-H", vehicle_id=0), "fleet", "vehicle 0"),
    ("a missing car", "vehicles", without(vehicle_id=1), "fleet", "1 rows"),
    ("a load", "grid", adding("load_kw", 0.5, region="home", step_start_s=NOON), "balance", "home at 12:00"),
    (
        "a price",
        "grid",
        setting("buy_price_per_kwh", 0.41, region="work", step_start_s=NOON),
        "price",
        "work at 12:00",
    ),
    ("a missing step", "grid", without(region="work", step_start_s=NOON), "grid rows", "191 rows"),
    (
        "an export over its limit",
        "grid",
        adding("export_kw", 1.0, region="work", step_start_s=NOON),
        "connection limit",
        "work at 12:00",
    ),
    ("curtailment", "grid", curtailed_while_importing, "curtailment", "work at 09:00"),
    (
        "the cars' load",
        "grid",
        adding("ev_charge_kw", 0.25, region="home", step_start_s=9000),
        "car load",
        "home at 02:30",
    ),
    (
        "a turbine",
        "grid",
        setting("turbine_kw", 3.0, region="work", step_start_s=64_800),
        "turbine ramp",
        "work at 18:00",
    ),
    (
        "import and export",
        "grid",
        adding("import_kw", 1.0, region="work", step_start_s=NOON),
        "import or export",
        "work",
    ),
    (
        "a battery's power",
        "storage",
        setting("power_kw", -1.0, step_start_s=36_000),
        "battery energy",
        "unit 0 at 10:00",
    ),
    (
        "a battery's energy",
        "storage",
        adding("energy_kwh", 0.1, step_start_s=36_000),
        "battery energy",
        "unit 0 at 10:00",
    ),
    (
        "a tie's flow",
        "ties",
        setting("flow_kw", -2.5, step_start_s=NOON),
        "tie limit",
        "home to work at 12:00",
    ),
    ("a tie's loss", "ties", setting("loss_kw", 0.0, step_start_s=NOON), "tie loss", "home to work at 12:00"),
    (
        "a plugged car",
        "domain",
        adding("n_plugged", 1, region="home", step_start_s=0),
        "domain",
        "home at 00:00",
    ),
    (
        "a lower bound",
        "domain",
        adding("lower_kwh", 0.3, region="home", step_start_s=27_900),
        "domain",
        "home at 07:45",
    ),
    (
        "an upper bound",
        "domain",
        adding("upper_kwh", -0.3, region="work", step_start_s=NOON),
        "domain",
        "work at 12:00",
    ),
    ("a missing decision", "decisions", without(step_start_s=NOON), "decisions", "95 rows"),
    ("a missing marginal", "marginals", without(step_start_s=NOON, vehicle_id=1), "marginals", "at 12:00"),
    ("a car's marginals twice", "marginals", doubled, "marginals", ""),
    (
        "a marginal of another place",
        "marginals",
        setting("region", "work", step_start_s=NOON, vehicle_id=1),
        "marginals",
        "at 12:00",
    ),
    (
        "a value whose parts do not add up",
        "marginals",
        adding("requirement_duals_per_kwh", 0.01, step_start_s=NOON, vehicle_id=1),
        "marginals",
        "at 12:00",
    ),
    (
        "a price below zero",
        "marginals",
        setting("limit_worth_per_kw", -0.01, step_start_s=NOON, vehicle_id=1),
        "marginals",
        "at 12:00",
    ),
    (
        "a set-point that loses",
        "marginals",
        setting("set_point_kw", -1.0, step_start_s=NOON, vehicle_id=1),
        "marginals",
        "at 12:00",
    ),
    ("an unsolved step", "decisions", setting("status", "none", step_start_s=NOON), "decisions", "at 12:00"),
    ("no objective", "decisions", setting("objective", None, step_start_s=NOON), "decisions", "at 12:00"),
    ("a gap", "decisions", setting("gap", 0.2, step_start_s=NOON), "decisions", "at 12:00"),
    (
        "a hidden fallback",
        "decisions",
        setting("status", "fallback:charge", step_start_s=NOON),
        "decisions",
        "at 12:00",
    ),
]


def test_audit_shares_only_the_schema() -> None:
    """No module of the audit imports anything of the simulator but the schema and the errors."""
    allowed = {"sim.trace", "sim.errors", "experiments.reading"}
    files = sorted((Path(__file__).parent.parent / "experiments").glob("audit*.py"))
    files.append(files[0].with_name("reading.py"))
    assert len(files) > 10
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {
            name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
        }
        ours = {
            name for name in modules if name.split(".")[0] in ("sim", "agents", "dispatch", "experiments")
        }
        assert {name for name in ours if not name.startswith("experiments.audit")} <= allowed, file.name


def test_sound_folder_has_no_findings(two_cars: Path) -> None:
    """A folder that obeys every rule passes."""
    assert audit(two_cars) == []


@pytest.mark.parametrize("damage", [pytest.param(damage, id=damage[0]) for damage in DAMAGES])
def test_damage_is_named(two_cars: Path, rewrite: Rewrite, damage: tuple[str, str, Change, str, str]) -> None:
    """Each kind of damage is found, by the check that is meant for it and with its place."""
    _, table, change, check, text = damage
    rewrite(two_cars, table, change)
    lines = [str(finding) for finding in audit(two_cars) if finding.check == check]
    assert any(text in line for line in lines), "\n".join(str(finding) for finding in audit(two_cars))


def test_every_key_figure_is_recomputed(two_cars: Path) -> None:
    """A change of any key figure is found, but of those that never reached the tables."""
    file = two_cars / "kpis.json"
    figures = json.loads(file.read_text(encoding="utf-8"))
    for name in figures.keys() - {"clipped_kwh"}:
        file.write_text(
            json.dumps({**figures, name: figures[name] + 0.01 * (1 + abs(figures[name]))}), encoding="utf-8"
        )
        lines = [str(finding) for finding in audit(two_cars)]
        assert len(lines) == 1, name
        assert name in lines[0]


def test_missing_and_unknown_key_figures(two_cars: Path) -> None:
    """A key figure that is left out, made up, or no number is a fault."""
    file = two_cars / "kpis.json"
    figures = json.loads(file.read_text(encoding="utf-8"))
    del figures["ev_bill_eur"]
    file.write_text(json.dumps({**figures, "luck": 7, "trips": "two"}), encoding="utf-8")
    lines = "\n".join(map(str, audit(two_cars)))
    assert "ev_bill_eur is missing" in lines
    assert "luck is no key figure" in lines
    assert "trips is 'two', not a number" in lines


@pytest.mark.parametrize(
    ("path", "new", "check"),
    [
        (
            "charge_efficiency = 0.8\ndischarge_efficiency = 0.8\nsoc_min = 0.1",
            "charge_efficiency = 0.7\ndischarge_efficiency = 0.8\nsoc_min = 0.1",
            "battery energy",
        ),
        ("soc_min = 0.1", "soc_min = 0.1\nself_discharge_per_day = 0.5", "battery energy"),
        ("seed = 7", "seed = 8", "manifest"),
        ("departure_soc = 0.5", "departure_soc = 0.6", "required energy"),
        ("throughput_price_per_kwh = 0.2", "throughput_price_per_kwh = 0.1", "key figures"),
        ("import_limit_kw = 30.0", "import_limit_kw = 5.0", "connection limit"),
        ("size = 2", "size = 3", "fleet"),
    ],
)
def test_scenario_that_is_not_the_runs(two_cars: Path, path: str, new: str, check: str) -> None:
    """A folder with another scenario than the one it was made from does not pass."""
    file = two_cars / "scenario.toml"
    text = file.read_text(encoding="utf-8")
    assert path in text
    file.write_text(text.replace(path, new), encoding="utf-8")
    assert check in {finding.check for finding in audit(two_cars)}


def test_order_of_rows_does_not_matter(two_cars: Path, rewrite: Rewrite) -> None:
    """Tables rewritten with the same rows in another order pass."""
    for table in ("vehicles", "trips", "segments", "domain", "grid", "storage", "ties", "decisions"):
        rewrite(two_cars, table, lambda frame: frame.sample(frac=1.0, random_state=5))
    assert audit(two_cars) == []


def test_broken_schema_stops_the_audit(two_cars: Path) -> None:
    """Columns missing, of another type or not finite are named, and nothing else is checked."""
    file = two_cars / "grid.parquet"
    frame = pd.read_parquet(file)
    frame["load_kw"] = frame["load_kw"].astype("int64")
    frame.drop(columns="tie_kw").to_parquet(file)
    lines = [str(finding) for finding in audit(two_cars)]
    assert "grid: column tie_kw is missing [schema]" in lines
    assert any("column load_kw is int64, should be double" in line for line in lines)
    assert {finding.check for finding in audit(two_cars)} == {"schema"}


def test_unreadable_table_is_a_finding(two_cars: Path) -> None:
    """A file that is no Parquet is a fault, not a crash."""
    (two_cars / "ties.parquet").write_text("no table", encoding="utf-8")
    assert [finding.check for finding in audit(two_cars)] == ["readable"]


def test_series_are_read_again_by_hand(two_cars: Path) -> None:
    """Held, averaged and drawn values of a series stand at the scenario's clock, whatever the file's convention."""
    findings = Findings()
    folder = read_folder(read_run(two_cars), findings)
    assert folder is not None
    hours = pd.date_range("2025-05-05T00:00", periods=72, freq="h")
    file = two_cars / "series.csv"
    pd.DataFrame({"time": hours.strftime("%Y-%m-%dT%H:%M"), "x": range(72)}).to_csv(file, index=False)
    hourly = {"file": str(file), "column": "x", "time_column": "time", "step_minutes": 60, "zone": "scenario",
              "stamp": "beginning", "to_quarter_hours": "hold", "wrap": "none"}  # fmt: skip

    def values(**changes: object) -> list[float]:
        found = step_values(folder, {**hourly, **changes})
        assert found is not None
        return [float(value) for value in found]

    assert values()[:5] == [24, 24, 24, 24, 25]
    assert values(stamp="ending")[:5] == [25, 25, 25, 25, 26]
    assert values(zone="UTC")[:5] == [
        23,
        23,
        23,
        23,
        24,
    ]  # Berlin's standard time is an hour ahead, also in May
    assert values(to_quarter_hours="linear")[:3] == pytest.approx([23.625, 23.875, 24.125])
    assert step_values(folder, {**hourly, "file": "gone.csv"}) is None
    assert step_values(folder, {**hourly, "wrap": "year"}) is None
    minutes = {"step_minutes": 5, "to_quarter_hours": "mean", "start": "2025-05-05T23:55"}
    del hourly["time_column"]
    assert values(**minutes)[:2] == pytest.approx([2.0, 5.0])


@pytest.mark.parametrize("key", ["days", "buy_per_kwh", "capacity_kwh", "departure_soc", "kind"])
def test_a_scenario_that_lacks_something_is_a_finding(two_cars: Path, key: str) -> None:
    """A folder whose scenario lost a line, or has a word for a number, is at fault, and no crash."""
    file = two_cars / "scenario.toml"
    whole = file.read_text(encoding="utf-8")
    assert re.search(rf"(?m)^{key} = ", whole)
    for text in (
        re.sub(rf"(?m)^{key} = .*$", "", whole),
        re.sub(rf"(?m)^{key} = .*$", f'{key} = "?"', whole),
    ):
        file.write_text(text, encoding="utf-8")
        assert audit(two_cars)


@pytest.mark.parametrize("name", ["version", "code_version", "packages", "policy", "seed", "reproducible"])
def test_a_manifest_that_lacks_something_is_a_finding(two_cars: Path, name: str) -> None:
    """What made the run must be told."""
    file = two_cars / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    del manifest[name]
    file.write_text(json.dumps(manifest), encoding="utf-8")
    assert [finding.table for finding in audit(two_cars)] == ["manifest.json"]


def test_another_policy_is_a_finding(two_cars: Path) -> None:
    """A manifest that names another policy than the scenario is at fault."""
    file = two_cars / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8")) | {"policy": "own-cost"}
    file.write_text(json.dumps(manifest), encoding="utf-8")
    assert [str(finding) for finding in audit(two_cars)] == [
        "manifest.json: policy is 'own-cost', the scenario says 'rolling' [manifest]"
    ]


def test_another_work_place_is_a_finding(two_cars: Path, rewrite: Rewrite) -> None:
    """Sampled trips to work lead to the car's own work place; a user's own itineraries may lead anywhere."""
    rewrite(two_cars, "vehicles", setting("work_region", ""))
    assert {finding.check for finding in audit(two_cars)} == {"fleet"}
    file = two_cars / "scenario.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('source = "itineraries"', 'source = "sampled"'), encoding="utf-8")
    found = [finding for finding in audit(two_cars) if finding.check == "places"]
    assert [finding.claim for finding in found] == ["leads to work at 'work', the car works at 'nowhere'"]
