"""Buying and selling at once: where prices and limits would make a scenario's gain endless."""

from __future__ import annotations

import math
from collections.abc import Sequence

import networkx as nx

from sim.scenario import Scenario


def unbounded_trade(scenario: Scenario, prices: Sequence[tuple[str, float, float]]) -> list[str]:
    """Where buying and selling at once would earn without end.

    Parameters
    ----------
    scenario
        Its regions and ties tell between which connections power can flow without a cap.
    prices
        Name, buying and selling price of the times to look at.
    """
    keeps = _best_uncapped(scenario)
    if keeps is None:
        return []
    importer, exporter, kept = keeps
    where = f"region {importer!r}" if importer == exporter else f"regions {importer!r} and {exporter!r}"
    return [
        f"in {name} selling at {sell:g} pays more than buying at {buy:g} per kWh, "
        f"and {where} import and export without limit"
        for name, buy, sell in prices
        if sell * kept > buy
    ]


def _best_uncapped(scenario: Scenario) -> tuple[str, str, float] | None:
    """Import and export without limit that lose least between them, and the share that is kept."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(scenario.region_names)
    for tie in getattr(scenario, "ties", ()):
        if tie.limit_kw == "unlimited" and {tie.from_region, tie.to_region} <= set(scenario.region_names):
            graph.add_edge(tie.from_region, tie.to_region, loss=-math.log1p(-tie.loss_fraction))
    exporters = {region.name for region in scenario.regions if region.export_limit_kw == "unlimited"}
    best: tuple[str, str, float] | None = None
    for region in scenario.regions:
        if region.import_limit_kw != "unlimited":
            continue
        losses = nx.single_source_dijkstra_path_length(graph, region.name, weight="loss")
        for exporter in exporters & losses.keys():
            kept = math.exp(-losses[exporter])
            if best is None or kept > best[2]:
                best = (region.name, exporter, kept)
    return best
