"""Audit of waits for a charger: who waits is parked there unplugged, and nobody waits beside a free charger."""

from __future__ import annotations

import numpy as np

from experiments.audit_cars import Life
from experiments.audit_findings import BoolArray, Findings, IntArray, clock
from experiments.audit_folder import Folder
from experiments.audit_trips import Itinerary

WAIT = "vehicle {vehicle} at {join_s}"


def check_queue(folder: Folder, life: Life, trips: Itinerary, findings: Findings) -> None:
    """Check each wait against the cars' lives, and that chargers are taken while somebody waits."""
    rows = folder.queue
    vehicle, join_s, end_s = (rows[name].to_numpy(np.int64) for name in ("vehicle_id", "join_s", "end_s"))
    region, outcome = folder.region_code(rows["region"]), rows["outcome"].to_numpy(object)
    unknown = (vehicle < 0) | (vehicle >= folder.n_vehicles) | (join_s < 0) | (end_s > folder.end_s)
    unknown |= (region < 0) | (join_s > end_s) | (join_s >= folder.end_s)
    if unknown.any():
        findings.add("queue", "queue", f"{unknown.sum()} rows of no car, region or time of the run")
        return
    first = _row_at(folder, life, vehicle, join_s)

    def note(bad: BoolArray, claim: str) -> None:
        findings.rows(bad, "queue", "queue", WAIT, claim, vehicle=vehicle, join_s=join_s)

    note(~life.parked[first] | (life.region[first] != region), "waits where it is not parked")
    last = _row_at(folder, life, vehicle, np.maximum(end_s - 1, join_s))
    waits = end_s > join_s
    note(waits & (life.plugged[first] | life.plugged[last]), "waits though it is plugged in")
    ends_in = _row_at(folder, life, vehicle, np.minimum(end_s, folder.end_s - 1))
    within = end_s < folder.end_s
    note((outcome == "plugged") & within & ~life.plugged[ends_in], "is not plugged in after its wait")
    departs = np.isin(
        vehicle * (folder.end_s + 1) + end_s, trips.vehicle * (folder.end_s + 1) + trips.depart_s
    )
    note((outcome == "left") & within & ~departs, "does not depart at the end of its wait")
    note((outcome == "waiting") & within, "waits on, though its wait ends before the run")
    balk_at = folder.scenario["fleet"]["drivers"]["balk_at"]
    note((outcome == "balked") & (balk_at == "never"), "balked, though nobody does")
    for r, limit in enumerate(folder.region_limits("chargers")):
        here = waits & (region == r)
        if here.any():
            _check_taken(folder, life, r, limit, (join_s[here], end_s[here]), findings)


def _row_at(folder: Folder, life: Life, vehicle: IntArray, instant_s: IntArray) -> IntArray:
    """Row of a car's life that holds an instant."""
    span = folder.end_s + 1
    keys = life.vehicle * span + life.start_s
    return np.searchsorted(keys, vehicle * span + instant_s, side="right") - 1


def _check_taken(
    folder: Folder,
    life: Life,
    region: int,
    limit: float,
    waits_s: tuple[IntArray, IntArray],
    findings: Findings,
) -> None:
    """Check that all of a region's chargers are taken as long as somebody waits there."""
    rows = life.plugged & (life.region == region)
    times = np.unique(np.concatenate([*waits_s, life.start_s[rows], life.end_s[rows]]))
    plugged = _count_at(times, life.start_s[rows], life.end_s[rows])
    waiting = _count_at(times, *waits_s)
    idle = (waiting > 0) & (plugged < limit)
    if idle.any():
        at = np.flatnonzero(idle)[0]
        where = f"{folder.region_names[region]} at {clock(int(times[at]))}"
        claim = f"{waiting[at]} cars wait though {plugged[at]} of {limit:.0f} chargers are taken"
        findings.add("queue", "queue", claim, where)


def _count_at(times_s: IntArray, begin_s: IntArray, end_s: IntArray) -> IntArray:
    """How many spans [begin, end) hold each instant.

    >>> _count_at(np.array([0, 5, 10]), np.array([0, 5]), np.array([10, 6])).tolist()
    [1, 2, 0]
    """
    begun = np.searchsorted(np.sort(begin_s), times_s, side="right")
    ended = np.searchsorted(np.sort(end_s), times_s, side="right")
    return np.asarray(begun - ended, dtype=np.int64)
