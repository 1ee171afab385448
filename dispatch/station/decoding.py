"""Genes to feasible plans, for evolutionary search: many at once, each repaired step by step.

A plan has two genes per step, both in [0, 1]: how much of what the cars can take at most they take, and the storage's
power from full discharge to full charge. Repair keeps every rule: a car takes what it must to be served in time, the
rest goes to the least lax first; storage stays within its energies, the valley rule, and can still end full enough.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dispatch.station.day import StationDay
from dispatch.station.plan import StationPlan
from sim.arrays import FloatArray, IntArray

GENES_PER_STEP = 2
_ROUNDING_KWH = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decoded:
    """Plans of P individuals."""

    car_kw: FloatArray  # (P, K, n)
    storage_kw: FloatArray  # (P, K), charging positive

    def plan(self, individual: int) -> StationPlan:
        """Plan of one of them."""
        power = self.storage_kw[individual]
        return StationPlan(
            car_kw=self.car_kw[individual].copy(),
            charge_kw=np.maximum(power, 0.0),
            discharge_kw=np.maximum(-power, 0.0),
            curtailed_kw=np.zeros(len(power)),
        )


def decode(day: StationDay, genes: FloatArray) -> Decoded:
    """Repair genes of shape (P, 2 K) into plans.

    Without limits of the connection or of all cars together: a day that has them cannot be decoded.

    Raises
    ------
    ValueError
        When the day has one.
    """
    if np.isfinite([day.import_limit_kw, day.export_limit_kw, day.cars_limit_kw]).any():
        raise ValueError("genes cannot be repaired under limits of the connection or of all cars together")
    n_steps = day.n_steps
    car_kw = cars_of(day, genes[:, :n_steps])
    return Decoded(car_kw=car_kw, storage_kw=storage_of(day, genes[:, n_steps:], car_kw.sum(axis=2)))


def cars_of(day: StationDay, share: FloatArray) -> FloatArray:
    """Cars' powers (P, K, n) for shares (P, K) of what could be taken at most."""
    h, n_steps = day.step_h, day.n_steps
    left = np.tile(day.reachable_kwh(), (len(share), 1))
    car_kw = np.zeros((len(share), n_steps, day.n_cars))
    later = np.vstack([day.car_limit_kw[::-1].cumsum(axis=0)[::-1][1:], np.zeros(day.n_cars)]) * h
    for k in range(n_steps):
        here = np.flatnonzero(day.car_limit_kw[k] > 0.0)
        lacking = left[:, here]
        most = np.minimum(day.car_limit_kw[k, here], lacking / h)
        must = np.minimum(np.maximum(lacking - later[k, here], 0.0) / h, most)
        room = most - must
        extra = np.maximum(share[:, k] * most.sum(axis=1) - must.sum(axis=1), 0.0)
        order = _least_first(later[k, here] - lacking)
        sorted_room = np.take_along_axis(room, order, axis=1)
        before = sorted_room.cumsum(axis=1) - sorted_room
        given = np.empty_like(room)
        np.put_along_axis(given, order, np.clip(extra[:, None] - before, 0.0, sorted_room), axis=1)
        car_kw[:, k, here] = must + given
        left[:, here] = np.maximum(lacking - car_kw[:, k, here] * h, 0.0)
    return car_kw


def _least_first(laxity_kwh: FloatArray) -> IntArray:
    """Order of each row by laxity, to a hundredth of a kWh: whole numbers are sorted in a third of the time."""
    whole = np.clip(100.0 * laxity_kwh, np.iinfo(np.int16).min, np.iinfo(np.int16).max).astype(np.int16)
    return np.asarray(np.argsort(whole, axis=1, kind="stable"), dtype=np.int64)


def storage_of(day: StationDay, gene: FloatArray, cars_kw: FloatArray) -> FloatArray:
    """Storage powers (P, K) for genes (P, K), beside the cars' sums (P, K)."""
    unit, h, n_steps = day.storage, day.step_h, day.n_steps
    power = np.zeros_like(gene)
    if unit.capacity_kwh <= 0.0:
        return power
    spare = np.maximum(day.pv_kw - cars_kw, 0.0)
    most = np.where(day.is_grid_charging_hour, unit.charge_limit_kw, np.minimum(unit.charge_limit_kw, spare))
    low, high = unit.soc_min * unit.capacity_kwh, unit.soc_max * unit.capacity_kwh
    start = unit.initial_soc * unit.capacity_kwh
    floor = np.empty((len(gene), n_steps + 1))  # least energy from which the day can still end full enough
    floor[:, n_steps] = start
    for k in reversed(range(n_steps)):
        floor[:, k] = np.maximum(low, floor[:, k + 1] - unit.charge_efficiency * most[:, k] * h)
    energy = np.full(len(gene), start)
    for k in range(n_steps):
        wanted = (2.0 * gene[:, k] - 1.0) * np.where(
            gene[:, k] > 0.5, unit.charge_limit_kw, unit.discharge_limit_kw
        )
        needed = np.maximum(floor[:, k + 1] - energy, 0.0) / (unit.charge_efficiency * h)
        room = np.maximum(high - energy, 0.0) / (unit.charge_efficiency * h)
        spare_kwh = np.maximum(energy - floor[:, k + 1], 0.0)
        given = np.minimum(unit.discharge_limit_kw, spare_kwh * unit.discharge_efficiency / h)
        taken = np.minimum(np.minimum(most[:, k], room), np.maximum(wanted, needed))
        charges = (wanted > 0.0) | (needed > _ROUNDING_KWH)
        power[:, k] = np.where(charges, taken, -np.minimum(given, np.maximum(-wanted, 0.0)))
        gained = unit.charge_efficiency * np.maximum(power[:, k], 0.0)
        energy = energy + h * (gained - np.maximum(-power[:, k], 0.0) / unit.discharge_efficiency)
    return power
