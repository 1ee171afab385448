"""Audits and decision times of an experiment's kept runs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from experiments.experiment.kept import audit_findings, audits_by_part, decision_seconds
from experiments.monte_carlo import study
from experiments.monte_carlo.design.factors import Factors

SMALL = ("fleet.size=2", "dispatch.horizon_steps=4", "output.forecasts_max_days=0", "output.report=false")


@pytest.mark.slow
def test_kept_runs_are_audited_and_timed(tmp_path: Path) -> None:
    """All kept runs are found; one whose table was changed has its finding; times are told by level and policy."""
    part = study(
        "multi-microgrid",
        replications=2,
        policies=("uncontrolled", "rolling"),
        factors=Factors(
            design="list", cells=[{"forecast.kind": kind} for kind in ("persistence", "perfect")]
        ),
        keep="1",
        workers=0,
        out=tmp_path / "study",
        overrides=SMALL,
    )
    assert [(cell, policy) for cell, policy, _ in part.kept_runs()] == [
        (0, "uncontrolled"),
        (0, "rolling"),
        (1, "uncontrolled"),
        (1, "rolling"),
    ]
    found = audit_findings({"small": part}, workers=0)
    assert found["finding"].tolist() == [""] * 4
    assert found["run"].iloc[0].startswith("kept/cell-0000/")
    times = decision_seconds(part, "forecast.kind")
    assert times[["forecaster", "policy"]].to_numpy().tolist() == [
        ["persistence", "uncontrolled"],
        ["persistence", "rolling"],
        ["perfect", "uncontrolled"],
        ["perfect", "rolling"],
    ]
    assert times["decisions"].tolist() == [96] * 4
    assert (times["median [ms]"] <= times["longest [ms]"]).all()
    trips = next(run.path for _, policy, run in part.kept_runs() if policy == "rolling") / "trips.parquet"
    rows = pd.read_parquet(trips)
    rows.loc[0, "distance_km"] += 1.0
    rows.to_parquet(trips)
    by_part = audits_by_part(audit_findings({"small": part}, workers=2)).set_index("policy")
    assert by_part["runs audited"].to_dict() == {"uncontrolled": 2, "rolling": 2}
    assert by_part["pass"].to_dict() == {"uncontrolled": 2, "rolling": 1}
    assert by_part.loc["rolling", "first finding"]
