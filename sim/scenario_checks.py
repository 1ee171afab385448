"""Faults that only show when parts of a scenario are seen together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

import networkx as nx

from sim.history import LEAST_LEVELS, least_history_days, wants_paths, wants_quantiles
from sim.scenario import (
    LoadMix,
    PeriodTariff,
    Road,
    Scenario,
    ScheduleTariff,
    SeriesTariff,
    SupplySeries,
    Tie,
)
from sim.scenario_inputs import series_inputs
from sim.scenario_messages import did_you_mean
from sim.scenario_trade import unbounded_trade
from sim.scenario_travel import chains, laws, longest_trip, place_types, sessions
from sim.series_time import SCENARIO_ZONE, zone_fault
from sim.tariff import period_faults

Check = Callable[[Scenario], Iterator[str]]
_ROUNDING_PU: Final = 1e-9


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
    both: tuple[tuple[str, Sequence[Tie | Road]], ...] = (("ties", scenario.ties), ("roads", scenario.roads))
    for kind, links in both:
        for index, link in enumerate(links):
            for end in ("from_region", "to_region"):
                name = getattr(link, end)
                if name not in scenario.region_names:
                    known = ", ".join(scenario.region_names)
                    meant = did_you_mean(name, scenario.region_names)
                    yield f"{kind}[{index}].{end}: no region is called {name!r} ({known}){meant}"
            if link.from_region == link.to_region:
                yield f"{kind}[{index}]: joins {link.from_region!r} with itself"


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
    if isinstance(scenario.tariff, PeriodTariff):
        yield from period_faults(scenario.tariff)


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


def _series(scenario: Scenario) -> Iterator[str]:
    for item in series_inputs(scenario):
        ref, place = item.ref, item.place
        if item.mix is not None and ref.column != "*":
            yield f'{place}.column: must be "*" in a mix (see `weights`), is {ref.column!r}'
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
            yield f"regions[{index}].load.weights: different units: {', '.join(region.load.weights)}"


def _forecast(scenario: Scenario) -> Iterator[str]:
    part = scenario.forecast
    if any(low >= high for low, high in pairwise(part.quantile_levels)):
        yield f"forecast.quantile_levels: must rise, are {part.quantile_levels}"
    if wants_paths(scenario) and len(part.quantile_levels) < LEAST_LEVELS:
        yield f"forecast.quantile_levels: paths need at least {LEAST_LEVELS}, there are {len(part.quantile_levels)}"
    least = least_history_days(scenario)
    if part.history_days < least:
        what = f"kind = {part.kind!r}" + (" with quantiles" if wants_quantiles(scenario) else "")
        yield f"forecast.history_days: {what} needs at least {least}, is {part.history_days}"


def _statistics(scenario: Scenario) -> Iterator[str]:
    if scenario.travel.source == "sampled":
        return
    for place, value, name in (
        ("forecast.cars", scenario.forecast.cars, "statistics"),
        ("dispatch.departing_energy_value", scenario.dispatch.departing_energy_value, "chain_statistics"),
    ):
        if value == name:
            yield f'{place}: {name} needs laws of travel (travel.source = "sampled")'


def _ending(column: str) -> str:
    return column.rpartition("_")[2]


def _station(scenario: Scenario) -> Iterator[str]:
    if scenario.station is None:
        return
    name = scenario.station.region
    if name not in scenario.region_names:
        yield f"station.region: no region is called {name!r}{did_you_mean(name, scenario.region_names)}"
        return
    region = scenario.regions[scenario.region_names.index(name)]
    if len(region.batteries) != 1:
        yield f"station.region: {name} has {len(region.batteries)} batteries, a station has one"
    if region.pv is None or region.load is None:
        yield f"station.region: {name} needs a load and PV"


def _feeder(scenario: Scenario) -> Iterator[str]:
    """Regions stand at buses where there is a feeder, and only there; its lines are their only ties."""
    part = scenario.feeder
    if part is None:
        yield from _without_feeder(scenario)
        return
    if scenario.ties:
        yield "ties: regions on a feeder have no other ties"
    for bus, count in Counter(region.bus for region in scenario.regions if region.bus is not None).items():
        if count > 1:
            yield f"regions: {count} regions stand at bus {bus!r}; each bus has one"
    if part.source_bus not in {region.bus for region in scenario.regions}:
        yield f"feeder.source_bus: no region stands at bus {part.source_bus!r}; it has the connection's limits"
    for index, region in enumerate(scenario.regions):
        if region.bus is None:
            yield f"regions[{index}].bus: is missing, the scenario has a feeder"
            continue
        for way in ("import", "export"):
            limit = getattr(region, f"{way}_limit_kw")
            if region.bus != part.source_bus and limit != 0.0:
                yield (
                    f"regions[{index}].{way}_limit_kw: must be 0, only bus {part.source_bus!r} of the feeder "
                    f"has a connection; is {limit}"
                )


def _feeder_plans(scenario: Scenario) -> Iterator[str]:
    """Plans keep limits that are there; they keep off both ends of the band, and something must be left of it."""
    part, margin_pu = scenario.feeder, scenario.dispatch.feeder_voltage_margin_pu
    if part is None:
        if scenario.dispatch.feeder_limits == "keep":
            yield 'dispatch.feeder_limits: is "keep", the scenario has no feeder'
    elif 2.0 * margin_pu >= part.voltage_max_pu - part.voltage_min_pu - _ROUNDING_PU:
        yield (
            f"dispatch.feeder_voltage_margin_pu: {margin_pu:g} at both ends leaves nothing of the band "
            f"{part.voltage_min_pu:g}..{part.voltage_max_pu:g}"
        )


def _without_feeder(scenario: Scenario) -> Iterator[str]:
    """Neither buses nor reactive power, which would change nothing."""
    for index, region in enumerate(scenario.regions):
        if region.bus is not None:
            yield f"regions[{index}].bus: the scenario has no feeder"
        if region.charger_kvar_per_kw > 0.0:
            yield f"regions[{index}].charger_kvar_per_kw: the scenario has no feeder"
        for number, unit in enumerate(region.batteries):
            if unit.apparent_power_kva is not None:
                yield f"regions[{index}].batteries[{number}].apparent_power_kva: the scenario has no feeder"


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
    (("regions", "travel", "fleet"), place_types),
    (("forecast", "dispatch"), _forecast),
    (("forecast", "dispatch", "travel"), _statistics),
    (("travel",), chains),
    (("travel",), laws),
    (("travel", "fleet"), longest_trip),
    (("regions", "travel", "fleet"), sessions),
    (("regions", "station"), _station),
    (("regions", "ties", "feeder"), _feeder),
    (("feeder", "dispatch"), _feeder_plans),
)
