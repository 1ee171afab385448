"""The Pareto front of a day by the epsilon-constraint method, and points that stand for choices on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from dispatch.station.car_flow import Steps
from dispatch.station.day import LoadOf, StationDay
from dispatch.station.optimum import RELATIVE_GAP, Optimum, StationSolver
from dispatch.station.program import Bounds, Weights
from sim.arrays import FloatArray

Second = Literal["peak_valley_kw", "emission_kg"]
_SLACK: Final = 1e-9
"""By which an end point's own value is loosened, relatively, when the other objective is minimised at it."""
_GAP_OF_AN_END: Final = 5e-3
"""At which the least of the second objective counts as found: where a front ends; its points have gaps of their own."""
_SHARE_OF_COST: Final = 1e-5
"""Weight of cost where the second objective is minimised, relatively: energy is not thrown away for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Front:
    """Optima from the cheapest plan to the one best in the second objective.

    ``points`` has shape (n, 2): what is paid, and the second objective.
    """

    second: Second
    optima: tuple[Optimum, ...]
    cuts: tuple[Steps, ...]  # found on the way, for other programs of the day

    @property
    def points(self) -> FloatArray:
        """Both objectives of each optimum."""
        return np.array([[one.reached.total_cost, getattr(one.reached, self.second)] for one in self.optima])

    @property
    def ideal(self) -> FloatArray:
        """Best of each objective."""
        return np.asarray(self.points.min(axis=0))

    @property
    def nadir(self) -> FloatArray:
        """Worst of each objective on the front."""
        return np.asarray(self.points.max(axis=0))

    @property
    def knee(self) -> int:
        """Point farthest below the line between the ends, both objectives scaled to [0, 1]."""
        return knee(self.points)


def front(
    day: StationDay, load_of: LoadOf, *, second: Second = "peak_valley_kw", n_points: int = 25
) -> Front:
    """Trace the front.

    At its ends the other objective is minimised too; between them the second objective is bounded by equal steps and
    what is paid minimised. Every point is an optimum with its certified gap.

    Parameters
    ----------
    load_of
        Whose peak and valley count.
    second
        The objective beside cost.
    n_points
        How many, ends included; at least 2.
    """
    cheap = StationSolver(day, load_of, Weights(cost=1.0))
    cheapest = cheap.optimum()
    cost, high = cheapest.reached.total_cost, float(getattr(cheapest.reached, second))
    price = _SHARE_OF_COST * max(abs(high), 1.0) / max(abs(cost), 1.0)
    weights = Weights(cost=price, **{second: 1.0})
    flat = StationSolver(day, load_of, weights, relative_gap=_GAP_OF_AN_END, cuts=cheap.cuts)
    flattest = flat.optimum()
    at_cost = flat.optimum(Bounds(cost=cost + _SLACK * max(1.0, abs(cost))), near=cheapest)
    most, least = (float(getattr(one.reached, second)) for one in (at_cost, flattest))
    limits = np.linspace(most, least, n_points)
    optima: list[Optimum] = []
    cheap = StationSolver(day, load_of, Weights(cost=1.0), cuts=flat.cuts)
    near = flattest
    for limit in (limits + _SLACK * np.maximum(1.0, np.abs(limits)))[
        ::-1
    ]:  # each one's plan is kept by the next
        near = cheap.optimum(Bounds(**{second: float(limit)}), near=near)
        optima.insert(0, near)
    return Front(second=second, optima=tuple(optima), cuts=tuple(cheap.cuts))


def knee(points: FloatArray) -> int:
    """Index of the point farthest below the line between the first and the last one.

    >>> knee(np.array([[0.0, 10.0], [1.0, 2.0], [10.0, 0.0]]))
    1
    """
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / np.where(high > low, high - low, 1.0)
    return int(np.argmax(1.0 - scaled.sum(axis=1)))


def weighted_sums(
    day: StationDay,
    load_of: LoadOf,
    shares: Sequence[float],
    reference: tuple[float, float],
    beside: Front,
    *,
    relative_gap: float = RELATIVE_GAP,
) -> list[Optimum]:
    """Optima of equation (9), F = w1 F1/F1_0 + w2 F2/F2_0 with w1 + w2 = 1.

    Parameters
    ----------
    shares
        Values of w1.
    reference
        F1_0 and F2_0, of case 1.
    beside
        The day's front: its nearest point is where the search begins.
    relative_gap
        At which an optimum counts as found.
    """
    found = []
    for share in shares:
        weights = np.array([share, 1.0 - share]) / reference
        near = beside.optima[int(np.argmin(beside.points @ weights))]
        solver = StationSolver(
            day,
            load_of,
            Weights(cost=float(weights[0]), peak_valley_kw=float(weights[1])),
            relative_gap=relative_gap,
            cuts=beside.cuts,
        )
        found.append(solver.optimum(near=near))
    return found


def hypervolume(points: FloatArray, reference: FloatArray) -> float:
    """Area that points of two minimised objectives dominate up to a reference point.

    >>> hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([3.0, 3.0]))
    3.0
    """
    within = points[(points < reference).all(axis=1)]
    area, ceiling = 0.0, float(reference[1])
    for first, second in within[np.lexsort((within[:, 1], within[:, 0]))]:
        if second < ceiling:
            area += float(reference[0] - first) * (ceiling - float(second))
            ceiling = float(second)
    return area
