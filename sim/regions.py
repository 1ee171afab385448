"""The places of a scenario: a networkx graph of regions, their roads and their electrical ties.

Roads and ties are edges between the same nodes, told apart by their attribute ``kind``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np

from sim.arrays import FloatArray, IntArray, freeze
from sim.errors import ScenarioError
from sim.scenario import Road, Scenario, Tie


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RoadTables:
    """Shortest paths between all pairs of regions, by length; shapes (R, R), ``inf`` where no road leads."""

    distance_km: FloatArray
    duration_h: FloatArray  # along that shortest path

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlaceChoice:
    """The regions of one place type and how a visit chooses among them."""

    region_index: IntArray
    cumulative_weight: FloatArray  # of the shares; its last entry is 1

    def __post_init__(self) -> None:
        freeze(self)

    def choose(self, uniforms: FloatArray) -> IntArray:
        """Region of each uniform, by weight; any shape."""
        position = np.searchsorted(self.cumulative_weight, uniforms, side="right")
        return self.region_index[np.minimum(position, len(self.region_index) - 1)]


def region_graph(scenario: Scenario) -> nx.MultiGraph[str]:
    """Regions as nodes, roads (``km``, ``speed_kmh``) and ties (``limit_kw``, ``loss_fraction``) as edges.

    Raises
    ------
    ScenarioError
        When a road or tie names a region that does not exist, or joins a region to itself.
    """
    graph: nx.MultiGraph[str] = nx.MultiGraph()
    for index, region in enumerate(scenario.regions):
        graph.add_node(region.name, index=index, place_type=region.place_type, weight=region.weight)
    faults = _edge_faults(scenario)
    if faults:
        raise ScenarioError(faults)
    for road in scenario.roads:
        graph.add_edge(road.from_region, road.to_region, kind="road", km=road.km, speed_kmh=road.speed_kmh)
    for tie in scenario.ties:
        graph.add_edge(
            tie.from_region, tie.to_region, kind="tie", limit_kw=tie.limit_kw, loss_fraction=tie.loss_fraction
        )
    return graph


def _edge_faults(scenario: Scenario) -> list[str]:
    names = set(scenario.region_names)
    faults = []
    kinds: dict[str, Sequence[Road | Tie]] = {"roads": scenario.roads, "ties": scenario.ties}
    for kind, edges in kinds.items():
        for number, edge in enumerate(edges):
            for end in (edge.from_region, edge.to_region):
                if end not in names:
                    faults.append(f"{kind}[{number}]: region {end!r} does not exist")
            if edge.from_region == edge.to_region:
                faults.append(f"{kind}[{number}]: joins {edge.from_region!r} to itself")
    return faults


def road_tables(graph: nx.MultiGraph[str]) -> RoadTables:
    """Find all-pairs shortest paths by length; of parallel roads the shorter, then the faster, counts."""
    roads: nx.Graph[str] = nx.Graph()
    roads.add_nodes_from(graph.nodes)
    for start, end, data in graph.edges(data=True):
        if data["kind"] != "road":
            continue
        known = roads.get_edge_data(start, end)
        if known is None or (data["km"], -data["speed_kmh"]) < (known["km"], -known["speed_kmh"]):
            roads.add_edge(start, end, km=data["km"], speed_kmh=data["speed_kmh"])
    position = {name: index for index, name in enumerate(graph.nodes)}
    distance, duration = (np.full((len(position), len(position)), np.inf) for _ in range(2))
    for start, (lengths, paths) in nx.all_pairs_dijkstra(roads, weight="km"):
        for end, path in paths.items():
            edges = [roads.edges[pair] for pair in zip(path, path[1:], strict=False)]
            distance[position[start], position[end]] = lengths[end]
            duration[position[start], position[end]] = sum(edge["km"] / edge["speed_kmh"] for edge in edges)
    return RoadTables(distance_km=distance, duration_h=duration)


def place_choices(scenario: Scenario) -> dict[str, PlaceChoice]:
    """By place type, its regions in order with their cumulative shares."""
    choices = {}
    for place_type in scenario.place_types:
        members = [i for i, region in enumerate(scenario.regions) if region.place_type == place_type]
        weights = np.array([scenario.regions[i].weight for i in members])
        choices[place_type] = PlaceChoice(
            region_index=np.array(members, dtype=np.int64),
            cumulative_weight=np.cumsum(weights) / weights.sum(),
        )
    return choices
