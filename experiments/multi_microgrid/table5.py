"""The paper's three scenarios beside its Table 5, and the bridge from its numbers to ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from experiments.experiment.sums import mean_row, means_by
from sim.scenario import Scenario

STEP_H: Final = 0.25
"""The factor that is missing in the printed columns: energy and cost per step were summed as if a step were an hour."""

FIGURES: Final = ("total_cost_cny", "ev_bill_cny", "renewables_used_kwh")
NET: Final = {"total_cost_cny": "total_cost_net_cny", "ev_bill_cny": "ev_bill_net_cny"}


BRIDGE: Final = (
    "assumption",
    "saved %",
    "saved % low",
    "saved % high",
    "moves by % points",
    "moves low",
    "moves high",
    "saved",
    "saved low",
    "saved high",
    "cost 1",
    "cost 3",
    "bill 1",
    "bill 2",
    "bill 3",
    "renewables 3 - 1",
    "n",
)
"""Columns of the bridge, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """A row of Table 5 (Zhang et al. 2025)."""

    scenario: str
    policy: str
    total_cost_cny: float
    ev_bill_cny: float
    renewables_used_kwh: float


TABLE5: Final = (
    Printed(
        scenario="1 uncontrolled",
        policy="uncontrolled",
        total_cost_cny=62_549.0,
        ev_bill_cny=1_682.9,
        renewables_used_kwh=36_495.0,
    ),
    Printed(
        scenario="2 own cost",
        policy="own-cost",
        total_cost_cny=62_415.7,
        ev_bill_cny=664.4761,
        renewables_used_kwh=36_316.0,
    ),
    Printed(
        scenario="3 coordinated V2G",
        policy="rolling",
        total_cost_cny=41_029.0,
        ev_bill_cny=-486.78,
        renewables_used_kwh=46_170.0,
    ),
)


def beside_printed(results: pd.DataFrame) -> pd.DataFrame:
    """Our three scenarios beside the printed ones, a row per scenario and figure.

    Parameters
    ----------
    results
        Rows of the part ``table5``.

    Returns
    -------
    DataFrame
        scenario, figure, printed, printed x dt, ours (raw, with interval), ours net of stored energy, ratio of the
        printed figure to ours, and of a quarter of it.
    """
    rows = []
    for row in TABLE5:
        ours = results[results["policy"] == row.policy]
        for figure in FIGURES:
            printed, mean = float(getattr(row, figure)), mean_row(ours[figure])
            net = mean_row(ours[NET[figure]])["mean"] if figure in NET else np.nan
            rows.append(
                {
                    "scenario": row.scenario,
                    "figure": figure,
                    "printed": printed,
                    "printed x 0.25": STEP_H * printed,
                    "ours": mean["mean"],
                    "ci_low": mean["ci_low"],
                    "ci_high": mean["ci_high"],
                    "ours net": net,
                    "printed / ours": printed / mean["mean"],
                    "printed x 0.25 / ours": STEP_H * printed / mean["mean"],
                    "n": mean["n"],
                }
            )
    return pd.DataFrame(rows)


def orderings(results: pd.DataFrame) -> pd.DataFrame:
    """In which share of the fleets the orderings of Table 5 hold, by net figures."""
    bill, cost = (
        results.pivot(index="replication", columns="policy", values=name)
        for name in ("ev_bill_net_cny", "total_cost_net_cny")
    )
    used = results.pivot(index="replication", columns="policy", values="renewables_used_kwh")
    claims: Mapping[str, pd.Series[bool]] = {
        "EV bill: 1 > 2": bill["uncontrolled"] > bill["own-cost"],
        "EV bill: 2 > 3": bill["own-cost"] > bill["rolling"],
        "EV bill of 3 is negative": bill["rolling"] < 0,
        "total cost: 3 below 1": cost["rolling"] < cost["uncontrolled"],
        "total cost: 3 below 2": cost["rolling"] < cost["own-cost"],
        "total cost: 2 within 2 % of 1": (cost["own-cost"] / cost["uncontrolled"] - 1).abs() < 0.02,
        "renewables: 3 uses most": (used["rolling"] > used["uncontrolled"])
        & (used["rolling"] > used["own-cost"]),
    }
    rows = [
        {"ordering": name, "holds in": int(holds.sum()), "of": len(holds), "share": float(holds.mean())}
        for name, holds in claims.items()
    ]
    return pd.DataFrame(rows)


def bridge(results: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """From the printed reduction of cost to ours: each row switches one assumption and shows the number it moves.

    Parameters
    ----------
    results
        Rows of the part ``bridge``.
    labels
        Its cells' labels; cell 0 is the scenario as it is.

    Returns
    -------
    DataFrame
        A row per assumption: net total cost of scenarios 1 and 3, what V2G saves in CNY and in per cent of scenario 1
        (each with its interval over fleets), bills, renewables, and what the switch moves the saving by.
    """
    own, rows = labels.iloc[0], []
    saved = _savings(results)
    default = saved[saved["cell"] == 0].set_index("replication")
    rows.append(_row("as the scenario is", saved[saved["cell"] == 0], default))
    for cell in labels.index[1:]:
        changed = [name for name in labels.columns if labels.loc[cell, name] != own[name]]
        label = ", ".join(f"{name}: {labels.loc[cell, name]} instead of {own[name]}" for name in changed)
        rows.append(_row(label, saved[saved["cell"] == cell], default))
    pooled = _cell(labels, "pooling", "free")
    if pooled is not None:
        rows.append(
            _row("scenario 1 islanded, scenario 3 pooled freely", _crossed(results, 0, pooled), default)
        )
    table = pd.concat([_printed_rows(), pd.DataFrame(rows)], ignore_index=True)
    return table[[name for name in BRIDGE if name in table.columns]]


def _printed_rows() -> pd.DataFrame:
    first, third = TABLE5[0], TABLE5[2]
    rows = []
    for label, factor in (("as printed", 1.0), ("as printed, times the missing 0.25 h", STEP_H)):
        saved = factor * (first.total_cost_cny - third.total_cost_cny)
        rows.append(
            {
                "assumption": label,
                "cost 1": factor * first.total_cost_cny,
                "cost 3": factor * third.total_cost_cny,
                "saved": saved,
                "saved %": 100.0 * saved / (factor * first.total_cost_cny),
                "bill 1": factor * first.ev_bill_cny,
                "bill 2": factor * TABLE5[1].ev_bill_cny,
                "bill 3": factor * third.ev_bill_cny,
                "renewables 3 - 1": factor * (third.renewables_used_kwh - first.renewables_used_kwh),
            }
        )
    return pd.DataFrame(rows)


def _savings(results: pd.DataFrame) -> pd.DataFrame:
    """Per cell and replication: costs, bills and renewables of the three scenarios side by side."""
    return _side_by_side(results, results, results)


def _crossed(results: pd.DataFrame, cell_of_first: int, cell_of_third: int) -> pd.DataFrame:
    first = results[results["cell"] == cell_of_first].assign(cell=-1)
    third = results[results["cell"] == cell_of_third].assign(cell=-1)
    return _side_by_side(first, first, third)


def _side_by_side(first: pd.DataFrame, second: pd.DataFrame, third: pd.DataFrame) -> pd.DataFrame:
    columns = {}
    for number, frame, policy in (
        (1, first, "uncontrolled"),
        (2, second, "own-cost"),
        (3, third, "day-ahead"),
    ):
        rows = frame[frame["policy"] == policy].set_index(["cell", "replication"])
        columns[f"cost {number}"] = rows["total_cost_net_cny"]
        columns[f"bill {number}"] = rows["ev_bill_net_cny"]
        columns[f"renewables {number}"] = rows["renewables_used_kwh"]
    frame = pd.DataFrame(columns)
    frame["saved"] = frame["cost 1"] - frame["cost 3"]
    frame["saved %"] = 100.0 * frame["saved"] / frame["cost 1"]
    frame["renewables 3 - 1"] = frame["renewables 3"] - frame["renewables 1"]
    return frame.reset_index()


def _row(label: str, saved: pd.DataFrame, default: pd.DataFrame) -> dict[str, object]:
    names = ("cost 1", "cost 3", "bill 1", "bill 2", "bill 3", "renewables 3 - 1")
    money, percent = mean_row(saved["saved"]), mean_row(saved["saved %"])
    moved = mean_row(saved.set_index("replication")["saved %"] - default["saved %"])
    return {
        "assumption": label,
        **{name: float(saved[name].mean()) for name in names},
        "saved": money["mean"],
        "saved low": money["ci_low"],
        "saved high": money["ci_high"],
        "saved %": percent["mean"],
        "saved % low": percent["ci_low"],
        "saved % high": percent["ci_high"],
        "moves by % points": moved["mean"],
        "moves low": moved["ci_low"],
        "moves high": moved["ci_high"],
        "n": money["n"],
    }


def _cell(labels: pd.DataFrame, name: str, level: str) -> int | None:
    found = labels.index[labels[name] == level]
    return int(found[0]) if len(found) else None


def swing_kwh(scenario: Scenario) -> float:
    """Most energy at the bus that cars and stationary batteries can take in one swing from empty to full."""
    total = 0.0
    shares = sum(item.share for item in scenario.fleet.classes)
    for item in scenario.fleet.classes:
        n = scenario.fleet.n_drawn * item.share / shares
        total += n * item.battery_kwh * (item.soc_max - item.soc_min) / item.charge_efficiency
    for region in scenario.regions:
        for unit in region.batteries:
            total += unit.capacity_kwh * (unit.soc_max - unit.soc_min) / unit.charge_efficiency
    return total


def printed_renewables_gain_kwh() -> float:
    """Renewable energy that scenario 3 uses beyond scenario 1, as printed [kWh].

    >>> printed_renewables_gain_kwh()
    9675.0
    """
    return TABLE5[2].renewables_used_kwh - TABLE5[0].renewables_used_kwh


def means_of_policies(results: pd.DataFrame) -> pd.DataFrame:
    """Mean key figures of the three policies, with intervals, a row per policy and figure."""
    frames = [
        means_by(results, ["policy"], name).assign(figure=name)
        for name in (
            *FIGURES,
            *NET.values(),
            "ev_charged_kwh",
            "ev_discharged_kwh",
            "unmet_kwh",
            "late_departures",
        )
    ]
    return pd.concat(frames, ignore_index=True)
