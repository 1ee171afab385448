"""Means with their intervals of what is paired by replication; shared by the study's tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from experiments.monte_carlo.analysis.intervals import moments, t_interval

COLUMNS = ("mean", "ci_low", "ci_high", "sd", "n")


def mean_row(values: pd.Series[float]) -> pd.Series[float]:
    """Mean, Student's 95 % interval, standard deviation and count.

    >>> mean_row(pd.Series([1.0, 2.0, 3.0])).round(3).tolist()
    [2.0, -0.484, 4.484, 1.0, 3.0]
    """
    array = np.asarray(values, dtype=np.float64)
    mean, sd = moments(array)
    low, high = t_interval(array)
    return pd.Series(
        [float(mean), float(low), float(high), float(sd), float(len(array))], index=list(COLUMNS)
    )


def means_by(frame: pd.DataFrame, keys: Sequence[str], value: str) -> pd.DataFrame:
    """`mean_row` of a column within each group, a row per group in order of first appearance."""
    rows = [
        {**dict(zip(keys, key, strict=True)), **mean_row(group[value]).to_dict()}
        for key, group in frame.groupby(list(keys), sort=False)
    ]
    return pd.DataFrame(rows, columns=[*keys, *COLUMNS])


def paired(
    frame: pd.DataFrame, by: str, minuend: str, subtrahend: str, value: str, keys: Sequence[str]
) -> pd.DataFrame:
    """Differences of a value between two levels of a column, paired by the keys.

    Returns
    -------
    DataFrame
        The keys and ``difference``; pairs of which one is missing are left out.

    >>> frame = pd.DataFrame({"policy": ["a", "b"], "replication": [0, 0], "cost": [5.0, 3.0]})
    >>> paired(frame, "policy", "b", "a", "cost", ["replication"])["difference"].tolist()
    [-2.0]
    """
    one, other = (frame[frame[by] == level].set_index(list(keys))[value] for level in (minuend, subtrahend))
    difference = (one - other).dropna().rename("difference")
    return difference.reset_index()
