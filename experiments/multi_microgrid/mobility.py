"""How much of the gain comes from batteries that move, and how much from storage as such."""

from __future__ import annotations

from typing import Final

import pandas as pd

from experiments.experiment.sums import mean_row, means_by
from experiments.multi_microgrid.plan import MOBILITY, SEASONS

COST: Final = "total_cost_net_cny"
DAYS_PER_YEAR: Final = 365


def kinds(n_cells: int) -> pd.DataFrame:
    """Kind of storage and day of each cell, as `plan.mobility_cells` numbers them."""
    rows = [{"kind": kind, "day": day} for kind in MOBILITY for day in SEASONS]
    frame = pd.DataFrame(rows)
    frame.index.name = "cell"
    return frame.iloc[:n_cells]


def mobility_gains(results: pd.DataFrame, n_cars: int) -> pd.DataFrame:
    """What each kind of storage saves against cars that only charge, and what mobility adds.

    Each fleet's mean over the seasonal days is one value; intervals are over fleets.

    Parameters
    ----------
    results
        Rows of the part ``mobility``.
    n_cars
        Size of the fleet.

    Returns
    -------
    DataFrame
        A row per kind and per difference between kinds: ``gain`` [CNY a day] with its interval, ``per_car_year``
        [CNY], and the ``share`` of what V2G everywhere saves.
    """
    cost = _cost(results)
    gain = cost.sub(cost["charging only"], axis=0).mul(-1.0)
    whole = gain["V2G everywhere"]
    rows = {
        "V2G everywhere (the cars as they drive)": whole,
        "V2G at home only (the same cars, fixed by their plug)": gain["V2G at home"],
        "mobility: V2G everywhere less V2G at home": whole - gain["V2G at home"],
        "fixed batteries of the cars' size, all at home": gain["fixed at home"],
        "fixed batteries of the cars' size, shared by the regions": gain["fixed everywhere"],
        "V2G everywhere less fixed batteries at home": whole - gain["fixed at home"],
        "V2G everywhere less fixed batteries shared by the regions": whole - gain["fixed everywhere"],
    }
    return pd.DataFrame([_row(name, values, whole, n_cars) for name, values in rows.items()])


def _cost(results: pd.DataFrame) -> pd.DataFrame:
    """Mean over the days, a row per fleet and a column per kind."""
    frame = results.join(kinds(results["cell"].max() + 1), on="cell")
    return frame.groupby(["replication", "kind"])[COST].mean().unstack("kind")


def _row(name: str, values: pd.Series[float], whole: pd.Series[float], n_cars: int) -> dict[str, object]:
    mean = mean_row(values)
    per_year = DAYS_PER_YEAR / max(n_cars, 1)
    return {
        "storage": name,
        "gain": mean["mean"],
        "ci_low": mean["ci_low"],
        "ci_high": mean["ci_high"],
        "per_car_year": per_year * mean["mean"],
        "per_car_year_low": per_year * mean["ci_low"],
        "per_car_year_high": per_year * mean["ci_high"],
        "share": float(values.mean() / whole.mean()),
        "n": mean["n"],
    }


def by_season(results: pd.DataFrame) -> pd.DataFrame:
    """What V2G everywhere and mobility save on each seasonal day, with intervals over fleets."""
    frame = results.join(kinds(results["cell"].max() + 1), on="cell")
    cost = frame.pivot_table(index=["day", "replication"], columns="kind", values=COST)
    table = pd.DataFrame(
        {
            "V2G everywhere": cost["charging only"] - cost["V2G everywhere"],
            "mobility": cost["V2G at home"] - cost["V2G everywhere"],
        }
    )
    long = table.reset_index().melt(id_vars=["day", "replication"], var_name="part", value_name="gain")
    return means_by(long, ["day", "part"], "gain")
