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
WITH_LACKING: Final = "cost with what is lacking"
ELSEWHERE_USD_PER_KWH: Final = 0.40
"""What energy costs that a car lacks at its departure and takes at a public charger instead [A]."""

PARTS: Final = {
    "optimum": "",
    "perfect": ", perfect forecasts",
    "real-days": "",
    "load-known": ", load and weather known",
    "cars-known": ", cars known",
    "learned": ", learned forecasts",
    "stochastic": "",
}
"""Parts of the study that are of real days, and what is added to the names of their policies."""


def rows_of(parts: Mapping[str, Study]) -> pd.DataFrame:
    """Results of all real days, with ``name``: the policy, and its forecaster where that is not yesterday.

    The cost with what is lacking adds to the net cost what cars pay elsewhere for energy that they did not get here.
    """
    frames = []
    for part, suffix in PARTS.items():
        results = parts[part].results
        days = pd.to_datetime(results[START]).dt.date
        frames.append(results.assign(name=results["policy"] + suffix, day=days))
    rows = pd.concat(frames, ignore_index=True)
    return rows.assign(**{WITH_LACKING: rows[COST] + ELSEWHERE_USD_PER_KWH * rows[LACKS]})


def policies_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Each policy against the day-ahead optimum, day by day.

    Parameters
    ----------
    rows
        Of `rows_of`.

    Returns
    -------
    DataFrame
        A row per policy: mean net cost of a day, regret with its 95 % interval over the days, the same with what cars
        lacked and bought elsewhere, energy that they lacked at their departure, share of cars served in full, Jain's
        index, peak of the import, and its peak-valley difference; n days.
    """
    optimum = rows[rows["name"] == "day-ahead"].set_index("day")
    table = []
    for name, own in rows.groupby("name", sort=False):
        at = own.set_index("day")
        regret, whole = (mean_row((at[cost] - optimum[cost]).dropna()) for cost in (COST, WITH_LACKING))
        table.append(
            {
                "policy": name,
                "cost [USD]": float(at[COST].mean()),
                "regret [USD]": regret["mean"],
                "low": regret["ci_low"],
                "high": regret["ci_high"],
                "regret with lacking [USD]": whole["mean"],
                "with lacking low": whole["ci_low"],
                "with lacking high": whole["ci_high"],
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
        cost, whole, lacks = (
            mean_row((at[figure] - base[figure]).dropna()) for figure in (COST, WITH_LACKING, LACKS)
        )
        table.append(
            {
                "policy": other,
                "cost difference [USD]": cost["mean"],
                "cost low": cost["ci_low"],
                "cost high": cost["ci_high"],
                "with lacking [USD]": whole["mean"],
                "with lacking low": whole["ci_low"],
                "with lacking high": whole["ci_high"],
                "lacking difference [kWh]": lacks["mean"],
                "kWh low": lacks["ci_low"],
                "kWh high": lacks["ci_high"],
                "n": cost["n"],
            }
        )
    return pd.DataFrame(table)


def sessions_a_day(rows: pd.DataFrame) -> pd.Series[float]:
    """Sessions that came on each day."""
    return rows[rows["name"] == "day-ahead"].set_index("day")["sessions_served"]
