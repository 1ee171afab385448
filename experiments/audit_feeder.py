"""Audit of a feeder: its tables read again, and every state of the run put into the branch flow equations."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.audit_cars import Life, per_car
from experiments.audit_findings import ENERGY_KWH, Findings, FloatArray, IntArray, differs
from experiments.audit_folder import STEP_H, STEP_S, Folder
from experiments.audit_grid import Grid
from experiments.audit_series import data_file

BASE_KVA = 1000.0
VOLTAGE_PU = 1e-7
"""Two voltages are the same within this."""
POWER_KW = 1e-4
"""Powers at a bus, and losses by two methods, are the same within this."""
LOADING = 1e-6
WITHIN_PU = 1e-6
"""By which a voltage may lie outside its band, or a loading above 1, and still count as within."""
TABLES = ("buses", "lines", "transformers")
FLOWS = ("sent_kw", "sent_kvar", "loss_kw", "loss_kvar", "loading")
SWEEPS = 200


@dataclass(frozen=True)
class _Row:
    """One branch of the feeder's tables, per unit."""

    ends: frozenset[str]
    r: float
    x: float
    b: float
    rating_kva: float
    is_transformer: bool


@dataclass(frozen=True)
class _Branches:
    """Lines and transformers in service in the order of the run's table, per unit of ``BASE_KVA``; shapes (M,)."""

    parent: IntArray  # region at the end that the table names first
    child: IntArray
    r: FloatArray
    x: FloatArray
    b: FloatArray
    rating_kva: FloatArray
    is_transformer: Any


def check_feeder(grid: Grid) -> None:
    """Check voltages and branches: whole, a tree, the equations of each state, loading, and the ties' losses.

    Where the feeder's tables cannot be read only the keys are checked, which is a finding.
    """
    folder, findings = grid.folder, grid.findings
    part = folder.scenario.get("feeder")
    if part is None:
        for name in ("voltages", "branches"):
            if len(getattr(folder, name)):
                findings.add("feeder rows", name, "has rows, though the scenario has no feeder")
        return
    if not _whole(folder, findings):
        return
    missing = [name for key in TABLES if (name := part.get(key)) and data_file(name) is None]
    if missing:
        claim = f"cannot be checked: {', '.join(missing)} is not there"
        findings.add("feeder tables", "branches", claim)
        return
    tables = [_table(part.get(key)) for key in TABLES]
    try:
        branches = _branches(folder, part, tables, findings)
    except (LookupError, ValueError, ArithmeticError) as error:
        named = ", ".join(str(part[key]) for key in TABLES if part.get(key))
        findings.add("feeder tables", "branches", f"cannot be checked: {named} cannot be read ({error})")
        return
    if branches is not None:
        states = _States(folder, branches)
        _check_unsolved(states, float(part["source_pu"]), findings)
        _check_branches(states, findings)
        _check_buses(grid, states, float(part["source_pu"]))


def check_charger_kvar(grid: Grid, life: Life) -> None:
    """Check that chargers take and give no more reactive power than the cars plugged in at the step's beginning allow.

    Only cars that take part count; without a feeder there is none.
    """
    folder = grid.folder
    per_kw = np.array([region.get("charger_kvar_per_kw", 0.0) for region in folder.regions])
    room = (per_kw * _plugged_kw(folder, life) * (folder.scenario.get("feeder") is not None)).ravel()
    kvar = grid["charger_kvar"]
    claim = "charger_kvar is {kvar}, the cars plugged in allow {room}"
    grid.note(np.abs(kvar) > room + ENERGY_KWH, "charger reactive power", claim, kvar=kvar, room=room)


def _plugged_kw(folder: Folder, life: Life) -> FloatArray:
    """Charge limits of the cars that take part and are plugged in at each step's beginning, summed, (n_steps, R)."""
    takes_part = folder.vehicles["takes_part"].to_numpy(bool)[life.vehicle]
    rows = life.plugged & takes_part & (life.region >= 0)
    limit_kw = per_car(folder, "charge_limit_kw")[life.vehicle[rows]]
    change: FloatArray = np.zeros((folder.n_steps + 1, len(folder.regions)))
    for instant_s, sign in ((life.start_s, 1.0), (life.end_s, -1.0)):
        step = np.clip(-(-instant_s[rows] // STEP_S), 0, folder.n_steps)
        np.add.at(change, (step, life.region[rows]), sign * limit_kw)
    return np.cumsum(change, axis=0)[:-1]


def feeder_figures(folder: Folder) -> dict[str, float]:
    """Key figures of the feeder; a step without a power flow counts as a violation and nowhere else."""
    part = folder.scenario.get("feeder")
    counts = (
        *("voltage_violations", "overloads", "network_violation_steps", "no_power_flow_steps"),
        *("feeder_loss_kwh", "loading_max"),
    )
    figures = dict.fromkeys(counts, 0.0) | {"voltage_min_pu": 1.0, "voltage_max_pu": 1.0}
    if part is None:
        return figures
    voltages = folder.voltages[["step_start_s", "voltage_pu"]].dropna()
    branches = folder.branches[["step_start_s", "loading", "loss_kw"]].dropna()
    low, high = voltages["voltage_pu"].min(), voltages["voltage_pu"].max()
    outside = voltages[
        (voltages["voltage_pu"] < part["voltage_min_pu"] - WITHIN_PU)
        | (voltages["voltage_pu"] > part["voltage_max_pu"] + WITHIN_PU)
    ]
    over = branches[branches["loading"] > 1.0 + WITHIN_PU]
    unsolved = folder.voltages[folder.voltages["voltage_pu"].isna()]
    steps = set(outside["step_start_s"]) | set(over["step_start_s"]) | set(unsolved["step_start_s"])
    return {
        "feeder_loss_kwh": float(branches["loss_kw"].sum() * STEP_H),
        "voltage_min_pu": float(low if len(voltages) else part["source_pu"]),
        "voltage_max_pu": float(high if len(voltages) else part["source_pu"]),
        "voltage_violations": float(len(outside)),
        "loading_max": float(branches["loading"].max() if len(branches) else 0.0),
        "overloads": float(len(over)),
        "network_violation_steps": float(len(steps)),
        "no_power_flow_steps": float(unsolved["step_start_s"].nunique()),
    }


def _whole(folder: Folder, findings: Findings) -> bool:
    """Whether every bus and every branch has a row in each step, and the branches make a tree."""
    n, steps = len(folder.regions), np.arange(folder.n_steps) * STEP_S
    voltages, branches = folder.voltages, folder.branches
    before = len(findings.items)
    if not (
        np.array_equal(voltages["step_start_s"], np.repeat(steps, n))
        and np.array_equal(folder.region_code(voltages["region"]), np.tile(np.arange(n), folder.n_steps))
    ):
        findings.add("feeder rows", "voltages", "not every region has exactly one row in every step")
    own = np.tile([region.get("bus") for region in folder.regions], folder.n_steps)
    if len(own) == len(voltages) and not np.array_equal(voltages["bus"].to_numpy(object), own):
        findings.add("feeder rows", "voltages", "a bus is not that of its region")
    names = branches["branch"].to_numpy(object)[: n - 1]
    if not (
        np.array_equal(branches["step_start_s"], np.repeat(steps, n - 1))
        and np.array_equal(branches["branch"], np.tile(names, folder.n_steps))
    ):
        findings.add("feeder rows", "branches", f"not the same {n - 1} branches in every step")
        return False
    child = folder.region_code(branches["to_region"])
    source = [region.get("bus") for region in folder.regions].index(folder.scenario["feeder"]["source_bus"])
    if sorted({*child.tolist(), source}) != list(range(n)) or source in child:
        findings.add("feeder rows", "branches", "they do not lead to every region but the source's once")
    return len(findings.items) == before


def _table(name: str | None) -> pd.DataFrame | None:
    path: Path | None = data_file(name) if name else None
    if path is None:
        return None
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file, skipinitialspace=True) if "".join(row).strip()]
    names = [name for name in rows[0] if name.strip()]
    cells = [dict(zip(names, [*row, *[""] * len(names)], strict=False)) for row in rows[1:]]
    return pd.DataFrame(cells, columns=names, dtype=object)


def _branches(
    folder: Folder, part: dict[str, Any], tables: list[pd.DataFrame | None], findings: Findings
) -> _Branches | None:
    """Read the branches of the run's table from the feeder's; nothing, and a finding, where they are not its."""
    buses, lines, transformers = tables
    assert buses is not None
    assert lines is not None
    kv = {_cell(row, "bus"): float(row["rated_kv"]) for _, row in buses.iterrows()}
    known = dict(_line(row, kv, _ampacity(row, part)) for row in _in_service(lines))
    known |= dict(_transformer(row) for row in _in_service(transformers))
    bus_of = {region["name"]: region["bus"] for region in folder.regions}
    table = folder.branches.iloc[: len(folder.regions) - 1]
    pairs = zip(table["from_region"].map(bus_of), table["to_region"].map(bus_of), strict=True)
    for name, ends in zip(table["branch"], pairs, strict=True):
        if name not in known or known[name].ends != frozenset(ends):
            findings.add("feeder rows", "branches", f"{name!r} is no branch between {ends[0]} and {ends[1]}")
            return None
    rows = [known[name] for name in table["branch"]]
    return _Branches(
        parent=folder.region_code(table["from_region"]),
        child=folder.region_code(table["to_region"]),
        r=np.array([row.r for row in rows]),
        x=np.array([row.x for row in rows]),
        b=np.array([row.b for row in rows]),
        rating_kva=np.array([row.rating_kva for row in rows]),
        is_transformer=np.array([row.is_transformer for row in rows]),
    )


def _in_service(table: pd.DataFrame | None) -> list[Any]:
    rows = [] if table is None else [row for _, row in table.iterrows()]
    return [row for row in rows if _cell(row, "in_service").lower() != "false"]


def _ampacity(row: Any, part: dict[str, Any]) -> float:
    """Ampacity of a line: the scenario's for it, its table's, the scenario's for those without; in this order."""
    own, table, others = part["line_ampacities_a"], _cell(row, "ampacity_a"), part["line_ampacity_a"]
    return float(own.get(_cell(row, "line")) or table or (np.inf if others == "unlimited" else others))


def _line(row: Any, kv: dict[str, float], ampacity_a: float) -> tuple[str, _Row]:
    ends = _cell(row, "from_bus"), _cell(row, "to_bus")
    base_ohm = kv[ends[0]] ** 2 * 1e3 / BASE_KVA
    return _cell(row, "line"), _Row(
        ends=frozenset(ends),
        r=float(row["r_ohm"]) / base_ohm,
        x=float(row["x_ohm"]) / base_ohm,
        b=float(_cell(row, "b_us") or 0.0) * 1e-6 * base_ohm,
        rating_kva=3**0.5 * kv[ends[0]] * ampacity_a,
        is_transformer=False,
    )


def _transformer(row: Any) -> tuple[str, _Row]:
    rating, z = float(row["rating_kva"]), float(row["short_circuit_percent"]) / 100.0
    r = float(row["copper_loss_kw"]) / rating
    return _cell(row, "transformer"), _Row(
        ends=frozenset((_cell(row, "from_bus"), _cell(row, "to_bus"))),
        r=r * BASE_KVA / rating,
        x=(z * z - r * r) ** 0.5 * BASE_KVA / rating,
        b=0.0,
        rating_kva=rating,
        is_transformer=True,
    )


def _cell(row: Any, name: str) -> str:
    value = row.get(name, "")
    return "" if pd.isna(value) else str(value).strip()


class _States:
    """All states of a run by the branch flow equations, from voltages and what is sent; per unit, (n_steps, M).

    Baran and Wu 1989, with half of a cable's charging at each end.
    """

    def __init__(self, folder: Folder, branches: _Branches) -> None:
        self.folder, self.branches = folder, branches
        shape = (folder.n_steps, len(folder.regions))
        voltage = folder.voltages["voltage_pu"].to_numpy(np.float64, na_value=np.nan).reshape(shape)
        self.solved: Any = ~np.isnan(voltage).any(axis=1)
        self.voltage: FloatArray = np.where(self.solved[:, None], voltage, 1.0)
        self.sent_p, self.sent_q = (self.column(name) / BASE_KVA for name in ("sent_kw", "sent_kvar"))
        self.v_parent, self.v_child = self.voltage[:, branches.parent], self.voltage[:, branches.child]
        series_q = self.sent_q + branches.b / 2.0 * self.v_parent**2
        current = (self.sent_p**2 + series_q**2) / self.v_parent**2
        squared = self.v_parent**2 - 2.0 * (branches.r * self.sent_p + branches.x * series_q)
        squared = squared + (branches.r**2 + branches.x**2) * current
        self.v_child_wanted: FloatArray = np.sqrt(np.maximum(squared, 0.0))
        self.received_p: FloatArray = self.sent_p - branches.r * current
        self.received_q: FloatArray = series_q - branches.x * current + branches.b / 2.0 * self.v_child**2

    def column(self, name: str) -> FloatArray:
        """Column of the branches' table; 0 where there is no power flow."""
        values = self.folder.branches[name].to_numpy(np.float64, na_value=np.nan)
        return np.where(self.solved[:, None], values.reshape(len(self.solved), -1), 0.0)

    def tie_column(self, name: str) -> FloatArray:
        """Column of the ties' table; both tables are sorted by their regions."""
        return self.folder.ties[name].to_numpy(np.float64).reshape(len(self.solved), -1)

    def loading(self) -> FloatArray:
        """Larger of both ends' shares of the rating: a line's by current, a transformer's by power."""
        one = np.where(self.branches.is_transformer, 1.0, self.v_parent)
        other = np.where(self.branches.is_transformer, 1.0, self.v_child)
        busier = np.maximum(
            np.hypot(self.sent_p, self.sent_q) / one, np.hypot(self.received_p, self.received_q) / other
        )
        shares: FloatArray = busier * BASE_KVA / self.branches.rating_kva
        return shares


def _check_branches(states: _States, findings: Findings) -> None:
    """Check the end of each branch against its beginning, and the ties' table against both."""
    # a tie tells what leaves its sending end, whichever that is
    leaves_parent = states.tie_column("flow_kw") > 0.0
    flow_kw = np.where(leaves_parent, states.sent_p, states.received_p) * BASE_KVA
    table = states.folder.branches
    names, step_s = table["branch"].to_numpy(object), table["step_start_s"].to_numpy(np.int64)
    equations = "the equations say {wanted}"
    for check, value, wanted, tolerance, claim in (
        ("feeder voltage drop", states.v_child, states.v_child_wanted, VOLTAGE_PU,
         f"ends at {{value}} p.u., {equations}"),
        ("feeder loss", states.column("loss_kw"), (states.sent_p - states.received_p) * BASE_KVA, POWER_KW,
         f"loses {{value}} kW, {equations}"),
        ("feeder loss", states.column("loss_kvar"), (states.sent_q - states.received_q) * BASE_KVA, POWER_KW,
         f"takes {{value}} kvar, {equations}"),
        ("feeder loading", states.column("loading"), states.loading(), LOADING,
         "loading is {value}, should be {wanted}"),
        ("tie loss", states.tie_column("loss_kw"), states.column("loss_kw"), POWER_KW,
         "its tie loses {value} kW, its power flow {wanted} kW"),
        ("tie flow", states.tie_column("flow_kw"), flow_kw, POWER_KW,
         "its tie carries {value} kW, its power flow {wanted} kW"),
    ):  # fmt: skip
        wrong = differs(value, wanted, tolerance) & states.solved[:, None]
        findings.rows(
            wrong.ravel(), check, "branches", "{branch} at {step_s}", claim,
            branch=names, step_s=step_s, value=value.ravel(), wanted=wanted.ravel(),
        )  # fmt: skip


def _check_unsolved(states: _States, source_pu: float, findings: Findings) -> None:
    """Check steps that are said to have no power flow: nothing of theirs is told, nothing lost, and none exists."""
    folder, n_steps = states.folder, len(states.solved)
    step_s = np.arange(n_steps) * STEP_S
    told = {"voltages": ["voltage_pu"], "branches": [*FLOWS]}
    parts = [
        getattr(folder, table)[name].isna().to_numpy().reshape(n_steps, -1)
        for table, names in told.items()
        for name in names
    ]
    is_null = np.concatenate(parts, axis=1)
    findings.rows(
        is_null.any(axis=1) & ~is_null.all(axis=1),
        "feeder rows", "voltages", "{step_s}", "some voltages and flows are null, others are not", step_s=step_s,
    )  # fmt: skip
    missing = np.flatnonzero(is_null.all(axis=1))
    lost_kw = states.tie_column("loss_kw")[missing].sum(axis=1)
    findings.rows(
        differs(lost_kw, np.zeros(len(missing)), POWER_KW),
        "feeder rows", "ties", "{step_s}", "ties lose {lost_kw} kW without a power flow",
        step_s=step_s[missing], lost_kw=lost_kw,
    )  # fmt: skip
    demand_kw, demand_kvar = (part[missing] for part in _demands(folder))
    exists = _has_power_flow(states.branches, demand_kw, demand_kvar, source_pu)
    claim = "is said to have no power flow, and has one"
    findings.rows(exists, "feeder rows", "voltages", "{step_s}", claim, step_s=step_s[missing])


def _has_power_flow(
    branches: _Branches, demand_kw: FloatArray, demand_kvar: FloatArray, source_pu: float
) -> Any:
    """Whether backward and forward sweeps from a flat start come to rest; demands have shape (K, R), the answer (K,).

    Where they do not, nothing is said: near the end of what a feeder carries sweeps fail before power flows do.
    """
    n_states, n = demand_kw.shape
    below = np.zeros((len(branches.child), n))  # which regions each branch feeds
    for place, child in enumerate(branches.child):
        fed = [int(child)]
        while fed:
            here = fed.pop()
            below[place, here] = 1.0
            fed += branches.child[branches.parent == here].tolist()
    shunt = np.zeros(n)
    for ends in (branches.parent, branches.child):
        np.add.at(shunt, ends, branches.b / 2.0)
    power, z = (demand_kw + 1j * demand_kvar) / BASE_KVA, branches.r + 1j * branches.x
    voltage, change = np.full((n_states, n), source_pu, dtype=complex), np.full(n_states, np.inf)
    with np.errstate(all="ignore"):  # where there is none, anything may come
        for _ in range(SWEEPS):
            current = np.conj(power / voltage) + 1j * shunt * voltage
            after = source_pu - (current @ below.T * z) @ below
            change, voltage = np.abs(after - voltage).max(axis=1), after
        return (change < VOLTAGE_PU) & (np.abs(voltage).min(axis=1) > 0.0)


def _demands(folder: Folder) -> tuple[FloatArray, FloatArray]:
    """What each region takes from the feeder, (n_steps, R) in kW and kvar."""
    loads = [region.get("load") or {} for region in folder.regions]
    served = folder.by_step("load_kw") - folder.by_step("unserved_kw")
    reactive = served * np.array([load.get("kvar_per_kw", 0.0) for load in loads])
    return folder.by_step("tie_kw"), reactive + _inverters(folder) + folder.by_step("charger_kvar")


def _inverters(folder: Folder) -> FloatArray:
    """Reactive power that storage takes in each region, (n_steps, R), whole rows or not."""
    table, n = folder.storage, len(folder.regions)
    step = table["step_start_s"].to_numpy(np.int64) // STEP_S
    place = step * n + folder.region_code(table["region"])
    known = (place >= 0) & (place < folder.n_steps * n)
    taken: FloatArray = np.zeros(folder.n_steps * n)
    np.add.at(taken, place[known], table["reactive_kvar"].to_numpy(np.float64)[known])
    return taken.reshape(folder.n_steps, n)


def _check_buses(grid: Grid, states: _States, source_pu: float) -> None:
    """Check the source's voltage, and that each region takes from the feeder what its balance says."""
    folder, branches = grid.folder, states.branches
    n = len(folder.regions)
    source = int(np.setdiff1d(np.arange(n), branches.child)[0])
    step_s = np.arange(folder.n_steps) * STEP_S
    at_source = states.voltage[:, source]
    grid.findings.rows(
        states.solved & differs(at_source, source_pu, VOLTAGE_PU),
        "source voltage", "voltages", "{step_s}", "the source is at {value} p.u.", step_s=step_s, value=at_source,
    )  # fmt: skip
    active, reactive = _demands(folder)
    # which branches end and begin at each region, (M, R)
    ends, begins = (np.equal.outer(index, np.arange(n)) for index in (branches.child, branches.parent))
    for unit, sent, received, demand in (
        ("kW", states.sent_p, states.received_p, active),
        ("kvar", states.sent_q, states.received_q, reactive),
    ):
        into = (received @ ends - sent @ begins) * BASE_KVA
        wrong = differs(into, demand, POWER_KW) & states.solved[:, None] & (np.arange(n) != source)
        claim = f"the feeder brings {{into}} {unit}, the region takes {{demand}}"
        grid.note(wrong.ravel(), "feeder balance", claim, into=into.ravel(), demand=demand.ravel())
