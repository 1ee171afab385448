"""Audit of the capacity domain: sums over the plugged cars, rebuilt from segments and trips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.audit_cars import Life, energy_bounds, per_car, starts
from experiments.audit_findings import ENERGY_KWH, SUM_RELATIVE, Findings, FloatArray, IntArray
from experiments.audit_folder import ABSENT, STEP_S, Folder
from experiments.audit_session_cars import has_sessions
from experiments.audit_trips import Itinerary

NEVER_S = 1 << 60
BLOCK = 200_000  # rows of segments expanded to steps at once, to bound memory


@dataclass(frozen=True)
class Stays:
    """Stretches at one charger; shapes (n,), in order of car and time."""

    vehicle: IntArray
    start_s: IntArray
    end_s: IntArray
    upper_kwh: FloatArray  # forward upper bound at the beginning
    required_kwh: FloatArray  # of the departure that ends it; not a number when none is in the tables
    trip_kwh: FloatArray  # energy of the trip that follows
    declared_s: IntArray  # that departure as planned, delays before it included
    departure_s: IntArray  # as it happened; long after the run when it did not


def check_domain(folder: Folder, life: Life, trips: Itinerary, findings: Findings) -> None:
    """Recompute cars plugged in, energy and bounds at the beginning of each step and region.

    L = max(E_min, required - eta_c P (departure - t)); U = min(E_max, U + eta_c P dt) at every plugged second
    and max(U - e, E_min) over a trip (Zhang 2025, section 2.6). Where a departure lies beyond the run, its
    requirement is not in the tables and L is only known to lie between two bounds.
    """
    table = folder.domain
    n_regions = len(folder.regions)
    expected = np.repeat(np.arange(folder.n_steps) * STEP_S, n_regions)
    regions = np.tile(np.arange(n_regions), folder.n_steps)
    whole = len(table) == len(expected) and np.array_equal(table["step_start_s"], expected)
    if not whole or not np.array_equal(folder.region_code(table["region"]), regions):
        findings.add("domain", "domain", "not every region has exactly one row in every step")
        return
    count, energy, least, most, upper = _sums(folder, life, plugged_stays(folder, life, trips))
    slack = ENERGY_KWH + SUM_RELATIVE * upper
    where = "{region} at {step_s}"
    names = {"region": table["region"].to_numpy(object), "step_s": expected}
    for column, low, high in (
        ("n_plugged", count, count),
        ("energy_kwh", energy, energy),
        ("lower_kwh", least, most),
        ("upper_kwh", upper, upper),
    ):
        values = table[column].to_numpy(np.float64)
        wrong = ~((values >= low - slack) & (values <= high + slack))
        claim = f"{column} is {{value}}, the cars sum to {{low}}"
        claim += " to {high}" if column == "lower_kwh" else ""
        findings.rows(wrong, "domain", "domain", where, claim, value=values, low=low, high=high, **names)


def check_declarations(folder: Folder, life: Life, trips: Itinerary, findings: Findings) -> None:
    """Check what drivers declared: the truth where they neither err nor keep silent, nothing before the plug-in.

    Where cars wait for energy a driver declares anew when he could leave.
    """
    drivers = folder.scenario["fleet"]["drivers"]
    stays, _ = plugged_stays(folder, life, trips)
    following = _next_trip(folder, trips, stays.vehicle, stays.start_s)
    known = following >= 0
    trip, declared_s = following[known], stays.declared_s[known]
    said_s = trips.declared_depart_s[trip]
    silent = said_s == ABSENT
    law = drivers["departure_error_min"]
    errs = (
        has_sessions(folder)
        or law["family"] != "constant"
        or law.get("loc", 0.0) != 0.0
        or folder.scenario["fleet"]["shortage"] == "wait"
    )
    bad = np.zeros(len(trips.vehicle), dtype=bool)
    bad[trip] = silent & (drivers["missing_share"] == 0.0) & (not has_sessions(folder))
    trips.note(findings, bad, "declarations", "no departure was declared at the plug-in before it")
    bad[:] = False
    bad[trip] = ~silent & (said_s != declared_s) & (not errs)
    claim = "was declared for {said_s}, and nobody errs"
    trips.note(findings, bad, "declarations", claim, said_s=trips.declared_depart_s)
    bad[:] = False
    bad[trip] = ~silent & (said_s < stays.start_s[known])
    claim = "was declared for {said_s}, before the plug-in"
    trips.note(findings, bad, "declarations", claim, said_s=trips.declared_depart_s)


def plugged_stays(folder: Folder, life: Life, trips: Itinerary) -> tuple[Stays, IntArray]:
    """Stays at chargers, and the stay of each segment (-1 for rows not plugged)."""
    same = (
        life.plugged & life.before(life.plugged) & ~life.is_first & (life.region == life.before(life.region))
    )
    opens = life.plugged & ~same
    stay_of_row = np.where(life.plugged, np.cumsum(opens) - 1, -1)
    first = np.flatnonzero(opens)
    closes = life.plugged & ~np.append(same[1:], False)
    vehicle, start_s, end_s = life.vehicle[first], life.start_s[first], life.end_s[np.flatnonzero(closes)]
    following = _next_trip(folder, trips, vehicle, start_s)
    exists = following >= 0
    trip = np.where(exists, following, 0)

    def of_trip(values: IntArray | FloatArray, absent: float) -> FloatArray:
        return np.where(exists, values[trip], absent) if len(values) else np.full(len(first), absent)

    late_s = np.where(
        starts(trips.vehicle), 0, np.roll(np.where(trips.arrive_s == ABSENT, 0, trips.arrive_s), 1)
    )
    declared_s = np.maximum(trips.planned_depart_s, late_s)
    departed_s = np.where(trips.begun, trips.depart_s, NEVER_S)  # maybe long after the run's end
    stays = Stays(
        vehicle=vehicle,
        start_s=start_s,
        end_s=end_s,
        upper_kwh=_upper_at_plug(folder, trips, vehicle, start_s, end_s),
        required_kwh=of_trip(trips.required_kwh, np.nan),
        trip_kwh=of_trip(trips.energy_kwh, np.nan),
        declared_s=of_trip(declared_s, folder.end_s).astype(np.int64),
        departure_s=of_trip(departed_s, NEVER_S).astype(np.int64),
    )
    return stays, stay_of_row


def _next_trip(folder: Folder, trips: Itinerary, vehicle: IntArray, start_s: IntArray) -> IntArray:
    """Row of the first trip that is not begun before an instant, -1 when the tables have none."""
    span = 2 * folder.end_s + 2
    departs = np.where(trips.begun, trips.depart_s, folder.end_s + 1)  # never begun: after all others
    found = np.searchsorted(trips.vehicle * span + departs, vehicle * span + start_s)
    inside = found < len(trips.vehicle)
    inside[inside] = trips.vehicle[found[inside]] == vehicle[inside]
    return np.where(inside, found, -1)


def _upper_at_plug(
    folder: Folder, trips: Itinerary, vehicle: IntArray, start_s: IntArray, end_s: IntArray
) -> FloatArray:
    """Forward upper bound at the beginning of each stay: each car's stays and trips, one after the other."""
    arrived = np.flatnonzero(trips.arrive_s != ABSENT)
    cars = np.concatenate([vehicle, trips.vehicle[arrived]])
    at_s = np.concatenate([start_s, trips.arrive_s[arrived]])
    is_stay = np.arange(len(cars)) < len(vehicle)
    gain_s = np.concatenate([end_s - start_s, np.zeros(len(arrived), dtype=np.int64)])
    taken = np.concatenate([np.zeros(len(vehicle)), trips.energy_kwh[arrived]])
    order = np.lexsort((is_stay, at_s, cars))  # a trip ends before the stay at its destination begins
    opening = np.where(starts(cars[order]), np.arange(len(order)), 0)
    rank = np.arange(len(order)) - np.maximum.accumulate(opening)
    low, high = energy_bounds(folder)
    rate_kw = per_car(folder, "charge_efficiency") * per_car(folder, "charge_limit_kw")
    bound = _initial_kwh(folder)
    at_plug = np.empty(len(cars))
    by_rank = order[np.argsort(rank, kind="stable")]
    for events in np.split(by_rank, np.cumsum(np.bincount(rank))[:-1]) if len(rank) else []:
        i = cars[events]
        at_plug[events] = bound[i]
        charged = np.minimum(high[i], bound[i] + rate_kw[i] * gain_s[events] / 3600.0)
        bound[i] = np.where(is_stay[events], charged, np.maximum(bound[i] - taken[events], low[i]))
    at_stay: FloatArray = at_plug[: len(vehicle)]
    return at_stay


def _initial_kwh(folder: Folder) -> FloatArray:
    classes = {one["name"]: one for one in folder.scenario["fleet"]["classes"]}
    soc = np.array([classes[name]["initial_soc"] for name in folder.vehicles["vehicle_class"]], dtype=float)
    initial: FloatArray = per_car(folder, "battery_kwh") * soc
    return initial


def _sums(folder: Folder, life: Life, known: tuple[Stays, IntArray]) -> tuple[FloatArray, ...]:
    """Cars, energy, least and largest lower bound, and upper bound, each flat in order of step and region."""
    stays, stay_of_row = known
    plugged = np.flatnonzero(life.plugged)
    totals = np.zeros((5, folder.n_steps * len(folder.regions)))
    for begin in range(0, len(plugged), BLOCK):
        rows = plugged[begin : begin + BLOCK]
        totals += _sums_of_rows(folder, life, stays, stay_of_row, rows)
    return tuple(totals)


def _sums_of_rows(
    folder: Folder, life: Life, stays: Stays, stay_of_row: IntArray, rows: IntArray
) -> FloatArray:
    first = -(-life.start_s[rows] // STEP_S)  # boundaries t with start <= t < end
    count = -(-life.end_s[rows] // STEP_S) - first
    row = np.repeat(rows, count)
    step = np.repeat(first - np.cumsum(count) + count, count) + np.arange(count.sum())
    t_s = step * STEP_S
    share = (t_s - life.start_s[row]) / (life.end_s[row] - life.start_s[row])
    energy = life.start_kwh[row] + share * (life.end_kwh[row] - life.start_kwh[row])
    car, stay = life.vehicle[row], stay_of_row[row]
    low, high = (bound[car] for bound in energy_bounds(folder))
    rate_kw = (per_car(folder, "charge_efficiency") * per_car(folder, "charge_limit_kw"))[car]
    required = stays.required_kwh[stay]
    unknown = np.isnan(required)
    required = np.where(unknown, high, required)

    def lower(needed_kwh: FloatArray, departure_s: IntArray) -> FloatArray:
        reach = rate_kw * np.maximum(departure_s - t_s, 0) / 3600.0
        bound: FloatArray = np.maximum(low, needed_kwh - reach)
        return bound

    most = lower(required, stays.declared_s[stay])
    overdue = t_s >= stays.declared_s[stay]  # a late car waits for no more than it needs to go
    needed = np.where(overdue, np.minimum(required, stays.trip_kwh[stay] + low), required)
    least = np.where(unknown, low, lower(needed, stays.departure_s[stay]))
    upper = np.minimum(high, stays.upper_kwh[stay] + rate_kw * (t_s - stays.start_s[stay]) / 3600.0)
    place = step * len(folder.regions) + life.region[row]
    size = folder.n_steps * len(folder.regions)
    parts = (np.ones(len(row)), energy, least, most, upper)
    return np.array([np.bincount(place, weights=part, minlength=size) for part in parts])
