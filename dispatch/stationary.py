"""Batteries and turbines for policies that give car set-points only: the program without cars, their load given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dispatch.decision import decide
from dispatch.fallback import fall_back
from dispatch.options import DispatchOptions
from dispatch.problem import build
from dispatch.rolling_horizon import set_points
from dispatch.session import Failure, Session
from sim.arrays import FloatArray
from sim.contracts import Cars, Dispatcher, Forecast, Schedule, Site, Snapshot, numbers_fault


class WithStationary:
    """A dispatcher whose missing battery and turbine set-points come from the common program.

    The program knows the car load that can be known: under a perfect forecast what the policy expects to draw, else
    these set-points for this step and the load measured 24 h earlier for the later ones.

    Parameters
    ----------
    inner
        The policy; a schedule of its that is whole is passed on as it is.
    options
        The scenario's `dispatch` part.
    """

    def __init__(self, inner: Dispatcher, options: DispatchOptions) -> None:
        self._inner, self._options = inner, options
        self.name: str = inner.name
        self.needs_own_chain: bool = inner.needs_own_chain
        self.charges_on_arrival: bool = inner.charges_on_arrival
        self._site: Site | None = None
        self._session: Session | None = None

    def start(self, site: Site) -> None:
        """Start the inner policy, and the common program cold."""
        # policies that need their units scheduled know nothing of a feeder, nor does the program that does it
        self._site, self._session = replace(site, network=None), None
        self._inner.start(site)

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Schedule of the inner policy, completed."""
        schedule = self._inner.decide(snapshot, forecast)
        if not isinstance(schedule, Schedule) or numbers_fault(schedule.car_power_kw, snapshot.cars.n):
            return schedule  # the simulation refuses it, with its time
        if schedule.battery_power_kw is not None and schedule.turbine_kw is not None:
            return schedule
        assert self._site is not None
        load = known_car_load(self._site, snapshot, forecast, schedule)
        common = self._stationary(self._site, snapshot, forecast, load)
        battery = common.battery_power_kw if schedule.battery_power_kw is None else schedule.battery_power_kw
        turbine = common.turbine_kw if schedule.turbine_kw is None else schedule.turbine_kw
        decision = common.decision if schedule.decision.status == "none" else schedule.decision
        return replace(
            schedule,
            battery_power_kw=battery,
            turbine_kw=turbine,
            decision=decision,
        )

    def _stationary(self, site: Site, snapshot: Snapshot, forecast: Forecast, load: FloatArray) -> Schedule:
        alone = replace(snapshot, cars=no_cars(), own_trips=None)
        given = replace(
            forecast,
            load_kw=forecast.load_kw + load,
            unmanaged_car_load_kw=None,
            trips=None,
            stores=None,
            quantiles=None,
            paths=None,
        )
        problem = build(
            site,
            alone,
            given,
            departing_energy_value=self._options.departing_energy_value,
            is_shrinking=self._options.window == "shrinking",
        )
        if self._session is None or problem.n_steps > self._session.n_slots:
            self._session = Session(
                site, alone.cars, problem.n_steps, iteration_limit=self._options.iteration_limit
            )
        decided = decide(self._session, problem, self._options)
        if isinstance(decided, Failure):
            return fall_back(self._options.fallback, alone, problem, iterations=decided.iterations)
        return set_points(decided.executed, decided.decision)


def no_cars() -> Cars:
    """A fleet of none."""
    none, nothing = np.zeros(0, np.int64), np.zeros(0)
    return Cars(
        vehicle_id=none,
        region_index=none,
        is_plugged=np.zeros(0, bool),
        energy_kwh=nothing,
        departure_s=none,
        required_kwh=nothing,
        energy_min_kwh=nothing,
        energy_max_kwh=nothing,
        charge_limit_kw=nothing,
        discharge_limit_kw=nothing,
        charge_efficiency=nothing,
        discharge_efficiency=nothing,
    )


def known_car_load(site: Site, snapshot: Snapshot, forecast: Forecast, schedule: Schedule) -> FloatArray:
    """Net load of all cars over the horizon as far as it can be known, shape (K, R)."""
    unmanaged = forecast.unmanaged_car_load_kw
    if unmanaged is None:
        unmanaged = np.zeros_like(forecast.load_kw)
    if forecast.trips is not None and schedule.expected_car_load_kw is not None:
        return schedule.expected_car_load_kw + unmanaged
    load = forecast.measured_car_load_kw.copy()
    load[0] = mean_load_of_step(site, snapshot, schedule.car_power_kw) + unmanaged[0]
    return load


def mean_load_of_step(site: Site, snapshot: Snapshot, car_power_kw: FloatArray) -> FloatArray:
    """Mean net load of the plugged cars over the coming step, per region: a car stops when full, empty or gone.

    A car that would fill within ceil(T) seconds takes what it lacks evenly over them.
    """
    cars = snapshot.cars
    power = np.where(cars.is_plugged, car_power_kw, 0.0)
    room = np.where(power > 0, cars.energy_max_kwh - cars.energy_kwh, cars.energy_kwh - cars.energy_min_kwh)
    efficiency = np.where(power > 0, cars.charge_efficiency, 1.0 / cars.discharge_efficiency)
    rate = np.abs(power) * efficiency / 3600.0
    until_s = np.where(rate > 0, np.maximum(room, 0.0) / np.where(rate > 0, rate, 1.0), np.inf)
    whole_s = np.ceil(np.minimum(until_s, site.step_s))
    stops = until_s < site.step_s
    slowed = np.where(stops, until_s / np.where(whole_s > 0, whole_s, 1.0), 1.0)
    here_s = np.clip(cars.departure_s - snapshot.now_s, 0, site.step_s)
    mean = power * slowed * np.minimum(whole_s, here_s) / site.step_s
    where = np.maximum(cars.region_index, 0)
    load = np.bincount(where, weights=np.where(cars.is_plugged, mean, 0.0), minlength=site.n_regions)
    return load.astype(np.float64)
