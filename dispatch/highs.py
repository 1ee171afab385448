"""The only import of a solver here: linear programs in, outcomes as data out.

One `Solver` belongs to one run and is born cold. All options are deterministic (one thread, no wall-clock limit), so
the same sequence of programs gives the same sequence of answers, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import highspy
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix

from dispatch.ambiguity import Ambiguity, IndexArray, Side, examine, weights
from sim.arrays import FloatArray

BasisArray = NDArray[np.int8]
Method = Literal["primal", "dual"]
Status = Literal["optimal", "feasible", "iteration_limit", "infeasible", "unbounded", "failed"]

AT_LOWER: Final = 0
BASIC: Final = 1
AT_UPPER: Final = 2
_BASIS_STATUS: Final = tuple(highspy.HighsBasisStatus.__members__.values())
_DUAL, _PRIMAL = 1, 4
_CHOSEN_WEIGHTS, _DEVEX_WEIGHTS = -1, 1
_STATUS: Final[dict[highspy.HighsModelStatus, Status]] = {
    highspy.HighsModelStatus.kOptimal: "optimal",
    highspy.HighsModelStatus.kModelEmpty: "optimal",
    highspy.HighsModelStatus.kIterationLimit: "iteration_limit",
    highspy.HighsModelStatus.kInfeasible: "infeasible",
    highspy.HighsModelStatus.kUnbounded: "unbounded",
    highspy.HighsModelStatus.kUnboundedOrInfeasible: "infeasible",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearProgram:
    """Minimise cost'x subject to row_lower <= A x <= row_upper and column bounds; A by columns, int32 indices."""

    cost: FloatArray
    lower: FloatArray
    upper: FloatArray
    row_lower: FloatArray
    row_upper: FloatArray
    starts: IndexArray  # (columns + 1,)
    rows: IndexArray  # (entries,)
    values: FloatArray  # (entries,)
    is_integer: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Basis:
    """Simplex basis: status of each column and row (`AT_LOWER`, `BASIC`, `AT_UPPER`, ...)."""

    columns: BasisArray
    rows: BasisArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What a solve ended with.

    ``values`` is empty unless the status is ``optimal`` or ``feasible`` (a mixed-integer program stopped by its node
    limit with an incumbent). ``bound`` is a certified lower bound on the optimum. Duals are those of a linear
    program: the change of the optimum per unit of a row's bound, and reduced costs of the columns.
    """

    status: Status
    objective: float
    bound: float
    iterations: int
    nodes: int
    values: FloatArray
    row_duals: FloatArray
    reduced_costs: FloatArray
    basis: Basis | None
    ambiguity: Ambiguity | None = None

    @property
    def has_values(self) -> bool:
        """Whether there is a point to use."""
        return self.status in ("optimal", "feasible")


class _QuietHighs(highspy.Highs):
    """HiGHS without callbacks, and without the banner that registering them prints."""

    def enableCallbacks(self) -> None:  # noqa: N802
        """Switch the output off instead."""
        self.setOptionValue("output_flag", False)


class Solver:
    """HiGHS with deterministic options.

    Parameters
    ----------
    iteration_limit
        Simplex iterations of one solve; beyond it the status is ``iteration_limit``.
    presolve
        Whether cold solves are presolved.
    """

    def __init__(self, *, iteration_limit: int, presolve: bool = True) -> None:
        self.iteration_limit = iteration_limit
        self._highs = _QuietHighs()  # type: ignore[no-untyped-call]
        self._loaded: LinearProgram | None = None
        self._last_basis: Basis | None = None
        self._weight = np.empty(0)
        self._set("output_flag", False)
        self._set("threads", 1)
        self._set("parallel", "off")
        self._set("solver", "simplex")
        self._set("random_seed", 0)
        self._set("simplex_iteration_limit", iteration_limit)
        self._set("primal_simplex_bound_perturbation_multiplier", 0.0)
        self._set("presolve", "on" if presolve else "off")

    def solve(
        self, program: LinearProgram, basis: Basis | None = None, *, warm_method: Method = "primal"
    ) -> Outcome:
        """Solve a linear program by the simplex method, from a basis if one is given (it may be incomplete).

        A moved window is solved by the primal method, for the last plan stays feasible (the dual one wanders among
        its ties); other bounds alone by the dual method, for the last duals stay feasible.

        Parameters
        ----------
        warm_method
            Of a start from a basis, unless only bounds differ.
        """
        is_moved = basis is not None and not self._has_only_other_bounds(program, basis)
        is_far = basis is None or (is_moved and warm_method == "dual")  # many iterations repay exact weights
        self._set("simplex_strategy", _PRIMAL if is_moved and warm_method == "primal" else _DUAL)
        self._set("simplex_dual_edge_weight_strategy", _CHOSEN_WEIGHTS if is_far else _DEVEX_WEIGHTS)
        if not self._hand_over(program, basis):
            return _failed("failed", 0)
        self._highs.run()
        info = self._highs.getInfo()
        status = _STATUS.get(self._highs.getModelStatus(), "failed")
        iterations = max(0, int(info.simplex_iteration_count))
        if status != "optimal":
            self._loaded = None
            return _failed(status, iterations)
        solution, objective = self._highs.getSolution(), float(info.objective_function_value)
        values, row_values = np.array(solution.col_value), np.array(solution.row_value)
        status_basic, basic = self._highs.getBasicVariables()  # type: ignore[attr-defined]
        basic = basic if status_basic == highspy.HighsStatus.kOk else None
        self._last_basis = self._basis(program, values, row_values, basic)
        found = Outcome(
            status=status,
            objective=objective,
            bound=objective,
            iterations=iterations,
            nodes=0,
            values=values,
            row_duals=np.array(solution.row_dual),
            reduced_costs=np.array(solution.col_dual),
            basis=self._last_basis,
        )
        if basic is None:
            return found
        return replace(found, ambiguity=self._examine(found, program, row_values, basic))

    def solve_integer(
        self,
        program: LinearProgram,
        *,
        relative_gap: float,
        node_limit: int | None,
        start: FloatArray | None = None,
        feasibility: float = 1e-9,
    ) -> Outcome:
        """Solve a mixed-integer program to a relative gap or a number of nodes; ``start`` is a feasible point.

        ``feasibility`` is how far rows and integers may be missed: where many rows are nearly parallel, 1e-9 is more
        than the solver's linear programs can give, and nodes are cut off that have plans.
        """
        self._set("mip_rel_gap", relative_gap)
        self._set("mip_abs_gap", 0.0)
        self._set("mip_feasibility_tolerance", feasibility)
        self._set("mip_max_nodes", highspy.kHighsIInf if node_limit is None else node_limit)
        self._loaded = None
        if not self._pass(program):
            return _failed("failed", 0)
        if start is not None:
            point = highspy.HighsSolution()
            point.col_value = start.tolist()
            point.value_valid = True
            self._highs.setSolution(point)
        self._highs.run()
        info, model_status = self._highs.getInfo(), self._highs.getModelStatus()
        has_point = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        status: Status = _STATUS.get(model_status, "failed")
        if status != "optimal" and has_point:
            status = "feasible"
        if not has_point:
            return _failed(status, max(0, int(info.simplex_iteration_count)))
        return Outcome(
            status=status,
            objective=float(info.objective_function_value),
            bound=float(info.mip_dual_bound),
            iterations=max(0, int(info.simplex_iteration_count)),
            nodes=max(0, int(info.mip_node_count)),
            values=np.array(self._highs.getSolution().col_value),
            row_duals=np.empty(0),
            reduced_costs=np.empty(0),
            basis=None,
        )

    def _set(self, option: str, value: str | float | bool) -> None:
        if self._highs.setOptionValue(option, value) != highspy.HighsStatus.kOk:
            raise RuntimeError(f"HiGHS {self._highs.version()} does not take option {option} = {value}")

    def _pass(self, program: LinearProgram) -> bool:
        n_columns, n_rows = len(program.cost), len(program.row_lower)
        kinds = (
            np.zeros(n_columns, np.int32)
            if program.is_integer is None
            else program.is_integer.astype(np.int32)
        )
        status = self._highs.passModel(
            n_columns,
            n_rows,
            len(program.values),
            int(highspy.MatrixFormat.kColwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            program.cost,
            program.lower,
            program.upper,
            program.row_lower,
            program.row_upper,
            program.starts,
            program.rows,
            program.values,
            kinds,
        )
        return bool(status != highspy.HighsStatus.kError)

    def _hand_over(self, program: LinearProgram, basis: Basis | None) -> bool:
        """Pass a program and its start; after a solve of the same program with other bounds only those change hands."""
        loaded, only_bounds = self._loaded, self._has_only_other_bounds(program, basis)
        self._loaded = program
        if loaded is not None and only_bounds:
            return self._change_bounds(program, loaded)
        return self._pass(program) and (basis is None or self._start_from(basis))

    def _has_only_other_bounds(self, program: LinearProgram, basis: Basis | None) -> bool:
        """Whether the solver holds this program, but for bounds, at this basis."""
        if self._loaded is None or basis is None or basis is not self._last_basis:
            return False
        return program.cost is self._loaded.cost and program.values is self._loaded.values

    def _change_bounds(self, program: LinearProgram, loaded: LinearProgram) -> bool:
        differs = (program.lower != loaded.lower) | (program.upper != loaded.upper)
        changed = np.flatnonzero(differs).astype(np.int32)
        status = self._highs.changeColsBounds(
            len(changed), changed, program.lower[changed], program.upper[changed]
        )
        return bool(status != highspy.HighsStatus.kError)

    def _start_from(self, basis: Basis) -> bool:
        start = highspy.HighsBasis()
        start.col_status = [_BASIS_STATUS[code] for code in basis.columns.tolist()]
        start.row_status = [_BASIS_STATUS[code] for code in basis.rows.tolist()]
        start.valid = True
        start.alien = True  # the moved window makes it incomplete: HiGHS completes it
        return bool(self._highs.setBasis(start) != highspy.HighsStatus.kError)

    def _basis(
        self,
        program: LinearProgram,
        values: FloatArray,
        row_values: FloatArray,
        basic: IndexArray | None,
    ) -> Basis:
        if basic is None:
            basis = self._highs.getBasis()
            return Basis(columns=_codes(basis.col_status), rows=_codes(basis.row_status))
        columns = _nearest_bound(values, program.lower, program.upper)
        rows = _nearest_bound(row_values, program.row_lower, program.row_upper)
        columns[basic[basic >= 0]] = BASIC
        rows[-1 - basic[basic < 0]] = BASIC
        return Basis(columns=columns, rows=rows)

    def _solve_with_basis(self, side: FloatArray) -> FloatArray | None:
        status, found = self._highs.getBasisSolve(side)  # type: ignore[attr-defined]
        return found if status == highspy.HighsStatus.kOk else None

    def _solve_with_transpose(self, side: FloatArray) -> FloatArray | None:
        status, found = self._highs.getBasisTransposeSolve(side)  # type: ignore[attr-defined]
        return found if status == highspy.HighsStatus.kOk else None

    def _examine(
        self, found: Outcome, program: LinearProgram, row_values: FloatArray, basic: IndexArray
    ) -> Ambiguity | None:
        size = len(found.values) + len(row_values)
        if len(self._weight) < size:
            self._weight = weights(size)
        matrix = csc_matrix(
            (program.values, program.rows, program.starts), shape=(len(row_values), len(found.values))
        )
        columns = Side(
            value=found.values, price=found.reduced_costs, lower=program.lower, upper=program.upper
        )
        rows = Side(value=row_values, price=found.row_duals, lower=program.row_lower, upper=program.row_upper)
        return examine(
            columns,
            rows,
            matrix,
            basic,
            weight=self._weight[:size],
            solve=self._solve_with_basis,
            solve_transpose=self._solve_with_transpose,
        )


def _nearest_bound(values: FloatArray, lower: FloatArray, upper: FloatArray) -> BasisArray:
    return np.where(np.abs(upper - values) < np.abs(values - lower), AT_UPPER, AT_LOWER).astype(np.int8)


def _codes(statuses: list[highspy.HighsBasisStatus]) -> BasisArray:
    return np.fromiter(map(int, statuses), dtype=np.int8, count=len(statuses))


def _failed(status: Status, iterations: int) -> Outcome:
    nothing = np.empty(0)
    return Outcome(
        status=status,
        objective=float("nan"),
        bound=float("nan"),
        iterations=max(0, iterations),
        nodes=0,
        values=nothing,
        row_duals=nothing,
        reduced_costs=nothing,
        basis=None,
    )
