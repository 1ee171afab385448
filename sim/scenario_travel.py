"""Faults of travel that only show when matrices, laws, regions and classes are seen together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sim.errors import ScenarioError
from sim.laws import quantile
from sim.scenario import Law, Scenario, SessionFile, TransitionMatrix, TripClass
from sim.scenario_messages import did_you_mean
from sim.series_time import SCENARIO_ZONE, zone_fault

_ROW_TOLERANCE: Final = 1e-6
_MINUTES_PER_HOUR: Final = 60.0
_DAY_H: Final = 24.0


def place_types(scenario: Scenario) -> Iterator[str]:
    """Say which place types have no region, and which regions' types lack an entry."""
    travel, known = scenario.travel, scenario.place_types
    asked: list[tuple[str, Iterable[str]]] = [("travel.home", [travel.home]), ("travel.work", [travel.work])]
    if travel.source == "sampled":
        for day, matrix in (("weekday", travel.chain.weekday), ("weekend", travel.chain.weekend)):
            asked.append((f"travel.chain.{day}", matrix))
            asked += [(f"travel.chain.{day}.{name}", row) for name, row in matrix.items()]
        asked.append(("travel.dwell_min", travel.dwell_min))
    if travel.source != "sessions":  # who comes to charge, does
        asked.append(("fleet.plug_in_probability", scenario.fleet.plug_in_probability))
    for place, names in asked:
        for name in names:
            if name not in known:
                meant = did_you_mean(name, known)
                yield f"{place}: no region has the place type {name!r} ({', '.join(known)}){meant}"
    for name in dict.fromkeys(region.place_type for region in scenario.regions if region.chargers != 0):
        if name not in scenario.fleet.plug_in_probability and travel.source != "sessions":
            yield f"fleet.plug_in_probability.{name}: is missing (the place type of a region)"


def chains(scenario: Scenario) -> Iterator[str]:
    """Say which transition rows are missing or wrong, and which places do not lead home."""
    travel = scenario.travel
    if travel.source == "itineraries":
        if travel.itineraries is None:
            yield 'travel.itineraries: is missing (source = "itineraries")'
        return
    if travel.source == "sessions":
        if travel.sessions is None:
            yield 'travel.sessions: is missing (source = "sessions")'
        return
    for day, matrix in (("weekday", travel.chain.weekday), ("weekend", travel.chain.weekend)):
        yield from _matrix(f"travel.chain.{day}", matrix, travel.home)
        if travel.distance == "road":
            yield from _within(f"travel.chain.{day}", matrix)
        for name in sorted(_reachable(matrix, travel.home) - travel.dwell_min.keys()):
            if name != travel.home or travel.leave_again_probability > 0.0:
                yield f"travel.dwell_min.{name}: is missing (travel.chain.{day} goes there)"


def sessions(scenario: Scenario) -> Iterator[str]:
    """Say what does not go together with sessions from a file, which tell all that drivers do and declare."""
    travel, fleet = scenario.travel, scenario.fleet
    if travel.source != "sessions":
        if fleet.size == "sessions":
            yield 'fleet.size: "sessions" needs travel.source = "sessions"'
        return
    if fleet.size != "sessions":
        yield f'fleet.size: must be "sessions" with travel.source = "sessions", is {fleet.size}'
    if len(fleet.classes) != 1:
        yield f"fleet.classes: must be one with sessions, which are all of it; there are {len(fleet.classes)}"
    away = [region for region in scenario.regions if region.place_type == travel.home]
    if len(away) != 1 or away[0].chargers != 0:
        told = ", ".join(f"{region.name} ({region.chargers})" for region in away)
        yield (
            f"regions: sessions come from one region of type travel.home {travel.home!r} without chargers; "
            f"there is {told or 'none'}"
        )
    drivers = fleet.drivers
    error = drivers.departure_error_min
    for place, value, needed in (
        ("departure_soc", fleet.departure_soc, "none"),
        ("drivers.missing_share", drivers.missing_share, 0.0),
        ("drivers.min_range_km", drivers.min_range_km, 0.0),
    ):
        if value != needed:
            yield f"fleet.{place}: must be {needed!r} with sessions, which tell it themselves; is {value!r}"
    if error.family != "constant" or error.loc != 0.0:
        yield "fleet.drivers.departure_error_min: must be constant 0 with sessions, which tell it themselves"
    if travel.sessions is not None:
        yield from _session_regions(scenario, travel.sessions)


def _session_regions(scenario: Scenario, file: SessionFile) -> Iterator[str]:
    home, named = scenario.travel.home, {region.name: region for region in scenario.regions}
    for site, name in file.regions.items():
        if name not in named:
            meant = did_you_mean(name, tuple(named))
            yield f"travel.sessions.regions.{site}: no region is called {name!r} ({', '.join(named)}){meant}"
        elif named[name].place_type == home:
            yield f"travel.sessions.regions.{site}: {name!r} is where cars come from (travel.home)"
    places = [region.name for region in scenario.regions if region.place_type != home]
    if not file.regions and len(places) != 1:
        yield f"travel.sessions.regions: is missing; which of {', '.join(places)} are the sessions of?"
    if file.zone != SCENARIO_ZONE and (fault := zone_fault(file.zone)):
        yield f'travel.sessions.zone: {fault}; "scenario" means clock hours that are not converted'


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


def _within(place: str, matrix: TransitionMatrix) -> Iterator[str]:
    for name, row in matrix.items():
        if row.get(name, 0.0) > 0.0:
            yield (
                f'{place}.{name}.{name}: must be 0 with distance = "road", '
                "for such a trip may begin and end in one region"
            )


def _reachable(matrix: TransitionMatrix, origin: str) -> set[str]:
    """Places that trips from ``origin`` lead to over any number of stops; itself if a way leads back."""
    found: set[str] = set()
    frontier = [origin]
    while frontier:
        for name, probability in matrix.get(frontier.pop(), {}).items():
            if probability > 0.0 and name not in found:
                found.add(name)
                frontier.append(name)
    return found


def laws(scenario: Scenario) -> Iterator[str]:
    """Say which laws cannot be drawn from, can be negative, or leave no time for a chain within its day."""
    travel = scenario.travel
    if travel.source != "sampled":
        return
    named = [(f"travel.dwell_min.{name}", law) for name, law in travel.dwell_min.items()]
    named.append(("travel.first_departure_h", travel.first_departure_h))
    trips = (("trip_from_home", travel.trip_from_home), ("trip_between", travel.trip_between))
    for name, trip in (*trips, ("trip_to_home", travel.trip_to_home)):
        named.append((f"travel.{name}.duration_min", trip.duration_min))
        yield from _windows(f"travel.{name}", trip, scenario)
    for place, law in named:
        yield from _drawable(place, law)
    low, high = travel.first_departure_h.support
    if high > _DAY_H:
        yield f"travel.first_departure_h: reaches {high:g} h, after the day's end (give `high`)"
    for name in travel.chain.weekday.get(travel.home, {}).keys() & travel.dwell_min.keys():
        dwell_h = max(0.0, travel.dwell_min[name].support[0]) / _MINUTES_PER_HOUR
        if name != travel.home and low + dwell_h >= _DAY_H:
            yield (
                f"travel.dwell_min.{name}: a stay of at least {dwell_h:g} h after a departure at {low:g} h "
                "cannot end by 24:00"
            )


def _drawable(place: str, law: Law) -> Iterator[str]:
    if law.support[0] < 0.0:
        yield f"{place}: can be negative (give `low`)"
    try:
        quantile(law, [0.5])
    except ScenarioError as error:
        yield from (f"{place}: {fault}" for fault in error.faults)


def _windows(place: str, trip: TripClass, scenario: Scenario) -> Iterator[str]:
    """Distance limits must leave something in each window that a duration can fall into."""
    limits = scenario.travel.limits
    if scenario.travel.distance != "law":
        return
    for index, window in enumerate(trip.mileage):
        least_km = limits.min_speed_kmh * window.from_min / _MINUTES_PER_HOUR
        if least_km >= limits.max_km and window.from_min < trip.duration_min.support[1]:
            yield (
                f"{place}.mileage[{index}]: {window.from_min:g} min at travel.limits.min_speed_kmh "
                f"{limits.min_speed_kmh:g} are {least_km:g} km, beyond max_km {limits.max_km:g}"
            )


def longest_trip(scenario: Scenario) -> Iterator[str]:
    """Say which class could wait at a charger for ever: its whole battery does not reach the longest trip."""
    travel, fleet = scenario.travel, scenario.fleet
    if fleet.shortage != "wait" or travel.source != "sampled" or travel.distance != "law":
        return
    for index, item in enumerate(fleet.classes):
        usable_kwh = (item.soc_max - item.soc_min) * item.battery_kwh
        needed_kwh = travel.limits.max_km * item.consumption_kwh_per_km
        if needed_kwh > usable_kwh:
            yield (
                f"fleet.classes[{index}] ({item.name}): a trip of max_km {travel.limits.max_km:g} takes "
                f"{needed_kwh:g} kWh, its battery gives {usable_kwh:g}: it would wait for ever "
                '(shortage = "help", or a lower travel.limits.max_km)'
            )
