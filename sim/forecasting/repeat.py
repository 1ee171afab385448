"""Persistence and seasonal naive: the last day, or the last week, again."""

from __future__ import annotations

from typing import Final

import numpy as np

from sim.arrays import FloatArray, IntArray
from sim.clock import STEPS_PER_DAY, step_index
from sim.forecasting.errors import clock_quantiles, likeness_of, whole_days
from sim.forecasting.method import Likeness
from sim.forecasting.past import Past, repeated_steps
from sim.forecasting.quantities import PRICE, admissible, stacked
from sim.settlement import StepTruth

PERIOD_DAYS: Final = {"persistence": 1, "seasonal-naive": 7}


class RepeatMethod:
    """Expects each step as it was one period ago; its own past errors tell how sure it is.

    Parameters
    ----------
    past
        Measurements.
    kind
        ``persistence`` (a day) or ``seasonal-naive`` (a week).
    levels
        Of the quantiles, rising.
    history_days
        How far back errors are counted.
    """

    def __init__(self, past: Past, kind: str, levels: FloatArray, history_days: int) -> None:
        self.kind = kind
        self._past, self._levels = past, levels
        self._period_days, self._history_days = PERIOD_DAYS[kind], history_days
        self._errors_until: int | None = None
        self._offsets = np.empty(0)
        self._likeness: Likeness | None = None

    def expect(self, now_s: int, n_steps: int) -> StepTruth:
        """Repeat the last period over the steps from now on; published prices as they will be."""
        seen = self._past.window(repeated_steps(now_s, n_steps, self._period_days))
        prices = self._past.published_prices(step_index(now_s), n_steps)
        if prices is None:
            return seen
        return StepTruth(
            load_kw=seen.load_kw,
            pv_kw=seen.pv_kw,
            wind_kw=seen.wind_kw,
            buy_price_per_kwh=prices.buy_per_kwh,
            sell_price_per_kwh=prices.sell_per_kwh,
            curtailment_price_per_kwh=prices.curtailment_per_kwh,
        )

    def quantiles(self, now_s: int, n_steps: int) -> FloatArray:
        """Add quantiles of past errors at each clock time to what is expected; (L, 4, K, R)."""
        self._count_errors(step_index(now_s))
        clock = (step_index(now_s) + np.arange(n_steps)) % STEPS_PER_DAY
        offsets = self._offsets[:, :, clock].copy()
        if self._past.published_prices(step_index(now_s), n_steps) is not None:
            offsets[:, PRICE] = 0.0
        expected = stacked(self.expect(now_s, n_steps))
        return np.stack([admissible(expected + offset) for offset in offsets])

    def likeness(self, now_s: int) -> Likeness:
        """How errors up to the last midnight hang together."""
        self._count_errors(step_index(now_s))
        assert self._likeness is not None
        return self._likeness

    def _count_errors(self, step: int) -> None:
        """Once a day: the errors this method would have made up to the last midnight."""
        until = step // STEPS_PER_DAY * STEPS_PER_DAY
        if self._errors_until == until:
            return
        period = self._period_days * STEPS_PER_DAY
        first = max(self._past.first_step, until - self._history_days * STEPS_PER_DAY)
        steps: IntArray = np.arange(first, until, dtype=np.int64)
        values = stacked(self._past.window(steps))
        days = whole_days(values[:, period:] - values[:, :-period])
        self._offsets = clock_quantiles(days, self._levels)
        self._likeness = likeness_of(days)
        self._errors_until = until
