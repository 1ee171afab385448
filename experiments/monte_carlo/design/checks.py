"""Checks of a study's cells before any work: every scenario, policy, series and itinerary, all faults at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from agents.fleet import VehicleFleet
from experiments.assemble import check_policies
from experiments.monte_carlo.contracts import Cell, Level
from experiments.monte_carlo.settings import setting
from experiments.shipped import locate
from sim.errors import ScenarioError, VoltwalkError
from sim.microgrid import build_site
from sim.scenario import LoadMix, Scenario, ScheduleTariff, SeriesTariff
from sim.scenario_inputs import input_faults, series_inputs
from sim.scenario_messages import dotted
from sim.scenario_tables import entry_places
from sim.series import scenario_span

FAILING: Final = 40
"""Settings that fail before the rest is left unchecked: each costs some 50 ms, for all its files are read."""


def check_cells(base: Scenario, cells: Sequence[Cell], policies: Sequence[str]) -> None:
    """Check that every cell can run under every policy.

    A thousand valid cells take a few seconds: each is validated, but series and itineraries are read once per
    distinct set of them.

    Parameters
    ----------
    base
        The scenario as it is, validated.
    cells
        All with the same keys.
    policies
        Names, or ``package.module:Class``.

    Raises
    ------
    ScenarioError
        With every fault, one line each, and the levels that cause it where the line does not show them.
    PolicyError
        When only policies are at fault.
    """
    scenario_faults = _overlaps(base, tuple(cells[0].levels)) or _setting_faults(base, cells, policies[0])
    try:
        check_policies(setting(base, {}, policy) for policy in policies)
    except VoltwalkError as error:
        if not scenario_faults:
            raise
        scenario_faults += str(error).splitlines()
    if scenario_faults:
        raise ScenarioError(scenario_faults)


_UNKNOWN: Final = ": unknown key"

Places = Mapping[str, tuple[str, ...]]
"""Key: the names that a fault's line may have for it."""


@dataclass(slots=True)
class _Found:
    """Faults so far, each with the cells that have it; levels whose faults show them need no second cell."""

    at: dict[str, list[Cell]] = field(default_factory=dict)
    plain: set[str] = field(default_factory=set)
    blamed: set[tuple[str, str]] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    n_failing: int = 0

    def add(self, cell: Cell, faults: Sequence[str], places: Places) -> None:
        """Note a cell's faults, and the levels that they are about."""
        self.n_failing += 1
        for fault in faults:
            self.at.setdefault(fault, []).append(cell)
            about = {key for key, names in places.items() if _is_about(fault, names)}
            if about:
                self.plain.add(fault)
            self.blamed |= {(key, repr(cell.levels[key])) for key in about}
            if _UNKNOWN in fault:
                self.unknown |= about

    def innocent(self, levels: Mapping[str, Level]) -> dict[str, Level]:
        """Levels of a cell but for those that have a fault already."""
        return {
            key: level
            for key, level in levels.items()
            if key not in self.unknown and (key, repr(level)) not in self.blamed
        }

    def lines(self, cells: Sequence[Cell]) -> list[str]:
        """Each fault once, with what causes it."""
        told = [
            fault
            if fault in self.plain or len(failing) == len(cells)
            else f"{fault} ({_cause(failing, cells)})"
            for fault, failing in self.at.items()
        ]
        if self.n_failing >= FAILING:
            told.append(f"after {FAILING} cells with faults the others were not checked")
        return told


def _overlaps(base: Scenario, keys: Sequence[str]) -> list[str]:
    """Return one line per pair of keys that set the same entry: the later would silently win."""
    tables = base.model_dump(exclude_none=True)
    places = {key: _entry_places(tables, key) for key in keys}
    return [
        f"{one} and {other} set the same entry of the scenario; name it once"
        for one, other in itertools.combinations(keys, 2)
        if any(a[: len(b)] == b[: len(a)] for a in places[one] for b in places[other])
    ]


def _entry_places(tables: dict[str, Any], key: str) -> list[tuple[str | int, ...]]:
    try:
        return entry_places(tables, key)
    except LookupError:
        return []  # told by the scenario


def _setting_faults(base: Scenario, cells: Sequence[Cell], policy: str) -> list[str]:
    tables = base.model_dump(exclude_none=True)
    places = {key: (key, *(dotted(place) for place in _entry_places(tables, key))) for key in cells[0].levels}
    found = _Found()
    valid: list[tuple[Cell, Scenario]] = []
    seen: set[str] = set()
    for cell in cells:
        levels = found.innocent(cell.levels)
        if repr(levels) in seen:
            continue
        seen.add(repr(levels))
        try:
            scenario = setting(base, levels, policy)
            build_site(scenario, locate)
        except ScenarioError as error:
            found.add(cell, error.faults, places)
        else:
            valid.append((cell, scenario))
        if found.n_failing >= FAILING:
            break
    _add_contents(found, valid)
    return found.lines(cells)


def _add_contents(found: _Found, valid: Sequence[tuple[Cell, Scenario]]) -> None:
    """Check series and itineraries of the settings that are valid by themselves."""
    checks: tuple[tuple[Callable[[Scenario], str], Callable[[Scenario], Sequence[str]]], ...] = (
        (_series_key, lambda scenario: input_faults(scenario, locate)),
        (_itineraries_key, _itinerary_faults),
    )
    for key_of, faults_of in checks:
        groups: dict[str, dict[int, list[tuple[Cell, Scenario]]]] = {}
        for cell, scenario in valid:
            if key := key_of(scenario):
                n_steps = scenario_span(scenario).n_steps
                groups.setdefault(key, {}).setdefault(n_steps, []).append((cell, scenario))
        for by_length in groups.values():
            for cell, faults in _faults_by_length(by_length, faults_of):
                if found.n_failing >= FAILING:
                    return
                found.add(cell, faults, {})


def _faults_by_length(
    by_length: Mapping[int, Sequence[tuple[Cell, Scenario]]],
    faults_of: Callable[[Scenario], Sequence[str]],
) -> Iterator[tuple[Cell, Sequence[str]]]:
    """Faults of settings that read the same from the same day on: where the longest has none, no other has."""
    for n_steps in sorted(by_length, reverse=True):
        faults = faults_of(by_length[n_steps][0][1])
        if not faults:
            return
        yield from ((cell, faults) for cell, _ in by_length[n_steps])


def _series_key(scenario: Scenario) -> str:
    """Say what decides about faults of the series, beside the length of the run (the past has its own)."""
    read = [
        (
            item.place,
            item.ref,
            item.units,
            sorted(item.mix.weights) if isinstance(item.mix, LoadMix) else None,
        )
        for item in series_inputs(scenario)
    ]
    tariff = scenario.tariff
    prices: tuple[object, ...] = ()
    if isinstance(tariff, ScheduleTariff):
        prices = (tariff,)
    elif isinstance(tariff, SeriesTariff):  # whether selling can pay more than buying depends on limits too
        limits = [
            (region.name, region.import_limit_kw, region.export_limit_kw) for region in scenario.regions
        ]
        prices = (tariff, limits, scenario.ties)
    begin = (scenario.simulation.start, scenario_span(scenario).first_step)
    return repr((begin, scenario.simulation.time_zone, read, prices))


def _itineraries_key(scenario: Scenario) -> str:
    """Say what decides about faults of itineraries; nothing where travel is sampled."""
    if scenario.travel.source != "itineraries":
        return ""
    places = [(region.name, region.place_type) for region in scenario.regions]
    when = (scenario.simulation.start, scenario.simulation.time_zone)
    return repr((when, scenario.travel, scenario.fleet, places, scenario.roads))


def _itinerary_faults(scenario: Scenario) -> Sequence[str]:
    try:
        VehicleFleet(scenario, locate=locate)
    except ScenarioError as error:
        return error.faults
    return ()


def _is_about(fault: str, named: Sequence[str]) -> bool:
    """Whether a fault's line itself shows that it is about a key: it begins with it, or denies a part of it."""
    place = fault.partition(": ")[0]
    return any(
        place == name
        or place.startswith((f"{name}.", f"{name}["))
        or (_UNKNOWN in fault and name.startswith((f"{place}.", f"{place}[")))
        for name in named
    )


def _cause(failing: Sequence[Cell], cells: Sequence[Cell]) -> str:
    """Levels that all failing cells share and some other cell has not; else where it fails first."""
    first: Mapping[str, Level] = failing[0].levels
    shared = [
        f"{key} = {level}"
        for key, level in first.items()
        if all(cell.levels[key] == level for cell in failing)
        and any(cell.levels[key] != level for cell in cells)
    ]
    if shared:
        return f"with {', '.join(shared)}"
    return f"in {len(failing)} cells, first {failing[0]}"
