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
from sim.arrays import BoolArray, FloatArray, IntArray, freeze

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
    """Every candidate alone at every size; all but places and sizes have shape (C, sizes).

    Cost and bound are NaN where there is no plan: it is impossible to keep the limits, or no plan was found that does.
    """

    bus: IntArray
    kwh: FloatArray
    yearly_cost: FloatArray
    bound: FloatArray
    is_impossible: BoolArray  # whether the relaxation proves that no plan keeps the limits

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

    Raises
    ------
    LimitsError
        When no sites let the limits be kept.
    UnsolvedError
        When none are found that do, which is no proof.
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
        raise UnsolvedError(
            "no sites: none that the relaxation finds let the limits be kept by AC power flow"
        )
    return _sited(case, best, bound)


def greedy_sites(case: Case, *, relative_gap: float = RELATIVE_GAP) -> Sited:
    """Add the site that lowers the cost most, one at a time, while one does; sizes are free at every stage.

    A site counts by its relaxation, and where its plan leaves a limit by AC power flow the next one is tried. The bound
    is that of all candidates at once, with sites relaxed to shares.

    Raises
    ------
    LimitsError
        When no single site lets the limits be kept; several together might.
    UnsolvedError
        When none is found that does, which is no proof.
    """
    planner = Planner(case, Amounts(cost=1.0), relative_gap=relative_gap)
    bound = _settle(planner)
    most = case.design.n if case.design.most_sites is None else case.design.most_sites
    chosen = np.flatnonzero(case.design.stands).tolist()
    best, is_open = _tried(planner, _at_sites(case, chosen))
    while len(chosen) < most:
        planned = None
        for added in _promising(planner, case, chosen, below=np.inf if best is None else best.value):
            planned, is_unknown = _tried(planner, _at_sites(case, [*chosen, added]))
            is_open |= is_unknown
            if planned is not None:
                break
        if planned is None or (best is not None and planned.value >= best.value):
            break
        chosen.append(added)
        best = planned
    if best is None and is_open:
        raise UnsolvedError("no plan: no single site was found whose plan keeps the limits by AC power flow")
    if best is None:
        raise LimitsError("no plan: no single site lets the limits be kept")
    return _sited(case, best, bound)


def sweep(
    case: Case, kwh: Sequence[float], *, kw_per_kwh: float, relative_gap: float = RELATIVE_GAP
) -> Sweep:
    """Cost of every candidate alone, beside what stands at others, at a grid of sizes, power in proportion.

    Raises
    ------
    ValueError
        When a size is not within a candidate's bounds, or has more power than the storage can have.
    """
    sites = range(case.design.n)
    sized = [[_alone(case, site, size, size * kw_per_kwh) for size in kwh] for site in sites]
    planner = Planner(case, Amounts(cost=1.0), relative_gap=relative_gap)
    cost = np.full((case.design.n, len(kwh)), np.nan)
    bound, is_impossible = cost.copy(), np.zeros(cost.shape, dtype=np.bool_)
    for site in sites:
        for place, alone in enumerate(sized[site]):
            planned, is_open = _tried(planner, alone)
            if planned is not None:
                cost[site, place], bound[site, place] = planned.value, planned.bound
            is_impossible[site, place] = planned is None and not is_open
    return Sweep(
        bus=case.design.bus,
        kwh=np.array(kwh, dtype=np.float64),
        yearly_cost=cost,
        bound=bound,
        is_impossible=is_impossible,
    )


def _alone(case: Case, site: int, kwh: float, kw: float) -> Case:
    """One candidate at a size, at all others their least."""
    design, here = case.design, np.arange(case.design.n) == site
    for name, size in (("kwh", kwh), ("kw", kw)):
        least, most = (float(getattr(design, f"{name}_{end}")[site]) for end in ("lower", "upper"))
        if not least <= size <= most:
            raise ValueError(
                f"sweep: {size:g} {name} at candidate {site} is outside its design's {least:g}..{most:g}"
            )
    if kw > case.storage.kw_per_kwh * kwh * (1.0 + _DUST):
        raise ValueError(
            f"sweep: {kw:g} kW for {kwh:g} kWh, the storage's kw_per_kwh is {case.storage.kw_per_kwh:g}"
        )
    energy, power = np.where(here, kwh, design.kwh_lower), np.where(here, kw, design.kw_lower)
    fixed = replace(design, kwh_lower=energy, kwh_upper=energy, kw_lower=power, kw_upper=power)
    return replace(case, design=fixed)


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
    """Nothing at others than these, and what stands already."""
    both = np.union1d(np.asarray(sites, dtype=np.int64), np.flatnonzero(case.design.stands))
    return replace(case, design=case.design.only(both.tolist()))


def _promising(planner: Planner, case: Case, chosen: Sequence[int], *, below: float) -> list[int]:
    """Further sites that the relaxation makes cheaper than some cost, the cheapest first."""
    costs = {
        site: _relaxed_cost(planner, _at_sites(case, [*chosen, site]))
        for site in range(case.design.n)
        if site not in chosen
    }
    return [site for site in sorted(costs, key=costs.__getitem__) if costs[site] < below]


def _relaxed_cost(planner: Planner, case: Case) -> float:
    try:
        return planner.relaxed(case).objective
    except LimitsError:
        return np.inf


def _feasible(planner: Planner, case: Case) -> Planned | None:
    """A plan that keeps all limits by AC power flow, or none."""
    return _tried(planner, case)[0]


def _tried(planner: Planner, case: Case) -> tuple[Planned | None, bool]:
    """A plan that keeps all limits by AC power flow, or none; and whether one may be that was not found."""
    try:
        planned = planner.plan(case)
    except LimitsError:  # of the relaxation: no plan keeps them
        return None, False
    except UnsolvedError:
        return None, True
    return (planned, False) if planned.is_found else (None, True)


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
