"""A user's own itineraries from a CSV file."""

from __future__ import annotations

from pathlib import Path

from agents.itineraries import Itineraries
from agents.population import Population
from sim.errors import ScenarioError
from sim.scenario import Scenario


def read_itineraries(
    scenario: Scenario, population: Population, base_dir: Path
) -> tuple[Population, Itineraries]:
    """Read and check a file of itineraries."""
    raise ScenarioError(
        [f"travel.itineraries: {base_dir}: not yet read, {scenario.fleet.size} {population.n}"]
    )
