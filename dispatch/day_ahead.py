"""One optimum over a whole run with a perfect forecast: the yardstick of every rolling policy.

The program is the rolling one with as many slots as the run has steps. Here, where time does not press, the turbine's
true cost can be followed by pieces with binaries, exclusivity can be strict, and the paper's cyclic condition can be
set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dispatch.assembly import Assembly
from dispatch.decision import turbines_down
from dispatch.exclusivity import pair_positions, with_binaries
from dispatch.extension import extended
from dispatch.fuel import PiecewiseCost, equal_pieces
from dispatch.highs import Basis, LinearProgram, Outcome, Solver
from dispatch.plan import Plan, cost
from dispatch.problem import Problem, build
from dispatch.program import Program
from dispatch.session import Failure, check, fuel_envelopes, region_fuel_cost
from sim.contracts import Forecast, Site, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAheadOptions:
    """How the day-ahead optimum is set.

    ``turbine``: off (ramping down), the convex under-estimator, or ``pieces`` chords of the true cost with binaries.
    ``is_cyclic``: every car and battery ends with at least its energy at the start. ``is_strict``: a binary per unit
    (and tie that loses) and step against charging and discharging at once.
    """

    turbine: Literal["off", "convex", "piecewise"]
    pieces: int
    is_cyclic: bool
    is_strict: bool
    mip_relative_gap: float
    mip_node_limit: int | None
    iteration_limit: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DayAhead:
    """The optimum, or why there is none (status other than optimal or feasible, no plan)."""

    status: str
    objective: float  # of the program
    bound: float  # certified, of the program
    gap: float
    true_cost: float  # of the plan, at the true fuel cost
    binaries: int
    plan: Plan | None
    basis: Basis | None = None  # of a linear program: a start for a neighbouring one


def day_ahead_optimum(
    site: Site,
    snapshot: Snapshot,
    forecast: Forecast,
    options: DayAheadOptions,
    *,
    start: Basis | None = None,
) -> DayAhead:
    """Optimise all steps of a forecast (with true trips) at once, nothing beyond its end counting but lambda.

    Parameters
    ----------
    start
        Basis of an optimum of the same fleet and trips at other prices, series or limits; the objective does not
        depend on it, which of several equally good plans is found does. Same inputs and same start: same answer, bit
        for bit. Mixed-integer programs pass it over.

    Raises
    ------
    ValueError
        When the start is of a program with other variables or equations (import limits or ties that come or go).
    """
    problem = build(site, snapshot, forecast, departing_energy_value="lambda", is_shrinking=True)
    fuel = _fuel(site, options)
    assembly = Program(site, snapshot.cars, problem.n_steps, fuel).assemble(problem)
    if options.turbine == "off":
        assembly = turbines_down(problem, assembly)
    if options.is_cyclic:
        assembly = _cyclic(problem, assembly)
    program = assembly.program
    if options.turbine == "piecewise":
        program = _in_order(assembly, program)
    if options.is_strict:
        charge, discharge = pair_positions(problem, assembly)
        both = (charge >= 0) & (discharge >= 0)
        program = with_binaries(program, charge[both], discharge[both])
    outcome = _solve(program, options, start)
    return _answer(problem, assembly, outcome, len(program.cost) - len(assembly.program.cost))


def _fuel(site: Site, options: DayAheadOptions) -> tuple[PiecewiseCost, ...]:
    if options.turbine != "piecewise":
        return fuel_envelopes(site)
    return tuple(
        equal_pieces(region_fuel_cost(site, region), float(site.turbine_limit_kw[region]), options.pieces)
        for region in range(site.n_regions)
    )


def _solve(program: LinearProgram, options: DayAheadOptions, start: Basis | None) -> Outcome:
    """Linear programs without presolve, which costs more time here than it saves."""
    if program.is_integer is None:
        shape = (len(program.cost), len(program.row_lower))
        if start is not None and (len(start.columns), len(start.rows)) != shape:
            raise ValueError(
                f"start has {len(start.columns)} variables and {len(start.rows)} equations, the program {shape}"
            )
        solver = Solver(iteration_limit=options.iteration_limit, presolve=False)
        return solver.solve(program, start, warm_method="dual")
    solver = Solver(iteration_limit=options.iteration_limit)
    return solver.solve_integer(
        program, relative_gap=options.mip_relative_gap, node_limit=options.mip_node_limit
    )


def _answer(problem: Problem, assembly: Assembly, outcome: Outcome, binaries: int) -> DayAhead:
    continuous = replace(outcome, values=outcome.values[: len(assembly.program.cost)])
    checked = check(problem, assembly, continuous)
    if isinstance(checked, Failure):
        nan = float("nan")
        return DayAhead(
            status=checked.reason,
            objective=nan,
            bound=nan,
            gap=nan,
            true_cost=nan,
            binaries=binaries,
            plan=None,
        )
    return DayAhead(
        status=outcome.status,
        objective=outcome.objective,
        bound=outcome.bound,
        gap=max(0.0, outcome.objective - outcome.bound) / max(1.0, abs(outcome.objective)),
        true_cost=cost(problem, checked.plan),
        binaries=binaries,
        plan=checked.plan,
        basis=outcome.basis,
    )


def _cyclic(problem: Problem, assembly: Assembly) -> Assembly:
    """S_end >= S_start for every car and battery."""
    at = assembly.layout.columns
    for part, start in (
        (at.energy, problem.itinerary.start_kwh),
        (at.battery_energy, problem.battery_energy_kwh),
    ):
        last = assembly.columns(part)[-1]
        lower = np.maximum(np.where(last >= 0, assembly.program.lower[last], 0.0), start)
        upper = np.maximum(np.where(last >= 0, assembly.program.upper[last], 0.0), lower)
        assembly = assembly.bounded(last, lower, upper)
    return assembly


def _in_order(assembly: Assembly, program: LinearProgram) -> LinearProgram:
    """A turbine's pieces are filled in order: p_j >= w_j y_j and p_(j+1) <= w_(j+1) y_j, y_j binary."""
    positions = assembly.columns(assembly.layout.columns.turbine)
    by_piece = positions.reshape(-1, assembly.layout.n_pieces)
    by_piece = by_piece[by_piece[:, 0] >= 0]
    first, second = by_piece[:, :-1].reshape(-1), by_piece[:, 1:].reshape(-1)
    n = len(first)
    column, row, one = len(program.cost) + np.arange(n), np.arange(n), np.ones(n)
    return extended(
        program,
        n_binaries=n,
        row_lower=np.concatenate([np.zeros(n), np.full(n, -np.inf)]),
        row_upper=np.concatenate([np.full(n, np.inf), np.zeros(n)]),
        columns=np.concatenate([first, column, second, column]),
        rows=np.concatenate([row, row, row + n, row + n]),
        values=np.concatenate([one, -program.upper[first], one, -program.upper[second]]),
    )
