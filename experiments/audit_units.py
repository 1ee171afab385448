"""Audit of stationary units and ties: limits, energies, losses, and their sums in the grid table."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.audit_findings import ENERGY_KWH, FloatArray, differs
from experiments.audit_folder import STEP_H, STEP_S, Folder
from experiments.audit_grid import Grid


def check_storage(grid: Grid) -> None:
    """Check each stationary unit: limits, energy by the one-way formula, sums (Zhang 2025, Eq. 16)."""
    folder, findings = grid.folder, grid.findings
    units = [(r, unit) for r, region in enumerate(folder.regions) for unit in region.get("batteries", [])]
    table, n = folder.storage, len(units)
    steps, ids = np.repeat(np.arange(folder.n_steps) * STEP_S, n), np.tile(np.arange(n), folder.n_steps)
    if len(table) != len(ids) or not np.array_equal(table["step_start_s"], steps):
        findings.add(
            "storage rows", "storage", f"{len(table)} rows, should be {n} units in {folder.n_steps} steps"
        )
        return
    owner = np.tile(np.array([r for r, _ in units], dtype=np.int64), folder.n_steps)
    misplaced = (table["unit_id"].to_numpy(np.int64) != ids) | (folder.region_code(table["region"]) != owner)

    def of_units(key: str) -> FloatArray:
        return np.tile(np.array([float(unit[key]) for _, unit in units]), folder.n_steps)

    power, energy, kvar = (
        table[name].to_numpy(np.float64) for name in ("power_kw", "energy_kwh", "reactive_kvar")
    )
    rated = of_units("capacity_kwh")
    initial = (rated * of_units("initial_soc"))[:n]
    before = np.concatenate([initial, energy[: len(energy) - n]])
    gain = np.where(
        power >= 0, power * of_units("charge_efficiency"), power / of_units("discharge_efficiency")
    )
    low, high = rated * of_units("soc_min"), rated * of_units("soc_max")
    over = (power > of_units("charge_limit_kw") + ENERGY_KWH) | (
        power < -of_units("discharge_limit_kw") - ENERGY_KWH
    )
    lost_per_day = np.tile(
        np.array([float(unit.get("self_discharge_per_day", 0.0)) for _, unit in units]), folder.n_steps
    )
    at_rest = before * (1.0 - lost_per_day) ** (STEP_H / 24.0)  # what a battery that rests would hold
    expected = at_rest + gain * STEP_H
    rating = np.tile(np.array([unit.get("apparent_power_kva") or 0.0 for _, unit in units]), folder.n_steps)
    beyond = (kvar != 0.0) & (np.hypot(power, kvar) > rating + ENERGY_KWH)
    columns = {
        "unit": ids,
        "step_s": steps,
        "power": power,
        "energy": energy,
        "expected": expected,
        "kvar": kvar,
        "rating": rating,
        "low": low,
        "high": high,
    }
    for bad, check, claim in (
        (misplaced, "storage rows", "is not the scenario's unit in that place"),
        (over, "battery limit", "power of {power} kW is beyond its limit"),
        (beyond, "inverter rating", "{power} kW and {kvar} kvar are beyond its {rating} kVA"),
        (differs(energy, expected), "battery energy", "{power} kW leave {expected} kWh, not {energy} kWh"),
        ((energy < np.minimum(low, at_rest) - ENERGY_KWH) | (energy > high + ENERGY_KWH), "battery bounds",
         "holds {energy} kWh, bounds are {low} and {high} kWh"),
    ):  # fmt: skip
        findings.rows(bad, check, "storage", "unit {unit} at {step_s}", claim, **columns)
    place = np.repeat(np.arange(folder.n_steps), n) * len(folder.regions) + owner
    for column, values in (("battery_kw", power), ("battery_energy_kwh", energy)):
        total = np.bincount(place, weights=values, minlength=len(folder.grid))
        claim = f"{column} is {{value}}, its units sum to {{total}}"
        grid.note(differs(grid[column], total), "storage sums", claim, value=grid[column], total=total)


def check_ties(grid: Grid) -> None:
    """Check flows over ties: limits, losses at the receiving end, and their sums by region."""
    folder, findings = grid.folder, grid.findings
    ties, table = _ties(folder), folder.ties
    n = len(ties)
    sender, receiver = (
        np.tile(
            np.array([folder.region_names.index(tie[end]) for tie in ties], dtype=np.int64), folder.n_steps
        )
        for end in ("from_region", "to_region")
    )
    steps = np.repeat(np.arange(folder.n_steps) * STEP_S, n)
    whole = len(table) == len(steps) and np.array_equal(table["step_start_s"], steps)
    whole = whole and np.array_equal(folder.region_code(table["from_region"]), sender)
    if not whole or not np.array_equal(folder.region_code(table["to_region"]), receiver):
        findings.add("tie rows", "ties", f"not exactly one row for each of {n} ties in each step")
        return
    flow, loss = (table[name].to_numpy(np.float64) for name in ("flow_kw", "loss_kw"))
    limit = np.tile(
        np.array(
            [np.inf if tie["limit_kw"] == "unlimited" else tie["limit_kw"] for tie in ties], dtype=float
        ),
        folder.n_steps,
    )
    fraction = np.tile(np.array([tie.get("loss_fraction", 0.0) for tie in ties], dtype=float), folder.n_steps)
    columns = {"a": table["from_region"].to_numpy(object), "b": table["to_region"].to_numpy(object),
               "step_s": steps, "flow": flow, "loss": loss, "limit": limit}  # fmt: skip
    where = "{a} to {b} at {step_s}"
    over = np.abs(flow) > limit + ENERGY_KWH
    findings.rows(over, "tie limit", "ties", where, "flow of {flow} kW, the limit is {limit} kW", **columns)
    # a feeder's losses are those of its power flow (``audit_feeder``)
    wrong = differs(loss, np.abs(flow) * fraction) & (folder.scenario.get("feeder") is None)
    findings.rows(wrong, "tie loss", "ties", where, "loses {loss} kW of {flow} kW", **columns)
    arrives_b = np.where(flow >= 0, flow - loss, flow)
    arrives_a = np.where(flow >= 0, -flow, -flow - loss)
    row = np.repeat(np.arange(folder.n_steps), n) * len(folder.regions)
    net = np.bincount(row + receiver, weights=arrives_b, minlength=len(folder.grid))
    net = net + np.bincount(row + sender, weights=arrives_a, minlength=len(folder.grid))
    claim = "tie_kw is {value}, the flows sum to {net}"
    grid.note(differs(grid["tie_kw"], net), "tie sums", claim, value=grid["tie_kw"], net=net)


def _ties(folder: Folder) -> list[dict[str, Any]]:
    """Ties as the scenario has them; on a feeder its branches, sorted by their regions."""
    if folder.scenario.get("feeder") is None:
        return list(folder.scenario.get("ties", []))
    ends = folder.branches[["from_region", "to_region"]].iloc[: len(folder.regions) - 1]
    return [
        {"from_region": one, "to_region": other, "limit_kw": "unlimited"}
        for one, other in ends.itertuples(index=False, name=None)
    ]
