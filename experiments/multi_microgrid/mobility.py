"""How much of the gain comes from batteries that move, and how much from storage as such."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from experiments.experiment.sums import mean_row, means_by
from experiments.monte_carlo.contracts import Cell
from experiments.multi_microgrid.plan import MOBILITY, START, storage_levels
from sim.scenario import Scenario

COST: Final = "total_cost_net_cny"
DAYS_PER_YEAR: Final = 365
SEASONS: Final = ("winter", "spring", "summer", "autumn")


def cells_by_kind(cells: Sequence[Cell], scenario: Scenario) -> pd.DataFrame:
    """Kind of storage and day of each cell: index ``cell``, columns ``kind`` and ``day``."""
    known = {kind: storage_levels(scenario, kind) for kind in MOBILITY}
    rows = [
        {
            "kind": next(kind for kind, levels in known.items() if levels.items() <= cell.levels.items()),
            "day": cell.levels[START],
        }
        for cell in cells
    ]
    return pd.DataFrame(rows, index=pd.Index([cell.index for cell in cells], name="cell"))


def savings(results: pd.DataFrame, kinds: pd.DataFrame) -> pd.DataFrame:
    """What each kind of storage saves against cars that only charge: a row per day, a column per kind [CNY].

    Each value is the mean over the fleets of the day; days have fleets of their own.
    """
    frame = results.join(kinds, on="cell")
    cost = frame.groupby(["day", "kind"])[COST].mean().unstack("kind")
    return cost.sub(cost["charging only"], axis=0).mul(-1.0)


def mobility_gains(saved: pd.DataFrame, n_cars: int) -> pd.DataFrame:
    """What each kind of storage saves in the mean over the days, and what mobility adds.

    Parameters
    ----------
    saved
        Of `savings`.
    n_cars
        Size of the fleet.

    Returns
    -------
    DataFrame
        A row per kind and per difference between kinds: ``gain`` [CNY a day] with its interval over days, the same
        per car and year [CNY], and the ``share`` of what V2G everywhere saves.
    """
    whole = saved["V2G everywhere"]
    rows = {
        "V2G everywhere (the cars as they drive)": whole,
        "V2G at home only (the same cars, fixed by their plug)": saved["V2G at home"],
        "mobility: V2G everywhere less V2G at home": whole - saved["V2G at home"],
        "fixed batteries of the cars' size, all at home": saved["fixed at home"],
        "fixed batteries of the cars' size, shared by the regions": saved["fixed everywhere"],
        "V2G everywhere less fixed batteries at home": whole - saved["fixed at home"],
        "V2G everywhere less fixed batteries shared by the regions": whole - saved["fixed everywhere"],
    }
    return pd.DataFrame([_row(name, values, whole, n_cars) for name, values in rows.items()])


def _row(name: str, values: pd.Series[float], whole: pd.Series[float], n_cars: int) -> dict[str, object]:
    mean = mean_row(values)
    per_year = DAYS_PER_YEAR / max(n_cars, 1)
    return {
        "storage": name,
        "gain": mean["mean"],
        "ci_low": mean["ci_low"],
        "ci_high": mean["ci_high"],
        "per car and year": per_year * mean["mean"],
        "per car and year low": per_year * mean["ci_low"],
        "per car and year high": per_year * mean["ci_high"],
        "share": float(values.mean() / whole.mean()),
        "n": mean["n"],
    }


def by_season(saved: pd.DataFrame) -> pd.DataFrame:
    """What V2G everywhere and mobility save in each season, with intervals over its days."""
    table = pd.DataFrame(
        {
            "V2G everywhere": saved["V2G everywhere"],
            "mobility": saved["V2G everywhere"] - saved["V2G at home"],
        }
    )
    seasons = [season(day.month) for day in table.index]
    long = table.assign(season=seasons).melt(id_vars=["season"], var_name="part", value_name="gain")
    return means_by(long, ["season", "part"], "gain")


def season(month: int) -> str:
    """Meteorological season of a month on the northern half of the Earth.

    >>> [season(month) for month in (12, 2, 3, 8, 11)]
    ['winter', 'winter', 'spring', 'summer', 'autumn']
    """
    return SEASONS[month % 12 // 3]
