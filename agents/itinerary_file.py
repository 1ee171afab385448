"""A user's own itineraries: reading the CSV file and turning it into the fleet's trips.

Columns ``vehicle, depart, arrive, from, to, km``. Instants are whole seconds since the scenario's start,
``HH:MM``, ``D+HH:MM`` (both with optional seconds), or ISO datetimes (without an offset: on the scenario's
clock). A car's home is where its first row begins; cars without rows stay at home. Days outside those of the
file are copies of the nearest day, or spent at home, as ``travel.itineraries_outside`` says; a day is only
copied for cars that begin and end it at home. Each stop's plug-in draw is one uniform of the car's day, in
order of its trips.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from agents.itineraries import Itineraries, PlannedTrips, assemble_itineraries
from agents.itinerary_checks import FileTrip, plan_faults, trip_faults
from agents.population import Population, populate
from agents.uniforms import uniform_blocks
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.clock import DAY_S
from sim.errors import ScenarioError
from sim.randomness import Stream
from sim.scenario import Scenario
from sim.series_time import epoch_s, standard_offset_s
from sim.text_table import finite_number

COLUMNS: Final = ("vehicle", "depart", "arrive", "from", "to", "km")
_CLOCK: Final = re.compile(r"(?:(-?\d+)\+)?([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_BLOCK: Final = 64


def read_itineraries(
    scenario: Scenario, population: Population, locate: Callable[[str], Path]
) -> tuple[Population, Itineraries]:
    """Read and check a file of itineraries; return the cars with their homes, and their trips.

    Raises
    ------
    ScenarioError
        With every fault of the file: its name, the row, what is wrong, the value and the bound.
    """
    file = locate(scenario.travel.itineraries or "")
    rows, faults = _rows(file, scenario)
    rows.sort(key=lambda row: (row.vehicle, row.depart_s))
    faults += trip_faults(scenario, population, rows)
    if faults:
        raise ScenarioError(f"{file.name} {fault}" for fault in faults)
    population = _with_homes(scenario, population, rows)
    trips = _spread(scenario, population.home_index, rows)
    car, depart = _column(trips, "vehicle"), _column(trips, "depart_s")
    planned = PlannedTrips(
        vehicle_index=car,
        origin_index=_column(trips, "origin"),
        destination_index=_column(trips, "destination"),
        depart_s=depart,
        arrive_s=_column(trips, "arrive_s"),
        distance_km=np.array([trip.km for trip in trips], dtype=np.float64),
        plugs_in=_plug_draws(scenario, car, depart // DAY_S, _column(trips, "destination")),
    )
    itineraries = assemble_itineraries(population.home_index, planned)
    if faults := plan_faults(scenario, population, itineraries):
        raise ScenarioError(f"{file.name} {fault}" for fault in faults)
    return population, itineraries


def parse_instant(text: str, scenario: Scenario) -> int | None:
    """Seconds since the scenario's start; none where the text is no instant."""
    text = text.strip()
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if clock := _CLOCK.fullmatch(text):
        day, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return day * DAY_S + hours * 3600 + minutes * 60 + seconds
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    start_s = epoch_s(scenario.simulation.start)
    if moment.tzinfo is None:
        return round(moment.replace(tzinfo=UTC).timestamp()) - start_s
    offset_s = standard_offset_s(scenario.simulation.time_zone, scenario.simulation.start)
    return round(moment.timestamp()) + offset_s - start_s


def _rows(file: Path, scenario: Scenario) -> tuple[list[FileTrip], list[str]]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([f"travel.itineraries: cannot read {file}: {error}"]) from error
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    header = [name.strip() for name in reader.fieldnames or ()]
    faults = [f"row 1: column {name!r} is missing" for name in COLUMNS if name not in header]
    faults += [
        f"row 1: column {name!r} is unknown ({', '.join(COLUMNS)})" for name in header if name not in COLUMNS
    ]
    if faults:
        return [], faults
    reader.fieldnames = header
    trips = []
    for row in reader:
        trip = _parse(row, reader.line_num, scenario)
        if isinstance(trip, FileTrip):
            trips.append(trip)
        else:
            faults += [f"row {reader.line_num}: {fault}" for fault in trip]
    return trips, faults


def _parse(row: dict[str, str], number: int, scenario: Scenario) -> FileTrip | list[str]:
    """One row, or what is wrong with its values."""
    values: dict[str, float] = {}
    faults = [] if None not in row else ["more values than columns"]
    for name in COLUMNS:
        text = (row[name] or "").strip()
        value = _value(name, text, scenario)
        if value is None:
            faults.append(f"{name} {text!r} is not {_MEANINGS[name]}")
        else:
            values[name] = value
    if faults:
        return faults
    return FileTrip(
        row=number,
        vehicle=int(values["vehicle"]),
        depart_s=int(values["depart"]),
        arrive_s=int(values["arrive"]),
        origin=int(values["from"]),
        destination=int(values["to"]),
        km=values["km"],
    )


_MEANINGS: Final = {
    "vehicle": "a whole number from 0",
    "depart": "an instant (seconds, HH:MM, D+HH:MM or ISO)",
    "arrive": "an instant (seconds, HH:MM, D+HH:MM or ISO)",
    "from": "a region",
    "to": "a region",
    "km": "a number",
}


def _value(name: str, text: str, scenario: Scenario) -> float | None:
    if name == "vehicle":
        return int(text) if text.isdecimal() else None
    if name in {"depart", "arrive"}:
        return parse_instant(text, scenario)
    if name in {"from", "to"}:
        return scenario.region_names.index(text) if text in scenario.region_names else None
    return finite_number(text)


def _with_homes(scenario: Scenario, population: Population, rows: list[FileTrip]) -> Population:
    home = population.home_index.copy()
    for row in reversed(rows):
        home[row.vehicle] = row.origin
    return populate(
        scenario,
        class_index=population.class_index,
        home_index=home,
        work_index=population.work_index,
        takes_part=population.takes_part,
    )


def _spread(scenario: Scenario, home_index: IntArray, rows: list[FileTrip]) -> list[FileTrip]:
    """Trips of the days -1 to N, sorted: the file's own, and copies of its nearest day outside it."""
    n_days = scenario.simulation.days
    trips = [row for row in rows if -DAY_S <= row.depart_s < (n_days + 1) * DAY_S]
    if rows and scenario.travel.itineraries_outside == "repeat":
        first, last = (pick(row.depart_s // DAY_S for row in rows) for pick in (min, max))
        for source, targets in ((first, range(-1, first)), (last, range(last + 1, n_days + 1))):
            closed = _closed_day(rows, home_index, source) if targets else []
            for by_s in ((day - source) * DAY_S for day in targets):
                trips += [
                    replace(row, depart_s=row.depart_s + by_s, arrive_s=row.arrive_s + by_s) for row in closed
                ]
    trips.sort(key=lambda trip: (trip.vehicle, trip.depart_s))
    return _from_home_on(trips, home_index)


def _closed_day(rows: list[FileTrip], home_index: IntArray, day: int) -> list[FileTrip]:
    """One day's trips of the cars that begin and end it at home."""
    by_car: dict[int, list[FileTrip]] = {}
    for row in rows:
        if row.depart_s // DAY_S == day or row.arrive_s // DAY_S == day:
            by_car.setdefault(row.vehicle, []).append(row)
    closed = []
    for car, trips in by_car.items():
        begins, ends = trips[0].origin == home_index[car], trips[-1].destination == home_index[car]
        within = trips[0].depart_s // DAY_S == day and trips[-1].arrive_s // DAY_S == day
        closed += trips if begins and ends and within else []
    return closed


def _from_home_on(trips: list[FileTrip], home_index: IntArray) -> list[FileTrip]:
    """Drop what day -1 holds of a car before its first departure from home there: it begins at home."""
    kept: list[FileTrip] = []
    for trip in trips:
        is_first = not kept or kept[-1].vehicle != trip.vehicle
        if trip.depart_s >= 0 or not is_first or trip.origin == home_index[trip.vehicle]:
            kept.append(trip)
    return kept


def _column(trips: list[FileTrip], name: str) -> IntArray:
    return np.array([getattr(trip, name) for trip in trips], dtype=np.int64)


def _plug_draws(scenario: Scenario, car: IntArray, day: IntArray, destination: IntArray) -> BoolArray:
    """Plug-in draws: the k-th trip of a car's day uses uniform k of the day's blocks."""
    simulation = scenario.simulation
    keys, first, group = np.unique(
        np.stack([car, day], axis=1), axis=0, return_index=True, return_inverse=True
    )
    number = np.arange(len(car)) - first[group.ravel()]
    uniforms: FloatArray = np.ones(len(car))
    for block in range(int(number.max(initial=-1)) // _BLOCK + 1):
        drawn = uniform_blocks(
            simulation.seed,
            simulation.replication,
            Stream.TRAVEL,
            keys[:, 0],
            keys[:, 1],
            size=_BLOCK,
            block=block,
        )
        here = number // _BLOCK == block
        uniforms[here] = drawn[group.ravel()[here], number[here] % _BLOCK]
    probability = np.array(
        [scenario.fleet.plug_in_probability.get(region.place_type, 0.0) for region in scenario.regions]
    )
    plugs: BoolArray = uniforms < probability[destination]
    return plugs
