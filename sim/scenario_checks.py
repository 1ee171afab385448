"""Faults that only show when parts of a scenario are seen together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

import networkx as nx
import numpy as np

from sim.clock import STEPS_PER_DAY
from sim.scenario import (
    LoadMix,
    PeriodTariff,
    Scenario,
    ScheduleTariff,
    SeriesTariff,
    SupplySeries,
    TransitionMatrix,
)
from sim.scenario_inputs import series_inputs
from sim.scenario_messages import did_you_mean
from sim.series_time import SCENARIO_ZONE, zone_fault

_ROW_TOLERANCE: Final = 1e-6
Check = Callable[[Scenario], Iterator[str]]


def cross_faults(scenario: Scenario, sections: frozenset[str]) -> list[str]:
    """One line per fault, of all checks whose sections are valid by themselves.

    Parameters
    ----------
    scenario
        Possibly with sections left out (those that do not hold by themselves).
    sections
        Names of the sections that are there.
    """
    return [fault for needed, check in _CHECKS if sections.issuperset(needed) for fault in check(scenario)]


def _clock(scenario: Scenario) -> Iterator[str]:
    fault = zone_fault(scenario.simulation.time_zone)
    if fault:
        yield f"simulation.time_zone: {fault}"


def _names(scenario: Scenario) -> Iterator[str]:
    for name, count in Counter(scenario.region_names).items():
        if count > 1:
            yield f"regions: {count} regions are called {name!r}"


def _classes(scenario: Scenario) -> Iterator[str]:
    fleet = scenario.fleet
    for name, count in Counter(item.name for item in fleet.classes).items():
        if count > 1:
            yield f"fleet.classes: {count} classes are called {name!r}"
    if sum(item.share for item in fleet.classes) <= 0.0:
        yield "fleet.classes: all shares are 0"
    if fleet.departure_soc == "none":
        return
    for index, item in enumerate(fleet.classes):
        if not item.soc_min <= fleet.departure_soc <= item.soc_max:
            yield (
                f"fleet.departure_soc: {fleet.departure_soc:g} is outside {item.soc_min:g}..{item.soc_max:g} "
                f'of fleet.classes[{index}] ({item.name}); "none" asks for what the chain needs'
            )


def _links(scenario: Scenario) -> Iterator[str]:
    for kind, links in (("ties", scenario.ties), ("roads", scenario.roads)):
        for index, link in enumerate(links):
            for end in ("from_region", "to_region"):
                name = getattr(link, end)
                if name not in scenario.region_names:
                    known = ", ".join(scenario.region_names)
                    meant = did_you_mean(name, scenario.region_names)
                    yield f"{kind}[{index}].{end}: no region is called {name!r} ({known}){meant}"
            if link.from_region == link.to_region:
                yield f"{kind}[{index}]: joins {link.from_region!r} with itself"
        pairs = Counter(frozenset((link.from_region, link.to_region)) for link in links)
        for pair, count in pairs.items():
            if count > 1 and kind == "ties":
                yield f"ties: {count} ties join {' and '.join(sorted(pair))}; give one with their joint limit"


def _road_graph(scenario: Scenario) -> Iterator[str]:
    if (
        scenario.travel.distance != "road"
        or scenario.travel.source != "sampled"
        or len(scenario.regions) == 1
    ):
        return
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(scenario.region_names)
    graph.add_edges_from((road.from_region, road.to_region) for road in scenario.roads)
    parts = [sorted(part) for part in nx.connected_components(graph)]
    if len(parts) > 1:
        apart = " | ".join(", ".join(part) for part in parts)
        yield f'roads: distance = "road" needs roads that join all regions; these are apart: {apart}'


def _tariff(scenario: Scenario) -> Iterator[str]:
    tariff = scenario.tariff
    if not isinstance(tariff, PeriodTariff):
        return
    count = np.zeros(STEPS_PER_DAY, dtype=np.int64)
    for index, period in enumerate(tariff.periods):
        for which, (begin, end) in enumerate(period.hours):
            place = f"tariff.periods[{index}].hours[{which}]"
            if not 0.0 <= begin < end <= 24.0:
                yield f"{place}: [{begin:g}, {end:g}] must hold 0 <= from < to <= 24"
            elif begin * 4 % 1 or end * 4 % 1:
                yield f"{place}: [{begin:g}, {end:g}] must be multiples of 0.25 hours"
            else:
                count[int(begin * 4) : int(end * 4)] += 1
    for wrong, words in ((count == 0, "is in no period"), (count > 1, "is in more than one period")):
        for begin, end in _runs(wrong):
            yield f"tariff.periods: {begin / 4:g} to {end / 4:g} h {words}"


def _runs(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def _end_value(scenario: Scenario) -> Iterator[str]:
    if isinstance(scenario.tariff, SeriesTariff) and scenario.economics.energy_value_per_kwh == "auto":
        yield (
            "economics.energy_value_per_kwh: auto needs a price table; "
            "with a price series give a number (what a stored kWh is worth at the end)"
        )


def _trade(scenario: Scenario) -> Iterator[str]:
    tariff = scenario.tariff
    if isinstance(tariff, PeriodTariff):
        prices = [(p.name, p.buy_per_kwh, p.sell_per_kwh) for p in tariff.periods]
        yield from (f"tariff.periods: {fault}" for fault in unbounded_trade(scenario, prices))
    elif isinstance(tariff, ScheduleTariff):
        prices = [("any time", 1.0, tariff.sell_fraction)]
        yield from (f"tariff.sell_fraction: {fault}" for fault in unbounded_trade(scenario, prices))


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
    """Import and export connection without limit that lose least between them, and the share that is kept."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(scenario.region_names)
    for tie in getattr(scenario, "ties", ()):
        if tie.limit_kw == "unlimited" and {tie.from_region, tie.to_region} <= set(scenario.region_names):
            graph.add_edge(tie.from_region, tie.to_region, loss=-float(np.log1p(-tie.loss_fraction)))
    exporters = {region.name for region in scenario.regions if region.export_limit_kw == "unlimited"}
    best: tuple[str, str, float] | None = None
    for region in scenario.regions:
        if region.import_limit_kw != "unlimited":
            continue
        losses = nx.single_source_dijkstra_path_length(graph, region.name, weight="loss")
        for exporter in exporters & losses.keys():
            kept = float(np.exp(-losses[exporter]))
            if best is None or kept > best[2]:
                best = (region.name, exporter, kept)
    return best


def _series(scenario: Scenario) -> Iterator[str]:
    for item in series_inputs(scenario):
        ref, place = item.ref, item.place
        if item.mix is not None and ref.column != "*":
            yield f'{place}.column: must be "*" in a mix (its columns stand in `weights`), is {ref.column!r}'
        if item.mix is None and ref.column == "*":
            yield f"{place}.column: must name a column"
        if ref.zone != SCENARIO_ZONE and (fault := zone_fault(ref.zone)):
            yield f'{place}.zone: {fault}; "scenario" means clock hours that are not converted'


def _supply(scenario: Scenario) -> Iterator[str]:
    for index, region in enumerate(scenario.regions):
        for name, part in (("pv", region.pv), ("wind", region.wind)):
            if isinstance(part, SupplySeries) and part.series.column.endswith("_kw") and part.rated_kw != 1.0:
                yield (
                    f"regions[{index}].{name}.rated_kw: must be 1 for a column in kW "
                    f"({part.series.column}), is {part.rated_kw:g}"
                )
        if isinstance(region.load, LoadMix) and len({_ending(name) for name in region.load.weights}) > 1:
            yield f"regions[{index}].load.weights: columns of different units: {', '.join(region.load.weights)}"


def _ending(column: str) -> str:
    return column.rpartition("_")[2]


def _place_types(scenario: Scenario) -> Iterator[str]:
    travel, known = scenario.travel, scenario.place_types
    asked: list[tuple[str, Iterable[str]]] = [("travel.home", [travel.home]), ("travel.work", [travel.work])]
    if travel.source == "sampled":
        for day, matrix in (("weekday", travel.chain.weekday), ("weekend", travel.chain.weekend)):
            asked.append((f"travel.chain.{day}", matrix))
            asked += [(f"travel.chain.{day}.{name}", row) for name, row in matrix.items()]
        asked.append(("travel.dwell_min", travel.dwell_min))
    asked.append(("fleet.plug_in_probability", scenario.fleet.plug_in_probability))
    for place, names in asked:
        for name in names:
            if name not in known:
                meant = did_you_mean(name, known)
                yield f"{place}: no region has the place type {name!r} ({', '.join(known)}){meant}"
    for name in known:
        if name not in scenario.fleet.plug_in_probability:
            yield f"fleet.plug_in_probability.{name}: is missing (the place type of a region)"


def _chains(scenario: Scenario) -> Iterator[str]:
    travel = scenario.travel
    if travel.source == "itineraries":
        if travel.itineraries is None:
            yield 'travel.itineraries: is missing (source = "itineraries")'
        return
    for day, matrix in (("weekday", travel.chain.weekday), ("weekend", travel.chain.weekend)):
        yield from _matrix(f"travel.chain.{day}", matrix, travel.home)
        for name in sorted(_reachable(matrix, travel.home) - travel.dwell_min.keys()):
            if name != travel.home or travel.leave_again_probability > 0.0:
                yield f"travel.dwell_min.{name}: is missing (travel.chain.{day} goes there)"


def _matrix(place: str, matrix: TransitionMatrix, home: str) -> Iterator[str]:
    for name, row in matrix.items():
        total = sum(row.values())
        if abs(total - 1.0) > _ROW_TOLERANCE:
            yield f"{place}.{name}: the row sums to {total:.6g}, not 1"
        if row.get(name, 0.0) > 0.0 and name == home:
            yield f"{place}.{name}.{name}: a trip from home cannot go home"
    if home not in matrix:
        yield f"{place}.{home}: is missing (where days begin)"
        return
    for name in sorted(_reachable(matrix, home)):
        if name not in matrix:
            yield f"{place}.{name}: is missing (cars go there and would not get away)"
        elif home not in _reachable(matrix, name):
            yield f"{place}.{name}: no way leads home ({home}) from there"


def _reachable(matrix: TransitionMatrix, origin: str) -> set[str]:
    """Places that trips from ``origin`` lead to, over any number of stops, less itself unless a way leads back."""
    found: set[str] = set()
    frontier = [origin]
    while frontier:
        for name, probability in matrix.get(frontier.pop(), {}).items():
            if probability > 0.0 and name not in found:
                found.add(name)
                frontier.append(name)
    return found


_CHECKS: Final[tuple[tuple[tuple[str, ...], Check], ...]] = (
    (("simulation",), _clock),
    (("regions",), _names),
    (("fleet",), _classes),
    (("regions", "ties", "roads"), _links),
    (("regions", "roads", "travel"), _road_graph),
    (("tariff",), _tariff),
    (("tariff", "economics"), _end_value),
    (("tariff", "regions", "ties"), _trade),
    ((), _series),
    (("regions",), _supply),
    (("regions", "travel", "fleet"), _place_types),
    (("travel",), _chains),
)
