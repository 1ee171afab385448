"""Curtailment that keeps a feeder's limits is carried out; what settlement curtails by itself needs no cap."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import rewrite_table

from dispatch.baselines import Uncontrolled
from dispatch.conformance import check_dispatcher
from experiments import run
from experiments.assemble import assemble
from experiments.audit import audit
from experiments.reading import Run, read_run
from experiments.shipped import load_scenario
from sim.contracts import Schedule
from sim.errors import PolicyError

SUNNY = [
    "simulation.start=2019-05-04",
    "fleet.size=5",
    "dispatch.horizon_steps=8",
    "dispatch.feeder_limits=keep",
    "regions.homes-west.pv.rated_kw=2500.0",
]
SOLD = "regions.substation.export_limit_kw=unlimited"
PERFECT = "forecast.kind=perfect"


def day(folder: Path, policy: str, *overrides: str) -> Run:
    """A day of much sun at the end of a long branch."""
    return read_run(run("storage-network", policy=policy, overrides=[*SUNNY, *overrides], out=folder).path)


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Under `rolling`, with foresight; it is only read."""
    return day(tmp_path_factory.mktemp("sun") / "run", "rolling", SOLD, PERFECT)


def curtailed_kw(grid: pd.DataFrame) -> pd.Series:
    """Of PV; there is no wind."""
    return grid["pv_curtailed_kw"]


def test_what_the_limits_do_not_let_through_is_curtailed(rolled: Run) -> None:
    """Sun for which a line is too thin could all be sold; with foresight no limit is left."""
    grid = rolled.table("grid")
    figures = rolled.kpis
    assert figures["network_violation_steps"] == 0
    assert figures["loading_max"] > 0.99, "no limit binds: the test shows nothing"
    assert figures["curtailed_kwh"] > 1000.0
    is_capped = grid["feed_in_cap_kw"].notna()
    assert set(grid.loc[is_capped, "region"]) == {"homes-west"}
    given_kw = (grid["pv_kw"] - curtailed_kw(grid))[is_capped]
    assert given_kw.to_numpy() == pytest.approx(grid.loc[is_capped, "feed_in_cap_kw"].to_numpy(), abs=1e-9)
    assert (curtailed_kw(grid)[~is_capped] < 1e-9).all()
    assert audit(rolled.path) == []


def test_a_plan_of_a_day_caps_each_of_its_steps(tmp_path: Path) -> None:
    """`day-ahead` carries out the curtailment of all steps, not of the first alone."""
    made = day(tmp_path / "run", "day-ahead", SOLD, PERFECT, "dispatch.horizon_steps=96")
    assert made.kpis["network_violation_steps"] == 0
    assert made.table("grid")["feed_in_cap_kw"].notna().sum() > 10
    assert audit(made.path) == []


def test_forecasts_that_miss_are_capped_as_planned(tmp_path: Path) -> None:
    """Where there is more sun than foreseen the cap holds it back, where there is less nothing is."""
    made = day(tmp_path / "run", "rolling", SOLD)
    grid = made.table("grid")
    at = grid[grid["feed_in_cap_kw"].notna()]
    held_back = np.maximum(at["pv_kw"] - at["feed_in_cap_kw"], 0.0)
    assert curtailed_kw(at).to_numpy() == pytest.approx(held_back.to_numpy(), abs=1e-9)
    assert (held_back == 0.0).any()
    assert (held_back > 0.0).any()
    assert audit(made.path) == []


def test_without_limits_in_the_way_there_are_no_caps(tmp_path: Path) -> None:
    """Where nothing may be sold the plan curtails too; settlement knows by itself, and by what really happens."""
    wide = [f"feeder.line_ampacities_a.L{i}=2000.0" for i in range(1, 33)]
    made = day(tmp_path / "run", "rolling", PERFECT, *wide)
    assert made.kpis["curtailed_kwh"] > 1000.0
    assert made.table("grid")["feed_in_cap_kw"].isna().all()


@pytest.mark.parametrize("column", ["pv_curtailed_kw", "feed_in_cap_kw"])
def test_the_audit_knows_caps(column: str, rolled: Run, tmp_path: Path) -> None:
    """Curtailment that a cap asks for and is not there."""
    folder = tmp_path / "run"
    shutil.copytree(rolled.path, folder)

    def changed(table: pd.DataFrame) -> pd.DataFrame:
        row = table.index[curtailed_kw(table) > 10.0][3]
        table.loc[row, column] = 0.0
        return table

    rewrite_table(folder, "grid", changed)
    assert any(finding.check == "curtailment" and "holds back" in finding.claim for finding in audit(folder))


# -- caps of one's own -------------------------------------------------------------------------------------------


class Capping(Uncontrolled):
    """Caps what each region feeds in, every step the same."""

    cap_kw: object = None

    def decide(self, snapshot, forecast) -> Schedule:
        """As uncontrolled, with caps."""
        return replace(super().decide(snapshot, forecast), feed_in_cap_kw=self.cap_kw)


def capped(cap_kw: object):
    """A day of the shipped microgrids, of which each has PV or wind."""
    policy = Capping()
    policy.cap_kw = cap_kw
    return assemble(load_scenario("multi-microgrid", ["fleet.size=3"]), dispatcher=policy)[0].run()


def test_a_policy_caps_pv_and_wind_pro_rata() -> None:
    """By region; infinity is no cap, less than nothing is nothing."""
    columns = capped(np.array([np.inf, 20.0, -1.0])).grid_columns()
    part = {name: np.asarray(columns[name]).reshape(-1, 3) for name in columns if name.endswith("_kw")}
    given_pv, given_wind = (part[f"{s}_kw"] - part[f"{s}_curtailed_kw"] for s in ("pv", "wind"))
    given = given_pv + given_wind
    there = part["pv_kw"] + part["wind_kw"]
    assert (given[:, 1] <= np.minimum(there[:, 1], 20.0) + 1e-9).all()
    assert given[:, 2].max() == 0.0
    assert given_pv * part["wind_kw"] == pytest.approx(given_wind * part["pv_kw"])
    assert there[:, 1].max() > 20.0
    assert np.isnan(part["feed_in_cap_kw"][:, 0].astype(float)).all()


@pytest.mark.parametrize("cap_kw", [np.zeros(2), np.array([0.0, np.nan, 0.0]), np.array([0.0, -np.inf, 0.0])])
def test_caps_that_are_none_are_refused(cap_kw: np.ndarray) -> None:
    """One number or infinity for each region."""
    with pytest.raises(PolicyError, match="feed_in_cap_kw must be 3 finite numbers"):
        capped(cap_kw)


def test_the_checker_knows_caps() -> None:
    """Shape, and nothing below zero."""

    class Below(Uncontrolled):
        def decide(self, snapshot, forecast) -> Schedule:
            schedule = super().decide(snapshot, forecast)
            return replace(schedule, feed_in_cap_kw=np.full(forecast.load_kw.shape[1], -3.0))

    with pytest.raises(PolicyError, match=r"feed_in_cap_kw\[0\] = -3 is outside 0..inf"):
        check_dispatcher(Below)
