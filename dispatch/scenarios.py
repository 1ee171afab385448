"""A run's chain of two-stage solves: the programs of the paths, their common solver, and the check of each path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from dispatch.assembly import Assembly
from dispatch.exclusivity import overlap_kw
from dispatch.extensive import Extensive, bounded, expected_ambiguity, expected_duals, extensive, outcome_of
from dispatch.highs import Outcome, Solver
from dispatch.plan import Plan, cost
from dispatch.problem import Problem, refuse_free_money
from dispatch.program import Program
from dispatch.session import Failure, Solved, check, fuel_envelopes
from sim.arrays import FloatArray

Change = Callable[[Problem, Assembly], Assembly]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SolvedPaths:
    """A checked answer of the extensive form: one plan per path, alike in the first step's set-points."""

    paths: tuple[Solved, ...]
    probability: FloatArray
    form: Extensive
    outcome: Outcome

    @property
    def true_cost(self) -> float:
        """Expected cost at the true fuel cost."""
        costs = [cost(path.problem, path.plan) for path in self.paths]
        return float(self.probability @ np.array(costs))

    @property
    def overlap_kw(self) -> float:
        """Largest simultaneous charge and discharge, or flow both ways over a tie that loses, on any path."""
        return max(overlap_kw(path) for path in self.paths)

    @property
    def max_overlap_kw(self) -> float:
        """Largest simultaneous charge and discharge of a car, battery or store on any path."""
        return max(path.plan.max_overlap_kw for path in self.paths)

    def expected(self) -> Solved:
        """Expected plan and terminal values, with the expected duals; its first step is that of every path."""
        first = self.paths[0]
        duals, reduced = expected_duals(self.form, self.outcome)
        value = self.probability @ np.stack([path.problem.car_value_per_kwh for path in self.paths])
        return replace(
            first,
            problem=replace(first.problem, car_value_per_kwh=value),
            outcome=replace(
                first.outcome,
                row_duals=duals,
                reduced_costs=reduced,
                ambiguity=expected_ambiguity(self.form, self.outcome),
            ),
            plan=_mean_plan([path.plan for path in self.paths], self.probability),
        )


class ScenarioSession:
    """The two-stage solves of one run, from a cold start on.

    Parameters
    ----------
    problems
        Of the first decision, one per path: they tell site, fleet, horizon and number of paths.
    iteration_limit
        Simplex iterations of one solve.
    """

    def __init__(self, problems: Sequence[Problem], *, iteration_limit: int) -> None:
        first = problems[0]
        fuel = fuel_envelopes(first.site)
        self.n_paths, self.n_slots = len(problems), first.n_steps
        self._programs = tuple(Program(first.site, first.cars, first.n_steps, fuel) for _ in problems)
        self._solver = Solver(iteration_limit=iteration_limit)

    def fits(self, problems: Sequence[Problem]) -> bool:
        """Whether a decision has the size that this session was made for."""
        return len(problems) == self.n_paths and problems[0].n_steps <= self.n_slots

    def solve(
        self, problems: Sequence[Problem], probability: FloatArray, change: Change | None = None
    ) -> SolvedPaths | Failure:
        """Solve a decision (each block changed, if asked) from the last one's basis, and keep the new one."""
        for problem in problems:
            refuse_free_money(problem)
        blocks = [
            program.assemble(problem) for program, problem in zip(self._programs, problems, strict=True)
        ]
        if change is not None:
            blocks = [change(problem, block) for problem, block in zip(problems, blocks, strict=True)]
        form = extensive(blocks, probability)
        solved = self._solve(problems, probability, blocks, form, None)
        if isinstance(solved, SolvedPaths):
            for program, path in zip(self._programs, solved.paths, strict=True):
                program.keep(path.assembly, path.outcome)
        return solved

    def solve_variant(
        self, solved: SolvedPaths, change: Callable[[Solved], Assembly]
    ) -> SolvedPaths | Failure:
        """Solve an answer's program with other bounds, from that answer's basis; nothing is kept."""
        blocks = [change(path) for path in solved.paths]
        problems = [path.problem for path in solved.paths]
        return self._solve(problems, solved.probability, blocks, bounded(solved.form, blocks), solved.outcome)

    def _solve(
        self,
        problems: Sequence[Problem],
        probability: FloatArray,
        blocks: Sequence[Assembly],
        form: Extensive,
        start: Outcome | None,
    ) -> SolvedPaths | Failure:
        """A warm solve that fails for another reason than its iteration limit is repeated cold, once.

        The first step is about to be shared and all paths are new, so the last plan is not feasible any more: the
        dual method needs fewer iterations here than the primal one (measured: a third to a half of the time).
        """
        basis = form.basis if start is None else start.basis
        outcome = self._solver.solve(form.program, basis, warm_method="dual")
        answer = _checked(problems, probability, blocks, form, outcome)
        if isinstance(answer, Failure) and basis is not None and outcome.status != "iteration_limit":
            outcome = self._solver.solve(form.program)
            answer = _checked(problems, probability, blocks, form, outcome)
        return answer


def _checked(
    problems: Sequence[Problem],
    probability: FloatArray,
    blocks: Sequence[Assembly],
    form: Extensive,
    outcome: Outcome,
) -> SolvedPaths | Failure:
    """Accept an answer only if on every path it keeps every equation and limit of that path's problem."""
    if not outcome.has_values:
        return Failure(reason=outcome.status, iterations=outcome.iterations)
    paths = []
    for s, (problem, block) in enumerate(zip(problems, blocks, strict=True)):
        one = check(problem, block, outcome_of(form, outcome, s))
        if isinstance(one, Failure):
            return one
        paths.append(one)
    return SolvedPaths(paths=tuple(paths), probability=probability, form=form, outcome=outcome)


def _mean_plan(plans: Sequence[Plan], probability: FloatArray) -> Plan:
    """Probability-weighted mean of plans."""
    means = {
        item.name: np.tensordot(probability, np.stack([getattr(plan, item.name) for plan in plans]), axes=1)
        for item in fields(Plan)
    }
    return Plan(**means)
