"""What uncontrolled cars will draw along their true trips, in closed form."""

from __future__ import annotations

import numpy as np

from sim.arrays import FloatArray, IntArray
from sim.contracts import Cars, Trips


def expected_load(
    cars: Cars, trips: Trips, *, now_s: int, step_s: int, n_steps: int, n_regions: int
) -> FloatArray:
    """Mean load per step and region, shape (K, R), when every plugged car charges at full power until it is full.

    A car charges from the second it plugs in; from the boundary (or plug-in) after which it would fill before the
    next boundary, it takes what it lacks evenly over the ceil(T) whole seconds. Stays follow each other in order: the
    first of each car, then the second, ... each as arrays over the cars.
    """
    if not len(trips.depart_s) and not cars.is_plugged.any():
        return np.zeros((n_steps, n_regions))
    ledger = _Ledger(now_s, step_s, n_steps, n_regions)
    energy = (cars.energy_kwh if trips.car_energy_kwh is None else trips.car_energy_kwh).copy()
    first, count = _spans(trips.vehicle_index, cars.n)
    begin = np.full(cars.n, now_s)
    region, is_plugged = cars.region_index.copy(), cars.is_plugged.copy()
    for turn in range(int(count.max(initial=0)) + 1):
        who = np.flatnonzero(count >= turn)
        trip = first[who] + turn
        has_trip = count[who] > turn
        trip = np.where(has_trip, trip, 0)
        end = (
            np.where(has_trip, trips.depart_s[trip], ledger.end_s)
            if len(trips.depart_s)
            else np.full(len(who), ledger.end_s)
        )
        _stay(ledger, cars, who[is_plugged[who]], region, begin, end[is_plugged[who]], energy)
        goes = who[has_trip]
        taken = trip[has_trip]
        left = energy[goes] - trips.energy_kwh[taken] if len(goes) else energy[goes]
        energy[goes] = np.maximum(left, cars.energy_min_kwh[goes])
        begin[goes] = trips.arrive_s[taken]
        region[goes], is_plugged[goes] = trips.region_index[taken], trips.is_plugged[taken]
    return ledger.mean_kw()


def _spans(vehicle_index: IntArray, n_cars: int) -> tuple[IntArray, IntArray]:
    """First trip and number of trips of each car (trips are in order of vehicle)."""
    count = np.bincount(vehicle_index, minlength=n_cars)
    return np.cumsum(count) - count, count


def _stay(
    ledger: _Ledger,
    cars: Cars,
    who: IntArray,
    region: IntArray,
    begin_s: IntArray,
    end_s: IntArray,
    energy: FloatArray,
) -> None:
    """Charge the plugged cars of one turn from their arrival to their departure, and update their energy."""
    if cars.taper is None:
        _charge(ledger, cars, who, region, begin_s[who], end_s, energy, cars.charge_limit_kw[who])
        return
    for step_s in range(
        ledger.now_s, ledger.end_s, ledger.step_s
    ):  # the limit follows the energy step by step
        begin = np.maximum(begin_s[who], step_s)
        power = (cars.charge_limit_kw * cars.taper.share(energy))[who]
        _charge(ledger, cars, who, region, begin, np.minimum(end_s, step_s + ledger.step_s), energy, power)


def _charge(
    ledger: _Ledger,
    cars: Cars,
    who: IntArray,
    region: IntArray,
    begin: IntArray,
    end_s: IntArray,
    energy: FloatArray,
    power: FloatArray,
) -> None:
    """Charge cars at one power each between two instants, until they are full."""
    stays = begin < end_s
    who, begin, end, power = who[stays], begin[stays], end_s[stays], power[stays]
    rate = cars.charge_efficiency[who] * power / 3600.0
    room = np.maximum(cars.energy_max_kwh[who] - energy[who], 0.0)
    fills_s = begin + room / rate
    last_s = np.maximum(
        begin, (np.floor(np.minimum(fills_s, 2**53) / ledger.step_s) * ledger.step_s).astype(np.int64)
    )
    full_end = np.minimum(end, last_s)
    ledger.add(region[who], begin, full_end, power)
    rest_s = fills_s - last_s
    whole_s = np.ceil(rest_s)
    slowed = power * rest_s / np.where(whole_s > 0, whole_s, 1.0)
    until = np.minimum(end, last_s + whole_s.astype(np.int64))
    tail = until > last_s
    ledger.add(region[who[tail]], last_s[tail], until[tail], slowed[tail])
    charged = power * (full_end - begin) + np.where(tail, slowed * (until - last_s), 0.0)
    energy[who] += cars.charge_efficiency[who] * charged / 3600.0


class _Ledger:
    """Sums of constant powers over spans of seconds, as means per step and region."""

    def __init__(self, now_s: int, step_s: int, n_steps: int, n_regions: int) -> None:
        self.now_s, self.step_s, self.n_steps = now_s, step_s, n_steps
        self.end_s = now_s + n_steps * step_s
        self._partial = np.zeros((n_steps + 1, n_regions))
        self._whole = np.zeros((n_steps + 2, n_regions))

    def add(self, region: IntArray, begin_s: IntArray, end_s: IntArray, power_kw: FloatArray) -> None:
        """Enter powers from begin to end: parts of the first and last step, and whole steps between."""
        begin = np.clip(begin_s - self.now_s, 0, self.n_steps * self.step_s)
        end = np.maximum(np.clip(end_s - self.now_s, 0, self.n_steps * self.step_s), begin)
        for instant, sign in ((begin, 1.0), (end, -1.0)):
            step, into = np.divmod(instant, self.step_s)
            np.add.at(self._whole, (step, region), sign * power_kw)
            np.add.at(self._partial, (step, region), -sign * power_kw * into / self.step_s)

    def mean_kw(self) -> FloatArray:
        """Mean power per step and region."""
        return np.cumsum(self._whole, axis=0)[: self.n_steps] + self._partial[: self.n_steps]
