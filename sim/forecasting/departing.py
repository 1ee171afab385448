"""What a kWh that drives away is worth: the best price that its car is expected to meet within a day."""

from __future__ import annotations

import numpy as np

from sim.arrays import FloatArray, IntArray
from sim.clock import STEP_S, STEPS_PER_DAY
from sim.contracts import ChainStatistics
from sim.forecasting.cars import seconds_ahead


class DepartingPrices:
    """Expected best buying price at the later plugged stops of a kWh that drives away.

    Parameters
    ----------
    statistics
        Virtual departures of a week with their later stops.
    first_weekday
        Of day 0.
    least_per_kwh
        What lambda implies, lambda over the discharge efficiency.
    """

    def __init__(self, statistics: ChainStatistics, first_weekday: int, least_per_kwh: float) -> None:
        self._statistics, self._first_weekday, self._least = statistics, first_weekday, least_per_kwh

    def price(self, now_s: int, buy_per_kwh: FloatArray) -> FloatArray:
        """Prices (K, R) for departures in each step and region; never below ``least_per_kwh``.

        Prices beyond the horizon are taken to be those of the last forecast day.
        """
        s = self._statistics
        n_steps, n_regions = buy_per_kwh.shape
        ahead_s = seconds_ahead(s.departs_s, now_s - 1, self._first_weekday) - 1  # a departure now counts
        is_within = ahead_s < n_steps * STEP_S
        chosen = np.flatnonzero(is_within)
        of = np.flatnonzero(is_within[s.stop_departure_index])
        begin = (ahead_s[s.stop_departure_index[of]] + s.stop_begin_s[of]) // STEP_S
        end = -(-(ahead_s[s.stop_departure_index[of]] + s.stop_end_s[of]) // STEP_S)
        highest = best_between(_prolonged(buy_per_kwh), begin, end, s.stop_region_index[of])
        best = np.full(len(ahead_s), self._least)
        np.maximum.at(best, s.stop_departure_index[of], highest)
        step, region = ahead_s[chosen] // STEP_S, s.departs_region_index[chosen]
        return np.maximum(
            _smoothed(best[chosen], step, region, (n_steps, n_regions), self._least), self._least
        )


def best_between(price: FloatArray, begin: IntArray, end: IntArray, region: IntArray) -> FloatArray:
    """Highest price of steps [begin, end) in a region, by a table of maxima over powers of two.

    >>> best_between(np.array([[1.0], [5.0], [2.0]]), np.array([1, 2]), np.array([3, 3]), np.array([0, 0]))
    array([5., 2.])
    """
    length = np.maximum(end - begin, 1)
    tables = [price]
    while (width := 1 << (len(tables) - 1)) * 2 <= len(price):
        last = tables[-1]
        tables.append(np.maximum(last, np.concatenate([last[width:], last[-width:]])))
    power = np.minimum(np.log2(length).astype(np.int64), len(tables) - 1)
    stack = np.stack(tables)
    return np.asarray(
        np.maximum(stack[power, begin, region], stack[power, begin + length - (1 << power), region])
    )


def _prolonged(price: FloatArray) -> FloatArray:
    """Prices and two more days like the last day (or the part of one that there is)."""
    last = price[-STEPS_PER_DAY:]
    return np.concatenate([price, *[last] * (1 + 2 * STEPS_PER_DAY // len(last))])


def _smoothed(
    best: FloatArray, step: IntArray, region: IntArray, shape: tuple[int, int], otherwise: float
) -> FloatArray:
    """Mean by step (an hour either side) and region; of the whole region where nobody leaves then."""
    n_steps, n_regions = shape
    cell = step * n_regions + region
    count, total = (
        np.bincount(cell, weights=values, minlength=n_steps * n_regions).reshape(shape).astype(np.float64)
        for values in (np.ones(len(cell)), best)
    )
    all_n, all_total = count.sum(axis=0), total.sum(axis=0)
    mean = np.where(all_n > 0, all_total / np.maximum(all_n, 1), otherwise)
    near_n, near_total = _moving_sum(count), _moving_sum(total)
    return np.where(near_n > 0, near_total / np.maximum(near_n, 1), mean)


def _moving_sum(values: FloatArray) -> FloatArray:
    half = 4  # steps, an hour
    padded = np.concatenate(
        [np.zeros((half + 1, values.shape[1])), values, np.zeros((half, values.shape[1]))]
    )
    total = np.cumsum(padded, axis=0)
    return np.asarray(total[2 * half + 1 :] - total[: -2 * half - 1])
