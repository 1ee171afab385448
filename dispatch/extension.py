"""Further rows and binary columns for a program that is assembled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dispatch.highs import LinearProgram
from sim.arrays import FloatArray, IntArray


def extended(
    program: LinearProgram,
    *,
    n_binaries: int,
    row_lower: FloatArray,
    row_upper: FloatArray,
    columns: IntArray,
    rows: IntArray,
    values: FloatArray,
) -> LinearProgram:
    """Append binary columns without cost, and rows.

    Parameters
    ----------
    row_lower, row_upper : ndarray, shape (new rows,)
        Bounds of the new rows.
    columns : ndarray, shape (new entries,)
        Positions of old and new columns.
    rows : ndarray, shape (new entries,)
        Counted from the first new row.
    values : ndarray, shape (new entries,)
        Coefficients; rounded to 15 digits, for ill-rounded ones have harmed small mixed-integer programs.
    """
    n_columns, n_rows = len(program.cost), len(program.row_lower)
    old_columns = np.repeat(np.arange(n_columns), np.diff(program.starts))
    all_columns = np.concatenate([old_columns, columns])
    order = np.argsort(all_columns, kind="stable")
    counts = np.bincount(all_columns, minlength=n_columns + n_binaries)
    old_kind = np.zeros(n_columns, bool) if program.is_integer is None else program.is_integer
    zeros, ones = np.zeros(n_binaries), np.ones(n_binaries)
    return replace(
        program,
        cost=np.concatenate([program.cost, zeros]),
        lower=np.concatenate([program.lower, zeros]),
        upper=np.concatenate([program.upper, ones]),
        row_lower=np.concatenate([program.row_lower, row_lower]),
        row_upper=np.concatenate([program.row_upper, row_upper]),
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        rows=np.concatenate([program.rows, rows + n_rows])[order].astype(np.int32),
        values=np.concatenate([program.values, rounded(values)])[order],
        is_integer=np.concatenate([old_kind, np.ones(n_binaries, bool)]),
    )


def rounded(values: FloatArray) -> FloatArray:
    """Round to 15 significant digits.

    >>> rounded(np.array([0.1 + 0.2]))
    array([0.3])
    """
    return np.array([float(f"{value:.15g}") for value in values])
