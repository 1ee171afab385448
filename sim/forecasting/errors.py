"""Statistics of past errors: quantiles by clock time, persistence from step to step, common part; pure."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import ndtri

from sim.arrays import FloatArray
from sim.clock import STEPS_PER_DAY
from sim.forecasting.method import Likeness

NEIGHBOURS: Final = (
    2  # steps either side that are counted with a clock time: a quantile needs more than 28 values
)


def whole_days(values: FloatArray) -> FloatArray:
    """Series (4, n, R) that ends at midnight as its last whole days, (4, D, 96, R)."""
    n_days = values.shape[1] // STEPS_PER_DAY
    return values[:, values.shape[1] - n_days * STEPS_PER_DAY :].reshape(
        len(values), n_days, STEPS_PER_DAY, values.shape[2]
    )


def clock_quantiles(errors: FloatArray, levels: FloatArray) -> FloatArray:
    """Empirical quantiles of errors (4, D, 96, R) by clock time, with their neighbours; (L, 4, 96, R).

    >>> errors = np.tile(np.arange(5.0)[:, None, None], (4, 1, 96, 1)).reshape(4, 5, 96, 1)
    >>> clock_quantiles(errors, np.array([0.5]))[0, 0, :2, 0]
    array([2., 2.])
    """
    shifts = range(-NEIGHBOURS, NEIGHBOURS + 1)
    pooled = np.concatenate([np.roll(errors, shift, axis=2) for shift in shifts], axis=1)
    return np.asarray(np.quantile(pooled, levels, axis=1))


def normal_scores(errors: FloatArray) -> FloatArray:
    """Ranks over the days as standard normals, per quantity, clock time and region; nan where all are equal."""
    n_days = errors.shape[1]
    rank = errors.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    scores = ndtri((rank + 0.5) / n_days)
    return np.where(np.ptp(errors, axis=1, keepdims=True) > 0.0, scores, np.nan)


def likeness_of(errors: FloatArray) -> Likeness:
    """Persistence and common part of errors (4, D, 96, R), by their normal scores."""
    scores = normal_scores(errors)
    flat = scores.reshape(len(scores), -1, scores.shape[3])
    persistence = np.array([_correlation(z[:-1], z[1:]) for z in flat])
    return Likeness(
        persistence=np.clip(persistence, 0.0, 0.999),
        correlation=np.clip([_between_regions(z) for z in flat], 0.0, 1.0),
    )


def _between_regions(scores: FloatArray) -> float:
    """Mean correlation over the pairs of regions; 0 for one region."""
    one, other = np.triu_indices(scores.shape[1], 1)
    return _correlation(scores[:, one], scores[:, other])


def _correlation(one: FloatArray, other: FloatArray) -> float:
    """Correlation about 0 of the pairs that are both there; 0 where there is none."""
    both = np.isfinite(one) & np.isfinite(other)
    a, b = one[both], other[both]
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0.0 else 0.0
