"""Cars still to come, as one store per region and step, made of yesterday's plugged stays; pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arrays import BoolArray, FloatArray, IntArray
from sim.clock import DAY_S, STEP_S, STEPS_PER_DAY
from sim.contracts import Stays, Stores


def stores_from_stays(
    stays: Stays,
    *,
    now_s: int,
    n_steps: int,
    n_regions: int,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
) -> Stores:
    """Expect yesterday's stays again: those plugged in during the last 24 h, a day later.

    A stay enters the store at its first whole boundary and leaves in the step that holds its last plugged
    instant, where its limits count for the plugged fraction; stays without a whole boundary are left out. The
    least energy leaving is what was required, lowered to what full charging in the counted time can reach
    from the energy that arrives: so charging every stay at full power until it has enough, then resting, is a
    feasible trajectory of the store. Horizons longer than a day repeat the day; a stay that still lasts (or
    lasted longer) ends when its own repetition begins.

    Parameters
    ----------
    stays
        Measured; those that began outside (now - 24 h, now] are ignored.
    now_s
        Beginning of the horizon, a boundary.
    n_steps
        Length of the horizon, K.
    n_regions
        R.
    charge_efficiency, discharge_efficiency : ndarray, shape (n_vehicles,)
        By vehicle index. The store has one of each, the mean weighted by the stays' limits (1 without stays).

    Returns
    -------
    Stores
        Arrays (K, R).
    """
    recent = (stays.plug_s > now_s - DAY_S) & (stays.plug_s <= now_s)
    eta_charge = _weighted(charge_efficiency[stays.vehicle_index], stays.charge_limit_kw, recent)
    eta_discharge = _weighted(discharge_efficiency[stays.vehicle_index], stays.discharge_limit_kw, recent)
    visits = _visits(stays, np.flatnonzero(recent), now_s, n_steps)
    return _stores(stays, visits, (n_steps, n_regions), (eta_charge, eta_discharge), 1.0)


def stores_of_stays_ahead(
    stays: Stays,
    *,
    begin_s: IntArray,
    n_steps: int,
    n_regions: int,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
    weight: float,
) -> Stores:
    """Expect stays that begin at given instants from now on, each with the same weight.

    As ``stores_from_stays``, for stays that are not yesterday's but drawn from the laws of travel.

    Parameters
    ----------
    stays
        Only their lengths and energies count.
    begin_s
        Seconds from now to each stay's beginning; those of 0 or less have begun and are left out.
    weight
        Real cars per stay.
    """
    which = np.flatnonzero((begin_s > 0) & (begin_s < n_steps * STEP_S))
    ones = np.zeros(len(stays.plug_s), dtype=np.bool_)
    ones[which] = True
    eta_charge = _weighted(charge_efficiency[stays.vehicle_index], stays.charge_limit_kw, ones)
    eta_discharge = _weighted(discharge_efficiency[stays.vehicle_index], stays.discharge_limit_kw, ones)
    end_s = begin_s[which] + stays.unplug_s[which] - stays.plug_s[which]
    visits = _visits_between(stays, which, begin_s[which], end_s, n_steps)
    return _stores(stays, visits, (n_steps, n_regions), (eta_charge, eta_discharge), weight)


def _stores(
    stays: Stays, visits: _Visits, shape: tuple[int, int], efficiency: tuple[float, float], weight: float
) -> Stores:
    eta_charge, eta_discharge = efficiency
    sums = _Sums(visits, *shape, weight)
    of = visits.stay_index
    arriving_kwh = stays.arriving_kwh[of]
    least_kwh = np.minimum(stays.energy_min_kwh[of], arriving_kwh)
    most_kwh = np.maximum(stays.energy_max_kwh[of], arriving_kwh)
    reachable_kwh = arriving_kwh + eta_charge * stays.charge_limit_kw[of] * visits.counted_h
    leaving_kwh = np.clip(np.minimum(stays.required_kwh[of], reachable_kwh), least_kwh, most_kwh)
    ones = np.ones(len(of))
    return Stores(
        n_plugged=sums.plugged(ones),
        arriving_n=sums.entering(ones),
        charge_limit_kw=sums.mean_over_step(stays.charge_limit_kw[of]),
        discharge_limit_kw=sums.mean_over_step(stays.discharge_limit_kw[of]),
        arriving_kwh=sums.entering(arriving_kwh),
        leaving_min_kwh=sums.leaving(leaving_kwh),
        leaving_max_kwh=sums.leaving(most_kwh),
        energy_min_kwh=sums.remaining(least_kwh),
        energy_max_kwh=sums.remaining(most_kwh),
        charge_efficiency=eta_charge,
        discharge_efficiency=eta_discharge,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Visits:
    """Stays shifted into the horizon, shapes (n_visits,); steps count from the horizon's beginning."""

    stay_index: IntArray
    region_index: IntArray
    first_step: IntArray  # enters at its start
    last_step: IntArray  # leaves in it; n_steps when beyond the horizon
    last_fraction: FloatArray  # plugged part of the last step
    counted_h: FloatArray  # plugged time from the first whole boundary on


def _visits(stays: Stays, which: IntArray, now_s: int, n_steps: int) -> _Visits:
    n_days = -(-n_steps // STEPS_PER_DAY)
    shift_s = np.repeat(np.arange(1, n_days + 1, dtype=np.int64) * DAY_S, len(which))
    which = np.tile(which, n_days)
    plug_s = stays.plug_s[which]
    begin_s = plug_s + shift_s - now_s
    end_s = np.minimum(stays.unplug_s[which], plug_s + DAY_S) + shift_s - now_s
    return _visits_between(stays, which, begin_s, end_s, n_steps)


def _visits_between(
    stays: Stays, which: IntArray, begin_s: IntArray, end_s: IntArray, n_steps: int
) -> _Visits:
    first = -(-begin_s // STEP_S)
    last = -(-end_s // STEP_S) - 1
    kept = (first <= last) & (first < n_steps)
    which, first, last, end_s = which[kept], first[kept], last[kept], end_s[kept]
    return _Visits(
        stay_index=which,
        region_index=stays.region_index[which],
        first_step=first,
        last_step=np.minimum(last, n_steps),
        last_fraction=(end_s - last * STEP_S) / STEP_S,
        counted_h=(end_s - first * STEP_S) / 3600.0,
    )


class _Sums:
    """Sums of visits' values by step and region; arrays (K, R)."""

    def __init__(self, visits: _Visits, n_steps: int, n_regions: int, weight: float) -> None:
        self._visits, self._shape = visits, (n_steps + 1, n_regions)  # one row more holds what lies beyond
        self._weight = weight

    def entering(self, values: FloatArray) -> FloatArray:
        return self._at(self._visits.first_step, values)[:-1]

    def leaving(self, values: FloatArray) -> FloatArray:
        return self._at(self._visits.last_step, values)[:-1]

    def remaining(self, values: FloatArray) -> FloatArray:
        """Over visits that are there at a step's end."""
        change = self._at(self._visits.first_step, values) - self._at(self._visits.last_step, values)
        ones = np.ones(len(values))
        n = np.cumsum(
            self._at(self._visits.first_step, ones) - self._at(self._visits.last_step, ones), axis=0
        )
        total = np.where(n > 0.0, np.cumsum(change, axis=0), 0.0)  # nobody there: 0, not rounding
        return np.asarray(np.maximum(total, 0.0)[:-1])

    def plugged(self, values: FloatArray) -> FloatArray:
        """Over visits that are there at a step's beginning."""
        return self.remaining(values) + self.leaving(values)

    def mean_over_step(self, values: FloatArray) -> FloatArray:
        """Over visits, each counted for the part of the step it is plugged."""
        return self.remaining(values) + self.leaving(values * self._visits.last_fraction)

    def _at(self, step: IntArray, values: FloatArray) -> FloatArray:
        n_steps, n_regions = self._shape
        cell = step * n_regions + self._visits.region_index
        summed = np.bincount(cell, weights=values, minlength=n_steps * n_regions)
        return np.asarray(self._weight * summed, dtype=np.float64).reshape(n_steps, n_regions)


def _weighted(efficiency: FloatArray, limit_kw: FloatArray, counted: BoolArray) -> float:
    weight = np.where(counted, limit_kw, 0.0)
    return float(weight @ efficiency / weight.sum()) if weight.sum() > 0.0 else 1.0
