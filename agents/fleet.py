"""The fleet: a mesa model of cars whose lives are SimPy processes and whose state is in columns.

At a boundary the simulation calls, in this order: ``close_step``, ``cars`` / ``trips`` / ``stays``,
``limit``, ``apply``, ``domain``; between boundaries the cars' processes call ``depart``, ``arrive`` and the
like. A car's energy follows from its charge plan (``agents.charging``), so a battery that fills needs no
event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import mesa
import numpy as np
import simpy
from mesa.agent import Agent

from agents.capacity_domain import lower_bound, upper_bound
from agents.charging import ENERGY_TOLERANCE_KWH
from agents.columns import DRIVING, Columns
from agents.itinerary_file import read_itineraries
from agents.plan import TravelPlan, Wishes, has_chargers, plan_travel
from agents.population import Population, draw_population
from agents.power import Power
from agents.recording import SegmentLog
from agents.session_file import read_sessions
from agents.sessions import (
    Sessions,
    session_columns,
    session_declarations,
    session_itineraries,
    session_population,
    session_wishes,
)
from agents.stops import Stops
from agents.tables import segment_columns, trip_columns, vehicle_columns
from agents.travel_chain import sample_itineraries
from agents.trip_log import TripLog
from agents.vehicle import Vehicle
from sim.arrays import BoolArray, FloatArray
from sim.clock import NEVER_S
from sim.contracts import Cars, DomainSums, Fleet, Stays, StepEnergy, Trips
from sim.regions import PlaceChoice, place_choices
from sim.scenario import Scenario


class VehicleFleet(mesa.Model):
    """Cars on travel chains; implements ``sim.contracts.Fleet``.

    Parameters
    ----------
    scenario
        Of the run: fleet, travel, regions, seed and replication.
    locate
        From a file of itineraries or sessions, as the scenario names it, to its path.
    creation_order
        Order in which the agents are made, a permutation of the vehicle_ids. It has no effect on any result:
        processes start in vehicle_id order.

    Raises
    ------
    ScenarioError
        When travel cannot be sampled, or the user's itineraries have faults (all at once).
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        locate: Callable[[str], Path] = Path,
        creation_order: Sequence[int] | None = None,
    ) -> None:
        super().__init__(rng=0)  # mesa's own generators are never used
        self._settings = scenario
        self.region_names = scenario.region_names
        travellers = _travellers(scenario, locate)
        self.population, self.plan = travellers.population, travellers.plan
        self._sessions = travellers.sessions
        self.n = self.population.n
        self._n_regions = len(scenario.regions)
        self._has_chargers = has_chargers(scenario)
        self._stays_short = scenario.fleet.shortage == "wait"
        self._segments = SegmentLog()
        self._trip_log = TripLog(self.plan, self.population)
        self.vehicles = self._make_vehicles(creation_order)
        self._stops = Stops(scenario, self.population)

    def _make_vehicles(self, creation_order: Sequence[int] | None) -> list[Vehicle]:
        made = {i: Vehicle(self, i) for i in (range(self.n) if creation_order is None else creation_order)}
        getattr(Agent, "_ids", {}).pop(self, None)  # mesa 3.3 keeps every model alive through this counter
        return [made[i] for i in range(self.n)]

    # --- the run ---

    def start(
        self,
        environment: simpy.Environment,
        *,
        charges_on_arrival: bool,
        on_charging_lost: Callable[[int], None] = lambda now_s: None,
    ) -> None:
        """(Re)set every car to its initial energy, at home and plugged, and set it going."""
        now = int(environment.now)
        self.columns = Columns(self.population, now)
        self._segments.restart(is_on=now >= 0)
        self._power = Power(self.columns, self.population, self._n_regions, self._segments)
        self._trip_log.restart(self.columns, now)
        self._stops.start(
            environment, self.columns, self._power, self._trip_log, charges_on_arrival=charges_on_arrival
        )
        self._on_charging_lost = on_charging_lost
        for vehicle in self.vehicles:
            environment.process(vehicle.life(environment))

    def close_step(self, now_s: int) -> StepEnergy:
        """Integrate every car up to the boundary; energy at the bus by region since the last boundary."""
        return self._power.close_step(now_s)

    def limit(self, charge_cap_kw: FloatArray, discharge_cap_kw: FloatArray) -> None:
        """Caps on each region's total car power for the coming step."""
        self._power.limit(charge_cap_kw, discharge_cap_kw)

    def given_kw(self, now_s: int) -> tuple[FloatArray, FloatArray]:
        """What cars charge and discharge with at an instant, per region."""
        return self._power.given_kw(now_s)

    def step_energy(self, until_s: int) -> tuple[FloatArray, FloatArray]:
        """Energy at the bus that cars charge and discharge in the step that ends then if all go on as they do."""
        return self._power.step_energy(until_s)

    def share(self, now_s: int) -> None:
        """Cut what cars do now to the caps."""
        self._power.share(now_s)

    def apply(self, now_s: int, car_power_kw: FloatArray) -> None:
        """Set-points of the plugged cars from now on."""
        self._power.apply(now_s, car_power_kw)

    def finish(self, now_s: int) -> None:
        """Close all open segments at the run's end."""
        everyone = np.arange(self.n)
        parked = everyone[self.columns.region_index != DRIVING]
        self._power.close_many(parked, np.full(len(parked), now_s, dtype=np.int64))
        self._trip_log.record_unfinished(self._segments, now_s)
        self._end_s = now_s

    # --- what a car does ---

    def has_trip(self, car: int) -> bool:
        """Whether another trip is planned."""
        return self.columns.departure_s.item(car) != NEVER_S

    def departure_s(self, car: int) -> int:
        """Planned departure of the car's next trip, with its delay so far."""
        return int(self.columns.departure_s.item(car))

    def must_wait(self, car: int, now_s: int) -> bool:
        """Whether the driver, ready to leave, stays at a charger for want of energy."""
        if not self._stays_short or not self._has_chargers[self.columns.region_index.item(car)]:
            return False
        return self._power.energy(car, now_s) < self._trip_log.waits_until_kwh(car)

    def wait_for_energy(self, car: int, now_s: int) -> simpy.Event:
        """Charge at full power, or queue for it; the event tells when to look again."""
        return self._stops.wait_for_energy(car, now_s)

    def depart(self, car: int, now_s: int) -> int:
        """Leave on the next trip, helped out if short; return the second of its arrival."""
        was_charging = self._power.is_charging(car, now_s)
        energy = self._stops.unplug(car, now_s)
        arrival_s = self._trip_log.begin(car, now_s, energy)
        if was_charging:
            self._on_charging_lost(now_s)
        return arrival_s

    def arrive(self, car: int, now_s: int) -> None:
        """End the trip under way and plug in if the stop does."""
        energy = self._trip_log.end(car, now_s, self._segments)
        self._stops.park(car, now_s, energy)

    # --- what others see ---

    def cars(self, now_s: int) -> Cars:
        """Return what plugged cars tell at a boundary; one that waits for energy leaves after now.

        Cars that do not take part tell nothing: they look unplugged.
        """
        return self._cars(now_s, self.columns.is_plugged & self.population.takes_part)

    def _cars(self, now_s: int, shown: BoolArray) -> Cars:
        c, p = self.columns, self.population
        energy_kwh = self._power.energies(now_s)
        most_kwh = np.where(shown, self._stops.told_max_kwh(energy_kwh), p.energy_max_kwh)
        return Cars(
            vehicle_id=np.arange(self.n),
            region_index=c.region_index,
            is_plugged=shown,
            energy_kwh=np.where(shown, energy_kwh, 0.0),
            departure_s=np.where(shown, np.maximum(c.declared_departure_s, now_s + 1), NEVER_S),
            required_kwh=np.where(shown, np.minimum(c.declared_required_kwh, most_kwh), 0.0),
            energy_min_kwh=p.energy_min_kwh,
            energy_max_kwh=most_kwh,
            charge_limit_kw=p.charge_limit_kw,
            discharge_limit_kw=p.discharge_limit_kw,
            charge_efficiency=p.charge_efficiency,
            discharge_efficiency=p.discharge_efficiency,
            taper=p.taper,
        )

    def trips(self, now_s: int, until_s: int) -> Trips:
        """Return the true trips under way, or beginning before ``until_s``, delays so far included."""
        return self._trips(now_s, until_s, self.population.takes_part)

    def unmanaged(self, now_s: int, until_s: int) -> tuple[Cars, Trips]:
        """Return the cars that do not take part, and their true trips."""
        apart = ~self.population.takes_part
        return self._cars(now_s, self.columns.is_plugged & apart), self._trips(now_s, until_s, apart)

    def unmanaged_request_kw(self, now_s: int) -> FloatArray:
        """Charging that plugged cars which do not take part, and are not full, ask for; (R,)."""
        c, p = self.columns, self.population
        energy_kwh = self._power.energies(now_s)
        lacks = p.energy_max_kwh - energy_kwh > ENERGY_TOLERANCE_KWH
        cars = np.flatnonzero(c.is_plugged & ~p.takes_part & lacks)
        full_kw = p.full_power_kw(energy_kwh)[cars]
        asked = np.bincount(c.region_index[cars], weights=full_kw, minlength=self._n_regions)
        return asked.astype(np.float64)

    def _trips(self, now_s: int, until_s: int, who: BoolArray) -> Trips:
        # A car under way rests, for its power plan, at the energy with which it departed.
        return replace(self._trip_log.ahead(now_s, until_s, who), car_energy_kwh=self._power.energies(now_s))

    def stays(self, since_s: int) -> Stays:
        """Plugged stays that began after ``since_s``; cars plugged by a start count from the first start."""
        return self._stops.stays(since_s)

    def domain(self, now_s: int) -> DomainSums:
        """Sum the capacity domain over the cars plugged now, by region, for departures as planned."""
        c, p = self.columns, self.population
        rate = p.charge_limit_kw * p.charge_efficiency
        departure = np.maximum(c.stay_departure_s, now_s)
        lower = lower_bound(now_s, departure, c.stay_required_kwh, rate, p.energy_min_kwh)
        upper = upper_bound(now_s, c.upper_since_s, c.upper_kwh, rate, p.energy_max_kwh)
        plugged = np.flatnonzero(c.is_plugged)
        region = c.region_index[plugged]

        def total(values: FloatArray) -> FloatArray:
            sums = np.bincount(region, weights=values[plugged], minlength=self._n_regions)
            return sums.astype(np.float64)  # bincount counts in integers where there is nothing to weigh

        return DomainSums(
            n_plugged=np.bincount(region, minlength=self._n_regions).astype(np.int64),
            energy_kwh=total(self._power.energies(now_s)),
            lower_kwh=total(lower),
            upper_kwh=total(upper),
        )

    def vehicle_columns(self) -> dict[str, Any]:
        """Columns of ``vehicles.parquet``."""
        return vehicle_columns(self._settings, self.population, self.plan.itineraries)

    def trip_columns(self) -> dict[str, Any]:
        """Columns of ``trips.parquet``: the trips planned to begin within the run."""
        return trip_columns(self._settings, self._trip_log, self._end_s)

    def session_columns(self) -> dict[str, Any]:
        """Columns of ``sessions.parquet``."""
        return session_columns(self._settings, self._sessions)

    def queue_columns(self) -> dict[str, Any]:
        """Columns of ``queue.parquet``."""
        return self._stops.waits.columns(self._settings, self._end_s)

    def segment_columns(self) -> dict[str, Any]:
        """Columns of ``segments.parquet``."""
        return segment_columns(self._settings, self._segments.segments())


if TYPE_CHECKING:
    _implements: type[Fleet] = VehicleFleet


class _Travellers(NamedTuple):
    """The cars, what they plan, and the sessions that they are, if any."""

    population: Population
    plan: TravelPlan
    sessions: Sessions | None = None


def _travellers(scenario: Scenario, locate: Callable[[str], Path]) -> _Travellers:
    choices = place_choices(scenario)
    if scenario.travel.source == "sessions":
        return _sessions(scenario, choices, read_sessions(scenario, locate))
    population = draw_population(scenario, choices, scenario.fleet.n_drawn)
    if scenario.travel.source == "itineraries":
        population, itineraries = read_itineraries(scenario, population, locate)
    else:
        itineraries = sample_itineraries(scenario, population)
    return _Travellers(population, plan_travel(scenario, population, itineraries))


def _sessions(scenario: Scenario, choices: dict[str, PlaceChoice], sessions: Sessions) -> _Travellers:
    served = sessions.served()
    rated = draw_population(scenario, choices, len(served.session_id))
    population = session_population(rated, served)
    itineraries = session_itineraries(scenario, population.home_index, served)
    wishes = Wishes(
        wanted_kwh=session_wishes(population),
        declarations=session_declarations(population, rated.energy_max_kwh, served),
    )
    return _Travellers(population, plan_travel(scenario, population, itineraries, wishes), sessions)
