"""From a scenario to the actors of a run: the only place that knows every part."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TypeVar

from agents.chain_statistics import chain_statistics
from agents.fleet import VehicleFleet
from dispatch.options import DispatchOptions
from dispatch.policies import load_policy
from dispatch.stationary import WithStationary
from experiments.shipped import locate
from sim.contracts import Dispatcher, Site
from sim.errors import ScenarioError, VoltwalkError
from sim.forecasting.build import build_forecaster, needs_statistics
from sim.forecasting.past import Measurements
from sim.microgrid import build_site, initial_battery_kwh
from sim.scenario import Scenario
from sim.simulation import Actors, Simulation
from sim.world import World, build_world

Built = TypeVar("Built")


class Faults:
    """Faults of several builders, reported together, each once."""

    def __init__(self) -> None:
        self._errors: list[VoltwalkError] = []

    def of(self, build: Callable[[], Built]) -> Built | None:
        """Build, or keep what is wrong."""
        try:
            return build()
        except VoltwalkError as error:
            self._errors.append(error)
            return None

    def raise_any(self) -> None:
        """Raise what was kept: a single error as it is, several as one."""
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            lines = [line for error in self._errors for line in str(error).splitlines()]
            raise ScenarioError(dict.fromkeys(lines))


def dispatcher_for(scenario: Scenario, own: Dispatcher | None = None) -> Dispatcher:
    """The scenario's policy, or one's own; the common program schedules the units that it leaves out."""
    options = DispatchOptions.from_scenario(scenario)
    if own is not None:
        return WithStationary(own, options)
    if ":" in scenario.dispatch.policy and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # last, so that a user's module never hides an installed one
    return WithStationary(load_policy(scenario.dispatch.policy, options), options)


def check_policies(scenarios: Iterable[Scenario]) -> None:
    """Make each scenario's policy once, so that all unknown ones are told before any day is simulated.

    Raises
    ------
    VoltwalkError
        With every policy that cannot be made.
    """
    faults = Faults()
    for scenario in scenarios:
        faults.of(partial(dispatcher_for, scenario))
    faults.raise_any()


def assemble(
    scenario: Scenario,
    *,
    dispatcher: Dispatcher | None = None,
    on_step: Callable[[int, int], None] | None = None,
    alter_world: Callable[[World], World] | None = None,
) -> tuple[Simulation, Actors]:
    """Build everything that one run needs.

    Parameters
    ----------
    scenario
        Validated.
    dispatcher
        Instead of the scenario's policy (studies and tests); the common program schedules batteries and turbines
        that it leaves out.
    on_step
        Called with (steps done, steps in all).
    alter_world
        Applied to the truth before anything uses it (what-if studies and tests).

    Raises
    ------
    VoltwalkError
        With the faults of series, site, itineraries and policy, all at once.
    """
    faults = Faults()
    world = faults.of(lambda: build_world(scenario, locate))
    site = faults.of(lambda: build_site(scenario, locate))
    fleet = faults.of(lambda: VehicleFleet(scenario, locate=locate))
    decider = faults.of(lambda: dispatcher_for(scenario, dispatcher))
    faults.raise_any()
    assert world is not None
    assert site is not None
    assert fleet is not None
    assert decider is not None
    if alter_world is not None:
        world = alter_world(world)
    return _simulation(scenario, world, site, fleet, decider, on_step)


def _simulation(
    scenario: Scenario,
    world: World,
    site: Site,
    fleet: VehicleFleet,
    decider: Dispatcher,
    on_step: Callable[[int, int], None] | None,
) -> tuple[Simulation, Actors]:
    measurements = Measurements(site.n_regions)
    statistics = chain_statistics(scenario) if needs_statistics(scenario) else None
    output = scenario.output
    actors = Actors(
        world=world,
        site=site,
        fleet=fleet,
        forecaster=build_forecaster(scenario, world, site, fleet, measurements, statistics),
        dispatcher=decider,
        measurements=measurements,
        initial_battery_kwh=initial_battery_kwh(scenario),
        horizon_steps=scenario.dispatch.horizon_steps,
        shrinking=scenario.dispatch.window == "shrinking",
        keep_forecasts=scenario.simulation.days <= output.forecasts_max_days
        and len(scenario.regions) <= output.forecasts_max_regions,
    )
    return Simulation(actors, on_step), actors
