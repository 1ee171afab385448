"""From a study's base scenario, a cell, a policy and a replication to the scenario of one run."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

import tomli_w

from experiments.monte_carlo.contracts import Level
from experiments.shipped import locate
from sim.scenario import Scenario
from sim.scenario_reading import dump_scenario, scenario_of, with_entries


def base_toml(scenario: Scenario, policy: str) -> str:
    """Complete TOML of what all runs of a study start from: replication 0, its first policy."""
    return dump_scenario(setting(with_replication(scenario, 0), {}, policy))


def base_of(scenario_toml: str) -> Scenario:
    """Scenario of complete TOML.

    Raises
    ------
    ScenarioError
        With every fault, one line each.
    """
    return scenario_of(tomllib.loads(scenario_toml), locate)


def setting(base: Scenario, levels: Mapping[str, Level], policy: str) -> Scenario:
    """Scenario of one cell under one policy.

    Raises
    ------
    ScenarioError
        When the levels do not fit the scenario, with every fault.
    """
    return with_entries(base, {**levels, "dispatch.policy": policy}, locate)


def with_replication(scenario: Scenario, replication: int) -> Scenario:
    """Return the same scenario with the draws of another replication."""
    simulation = scenario.simulation.model_copy(update={"replication": replication})
    return scenario.model_copy(update={"simulation": simulation})


def levels_toml(levels: Mapping[str, Level]) -> str:
    """Levels as TOML: exact, hashable, and readable again.

    >>> print(levels_toml({"fleet.size": 100}), end="")
    "fleet.size" = 100
    """
    return tomli_w.dumps(dict(levels))
