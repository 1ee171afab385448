"""Exact optima of a day, with certified gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dispatch.highs import Outcome, Solver
from dispatch.station.day import LoadOf, StationDay
from dispatch.station.plan import Objectives, StationPlan, objectives, rule_breach_kw
from dispatch.station.program import Bounds, StationProgram, Weights, build
from sim.contracts import FloatArray

RELATIVE_GAP: Final = 1e-7
"""At which an optimum counts as found: below the 1e-6 that points of a front are certified to."""
ALLOWED_KW: Final = 1e-6
"""Breach of a rule that is rounding."""
_ITERATIONS: Final = 10_000_000
_ROUNDS: Final = 12

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Optimum:
    """A plan, and how far any plan could be better."""

    plan: StationPlan
    reached: Objectives
    objective: float  # of the program
    bound: float  # certified
    binaries: int  # that the certificate needed

    @property
    def gap(self) -> float:
        """Relative distance of the objective from its bound."""
        return max(0.0, self.objective - self.bound) / max(1.0, abs(self.objective))


class InfeasibleError(ArithmeticError):
    """No plan keeps the bounds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidate:
    """A plan that keeps all rules."""

    plan: StationPlan
    objective: float
    values: FloatArray


class StationSolver:
    """Solves programs of one day one after the other: the model is kept, bounds are changed.

    1. Binaries relaxed. Where that plan keeps the rules, it is the optimum and its own certificate.
    2. Otherwise the steps that break a rule are fixed as that plan leans, until a plan keeps all: a candidate.
       Where it is as good as the relaxed optimum, it is the optimum.
    3. Otherwise the mixed-integer program, binary only in steps that broke a rule so far: a better bound, and its
       plan, mended as in 2, a better candidate; more steps become binary until bound and candidate meet.

    Parameters
    ----------
    day
        Inputs.
    load_of
        Whose peak and valley count.
    weights
        Of the objectives in the sum.
    relative_gap
        At which bound and candidate count as one.
    """

    def __init__(
        self, day: StationDay, load_of: LoadOf, weights: Weights, *, relative_gap: float = RELATIVE_GAP
    ) -> None:
        self._day, self._load_of, self._gap = day, load_of, relative_gap
        self._program = build(day, load_of, weights)
        self._solver = Solver(iteration_limit=_ITERATIONS, presolve=False)
        self._last: Outcome | None = None

    def optimum(self, bounds: Bounds = Bounds()) -> Optimum:  # noqa: B008 - frozen
        """Best plan within bounds on the objectives.

        Raises
        ------
        InfeasibleError
            When no plan keeps them.
        """
        program = self._program.bounded(bounds)
        relaxed = self._linear(program)
        if relaxed is None:
            raise InfeasibleError(f"no plan keeps {bounds}")
        bound, binary = relaxed.objective, self._broken(program, relaxed.values)
        if not binary.any():
            return self._answer(program, relaxed.values, relaxed.objective, bound, 0)
        best = self._mended(program, relaxed)
        while best is None or not self._meets(best.objective, bound):
            found = Solver(iteration_limit=_ITERATIONS).solve_integer(
                program.strict(binary).program,
                relative_gap=0.1 * self._gap,
                node_limit=None,
                start=None if best is None else best.values,
            )
            if not found.has_values:
                raise InfeasibleError(f"no plan keeps {bounds} and the rules ({found.status})")
            bound = max(bound, found.bound)
            better = self._mended(program, found)
            if better is not None and (best is None or better.objective < best.objective):
                best = better
            more = self._broken(program, found.values) & ~binary
            if not more.any():
                break
            binary |= more
        if best is None:
            raise InfeasibleError(f"no plan keeps {bounds} and the rules")
        return self._answer(
            program, best.values, best.objective, min(bound, best.objective), 2 * int(binary.sum())
        )

    def _linear(self, program: StationProgram) -> Outcome | None:
        basis = None if self._last is None else self._last.basis
        outcome = self._solver.solve(program.program, basis, warm_method="dual")
        if outcome.status != "optimal":
            self._last = None
            return None
        self._last = outcome
        return outcome

    def _mended(self, program: StationProgram, found: Outcome) -> _Candidate | None:
        """A plan near one that keeps all rules: steps that break one are fixed as they lean."""
        stores, has_spare = (np.full(self._day.n_steps, np.nan) for _ in range(2))
        outcome: Outcome | None = found
        for _ in range(_ROUNDS):
            if outcome is None:
                return None
            plan = program.plan(outcome.values)
            broken = rule_breach_kw(self._day, plan) > ALLOWED_KW
            if not broken.any():
                return _Candidate(plan=plan, objective=outcome.objective, values=outcome.values)
            ways = plan.charge_kw >= plan.discharge_kw
            stores = np.where(broken & np.isnan(stores), ways, stores)
            leans = plan.car_kw.sum(axis=1) <= self._day.pv_kw
            ruled = broken & ~self._day.is_grid_charging_hour
            has_spare = np.where(ruled & np.isnan(has_spare), leans, has_spare)
            outcome = self._linear(program.fixed(stores, has_spare))
        return None

    def _broken(self, program: StationProgram, values: FloatArray) -> Mask:
        return np.asarray(rule_breach_kw(self._day, program.plan(values)) > ALLOWED_KW)

    def _meets(self, objective: float, bound: float) -> bool:
        return objective - bound <= self._gap * max(1.0, abs(objective))

    def _answer(
        self, program: StationProgram, values: FloatArray, objective: float, bound: float, binaries: int
    ) -> Optimum:
        plan = program.plan(values)
        return Optimum(
            plan=plan,
            reached=objectives(self._day, plan, self._load_of),
            objective=objective,
            bound=bound,
            binaries=binaries,
        )
