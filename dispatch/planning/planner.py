"""Plans of least weighted objectives, with what they really reach and a bound that nothing can undercut.

The loop: solve the relaxation, put its plan to AC power flow, add tangents where currents are underestimated, until
the plan's own weighted objectives by AC exceed the bound by less than a relative gap. Where charging beside discharging
pays (it burns energy), those steps get binaries. Where the relaxation pretends currents that no flow has (it burns
energy in lines), the currents are held to their expansion around the plan's own AC states instead, which gives a plan;
the bound stays that of the relaxation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, vstack

from dispatch.highs import Basis, Outcome, Solver
from dispatch.planning.day import Case
from dispatch.planning.judging import Judged, Plan, judge, plan_of
from dispatch.planning.program import (
    UNBOUNDED,
    Amounts,
    FeederProgram,
    Options,
    States,
    build,
    least_current_kva,
    rating_tangents,
    states_of,
    tangents,
)
from sim.arrays import BoolArray, FloatArray, IntArray

RELATIVE_GAP: Final = 1e-4
_ITERATIONS: Final = 10_000_000
_ROUNDS: Final = 25
_OVERLAP_KW: Final = 1e-5
_UNDER_KVA: Final = 1e-6
"""Squared current [kVA] by which a program may be below the truth without a further tangent."""
_WORST_SHARE: Final = 0.999
"""Of all losses underestimated, what the tangents of a round are about."""
_REPAIRS: Final = 6
_ELASTIC: Final = 1e4


@dataclass(frozen=True, kw_only=True, eq=False)
class Planned:
    """A plan, what it reaches by AC power flow, and what cannot be undercut."""

    plan: Plan
    judged: Judged
    value: float  # weighted objectives reached
    bound: float  # no plan within the same bounds has less
    slopes: (
        FloatArray  # (6,), by how much the bound changes, at least, per unit of each objective's own bound
    )
    rounds: int
    overlap_kw: float  # largest power charged beside discharging
    n_binaries: int  # steps and candidates that needed one
    is_repaired: bool  # whether the relaxation pretended currents

    @property
    def gap(self) -> float:
        """Relative distance between value and bound."""
        return (self.value - self.bound) / max(abs(self.value), 1e-9)

    @property
    def sites(self) -> IntArray:
        """Positions of the candidates that have storage."""
        return np.flatnonzero(np.maximum(self.plan.kwh, self.plan.kw) > 1e-6)


class LimitsError(ArithmeticError):
    """No plan keeps the limits; the message names those that the nearest plan leaves."""


class Planner:
    """Keeps tangents from one plan to the next.

    Parameters
    ----------
    options
        Of the program; limits are hard unless they have a price.
    relative_gap
        At which a plan counts as found.
    """

    def __init__(
        self,
        case: Case,
        weights: Amounts,
        options: Options = Options(),  # noqa: B008 - frozen
        *,
        relative_gap: float = RELATIVE_GAP,
    ) -> None:
        needs = weights.voltage_deviation_pu > 0.0
        self.case, self.weights = case, weights
        self.options = replace(options, has_deviation=options.has_deviation or needs)
        self.relative_gap = relative_gap
        self._solver = Solver(iteration_limit=_ITERATIONS)
        self._basis: Basis | None = None
        self._program = self._seeded(build(case, weights, self.options))

    @property
    def program(self) -> FeederProgram:
        """With all tangents so far."""
        return self._program

    def aim(self, weights: Amounts) -> None:
        """Minimise another weighted sum from here on."""
        self.weights, self._program = weights, self._program.minimising(weights)

    def relaxed(self, case: Case | None = None, bounds: Amounts = UNBOUNDED) -> Outcome:
        """Solve the relaxation with the tangents that there are, under a design and bounds.

        Raises
        ------
        LimitsError
            When nothing keeps the limits.
        """
        asked = self._asked(case, bounds)
        outcome = self._solver.solve(asked.program, self._start(asked), warm_method="dual")
        if outcome.status == "failed" or outcome.status == "infeasible" and self._basis is not None:
            self._basis = None
            outcome = self._solver.solve(asked.program)
        if outcome.status != "optimal":
            raise LimitsError(f"no plan: {outcome.status}; {self._nearest(case or self.case, bounds)}")
        self._basis = outcome.basis
        return outcome

    def plan(self, case: Case | None = None, bounds: Amounts = UNBOUNDED) -> Planned:
        """Find the best plan of a design under bounds on the objectives."""
        best: Planned | None = None
        now = case or self.case
        for rounds in range(1, _ROUNDS + 1):
            outcome = self.relaxed(case, bounds)
            slopes = np.minimum(outcome.reduced_costs[self._program.layout.objectives], 0.0)
            found = self._judged(now, outcome.values, outcome.bound, slopes, rounds)
            best = _better(best, found)
            if found.overlap_kw > _OVERLAP_KW:
                break
            if best.gap < self.relative_gap and found.judged.keeps_limits:
                break
            if not self.tighten(outcome.values):
                break
        assert best is not None
        if found.overlap_kw > _OVERLAP_KW:
            return self._exclusive(now, bounds, found)
        if best.gap < self.relative_gap and best.judged.keeps_limits:
            return best
        return self._repaired(now, bounds, best)

    def tighten(self, values: FloatArray) -> bool:
        """Add tangents at a point of the relaxation; whether there was anything to add."""
        feeder, layout = self.case.network.feeder, self._program.layout
        states = states_of(layout, values)
        under = least_current_kva(feeder, states) - states.current_kva
        weight = np.where(under > _UNDER_KVA, under * np.maximum(feeder.r_pu, feeder.x_pu), 0.0)
        ranked = np.sort(weight, axis=None)[::-1]
        enough = (
            int(np.searchsorted(np.cumsum(ranked), _WORST_SHARE * ranked.sum())) if ranked[0] > 0.0 else 0
        )
        where = (weight > 0.0) & (weight >= ranked[enough])
        blocks, limits = [], []
        if where.any():
            blocks.append(tangents(feeder, layout, states, where))
            limits.append(np.zeros(int(where.sum())))
        ratings = rating_tangents(feeder, layout, states)
        if ratings is not None and ratings[0].shape[0]:
            blocks.append(ratings[0])
            limits.append(ratings[1])
        if not blocks:
            return False
        self._program = self._program.with_rows(
            csc_array(vstack(blocks, format="csc")), np.concatenate(limits)
        )
        return True

    def _seeded(self, program: FeederProgram) -> FeederProgram:
        """Tangents at the states without storage, where they exist."""
        idle = np.zeros(program.layout.n_columns)
        flow = judge(self.case, plan_of(self.case, self.options, program.layout, idle), self.options)
        exists = np.isfinite(flow.voltage_pu).all(axis=1)
        states = flow.states
        where = np.broadcast_to(exists[:, np.newaxis], states.flow_kw.shape)
        feeder = self.case.network.feeder
        block = tangents(feeder, program.layout, states, where)
        return program.with_rows(block, np.zeros(block.shape[0]))

    def _asked(self, case: Case | None, bounds: Amounts) -> FeederProgram:
        program = self._program.bounded(bounds)
        return program if case is None else program.sized(case)

    def _start(self, program: FeederProgram) -> Basis | None:
        return None if self._basis is None else program.start(self._basis)

    def _judged(
        self,
        case: Case,
        values: FloatArray,
        bound: float,
        slopes: FloatArray,
        rounds: int,
        n_binaries: int = 0,
        *,
        is_repaired: bool = False,
    ) -> Planned:
        plan = plan_of(case, self.options, self._program.layout, values)
        judged = judge(case, plan, self.options)
        return Planned(
            plan=plan,
            judged=judged,
            value=_weighted(self.weights, judged.reached) + self._priced(values),
            bound=bound,
            slopes=slopes,
            rounds=rounds,
            overlap_kw=float(np.minimum(plan.charge_kw, plan.discharge_kw).max(initial=0.0)),
            n_binaries=n_binaries,
            is_repaired=is_repaired,
        )

    def _priced(self, values: FloatArray) -> float:
        """What lies beyond the limits at its price."""
        layout, cost = self._program.layout, self._program.program.cost
        slack = np.concatenate([part.ravel() for part in (layout.low, layout.high, layout.over)])
        return float(cost[slack] @ np.maximum(values[slack], 0.0))

    def _exclusive(self, case: Case, bounds: Amounts, before: Planned) -> Planned:
        """Give binaries to steps that charge and discharge at once, until none does."""
        strict = np.zeros(self._program.layout.charge.shape, dtype=np.bool_)
        best: Planned | None = None
        last = before
        for rounds in range(before.rounds, before.rounds + _ROUNDS):
            strict |= np.minimum(last.plan.charge_kw, last.plan.discharge_kw) > _OVERLAP_KW
            asked = with_ways(self._asked(case, bounds), case, strict)
            outcome = self._solver.solve_integer(
                asked.program, relative_gap=self.relative_gap / 2.0, node_limit=10_000
            )
            if not outcome.has_values:
                raise LimitsError(f"no plan: {outcome.status}; {self._nearest(case, bounds)}")
            values = outcome.values[: self._program.layout.n_columns]
            last = self._judged(case, values, outcome.bound, np.zeros(6), rounds, int(strict.sum()))
            if last.overlap_kw <= _OVERLAP_KW:
                best = _better(best, last)
                if best.gap < self.relative_gap and last.judged.keeps_limits:
                    return best
                if not self.tighten(values):
                    break
        if best is None:
            return last
        return self._repaired(case, bounds, best, strict)

    def _repaired(
        self, case: Case, bounds: Amounts, best: Planned, strict: BoolArray | None = None
    ) -> Planned:
        """Hold currents to their expansion around the plan's own AC states, a few times over."""
        solver, found = Solver(iteration_limit=_ITERATIONS), best
        for _ in range(_REPAIRS):
            if not np.isfinite(found.judged.voltage_pu).all():
                break
            asked = held(self._asked(case, bounds), case, found.judged.states)
            if strict is not None:
                asked = with_ways(asked, case, strict)
                outcome = solver.solve_integer(asked.program, relative_gap=1e-5, node_limit=10_000)
            else:
                outcome = solver.solve(asked.program)
            if not outcome.has_values:
                break
            values = outcome.values[: self._program.layout.n_columns]
            n_binaries = 0 if strict is None else int(strict.sum())
            found = self._judged(
                case, values, best.bound, best.slopes, best.rounds, n_binaries, is_repaired=True
            )
            if found.overlap_kw <= _OVERLAP_KW:
                best = _better(best, found)
        return best

    def _nearest(self, case: Case, bounds: Amounts) -> str:
        """Which limits the nearest plan leaves."""
        if self.options.beyond_price is not None:
            return "bounds on the objectives cannot be kept"
        soft = replace(self.options, beyond_price=_ELASTIC)
        elastic = build(case, Amounts(), soft).bounded(bounds)
        layout = elastic.layout
        outcome = Solver(iteration_limit=_ITERATIONS).solve(elastic.program)
        if not outcome.has_values:
            return "not even without the feeder's limits"
        feeder = case.network.feeder
        limited = [
            *(f"bus {name} below the band" for name in feeder.bus_names),
            *(f"bus {name} above the band" for name in feeder.bus_names),
            *(f"branch {name} above its rating" for name in feeder.branch_names),
        ]
        slack = np.concatenate(
            [outcome.values[part] for part in (layout.low, layout.high, layout.over)], axis=1
        )
        named = [limited[place] for place in np.flatnonzero(slack.max(axis=0) > 1e-6)]
        return "cannot keep: " + (", ".join(named) or "losses or bounds on the objectives")


def with_ways(program: FeederProgram, case: Case, strict: NDArray[np.bool_]) -> FeederProgram:
    """A program with a binary, charging or discharging, where it is told; shape (T, C).

    charge <= most way, discharge <= most (1 - way), with the largest power of the design.
    """
    layout, before = program.layout, program.program
    step, place = np.nonzero(strict)
    n, most = len(step), case.design.kw_upper[place]
    grown = replace(
        before,
        cost=np.append(before.cost, np.zeros(n)),
        lower=np.append(before.lower, np.zeros(n)),
        upper=np.append(before.upper, np.ones(n)),
        starts=np.append(before.starts, np.full(n, before.starts[-1], dtype=np.int32)),
        is_integer=np.append(
            np.zeros(len(before.cost), np.bool_) if before.is_integer is None else before.is_integer,
            np.ones(n, np.bool_),
        ),
    )
    way = len(before.cost) + np.arange(n)
    row = np.arange(n)
    block = coo_array(
        (
            np.concatenate([np.ones(n), -most, np.ones(n), most]),
            (
                np.concatenate([row, row, n + row, n + row]),
                np.concatenate([layout.charge[step, place], way, layout.discharge[step, place], way]),
            ),
        ),
        shape=(2 * n, len(before.cost) + n),
    )
    return replace(program, program=grown).with_rows(csc_array(block), np.append(np.zeros(n), most))


def held(program: FeederProgram, case: Case, around: States) -> FeederProgram:
    """A program whose currents are at most their expansion around some states: no bound any more, but a plan."""
    feeder = case.network.feeder
    everywhere = np.ones(around.flow_kw.shape, dtype=np.bool_)
    below = tangents(feeder, program.layout, around, everywhere)
    both = csc_array(vstack([below, -below], format="csc"))
    return program.with_rows(both, np.zeros(both.shape[0]))


def _weighted(weights: Amounts, reached: Amounts) -> float:
    used = weights.as_array() > 0.0
    return float(weights.as_array()[used] @ reached.as_array()[used])


def _better(one: Planned | None, other: Planned) -> Planned:
    """The plan that keeps the limits, or leaves them least, and has the lower value; with the higher bound."""
    if one is None:
        return other
    first, second = _rank(one), _rank(other)
    chosen = other if second < first else one
    if other.bound >= one.bound:
        return replace(chosen, bound=other.bound, slopes=other.slopes, rounds=max(one.rounds, other.rounds))
    return replace(chosen, bound=one.bound, slopes=one.slopes, rounds=max(one.rounds, other.rounds))


def _rank(planned: Planned) -> tuple[float, float]:
    excess = max((one.excess for one in planned.judged.violations), default=0.0)
    return excess, planned.value


def best_plan(
    case: Case,
    weights: Amounts,
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    bounds: Amounts = UNBOUNDED,
    relative_gap: float = RELATIVE_GAP,
) -> Planned:
    """Plan days of least weighted objectives under bounds on them.

    Parameters
    ----------
    weights
        Of the objectives.
    bounds
        On the objectives, as the program has them: losses are those of the relaxation until it is tight.
    """
    planner = Planner(
        case,
        weights,
        replace(options, has_deviation=options.has_deviation or np.isfinite(bounds.voltage_deviation_pu)),
        relative_gap=relative_gap,
    )
    return planner.plan(bounds=bounds)
