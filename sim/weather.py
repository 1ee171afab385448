"""Wind speeds drawn per region: Weibull, with persistence in time and correlation between regions.

A stationary AR(1) of standard normals per region, whose innovations share a common factor, is mapped to
Weibull speeds through a Gaussian copula. Every day of every region draws its own block of normals, so that a
longer run does not change earlier days and a further region does not change the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
from scipy.special import log_ndtr

from sim.arrays import FloatArray
from sim.clock import STEPS_PER_DAY
from sim.randomness import Stream, generator

COMMON_ENTITY: Final = 0  # of the factor shared by all regions; a region's own part is its index + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WindLaw:
    """Law of one region's wind: Weibull, persistent from step to step and correlated between regions."""

    scale_m_s: float
    shape: float
    persistence: float
    correlation: float


def normals(seed: int, replication: int, entity: int, n_days: int) -> FloatArray:
    """Independent standard normals of one entity from day -1 on, shape (n_days * 96,)."""
    days = range(-1, n_days - 1)
    blocks = [
        generator(seed, replication, Stream.WEATHER, entity, day).standard_normal(STEPS_PER_DAY)
        for day in days
    ]
    return np.concatenate(blocks) if blocks else np.empty(0)


def past_normals(seed: int, replication: int, entity: int, days_before: int) -> FloatArray:
    """Independent standard normals of one entity before day -1, latest step first; shape (days_before * 96,)."""
    blocks = [
        generator(seed, replication, Stream.WEATHER_PAST, entity, day).standard_normal(STEPS_PER_DAY)
        for day in range(days_before)
    ]
    return np.concatenate(blocks) if blocks else np.empty(0)


def autoregressive(innovations: FloatArray, persistence: float) -> FloatArray:
    """Stationary AR(1) of unit variance: z[0] = e[0], z[k] = a z[k-1] + sqrt(1 - a^2) e[k].

    >>> autoregressive(np.array([1.0, 0.0, 1.0]), 0.6)
    array([1.  , 0.6 , 1.16])
    """
    gain = np.sqrt(1.0 - persistence**2)
    inputs = gain * innovations
    inputs[:1] = innovations[:1]
    # scipy.signal has this filter too, but loading it takes longer than a year of weather in plain Python.
    return np.array(list(accumulate(inputs.tolist(), lambda z, e: persistence * z + e)), dtype=np.float64)


def weibull_m_s(standard_normal: FloatArray, scale_m_s: float, shape: float) -> FloatArray:
    """Weibull speeds with the ranks of standard normals: v = scale (-ln(1 - Phi(z)))^(1/shape).

    >>> weibull_m_s(np.array([0.0]), 4.8, 3.5).round(4)   # the median, 4.8 (ln 2)^(1/3.5)
    array([4.3228])
    """
    return np.asarray(scale_m_s * (-log_ndtr(-standard_normal)) ** (1.0 / shape), dtype=np.float64)


def wind_speeds_m_s(
    law: WindLaw, *, seed: int, replication: int, region_index: int, n_days: int, days_before: int = 0
) -> FloatArray:
    """Wind speeds of one region from day -1 on (or from further back), one per step.

    What lies before day -1 is drawn backward from its first step: a stationary Gaussian AR(1), also of several
    regions with one coefficient, has the same law either way in time, z[k-1] = a z[k] + sqrt(1 - a^2) e. So a
    longer past changes nothing that is later.

    Parameters
    ----------
    law
        Weibull law, persistence per step and correlation between regions (of equal law).
    seed, replication
        Of the run.
    region_index
        The region's place in the scenario.
    n_days
        Days to draw, the first being day -1.
    days_before
        Further days, before day -1.

    Returns
    -------
    ndarray, shape ((days_before + n_days) * 96,)
        Speeds [m/s].
    """
    own = region_index + 1
    innovations = _shared(
        law,
        normals(seed, replication, COMMON_ENTITY, n_days),
        normals(seed, replication, own, n_days),
    )
    z = autoregressive(innovations, law.persistence)
    past = _shared(
        law,
        past_normals(seed, replication, COMMON_ENTITY, days_before),
        past_normals(seed, replication, own, days_before),
    )
    backward = autoregressive(np.concatenate([z[:1], past]), law.persistence)[1:]
    return weibull_m_s(np.concatenate([backward[::-1], z]), law.scale_m_s, law.shape)


def _shared(law: WindLaw, common: FloatArray, own: FloatArray) -> FloatArray:
    """Innovations of a region: its own part and the one it shares with the others."""
    return np.asarray(np.sqrt(law.correlation) * common + np.sqrt(1.0 - law.correlation) * own)
