"""Audit of the energy that each departure needs: the lower bound of the capacity domain, from the tables."""

from __future__ import annotations

import numpy as np

from experiments.audit_cars import Life, energy_bounds, per_car
from experiments.audit_findings import ENERGY_KWH, BoolArray, Findings, FloatArray, IntArray
from experiments.audit_folder import ABSENT, DAY_S, Folder
from experiments.audit_session_cars import has_sessions
from experiments.audit_sessions import session_needs_kwh
from experiments.audit_trips import Itinerary


def check_required(folder: Folder, life: Life, trips: Itinerary, findings: Findings) -> None:
    """Check the energy needed at departure against the bounds that the tables allow to derive.

    L_dep = min(E_max, max(E_min, S_user Q, L_arr + e)), L_arr = max(E_min, L_dep' - eta_c P stay)

    backward over the planned stays (Zhang 2025, section 2.6); exact where the tables tell what plugs in.
    """
    if has_sessions(folder):
        least = most = session_needs_kwh(folder, trips)
    else:
        least, most = required_bounds(folder, life, trips)
    trips.note(
        findings,
        (trips.required_kwh < least - ENERGY_KWH) | (trips.required_kwh > most + ENERGY_KWH),
        "required energy",
        "needs {required} kWh at departure, should be {least} to {most} kWh",
        least=least,
        most=most,
    )


def required_bounds(folder: Folder, life: Life, trips: Itinerary) -> tuple[FloatArray, FloatArray]:
    """Least and largest energy that each departure can need by what the tables tell; (n_trips,) each."""
    low, high = (bound[trips.vehicle] for bound in energy_bounds(folder))
    rate_kw = (per_car(folder, "charge_efficiency") * per_car(folder, "charge_limit_kw"))[trips.vehicle]
    asked = _asked_kwh(folder, trips)
    surely, maybe = _plugs_after(folder, life, trips)
    n = len(trips.vehicle)
    rank_from_last = _rank_from_last(trips.vehicle)
    least, most = np.empty(n), np.empty(n)
    for rank in range(rank_from_last.max(initial=-1) + 1):
        i = np.flatnonzero(rank_from_last == rank)
        if rank == 0:  # the days after the run are not in the tables
            stay_s = np.maximum(folder.end_s - trips.planned_arrive_s[i], 0)
            next_least, next_most = low[i], high[i]
        else:
            stay_s = trips.planned_depart_s[i + 1] - trips.planned_arrive_s[i]
            next_least, next_most = least[i + 1], most[i + 1]
        gain = rate_kw[i] * stay_s / 3600.0
        arrive_least = np.maximum(low[i], next_least - np.where(maybe[i], gain, 0.0))
        arrive_most = np.maximum(low[i], next_most - np.where(surely[i], gain, 0.0))
        floor = np.maximum(low[i], asked[i])
        least[i] = np.minimum(high[i], np.maximum(floor, arrive_least + trips.energy_kwh[i]))
        most[i] = np.minimum(high[i], np.maximum(floor, arrive_most + trips.energy_kwh[i]))
    return least, most


def _asked_kwh(folder: Folder, trips: Itinerary) -> FloatArray:
    """Energy that the driver asks for: at a day's first departure from home, and as a range at every one."""
    wish = folder.scenario["fleet"]["departure_soc"]
    home = folder.region_code(folder.vehicles["home_region"])[trips.vehicle]
    from_home = trips.origin == home
    keys = trips.vehicle * (folder.end_s // DAY_S + 1) + trips.day
    first = np.zeros(len(keys), dtype=bool)
    _, opening = np.unique(np.where(from_home, keys, -1), return_index=True)
    first[opening] = True
    soc = 0.0 if wish == "none" else float(wish)
    asked = np.where(first & from_home, soc * per_car(folder, "battery_kwh")[trips.vehicle], 0.0)
    range_km = float(folder.scenario["fleet"]["drivers"]["min_range_km"])
    if range_km > 0.0:
        spent_kwh = range_km * per_car(folder, "consumption_kwh_per_km")
        asked = np.maximum(asked, (energy_bounds(folder)[0] + spent_kwh)[trips.vehicle])
    return asked


def _plugs_after(folder: Folder, life: Life, trips: Itinerary) -> tuple[BoolArray, BoolArray]:
    """Whether the stop after each trip surely, or maybe, is drawn to plug in."""
    odds = folder.scenario["fleet"]["plug_in_probability"]
    chance = np.array([odds.get(region["place_type"], 0.0) for region in folder.regions])[trips.destination]
    chargers = folder.region_limits("chargers")[trips.destination]
    span = folder.end_s + 1
    keys = life.vehicle * span + life.start_s
    row = np.searchsorted(keys, trips.vehicle * span + trips.arrive_s)
    row = np.minimum(row, len(keys) - 1)
    seen = (trips.arrive_s != ABSENT) & (trips.arrive_s < folder.end_s) & life.parked[row]
    seen &= np.isinf(chargers)  # elsewhere a queue may hide the draw
    low = energy_bounds(folder)[0][trips.vehicle]
    ahead = np.append(trips.energy_kwh[1:], 0.0)
    short = life.start_kwh[row] < low + ahead + ENERGY_KWH  # plugs in whatever was drawn
    short |= np.roll(trips.is_first, -1)  # before a trip that the tables do not have, it may be
    plugged = life.plugged[row]
    surely = (chargers > 0) & ((chance == 1.0) | (seen & plugged & ~short & (chance > 0)))
    maybe = (chargers > 0) & (chance > 0) & ~(seen & ~plugged)
    return surely, maybe


def _rank_from_last(vehicle: IntArray) -> IntArray:
    """Place of each trip among its car's, counted from the last.

    >>> _rank_from_last(np.array([0, 0, 0, 4, 4]))
    array([2, 1, 0, 1, 0])
    """
    if not len(vehicle):
        return np.empty(0, dtype=np.int64)
    last = np.flatnonzero(np.diff(vehicle, append=-1) != 0)
    return np.repeat(last, np.diff(np.append(-1, last))) - np.arange(len(vehicle))
