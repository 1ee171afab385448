"""Decisions of real runs against a program written down by another route and given to another interface."""

from __future__ import annotations

import pytest
from dispatch_oracle import optimum
from simulation_cases import Kept

from experiments.assemble import assemble, dispatcher_for
from experiments.shipped import load_scenario

MIDDAY = 48


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 11))
@pytest.mark.parametrize("kind", ["persistence", "perfect"])
def test_first_and_midday_decisions_against_another_program(seed: int, kind: str) -> None:
    """The objective of the first decision and of one at noon is that of the oracle (1e-6), in ten worlds."""
    size = 100 if kind == "persistence" else 30
    overrides = [
        f"simulation.seed={seed}",
        f"forecast.kind={kind}",
        f"fleet.size={size}",
        "dispatch.turbine=convex",
    ]
    scenario = load_scenario("multi-microgrid", overrides)
    kept = Kept(dispatcher_for(scenario))
    simulation, actors = assemble(scenario, dispatcher=kept)
    simulation.run()
    for step in (0, MIDDAY):
        decision = kept.schedules[step].decision
        expected = optimum(actors.site, kept.snapshots[step], kept.forecasts[step])
        assert decision.turbine_bound == pytest.approx(expected, rel=1e-6)
