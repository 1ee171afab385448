"""Runs taken apart: simulations with an altered world or altered travel, their decisions kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.assemble import assemble, dispatcher_for
from experiments.shipped import load_scenario
from sim.contracts import Dispatcher, Forecast, Schedule, Site, Snapshot
from sim.recorder import Recorder
from sim.scenario import Scenario
from sim.world import World


class Kept:
    """A dispatcher that keeps what passes through it."""

    def __init__(self, inner: Dispatcher) -> None:
        self._inner = inner
        self.name = inner.name
        self.needs_own_chain = inner.needs_own_chain
        self.charges_on_arrival = inner.charges_on_arrival
        self.snapshots: list[Snapshot] = []
        self.forecasts: list[Forecast] = []
        self.schedules: list[Schedule] = []

    def start(self, site: Site) -> None:
        """Pass on."""
        self._inner.start(site)
        self.site = site

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Keep and pass on."""
        schedule = self._inner.decide(snapshot, forecast)
        self.snapshots.append(snapshot)
        self.forecasts.append(forecast)
        self.schedules.append(schedule)
        return schedule


def simulate(
    overrides: Sequence[str] = (),
    *,
    scenario: str | Path = "multi-microgrid",
    dispatcher: Callable[[Scenario], Dispatcher] = dispatcher_for,
    alter: Callable[[World], World] | None = None,
) -> tuple[Kept, Recorder]:
    """Simulate without a folder; ``alter`` changes the truth."""
    loaded = load_scenario(scenario, list(overrides))
    kept = Kept(dispatcher(loaded))
    simulation, _ = assemble(loaded, dispatcher=kept, alter_world=alter)
    return kept, simulation.run()


def later_truth(step: int, seed: int = 0) -> Callable[[World], World]:
    """Another truth from a step on: loads, PV and wind scaled by chance, prices kept."""

    def alter(world: World) -> World:
        rng = np.random.default_rng(seed)
        first = step - world.first_step
        changed = {}
        for name in ("load_kw", "pv_kw", "wind_kw"):
            values = getattr(world, name).copy()
            values[first:] *= rng.uniform(0.5, 1.5, values[first:].shape)
            changed[name] = values
        return replace(world, **changed)

    return alter


def same_decision(ours: Schedule, theirs: Schedule) -> bool:
    """Whether two decisions set the same powers, bit for bit."""
    pairs = (
        (ours.car_power_kw, theirs.car_power_kw),
        (ours.battery_power_kw, theirs.battery_power_kw),
        (ours.battery_kvar, theirs.battery_kvar),
        (ours.charger_kvar, theirs.charger_kvar),
        (ours.turbine_kw, theirs.turbine_kw),
    )
    return all(np.array_equal(np.asarray(mine), np.asarray(other)) for mine, other in pairs)
