"""How good forecasts are: errors, pinball loss, coverage; pure."""

from __future__ import annotations

import numpy as np

from sim.arrays import FloatArray


def mean_absolute_error(actual: FloatArray, forecast: FloatArray) -> float:
    """Mean absolute error.

    >>> mean_absolute_error(np.array([1.0, 2.0]), np.array([2.0, 4.0]))
    1.5
    """
    return float(np.abs(actual - forecast).mean())


def root_mean_square_error(actual: FloatArray, forecast: FloatArray) -> float:
    """Root of the mean square error.

    >>> root_mean_square_error(np.array([0.0, 0.0]), np.array([3.0, -3.0]))
    3.0
    """
    return float(np.sqrt(np.square(actual - forecast).mean()))


def naive_error(history: FloatArray, period: int) -> FloatArray:
    """Mean absolute error of repeating the last period within the history (n, R), per region.

    >>> naive_error(np.array([[1.0], [2.0], [4.0]]), 1)
    array([1.5])
    """
    return np.asarray(np.abs(history[period:] - history[:-period]).mean(axis=0), dtype=np.float64)


def mean_absolute_scaled_error(actual: FloatArray, forecast: FloatArray, scale: FloatArray) -> float:
    """Mean absolute error (..., R) in units of a naive forecast's error in the past (R,); nan where that is 0.

    Hyndman and Koehler 2006, Eq. for MASE, with a seasonal naive forecast.

    >>> mean_absolute_scaled_error(np.array([[2.0]]), np.array([[5.0]]), np.array([1.5]))
    2.0
    """
    known = np.where(scale > 0.0, scale, np.nan)
    return float((np.abs(actual - forecast) / known).mean())


def pinball_loss(actual: FloatArray, quantiles: FloatArray, levels: FloatArray) -> float:
    """Mean over levels and values of max(tau (y - q), (tau - 1) (y - q)); quantiles (L, ...), actual (...).

    >>> pinball_loss(np.array([1.0]), np.array([[0.0], [3.0]]), np.array([0.25, 0.75]))
    0.375
    """
    tau = levels.reshape(-1, *[1] * actual.ndim)
    error = actual - quantiles
    return float(np.maximum(tau * error, (tau - 1.0) * error).mean())


def coverage(actual: FloatArray, quantile: FloatArray) -> float:
    """Share of values that are not above the quantile: its level, where the forecast is calibrated.

    >>> coverage(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])).__round__(3)
    0.667
    """
    return float((actual <= quantile).mean())
