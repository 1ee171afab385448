"""Same seed, same tables: whatever the process, hash seed, agents' order or fleet size."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from experiments import run
from sim.trace import ALL_TABLES

SMALL = ("fleet.size=12", "output.report=false")


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """All tables of a run, less the wall-clock column."""
    frames = {table.name: pq.read_table(folder / f"{table.name}.parquet").to_pandas() for table in ALL_TABLES}
    frames["decisions"] = frames["decisions"].drop(columns="seconds")
    return frames


def assert_same(first: Path, second: Path) -> None:
    """Bit-identical tables and key figures."""
    ours, theirs = tables(first), tables(second)
    for name, frame in ours.items():
        pd.testing.assert_frame_equal(frame, theirs[name], check_exact=True, obj=name)
    assert (first / "kpis.json").read_text() == (second / "kpis.json").read_text()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small rolling run."""
    return run("multi-microgrid", out=tmp_path_factory.mktemp("runs") / "reference", overrides=SMALL).path


def test_a_rerun_is_bit_identical(reference: Path, tmp_path: Path) -> None:
    """Twice in the same process gives the same bits."""
    assert_same(reference, run("multi-microgrid", out=tmp_path / "again", overrides=SMALL).path)


def test_the_resolved_scenario_reruns_the_run(reference: Path, tmp_path: Path) -> None:
    """The folder's scenario.toml is complete."""
    assert_same(reference, run(reference / "scenario.toml", out=tmp_path / "resolved").path)


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["0", "4711"])
def test_another_process_and_hash_seed_give_the_same_bits(
    reference: Path, tmp_path: Path, hash_seed: str
) -> None:
    """Neither the process nor PYTHONHASHSEED shows in the tables."""
    settings = [part for item in SMALL for part in ("--set", item)]
    command = [
        sys.executable,
        "-m",
        "experiments.cli",
        "run",
        "multi-microgrid",
        "--out",
        str(tmp_path / "other"),
    ]
    subprocess.run(
        [*command, *settings],
        check=True,
        capture_output=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    assert_same(reference, tmp_path / "other")


def test_another_seed_gives_another_world(reference: Path, tmp_path: Path) -> None:
    """The seed matters: wind and travel differ."""
    other = tables(run("multi-microgrid", out=tmp_path / "seeded", overrides=SMALL, seed=2).path)
    ours = tables(reference)
    assert (ours["grid"]["wind_kw"] != other["grid"]["wind_kw"]).any()
    assert (
        ours["trips"]["planned_depart_s"][:12].to_numpy()
        != other["trips"]["planned_depart_s"][:12].to_numpy()
    ).any()


@pytest.mark.parametrize("policy", ["uncontrolled", "own-cost"])
def test_a_policy_shifts_neither_plans_nor_weather(reference: Path, tmp_path: Path, policy: str) -> None:
    """Planned trips, loads, PV, wind and prices are those of the rolling run."""
    other = tables(run("multi-microgrid", out=tmp_path / policy, overrides=SMALL, policy=policy).path)
    ours = tables(reference)
    planned = [
        "vehicle_id",
        "day",
        "trip_index",
        "origin",
        "destination",
        "planned_depart_s",
        "planned_arrive_s",
    ]
    planned += ["distance_km", "energy_kwh", "required_kwh"]
    world = [
        "step_start_s",
        "region",
        "load_kw",
        "pv_kw",
        "wind_kw",
        "buy_price_per_kwh",
        "sell_price_per_kwh",
    ]
    pd.testing.assert_frame_equal(ours["trips"][planned], other["trips"][planned], check_exact=True)
    pd.testing.assert_frame_equal(ours["grid"][world], other["grid"][world], check_exact=True)
    pd.testing.assert_frame_equal(ours["vehicles"], other["vehicles"], check_exact=True)


def test_the_first_cars_of_a_large_fleet_are_the_small_fleet(tmp_path: Path) -> None:
    """Ten cars are the first ten of a thousand: vehicles, plans and uncontrolled lives."""
    few, many = (
        tables(
            run(
                "multi-microgrid",
                out=tmp_path / str(size),
                overrides=(f"fleet.size={size}", "output.report=false"),
                policy="uncontrolled",
            ).path
        )
        for size in (10, 1000)
    )
    for name in ("vehicles", "trips", "segments"):
        first = many[name][many[name]["vehicle_id"] < 10].reset_index(drop=True)
        pd.testing.assert_frame_equal(few[name], first, check_exact=True, obj=name)
