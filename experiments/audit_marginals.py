"""Audit of the marginals: which decisions, regions and cars they speak of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.audit_cars import Life, energy_at, full_power_kw
from experiments.audit_decisions import AT
from experiments.audit_findings import BoolArray, Findings, FloatArray, IntArray
from experiments.audit_folder import STEP_S, Folder

TOLERANCE: Final = 1e-6
"""Of a value per kWh: the solver's prices are good to 1e-7 per quarter of an hour."""
POWER_KW: Final = 5e-4
"""Of a set-point: what the solver's 1e-7 kWh are in a stay that ends within a second."""
OF_CARS: Final = ("charge_efficiency", "discharge_efficiency", "discharge_limit_kw")
NUMBERS: Final = (
    "marginal_value_per_kwh",
    "terminal_value_per_kwh",
    "requirement_duals_per_kwh",
    "full_duals_per_kwh",
    "limit_worth_per_kw",
)
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
    if ":" not in folder.scenario["dispatch"]["policy"] and not folder.manifest.get("policy_is_own_object"):
        _check_counts(folder, life, findings)
        _check_accounts(folder, life, region, findings)


def _check_accounts(folder: Folder, life: Life, region: IntArray, findings: Findings) -> None:
    """Check that values add up, that no price has the wrong sign, and that a set-point agrees with its margins.

    With v the value in the battery and b that at the bus of the car's region, charging below its limit means
    eta_c v <= b and above zero eta_c v >= b; giving back the same with b - w and v / eta_d. Where directions are
    fixed ("one way") a margin may have either sign and is not checked.
    """
    table = folder.marginals
    told = table[table["terminal_value_per_kwh"].notna() & table["vehicle_id"].notna()].index.to_numpy()
    if not len(told):
        return
    rows, at = table.loc[told], np.asarray(region)[told]
    step_s, vehicle = rows["step_start_s"].to_numpy(np.int64), rows["vehicle_id"].to_numpy(np.int64)
    value, terminal, must, full, worth = (rows[name].to_numpy(np.float64) for name in NUMBERS)

    def report(wrong: BoolArray, claim: str, **numbers: Any) -> None:
        findings.rows(wrong, "marginals", "marginals", AT, claim, step_s=step_s, vehicle=vehicle, **numbers)

    total = terminal + must - full
    report(
        np.abs(value - total) > TOLERANCE,
        "vehicle {vehicle}: value {value} per kWh, its parts add up to {total}",
        value=value,
        total=total,
    )
    below = np.minimum(np.minimum(must, full), worth) < -TOLERANCE
    report(below, "vehicle {vehicle}: a price of a limit is negative")
    gives = np.array([one.get("bidirectional", True) for one in folder.regions])[at]
    full_kw = full_power_kw(folder, vehicle, energy_at(folder, life, vehicle, step_s))
    _check_margins(folder, rows, _bus_values(folder, region, step_s, at), full_kw, gives, report)


def _check_margins(
    folder: Folder,
    rows: pd.DataFrame,
    bus: FloatArray,
    charge_kw: FloatArray,
    gives: BoolArray,
    report: Callable[..., None],
) -> None:
    step_programs = rows["program"].isin(["relaxation", "turbines off"]).to_numpy(bool)
    vehicles = folder.vehicles.set_index("vehicle_id").loc[rows["vehicle_id"].to_numpy(np.int64)]
    eta_c, eta_d, discharge_kw = (vehicles[name].to_numpy(np.float64) for name in OF_CARS)
    value, power = (rows[name].to_numpy(np.float64) for name in ("marginal_value_per_kwh", "set_point_kw"))
    wear = float(folder.scenario["economics"]["throughput_price_per_kwh"])
    ways = (
        ("charged", np.maximum(power, 0.0), charge_kw, eta_c * value - bus),
        ("given back", np.maximum(-power, 0.0), discharge_kw * gives, bus - wear - value / eta_d),
    )
    for way, used_kw, limit_kw, margin in ways:
        loses = (used_kw > POWER_KW) & (margin < -TOLERANCE)
        spares = (used_kw < limit_kw - POWER_KW) & (margin > TOLERANCE)
        report(
            (loses | spares) & step_programs,
            "vehicle {vehicle}: {used_kw} kW " + way + ", though a kWh more would bring {margin}",
            used_kw=used_kw,
            margin=margin,
        )


def _bus_values(folder: Folder, region: IntArray, step_s: IntArray, at: IntArray) -> FloatArray:
    """Value of a kWh at the bus of given regions in given steps, from the regions' own rows."""
    table = folder.marginals
    own = table["vehicle_id"].isna().to_numpy(bool)
    values = np.full((folder.n_steps, len(folder.regions)), np.nan)
    steps = table["step_start_s"].to_numpy(np.int64)[own] // STEP_S
    values[steps, np.asarray(region)[own]] = table["marginal_value_per_kwh"].to_numpy(np.float64)[own]
    return values[step_s // STEP_S, at]


def _check_counts(folder: Folder, life: Life, findings: Findings) -> None:
    policy = folder.scenario["dispatch"]["policy"]
    rows = folder.marginals
    at = rows["step_start_s"].to_numpy(np.int64) // STEP_S
    is_car = rows["vehicle_id"].notna().to_numpy()
    step_s = np.arange(folder.n_steps) * STEP_S
    decided = np.zeros(folder.n_steps, dtype=bool)
    made = folder.decisions[~folder.decisions["fallback"].to_numpy(bool)]
    decided[made["step_start_s"].to_numpy(np.int64) // STEP_S] = policy in OPTIMISING
    shown = life.plugged & folder.vehicles["takes_part"].to_numpy(bool)[life.vehicle]
    begun, ended = np.sort(life.start_s[shown]), np.sort(life.end_s[shown])
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
