"""Exact optima of a day, with certified gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dispatch.highs import Basis, Solver
from dispatch.station.car_flow import CarFlow, Steps
from dispatch.station.day import LoadOf, StationDay, evenly_kw
from dispatch.station.plan import Objectives, StationPlan, objectives, rule_breach_kw
from dispatch.station.program import Bounds, Sums, Ways, Weights, build, sums_of
from sim.arrays import FloatArray

RELATIVE_GAP: Final = 1e-7
"""At which an optimum counts as found: below the 1e-6 that points of a front are certified to."""
ALLOWED_KW: Final = 1e-6
"""Breach of a rule that is rounding."""
_SHARED_KWH: Final = 1e-7
"""By which sums may exceed what the cars can take: rounding."""
_ITERATIONS: Final = 10_000_000
_ROUNDS: Final = 12
_TIGHT_KWH: Final = 1.0
"""Room in a cut, below which a mixed-integer program is given it: most cuts are of other points of a front."""

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
class _Point:
    """An optimum of a linear program whose sums the cars can share."""

    objective: float
    values: FloatArray
    sums: Sums
    car_kw: FloatArray  # (K, n)


class StationSolver:
    """Solves programs of one day one after the other: the model and its cuts are kept, bounds are changed.

    1. Binaries relaxed. Where that plan keeps the rules, it is the optimum and its own certificate.
    2. Otherwise the steps that break a rule are fixed as that plan leans, until a plan keeps all: a candidate.
       Where it is as good as the relaxed optimum, it is the optimum.
    3. Otherwise the mixed-integer program, binary only in steps that broke a rule so far: a better bound, and its
       plan, mended as in 2, a better candidate; more steps become binary, and cuts come, until bound and candidate
       meet. Of the cuts known it holds those that were tight or broken so far: every one weighs on its nodes.

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
    cuts
        Found by another solver of the same day.
    """

    def __init__(
        self,
        day: StationDay,
        load_of: LoadOf,
        weights: Weights,
        *,
        relative_gap: float = RELATIVE_GAP,
        cuts: Sequence[Steps] = (),
    ) -> None:
        self._day, self._load_of, self._gap = day, load_of, relative_gap
        self.cuts: list[Steps] = list(cuts)
        self._program = build(day, load_of, weights)
        if cuts:
            self._program = self._program.with_cuts(day, cuts)
        self._flow = CarFlow(day)
        self._inside_kw = evenly_kw(day).sum(axis=1)  # sums that can be shared
        self._solver = Solver(iteration_limit=_ITERATIONS, presolve=False)
        self._basis: Basis | None = None

    def optimum(
        self,
        bounds: Bounds = Bounds(),  # noqa: B008 - frozen
        *,
        near: Optimum | None = None,
    ) -> Optimum:
        """Best plan within bounds on the objectives.

        Where the connection or the charging points have a limit, energy may be kept from cars at its price, also for
        the sake of a bound. Where they have none, all that the stays allow is given, whatever the bounds.

        Parameters
        ----------
        near
            A plan whose ways may do for a candidate, such as a neighbour's on a front.

        Raises
        ------
        InfeasibleError
            When no plan keeps them.
        """
        nothing = np.full(self._day.n_steps, np.nan)
        relaxed = self._point(bounds, nothing, nothing)
        if relaxed is None:
            raise InfeasibleError(f"no plan keeps {bounds}")
        bound, binary = relaxed.objective, self._broken(relaxed.sums)
        if not binary.any():
            return self._answer(relaxed, bound, 0)
        best = self._mended(bounds, relaxed.sums)
        if near is not None and (best is None or not self._meets(best.objective, bound)):
            best = _better(best, self._mended(bounds, sums_of(near.plan)))
        integer_gap, tight = self._gap, self._tight(relaxed.sums)
        if best is not None:
            tight |= self._tight(best.sums)
        while best is None or not self._meets(best.objective, bound):
            # a bound as loose as the gap asked for would leave none of it to what a cut or a mending costs
            integer_gap = max(integer_gap / 2.0, RELATIVE_GAP)
            found = Solver(iteration_limit=_ITERATIONS).solve_integer(
                self._program.among_cuts(tight).bounded(bounds).strict(binary).program,
                relative_gap=integer_gap,
                node_limit=None,
                start=None if best is None else best.values,
            )
            if not found.has_values:
                raise InfeasibleError(f"no plan keeps {bounds} and the rules ({found.status})")
            bound = max(bound, found.bound)
            sums = self._program.sums(found.values)
            n_cuts, broken = self._program.n_cuts, self._program.room_kwh(sums.cars_kw) < -_SHARED_KWH
            is_all_told = not (broken & ~tight).any()
            tight |= broken
            if is_all_told:
                self._cut(sums)
            best = _better(best, self._mended(bounds, sums, self._program.ways(found.values, binary)))
            more = self._broken(sums) & ~binary
            binary |= more
            if is_all_told and not more.any() and self._program.n_cuts == n_cuts:
                break
            tight = np.append(tight, np.ones(self._program.n_cuts - len(tight), dtype=np.bool_))
        if best is None:
            raise InfeasibleError(f"no plan keeps {bounds} and the rules")
        return self._answer(best, min(bound, best.objective), 2 * int(binary.sum()))

    def _point(self, bounds: Bounds, stores: FloatArray, has_spare: FloatArray) -> _Point | None:
        """Optimum with binaries fixed where they are not NaN, cut until the cars can share its sums."""
        while True:
            program = self._program.bounded(bounds).fixed(stores, has_spare)
            basis = None if self._basis is None else program.start(self._basis)
            outcome = self._solver.solve(program.program, basis, warm_method="dual")
            if outcome.status != "optimal":
                self._basis = None
                return None
            self._basis = outcome.basis
            sums = program.sums(outcome.values)
            car_kw = self._cut(sums)
            if car_kw is not None:
                return _Point(objective=outcome.objective, values=outcome.values, sums=sums, car_kw=car_kw)

    def _cut(self, sums: Sums) -> FloatArray | None:
        """The cars' powers where they can share the sums; otherwise nothing, and a cut more.

        Cuts are looked for half-way to sums that can be shared first (in-out separation, Ben-Ameur and Neto 2007):
        such a cut goes deeper than one at a vertex, of which a program that only minimises cost has many.
        """
        half_way = 0.5 * (self._inside_kw + sums.cars_kw)
        for cars_kw in (half_way, sums.cars_kw):
            shared = self._flow.share(cars_kw)
            if shared.excess_kwh > _SHARED_KWH:
                self.cuts.append(shared.cut)
                self._program = self._program.with_cuts(self._day, [shared.cut])
                return None
            self._inside_kw = cars_kw
        return shared.car_kw

    def _mended(self, bounds: Bounds, sums: Sums, ways: Ways | None = None) -> _Point | None:
        """A point near given sums that keeps all rules: steps that break one are fixed as they lean.

        Some steps may be fixed beforehand, as a mixed-integer program chose.
        """
        nothing = np.full(self._day.n_steps, np.nan)
        stores, has_spare = (nothing, nothing) if ways is None else (ways.stores, ways.has_spare)
        for _ in range(_ROUNDS):
            broken = self._broken(sums)
            charges, leans = sums.charge_kw >= sums.discharge_kw, sums.cars_kw <= self._day.pv_kw
            stores = np.where(np.isnan(stores) & (broken | self._used(sums)), charges, stores)
            ruled = ~self._day.is_grid_charging_hour & (broken | (sums.charge_kw > ALLOWED_KW))
            has_spare = np.where(np.isnan(has_spare) & ruled, leans, has_spare)
            point = self._point(bounds, stores, has_spare)
            if point is None or not self._broken(point.sums).any():
                return point
            sums = point.sums
        return None

    def _tight(self, sums: Sums) -> Mask:
        """Cuts that leave the cars next to no room, (n_cuts,)."""
        return np.asarray(self._program.room_kwh(sums.cars_kw) < _TIGHT_KWH)

    def _used(self, sums: Sums) -> Mask:
        return np.asarray(np.maximum(sums.charge_kw, sums.discharge_kw) > ALLOWED_KW)

    def _broken(self, sums: Sums) -> Mask:
        breach = rule_breach_kw(self._day, sums.cars_kw, sums.charge_kw, sums.discharge_kw)
        return np.asarray(breach > ALLOWED_KW)

    def _meets(self, objective: float, bound: float) -> bool:
        return objective - bound <= self._gap * max(1.0, abs(objective))

    def _answer(self, point: _Point, bound: float, binaries: int) -> Optimum:
        plan = StationPlan(
            car_kw=point.car_kw,
            charge_kw=point.sums.charge_kw,
            discharge_kw=point.sums.discharge_kw,
            curtailed_kw=point.sums.curtailed_kw,
        )
        return Optimum(
            plan=plan,
            reached=objectives(self._day, plan, self._load_of),
            objective=point.objective,
            bound=bound,
            binaries=binaries,
        )


def _better(one: _Point | None, other: _Point | None) -> _Point | None:
    if one is None or other is None:
        return other if one is None else one
    return other if other.objective < one.objective else one
