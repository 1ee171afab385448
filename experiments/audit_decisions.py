"""Audit of decisions, marginals, forecasts and the manifest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from experiments.audit_findings import MONEY_RELATIVE, Findings, FloatArray, IntArray, differs
from experiments.audit_folder import DAY_S, STEP_S, Folder

STATUSES = ("optimal", "feasible", "none")
AT = "at {step_s}"


def check_decisions(folder: Folder, findings: Findings) -> None:
    """Check that each step has one decision, and that its bound, gap and fallback flag agree."""
    rows = folder.decisions
    step_s = rows["step_start_s"].to_numpy(np.int64)
    if not np.array_equal(step_s, np.arange(folder.n_steps) * STEP_S):
        claim = f"{len(rows)} rows, should be one for each of {folder.n_steps} steps"
        findings.add("decisions", "decisions", claim)
    status = rows["status"].to_numpy(object)
    fell = np.array([text.startswith("fallback:") for text in status], dtype=bool)
    unknown = ~np.isin(status, STATUSES) & ~fell
    columns = {"step_s": step_s, "status": status}
    findings.rows(unknown, "decisions", "decisions", AT, "status {status!r} is unknown", **columns)
    flags = rows["fallback"].to_numpy(bool)
    claim = "status {status!r} and the fallback flag disagree"
    findings.rows(flags != fell, "decisions", "decisions", AT, claim, **columns)
    objective, bound, gap = (
        rows[name].to_numpy(np.float64, na_value=np.nan) for name in ("objective", "bound", "gap")
    )
    known = np.isfinite(objective) & np.isfinite(bound)
    expected = (objective - bound) / np.maximum(1.0, np.abs(objective))
    findings.rows(
        known & differs(gap, expected, MONEY_RELATIVE),
        "decisions",
        "decisions",
        AT,
        "gap is {gap}, objective and bound make {expected}",
        gap=gap,
        expected=expected,
        **columns,
    )
    crossed = known & (expected < -MONEY_RELATIVE)
    claim = "the bound {bound} is above the objective {objective}"
    findings.rows(crossed, "decisions", "decisions", AT, claim, bound=bound, objective=objective, **columns)
    for name in ("binaries", "iterations", "lowered_kwh", "max_overlap_kw", "seconds"):
        negative = rows[name].to_numpy(np.float64) < 0
        findings.rows(negative, "decisions", "decisions", AT, f"{name} is below 0", **columns)


def check_manifest(folder: Folder, findings: Findings) -> None:
    """Check that manifest and scenario tell of the same run."""
    simulation = folder.scenario["simulation"]
    expected = {
        "scenario": folder.scenario["scenario"]["name"],
        "seed": simulation["seed"],
        "replication": simulation.get("replication", 0),
        "start": str(simulation["start"]),
        "status": "complete",
    }
    for name, value in expected.items():
        found = folder.manifest.get(name)
        if found != value:
            findings.add("manifest", "manifest.json", f"{name} is {found!r}, the scenario says {value!r}")


def check_forecasts(folder: Folder, findings: Findings) -> None:
    """Check forecasts against what the forecaster knew: the truth, or the same step of a day gone by."""
    rows = folder.forecasts
    if rows.empty:
        return
    issued, target = (rows[name].to_numpy(np.int64) for name in ("issue_step_s", "target_step_s"))
    columns: dict[str, Any] = {
        "issued_s": issued,
        "target_s": target,
        "region": rows["region"].to_numpy(object),
    }
    where = "{region} at {target_s}, issued at {issued_s}"
    findings.rows(target < issued, "forecasts", "forecasts", where, "is of the past", **columns)
    reference_s = _reference_s(folder, issued, target)
    region = folder.region_code(rows["region"])
    inside = (reference_s >= 0) & (reference_s < folder.end_s)
    names = ["load_kw", "pv_kw", "wind_kw"]
    if folder.scenario["tariff"]["kind"] == "series":
        names.append("buy_price_per_kwh")
    place = np.where(inside, reference_s // STEP_S, 0) * len(folder.regions) + region
    for name in names:
        values = rows[name].to_numpy(np.float64)
        expected = folder.grid[name].to_numpy(np.float64)[place]
        wrong = inside & differs(values, expected)
        claim = f"{name} is {{value}}, {_source(folder)} says {{expected}}"
        findings.rows(
            wrong, "forecasts", "forecasts", where, claim, value=values, expected=expected, **columns
        )
    _check_known_prices(folder, rows, target, columns, findings)


def _reference_s(folder: Folder, issued_s: IntArray, target_s: IntArray) -> IntArray:
    """Step whose measurement a forecast repeats: itself, or the latest of that clock time that has ended."""
    if folder.scenario["forecast"]["kind"] == "perfect":
        return target_s
    days_back: IntArray = np.maximum(-(-(target_s + STEP_S - issued_s) // DAY_S), 1)
    latest_s: IntArray = target_s - days_back * DAY_S
    return latest_s


def _source(folder: Folder) -> str:
    return "the truth" if folder.scenario["forecast"]["kind"] == "perfect" else "the day before"


def _check_known_prices(
    folder: Folder, rows: pd.DataFrame, target_s: IntArray, columns: dict[str, Any], findings: Findings
) -> None:
    """Check forecast prices of a table of hours, which is known in advance."""
    if folder.scenario["tariff"]["kind"] != "periods":
        return
    by_step: FloatArray = folder.by_step("buy_price_per_kwh")[: DAY_S // STEP_S, 0]
    expected = by_step[target_s % DAY_S // STEP_S]
    values = rows["buy_price_per_kwh"].to_numpy(np.float64)
    where = "{region} at {target_s}, issued at {issued_s}"
    claim = "buy price is {value}, the tariff says {expected}"
    wrong = differs(values, expected, 1e-9)
    findings.rows(wrong, "forecasts", "forecasts", where, claim, value=values, expected=expected, **columns)


def check_marginals(folder: Folder, findings: Findings) -> None:
    """Check that marginals speak of steps and cars of this run."""
    rows = folder.marginals
    step_s = rows["step_start_s"].to_numpy(np.int64)
    vehicle = rows["vehicle_id"].fillna(0).to_numpy(np.int64)
    outside = (step_s < 0) | (step_s >= folder.end_s) | (step_s % STEP_S != 0)
    findings.rows(outside, "marginals", "marginals", AT, "is no step of the run", step_s=step_s)
    unknown = (vehicle < 0) | (vehicle >= max(folder.n_vehicles, 1))
    claim = "vehicle {vehicle} is unknown"
    findings.rows(unknown, "marginals", "marginals", AT, claim, step_s=step_s, vehicle=vehicle)
