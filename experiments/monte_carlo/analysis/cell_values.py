"""Key figures of a study as one array over complete replications."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sim.arrays import FloatArray


def cell_values(
    results: pd.DataFrame, n_cells: int, figures: Sequence[str], policies: Sequence[str]
) -> FloatArray:
    """Figures of the replications that have rows of all cells and policies; the others are left out.

    Parameters
    ----------
    results : DataFrame
        Columns ``cell``, ``policy``, ``replication`` and the figures; rows in any order.
    n_cells, figures, policies
        What a complete replication has.

    Returns
    -------
    ndarray, shape (n_policies, n_replications, n_cells, n_figures)
        Replications in increasing order.

    >>> frame = pd.DataFrame({"cell": [0, 1, 0], "policy": "p", "replication": [0, 0, 1], "x_kwh": [1.0, 2.0, 3.0]})
    >>> cell_values(frame, 2, ["x_kwh"], ["p"]).tolist()
    [[[[1.0], [2.0]]]]
    """
    shape = (len(policies), -1, n_cells, len(figures))
    if results.empty:
        return np.empty((len(policies), 0, n_cells, len(figures)))
    rank = results["policy"].map({policy: index for index, policy in enumerate(policies)}).to_numpy()
    replication, cell = results["replication"].to_numpy(), results["cell"].to_numpy()
    order = np.lexsort((cell, replication, rank))
    _, inverse, count = np.unique(replication, return_inverse=True, return_counts=True)
    whole = order[(count == n_cells * len(policies))[inverse][order]]
    values = results[list(figures)].to_numpy(dtype=np.float64)[whole]
    return values.reshape(shape) if len(whole) else np.empty((len(policies), 0, n_cells, len(figures)))
