"""Audit of each car's life: its rows tile the run, its energy follows from power, its limits hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from experiments.audit_findings import ENERGY_KWH, BoolArray, Findings, FloatArray, IntArray, clock, differs
from experiments.audit_folder import STEP_S, Folder
from experiments.audit_session_cars import class_values, fleet_size

CAR = "vehicle {vehicle}"
ROW = "vehicle {vehicle} at {start_s}"


@dataclass(frozen=True)
class Life:
    """Columns of ``segments`` as arrays, in order of car and time."""

    vehicle: IntArray
    start_s: IntArray
    end_s: IntArray
    region: IntArray  # -1 while driving or away
    activity: Any  # of str
    plugged: BoolArray
    power_kw: FloatArray
    start_kwh: FloatArray
    end_kwh: FloatArray

    @cached_property
    def parked(self) -> BoolArray:
        """Whether the car is parked."""
        return np.asarray([kind == "parked" for kind in self.activity], dtype=np.bool_)

    @cached_property
    def driving(self) -> BoolArray:
        """Whether the car is driving."""
        return np.asarray([kind == "driving" for kind in self.activity], dtype=np.bool_)

    @cached_property
    def is_first(self) -> BoolArray:
        """Whether the row is its car's first."""
        return starts(self.vehicle)

    @cached_property
    def is_last(self) -> BoolArray:
        """Whether the row is its car's last."""
        return np.roll(starts(self.vehicle), -1)

    def before(self, values: Any) -> Any:
        """Entries of the row before (the first row gets the last one's: mask it)."""
        return np.roll(values, 1)

    def note(self, findings: Findings, bad: Any, check: str, claim: str, **values: Any) -> None:
        """Note rows at fault; the claim may name any column."""
        columns = {
            "vehicle": self.vehicle,
            "start_s": self.start_s,
            "end_s": self.end_s,
            "activity": self.activity,
            "power": self.power_kw,
            "start": self.start_kwh,
            "end": self.end_kwh,
        }
        findings.rows(bad, check, "segments", ROW, claim, **{**columns, **values})


def starts(vehicle: IntArray) -> BoolArray:
    """Tell where a column in order of car comes to the next car.

    >>> starts(np.array([0, 0, 4, 5, 5]))
    array([ True, False,  True,  True, False])
    """
    return np.not_equal(np.diff(vehicle, prepend=-1), 0)


def life_of(folder: Folder) -> Life:
    """Arrays of the segments table."""
    rows = folder.segments
    return Life(
        vehicle=rows["vehicle_id"].to_numpy(np.int64),
        start_s=rows["start_s"].to_numpy(np.int64),
        end_s=rows["end_s"].to_numpy(np.int64),
        region=folder.region_code(rows["region"]),
        activity=rows["activity"].to_numpy(object),
        plugged=rows["plugged"].to_numpy(bool),
        power_kw=rows["power_kw"].to_numpy(np.float64),
        start_kwh=rows["energy_start_kwh"].to_numpy(np.float64),
        end_kwh=rows["energy_end_kwh"].to_numpy(np.float64),
    )


def per_car(folder: Folder, column: str) -> FloatArray:
    """Numeric column of ``vehicles``, shape (n,), in vehicle_id order."""
    return folder.vehicles[column].to_numpy(np.float64)


def energy_bounds(folder: Folder) -> tuple[FloatArray, FloatArray]:
    """Least and largest stored energy of each car [kWh]."""
    rated = per_car(folder, "battery_kwh")
    return rated * per_car(folder, "soc_min"), rated * per_car(folder, "soc_max")


def check_vehicles(folder: Folder, findings: Findings) -> bool:
    """Check the fleet against the scenario; False when cars cannot be told apart."""
    cars, size = folder.vehicles, fleet_size(folder)
    ids = cars["vehicle_id"].to_numpy(np.int64)
    if not np.array_equal(ids, np.arange(size)):
        findings.add("fleet", "vehicles", f"{len(ids)} rows, should be one for each of 0..{size - 1}")
        return False
    for table in ("segments", "trips"):
        unknown = ~np.isin(getattr(folder, table)["vehicle_id"].to_numpy(np.int64), ids)
        if unknown.any():
            findings.add("fleet", table, f"{unknown.sum()} rows of cars that are not in vehicles")
            return False
    if not _check_classes(folder, findings):
        return False
    _check_places(folder, findings)
    _check_chains(folder, findings)
    return True


def _check_classes(folder: Folder, findings: Findings) -> bool:
    classes = {one["name"]: one for one in folder.scenario["fleet"]["classes"]}
    ids, names = folder.vehicles["vehicle_id"], folder.vehicles["vehicle_class"].to_numpy(object)
    known = np.isin(names, list(classes))
    findings.rows(
        ~known, "fleet", "vehicles", CAR, "class {name!r} is not of the scenario", vehicle=ids, name=names
    )
    if not known.all():
        return False
    for field in sorted(set(folder.vehicles.columns) & set(next(iter(classes.values())))):
        values = per_car(folder, field)
        stated = np.array([classes[name][field] for name in names], dtype=float)
        expected = class_values(folder, field, stated)
        findings.rows(
            differs(values, expected, 1e-12),
            "fleet",
            "vehicles",
            CAR,
            "{field} is {value}, should be {expected}",
            vehicle=ids,
            field=np.full(len(ids), field, dtype=object),
            value=values,
            expected=expected,
        )
    return True


def _check_places(folder: Folder, findings: Findings) -> None:
    travel, cars = folder.scenario["travel"], folder.vehicles
    for column, place in (("home_region", travel["home"]), ("work_region", travel["work"])):
        allowed = [region["name"] for region in folder.regions if region["place_type"] == place] or [""]
        values = cars[column].to_numpy(object)
        claim = f"{column} {{value!r}} is not of type {place}"
        wrong = ~np.isin(values, allowed)
        findings.rows(wrong, "fleet", "vehicles", CAR, claim, vehicle=cars["vehicle_id"], value=values)


def _check_chains(folder: Folder, findings: Findings) -> None:
    place_type = {region["name"]: region["place_type"] for region in folder.regions}
    first_day = folder.trips[folder.trips["day"] == 0]
    visited: dict[int, list[str]] = {}
    for vehicle, place in zip(first_day["vehicle_id"], first_day["destination"], strict=True):
        visited.setdefault(int(vehicle), []).append(place_type[place])
    home = folder.scenario["travel"]["home"]
    chains = folder.vehicles["chain"].to_numpy(object)
    expected = ["-".join([home, *visited.get(i, [])]) for i in range(folder.n_vehicles)]
    findings.rows(
        chains != np.array(expected, dtype=object),
        "fleet",
        "vehicles",
        CAR,
        "chain {chain!r}, its trips of day 0 say {expected!r}",
        vehicle=folder.vehicles["vehicle_id"],
        chain=chains,
        expected=expected,
    )


def check_tiling(folder: Folder, life: Life, findings: Findings) -> bool:
    """Check that each car's rows cover the run once and end only where something changes.

    Returns
    -------
    bool
        Whether they tile: without that no further check of cars makes sense.
    """
    noted = len(findings.items)
    missing = np.setdiff1d(np.arange(folder.n_vehicles), life.vehicle)
    if len(missing):
        findings.add(
            "tiling", "segments", f"{len(missing)} cars have no rows, the first is vehicle {missing[0]}"
        )
    previous_s = life.before(life.end_s)
    run_end = clock(folder.end_s)
    life.note(findings, life.end_s <= life.start_s, "tiling", "ends at {end_s}, not after its beginning")
    life.note(
        findings, life.is_first & (life.start_s != 0), "tiling", "the first row does not begin at 00:00"
    )
    life.note(
        findings,
        life.is_last & (life.end_s != folder.end_s),
        "tiling",
        f"the last row ends at {{end_s}}, the run at {run_end}",
    )
    life.note(
        findings,
        ~life.is_first & (life.start_s != previous_s),
        "tiling",
        "the row before ends at {previous_s}",
        previous_s=previous_s,
    )
    tiled = len(findings.items) == noted
    previous_kwh = life.before(life.end_kwh)
    life.note(
        findings,
        ~life.is_first & differs(life.start_kwh, previous_kwh),
        "continuity",
        "begins with {start} kWh, the row before ended with {previous} kWh",
        previous=previous_kwh,
    )
    same = life.parked & ~life.is_first
    for column in (life.parked, life.region, life.plugged, life.power_kw):
        same &= column == life.before(column)
    life.note(findings, same, "merging", "nothing changes here, yet a row begins")
    return tiled


def check_states(folder: Folder, life: Life, findings: Findings) -> None:
    """Check activities, places, plugs and power limits of every row."""
    known = np.isin(life.activity, ["parked", "driving", "away"])
    life.note(findings, ~known, "states", "activity {activity!r} is unknown")
    placed = life.region >= 0
    life.note(
        findings, known & (life.parked != placed), "states", "a region must stand exactly where it is parked"
    )
    life.note(findings, life.plugged & ~life.parked, "states", "plugged in while {activity}")
    life.note(findings, (life.power_kw != 0) & ~life.plugged, "states", "{power} kW without a plug")
    charge = _charge_limit_kw(folder, life)
    gives = np.array([region.get("bidirectional", True) for region in folder.regions], dtype=np.bool_)
    discharge = per_car(folder, "discharge_limit_kw")[life.vehicle] * gives[life.region]
    life.note(
        findings,
        (life.power_kw > charge + ENERGY_KWH) | (life.power_kw < -discharge - ENERGY_KWH),
        "power limit",
        "{power} kW, limits are {low} and {high} kW",
        low=-discharge,
        high=charge,
    )


def _charge_limit_kw(folder: Folder, life: Life) -> FloatArray:
    """Largest charging power of each row, by the energy of its last step's beginning.

    A row that begins within a step may follow others of it; there the energy at the step's beginning is taken to have
    been as low as full charging since then allows.
    """
    eta, limit = (per_car(folder, name)[life.vehicle] for name in ("charge_efficiency", "charge_limit_kw"))
    at_s = np.maximum(life.start_s, (life.end_s - 1) // STEP_S * STEP_S)
    energy = life.start_kwh + eta * np.maximum(life.power_kw, 0.0) * (at_s - life.start_s) / 3600.0
    return full_power_kw(folder, life.vehicle, energy - eta * limit * (at_s % STEP_S) / 3600.0)


def full_power_kw(folder: Folder, vehicle: IntArray, energy_kwh: FloatArray) -> FloatArray:
    """Largest charging power of cars that hold given energies: the limit, tapering as their class says."""
    law = {
        one["name"]: (
            one["battery_kwh"],
            one["soc_max"],
            one.get("taper_from_soc", 1.0),
            one.get("taper_to_share", 1.0),
        )
        for one in folder.scenario["fleet"]["classes"]
    }
    of_cars = np.array([law[name] for name in folder.vehicles["vehicle_class"]]).reshape(-1, 4)[vehicle]
    battery, soc_max, from_soc, to_share = of_cars.T
    width = np.maximum((soc_max - from_soc) * battery, 0.0)
    above = np.clip((energy_kwh - from_soc * battery) / np.where(width > 0.0, width, np.inf), 0.0, 1.0)
    full: FloatArray = per_car(folder, "charge_limit_kw")[vehicle] * (1.0 - (1.0 - to_share) * above)
    return full


def energy_at(folder: Folder, life: Life, vehicle: IntArray, at_s: IntArray) -> FloatArray:
    """Energy stored in cars at instants of the run [kWh]."""
    span = folder.end_s + 1
    row = np.searchsorted(life.vehicle * span + life.start_s, vehicle * span + at_s, side="right") - 1
    rate_kw = stored_rate_kw(folder, life)[row]
    energy: FloatArray = life.start_kwh[row] + rate_kw * (at_s - life.start_s[row]) / 3600.0
    return energy


def check_energy(folder: Folder, life: Life, findings: Findings) -> None:
    """Check energies: initial, within the state-of-charge bounds, and by the one-way formula of signed power.

    E_end = E_start + eta_c P h where P >= 0, and E_start + P h / eta_d where P < 0   (Zhang 2025, Eq. 10)
    """
    classes = {one["name"]: one for one in folder.scenario["fleet"]["classes"]}
    initial_soc = [classes[name]["initial_soc"] for name in folder.vehicles["vehicle_class"]]
    initial = (per_car(folder, "battery_kwh") * np.array(initial_soc, dtype=float))[life.vehicle]
    life.note(
        findings,
        life.is_first & differs(life.start_kwh, initial),
        "initial energy",
        "starts the run with {start} kWh, should be {expected} kWh",
        expected=initial,
    )
    low, high = (bound[life.vehicle] for bound in energy_bounds(folder))
    least, most = np.minimum(life.start_kwh, life.end_kwh), np.maximum(life.start_kwh, life.end_kwh)
    life.note(
        findings,
        (least < low - ENERGY_KWH) | (most > high + ENERGY_KWH),
        "energy bounds",
        "{start} to {end} kWh, bounds are {low} and {high} kWh",
        low=low,
        high=high,
    )
    expected = life.start_kwh + stored_rate_kw(folder, life) * (life.end_s - life.start_s) / 3600.0
    life.note(
        findings,
        ~life.driving & differs(life.end_kwh, expected),
        "energy balance",
        "{power} kW until {end_s} makes {expected} of {start} kWh, not {end} kWh",
        expected=expected,
    )


def stored_rate_kw(folder: Folder, life: Life) -> FloatArray:
    """Change of stored energy per hour in each row, by its signed power."""
    charge = per_car(folder, "charge_efficiency")[life.vehicle]
    discharge = per_car(folder, "discharge_efficiency")[life.vehicle]
    rate: FloatArray = np.where(life.power_kw >= 0, life.power_kw * charge, life.power_kw / discharge)
    return rate
