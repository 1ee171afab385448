"""Regions as a graph: roads, ties, shortest paths, choices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sim.errors import ScenarioError
from sim.regions import place_choices, region_graph, road_tables
from sim.scenario import Scenario
from tests.agents_cases import region, scenario_of

ROADS = [
    {"from_region": "a", "to_region": "b", "km": 10.0, "speed_kmh": 50.0},
    {"from_region": "b", "to_region": "c", "km": 5.0, "speed_kmh": 25.0},
    {"from_region": "a", "to_region": "c", "km": 16.0, "speed_kmh": 100.0},
    {"from_region": "c", "to_region": "d", "km": 30.0, "speed_kmh": 60.0},
    {"from_region": "c", "to_region": "d", "km": 30.0, "speed_kmh": 90.0},
]


def town(**changes: object) -> Scenario:
    """Make five places, the last off the roads."""
    regions = [
        region("a", "H"),
        region("b", "W"),
        region("c", "O", weight=3.0),
        region("d", "O"),
        region("e", "H"),
    ]
    return scenario_of({"regions": regions, "roads": ROADS, **changes})


def test_shortest_paths_by_hand() -> None:
    """A to C by B is 15 km in 24 min, shorter than the direct 16 km; of two equal roads the faster counts."""
    tables = road_tables(region_graph(town()))
    assert tables.distance_km[0, 2] == 15.0
    assert tables.duration_h[0, 2] == pytest.approx(0.4)
    assert tables.distance_km[0, 3] == 45.0
    assert tables.duration_h[2, 3] == pytest.approx(1 / 3)
    assert (np.diag(tables.distance_km) == 0).all()
    assert (tables.distance_km == tables.distance_km.T).all()
    assert np.isinf(tables.distance_km[4, :4]).all()


def test_shortest_paths_against_brute_force() -> None:
    """Distances equal the least over all simple paths of the roads."""
    length = {}
    for road in ROADS:
        ends = frozenset((road["from_region"], road["to_region"]))
        length[ends] = min(float(road["km"]), length.get(ends, np.inf))
    names = "abcde"
    tables = road_tables(region_graph(town()))
    for start, end in itertools.permutations(names, 2):
        best = np.inf
        for n in range(4):
            for middle in itertools.permutations(set(names) - {start, end}, n):
                path = (start, *middle, end)
                best = min(
                    best, sum(length.get(frozenset(pair), np.inf) for pair in itertools.pairwise(path))
                )
        assert tables.distance_km[names.index(start), names.index(end)] == best


def test_ties_are_edges_but_no_roads() -> None:
    """An electrical tie is in the graph with its attributes, and nobody drives along it."""
    tie = {"from_region": "a", "to_region": "e", "limit_kw": 50.0, "loss_fraction": 0.02}
    graph = region_graph(town(ties=[tie]))
    kinds = [data["kind"] for _, _, data in graph.edges(data=True)]
    assert kinds.count("tie") == 1
    assert kinds.count("road") == len(ROADS)
    assert np.isinf(road_tables(graph).distance_km[0, 4])


def test_unknown_regions_are_all_named() -> None:
    """Every edge to nowhere or to itself is a fault."""
    wrong = [
        {"from_region": "a", "to_region": "z", "km": 1.0, "speed_kmh": 1.0},
        {"from_region": "b", "to_region": "b", "km": 1.0, "speed_kmh": 1.0},
    ]
    with pytest.raises(ScenarioError) as caught:
        region_graph(town(roads=wrong))
    assert len(caught.value.faults) == 2
    assert "'z'" in str(caught.value)


def test_choice_by_weight() -> None:
    """Uniforms choose regions of a type in proportion to their weights."""
    choice = place_choices(town())["O"]
    chosen = choice.choose((np.arange(1000) + 0.5) / 1000)
    assert (chosen == 2).sum() == 750
    assert (chosen == 3).sum() == 250
    assert choice.choose(np.array([0.0, 1.0 - 2.0**-53])).tolist() == [2, 3]
