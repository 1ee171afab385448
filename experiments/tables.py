"""Tables for people's terminals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from rich.table import Table

DIGITS: Final = 5
"""Of the largest number of a column."""

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
    for row in frame_texts(frame):
        table.add_row(*row)
    return table


def statistics_table(frame: pd.DataFrame, *, title: str) -> Table:
    """A frame whose rows are figures of different kinds, named by its index: each number for itself."""
    table = Table(title=title, title_justify="left")
    table.add_column(str(frame.index.name))
    for name in frame.columns:
        table.add_column(str(name), justify="right")
    for label, row in frame.iterrows():
        table.add_row(str(label), *(readable(float(value)) for value in row))
    return table


def frame_texts(frame: pd.DataFrame, *, is_mixed: bool = False) -> list[list[str]]:
    """Texts of a frame's cells, row by row; numbers of a column have the same decimals, or each its own.

    Parameters
    ----------
    is_mixed
        Whether the rows are figures of different kinds.

    >>> frame_texts(pd.DataFrame({"a": ["x", "y"], "b": [1234.5, 0.25], "n": [20.0, float("nan")]}))
    [['x', '1,234.5', '20'], ['y', '0.2', '']]
    >>> frame_texts(pd.DataFrame({"saved": [9.5], "low": [-0.25], "high": [19.25]}))  # an interval as its figure
    [['9.500', '-0.250', '19.250']]
    """
    columns = [frame.iloc[:, index] for index in range(frame.shape[1])]
    if is_mixed:
        texts = [mixed_texts(column) for column in columns]
    else:
        alike = {index: [column] for index, column in enumerate(columns)}
        for figure, low in interval_columns([str(name) for name in frame.columns]).items():
            alike[figure] = alike[low] = alike[low + 1] = [columns[figure], *columns[low : low + 2]]
        texts = [column_texts(column, alike[index]) for index, column in enumerate(columns)]
    return [list(row) for row in zip(*texts, strict=True)]


def interval_columns(names: Sequence[str]) -> dict[int, int]:
    """Columns of figures whose interval stands in the two columns after, to the first of these two.

    >>> interval_columns(["of", "saved [EUR]", "low", "high", "gain", "ci_low", "ci_high", "low"])
    {1: 2, 4: 5}
    """
    ends = (re.fullmatch(r"(.*[ _])?low", name) for name in names)
    return {
        index - 1: index
        for index, low in enumerate(ends)
        if low and index and names[index + 1 : index + 2] == [f"{low[1] or ''}high"]
    }


def column_texts(column: pd.Series[Any], alike: Sequence[pd.Series[Any]] = ()) -> list[str]:
    """Texts of a column: numbers with five figures of the largest; nothing where there is no number.

    Parameters
    ----------
    alike
        Columns whose largest number counts, by default the column itself.

    >>> column_texts(pd.Series([0.0001527, 3.227])), column_texts(pd.Series([True, False]))
    (['0.0002', '3.2270'], ['yes', 'no'])
    >>> column_texts(pd.Series([-4e-11, float("inf"), 62549.0])), column_texts(pd.Series([12, 5000]))
    (['0', 'inf', '62,549'], ['12', '5,000'])
    """
    values = [value for one in alike or (column,) for value in one.tolist()]
    decimals = _decimals([value for value in values if isinstance(value, float) and np.isfinite(value)])
    return [_text(value, decimals) for value in column.tolist()]


def mixed_texts(column: pd.Series[Any]) -> list[str]:
    """Texts of a column whose numbers are of different kinds: each for itself.

    >>> mixed_texts(pd.Series([0.98366, 3160.9242, float("nan")]))
    ['0.9837', '3,160.92', '']
    """
    return [
        readable(value) if isinstance(value, float) and np.isfinite(value) else _text(value, 0)
        for value in column.tolist()
    ]


def _decimals(values: Sequence[float]) -> int:
    largest = max((abs(value) for value in values), default=0.0)
    if largest < ROUNDING or all(value == int(value) for value in values):
        return 0
    return int(np.clip(DIGITS - 1 - np.floor(np.log10(largest)), 0, 6))


def _text(value: object, decimals: int) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float):
        if np.isnan(value):
            return ""
        text = f"{value:,.{decimals}f}"
        return text[1:] if text.startswith("-") and not text.strip("-0.,") else text
    return f"{value:,}" if isinstance(value, int) else str(value)


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
