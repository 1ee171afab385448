"""What the rows of the sheets say: sums, intervals, verdicts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.charging_station.cases import PRINTED
from experiments.experiment.sums import mean_row

CHANGES = ("cost % 2", "peak-valley % 2", "cost % 3", "peak-valley % 3")


def reach_table(reach: pd.DataFrame) -> pd.DataFrame:
    """What cases 2 and 3 reach over days of the year, a row per building, reading of the peak, and case.

    Returns
    -------
    DataFrame
        Means of the best changes with 95 % intervals over the days, the printed pair, and on how many days it is
        reached, out of reach by proof, or open between plan and bound.
    """
    rows = []
    for (building, load_of, case), own in reach.groupby(["building", "load of", "case"], sort=False):
        cost, spread = mean_row(own["cost % at best"]), mean_row(own["peak-valley % at best"])
        verdicts = own["printed pair"].value_counts()
        rows.append(
            {
                "building": building,
                "load of": load_of,
                "case": case,
                "best cost %": cost["mean"],
                "cost low": cost["ci_low"],
                "cost high": cost["ci_high"],
                "best peak-valley %": spread["mean"],
                "peak-valley low": spread["ci_low"],
                "peak-valley high": spread["ci_high"],
                "printed cost %": PRINTED[str(case)][0],
                "printed peak-valley %": PRINTED[str(case)][1],
                "pair reached": int(verdicts.get("reached", 0)),
                "out of reach": int(verdicts.get("out of reach", 0)),
                "open": int(verdicts.get("open", 0)),
                "n": len(own),
            }
        )
    return pd.DataFrame(rows)


def bridge_table(changes: pd.DataFrame) -> pd.DataFrame:
    """Changes against case 1 with one assumption switched, means over days; moves against the days as they are.

    Returns
    -------
    DataFrame
        A row per variant, the printed pairs first: each change, and by how much the switch moves it with its 95 %
        interval over days.
    """
    base = changes[changes["variant"] == "as it is"].set_index("day")
    printed = {
        "variant": "printed",
        **{name: PRINTED[name[-1]][int(name.startswith("peak"))] for name in CHANGES},
    }
    rows: list[dict[str, object]] = [printed]
    for variant, own in changes.groupby("variant", sort=False):
        at = own.set_index("day")
        row: dict[str, object] = {"variant": variant}
        for name in CHANGES:
            row[name] = float(at[name].mean())
        if variant != "as it is":
            for name in ("cost % 3", "peak-valley % 3"):
                moved = mean_row(at[name] - base[name])
                row[f"{name} moved by"] = moved["mean"]
                row[f"{name} moved low"] = moved["ci_low"]
                row[f"{name} moved high"] = moved["ci_high"]
        row["n"] = float(len(at))
        rows.append(row)
    return pd.DataFrame(rows)


def execution_table(execution: pd.DataFrame) -> pd.DataFrame:
    """How much an hourly plan overstates what it saves, in points of per cent; means over days with intervals."""
    rows = []
    for (building, case, plan), own in execution.groupby(["building", "case", "plan"], sort=False):
        row: dict[str, object] = {"building": building, "case": case, "plan": plan}
        for name in ("cost %", "peak-valley %"):
            row[f"{name} planned"] = float(own[f"{name} planned"].mean())
            row[f"{name} carried out"] = float(own[f"{name} carried out"].mean())
            over = mean_row(own[f"{name} carried out"] - own[f"{name} planned"])
            row[f"{name} overstated"], row[f"{name} low"], row[f"{name} high"] = over[:3]
            row[f"{name} planned in quarter-hours"] = float(own[f"{name} planned in quarter-hours"].mean())
        row["unmet [kWh]"] = float(own["unmet [kWh]"].mean())
        row["n"] = len(own)
        rows.append(row)
    return pd.DataFrame(rows)


def fronts_table(fronts: pd.DataFrame) -> pd.DataFrame:
    """Ends, knee, ideal and nadir of each front, its largest gap and how many binaries its certificates needed."""
    rows = []
    for (building, step, case, second), own in fronts.groupby(
        ["building", "step [h]", "case", "second"], sort=False
    ):
        line = own[~own["mark"].str.startswith("w1")]
        points = line[["cost [CNY]", str(second)]].to_numpy()
        knee = points[(line["mark"] == "knee").to_numpy()]
        rows.append(
            {
                "building": building,
                "step [h]": step,
                "case": case,
                "second objective": second,
                "points": len(line),
                "ideal cost [CNY]": points[:, 0].min(),
                "ideal second": points[:, 1].min(),
                "nadir cost [CNY]": points[:, 0].max(),
                "nadir second": points[:, 1].max(),
                "knee cost [CNY]": knee[0, 0] if len(knee) else np.nan,
                "knee second": knee[0, 1] if len(knee) else np.nan,
                "largest gap": float(line["gap"].max()),
                "most binaries": int(line["binaries"].max()),
            }
        )
    return pd.DataFrame(rows)


def columns_in_use(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame without the columns that hold nothing here."""
    return frame.dropna(axis=1, how="all").reset_index(drop=True)
