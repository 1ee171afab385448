"""Fixtures shared by the tests: run folders made from the golden cases."""

from __future__ import annotations

import json
import math
import shutil
import signal
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sim.trace import ALL_TABLES, BY_NAME

collect_ignore = ["golden"]  # data, and programs that make it with other packages

GOLDEN = Path(__file__).parent / "golden"
STEP_S = 900


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """Put back what the command line changes of signals: it is made to be a process's only task, tests are many."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the golden case ``two_cars`` once."""
    target = tmp_path_factory.mktemp("golden") / "two-cars"
    write_two_cars(target)
    return target


@pytest.fixture
def two_cars(pristine: Path, tmp_path: Path) -> Path:
    """Copy the run folder of the golden case ``two_cars``, to be damaged at will."""
    return Path(shutil.copytree(pristine, tmp_path / "two-cars"))


@pytest.fixture
def rewrite() -> Callable[[Path, str, Callable[[pd.DataFrame], pd.DataFrame]], None]:
    """Give the function that changes one table of a run folder."""
    return rewrite_table


def rewrite_table(folder: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Read a table, change it as a frame, and write it with the schema again."""
    file = folder / f"{name}.parquet"
    frame = pq.read_table(file).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    changed = change(frame.copy())
    pq.write_table(
        pa.Table.from_pandas(changed, schema=BY_NAME[name].arrow_schema(), preserve_index=False), file
    )


def write_two_cars(target: Path) -> None:
    """Make the run folder of the golden case from its hand-written files."""
    source = GOLDEN / "two_cars"
    target.mkdir(parents=True)
    for name in ("scenario.toml", "kpis.json"):
        shutil.copy(source / name, target / name)
    scenario = tomllib.loads((source / "scenario.toml").read_text(encoding="utf-8"))
    frames = {name: pd.read_csv(source / f"{name}.csv") for name in ("vehicles", "trips", "segments")}
    steps = _steps(pd.read_csv(source / "grid_spans.csv"), scenario)
    frames["grid"] = steps.drop(columns="flow_kw")
    frames["storage"] = steps[steps["region"] == "work"][["step_start_s", "region"]].assign(
        unit_id=0, power_kw=steps["battery_kw"], energy_kwh=steps["battery_energy_kwh"], reactive_kvar=0.0
    )
    flow = steps[steps["region"] == "work"]["flow_kw"]
    frames["ties"] = pd.DataFrame(
        {
            "step_start_s": steps[steps["region"] == "work"]["step_start_s"],
            "from_region": "home",
            "to_region": "work",
            "flow_kw": flow,
            "loss_kw": 0.1 * flow.abs(),
        }
    )
    frames["domain"] = _domain(frames, scenario)
    frames["decisions"] = pd.DataFrame({"step_start_s": range(0, 86_400, STEP_S)}).assign(
        status="optimal",
        objective=100.0,
        bound=100.0,
        gap=0.0,
        turbine_bound=None,
        turbine_gap=None,
        binaries=0,
        iterations=12,
        fallback=False,
        lowered_kwh=0.0,
        max_overlap_kw=0.0,
        feeder_rounds=0,
        feeder_unsolved=False,
        seconds=0.01,
    )
    frames["marginals"] = _marginals(frames["segments"])
    for table in ALL_TABLES:
        schema = table.arrow_schema()
        empty = schema.empty_table().to_pandas()
        frame = frames.get(table.name, empty)
        pq.write_table(
            pa.Table.from_pandas(frame, schema=schema, preserve_index=False), target / f"{table.name}.parquet"
        )
    manifest = {
        "scenario": "two-cars",
        "policy": "rolling",
        "seed": 7,
        "replication": 0,
        "start": "2025-05-06",
        "status": "complete",
        "wall_seconds": 1.0,
        "peak_memory_mb": 100.0,
        "version": "0.1.0",
        "code_version": "0" * 16,
        "packages": {},
        "reproducible": True,
    }
    (target / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _steps(spans: pd.DataFrame, scenario: dict[str, Any]) -> pd.DataFrame:
    """Make one row per step and region; prices by the hour, battery energy step by step."""
    prices = {}
    for period in scenario["tariff"]["periods"]:
        for begin, end in period["hours"]:
            for hour in range(begin, end):
                prices[hour] = (period["buy_per_kwh"], period["sell_per_kwh"], period["curtailment_per_kwh"])
    rows = []
    for region in ("home", "work"):
        energy = 5.0 if region == "work" else 0.0
        for step in range(96):
            hour = step / 4
            span = spans[
                (spans["region"] == region) & (spans["from_h"] <= hour) & (hour < spans["to_h"])
            ].iloc[0]
            battery, flow = float(span["battery_kw"]), float(span["flow_kw"])
            energy += 0.25 * (0.8 * battery if battery > 0 else battery / 0.8)
            tie = -0.9 * flow if region == "home" else flow  # power flows from work to home only
            buy, sell, curtail = prices[math.floor(hour)]
            rows.append(
                {
                    "step_start_s": step * STEP_S,
                    "region": region,
                    "load_kw": span["load_kw"],
                    "unserved_kw": 0.0,
                    "pv_kw": span["pv_kw"],
                    "pv_curtailed_kw": span["pv_curtailed_kw"],
                    "wind_kw": 0.0,
                    "wind_curtailed_kw": 0.0,
                    "feed_in_cap_kw": None,
                    "turbine_kw": span["turbine_kw"],
                    "battery_kw": battery,
                    "battery_energy_kwh": energy,
                    "ev_charge_kw": span["ev_charge_kw"],
                    "ev_discharge_kw": span["ev_discharge_kw"],
                    "charger_kvar": 0.0,
                    "import_kw": span["import_kw"],
                    "export_kw": span["export_kw"],
                    "tie_kw": tie,
                    "buy_price_per_kwh": buy,
                    "sell_price_per_kwh": sell,
                    "curtailment_price_per_kwh": curtail,
                    "flow_kw": flow,
                }
            )
    return pd.DataFrame(rows).sort_values(["step_start_s", "region"]).reset_index(drop=True)


def _marginals(segments: pd.DataFrame) -> pd.DataFrame:
    """Make a row per region and per plugged car of each decision, all of no worth."""
    rows: list[tuple[int, int | None, str]] = []
    for t in range(0, 86_400, STEP_S):
        rows += [(t, None, region) for region in ("home", "work")]
        here = segments[segments["plugged"] & (segments["start_s"] <= t) & (t < segments["end_s"])]
        rows += [(t, row.vehicle_id, row.region) for row in here.itertuples()]
    frame = pd.DataFrame(rows, columns=["step_start_s", "vehicle_id", "region"])
    return frame.assign(
        vehicle_id=frame["vehicle_id"].astype("Int64"),
        marginal_value_per_kwh=0.0,
        binding_limit="",
        protected_departure_s=pd.NA,
        departure_dual_per_kwh=0.0,
        best_later_step_s=pd.NA,
        best_later_value_per_kwh=None,
        set_point_kw=0.0,
        terminal_value_per_kwh=0.0,
        requirement_duals_per_kwh=0.0,
        dearest_departure_s=pd.NA,
        full_duals_per_kwh=0.0,
        full_s=pd.NA,
        limit_worth_per_kw=0.0,
        reason="waits",
        ambiguous="",
        program="relaxation",
    )


def _domain(frames: dict[str, pd.DataFrame], scenario: dict[str, Any]) -> pd.DataFrame:
    """Sum the capacity domain by brute force: in 450 s for the upper bound, car by car for the lower."""
    rows = {(t, region): [0, 0.0, 0.0, 0.0] for t in range(0, 86_400, STEP_S) for region in ("home", "work")}
    for vehicle in (0, 1):
        trips = frames["trips"][frames["trips"]["vehicle_id"] == vehicle]
        upper = 10.0
        for segment in frames["segments"][frames["segments"]["vehicle_id"] == vehicle].itertuples():
            for t in range(segment.start_s, segment.end_s, 450):
                if t % STEP_S == 0 and segment.plugged:
                    share = (t - segment.start_s) / (segment.end_s - segment.start_s)
                    energy = segment.energy_start_kwh + share * (
                        segment.energy_end_kwh - segment.energy_start_kwh
                    )
                    ahead = trips[trips["depart_s"] > t]
                    lower = 4.0
                    if len(ahead):
                        reach = 3.2 * (ahead["depart_s"].iloc[0] - t) / 3600
                        lower = max(4.0, ahead["required_kwh"].iloc[0] - reach)
                    row = rows[t, segment.region]
                    for i, amount in enumerate((1, energy, lower, upper)):
                        row[i] += amount
                if segment.plugged:
                    upper = min(18.0, upper + 3.2 * 450 / 3600)
            if segment.activity == "driving":
                upper = max(4.0, upper - 2.0)
    return pd.DataFrame(
        [
            {
                "step_start_s": t,
                "region": region,
                "n_plugged": n,
                "energy_kwh": e,
                "lower_kwh": low,
                "upper_kwh": up,
            }
            for (t, region), (n, e, low, up) in rows.items()
        ]
    )
