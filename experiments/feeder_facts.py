"""What a run's tables tell of its feeder, bus by bus and branch by branch, and where a map puts them.

``voltages`` and ``branches`` are tables as in a run's folder. Buses are called by their own names; where a step has no
power flow, its values are NaN and count in no extreme.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import networkx as nx
import numpy as np
import pandas as pd

from experiments.metrics import WITHIN_PU
from sim.arrays import FloatArray
from sim.clock import STEP_H
from sim.feeder.model import Feeder

NEVER: Final = -1
"""In place of an instant where there is none."""

Places = Mapping[str, tuple[float, float]]
"""Bus to its coordinates on a map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Voltages that a feeder shall keep, per unit."""

    low_pu: float
    high_pu: float

    def beyond_pu(self, pu: Any) -> Any:
        """How far voltages lie beyond the nearer limit; negative within the band."""
        return np.maximum(self.low_pu - pu, pu - self.high_pu)


def buses_by_step(voltages: pd.DataFrame) -> pd.DataFrame:
    """Voltages [p.u.] in time: a row per step, a column per bus in the table's order."""
    return _by_step(voltages, "bus", "voltage_pu")


def branches_by_step(branches: pd.DataFrame, value: str) -> pd.DataFrame:
    """One value of the branches in time: a row per step, a column per branch, called by the region it leads to."""
    return _by_step(branches, "to_region", value)


def bus_facts(voltages: pd.DataFrame, band: Band) -> pd.DataFrame:
    """Extremes of each bus over all steps.

    Returns
    -------
    DataFrame
        Index ``bus``; ``region``, ``lowest_pu`` and ``highest_pu`` with ``lowest_s`` and ``highest_s`` (beginning of
        their steps), ``beyond_pu`` (how far outside the band at worst; negative: never left it), ``steps_outside``.
    """
    pu = buses_by_step(voltages)
    values, step_s = pu.to_numpy(np.float64), pu.index.to_numpy(np.int64)
    region = voltages.drop_duplicates("bus").set_index("bus")["region"]
    lowest, highest = _extremes(-values, step_s), _extremes(values, step_s)
    return pd.DataFrame(
        {
            "region": region.reindex(pu.columns).to_numpy(object),
            "lowest_pu": -lowest[0],
            "lowest_s": lowest[1],
            "highest_pu": highest[0],
            "highest_s": highest[1],
            "beyond_pu": _extremes(band.beyond_pu(values), step_s)[0],
            "steps_outside": (band.beyond_pu(values) > WITHIN_PU).sum(axis=0),
        },
        index=pd.Index(pu.columns, name="bus"),
    )


def branch_facts(voltages: pd.DataFrame, branches: pd.DataFrame) -> pd.DataFrame:
    """Extremes of each branch over all steps.

    Returns
    -------
    DataFrame
        Index as the columns of :func:`branches_by_step`; ``branch``, ``from_bus``, ``to_bus``, ``loading`` (largest;
        share of the rating, 0 where there is none) with ``loading_s``, ``loss_kwh``, ``steps_over``.
    """
    loading = branches_by_step(branches, "loading")
    values = loading.to_numpy(np.float64)
    rows = branches.drop_duplicates("to_region").set_index("to_region").reindex(loading.columns)
    bus_at = voltages.drop_duplicates("region").set_index("region")["bus"]
    largest, at_s = _extremes(values, loading.index.to_numpy(np.int64))
    loss_kw = branches_by_step(branches, "loss_kw").to_numpy(np.float64)
    return pd.DataFrame(
        {
            "branch": rows["branch"],
            "from_bus": rows["from_region"].map(bus_at),
            "to_bus": bus_at.reindex(rows.index),
            "loading": largest,
            "loading_s": at_s,
            "loss_kwh": np.nansum(loss_kw, axis=0) * STEP_H,
            "steps_over": (values > 1.0 + WITHIN_PU).sum(axis=0),
        },
        index=rows.index,
    )


def worst_bus(buses: pd.DataFrame) -> str | None:
    """Bus furthest outside its band, of :func:`bus_facts`; where all keep it, the one of lowest voltage.

    A source that stands at a limit of the band is not its worst bus: it is meant to be there.
    """
    known = buses[buses["lowest_pu"].notna()]
    if known.empty:
        return None
    is_outside = bool((known["beyond_pu"] > WITHIN_PU).any())
    return str(known["beyond_pu"].idxmax() if is_outside else known["lowest_pu"].idxmin())


def bus_label(bus: str, region: str) -> str:
    """Name of a bus with its region's, where that says more.

    >>> bus_label("18", "homes-west"), bus_label("2", "bus 2"), bus_label("mill", "mill")
    ('18 (homes-west)', '2', 'mill')
    """
    return bus if region in (bus, f"bus {bus}") else f"{bus} ({region})"


def voltage_range(lowest_pu: pd.Series[float]) -> tuple[float, float]:
    """Ends of the colour scale of voltages: hundredths around them.

    >>> voltage_range(pd.Series([0.964, 1.031]))
    (0.96, 1.04)
    """
    if lowest_pu.empty:
        return 0.9, 1.1
    low, high = (
        float(np.floor(100.0 * lowest_pu.min() + WITHIN_PU)),
        float(np.ceil(100.0 * lowest_pu.max() - WITHIN_PU)),
    )
    return low / 100.0, max(high, low + 1.0) / 100.0


def coordinates(feeder: Feeder) -> Places | None:
    """Where the table of buses puts them; none where it does not."""
    if feeder.xy is None:
        return None
    return {bus: (float(x), float(y)) for bus, (x, y) in zip(feeder.bus_names, feeder.xy, strict=True)}


def feeder_tree(facts: pd.DataFrame) -> nx.DiGraph[str]:
    """Buses and branches, away from the source, from :func:`branch_facts`; edges have the facts' columns."""
    tree: nx.DiGraph[str] = nx.DiGraph()
    for row in facts.to_dict("records"):
        tree.add_edge(row["from_bus"], row["to_bus"], **{str(name): value for name, value in row.items()})
    return tree


def source_of(tree: nx.DiGraph[str]) -> str:
    """The bus that feeds all others."""
    (source,) = (bus for bus, degree in tree.in_degree() if degree == 0)
    return str(source)


def tree_places(tree: nx.DiGraph[str]) -> dict[str, tuple[float, float]]:
    """Lay a tree out like a single-line diagram: depth to the right, no branch crosses another one.

    From each bus the way to the deepest one goes straight on; the others leave it upwards or downwards, those
    nearest to its end first, into the first row that is free as far as they reach.

    >>> tree_places(nx.DiGraph([("a", "b"), ("b", "c"), ("c", "d"), ("b", "e")]))["e"]
    (2.0, 1.0)
    """
    root = source_of(tree)
    depth = nx.single_source_shortest_path_length(tree, root)
    reach: dict[str, int] = {}
    for bus in nx.dfs_postorder_nodes(tree, root):
        reach[bus] = max((reach[child] for child in tree.successors(bus)), default=depth[bus])
    block = _block(tree, root, depth, reach)
    return {bus: (float(depth[bus]), float(row)) for bus, row in block.items()}


def _block(
    tree: nx.DiGraph[str], first: str, depth: Mapping[str, int], reach: Mapping[str, int]
) -> dict[str, int]:
    """Row of each bus of the tree below ``first``, whose own way is row 0."""
    way = [first]
    while children := list(tree.successors(way[-1])):
        way.append(max(children, key=reach.__getitem__))
    rows = dict.fromkeys(way, 0)
    outermost = {side: dict.fromkeys((depth[bus] for bus in way), 0) for side in (1, -1)}
    for bus, onward in reversed(list(zip(way, way[1:], strict=False))):
        for child in tree.successors(bus):
            if child == onward:
                continue
            inner = _block(tree, child, depth, reach)
            found = [(_shift(inner, depth, outermost[side], side), side) for side in (1, -1)]
            shift, side = min(found, key=lambda one: one[0])
            for name, row in inner.items():
                rows[name] = row + side * shift
                edge = outermost[side]
                edge[depth[name]] = max(edge.get(depth[name], 0), side * rows[name])
    return rows


def _shift(
    inner: Mapping[str, int], depth: Mapping[str, int], outermost: Mapping[int, int], side: int
) -> int:
    """Rows by which a block must go to a side to be clear of all that is there."""
    return max(outermost.get(depth[bus], 0) + 1 - side * row for bus, row in inner.items())


def _by_step(table: pd.DataFrame, name: str, value: str) -> pd.DataFrame:
    wide = table.pivot(index="step_start_s", columns=name, values=value).sort_index()
    return wide[list(dict.fromkeys(table[name]))].astype(np.float64)


def _extremes(values: FloatArray, step_s: Any) -> tuple[FloatArray, Any]:
    """Largest value of each column, and the step in which it was first; NaN and NEVER where there is none."""
    is_empty = np.isnan(values).all(axis=0)
    at = np.where(np.isnan(values), -np.inf, values).argmax(axis=0)
    largest = np.take_along_axis(values, at[np.newaxis], axis=0)[0]
    return np.where(is_empty, np.nan, largest), np.where(is_empty, NEVER, step_s[at])
