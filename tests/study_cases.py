"""Settings, pieces and engines shared by the tests of studies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agents_cases import scenario_of

from experiments.monte_carlo.contracts import Cell, Engine, Piece, Result, Setup, Unit
from experiments.monte_carlo.identity import fingerprint_of
from experiments.monte_carlo.settings import base_toml
from sim.scenario import Scenario

FULL, HALF = "study_policies:Full", "study_policies:Half"
TESTS = Path(__file__).parent


def tiny_scenario(n_cars: int = 3) -> Scenario:
    """One day of a few cars and nothing else: hundredths of a second under the policies of `study_policies`."""
    return scenario_of({"scenario.name": "tiny", "fleet.size": n_cars, "simulation.days": 1})


def tiny_setup(policies: Sequence[str] = (FULL,), module_folder: Path = TESTS) -> Setup:
    """What the units of a tiny study share."""
    return Setup(
        scenario_toml=base_toml(tiny_scenario(), policies[0]),
        module_folder=str(module_folder),
        fingerprint=fingerprint_of(policies, ()),
    )


def piece_of(
    setup: Setup, replications: Sequence[int], policies: Sequence[str] = (FULL,), number: int = 0
) -> Piece:
    """One piece of the only cell."""
    units = tuple(Unit(replication=k, cell=Cell(index=0), policies=tuple(policies)) for k in replications)
    return Piece(number=number, setup=setup, units=units)


def collected(engine: Engine, n: int, *, within_s: float = 120.0) -> list[Result]:
    """Wait for so many results of an engine; no test waits for ever."""
    results: list[Result] = []
    for _ in range(int(within_s)):
        results += engine.collect(1.0)
        if len(results) >= n:
            return results
    raise AssertionError(f"{len(results)} of {n} pieces came back within {within_s:.0f} s")
