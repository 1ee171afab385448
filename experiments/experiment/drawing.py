"""What the figures of the papers' studies share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.palette import GRID
from experiments.panels import DPI, STYLE


def draw(figure: Callable[[], Figure], target: Path) -> Path:
    """Draw and write one figure in the common style."""
    with mpl.rc_context(STYLE):
        made = figure()
        made.savefig(target, dpi=DPI)
    return target


def blank(width: float, height: float, n_columns: int = 1, n_rows: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure of a size in inches, and its axes, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    return figure, [axis for row in axes for axis in row]


def bars_figure(
    table: pd.DataFrame, *, label: str, value: str, low: str, high: str, axis_label: str
) -> Figure:
    """Horizontal bars with intervals, in the table's order."""
    figure, (axis,) = blank(9.0, 0.36 * len(table) + 0.9)
    rows = table.iloc[::-1].reset_index(drop=True)
    error = [rows[value] - rows[low], rows[high] - rows[value]]
    axis.barh(rows.index, rows[value], xerr=error, color=GRID, capsize=2, height=0.65)
    axis.axvline(0.0, color="#59636e", linewidth=0.8)
    axis.set_yticks(rows.index, rows[label])
    axis.set_xlabel(axis_label)
    axis.grid(visible=False, axis="y")
    return figure
