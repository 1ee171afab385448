"""What the rolling policy means to drivers of different kinds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from experiments.driver_accounts import Gains, gains, taking_part
from experiments.experiment.sums import mean_row
from experiments.monte_carlo.contracts import Cell, Level
from experiments.monte_carlo.reading import Study

LACKS: Final = ("unmet_kwh", "departure_shortfall_kwh", "early_departures")
"""Key figures of what declarations that are wrong bring about."""


def drivers_table(study: Study, kinds: Mapping[str, Mapping[str, Level]]) -> pd.DataFrame:
    """Gains of drivers by rolling against uncontrolled charging, by kind of driver, with intervals over fleets.

    Parameters
    ----------
    study
        Its run folders are kept.
    kinds
        Levels of each kind of drivers, by label.

    Returns
    -------
    DataFrame
        A row per kind, and where some take no part one for those who do: ``gain`` of the average driver with its
        interval, of the worst-off driver, share who lose, the compensation per kWh given back at which nobody loses
        (largest over fleets; inf where a loser gave nothing), ageing beyond uncontrolled charging, net cost saved,
        what is missing at departures, and what unmet energy would cost at the price of a shortfall.
    """
    return pd.DataFrame(row for cell in study.cells for row in _rows(study, cell, _label(cell, kinds)))


def _label(cell: Cell, kinds: Mapping[str, Mapping[str, Level]]) -> str:
    return next(label for label, levels in kinds.items() if dict(levels) == dict(cell.levels))


def _rows(study: Study, cell: Cell, label: str) -> Iterator[dict[str, object]]:
    """Row of one kind of drivers, and one of its participants alone where not all take part."""
    found = [
        _gains(study, cell, replication) for replication in sorted(study.results["replication"].unique())
    ]
    system = _system(study, cell)
    yield {"drivers": label, **gains_row(found), **system, "n": float(len(found))}
    taking = [taking_part(one) for one in found]
    if any(len(part.cars) < len(one.cars) for part, one in zip(taking, found, strict=True)):
        yield {"drivers": f"{label}: those who do", **gains_row(taking), "n": float(len(taking))}


def _gains(study: Study, cell: Cell, replication: int) -> Gains:
    ours, theirs = (
        study.kept(replication, cell=cell.index, policy=policy) for policy in ("rolling", "uncontrolled")
    )
    return gains(ours, theirs)


def gains_row(found: Sequence[Gains]) -> dict[str, object]:
    """Figures of drivers over several fleets."""
    mean, worst = (mean_row(pd.Series([getattr(one, name) for one in found])) for name in ("mean", "worst"))
    return {
        "gain": mean["mean"],
        "ci_low": mean["ci_low"],
        "ci_high": mean["ci_high"],
        "worst off": worst["mean"],
        "worst of all": min(one.worst for one in found),
        "share who lose": float(np.mean([one.losing_share for one in found])),
        "nobody loses at, per kWh": max(one.no_loser_per_kwh for one in found),
        "ageing more": float(np.mean([one.cars["ageing_more"].mean() for one in found])),
    }


def _system(study: Study, cell: Cell) -> dict[str, object]:
    """What the whole system saves, and what is missing at departures."""
    ours = study.results[study.results["cell"] == cell.index].set_index(["policy", "replication"])
    cost = ours["total_cost_net_cny"]
    saved = mean_row((cost.loc["uncontrolled"] - cost.loc["rolling"]).astype(np.float64))
    lacks = {name: float(ours.loc["rolling"][name].mean()) for name in LACKS}
    price = study.scenario.economics.shortfall_price_per_kwh
    return {
        "net cost saved": saved["mean"],
        "saved low": saved["ci_low"],
        "saved high": saved["ci_high"],
        **lacks,
        "unmet at the shortfall price": price * lacks["unmet_kwh"],
    }
