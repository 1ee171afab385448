"""Audit of the microgrids: whole rows, balance, limits, curtailment, and the cars' load."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.audit_cars import Life
from experiments.audit_findings import ENERGY_KWH, SUM_RELATIVE, Findings, FloatArray, IntArray, differs
from experiments.audit_folder import STEP_H, STEP_S, Folder


def check_grid_keys(folder: Folder, findings: Findings) -> bool:
    """Check that each region has exactly one row in each step."""
    n_regions = len(folder.regions)
    steps = np.repeat(np.arange(folder.n_steps) * STEP_S, n_regions)
    regions = np.tile(np.arange(n_regions), folder.n_steps)
    whole = len(folder.grid) == len(steps) and np.array_equal(folder.grid["step_start_s"], steps)
    whole = whole and np.array_equal(folder.region_code(folder.grid["region"]), regions)
    if not whole:
        rows = f"{len(folder.grid)} rows for {folder.n_steps} steps of {n_regions} regions"
        findings.add("grid rows", "grid", f"not every region has exactly one row in every step: {rows}")
    return whole


class Grid:
    """The grid table's columns, flat in order of step and region, with a note of where each row is."""

    def __init__(self, folder: Folder, findings: Findings) -> None:
        self.folder = folder
        self.findings = findings
        self.columns = {
            name: folder.grid[name].to_numpy(np.float64)
            for name in folder.grid.columns
            if name not in ("region", "step_start_s")
        }
        self.region: Any = folder.grid["region"].to_numpy(object)
        self.step_s: IntArray = folder.grid["step_start_s"].to_numpy(np.int64)

    def __getitem__(self, name: str) -> FloatArray:
        return self.columns[name]

    def per_region(self, values: FloatArray) -> FloatArray:
        """One value per region, repeated for each row."""
        return np.tile(values, self.folder.n_steps)

    def note(self, bad: Any, check: str, claim: str, **values: Any) -> None:
        """Note rows at fault."""
        where = "{region} at {step_s}"
        self.findings.rows(bad, check, "grid", where, claim, region=self.region, step_s=self.step_s, **values)


def check_balance(grid: Grid) -> None:
    """Check the balance of each region and step (Zhang 2025, Eq. 25), and parts of wholes."""
    used = grid["load_kw"] - grid["unserved_kw"] + grid["battery_kw"] + grid["export_kw"]
    used = used + grid["ev_charge_kw"] - grid["ev_discharge_kw"]
    supplied = grid["pv_kw"] - grid["pv_curtailed_kw"] + grid["wind_kw"] - grid["wind_curtailed_kw"]
    supplied = supplied + grid["turbine_kw"] + grid["import_kw"] + grid["tie_kw"]
    size = sum(np.abs(grid[name]) for name in ("load_kw", "pv_kw", "wind_kw", "import_kw", "ev_charge_kw"))
    grid.note(
        ~(np.abs(used - supplied) <= ENERGY_KWH + SUM_RELATIVE * size),
        "balance",
        "uses {used} kW, is supplied with {supplied} kW",
        used=used,
        supplied=supplied,
    )
    for part, whole in (
        ("pv_curtailed_kw", "pv_kw"),
        ("wind_curtailed_kw", "wind_kw"),
        ("unserved_kw", "load_kw"),
    ):
        claim = f"{part} is {{part}}, {whole} only {{whole}}"
        more = grid[part] > grid[whole] + ENERGY_KWH
        grid.note(more, "parts", claim, part=grid[part], whole=grid[whole])
    both = (grid["import_kw"] > ENERGY_KWH) & (grid["export_kw"] > ENERGY_KWH)
    grid.note(
        both,
        "import or export",
        "imports {imported} kW and exports {exported} kW at once",
        imported=grid["import_kw"],
        exported=grid["export_kw"],
    )


def check_connections(grid: Grid) -> None:
    """Check limits of import and export, and limit and ramp of turbines (Zhang 2025, Eqs. 27 and 28)."""
    folder = grid.folder
    for way in ("import", "export"):
        limit = grid.per_region(folder.region_limits(f"{way}_limit_kw"))
        values = grid[f"{way}_kw"]
        claim = f"{way} of {{value}} kW, the limit is {{limit}} kW"
        grid.note(values > limit + ENERGY_KWH, "connection limit", claim, value=values, limit=limit)
    turbines = [region.get("turbine") or {"limit_kw": 0.0, "ramp_kw_per_h": 0.0} for region in folder.regions]
    limit = grid.per_region(np.array([float(unit["limit_kw"]) for unit in turbines]))
    power = grid["turbine_kw"]
    claim = "turbine at {value} kW, the limit is {limit} kW"
    grid.note(power > limit + ENERGY_KWH, "turbine limit", claim, value=power, limit=limit)
    ramp = grid.per_region(np.array([float(unit["ramp_kw_per_h"]) for unit in turbines]) * STEP_H)
    before = np.concatenate([np.zeros(len(turbines)), power[: -len(turbines)]])  # at rest before the run
    grid.note(
        np.abs(power - before) > ramp + ENERGY_KWH,
        "turbine ramp",
        "turbine goes from {before} to {value} kW, the ramp is {ramp} kW per step",
        before=before,
        value=power,
        ramp=ramp,
    )
    for source in ("pv", "wind"):
        absent = grid.per_region(np.array([region.get(source) is None for region in folder.regions]))
        grid.note(
            absent & (grid[f"{source}_kw"] != 0), "supply", f"{source} power where the scenario has none"
        )


def check_curtailment(grid: Grid) -> None:
    """Check that curtailment, export and import are what settlement at least cost leaves.

    A kWh that is curtailed while energy is imported saves its import price and costs the curtailment price:
    only a buying price below minus that can justify it; the like holds of export below its limit. PV and
    wind are curtailed pro rata, and load is unserved only where nothing is curtailed and the import limit is
    reached. What a policy's cap on PV and wind holds back is curtailed whatever it costs.
    """
    curtailed = grid["pv_curtailed_kw"] + grid["wind_curtailed_kw"]
    rated, cap = grid["pv_kw"] + grid["wind_kw"], grid["feed_in_cap_kw"]
    held_back = np.where(np.isnan(cap), 0.0, np.maximum(rated - cap, 0.0))
    claim = "curtails {curtailed} kW, a cap of {cap} kW holds back {held_back}"
    less = curtailed < held_back - ENERGY_KWH
    grid.note(less, "curtailment", claim, curtailed=curtailed, cap=cap, held_back=held_back)
    some, phi = curtailed - held_back > ENERGY_KWH, grid["curtailment_price_per_kwh"]
    importing = grid["import_kw"] > ENERGY_KWH
    wrong = some & importing & (grid["buy_price_per_kwh"] > -phi + 1e-12)
    claim = "curtails {curtailed} kW while importing {imported} kW"
    grid.note(wrong, "curtailment", claim, curtailed=curtailed, imported=grid["import_kw"])
    limit = grid.per_region(grid.folder.region_limits("export_limit_kw"))
    room = grid["export_kw"] < limit - ENERGY_KWH
    wrong = some & room & ~importing & (grid["sell_price_per_kwh"] > -phi + 1e-12)
    claim = "curtails {curtailed} kW while only {exported} of {limit} kW are exported"
    grid.note(wrong, "curtailment", claim, curtailed=curtailed, exported=grid["export_kw"], limit=limit)
    share = curtailed / np.where(rated > 0, rated, 1.0)
    wrong = (curtailed > ENERGY_KWH) & differs(grid["pv_curtailed_kw"], share * grid["pv_kw"])
    claim = "curtails {pv} of the PV and {wind} kW of the wind, not pro rata"
    grid.note(wrong, "curtailment", claim, pv=grid["pv_curtailed_kw"], wind=grid["wind_curtailed_kw"])
    short = grid["unserved_kw"] > ENERGY_KWH
    import_limit = grid.per_region(grid.folder.region_limits("import_limit_kw"))
    claim = "load is unserved by {unserved} kW, though more could be imported or less curtailed"
    wrong = short & (some | (grid["import_kw"] < import_limit - ENERGY_KWH))
    grid.note(wrong, "unserved", claim, unserved=grid["unserved_kw"])


def check_car_load(grid: Grid, life: Life) -> None:
    """Integrate the cars' power again, to the second, and compare each step and region."""
    folder = grid.folder
    edges_s = np.arange(folder.n_steps + 1) * STEP_S
    for column, sign in (("ev_charge_kw", 1.0), ("ev_discharge_kw", -1.0)):
        power = np.maximum(sign * life.power_kw, 0.0)
        expected = np.zeros((folder.n_steps, len(folder.regions)))
        for r in range(len(folder.regions)):
            rows = (power > 0) & (life.region == r)
            if rows.any():
                running = _integral(life.start_s[rows], life.end_s[rows], power[rows], edges_s)
                expected[:, r] = np.diff(running) / STEP_S
        total = expected.ravel()
        wrong = ~(np.abs(grid[column] - total) <= ENERGY_KWH + SUM_RELATIVE * total)
        grid.note(
            wrong, "car load", f"{column} is {{value}}, the cars' segments make {{total}}",
            value=grid[column], total=total,
        )  # fmt: skip


def _integral(start_s: IntArray, end_s: IntArray, power_kw: FloatArray, at_s: IntArray) -> FloatArray:
    """Energy [kW s] of all rows together up to each instant.

    >>> power_kw = np.array([1.0, 2.0])
    >>> _integral(np.array([0, 100]), np.array([200, 300]), power_kw, np.array([0, 100, 300])).tolist()
    [0.0, 100.0, 600.0]
    """
    times, place = np.unique(np.concatenate([start_s, end_s]), return_inverse=True)
    change = np.bincount(place, weights=np.concatenate([power_kw, -power_kw]))
    level = np.cumsum(change)[:-1]
    energy = np.append(0.0, np.cumsum(level * np.diff(times)))
    at: FloatArray = np.interp(at_s, times, energy)
    return at
