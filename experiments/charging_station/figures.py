"""Figures of the study."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.charging_station.cases import PRINTED
from experiments.charging_station.real_days import LACKS, WITH_LACKING
from experiments.experiment.drawing import blank
from experiments.palette import BATTERY, CARS, GRID, LOAD, PRICE, PV, TURBINE

_DARK: Final = "#59636e"
_CASE_COLOURS: Final = {"1 without PV": LOAD, "1": TURBINE, "2": GRID, "3": BATTERY}


def _stairs(axis: Axes, rows: pd.DataFrame, column: str, colour: str, label: str) -> None:
    """Draw a mean of each step, the last one up to its end."""
    hours = rows["hour"].to_numpy(np.float64)
    edges = np.append(hours, 2.0 * hours[-1] - hours[-2])
    axis.stairs(
        rows[column].to_numpy(np.float64), edges, baseline=None, color=colour, label=label, linewidth=1.3
    )


def _legend_below(figure: Figure, *axes: Axes, n_columns: int = 6) -> None:
    """Put the legends of some axes below everything, where they hide nothing."""
    found = [axis.get_legend_handles_labels() for axis in axes]
    handles, labels = ([one for part in parts for one in part] for parts in zip(*found, strict=True))
    figure.legend(handles, labels, fontsize="small", loc="outside lower center", ncols=n_columns)


def load_figure(curves: pd.DataFrame) -> Figure:
    """Load whose peak and valley count, by case, at the optimum of (9); below, case 3 and the price."""
    buildings = list(dict.fromkeys(curves["building"]))
    figure, axes = blank(9.0, 4.6, n_columns=len(buildings), n_rows=2)
    for column, building in enumerate(buildings):
        own = curves[(curves["building"] == building) & (curves["plan"] != "cheapest")]
        top, below = axes[column], axes[len(buildings) + column]
        for case in ("1", "2", "3"):
            rows = own[own["case"] == case]
            _stairs(top, rows, "load [kW]", _CASE_COLOURS[case], f"case {case}")
        third = own[own["case"] == "3"]
        _stairs(top, third, "PV [kW]", PV, "PV")
        top.set_title(f"{building} building", loc="left")
        top.set_ylim(bottom=min(0.0, float(own["load [kW]"].min())))
        _stairs(below, third, "storage [kW]", BATTERY, "storage, charging up")
        _stairs(below, third, "cars [kW]", CARS, "cars")
        right = below.twinx()
        _stairs(right, third, "price [CNY/kWh]", PRICE, "price")
        right.set_ylim(0.0, 1.5 * float(third["price [CNY/kWh]"].max()))
        right.grid(visible=False)
        right.spines["right"].set_visible(True)
        below.set_xlabel("clock hour")
        for axis in (top, below):
            axis.set_xticks(range(0, 25, 6))
            axis.set_xlim(0.0, 24.0)
        if column == len(buildings) - 1:
            right.set_ylabel("price [CNY/kWh]", color=PRICE)
    axes[0].set_ylabel("load [kW]")
    axes[len(buildings)].set_ylabel("case 3 [kW]")
    _legend_below(figure, axes[0], axes[len(buildings)])
    return figure


def front_figure(fronts: pd.DataFrame, found: pd.DataFrame, cases: pd.DataFrame) -> Figure:
    """Exact hourly fronts of cases 2 and 3, what the searches found in case 3, and the printed pairs."""
    buildings = list(dict.fromkeys(fronts["building"]))
    figure, axes = blank(9.0, 3.6, n_columns=len(buildings))
    for axis, building in zip(axes, buildings, strict=True):
        (first,) = cases[(cases["building"] == building) & (cases["case"] == "1")].to_dict("records")
        base = np.array([first["cost [CNY]"], first["peak-valley [kW]"]])
        searched = found[(found["building"] == building) & (found["step [h]"] == 1.0)]
        for method, colour, marker in (("NSGA-II", CARS, "."), ("GA", PRICE, "x")):
            points = searched.loc[searched["method"] == method, ["cost [CNY]", "peak_valley_kw"]].to_numpy()
            change = 100.0 * (points / base - 1.0)
            axis.plot(
                change[:, 0],
                change[:, 1],
                marker,
                color=colour,
                markersize=4,
                alpha=0.5,
                label=f"{method}, case 3",
            )
        own = fronts[(fronts["building"] == building) & (fronts["step [h]"] == 1.0)]
        for case in ("2", "3"):
            rows = own[own["case"] == case]
            line = rows[~rows["mark"].str.startswith("w1")]
            change = 100.0 * (line[["cost [CNY]", "peak_valley_kw"]].to_numpy() / base - 1.0)
            axis.plot(change[:, 0], change[:, 1], "-", color=_CASE_COLOURS[case], label=f"exact, case {case}")
            knee = change[(line["mark"] == "knee").to_numpy()]
            axis.plot(knee[:, 0], knee[:, 1], "D", color=_CASE_COLOURS[case], markersize=5, label="its knee")
            sums = rows[rows["mark"].str.startswith("w1")]
            change = 100.0 * (sums[["cost [CNY]", "peak_valley_kw"]].to_numpy() / base - 1.0)
            axis.plot(
                change[:, 0], change[:, 1], "o", mfc="none", color=_CASE_COLOURS[case], markersize=4,
                label="its optima of (9)",
            )  # fmt: skip
            printed = PRINTED[case]
            axis.plot(*printed, "*", color=_CASE_COLOURS[case], markersize=10, label=f"printed, case {case}")
        axis.plot(0.0, 0.0, "s", color=TURBINE, markersize=5, label="case 1")
        axis.set_title(f"{building} building", loc="left")
        axis.set_xlabel("cost against case 1 [%]")
    axes[0].set_ylabel("peak-valley difference against case 1 [%]")
    figure.set_size_inches(9.0, 4.6)
    _legend_below(figure, axes[0], n_columns=4)
    return figure


def purchase_figure(cases: pd.DataFrame) -> Figure:
    """What is bought and sold by case, and what it costs."""
    buildings = list(dict.fromkeys(cases["building"]))
    figure, axes = blank(9.0, 3.0, n_columns=len(buildings))
    for axis, building in zip(axes, buildings, strict=True):
        rows = cases[(cases["building"] == building)].reset_index(drop=True)
        names = [
            f"{case}, cheapest" if plan == "cheapest" else str(case)
            for case, plan in zip(rows["case"], rows["plan"], strict=True)
        ]
        axis.barh(rows.index, rows["bought [kWh]"], color=GRID, height=0.65, label="bought")
        axis.barh(rows.index, -rows["sold [kWh]"], color=PV, height=0.65, label="sold")
        for index, cost in enumerate(rows["cost [CNY]"]):
            axis.text(20.0, index, f"{cost:,.0f} CNY", va="center", fontsize=8, color="white")
        axis.set_yticks(rows.index, names)
        axis.invert_yaxis()
        axis.set_xlabel("kWh a day")
        axis.set_title(f"{building} building", loc="left")
        axis.grid(visible=False, axis="y")
    axes[0].set_ylabel("case")
    _legend_below(figure, axes[0])
    return figure


def capacity_figure(capacity: pd.DataFrame, break_even: pd.DataFrame) -> Figure:
    """F by capacity, exact and by the genetic algorithm; and the price at which further storage pays."""
    figure, (left, right) = blank(9.0, 3.2, n_columns=2)
    left.plot(capacity["capacity [kWh]"], capacity["F exact"], "o-", color=GRID, label="exact")
    left.fill_between(
        capacity["capacity [kWh]"],
        capacity["F of the GA, best"],
        capacity["F of the GA, worst"],
        color=PRICE,
        alpha=0.3,
    )
    left.plot(
        capacity["capacity [kWh]"],
        capacity["F of the GA, best"],
        "x-",
        color=PRICE,
        label="genetic algorithm",
    )
    left.set_xlabel("capacity [kWh]")
    left.set_ylabel("F of (9), operation alone")
    left.margins(y=0.2)  # room for the legend
    left.legend(fontsize="small", loc="upper left")
    for (building, rows), colour in zip(
        break_even.groupby("building", sort=False), (GRID, PV, BATTERY), strict=False
    ):
        known = rows.dropna(subset=["break-even [CNY/kWh]"])
        right.step(
            known["capacity [kWh]"], known["break-even [CNY/kWh]"], where="pre", color=colour, marker="o",
            markersize=3, label=f"{building} building",
        )  # fmt: skip
    right.set_ylim(bottom=0.0)
    right.set_xlabel("capacity [kWh], in steps of 200")
    right.set_ylabel("last 200 kWh pay below [CNY/kWh]")
    right.legend(fontsize="small")
    return figure


def execution_figure(execution: pd.DataFrame) -> Figure:
    """Savings as an hourly plan says them, and as they are in quarter-hours; each dot a day."""
    figure, axes = blank(9.0, 3.4, n_columns=2)
    titles = {"cost %": "cost", "peak-valley %": "peak-valley difference"}
    for axis, (prefix, title) in zip(axes, titles.items(), strict=True):
        for (case, plan), colour in zip(
            [("2", "optimum of (9)"), ("2", "cheapest"), ("3", "optimum of (9)"), ("3", "cheapest")],
            (GRID, CARS, BATTERY, PV),
            strict=True,
        ):
            rows = execution[(execution["case"] == case) & (execution["plan"] == plan)]
            axis.plot(
                rows[f"{prefix} planned"], rows[f"{prefix} carried out"], "o", color=colour, markersize=4,
                alpha=0.7, label=f"case {case}, {plan}",
            )  # fmt: skip
        low = min(axis.get_xlim()[0], axis.get_ylim()[0])
        high = max(axis.get_xlim()[1], axis.get_ylim()[1])
        axis.plot([low, high], [low, high], color=_DARK, linewidth=0.8)
        axis.set_xlabel(f"{title}: as planned in hours [%]")
        axis.set_ylabel("as carried out in quarter-hours [%]")
    axes[0].legend(fontsize="small")
    return figure


def real_days_figure(rows: pd.DataFrame) -> Figure:
    """Cost with what is lacking above the optimum's on each day, by policy, and energy that cars lacked."""
    optimum = rows[rows["name"] == "day-ahead"].set_index("day")[WITH_LACKING]
    names = [name for name in dict.fromkeys(rows["name"]) if name != "day-ahead"]
    figure, axes = blank(9.0, 0.36 * len(names) + 1.0, n_columns=2)
    for axis, column, label in (
        (axes[0], WITH_LACKING, "cost with what is lacking, above the optimum [USD a day]"),
        (axes[1], LACKS, "energy that cars lacked at departure [kWh a day]"),
    ):
        values = []
        for name in names:
            own = rows[rows["name"] == name].set_index("day")[column]
            values.append((own - optimum).dropna() if column == WITH_LACKING else own)
        axis.boxplot(values, orientation="horizontal", widths=0.6, flierprops={"markersize": 3})
        axis.set_yticks(range(1, len(names) + 1), names if axis is axes[0] else [""] * len(names))
        axis.invert_yaxis()
        axis.set_xlabel(label)
        axis.grid(visible=False, axis="y")
    return figure


def carbon_figure(carbon: pd.DataFrame) -> Figure:
    """Cost against emissions."""
    buildings = list(dict.fromkeys(carbon["building"]))
    figure, axes = blank(9.0, 2.8, n_columns=len(buildings))
    for axis, building in zip(axes, buildings, strict=True):
        rows = carbon[carbon["building"] == building]
        axis.plot(rows["emission_kg"], rows["cost [CNY]"], "o-", color=GRID, markersize=3)
        axis.set_title(f"{building} building", loc="left")
        axis.set_xlabel("emissions [kg a day]")
    axes[0].set_ylabel("cost [CNY a day]")
    return figure
