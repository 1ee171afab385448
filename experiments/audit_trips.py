"""Audit of the trips: their plan, what became of it, the energy they took and lacked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from experiments.audit_cars import Life, energy_bounds, per_car, starts
from experiments.audit_findings import BoolArray, Findings, FloatArray, IntArray, differs
from experiments.audit_folder import ABSENT, DAY_S, Folder, instants

TRIP = "vehicle {vehicle}, trip planned at {planned_s}"


@dataclass(frozen=True)
class Itinerary:
    """Columns of ``trips`` as arrays, in order of car and plan; ``ABSENT`` for what never happened."""

    vehicle: IntArray
    day: IntArray
    index: IntArray
    origin: IntArray
    destination: IntArray
    planned_depart_s: IntArray
    planned_arrive_s: IntArray
    depart_s: IntArray
    arrive_s: IntArray
    distance_km: FloatArray
    energy_kwh: FloatArray
    required_kwh: FloatArray
    unmet_kwh: FloatArray
    declared_depart_s: IntArray
    end_s: int

    @cached_property
    def is_first(self) -> BoolArray:
        """Whether the trip is its car's first of the run."""
        return starts(self.vehicle)

    @cached_property
    def begun(self) -> BoolArray:
        """Whether the trip began."""
        return np.not_equal(self.depart_s, ABSENT)

    @cached_property
    def until_s(self) -> IntArray:
        """When the driving ends within the run."""
        return np.where(self.arrive_s == ABSENT, self.end_s, self.arrive_s)

    def note(self, findings: Findings, bad: Any, check: str, claim: str, **values: Any) -> None:
        """Note trips at fault; the claim may name any column."""
        columns = {
            "vehicle": self.vehicle,
            "planned_s": self.planned_depart_s,
            "depart_s": self.depart_s,
            "arrive_s": self.arrive_s,
            "energy": self.energy_kwh,
            "required": self.required_kwh,
            "unmet": self.unmet_kwh,
        }
        findings.rows(bad, check, "trips", TRIP, claim, **{**columns, **values})


def itinerary_of(folder: Folder) -> Itinerary:
    """Arrays of the trips table."""
    rows = folder.trips
    return Itinerary(
        vehicle=rows["vehicle_id"].to_numpy(np.int64),
        day=rows["day"].to_numpy(np.int64),
        index=rows["trip_index"].to_numpy(np.int64),
        origin=folder.region_code(rows["origin"]),
        destination=folder.region_code(rows["destination"]),
        planned_depart_s=rows["planned_depart_s"].to_numpy(np.int64),
        planned_arrive_s=rows["planned_arrive_s"].to_numpy(np.int64),
        depart_s=instants(rows["depart_s"]),
        arrive_s=instants(rows["arrive_s"]),
        distance_km=rows["distance_km"].to_numpy(np.float64),
        energy_kwh=rows["energy_kwh"].to_numpy(np.float64),
        required_kwh=rows["required_kwh"].to_numpy(np.float64),
        unmet_kwh=rows["unmet_kwh"].to_numpy(np.float64),
        declared_depart_s=instants(rows["declared_depart_s"]),
        end_s=folder.end_s,
    )


def check_plan(folder: Folder, trips: Itinerary, findings: Findings) -> None:
    """Check the plan: order, days, places that join, energy by distance."""
    first = trips.is_first
    trips.note(
        findings,
        trips.planned_arrive_s <= trips.planned_depart_s,
        "plan",
        "arrives before it departs, as planned",
    )
    early = ~first & (trips.planned_depart_s < np.roll(trips.planned_arrive_s, 1))
    trips.note(findings, early, "plan", "is planned before the one before arrives")
    outside = (trips.planned_depart_s < 0) | (trips.planned_depart_s >= folder.end_s)
    trips.note(findings, outside, "plan", "is planned outside the run")
    trips.note(findings, trips.day != trips.planned_depart_s // DAY_S, "plan", "is not planned on its day")
    new_day = first | (trips.day != np.roll(trips.day, 1))
    expected = np.where(new_day, 0, np.roll(trips.index, 1) + 1)
    trips.note(
        findings,
        trips.index != expected,
        "plan",
        "trip_index is {index}, should be {expected}",
        index=trips.index,
        expected=expected,
    )
    home = folder.region_code(folder.vehicles["home_region"])[trips.vehicle]
    origin = np.where(first, home, np.roll(trips.destination, 1))
    names = np.array(folder.region_names, dtype=object)
    trips.note(
        findings,
        trips.origin != origin,
        "places",
        "begins at {found!r}, the car is at {expected!r}",
        found=names[trips.origin],
        expected=names[origin],
    )
    if folder.scenario["travel"]["source"] == "sampled":
        _check_work_places(folder, trips, findings)
    expected_kwh = trips.distance_km * per_car(folder, "consumption_kwh_per_km")[trips.vehicle]
    trips.note(
        findings,
        differs(trips.energy_kwh, expected_kwh),
        "trip energy",
        "takes {energy} kWh, its distance {expected} kWh",
        expected=expected_kwh,
    )


def _check_work_places(folder: Folder, trips: Itinerary, findings: Findings) -> None:
    """Check that a car works where it has its work place (a user's own itineraries may lead anywhere)."""
    work = folder.scenario["travel"]["work"]
    is_work = np.array([region["place_type"] == work for region in folder.regions])[trips.destination]
    own = folder.region_code(folder.vehicles["work_region"])[trips.vehicle]
    names = np.array([*folder.region_names, "nowhere"], dtype=object)
    trips.note(
        findings,
        is_work & (trips.destination != own),
        "places",
        "leads to work at {found!r}, the car works at {expected!r}",
        found=names[trips.destination],
        expected=names[own],
    )


def check_realised(folder: Folder, trips: Itinerary, findings: Findings) -> None:
    """Check what became of the plan: never early, as long as planned, late only where cars wait."""
    begun, arrived = trips.begun, trips.arrive_s != ABSENT
    trips.note(findings, arrived & ~begun, "realised", "arrives without a departure")
    trips.note(
        findings, begun & (trips.depart_s < trips.planned_depart_s), "realised", "begins early, at {depart_s}"
    )
    due_s = trips.depart_s + trips.planned_arrive_s - trips.planned_depart_s
    trips.note(
        findings,
        arrived & begun & (trips.arrive_s != due_s),
        "realised",
        "arrives at {arrive_s}, should at {due_s}",
        due_s=due_s,
    )
    trips.note(
        findings,
        begun & ~arrived & (due_s < folder.end_s),
        "realised",
        "should arrive at {due_s}",
        due_s=due_s,
    )
    outside = (begun & (trips.depart_s >= folder.end_s)) | (arrived & (trips.arrive_s > folder.end_s))
    trips.note(findings, outside, "realised", "happens after the run's end")
    follows = ~trips.is_first & begun
    trips.note(
        findings, follows & ~np.roll(arrived, 1), "realised", "begins though the one before has not arrived"
    )
    if folder.scenario["fleet"]["shortage"] == "help":
        late = ~begun | (trips.depart_s > trips.planned_depart_s)
        trips.note(findings, late, "realised", "is late or never begun, though short cars are helped out")


def check_places(folder: Folder, life: Life, trips: Itinerary, findings: Findings) -> None:
    """Check that a parked car stands where its last trip led, or at home before the first."""
    span = folder.end_s + 1
    arrived = np.flatnonzero((trips.arrive_s != ABSENT) & trips.begun)
    order = arrived[np.argsort(trips.vehicle[arrived] * span + trips.arrive_s[arrived], kind="stable")]
    keys = trips.vehicle[order] * span + trips.arrive_s[order]
    last = np.searchsorted(keys, life.vehicle * span + life.start_s, side="right") - 1
    expected = folder.region_code(folder.vehicles["home_region"])[life.vehicle]
    if len(order):
        own = (last >= 0) & (trips.vehicle[order[last]] == life.vehicle)
        expected[own] = trips.destination[order[last[own]]]
    names = np.array([*folder.region_names, "nowhere"], dtype=object)
    life.note(
        findings,
        life.parked & (life.region != expected),
        "places",
        "is parked at {found!r}, its trips led to {expected!r}",
        found=names[life.region],
        expected=names[expected],
    )


@dataclass(frozen=True)
class Drives:
    """Stretches of unbroken driving (trips that follow each other at once are one); shapes (n,)."""

    vehicle: IntArray
    start_s: IntArray
    end_s: IntArray
    first: IntArray  # row of the table in which each begins

    def keys(self, span: int) -> IntArray:
        """One number per stretch."""
        return (self.vehicle * span + self.start_s) * span + self.end_s


def joined(vehicle: IntArray, start_s: IntArray, end_s: IntArray) -> Drives:
    """Join intervals of a car that follow each other at once (rows in order of car and time)."""
    begins = np.ones(len(vehicle), dtype=bool)
    begins[1:] = (vehicle[1:] != vehicle[:-1]) | (start_s[1:] != end_s[:-1])
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(vehicle)) - 1 if len(first) else first
    return Drives(vehicle=vehicle[first], start_s=start_s[first], end_s=end_s[last], first=first)


def check_drives(folder: Folder, life: Life, trips: Itinerary, findings: Findings) -> None:
    """Check that driving rows and trips are the same, and take the trips' energy from the battery."""
    rows, begun = np.flatnonzero(life.driving), np.flatnonzero(trips.begun)
    driven = joined(life.vehicle[rows], life.start_s[rows], life.end_s[rows])
    planned = joined(trips.vehicle[begun], trips.depart_s[begun], trips.until_s[begun])
    span = folder.end_s + 1
    extra = ~np.isin(driven.keys(span), planned.keys(span))
    missing = ~np.isin(planned.keys(span), driven.keys(span))
    where = "vehicle {vehicle} at {start_s}"
    for bad, drives, table, claim in (
        (extra, driven, "segments", "drives until {end_s}, no trip says so"),
        (missing, planned, "trips", "is to drive until {end_s}, no segment says so"),
    ):
        findings.rows(
            bad,
            "drives",
            table,
            where,
            claim,
            vehicle=drives.vehicle,
            start_s=drives.start_s,
            end_s=drives.end_s,
        )
    if extra.any() or missing.any() or not len(rows):
        return
    taken = np.add.reduceat((trips.energy_kwh - trips.unmet_kwh)[begun], planned.first)
    start_kwh = life.start_kwh[rows][driven.first]
    end_kwh = life.end_kwh[rows][np.append(driven.first[1:], len(rows)) - 1]
    arrived = np.append(planned.first[1:], len(begun)) - 1
    complete = trips.arrive_s[begun][arrived] != ABSENT
    findings.rows(
        complete & differs(end_kwh, start_kwh - taken),
        "trip energy",
        "segments",
        where,
        "drives off with {start} kWh and arrives with {end} kWh, should be {expected} kWh",
        vehicle=driven.vehicle,
        start_s=driven.start_s,
        start=start_kwh,
        end=end_kwh,
        expected=start_kwh - taken,
    )


def energy_at_departure(life: Life, trips: Itinerary) -> FloatArray:
    """Energy stored at each trip's departure, shape (n_trips,); not a number where it never began."""
    result = np.full(len(trips.vehicle), np.nan)
    rows, begun = np.flatnonzero(life.driving), np.flatnonzero(trips.begun)
    if not len(rows) or not len(begun):
        return result
    span = trips.end_s + 1
    keys = life.vehicle[rows] * span + life.start_s[rows]
    row = np.searchsorted(keys, trips.vehicle[begun] * span + trips.depart_s[begun], side="right") - 1
    spent_kwh = (trips.energy_kwh - trips.unmet_kwh)[begun]
    before_kwh = np.cumsum(spent_kwh) - spent_kwh
    opens = np.diff(row, prepend=-1) != 0
    opening = np.maximum.accumulate(np.where(opens, np.arange(len(row)), 0))
    result[begun] = life.start_kwh[rows][row] - (before_kwh - before_kwh[opening])
    return result


def check_unmet(folder: Folder, life: Life, trips: Itinerary, findings: Findings) -> None:
    """Check that cars are helped out exactly when and by as much as they are short."""
    low = energy_bounds(folder)[0][trips.vehicle]
    stored = energy_at_departure(life, trips)
    deficit = np.maximum(trips.energy_kwh + low - np.where(trips.begun, stored, np.inf), 0.0)
    wrong = differs(trips.unmet_kwh, deficit)
    trips.note(
        findings, wrong, "unmet", "unmet {unmet} kWh, the car is short by {expected} kWh", expected=deficit
    )
    trips.note(findings, trips.unmet_kwh < 0, "unmet", "unmet {unmet} kWh is below 0")
