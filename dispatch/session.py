"""One run's chain of solves: the program that is kept, the solver that is kept, and the check of every answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from dispatch.assembly import Assembly
from dispatch.fuel import FuelCost, PiecewiseCost, convex_under_estimator
from dispatch.highs import Outcome, Solver
from dispatch.plan import Plan, read_plan, violation
from dispatch.problem import Problem, refuse_free_money
from dispatch.program import Program
from sim.arrays import FloatArray
from sim.contracts import Cars, Site

Change = Callable[[Problem, Assembly], Assembly]

TOLERANCE: Final = 1e-5
"""Largest violation of an equation or limit, in kW or kWh, of an answer that counts as solved."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solved:
    """A program, its checked answer, and the answer as a plan."""

    problem: Problem
    assembly: Assembly
    outcome: Outcome
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A solve without a usable answer."""

    reason: str
    iterations: int


class Session:
    """The solves of one run, from a cold start on.

    Parameters
    ----------
    site
        The microgrids.
    cars
        The fleet (or none, for the stationary units alone).
    n_slots
        Longest horizon.
    iteration_limit
        Simplex iterations of one solve.
    presolve
        Whether cold solves are presolved; over a whole run that costs more than it saves.
    """

    def __init__(
        self, site: Site, cars: Cars, n_slots: int, *, iteration_limit: int, presolve: bool = True
    ) -> None:
        self.fuel = fuel_envelopes(site)
        self.n_slots = n_slots
        self._program = Program(site, cars, n_slots, self.fuel)
        self.solver = Solver(iteration_limit=iteration_limit, presolve=presolve)

    def solve(self, problem: Problem, change: Change | None = None) -> Solved | Failure:
        """Solve a decision's program (changed, if asked) from the last decision's basis, and keep the new one."""
        refuse_free_money(problem)
        assembly = self._program.assemble(problem)
        if change is not None:
            assembly = change(problem, assembly)
        solved = self.solve_variant(problem, assembly)
        if isinstance(solved, Solved):
            self._program.keep(assembly, solved.outcome)
        return solved

    def solve_variant(
        self, problem: Problem, assembly: Assembly, start: Outcome | None = None
    ) -> Solved | Failure:
        """Solve a program as assembled or changed, from another outcome's basis if given; nothing is kept.

        A warm solve that fails for another reason than its iteration limit is repeated cold, once.
        """
        basis = assembly.basis if start is None else start.basis
        outcome = self.solver.solve(assembly.program, basis)
        answer = check(problem, assembly, outcome)
        if isinstance(answer, Failure) and basis is not None and outcome.status != "iteration_limit":
            outcome = self.solver.solve(assembly.program)
            answer = check(problem, assembly, outcome)
        return answer

    def solve_cold(self, problem: Problem) -> Solved | Failure:
        """Solve a problem with a program and a solver of its own, from scratch; the session is not touched."""
        fresh = Session(
            problem.site, problem.cars, problem.n_steps, iteration_limit=self.solver.iteration_limit
        )
        return fresh.solve(problem)


def check(problem: Problem, assembly: Assembly, outcome: Outcome) -> Solved | Failure:
    """Accept an answer only if it keeps every equation and limit."""
    if not outcome.has_values:
        return Failure(reason=outcome.status, iterations=outcome.iterations)
    plan = read_plan(assembly, outcome)
    worst = violation(problem, plan)
    if worst > TOLERANCE:
        return Failure(reason=f"violation {worst:.3g}", iterations=outcome.iterations)
    return Solved(problem=problem, assembly=assembly, outcome=outcome, plan=plan)


def fuel_envelopes(site: Site) -> tuple[PiecewiseCost, ...]:
    """Convex under-estimators of all regions' fuel costs."""
    return tuple(
        convex_under_estimator(region_fuel_cost(site, region), float(site.turbine_limit_kw[region]))
        for region in range(site.n_regions)
    )


def region_fuel_cost(site: Site, region: int) -> FuelCost:
    """True fuel cost of one region's turbine alone."""

    def cost_per_h(power_kw: FloatArray) -> FloatArray:
        everywhere = np.zeros((len(power_kw), site.n_regions))
        everywhere[:, region] = power_kw
        return np.asarray(site.turbine_fuel_cost_per_h(everywhere))[:, region]

    return cost_per_h
