"""What the learner sees of the past, for instants (origins) and steps ahead (leads); pure, no peeking.

A feature for origin ``o`` uses values before ``o`` only. Arrays of values are (n, R), row 0 being any midnight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.arrays import FloatArray, IntArray, freeze
from sim.clock import STEPS_PER_DAY

WEEK: Final = 7 * STEPS_PER_DAY
CLOCK_DAYS: Final = 14  # days whose values at the same clock time are looked at
_HOUR: Final = 4
OF_LIFE: Final = tuple(range(15))
"""Columns for what follows the week of people: loads and prices."""
OF_WEATHER: Final = (0, 1, 3, 4, 7, 8, 9, 11, 12, 13)
"""Columns for PV and wind: no weekday, nothing of the same weekday, no region; chance would be learned."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Features (n_rows, F), the value they are to be added to, and the region of each row."""

    features: FloatArray
    base: FloatArray
    target: IntArray  # row of the values that is forecast

    def __post_init__(self) -> None:
        freeze(self)


def rows_of(values: FloatArray, origin: IntArray, lead: IntArray, first_day: int) -> Rows:
    """Rows for each pair of origin and lead, region by region within each pair.

    Parameters
    ----------
    values : ndarray, shape (n, R)
        Scaled to a mean of about 1 per region, so that regions can share one model.
    origin, lead : ndarray, shape (n_pairs,)
        The first step that is not over, and steps from there on (0: that step).
    first_day
        Weekday of row 0, Monday = 0.
    """
    n_regions = values.shape[1]
    target = origin + lead
    clock, day = target % STEPS_PER_DAY, target // STEPS_PER_DAY
    days_back = lead // STEPS_PER_DAY + 1  # the latest day whose value at this clock time is over
    same = target[:, None] - STEPS_PER_DAY * (days_back[:, None] + np.arange(CLOCK_DAYS))
    at_clock = _values(values, same)  # (n_pairs, CLOCK_DAYS, R)
    weeks_back = lead // WEEK + 1
    a_week, two_weeks = (_values(values, target - WEEK * (weeks_back + n)) for n in (0, 1))
    last = _values(values, origin - 1)
    last_hour, hour_yesterday = _mean(values, origin, _HOUR), _mean(values, origin - STEPS_PER_DAY, _HOUR)
    last_day = _mean(values, origin, STEPS_PER_DAY)
    hour_last_week = _mean(values, origin - WEEK, _HOUR)
    with np.errstate(invalid="ignore"):
        mean_at_clock = np.nanmean(at_clock[:, :7], axis=1)
        most_at_clock = np.fmax.reduce(at_clock, axis=1)
    shared = [lead, clock, (first_day + day) % 7]
    own = [
        at_clock[:, 0],
        at_clock[:, 1],
        a_week,
        two_weeks,
        last,
        last_hour,
        last_hour - hour_yesterday,
        last_hour - hour_last_week,
        last_day,
        mean_at_clock,
        most_at_clock,
    ]
    wide = np.stack([np.repeat(column[:, None].astype(float), n_regions, axis=1) for column in shared] + own)
    region = np.broadcast_to(np.arange(n_regions, dtype=float), last.shape)
    features = np.concatenate([wide, region[None]]).reshape(len(wide) + 1, -1).T
    return Rows(features=features, base=mean_at_clock.ravel(), target=target)


def _values(values: FloatArray, rows: IntArray) -> FloatArray:
    """Values at rows, nan before the first."""
    return np.where((rows >= 0)[..., None], values[np.maximum(rows, 0)], np.nan)


def _mean(values: FloatArray, end: IntArray, length: int) -> FloatArray:
    """Mean of the ``length`` rows before ``end``, nan where they are not all there."""
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    begin = end - length
    mean = (total[np.maximum(end, 0)] - total[np.maximum(begin, 0)]) / length
    return np.where((begin >= 0)[:, None], mean, np.nan)
