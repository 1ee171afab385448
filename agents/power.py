"""Power of the plugged cars: set-points and caps in, plans, bus energy and segments out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agents.charging import ENERGY_TOLERANCE_KWH, bus_energy, make_plan, make_plans, stored_energy
from agents.columns import Columns
from agents.population import Population
from agents.recording import SegmentLog
from sim.arrays import FloatArray, IntArray
from sim.clock import NEVER_S
from sim.contracts import StepEnergy

_HOUR_S = 3600.0


def shared_power(
    request_kw: FloatArray, region_index: IntArray, charge_cap_kw: FloatArray, discharge_cap_kw: FloatArray
) -> FloatArray:
    """Cut requests pro rata, so that each region's charging and discharging stay within its caps.

    Parameters
    ----------
    request_kw, region_index
        Shape (n,): of plugged cars, charging positive.
    charge_cap_kw, discharge_cap_kw
        Shape (R,), ``inf`` for none.

    >>> request, region = np.array([5.0, 3.0, -4.0]), np.array([0, 0, 0])
    >>> shared_power(request, region, np.array([4.0]), np.array([1.0])).tolist()
    [2.5, 1.5, -1.0]
    """
    n_regions = len(charge_cap_kw)
    charging, discharging = np.maximum(request_kw, 0.0), np.maximum(-request_kw, 0.0)
    scale = []
    for wanted, cap in ((charging, charge_cap_kw), (discharging, discharge_cap_kw)):
        total = np.bincount(region_index, weights=wanted, minlength=n_regions)
        scale.append(np.where(total > cap, cap / np.where(total > 0.0, total, 1.0), 1.0)[region_index])
    shared: FloatArray = charging * scale[0] - discharging * scale[1]
    return shared


class Power:
    """Keeps the plans of all cars, books what they take and give, and records their segments."""

    def __init__(
        self, columns: Columns, population: Population, n_regions: int, segments: SegmentLog
    ) -> None:
        self.columns = columns
        self._population = population
        self._segments = segments
        self._charge_kwh, self._discharge_kwh = np.zeros(n_regions), np.zeros(n_regions)
        self._unmanaged_kwh = np.zeros(n_regions)
        self._charge_cap_kw, self._discharge_cap_kw = np.full(n_regions, np.inf), np.full(n_regions, np.inf)
        self._is_capped, self._is_cut = (
            np.zeros(n_regions, dtype=np.bool_),
            np.zeros(n_regions, dtype=np.bool_),
        )
        self._asked_kw = np.zeros((2, n_regions))  # charging, discharging: no less than what is asked now
        self.on_change: Callable[[IntArray], None] = lambda cars: None

    def limit(self, charge_cap_kw: FloatArray, discharge_cap_kw: FloatArray) -> None:
        """Caps per region from now on; they bite at the next change."""
        self._charge_cap_kw, self._discharge_cap_kw = charge_cap_kw.copy(), discharge_cap_kw.copy()
        self._is_capped = np.isfinite(charge_cap_kw) | np.isfinite(discharge_cap_kw)
        self._is_cut &= self._is_capped

    def energy(self, car: int, now_s: int) -> float:
        """Energy stored in one car, kWh."""
        c = self.columns
        if now_s >= c.end_s.item(car):
            return float(c.end_kwh.item(car))
        return float(c.since_kwh.item(car) + self._bus_kwh(car, now_s) * c.factor.item(car))

    def energies(self, now_s: int) -> FloatArray:
        """Energy stored in every car, kWh."""
        return stored_energy(self.columns.plans(np.arange(self._population.n)), now_s)

    def is_charging(self, car: int, now_s: int) -> bool:
        """Whether one car takes power at an instant."""
        return self.columns.set_kw.item(car) > 0.0 and now_s < self.columns.end_s.item(car)

    def given_kw(self, now_s: int) -> tuple[FloatArray, FloatArray]:
        """What cars charge and discharge with at an instant, per region; shapes (R,)."""
        c = self.columns
        cars = np.flatnonzero((c.set_kw != 0.0) & (now_s < c.end_s))
        return self._by_way(cars, c.set_kw[cars])

    def step_energy(self, until_s: int) -> tuple[FloatArray, FloatArray]:
        """Energy at the bus that cars charge and discharge between two boundaries if all go on as they do, (R,), kWh.

        What they took and gave since the last boundary, and what their plans hold until the next, ``until_s``.
        """
        c = self.columns
        moving = np.flatnonzero(c.set_kw)
        new = bus_energy(c.plans(moving), np.full(len(moving), until_s)) - c.counted_kwh[moving]
        charge, discharge = self._by_way(moving, new)
        return self._charge_kwh + charge, self._discharge_kwh + discharge

    def _by_way(self, cars: IntArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sums of positive values and of negative ones, by the cars' regions."""
        region, n_regions = self.columns.region_index[cars], len(self._charge_kwh)
        positive, negative = (
            np.bincount(region, np.maximum(sign * values, 0.0), n_regions).astype(np.float64)
            for sign in (1.0, -1.0)
        )
        return positive, negative

    def rest(self, car: int, now_s: int, energy_kwh: float) -> None:
        """Give one car, whose last plan is closed, a plan of no power."""
        c = self.columns
        c.since_s[car], c.since_kwh[car], c.counted_kwh[car] = now_s, energy_kwh, 0.0
        c.request_kw[car], c.set_kw[car] = 0.0, 0.0
        c.last_s[car], c.end_s[car] = NEVER_S, NEVER_S

    def request(self, car: int, now_s: int, energy_kwh: float, request_kw: float) -> None:
        """Give one car, whose last plan is closed, a new request; it takes no more than its full power now."""
        c = self.columns
        if request_kw > 0.0:
            request_kw = min(request_kw, self._population.full_power_of_kw(car, energy_kwh))
        region = c.region_index.item(car)
        if request_kw == 0.0 or not self._is_capped[region] or self._has_room(region, request_kw):
            c.request_kw[car] = request_kw
            self._run(car, now_s, energy_kwh, request_kw)
        else:
            self.rest(car, now_s, energy_kwh)
            c.request_kw[car] = request_kw
            self.share(now_s, region)

    def _has_room(self, region: int, request_kw: float) -> bool:
        """Whether one more request fits under a region's caps as it stands; if so it is counted in."""
        asked = self._asked_kw[:, region] + (max(request_kw, 0.0), max(-request_kw, 0.0))
        if (
            self._is_cut[region]
            or (asked > (self._charge_cap_kw[region], self._discharge_cap_kw[region])).any()
        ):
            return False
        self._asked_kw[:, region] = asked
        return True

    def close(self, car: int, now_s: int) -> float:
        """End one car's plan: record its segments, book its energy; return what it has stored."""
        c, record = self.columns, self._segments.append
        since, last, end = c.since_s.item(car), c.last_s.item(car), c.end_s.item(car)
        energy, region = self.energy(car, now_s), c.region_index.item(car)
        place, at_since = (region, c.is_plugged.item(car)), c.since_kwh.item(car)
        if now_s <= last:
            record(car, (since, now_s), place, c.set_kw.item(car), (at_since, energy))
        else:
            at_last = self.energy(car, last)
            record(car, (since, last), place, c.set_kw.item(car), (at_since, at_last))
            record(car, (last, min(now_s, end)), place, c.last_kw.item(car), (at_last, energy))
            record(car, (end, now_s), place, 0.0, (energy, energy))
        if c.set_kw.item(car) != 0.0:
            self._book_one(car, region, self._bus_kwh(car, now_s))
        return energy

    def apply(self, now_s: int, car_power_kw: FloatArray) -> None:
        """Ask powers of all plugged cars, within their limits; who waits or does not take part takes full power."""
        c, p = self.columns, self._population
        full_kw = p.charge_limit_kw if p.taper is None else p.full_power_kw(self.energies(now_s))
        within = np.clip(car_power_kw, -p.discharge_limit_kw, full_kw)
        takes_all = c.is_waiting | ~p.takes_part
        c.request_kw = np.where(c.is_plugged, np.where(takes_all, full_kw, within), 0.0)
        self.share(now_s)

    def reshare(self, now_s: int, region: int) -> None:
        """Share a region's caps anew, after one of its cars has left."""
        if self._is_cut[region]:
            self.share(now_s, region)

    def share(self, now_s: int, region: int | None = None) -> None:
        """Bring the set-points of a region's cars (of all) to their requests, cut by the caps.

        Cars whose power stays are left alone.
        """
        c, p = self.columns, self._population
        cars = np.flatnonzero(c.is_plugged) if region is None else c.plugged_in(region)
        energy = stored_energy(c.plans(cars), now_s)
        wanted = c.request_kw[cars]
        is_full = p.energy_max_kwh[cars] - energy <= ENERGY_TOLERANCE_KWH
        is_empty = energy - p.energy_min_kwh[cars] <= ENERGY_TOLERANCE_KWH
        wanted = np.where(((wanted > 0.0) & is_full) | ((wanted < 0.0) & is_empty), 0.0, wanted)
        if self._is_capped.any():
            wanted = self._cut(wanted, c.region_index[cars], slice(None) if region is None else region)
        standing = np.where(now_s >= c.end_s[cars], 0.0, c.set_kw[cars])
        moved = np.flatnonzero(wanted != standing)
        if len(moved):
            at = np.full(len(moved), now_s, dtype=np.int64)
            self._run_many(cars[moved], at, self.close_many(cars[moved], at), wanted[moved])
            self.on_change(cars[moved])

    def _cut(self, wanted_kw: FloatArray, region_index: IntArray, regions: slice | int) -> FloatArray:
        """Requests under the caps; remembers what the regions ask and which of them are cut."""
        n_regions = len(self._is_cut)
        given = shared_power(wanted_kw, region_index, self._charge_cap_kw, self._discharge_cap_kw)
        for row, part in enumerate((np.maximum(wanted_kw, 0.0), np.maximum(-wanted_kw, 0.0))):
            self._asked_kw[row, regions] = np.bincount(region_index, part, n_regions)[regions]
        self._is_cut[regions] = np.bincount(region_index, given != wanted_kw, n_regions)[regions] > 0
        return given

    def close_many(self, cars: IntArray, at_s: IntArray) -> FloatArray:
        """`close` for several cars, each at an instant of its own."""
        c = self.columns
        plans = c.plans(cars)
        energy = stored_energy(plans, at_s)
        at_last = stored_energy(plans, np.minimum(plans.last_s, at_s))
        same = dict(vehicle_index=cars, region_index=c.region_index[cars], is_plugged=c.is_plugged[cars])
        pieces = (
            (plans.since_s, np.minimum(plans.last_s, at_s), plans.set_kw, plans.since_kwh, at_last),
            (plans.last_s, np.minimum(plans.end_s, at_s), plans.last_kw, at_last, energy),
            (plans.end_s, at_s, np.zeros(len(cars)), energy, energy),
        )
        for start, end, power, energy_start, energy_end in pieces:
            self._segments.extend(
                **same,
                start_s=start,
                end_s=end,
                power_kw=power,
                energy_start_kwh=energy_start,
                energy_end_kwh=energy_end,
            )
        self._book(cars, at_s)
        return energy

    def close_step(self, now_s: int) -> StepEnergy:
        """Return what cars took and gave since the last call; ended plans become plans of no power."""
        c = self.columns
        moving = np.flatnonzero(c.set_kw)
        self._book(moving, np.full(len(moving), now_s, dtype=np.int64))
        ended = moving[c.end_s[moving] <= now_s]
        if len(ended):
            at = c.end_s[ended]
            self._run_many(ended, at, self.close_many(ended, at), np.zeros(len(ended)))
        result = StepEnergy(
            charge_kwh=self._charge_kwh, discharge_kwh=self._discharge_kwh, unmanaged_kwh=self._unmanaged_kwh
        )
        self._charge_kwh, self._discharge_kwh, self._unmanaged_kwh = (
            np.zeros_like(self._charge_kwh) for _ in range(3)
        )
        return result

    def _bus_kwh(self, car: int, now_s: int) -> float:
        c = self.columns
        set_kw = c.set_kw.item(car)
        if set_kw == 0.0:
            return 0.0
        last = c.last_s.item(car)
        first = min(now_s, last) - c.since_s.item(car)
        second = max(min(now_s, c.end_s.item(car)) - last, 0)
        return float((set_kw * first + c.last_kw.item(car) * second) / _HOUR_S)

    def _book_one(self, car: int, region: int, total_kwh: float) -> None:
        new = total_kwh - self.columns.counted_kwh.item(car)
        if new > 0.0:
            self._charge_kwh[region] += new
            self._unmanaged_kwh[region] += new * (not self._population.takes_part.item(car))
        else:
            self._discharge_kwh[region] -= new

    def _book(self, cars: IntArray, at_s: IntArray) -> None:
        """Book bus energy up to an instant of each car."""
        c = self.columns
        is_moving = c.set_kw[cars] != 0.0
        moving = cars[is_moving]
        total = bus_energy(c.plans(moving), at_s[is_moving])
        new = total - c.counted_kwh[moving]
        c.counted_kwh[moving] = total
        region, n_regions = c.region_index[moving], len(self._charge_kwh)
        self._charge_kwh += np.bincount(region, weights=np.maximum(new, 0.0), minlength=n_regions)
        unmanaged = np.where(self._population.takes_part[moving], 0.0, np.maximum(new, 0.0))
        self._unmanaged_kwh += np.bincount(region, weights=unmanaged, minlength=n_regions)
        self._discharge_kwh += np.bincount(region, weights=np.maximum(-new, 0.0), minlength=n_regions)

    def _run(self, car: int, now_s: int, energy_kwh: float, set_kw: float) -> None:
        c, p = self.columns, self._population
        c.since_s[car], c.since_kwh[car], c.counted_kwh[car] = now_s, energy_kwh, 0.0
        bound, factor = energy_kwh, 1.0
        if set_kw > 0.0:
            bound, factor = p.energy_max_kwh.item(car), p.charge_efficiency.item(car)
        elif set_kw < 0.0:
            bound, factor = p.energy_min_kwh.item(car), 1.0 / p.discharge_efficiency.item(car)
        gap = bound - energy_kwh if set_kw > 0.0 else energy_kwh - bound
        plan = make_plan(now_s, set_kw, gap, factor)
        c.set_kw[car], c.last_s[car], c.last_kw[car], c.end_s[car] = plan
        c.end_kwh[car], c.factor[car] = bound, factor

    def _run_many(self, cars: IntArray, at_s: IntArray, energy_kwh: FloatArray, set_kw: FloatArray) -> None:
        c, p = self.columns, self._population
        c.since_s[cars], c.since_kwh[cars], c.counted_kwh[cars] = at_s, energy_kwh, 0.0
        charges, discharges = set_kw > 0.0, set_kw < 0.0
        bound = np.where(
            charges, p.energy_max_kwh[cars], np.where(discharges, p.energy_min_kwh[cars], energy_kwh)
        )
        factor = np.where(
            charges, p.charge_efficiency[cars], np.where(discharges, 1.0 / p.discharge_efficiency[cars], 1.0)
        )
        gap = np.where(charges, bound - energy_kwh, energy_kwh - bound)
        c.set_kw[cars], c.last_s[cars], c.last_kw[cars], c.end_s[cars] = make_plans(at_s, set_kw, gap, factor)
        c.end_kwh[cars], c.factor[cars] = bound, factor
