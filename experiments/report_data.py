"""Numbers behind the report's charts: plain lists, thinned where a run is long."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.car_domain import CarLimits, Line, car_domain
from experiments.reading import Run, records
from experiments.regions_shown import Balance, FleetPower, balances, fleet_powers, region_colours
from experiments.report_explanations import explanations
from experiments.report_feeder import feeder_data
from sim.arrays import FloatArray
from sim.clock import STEP_S

MAX_CARS: Final = 200
"""Cars that the report's chooser holds."""
MAX_POINTS: Final = 1500
"""Steps per chart; longer runs are averaged over several steps."""


def report_data(run: Run) -> dict[str, Any]:
    """Collect what the charts draw, ready for JSON."""
    n_steps = run.grid["step_start_s"].nunique()
    merged = max(1, -(-n_steps // MAX_POINTS))
    cars = _cars(run)
    drawn, balance_note = balances(run)
    powers, fleet_note = fleet_powers(run)
    first = run.grid[run.grid["region"] == run.region_names[0]].sort_values("step_start_s")
    return {
        "start": _day(run).isoformat(),
        "end_s": run.days * 24 * 3600,
        "step_s": STEP_S * merged,
        "merged": merged,
        "currency": run.currency,
        "regions": [
            {"name": name, "colour": colour}
            for name, colour in zip(run.region_names, region_colours(run), strict=True)
        ],
        "feeder": feeder_data(run, merged),
        "balance": [_balance(balance, merged) for balance in drawn],
        "balance_note": balance_note,
        "fleet": [_fleet(power, merged) for power in powers],
        "fleet_note": fleet_note,
        "price": _averaged(first["buy_price_per_kwh"].to_numpy(np.float64), merged),
        "domain": _domain(run, merged),
        "decisions": _decisions(run.decisions),
        "cars": cars,
        "explanations": explanations(run, [car["id"] for car in cars]),
    }


def _balance(balance: Balance, merged: int) -> dict[str, Any]:
    return {
        "region": balance.title,
        "layers": [
            {
                "group": layer.group,
                "name": layer.name,
                "colour": layer.colour,
                "supplies": layer.supplies,
                "kw": _averaged(kw if layer.supplies else -kw, merged),
            }
            for layer, kw in balance.layers
        ],
    }


def _fleet(power: FleetPower, merged: int) -> dict[str, Any]:
    return {
        "region": power.title,
        "colour": power.colour,
        "charge_kw": _averaged(power.charge_kw, merged),
        "discharge_kw": _averaged(-power.discharge_kw, merged),
    }


def _domain(run: Run, merged: int) -> dict[str, Any]:
    columns = ["n_plugged", "energy_kwh", "lower_kwh", "upper_kwh"]
    totals = run.domain.groupby("step_start_s", sort=True)[columns].sum()
    return {name: _averaged(totals[name].to_numpy(np.float64), merged) for name in columns}


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


def _averaged(values: FloatArray, merged: int) -> list[float]:
    """Means over ``merged`` steps each (the last ones may be fewer).

    >>> _averaged(np.array([1.0, 3.0, 5.0]), 2)
    [2.0, 5.0]
    """
    if not len(values):
        return []
    starts = np.arange(0, len(values), merged)
    sums = np.add.reduceat(values, starts)
    counts = np.diff(np.append(starts, len(values)))
    return [round(float(value), 3) for value in sums / counts]


def _day(run: Run) -> date:
    start = run.scenario["simulation"]["start"]
    return start if isinstance(start, date) else date.fromisoformat(str(start))
