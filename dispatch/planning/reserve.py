"""Reserve that storage holds, and what becomes of it when it is called.

The program's rows (`dispatch.planning.program`) keep power for a full activation, and energy for one of ``duration_h``
that may begin in any step. What a call does to the feeder's voltages is not in them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from dispatch.planning.checks import POSITIVE, SHARE, check, whole_number
from dispatch.planning.day import Case, Storage
from dispatch.planning.judging import Plan
from dispatch.planning.planner import RELATIVE_GAP, Planned, best_plan
from dispatch.planning.program import Amounts, Options, Reserve
from sim.arrays import FloatArray, IntArray, freeze

_WHOLE: Final = 1e-6
"""Share of a call that may be missing from one that counts as fully delivered."""


def reserve_plan(case: Case, reserve: Reserve, *, relative_gap: float = RELATIVE_GAP) -> Planned:
    """Schedule of least cost less what the reserve earns."""
    return best_plan(case, Amounts(cost=1.0), Options(reserve=reserve), relative_gap=relative_gap)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Called:
    """What calls of reserve asked for and got; energy at the bus."""

    asked_kwh: float
    delivered_kwh: float
    n_activations: int
    n_delivered: int  # in full
    stored_kwh: FloatArray  # (T, C) as it came

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def share(self) -> float:
        """Share of the energy asked for that was delivered; 1 where none was asked for."""
        return self.delivered_kwh / self.asked_kwh if self.asked_kwh > 0.0 else 1.0


def draw_activations(
    rng: np.random.Generator, n_steps: int, *, probability: float, persistence: float, up_share: float = 0.5
) -> IntArray:
    """Direction of a call in each step: 1 up, -1 down, 0 none; shape (n_steps,).

    Parameters
    ----------
    probability
        Of a call beginning in a step without one.
    persistence
        Of a call going on in the next step, so that calls last 1 / (1 - persistence) steps in the mean.
    up_share
        Share of calls that are upwards.
    """
    for name, value in (("probability", probability), ("persistence", persistence), ("up_share", up_share)):
        check(f"draw_activations: {name}", value, SHARE)
    chance, way = rng.random(n_steps), rng.random(n_steps)
    calls = np.zeros(n_steps, dtype=np.int64)
    for step in range(n_steps):
        before = calls[step - 1] if step else 0
        if before != 0 and chance[step] < persistence:
            calls[step] = before
        elif before == 0 and chance[step] < probability:
            calls[step] = 1 if way[step] < up_share else -1
    return calls


def execute(plan: Plan, storage: Storage, calls: IntArray, *, step_h: float, steps_per_day: int) -> Called:
    """Carry a schedule out under calls, step by step.

    In a call every unit moves from its schedule by the reserve it holds, as far as energy lets it. Otherwise it goes
    back to the schedule's energy as its power lets it. A call is a run of steps with one direction within a day.

    Parameters
    ----------
    calls : ndarray, shape (T,)
        Direction in each step of the plan's days.
    """
    n_steps, n_units = plan.charge_kw.shape
    if len(calls) != n_steps:
        raise ValueError(f"calls has {len(calls)} steps, the plan {n_steps}")
    check("execute: step_h", step_h, POSITIVE)
    check("execute: steps_per_day", steps_per_day, whole_number(1))
    scheduled = plan.discharge_kw - plan.charge_kw
    stored, kept = np.zeros((n_steps, n_units)), storage.kept(step_h)
    energy = storage.initial_soc * plan.kwh
    asked, delivered = np.zeros(n_steps), np.zeros(n_steps)
    for step in range(n_steps):
        if step % steps_per_day == 0:
            energy = storage.initial_soc * plan.kwh
        call = int(calls[step])
        held = plan.up_kw[step] if call > 0 else plan.down_kw[step]
        wanted = (
            scheduled[step] + call * held
            if call
            else _back_kw(storage, kept * energy, plan.stored_kwh[step], step_h)
        )
        power = np.clip(wanted, -plan.kw, plan.kw)
        most = np.maximum(kept * energy - storage.soc_min * plan.kwh, 0.0) * storage.discharge_efficiency
        room = np.maximum(storage.soc_max * plan.kwh - kept * energy, 0.0) / storage.charge_efficiency
        power = np.clip(power, -room / step_h, most / step_h)
        energy = (
            kept * energy
            + step_h * storage.charge_efficiency * np.maximum(-power, 0.0)
            - step_h / storage.discharge_efficiency * np.maximum(power, 0.0)
        )
        stored[step] = energy
        if call:
            asked[step] = step_h * held.sum()
            moved = np.clip(call * (power - scheduled[step]), 0.0, held)
            delivered[step] = step_h * moved.sum()
    answered = np.where(asked > 0.0, calls, 0)  # a call of nothing is none
    whole = _activations(answered, steps_per_day, asked - delivered <= _WHOLE * np.maximum(asked, 1e-3))
    return Called(
        asked_kwh=float(asked.sum()),
        delivered_kwh=float(delivered.sum()),
        n_activations=len(whole),
        n_delivered=sum(whole),
        stored_kwh=stored,
    )


def _back_kw(storage: Storage, energy: FloatArray, aim: FloatArray, step_h: float) -> FloatArray:
    """Power, discharging positive, that brings energy to an aim in a step."""
    missing = aim - energy
    charging = missing / storage.charge_efficiency
    discharging = missing * storage.discharge_efficiency
    return np.asarray(-np.where(missing > 0.0, charging, discharging) / step_h)


def _activations(calls: IntArray, steps_per_day: int, is_whole: np.ndarray) -> list[bool]:
    """Whether each run of calls is delivered in all its steps."""
    whole: list[bool] = []
    for step, call in enumerate(calls.tolist()):
        if call == 0:
            continue
        if step % steps_per_day and calls[step - 1] == call:
            whole[-1] = whole[-1] and bool(is_whole[step])
        else:
            whole.append(bool(is_whole[step]))
    return whole
