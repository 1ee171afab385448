"""Everything that can be wrong with a user's own itineraries, all faults at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from agents.capacity_domain import highest_at_departure
from agents.itineraries import Itineraries
from agents.plan import has_chargers, plan_travel
from agents.population import Population
from sim.clock import DAY_S, label
from sim.scenario import Scenario

_TOLERANCE_KWH = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTrip:
    """One row of the file."""

    row: int  # as a text editor counts: the header is row 1
    vehicle: int
    depart_s: int
    arrive_s: int
    origin: int
    destination: int
    km: float


def trip_faults(scenario: Scenario, population: Population, rows: list[FileTrip]) -> list[str]:
    """Faults of single rows, then of each car's rows in order (sorted by car and departure)."""
    faults = [fault for row in rows for fault in _row_faults(scenario, population, row)]
    for before, after in pairwise(rows):
        if before.vehicle == after.vehicle:
            faults += _pair_faults(scenario, before, after)
    for number, row in enumerate(rows):
        if number == 0 or rows[number - 1].vehicle != row.vehicle:
            faults += _first_row_faults(scenario, row)
    return faults + list(_midnight_faults(scenario, rows))


def _row_faults(scenario: Scenario, population: Population, row: FileTrip) -> Iterator[str]:
    where = f"row {row.row}: vehicle {row.vehicle} at {label(row.depart_s)}"
    if row.arrive_s <= row.depart_s:
        yield f"{where}: arrival {label(row.arrive_s)} is not after the departure"
    elif row.km > scenario.travel.limits.max_speed_kmh * (row.arrive_s - row.depart_s) / 3600.0:
        speed_kmh = row.km * 3600.0 / (row.arrive_s - row.depart_s)
        yield f"{where}: {speed_kmh:.0f} km/h, above max_speed_kmh {scenario.travel.limits.max_speed_kmh:g}"
    if row.km < 0:
        yield f"{where}: km {row.km:g} is below 0"
    if row.vehicle >= population.n:
        yield f"{where}: vehicles are 0..{population.n - 1} (fleet.size {population.n})"
        return
    energy_kwh = row.km * population.consumption_kwh_per_km[row.vehicle]
    usable_kwh = population.energy_max_kwh[row.vehicle] - population.energy_min_kwh[row.vehicle]
    if energy_kwh > usable_kwh:
        yield f"{where}: {row.km:g} km need {energy_kwh:.2f} kWh, the battery gives {usable_kwh:.2f} kWh"


def _pair_faults(scenario: Scenario, before: FileTrip, after: FileTrip) -> Iterator[str]:
    where = f"row {after.row}: vehicle {after.vehicle} at {label(after.depart_s)}"
    names = scenario.region_names
    if after.depart_s < before.arrive_s:
        yield f"{where}: departs before it has arrived at {label(before.arrive_s)} (row {before.row})"
    if after.origin != before.destination:
        yield (
            f"{where}: departs from {names[after.origin]!r}, but row {before.row} "
            f"took it to {names[before.destination]!r}"
        )


def _first_row_faults(scenario: Scenario, row: FileTrip) -> Iterator[str]:
    region = scenario.regions[row.origin]
    if region.place_type != scenario.travel.home:
        yield (
            f"row {row.row}: vehicle {row.vehicle} begins at {region.name!r} of place type "
            f"{region.place_type!r}; its home must be of type {scenario.travel.home!r}"
        )


def _midnight_faults(scenario: Scenario, rows: list[FileTrip]) -> Iterator[str]:
    """Say which cars are not at home when the run begins."""
    homes: dict[int, int] = {}
    last: dict[int, FileTrip] = {}
    for row in rows:
        homes.setdefault(row.vehicle, row.origin)
        if row.depart_s < 0:
            last[row.vehicle] = row
    names = scenario.region_names
    for vehicle, row in last.items():
        if row.arrive_s > 0 or row.destination != homes[vehicle]:
            yield (
                f"row {row.row}: vehicle {vehicle} is not at its home {names[homes[vehicle]]!r} "
                "at 00:00 of the first day"
            )


def plan_faults(scenario: Scenario, population: Population, itineraries: Itineraries) -> list[str]:
    """Departures that even full charging at every stop that may plug in cannot serve (L > U)."""
    may_plug = has_chargers(scenario) & np.array(
        [scenario.fleet.plug_in_probability.get(region.place_type, 0.0) > 0.0 for region in scenario.regions]
    )
    hopeful = Itineraries(
        **{name: getattr(itineraries, name) for name in Itineraries.__slots__ if name not in {"plugs_in"}},
        plugs_in=may_plug[itineraries.destination_index],
    )
    plan = plan_travel(scenario, population, hopeful)
    in_run = itineraries.depart_s >= 0
    gone = np.concatenate([[0], np.cumsum(~in_run)])[itineraries.first_trip]
    highest = highest_at_departure(
        first_trip=itineraries.first_trip - gone,
        depart_s=itineraries.depart_s[in_run],
        arrive_s=itineraries.arrive_s[in_run],
        energy_kwh=plan.energy_kwh[in_run],
        plugs_in=plan.is_plugged[in_run],
        plugged_at_start=has_chargers(scenario)[population.home_index],
        start_s=0,
        start_kwh=population.initial_kwh,
        charge_kw=population.charge_limit_kw * population.charge_efficiency,
        energy_min_kwh=population.energy_min_kwh,
        energy_max_kwh=population.energy_max_kwh,
    )
    trips = np.flatnonzero(in_run)
    short = np.flatnonzero(plan.required_kwh[trips] > highest + _TOLERANCE_KWH)
    faults = []
    for trip, highest_kwh in zip(trips[short].tolist(), highest[short].tolist(), strict=True):
        depart_s, required_kwh = int(itineraries.depart_s[trip]), plan.required_kwh[trip]
        if depart_s < scenario.simulation.days * DAY_S:
            faults.append(
                f"vehicle {itineraries.vehicle_index[trip]} at {label(depart_s)}: needs {required_kwh:.2f} "
                f"kWh at departure, full charging gives at most {highest_kwh:.2f} kWh"
            )
    return faults
