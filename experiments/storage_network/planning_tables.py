"""Tables of what was planned for days in hours."""

from __future__ import annotations

from typing import Final

import pandas as pd

from dispatch.planning.program import OBJECTIVES
from dispatch.station.front import knee
from experiments.experiment.sums import mean_row
from experiments.storage_network.figures import LABELS

_DUST: Final = 1e-9


def siting_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per fleet and method, of the sweep the cheapest place and size; what each costs above the best.

    Parameters
    ----------
    rows
        Of ``planning.sited``.

    >>> found = {"cars": 5, "method": ["exact", "sweep", "sweep"], "cost": [10.0, 12.0, 11.0]}
    >>> siting_table(pd.DataFrame(found))["above exact"].tolist()
    [0.0, 1.0]
    """
    cheapest = rows.sort_values("cost", kind="stable", na_position="last")
    shown = cheapest.drop_duplicates(["cars", "method"]).sort_index().reset_index(drop=True)
    exact = shown[shown["method"] == "exact"].set_index("cars")["cost"]
    shown["above exact"] = shown["cost"] - shown["cars"].map(exact)
    return shown


def fronts_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Ends and knee of each front, by how much each improves at what cost, and the largest gap of its points.

    Parameters
    ----------
    rows
        Of ``planning.traded``.
    """
    table = []
    for name, own in rows.groupby("second", sort=False):
        points = own[["cost", "value"]].to_numpy()
        middle = points[knee(points)]
        table.append(
            {
                "objective": name,
                "at least cost": points[0, 1],
                "least": points[-1, 1],
                "change [%]": 100.0 * (points[-1, 1] / points[0, 1] - 1.0),
                "costs [EUR a day]": points[-1, 0] - points[0, 0],
                "at the knee": middle[1],
                "knee costs [EUR a day]": middle[0] - points[0, 0],
                "largest gap": float(own["gap"].max()),
                "keep the limits": int((own["keeps_limits"] & own["is_one_way"]).sum()),
                "points": len(own),
            }
        )
    return pd.DataFrame(table)


def ends_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Best of NSGA-III in each objective, the exact end, what no plan can undercut; a column per objective.

    Parameters
    ----------
    rows
        Of ``planning.evolved``.
    """
    is_search = rows["method"] == "NSGA-III"
    table: dict[str, list[object]] = {
        "": ["best of NSGA-III", "exact end", "certified bound", "NSGA-III above bound", "above bound [%]"]
    }
    for name in OBJECTIVES:
        end = rows[rows["objective"] == name].iloc[0]
        best, exact, bound = (
            float(value) for value in (rows.loc[is_search, name].min(), end[name], end["bound"])
        )
        share = 100.0 * (best / bound - 1.0) if bound > 0.0 else float("nan")  # of nothing there is none
        table[LABELS[name]] = [best, exact, bound, best - bound, share]
    return pd.DataFrame(table)


def above_table(rows: pd.DataFrame) -> pd.DataFrame:
    """How far points of NSGA-III cost more than any plan must that is no worse in all else; one row.

    Parameters
    ----------
    rows
        Of ``planning.evolved``.

    >>> found = {"method": "NSGA-III", "cost": [10.0, 11.0, 13.0, 9.0], "bound": [9.0, 9.0, 9.0, float("nan")]}
    >>> above_table(pd.DataFrame(found))[["median above [EUR]", "points"]].to_numpy().tolist()
    [[2.0, 4.0]]
    """
    points = rows[rows["method"] == "NSGA-III"]
    compared = points.dropna(subset="bound")
    above = compared["cost"] - compared["bound"]
    row = {
        "points": len(points),
        "compared": len(compared),
        "least above [EUR]": float(above.min()),
        "median above [EUR]": float(above.median()),
        "most above [EUR]": float(above.max()),
        "median above [%]": float((100.0 * above / compared["bound"].abs()).median()),
        "below their bound": int((above < 0.0).sum()),
    }
    return pd.DataFrame([row])


def reserve_table(rows: pd.DataFrame) -> pd.DataFrame:
    """What is held and what is delivered, with and without the energy to back it.

    Intervals are over draws of calls, each draw of each day one observation: days that stand for a year are chosen, not
    drawn, and are too few for an interval over days. How much days differ is told by the least of them.

    Parameters
    ----------
    rows
        Of ``planning.held``.
    """
    table = []
    for (keeps, call_h), own in rows.groupby(["keeps_energy", "call_h"], sort=False):
        days = own.drop_duplicates("day")
        energy, low, high = _share(own["delivered_kwh"], own["asked_kwh"])
        calls, calls_low, calls_high = _share(own["in_full"], own["activations"])
        by_day = own.groupby("day")[["delivered_kwh", "asked_kwh"]].sum()
        table.append(
            {
                "schedule": "energy kept" if keeps else "power alone",
                "calls last [h]": float(str(call_h)),
                "up [kW]": float(days["up_kw"].mean()),
                "down [kW]": float(days["down_kw"].mean()),
                "planned cost of a day [EUR]": float(days["cost"].mean()),
                "largest gap": float(days["gap"].max()),
                "energy delivered [%]": 100.0 * energy,
                "energy low": 100.0 * low,
                "energy high": 100.0 * high,
                "least day [%]": 100.0 * float((by_day["delivered_kwh"] / by_day["asked_kwh"]).min()),
                "activations in full [%]": 100.0 * calls,
                "activations low": 100.0 * calls_low,
                "activations high": 100.0 * calls_high,
                "activations": int(own["activations"].sum()),
                "days": len(days),
                "n": len(own),
            }
        )
    return pd.DataFrame(table)


def _share(part: pd.Series[float], whole: pd.Series[float]) -> tuple[float, float, float]:
    """Share of a sum, and its 95 % interval: that of a ratio of two means, from what each pair misses it by.

    Shares of single pairs would count a draw that asks for little as much as one that asks for all. NaN: nothing
    asked; no interval where all pairs have the same share, which says that the others are rare, not that there are
    none.

    >>> half = _share(pd.Series([1.0, 2.0, 3.0]), pd.Series([4.0, 4.0, 4.0]))
    >>> [round(float(value), 3) for value in half]
    [0.5, 0.0, 1.0]
    """
    asked = float(whole.sum())
    if asked == 0.0:
        return float("nan"), float("nan"), float("nan")
    share = float(part.sum()) / asked
    missed = (part - share * whole) / float(whole.mean())
    if float(missed.abs().max()) < _DUST:
        return share, float("nan"), float("nan")
    spread = mean_row(missed)
    return share, max(share + spread["ci_low"], 0.0), min(share + spread["ci_high"], 1.0)


def sun_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Further sun with storage idle and free, and what storage makes room for: on the least day, and in the mean.

    What may be installed is what every day takes: the least of them. No schedule lets it be more than the least bound.

    Parameters
    ----------
    rows
        Of ``planning.lit``.
    """
    table = []
    wide, bounds = (
        rows.pivot_table(index="day", columns="storage", values=name) for name in ("further_kw", "bound_kw")
    )
    for name, values in (
        ("idle", wide["idle"]),
        ("free", wide["free"]),
        ("free less idle", wide["free"] - wide["idle"]),
    ):
        mean = mean_row(values)
        bound = bounds[name] if name in bounds else pd.Series([float("nan")])
        table.append(
            {
                "storage": name,
                "on every day [kW]": float(values.min()),
                "no more on every day than [kW]": float(bound.min()),
                "least day": str(values.idxmin()),
                "mean [kW]": mean["mean"],
                "low": mean["ci_low"],
                "high": mean["ci_high"],
                "mean bound [kW]": float(bound.mean()),
                "there [kW]": float(rows["there_kw"].iloc[0]),
                "n": mean["n"],
            }
        )
    return pd.DataFrame(table)
