"""Charge or discharge, never both (Zhang 2025, Eqs. 31-32): when the relaxation keeps it, and what is done else.

Burning energy by charging and discharging at once pays only where a kWh at the bus has a negative value of at least w
eta / (1 - eta). Above the threshold below it never pays; a relaxed program then has an exclusive optimum. Below it
the relaxation is a bound, and the plan is made exclusive: each unit keeps in each step the direction in which the
relaxation moves its stored energy, and the program is solved again (the netted relaxation, with the same stored
energies, is feasible for it, so the value can only be better than netting).

A tie that loses on the way destroys energy too, by flowing both ways at once, and no throughput price keeps it from
that. It is treated as a unit whose charging is the flow forth and whose discharging the flow back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dispatch.assembly import Assembly
from dispatch.extension import extended
from dispatch.highs import LinearProgram, Outcome, Solver
from dispatch.problem import Problem
from dispatch.session import Failure, Session, Solved, check
from sim.arrays import BoolArray, FloatArray, IntArray

OVERLAP_KW = 1e-6
"""Simultaneous charge and discharge up to here is rounding."""
MAX_ROUNDS = 8
"""Rounds of binaries; each costs a mixed-integer solve."""
NO_LIMIT = 2**31 - 1
"""Of simplex iterations: a mixed-integer solve is limited by its nodes."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pairs:
    """All charge and discharge variables of a program, flat over steps and units; -1 where there is none.

    Ties that lose on the way are among the units, others have no columns here: forth is charging, back discharging.
    """

    charge: IntArray  # positions of the columns
    discharge: IntArray
    stored: FloatArray  # change of stored energy in an answer, of a tie the net flow forth, kW
    overlap: FloatArray  # smaller of the two powers in an answer, kW


def exact_price(problem: Problem) -> float:
    """Least throughput price at which the relaxation is provably exact: max(phi, -buy) (1 - eta) / eta."""
    site = problem.site
    products = [site.battery_charge_efficiency * site.battery_discharge_efficiency]
    products.append(problem.cars.charge_efficiency * problem.cars.discharge_efficiency)
    if problem.pools is not None:
        products.append(np.array([problem.pools.charge_efficiency * problem.pools.discharge_efficiency]))
    efficiency = float(np.concatenate(products).min(initial=1.0))
    dearest = max(
        problem.curtailment_price_per_kwh.max(initial=0.0), -problem.buy_price_per_kwh.min(initial=0.0)
    )
    return float(dearest) * (1.0 - efficiency) / efficiency


def net_power(
    charge_kw: FloatArray,
    discharge_kw: FloatArray,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
) -> FloatArray:
    """One-way power (charging positive) that stores as much as both ways together.

    >>> one = np.ones(1)
    >>> net_power(2.0 * one, 0.9 * one, 0.9 * one, 0.9 * one).round(6)
    array([0.888889])
    """
    stored = charge_efficiency * charge_kw - discharge_kw / discharge_efficiency
    netted = np.where(stored > 0, stored / charge_efficiency, stored * discharge_efficiency)
    return np.where(np.minimum(charge_kw, discharge_kw) > 0, netted, charge_kw - discharge_kw)


def overlap_kw(solved: Solved) -> float:
    """Largest simultaneous charge and discharge, or flow both ways over a tie that loses, in an answer."""
    pairs = _pairs(solved)
    return float(np.where(pairs.charge >= 0, pairs.overlap, 0.0).max(initial=0.0))


def repair(session: Session, solved: Solved) -> Solved | Failure:
    """Fix each unit's direction in each step as the answer moves its energy (idle: charging only), and solve again."""
    return session.solve_variant(solved.problem, one_way(solved), solved.outcome)


def one_way(solved: Solved) -> Assembly:
    """The program with each unit's direction in each step fixed as the answer moves its energy (idle: charging)."""
    pairs = _pairs(solved)
    gives = pairs.stored < 0
    return solved.assembly.bounded(np.where(gives, pairs.charge, pairs.discharge), 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Closed:
    """Best exclusive plan and best bound after rounds with binaries."""

    solved: Solved
    bound: float
    binaries: int
    iterations: int


def close_gap(
    session: Session, relaxed: Solved, repaired: Solved, *, relative_gap: float, node_limit: int
) -> Closed:
    """Put binaries where answers overlap, round by round, until the repaired plan is within the gap.

    Each round's program has binaries at all overlaps seen so far: its bound holds, its answer may overlap elsewhere.
    That answer is repaired, and the next round has binaries there too. A round that adds none, or ends at its node
    limit, is the last.
    """
    best, bound, iterations = repaired, relaxed.outcome.bound, 0
    answer, start = relaxed, repaired
    chosen = np.zeros(len(_pairs(relaxed).charge), bool)
    for _ in range(MAX_ROUNDS):
        pairs = _pairs(answer)
        more = chosen | ((pairs.overlap > OVERLAP_KW) & (pairs.charge >= 0) & (pairs.discharge >= 0))
        if np.array_equal(more, chosen) or within(best.outcome.objective, bound, relative_gap):
            break
        chosen = more
        outcome = _integer_outcome(relaxed, start, chosen, relative_gap / 2, node_limit)
        iterations += outcome.iterations
        checked = check(relaxed.problem, relaxed.assembly, outcome)
        if isinstance(checked, Failure):
            break
        bound, answer = max(bound, outcome.bound), checked
        again = repair(session, checked)
        if isinstance(again, Solved):
            iterations += again.outcome.iterations
            start = again
            best = again if again.outcome.objective < best.outcome.objective else best
        if outcome.status != "optimal":
            break
    return Closed(solved=best, bound=bound, binaries=int(chosen.sum()), iterations=iterations)


def within(objective: float, bound: float, relative_gap: float) -> bool:
    """Whether an objective is within a relative gap of its bound.

    >>> within(1001.0, 1000.0, 1e-3), within(1002.0, 1000.0, 1e-3)
    (True, False)
    """
    return objective - bound <= relative_gap * max(1.0, abs(objective))


def _integer_outcome(
    relaxed: Solved, start: Solved, chosen: BoolArray, relative_gap: float, node_limit: int
) -> Outcome:
    """Answer of the program with binaries at the chosen pairs, less the binaries, with the relaxation's duals."""
    charge, discharge = pair_positions(relaxed.problem, relaxed.assembly)
    program = with_binaries(relaxed.assembly.program, charge[chosen], discharge[chosen])
    charges = (start.outcome.values[charge[chosen]] > 0).astype(float)
    solver = Solver(iteration_limit=NO_LIMIT)
    outcome = solver.solve_integer(
        program,
        relative_gap=relative_gap,
        node_limit=node_limit,
        start=np.concatenate([start.outcome.values, charges]),
    )
    return replace(
        outcome,
        values=outcome.values[: len(relaxed.outcome.values)],
        row_duals=relaxed.outcome.row_duals,
        reduced_costs=relaxed.outcome.reduced_costs,
        basis=relaxed.outcome.basis,
    )


def _pairs(solved: Solved) -> Pairs:
    cars, site, plan, pools = solved.problem.cars, solved.problem.site, solved.plan, solved.problem.pools
    pool_efficiencies = (1.0, 1.0) if pools is None else (pools.charge_efficiency, pools.discharge_efficiency)
    units = (
        (plan.charge_kw, plan.discharge_kw, cars.charge_efficiency, cars.discharge_efficiency),
        (
            plan.battery_charge_kw,
            plan.battery_discharge_kw,
            site.battery_charge_efficiency,
            site.battery_discharge_efficiency,
        ),
        (plan.pool_charge_kw, plan.pool_discharge_kw, *pool_efficiencies),
        (plan.tie_forth_kw, plan.tie_back_kw, 1.0, 1.0),
    )
    charge, discharge = pair_positions(solved.problem, solved.assembly)
    return Pairs(
        charge=charge,
        discharge=discharge,
        stored=np.concatenate(
            [(eta_c * taken - given / eta_d).reshape(-1) for taken, given, eta_c, eta_d in units]
        ),
        overlap=np.concatenate([np.minimum(unit[0], unit[1]).reshape(-1) for unit in units]),
    )


def pair_positions(problem: Problem, assembly: Assembly) -> tuple[IntArray, IntArray]:
    """Columns of all pairs, flat over cars, batteries, stores and ties; -1 where there is none or no loss on a tie."""
    at, loses = assembly.layout.columns, problem.site.tie_loss_fraction > 0

    def flat(*units: slice, tie: slice) -> IntArray:
        parts = [*(assembly.columns(unit) for unit in units), np.where(loses, assembly.columns(tie), -1)]
        return np.concatenate([part.reshape(-1) for part in parts])

    return (
        flat(at.charge, at.battery_charge, at.pool_charge, tie=at.tie_forth),
        flat(at.discharge, at.battery_discharge, at.pool_discharge, tie=at.tie_back),
    )


def with_binaries(program: LinearProgram, charge: IntArray, discharge: IntArray) -> LinearProgram:
    """P_c <= P_c,max u and P_d <= P_d,max (1 - u), u binary, for these pairs of columns."""
    n = len(charge)
    column, row = len(program.cost) + np.arange(n), np.arange(n)
    charge_max, discharge_max = program.upper[charge], program.upper[discharge]
    one = np.ones(n)
    return extended(
        program,
        n_binaries=n,
        row_lower=np.full(2 * n, -np.inf),
        row_upper=np.concatenate([np.zeros(n), discharge_max]),
        columns=np.concatenate([charge, column, discharge, column]),
        rows=np.concatenate([row, row, row + n, row + n]),
        values=np.concatenate([one, -charge_max, one, discharge_max]),
    )
