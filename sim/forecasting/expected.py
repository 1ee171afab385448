"""Stays to come as a forecast has them, whichever forecaster speaks; pure."""

from __future__ import annotations

import numpy as np

from sim.arrays import FloatArray
from sim.clock import STEP_S
from sim.contracts import Forecast, Trips


def expected_stays(forecast: Forecast) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Plugged stays to come as a forecast has them: number and energy arriving, least energy leaving.

    A stay counts at its first whole boundary and in the step of its departure, whichever forecaster speaks.
    Under true trips the energy arriving depends on the dispatch: its lower bound is given, the trip's
    required energy less what the trip takes. Stays that have begun by now are not among them.

    Returns
    -------
    arrivals_n, arrivals_kwh, leaving_kwh : ndarray, shape (K, R)
    """
    if forecast.stores is not None:
        stores = forecast.stores
        return stores.arriving_n, stores.arriving_kwh, stores.leaving_min_kwh
    shape = forecast.load_kw.shape
    if forecast.trips is None:
        return np.zeros(shape), np.zeros(shape), np.zeros(shape)
    return _stays_between(forecast.trips, forecast.now_s, shape)


def _stays_between(
    trips: Trips, now_s: int, shape: tuple[int, ...]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Stays that begin with a true trip and end with the same car's next one (or after the horizon)."""
    arrivals_n, arrivals_kwh, leaving_kwh = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    follows = np.zeros(len(trips.vehicle_index), dtype=np.bool_)
    follows[:-1] = trips.vehicle_index[1:] == trips.vehicle_index[:-1]
    beyond_s = now_s + (shape[0] + 1) * STEP_S
    leaves_s = np.where(follows, np.roll(trips.depart_s, -1), beyond_s)
    first = -(-(trips.arrive_s - now_s) // STEP_S)
    last = -(-(leaves_s - now_s) // STEP_S) - 1
    counted = trips.is_plugged & (first <= last) & (first < shape[0])
    at = (first[counted], trips.region_index[counted])
    np.add.at(arrivals_n, at, 1.0)
    np.add.at(arrivals_kwh, at, (trips.required_kwh - trips.energy_kwh)[counted])
    ends = counted & (last < shape[0])
    at = (last[ends], trips.region_index[ends])
    np.add.at(leaving_kwh, at, np.roll(trips.required_kwh, -1)[ends])
    return arrivals_n, arrivals_kwh, leaving_kwh
