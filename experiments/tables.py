"""Tables for people's terminals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from rich.table import Table

ROUNDING: Final = 1e-9
"""A smaller number is what sums leave of nothing."""


def key_figure_table(figures: Mapping[str, float], *, title: str) -> Table:
    """Key figures, one row each."""
    table = Table(title=title, title_justify="left")
    table.add_column("key figure")
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(name, readable(value))
    return table


def comparison_table(comparison: pd.DataFrame) -> Table:
    """Key figures of several policies with their differences to the first."""
    table = Table(title="key figures by policy, and differences to the first", title_justify="left")
    table.add_column("key figure")
    for name in comparison.columns:
        table.add_column(str(name), justify="right")
    for label, row in comparison.iterrows():
        table.add_row(str(label), *(readable(float(value)) for value in row))
    return table


def frame_table(frame: pd.DataFrame, *, title: str) -> Table:
    """A frame as it stands, numbers to the right."""
    table = Table(title=title, title_justify="left")
    for name, dtype in frame.dtypes.items():
        table.add_column(str(name), justify="right" if pd.api.types.is_numeric_dtype(dtype) else "left")
    for row in frame.itertuples(index=False, name=None):
        table.add_row(*(cell_text(value) for value in row))
    return table


def cell_text(value: object) -> str:
    """Text of a table's cell; nothing where there is no number.

    >>> cell_text(1234.5), cell_text(float("nan")), cell_text("a"), cell_text(3), cell_text(True)
    ('1,234.50', '', 'a', '3', 'yes')
    >>> cell_text(float("inf")), cell_text(-4e-11)
    ('inf', '0')
    """
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return "" if pd.isna(value) else str(value) if np.isinf(value) else readable(float(value))
    return str(value)


def readable(value: float) -> str:
    """Number with a thousands separator and as many digits as people read.

    >>> readable(15637.4), readable(0.38889), readable(96.0), readable(0.0)
    ('15,637.40', '0.3889', '96', '0')
    """
    if abs(value) < ROUNDING:
        return "0"
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.4g}"
