"""Bins of a histogram: round widths, the same for all policies of a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sim.arrays import FloatArray

MOST_BINS: Final = 60
"""In a chart: more are hairlines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Bins of equal width; bin 0 begins at ``first * width``."""

    first: int
    n: int
    width: float

    def data(self, values: FloatArray) -> list[Any]:
        """Index of the first filled bin, width, and the counts from there to the last filled one."""
        finite = values[np.isfinite(values)]
        if not len(finite):
            return [0, self.width, []]
        places = np.clip(np.floor(finite / self.width).astype(np.int64) - self.first, 0, self.n - 1)
        counts = np.bincount(places, minlength=self.n)
        filled = np.flatnonzero(counts)
        return [self.first + int(filled[0]), self.width, counts[filled[0] : filled[-1] + 1].tolist()]


def bins_of(series: Sequence[FloatArray]) -> Bins | None:
    """Bins for values that are drawn together; none where all are equal, or there are fewer than two.

    The width is the narrowest that one of the series asks for, 2 IQR n^(-1/3) (Freedman and Diaconis 1981) or an eighth
    of its span, taken to the nearest of 1, 2 or 5 times a power of ten; 1 where all values are whole and close.

    >>> bins_of([np.array([0.0, 1.0, 2.0, 3.0])])
    Bins(first=0, n=4, width=1.0)
    """
    known = [values[np.isfinite(values)] for values in series]
    every = np.concatenate([np.array([]), *known])
    if len(every) < 2 or not _differ(float(every.min()), float(every.max())):
        return None
    low, high = float(every.min()), float(every.max())
    wanted = [width for values in known if (width := _wanted(values)) > 0.0]
    width = min(wanted, default=high - low)
    if np.all(every == np.round(every)) and high - low < MOST_BINS:
        width = 1.0
    width = _nearest(width)
    if (high - low) / width > MOST_BINS:
        width = _next((high - low) / MOST_BINS)
    first = math.floor(low / width)
    return Bins(first=first, n=math.floor(high / width) - first + 1, width=width)


def _differ(low: float, high: float) -> bool:
    """Whether two values differ by more than arithmetic leaves between equal ones."""
    return high - low > 1e-9 * max(abs(low), abs(high), 1e-3)


def _wanted(values: FloatArray) -> float:
    if len(values) < 2:
        return 0.0
    low, high = np.quantile(values, [0.25, 0.75])
    eighth = float(np.ptp(values)) / 8.0
    width = 2.0 * float(high - low) / len(values) ** (1 / 3)
    return min(width, eighth) if width > 0.0 else eighth


def _nearest(width: float) -> float:
    """Nearest of 1, 2, 5 times a power of ten, by ratio.

    >>> _nearest(0.03), _nearest(1.0), _nearest(800.0)
    (0.02, 1.0, 1000.0)
    """
    return min(_round_widths(width), key=lambda step: abs(math.log(step / width)))


def _next(width: float) -> float:
    """Next of 1, 2, 5 times a power of ten.

    >>> _next(0.03), _next(1.0), _next(700.0)
    (0.05, 1.0, 1000.0)
    """
    return next(step for step in _round_widths(width) if step >= width * (1 - 1e-9))


def _round_widths(width: float) -> list[float]:
    """1, 2, 5, 10 times the power of ten at or below."""
    scale = 10.0 ** math.floor(math.log10(width))
    return [float(f"{step * scale:.6g}") for step in (1, 2, 5, 10)]
