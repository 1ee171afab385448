"""Pareto fronts of a case by the epsilon-constraint method, every point with its certified gap."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import numpy as np

from dispatch.planning.checks import check, whole_number
from dispatch.planning.day import Case
from dispatch.planning.planner import RELATIVE_GAP, LimitsError, Planned, Planner, UnsolvedError
from dispatch.planning.program import OBJECTIVES, UNBOUNDED, Amounts, Objective, Options
from sim.arrays import FloatArray

_SHARE_OF_COST: Final = 1e-5
"""Weight of cost where another objective is minimised, relatively: energy is not thrown away for nothing."""
_SLACK: Final = 2e-5
"""By which an end's own cost is loosened, relatively, when the other objective is minimised at it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Front:
    """Plans of least cost under bounds on other objectives; ``points`` (n, objectives), the cost first.

    A point of ``front`` that no better plan replaces may leave a limit, or charge beside discharging:
    `Planned.is_found` tells.
    """

    names: tuple[Objective, ...]
    plans: tuple[Planned, ...]

    @property
    def points(self) -> FloatArray:
        """What each plan reaches by AC power flow."""
        return np.array([[getattr(one.judged.reached, name) for name in self.names] for one in self.plans])

    @property
    def gaps(self) -> FloatArray:
        """Certified relative gap in cost of each point."""
        return np.array([one.gap for one in self.plans])


def front(
    case: Case,
    second: Objective,
    *,
    n_points: int = 9,
    options: Options = Options(),  # noqa: B008 - frozen
    relative_gap: float = RELATIVE_GAP,
) -> Front:
    """Trace the front between cost and a second objective, from the cheapest plan to the one best in the second.

    Ends are lexicographic; between them the second objective is bounded by equal steps.

    Parameters
    ----------
    second
        Any objective but cost.
    n_points
        How many, ends included; at least 2.
    """
    check("front: n_points", n_points, whole_number(2))
    planner = _planner(case, (second,), options, relative_gap)
    most, near = _ends(planner, second)
    plans: list[Planned] = []
    for limit in np.linspace(most, getattr(near.judged.reached, second), n_points)[::-1]:
        near = planner.plan(
            bounds=_bounds({second: float(limit)}), near=near
        )  # it keeps the next, looser bound too
        plans.insert(0, near)
    return Front(names=("cost", second), plans=tuple(plans))


def grid(
    case: Case,
    second: Objective,
    third: Objective,
    *,
    n_points: int = 4,
    options: Options = Options(),  # noqa: B008 - frozen
    relative_gap: float = RELATIVE_GAP,
) -> Front:
    """Least cost under a grid of bounds on two objectives, without those that no plan keeps and dominated plans.

    A plan that leaves a limit without a price, or charges beside discharging, is none, whatever it reaches.

    Parameters
    ----------
    n_points
        Along each of both objectives.
    """
    check("grid: n_points", n_points, whole_number(1))
    planner = _planner(case, (second, third), options, relative_gap)
    ends = []
    for name in (second, third):
        most, best = _ends(planner, name)
        ends.append(np.linspace(most, getattr(best.judged.reached, name), n_points))
    plans = []
    for one, other in product(*ends):
        try:
            planned = planner.plan(bounds=_bounds({second: float(one), third: float(other)}))
        except LimitsError:
            continue
        if planned.is_one_way and not planned.left:
            plans.append(planned)
    found = Front(names=("cost", second, third), plans=tuple(plans))
    points = found.points
    stays = [
        plan
        for plan, point in zip(plans, points, strict=True)
        if not ((points <= point).all(axis=1) & (points < point).any(axis=1)).any()
    ]
    return replace(found, plans=tuple(stays))


def _planner(case: Case, bounded: tuple[Objective, ...], options: Options, relative_gap: float) -> Planner:
    for name in bounded:
        if name not in OBJECTIVES:
            raise ValueError(f"no objective {name!r}, there are {', '.join(OBJECTIVES)}")
    if "cost" in bounded:
        raise ValueError("the front is one between cost and other objectives")
    needs = options.has_deviation or "voltage_deviation_pu" in bounded
    return Planner(case, Amounts(cost=1.0), replace(options, has_deviation=needs), relative_gap=relative_gap)


def _ends(planner: Planner, second: Objective) -> tuple[float, Planned]:
    """The second objective of the cheapest plans at its least, and the plan with its least at any cost."""
    cheapest = planner.plan()
    cost, at_cheapest = cheapest.value, float(getattr(cheapest.judged.reached, second))
    if not np.isfinite([cost, at_cheapest]).all():
        raise UnsolvedError("no front: the cheapest plan that was found has no power flow")
    price = _SHARE_OF_COST * max(abs(at_cheapest), 1e-6) / max(abs(cost), 1e-6)
    planner.aim(_amounts({second: 1.0, "cost": price}))
    flattest = planner.plan()
    at_cost = planner.plan(bounds=_bounds({"cost": cost + _SLACK * abs(cost)}))
    planner.aim(Amounts(cost=1.0))
    most, least = (float(getattr(one.judged.reached, second)) for one in (at_cost, flattest))
    return max(most, least), flattest


def _amounts(values: dict[Objective, float]) -> Amounts:
    return Amounts.of(np.array([values.get(name, 0.0) for name in OBJECTIVES]))


def _bounds(values: dict[Objective, float]) -> Amounts:
    return replace(UNBOUNDED, **values)
