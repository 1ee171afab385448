"""Audit of decisions and the manifest."""

from __future__ import annotations

import numpy as np

from experiments.audit_findings import MONEY_RELATIVE, Findings, differs
from experiments.audit_folder import STEP_S, Folder

STATUSES = ("optimal", "feasible", "none")
MADE_BY = {"version", "code_version", "packages", "wall_seconds", "peak_memory_mb", "reproducible"}
"""What a manifest says besides what the scenario says."""
AT = "at {step_s}"
OVERLAP_KW = 1e-5
"""Overlap of charging and discharging that a solver's feasibility tolerance explains."""

KEEPING = ("rolling", "margin", "stochastic", "day-ahead")
"""Policies that keep a feeder's limits where they are told to."""
ROUNDS = ("rolling", "margin", "day-ahead")
"""Those of them that solve again until their plan keeps the limits."""


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
        known & differs(gap, expected, 1e-9),
        "decisions",
        "decisions",
        AT,
        "gap is {gap}, objective and bound make {expected}",
        gap=gap,
        expected=expected,
        **columns,
    )
    is_own = ":" in folder.scenario["dispatch"]["policy"] or bool(folder.manifest.get("policy_is_own_object"))
    silent = (~known | (status == "none")) & ~fell & (not is_own)
    claim = "status {status!r} without objective and bound, of a policy that solves a program"
    findings.rows(silent, "decisions", "decisions", AT, claim, **columns)
    crossed = known & (expected < -MONEY_RELATIVE)
    claim = "the bound {bound} is above the objective {objective}"
    findings.rows(crossed, "decisions", "decisions", AT, claim, bound=bound, objective=objective, **columns)
    _check_rounds(folder, findings)


def _check_rounds(folder: Folder, findings: Findings) -> None:
    """Check that rounds of solves within a feeder are as many as the scenario lets them be, and none without one."""
    dispatch, rows = folder.scenario["dispatch"], folder.decisions
    asked = folder.scenario.get("feeder") and dispatch["feeder_limits"] == "keep"
    most = int(dispatch["feeder_rounds"]) if asked else 0
    rounds = rows["feeder_rounds"].to_numpy(np.int64)
    least = 1 if asked and dispatch["policy"] in ROUNDS else 0
    wrong = (rounds > most) | ((rounds < least) & ~rows["fallback"].to_numpy(bool))
    claim = f"{{rounds}} rounds within the feeder's limits, should be {least} to {most}"
    columns = {"step_s": rows["step_start_s"].to_numpy(np.int64), "rounds": rounds}
    findings.rows(wrong, "decisions", "decisions", AT, claim, **columns)
    unsolved = rows["feeder_unsolved"].to_numpy(bool) & (rounds < 2)
    claim = "a plan stands before a round without an answer, of {rounds} rounds"
    findings.rows(unsolved, "decisions", "decisions", AT, claim, **columns)


def check_exclusivity(folder: Folder, findings: Findings) -> None:
    """Check that no decision charges and discharges at once where the throughput price rules it out.

    Burning a kWh never pays at a throughput price of max(phi, -buy) (1 - eta) / eta or more, where eta is
    eta_c eta_d, in a region that imports or uses sun or wind. A demand charge makes plans common in which a region
    lives from what is stored alone, and where plans keep a feeder's limits a kWh burnt may lower a voltage; there
    nothing is claimed.
    """
    if folder.scenario["economics"]["demand_price_per_kw_day"] > 0.0:
        return
    dispatch = folder.scenario["dispatch"]
    if (
        folder.scenario.get("feeder")
        and dispatch["feeder_limits"] == "keep"
        and dispatch["policy"] in KEEPING
    ):
        return
    units = [unit for region in folder.regions for unit in region.get("batteries", [])]
    users = [*units, *(folder.scenario["fleet"]["classes"] if folder.n_vehicles else [])]
    if not users:
        return
    eta = min(float(user["charge_efficiency"]) * float(user["discharge_efficiency"]) for user in users)
    phi = folder.grid["curtailment_price_per_kwh"].to_numpy(np.float64)
    saved = np.maximum(phi, -folder.grid["buy_price_per_kwh"].to_numpy(np.float64)).max()
    if folder.scenario["economics"]["throughput_price_per_kwh"] < saved * (1 - eta) / eta:
        return
    rows = folder.decisions
    overlap = rows["max_overlap_kw"].to_numpy(np.float64)
    findings.rows(
        overlap > OVERLAP_KW,
        "exclusivity",
        "decisions",
        AT,
        "charges and discharges {overlap} kW at once",
        step_s=rows["step_start_s"].to_numpy(np.int64),
        overlap=overlap,
    )


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
    policy = folder.scenario["dispatch"]["policy"]
    if ":" not in policy and not folder.manifest.get("policy_is_own_object"):
        expected["policy"] = policy
    for name in sorted(MADE_BY - folder.manifest.keys()):
        findings.add("manifest", "manifest.json", f"{name} is missing")
    for name, value in expected.items():
        found = folder.manifest.get(name)
        if found != value:
            findings.add("manifest", "manifest.json", f"{name} is {found!r}, the scenario says {value!r}")
