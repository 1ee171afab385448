"""What not knowing costs: regret of forecasters and policies in money, and which part of the forecast it is due to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from experiments.experiment.sums import mean_row, paired
from experiments.monte_carlo.contracts import Cell
from experiments.multi_microgrid.plan import FORECASTERS, START

COST: Final = "total_cost_net_cny"
KIND, KNOWN = "forecast.kind", "forecast.known"
CARS, LEAVING = "forecast.cars", "dispatch.departing_energy_value"
LACKS: Final = ("unmet_kwh", "departure_shortfall_kwh", "late_departures")


def regrets(costs: pd.DataFrame, yardstick: str) -> pd.DataFrame:
    """Cost above a yardstick's, day by day, as means with intervals.

    Parameters
    ----------
    costs
        Net cost, a row per day and a column per forecaster or policy.
    yardstick
        The column that knows everything.

    Returns
    -------
    DataFrame
        A row per column: mean cost, ``regret`` with its interval over days, in per cent of the yardstick's mean
        cost, and on how many days it was the cheapest but the yardstick.

    >>> costs = pd.DataFrame({"perfect": [10.0, 20.0], "a": [11.0, 23.0]})
    >>> regrets(costs, "perfect").loc[1, ["regret", "percent"]].round(3).tolist()
    [2.0, 13.333]
    """
    known = costs.dropna()
    others = [name for name in known.columns if name != yardstick]
    cheapest = known[others].idxmin(axis=1) if others else pd.Series(dtype=object)
    rows = []
    for name in known.columns:
        regret = mean_row(known[name] - known[yardstick])
        rows.append(
            {
                "name": name,
                "mean cost": float(known[name].mean()),
                "regret": regret["mean"],
                "ci_low": regret["ci_low"],
                "ci_high": regret["ci_high"],
                "percent": 100.0 * regret["mean"] / float(known[yardstick].mean()),
                "cheapest days": int((cheapest == name).sum()),
                "n": regret["n"],
            }
        )
    return pd.DataFrame(rows)


def shapley(values: Mapping[frozenset[str], float], players: Sequence[str]) -> dict[str, float]:
    """Fair share of each player in the value of all together (Shapley 1953).

    Parameters
    ----------
    values
        Value of every coalition, the empty one included.

    >>> values = {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 2.0, frozenset("ab"): 5.0}
    >>> shapley(values, ["a", "b"])
    {'a': 2.0, 'b': 3.0}
    """
    n = len(players)
    shares = {}
    for player in players:
        others = [other for other in players if other != player]
        share = 0.0
        for size in range(n):
            weight = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for chosen in itertools.combinations(others, size):
                coalition = frozenset(chosen)
                share += weight * (values[coalition | {player}] - values[coalition])
        shares[player] = share
    return shares


def regret_split(costs: Mapping[frozenset[str], pd.Series[float]], parts: Sequence[str]) -> pd.DataFrame:
    """Regret split into what each part of the forecast causes: Shapley shares of what knowing it would save.

    Shares add up to the regret on every day, whatever the order in which parts become known.

    Parameters
    ----------
    costs
        Net cost by day where exactly these parts are known; every subset of the parts is there.

    Returns
    -------
    DataFrame
        A row per part and one for the sum: mean with its interval over days, and the share.
    """
    frame = pd.DataFrame({_name(known): series for known, series in costs.items()}).dropna()
    per_day: dict[str, list[float]] = {part: [] for part in parts}
    for _, row in frame.iterrows():
        saved = {known: float(row[_name(frozenset())] - row[_name(known)]) for known in costs}
        for part, share in shapley(saved, parts).items():
            per_day[part].append(share)
    total = frame[_name(frozenset())] - frame[_name(frozenset(parts))]
    rows = [
        {"part": part, **mean_row(pd.Series(values, dtype=np.float64)).to_dict()}
        for part, values in per_day.items()
    ]
    rows.append({"part": "all", **mean_row(total).to_dict()})
    table = pd.DataFrame(rows)
    table["share"] = table["mean"] / float(total.mean())
    return table


def _name(known: frozenset[str]) -> str:
    return "+".join(sorted(known))


def with_levels(results: pd.DataFrame, cells: Sequence[Cell]) -> pd.DataFrame:
    """Net costs with their cell's levels as Python has them."""
    levels = pd.DataFrame(
        [{**cell.levels, KNOWN: frozenset(cell.levels[KNOWN])} for cell in cells],
        index=pd.Index([cell.index for cell in cells], name="cell"),
    )
    return results[["cell", "policy", "replication", COST]].join(levels, on="cell")


def costs_by_forecaster(frame: pd.DataFrame) -> pd.DataFrame:
    """Net cost by day (rows) and forecaster (columns); with statistics of travel, and their prices, by name.

    Parameters
    ----------
    frame
        Of `with_levels`, of one policy.
    """
    own = frame[frame[KNOWN].map(len) == 0]
    names = own[KIND] + np.where(own[CARS] == "statistics", ", cars by statistics", "")
    names = names + np.where(own[LEAVING] == "chain_statistics", ", leaving energy too", "")
    table = own.assign(name=names).pivot(index=START, columns="name", values=COST)
    return table[[*FORECASTERS, *(name for name in dict.fromkeys(names) if name not in FORECASTERS)]]


def costs_by_known(
    frame: pd.DataFrame, kind: str, parts: Sequence[str]
) -> dict[frozenset[str], pd.Series[float]]:
    """Net cost by day for each set of parts that one forecaster is given as they will be.

    Given nothing it is itself; given all parts it is the perfect one, for prices are published.
    """
    plain = frame[(frame[CARS] == "yesterday") & (frame[LEAVING] == "median_price")]
    own = plain[plain[KIND] == kind]
    costs = {known: own[own[KNOWN] == known].set_index(START)[COST] for known in dict.fromkeys(own[KNOWN])}
    return {**costs, frozenset(parts): plain[plain[KIND] == "perfect"].set_index(START)[COST]}


def with_optimum(table: pd.DataFrame, costs: pd.DataFrame, optimum: pd.Series[float]) -> pd.DataFrame:
    """Regret table with the day-ahead optimum as its first row: what the rolling horizon itself gives away.

    Parameters
    ----------
    table
        Of `regrets` against "perfect".
    costs
        What it was made of.
    optimum
        Net cost by day of the whole day planned at its start, everything known.
    """
    (row,) = regrets(costs[["perfect"]].assign(optimum=optimum), "perfect").iloc[1:].to_dict("records")
    first = pd.DataFrame([{**row, "name": "the whole day planned at once (perfect)", "cheapest days": 0}])
    return pd.concat([first, table], ignore_index=True)


def day_costs(results: pd.DataFrame) -> pd.Series[float]:
    """Net cost by day of a study with one policy and one cell a day."""
    days = pd.to_datetime(results[START]).dt.date
    return pd.Series(results[COST].to_numpy(np.float64), index=pd.Index(days, name=START))


def policies_table(results: pd.DataFrame, perfect: pd.Series[float]) -> pd.DataFrame:
    """Regret of each policy under each forecaster against the rolling policy with perfect forecasts, by day.

    Parameters
    ----------
    results
        Rows of policies by day and forecaster; a policy may be there on some of the days only.
    perfect
        Net cost by day of the yardstick.

    Returns
    -------
    DataFrame
        A row per forecaster and policy: regret with its interval over its days, unmet energy, late departures, and
        on how many days it was the cheapest of those that ran on it.
    """
    frame = results.assign(day=pd.to_datetime(results[START]).dt.date)
    frame = frame.assign(regret=frame[COST] - frame["day"].map(perfect))
    least = frame.groupby(["day", KIND])[COST].transform("min")
    frame = frame.assign(is_cheapest=frame[COST] == least)
    rows = []
    for (kind, policy), own in frame.groupby([KIND, "policy"], sort=False):
        regret = mean_row(own["regret"])
        base = float(own["day"].map(perfect).mean())
        rows.append(
            {
                "forecaster": kind,
                "policy": policy,
                "mean cost": float(own[COST].mean()),
                "regret": regret["mean"],
                "ci_low": regret["ci_low"],
                "ci_high": regret["ci_high"],
                "percent": 100.0 * regret["mean"] / base,
                "cheapest days": int(own["is_cheapest"].sum()),
                **{name: float(own[name].mean()) for name in LACKS},
                "n": regret["n"],
            }
        )
    return pd.DataFrame(rows).sort_values("forecaster", kind="stable", ignore_index=True)


def against_rolling(results: pd.DataFrame, policies: Sequence[str]) -> pd.DataFrame:
    """What margins and the stochastic program change against the deterministic policy, paired by day."""
    figures = (COST, *LACKS, "clipped_kwh")
    rows = []
    for kind, frame in results.groupby(KIND, sort=False):
        for policy, figure in itertools.product(policies, figures):
            difference = paired(frame, "policy", policy, "rolling", figure, [START])["difference"]
            rows.append(
                {"forecaster": kind, "policy": policy, "figure": figure, **mean_row(difference).to_dict()}
            )
    return pd.DataFrame(rows)
