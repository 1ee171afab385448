"""Intervals for a mean from independent replications: Student's t, and the bootstrap. All pure."""

from __future__ import annotations

import warnings
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from sim.arrays import FloatArray

CONFIDENCE: Final = 0.95
"""Share of intervals that are to hold the true mean; the custom of the field (Law, Simulation Modeling, ch. 9)."""

N_RESAMPLES: Final = 9_999
"""Scipy's own choice; an end then moves by about 1.5 % of the half-width from one set of draws to another."""

FEWEST: Final = 3
"""Values below which resampling says nothing: two give three means, whatever the draws."""

_BATCH: Final = 1_000_000
"""Numbers drawn at a time, which bounds the memory (8 MB for each array of them)."""

_DIGITS: Final = 12
"""Of resampled means of values scaled to 1: equal means stay equal, whatever rounding the order of a sum brings."""


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


def bootstrap_interval(
    values: FloatArray,
    rng: np.random.Generator,
    confidence: float = CONFIDENCE,
    n_resamples: int = N_RESAMPLES,
) -> Interval:
    """Bootstrap interval of the mean, bias-corrected, accelerated and expanded, over the last axis.

    ``scipy.stats.bootstrap`` resamples replication numbers rather than values, so that all series share the draws and
    the means of all of them are one matrix product (BCa: Efron and Tibshirani 1993, eq. 14.9 to 14.15). Few values
    spread less than what they come from, and a plain interval from 20 covers 0.93 rather than 0.95: so the level is
    widened by :func:`expanded`, as ``CI.bca`` of R's package resample does.

    Parameters
    ----------
    values : ndarray, shape (..., n)
        Replications along the last axis. NaN ends where n < 3 or a value is not finite; equal values give an interval
        of no width.
    rng
        Of the resampling. The draws depend on it and on n alone.
    confidence
        Before it is expanded.
    n_resamples
        Of scipy's bootstrap.

    >>> values = np.array([[1.0, 2.0, 3.0, 9.0], [5.0, 5.0, 5.0, 5.0]])
    >>> low, high = bootstrap_interval(values, np.random.default_rng(1))
    >>> bool(1.0 <= low[0] < values[0].mean() < high[0] <= 9.0), float(low[1]), float(high[1])
    (True, 5.0, 5.0)
    """
    flat = values.reshape(-1, values.shape[-1])
    mean, _ = moments(flat)
    low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    if values.shape[-1] >= FEWEST:
        with np.errstate(invalid="ignore"):
            about = flat - flat[:, :1]
        size = np.abs(about).max(axis=1)
        constant, varied = size == 0.0, np.isfinite(mean) & (size > 0.0)
        low[constant] = high[constant] = flat[constant, 0]
        if varied.any():
            scaled = about[varied] / size[varied, None]
            ends = _bootstrap(scaled, rng, expanded(confidence, values.shape[-1]), n_resamples)
            low[varied], high[varied] = (flat[varied, 0] + end * size[varied] for end in ends)
    shape = values.shape[:-1]
    return Interval(low.reshape(shape), high.reshape(shape))


def expanded(confidence: float, n: int) -> float:
    """Level at which a bootstrap interval from n normal values is as wide as Student's.

    1 - 2 Phi(-sqrt(n / (n - 1)) t(n - 1, (1 + confidence) / 2))   (Hesterberg 2014, arXiv:1411.5279: the expanded
    percentile interval). Of three or four values it reaches to the least and the largest.

    >>> round(expanded(0.95, 20), 4), round(expanded(0.95, 1000), 4)
    (0.9682, 0.9504)
    """
    reach = t_factor(n, confidence) * (n / (n - 1)) ** 0.5
    return float(1.0 - 2.0 * special.ndtr(-reach))


def _bootstrap(
    values: FloatArray, rng: np.random.Generator, confidence: float, n_resamples: int
) -> tuple[FloatArray, FloatArray]:
    """Ends for each row of values, none of which is constant, the largest of each 1 in magnitude."""
    n = values.shape[1]

    def means(index: NDArray[np.int64], axis: int) -> FloatArray:  # axis: always the last
        """Mean of every series over each sample of replication numbers: what a sample repeats, it weighs."""
        samples = index.reshape(-1, index.shape[-1])
        places = samples + n * np.arange(len(samples))[:, None]
        weights = np.bincount(places.ravel(), minlength=n * len(samples)).reshape(len(samples), n)
        sums: FloatArray = values @ weights.T.astype(np.float64)
        found: FloatArray = np.round(sums / index.shape[-1], _DIGITS)
        return found.reshape(len(values), *index.shape[:-1])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # its ends are NaN, which says so
        result = stats.bootstrap(
            (np.arange(n),),
            means,
            vectorized=True,
            axis=-1,
            confidence_level=confidence,
            n_resamples=n_resamples,
            batch=max(1, _BATCH // n),
            method="BCa",
            rng=rng,
        )
    low, high = result.confidence_interval
    return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
