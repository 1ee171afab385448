"""Gradient-boosted trees for one quantity: training and prediction, the same on any number of threads."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from threadpoolctl import ThreadpoolController

from sim.arrays import FloatArray, IntArray
from sim.clock import STEPS_PER_DAY
from sim.forecasting.features import WEEK, rows_of
from sim.scenario import Learner

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

_WARM_UP: Final = WEEK  # steps before the first origin
_ERROR_ORIGIN_STEP: Final = 96 + 17  # other clock times, and days, from one to the next


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """Models of one quantity: of the mean, and of each quantile's distance from what is usual."""

    scale: FloatArray  # (R,)
    columns: tuple[int, ...]  # of the features that are used
    mean: HistGradientBoostingRegressor
    quantiles: tuple[HistGradientBoostingRegressor, ...]

    def predict(self, values: FloatArray, n_steps: int, weekday: int) -> FloatArray:
        """Mean and quantiles (1 + L, K, R) for the steps that follow on ``values`` (n, R)."""
        lead = np.arange(n_steps, dtype=np.int64)
        origin = np.full_like(lead, len(values))
        rows = rows_of(values / self.scale, origin, lead, weekday)
        models = (self.mean, *self.quantiles)
        features = rows.features[:, self.columns]
        found = np.stack([rows.base + model.predict(features) for model in models])
        found[1:] = np.sort(found[1:], axis=0)
        return np.asarray(found.reshape(len(models), n_steps, -1) * self.scale)


def train(
    values: FloatArray,
    weekday: int,
    settings: Learner,
    levels: tuple[float, ...],
    horizon: int,
    columns: tuple[int, ...],
) -> Trained:
    """Learn from everything in ``values`` (n, R), which must be over.

    Origins are ``settings.origin_step`` apart, leads ``settings.lead_step``, beginning at another lead for each
    origin, so that all leads and clock times occur.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor  # noqa: PLC0415  other commands start without it

    magnitude = np.abs(values).mean(axis=0)
    scale = np.where(magnitude > 0.0, magnitude, 1.0)
    origin, lead = pairs(len(values), settings, horizon)
    scaled = values / scale
    rows = rows_of(scaled, origin, lead, weekday)
    features = rows.features[:, columns]
    wanted = scaled[rows.target].ravel() - rows.base

    def fitted(loss: str, level: float | None) -> HistGradientBoostingRegressor:
        model = HistGradientBoostingRegressor(
            loss=loss,
            quantile=level,
            max_iter=settings.iterations,
            max_leaf_nodes=settings.leaf_nodes,
            min_samples_leaf=settings.min_samples_leaf,
            learning_rate=settings.learning_rate,
            early_stopping=False,
            random_state=0,
        )
        return model.fit(features, wanted)

    with one_thread():
        return Trained(
            scale=scale,
            columns=columns,
            mean=fitted("squared_error", None),
            quantiles=tuple(fitted("quantile", level) for level in levels),
        )


def in_sample_errors(model: Trained | None, values: FloatArray, weekday: int, horizon: int) -> FloatArray:
    """Errors (origins, K, R) of the mean on days it was trained on: small, but they hang together as others do."""
    origins = np.arange(_WARM_UP, len(values) - horizon + 1, _ERROR_ORIGIN_STEP, dtype=np.int64)
    shape = (len(origins), horizon, values.shape[1])
    if model is None:
        return np.zeros(shape)
    origin = np.repeat(origins, horizon)
    lead = np.tile(np.arange(horizon, dtype=np.int64), len(origins))
    scaled = values / model.scale
    rows = rows_of(scaled, origin, lead, weekday)
    expected = rows.base + model.mean.predict(rows.features[:, model.columns])
    return np.asarray((scaled[rows.target].ravel() - expected).reshape(shape))


def pairs(n_values: int, settings: Learner, horizon: int) -> tuple[IntArray, IntArray]:
    """Origins and leads to train from, whose targets all lie within the values."""
    origins = np.arange(_WARM_UP, n_values, settings.origin_step, dtype=np.int64)
    leads = np.arange(0, horizon, settings.lead_step, dtype=np.int64)
    phase = np.arange(len(origins)) % settings.lead_step
    origin, lead = np.repeat(origins, len(leads)), (phase[:, None] + leads).ravel()
    kept = (origin + lead < n_values) & (lead < horizon)
    return origin[kept], lead[kept]


@lru_cache(maxsize=1)
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """Keep OpenMP to one thread: sums do not depend on its number, and short predictions do not wait for it."""
    import sklearn.ensemble  # noqa: F401, PLC0415  so that its OpenMP is there to be limited

    limited: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="openmp")
    return limited


def day_start(step: int) -> int:
    """First step of the day that holds a step."""
    return step // STEPS_PER_DAY * STEPS_PER_DAY
