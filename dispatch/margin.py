"""The exact rolling program on a cautious forecast: quantiles of the weather, margins for drivers who err."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dispatch.options import DispatchOptions
from dispatch.rolling_horizon import RollingHorizon
from sim.arrays import FloatArray
from sim.contracts import Cars, Forecast, Schedule, Site, Snapshot
from sim.errors import ForecastLacksError, PolicyError


class Margin:
    """Receding horizon with quantile margins: more load, less sun and wind than expected, earlier and needier cars.

    Parameters
    ----------
    options
        The scenario's `dispatch` part: `margin_level`, `departure_margin_min`, `required_margin_soc`.
    """

    name = "margin"
    needs_own_chain = False
    charges_on_arrival = False

    def __init__(self, options: DispatchOptions) -> None:
        self._options = options
        self._rolling = RollingHorizon(options, self.name)
        self._step_s = 0

    def start(self, site: Site) -> None:
        """Start the rolling program cold."""
        self._step_s = site.step_s
        self._rolling.start(site)

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Set-points of the rolling program for the cautious view of the same situation.

        Raises
        ------
        PolicyError
            When the forecast carries no quantiles, or none on both sides of the level.
        """
        options = self._options
        cars = needier(snapshot.cars, options.required_margin_soc)
        cars = earlier(cars, snapshot.now_s, self._step_s, 60.0 * options.departure_margin_min)
        return self._rolling.decide(replace(snapshot, cars=cars), cautious(forecast, options.margin_level))


def cautious(forecast: Forecast, level: float) -> Forecast:
    """Forecast with load at a quantile level, PV and wind at 1 less it, prices at the point.

    Raises
    ------
    PolicyError
        When the forecast carries no quantiles, or none on both sides of a level.
    """
    quantiles = forecast.quantiles
    if quantiles is None:
        raise ForecastLacksError("margin", "quantiles")
    return replace(
        forecast,
        load_kw=at_level(quantiles.level, quantiles.load_kw, level),
        pv_kw=at_level(quantiles.level, quantiles.pv_kw, 1.0 - level),
        wind_kw=at_level(quantiles.level, quantiles.wind_kw, 1.0 - level),
    )


def at_level(levels: FloatArray, values: FloatArray, level: float) -> FloatArray:
    """Quantile at a level, linear between the levels issued.

    Parameters
    ----------
    levels : ndarray, shape (Q,)
        Rising.
    values : ndarray, shape (Q, ...)
        Quantiles at these levels.

    Raises
    ------
    PolicyError
        When the level lies outside the levels issued: nothing is known there.

    >>> at_level(np.array([0.1, 0.5, 0.9]), np.array([[1.0], [2.0], [4.0]]), 0.6).tolist()
    [2.5]
    """
    if not levels[0] - 1e-9 <= level <= levels[-1] + 1e-9:
        raise PolicyError(
            f"policy margin: level {level:g} (dispatch.margin_level, or 1 less it) lies outside the quantiles issued, "
            f"{levels[0]:g} to {levels[-1]:g}"
        )
    position = np.interp(level, levels, np.arange(len(levels)))
    below, share = int(position), position % 1.0
    above = min(below + 1, len(levels) - 1)
    between: FloatArray = values[below] + share * (values[above] - values[below])
    return between


def earlier(cars: Cars, now_s: int, step_s: int, margin_s: float) -> Cars:
    """Cars whose declared departures are that much earlier, none moved before the next boundary."""
    soonest = np.minimum(cars.departure_s, now_s + step_s)
    departure = np.maximum(cars.departure_s - round(margin_s), soonest)
    return replace(cars, departure_s=np.where(cars.is_plugged, departure, cars.departure_s))


def needier(cars: Cars, margin_soc: float) -> Cars:
    """Cars that need more at departure, by a share of what their battery may be used for and no more than it holds."""
    margin = margin_soc * (cars.energy_max_kwh - cars.energy_min_kwh)
    required = np.maximum(np.minimum(cars.required_kwh + margin, cars.energy_max_kwh), cars.required_kwh)
    return replace(cars, required_kwh=np.where(cars.is_plugged, required, cars.required_kwh))
