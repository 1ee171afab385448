"""What V2G is worth in each setting of the designed experiment, and which assumption matters most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from experiments.experiment.sums import means_by
from experiments.monte_carlo.analysis.effects import effects
from experiments.monte_carlo.contracts import Cell
from experiments.multi_microgrid.axes import Axis, factorial

COST: Final = "total_cost_net_cny"
GAIN: Final = "v2g_gain_cny"
OWN: Final = {"export": "none", "turbine": "physical", "wear": "0.12"}
"""Levels of the scenario as it is shipped."""


def v2g_gains(results: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Net cost without V2G minus with it, all else equal.

    Parameters
    ----------
    results
        Rows of the designed experiment, of one policy.
    labels
        Levels of its cells by label.

    Returns
    -------
    DataFrame
        A row per replication and setting of the other axes: the axes' labels, ``replication``, ``v2g_gain_cny``
        [CNY per day] and ``v2g_gain_percent`` (of the cost without V2G).
    """
    others = [name for name in labels.columns if name != "V2G"]
    frame = results.join(labels, on="cell").set_index([*others, "replication"])
    without, with_v2g = (frame[frame["V2G"] == level][COST] for level in ("off", "on"))
    gain = (without - with_v2g).rename(GAIN)
    table = gain.to_frame()
    table["v2g_gain_percent"] = 100.0 * gain / without
    return table.reset_index()


def gain_by_rule(gains: pd.DataFrame) -> pd.DataFrame:
    """Gain of V2G under each departure rule and pooling, with intervals over fleets.

    Once with the other assumptions as shipped, once as the mean over all their levels.
    """
    keys = ["departure", "pooling"]
    shipped = gains
    for name, level in OWN.items():
        shipped = shipped[shipped[name] == level]
    mean_of_others = (
        gains.groupby([*keys, "replication"], sort=False)[[GAIN, "v2g_gain_percent"]].mean().reset_index()
    )
    tables = []
    for others, frame in (("as shipped", shipped), ("mean over all levels", mean_of_others)):
        money = means_by(frame, keys, GAIN)
        percent = means_by(frame, keys, "v2g_gain_percent")[["mean", "ci_low", "ci_high"]]
        tables.append(money.join(percent.add_prefix("percent_")).assign(others=others))
    return pd.concat(tables, ignore_index=True)


def ranking(results: pd.DataFrame, labels: pd.DataFrame, axes: Sequence[Axis]) -> pd.DataFrame:
    """Effects on the net cost and on the gain of V2G, those that explain most first.

    Returns
    -------
    DataFrame
        A row per figure and term: ``share`` (of the variance between settings that the term explains), ``low`` and
        ``high`` (its least and largest effect) and at which levels.
    """
    found = [
        _terms(_effects(results, axes, COST), COST),
        _terms(_effects(_gain_rows(results, labels, axes), [a for a in axes if a.name != "V2G"], GAIN), GAIN),
    ]
    return pd.concat(found, ignore_index=True)


def effect_rows(results: pd.DataFrame, axes: Sequence[Axis]) -> pd.DataFrame:
    """Main effects and interactions on the net cost with their intervals, in the axes' words."""
    return _effects(results, axes, COST)


def _gain_rows(results: pd.DataFrame, labels: pd.DataFrame, axes: Sequence[Axis]) -> pd.DataFrame:
    """Gains of V2G as rows of a factorial of the other axes."""
    gains = v2g_gains(results, labels)
    others = [axis for axis in axes if axis.name != "V2G"]
    number = {cell: index for index, cell in enumerate(_combinations(others))}
    keys = gains[[axis.name for axis in others]].itertuples(index=False, name=None)
    return gains.assign(cell=[number[tuple(key)] for key in keys], policy=results["policy"].iloc[0])


def _combinations(axes: Sequence[Axis]) -> list[tuple[str, ...]]:
    """Labels of all combinations, the last axis fastest, as `design.cells` numbers them."""
    combined: list[tuple[str, ...]] = [()]
    for axis in axes:
        combined = [(*before, label) for before in combined for label in axis.levels]
    return combined


def _effects(rows: pd.DataFrame, axes: Sequence[Axis], figure: str) -> pd.DataFrame:
    varied = [axis for axis in axes if len(axis.levels) > 1]
    cells = [
        Cell(
            index=index,
            levels={axis.key: axis.levels[label] for axis, label in zip(axes, combined, strict=True)},
        )
        for index, combined in enumerate(_combinations(axes))
    ]
    policy = str(rows["policy"].iloc[0])
    table = effects(rows, factorial(varied), cells, [figure], [policy])
    return table.assign(term=[_in_words(term, axes) for term in table["term"]], level=_levels(table, varied))


def _in_words(term: str, axes: Sequence[Axis]) -> str:
    names = {axis.key: axis.name for axis in axes}
    return " x ".join(names.get(key, key) for key in term.split(" x "))


def _levels(table: pd.DataFrame, axes: Sequence[Axis]) -> list[str]:
    """Labels instead of levels: rows of a term come in the order of its axes' levels."""
    labels: list[str] = []
    for term, rows in table.groupby("term", sort=False):
        parts = [next((axis for axis in axes if axis.key == key), None) for key in str(term).split(" x ")]
        known = [axis for axis in parts if axis is not None]
        combined = [" x ".join(one) for one in _combinations(known)] if len(known) == len(parts) else []
        labels += combined if len(combined) == len(rows) else [str(level) for level in rows["level"]]
    return labels


def _terms(table: pd.DataFrame, figure: str) -> pd.DataFrame:
    rows = []
    for term, group in table[table["kind"].isin(["main", "interaction"])].groupby("term", sort=False):
        effect = group["effect"].to_numpy(np.float64)
        least, most = group.iloc[int(effect.argmin())], group.iloc[int(effect.argmax())]
        rows.append(
            {
                "figure": figure,
                "term": term,
                "share": float(group["share"].iloc[0]),
                "lowest effect": float(least["effect"]),
                "lowest at": least["level"],
                "highest effect": float(most["effect"]),
                "highest at": most["level"],
                "swing": float(most["effect"] - least["effect"]),
                "significant": bool(((group["ci_low"] > 0) | (group["ci_high"] < 0)).any()),
            }
        )
    order = np.argsort([-row["share"] for row in rows], kind="stable")
    return pd.DataFrame([rows[i] for i in order])
