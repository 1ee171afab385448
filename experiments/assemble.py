"""From a scenario to the actors of a run: the only place that knows every part."""

from __future__ import annotations

from collections.abc import Callable

from agents.fleet import VehicleFleet
from dispatch.policies import load_policy
from dispatch.options import DispatchOptions
from dispatch.stationary import WithStationary
from experiments.shipped import locate
from sim.contracts import Dispatcher, Forecaster
from sim.forecast import Measurements, PerfectForecaster, PersistenceForecaster
from sim.microgrid import build_site, initial_battery_kwh
from sim.scenario import Scenario
from sim.simulation import Actors, Simulation
from sim.world import World, build_world


def dispatcher_for(scenario: Scenario) -> Dispatcher:
    """The scenario's policy, its stationary units scheduled by the common program where it leaves them out."""
    options = DispatchOptions.from_scenario(scenario)
    return WithStationary(load_policy(scenario.dispatch.policy, options), options)


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
        Instead of the scenario's policy (studies and tests).
    on_step
        Called with (steps done, steps in all).
    alter_world
        Applied to the truth before anything uses it (what-if studies and tests).
    """
    world = build_world(scenario, locate)
    if alter_world is not None:
        world = alter_world(world)
    site = build_site(scenario, locate)
    fleet = VehicleFleet(scenario)
    measurements = Measurements(site.n_regions)
    kinds: dict[str, Callable[[], Forecaster]] = {
        "perfect": lambda: PerfectForecaster(world, fleet, measurements),
        "persistence": lambda: PersistenceForecaster(world, fleet, measurements),
    }
    output = scenario.output
    actors = Actors(
        world=world,
        site=site,
        fleet=fleet,
        forecaster=kinds[scenario.forecast.kind](),
        dispatcher=dispatcher if dispatcher is not None else dispatcher_for(scenario),
        measurements=measurements,
        initial_battery_kwh=initial_battery_kwh(scenario),
        horizon_steps=scenario.dispatch.horizon_steps,
        shrinking=scenario.dispatch.window == "shrinking",
        keep_forecasts=scenario.simulation.days <= output.forecasts_max_days
        and len(scenario.regions) <= output.forecasts_max_regions,
    )
    return Simulation(actors, on_step), actors
