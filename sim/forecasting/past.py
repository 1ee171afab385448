"""The past: measurements of steps that are over, the only door through which honest forecasters look."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from sim.arrays import FloatArray, IntArray
from sim.clock import STEP_S, STEPS_PER_DAY, label, step_index
from sim.settlement import StepTruth
from sim.tariff import Prices
from sim.world import World

CARS_FROM_STEP: Final = -STEPS_PER_DAY
"""First step in which cars are measured: day -1 is simulated."""
_GROWTH: Final = 16 * STEPS_PER_DAY


class Measurements:
    """Car load of each region in each step that is over, from day -1 on; the simulation's meter book."""

    def __init__(self, n_regions: int) -> None:
        self._net_kw = np.zeros((_GROWTH, n_regions))
        self._unmanaged_kw = np.zeros((_GROWTH, n_regions))
        self.next_step = CARS_FROM_STEP
        """The step that is not over yet; all before it are measured."""

    def record(self, step: int, net_car_load_kw: FloatArray, unmanaged_kw: FloatArray | None = None) -> None:
        """Enter the car load of the step that has just ended.

        Parameters
        ----------
        step
            Steps come in order, without gaps.
        net_car_load_kw : ndarray, shape (R,)
            Charging less discharging, mean over the step.
        unmanaged_kw : ndarray, shape (R,), optional
            Part of it that is due to cars which do not take part.

        Raises
        ------
        ValueError
            When it is not the next step.
        """
        if step != self.next_step:
            raise ValueError(f"step {step} was measured, expected step {self.next_step}")
        row = step - CARS_FROM_STEP
        if row == len(self._net_kw):
            self._net_kw = np.concatenate([self._net_kw, np.zeros_like(self._net_kw)])
            self._unmanaged_kw = np.concatenate([self._unmanaged_kw, np.zeros_like(self._unmanaged_kw)])
        self._net_kw[row] = net_car_load_kw
        if unmanaged_kw is not None:
            self._unmanaged_kw[row] = unmanaged_kw
        self.next_step += 1

    def net_car_load_kw(self, steps: IntArray) -> FloatArray:
        """Measured net car load, shape (len(steps), R).

        Raises
        ------
        LookupError
            When a step is not over, or lies before day -1.
        """
        _require_over(steps, self.next_step, CARS_FROM_STEP)
        measured: FloatArray = self._net_kw[np.asarray(steps) - CARS_FROM_STEP]
        return measured

    def unmanaged_kw(self, steps: IntArray) -> FloatArray:
        """Measured load of cars that do not take part, shape (len(steps), R).

        Raises
        ------
        LookupError
            When a step is not over, or lies before day -1.
        """
        _require_over(steps, self.next_step, CARS_FROM_STEP)
        measured: FloatArray = self._unmanaged_kw[np.asarray(steps) - CARS_FROM_STEP]
        return measured


class Meter(Protocol):
    """What tells how far the past reaches, and what cars drew in it."""

    @property
    def next_step(self) -> int:
        """The step that is not over yet."""
        ...

    def net_car_load_kw(self, steps: IntArray) -> FloatArray:
        """Measured net car load, shape (len(steps), R)."""
        ...

    def unmanaged_kw(self, steps: IntArray) -> FloatArray:
        """Measured load of cars that do not take part, shape (len(steps), R)."""
        ...


class Past:
    """The world as far as it has been measured; asking for anything later is an error.

    Parameters
    ----------
    world
        The truth.
    measurements
        Whose ``next_step`` is the present.
    """

    def __init__(self, world: World, measurements: Meter) -> None:
        self._world = world
        self._measurements = measurements
        self.first_step = world.first_step
        """First measured step: day -1's, or further back where the scenario has a history."""
        self.n_regions = world.load_kw.shape[1]

    @property
    def next_step(self) -> int:
        """The step that is not over yet."""
        return self._measurements.next_step

    def window(self, steps: IntArray) -> StepTruth:
        """Return what was measured in the given steps; arrays (len(steps), R).

        Raises
        ------
        LookupError
            When a step is not over, or lies before the first measured one.
        """
        _require_over(steps, self.next_step, self.first_step)
        return self._world.at(steps)

    def net_car_load_kw(self, steps: IntArray) -> FloatArray:
        """Measured net car load, shape (len(steps), R)."""
        return self._measurements.net_car_load_kw(steps)

    def unmanaged_kw(self, steps: IntArray) -> FloatArray:
        """Measured load of cars that do not take part, shape (len(steps), R)."""
        return self._measurements.unmanaged_kw(steps)

    def published_prices(self, first_step: int, n_steps: int) -> Prices | None:
        """Prices of steps ahead, (n_steps, R), where the tariff is published; nothing where it is not."""
        if not self._world.prices_are_published:
            return None
        window = self._world.window(first_step, n_steps)
        return Prices(
            buy_per_kwh=window.buy_price_per_kwh,
            sell_per_kwh=window.sell_price_per_kwh,
            curtailment_per_kwh=window.curtailment_price_per_kwh,
        )


def steps_of_yesterday(now_s: int, n_steps: int) -> IntArray:
    """Measured step that stands for each step of a horizon: the same time of the last 24 h.

    >>> steps_of_yesterday(900, 98)[[0, 95, 96, 97]]
    array([-95,   0, -95, -94])
    """
    return repeated_steps(now_s, n_steps, 1)


def repeated_steps(now_s: int, n_steps: int, period_days: int) -> IntArray:
    """Measured step that stands for each step of a horizon when the last days repeat.

    >>> repeated_steps(0, 673, 7)[[0, 671, 672]]
    array([-672,   -1, -672])
    """
    period = period_days * STEPS_PER_DAY
    return step_index(now_s) - period + np.arange(n_steps, dtype=np.int64) % period


def _require_over(steps: IntArray, next_step: int, first_step: int) -> None:
    if len(steps) and (steps.max() >= next_step or steps.min() < first_step):
        wrong = int(steps.max() if steps.max() >= next_step else steps.min())
        raise LookupError(
            f"step {wrong} ({label(wrong * STEP_S)}) is not measured: known are {first_step}..{next_step - 1}"
        )
