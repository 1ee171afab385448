"""Effects of a study's factors as its page draws them: on the policies, and on the differences between them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from experiments.monte_carlo.analysis.effects import effects
from experiments.monte_carlo.reading import Study
from experiments.monte_carlo.report.series import Series, paired, rounded, series_of

MAX_EFFECTS: Final = 400
"""Effects of a figure and series that the page holds."""
ESTIMATES: Final = ["effect", "ci_low", "ci_high", "share"]


def effects_data(study: Study, names: list[str]) -> dict[str, Any] | None:
    """Collect effects, ready for JSON; none where the design has none.

    Parameters
    ----------
    study
        With its factors.
    names
        Key figures in the page's order.

    Returns
    -------
    dict
        ``rows``: kind, term and level of each effect; ``n_rows``: how many there are, held or not; ``n``: complete
        replications; ``values``: by figure and series the estimates of each.
    """
    if study.factors is None:
        return None
    tables = [_table(study, series) for series in series_of(study.policies)]
    first = tables[0]
    if first.empty:
        return None
    rows = first.loc[first["figure"] == names[0], ["kind", "term", "level"]].to_numpy().tolist()
    values = np.stack([_values(table, names, len(rows)) for table in tables], axis=1)
    return {
        "rows": rows[:MAX_EFFECTS],
        "n_rows": len(rows),
        "n": int(first["n"].iloc[0]),
        "values": [
            [[rounded(line[:MAX_EFFECTS], 6) for line in lines.T] for lines in figure] for figure in values
        ],
    }


def _table(study: Study, series: Series) -> pd.DataFrame:
    if series.minus is None:
        return study.effects[study.effects["policy"] == series.policy]
    assert study.factors is not None  # told apart by the caller
    rows = paired(study.results, study.figures, series)
    return effects(rows, study.factors, study.cells, study.figures, [series.label])


def _values(table: pd.DataFrame, names: list[str], n_rows: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Estimates, shape (n_figures, n_rows, n_estimates); not-a-number where no replication is complete."""
    if table.empty:
        return np.full((len(names), n_rows, len(ESTIMATES)), np.nan)
    by_figure: Any = table.groupby("figure", sort=False)
    found = {figure: rows[ESTIMATES].to_numpy(np.float64) for figure, rows in by_figure}
    return np.stack([found[name] for name in names])
