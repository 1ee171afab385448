"""From a TOML file to a validated scenario and back, with every fault told at once."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, TypeAdapter, ValidationError

from sim.errors import ScenarioError
from sim.feeder.placing import with_other_buses
from sim.scenario import Region, Scenario
from sim.scenario_checks import cross_faults
from sim.scenario_inputs import Locate, input_faults, missing_files
from sim.scenario_messages import clean_place, sentences
from sim.scenario_tables import FindScenario, apply_overrides, read_tables, set_entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A scenario as read: validated, with all paths absolute or names of shipped files."""

    scenario: Scenario
    path: Path


def read_scenario(
    path: Path,
    *,
    overrides: Sequence[str] = (),
    locate: Locate,
    find_scenario: FindScenario,
) -> Loaded:
    """Read, merge, override and validate a scenario.

    Parameters
    ----------
    path
        The TOML file.
    overrides
        ``key=value`` strings, values as TOML (bare words allowed).
    locate
        From a ``file`` entry to its path.
    find_scenario
        From what ``extends`` names to its path.

    Raises
    ------
    ScenarioError
        With every fault, one line each. Where there is any, the contents of the series are checked too.
    """
    tables = read_tables(path, overrides, find_scenario)
    return Loaded(scenario=scenario_of(tables, locate), path=path)


def scenario_faults(
    path: Path, *, overrides: Sequence[str] = (), locate: Locate, find_scenario: FindScenario
) -> tuple[str, ...]:
    """Every fault of a scenario and of the series and files that it names."""
    try:
        loaded = read_scenario(path, overrides=overrides, locate=locate, find_scenario=find_scenario)
    except ScenarioError as error:
        return error.faults
    return tuple(input_faults(loaded.scenario, locate))


def scenario_of(tables: dict[str, Any], locate: Locate) -> Scenario:
    """Validate raw tables.

    Raises
    ------
    ScenarioError
        With every fault, one line each.
    """
    try:
        scenario = Scenario.model_validate(tables)
    except ValidationError as error:
        partly, sections = _valid_sections(tables, error)
        faults = [*sentences(error, tables), *cross_faults(partly, sections), *input_faults(partly, locate)]
        raise ScenarioError(dict.fromkeys(faults)) from None
    faults = [*cross_faults(scenario, frozenset(Scenario.model_fields)), *missing_files(scenario, locate)]
    if faults:
        raise ScenarioError(dict.fromkeys([*faults, *input_faults(scenario, locate)]))
    try:
        return with_other_buses(scenario, locate)
    except ScenarioError as error:
        raise ScenarioError(dict.fromkeys([*error.faults, *input_faults(scenario, locate)])) from None


def with_overrides(scenario: Scenario, overrides: Sequence[str], locate: Locate) -> Scenario:
    """Return a copy with some entries changed, validated anew.

    Raises
    ------
    ScenarioError
        With every fault, one line each.
    """
    tables = scenario.model_dump(exclude_none=True)
    faults = apply_overrides(tables, overrides)
    if faults:
        raise ScenarioError(faults)
    return scenario_of(tables, locate)


def with_entries(scenario: Scenario, entries: Mapping[str, Any], locate: Locate) -> Scenario:
    """Return a copy with the entries of some dotted paths set, validated anew.

    Raises
    ------
    ScenarioError
        With every fault, one line each.
    """
    tables = scenario.model_dump(exclude_none=True)
    faults = [fault for dotted, value in entries.items() for fault in set_entry(tables, dotted, value)]
    if faults:
        raise ScenarioError(faults)
    return scenario_of(tables, locate)


def dump_scenario(scenario: Scenario) -> str:
    """Complete TOML of a scenario: reading it again gives an equal one."""
    return tomli_w.dumps(scenario.model_dump(exclude_none=True))


def _valid_sections(tables: dict[str, Any], error: ValidationError) -> tuple[Scenario, frozenset[str]]:
    """Sections that hold by themselves once unknown keys are left out: they can be checked further."""
    pruned = copy.deepcopy(tables)
    for fault in error.errors(include_url=False):
        if fault["type"] == "extra_forbidden":
            place = clean_place(fault["loc"], tables, "extra_forbidden")
            node: Any = pruned
            for part in place[:-1]:
                node = node[part]
            node.pop(place[-1], None)
    valid = _valid_fields(Scenario, pruned)
    regions = pruned.get("regions")
    if "regions" not in valid and isinstance(regions, list):
        stand_ins = [_stand_in(region) for region in regions]
        if regions and None not in stand_ins:
            valid["regions"] = stand_ins
    return Scenario.model_construct(**valid), frozenset(valid)


def _stand_in(table: Any) -> Region | None:
    """Return a faulty region with neutral values for what is wrong: its names and series can be checked."""
    valid = _valid_fields(Region, table) if isinstance(table, dict) else {}
    if "name" not in valid or "place_type" not in valid:
        return None
    neutral: dict[str, Any] = dict.fromkeys(("load", "pv", "wind", "turbine"))
    neutral |= {"weight": 1.0, "chargers": "unlimited", "import_limit_kw": 0.0, "export_limit_kw": 0.0}
    return Region.model_construct(**(neutral | {"batteries": []} | valid))


def _valid_fields(model: type[BaseModel], table: dict[str, Any]) -> dict[str, Any]:
    valid: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name not in table:
            if not field.is_required():
                valid[name] = field.get_default(call_default_factory=True, validated_data={})
            continue
        annotated: Any = field.rebuild_annotation()
        try:
            valid[name] = TypeAdapter(annotated).validate_python(table[name], strict=True)
        except ValidationError:
            continue
    return valid
