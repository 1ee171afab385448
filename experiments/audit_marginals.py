"""Audit of the marginals: which decisions, regions and cars they speak of."""

from __future__ import annotations

import numpy as np

from experiments.audit_cars import Life
from experiments.audit_decisions import AT
from experiments.audit_findings import Findings
from experiments.audit_folder import STEP_S, Folder

OPTIMISING = ("rolling", "margin", "stochastic")
"""Policies that record the duals of their decisions."""


def check_marginals(folder: Folder, life: Life, findings: Findings) -> None:
    """Check that each decision of a policy that optimises cars has a row per region and per plugged car, others none.

    What a policy object of one's own says is only checked for steps and cars. Where cars wait to be charged, one
    that is late is plugged in and has no row.
    """
    rows = folder.marginals
    step_s = rows["step_start_s"].to_numpy(np.int64)
    is_car = rows["vehicle_id"].notna().to_numpy()
    vehicle = rows["vehicle_id"].fillna(0).to_numpy(np.int64)
    outside = (step_s < 0) | (step_s >= folder.end_s) | (step_s % STEP_S != 0)
    findings.rows(outside, "marginals", "marginals", AT, "is no step of the run", step_s=step_s)
    unknown = is_car & ((vehicle < 0) | (vehicle >= folder.n_vehicles))
    claim = "vehicle {vehicle} is unknown"
    findings.rows(unknown, "marginals", "marginals", AT, claim, step_s=step_s, vehicle=vehicle)
    if outside.any() or unknown.any():
        return
    region = folder.region_code(rows["region"])
    span = folder.end_s + 1
    keys = life.vehicle * span + life.start_s
    row = np.searchsorted(keys, vehicle[is_car] * span + step_s[is_car], side="right") - 1
    elsewhere = ~life.plugged[row] | (life.region[row] != region[is_car])
    findings.rows(
        elsewhere,
        "marginals",
        "marginals",
        AT,
        "vehicle {vehicle} is not plugged in there",
        step_s=step_s[is_car],
        vehicle=vehicle[is_car],
    )
    names = np.where(is_car, vehicle, -1 - region)
    if len(np.unique(np.column_stack([step_s, names]), axis=0)) < len(rows):
        findings.add("marginals", "marginals", "a region or a car has two rows of one decision")
    _check_counts(folder, life, findings)


def _check_counts(folder: Folder, life: Life, findings: Findings) -> None:
    policy = folder.scenario["dispatch"]["policy"]
    if ":" in policy or folder.manifest.get("policy_is_own_object"):
        return
    rows = folder.marginals
    at = rows["step_start_s"].to_numpy(np.int64) // STEP_S
    is_car = rows["vehicle_id"].notna().to_numpy()
    step_s = np.arange(folder.n_steps) * STEP_S
    decided = np.zeros(folder.n_steps, dtype=bool)
    made = folder.decisions[~folder.decisions["fallback"].to_numpy(bool)]
    decided[made["step_start_s"].to_numpy(np.int64) // STEP_S] = policy in OPTIMISING
    begun, ended = np.sort(life.start_s[life.plugged]), np.sort(life.end_s[life.plugged])
    plugged = np.searchsorted(begun, step_s, side="right") - np.searchsorted(ended, step_s, side="right")
    waits = folder.scenario["fleet"]["shortage"] == "wait"
    for what, mask, wanted in (("regions", ~is_car, len(folder.regions)), ("cars", is_car, plugged)):
        found = np.bincount(at[mask], minlength=folder.n_steps)
        expected = np.where(decided, wanted, 0)
        wrong = found > expected if waits and what == "cars" else found != expected
        claim = f"{{found}} rows of {what}, should be {{expected}}"
        findings.rows(
            wrong, "marginals", "marginals", AT, claim, step_s=step_s, found=found, expected=expected
        )
