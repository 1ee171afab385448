"""Charge plans: what a plugged car does from a set-point on (pure).

A battery that fills needs no event: from ``since_s`` a car runs at ``set_kw`` until ``last_s``, then at
``last_kw`` until ``end_s``, then at 0. ``end_s`` is where the battery is full (or down to its least energy),
rounded up to a whole second; ``last_s`` is the step boundary before it (or ``since_s``), and ``last_kw`` is
lower than ``set_kw`` by just so much that the energy is exact. A scalar and an array form of the plan stand
side by side; a test holds them equal bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from sim.arrays import FloatArray, IntArray
from sim.clock import NEVER_S, STEP_S

ENERGY_TOLERANCE_KWH: Final = 1e-9  # a gap below this counts as closed
_SECOND_TOLERANCE: Final = 1e-6  # float dust that must not add a whole second
_POWER_TOLERANCE_KW: Final = 1e-8  # nearer to the set-point than this is the set-point: no row for rounding
_HOUR_S: Final = 3600.0
_LONGEST_S: Final = 1e15  # a plan that takes longer never ends


class Plan(NamedTuple):
    """One car's plan from ``since_s`` (given) on."""

    set_kw: float
    last_s: int
    last_kw: float
    end_s: int


@dataclass(slots=True)
class Plans:
    """Plans of many cars, arrays of one shape."""

    since_s: IntArray
    since_kwh: FloatArray
    set_kw: FloatArray
    last_s: IntArray
    last_kw: FloatArray
    end_s: IntArray
    end_kwh: FloatArray  # stored from end_s on
    factor: FloatArray  # battery energy per bus energy: eta_c or 1 / eta_d


def make_plan(now_s: int, set_kw: float, gap_kwh: float, factor: float) -> Plan:
    """Plan of one car at a set-point.

    Parameters
    ----------
    now_s
        Now.
    set_kw
        Set-point at the bus, charging positive.
    gap_kwh
        Energy to the bound that the set-point moves towards (>= 0).
    factor
        Battery energy per bus energy: eta_c when charging, 1 / eta_d when discharging (Eq. 10).

    >>> make_plan(0, 5.0, 1.0, 0.8)
    Plan(set_kw=5.0, last_s=0, last_kw=5.0, end_s=900)
    >>> make_plan(100, -5.0, 1.0, 1.25)
    Plan(set_kw=-5.0, last_s=100, last_kw=-5.0, end_s=676)
    >>> make_plan(0, 5.0, 0.0, 0.9)
    Plan(set_kw=0.0, last_s=1152921504606846976, last_kw=0.0, end_s=1152921504606846976)
    """
    if set_kw == 0.0 or gap_kwh <= ENERGY_TOLERANCE_KWH:
        return Plan(0.0, NEVER_S, 0.0, NEVER_S)
    rate = abs(set_kw) * factor
    seconds = gap_kwh * _HOUR_S / rate
    if seconds > _LONGEST_S:
        return Plan(set_kw, NEVER_S, 0.0, NEVER_S)
    end = now_s + max(math.ceil(seconds - _SECOND_TOLERANCE), 1)
    last = max(now_s, (end - 1) // STEP_S * STEP_S)
    rest = gap_kwh - rate * (last - now_s) / _HOUR_S
    last_kw = max(rest, 0.0) * _HOUR_S / (factor * (end - last))
    if last_kw > abs(set_kw) - _POWER_TOLERANCE_KW:
        last_kw = abs(set_kw)
    return Plan(set_kw, last, math.copysign(last_kw, set_kw), end)


def make_plans(
    now_s: int | IntArray, set_kw: FloatArray, gap_kwh: FloatArray, factor: FloatArray
) -> tuple[FloatArray, IntArray, FloatArray, IntArray]:
    """`make_plan` for arrays: ``set_kw``, ``last_s``, ``last_kw`` and ``end_s`` of each car.

    >>> [x.tolist() for x in make_plans(0, np.array([5.0]), np.array([1.0]), np.array([0.8]))]
    [[5.0], [0], [5.0], [900]]
    """
    moves = (set_kw != 0.0) & (gap_kwh > ENERGY_TOLERANCE_KWH)
    rate = np.where(moves, np.abs(set_kw) * factor, 1.0)
    seconds = gap_kwh * _HOUR_S / rate
    ends = moves & (seconds <= _LONGEST_S)
    whole = np.maximum(np.ceil(np.where(ends, seconds, 1.0) - _SECOND_TOLERANCE), 1.0).astype(np.int64)
    end = now_s + whole
    last = np.maximum(now_s, (end - 1) // STEP_S * STEP_S)
    rest = gap_kwh - rate * (last - now_s) / _HOUR_S
    last_kw = np.maximum(rest, 0.0) * _HOUR_S / (factor * (end - last))
    last_kw = np.where(last_kw > np.abs(set_kw) - _POWER_TOLERANCE_KW, np.abs(set_kw), last_kw)
    return (
        np.where(moves, set_kw, 0.0),
        np.where(ends, last, NEVER_S),
        np.where(ends, np.copysign(last_kw, set_kw), 0.0),
        np.where(ends, end, NEVER_S),
    )


def bus_energy(plans: Plans, now_s: int | IntArray) -> FloatArray:
    """Energy at the bus from each plan's beginning until now, kWh, charging positive."""
    first = np.minimum(now_s, plans.last_s) - plans.since_s
    second = np.maximum(np.minimum(now_s, plans.end_s) - plans.last_s, 0)
    return (plans.set_kw * first + plans.last_kw * second) / _HOUR_S


def stored_energy(plans: Plans, now_s: int | IntArray) -> FloatArray:
    """Energy stored now, kWh (Eq. 10, one direction at a time): exactly the bound once a plan has ended."""
    moving = plans.since_kwh + bus_energy(plans, now_s) * plans.factor
    return np.where(now_s >= plans.end_s, plans.end_kwh, moving)
