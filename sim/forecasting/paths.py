"""Joint paths by a Gaussian copula over steps and regions, through the marginal quantiles."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from sim.arrays import FloatArray
from sim.forecasting.method import Likeness
from sim.forecasting.quantities import admissible
from sim.randomness import Stream, generator


def copula_normals(
    likeness: Likeness, *, seed: int, replication: int, step: int, n_paths: int, n_steps: int, n_regions: int
) -> FloatArray:
    """Standard normals (4, S, K, R): AR(1) along steps, one part common to all regions.

    Paths come in pairs of opposite sign; an odd number holds the median path (zeros) besides, and its pairs are
    stretched by ``sqrt(S / (S - 1))``. So over the paths the mean of each normal is 0 and its expected square is 1,
    but for one path alone, which is the median. The draws depend on nothing but seed, replication, the step of the
    decision and the shape.
    """
    n_pairs = n_paths // 2
    rng = generator(seed, replication, Stream.FORECAST, 0, step)
    drawn = rng.standard_normal((n_steps, 4, n_pairs, n_regions + 1))
    common = likeness.correlation[:, None, None]
    innovations = np.sqrt(common) * drawn[..., :1] + np.sqrt(1.0 - common) * drawn[..., 1:]
    persistence = likeness.persistence[:, None, None]
    z = np.empty_like(innovations)
    z[0] = innovations[0]
    for k in range(1, n_steps):
        z[k] = persistence * z[k - 1] + np.sqrt(1.0 - persistence**2) * innovations[k]
    if n_paths % 2:
        median = np.zeros((n_steps, 4, 1, n_regions))
        stretch = np.sqrt(n_paths / max(n_paths - 1, 1))
        paths = np.concatenate([median, stretch * z, -stretch * z], axis=2)
    else:
        paths = np.concatenate([z, -z], axis=2)
    return np.moveaxis(paths, 0, 2)


def through_quantiles(normals: FloatArray, quantiles: FloatArray, levels: FloatArray) -> FloatArray:
    """Values with the ranks of normals: straight lines between quantiles, prolonged beyond the outermost.

    Parameters
    ----------
    normals : ndarray, shape (4, S, K, R)
    quantiles : ndarray, shape (L, 4, K, R)
    levels : ndarray, shape (L,), L >= 2

    Returns
    -------
    ndarray, shape (4, S, K, R)
        Powers not below 0.

    >>> q = np.zeros((2, 4, 1, 1)); q[1] = 2.0
    >>> through_quantiles(np.zeros((4, 1, 1, 1)), q, np.array([0.25, 0.75]))[0].item()
    1.0
    """
    knots = ndtri(levels)
    left = np.clip(np.searchsorted(knots, normals) - 1, 0, len(knots) - 2)
    low = np.take_along_axis(quantiles[:, :, None], left[None], axis=0)[0]
    high = np.take_along_axis(quantiles[:, :, None], left[None] + 1, axis=0)[0]
    share = (normals - knots[left]) / (knots[left + 1] - knots[left])
    return admissible(low + share * (high - low))
