"""The turbine's fuel cost as a linear program may have it.

The true cost per hour of running at P kW (Zhang 2025, Eqs. 18-19) is not convex: its marginal cost falls until about
half load. A linear program gets a convex function that is certainly below it (a line through the origin, then
tangents), a mixed-integer program gets the curve itself in equal pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sim.arrays import FloatArray, freeze

FuelCost = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PiecewiseCost:
    """Cost per hour, piecewise linear in power, from 0 kW on: pieces of a width and a slope; cost(0) = 0."""

    width_kw: FloatArray  # (pieces,)
    slope_per_kwh: FloatArray  # (pieces,)

    def __post_init__(self) -> None:
        freeze(self)

    def __call__(self, power_kw: FloatArray) -> FloatArray:
        """Cost per hour at P kW, pieces filled in order (linear beyond the last).

        >>> PiecewiseCost(width_kw=np.array([2.0, 2.0]), slope_per_kwh=np.array([1.0, 3.0]))(np.array([1.0, 3.0]))
        array([1., 5.])
        """
        edges = np.concatenate([[0.0], np.cumsum(self.width_kw)])
        costs = np.concatenate([[0.0], np.cumsum(self.width_kw * self.slope_per_kwh)])
        return np.asarray(np.interp(power_kw, edges, costs))


def convex_under_estimator(
    cost_per_h: FuelCost, limit_kw: float, *, tangents: int = 4, grid_points: int = 6501
) -> PiecewiseCost:
    """Convex function below the fuel cost on [0, limit]: a line through the origin, then tangents of the curve.

    The line has the slope of the cheapest kWh, min f(P) / P, at P*. Where P* is below the limit, `tangents` further
    slopes s follow, each with the largest intercept that stays below, min (f(P) - s P): the curve's own tangent. All
    minima are taken on a grid and lowered by the most that the curve can fall below its chords between the grid's
    points.

    Parameters
    ----------
    cost_per_h
        True cost per hour at P kW, elementwise, 0 at P = 0.
    limit_kw
        Largest power; 0 gives a single piece of width 0.

    Raises
    ------
    ValueError
        When the cost at 0 kW is not 0 or a cost is not finite.

    >>> estimate = convex_under_estimator(lambda p: np.sqrt(p), 4.0)
    >>> bool(abs(estimate.slope_per_kwh[0] - 0.5) < 1e-6), len(estimate.slope_per_kwh)
    (True, 1)
    """
    if limit_kw <= 0:
        return PiecewiseCost(width_kw=np.zeros(1), slope_per_kwh=np.zeros(1))
    power = np.linspace(0.0, limit_kw, grid_points)
    cost = np.asarray(cost_per_h(power), dtype=float)
    if not np.isfinite(cost).all() or abs(cost[0]) > 1e-12:
        raise ValueError(f"fuel cost must be finite and 0 at 0 kW, is {cost[0]:g} there")
    margin = _between_points(cost)
    average = (cost[1:] - margin) / power[1:]
    cheapest = 1 + int(np.argmin(np.round(average, 12)))
    points = (
        np.linspace(power[cheapest], limit_kw, tangents + 1)[1:]
        if cheapest < grid_points - 1
        else np.zeros(0)
    )
    gradient = np.gradient(cost, power)
    slopes = np.concatenate([[average[cheapest - 1]], np.interp(points, power, gradient)])
    slopes = np.unique(np.maximum.accumulate(slopes))
    intercepts = np.array([float(np.min(cost - margin - slope * power)) for slope in slopes])
    intercepts[0] = 0.0
    return _upper_hull(slopes, intercepts, limit_kw)


def _between_points(cost: FloatArray) -> float:
    """Most that a curve with these grid values may lie below its chords.

    That is an eighth of its largest second difference; half of it is taken, which also covers the first interval,
    where the line through the origin has no room.
    """
    bend = np.diff(cost, 2)
    return float(np.maximum(bend, 0.0).max(initial=0.0)) / 2 + 1e-12 * float(np.abs(cost).max())


def _upper_hull(slopes: FloatArray, intercepts: FloatArray, limit_kw: float) -> PiecewiseCost:
    """Maximum of affine pieces with increasing slopes, the first through the origin, as widths and slopes."""
    kept_slopes, edges = [float(slopes[0])], [0.0]
    kept_intercepts = [0.0]
    for slope, intercept in zip(slopes[1:], intercepts[1:], strict=True):
        while True:
            crossing = (kept_intercepts[-1] - intercept) / (slope - kept_slopes[-1])
            if crossing > edges[-1] or len(edges) == 1:
                break
            kept_slopes.pop(), kept_intercepts.pop(), edges.pop()
        if crossing < limit_kw:
            kept_slopes.append(float(slope))
            kept_intercepts.append(float(intercept))
            edges.append(max(float(crossing), 0.0))
    widths = np.diff([*edges, limit_kw])
    return PiecewiseCost(width_kw=widths, slope_per_kwh=np.array(kept_slopes))


def equal_pieces(cost_per_h: FuelCost, limit_kw: float, pieces: int) -> PiecewiseCost:
    """Chords of the fuel cost over equal widths, for programs with binaries (8 err by at most 1.4 per hour at 65 kW).

    >>> equal_pieces(lambda p: p**2, 2.0, 2).slope_per_kwh
    array([1., 3.])
    """
    edges = np.linspace(0.0, limit_kw, pieces + 1)
    width = np.diff(edges)
    slope = np.diff(np.asarray(cost_per_h(edges), dtype=float)) / np.where(width > 0, width, 1.0)
    return PiecewiseCost(width_kw=width, slope_per_kwh=slope)
