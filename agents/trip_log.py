"""Trips as they happen: departures, arrivals, delays and energy that was missing."""

from __future__ import annotations

import math

import numpy as np

from agents.charging import ENERGY_TOLERANCE_KWH
from agents.columns import DRIVING, Columns
from agents.plan import TravelPlan
from agents.population import Population
from agents.recording import SegmentLog
from sim.arrays import BoolArray, IntArray
from sim.clock import NEVER_S
from sim.contracts import Trips


class TripLog:
    """Realised instants and missing energy of every planned trip; moves the cars' travel columns on."""

    def __init__(self, plan: TravelPlan, population: Population) -> None:
        self.plan = plan
        self._population = population
        self.depart_s = np.full(plan.itineraries.n_trips, NEVER_S, dtype=np.int64)
        self.arrive_s = np.full(plan.itineraries.n_trips, NEVER_S, dtype=np.int64)
        self.unmet_kwh = np.zeros(plan.itineraries.n_trips)
        self.declared_depart_s = np.full(plan.itineraries.n_trips, NEVER_S, dtype=np.int64)

    def restart(self, columns: Columns, now_s: int) -> None:
        """Forget what happened; each car's next trip is its first that begins at ``now_s`` or later."""
        trips = self.plan.itineraries
        self._columns = columns
        self.depart_s[:], self.arrive_s[:], self.unmet_kwh[:] = NEVER_S, NEVER_S, 0.0
        self.declared_depart_s[:] = NEVER_S
        gone = np.bincount(trips.vehicle_index[trips.depart_s < now_s], minlength=len(columns.next_trip))
        columns.next_trip[:] = trips.first_trip[:-1] + gone
        has_trip = columns.next_trip < trips.first_trip[1:]
        columns.departure_s[has_trip] = trips.depart_s[columns.next_trip[has_trip]]

    def required_kwh(self, car: int) -> float:
        """Energy that the car's next departure needs; its least energy when no trip is planned."""
        if self._columns.departure_s.item(car) == NEVER_S:
            return float(self._population.energy_min_kwh.item(car))
        return float(self.plan.required_kwh.item(self._columns.next_trip.item(car)))

    def is_undeclared(self, car: int) -> bool:
        """Whether the driver declares no departure although one is planned."""
        if self._columns.departure_s.item(car) == NEVER_S:
            return False
        return bool(self.plan.declarations.is_missing.item(self._columns.next_trip.item(car)))

    def error_s(self, car: int) -> int:
        """By how much the declaration of the car's next departure is wrong."""
        if self._columns.departure_s.item(car) == NEVER_S:
            return 0
        return int(self.plan.declarations.error_s.item(self._columns.next_trip.item(car)))

    def declared_kwh(self, car: int) -> float:
        """Stored energy that is declared for the car's next departure."""
        if self._columns.departure_s.item(car) == NEVER_S:
            return self.required_kwh(car)
        told = float(self.plan.declarations.required_kwh.item(self._columns.next_trip.item(car)))
        return self.required_kwh(car) if math.isnan(told) else told

    def told_max_kwh(self, car: int) -> float:
        """Energy that the battery is told to hold until the car's next departure."""
        holds = float(self._population.energy_max_kwh.item(car))
        if self._columns.departure_s.item(car) == NEVER_S:
            return holds
        told = float(self.plan.declarations.limit_kwh.item(self._columns.next_trip.item(car)))
        return holds if math.isnan(told) else told

    def note_declared(self, car: int, departure_s: int) -> None:
        """Enter when the driver says that the car will leave on its next trip."""
        if self._columns.departure_s.item(car) != NEVER_S:
            self.declared_depart_s[self._columns.next_trip.item(car)] = departure_s

    def drivable_kwh(self, car: int) -> float:
        """Least energy at which the car can make its next trip (0 when none is planned)."""
        if self._columns.departure_s.item(car) == NEVER_S:
            return 0.0
        trip_kwh = self.plan.energy_kwh.item(self._columns.next_trip.item(car))
        return float(trip_kwh + self._population.energy_min_kwh.item(car))

    def waits_until_kwh(self, car: int) -> float:
        """Energy at which a waiting driver leaves: enough for the trip, at most a full battery."""
        return (
            min(self.drivable_kwh(car), float(self._population.energy_max_kwh.item(car)))
            - ENERGY_TOLERANCE_KWH
        )

    def plugs_in(self, car: int) -> bool:
        """Whether the stop at which the car has just arrived plugs in, by its draw."""
        return bool(self.plan.is_plugged.item(self._columns.next_trip.item(car) - 1))

    def begin(self, car: int, now_s: int, energy_kwh: float) -> int:
        """Begin the next trip with so much energy, helped out if it is too little; return when it ends."""
        c, trips = self._columns, self.plan.itineraries
        trip = c.next_trip.item(car)
        drivable = self.drivable_kwh(car)
        if energy_kwh < drivable - ENERGY_TOLERANCE_KWH:  # as in `waits_until_kwh`, to the last bit
            self.unmet_kwh[trip] = drivable - energy_kwh
        self.depart_s[trip] = now_s
        c.delay_s[car] = now_s - trips.depart_s.item(trip)
        return int(now_s + trips.arrive_s.item(trip) - trips.depart_s.item(trip))

    def end(self, car: int, now_s: int, segments: SegmentLog) -> float:
        """End the trip under way; return the energy left. A night at home absorbs the delay."""
        c, trips = self._columns, self.plan.itineraries
        trip = c.next_trip.item(car)
        start = c.since_kwh.item(car)
        energy = start - self.plan.energy_kwh.item(trip) + self.unmet_kwh.item(trip)
        self.arrive_s[trip] = now_s
        least, upper = self._population.energy_min_kwh.item(car), c.upper_kwh.item(car)
        c.upper_kwh[car] = max(upper - self.plan.energy_kwh.item(trip), least)
        segments.append(car, (self.depart_s.item(trip), now_s), (DRIVING, False), 0.0, (start, energy))
        c.region_index[car] = trips.destination_index.item(trip)
        c.next_trip[car] = trip + 1
        if trip + 1 == trips.first_trip.item(car + 1):
            c.departure_s[car] = NEVER_S
        elif trips.follows_night_at_home.item(trip + 1):
            c.departure_s[car] = max(trips.depart_s.item(trip + 1), now_s)
        else:
            c.departure_s[car] = trips.depart_s.item(trip + 1) + c.delay_s.item(car)
        return float(energy)

    def ahead(self, now_s: int, until_s: int, who: BoolArray) -> Trips:
        """Trips of some cars (n,) under way, and those that begin before ``until_s`` if nothing further delays them."""
        c, trips = self._columns, self.plan.itineraries
        depart, arrive = trips.depart_s, trips.arrive_s
        delays = self._delays(now_s)
        if delays.any():
            depart, arrive = self._shifted(delays)
        to_come = np.arange(trips.n_trips) >= c.next_trip[trips.vehicle_index]
        chosen = to_come & (depart < until_s) & who[trips.vehicle_index]
        return self._trips(np.flatnonzero(chosen), depart, arrive)

    def _trips(self, chosen: IntArray, depart: IntArray, arrive: IntArray) -> Trips:
        trips = self.plan.itineraries
        return Trips(
            vehicle_index=trips.vehicle_index[chosen],
            depart_s=depart[chosen],
            arrive_s=arrive[chosen],
            region_index=trips.destination_index[chosen],
            is_plugged=self.plan.is_plugged[chosen],
            energy_kwh=self.plan.energy_kwh[chosen],
            required_kwh=self.plan.required_kwh[chosen],
        )

    def record_unfinished(self, segments: SegmentLog, now_s: int) -> None:
        """Record the drive so far of cars on the road; their energy falls evenly over the drive."""
        c, trips = self._columns, self.plan.itineraries
        for car in np.flatnonzero(c.region_index == DRIVING).tolist():
            trip = c.next_trip.item(car)
            length = trips.arrive_s.item(trip) - trips.depart_s.item(trip)
            share = (now_s - self.depart_s.item(trip)) / length
            used = (self.plan.energy_kwh.item(trip) - self.unmet_kwh.item(trip)) * share
            start = c.since_kwh.item(car)
            span = (self.depart_s.item(trip), now_s)
            segments.append(car, span, (DRIVING, False), 0.0, (start, start - used))

    def _delays(self, now_s: int) -> IntArray:
        """By how much each car's next (or current) trip is late; a waiting car leaves after now."""
        c, trips = self._columns, self.plan.itineraries
        if not trips.n_trips:
            return np.zeros(len(c.next_trip), dtype=np.int64)
        has_trip = c.next_trip < trips.first_trip[1:]
        planned = trips.depart_s[np.where(has_trip, c.next_trip, 0)]
        parked_delay = np.maximum(c.departure_s, now_s + 1) - planned
        return np.where(has_trip, np.where(c.region_index == DRIVING, c.delay_s, parked_delay), 0)

    def _shifted(self, delays: IntArray) -> tuple[IntArray, IntArray]:
        """Departures and arrivals with the delays that cars have by now."""
        trips = self.plan.itineraries
        depart, arrive = trips.depart_s.copy(), trips.arrive_s.copy()
        for car in np.flatnonzero(delays).tolist():
            delay, trip = delays.item(car), self._columns.next_trip.item(car)
            for later in range(trip, trips.first_trip.item(car + 1)):
                if later > trip and trips.follows_night_at_home.item(later):
                    delay = max(arrive.item(later - 1) - depart.item(later), 0)
                if delay == 0:
                    break
                depart[later] += delay
                arrive[later] += delay
        return depart, arrive
