"""The feeder in a run's report: numbers behind its charts, its cards, and its tables of what went furthest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.feeder_facts import (
    Band,
    Places,
    branch_facts,
    branches_by_step,
    bus_facts,
    bus_label,
    buses_by_step,
    coordinates,
    feeder_tree,
    source_of,
    tree_places,
    voltage_range,
    worst_bus,
)
from experiments.metrics import WITHIN_PU
from experiments.palette import GRID, LOADING, OVER, REGIONS, UNRATED, VOLTAGE, WIND, colour_at
from experiments.reading import Run
from experiments.shipped import locate
from experiments.tables import readable
from sim.arrays import FloatArray
from sim.clock import STEP_H, label
from sim.errors import ScenarioError
from sim.feeder.placing import read_part
from sim.scenario import FeederPart

N_BRANCHES: Final = 5
"""Branches whose loading is drawn over the day."""
MAX_ROWS: Final = 10
"""Buses and branches that the tables list."""


def feeder_band(run: Run) -> Band | None:
    """Voltages that a run's feeder shall keep; none where there is no feeder."""
    part = run.scenario.get("feeder")
    if part is None or run.voltages.empty or run.branches.empty:
        return None
    return Band(low_pu=float(part["voltage_min_pu"]), high_pu=float(part["voltage_max_pu"]))


def feeder_places(run: Run) -> Places | None:
    """Coordinates of the buses; none where their table has none, or is not at hand any more."""
    try:
        found = coordinates(read_part(FeederPart.model_validate(run.scenario["feeder"]), locate))
    except (ScenarioError, ValueError):  # a run's folder may have been carried elsewhere
        return None
    names = set(run.voltages["bus"])
    return found if found is not None and names <= found.keys() else None


def feeder_data(run: Run, merged: int) -> dict[str, Any] | None:
    """Collect what the feeder's charts draw, ready for JSON; none where there is no feeder.

    Parameters
    ----------
    merged
        Steps that a point stands for: voltages and loading are the extremes among them, losses their mean.
    """
    band = feeder_band(run)
    if band is None:
        return None
    buses, branches = bus_facts(run.voltages, band), branch_facts(run.voltages, run.branches)
    return {
        "limits_pu": [band.low_pu, band.high_pu],
        "colours": {
            "over": OVER,
            "band": WIND,
            "middle": GRID,
            "loading": LOADING,
            "voltage": VOLTAGE,
            "unrated": UNRATED,
        },
        **_voltages(run, buses, merged),
        **_loading(run, branches, merged),
        "map": _map(run, buses, branches, band),
    }


def feeder_words(run: Run) -> dict[str, Any] | None:
    """What the report says of the feeder in words and tables; none where there is no feeder."""
    band = feeder_band(run)
    if band is None:
        return None
    buses, branches = bus_facts(run.voltages, band), branch_facts(run.voltages, run.branches)
    outside = buses[buses["steps_outside"] > 0].sort_values("beyond_pu", ascending=False, kind="stable")
    loaded = branches.sort_values("loading", ascending=False, kind="stable")
    is_unsolved = buses_by_step(run.voltages).isna().any(axis=1)
    return {
        "cards": _cards(run, buses, branches),
        "band": f"{band.low_pu:g} to {band.high_pu:g} p.u.",
        "has_coordinates": feeder_places(run) is not None,
        "n_unsolved": int(is_unsolved.sum()),
        "n_steps": len(is_unsolved),
        "n_outside": len(outside),
        "buses": [_bus_row(str(bus), row) for bus, row in outside.head(MAX_ROWS).iterrows()],
        "n_branches": len(branches),
        "branches": [_branch_row(row) for _, row in loaded.head(MAX_ROWS).iterrows()],
    }


def _cards(run: Run, buses: pd.DataFrame, branches: pd.DataFrame) -> list[dict[str, str]]:
    """Value, unit and where it was, of what an engineer asks first."""
    figures, cards = run.kpis, []
    for words, column, rows in (
        ("lowest voltage", "lowest", buses.sort_values("lowest_pu", kind="stable")),
        ("highest voltage", "highest", buses.sort_values("highest_pu", ascending=False, kind="stable")),
    ):
        for bus, row in rows.head(1).dropna().iterrows():
            where = f"bus {bus_label(str(bus), row['region'])}, {label(int(row[f'{column}_s']))}"
            cards.append(_card(words, f"{row[f'{column}_pu']:.3f}", "p.u.", where))
    for _, row in _most(branches, "loading").dropna().iterrows():
        where = f"{_branch_name(row)}, {label(int(row['loading_s']))}"
        cards.append(_card("largest loading", f"{100.0 * row['loading']:.0f}", "%", where))
    loss_kwh, bought_kwh = figures["feeder_loss_kwh"], figures["energy_import_kwh"]
    share = f"{loss_kwh / bought_kwh:.1%} of the energy bought; " if bought_kwh > 0.0 else ""
    for _, row in _most(branches, "loss_kwh").iterrows():
        cards.append(_card("losses", readable(loss_kwh), "kWh", f"{share}most in {_branch_name(row)}"))
    n_buses, n_branches = (buses["steps_outside"] > 0).sum(), (branches["steps_over"] > 0).sum()
    n_steps = run.voltages["step_start_s"].nunique()
    for words, name, unit, where in (
        ("outside the band", "voltage_violations", "bus steps", f"at {n_buses} of {len(buses)} buses"),
        ("overloads", "overloads", "branch steps", f"in {n_branches} of {len(branches)} branches"),
        ("any violation", "network_violation_steps", "steps", f"of {n_steps}"),
    ):
        cards.append(_card(words, readable(figures[name]), unit, where))
    return cards


def _card(words: str, value: str, unit: str, where: str) -> dict[str, str]:
    return {"label": words, "value": value, "unit": unit, "where": where}


def _most(branches: pd.DataFrame, column: str) -> pd.DataFrame:
    return branches.sort_values(column, ascending=False, kind="stable").head(1)


def _bus_row(bus: str, row: pd.Series[Any]) -> dict[str, str]:
    return {
        "bus": bus_label(bus, row["region"]),
        "lowest": f"{row['lowest_pu']:.4f}",
        "lowest_at": label(int(row["lowest_s"])),
        "highest": f"{row['highest_pu']:.4f}",
        "highest_at": label(int(row["highest_s"])),
        "hours": f"{row['steps_outside'] * STEP_H:.2f}",
    }


def _branch_row(row: pd.Series[Any]) -> dict[str, str]:
    is_known = row["loading"] > 0.0
    return {
        "branch": _branch_name(row),
        "loading": f"{100.0 * row['loading']:.1f}" if is_known else "-",
        "loading_at": label(int(row["loading_s"])) if is_known else "-",
        "hours": f"{row['steps_over'] * STEP_H:.2f}",
        "loss": readable(row["loss_kwh"]),
    }


def _branch_name(row: pd.Series[Any]) -> str:
    return f"{row['branch']} ({row['from_bus']} to {row['to_bus']})"


def _voltages(run: Run, buses: pd.DataFrame, merged: int) -> dict[str, Any]:
    """Lowest, median and highest voltage of all buses in each step, and that of the worst bus."""
    pu = buses_by_step(run.voltages)
    values = pu.to_numpy(np.float64)
    names = [bus_label(str(bus), buses["region"][bus]) for bus in pu.columns]
    is_solved = ~np.isnan(values).any(axis=1)
    low, high = (
        [names[number] if solved else "" for number, solved in zip(at, is_solved, strict=True)]
        for at in (
            np.nan_to_num(values, nan=np.inf).argmin(axis=1),
            np.nan_to_num(values, nan=-np.inf).argmax(axis=1),
        )
    )
    worst = worst_bus(buses)
    return {
        "low_pu": _merged(values.min(axis=1), merged, np.nanmin),
        "low_bus": low if merged == 1 else [],
        "median_pu": _merged(np.median(values, axis=1), merged, np.nanmean),
        "high_pu": _merged(values.max(axis=1), merged, np.nanmax),
        "high_bus": high if merged == 1 else [],
        "worst": None
        if worst is None
        else {
            "bus": bus_label(worst, buses["region"][worst]),
            "pu": _merged(pu[worst].to_numpy(np.float64), merged, np.nanmean),
        },
    }


def _loading(run: Run, branches: pd.DataFrame, merged: int) -> dict[str, Any]:
    loading = branches_by_step(run.branches, "loading")
    shown = branches.sort_values("loading", ascending=False, kind="stable").head(N_BRANCHES)
    loss_kw = branches_by_step(run.branches, "loss_kw").to_numpy(np.float64).sum(axis=1)
    return {
        "loading": [
            {
                "branch": _branch_name(row),
                "colour": colour,
                "percent": _merged(100.0 * loading[region].to_numpy(np.float64), merged, np.nanmax),
            }
            for colour, (region, row) in zip(REGIONS, shown.iterrows(), strict=False)
        ],
        "loss_kw": _merged(loss_kw, merged, np.nanmean),
    }


def _map(run: Run, buses: pd.DataFrame, branches: pd.DataFrame, band: Band) -> dict[str, Any]:
    tree, known = feeder_tree(branches), feeder_places(run)
    places = tree_places(tree) if known is None else known
    low, high = voltage_range(buses["lowest_pu"].dropna())
    source = source_of(tree)
    return {
        "has_coordinates": known is not None,
        "voltage_range": [low, high],
        "buses": [
            {
                "bus": str(bus),
                "region": "" if bus_label(str(bus), row["region"]) == str(bus) else row["region"],
                "at": [float(value) for value in places[str(bus)]],
                "is_source": str(bus) == source,
                "lowest_pu": _number(row["lowest_pu"]),
                "is_below": bool(row["lowest_pu"] < band.low_pu - WITHIN_PU),
                "is_above": bool(row["highest_pu"] > band.high_pu + WITHIN_PU),
                "says": _bus_says(str(bus), row),
            }
            for bus, row in buses.iterrows()
        ],
        "branches": [
            {
                "ends": [[float(value) for value in places[row[end]]] for end in ("from_bus", "to_bus")],
                "percent": _number(100.0 * row["loading"]),
                "colour": branch_colour(row["loading"]),
                "says": _branch_says(row),
            }
            for _, row in branches.iterrows()
        ],
    }


def branch_colour(loading: float) -> str:
    """Colour of a branch on the map by its largest loading; its own where it has no rating, or is above it.

    >>> branch_colour(0.0) == UNRATED, branch_colour(1.2) == OVER, branch_colour(1.0) == LOADING[-1]
    (True, True, True)
    """
    if not loading > 0.0:
        return UNRATED
    return OVER if loading > 1.0 + WITHIN_PU else colour_at(LOADING, loading)


def _bus_says(bus: str, row: pd.Series[Any]) -> str:
    head = f"bus {bus_label(bus, row['region'])}"
    if np.isnan(row["lowest_pu"]):
        return f"{head}: no power flow"
    ends = (
        f"{name} {row[f'{name}_pu']:.4f} p.u. at {label(int(row[f'{name}_s']))}"
        for name in ("lowest", "highest")
    )
    outside = f"outside the band for {row['steps_outside'] * STEP_H:g} h" if row["steps_outside"] else ""
    return "<br>".join(part for part in (f"<b>{head}</b>", *ends, outside) if part)


def _branch_says(row: pd.Series[Any]) -> str:
    loaded = "without rating or flow"
    if row["loading"] > 0.0:
        loaded = f"loaded to {100.0 * row['loading']:.1f} % at {label(int(row['loading_s']))}"
    return f"<b>{_branch_name(row)}</b><br>{loaded}<br>{readable(row['loss_kwh'])} kWh lost"


def _merged(values: FloatArray, merged: int, of: Callable[[FloatArray], Any]) -> list[float | None]:
    """One value of every ``merged`` steps; none where no step of them has a power flow.

    >>> _merged(np.array([1.0, np.nan, 3.0]), 2, np.nanmax), _merged(np.array([np.nan]), 1, np.nanmax)
    ([1.0, 3.0], [None])
    """
    parts = (values[first : first + merged] for first in range(0, len(values), merged))
    return [None if np.isnan(part).all() else round(float(of(part)), 5) for part in parts]


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 5)
