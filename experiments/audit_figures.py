"""Audit of the key figures: each one again, from the tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from experiments.audit_cars import Life
from experiments.audit_feeder import feeder_figures
from experiments.audit_findings import MONEY_RELATIVE, Findings, FloatArray, number
from experiments.audit_folder import ABSENT, STEP_H, Folder, instants
from experiments.audit_prices import energy_value_per_kwh
from experiments.audit_series import data_file, step_values
from experiments.audit_trips import Itinerary, energy_at_departure

MET_KWH = 0.1
"""By which a departure may lack what it requires and still counts as served."""

STATED_ONLY = ("clipped_kwh", "emissions_kg")
"""Figures of what is not in the tables, or may not be: a series of factors that is not read again."""


def check_figures(folder: Folder, life: Life, trips: Itinerary, findings: Findings) -> None:
    """Compare ``kpis.json`` with the tables; no figure may be missing or unknown."""
    expected = {**_money(folder, life, findings), **_amounts(folder, life, trips), **_decided(folder)}
    given = folder.kpis
    factor = folder.scenario["emissions"]["grid_kg_per_kwh"]
    if isinstance(factor, dict) and data_file(factor["file"]) is None:
        claim = f"emissions_kg cannot be checked: {factor['file']} is not there"
        findings.add("key figures", "kpis.json", claim)
    for name in [*expected, *STATED_ONLY]:
        if name not in given:
            findings.add("key figures", "kpis.json", f"{name} is missing")
    for name, value in given.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            findings.add("key figures", "kpis.json", f"{name} is {value!r}, not a number")
        elif name in expected:
            wanted = expected[name]
            if not abs(value - wanted) <= MONEY_RELATIVE * max(1.0, abs(wanted)):
                findings.add(
                    "key figures", "kpis.json", f"{name} is {number(value)}, the tables say {number(wanted)}"
                )
        elif name not in STATED_ONLY:
            findings.add("key figures", "kpis.json", f"{name} is no key figure")


def _money(folder: Folder, life: Life, findings: Findings) -> dict[str, float]:
    economics, currency = folder.scenario["economics"], folder.scenario["scenario"]["currency"].lower()
    buy, sell = folder.by_step("buy_price_per_kwh"), folder.by_step("sell_price_per_kwh")
    battery_kw = folder.storage["power_kw"].to_numpy(np.float64)
    discharged = np.maximum(-battery_kw, 0).sum() + folder.by_step("ev_discharge_kw").sum()
    curtailed = folder.by_step("pv_curtailed_kw") + folder.by_step("wind_curtailed_kw")
    parts = {
        "fuel": _fuel(folder),
        "operation": economics["battery_operation_per_kwh"] * np.abs(battery_kw).sum() * STEP_H
        + economics["turbine_operation_per_kwh"] * folder.by_step("turbine_kw").sum() * STEP_H,
        "wear": economics["throughput_price_per_kwh"] * discharged * STEP_H,
        "grid": ((buy * folder.by_step("import_kw") - sell * folder.by_step("export_kw")) * STEP_H).sum(),
        "demand": economics["demand_price_per_kw_day"] * _peaks_kw(folder),
        "curtailment": (folder.by_step("curtailment_price_per_kwh") * curtailed * STEP_H).sum(),
    }
    bill = ((buy * folder.by_step("ev_charge_kw") - sell * folder.by_step("ev_discharge_kw")) * STEP_H).sum()
    value = energy_value_per_kwh(folder, findings)
    cars, batteries = _car_change(life), _battery_change(folder)
    total = sum(parts.values())
    return {
        f"total_cost_{currency}": total,
        **{f"{name}_cost_{currency}": amount for name, amount in parts.items()},
        f"total_cost_net_{currency}": total - value * (cars + batteries),
        f"ev_bill_{currency}": bill,
        f"ev_bill_net_{currency}": bill - value * cars,
        f"lambda_{currency}_per_kwh": value,
        f"compensation_{currency}": _compensation(folder),
    }


def _compensation(folder: Folder) -> float:
    rate = float(folder.scenario["fleet"]["drivers"]["compensation_per_kwh"])
    return rate * float(folder.by_step("ev_discharge_kw").sum() * STEP_H)


def _amounts(folder: Folder, life: Life, trips: Itinerary) -> dict[str, float]:
    def kwh(column: str) -> float:
        return float(folder.by_step(column).sum() * STEP_H)

    curtailed = kwh("pv_curtailed_kw") + kwh("wind_curtailed_kw")
    begun = trips.begun
    lacking = np.maximum(trips.required_kwh - energy_at_departure(life, trips), 0.0)
    return {
        "energy_import_kwh": kwh("import_kw"),
        "energy_export_kwh": kwh("export_kw"),
        "peak_import_kw": float(folder.by_step("import_kw").sum(axis=1).max(initial=0.0)),
        "peak_valley_kw": _peak_valley(folder),
        "renewables_used_kwh": kwh("pv_kw") + kwh("wind_kw") - curtailed,
        "curtailed_kwh": curtailed,
        "ev_charged_kwh": kwh("ev_charge_kw"),
        "ev_discharged_kwh": kwh("ev_discharge_kw"),
        "ev_stored_change_kwh": _car_change(life),
        "battery_stored_change_kwh": _battery_change(folder),
        "unmet_kwh": float(trips.unmet_kwh.sum()),
        "departure_shortfall_kwh": float(lacking[begun].sum()),
        **_served(trips.required_kwh[begun].tolist(), lacking[begun].tolist()),
        "early_departures": float(
            (
                trips.begun & (trips.declared_depart_s != ABSENT) & (trips.depart_s < trips.declared_depart_s)
            ).sum()
        ),
        "late_departures": float((~begun | (trips.depart_s > trips.planned_depart_s)).sum()),
        "unserved_kwh": kwh("unserved_kw"),
        "trips": float(begun.sum()),
        "distance_km": float(trips.distance_km[begun].sum()),
        **_emissions(folder),
        **_sessions(folder),
        **_queue(folder),
        **feeder_figures(folder),
    }


def _peaks_kw(folder: Folder) -> float:
    """Sum over days and regions of the largest import."""
    imported = folder.by_step("import_kw")
    days = np.arange(len(imported)) * round(3600 * STEP_H) // 86_400
    return float(sum(imported[days == day].max(axis=0).sum() for day in np.unique(days)))


def _peak_valley(folder: Folder) -> float:
    exchange = (folder.by_step("import_kw") - folder.by_step("export_kw")).sum(axis=1)
    return float(exchange.max() - exchange.min())


def _served(required_kwh: list[float], lacking_kwh: list[float]) -> dict[str, float]:
    """Share of departures that had what they require, and Jain's index of how much of it they had."""
    asking = [(need, lack) for need, lack in zip(required_kwh, lacking_kwh, strict=True) if need > 0]
    had = [1.0 - lack / need for need, lack in asking]
    squares = sum(x * x for x in had)
    met = sum(lack <= MET_KWH for _, lack in asking)
    return {
        "departures_met_share": met / len(asking) if asking else 1.0,
        "departures_jain": sum(had) ** 2 / (len(had) * squares) if squares else 1.0,
    }


def _sessions(folder: Folder) -> dict[str, float]:
    arrive_s = instants(folder.sessions["arrive_s"])
    within = (arrive_s == ABSENT) | ((arrive_s >= 0) & (arrive_s < folder.end_s))
    counts = folder.sessions["status"][within].value_counts()
    begun = float((folder.sessions["status"] == "open at the start").sum())
    known = ("served", "open at the start")
    return {
        "sessions_served": float(counts.get("served", 0)),
        "sessions_open_at_start": begun,
        "sessions_dropped": float(sum(n for status, n in counts.items() if status not in known)),
    }


def _queue(folder: Folder) -> dict[str, float]:
    counts = folder.queue["outcome"].value_counts()
    seconds = int(folder.queue["end_s"].sum()) - int(folder.queue["join_s"].sum())
    return {
        "queue_h": seconds / 3600.0,
        "queued_stops": float(len(folder.queue) - counts.get("balked", 0)),
        "unplugged_departures": float(counts.get("balked", 0) + counts.get("left", 0)),
    }


def _decided(folder: Folder) -> dict[str, float]:
    gaps = folder.decisions["gap"].dropna().to_numpy(np.float64)
    return {
        "decisions": float(len(folder.decisions)),
        "fallbacks": float(folder.decisions["fallback"].sum()),
        "max_gap": float(max([0.0, *gaps])),
        "lowered_kwh": float(folder.decisions["lowered_kwh"].sum()),
    }


def _car_change(life: Life) -> float:
    return float(life.end_kwh[life.is_last].sum() - life.start_kwh[life.is_first].sum())


def _battery_change(folder: Folder) -> float:
    units = [unit for region in folder.regions for unit in region.get("batteries", [])]
    initial = sum(unit["capacity_kwh"] * unit["initial_soc"] for unit in units)
    final = folder.storage["energy_kwh"].to_numpy(np.float64)[-len(units) :] if units else np.zeros(0)
    return float(final.sum() - initial)


def _gas_m3(folder: Folder, region: int, unit: dict[str, Any]) -> float:
    """Gas burnt in a run, P / (LHV eta), eta = g1 x^3 - g2 x^2 + g3 x + rho (Zhang 2025, Eqs. 18, 19)."""
    power: FloatArray = folder.by_step("turbine_kw")[:, region]
    x = power / unit["limit_kw"]
    minus_g2, g1 = -unit["efficiency_square"], unit["efficiency_cubic"]
    efficiency = np.polyval([g1, minus_g2, unit["efficiency_linear"], unit["efficiency_constant"]], x)
    return float((power / efficiency).sum() * STEP_H / unit["lower_heating_value_kwh_per_m3"])


def _turbines(folder: Folder) -> list[tuple[int, dict[str, Any]]]:
    return [(r, region["turbine"]) for r, region in enumerate(folder.regions) if region.get("turbine")]


def _fuel(folder: Folder) -> float:
    return sum(float(unit["gas_price_per_m3"]) * _gas_m3(folder, r, unit) for r, unit in _turbines(folder))


def _emissions(folder: Folder) -> dict[str, float]:
    """CO2 by the stated factor or series; of a series that is not read again nothing can be said."""
    stated = folder.scenario["emissions"]
    factor = stated["grid_kg_per_kwh"]
    if isinstance(factor, dict):
        factor = step_values(folder, factor)
        if factor is None:
            return {}
    gas_m3 = sum(_gas_m3(folder, r, unit) for r, unit in _turbines(folder))
    imported_kwh = folder.by_step("import_kw").sum(axis=1) * STEP_H
    return {"emissions_kg": float((factor * imported_kwh).sum() + stated["gas_kg_per_m3"] * gas_m3)}
