"""Hand-made uncertainty for tests: a forecast's quantiles and paths from errors drawn by one generator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sim.arrays import FloatArray
from sim.contracts import Forecast, Forecaster, Paths, Quantiles

LEVELS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])


def with_paths(
    forecast: Forecast,
    load_factors: FloatArray,
    supply_factors: FloatArray,
    probability: FloatArray | None = None,
) -> Forecast:
    """Forecast with one path per factor: loads and supplies times the factors, prices as they are."""
    n = len(load_factors)
    load, supply = np.reshape(load_factors, (n, -1, 1)), np.reshape(supply_factors, (n, -1, 1))
    same = np.ones((n, 1, 1))
    paths = Paths(
        probability=np.full(n, 1.0 / n) if probability is None else np.asarray(probability),
        load_kw=load * forecast.load_kw,
        pv_kw=supply * forecast.pv_kw,
        wind_kw=supply * forecast.wind_kw,
        buy_price_per_kwh=same * forecast.buy_price_per_kwh,
        sell_price_per_kwh=same * forecast.sell_price_per_kwh,
    )
    return replace(forecast, paths=paths)


def with_quantiles(forecast: Forecast, spread: float) -> Forecast:
    """Forecast with quantiles that rise by a share of the point per unit of level, the median being the point."""
    factor = 1.0 + spread * (LEVELS[:, None, None] - 0.5)
    quantiles = Quantiles(
        level=LEVELS,
        load_kw=factor * forecast.load_kw,
        pv_kw=factor * forecast.pv_kw,
        wind_kw=factor * forecast.wind_kw,
        buy_price_per_kwh=np.ones_like(factor) * forecast.buy_price_per_kwh,
    )
    return replace(forecast, quantiles=quantiles)


class Unsure:
    """A forecaster that adds quantiles and paths to another's forecasts.

    Parameters
    ----------
    inner
        The forecaster.
    n_paths
        Number of paths, with errors that persist from step to step.
    """

    def __init__(self, inner: Forecaster, n_paths: int) -> None:
        self._inner, self._n_paths = inner, n_paths
        self.kind = inner.kind

    def issue(self, now_s: int, n_steps: int) -> Forecast:
        """Issue the inner forecast with its uncertainty."""
        forecast = self._inner.issue(now_s, n_steps)
        rng = np.random.default_rng([now_s, self._n_paths])
        steps = rng.normal(0.0, 1.0, (2, self._n_paths, n_steps))
        errors = np.cumsum(steps, axis=2) / np.sqrt(1.0 + np.arange(n_steps))
        load, supply = 1.0 + 0.1 * errors[0], np.maximum(1.0 + 0.4 * errors[1], 0.0)
        return with_quantiles(with_paths(forecast, load, supply), 0.5)
