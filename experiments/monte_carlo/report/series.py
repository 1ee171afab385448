"""What a study's page draws values of: its policies, and their paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

Numbers = list[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """What has a value in each replication of a cell: a policy, or one policy minus another."""

    policy: str
    minus: str | None = None

    @property
    def label(self) -> str:
        """Words for it."""
        return self.policy if self.minus is None else f"{self.policy} \N{MINUS SIGN} {self.minus}"


def series_of(policies: Sequence[str]) -> list[Series]:
    """Policies, then each later one minus each earlier one.

    >>> [series.label for series in series_of(["a", "b", "c"])]
    ['a', 'b', 'c', 'b − a', 'c − a', 'c − b']
    """
    pairs = [Series(policy=policy, minus=minus) for minus, policy in combinations(policies, 2)]
    return [*(Series(policy=policy) for policy in policies), *pairs]


def paired(results: pd.DataFrame, figures: Sequence[str], series: Series) -> pd.DataFrame:
    """Rows of a difference between two policies, like those of a policy, where both have one.

    >>> results = pd.DataFrame({"cell": 0, "policy": ["a", "b"], "replication": 0, "x_kwh": [5.0, 3.0]})
    >>> paired(results, ["x_kwh"], Series(policy="b", minus="a"))
       cell  replication  x_kwh policy
    0     0            0   -2.0  b − a
    """
    keys = ["cell", "replication"]
    one, other = (
        results[results["policy"] == policy].set_index(keys)[list(figures)]
        for policy in (series.policy, series.minus)
    )
    both = one.index.intersection(other.index).sort_values()
    return (one.loc[both] - other.loc[both]).reset_index().assign(policy=series.label)


def rounded(values: Iterable[float], digits: int) -> Numbers:
    """Numbers of so many significant digits; none where not finite.

    >>> rounded([15637.4261, float("nan"), 96.0], 6)
    [15637.4, None, 96]
    """
    return [_short(float(f"{value:.{digits}g}")) if np.isfinite(value) else None for value in values]


def _short(value: float) -> float:
    """Whole numbers without ".0", which JSON would spend two characters on."""
    return int(value) if value == int(value) and abs(value) < 1e15 else value
