"""Figures of a feeder with matplotlib: voltages and loading over the day, and a map of both at their worst.

Pure: each takes tables as in a run's folder and returns a figure. Draw them within ``panels.STYLE``.
"""

from __future__ import annotations

from typing import Any, Final

import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from experiments.feeder_facts import (
    Band,
    Places,
    branch_facts,
    branches_by_step,
    bus_facts,
    bus_label,
    buses_by_step,
    feeder_tree,
    source_of,
    tree_places,
    voltage_range,
    worst_bus,
)
from experiments.metrics import WITHIN_PU
from experiments.palette import GRID, LOADING, OVER, REGIONS, UNRATED, VOLTAGE, WIND
from experiments.panels import clock_axis, edges_h, held, panels
from sim.clock import DAY_S, STEP_S

N_BRANCHES: Final = 5
"""Branches whose loading is drawn over the day."""
_MANY: Final = 60  # buses beyond which only remarkable ones are named on the map
_INK: Final = "#1f2328"


def voltage_figure(voltages: pd.DataFrame, band: Band, *, start: object = None) -> Figure:
    """Lowest, middle and highest voltage of all buses in each step, the worst bus, and the limits.

    Parameters
    ----------
    voltages
        Table of a run.
    band
        The limits.
    start
        Date of the first day, for the axis.
    """
    figure, (axis,) = panels(1, size=(9.0, 3.6))
    pu = buses_by_step(voltages)
    hours, facts = edges_h(len(pu)), bus_facts(voltages, band)
    low, middle, high = (reduce.to_numpy() for reduce in (pu.min(axis=1), pu.median(axis=1), pu.max(axis=1)))
    axis.stairs(high, hours, baseline=low, fill=True, color=WIND, alpha=0.3, linewidth=0, label="all buses")
    axis.step(hours, held(middle), where="post", color=GRID, linewidth=1.4, label="median")
    worst = worst_bus(facts)
    if worst is not None:
        label = f"worst: bus {bus_label(worst, facts['region'][worst])}"
        axis.step(hours, held(pu[worst].to_numpy()), where="post", color=_INK, linewidth=1.2, label=label)
    _draw_limit(axis, band.low_pu, f"limit {band.low_pu:g}")
    _draw_limit(axis, band.high_pu, f"limit {band.high_pu:g}")
    axis.use_sticky_edges = False  # the band would have no margin
    axis.margins(y=0.12)
    axis.set_ylabel("voltage [p.u.]")
    axis.set_title("voltages of all buses", loc="left")
    axis.legend(ncols=3, fontsize="small", loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    _mark_unsolved(axis, pu)
    clock_axis(axis, _days(pu), start)
    return figure


def loading_figure(
    voltages: pd.DataFrame, branches: pd.DataFrame, *, n_shown: int = N_BRANCHES, start: object = None
) -> Figure:
    """Loading of the branches that are loaded most at some time, above; what all branches lose, below."""
    figure, (above, below) = panels(2, size=(9.0, 5.0), heights=(2.2, 1.0))
    loading, facts = branches_by_step(branches, "loading"), branch_facts(voltages, branches)
    hours = edges_h(len(loading))
    shown = facts.sort_values("loading", ascending=False, kind="stable").head(n_shown)
    for colour, (region, row) in zip(REGIONS, shown.iterrows(), strict=False):
        label = f"{row['branch']} ({row['from_bus']} to {row['to_bus']})"
        per_cent = 100.0 * loading[region].to_numpy()
        above.step(hours, held(per_cent), where="post", color=colour, linewidth=1.3, label=label)
    _draw_limit(above, 100.0, "rating")
    above.set_ylim(0.0, 1.08 * max(100.0, *(100.0 * shown["loading"].fillna(0.0))))
    above.set_ylabel("loading [%]")
    above.set_title("most loaded branches", loc="left")
    above.legend(
        ncols=min(3, max(1, len(shown))), fontsize="small", loc="lower right", bbox_to_anchor=(1.0, 1.0),
        borderaxespad=0.2,
    )  # fmt: skip
    loss_kw = branches_by_step(branches, "loss_kw").sum(axis=1, skipna=False).to_numpy()
    below.stairs(loss_kw, hours, fill=True, color=WIND, alpha=0.5, linewidth=0)
    below.set_ylim(bottom=0.0)
    below.set_ylabel("losses [kW]")
    _mark_unsolved(above, loading)
    _mark_unsolved(below, loading, words="")
    clock_axis(below, _days(loading), start)
    return figure


def map_figure(
    voltages: pd.DataFrame, branches: pd.DataFrame, band: Band, *, places: Places | None = None
) -> Figure:
    """Map of the feeder: branches by their largest loading, buses by their lowest voltage.

    Parameters
    ----------
    voltages, branches
        Tables of a run.
    band
        The limits; buses that left it are triangles.
    places
        Coordinates of the buses; without them the feeder is laid out as a tree by depth.
    """
    buses, facts = bus_facts(voltages, band), branch_facts(voltages, branches)
    tree = feeder_tree(facts)
    at = dict(tree_places(tree) if places is None else places)
    figure = Figure(figsize=_map_size(at, is_tree=places is None), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 5, height_ratios=(1.0, 0.04), width_ratios=(0.05, 1.0, 0.2, 1.0, 0.05))
    axis = figure.add_subplot(grid[0, :])
    axis.set_axis_off()
    if places is not None:
        axis.set_aspect("equal")
    size = float(np.clip(6000.0 / len(buses), 18.0, 110.0))
    lines, loading = _draw_branches(axis, tree, at, width=1.0 + size / 45.0)
    marks, voltage = _draw_buses(axis, buses, at, band, size)
    _name_buses(axis, buses, at, size)
    axis.margins(0.06, 0.3)
    handles = [_draw_source(axis, tree, at, size), *marks, *lines]
    axis.legend(
        handles=handles, ncols=len(handles), fontsize="small", loc="lower left", bbox_to_anchor=(0.0, 1.0)
    )
    bars = (
        (loading, grid[1, 1], "largest loading [% of rating]"),
        (voltage, grid[1, 3], "lowest voltage [p.u.]"),
    )
    for shown, cell, label in bars:
        figure.colorbar(shown, cax=figure.add_subplot(cell), orientation="horizontal", label=label)
    return figure


def _draw_limit(axis: Axes, value: float, words: str) -> None:
    """Draw a limit, its words beside the axes: curves cross it when it matters, and neither may hide the other."""
    axis.axhline(value, color=OVER, linewidth=1.2, linestyle=(0, (5, 3)))
    axis.annotate(
        words, (1.0, value), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
        ha="left", va="center", color=OVER, fontsize="small",
    )  # fmt: skip


def _draw_branches(
    axis: Axes, tree: nx.DiGraph[str], at: Places, width: float
) -> tuple[list[Line2D], ScalarMappable]:
    """Draw lines by their largest loading in per cent; those above their rating and without one look different.

    Returns what the legend says of those that look different, and the colours of all others.
    """
    scale = LinearSegmentedColormap.from_list("loading", LOADING)
    per_cent = {(one, other): 100.0 * found["loading"] for one, other, found in tree.edges(data=True)}
    most = 100.0 * (1.0 + WITHIN_PU)
    rated = [edge for edge, value in per_cent.items() if 0.0 < value <= most]
    if rated:
        drawn = nx.draw_networkx_edges(tree, at, edgelist=rated, ax=axis, arrows=False, width=width)
        drawn.set(edgecolor=None)  # else values map to no colour
        drawn.set(array=np.array([per_cent[edge] for edge in rated]), cmap=scale, clim=(0.0, 100.0))
        drawn.set(zorder=1, label="loading")
    over = [edge for edge, value in per_cent.items() if value > most]
    bare = [edge for edge, value in per_cent.items() if not value > 0.0]
    handles = []
    for label, colour, thick, edges in (
        ("above its rating", OVER, 1.3, over),
        ("without rating or flow", UNRATED, 1.0, bare),
    ):
        if edges:
            drawn = nx.draw_networkx_edges(
                tree, at, edgelist=edges, ax=axis, arrows=False, width=thick * width, edge_color=colour
            )
            drawn.set(zorder=1, label=label)
            handles.append(Line2D([], [], color=colour, linewidth=thick * width, label=label))
    return handles, ScalarMappable(norm=Normalize(0.0, 100.0), cmap=scale)


def _draw_buses(
    axis: Axes, buses: pd.DataFrame, at: Places, band: Band, size: float
) -> tuple[list[Line2D], ScalarMappable]:
    """Draw buses by their lowest voltage; the marker tells whether they left the band."""
    scale = LinearSegmentedColormap.from_list("voltage", VOLTAGE)
    low, high = voltage_range(buses["lowest_pu"].dropna())
    is_below = buses["lowest_pu"] < band.low_pu - WITHIN_PU
    is_above = buses["highest_pu"] > band.high_pu + WITHIN_PU
    nodes: nx.Graph[str] = nx.Graph()
    nodes.add_nodes_from(buses.index)
    handles = []
    for label, marker, mask in (
        ("within the band", "o", ~is_below & ~is_above),
        ("above it at times", "^", is_above & ~is_below),
        ("below it at times", "v", is_below & ~is_above),
        ("above and below it", "D", is_above & is_below),
    ):
        names = [str(bus) for bus in buses.index[mask.to_numpy()]]
        if not names:
            continue
        drawn = nx.draw_networkx_nodes(
            nodes, dict(at), nodelist=names, ax=axis, node_shape=marker,
            node_size=size if marker == "o" else 1.5 * size,
            node_color=buses.loc[names, "lowest_pu"].to_numpy(np.float64), cmap=scale, vmin=low, vmax=high,
            edgecolors=_INK, linewidths=0.7,
        )  # fmt: skip
        drawn.set(zorder=2, label=label)
        style: Any = {"color": "none", "markeredgecolor": _INK, "markerfacecolor": "#ffffff"}
        handles.append(Line2D([], [], marker=marker, label=label, **style))
    return handles, ScalarMappable(norm=Normalize(low, high), cmap=scale)


def _draw_source(axis: Axes, tree: nx.DiGraph[str], at: Places, size: float) -> Line2D:
    style: Any = {"marker": "s", "markersize": 1.5 * np.sqrt(size), "color": "none", "markeredgecolor": _INK}
    axis.plot(*at[source_of(tree)], markerfacecolor="none", **style)
    return Line2D([], [], label="source", **(style | {"markersize": 8}))


def _name_buses(axis: Axes, buses: pd.DataFrame, at: Places, size: float) -> None:
    """Name buses above them, and their regions below where those say more; of very many only the latter."""
    offset = 2.0 + np.sqrt(size) / 2.0
    words: dict[str, Any] = {
        "textcoords": "offset points", "fontsize": 7.5, "color": _INK, "zorder": 5,
        "path_effects": [withStroke(linewidth=3.0, foreground="#ffffff")],  # they may run over a branch
    }  # fmt: skip
    for bus, region in buses["region"].items():
        place, is_named = at[str(bus)], bus_label(str(bus), str(region)) != str(bus)
        if is_named or len(buses) <= _MANY:
            axis.annotate(str(bus), place, xytext=(0, offset), ha="center", va="bottom", **words)
        if is_named:  # slanted: neighbours may both have long names
            axis.annotate(
                str(region), place, xytext=(-2, -offset), ha="left", va="top", rotation=-25,
                rotation_mode="anchor", fontweight="bold", **words,
            )  # fmt: skip


def _map_size(at: Places, *, is_tree: bool) -> tuple[float, float]:
    """Size in inches: a row of a tree takes as much height whatever their number; a map keeps its shape."""
    x, y = np.array(list(at.values()), dtype=np.float64).T
    if is_tree:
        return 9.0, float(np.clip(1.9 + 0.9 * (1.0 + np.ptp(y)), 3.2, 11.0))
    return 9.0, float(np.clip(1.5 + 8.0 * np.ptp(y) / max(float(np.ptp(x)), 1e-9), 3.2, 9.0))


def _mark_unsolved(axis: Axes, steps: pd.DataFrame, words: str = "no power flow") -> None:
    """Mark steps for which no power flow exists, the first one in words."""
    unsolved = np.flatnonzero(steps.isna().any(axis=1).to_numpy())
    hours = edges_h(len(steps))
    for step in unsolved:
        axis.axvspan(hours[step], hours[step + 1], color=UNRATED, alpha=0.4, linewidth=0)
    if len(unsolved):
        place = (float(hours[unsolved[0]]), 0.02)
        axis.annotate(words, place, xycoords=("data", "axes fraction"), fontsize="small", color=_INK)


def _days(steps: pd.DataFrame) -> int:
    return max(1, -(-len(steps) * STEP_S // DAY_S))
