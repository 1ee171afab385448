"""Numbers behind a study's charts: by key figure, cell and series, thinned to a budget that the page states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.monte_carlo.analysis.statistics import ESTIMATE, QUANTILES, convergence
from experiments.monte_carlo.reading import Study
from experiments.monte_carlo.report.bins import Bins, bins_of
from experiments.monte_carlo.report.effects import effects_data
from experiments.monte_carlo.report.series import Numbers, Series, paired, rounded, series_of
from experiments.monte_carlo.table import level_text
from experiments.page import HEADLINES, figure_words
from sim.arrays import FloatArray

BUDGET: Final = 400_000
"""Numbers of the detailed charts that a page holds: about 3 MB beside the plotting library's 5 MB."""
MEANS_BUDGET: Final = 150_000
"""The same for the means of all cells."""
FEWEST_NUMBERS: Final = 80
"""Per series: below it fewer cells are held rather than coarser charts."""
MOST_POINTS: Final = 300
"""Replications of a series that are drawn one by one."""
MOST_STEPS: Final = 120
"""Numbers of replications at which a running mean is drawn."""
STATISTICS: Final = (*ESTIMATE, *QUANTILES)
DIFFERENCES: Final = (*ESTIMATE, "n_below", "variance_removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinning:
    """How much of a study its page holds."""

    n_cells: int  # with charts of their own
    n_mean_cells: int  # in the chart over all cells
    n_points: int  # replications of a series drawn one by one, at most
    n_steps: int  # numbers of replications at which a running mean is drawn, at most


def thinning(n_figures: int, n_series: int, n_cells: int) -> Thinning:
    """Share the budget: first all cells, then finer charts.

    >>> thinning(26, 6, 1), thinning(26, 6, 1000).n_cells
    (Thinning(n_cells=1, n_mean_cells=1, n_points=300, n_steps=120), 32)
    """
    lines = n_figures * n_series
    shown = max(1, min(n_cells, BUDGET // (lines * FEWEST_NUMBERS)))
    spare = BUDGET // (lines * shown) - FEWEST_NUMBERS // 2  # the rest: statistics and histogram
    return Thinning(
        n_cells=shown,
        n_mean_cells=max(1, min(n_cells, MEANS_BUDGET // (3 * lines))),
        n_points=int(np.clip(spare // 3, 10, MOST_POINTS)),
        n_steps=int(np.clip(spare // 3, 10, MOST_STEPS)),
    )


def study_data(study: Study) -> dict[str, Any]:
    """Collect what the charts and tables of a study draw, ready for JSON."""
    words, series = figure_words(study.currency), series_of(study.policies)
    names = [word["name"] for word in words]
    held = thinning(len(names), len(series), len(study.cells))
    draw = _Drawing(study, names, series, held)
    shown = [cell.index for cell in study.cells[: held.n_cells]]
    return {
        "currency": study.currency,
        "figures": words,
        "n_headlines": len(HEADLINES),
        "series": [{"label": one.label, "pair": one.minus is not None} for one in series],
        "n_policies": len(study.policies),
        "factors": list(study.cells[0].levels),
        "design": study.factors.design if study.factors is not None else None,
        "levels": [[_level(level) for level in cell.levels.values()] for cell in study.cells],
        "shown": shown,
        "columns": {"policy": list(STATISTICS), "pair": list(DIFFERENCES)},
        "detail": draw.detail(shown),
        "steps": {str(n): steps_of(n, held.n_steps).tolist() for n in draw.counts(shown)},
        "every": {str(n): every_of(n, held.n_points) for n in draw.counts(shown)},
        "effects": effects_data(study, names),
        "means": draw.means([cell.index for cell in study.cells[: held.n_mean_cells]]),
    }


def every_of(n: int, most: int) -> int:
    """One in how many of n points is drawn, so that at most so many are.

    >>> every_of(200, 300), every_of(10_000, 300)
    (1, 34)
    """
    return max(1, -(-n // most))


def steps_of(n: int, most: int) -> NDArray[np.int64]:
    """Numbers of replications at which a running mean is drawn: all, or in equal ratios, the last always.

    >>> steps_of(5, 120).tolist(), steps_of(10_000, 6).tolist()
    ([2, 3, 4, 5], [2, 11, 60, 331, 1821, 10000])
    """
    if n < 2:
        return np.array([], dtype=np.int64)
    if n - 1 <= most:
        return np.arange(2, n + 1)
    return np.unique(np.geomspace(2, n, most).round().astype(np.int64))


class _Drawing:
    """A study's values and estimates, found by cell and series."""

    def __init__(self, study: Study, names: list[str], series: list[Series], held: Thinning) -> None:
        self._names, self._series, self._held = names, series, held
        self._values = {
            (cell, one.label): rows[names].to_numpy(np.float64).T
            for one in series
            for cell, rows in _rows(study, one).groupby("cell")
        }
        self._estimates = _by_series(study.statistics.assign(minus=""), names, STATISTICS)
        self._estimates |= _by_series(study.differences, names, DIFFERENCES)

    def counts(self, cells: Sequence[int]) -> list[int]:
        """Different numbers of replications that series have."""
        return sorted({self._of(cell, series).shape[1] for cell in cells for series in self._series})

    def detail(self, cells: Sequence[int]) -> list[list[list[dict[str, Any]]]]:
        """By figure, cell and series: n, estimates, histogram, points, running mean and half-width."""
        by_cell = [self._cell(cell) for cell in cells]
        return [[cell[figure] for cell in by_cell] for figure in range(len(self._names))]

    def means(self, cells: Sequence[int]) -> list[list[list[Numbers]]]:
        """By figure and series: mean and ends of its t interval in each cell."""
        nothing = np.full((len(self._names), 3), np.nan)
        columns = [
            DIFFERENCES.index(name) for name in ("mean", "ci_low", "ci_high")
        ]  # where STATISTICS has them
        found = np.array(
            [
                [
                    self._estimates[key][:, columns]
                    if (key := _key(cell, series)) in self._estimates
                    else nothing
                    for series in self._series
                ]
                for cell in cells
            ]
        )  # cell, series, figure, column
        return [
            [[rounded(line, 8) for line in lines] for lines in figure]
            for figure in found.transpose(2, 1, 3, 0)
        ]

    def _of(self, cell: int, series: Series) -> FloatArray:
        """Values, shape (n_figures, n_replications), in the order of replication numbers."""
        return self._values.get((cell, series.label), np.empty((len(self._names), 0)))

    def _cell(self, cell: int) -> list[list[dict[str, Any]]]:
        """By figure and series."""
        values = [self._of(cell, series) for series in self._series]
        lines = [self._running(one) for one in values]
        n_policies = sum(series.minus is None for series in self._series)
        by_figure = []
        for figure in range(len(self._names)):
            shared = bins_of([one[figure] for one in values[:n_policies]])
            own = [bins_of([one[figure]]) for one in values[n_policies:]]
            bins = [shared] * n_policies + own
            by_figure.append(
                [
                    {
                        **self._series_data(cell, index, figure, values[index][figure], bins[index]),
                        **lines[index][figure],
                    }
                    for index in range(len(self._series))
                ]
            )
        return by_figure

    def _series_data(
        self, cell: int, index: int, figure: int, values: FloatArray, bins: Bins | None
    ) -> dict[str, Any]:
        estimates = self._estimates.get(_key(cell, self._series[index]))
        return {
            "n": len(values),
            "stats": [] if estimates is None else rounded(estimates[figure], 8),
            "bins": None if bins is None else bins.data(values),
            "points": rounded(values[:: every_of(len(values), self._held.n_points)], 6),
        }

    def _running(self, values: FloatArray) -> list[dict[str, Numbers]]:
        """By figure: running mean and half-width of its interval at the steps of this number of replications."""
        at = steps_of(values.shape[-1], self._held.n_steps) - 1
        if not len(at):
            return [{"mean": [], "half": []} for _ in values]
        found = convergence(values)
        means, halves = found.mean[:, at], found.high[:, at] - found.mean[:, at]
        return [
            {"mean": rounded(mean, 7), "half": rounded(half, 4)}
            for mean, half in zip(means, halves, strict=True)
        ]


def _rows(study: Study, series: Series) -> pd.DataFrame:
    """Rows of a policy or of a difference, by cell and replication."""
    if series.minus is not None:
        return paired(study.results, study.figures, series)
    return study.results[study.results["policy"] == series.policy].sort_values("replication")


def _key(cell: int, series: Series) -> tuple[int, str, str]:
    return cell, series.policy, series.minus or ""


def _by_series(
    table: pd.DataFrame, names: list[str], columns: Sequence[str]
) -> dict[tuple[int, str, str], FloatArray]:
    """Estimates by cell, policy and the other policy: shape (n_figures, n_columns), figures in the page's order."""
    groups: Any = table.groupby(["cell", "policy", "minus"])
    return {
        (int(cell), policy, minus): rows.set_index("figure").loc[names, list(columns)].to_numpy(np.float64)
        for (cell, policy, minus), rows in groups
    }


def _level(level: Any) -> Any:
    return level if isinstance(level, int | float) else level_text(level)
