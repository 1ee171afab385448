"""Truncated probability laws, applied to whole arrays of uniforms by inverse CDF.

A truncated law is the conditional law between its bounds, which is what drawing again until the value fits
would give, but with one uniform each: ``F^-1(F(a) + u (F(b) - F(a)))``. Where the interval lies in the upper
tail the survival function takes the CDF's place, so that no digits are lost.

The families and their parameters are those of scipy.stats, written out with scipy.special, which loads many
times faster; a test holds them against scipy.stats.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from sim.arrays import FloatArray
from sim.errors import ScenarioError
from sim.scenario import Law


class _Family(NamedTuple):
    """A standard law (location 0, scale 1): each function takes a value or probability, and the shape."""

    cdf: Callable[[Any, Any], Any]
    sf: Callable[[Any, Any], Any]
    ppf: Callable[[Any, Any], Any]
    isf: Callable[[Any, Any], Any]


def _gev_log_t(z: Any, c: Any) -> Any:
    """Logarithm of t in the generalised extreme value law F = exp(-t), t = (1 - c z)^(1 / c)."""
    return -z if c == 0.0 else np.log(np.maximum(1.0 - c * z, 0.0)) / c


def _gev_value(log_t: Any, c: Any) -> Any:
    return -log_t if c == 0.0 else -np.expm1(c * log_t) / c


_FAMILIES: Final[dict[str, _Family]] = {
    "gamma": _Family(
        cdf=lambda z, a: special.gammainc(a, np.maximum(z, 0.0)),
        sf=lambda z, a: special.gammaincc(a, np.maximum(z, 0.0)),
        ppf=lambda p, a: special.gammaincinv(a, p),
        isf=lambda q, a: special.gammainccinv(a, q),
    ),
    "lognorm": _Family(
        cdf=lambda z, s: special.ndtr(np.log(np.maximum(z, 0.0)) / s),
        sf=lambda z, s: special.ndtr(-np.log(np.maximum(z, 0.0)) / s),
        ppf=lambda p, s: np.exp(s * special.ndtri(p)),
        isf=lambda q, s: np.exp(-s * special.ndtri(q)),
    ),
    "genextreme": _Family(
        cdf=lambda z, c: np.exp(-np.exp(_gev_log_t(z, c))),
        sf=lambda z, c: -np.expm1(-np.exp(_gev_log_t(z, c))),
        ppf=lambda p, c: _gev_value(np.log(-np.log(p)), c),
        isf=lambda q, c: _gev_value(np.log(-np.log1p(-q)), c),
    ),
    "weibull_min": _Family(
        cdf=lambda z, c: -np.expm1(-(np.maximum(z, 0.0) ** c)),
        sf=lambda z, c: np.exp(-(np.maximum(z, 0.0) ** c)),
        ppf=lambda p, c: (-np.log1p(-p)) ** (1.0 / c),
        isf=lambda q, c: (-np.log(q)) ** (1.0 / c),
    ),
    "norm": _Family(
        cdf=lambda z, _: special.ndtr(z),
        sf=lambda z, _: special.ndtr(-z),
        ppf=lambda p, _: special.ndtri(p),
        isf=lambda q, _: -special.ndtri(q),
    ),
    "expon": _Family(
        cdf=lambda z, _: -np.expm1(-np.maximum(z, 0.0)),
        sf=lambda z, _: np.exp(-np.maximum(z, 0.0)),
        ppf=lambda p, _: -np.log1p(-p),
        isf=lambda q, _: -np.log(q),
    ),
    "uniform": _Family(
        cdf=lambda z, _: np.clip(z, 0.0, 1.0),
        sf=lambda z, _: 1.0 - np.clip(z, 0.0, 1.0),
        ppf=lambda p, _: p,
        isf=lambda q, _: 1.0 - q,
    ),
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
    family = _FAMILIES[law.family]
    low = -np.inf if law.low is None else law.low
    high = np.inf if law.high is None else law.high
    with np.errstate(divide="ignore", over="ignore"):  # the infinities are meant
        ends = [(end - law.loc) / law.scale for end in (low, high)]
        is_upper = family.cdf(ends[0], law.shape) > 0.5
        probability, inverse = (family.sf, family.isf) if is_upper else (family.cdf, family.ppf)
        start, end = (float(probability(z, law.shape)) for z in ends)
        values = law.loc + law.scale * inverse(start + u * (end - start), law.shape)
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
