"""What an optimal basis leaves open: whether its prices, or its plan, are the only ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from sim.arrays import BoolArray, FloatArray

IndexArray = NDArray[np.int32]
BasisSolve = Callable[[FloatArray], FloatArray | None]

NEAR_BOUND: Final = 1e-7
"""Distance from a bound [kW, kWh] at which a basic variable cannot move away from it on one side."""
NO_COST: Final = 1e-9
"""Reduced cost [currency] at which a variable may enter a plan without a change of its cost."""
NO_ENTRY: Final = 1e-9
"""Entry of a solve with the basis that is rounding; the weights that go in lie between 1 and 2."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ambiguity:
    """What may be another number at the same cost."""

    row_duals: FloatArray  # 1 where a row's dual may be another for more than for less, else 0
    values: FloatArray  # 1 where a column may have another value at the same cost, else 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """Columns or rows of a solved program; shapes (n,)."""

    value: FloatArray
    price: FloatArray  # reduced cost of a column, dual of a row
    lower: FloatArray
    upper: FloatArray

    def at_bound(self, which: NDArray[np.integer]) -> BoolArray:
        """Whether some of them are at one of their bounds."""
        value = self.value[which]
        room: FloatArray = np.minimum(value - self.lower[which], self.upper[which] - value)
        return room <= NEAR_BOUND

    def enters(self, basic: NDArray[np.integer]) -> BoolArray:
        """Whether each is outside the basis and could be moved at no cost."""
        free: BoolArray = (np.abs(self.price) <= NO_COST) & (self.upper > self.lower)
        free[basic] = False
        return free


def examine(
    columns: Side,
    rows: Side,
    matrix: csc_matrix[np.float64],
    basic: IndexArray,
    *,
    weight: FloatArray,
    solve: BasisSolve,
    solve_transpose: BasisSolve,
) -> Ambiguity | None:
    """Find what is not the only answer, by one solve with the basis matrix each way; None when one fails.

    The dual of row i may jump when a basic variable at its bound takes part in column i of the basis' inverse; the
    value of a column may move when a variable that enters at no cost moves it. One right-hand side holds all such
    variables, with weights that do not cancel.

    Parameters
    ----------
    matrix
        Coefficients, shape (rows, columns).
    basic
        The basis in its order: a column's position, or -1 less that of a row.
    weight
        Numbers for columns, then rows, see `weights`.
    solve, solve_transpose
        B^-1 and B^-T applied to a right-hand side.
    """
    n_columns = len(columns.value)
    is_column = basic >= 0
    basic_columns, basic_rows = basic[is_column], -1 - basic[~is_column]
    stuck = np.empty(len(basic))
    stuck[is_column] = weight[basic_columns] * columns.at_bound(basic_columns)
    stuck[~is_column] = weight[basic_rows] * rows.at_bound(basic_rows)
    jumps = solve_transpose(stuck)
    enters = columns.enters(basic_columns)
    side = np.where(rows.enters(basic_rows), weight[n_columns:], 0.0)
    moves = solve(side + matrix @ np.where(enters, weight[:n_columns], 0.0))
    if jumps is None or moves is None:
        return None
    enters[basic_columns] = np.abs(moves[is_column]) > NO_ENTRY
    return Ambiguity(row_duals=(np.abs(jumps) > NO_ENTRY).astype(float), values=enters.astype(float))


def weights(size: int) -> FloatArray:
    """Numbers between 1 and 2 without a pattern among them: multiples of the golden section.

    >>> weights(3).round(3)
    array([1.   , 1.618, 1.236])
    """
    numbers: FloatArray = 1.0 + np.mod(np.arange(size) * 0.6180339887498949, 1.0)
    return numbers
