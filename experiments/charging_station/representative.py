"""Few days that stand for a year: k-medoids of its days' profiles (FasterPAM), with two days of extremes kept."""

from __future__ import annotations

from dataclasses import dataclass

import kmedoids
import numpy as np
from scipy.spatial.distance import cdist

from experiments.charging_station.instance import Year
from sim.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Representatives:
    """Numbers of days, and how many days of the year each stands for; arrays (k,)."""

    days: IntArray
    weights: FloatArray


def representatives(year: Year, k: int, days_a_year: float = 365.0) -> Representatives:
    """Days of a year.

    The day on which sun exceeds the building most and the day of the building's largest load are chosen, and each
    stands for the days that are nearer to it than to any of the k - 2 medoids of the others.

    Parameters
    ----------
    k
        How many; at least 2.
    days_a_year
        What the weights add up to.
    """
    profiles = _profiles(year)
    surplus = np.maximum(year.pv_kw - year.building_kw, 0.0).sum(axis=1)
    extremes = np.unique([int(surplus.argmax()), int(year.building_kw.max(axis=1).argmax())])
    distance = cdist(profiles, profiles)
    others = np.setdiff1d(np.arange(len(profiles)), extremes)
    n_medoids = k - len(extremes)
    medoids = np.empty(0, dtype=np.int64)
    if n_medoids > 0:
        found = kmedoids.fasterpam(
            distance[np.ix_(others, others)], n_medoids, init="build", random_state=0, n_cpu=1
        )
        medoids = others[np.asarray(found.medoids, dtype=np.int64)]
    chosen = np.sort(np.concatenate([extremes, medoids]))
    nearest = distance[:, chosen].argmin(axis=1)
    counts = np.bincount(nearest, minlength=len(chosen)).astype(np.float64)
    return Representatives(days=chosen, weights=counts * days_a_year / counts.sum())


def _profiles(year: Year) -> FloatArray:
    """Building, sun, price and emissions by hours, each with unit variance over the year; (D, columns)."""
    parts = []
    for values in (year.building_kw, year.pv_kw, year.buy_per_kwh):
        hourly = values.reshape(len(values), 24, -1).mean(axis=2)
        spread = float(hourly.std())
        parts.append(hourly / spread if spread > 0.0 else hourly * 0.0)
    return np.concatenate(parts, axis=1)
