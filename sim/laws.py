"""Truncated probability laws, applied to whole arrays of uniforms by inverse CDF.

A truncated law is the conditional law between its bounds, which is what drawing again until the value fits
would give, but with one uniform each: ``F^-1(F(a) + u (F(b) - F(a)))``. Where the interval lies in the upper
tail the survival function takes the CDF's place, so that no digits are lost.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from sim.contracts import FloatArray
from sim.errors import ScenarioError
from sim.scenario import Law

_FAMILIES: Final[dict[str, Any]] = {
    "gamma": stats.gamma,
    "lognorm": stats.lognorm,
    "genextreme": stats.genextreme,
    "weibull_min": stats.weibull_min,
    "norm": stats.norm,
    "expon": stats.expon,
    "uniform": stats.uniform,
}
_LEAST_UNIFORM: Final = 2.0**-54  # a uniform of exactly 0 would be minus infinity under an unbounded law


def quantile(law: Law, uniforms: ArrayLike) -> FloatArray:
    """Values of a truncated law at given uniforms.

    Parameters
    ----------
    law
        Family, parameters and truncation; ``constant`` gives its ``loc``.
    uniforms
        Any shape, in [0, 1).

    Returns
    -------
    ndarray
        Of the uniforms' shape, within the truncation.

    Raises
    ------
    ScenarioError
        When the law has no probability within its truncation.

    >>> quantile(Law(family="uniform", loc=0, scale=10, low=4, high=6), [0.0, 0.5]).tolist()
    [4.0, 5.0]
    >>> quantile(Law(family="constant", loc=7.5), [0.1, 0.9]).tolist()
    [7.5, 7.5]
    """
    u = np.maximum(np.asarray(uniforms, dtype=np.float64), _LEAST_UNIFORM)
    if law.family == "constant":
        return np.full(u.shape, law.loc)
    frozen = _frozen(law)
    low = -np.inf if law.low is None else law.low
    high = np.inf if law.high is None else law.high
    if frozen.cdf(low) > 0.5:
        start, end = frozen.sf(low), frozen.sf(high)
        values = frozen.isf(start + u * (end - start))
    else:
        start, end = frozen.cdf(low), frozen.cdf(high)
        values = frozen.ppf(start + u * (end - start))
    if not abs(end - start) > 0.0:
        raise ScenarioError([f"law {law.family}: no probability between {low:g} and {high:g}"])
    clipped: FloatArray = np.clip(values, low, high)  # the inverse may miss a bound by its last digit
    return clipped


def truncated_normal(
    uniforms: ArrayLike, mean: ArrayLike, sd: ArrayLike, low: ArrayLike, high: ArrayLike
) -> FloatArray:
    """Values of normal laws, each conditional on an interval of its own.

    An interval that is empty, or so far out that it holds no probability in double precision, gives the bound
    nearest to the mean (its ``high`` where ``low`` exceeds it), so that the result is defined for every
    input.

    Parameters
    ----------
    uniforms, mean, sd, low, high
        Broadcast against each other; ``sd`` positive, ``low < high`` for a law.

    >>> truncated_normal(0.5, 0.0, 1.0, -1.0, 1.0).item()
    0.0
    >>> truncated_normal(0.5, 0.0, 1.0, [2.0, -3.0, 60.0], [1.0, -2.9, 61.0]).round(3).tolist()
    [1.0, -2.946, 60.0]
    """
    u, mu, sigma, a, b = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (uniforms, mean, sd, low, high))
    )
    start, end = (a - mu) / sigma, (b - mu) / sigma
    mirrored = start > 0.0  # in the upper tail, take the mirror image in the lower one
    start, end = np.where(mirrored, -end, start), np.where(mirrored, -start, end)
    share = np.maximum(np.where(mirrored, 1.0 - u, u), _LEAST_UNIFORM)
    mass_below, mass = special.ndtr(start), special.ndtr(end) - special.ndtr(start)
    z = special.ndtri(np.where(mass > 0.0, mass_below + share * mass, 0.5))
    values = mu + sigma * np.where(mirrored, -z, z)
    nearest = np.minimum(np.maximum(mu, a), b)
    result: FloatArray = np.minimum(np.maximum(np.where(mass > 0.0, values, nearest), a), b)
    return result


def _frozen(law: Law) -> Any:
    shape = () if law.shape is None else (law.shape,)
    return _FAMILIES[law.family](*shape, loc=law.loc, scale=law.scale)
