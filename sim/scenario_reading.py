"""From a TOML file to a validated scenario and back, with every fault told at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import TypeAdapter, ValidationError

from sim.errors import ScenarioError
from sim.scenario import Scenario
from sim.scenario_checks import cross_faults
from sim.scenario_inputs import Locate, input_faults, missing_files
from sim.scenario_messages import sentences
from sim.scenario_tables import FindScenario, apply_overrides, read_tables


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
    return scenario


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


def dump_scenario(scenario: Scenario) -> str:
    """Complete TOML of a scenario: reading it again gives an equal one."""
    return tomli_w.dumps(scenario.model_dump(exclude_none=True))


def _valid_sections(tables: dict[str, Any], error: ValidationError) -> tuple[Scenario, frozenset[str]]:
    """Sections that hold by themselves once unknown keys are left out, so that they can be checked further."""
    pruned = copy.deepcopy(tables)
    for fault in error.errors(include_url=False):
        if fault["type"] == "extra_forbidden":
            _prune(
                pruned,
                [part for part in fault["loc"] if not (isinstance(part, str) and part.startswith("<"))],
            )
    valid: dict[str, Any] = {}
    for name, field in Scenario.model_fields.items():
        if name not in pruned:
            if not field.is_required():
                valid[name] = field.get_default()
            continue
        annotated: Any = field.rebuild_annotation()
        try:
            valid[name] = TypeAdapter(annotated).validate_python(pruned[name])
        except ValidationError:
            continue
    return Scenario.model_construct(**valid), frozenset(valid)


def _prune(node: Any, place: list[str | int]) -> None:
    for part in place[:-1]:
        node = node[part]
    node.pop(place[-1])
