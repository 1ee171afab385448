"""Which sums of the cars' powers can be shared among the cars, and which cut tells that others cannot.

Powers P(k) of all cars together can be shared within stays, limits and needs if and only if no set S of steps is asked
for more than the cars can take in it,

    h sum over S of P(k) <= f(S) = sum over cars of min(need, h sum over S of limit(k)),

for sharing is a flow from steps to cars (max-flow min-cut; f is submodular). A day's program therefore needs one power
per step, and of these cuts the few that matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from dispatch.station.day import StationDay
from sim.arrays import FloatArray, IntArray

_MOST_UNITS: Final = 2**29
"""Capacities are whole numbers of 32 bits where maximum flows are found, and so is that of an edge and its reverse."""
_ROUNDS: Final = 3
_DUST_KWH: Final = 1e-9
_HALF: Final = 0.5

Steps = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shared:
    """How sums are shared among the cars as far as they can be, and the cut that they break most."""

    car_kw: FloatArray  # (K, n)
    cut: Steps  # (K,)
    excess_kwh: float  # by which the cut is broken; 0 where all is shared


def most_kwh(day: StationDay, steps: Steps) -> float:
    """Most that all cars can take in some steps, f(S)."""
    return float(np.minimum(day.reachable_kwh(), day.step_h * day.car_limit_kw[steps].sum(axis=0)).sum())


class CarFlow:
    """Shares sums among a day's cars: a maximum flow from a source by steps and cars to a sink.

    Energies are rounded to whole units, and what that leaves is shared again in finer ones, along the flow so far and
    against it, until it is dust.

    Parameters
    ----------
    day
        Inputs.
    """

    def __init__(self, day: StationDay) -> None:
        self._day = day
        n_steps, n_cars = day.car_limit_kw.shape
        self._step, self._car = np.nonzero(day.car_limit_kw > 0.0)
        self._limit_kwh = day.step_h * day.car_limit_kw[self._step, self._car]
        self._need_kwh = day.reachable_kwh()
        steps, cars = 1 + np.arange(n_steps), 1 + n_steps + np.arange(n_cars)
        self._sink = 1 + n_steps + n_cars
        tails = np.concatenate([np.zeros(n_steps, np.int64), steps[self._step], cars])
        heads = np.concatenate([steps, cars[self._car], np.full(n_cars, self._sink)])
        n = len(tails)
        # every edge has its reverse: the library's flow has both
        number = np.arange(1, 2 * n + 1)
        places = csr_array(
            (number, (np.concatenate([tails, heads]), np.concatenate([heads, tails]))),
            shape=(self._sink + 1, self._sink + 1),
        )
        order = np.argsort(places.data)
        self._forward, self._backward = order[:n], order[n:]
        self._starts, self._heads = places.indptr.astype(np.int32), places.indices.astype(np.int32)
        self._places = _places(places)

    def share(self, cars_kw: FloatArray) -> Shared:
        """Share sums (K,) as far as the cars can take them."""
        day = self._day
        asked_kwh = day.step_h * np.maximum(cars_kw, 0.0)
        most = np.concatenate([asked_kwh, self._limit_kwh, self._need_kwh])
        flow = np.zeros(len(most))
        cut = np.ones(day.n_steps, dtype=np.bool_)
        lacking_kwh = float(asked_kwh.sum())
        for _ in range(_ROUNDS):
            if lacking_kwh <= _DUST_KWH:
                break
            more, cut = self._augment(most - flow, flow, _MOST_UNITS / lacking_kwh)
            flow = np.clip(flow + more, 0.0, most)
            lacking_kwh = float((most - flow)[: day.n_steps].sum())
            if self._excess_kwh(asked_kwh, cut) > _HALF * lacking_kwh:  # not what rounding left
                break
        car_kw = np.zeros(day.car_limit_kw.shape)
        car_kw[self._step, self._car] = flow[day.n_steps : -day.n_cars or None] / day.step_h
        return Shared(car_kw=car_kw, cut=cut, excess_kwh=self._excess_kwh(asked_kwh, cut))

    def _excess_kwh(self, asked_kwh: FloatArray, cut: Steps) -> float:
        return max(0.0, float(asked_kwh[cut].sum()) - most_kwh(self._day, cut))

    def _augment(
        self, left_kwh: FloatArray, flow_kwh: FloatArray, units_per_kwh: float
    ) -> tuple[FloatArray, Steps]:
        """Flow more through edges with capacity left, or back; and the steps from which nothing can get further."""
        capacity = np.empty(len(self._heads), dtype=np.int32)
        capacity[self._forward] = np.minimum(left_kwh * units_per_kwh, _MOST_UNITS)
        capacity[self._backward] = np.minimum(flow_kwh * units_per_kwh, _MOST_UNITS)
        capacity[self._backward[: self._day.n_steps]] = 0  # what a step has stays with it
        graph = csr_array((capacity, self._heads, self._starts), shape=(self._sink + 1, self._sink + 1))
        found = maximum_flow(graph, 0, self._sink).flow
        flow = np.zeros(len(capacity), dtype=np.int32)  # edges without capacity are left out of what is found
        flow[np.searchsorted(self._places, _places(found))] = found.data
        left = csr_array((capacity - flow, self._heads, self._starts), shape=graph.shape, copy=True)
        left.eliminate_zeros()
        reached = breadth_first_order(left.T.tocsr(), self._sink, return_predecessors=False)
        cut = ~np.isin(1 + np.arange(self._day.n_steps), reached)
        return flow[self._forward] / units_per_kwh, cut


def _places(matrix: csr_array) -> IntArray:
    """A number for each stored entry, ascending with row and column."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.asarray(rows * matrix.shape[1] + matrix.indices)
