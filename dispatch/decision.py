"""From a problem to a plan that may be executed: exclusive, turbines judged at their true cost, its gap known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dispatch.assembly import Assembly
from dispatch.bound_prices import BoundPrices, bound_prices
from dispatch.exclusivity import OVERLAP_KW, close_gap, overlap_kw, repair, within
from dispatch.options import DispatchOptions
from dispatch.plan import cost
from dispatch.problem import Problem
from dispatch.session import Failure, Session, Solved
from sim.arrays import FloatArray
from sim.contracts import Decision

CLOSED = 1e-6
"""Relative gap up to which a plan counts as optimal."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decided:
    """A plan whose first step is executed, and how it was reached."""

    executed: Solved
    prices: BoundPrices
    decision: Decision
    program: str  # which program it answers: "relaxation", "turbines off" or, after it, "one way"


def decide(session: Session, problem: Problem, options: DispatchOptions) -> Decided | Failure:
    """Solve a decision's program and make its answer executable.

    The turbine's convex under-estimator is certified but not its cost: a plan that runs turbines is compared at true
    cost with the plan that ramps them down as fast as Eq. (28) allows, and the cheaper is executed.
    """
    relaxed = _without_turbines(session, problem) if options.turbine == "off" else session.solve(problem)
    if isinstance(relaxed, Failure):
        return relaxed
    turbine_bound, iterations = relaxed.outcome.bound, relaxed.outcome.iterations
    chosen = _exclusive(session, relaxed, options)
    if isinstance(chosen, Failure):
        return chosen
    iterations += chosen.iterations
    true_cost, turbines = cost(problem, chosen.solved.plan), options.turbine
    if options.turbine == "convex" and runs_turbines(relaxed):
        other, spent = _compared(session, relaxed, options)
        iterations += spent
        other_cost = np.inf if other is None else cost(problem, other.solved.plan)
        if other is not None and other_cost < true_cost:
            chosen, true_cost, turbines = other, other_cost, "off"
    decision = decision_row(
        objective=chosen.solved.outcome.objective,
        bound=chosen.bound,
        turbine_bound=turbine_bound,
        true_cost=true_cost,
        binaries=chosen.binaries,
        iterations=iterations,
        lowered_kwh=problem.lowered_kwh,
        max_overlap_kw=relaxed.plan.max_overlap_kw,
    )
    return Decided(
        executed=chosen.solved,
        prices=bound_prices(chosen.solved),
        decision=decision,
        program=_program(turbines, chosen),
    )


def _program(turbines: str, chosen: _Exclusive) -> str:
    words = ["turbines off"] * (turbines == "off") + ["one way"] * chosen.is_repaired
    return ", ".join(words) or "relaxation"


def _compared(session: Session, relaxed: Solved, options: DispatchOptions) -> tuple[_Exclusive | None, int]:
    """Plan with the turbines ramped down, and iterations spent on it.

    None where it cannot be solved: the plan with turbines is executable all the same, and `turbine_gap` bounds what
    the comparison might have gained.
    """
    off = _without_turbines(session, relaxed.problem, relaxed)
    if isinstance(off, Failure):
        return None, off.iterations
    other = _exclusive(session, off, options)
    if isinstance(other, Failure):
        return None, off.outcome.iterations + other.iterations
    return other, off.outcome.iterations + other.iterations


def decision_row(
    *,
    objective: float,
    bound: float,
    turbine_bound: float,
    true_cost: float,
    binaries: int,
    iterations: int,
    lowered_kwh: float,
    max_overlap_kw: float,
) -> Decision:
    """Row of a decision whose plan has an objective, a bound on it, and a true cost beside the turbines' bound."""
    gap = _relative(objective, bound)
    return Decision(
        status="optimal" if gap <= CLOSED else "feasible",
        objective=objective,
        bound=bound,
        gap=gap,
        turbine_bound=turbine_bound,
        turbine_gap=_relative(true_cost, turbine_bound),
        binaries=binaries,
        iterations=iterations,
        lowered_kwh=lowered_kwh,
        max_overlap_kw=max_overlap_kw,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Exclusive:
    solved: Solved
    bound: float
    binaries: int
    iterations: int
    is_repaired: bool


def _exclusive(session: Session, relaxed: Solved, options: DispatchOptions) -> _Exclusive | Failure:
    """Plan without overlaps, and the relaxation's (or the mixed-integer program's) bound."""
    bound = relaxed.outcome.bound
    if overlap_kw(relaxed) <= OVERLAP_KW:
        return _Exclusive(solved=relaxed, bound=bound, binaries=0, iterations=0, is_repaired=False)
    best = repair(session, relaxed)
    if isinstance(best, Failure):
        return best
    iterations = best.outcome.iterations
    if options.exclusivity == "milp" and not within(best.outcome.objective, bound, options.mip_relative_gap):
        closed = close_gap(
            session,
            relaxed,
            best,
            relative_gap=options.mip_relative_gap,
            node_limit=options.mip_node_limit,
        )
        return _Exclusive(
            solved=closed.solved,
            bound=closed.bound,
            binaries=closed.binaries,
            iterations=iterations + closed.iterations,
            is_repaired=True,
        )
    return _Exclusive(solved=best, bound=bound, binaries=0, iterations=iterations, is_repaired=True)


def _relative(value: float, bound: float) -> float:
    return max(0.0, value - bound) / max(1.0, abs(value))


def runs_turbines(solved: Solved) -> bool:
    """Whether a plan runs turbines other than ramping them down."""
    off = ramp_down(solved.problem)
    return bool((solved.plan.turbine_kw > off + OVERLAP_KW).any())


def ramp_down(problem: Problem) -> FloatArray:
    """Power of turbines that ramp down as fast as they may, shape (K, R)."""
    steps = 1 + np.arange(problem.n_steps)[:, None]
    return np.maximum(problem.turbine_kw - steps * problem.site.turbine_ramp_kw_per_step, 0.0)


def _without_turbines(session: Session, problem: Problem, relaxed: Solved | None = None) -> Solved | Failure:
    if relaxed is None:
        return session.solve(problem, change=turbines_down)
    return session.solve_variant(problem, turbines_down(problem, relaxed.assembly), relaxed.outcome)


def turbines_down(problem: Problem, assembly: Assembly) -> Assembly:
    """The program with its turbines fixed to ramp down, pieces filled in order."""
    positions = assembly.columns(assembly.layout.columns.turbine)
    wanted = np.repeat(ramp_down(problem), assembly.layout.n_pieces, axis=1)
    widths = np.where(positions >= 0, assembly.program.upper[positions], 0.0)
    shaped = widths.reshape(len(widths), assembly.layout.n_regions, assembly.layout.n_pieces)
    below = (np.cumsum(shaped, axis=2) - shaped).reshape(widths.shape)
    filled = np.clip(wanted - below, 0.0, widths)
    return assembly.bounded(positions, filled, filled)
