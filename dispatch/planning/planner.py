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
from dispatch.network import MILLI
from dispatch.planning.checks import NOT_NEGATIVE, check, whole_number
from dispatch.planning.day import Case, Design
from dispatch.planning.judging import OVERLAP_KW, Judged, Plan, Violation, judge, plan_of
from dispatch.planning.program import (
    UNBOUNDED,
    Amounts,
    FeederProgram,
    Layout,
    Options,
    States,
    beyond_rating_kva,
    build,
    least_current_kva,
    rating_tangents,
    states_of,
    tangents,
)
from dispatch.planning.reach import chord_excess, chords, reach
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.feeder.model import Feeder

RELATIVE_GAP: Final = 1e-4
FEASIBILITY: Final = 1e-6
"""Of programs with binaries: tangents are nearly parallel, and no tighter one is within the solver's reach."""
_WARM_ITERATIONS: Final = 40_000
"""From a basis: some hundreds are usual; a start that wanders among ties is given up for one without a basis."""
_ITERATIONS: Final = 10_000_000
_REPAIR_ITERATIONS: Final = 30_000
_ROUNDS: Final = 25
_UNDER_KVA: Final = 1e-6
"""Squared current [kVA] by which a program may be below the truth without a further tangent."""
_OVER_KVA: Final = 1e-3
"""Squared current [kVA] by which a program may be above a chord."""
_WORST_SHARE: Final = 0.999
"""Of all losses underestimated, what the tangents of a round are about."""
_KEPT_SHARE: Final = 1e-4
_REPAIRS: Final = 4
_BRANCHED: Final = 4
_BOUND_STANDS: Final = 0.05
"""Share of the gap by which a round must raise the bound, lest the relaxation counts as what it is."""
_STANDS: Final = 1e-5
_ELASTIC: Final = 1e4
_ELASTIC_ROUNDS: Final = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Planned:
    """A plan, what it reaches by AC power flow, and what cannot be undercut."""

    plan: Plan
    judged: Judged
    value: float  # weighted objectives reached
    bound: float  # no plan within the same bounds has less
    limits: Amounts  # bounds on the objectives
    slopes: (
        FloatArray  # (6,), by how much the bound changes, at least, per unit of each objective's own bound
    )
    rounds: int
    n_binaries: int  # steps and candidates that needed one
    is_repaired: bool  # whether the relaxation pretended currents
    has_price: bool  # whether band and ratings may be left for a price, which is in the value

    @property
    def gap(self) -> float:
        """Relative distance between the value and the least that any plan has that reaches no more than this one.

        Where this plan exceeds a bound on an objective, that least is below the bound by no more than the slope says.
        """
        excess = np.maximum(self.judged.reached.as_array() - self.limits.as_array(), 0.0)
        least = self.bound + float(self.slopes @ np.where(excess > 0.0, excess, 0.0))
        return (self.value - least) / max(abs(self.value), 1e-9)

    @property
    def exceeds(self) -> float:
        """Largest share by which a bound on an objective is exceeded; 0 below a ten-thousandth."""
        limit = self.limits.as_array()
        bounded = np.isfinite(limit)
        reached = self.judged.reached.as_array()[bounded]
        share = (reached - limit[bounded]) / np.maximum(np.abs(limit[bounded]), 1e-9)
        most = float(share.max(initial=0.0))
        return most if most > _KEPT_SHARE else 0.0

    @property
    def left(self) -> tuple[Violation, ...]:
        """Limits that it leaves and does not pay for."""
        return tuple(one for one in self.judged.violations if not (self.has_price and one.may_have_price))

    @property
    def is_one_way(self) -> bool:
        """Whether no storage charges beside discharging, which none can."""
        return self.plan.is_one_way

    @property
    def is_found(self) -> bool:
        """Whether it keeps all limits and bounds, or pays for what it leaves, and can be carried out."""
        return self.is_within and self.is_one_way

    @property
    def is_within(self) -> bool:
        """Whether it keeps all limits and bounds, or pays for what it leaves, be it by charging beside discharging."""
        return not self.left and self.exceeds == 0.0

    @property
    def sites(self) -> IntArray:
        """Positions of the candidates that have storage."""
        return np.flatnonzero(np.maximum(self.plan.kwh, self.plan.kw) > 1e-6)


class LimitsError(ArithmeticError):
    """No plan keeps the limits; the message names those that the nearest plan leaves."""


class UnsolvedError(ArithmeticError):
    """Whether a plan keeps the limits is not known: a solver ended without an answer, or no plan tried keeps them."""


class Planner:
    """Keeps tangents from one plan to the next.

    Parameters
    ----------
    options
        Of the program; band and ratings are hard unless they have a price.
    relative_gap
        At which a plan counts as found.
    node_limit
        Of a program with binaries; 0: none is solved, and the bound is that without them. Where storage cannot be kept
        to one way without, the plan is not found.
    """

    def __init__(
        self,
        case: Case,
        weights: Amounts,
        options: Options = Options(),  # noqa: B008 - frozen
        *,
        relative_gap: float = RELATIVE_GAP,
        node_limit: int = 0,
    ) -> None:
        check("relative_gap", relative_gap, NOT_NEGATIVE)
        check("node_limit", node_limit, whole_number(0))
        needs = weights.voltage_deviation_pu > 0.0
        self.case, self.weights = case, weights
        self.options = replace(options, has_deviation=options.has_deviation or needs)
        self.relative_gap, self.node_limit = relative_gap, node_limit
        self._solver = Solver(iteration_limit=_WARM_ITERATIONS)
        self._basis: Basis | None = None
        self._bare = build(case, weights, self.options)  # without rows that bound currents
        self._reach = reach(case, self.options)
        self._program = self._seeded(self._bare)

    @property
    def program(self) -> FeederProgram:
        """With all tangents so far."""
        return self._program

    def aim(self, weights: Amounts) -> None:
        """Minimise another weighted sum from here on."""
        self.weights = weights
        self._bare, self._program = (one.minimising(weights) for one in (self._bare, self._program))

    def relaxed(self, case: Case | None = None, bounds: Amounts = UNBOUNDED) -> Outcome:
        """Solve the relaxation with the tangents that there are, under a design and bounds.

        Raises
        ------
        LimitsError
            When nothing keeps the limits.
        UnsolvedError
            When the solver ends without an answer.
        """
        asked = _asked(self._program, case, bounds)
        # the dual method, though made for added rows, has been seen to wander without end from such a start
        outcome = self._solver.solve(asked.program, self._start(asked), warm_method="primal")
        is_lost = outcome.status in ("failed", "iteration_limit")
        if is_lost or outcome.status == "infeasible" and self._basis is not None:
            self._basis = None
            outcome = Solver(iteration_limit=_ITERATIONS).solve(asked.program)
        if outcome.status == "infeasible":
            raise LimitsError(f"no plan: {self._nearest(case or self.case, bounds)}")
        if outcome.status != "optimal":
            raise UnsolvedError(f"no plan: the solver ended with {outcome.status}")
        self._basis, scale = outcome.basis, self._program.cost_scale
        return replace(outcome, objective=outcome.objective / scale, bound=outcome.bound / scale)

    def plan(
        self, case: Case | None = None, bounds: Amounts = UNBOUNDED, near: Planned | None = None
    ) -> Planned:
        """Find the best plan of a design under bounds on the objectives.

        Parameters
        ----------
        near
            A plan of the same design that keeps the bounds: where the relaxation gives none, it is improved.

        Raises
        ------
        ValueError
            When more candidates may stand than sites are allowed: here sites are shares, of any number.
        LimitsError, UnsolvedError
            As of `relaxed`.
        """
        best: Planned | None = None
        now, bound = case or self.case, -np.inf
        _check_sites(now.design)
        for rounds in range(1, _ROUNDS + 1):
            outcome = self.relaxed(case, bounds)
            slopes = self._program.slopes(outcome.reduced_costs)
            found = self._judged(now, bounds, outcome.values, outcome.bound, slopes, rounds)
            best = _better(best, found) if found.is_one_way else found
            if found.gap < self.relative_gap and found.is_within:
                break  # more rounds do not part charging from discharging
            stands = outcome.bound - bound < _BOUND_STANDS * self.relative_gap * abs(outcome.bound)
            bound = outcome.bound
            if (stands and found.is_within) or not self.tighten(outcome.values):
                break
        assert best is not None
        if not best.is_one_way:
            best = self._exclusive(now, bounds, best, outcome.values)
        elif best.gap >= self.relative_gap or not best.is_found:
            best = self._repaired(now, bounds, best)
        if near is None or (best.gap < self.relative_gap and best.is_found):
            return best
        known = replace(
            near,
            value=_weighted(self.weights, near.judged.reached),
            bound=best.bound,
            slopes=best.slopes,
            limits=bounds,
            is_repaired=True,
        )
        return _better(best, self._repaired(now, bounds, known, _ways(near.plan)))

    def tighten(self, values: FloatArray) -> bool:
        """Add rows that a point of the relaxation breaks; whether there were any."""
        feeder, layout = self.case.network.feeder, self._program.layout
        states = states_of(layout, values)
        found = [_below(feeder, layout, states)]
        paid_kva = 0.0 if self.options.beyond_price is None else values[layout.over]
        ratings = rating_tangents(feeder, layout, states, paid_kva)
        if ratings is not None:
            found.append(ratings)
            self._bare = self._bare.with_rows(*ratings)
        if self._reach is not None:
            low = self._reach.squared_low[:, feeder.child_index]
            broken = chord_excess(self._reach, states, low) > _OVER_KVA
            found.append(chords(self.case, layout, self._reach, broken))
        blocks, limits = zip(*found, strict=True)
        grown = csc_array(vstack(blocks, format="csc"))
        if grown.shape[0] == 0:
            return False
        self._program = self._program.with_rows(grown, np.concatenate(limits))
        return True

    def _seeded(self, program: FeederProgram) -> FeederProgram:
        """Tangents at the states without storage, where they exist."""
        idle = np.zeros(program.layout.n_columns)
        flow = judge(self.case, plan_of(self.case, self.options, program.layout, idle), self.options)
        exists: BoolArray = np.isfinite(flow.voltage_pu.sum(axis=1))
        states = flow.states
        where = np.repeat(exists[:, np.newaxis], states.flow_kw.shape[1], axis=1)
        feeder = self.case.network.feeder
        block = tangents(feeder, program.layout, states, where)
        return program.with_rows(block, np.zeros(block.shape[0]))

    def _start(self, program: FeederProgram) -> Basis | None:
        return None if self._basis is None else program.start(self._basis)

    def _judged(
        self,
        case: Case,
        limits: Amounts,
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
            value=_weighted(self.weights, judged.reached) + self._priced(judged, values),
            bound=bound,
            limits=limits,
            slopes=slopes,
            rounds=rounds,
            n_binaries=n_binaries,
            is_repaired=is_repaired,
            has_price=self.options.beyond_price is not None,
        )

    def _priced(self, judged: Judged, values: FloatArray) -> float:
        """What lies beyond the limits by AC power flow at its price, less the size that hosts."""
        size = float(values[self._program.layout.scale].sum()) if self.options.hosts is not None else 0.0
        if self.options.beyond_price is None:
            return -size
        net, squared = self.case.network, MILLI * judged.states.squared_pu
        low = np.maximum(MILLI * net.voltage_min_pu**2 - squared, 0.0)
        high = np.maximum(squared - MILLI * net.voltage_max_pu**2, 0.0)
        low[:, net.feeder.source_index] = high[:, net.feeder.source_index] = 0.0
        over = beyond_rating_kva(net.feeder, judged.states)
        beyond = low.sum(axis=1) + high.sum(axis=1) + over.sum(axis=1)
        return self.options.beyond_price * float(self.case.step_weight @ beyond) - size

    def _exclusive(self, case: Case, bounds: Amounts, before: Planned, values: FloatArray) -> Planned:
        """Let no storage charge beside discharging: at first by the sign of what it does, then by binaries.

        Binaries are those of steps that did both. Their programs may stop at a number of nodes: the bound is one then
        all the same.
        """
        one_way = _ways(before.plan)
        best = self._repaired(case, bounds, before, one_way)
        strict = np.zeros(one_way.shape, dtype=np.bool_)
        last = before
        for _ in range(_BRANCHED):
            if (best.gap < self.relative_gap and best.is_found) or self.node_limit == 0:
                break
            did_both = np.minimum(last.plan.charge_kw, last.plan.discharge_kw) > OVERLAP_KW
            if not did_both.any() and not self.tighten(values):
                break
            strict |= did_both
            asked = with_ways(_asked(self._program, case, bounds), case, strict)
            outcome = self._solver.solve_integer(
                asked.program,
                relative_gap=self.relative_gap / 2.0,
                node_limit=self.node_limit,
                feasibility=FEASIBILITY,
            )
            self._basis = None
            if not outcome.has_values:
                break
            values = outcome.values[: self._program.layout.n_columns]
            bound = max(outcome.bound / self._program.cost_scale, best.bound)
            last = self._judged(case, bounds, values, bound, np.zeros(6), before.rounds, int(strict.sum()))
            if not last.is_one_way:
                continue
            best = _better(best, last)
            if best.gap > self.relative_gap or not best.is_found:
                best = _better(best, self._repaired(case, bounds, last, _ways(last.plan)))
        return best

    def _repaired(
        self, case: Case, bounds: Amounts, best: Planned, one_way: FloatArray | None = None
    ) -> Planned:
        """Hold currents to their expansion around the plan's own AC states, a few times over."""
        solver, found = Solver(iteration_limit=_REPAIR_ITERATIONS), best
        for _ in range(_REPAIRS):
            if not np.isfinite(found.judged.voltage_pu).all():
                break
            asked = held(_asked(self._bare, case, bounds), case, found.judged.states)
            if one_way is not None:
                asked = _going(asked, one_way)
            outcome = solver.solve(asked.program)
            if not outcome.has_values:
                break
            before = found
            found = self._judged(
                case,
                bounds,
                outcome.values,
                best.bound,
                best.slopes,
                best.rounds,
                best.n_binaries,
                is_repaired=True,
            )
            best = _better(best, found)
            if abs(found.value - before.value) < _STANDS * max(abs(found.value), 1e-9):
                break
        return best

    def _nearest(self, case: Case, bounds: Amounts) -> str:
        """Which limits the nearest plan leaves."""
        if self.options.beyond_price is not None:
            return "bounds on the objectives, exports or sizes cannot be kept, or no power flow exists"
        elastic = Planner(case, Amounts(), replace(self.options, beyond_price=_ELASTIC))
        layout = elastic.program.layout
        try:
            outcome = elastic.relaxed(bounds=bounds)
            for _ in range(_ELASTIC_ROUNDS):
                if not elastic.tighten(outcome.values):
                    break
                outcome = elastic.relaxed(bounds=bounds)
        except (LimitsError, UnsolvedError) as error:
            return f"limits cannot be kept, nor the nearest plan be found ({error})"
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
        return "cannot keep: " + (", ".join(named) or "all limits at once, of which none stands out")


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
    """A program whose currents are their expansion around some states: no bound any more, but a plan."""
    feeder = case.network.feeder
    everywhere = np.ones(around.flow_kw.shape, dtype=np.bool_)
    expansion = tangents(feeder, program.layout, around, everywhere)
    return program.with_rows(expansion, np.zeros(expansion.shape[0]), are_equal=True)


def _check_sites(design: Design) -> None:
    n_may = np.count_nonzero(design.may_stand)
    if design.most_sites is not None and n_may > design.most_sites:
        raise ValueError(
            f"Design: most_sites is {design.most_sites}, {n_may} candidates have an upper bound above 0; "
            "which of them have storage, exact_sites and greedy_sites decide"
        )


def _asked(program: FeederProgram, case: Case | None, bounds: Amounts) -> FeederProgram:
    program = program.bounded(bounds)
    return program if case is None else program.sized(case)


def _ways(plan: Plan) -> FloatArray:
    """Which way storage goes: 1 where it charges more than it discharges, else -1; (T, C)."""
    return np.where(plan.charge_kw > plan.discharge_kw, 1.0, -1.0)


def _going(program: FeederProgram, one_way: FloatArray) -> FeederProgram:
    """A program whose storage goes one way in each step; shape (T, C)."""
    upper = program.program.upper.copy()
    upper[program.layout.charge[one_way < 0.0]] = 0.0
    upper[program.layout.discharge[one_way > 0.0]] = 0.0
    return replace(program, program=replace(program.program, upper=upper))


def _below(feeder: Feeder, layout: Layout, states: States) -> tuple[csc_array, FloatArray]:
    """Tangents at states where currents are underestimated, the least of them left for later rounds."""
    under = least_current_kva(feeder, states) - states.current_kva
    weight = np.where(under > _UNDER_KVA, under * np.maximum(feeder.r_pu, feeder.x_pu), 0.0)
    ranked = np.sort(weight, axis=None)[::-1]
    enough = int(np.searchsorted(np.cumsum(ranked), _WORST_SHARE * ranked.sum()))
    where = (weight > 0.0) & (weight >= ranked[min(enough, ranked.size - 1)])
    return tangents(feeder, layout, states, where), np.zeros(int(where.sum()))


def _weighted(weights: Amounts, reached: Amounts) -> float:
    used = weights.as_array() > 0.0
    return float(weights.as_array()[used] @ reached.as_array()[used])


def _better(one: Planned | None, other: Planned) -> Planned:
    """The plan that keeps limits and bounds, or leaves them least, and is nearest its bound; with the higher bound."""
    if one is None:
        return other
    first, second = _rank(one), _rank(other)
    chosen = other if second < first else one
    higher = other if other.bound >= one.bound else one
    rounds = max(one.rounds, other.rounds)
    return replace(chosen, bound=higher.bound, slopes=higher.slopes, rounds=rounds)


def _rank(planned: Planned) -> tuple[float, float, float, float]:
    excess = max((one.excess for one in planned.left), default=0.0)
    return max(planned.plan.overlap_kw - OVERLAP_KW, 0.0), excess, planned.exceeds, planned.gap


def best_plan(
    case: Case,
    weights: Amounts,
    options: Options = Options(),  # noqa: B008 - frozen
    *,
    bounds: Amounts = UNBOUNDED,
    relative_gap: float = RELATIVE_GAP,
    node_limit: int = 0,
) -> Planned:
    """Plan days of least weighted objectives under bounds on them.

    Parameters
    ----------
    weights
        Of the objectives.
    bounds
        On the objectives.
    relative_gap, node_limit
        As of `Planner`.
    """
    needs = options.has_deviation or bool(np.isfinite(bounds.voltage_deviation_pu))
    planner = Planner(
        case,
        weights,
        replace(options, has_deviation=needs),
        relative_gap=relative_gap,
        node_limit=node_limit,
    )
    return planner.plan(bounds=bounds)
