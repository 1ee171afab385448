"""What not knowing the cars costs on real days, by policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd

from experiments.experiment.sums import mean_row
from experiments.monte_carlo.reading import Study

START: Final = "simulation.start"
COST: Final = "total_cost_net_usd"
LACKS: Final = "departure_shortfall_kwh"
PARTS: Final = {
    "optimum": "",
    "perfect": ", perfect forecasts",
    "real-days": "",
    "learned": ", learned forecasts",
    "stochastic": "",
}
"""Parts of the study that are of real days, and what is added to the names of their policies."""


def rows_of(parts: Mapping[str, Study]) -> pd.DataFrame:
    """Results of all real days, with ``name``: the policy, and its forecaster where that is not yesterday."""
    frames = []
    for part, suffix in PARTS.items():
        results = parts[part].results
        days = pd.to_datetime(results[START]).dt.date
        frames.append(results.assign(name=results["policy"] + suffix, day=days))
    return pd.concat(frames, ignore_index=True)


def policies_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Each policy against the day-ahead optimum, day by day.

    Parameters
    ----------
    rows
        Of `rows_of`.

    Returns
    -------
    DataFrame
        A row per policy: mean net cost of a day, regret with its 95 % interval over the days, energy that cars lacked
        at their departure, share of cars served in full, Jain's index, peak of the import, and its peak-valley
        difference; n days.
    """
    optimum = rows[rows["name"] == "day-ahead"].set_index("day")
    table = []
    for name, own in rows.groupby("name", sort=False):
        at = own.set_index("day")
        regret = mean_row((at[COST] - optimum[COST]).dropna())
        table.append(
            {
                "policy": name,
                "cost [USD]": float(at[COST].mean()),
                "regret [USD]": regret["mean"],
                "low": regret["ci_low"],
                "high": regret["ci_high"],
                "lacking [kWh]": float(at[LACKS].mean()),
                "most lacking on a day [kWh]": float(at[LACKS].max()),
                "served in full": float(at["departures_met_share"].mean()),
                "Jain": float(at["departures_jain"].mean()),
                "least Jain of a day": float(at["departures_jain"].min()),
                "peak import [kW]": float(at["peak_import_kw"].mean()),
                "peak-valley [kW]": float(at["peak_valley_kw"].mean()),
                "late": float(at["late_departures"].sum()),
                "clipped [kWh]": float(at["clipped_kwh"].mean()),
                "n": regret["n"],
            }
        )
    return pd.DataFrame(table)


def against(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Net cost and lacking energy of each policy less another's, paired by day; a row per policy."""
    base = rows[rows["name"] == name].set_index("day")
    table = []
    for other, own in rows[rows["name"] != name].groupby("name", sort=False):
        at = own.set_index("day")
        cost, lacks = mean_row((at[COST] - base[COST]).dropna()), mean_row((at[LACKS] - base[LACKS]).dropna())
        table.append(
            {
                "policy": other,
                "cost difference [USD]": cost["mean"],
                "cost low": cost["ci_low"],
                "cost high": cost["ci_high"],
                "lacking difference [kWh]": lacks["mean"],
                "lacking low": lacks["ci_low"],
                "lacking high": lacks["ci_high"],
                "n": cost["n"],
            }
        )
    return pd.DataFrame(table)


def sessions_a_day(rows: pd.DataFrame) -> pd.Series[float]:
    """Sessions that came on each day."""
    return rows[rows["name"] == "day-ahead"].set_index("day")["sessions_served"]
