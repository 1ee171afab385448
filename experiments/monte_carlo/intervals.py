"""Intervals for a mean from independent replications: Student's t, and the bootstrap. All pure."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

FloatArray = NDArray[np.float64]

CONFIDENCE: Final = 0.95
"""Share of intervals that are to hold the true mean; the custom of the field (Law, Simulation Modeling, ch. 9)."""


class Interval(NamedTuple):
    """Ends of an interval, or of one for each series; NaN where there is none."""

    low: FloatArray
    high: FloatArray


def t_factor(n: int, confidence: float = CONFIDENCE) -> float:
    """Half-width of a t interval in standard errors of the mean, t(n - 1, (1 + confidence) / 2).

    >>> round(t_factor(20), 4)
    2.093
    """
    return float(special.stdtrit(n - 1, 0.5 + confidence / 2.0))


def moments(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation (n - 1 below the line) over the last axis.

    Taken about the first value, so that equal values have exactly themselves as mean and no deviation.

    Parameters
    ----------
    values : ndarray, shape (..., n)
        Replications along the last axis, n >= 1. A NaN or an infinity makes both figures NaN.

    Returns
    -------
    mean, sd : ndarray, shape (...)
        The standard deviation is NaN where n = 1.

    >>> mean, sd = moments(np.array([[1.0, 2.0, 3.0], [0.1, 0.1, 0.1]]))
    >>> mean.tolist(), sd.tolist()
    ([2.0, 0.1], [1.0, 0.0])
    """
    n = values.shape[-1]
    with np.errstate(invalid="ignore", over="ignore"):
        about = values - values[..., :1]
        mean = values[..., 0] + about.mean(axis=-1)
        sd = about.std(axis=-1, ddof=1) if n > 1 else np.full(values.shape[:-1], np.nan)
    finite = np.isfinite(mean)
    return np.where(finite, mean, np.nan), np.where(finite, sd, np.nan)


def t_interval(values: FloatArray, confidence: float = CONFIDENCE) -> Interval:
    """Student's interval of the mean, mean -+ t(n - 1) sd / sqrt(n), over the last axis.

    Exact for normal values, close for the mean of many others.

    Parameters
    ----------
    values : ndarray, shape (..., n)
        Replications along the last axis. NaN ends where n < 2 or a value is not finite; equal values give an interval
        of no width.

    >>> low, high = t_interval(np.array([1.0, 2.0, 3.0]))
    >>> round(float(low), 3), round(float(high), 3)
    (-0.484, 4.484)
    """
    mean, sd = moments(values)
    n = values.shape[-1]
    half = sd * (t_factor(n, confidence) / np.sqrt(n)) if n > 1 else np.full_like(sd, np.nan)
    return Interval(mean - half, mean + half)
