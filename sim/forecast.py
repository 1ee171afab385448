"""Forecasters: ``persistence`` knows the past only; ``perfect`` is the named exception."""

from __future__ import annotations

from typing import Final

import numpy as np

from sim.clock import DAY_S, STEP_S, STEPS_PER_DAY, label, step_index
from sim.contracts import Fleet, FloatArray, Forecast, IntArray, Stores, Trips
from sim.settlement import StepTruth
from sim.stores import stores_from_stays
from sim.tariff import Prices
from sim.world import FIRST_STEP, World

_GROWTH: Final = 16 * STEPS_PER_DAY


class Measurements:
    """Net car load of each region in each step that is over, from day -1 on; the simulation's meter book."""

    def __init__(self, n_regions: int) -> None:
        self._net_kw = np.zeros((_GROWTH, n_regions))
        self.next_step = FIRST_STEP
        """The step that is not over yet; all before it are measured."""

    def record(self, step: int, net_car_load_kw: FloatArray) -> None:
        """Enter the net car load of the step that has just ended.

        Parameters
        ----------
        step
            Steps come in order, without gaps.
        net_car_load_kw : ndarray, shape (R,)
            Charging less discharging, mean over the step.

        Raises
        ------
        ValueError
            When it is not the next step.
        """
        if step != self.next_step:
            raise ValueError(f"step {step} was measured, expected step {self.next_step}")
        row = step - FIRST_STEP
        if row == len(self._net_kw):
            self._net_kw = np.concatenate([self._net_kw, np.zeros_like(self._net_kw)])
        self._net_kw[row] = net_car_load_kw
        self.next_step += 1

    def net_car_load_kw(self, steps: IntArray) -> FloatArray:
        """Measured net car load, shape (len(steps), R).

        Raises
        ------
        LookupError
            When a step is not over, or lies before day -1.
        """
        _require_over(steps, self.next_step)
        measured: FloatArray = self._net_kw[np.asarray(steps) - FIRST_STEP]
        return measured


class Past:
    """The world as far as it has been measured; asking for anything later is an error.

    Parameters
    ----------
    world
        The truth.
    measurements
        Whose ``next_step`` is the present.
    """

    def __init__(self, world: World, measurements: Measurements) -> None:
        self._world = world
        self._measurements = measurements

    def window(self, steps: IntArray) -> StepTruth:
        """Return what was measured in the given steps; arrays (len(steps), R).

        Raises
        ------
        LookupError
            When a step is not over, or lies before day -1.
        """
        _require_over(steps, self._measurements.next_step)
        return self._world.at(steps)

    def net_car_load_kw(self, steps: IntArray) -> FloatArray:
        """Measured net car load, shape (len(steps), R)."""
        return self._measurements.net_car_load_kw(steps)

    def prices(self, first_step: int, n_steps: int) -> Prices:
        """Prices expected ahead, (n_steps, R): a published tariff's as they will be, else yesterday's."""
        if self._world.prices_are_published:
            window = self._world.window(first_step, n_steps)
        else:
            window = self.window(steps_of_yesterday(first_step * STEP_S, n_steps))
        return Prices(
            buy_per_kwh=window.buy_price_per_kwh,
            sell_per_kwh=window.sell_price_per_kwh,
            curtailment_per_kwh=window.curtailment_price_per_kwh,
        )


class PerfectForecaster:
    """Knows the truth: the yardstick, not a method."""

    kind: str = "perfect"

    def __init__(self, world: World, fleet: Fleet, measurements: Measurements) -> None:
        self._world = world
        self._fleet = fleet
        self._measurements = measurements

    def issue(self, now_s: int, n_steps: int) -> Forecast:
        """Hand out what will happen in the ``n_steps`` from ``now_s`` on, and the cars' true trips."""
        truth = self._world.window(step_index(now_s), n_steps)
        return Forecast(
            now_s=now_s,
            kind=self.kind,
            load_kw=truth.load_kw,
            pv_kw=truth.pv_kw,
            wind_kw=truth.wind_kw,
            buy_price_per_kwh=truth.buy_price_per_kwh,
            sell_price_per_kwh=truth.sell_price_per_kwh,
            curtailment_price_per_kwh=truth.curtailment_price_per_kwh,
            measured_car_load_kw=self._measurements.net_car_load_kw(steps_of_yesterday(now_s, n_steps)),
            trips=self._fleet.trips(now_s, now_s + n_steps * STEP_S),
        )


class PersistenceForecaster:
    """Expects yesterday again: load, PV, wind, stays, and prices too unless they are published."""

    kind: str = "persistence"

    def __init__(self, world: World, fleet: Fleet, measurements: Measurements) -> None:
        self._past = Past(world, measurements)
        self._fleet = fleet

    def issue(self, now_s: int, n_steps: int) -> Forecast:
        """Repeat the last 24 h over the ``n_steps`` from ``now_s`` on, as often as needed."""
        yesterday = steps_of_yesterday(now_s, n_steps)
        seen = self._past.window(yesterday)
        prices = self._past.prices(step_index(now_s), n_steps)
        return Forecast(
            now_s=now_s,
            kind=self.kind,
            load_kw=seen.load_kw,
            pv_kw=seen.pv_kw,
            wind_kw=seen.wind_kw,
            buy_price_per_kwh=prices.buy_per_kwh,
            sell_price_per_kwh=prices.sell_per_kwh,
            curtailment_price_per_kwh=prices.curtailment_per_kwh,
            measured_car_load_kw=self._past.net_car_load_kw(yesterday),
            stores=self._stores(now_s, n_steps, seen.load_kw.shape[1]),
        )

    def _stores(self, now_s: int, n_steps: int, n_regions: int) -> Stores:
        cars = self._fleet.cars(now_s)
        return stores_from_stays(
            self._fleet.stays(now_s - DAY_S),
            now_s=now_s,
            n_steps=n_steps,
            n_regions=n_regions,
            charge_efficiency=cars.charge_efficiency,
            discharge_efficiency=cars.discharge_efficiency,
        )


def steps_of_yesterday(now_s: int, n_steps: int) -> IntArray:
    """Measured step that stands for each step of a horizon: the same time of the last 24 h.

    >>> steps_of_yesterday(900, 98)[[0, 95, 96, 97]]
    array([-95,   0, -95, -94])
    """
    return step_index(now_s) - STEPS_PER_DAY + np.arange(n_steps, dtype=np.int64) % STEPS_PER_DAY


def expected_stays(forecast: Forecast) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Plugged stays to come as a forecast has them: number and energy arriving, least energy leaving.

    A stay counts at its first whole boundary and in the step of its departure, whichever forecaster speaks.
    Under true trips the energy arriving depends on the dispatch: its lower bound is given, the trip's
    required energy less what the trip takes. Stays that have begun by now are not among them.

    Returns
    -------
    arrivals_n, arrivals_kwh, leaving_kwh : ndarray, shape (K, R)
    """
    if forecast.stores is not None:
        stores = forecast.stores
        return stores.arriving_n, stores.arriving_kwh, stores.leaving_min_kwh
    shape = forecast.load_kw.shape
    if forecast.trips is None:
        return np.zeros(shape), np.zeros(shape), np.zeros(shape)
    return _stays_between(forecast.trips, forecast.now_s, shape)


def _stays_between(
    trips: Trips, now_s: int, shape: tuple[int, ...]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Stays that begin with a true trip and end with the same car's next one (or after the horizon)."""
    arrivals_n, arrivals_kwh, leaving_kwh = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    follows = np.zeros(len(trips.vehicle_index), dtype=np.bool_)
    follows[:-1] = trips.vehicle_index[1:] == trips.vehicle_index[:-1]
    beyond_s = now_s + (shape[0] + 1) * STEP_S
    leaves_s = np.where(follows, np.roll(trips.depart_s, -1), beyond_s)
    first = -(-(trips.arrive_s - now_s) // STEP_S)
    last = -(-(leaves_s - now_s) // STEP_S) - 1
    counted = trips.is_plugged & (first <= last) & (first < shape[0])
    at = (first[counted], trips.region_index[counted])
    np.add.at(arrivals_n, at, 1.0)
    np.add.at(arrivals_kwh, at, (trips.required_kwh - trips.energy_kwh)[counted])
    ends = counted & (last < shape[0])
    at = (last[ends], trips.region_index[ends])
    np.add.at(leaving_kwh, at, np.roll(trips.required_kwh, -1)[ends])
    return arrivals_n, arrivals_kwh, leaving_kwh


def _require_over(steps: IntArray, next_step: int) -> None:
    if len(steps) and (steps.max() >= next_step or steps.min() < FIRST_STEP):
        wrong = int(steps.max() if steps.max() >= next_step else steps.min())
        raise LookupError(
            f"step {wrong} ({label(wrong * STEP_S)}) is not measured: known are {FIRST_STEP}..{next_step - 1}"
        )
