"""One decision's program, with the identities by which its columns and rows are found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dispatch.highs import Basis, LinearProgram
from dispatch.layout import Layout
from sim.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assembly:
    """One decision's program and the identities of its columns and rows."""

    program: LinearProgram
    layout: Layout
    slots: IntArray  # (K,) slot of each step
    live_columns: IntArray  # identities, in order
    live_rows: IntArray
    basis: Basis | None

    def columns(self, part: slice) -> IntArray:
        """Positions in the program of a part of the variables, shape (K, part); -1 where it has none."""
        return self._positions(self.live_columns, self.layout.width, part)

    def rows(self, part: slice) -> IntArray:
        """Positions in the program of a part of the equations, shape (K, part); -1 where it has none."""
        return self._positions(self.live_rows, self.layout.height, part)

    def _positions(self, live: IntArray, stride: int, part: slice) -> IntArray:
        where = np.full(self.layout.n_slots * stride, -1, np.int64)
        where[live] = np.arange(len(live))
        return where.reshape(self.layout.n_slots, stride)[self.slots, part]

    def values(self, column_values: FloatArray, part: slice) -> FloatArray:
        """Values of a part of the variables in the order of the steps, shape (K, part); 0 where it has none."""
        full = np.zeros(self.layout.n_slots * self.layout.width)
        full[self.live_columns] = column_values
        return full.reshape(self.layout.n_slots, self.layout.width)[self.slots, part]

    def row_values(self, values: FloatArray, part: slice) -> FloatArray:
        """Values of a part of the equations (their duals) in the order of the steps; 0 where it has none."""
        full = np.zeros(self.layout.n_slots * self.layout.height)
        full[self.live_rows] = values
        return full.reshape(self.layout.n_slots, self.layout.height)[self.slots, part]

    def first_values(self, column_values: FloatArray, part: slice) -> FloatArray:
        """Values of a part of the variables in the first step, shape (part,); 0 where it has none."""
        return self._first(self.live_columns, column_values, self.layout.width)[part]

    def first_row_values(self, values: FloatArray, part: slice) -> FloatArray:
        """Values of a part of the equations in the first step; 0 where it has none."""
        return self._first(self.live_rows, values, self.layout.height)[part]

    def _first(self, live: IntArray, values: FloatArray, stride: int) -> FloatArray:
        begin = int(self.slots[0]) * stride
        low, high = np.searchsorted(live, (begin, begin + stride))
        full = np.zeros(stride)
        full[live[low:high] - begin] = values[low:high]
        return full

    def bounded(self, positions: IntArray, lower: FloatArray | float, upper: FloatArray | float) -> Assembly:
        """Return the same program with other bounds of some columns (positions of -1 are passed over)."""
        kept = positions >= 0
        lowers, uppers = self.program.lower.copy(), self.program.upper.copy()
        lowers[positions[kept]] = np.broadcast_to(lower, positions.shape)[kept]
        uppers[positions[kept]] = np.broadcast_to(upper, positions.shape)[kept]
        return replace(self, program=replace(self.program, lower=lowers, upper=uppers))
