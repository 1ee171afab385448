"""Where storage should stand and how large: exactly, greedily, and by trying every place alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dispatch.highs import Solver
from dispatch.planning.day import Case
from dispatch.planning.planner import FEASIBILITY, RELATIVE_GAP, LimitsError, Planned, Planner, UnsolvedError
from dispatch.planning.program import Amounts
from sim.arrays import FloatArray, IntArray, freeze

_ROUNDS: Final = 6
_LP_ROUNDS: Final = 12
_STANDS: Final = 0.05
_BUILT: Final = 1e-6
_DUST: Final = 1e-7
_ITERATIONS: Final = 10_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Sited:
    """Sites and sizes, what they cost over the weighted days, and what no others can undercut."""

    bus: IntArray  # of each site
    kwh: FloatArray
    kw: FloatArray
    yearly_cost: float  # of the plan by AC power flow, annuities included
    bound: float
    planned: Planned

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def gap(self) -> float:
        """Relative distance between cost and bound."""
        return (self.yearly_cost - self.bound) / max(abs(self.yearly_cost), 1e-9)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweep:
    """Every candidate alone at every size; cost and bound have shape (C, sizes). NaN: no plan keeps the limits."""

    bus: IntArray
    kwh: FloatArray
    yearly_cost: FloatArray
    bound: FloatArray

    def __post_init__(self) -> None:
        freeze(self)


def exact_sites(case: Case, *, relative_gap: float = RELATIVE_GAP, node_limit: int | None = None) -> Sited:
    """Sites and sizes of least yearly cost, by a mixed-integer program over the relaxation.

    The bound is the program's dual bound. Its sites are then planned for on their own; where their plan costs more than
    the bound by more than the gap, the tangents found on the way go into the program, and it is solved again.

    Parameters
    ----------
    node_limit
        Of one program; where it stops early, the gap tells.
    """
    planner = Planner(case, Amounts(cost=1.0), relative_gap=relative_gap)
    bound = _settle(planner)
    best = _feasible(planner, _at_sites(case, []))
    start = None if best is None else planner.relaxed(_at_sites(case, [])).values
    for _ in range(_ROUNDS):
        program, layout = planner.program.program, planner.program.layout
        is_integer = np.zeros(layout.n_columns, dtype=np.bool_)
        is_integer[layout.built] = True
        outcome = Solver(iteration_limit=_ITERATIONS).solve_integer(
            replace(program, is_integer=is_integer),
            relative_gap=relative_gap / 4.0,
            node_limit=node_limit,
            start=start,
            feasibility=FEASIBILITY,
        )
        if outcome.status == "infeasible":
            raise LimitsError("no sites: none let the limits be kept")
        if not outcome.has_values:
            raise UnsolvedError(f"no sites: the solver ended with {outcome.status}")
        start = outcome.values
        sizes = np.maximum(start[layout.kwh], start[layout.kw])
        planned = _feasible(planner, _at_sites(case, np.flatnonzero(sizes > _BUILT).tolist()))
        if planned is not None and (best is None or planned.value < best.value):
            best = planned
        bound = max(bound, outcome.bound)
        if best is None:  # the relaxation's sites are not the feeder's: more tangents
            if not planner.tighten(outcome.values):
                break
            continue
        if outcome.bound > best.value * (1.0 + np.sign(best.value) * _DUST):
            raise ArithmeticError(
                f"bound {outcome.bound} of the sites' program is above a plan of {best.value}"
            )
        if best.value - bound <= relative_gap * abs(best.value) or not planner.tighten(outcome.values):
            break
    if best is None:
        raise LimitsError("no sites: none that the relaxation finds let the limits be kept by AC power flow")
    return _sited(case, best, bound)


def greedy_sites(case: Case, *, relative_gap: float = RELATIVE_GAP) -> Sited:
    """Add the site that lowers the cost most, one at a time, while one does; sizes are free at every stage.

    The bound is that of all candidates at once, with sites relaxed to shares.
    """
    planner = Planner(case, Amounts(cost=1.0), relative_gap=relative_gap)
    bound = _settle(planner)
    most = case.design.n if case.design.most_sites is None else case.design.most_sites
    chosen: list[int] = []
    best = _feasible(planner, _at_sites(case, chosen))
    while len(chosen) < most:
        ranked = sorted(
            (cost, site)
            for site in range(case.design.n)
            if site not in chosen
            for cost in [_relaxed_cost(planner, _at_sites(case, [*chosen, site]))]
        )
        planned = _feasible(planner, _at_sites(case, [*chosen, ranked[0][1]])) if ranked else None
        if planned is None or (best is not None and planned.value >= best.value):
            break
        chosen.append(ranked[0][1])
        best = planned
    if best is None:
        raise LimitsError("no plan: no single site lets the limits be kept")
    return _sited(case, best, bound)


def sweep(
    case: Case, kwh: Sequence[float], *, kw_per_kwh: float, relative_gap: float = RELATIVE_GAP
) -> Sweep:
    """Cost of every candidate alone at a grid of sizes, power in proportion."""
    planner = Planner(case, Amounts(cost=1.0), relative_gap=relative_gap)
    cost = np.full((case.design.n, len(kwh)), np.nan)
    bound = cost.copy()
    for site in range(case.design.n):
        for place, size in enumerate(kwh):
            here = np.arange(case.design.n) == site
            energy, power = np.where(here, size, 0.0), np.where(here, size * kw_per_kwh, 0.0)
            design = replace(case.design, kwh_lower=energy, kwh_upper=energy, kw_lower=power, kw_upper=power)
            planned = _feasible(planner, replace(case, design=design))
            if planned is not None:
                cost[site, place], bound[site, place] = planned.value, planned.bound
    return Sweep(bus=case.design.bus, kwh=np.array(kwh, dtype=np.float64), yearly_cost=cost, bound=bound)


def _settle(planner: Planner) -> float:
    """Add tangents to the relaxation with shares of sites until its bound stands; the bound."""
    bound = -np.inf
    for _ in range(_LP_ROUNDS):
        outcome = planner.relaxed()
        stands = outcome.bound - bound < _STANDS * planner.relative_gap * abs(outcome.bound)
        bound = outcome.bound
        if stands or not planner.tighten(outcome.values):
            break
    return bound


def _at_sites(case: Case, sites: Sequence[int]) -> Case:
    return replace(case, design=case.design.only(sites))


def _relaxed_cost(planner: Planner, case: Case) -> float:
    try:
        return planner.relaxed(case).objective
    except LimitsError:
        return np.inf


def _feasible(planner: Planner, case: Case) -> Planned | None:
    """A plan that keeps all limits by AC power flow, or none."""
    try:
        planned = planner.plan(case)
    except LimitsError:
        return None
    return planned if planned.is_found else None


def _sited(case: Case, planned: Planned, bound: float) -> Sited:
    sites = planned.sites
    return Sited(
        bus=case.design.bus[sites],
        kwh=planned.plan.kwh[sites],
        kw=planned.plan.kw[sites],
        yearly_cost=planned.value,
        bound=bound,
        planned=planned,
    )
