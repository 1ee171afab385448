"""Figures of the study: the paper's own, and what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.car_day import car_day
from experiments.experiment.drawing import blank, draw
from experiments.figures import plot_car_day, write_pngs
from experiments.multi_microgrid.gains import COST, GAIN
from experiments.palette import GRID, LOAD, PV, REGIONS, WIND
from experiments.reading import Run
from sim.clock import STEP_S

TERMS: Final = 12
"""Terms that the ranking's figure shows."""


def run_figures(run: Run, target: Path) -> dict[str, Path]:
    """The paper's figures from one coordinated run: one car of each chain, fleet, balance, and what drives them.

    Returns
    -------
    dict
        Title to file.
    """
    found: dict[str, Path] = {}
    for chain in sorted(run.vehicles["chain"].unique()):
        car = int(run.vehicles.loc[run.vehicles["chain"] == chain, "vehicle_id"].iloc[0])
        found[f"Stored energy in its domain, power and tariff: a car that goes {chain}"] = plot_car_day(
            car_day(run, car), target / f"car-{chain}.png"
        )
    drawn = {path.stem: path for path in write_pngs(run, target)}
    found["Charging and discharging by region"] = drawn["fleet"]
    found["Power balance by region"] = drawn["balance"]
    found["Wind, sun and load by region"] = draw(lambda: _supply(run), target / "supply.png")
    return found


def _supply(run: Run) -> Figure:
    names = run.region_names
    figure, axes = blank(9.0, 3.2, n_columns=len(names))
    for axis, name in zip(axes, names, strict=True):
        grid = run.grid[run.grid["region"] == name].sort_values("step_start_s")
        hours = grid["step_start_s"].to_numpy(np.float64) / 3600.0
        for column, colour in (("load_kw", "#3B3B3B"), ("pv_kw", PV), ("wind_kw", WIND)):
            label = {"load_kw": "load", "pv_kw": "PV", "wind_kw": "wind"}[column]
            axis.step(hours, grid[column].to_numpy(np.float64), where="post", color=colour, label=label)
        axis.set_title(name, loc="left")
        axis.set_xlim(0.0, float(hours[-1]) + STEP_S / 3600.0)
        axis.set_xticks(range(0, 25, 6))
        axis.set_xlabel("clock hour")
        axis.set_ylim(bottom=0.0)
    top = max(axis.get_ylim()[1] for axis in axes)
    for axis in axes:
        axis.set_ylim(0.0, top)
    axes[0].set_ylabel("power [kW]")
    axes[-1].legend(fontsize="small", loc="upper right")
    return figure


def bridge_figure(bridge: pd.DataFrame) -> Figure:
    """Reduction of cost from scenario 1 to 3, in per cent, by assumption."""
    figure, (axis,) = blank(9.0, 0.36 * len(bridge) + 0.9)
    rows = bridge.iloc[::-1].reset_index(drop=True)
    is_printed = rows["n"].isna().to_numpy()
    known = rows[~is_printed]
    for mask, colour, label in ((is_printed, LOAD, "printed"), (~is_printed, GRID, "ours, 95 % interval")):
        axis.barh(rows.index[mask], rows["saved %"][mask], color=colour, height=0.65, label=label)
    axis.errorbar(
        known["saved %"],
        known.index,
        xerr=[known["saved %"] - known["saved % low"], known["saved % high"] - known["saved %"]],
        fmt="none",
        color="#3B3B3B",
        capsize=2,
    )
    axis.set_yticks(rows.index, rows["assumption"])
    axis.set_xlabel("total cost saved by scenario 3 against scenario 1 [%]")
    axis.legend(fontsize="small", loc="lower right")
    axis.grid(visible=False, axis="y")
    return figure


def gain_figure(gains: pd.DataFrame) -> Figure:
    """Gain of V2G by departure rule and pooling."""
    groups = list(gains.groupby("others", sort=False))
    figure, axes = blank(9.0, 3.2, n_columns=len(groups))
    for axis, (others, frame) in zip(axes, groups, strict=True):
        rules, poolings = list(dict.fromkeys(frame["departure"])), list(dict.fromkeys(frame["pooling"]))
        width = 0.8 / len(poolings)
        for i, pooling in enumerate(poolings):
            rows = frame[frame["pooling"] == pooling].set_index("departure").loc[rules]
            at = np.arange(len(rules)) + (i - (len(poolings) - 1) / 2) * width
            error = [rows["mean"] - rows["ci_low"], rows["ci_high"] - rows["mean"]]
            axis.bar(at, rows["mean"], width, yerr=error, color=REGIONS[i], capsize=2, label=pooling)
        axis.set_xticks(np.arange(len(rules)), rules)
        axis.set_xlabel("least state of charge at the first departure")
        axis.set_title(f"other assumptions: {others}", loc="left")
        axis.grid(visible=False, axis="x")
    axes[0].set_ylabel("gain of V2G [CNY a day]")
    handles, names = axes[-1].get_legend_handles_labels()
    figure.legend(handles, names, title="pooling", fontsize="small", loc="outside right center")
    return figure


def ranking_figure(ranking: pd.DataFrame) -> Figure:
    """Which assumptions explain the net cost, and the gain of V2G."""
    titles = {COST: "net total cost", GAIN: "gain of V2G"}
    figure, axes = blank(9.0, 3.8, n_columns=2)
    for axis, (figure_name, title) in zip(axes, titles.items(), strict=True):
        rows = ranking[ranking["figure"] == figure_name].head(TERMS).iloc[::-1].reset_index(drop=True)
        axis.barh(rows.index, 100.0 * rows["share"], color=GRID, height=0.65)
        axis.set_yticks(rows.index, rows["term"])
        axis.set_xlabel("variance between settings explained [%]")
        axis.set_title(title, loc="left")
        axis.grid(visible=False, axis="y")
    return figure


def split_figure(split: pd.DataFrame) -> Figure:
    """Regret of each forecaster by the part of the forecast that causes it: a bar per part, with its interval."""
    groups = list(split.groupby("forecaster", sort=False))
    figure, axes = blank(9.0, 2.4, n_columns=len(groups))
    for axis, (forecaster, frame) in zip(axes, groups, strict=True):
        rows = frame.iloc[::-1].reset_index(drop=True)
        error = [rows["mean"] - rows["ci_low"], rows["ci_high"] - rows["mean"]]
        colours = [LOAD if part == "all" else GRID for part in rows["part"]]
        axis.barh(rows.index, rows["mean"], xerr=error, color=colours, capsize=2, height=0.65)
        axis.axvline(0.0, color="#59636e", linewidth=0.8)
        axis.set_yticks(rows.index, rows["part"])
        axis.set_xlabel("regret against perfect forecasts [CNY a day]")
        axis.set_title(f"forecaster {forecaster}, {rows['n'].iloc[0]:.0f} days", loc="left")
        axis.grid(visible=False, axis="y")
    return figure


def policies_figure(table: pd.DataFrame) -> Figure:
    """Regret of each policy, a panel per forecaster."""
    groups = list(table.groupby("forecaster", sort=False))
    figure, axes = blank(9.0, 3.2, n_columns=len(groups))
    for axis, (forecaster, frame) in zip(axes, groups, strict=True):
        rows = frame.iloc[::-1].reset_index(drop=True)
        error = [rows["regret"] - rows["ci_low"], rows["ci_high"] - rows["regret"]]
        axis.barh(rows.index, rows["regret"], xerr=error, color=GRID, capsize=2, height=0.65)
        axis.set_yticks(rows.index, rows["policy"])
        axis.set_xlabel("net cost above rolling with perfect forecasts [CNY a day]")
        axis.set_title(f"forecaster {forecaster}", loc="left")
        axis.grid(visible=False, axis="y")
    return figure
