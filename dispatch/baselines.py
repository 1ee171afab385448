"""Policies that every study compares with: uncontrolled charging, and each car alone against the tariff."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dispatch.fallback import full_power
from dispatch.itinerary import Itinerary, by_trips
from dispatch.own_cost import cheapest_charging
from sim.arrays import FloatArray
from sim.arrival_charging import expected_load
from sim.contracts import Forecast, Schedule, Site, Snapshot
from sim.errors import PolicyError


class Uncontrolled:
    """Every plugged car charges at full power from its arrival until it is full (scenario 1 of the paper)."""

    name = "uncontrolled"
    needs_own_chain = False
    charges_on_arrival = True

    def __init__(self) -> None:
        self._site: Site | None = None

    def start(self, site: Site) -> None:
        """Note the site."""
        self._site = site

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Full power; where the true trips are forecast, also the load that follows from it."""
        if self._site is None:
            raise PolicyError("policy uncontrolled: decide was called before start")
        load = None
        if forecast.trips is not None:
            load = expected_load(
                snapshot.cars,
                forecast.trips,
                now_s=snapshot.now_s,
                step_s=self._site.step_s,
                n_steps=forecast.n_steps,
                n_regions=self._site.n_regions,
            )
        return Schedule(car_power_kw=full_power(snapshot), expected_car_load_kw=load)


class OwnCost:
    """Each car minimises its own bill along its own true chain, charging only (scenario 2 of the paper).

    Minimises sum (buy P_c) h - lambda E_end over the forecast's horizon, with the same departure bounds as every
    policy; ties: fewest kWh, then the earliest step. It sees its own chain and the prices, nothing else.

    Parameters
    ----------
    window
        With ``shrinking`` a horizon that reaches the run's end is not bound by departures after it.
    """

    name = "own-cost"
    needs_own_chain = True
    charges_on_arrival = False

    def __init__(self, window: Literal["rolling", "shrinking"] = "rolling") -> None:
        self._window = window
        self._site: Site | None = None

    def start(self, site: Site) -> None:
        """Note the site."""
        self._site = site

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """First step of every car's cheapest plan, and the load that all plans expect.

        Raises
        ------
        PolicyError
            When `start` was not called or the cars' own chains are not given.
        """
        if self._site is None or snapshot.own_trips is None:
            raise PolicyError("policy own-cost: needs start and the cars' own trips in every snapshot")
        plan = self.itinerary(snapshot, forecast)
        charge = self.plan(snapshot, forecast, plan)
        fraction = np.where(plan.fraction[0] > 0, plan.fraction[0], 1.0)
        regions = range(self._site.n_regions)
        load = np.stack([(charge * (plan.region_index == region)).sum(axis=1) for region in regions], axis=1)
        return Schedule(car_power_kw=charge[0] / fraction, expected_car_load_kw=load)

    def itinerary(self, snapshot: Snapshot, forecast: Forecast) -> Itinerary:
        """Where each car will be, along its own chain."""
        assert self._site is not None
        assert snapshot.own_trips is not None
        horizon_end_s = snapshot.now_s + forecast.n_steps * self._site.step_s
        return by_trips(
            snapshot.cars,
            snapshot.own_trips,
            snapshot.now_s,
            forecast.n_steps,
            step_s=self._site.step_s,
            keeps_tail=self._window == "rolling" or horizon_end_s < self._site.end_s,
        )

    def plan(self, snapshot: Snapshot, forecast: Forecast, plan: Itinerary) -> FloatArray:
        """Mean charging power of every car over the horizon, shape (K, n)."""
        assert self._site is not None
        cars, step_h = snapshot.cars, self._site.step_s / 3600.0
        gone = np.cumsum(plan.leaving_kwh, axis=0) - plan.start_kwh
        region = np.maximum(plan.region_index, 0)
        price = np.take_along_axis(forecast.buy_price_per_kwh, region, axis=1) / cars.charge_efficiency
        capacity = plan.fraction * cars.charge_limit_kw * cars.charge_efficiency * step_h
        least = plan.lower_kwh
        if cars.taper is not None:
            capacity[0] *= cars.charge_limit_now_kw / cars.charge_limit_kw
            least = self._enough(snapshot, plan)
        stored = cheapest_charging(
            price,
            self._site.energy_value_per_kwh,
            capacity,
            np.where(plan.is_known, least + gone, -np.inf),
            np.where(plan.is_known, plan.upper_kwh + gone, np.inf),
        )
        return stored / (cars.charge_efficiency * step_h)

    def _enough(self, snapshot: Snapshot, plan: Itinerary) -> FloatArray:
        """Energies at the steps' ends from which full charging, slower near full, keeps all later bounds; (K, n).

        The greedy plan knows no tapering but in its first step; kept above these it can always be mended.
        """
        assert self._site is not None
        cars, step_h = snapshot.cars, self._site.step_s / 3600.0
        assert cars.taper is not None
        stored = cars.charge_efficiency * cars.charge_limit_kw * step_h
        least = plan.lower_kwh.copy()
        for k in range(len(least) - 2, -1, -1):
            before = cars.taper.before(least[k + 1] + plan.leaving_kwh[k + 1], stored * plan.fraction[k + 1])
            least[k] = np.where(plan.is_known[k], np.maximum(least[k], before), before)
        return np.minimum(least, plan.highest_kwh)
