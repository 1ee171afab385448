"""Contrasts between cells that are effects of factors: each a weight per cell, from the design alone.

Factorial and sampled designs are one linear model, fitted by least squares: each listed level has a deviation
from the mean of the factor's levels (deviations of a factor sum to 0), each range a slope, each pair of factors
the products. For a factorial this gives the textbook effects: level mean minus grand mean, and cell mean minus row
and column effects and grand mean (Montgomery, Design and Analysis of Experiments, ch. 5).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from experiments.monte_carlo.contracts import Cell, Level
from experiments.monte_carlo.design.factors import Factors, Range
from experiments.monte_carlo.table import level_text
from sim.arrays import FloatArray

Kind = Literal["main", "interaction", "slope", "from base", "from first"]

CELLS_PER_COLUMN: Final = 2
"""Cells of a sampled design per column of its model, below which interactions are not fitted."""

_COLLINEAR: Final = 1e-9
"""A column of the model with less than this left beside the others cannot be told apart from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One effect: what it is, and the term of the model that it belongs to."""

    kind: Kind
    term: str
    level: str
    part: int  # index among the model's parts; -1 without a model


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contrasts:
    """All effects of a design.

    Attributes
    ----------
    rows
        One per effect.
    weights : ndarray, shape (n_effects, n_cells)
        Effect = weights @ values of the cells. Each row sums to 0.
    model : ndarray, shape (n_cells, n_columns)
        Columns of the linear model, the mean first; no columns for comparisons with one cell.
    solve : ndarray, shape (n_columns, n_cells)
        Coefficients of the model = solve @ values: its pseudo-inverse.
    parts
        Columns of each term.
    """

    rows: tuple[Contrast, ...]
    weights: FloatArray
    model: FloatArray
    solve: FloatArray
    parts: tuple[slice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Coding:
    """Columns of one term, and how their coefficients become effects."""

    kind: Kind
    term: str
    levels: tuple[str, ...]
    columns: FloatArray  # (n_cells, n_coefficients)
    effects: FloatArray = field(repr=False)  # (n_levels, n_coefficients)


def contrasts_of(factors: Factors, cells: Sequence[Cell]) -> Contrasts:
    """Contrasts of a design; of ``sobol-indices`` and ``morris`` none, for they have indices instead."""
    if factors.design in {"one-at-a-time", "list"}:
        return _from_one_cell(cells, "from base" if factors.design == "one-at-a-time" else "from first")
    mains = [coding for key in factors.keys if (coding := _coding(factors, key, cells)) is not None]
    pairs = [_product(a, b) for a, b in itertools.combinations(mains, 2)]
    n_columns = 1 + sum(coding.columns.shape[1] for coding in [*mains, *pairs])
    if factors.design == "factorial" or len(cells) >= CELLS_PER_COLUMN * n_columns:
        found = _fitted([*mains, *pairs], len(cells))
        if found is not None:
            return found
    return _fitted(mains, len(cells)) or _fitted([], len(cells)) or _none(len(cells))


def position(spread: Range, value: float) -> float:
    """Where in its range a value stands, 0 at the low end and 1 at the high end, on the range's scale.

    >>> position(Range(low=1.0, high=100.0, scale="log"), 10.0)
    0.5
    """
    if spread.scale == "log":
        return math.log(value / spread.low) / math.log(spread.high / spread.low)
    return (value - spread.low) / (spread.high - spread.low)


def positions(factors: Factors, cells: Sequence[Cell]) -> FloatArray:
    """Where each cell stands in the range of each factor.

    Returns
    -------
    ndarray, shape (n_cells, n_factors)
        From 0 to 1. All factors are ranges.
    """
    ranges = [(key, spread) for key, spread in factors.factors.items() if isinstance(spread, Range)]
    return np.array([[position(spread, cell.levels[key]) for key, spread in ranges] for cell in cells])


def _none(n_cells: int) -> Contrasts:
    return _without_model((), np.empty((0, n_cells)))


def _without_model(rows: tuple[Contrast, ...], weights: FloatArray) -> Contrasts:
    n_cells = weights.shape[1]
    return Contrasts(rows=rows, weights=weights, model=np.empty((n_cells, 0)), solve=np.empty((0, n_cells)))


def _from_one_cell(cells: Sequence[Cell], kind: Kind) -> Contrasts:
    """Each cell minus the first, named by the levels in which it differs."""
    rows = []
    for cell in cells[1:]:
        changed = [key for key, level in cell.levels.items() if not _same(level, cells[0].levels[key])]
        level = ", ".join(level_text(cell.levels[key]) for key in changed)
        rows.append(Contrast(kind=kind, term=", ".join(changed), level=level, part=-1))
    weights = np.eye(len(cells))[1:]
    weights[:, 0] = -1.0
    return _without_model(tuple(rows), weights)


def _coding(factors: Factors, key: str, cells: Sequence[Cell]) -> _Coding | None:
    """Columns of one factor; nothing where it has a single level among the cells."""
    spread, given = factors.factors[key], [cell.levels[key] for cell in cells]
    if isinstance(spread, Range):
        if all(level == given[0] for level in given):
            return None
        return _Coding(
            kind="slope",
            term=key,
            levels=(f"{spread.low} to {spread.high}",),
            columns=np.array([[position(spread, level) - 0.5] for level in given]),
            effects=np.eye(1),
        )
    levels = [level for level in spread if any(_same(level, other) for other in given)]
    if len(levels) < 2:
        return None
    code = np.array([next(i for i, level in enumerate(levels) if _same(level, other)) for other in given])
    effects = np.vstack([np.eye(len(levels) - 1), -np.ones(len(levels) - 1)])
    return _Coding(
        kind="main",
        term=key,
        levels=tuple(level_text(level) for level in levels),
        columns=effects[code],
        effects=effects,
    )


def _product(a: _Coding, b: _Coding) -> _Coding:
    columns = a.columns[:, :, None] * b.columns[:, None, :]
    return _Coding(
        kind="interaction",
        term=f"{a.term} x {b.term}",
        levels=tuple(f"{one} x {other}" for one, other in itertools.product(a.levels, b.levels)),
        columns=columns.reshape(len(columns), -1),
        effects=np.asarray(np.kron(a.effects, b.effects), dtype=np.float64),
    )


def _fitted(codings: Sequence[_Coding], n_cells: int) -> Contrasts | None:
    """Least squares of all terms together; nothing where the cells cannot tell them apart."""
    model = np.hstack([np.ones((n_cells, 1)), *(coding.columns for coding in codings)])
    if len(model) < model.shape[1]:
        return None
    q, r = np.linalg.qr(model)
    scale = np.abs(np.diagonal(r))
    if scale.min() <= _COLLINEAR * scale.max():
        return None
    solve = np.linalg.solve(r, q.T)
    ends = np.cumsum([1, *(coding.columns.shape[1] for coding in codings)])
    parts = tuple(slice(int(a), int(b)) for a, b in itertools.pairwise(ends))
    rows = tuple(
        Contrast(kind=coding.kind, term=coding.term, level=level, part=part)
        for part, coding in enumerate(codings)
        for level in coding.levels
    )
    weights = [coding.effects @ solve[part] for part, coding in zip(parts, codings, strict=True)]
    return Contrasts(
        rows=rows,
        weights=np.vstack([np.empty((0, n_cells)), *weights]),
        model=model,
        solve=solve,
        parts=parts,
    )


def _same(a: Level, b: Level) -> bool:
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)
