"""What a run's tables say of one car, and of each car in sum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.car_domain import CarDomain, CarLimits, car_domain
from experiments.metrics import energy_at_departure_kwh, segment_bills
from experiments.reading import Run, read_run, records
from sim.arrays import FloatArray
from sim.clock import STEP_S, label
from sim.errors import RunFolderError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CarDay:
    """One car's rows of a run."""

    run: Run
    vehicle: pd.Series[Any]
    trips: pd.DataFrame
    segments: pd.DataFrame
    domain: CarDomain


def car_day(run: str | Path | Run, vehicle_id: int) -> CarDay:
    """Collect what the tables say of one car.

    Raises
    ------
    RunFolderError
        When the folder is not a run, or has no such car.
    """
    opened = read_run(run)
    known = opened.vehicles["vehicle_id"]
    found = opened.vehicles[known == vehicle_id]
    if found.empty:
        have = f"it has {known.min()}..{known.max()}" if len(known) else "it has none"
        raise RunFolderError(f"{opened.path}: no vehicle {vehicle_id}, {have}")
    vehicle = found.iloc[0]
    trips, segments = opened.trips, opened.segments
    trips = trips[trips["vehicle_id"] == vehicle_id].sort_values("planned_depart_s").reset_index(drop=True)
    segments = segments[segments["vehicle_id"] == vehicle_id].sort_values("start_s").reset_index(drop=True)
    domain = car_domain(CarLimits.of(vehicle), records(trips), records(segments))
    return CarDay(run=opened, vehicle=vehicle, trips=trips, segments=segments, domain=domain)


def car_table(day: CarDay) -> pd.DataFrame:
    """One car's life as a frame, a row per segment.

    Returns
    -------
    DataFrame
        start_s, end_s, from, to, activity, place, plugged, power_kw, energy_start_kwh, energy_end_kwh,
        soc_end, lower_kwh and upper_kwh (the domain at the row's end), buy_price_per_kwh (mean over the row
        where it is parked), money (what the row costs), note (the trip, late or short departures).
    """
    rows = day.segments
    end_s = rows["end_s"].to_numpy(np.float64)
    return pd.DataFrame(
        {
            "start_s": rows["start_s"],
            "end_s": rows["end_s"],
            "from": [label(int(t)) for t in rows["start_s"]],
            "to": [label(int(t)) for t in rows["end_s"]],
            "activity": rows["activity"],
            "place": rows["region"].fillna(""),
            "plugged": rows["plugged"],
            "power_kw": rows["power_kw"],
            "energy_start_kwh": rows["energy_start_kwh"],
            "energy_end_kwh": rows["energy_end_kwh"],
            "soc_end": rows["energy_end_kwh"] / float(day.vehicle["battery_kwh"]),
            "lower_kwh": day.domain.lower.at(end_s),
            "upper_kwh": day.domain.upper.at(end_s),
            "buy_price_per_kwh": _mean_price(rows, day.run.grid),
            "money": segment_bills(rows, day.run.grid),
            "note": _notes(day),
        }
    )


def fleet_table(run: str | Path | Run) -> pd.DataFrame:
    """Sum up each car's run, a row per car, in order of vehicle_id.

    Returns
    -------
    DataFrame
        vehicle_id, vehicle_class, chain, trips, distance_km, charged_kwh, discharged_kwh, bill, min_soc,
        end_soc, shortfall_kwh (below what departures needed), unmet_kwh, late (departures late or never
        begun).
    """
    opened = read_run(run)
    cars, trips, rows = opened.vehicles.set_index("vehicle_id"), opened.trips, opened.segments
    hours = (rows["end_s"] - rows["start_s"]) / 3600.0
    ordered = rows.sort_values(["vehicle_id", "start_s"])
    lacking = (trips["required_kwh"] - energy_at_departure_kwh(trips, rows)).clip(lower=0.0).fillna(0.0)
    late = (trips["depart_s"].isna() | (trips["depart_s"] > trips["planned_depart_s"])).fillna(True)
    begun = trips["depart_s"].notna()

    def of_trips(values: pd.Series[Any]) -> pd.Series[Any]:
        return values.groupby(trips["vehicle_id"]).sum().reindex(cars.index, fill_value=0)

    def of_rows(values: pd.Series[Any]) -> pd.Series[Any]:
        return values.groupby(rows["vehicle_id"]).sum().reindex(cars.index, fill_value=0.0)

    least = rows[["energy_start_kwh", "energy_end_kwh"]].min(axis=1).groupby(rows["vehicle_id"]).min()
    last = ordered.groupby("vehicle_id")["energy_end_kwh"].last()
    table = pd.DataFrame(
        {
            "vehicle_class": cars["vehicle_class"],
            "chain": cars["chain"],
            "trips": of_trips(begun.astype(int)),
            "distance_km": of_trips(trips["distance_km"].where(begun, 0.0)),
            "charged_kwh": of_rows(rows["power_kw"].clip(lower=0.0) * hours),
            "discharged_kwh": of_rows((-rows["power_kw"]).clip(lower=0.0) * hours),
            "bill": of_rows(pd.Series(segment_bills(rows, opened.grid), index=rows.index)),
            "min_soc": least / cars["battery_kwh"],
            "end_soc": last / cars["battery_kwh"],
            "shortfall_kwh": of_trips(lacking),
            "unmet_kwh": of_trips(trips["unmet_kwh"]),
            "late": of_trips(late.astype(int)),
        },
        index=cars.index,
    )
    return table.reset_index()


def _mean_price(rows: pd.DataFrame, grid: pd.DataFrame) -> FloatArray:
    """Mean buying price over each row at its region, not a number where it is not parked."""
    result = np.full(len(rows), np.nan)
    for name, here in grid.groupby("region"):
        inside = np.flatnonzero((rows["region"] == name).to_numpy(bool))
        ordered = here.sort_values("step_start_s")
        edges_s = np.append(
            ordered["step_start_s"].to_numpy(np.int64), ordered["step_start_s"].iloc[-1] + STEP_S
        )
        running = np.append(0.0, np.cumsum(ordered["buy_price_per_kwh"].to_numpy(np.float64) * STEP_S))
        start_s, end_s = (rows[name].to_numpy(np.int64)[inside] for name in ("start_s", "end_s"))
        result[inside] = (np.interp(end_s, edges_s, running) - np.interp(start_s, edges_s, running)) / (
            end_s - start_s
        )
    return result


def _notes(day: CarDay) -> list[str]:
    stored = energy_at_departure_kwh(day.trips, day.segments)
    notes = [""] * len(day.segments)
    starts = day.segments["start_s"].to_numpy(np.int64)
    for trip, had in zip(records(day.trips), stored, strict=True):
        planned = label(int(trip.planned_depart_s))
        if pd.isna(trip.depart_s):
            notes[-1] += (
                f"{'; ' if notes[-1] else ''}trip to {trip.destination} planned at {planned} not begun"
            )
            continue
        text = f"{trip.origin} to {trip.destination}, {trip.distance_km:.1f} km"
        text += f", needed {trip.required_kwh:.1f} kWh"
        if had < trip.required_kwh - 1e-6:
            text += f", had {had:.1f}"
        if trip.unmet_kwh > 0:
            text += f", helped with {trip.unmet_kwh:.2f} kWh"
        if trip.depart_s > trip.planned_depart_s:
            text += f", late by {(trip.depart_s - trip.planned_depart_s) / 60:.0f} min (planned {planned})"
        row = int(np.searchsorted(starts, int(trip.depart_s), side="right")) - 1
        notes[row] += ("; " if notes[row] else "") + text
    return notes
