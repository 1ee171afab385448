"""What the results of a study say: means with intervals, paired differences, convergence, odd replications. All pure.

Results are a frame with a row per cell, policy and replication, and a column per key figure. Sums are taken in the
order of replication numbers, so no figure here depends on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special
from threadpoolctl import threadpool_limits

from experiments.monte_carlo.analysis.intervals import (
    CONFIDENCE,
    bootstrap_interval,
    moments,
    t_interval,
)
from sim.arrays import FloatArray
from sim.randomness import Stream, generator

KEYS: Final = ["cell", "policy", "replication"]

QUANTILES: Final = {"min": 0.0, "q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}

ESTIMATE: Final = ["n", "mean", "sd", "ci_low", "ci_high", "boot_low", "boot_high", "n_alike"]

MAD_TO_SD: Final = 1.4826
"""Standard deviation over median absolute deviation of the normal law, 1 / Phi^-1(3/4)."""

MEAN_AD_TO_SD: Final = 1.2533
"""The same over the mean absolute deviation, sqrt(pi / 2)."""

ROUNDING: Final = 1e-9
"""Differences below it, of a figure or its share, are the arithmetic's and not a replication's."""


class Convergence(NamedTuple):
    """Running mean and ends of its interval after n replications."""

    n: NDArray[np.int64]
    mean: FloatArray
    low: FloatArray
    high: FloatArray


def summary(results: pd.DataFrame, figures: Sequence[str], seed: int) -> pd.DataFrame:
    """Estimates and quantiles of every figure by cell and policy.

    Parameters
    ----------
    results
        Of the study; its policies come in the order of their first row.
    figures
        Columns to sum up.
    seed
        Of the study; with a cell's number it keys the resampling.

    Returns
    -------
    DataFrame
        ``cell``, ``policy``, ``figure``; ``n``, ``mean``, ``sd`` (n - 1 below the line), 95 % interval of the mean by
        Student (``ci_low``, ``ci_high``) and by the bootstrap (``boot_low``, ``boot_high``); ``n_alike``: in how many
        the value is the median (to 1e-9 of it or of 1); where most are alike, both intervals rest on the few others
        and cover too little; ``min`` to ``max`` with quantiles between (linear between order statistics: Hyndman and
        Fan 1996, type 7). NaN where there are too few
        values or one is not finite.
    """
    tables = []
    with threadpool_limits(limits=1):  # the same bits on any number of cores
        for (cell, policy), group in _groups(results):
            values = _values(group, figures)
            with np.errstate(invalid="ignore"):
                quantiles = np.quantile(values, list(QUANTILES.values()), axis=1)
            table = pd.DataFrame({"cell": cell, "policy": policy, "figure": list(figures)})
            table[ESTIMATE] = _estimates(values, seed, cell)
            table[list(QUANTILES)] = quantiles.T
            tables.append(table)
    return _stacked(tables, ["cell", "policy", "figure", *ESTIMATE, *QUANTILES])


def differences(
    results: pd.DataFrame, figures: Sequence[str], policies: Sequence[str], seed: int
) -> pd.DataFrame:
    """Paired differences between policies: each later one minus each earlier one, by cell and figure.

    Both policies meet the same travel and weather in a replication, so that what these do to both cancels.

    Parameters
    ----------
    results, figures, seed
        As for :func:`summary`.
    policies
        In the study's order.

    Returns
    -------
    DataFrame
        ``cell``, ``policy``, ``minus``, ``figure``; the estimates of :func:`summary` of ``policy - minus`` over the
        replications that both have (none: no row); ``n_below``: in how many ``policy`` is below; and
        ``variance_removed``: 1 - var(a - b) / (var a + var b), which pairing takes away from two independent samples
        (NaN where neither varies).
    """
    groups = dict(_groups(results))
    pairs = [
        (cell, policy, minus)
        for cell in sorted({cell for cell, _ in groups})
        for minus, policy in combinations(policies, 2)
        if (cell, minus) in groups and (cell, policy) in groups
    ]
    tables = []
    with threadpool_limits(limits=1):
        for cell, policy, minus in pairs:
            table = _difference(groups[cell, policy], groups[cell, minus], figures, seed, cell)
            tables.append(table.assign(cell=cell, policy=policy, minus=minus))
    names = ["cell", "policy", "minus", "figure", *ESTIMATE, "n_below", "variance_removed"]
    return _stacked(tables, names)


def convergence(values: FloatArray, confidence: float = CONFIDENCE) -> Convergence:
    """Interval of the mean after 1, 2, .. n replications, for plots.

    Parameters
    ----------
    values : ndarray, shape (..., n)
        In the order of replication numbers, along the last axis. The first ends are NaN.

    >>> found = convergence(np.array([1.0, 2.0, 3.0]))
    >>> found.mean.tolist(), found.high.round(3).tolist()
    ([1.0, 1.5, 2.0], [nan, 7.853, 4.484])
    """
    n = np.arange(1, values.shape[-1] + 1)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        about = values - values[..., :1]  # near the mean, so that the squares lose no digits
        sums, squares = about.cumsum(axis=-1), (about**2).cumsum(axis=-1)
        variance = np.maximum(squares - sums**2 / n, 0.0) / (n - 1)
        half = special.stdtrit(n - 1, 0.5 + confidence / 2.0) * np.sqrt(variance / n)
        mean = values[..., :1] + sums / n
        return Convergence(n, mean, mean - half, mean + half)


def strangest(results: pd.DataFrame, figures: Sequence[str], n: int = 10) -> pd.DataFrame:
    """Replications that lie farthest from the others, each by the figure, cell and policy where it does so most.

    The distance is a robust score within cell and policy, |x - median| / (1.4826 MAD); where more than half of the
    values are equal and the MAD is 0, |x - median| / (1.2533 mean absolute deviation) (Iglewicz and Hoaglin 1993, How
    to detect and handle outliers). A value that is not finite is infinitely far.

    Returns
    -------
    DataFrame
        ``cell``, ``policy``, ``replication``, ``figure``, ``value``, ``median`` (of its cell and policy), ``z``; at
        most n rows, the strangest first, a replication number once.
    """
    tables = []
    for (cell, policy), group in _groups(results):
        values = _values(group, figures)
        median, scores = _scores(values)
        worst = scores.argmax(axis=0)
        table = pd.DataFrame({"cell": cell, "policy": policy, "replication": group["replication"].to_numpy()})
        table["figure"] = np.asarray(figures, dtype=object)[worst]
        table["value"] = values[worst, np.arange(values.shape[1])]
        table["median"] = median[worst]
        table["z"] = scores.max(axis=0)
        tables.append(table[table["z"] > 0.0])
    found = _stacked(tables, [*KEYS, "figure", "value", "median", "z"])
    ordered = found.sort_values(["z", *KEYS], ascending=[False, True, True, True])
    return ordered.drop_duplicates("replication").head(n).reset_index(drop=True)


def slowest(results: pd.DataFrame, n: int = 10) -> pd.DataFrame:
    """Runs that took longest: ``cell``, ``policy``, ``replication``, ``wall_seconds``, at most n rows.

    >>> slowest(pd.DataFrame({"cell": 0, "policy": "a", "replication": [0, 1], "wall_seconds": [1.0, 3.0]}), 1)
       cell policy  replication  wall_seconds
    0     0      a            1           3.0
    """
    ordered = results.sort_values(["wall_seconds", *KEYS], ascending=[False, True, True, True])
    return ordered[[*KEYS, "wall_seconds"]].head(n).reset_index(drop=True)


def _groups(results: pd.DataFrame) -> Iterator[tuple[tuple[int, str], pd.DataFrame]]:
    """Rows of each cell and policy by replication; cells in order, policies as they first come."""
    policies = [str(policy) for policy in results["policy"].unique()]
    for cell in sorted(int(cell) for cell in results["cell"].unique()):
        rows = results[results["cell"] == cell]
        for policy in policies:
            group = rows[rows["policy"] == policy]
            if not group.empty:
                yield (cell, policy), group.sort_values("replication")


def _difference(
    first: pd.DataFrame, second: pd.DataFrame, figures: Sequence[str], seed: int, cell: int
) -> pd.DataFrame:
    """Rows of ``first - second``; none when no replication has both."""
    both = first.merge(second, on="replication", validate="one_to_one", suffixes=("", " of the other"))
    if both.empty:
        return pd.DataFrame()
    a, b = _values(both, figures), _values(both, [f"{figure} of the other" for figure in figures])
    with np.errstate(invalid="ignore"):
        values = a - b
    table = pd.DataFrame({"figure": list(figures)})
    table[ESTIMATE] = _estimates(values, seed, cell)
    table["n_below"] = (values < 0.0).sum(axis=1)
    table["variance_removed"] = _variance_removed(a, b)
    return table


def _values(group: pd.DataFrame, figures: Sequence[str]) -> FloatArray:
    """Figures of a group, shape (n_figures, n_replications)."""
    return np.ascontiguousarray(group[list(figures)].to_numpy(np.float64).T)


def _estimates(values: FloatArray, seed: int, cell: int) -> pd.DataFrame:
    """Columns ESTIMATE of each row of values; all of a cell are resampled by the same draws."""
    mean, sd = moments(values)
    rng = generator(seed, 0, Stream.BOOTSTRAP, cell, -1)
    ends = [*t_interval(values), *bootstrap_interval(values, rng)]
    n_alike = (_distance(values, np.median(values, axis=1)) == 0.0).sum(axis=1)
    return pd.DataFrame(dict(zip(ESTIMATE, [values.shape[1], mean, sd, *ends, n_alike], strict=True)))


def _variance_removed(a: FloatArray, b: FloatArray) -> FloatArray:
    variances = [moments(values)[1] ** 2 for values in (a - b, a, b)]
    with np.errstate(invalid="ignore", divide="ignore"):
        share: FloatArray = 1.0 - variances[0] / (variances[1] + variances[2])
    return np.where(variances[1] + variances[2] > 0.0, share, np.nan)


def _scores(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Median of each row and robust score of each value, shapes (n_figures,) and (n_figures, n)."""
    finite = np.isfinite(values)
    known = np.where(finite, values, np.nan)
    known[~finite.any(axis=1)] = 0.0  # no row without a number: its median would warn
    median = np.nanmedian(known, axis=1)
    distance = _distance(known, median)
    spread = MAD_TO_SD * np.nanmedian(distance, axis=1)
    spread = np.where(spread > 0.0, spread, MEAN_AD_TO_SD * np.nanmean(distance, axis=1))
    scores = distance / np.where(spread > 0.0, spread, 1.0)[:, None]
    return median, np.where(finite, scores, np.inf)


def _distance(values: FloatArray, median: FloatArray) -> FloatArray:
    """Distance of each value to its row's median, 0 where it is rounding."""
    with np.errstate(invalid="ignore"):
        distance: FloatArray = np.abs(values - median[:, None])
        distance[distance <= ROUNDING * np.maximum(1.0, np.abs(median))[:, None]] = 0.0
    return distance


def _stacked(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    whole = [table for table in tables if not table.empty]
    return pd.concat(whole, ignore_index=True)[columns] if whole else pd.DataFrame(columns=columns)
