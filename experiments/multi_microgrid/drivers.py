"""What the rolling policy means to drivers of different kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from experiments.driver_accounts import gains
from experiments.experiment.sums import mean_row
from experiments.monte_carlo.reading import Study

LACKS: Final = ("unmet_kwh", "departure_shortfall_kwh", "early_departures")
"""Key figures of what declarations that are wrong bring about."""


def drivers_table(study: Study, labels: Sequence[str]) -> pd.DataFrame:
    """Gains of drivers by rolling against uncontrolled charging, by kind of driver, with intervals over fleets.

    Parameters
    ----------
    study
        Its run folders are kept.
    labels
        Of its cells.

    Returns
    -------
    DataFrame
        A row per kind: ``gain`` of the average driver with its interval, of the worst-off driver, share who lose, the
        compensation per kWh given back at which nobody loses (largest over fleets; inf where a loser gave nothing),
        ageing beyond uncontrolled charging, net cost saved, and what is missing at departures.
    """
    rows = []
    for cell, label in zip(study.cells, labels, strict=True):
        found = [
            gains(
                study.kept(k, cell=cell.index, policy="rolling"),
                study.kept(k, cell=cell.index, policy="uncontrolled"),
            )
            for k in sorted(study.results["replication"].unique())
        ]
        mean, worst = (
            mean_row(pd.Series([getattr(one, name) for one in found])) for name in ("mean", "worst")
        )
        ours = study.results[study.results["cell"] == cell.index].set_index(["policy", "replication"])
        cost = ours["total_cost_net_cny"]
        saved = mean_row((cost.loc["uncontrolled"] - cost.loc["rolling"]).astype(np.float64))
        rolling = ours.loc["rolling"]
        rows.append(
            {
                "drivers": label,
                "gain": mean["mean"],
                "ci_low": mean["ci_low"],
                "ci_high": mean["ci_high"],
                "worst off": worst["mean"],
                "worst of all": min(one.worst for one in found),
                "share who lose": float(np.mean([one.losing_share for one in found])),
                "nobody loses at, per kWh": max(one.no_loser_per_kwh for one in found),
                "ageing more": float(np.mean([one.cars["ageing_more"].mean() for one in found])),
                "net cost saved": saved["mean"],
                "saved low": saved["ci_low"],
                "saved high": saved["ci_high"],
                **{name: float(rolling[name].mean()) for name in LACKS},
                "n": mean["n"],
            }
        )
    return pd.DataFrame(rows)
