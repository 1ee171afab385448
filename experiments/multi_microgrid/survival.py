"""How much of the day-ahead optimum is left where decisions are made every 15 minutes on forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from experiments.experiment.sums import means_by

COST: Final = "total_cost_net_cny"


def savings_left(
    rolling: pd.DataFrame, labels: pd.DataFrame, optimum: pd.DataFrame, optimum_labels: pd.DataFrame
) -> pd.DataFrame:
    """What the rolling policy saves against uncontrolled charging, and its share of what the optimum saves.

    share = (uncontrolled - rolling) / (uncontrolled - day-ahead), fleet by fleet

    Parameters
    ----------
    rolling
        Rows of the policies ``uncontrolled`` and ``rolling``.
    labels
        Of its cells: index ``cell``, a column per axis.
    optimum
        Rows of the policy ``day-ahead``, of the same fleets.
    optimum_labels
        Of its cells.

    Returns
    -------
    DataFrame
        A row per setting: labels, ``saved`` and ``percent`` (of the uncontrolled cost), ``optimum saves`` and
        ``share left``, each with its interval over fleets. A setting of which the optimum was not run is left empty.
    """
    axes = list(labels.columns)
    frame = rolling.pivot(index=["cell", "replication"], columns="policy", values=COST).reset_index()
    frame = frame.join(labels, on="cell")
    best = optimum.join(optimum_labels, on="cell")[[*axes, "replication", COST]]
    frame = frame.merge(best.rename(columns={COST: "day-ahead"}), on=[*axes, "replication"], how="left")
    frame["saved"] = frame["uncontrolled"] - frame["rolling"]
    frame["percent"] = 100.0 * frame["saved"] / frame["uncontrolled"]
    frame["optimum saves"] = frame["uncontrolled"] - frame["day-ahead"]
    frame["share left"] = frame["saved"] / frame["optimum saves"]
    return _with_intervals(frame, axes, ("saved", "percent", "optimum saves", "share left"))


def _with_intervals(frame: pd.DataFrame, axes: Sequence[str], figures: Sequence[str]) -> pd.DataFrame:
    """Means of the figures with their intervals, a row per setting in order of cells."""
    tables = []
    for figure in figures:
        means = means_by(frame.sort_values("cell", kind="stable"), axes, figure).set_index(list(axes))
        names = {"mean": figure, "ci_low": f"{figure} low", "ci_high": f"{figure} high"}
        tables.append(means[list(names)].rename(columns=names))
    table = pd.concat(tables, axis=1)
    table["n"] = means["n"]
    return table.reset_index()
