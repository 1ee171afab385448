"""Points of NSGA-III and of the exact fronts, for the page's parallel coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dispatch.planning.program import OBJECTIVES
from experiments.experiment.page import Explorer, Point
from experiments.storage_network.figures import LABELS
from experiments.storage_network.planning import HOURS, storage_names

_NEXT_TO_NOTHING_KW = 0.05


def explorer(searched: pd.DataFrame, fronts: pd.DataFrame) -> Explorer:
    """Both in one; a click shows what storage and source do.

    Parameters
    ----------
    searched, fronts
        Of ``planning.evolved`` and ``planning.traded``.
    """
    names = storage_names()
    points = [
        _point(row, "NSGA-III", names, _above(row))
        for row in searched[searched["method"] == "NSGA-III"].to_dict("records")
    ]
    points += [
        _point(
            row,
            f"exact, cost and {LABELS[row['second']].split(' [')[0]}",
            names,
            f"certified gap {100.0 * row['gap']:.2g} %",
        )
        for row in fronts.to_dict("records")
    ]
    return Explorer(
        caption=(
            "Schedules by what they reach: every line is one, from axis to axis, low is good; a click on a line, or "
            "the arrow keys, show its day below"
        ),
        axes=tuple(LABELS[name] for name in OBJECTIVES),
        points=tuple(points),
        step_h=24.0 / HOURS,
    )


def _above(row: Any) -> str:
    if not np.isfinite(row["bound"]):
        return ""
    return f"{row['cost'] - row['bound']:.2f} EUR above its certified bound"


def _point(row: Any, group: str, names: list[str], note: str) -> Point:
    units = np.asarray(row["storage_kw"], dtype=np.float64).reshape(HOURS, len(names)).T
    series = {name: tuple(kw.tolist()) for name, kw in zip(names, units, strict=True)}
    curtailed = np.asarray(row["curtailed_kw"], dtype=np.float64)
    if curtailed.max() > _NEXT_TO_NOTHING_KW:
        series["sun curtailed"] = tuple(curtailed.tolist())
    series["exchange with the source"] = tuple(np.asarray(row["exchange_kw"], dtype=np.float64).tolist())
    return Point(group=group, values=tuple(float(row[name]) for name in OBJECTIVES), series=series, note=note)
