"""The forecast quantities as one array (Q, n, R): load, PV, wind and buying price, in this order."""

from __future__ import annotations

from typing import Final

import numpy as np

from sim.arrays import FloatArray
from sim.settlement import StepTruth

LOAD, PV, WIND, PRICE = range(4)
NAMES: Final = ("load_kw", "pv_kw", "wind_kw", "buy_price_per_kwh")
LEAST: Final = np.array([0.0, 0.0, 0.0, -np.inf])  # powers are not negative; prices may be


def stacked(window: StepTruth) -> FloatArray:
    """Arrays (n, R) of a window as one array (4, n, R)."""
    return np.stack([getattr(window, name) for name in NAMES])


def admissible(values: FloatArray) -> FloatArray:
    """Values (4, ...) with powers not below 0.

    >>> admissible(np.array([[-1.0], [2.0], [0.0], [-0.1]])).tolist()
    [[0.0], [2.0], [0.0], [-0.1]]
    """
    least = LEAST.reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(np.maximum(values, least), dtype=np.float64)
