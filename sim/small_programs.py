"""Small linear and mixed-integer programs of the simulator's physics, each solved cold and by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from sim.arrays import FloatArray

_OPTIONS: Final[dict[str, str | float | bool]] = {
    "output_flag": False,
    "threads": 1,
    "parallel": "off",
    "random_seed": 0,
    "presolve": "off",  # costs more than it saves at this size
    "mip_rel_gap": 0.0,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SmallProgram:
    """Minimise cost'x subject to row_lower <= A x <= row_upper and 0 <= x <= upper."""

    cost: FloatArray  # (columns,)
    upper: FloatArray  # (columns,)
    matrix: FloatArray  # (rows, columns), dense
    row_lower: FloatArray  # (rows,)
    row_upper: FloatArray  # (rows,)
    is_integer: NDArray[np.bool_] | None = None  # (columns,)


class _Highs(highspy.Highs):
    """HiGHS without callbacks, and without the banner that registering them prints."""

    def enableCallbacks(self) -> None:  # noqa: N802
        """Register none."""


def solve(program: SmallProgram) -> FloatArray:
    """Columns of the optimum, none below 0; the same for the same program, whatever was solved before.

    Raises
    ------
    ArithmeticError
        When there is none, or it is not found.
    """
    highs = _Highs()  # type: ignore[no-untyped-call]
    for option, value in _OPTIONS.items():
        highs.setOptionValue(option, value)
    matrix, n_columns = csc_array(program.matrix), len(program.cost)
    kinds = (
        np.zeros(n_columns, np.int32) if program.is_integer is None else program.is_integer.astype(np.int32)
    )
    highs.passModel(
        n_columns,
        len(program.row_lower),
        matrix.nnz,
        int(highspy.MatrixFormat.kColwise),
        int(highspy.ObjSense.kMinimize),
        0.0,
        program.cost,
        np.zeros(n_columns),
        program.upper,
        program.row_lower,
        program.row_upper,
        matrix.indptr.astype(np.int32),
        matrix.indices.astype(np.int32),
        matrix.data,
        kinds,
    )
    highs.run()
    status = highs.getModelStatus()
    if status != highspy.HighsModelStatus.kOptimal:
        raise ArithmeticError(f"a small program has no solution: {highs.modelStatusToString(status)}")
    return np.maximum(np.asarray(highs.getSolution().col_value, dtype=np.float64), 0.0)
