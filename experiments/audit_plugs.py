"""Audit of charging: chargers, plugs, and the instants at which set-points may change."""

from __future__ import annotations

import numpy as np

from experiments.audit_cars import Life
from experiments.audit_findings import BoolArray, Findings, clock
from experiments.audit_folder import STEP_S, Folder


def check_chargers(folder: Folder, life: Life, findings: Findings) -> None:
    """Check that no region has more cars plugged in than chargers, at any second."""
    for r, limit in enumerate(folder.region_limits("chargers")):
        rows = life.plugged & (life.region == r)
        if not np.isfinite(limit) or not rows.any():
            continue
        times = np.concatenate([life.start_s[rows], life.end_s[rows]])
        change = np.repeat([1, -1], rows.sum())
        order = np.lexsort((change, times))  # who leaves frees the charger first
        count = np.cumsum(change[order])
        if count.max() > limit:
            where = f"{folder.region_names[r]} at {clock(times[order][np.argmax(count)])}"
            findings.add("chargers", "segments", f"{count.max()} cars at {limit:.0f} chargers", where)


def check_plugs(folder: Folder, life: Life, findings: Findings) -> None:
    """Check where a car must be at a charger: at home at the start, and in stays without a queue."""
    chargers = folder.region_limits("chargers")
    unlimited = np.isinf(chargers)
    free = life.parked & (life.region >= 0)
    free[free] = unlimited[life.region[free]]
    homes = folder.region_code(folder.vehicles["home_region"])[life.vehicle]
    elsewhere = life.is_first & (life.region != homes)
    life.note(findings, elsewhere, "plugs", "does not start the run at home")
    life.note(findings, life.is_first & free & ~life.plugged, "plugs", "does not start the run plugged in")
    same_stay = ~life.is_first & free & life.before(life.parked)
    switched = same_stay & (life.plugged != life.before(life.plugged))
    life.note(findings, switched, "plugs", "the plug changes during a stay, though there is no queue")
    odds = folder.scenario["fleet"]["plug_in_probability"]
    always = np.array([odds.get(region["place_type"], 0.0) == 1.0 for region in folder.regions])
    must = free.copy()
    must[must] = always[life.region[must]]
    life.note(findings, must & ~life.plugged, "plugs", "not plugged in where every stop plugs in")


def check_instants(folder: Folder, life: Life, findings: Findings) -> None:
    """Check that set-points change at boundaries: inside a step, power begins only where a car plugs in.

    Besides, where a region's connection caps its cars, the others' shares change when one leaves or is done.
    """
    fleet, policy = folder.scenario["fleet"], folder.scenario["dispatch"]["policy"]
    own = bool(folder.manifest.get("policy_is_own_object")) or policy == "uncontrolled" or ":" in policy
    at_once = own or fleet["arrival_power"] == "full"
    queues = bool(np.isfinite(folder.region_limits("chargers")).any())
    if fleet["shortage"] == "wait" or queues:
        return  # a waiting car may charge from any second on
    takes_part = folder.vehicles["takes_part"].to_numpy(bool)[
        life.vehicle
    ]  # others charge from their plug-in on
    inside = (life.start_s % STEP_S != 0) & (life.power_kw != 0) & takes_part
    plugged_before = life.before(life.plugged) & ~life.is_first
    if at_once:
        inside &= plugged_before
    same_way = plugged_before & (life.power_kw * life.before(life.power_kw) > 0)
    life.note(
        findings,
        inside & ~(same_way & _shares_anew(folder, life)),
        "set-points",
        "{power} kW begins inside a step",
    )


def _shares_anew(folder: Folder, life: Life) -> BoolArray:
    """Whether another car of the region leaves, comes or is done at the row's beginning."""
    span = folder.end_s + 1
    stops = life.plugged & ~life.is_last & (life.power_kw != 0)
    stops &= ~np.roll(life.plugged, -1) | (np.roll(life.power_kw, -1) == 0)
    comes = life.plugged & (life.is_first | ~life.before(life.plugged))
    events = np.concatenate(
        [life.region[stops] * span + life.end_s[stops], life.region[comes] * span + life.start_s[comes]]
    )
    return np.isin(life.region * span + life.start_s, events)
