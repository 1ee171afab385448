"""Audit of charging sessions: each that is served is one car, which comes, wants and leaves as its file says."""

from __future__ import annotations

import numpy as np

from experiments.audit_cars import CAR
from experiments.audit_findings import ENERGY_KWH, BoolArray, Findings, FloatArray, IntArray
from experiments.audit_folder import ABSENT, Folder, instants
from experiments.audit_session_cars import SERVED, full_kwh, has_sessions, served
from experiments.audit_trips import Itinerary


def check_sessions(folder: Folder, trips: Itinerary, findings: Findings) -> None:
    """Check the sessions' cars, powers and trips; no other run has sessions."""
    table = folder.sessions
    if not has_sessions(folder):
        if len(table):
            findings.add("sessions", "sessions", f"{len(table)} rows, though travel has another source")
        return
    cars = instants(served(folder)["vehicle_id"])
    others = table.loc[table["status"] != SERVED, "vehicle_id"]
    if not np.array_equal(cars, np.arange(len(cars))) or others.notna().any():
        findings.add("sessions", "sessions", "sessions that are served and cars are not one to one")
        return
    _check_powers(folder, cars, findings)
    _check_trips(folder, trips, findings)


def _check_powers(folder: Folder, cars: IntArray, findings: Findings) -> None:
    sessions = served(folder)
    limit_kw = sessions["charge_limit_kw"].to_numpy(np.float64)
    stay_h = (instants(sessions["depart_s"]) - instants(sessions["arrive_s"])) / 3600.0
    energy_kwh = sessions["energy_kwh"].to_numpy(np.float64)
    findings.rows(
        energy_kwh > limit_kw * stay_h + ENERGY_KWH,
        "sessions",
        "sessions",
        CAR,
        "takes {energy} kWh, {limit} kW cannot give that in its stay",
        vehicle=cars,
        energy=energy_kwh,
        limit=limit_kw,
    )
    class_kw = float(folder.scenario["fleet"]["classes"][0]["charge_limit_kw"])
    claim = "its limit of {limit} kW is above its class's"
    beyond = limit_kw > class_kw + ENERGY_KWH
    findings.rows(beyond, "sessions", "sessions", CAR, claim, vehicle=cars, limit=limit_kw)


def _check_trips(folder: Folder, trips: Itinerary, findings: Findings) -> None:
    """A trip that brings each car and one on which it leaves, as far as they begin within the run."""
    sessions = served(folder)
    car, comes = trips.vehicle, comes_to_charge(folder, trips)
    region = folder.region_code(sessions["region"])[car]
    arrive_s, depart_s = (instants(sessions[name])[car] for name in ("arrive_s", "depart_s"))
    elsewhere = np.where(comes, trips.destination, trips.origin) != region
    trips.note(findings, elsewhere, "sessions", "is not to or from its session's region")
    late = comes & (trips.planned_arrive_s != arrive_s)
    trips.note(findings, late, "sessions", "arrives at another time than its session, {due}", due=arrive_s)
    early = ~comes & (trips.planned_depart_s != depart_s)
    trips.note(findings, early, "sessions", "leaves at another time than its session, {due}", due=depart_s)
    trips.note(findings, trips.distance_km != 0.0, "sessions", "has a length, a session's have none")
    asked_s = instants(sessions["declared_depart_s"])[car]
    silent = ~comes & (asked_s == ABSENT) & (trips.declared_depart_s != ABSENT)
    trips.note(findings, silent, "sessions", "has a declared departure, its session has none")
    n = len(sessions)
    leaves_within = instants(sessions["depart_s"]) < folder.end_s
    leaves_within &= instants(sessions["depart_s"]) >= 0
    missing = np.bincount(car[~comes], minlength=n) != leaves_within
    claim = "does not leave exactly once within the run"
    findings.rows(missing, "sessions", "trips", CAR, claim, vehicle=np.arange(n))


def comes_to_charge(folder: Folder, trips: Itinerary) -> BoolArray:
    """Whether a trip brings its car to its charger."""
    home = folder.region_code(folder.vehicles["home_region"])[trips.vehicle]
    return np.asarray(trips.origin == home)


def session_needs_kwh(folder: Folder, trips: Itinerary) -> FloatArray:
    """Energy that each departure needs: what the session took, and nothing on the way to it; (n_trips,)."""
    car = folder.scenario["fleet"]["classes"][0]
    least = car["soc_min"] * car["battery_kwh"]
    full = full_kwh(folder)[trips.vehicle]
    return np.where(comes_to_charge(folder, trips), least, full)
