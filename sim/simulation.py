"""The loop: SimPy moves the cars, a dispatcher decides every 15 minutes, each step is settled as it happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
import simpy
from simpy.events import EventPriority

from sim.arrays import FloatArray
from sim.clock import DAY_S, STEP_H, STEP_S, STEPS_PER_DAY, label
from sim.contracts import (
    Cars,
    Dispatcher,
    Fleet,
    Forecaster,
    Schedule,
    Site,
    Snapshot,
    StepEnergy,
    finite_caps,
    numbers_fault,
)
from sim.errors import PolicyError, VoltwalkError, told
from sim.forecasting.past import Measurements
from sim.microgrid import (
    admissible_battery_kvar,
    admissible_battery_kw,
    admissible_charger_kvar,
    admissible_turbine_kw,
    battery_energy_after_kwh,
)
from sim.recorder import Recorder
from sim.settlement import StepTruth, admitted, charging_caps, discharge_caps, settle
from sim.world import World

BOUNDARY_PRIORITY = EventPriority(2)
"""Below SimPy's NORMAL (1): every arrival and departure of that second has happened before."""


_CUTS = 50  # of what cars give within a step; one is enough unless some would be empty before its end
FULL_KWH = 1e-9
"""A car that lacks less takes nothing, one that has less above its least energy gives nothing."""


def requests_kw(cars: Cars, power_kw: FloatArray, n_regions: int) -> tuple[FloatArray, FloatArray]:
    """Charging and discharging that the cars of each region can begin under their set-points, shapes (R,).

    Full cars that are told to charge, and empty ones that are told to discharge, stand still: they count for
    nothing, or they would take their neighbours' share where a connection is short.
    """
    can_charge = (power_kw > 0.0) & (cars.energy_max_kwh - cars.energy_kwh > FULL_KWH)
    can_discharge = (power_kw < 0.0) & (cars.energy_kwh - cars.energy_min_kwh > FULL_KWH)
    charge, discharge = (
        np.bincount(cars.region_index[can], np.abs(power_kw[can]), n_regions).astype(np.float64)
        for can in (can_charge & cars.is_plugged, can_discharge & cars.is_plugged)
    )
    return charge, discharge


class Boundary(simpy.Event):
    """An event that fires last in its instant."""

    def __init__(self, environment: simpy.Environment, at_s: int) -> None:
        super().__init__(environment)
        self._ok = True
        self._value = None
        environment.schedule(self, priority=BOUNDARY_PRIORITY, delay=at_s - environment.now)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Actors:
    """Everything that takes part in a run."""

    world: World
    site: Site
    fleet: Fleet
    forecaster: Forecaster
    dispatcher: Dispatcher
    measurements: Measurements
    initial_battery_kwh: FloatArray  # (B,)
    horizon_steps: int
    shrinking: bool  # whether the horizon ends with the run
    keep_forecasts: bool


@dataclass(slots=True)
class _Plant:
    """State of the stationary units between boundaries."""

    battery_kwh: FloatArray
    turbine_kw: FloatArray
    battery_set_kw: FloatArray
    battery_set_kvar: FloatArray
    charger_set_kvar: FloatArray
    turbine_set_kw: FloatArray
    feed_in_cap_kw: FloatArray  # of PV and wind; inf: all
    peak_import_kw: FloatArray  # of a step of this day so far


class Simulation:
    """One run of the scenario, from a day before its start to its end.

    Parameters
    ----------
    actors
        World, site, fleet, forecaster and dispatcher.
    on_step
        Called with (steps done, steps in all) after each settled step of the run; for progress bars.
    """

    def __init__(self, actors: Actors, on_step: Callable[[int, int], None] | None = None) -> None:
        self._actors = actors
        self._on_step = on_step
        self._n_steps = actors.site.end_s // STEP_S
        site = actors.site
        self._plant = _Plant(
            battery_kwh=actors.initial_battery_kwh.copy(),
            turbine_kw=np.zeros(site.n_regions),
            battery_set_kw=np.zeros(len(site.battery_region_index)),
            battery_set_kvar=np.zeros(len(site.battery_region_index)),
            charger_set_kvar=np.zeros(site.n_regions),
            turbine_set_kw=np.zeros(site.n_regions),
            feed_in_cap_kw=np.full(site.n_regions, np.inf),
            peak_import_kw=np.zeros(site.n_regions),
        )
        self.recorder = Recorder(site, keep_forecasts=actors.keep_forecasts)
        no_cap_kw = np.full(site.n_regions, np.inf)
        self._car_caps_kw, self._gives = (no_cap_kw, no_cap_kw), False  # in the present step

    def run(self) -> Recorder:
        """Simulate and return what was recorded.

        Raises
        ------
        PolicyError
            When the dispatcher breaks its contract.
        """
        self._live_yesterday()
        actors = self._actors
        environment = simpy.Environment(initial_time=0)
        with self._own_errors_told("its start"):
            actors.dispatcher.start(actors.site)
        actors.fleet.start(
            environment,
            charges_on_arrival=actors.dispatcher.charges_on_arrival,
            on_charging_lost=self._charging_lost,
        )
        for step in range(self._n_steps):
            environment.run(until=Boundary(environment, step * STEP_S))
            if step:
                self._close(step - 1)
            self._decide(step)
        environment.run(until=Boundary(environment, actors.site.end_s))
        self._close(self._n_steps - 1)
        actors.fleet.finish(actors.site.end_s)
        return self.recorder

    def _live_yesterday(self) -> None:
        """Day -1: cars charge uncontrolled, stationary units rest; only measurements remain of it."""
        actors = self._actors
        environment = simpy.Environment(initial_time=-DAY_S)
        actors.fleet.start(environment, charges_on_arrival=True)
        for step in range(-STEPS_PER_DAY, 1):
            now_s = step * STEP_S
            environment.run(until=Boundary(environment, now_s))
            if step > -STEPS_PER_DAY:
                self._measure(step - 1, actors.fleet.close_step(now_s))
            if step < 0:
                cars = actors.fleet.cars(now_s)
                self._give_power(step, np.where(cars.is_plugged, cars.charge_limit_now_kw, 0.0), cars)

    def _decide(self, step: int) -> None:
        actors, now_s = self._actors, step * STEP_S
        n_steps = (
            min(actors.horizon_steps, self._n_steps - step) if actors.shrinking else actors.horizon_steps
        )
        cars = actors.fleet.cars(now_s)
        forecast = actors.forecaster.issue(now_s, n_steps)
        snapshot = Snapshot(
            now_s=now_s,
            cars=cars,
            battery_energy_kwh=self._plant.battery_kwh,
            turbine_kw=self._plant.turbine_kw,
            peak_import_kw=self._plant.peak_import_kw,
            own_trips=actors.fleet.trips(now_s, now_s + n_steps * STEP_S)
            if actors.dispatcher.needs_own_chain
            else None,
        )
        begin = perf_counter()
        with self._own_errors_told(label(now_s)):
            schedule = actors.dispatcher.decide(snapshot, forecast)
        seconds = perf_counter() - begin
        self._check(schedule, cars.n, now_s)
        self._set_plant(schedule, cars)
        asked_kw = np.where(cars.is_plugged, schedule.car_power_kw, 0.0)
        may_give_kw = np.where(actors.site.gives_from_cars(cars.region_index), cars.discharge_limit_kw, 0.0)
        power_kw = np.clip(asked_kw, -may_give_kw, cars.charge_limit_now_kw)
        self.recorder.clipped_kwh += float(np.abs(asked_kw - power_kw).sum()) * STEP_H
        self.recorder.cut_kwh += self._give_power(step, power_kw, cars)
        self.recorder.decision(now_s, schedule, seconds)
        self.recorder.forecast(forecast)
        self.recorder.domain(now_s, actors.fleet.domain(now_s))

    @contextmanager
    def _own_errors_told(self, when: str) -> Iterator[None]:
        """Tell an error of the dispatcher's own code with its instant and its place."""
        try:
            yield
        except VoltwalkError:
            raise
        except Exception as error:
            raise PolicyError(f"policy {self._actors.dispatcher.name} at {when}: {told(error)}") from error

    def _check(self, schedule: Schedule, n_cars: int, now_s: int) -> None:
        """A dispatcher's answer must be whole and finite; limits are clipped and counted instead."""
        site, place = self._actors.site, f"policy {self._actors.dispatcher.name} at {label(now_s)}"
        if not isinstance(schedule, Schedule):
            raise PolicyError(f"{place}: decide must return a Schedule, gave {type(schedule).__name__}")
        wanted: tuple[tuple[str, Any, int], ...] = (
            ("car_power_kw", schedule.car_power_kw, n_cars),
            ("battery_power_kw", schedule.battery_power_kw, len(site.battery_region_index)),
            ("turbine_kw", schedule.turbine_kw, site.n_regions),
        )
        if schedule.battery_kvar is not None:  # without it there is no reactive power
            wanted += (("battery_kvar", schedule.battery_kvar, len(site.battery_region_index)),)
        if schedule.charger_kvar is not None:
            wanted += (("charger_kvar", schedule.charger_kvar, site.n_regions),)
        if schedule.feed_in_cap_kw is not None:
            wanted += (("feed_in_cap_kw", finite_caps(schedule.feed_in_cap_kw), site.n_regions),)
        for field, values, size in wanted:
            if values is None:
                raise PolicyError(f"{place}: no {field} in its schedule")
            if fault := numbers_fault(values, size):
                raise PolicyError(f"{place}: {field} {fault}")

    def _set_plant(self, schedule: Schedule, cars: Cars) -> None:
        """Take the set-points of batteries, turbines and chargers' reactive power as far as physics allows.

        What is cut is counted.
        """
        site, plant = self._actors.site, self._plant
        assert schedule.battery_power_kw is not None
        assert schedule.turbine_kw is not None
        plant.battery_set_kw, cut_battery = admissible_battery_kw(
            site, plant.battery_kwh, schedule.battery_power_kw
        )
        plant.battery_set_kvar, cut_kvar = admissible_battery_kvar(
            site, plant.battery_set_kw, schedule.battery_kvar
        )
        plant.charger_set_kvar, cut_charger_kvar = admissible_charger_kvar(site, cars, schedule.charger_kvar)
        cap_kw = schedule.feed_in_cap_kw
        plant.feed_in_cap_kw = np.full(site.n_regions, np.inf) if cap_kw is None else np.maximum(cap_kw, 0.0)
        plant.turbine_set_kw, cut_turbine = admissible_turbine_kw(site, plant.turbine_kw, schedule.turbine_kw)
        self.recorder.clipped_kwh += (float(cut_battery.sum()) + float(cut_turbine.sum())) * STEP_H
        self.recorder.clipped_kwh += (float(cut_kvar.sum()) + float(cut_charger_kvar.sum())) * STEP_H

    def _give_power(self, step: int, car_power_kw: FloatArray, cars: Cars) -> float:
        """Hand set-points to the cars, under what their region's connection can carry.

        Returns the energy [kWh] of the step's set-points that it cannot.
        """
        actors, now_s, n_regions = self._actors, step * STEP_S, self._actors.site.n_regions
        charge, discharge = requests_kw(cars, car_power_kw, n_regions)
        charge = charge + actors.fleet.unmanaged_request_kw(now_s)
        charge_cap_kw, discharge_cap_kw = charging_caps(*self._units(step), charge, discharge)
        binds = (charge > charge_cap_kw) | (discharge > discharge_cap_kw)
        if actors.site.network is not None and binds.any():
            units = self._losing_units(step, charge, discharge)
            charge_cap_kw, discharge_cap_kw = charging_caps(*units, charge, discharge)
        # What fits now needs no watching within the step, unless charging ends early: ``_fit_discharging``.
        binding_kw = np.where(discharge <= discharge_cap_kw, np.inf, discharge_cap_kw)
        self._car_caps_kw = charge_cap_kw, binding_kw
        actors.fleet.limit(*self._car_caps_kw)
        actors.fleet.apply(now_s, car_power_kw)
        self._gives = bool(discharge.any())
        cut_kw = np.maximum(charge - charge_cap_kw, 0.0) + np.maximum(discharge - discharge_cap_kw, 0.0)
        return float(cut_kw.sum()) * STEP_H + self._fit_discharging(now_s)

    def _charging_lost(self, now_s: int) -> None:
        """A car left that was charging: what others give back may have nowhere to go any more."""
        if now_s % STEP_S:  # at a boundary all is set anew
            self.recorder.cut_kwh += self._fit_discharging(now_s)

    def _fit_discharging(self, now_s: int) -> float:
        """Cut what cars give until the step's end to what its mean leaves room for, if all go on as they do.

        Who fills within the step takes no more then; the mean is what settlement balances. A car that would be empty
        before the step's end gives as much at less power: then it is cut again. Newcomers find no room that counted
        on what is cut. Returns the energy [kWh] that is cut.
        """
        cut_kwh, fleet = 0.0, self._actors.fleet
        if not self._gives:
            return cut_kwh
        step = now_s // STEP_S
        rest_h = STEP_H * (step + 1 - now_s / STEP_S)
        for _ in range(_CUTS):
            excess_kwh = self._excess_kwh(step)
            is_cut = excess_kwh > FULL_KWH
            if not is_cut.any():
                break
            charge_kw, discharge_kw = fleet.given_kw(now_s)
            left_kw = np.where(is_cut, np.maximum(discharge_kw - excess_kwh / rest_h, 0.0), discharge_kw)
            room_kw, _ = charging_caps(*self._losing_units(step, charge_kw, left_kw), charge_kw, left_kw)
            charge_cap_kw, binding_kw = self._car_caps_kw
            self._car_caps_kw = (
                np.minimum(charge_cap_kw, np.maximum(room_kw, charge_kw)),
                np.where(is_cut, np.minimum(left_kw, binding_kw), binding_kw),
            )
            fleet.limit(*self._car_caps_kw)
            fleet.share(now_s)
            cut_kwh += float((discharge_kw - left_kw).sum()) * rest_h
        return cut_kwh

    def _excess_kwh(self, step: int) -> FloatArray:
        """Energy that the cars of each region would give in a step beyond what takes it, if all go on as they do."""
        charge_kwh, discharge_kwh = self._actors.fleet.step_energy((step + 1) * STEP_S)
        charge_kw, discharge_kw = charge_kwh / STEP_H, discharge_kwh / STEP_H
        cap_kw = discharge_caps(*self._units(step), charge_kw, discharge_kw)
        if self._actors.site.network is not None and (discharge_kw > cap_kw).any():
            units = self._losing_units(step, charge_kw, discharge_kw)
            cap_kw = discharge_caps(*units, charge_kw, discharge_kw)
        return np.maximum(discharge_kw - cap_kw, 0.0) * STEP_H

    def _units(self, step: int) -> tuple[Site, StepTruth, FloatArray, FloatArray]:
        """Site, truth with what caps let PV and wind give, and set-points of a step."""
        plant = self._plant
        truth = admitted(self._truth(step), plant.feed_in_cap_kw)
        return self._actors.site, truth, plant.battery_set_kw, plant.turbine_set_kw

    def _losing_units(
        self, step: int, charge_kw: FloatArray, discharge_kw: FloatArray
    ) -> tuple[Site, StepTruth, FloatArray, FloatArray]:
        """As `_units`, with what a feeder loses beside these car powers as load at its source.

        What cars give may serve it, and what they take must leave room for it. It takes a settlement to know, so that
        it is asked only where a cap binds.
        """
        site, truth, battery_kw, turbine_kw = self._units(step)
        if site.network is None:
            return site, truth, battery_kw, turbine_kw
        plant, load_kw = self._plant, truth.load_kw.copy()
        kvar = plant.battery_set_kvar, plant.charger_set_kvar
        settled = settle(site, truth, charge_kw, discharge_kw, battery_kw, turbine_kw, *kvar)
        load_kw[site.network.feeder.source_index] += settled.tie_loss_kw.sum()
        return site, replace(truth, load_kw=load_kw), battery_kw, turbine_kw

    def _close(self, step: int) -> None:
        """Settle the step that ends now."""
        actors, plant = self._actors, self._plant
        energy = actors.fleet.close_step((step + 1) * STEP_S)
        self._measure(step, energy)
        truth = self._truth(step)
        capped = admitted(truth, plant.feed_in_cap_kw)
        settled = settle(
            actors.site,
            capped,
            energy.charge_kwh / STEP_H,
            energy.discharge_kwh / STEP_H,
            plant.battery_set_kw,
            plant.turbine_set_kw,
            plant.battery_set_kvar,
            plant.charger_set_kvar,
        )
        if capped is not truth:
            settled = replace(
                settled,
                pv_curtailed_kw=settled.pv_curtailed_kw + truth.pv_kw - capped.pv_kw,
                wind_curtailed_kw=settled.wind_curtailed_kw + truth.wind_kw - capped.wind_kw,
            )
        site = actors.site
        plant.battery_kwh = battery_energy_after_kwh(site, plant.battery_kwh, settled.battery_kw)
        plant.turbine_kw = settled.turbine_kw
        is_last_of_day = (step + 1) % STEPS_PER_DAY == 0
        plant.peak_import_kw = (
            np.zeros(site.n_regions)
            if is_last_of_day
            else np.maximum(plant.peak_import_kw, settled.import_kw)
        )
        self.recorder.step(step * STEP_S, truth, energy, settled, plant.battery_kwh, plant.feed_in_cap_kw)
        if self._on_step is not None:
            self._on_step(step + 1, self._n_steps)

    def _measure(self, step: int, energy: StepEnergy) -> None:
        net_kwh = energy.charge_kwh - energy.discharge_kwh
        self._actors.measurements.record(step, net_kwh / STEP_H, energy.unmanaged_kwh / STEP_H)

    def _truth(self, step: int) -> StepTruth:
        return self._actors.world.step(step)
