"""What an hourly plan comes to where a day goes on in quarter-hours."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from dispatch.station.day import StationDay
from dispatch.station.plan import Objectives, StationPlan, objectives, stored_kwh
from experiments.charging_station.cases import Setting, change, ordered, references, without_storage

QUARTERS: Final = 4
GAP_IN_QUARTERS: Final = 5e-3
"""Of plans in quarter-hours: far below what is compared, and found in seconds instead of minutes."""


def executed(hourly: StationDay, plan: StationPlan, quarters: StationDay) -> StationPlan:
    """An hourly plan as it can be carried out in quarter-hours.

    A car gets its hour's energy evenly over the part of the hour in which it is there, no more than its limit, and in
    later quarter-hours of its stay what is lacking then. Storage keeps its power, no further than its energies let.

    Parameters
    ----------
    hourly, plan
        The day in hours, and its plan.
    quarters
        The same day in quarter-hours.
    """
    h = quarters.step_h
    car_kw = np.zeros(quarters.car_limit_kw.shape)
    owed_kwh = np.zeros(quarters.n_cars)
    for step in range(quarters.n_steps):
        hour = step // QUARTERS
        if step % QUARTERS == 0:
            owed_kwh = owed_kwh + plan.car_kw[hour] * hourly.step_h
        limit = quarters.car_limit_kw[step]
        rest_of_hour = quarters.car_limit_kw[step : (hour + 1) * QUARTERS].sum(axis=0)
        share = np.divide(limit, rest_of_hour, out=np.zeros_like(limit), where=rest_of_hour > 0.0)
        car_kw[step] = np.minimum(owed_kwh * share / h, limit)
        owed_kwh = owed_kwh - car_kw[step] * h
    charge_kw, discharge_kw = _storage(quarters, np.repeat(plan.charge_kw - plan.discharge_kw, QUARTERS))
    return StationPlan(
        car_kw=car_kw,
        charge_kw=charge_kw,
        discharge_kw=discharge_kw,
        curtailed_kw=np.repeat(plan.curtailed_kw, QUARTERS).clip(max=quarters.pv_kw),
    )


def _storage(day: StationDay, wanted_kw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    unit, h = day.storage, day.step_h
    low, high = unit.soc_min * unit.capacity_kwh, unit.soc_max * unit.capacity_kwh
    energy = unit.initial_soc * unit.capacity_kwh
    charge, discharge = np.zeros(day.n_steps), np.zeros(day.n_steps)
    for step, wanted in enumerate(wanted_kw):
        charge[step] = min(max(wanted, 0.0), max(high - energy, 0.0) / (unit.charge_efficiency * h))
        discharge[step] = min(max(-wanted, 0.0), max(energy - low, 0.0) * unit.discharge_efficiency / h)
        energy += h * (unit.charge_efficiency * charge[step] - discharge[step] / unit.discharge_efficiency)
    return charge, discharge


def hourly_and_real(setting: Setting) -> pd.DataFrame:
    """A day planned in hours: what the plan says it saves, and what it saves when it is carried out in quarter-hours.

    Returns
    -------
    DataFrame
        A row per case and plan: changes of cost and peak-valley difference against case 1 in per cent as planned, as
        carried out, and of the optimum planned in quarter-hours (the same weights); energy not met when carried out.
    """
    hourly = setting.made()
    fine = replace(setting, steps_per_hour=QUARTERS).made()
    load_of = setting.year.terms.load_of
    coarse_reference, reference = references(hourly, load_of), references(fine, load_of)
    rows = []
    for case, on, real in (("2", without_storage(hourly), without_storage(fine)), ("3", hourly, fine)):
        for name, share in (("optimum of (9)", 0.5), ("cheapest", 1.0)):
            planned = ordered(on, load_of, coarse_reference, share)
            carried_out = executed(on, planned.plan, real)
            reached = objectives(real, carried_out, load_of)
            best = ordered(real, load_of, reference, share, relative_gap=GAP_IN_QUARTERS).reached
            rows.append(
                {
                    "building": setting.building,
                    "day": setting.day,
                    "case": case,
                    "plan": name,
                    **_changes("planned", planned.reached, coarse_reference),
                    **_changes("carried out", reached, reference),
                    **_changes("planned in quarter-hours", best, reference),
                    "unmet [kWh]": reached.unmet_kwh - reference.unmet_kwh,
                    "stored at the end less than planned [kWh]": float(
                        stored_kwh(on, planned.plan)[-1] - stored_kwh(real, carried_out)[-1]
                    ),
                }
            )
    return pd.DataFrame(rows)


def _changes(name: str, reached: Objectives, reference: Objectives) -> dict[str, float]:
    return {
        f"cost % {name}": change(reached.total_cost, reference.total_cost),
        f"peak-valley % {name}": change(reached.peak_valley_kw, reference.peak_valley_kw),
    }
