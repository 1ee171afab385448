"""Forecasts learned from the past: gradient-boosted trees per quantity, trained again every few days."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Final
from weakref import ReferenceType, ref

import numpy as np

from sim.arrays import FloatArray, IntArray
from sim.clock import STEPS_PER_DAY, step_index
from sim.forecasting.errors import likeness_of
from sim.forecasting.features import CLOCK_DAYS, OF_LIFE, OF_WEATHER
from sim.forecasting.learner import Trained, day_start, in_sample_errors, one_thread, train
from sim.forecasting.method import Likeness, PriceRule
from sim.forecasting.past import Past
from sim.forecasting.quantities import LOAD, PRICE, PV, WIND, admissible, stacked
from sim.scenario import Learner
from sim.settlement import StepTruth

COLUMNS: Final = {LOAD: OF_LIFE, PV: OF_WEATHER, WIND: OF_WEATHER, PRICE: OF_LIFE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What one training learns from; equal lessons of a process are learned once.

    Its measurements are held weakly: whoever asks has them, and a remembered lesson need not keep them.
    """

    values: ReferenceType[FloatArray] = field(compare=False)  # (n, R)
    digest: str  # of the values
    weekday: int  # of its first row
    columns: tuple[int, ...]
    settings: Learner
    levels: tuple[float, ...]
    horizon: int

    def __hash__(self) -> int:
        return hash((self.digest, self.levels, self.horizon))


@lru_cache(maxsize=256)
def learned(lesson: Lesson) -> Trained:
    """Train, or remember: several policies on the same days share their trainings."""
    values = lesson.values()
    assert values is not None
    return train(values, lesson.weekday, lesson.settings, lesson.levels, lesson.horizon, lesson.columns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Models:
    """Models of all quantities; none where a quantity has always been 0 or is published."""

    of: tuple[Trained | None, ...]
    likeness: Likeness
    trained_at: int


class LearnedMethod:
    """Trees per quantity; the mean is the point forecast, for a plan's costs are nearly linear.

    Parameters
    ----------
    past
        Measurements.
    settings
        Of the learner.
    levels
        Of the quantiles, rising; empty: none are learned.
    history_days
        Days before each training that are learned from.
    horizon
        Largest number of steps ahead.
    start
        Day 0.
    price_rule
        Where prices are a series.
    """

    kind = "learned"

    def __init__(
        self,
        past: Past,
        settings: Learner,
        levels: tuple[float, ...],
        *,
        history_days: int,
        horizon: int,
        start: date,
        price_rule: PriceRule | None,
    ) -> None:
        self._past, self._settings, self._levels = past, settings, levels
        self._history_days, self._horizon, self._start = history_days, horizon, start
        self._price_rule = price_rule
        self._models: _Models | None = None
        self._issued: tuple[int, int] | None = None
        self._predicted = np.empty(0)

    def expect(self, now_s: int, n_steps: int) -> StepTruth:
        """Expected means of the steps from now on; published prices as they will be."""
        means = self._predict(now_s, n_steps)[0]
        published = self._past.published_prices(step_index(now_s), n_steps)
        if published is not None:
            buy, sell = published.buy_per_kwh, published.sell_per_kwh
            curtailment = published.curtailment_per_kwh
        else:
            assert self._price_rule is not None
            buy = means[PRICE]
            sell = self._price_rule.sell_per_kwh(buy)
            curtailment = np.full_like(buy, self._price_rule.curtailment_per_kwh)
        return StepTruth(
            load_kw=means[LOAD],
            pv_kw=means[PV],
            wind_kw=means[WIND],
            buy_price_per_kwh=buy,
            sell_price_per_kwh=sell,
            curtailment_price_per_kwh=curtailment,
        )

    def quantiles(self, now_s: int, n_steps: int) -> FloatArray:
        """Learned quantiles, (L, 4, K, R); published prices are certain."""
        found = self._predict(now_s, n_steps)[1:].copy()
        published = self._past.published_prices(step_index(now_s), n_steps)
        if published is not None:
            found[:, PRICE] = published.buy_per_kwh
        return found

    def likeness(self, now_s: int) -> Likeness:
        """How errors of the training days hang together."""
        return self._trained(step_index(now_s)).likeness

    def _predict(self, now_s: int, n_steps: int) -> FloatArray:
        """Means and quantiles (1 + L, 4, K, R)."""
        if self._issued != (now_s, n_steps):
            with one_thread():
                self._predicted = self._predict_anew(now_s, n_steps)
            self._issued = (now_s, n_steps)
        return self._predicted

    def _predict_anew(self, now_s: int, n_steps: int) -> FloatArray:
        step = step_index(now_s)
        models = self._trained(step)
        first = max(day_start(step) - (CLOCK_DAYS + 1) * STEPS_PER_DAY, self._past.first_step)
        values, weekday = self._measured(first, step), self._weekday(first)
        parts = [
            np.zeros((1 + len(self._levels), n_steps, self._past.n_regions))
            if model is None
            else model.predict(series, n_steps, weekday)
            for model, series in zip(models.of, values, strict=True)
        ]
        parts[PV] = np.where(_is_dark(values[PV], n_steps), 0.0, parts[PV])
        return np.stack([admissible(level) for level in np.stack(parts, axis=1)])

    def _trained(self, step: int) -> _Models:
        age = None if self._models is None else step - self._models.trained_at
        if self._models is None or age is None or age >= self._settings.retrain_days * STEPS_PER_DAY:
            self._models = self._train(step)
        return self._models

    def _train(self, step: int) -> _Models:
        first = max(day_start(step) - self._history_days * STEPS_PER_DAY, self._past.first_step)
        values, weekday = self._measured(first, step), self._weekday(first)
        models, errors = [], []
        n_published = PRICE if self._past.published_prices(step, 1) is not None else len(values)
        for index, series in enumerate(values):
            model = None
            if index < n_published and series.any():
                model = learned(self._lesson(series, weekday, COLUMNS[index]))
            models.append(model)
            errors.append(in_sample_errors(model, series, weekday, self._horizon))
        return _Models(of=tuple(models), likeness=likeness_of(np.stack(errors)), trained_at=step)

    def _lesson(self, series: FloatArray, weekday: int, columns: tuple[int, ...]) -> Lesson:
        return Lesson(
            values=ref(series),
            digest=hashlib.sha256(np.ascontiguousarray(series).tobytes()).hexdigest(),
            weekday=weekday,
            columns=columns,
            settings=self._settings,
            levels=self._levels,
            horizon=self._horizon,
        )

    def _measured(self, first: int, step: int) -> FloatArray:
        steps: IntArray = np.arange(first, step, dtype=np.int64)
        return stacked(self._past.window(steps))

    def _weekday(self, first: int) -> int:
        return (self._start.weekday() + first // STEPS_PER_DAY) % 7


def _is_dark(pv_kw: FloatArray, n_steps: int) -> FloatArray:
    """Whether a clock time ahead, (K, R), has had no sun on any day of ``pv_kw``, whose row 0 is a midnight."""
    n, n_regions = pv_kw.shape
    padded = np.zeros((-(-n // STEPS_PER_DAY) * STEPS_PER_DAY, n_regions))
    padded[:n] = pv_kw
    dark = padded.reshape(-1, STEPS_PER_DAY, n_regions).max(axis=0) <= 0.0
    return np.asarray(dark[(n + np.arange(n_steps)) % STEPS_PER_DAY])
