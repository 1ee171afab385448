"""What is done when a decision's program has no usable answer: named in the scenario, visible in the tables."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dispatch.itinerary import enough_before
from dispatch.problem import Problem
from sim.arrays import FloatArray
from sim.contracts import Decision, Schedule, Snapshot

Fallback = Literal["charge", "idle"]


def fall_back(name: Fallback, snapshot: Snapshot, problem: Problem, *, iterations: int) -> Schedule:
    """Cars charge at full power (`charge`) or as much as they must (`idle`); batteries rest, turbines ramp down."""
    power = full_power(snapshot) if name == "charge" else least_power(snapshot, problem.site.step_s)
    decision = Decision(
        status=f"fallback:{name}", fallback=True, iterations=iterations, lowered_kwh=problem.lowered_kwh
    )
    return Schedule(
        car_power_kw=power,
        battery_power_kw=np.zeros(len(snapshot.battery_energy_kwh)),
        turbine_kw=np.maximum(snapshot.turbine_kw - problem.site.turbine_ramp_kw_per_step, 0.0),
        decision=decision,
    )


def full_power(snapshot: Snapshot) -> FloatArray:
    """Full charging power of every plugged car."""
    return np.where(snapshot.cars.is_plugged, snapshot.cars.charge_limit_now_kw, 0.0)


def least_power(snapshot: Snapshot, step_s: int) -> FloatArray:
    """Charging power that keeps each plugged car on its lower bound: what later full charging cannot make up for."""
    cars, step_h = snapshot.cars, step_s / 3600.0
    left_s = np.maximum(cars.departure_s - snapshot.now_s, 0)
    plugged_h = np.minimum(left_s / 3600.0, step_h)
    later_steps = left_s / step_s - plugged_h / step_h
    power = (enough_before(cars, np.arange(cars.n), later_steps, step_s) - cars.energy_kwh) / (
        cars.charge_efficiency * np.where(plugged_h > 0, plugged_h, step_h)
    )
    return np.where(cars.is_plugged, np.clip(power, 0.0, cars.charge_limit_now_kw), 0.0)
