"""The fleet's planned trips with what they ask of each car: energy and requirement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.capacity_domain import required_at_departure
from agents.declarations import Declarations, draw_declarations
from agents.itineraries import Itineraries
from agents.population import Population
from sim.arrays import BoolArray, FloatArray, freeze
from sim.scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TravelPlan:
    """Itineraries, and per trip its energy, requirement and whether its stop charges; shapes (n_trips,)."""

    itineraries: Itineraries
    energy_kwh: FloatArray
    required_kwh: FloatArray
    is_plugged: BoolArray  # at the destination: the plug-in draw, where there are chargers
    declarations: Declarations  # of each trip's departure, at the plug-in before it

    def __post_init__(self) -> None:
        freeze(self)


def has_chargers(scenario: Scenario) -> BoolArray:
    """Which regions have at least one charger; shape (R,)."""
    return np.array([region.chargers == "unlimited" or region.chargers > 0 for region in scenario.regions])


def _range_kwh(scenario: Scenario, population: Population) -> FloatArray:
    """Stored energy that holds the range on which drivers insist; 0 where they insist on none; (n,)."""
    range_km = scenario.fleet.drivers.min_range_km
    wanted = population.energy_min_kwh + range_km * population.consumption_kwh_per_km
    return wanted if range_km > 0.0 else np.zeros(population.n)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wishes:
    """What drivers want and say where the scenario's rules do not tell it; shapes (n_trips,)."""

    wanted_kwh: FloatArray  # stored energy at departure
    declarations: Declarations


def plan_travel(
    scenario: Scenario, population: Population, itineraries: Itineraries, wishes: Wishes | None = None
) -> TravelPlan:
    """Derive what the trips ask of each car.

    With wishes of their own, cars need what is wished where they stand: nothing of it is asked for at stops before.
    """
    car = itineraries.vehicle_index
    energy = itineraries.distance_km * population.consumption_kwh_per_km[car]
    plugged = itineraries.plugs_in & has_chargers(scenario)[itineraries.destination_index]
    return TravelPlan(
        itineraries=itineraries,
        energy_kwh=energy,
        is_plugged=plugged,
        declarations=draw_declarations(scenario, itineraries) if wishes is None else wishes.declarations,
        required_kwh=_required_kwh(scenario, population, itineraries, energy, plugged)
        if wishes is None
        else np.maximum(wishes.wanted_kwh, energy + population.energy_min_kwh[car]),
    )


def _required_kwh(
    scenario: Scenario,
    population: Population,
    itineraries: Itineraries,
    energy_kwh: FloatArray,
    plugged: BoolArray,
) -> FloatArray:
    car = itineraries.vehicle_index
    return required_at_departure(
        first_trip=itineraries.first_trip,
        depart_s=itineraries.depart_s,
        arrive_s=itineraries.arrive_s,
        energy_kwh=energy_kwh,
        wanted_kwh=np.maximum(
            np.where(itineraries.is_first_from_home, population.departure_kwh[car], 0.0),
            _range_kwh(scenario, population)[car],
        ),
        plugs_in=plugged,
        charge_kw=population.charge_limit_kw * population.charge_efficiency,
        energy_min_kwh=population.energy_min_kwh,
        energy_max_kwh=population.energy_max_kwh,
    )
