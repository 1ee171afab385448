"""Which sums of the cars' powers can be shared among the cars, and which cut tells that others cannot.

Powers P(k) of all cars together can be shared within stays, limits and needs if and only if no set S of steps is asked
for more than the cars can take in it,

    h sum over S of P(k) <= f(S) = sum over cars of min(need, h sum over S of limit(k)),

for sharing is a flow from steps to cars (max-flow min-cut; f is submodular). A day's program therefore needs one power
per step, and of these cuts the few that matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from dispatch.highs import Basis, LinearProgram, Solver
from dispatch.station.day import StationDay
from sim.contracts import FloatArray

_ITERATIONS = 10_000_000
_HALF = 0.5

Steps = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shared:
    """How sums are shared among the cars as far as they can be, and the cut that they break most."""

    car_kw: FloatArray  # (K, n)
    cut: Steps  # (K,)
    excess_kwh: float  # by which the cut is broken; 0 where all is shared


def most_kwh(day: StationDay, steps: Steps) -> float:
    """Most that all cars can take in some steps, f(S)."""
    return float(np.minimum(day.reachable_kwh(), day.step_h * day.car_limit_kw[steps].sum(axis=0)).sum())


class CarFlow:
    """Shares sums among a day's cars: one linear program, solved again when the sums change.

    Parameters
    ----------
    day
        Inputs.
    """

    def __init__(self, day: StationDay) -> None:
        self._day = day
        n_steps, n_cars = day.car_limit_kw.shape
        self._step, self._car = np.nonzero(day.car_limit_kw > 0.0)
        n = len(self._step)
        entries = np.arange(n)
        steps = np.arange(n_steps)
        rows = np.concatenate([self._car, n_cars + self._step, n_cars + steps])
        columns = np.concatenate([entries, entries, n + steps])
        values = np.concatenate([np.full(n, day.step_h), np.ones(n), -np.ones(n_steps)])
        matrix = coo_array((values, (rows, columns)), shape=(n_cars + n_steps, n + n_steps)).tocsc()
        limits = day.car_limit_kw[self._step, self._car]
        self._program = LinearProgram(
            cost=np.concatenate([np.full(n, -day.step_h), np.zeros(n_steps)]),
            lower=np.zeros(n + n_steps),
            upper=np.concatenate([limits, np.zeros(n_steps)]),
            row_lower=np.full(n_cars + n_steps, -np.inf),
            row_upper=np.concatenate([day.reachable_kwh(), np.zeros(n_steps)]),
            starts=matrix.indptr.astype(np.int32),
            rows=matrix.indices.astype(np.int32),
            values=matrix.data,
        )
        self._solver = Solver(iteration_limit=_ITERATIONS, presolve=False)
        self._basis: Basis | None = None

    def share(self, cars_kw: FloatArray) -> Shared:
        """Share sums (K,) as far as the cars can take them."""
        day, n = self._day, len(self._step)
        upper = np.concatenate([self._program.upper[:n], np.maximum(cars_kw, 0.0)])
        program = LinearProgram(
            cost=self._program.cost,
            lower=self._program.lower,
            upper=upper,
            row_lower=self._program.row_lower,
            row_upper=self._program.row_upper,
            starts=self._program.starts,
            rows=self._program.rows,
            values=self._program.values,
        )
        outcome = self._solver.solve(program, self._basis, warm_method="dual")
        if outcome.status != "optimal":
            raise ArithmeticError(f"cars' powers cannot be shared ({outcome.status})")
        self._basis = outcome.basis
        car_kw = np.zeros(day.car_limit_kw.shape)
        car_kw[self._step, self._car] = np.maximum(outcome.values[:n], 0.0)
        saturated = -outcome.row_duals[day.n_cars :] / day.step_h > _HALF
        excess = day.step_h * float(cars_kw[~saturated].sum()) - most_kwh(day, ~saturated)
        return Shared(car_kw=car_kw, cut=~saturated, excess_kwh=max(0.0, excess))
