"""Rules of thumb, the yardsticks that need no program: charging in the valley, and in an order under a limit."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from dispatch.fallback import full_power, least_power
from dispatch.options import DispatchOptions
from dispatch.problem import total_load_kw
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.clock import NEVER_S, STEPS_PER_DAY
from sim.contracts import Forecast, Schedule, Site, Snapshot
from sim.errors import PolicyError

NEAR = 1e-9
"""Prices (per kWh) nearer than this are the same price."""


class ValleyFirst:
    """Full power while the price is the lowest forecast for the stay, else only what must be charged by now."""

    name = "valley-first"
    needs_own_chain = False
    charges_on_arrival = False

    def __init__(self) -> None:
        self._step_s = 0

    def start(self, site: Site) -> None:
        """Note the step."""
        self._step_s = site.step_s

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Full power in the valley; elsewhere the power that later full charging cannot make up for."""
        if self._step_s == 0:
            raise PolicyError("policy valley-first: decide was called before start")
        in_valley = is_cheapest_now(snapshot, forecast, self._step_s)
        least = least_power(snapshot, self._step_s)
        return Schedule(car_power_kw=np.where(in_valley, full_power(snapshot), least))


def is_cheapest_now(snapshot: Snapshot, forecast: Forecast, step_s: int) -> BoolArray:
    """Whether no step until a car's declared departure, at most 24 h ahead, is forecast to be cheaper; shape (n,)."""
    cars = snapshot.cars
    price = forecast.buy_price_per_kwh[:STEPS_PER_DAY]
    lowest = np.minimum.accumulate(price, axis=0)
    last = -((snapshot.now_s - cars.departure_s) // step_s) - 1  # the step of the departure
    region = np.maximum(cars.region_index, 0)
    ahead = lowest[np.clip(last, 0, len(price) - 1), region]
    cheapest: BoolArray = price[0, region] <= ahead + NEAR
    return cheapest


class WithinRoom(ABC):
    """Cars charge in an order, as many as a limit of their region's total power lets.

    The limit is `dispatch.car_limit_kw`, and what the region's connection is forecast to leave.

    Parameters
    ----------
    options
        The scenario's `dispatch` part.
    """

    name: str
    serves_needs_first: bool  # whether what must be charged by now goes before all else, in the same order
    needs_own_chain = False
    charges_on_arrival = False

    def __init__(self, options: DispatchOptions) -> None:
        self._limit_kw = options.car_limit_kw
        self._site: Site | None = None

    def start(self, site: Site) -> None:
        """Note the site."""
        self._site = site

    @abstractmethod
    def order(self, snapshot: Snapshot) -> IntArray:
        """Cars, the first to be served first; shape (n,)."""

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Power up to full (before it, what must be charged by now) in the cars' order within each region's limit."""
        if self._site is None:
            raise PolicyError(f"policy {self.name}: decide was called before start")
        site, cars = self._site, snapshot.cars
        net_load = total_load_kw(forecast)[0] - forecast.pv_kw[0] - forecast.wind_kw[0]
        room = np.minimum(self._limit_kw, np.maximum(site.import_limit_kw - net_load, 0.0))
        order = self.order(snapshot)
        region = np.where(cars.is_plugged, cars.region_index, -1)
        useful = _useful_power(snapshot, site.step_s)
        if not self.serves_needs_first:
            return Schedule(car_power_kw=shared_out(useful, region, order, room))
        must = shared_out(np.minimum(least_power(snapshot, site.step_s), useful), region, order, room)
        taken = np.bincount(np.maximum(region, 0), must, site.n_regions)
        more = shared_out(useful - must, region, order, np.maximum(room - taken, 0.0))
        return Schedule(car_power_kw=must + more)


class LeastLaxity(WithinRoom):
    """Who has least time to spare before the declared departure is served first; what must be charged before all."""

    name = "least-laxity"
    serves_needs_first = True

    def order(self, snapshot: Snapshot) -> IntArray:
        """By laxity."""
        return np.argsort(laxity_s(snapshot), kind="stable")


class EarliestDeadline(WithinRoom):
    """Who declares to leave first is served first; who declares nothing, last."""

    name = "earliest-deadline"
    serves_needs_first = False

    def order(self, snapshot: Snapshot) -> IntArray:
        """By declared departure."""
        return np.argsort(snapshot.cars.departure_s, kind="stable")


class FirstCome(WithinRoom):
    """Who was plugged in first is served first; of those who came within one step, by number."""

    name = "first-come"
    serves_needs_first = False

    def __init__(self, options: DispatchOptions) -> None:
        super().__init__(options)
        self._since_s: IntArray | None = None

    def start(self, site: Site) -> None:
        """Forget who came when."""
        super().start(site)
        self._since_s = None

    def order(self, snapshot: Snapshot) -> IntArray:
        """By the decision at which each was first seen plugged in."""
        plugged = snapshot.cars.is_plugged
        before = np.full(len(plugged), NEVER_S) if self._since_s is None else self._since_s
        since = np.where(plugged, np.minimum(before, snapshot.now_s), NEVER_S)
        self._since_s = since
        return np.argsort(since, kind="stable")


def laxity_s(snapshot: Snapshot) -> FloatArray:
    """Seconds each car could still wait: until its declared departure, less full charging to what it needs there."""
    cars = snapshot.cars
    lacking = np.maximum(cars.required_kwh - cars.energy_kwh, 0.0)
    needed_s = 3600.0 * lacking / (cars.charge_efficiency * cars.charge_limit_kw)
    laxity: FloatArray = cars.departure_s - snapshot.now_s - needed_s
    return laxity


def _useful_power(snapshot: Snapshot, step_s: int) -> FloatArray:
    """Full power, or less where the car would be full before the step's end."""
    cars = snapshot.cars
    filling = np.maximum(cars.energy_max_kwh - cars.energy_kwh, 0.0) / (
        cars.charge_efficiency * step_s / 3600.0
    )
    return np.minimum(full_power(snapshot), filling)


def shared_out(
    wanted_kw: FloatArray, region_index: IntArray, order: IntArray, room_kw: FloatArray
) -> FloatArray:
    """Give each car what it wants, in an order of cars, until its region's room is used up; the last gets the rest.

    Parameters
    ----------
    wanted_kw : ndarray, shape (n,)
        Non-negative.
    region_index : ndarray, shape (n,)
        -1 gets nothing.
    order : ndarray, shape (n,)
        Cars, the first to be served first.
    room_kw : ndarray, shape (R,)
        May be inf.

    >>> shared_out(np.array([5.0, 5.0, 5.0]), np.array([0, 0, 1]), np.array([1, 0, 2]), np.array([7.0, 9.0])).tolist()
    [2.0, 5.0, 5.0]
    """
    given = np.zeros(len(wanted_kw))
    for region, room in enumerate(room_kw):
        queue = order[region_index[order] == region]
        before = np.cumsum(wanted_kw[queue]) - wanted_kw[queue]
        given[queue] = np.clip(room - before, 0.0, wanted_kw[queue])
    return given
