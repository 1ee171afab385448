"""Numbers behind the report's charts: plain lists, thinned where a run is long."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.car_domain import CarLimits, Line, car_domain
from experiments.palette import LAYERS, REGIONS, Layer
from experiments.reading import Run, records
from experiments.report_explanations import explanations
from sim.arrays import FloatArray
from sim.clock import STEP_S

MAX_CARS: Final = 200
"""Cars that the report's chooser holds."""
MAX_REGIONS: Final = 6
"""Regions whose power balance is drawn."""
MAX_POINTS: Final = 1500
"""Steps per chart; longer runs are averaged over several steps."""


def report_data(run: Run) -> dict[str, Any]:
    """Collect what the charts draw, ready for JSON."""
    names = run.region_names
    grid = run.grid.sort_values("step_start_s", kind="stable")
    n_steps = grid["step_start_s"].nunique()
    merged = max(1, -(-n_steps // MAX_POINTS))
    cars = _cars(run)
    by_region = {name: grid[grid["region"] == name].reset_index(drop=True) for name in names}
    return {
        "start": _day(run).isoformat(),
        "end_s": run.days * 24 * 3600,
        "step_s": STEP_S * merged,
        "merged": merged,
        "currency": run.currency,
        "regions": [{"name": name, "colour": REGIONS[i % len(REGIONS)]} for i, name in enumerate(names)],
        "balance": [_balance(name, by_region[name], merged) for name in names[:MAX_REGIONS]],
        "fleet": [_fleet(name, by_region[name], merged) for name in names],
        "price": _averaged(by_region[names[0]]["buy_price_per_kwh"], merged),
        "domain": _domain(run, merged),
        "decisions": _decisions(run.decisions),
        "cars": cars,
        "explanations": explanations(run, [car["id"] for car in cars]),
    }


def layer_kw(layer: Layer, grid: pd.DataFrame) -> FloatArray:
    """Power of one layer of the balance in each row, never below 0."""
    power = sum(grid[column].to_numpy(np.float64) for column in layer.plus)
    power = np.asarray(power - sum(grid[column].to_numpy(np.float64) for column in layer.minus))
    signed = {"all": power, "positive": power, "negative": -power}[layer.part]
    return np.asarray(np.maximum(signed, 0.0), dtype=np.float64)


def _balance(name: str, grid: pd.DataFrame, merged: int) -> dict[str, Any]:
    layers = []
    for layer in LAYERS:
        power = layer_kw(layer, grid)
        if power.any():
            layers.append(
                {
                    "group": layer.group,
                    "name": layer.name,
                    "colour": layer.colour,
                    "supplies": layer.supplies,
                    "kw": _averaged(pd.Series(power if layer.supplies else -power), merged),
                }
            )
    return {"region": name, "layers": layers}


def _fleet(name: str, grid: pd.DataFrame, merged: int) -> dict[str, Any]:
    return {
        "region": name,
        "charge_kw": _averaged(grid["ev_charge_kw"], merged),
        "discharge_kw": _averaged(-grid["ev_discharge_kw"], merged),
    }


def _domain(run: Run, merged: int) -> dict[str, Any]:
    columns = ["n_plugged", "energy_kwh", "lower_kwh", "upper_kwh"]
    totals = run.domain.groupby("step_start_s", sort=True)[columns].sum()
    return {name: _averaged(totals[name], merged) for name in columns}


def _decisions(decisions: pd.DataFrame) -> dict[str, Any]:
    ordered = decisions.sort_values("step_start_s")
    gaps = ordered["gap"].to_numpy(np.float64, na_value=np.nan)
    return {
        "at_s": ordered["step_start_s"].tolist(),
        "ms": [round(1000.0 * seconds, 2) for seconds in ordered["seconds"]],
        "gap": [float(gap) if np.isfinite(gap) else None for gap in gaps],
        "status": ordered["status"].tolist(),
    }


def _cars(run: Run) -> list[dict[str, Any]]:
    vehicles = run.vehicles.sort_values("vehicle_id").head(MAX_CARS)
    places = {name: i for i, name in enumerate(run.region_names)}
    rows_of, trips_of = (
        _by_car(frame, vehicles["vehicle_id"], order)
        for frame, order in ((run.segments, "start_s"), (run.trips, "planned_depart_s"))
    )
    cars = []
    for vehicle in records(vehicles):
        rows = rows_of.get(vehicle.vehicle_id, [])
        domain = car_domain(CarLimits.of(vehicle), trips_of.get(vehicle.vehicle_id, []), rows)
        cars.append(
            {
                "id": int(vehicle.vehicle_id),
                "chain": vehicle.chain,
                "kwh": float(vehicle.battery_kwh),
                "rows": [_row(row, places) for row in rows],
                "lower": _points(domain.lower),
                "upper": _points(domain.upper),
            }
        )
    return cars


def _by_car(frame: pd.DataFrame, shown: pd.Series[Any], order: str) -> dict[int, list[Any]]:
    """Records of each car that is shown, in order."""
    kept = frame[frame["vehicle_id"].isin(shown)].sort_values(["vehicle_id", order])
    found: dict[int, list[Any]] = {}
    for row in records(kept):
        found.setdefault(row.vehicle_id, []).append(row)
    return found


def _row(row: Any, places: dict[str, int]) -> list[float | int]:
    """Beginning, end, place (a region's index; -1 driving, -2 away), plugged, power, energy at both ends."""
    place = places[row.region] if row.activity == "parked" else -1 if row.activity == "driving" else -2
    return [
        int(row.start_s),
        int(row.end_s),
        place,
        int(row.plugged),
        round(row.power_kw, 3),
        round(row.energy_start_kwh, 3),
        round(row.energy_end_kwh, 3),
    ]


def _points(line: Line) -> list[list[float]]:
    return [[round(float(t)) for t in line.at_s], [round(float(energy), 3) for energy in line.kwh]]


def _averaged(values: pd.Series[Any], merged: int) -> list[float]:
    """Means over ``merged`` steps each (the last ones may be fewer).

    >>> _averaged(pd.Series([1.0, 3.0, 5.0]), 2)
    [2.0, 5.0]
    """
    array = values.to_numpy(np.float64)
    starts = np.arange(0, len(array), merged)
    if not len(array):
        return []
    sums = np.add.reduceat(array, starts)
    counts = np.diff(np.append(starts, len(array)))
    return [round(float(value), 3) for value in sums / counts]


def _day(run: Run) -> date:
    start = run.scenario["simulation"]["start"]
    return start if isinstance(start, date) else date.fromisoformat(str(start))
