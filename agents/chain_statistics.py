"""Statistics of travel: a week of virtual cars, drawn from the scenario's laws and from nothing of the run."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from agents.plan import TravelPlan, plan_travel
from agents.population import Population, draw_population
from agents.travel_chain import sample_itineraries
from sim.arrays import IntArray
from sim.clock import DAY_S
from sim.contracts import ChainStatistics, Stays
from sim.randomness import Stream
from sim.regions import place_choices
from sim.scenario import Scenario

_WEEK_DAYS = 7


def chain_statistics(scenario: Scenario) -> ChainStatistics:
    """Sample a week of ``forecast.statistics_cars`` virtual cars.

    Their draws have streams of their own and are the same in every replication: what a driver's statistics say
    does not depend on the day they are used on. Chargers are taken to be free.

    Raises
    ------
    ScenarioError
        When distances follow roads and no road leads where a car goes.
    """
    virtual = _virtual(scenario)
    population = draw_population(
        virtual, place_choices(virtual), scenario.forecast.statistics_cars, Stream.CHAIN_POPULATION
    )
    itineraries = sample_itineraries(virtual, population, Stream.CHAIN_STATISTICS)
    plan = plan_travel(virtual, population, itineraries)
    return _statistics(plan, population, scenario.fleet.n_drawn / population.n)


def _virtual(scenario: Scenario) -> Scenario:
    """The scenario for the week that begins on a Monday."""
    simulation = scenario.simulation
    monday = simulation.start - timedelta(days=simulation.start.weekday())
    update = {"start": monday, "days": _WEEK_DAYS, "replication": 0}
    return scenario.model_copy(update={"simulation": simulation.model_copy(update=update)})


def _statistics(plan: TravelPlan, population: Population, cars_per_virtual_car: float) -> ChainStatistics:
    trips = plan.itineraries
    car = trips.vehicle_index
    goes_on = np.zeros(len(car), dtype=np.bool_)
    goes_on[:-1] = car[1:] == car[:-1]
    end_s = np.where(goes_on, np.roll(trips.depart_s, -1), (_WEEK_DAYS + 1) * DAY_S)
    end_s = np.maximum(end_s, trips.arrive_s)
    is_of_week = (trips.arrive_s >= 0) & (trips.arrive_s < _WEEK_DAYS * DAY_S)
    stay = np.flatnonzero(plan.is_plugged & is_of_week & population.takes_part[car])  # the others are load
    least, most = population.energy_min_kwh[car], population.energy_max_kwh[car]
    required = np.where(goes_on, np.roll(plan.required_kwh, -1), least)
    arriving = np.clip(plan.required_kwh - plan.energy_kwh, least, most)
    departure, stop = _later_stops(plan, end_s)
    return ChainStatistics(
        stays=Stays(
            vehicle_index=car[stay],
            region_index=trips.destination_index[stay],
            plug_s=trips.arrive_s[stay],
            unplug_s=end_s[stay],
            arriving_kwh=arriving[stay],
            required_kwh=required[stay],
            energy_min_kwh=least[stay],
            energy_max_kwh=most[stay],
            charge_limit_kw=population.charge_limit_kw[car[stay]],
            discharge_limit_kw=population.discharge_limit_kw[car[stay]],
        ),
        charge_efficiency=population.charge_efficiency,
        discharge_efficiency=population.discharge_efficiency,
        cars_per_virtual_car=cars_per_virtual_car,
        departs_s=trips.depart_s[_departures(plan)],
        departs_region_index=trips.origin_index[_departures(plan)],
        stop_departure_index=np.searchsorted(_departures(plan), departure),
        stop_region_index=trips.destination_index[stop],
        stop_begin_s=trips.arrive_s[stop] - trips.depart_s[departure],
        stop_end_s=np.minimum(end_s[stop] - trips.depart_s[departure], DAY_S),
    )


def _departures(plan: TravelPlan) -> IntArray:
    """Trips of the week that set out from a plugged stop; a car's first stop, at home, is plugged."""
    trips = plan.itineraries
    from_plug = np.roll(plan.is_plugged, 1)
    from_plug[trips.first_trip[:-1][trips.first_trip[:-1] < trips.n_trips]] = True
    is_of_week = (trips.depart_s >= 0) & (trips.depart_s < _WEEK_DAYS * DAY_S)
    return np.flatnonzero(from_plug & is_of_week)


def _later_stops(plan: TravelPlan, end_s: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs of trips: a departure, and one that ends at a plugged stop of the same car within 24 h."""
    trips, departures = plan.itineraries, _departures(plan)
    pairs = []
    for further in range(trips.n_trips):
        later = departures + further
        inside = later < trips.n_trips
        first, later = departures[inside], later[inside]
        reached = trips.vehicle_index[later] == trips.vehicle_index[first]
        reached &= trips.arrive_s[later] < trips.depart_s[first] + DAY_S
        if not reached.any():
            break
        used = reached & plan.is_plugged[later] & (end_s[later] > trips.arrive_s[later])
        pairs.append((first[used], later[used]))
    if not pairs:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    first, later = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return first, later
