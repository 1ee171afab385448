"""The tidy table of effects and indices: one row per policy, key figure and effect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pandas as pd

from sim.arrays import FloatArray

_TEXTS: Final = ("policy", "figure", "kind", "term", "level")
_NUMBERS: Final = ("effect", "ci_low", "ci_high", "share")


def effect_table(
    policy: str,
    figures: Sequence[str],
    labels: Sequence[tuple[str, str, str]],
    n: int,
    effect: FloatArray,
    low: FloatArray,
    high: FloatArray,
    share: FloatArray,
) -> pd.DataFrame:
    """Rows of one policy, figure by figure.

    Parameters
    ----------
    labels
        Kind, term and level of each effect.
    n
        Complete replications.
    effect, low, high, share : ndarray, shape (n_effects, n_figures)
        NaN where there is none.
    """
    kinds, terms, levels = (np.array([label[i] for label in labels], dtype=object) for i in range(3))
    return pd.DataFrame(
        {
            "policy": policy,
            "figure": np.repeat(np.array(figures, dtype=object), len(labels)),
            "kind": np.tile(kinds, len(figures)),
            "term": np.tile(terms, len(figures)),
            "level": np.tile(levels, len(figures)),
            "n": n,
            "effect": effect.T.ravel(),
            "ci_low": low.T.ravel(),
            "ci_high": high.T.ravel(),
            "share": share.T.ravel(),
        }
    )


def joined(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Tables of several policies as one, with the same columns and types when there is none."""
    dtypes = dict.fromkeys(_TEXTS, "str") | {"n": "int64"} | dict.fromkeys(_NUMBERS, "float64")
    found = list(tables) or [pd.DataFrame(columns=list(dtypes))]
    return pd.concat(found, ignore_index=True).astype(dtypes)
