"""A day's plan and what it comes to: objectives (7) to (9), and whether it keeps (1), (2), (6), (10), (11)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dispatch.station.day import LoadOf, StationDay
from sim.arrays import FloatArray, freeze


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StationPlan:
    """Powers of a day; arrays (K,) unless said otherwise."""

    car_kw: FloatArray  # (K, n)
    charge_kw: FloatArray  # storage, at the bus
    discharge_kw: FloatArray
    curtailed_kw: FloatArray  # sun that is not used

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """What a plan comes to."""

    cost: float  # F1 of (7), gross of wear and demand charge
    gross_cost: float  # what is bought, sales not deducted
    wear_cost: float
    demand_cost: float
    peak_valley_kw: float  # F2 of (8)
    peak_kw: float
    emission_kg: float
    unmet_kwh: float

    @property
    def total_cost(self) -> float:
        """Everything that is paid."""
        return self.cost + self.wear_cost + self.demand_cost


def grid_kw(day: StationDay, plan: StationPlan) -> FloatArray:
    """Exchange with the grid by the balance (10), buying positive."""
    demand = day.building_kw + plan.car_kw.sum(axis=1) + plan.charge_kw - plan.discharge_kw
    return np.asarray(demand - day.pv_kw + plan.curtailed_kw)


def load_kw(day: StationDay, plan: StationPlan, load_of: LoadOf) -> FloatArray:
    """The load whose peak and valley count: L1, L2 or L3."""
    if load_of == "grid":
        return grid_kw(day, plan)
    load = day.building_kw + plan.car_kw.sum(axis=1)
    return np.asarray(load + plan.charge_kw - plan.discharge_kw if load_of == "with storage" else load)


def stored_kwh(day: StationDay, plan: StationPlan) -> FloatArray:
    """Energy in storage at each step's end by (1)."""
    unit = day.storage
    gained = unit.charge_efficiency * plan.charge_kw - plan.discharge_kw / unit.discharge_efficiency
    return np.asarray(unit.initial_soc * unit.capacity_kwh + np.cumsum(gained) * day.step_h)


def objectives(day: StationDay, plan: StationPlan, load_of: LoadOf) -> Objectives:
    """Evaluate a plan, whoever made it."""
    grid, h = grid_kw(day, plan), day.step_h
    bought, sold = np.maximum(grid, 0.0), np.maximum(-grid, 0.0)
    for_station = np.minimum(_station_deficit_kw(day, plan), bought)
    prices = day.building_price_per_kwh * (bought - for_station) + day.station_price_per_kwh * for_station
    gross = float(prices.sum() * h)
    load = load_kw(day, plan, load_of)
    given = plan.car_kw.sum(axis=0) * h
    return Objectives(
        cost=gross - float((day.sell_price_per_kwh * sold).sum() * h),
        gross_cost=gross,
        wear_cost=day.wear_price_per_kwh * float(plan.discharge_kw.sum() * h),
        demand_cost=day.demand_price_per_kw * float(bought.max(initial=0.0)),
        peak_valley_kw=float(load.max() - load.min()),
        peak_kw=float(load.max()),
        emission_kg=float((day.emission_kg_per_kwh * bought).sum() * h),
        unmet_kwh=float(np.maximum(day.car_need_kwh - given, 0.0).sum()),
    )


def _station_deficit_kw(day: StationDay, plan: StationPlan) -> FloatArray:
    """What cars and storage need beyond sun and discharge, which serve them first (Fig. 2)."""
    wanted = plan.car_kw.sum(axis=1) + plan.charge_kw
    return np.asarray(np.maximum(wanted - day.pv_kw + plan.curtailed_kw - plan.discharge_kw, 0.0))


def rule_breach_kw(
    day: StationDay, cars_kw: FloatArray, charge_kw: FloatArray, discharge_kw: FloatArray
) -> FloatArray:
    """By how much each step breaks what is not convex: one way at a time, and the valley rule of Fig. 2; (K,)."""
    spare_kw = np.maximum(day.pv_kw - cars_kw, 0.0)
    beyond_kw = np.where(day.is_grid_charging_hour, 0.0, charge_kw - spare_kw)
    return np.maximum(np.minimum(charge_kw, discharge_kw), beyond_kw)


def violation_kw(day: StationDay, plan: StationPlan) -> float:
    """Largest breach of any rule, in kW (energies over a step)."""
    unit, h = day.storage, day.step_h
    stored = stored_kwh(day, plan)
    low, high = unit.soc_min * unit.capacity_kwh, unit.soc_max * unit.capacity_kwh
    grid = grid_kw(day, plan)
    breaches = (
        -plan.car_kw,
        plan.car_kw - day.car_limit_kw,
        (plan.car_kw.sum(axis=0) * h - day.car_need_kwh) / h,
        plan.car_kw.sum(axis=1) - day.cars_limit_kw,
        -plan.charge_kw,
        -plan.discharge_kw,
        plan.charge_kw - unit.charge_limit_kw,
        plan.discharge_kw - unit.discharge_limit_kw,
        rule_breach_kw(day, plan.car_kw.sum(axis=1), plan.charge_kw, plan.discharge_kw),
        (low - stored) / h,
        (stored - high) / h,
        (unit.initial_soc * unit.capacity_kwh - stored[-1:]) / h,
        -plan.curtailed_kw,
        plan.curtailed_kw - day.pv_kw,
        grid - day.import_limit_kw,
        -grid - day.export_limit_kw,
    )
    return max(0.0, *(float(breach.max(initial=0.0)) for breach in breaches))
