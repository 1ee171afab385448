"""Scores of the forecasters on real series, as the study's page shows them."""

from __future__ import annotations

from typing import Final

import pandas as pd

ERRORS: Final = ("mae", "rmse", "mase", "pinball")
SHOWN_LEVELS: Final = (0.05, 0.5, 0.95)


def scores_table(scores: pd.DataFrame) -> pd.DataFrame:
    """A row per quantity and forecaster: errors, coverage, and by how much it errs less than the reference.

    Parameters
    ----------
    scores
        Of `experiments.forecast_evaluation.evaluate`.

    Returns
    -------
    DataFrame
        Mean over days of MAE, RMSE, MASE and pinball loss, the share of values below the outer and the middle
        quantile, and the paired difference of the MAE to the reference with its interval.
    """
    rows = []
    for (quantity, forecaster), group in scores.groupby(["quantity", "forecaster"], sort=False):
        errors = group.set_index("score")
        below = group[group["score"] == "coverage"].set_index("level")["mean"]
        difference = errors.loc["mae", ["difference", "difference_low", "difference_high"]]
        rows.append(
            {
                "quantity": quantity,
                "forecaster": forecaster,
                **{name.upper() if name != "pinball" else name: errors.loc[name, "mean"] for name in ERRORS},
                **{f"below the {level:g} quantile": below[level] for level in SHOWN_LEVELS if level in below},
                "MAE less seasonal-naive": difference["difference"],
                "ci_low": difference["difference_low"],
                "ci_high": difference["difference_high"],
                "n": errors.loc["mae", "n_days"],
            }
        )
    return pd.DataFrame(rows)
