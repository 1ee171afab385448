"""Rows of a linear program as they are written, and the program that they make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, vstack

from dispatch.highs import LinearProgram
from sim.arrays import FloatArray

Term = tuple[NDArray[np.intp] | slice | int, FloatArray | float]
"""A column, or one per row, and a coefficient, or one per row."""


def matrix_of(program: LinearProgram) -> csc_array:
    """Coefficients of its rows, (rows, columns)."""
    shape = (len(program.row_lower), len(program.cost))
    return csc_array((program.values, program.rows, program.starts), shape=shape)


def with_rows_below(
    program: LinearProgram, block: FloatArray | csc_array, upper: FloatArray
) -> LinearProgram:
    """The same program with further rows, each at most its upper bound.

    Parameters
    ----------
    block : ndarray, shape (n, columns)
        Their coefficients.
    upper : ndarray, shape (n,)
    """
    return _with_rows(
        program,
        csc_array(vstack([matrix_of(program), csc_array(block)], format="csc")),
        np.append(program.row_lower, np.full(len(upper), -np.inf)),
        np.append(program.row_upper, upper),
    )


def with_rows_among(program: LinearProgram, stays: NDArray[np.bool_]) -> LinearProgram:
    """The same program with some of its rows, shape (rows,)."""
    return _with_rows(program, matrix_of(program)[stays], program.row_lower[stays], program.row_upper[stays])


def _with_rows(
    program: LinearProgram, matrix: csc_array, row_lower: FloatArray, row_upper: FloatArray
) -> LinearProgram:
    matrix.sort_indices()
    return replace(
        program,
        row_lower=row_lower,
        row_upper=row_upper,
        starts=matrix.indptr.astype(np.int32),
        rows=matrix.indices.astype(np.int32),
        values=matrix.data,
    )


class Rows:
    """Collects rows.

    Parameters
    ----------
    n_columns
        Of the program.
    """

    def __init__(self, n_columns: int) -> None:
        self._entries: list[tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]] = []
        self._lower: list[FloatArray] = []
        self._upper: list[FloatArray] = []
        self.n, self.n_columns = 0, n_columns

    def add(self, lower: FloatArray | float, upper: FloatArray | float, n: int, *terms: Term) -> None:
        """Add n rows."""
        here = np.arange(self.n, self.n + n)
        for columns, coefficients in terms:
            places = (
                np.arange(columns.start, columns.stop) if isinstance(columns, slice) else np.asarray(columns)
            )
            values = np.broadcast_to(np.asarray(coefficients, dtype=np.float64), n)
            self._entries.append((here, np.broadcast_to(places, n), values))
        self._bound(lower, upper, n)

    def total(self, value: float, coefficients: FloatArray) -> None:
        """Add one row, the sum of all columns by their coefficients."""
        columns = np.flatnonzero(coefficients)
        self._entries.append((np.full(len(columns), self.n), columns, coefficients[columns]))
        self._bound(value, value, 1)

    def program(self, cost: FloatArray, lower: FloatArray, upper: FloatArray) -> LinearProgram:
        """Minimise a cost under the rows and these bounds of the columns."""
        rows, columns, values = (np.concatenate(part) for part in zip(*self._entries, strict=True))
        matrix = coo_array((values, (rows, columns)), shape=(self.n, self.n_columns)).tocsc()
        return LinearProgram(
            cost=cost,
            lower=lower,
            upper=upper,
            row_lower=np.concatenate(self._lower),
            row_upper=np.concatenate(self._upper),
            starts=matrix.indptr.astype(np.int32),
            rows=matrix.indices.astype(np.int32),
            values=matrix.data,
        )

    def _bound(self, lower: FloatArray | float, upper: FloatArray | float, n: int) -> None:
        self._lower.append(np.broadcast_to(np.asarray(lower, dtype=np.float64), n))
        self._upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), n))
        self.n += n
