"""Runs and comparisons from Python: folders as promised, own policy objects, nothing left after a fault."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import compare, read_run, run
from experiments.audit import audit
from sim.contracts import Forecast, Schedule, Site, Snapshot
from sim.errors import PolicyError, RunFolderError, ScenarioError

SMALL = ("fleet.size=5", "output.report=false")


class HalfPower:
    """Charges every car at half power and leaves batteries and turbines out."""

    name = "half-power"
    needs_own_chain = False
    charges_on_arrival = False

    def start(self, site: Site) -> None:
        """Nothing to get ready."""

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Half of the limit where a car is plugged in."""
        cars = snapshot.cars
        return Schedule(car_power_kw=np.where(cars.is_plugged, 0.5 * cars.charge_limit_kw, 0.0))


def test_a_comparison_is_a_folder_of_runs(tmp_path: Path) -> None:
    """One run folder per policy on the same plans, and a table of figures with differences to the first."""
    policies = ("uncontrolled", "own-cost", "rolling")
    result = compare("multi-microgrid", policies, out=tmp_path / "c", overrides=SMALL, seed=3)
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == sorted([*policies, "comparison.csv"])
    table = pd.read_csv(tmp_path / "c" / "comparison.csv", index_col="kpi")
    assert list(table.columns) == [*policies, "own-cost - uncontrolled", "rolling - uncontrolled"]
    for policy in policies:
        one = read_run(tmp_path / "c" / policy)
        assert one.scenario["dispatch"]["policy"] == one.manifest["policy"] == policy
        assert one.scenario["simulation"]["seed"] == 3
        assert audit(one) == []
        assert table[policy].to_dict() == pytest.approx(one.kpis)
    assert table["rolling - uncontrolled"].to_numpy() == pytest.approx(
        (table["rolling"] - table["uncontrolled"]).to_numpy()
    )
    planned = ["vehicle_id", "planned_depart_s", "planned_arrive_s", "distance_km"]
    plans = [result.runs[policy].trips[planned] for policy in policies]
    assert plans[0].equals(plans[1])
    assert plans[0].equals(plans[2])


def test_every_unknown_policy_is_told_before_anything_is_simulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comparison with two policies that do not exist names both, and simulates none."""
    monkeypatch.setattr("experiments.job.assemble", lambda *_, **__: pytest.fail("simulated"))
    with pytest.raises(ScenarioError, match=r"unknown policy 'nothing'(.|\n)*unknown policy 'more'"):
        compare("multi-microgrid", ("uncontrolled", "nothing", "more"), out=tmp_path / "c", overrides=SMALL)
    assert not list(tmp_path.iterdir())


def test_policies_by_forecasters(tmp_path: Path) -> None:
    """With several forecasters each policy runs under each: folders and columns are named policy@forecaster."""
    kinds = ("persistence", "perfect")
    result = compare(
        "multi-microgrid", ("valley-first", "rolling"), forecasters=kinds, out=tmp_path / "c", overrides=SMALL
    )
    names = ["valley-first@persistence", "valley-first@perfect", "rolling@persistence", "rolling@perfect"]
    assert list(result.runs) == names
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == sorted([*names, "comparison.csv"])
    table = pd.read_csv(tmp_path / "c" / "comparison.csv", index_col="kpi")
    assert list(table.columns) == [*names, *(f"{name} - {names[0]}" for name in names[1:])]
    for name in names:
        one = read_run(tmp_path / "c" / name)
        policy, kind = name.split("@")
        assert (one.scenario["dispatch"]["policy"], one.scenario["forecast"]["kind"]) == (policy, kind)
    net = table.loc["total_cost_net_cny"]
    assert net["rolling@perfect"] < net["rolling@persistence"]


def test_one_forecaster_names_no_folder(tmp_path: Path) -> None:
    """With a single forecaster folders are named by policy alone, and it is the one that informs."""
    result = compare(
        "multi-microgrid", ("uncontrolled",), forecasters=("perfect",), out=tmp_path / "c", overrides=SMALL
    )
    assert list(result.runs) == ["uncontrolled"]
    assert read_run(tmp_path / "c" / "uncontrolled").scenario["forecast"]["kind"] == "perfect"


def test_faults_of_policies_and_forecasters_come_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unknown policies and forecasters are all named, each once, before anything is simulated."""
    monkeypatch.setattr("experiments.job.assemble", lambda *_, **__: pytest.fail("simulated"))
    with pytest.raises(ScenarioError) as caught:
        compare(
            "multi-microgrid",
            ("nothing", "rolling"),
            forecasters=("perfect", "crystal", "ball"),
            overrides=SMALL,
        )
    text = str(caught.value)
    assert text.count("unknown policy 'nothing'") == 1
    assert "crystal" in text
    assert "ball" in text
    with pytest.raises(PolicyError, match="forecaster 'perfect' is named twice"):
        compare("multi-microgrid", ("rolling",), forecasters=("perfect", "perfect"), out=tmp_path / "c")
    assert not list(tmp_path.iterdir())


def test_an_own_object_gets_batteries_as_a_named_policy_does(tmp_path: Path) -> None:
    """A policy object that gives cars alone is completed by the common program; the folder says what it is."""
    result = run("multi-microgrid", out=tmp_path / "run", overrides=SMALL, dispatcher=HalfPower())
    assert (result.storage["power_kw"] != 0).any()
    assert (result.decisions["status"] == "optimal").all()
    assert result.manifest["policy"] == "half-power"
    assert result.manifest["reproducible"] is False
    assert audit(result) == []


def test_a_policy_that_fails_midway_leaves_nothing(tmp_path: Path) -> None:
    """An error of a policy at noon is told with its time, and no folder is left."""

    class FailsAtNoon(HalfPower):
        def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
            if snapshot.now_s == 43_200:
                raise RuntimeError("lunch")
            return super().decide(snapshot, forecast)

    with pytest.raises(PolicyError, match="half-power at 12:00: RuntimeError: lunch"):
        run("multi-microgrid", out=tmp_path / "deep" / "run", overrides=SMALL, dispatcher=FailsAtNoon())
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that cannot be written is told with the folder's name, and no folder is left."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experiments.run_folder.pq.write_table", full)
    with pytest.raises(RunFolderError, match="deep/run: No space left on device"):
        run("multi-microgrid", out=tmp_path / "deep" / "run", overrides=SMALL, policy="uncontrolled")
    assert not list(tmp_path.iterdir())
