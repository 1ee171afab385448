"""Effects and interactions of a study's factors on every key figure, with intervals over replications."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from experiments.monte_carlo.analysis.cell_values import cell_values
from experiments.monte_carlo.analysis.contrasts import Contrasts, contrasts_of, positions
from experiments.monte_carlo.analysis.effect_table import effect_table, joined
from experiments.monte_carlo.analysis.intervals import moments, t_factor
from experiments.monte_carlo.analysis.sensitivity import morris_table, sobol_table
from experiments.monte_carlo.contracts import Cell
from experiments.monte_carlo.design.factors import Factors
from sim.arrays import FloatArray

ROUNDING: Final = 1e-12
"""Of a figure's largest value: a smaller effect within a replication is what sums leave of equal cells, and is 0."""

_BATCH: Final = 4_000_000
"""Effects of single replications that are held at once (32 MB)."""


def effects(
    results: pd.DataFrame,
    factors: Factors,
    cells: Sequence[Cell],
    figures: Sequence[str],
    policies: Sequence[str],
) -> pd.DataFrame:
    """Effects of the factors, by policy and key figure.

    Every replication is a block: its draws are common to all cells, so an effect is computed within each complete
    replication, and Student's 95 % interval is taken over replications. The interval holds the chance of fleets and
    weather; not that of the points of a sampled design, nor what a straight line leaves out, and each interval
    stands for itself alone.

    Parameters
    ----------
    results : DataFrame
        Rows of a study: ``cell``, ``policy``, ``replication``, the figures.
    factors, cells
        The design and its cells.
    figures, policies
        Which ones, in the order wanted.

    Returns
    -------
    DataFrame
        One row per policy, figure and effect: ``kind``, ``term`` (keys), ``level``, ``n`` (complete replications),
        ``effect``, ``ci_low``, ``ci_high`` (in the figure's unit; no interval below 2 replications) and ``share``.

        - ``main``: mean at a level minus the mean over the factor's levels, others averaged.
        - ``interaction``: what a pair of levels adds to both main effects. Of ranges: how much the first factor's
          slope grows from the second's low to its high end.
        - ``slope``: from a range's low to its high end, others held, by least squares.
        - ``from base``, ``from first``: the cell minus cell 0.
        - ``first order``, ``total order``, ``mu star``, ``mu``, ``sigma``: see ``sensitivity``.
        - ``fit``: the share of the squares between the cells' means that all terms explain, R squared.

        ``share`` is that of the term alone: what the fit loses without it (eta squared in a factorial).

    Notes
    -----
    Interactions of a sampled design are fitted only with ``contrasts.CELLS_PER_COLUMN`` cells per column of the
    model, slopes only where the cells can tell all factors apart.
    """
    values = cell_values(results, len(cells), figures, policies)
    if values.shape[1] == 0:
        return joined([])
    # one thread: the same digits whatever the number of cores; a figure that is infinite has effects of NaN
    with threadpool_limits(limits=1), np.errstate(invalid="ignore"):
        return _effects(values, factors, cells, figures, policies)


def _effects(
    values: FloatArray,
    factors: Factors,
    cells: Sequence[Cell],
    figures: Sequence[str],
    policies: Sequence[str],
) -> pd.DataFrame:
    """Effects from the values of complete replications, by the design's own kind of analysis."""
    if factors.design == "sobol-indices":
        return joined(
            sobol_table(policy, figures, factors.keys, values[index]) for index, policy in enumerate(policies)
        )
    if factors.design == "morris":
        moves = positions(factors, cells)
        return joined(
            morris_table(policy, figures, factors.keys, moves, values[index])
            for index, policy in enumerate(policies)
        )
    contrasts = contrasts_of(factors, cells)
    return joined(
        _table(policy, figures, contrasts, values[index])
        for index, policy in enumerate(policies)
        if contrasts.rows
    )


def shares(
    model: FloatArray, solve: FloatArray, parts: Sequence[slice], means: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Of the sum of squares between cells: what the model loses without each term, and what it explains.

    The loss is b' V^-1 b with the term's coefficients b and its block V of (X'X)^-1 (the sum of squares of a linear
    hypothesis; Seber and Lee, Linear Regression Analysis, theorem 4.1).

    Parameters
    ----------
    model : ndarray, shape (n_cells, n_columns)
        Full rank, the mean first.
    solve : ndarray, shape (n_columns, n_cells)
        Its pseudo-inverse.
    parts
        Columns of each term.
    means : ndarray, shape (n_cells, n_figures)

    Returns
    -------
    ndarray, shape (n_terms, n_figures), and ndarray, shape (n_figures,)
        NaN where the cells do not differ.

    >>> x = np.array([[1.0, -1.0], [1.0, 1.0]])
    >>> of_term, of_all = shares(x, np.linalg.inv(x), [slice(1, 2)], np.array([[3.0, 5.0], [4.0, 5.0]]))
    >>> of_term.round(9).tolist(), of_all.round(9).tolist()
    ([[1.0, nan]], [1.0, nan])
    """
    means = means - means[:1]
    total = ((means - means.mean(axis=0)) ** 2).sum(axis=0)
    total = np.where(total > 0.0, total, np.nan)
    coefficients, inverse = solve @ means, solve @ solve.T
    lost = [
        (coefficients[part] * np.linalg.solve(inverse[part, part], coefficients[part])).sum(axis=0)
        for part in parts
    ]
    residual = ((means - model @ coefficients) ** 2).sum(axis=0)
    return np.reshape(lost, (len(parts), means.shape[1])) / total, 1.0 - residual / total


def _table(policy: str, figures: Sequence[str], contrasts: Contrasts, values: FloatArray) -> pd.DataFrame:
    """Effects of one policy; values of shape (n_replications, n_cells, n_figures)."""
    # contrasts sum to 0: with one cell taken off, a figure that no cell changes has effects of exactly 0
    differences = values - values[:, :1]
    largest = np.abs(values).max(axis=(0, 1))
    dust = ROUNDING * np.where(np.isfinite(largest), largest, np.nan)
    mean, half = _estimates(contrasts.weights, differences, dust)
    share = np.full_like(mean, np.nan)
    labels: list[tuple[str, str, str]] = [(row.kind, row.term, row.level) for row in contrasts.rows]
    if contrasts.parts:
        of_term, of_all = shares(contrasts.model, contrasts.solve, contrasts.parts, differences.mean(axis=0))
        none = np.full((1, len(figures)), np.nan)
        of_row = of_term[[row.part for row in contrasts.rows]]
        share = np.vstack([np.where(of_row < ROUNDING, 0.0, of_row), none])
        mean, half = np.vstack([mean, of_all]), np.vstack([half, none])
        labels.append(("fit", "all terms", ""))
    return effect_table(policy, figures, labels, len(values), mean, mean - half, mean + half, share)


def _estimates(weights: FloatArray, values: FloatArray, dust: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and half-width over replications of each effect and figure, a batch of effects at a time."""
    n, _, n_figures = values.shape
    size = max(1, _BATCH // (n * n_figures))
    means, halves = [], []
    for begin in range(0, len(weights), size):
        each = np.matmul(weights[begin : begin + size], values)
        each[np.abs(each) <= dust] = 0.0
        mean, sd = moments(np.moveaxis(each, 0, -1))
        means.append(mean)
        halves.append(t_factor(n) * sd / np.sqrt(n) if n > 1 else np.full_like(mean, np.nan))
    return np.concatenate(means), np.concatenate(halves)
