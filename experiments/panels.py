"""What figures over clock time share: style, stacked panels, steps that are held, the axis of clock hours."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from sim.arrays import FloatArray
from sim.clock import STEP_H

DPI: Final = 150
STYLE: Final[Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#d9dee3",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def panels(
    n: int, *, size: tuple[float, float], heights: tuple[float, ...] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of a size in inches with panels above one another, and their axes."""
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(n, 1, sharex=True, squeeze=False, height_ratios=heights)
    return figure, list(axes[:, 0])


def edges_h(n_steps: int) -> FloatArray:
    """Hours at which steps begin, and at which the last one ends."""
    return np.arange(n_steps + 1, dtype=np.float64) * STEP_H


def held(values: FloatArray) -> FloatArray:
    """Values with the last one repeated, for a line of steps that reaches the end."""
    return np.append(values, values[-1:])


def clock_axis(axis: Axes, days: int, start: object = None) -> None:
    """Let an axis in hours tell clock time of a number of days; ``start`` is the first one's date."""
    axis.set_xlim(0, 24 * days)
    axis.xaxis.set_major_locator(
        MultipleLocator(2 if days == 1 else 12 if days <= 4 else 24 * -(-days // 14))
    )
    axis.xaxis.set_major_formatter(FuncFormatter(lambda hour, _: clock(hour, days)))
    axis.set_xlabel("clock hour" if start is None else f"clock hour from {start}")


def clock(hour: float, days: int) -> str:
    """Clock label; over several days with the day's number.

    >>> clock(8.0, 1), clock(32.0, 2)
    ('08:00', '1+08:00')
    """
    text = f"{int(hour) % 24:02d}:00"
    return text if days == 1 else f"{int(hour) // 24}+{text}"
