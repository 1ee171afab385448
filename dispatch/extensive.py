"""The extensive form of a two-stage program: one block per path, the first step's set-points shared by all.

First stage are the variables that are set before the coming step's weather is known: powers of cars, batteries and
turbines in step 0, and the energies that follow from them. All else is second stage, also import, export, curtailment
and unserved load of step 0, which settle when the weather has been. With x the first stage, y_s the second stage of
path s and p_s its probability:

    min  c' x + sum p_s q_s' y_s   subject to   A x = b,   T_s x + W_s y_s = h_s for every s

(Birge & Louveaux 2011, chapter 2). Each block is a whole program of one path as `Program` assembles it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dispatch.ambiguity import Ambiguity
from dispatch.assembly import Assembly
from dispatch.highs import Basis, LinearProgram, Outcome
from sim.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extensive:
    """The common program, and where each block's variables and equations stand in it."""

    program: LinearProgram
    columns: tuple[IntArray, ...]  # per block: positions of its columns
    rows: tuple[IntArray, ...]
    row_is_shared: BoolArray  # of a block's rows: those of the first stage alone
    column_is_shared: BoolArray
    basis: Basis | None


def extensive(blocks: Sequence[Assembly], probability: FloatArray) -> Extensive:
    """Gather blocks that are alike in all but numbers into one program with the expected cost.

    Parameters
    ----------
    blocks
        Programs of the paths: same cars, same horizon.
    probability : ndarray, shape (S,)
        Of the paths, in the blocks' order.
    """
    shared_column, shared_row = _first_stage(blocks[0])
    columns = _positions(shared_column, len(blocks))
    rows = _positions(shared_row, len(blocks))
    n_columns, n_rows = int(columns[-1].max(initial=-1)) + 1, int(rows[-1].max(initial=-1)) + 1
    n_columns, n_rows = max(n_columns, len(shared_column)), max(n_rows, len(shared_row))
    cost, lower, upper = np.zeros(n_columns), np.zeros(n_columns), np.zeros(n_columns)
    row_lower, row_upper = np.zeros(n_rows), np.zeros(n_rows)
    for block, column, row, weight in zip(blocks, columns, rows, probability, strict=True):
        program = block.program
        cost[column] += weight * program.cost
        lower[column], upper[column] = program.lower, program.upper
        row_lower[row], row_upper[row] = program.row_lower, program.row_upper
    starts, entry_rows, values = _entries(blocks, columns, rows, shared_column, shared_row, n_columns)
    return Extensive(
        program=LinearProgram(
            cost=cost,
            lower=lower,
            upper=upper,
            row_lower=row_lower,
            row_upper=row_upper,
            starts=starts,
            rows=entry_rows,
            values=values,
        ),
        columns=columns,
        rows=rows,
        row_is_shared=shared_row,
        column_is_shared=shared_column,
        basis=_basis(blocks, columns, rows, n_columns, n_rows),
    )


def bounded(form: Extensive, blocks: Sequence[Assembly]) -> Extensive:
    """Return the same program with the column bounds of changed blocks."""
    lower, upper = form.program.lower.copy(), form.program.upper.copy()
    for block, column in zip(blocks, form.columns, strict=True):
        lower[column], upper[column] = block.program.lower, block.program.upper
    return replace(form, program=replace(form.program, lower=lower, upper=upper))


def outcome_of(form: Extensive, outcome: Outcome, block: int) -> Outcome:
    """Share of one block in the common answer, as its own program would give it (duals are weighted already)."""
    column, row = form.columns[block], form.rows[block]
    basis = outcome.basis
    return replace(
        outcome,
        values=outcome.values[column],
        row_duals=outcome.row_duals[row],
        reduced_costs=outcome.reduced_costs[column],
        basis=None if basis is None else Basis(columns=basis.columns[column], rows=basis.rows[row]),
    )


def expected_duals(form: Extensive, outcome: Outcome) -> tuple[FloatArray, FloatArray]:
    """Row duals and reduced costs of the expected cost, in one block's order: the paths' weighted ones summed.

    A shared row or column has one for all paths.
    """
    duals, reduced = outcome.row_duals[form.rows[0]], outcome.reduced_costs[form.columns[0]]
    for column, row in zip(form.columns[1:], form.rows[1:], strict=True):
        duals = duals + np.where(form.row_is_shared, 0.0, outcome.row_duals[row])
        reduced = reduced + np.where(form.column_is_shared, 0.0, outcome.reduced_costs[column])
    return duals, reduced


def expected_ambiguity(form: Extensive, outcome: Outcome) -> Ambiguity | None:
    """What the expected duals and plan leave open, in one block's order: open where it is so on any path."""
    found = outcome.ambiguity
    if found is None:
        return None
    return Ambiguity(
        row_duals=np.stack([found.row_duals[row] for row in form.rows]).max(axis=0),
        values=np.stack([found.values[column] for column in form.columns]).max(axis=0),
    )


def _first_stage(block: Assembly) -> tuple[BoolArray, BoolArray]:
    """Which columns and rows of a block belong to the first stage."""
    at, equations = block.layout.columns, block.layout.rows
    columns = (
        at.charge,
        at.discharge,
        at.energy,
        at.shortfall,
        at.help,
        at.battery_charge,
        at.battery_discharge,
        at.battery_energy,
        at.turbine,
    )
    shared_column = np.zeros(len(block.live_columns), bool)
    shared_row = np.zeros(len(block.live_rows), bool)
    for part in columns:
        now = block.columns(part)[0]
        shared_column[now[now >= 0]] = True
    for part in (equations.car, equations.requirement, equations.battery, equations.ramp):
        now = block.rows(part)[0]
        shared_row[now[now >= 0]] = True
    return shared_column, shared_row


def _positions(is_shared: BoolArray, n_blocks: int) -> tuple[IntArray, ...]:
    """Positions of each block's columns (or rows): the first block whole, of the others what is not shared."""
    size, own = len(is_shared), int((~is_shared).sum())
    later = np.cumsum(~is_shared) - 1
    first = np.arange(size)
    return (first, *(np.where(is_shared, first, size + s * own + later) for s in range(n_blocks - 1)))


def _entries(
    blocks: Sequence[Assembly],
    columns: Sequence[IntArray],
    rows: Sequence[IntArray],
    shared_column: BoolArray,
    shared_row: BoolArray,
    n_columns: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entries of all blocks ordered by column; those of shared columns in shared rows once."""
    parts = []
    for s, (block, column, row) in enumerate(zip(blocks, columns, rows, strict=True)):
        program = block.program
        own_column = np.repeat(np.arange(len(column)), np.diff(program.starts))
        keep = np.full(len(own_column), s == 0) | ~(shared_column[own_column] & shared_row[program.rows])
        parts.append((column[own_column[keep]], row[program.rows[keep]], program.values[keep]))
    column, row, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(column, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(column, minlength=n_columns))])
    return starts.astype(np.int32), row[order].astype(np.int32), value[order]


def _basis(
    blocks: Sequence[Assembly],
    columns: Sequence[IntArray],
    rows: Sequence[IntArray],
    n_columns: int,
    n_rows: int,
) -> Basis | None:
    """Bases of the blocks together; what is shared has the first one's status."""
    column_status, row_status = np.zeros(n_columns, np.int8), np.zeros(n_rows, np.int8)
    for block, column, row in reversed(list(zip(blocks, columns, rows, strict=True))):
        if block.basis is None:
            return None
        column_status[column], row_status[row] = block.basis.columns, block.basis.rows
    return Basis(columns=column_status, rows=row_status)
