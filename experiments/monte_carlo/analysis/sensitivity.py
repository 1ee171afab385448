"""Global sensitivity of key figures to factors: variance shares of Sobol, elementary effects of Morris.

Both ask what a factor does to the *mean* of a figure over the complete replications of each cell: the chance of
fleets and weather, which is common to all cells, is averaged over, not counted as a factor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import sobol_indices

from experiments.monte_carlo.analysis.effect_table import effect_table
from experiments.monte_carlo.analysis.intervals import CONFIDENCE, moments, t_factor
from sim.arrays import FloatArray
from sim.randomness import Stream, generator

N_RESAMPLES: Final = 999
"""Of the bootstrap over points; as scipy.stats.sobol_indices has by default."""

_BATCH: Final = 4_000_000
_ENTITY: Final = 99  # of the resampling, apart from those that draw points


def sobol_table(policy: str, figures: Sequence[str], keys: Sequence[str], values: FloatArray) -> pd.DataFrame:
    """First and total order indices of each factor (Saltelli et al. 2010, by scipy.stats.sobol_indices).

    The first order is the share of the variance, over the whole ranges, that a factor brings by itself; the total
    order adds all its interactions. Their 95 % percentile intervals resample the points of the design: they hold
    what other points would have given, not what other replications would have.

    Parameters
    ----------
    values : ndarray, shape (n_replications, n_samples (n_factors + 2), n_figures)
        In the order of ``design.points.saltelli_points``.

    Returns
    -------
    DataFrame
        Kinds ``first order`` and ``total order``; NaN for a figure that no factor changes.
    """
    means = _cell_means(values)
    pages = means.reshape(len(keys) + 2, -1, len(figures))
    found = np.full((3, 2 * len(keys), len(figures)), np.nan)
    for figure in range(len(figures)):
        page = pages[..., figure]
        if np.isfinite(page).all() and np.ptp(page[:2]) > 0.0:
            found[..., figure] = _indices(page)
    labels = [(kind, key, "") for kind in ("first order", "total order") for key in keys]
    none = np.full_like(found[0], np.nan)
    return effect_table(policy, figures, labels, len(values), found[0], found[1], found[2], none)


def morris_table(
    policy: str,
    figures: Sequence[str],
    keys: Sequence[str],
    positions: FloatArray,
    values: FloatArray,
) -> pd.DataFrame:
    """Elementary effects of each factor, scaled to its whole range (Morris 1991; Campolongo et al. 2007).

    ``mu`` is their mean over trajectories and ``mu star`` the mean of their absolute values, with Student's 95 %
    intervals over trajectories; ``sigma`` their standard deviation: large where a factor acts in a curve or with
    others. The intervals hold what other trajectories would have given, not what other replications would have.

    Parameters
    ----------
    positions : ndarray, shape (n_trajectories (n_factors + 1), n_factors)
        Of the cells in their ranges; one factor moves at a time.
    values : ndarray, shape (n_replications, n_trajectories (n_factors + 1), n_figures)

    Returns
    -------
    DataFrame
        Kinds ``mu star``, ``mu`` and ``sigma``, in the figure's unit; no interval below 2 trajectories.
    """
    n_keys = len(keys)
    moves = np.diff(positions.reshape(-1, n_keys + 1, n_keys), axis=1)
    changes = np.diff(_cell_means(values).reshape(-1, n_keys + 1, len(figures)), axis=1)
    moved = np.abs(moves).argmax(axis=2)  # (n_trajectories, n_keys): which factor each step moves
    each = changes / np.take_along_axis(moves, moved[..., None], axis=2)
    by_key = np.take_along_axis(each, np.argsort(moved, axis=1)[..., None], axis=1)
    by_key = np.moveaxis(by_key, 0, -1)  # (n_keys, n_figures, n_trajectories)
    mu, sigma = moments(by_key)
    mu_star, deviation = moments(np.abs(by_key))
    half_star, half = (_half(by_key.shape[-1], sd) for sd in (deviation, sigma))
    none = np.full_like(mu, np.nan)
    return effect_table(
        policy,
        figures,
        [(kind, key, "") for kind in ("mu star", "mu", "sigma") for key in keys],
        len(values),
        np.vstack([mu_star, mu, sigma]),
        np.vstack([mu_star - half_star, mu - half, none]),
        np.vstack([mu_star + half_star, mu + half, none]),
        np.vstack([none, none, none]),
    )


def _cell_means(values: FloatArray) -> FloatArray:
    """Means over replications, apart from what all cells share: exactly 0 for a figure that none changes."""
    return np.asarray((values - values[:, :1]).mean(axis=0))


def _half(n: int, sd: FloatArray) -> FloatArray:
    return t_factor(n) * sd / np.sqrt(n) if n > 1 else np.full_like(sd, np.nan)


def _indices(page: FloatArray) -> FloatArray:
    """Indices and the ends of their intervals, shape (3, 2 n_factors); page of shape (n_factors + 2, n_samples)."""
    n_samples = page.shape[1]
    rng = generator(0, 0, Stream.DESIGN, _ENTITY, -1)  # the same resamples for all figures and policies
    estimate = _of_resamples(page, np.arange(n_samples)[None, :])[0]
    size = max(1, _BATCH // page.size)
    resampled = [
        _of_resamples(page, rng.integers(0, n_samples, (min(size, N_RESAMPLES - begin), n_samples)))
        for begin in range(0, N_RESAMPLES, size)
    ]
    tail = (1.0 - CONFIDENCE) / 2.0
    ends = np.quantile(np.concatenate(resampled), [tail, 1.0 - tail], axis=0)
    return np.vstack([estimate, ends])


def _of_resamples(page: FloatArray, chosen: NDArray[np.int64]) -> FloatArray:
    """Indices for several choices of points, as scipy takes several outputs; shape (n_choices, 2 n_factors)."""
    taken = page[:, chosen]
    found = sobol_indices(func={"f_A": taken[0], "f_B": taken[1], "f_AB": taken[2:]}, n=page.shape[1])
    shape = (len(chosen), -1)  # scipy drops the axis of a single output
    return np.hstack([np.reshape(found.first_order, shape), np.reshape(found.total_order, shape)])
