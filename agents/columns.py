"""The fleet's state in columns: one numpy array per quantity, in vehicle_id order."""

from __future__ import annotations

import numpy as np

from agents.charging import Plans
from agents.population import Population
from sim.arrays import BoolArray, IntArray
from sim.clock import NEVER_S

DRIVING = -1  # region of a car on the road


class Columns:
    """Mutable state of n cars; every array has shape (n,).

    A car's energy is not stored but follows from its plan: see ``agents.charging``. All cars begin at home,
    not plugged, with their initial energy.
    """

    def __init__(self, population: Population, now_s: int) -> None:
        n = population.n
        self.region_index = population.home_index.copy()  # DRIVING on the road
        self.is_plugged = np.zeros(n, dtype=np.bool_)
        # Charge plan: since_s, since_kwh and what follows from the set-point.
        self.since_s = np.full(n, now_s, dtype=np.int64)
        self.since_kwh = population.initial_kwh.copy()
        self.set_kw = np.zeros(n)
        self.last_s = np.full(n, NEVER_S, dtype=np.int64)
        self.last_kw = np.zeros(n)
        self.end_s = np.full(n, NEVER_S, dtype=np.int64)
        self.end_kwh = population.initial_kwh.copy()
        self.factor = np.ones(n)
        self.counted_kwh = np.zeros(n)  # the plan's bus energy that is booked already
        # What is asked of the car: the set-point before caps, and whether its driver waits for energy.
        self.request_kw = np.zeros(n)
        self.is_waiting = np.zeros(n, dtype=np.bool_)
        # Travel: the next trip (or the one under way), its departure with the delay so far.
        self.next_trip = np.zeros(n, dtype=np.int64)
        self.departure_s = np.full(n, NEVER_S, dtype=np.int64)
        self.delay_s = np.zeros(n, dtype=np.int64)
        # The plugged stay: as it is planned, as declared and as measured.
        self.stay_departure_s = np.full(n, NEVER_S, dtype=np.int64)
        self.stay_required_kwh = np.zeros(n)
        self.declared_departure_s = np.full(n, NEVER_S, dtype=np.int64)
        self.declared_required_kwh = np.zeros(n)
        self.told_max_kwh = population.energy_max_kwh.copy()  # what the battery is told to hold
        self.plug_s = np.full(n, now_s, dtype=np.int64)
        self.arriving_kwh = population.initial_kwh.copy()
        # Upper bound of the capacity domain: its value at the last plug-in or trip.
        self.upper_kwh = population.initial_kwh.copy()
        self.upper_since_s = np.full(n, now_s, dtype=np.int64)

    def plans(self, cars: IntArray) -> Plans:
        """Plans of some cars."""
        return Plans(
            since_s=self.since_s[cars],
            since_kwh=self.since_kwh[cars],
            set_kw=self.set_kw[cars],
            last_s=self.last_s[cars],
            last_kw=self.last_kw[cars],
            end_s=self.end_s[cars],
            end_kwh=self.end_kwh[cars],
            factor=self.factor[cars],
        )

    def plugged_in(self, region: int) -> IntArray:
        """Cars plugged in at a region."""
        mask: BoolArray = self.is_plugged & (self.region_index == region)
        return np.flatnonzero(mask)
