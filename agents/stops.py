"""Where cars stand: plugging in, queueing, waiting for energy, unplugging, and the stays as measured."""

from __future__ import annotations

import math

import numpy as np
import simpy

from agents.chargers import ChargerQueue
from agents.charging import ENERGY_TOLERANCE_KWH
from agents.columns import DRIVING, Columns
from agents.driver import declare
from agents.plan import has_chargers
from agents.population import Population
from agents.power import Power
from agents.queue_log import Ending, QueueLog
from agents.recording import RowLog
from agents.trip_log import TripLog
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.clock import NEVER_S
from sim.contracts import Stays
from sim.scenario import Scenario

_HOUR_S = 3600.0
_UNPLUG = 3  # column of the log of stays; rows are added as cars unplug


class Stops:
    """Plugs cars in and out, and measures their stays across restarts."""

    def __init__(self, scenario: Scenario, population: Population) -> None:
        self._population = population
        self._has_chargers = has_chargers(scenario)
        self._n_chargers = {
            index: region.chargers
            for index, region in enumerate(scenario.regions)
            if region.chargers != "unlimited" and 0 < region.chargers < population.n
        }
        balk_at = scenario.fleet.drivers.balk_at
        self._most_waiting = math.inf if balk_at == "never" else balk_at
        self._full_on_arrival = scenario.fleet.arrival_power == "full"
        self._undeclared_kwh = np.maximum(
            scenario.fleet.drivers.undeclared_soc * population.battery_kwh, population.energy_min_kwh
        )
        self._log = RowLog((np.int64, np.int64, np.int64, np.int64, np.float64, np.float64, np.float64))
        self._first_start_s: int | None = None
        self._columns = Columns(population, 0)

    def start(
        self,
        environment: simpy.Environment,
        columns: Columns,
        power: Power,
        trips: TripLog,
        *,
        charges_on_arrival: bool,
    ) -> None:
        """Plug the cars in at home. An open home stay goes on; other cars count from the first start."""
        now, before = int(environment.now), self._columns
        self._environment, self._columns, self._power, self._trips = environment, columns, power, trips
        self._takes_power = charges_on_arrival or self._full_on_arrival
        self._wakes: dict[int, simpy.Event] = {}
        power.on_change = self._wake
        self._queues = {
            region: ChargerQueue(
                environment,
                n_chargers,
                self._plug_in_queued,
                most_waiting=self._most_waiting,
                turn_away=self._turn_away,
            )
            for region, n_chargers in self._n_chargers.items()
        }
        self.waits = QueueLog(self._population.n)
        columns.is_plugged[:] = self._plugged_at_start(now)
        if self._first_start_s is None or now <= self._first_start_s:  # a history of its own
            self._first_start_s, before = now, Columns(self._population, now)
            self._log.clear()
        columns.plug_s[:] = self._first_start_s
        self._carry_stays(before, columns, now)
        plugged = np.flatnonzero(columns.is_plugged)
        for car in plugged.tolist():
            self._declare(car)
        charging = plugged if charges_on_arrival else plugged[~self._population.takes_part[plugged]]
        if len(charging):
            columns.request_kw[charging] = self._population.full_power_kw(power.energies(now))[charging]
            power.share(now)

    def _plugged_at_start(self, now_s: int) -> BoolArray:
        home = self._population.home_index
        plugged: BoolArray = self._has_chargers[home]
        for region, queue in self._queues.items():
            at_home = np.flatnonzero(home == region)
            plugged[at_home] = False
            plugged[queue.take_first(at_home.tolist())] = True
            for car in at_home[~plugged[at_home]].tolist():
                self.waits.begin(car, region, now_s)
        return plugged

    def _carry_stays(self, before: Columns, now: Columns, now_s: int) -> None:
        at_home = before.region_index == self._population.home_index
        carried = before.is_plugged & at_home & now.is_plugged
        now.plug_s[carried] = before.plug_s[carried]
        now.arriving_kwh[carried] = before.arriving_kwh[carried]
        for car in np.flatnonzero(before.is_plugged & ~carried).tolist():
            self._record_stay(before, car, now_s)

    def park(self, car: int, now_s: int, energy_kwh: float) -> None:
        """Park a car that has arrived: it plugs in if its stop does, or if it is short for its next trip."""
        c = self._columns
        region = c.region_index.item(car)
        is_short = energy_kwh < self._trips.drivable_kwh(car) - ENERGY_TOLERANCE_KWH
        plugs_in = self._trips.plugs_in(car) or (is_short and self._has_chargers[region])
        if plugs_in and region not in self._queues:
            self._plug_in(car, now_s, energy_kwh)
            return
        self._power.rest(car, now_s, energy_kwh)
        if plugs_in:
            self.waits.begin(car, region, now_s)
            self._queues[region].join(car, waits_for_energy=is_short)

    def unplug(self, car: int, now_s: int) -> float:
        """Let a car leave its place; return its energy."""
        c, p = self._columns, self._population
        energy, region = self._power.close(car, now_s), c.region_index.item(car)
        if c.is_plugged[car]:
            self._record_stay(c, car, now_s)
            rate = p.charge_limit_kw.item(car) * p.charge_efficiency.item(car)
            gained = rate * (now_s - c.upper_since_s.item(car)) / _HOUR_S
            c.upper_kwh[car] = min(p.energy_max_kwh.item(car), c.upper_kwh.item(car) + gained)
        if region in self._queues:
            self._queues[region].leave(car)
            self.waits.end(car, now_s, Ending.LEFT)
        c.is_plugged[car], c.is_waiting[car], c.region_index[car] = False, False, DRIVING
        self._wakes.pop(car, None)
        self._power.rest(car, now_s, energy)
        self._power.reshare(now_s, region)
        return energy

    def wait_for_energy(self, car: int, now_s: int) -> simpy.Event:
        """Charge at full power, or queue for it; return an event: it may be ready, or its power changed.

        The driver declares the soonest departure that full power allows; under a cap or a taper it may be later.
        """
        c, p = self._columns, self._population
        if not c.is_waiting[car]:
            self._begin_waiting(car, now_s)
        wake = self._wakes[car] = self._environment.event()
        c.departure_s[car] = now_s
        if not c.is_plugged[car]:
            return wake
        needed = self._trips.waits_until_kwh(car)
        energy = self._power.energy(car, now_s)
        gap, full_rate = needed - energy, p.full_power_of_kw(car, energy) * p.charge_efficiency.item(car)
        soonest_s = now_s + _whole_seconds(gap, full_rate)
        c.stay_departure_s[car], c.stay_required_kwh[car] = soonest_s, needed
        c.declared_departure_s[car], c.declared_required_kwh[car] = declare(soonest_s, needed)
        rate = c.set_kw.item(car) * c.factor.item(car)
        if rate <= 0.0:  # under a cap of nothing
            return wake
        ready_s = min(now_s + _whole_seconds(gap, rate), c.end_s.item(car))
        c.departure_s[car] = ready_s
        return self._environment.timeout(ready_s - now_s) | wake

    def _begin_waiting(self, car: int, now_s: int) -> None:
        c = self._columns
        region = c.region_index.item(car)
        c.is_waiting[car] = True
        if c.is_plugged[car]:
            energy = self._power.close(car, now_s)
            self._power.request(car, now_s, energy, self._population.charge_limit_kw.item(car))
        elif region in self._queues:
            self.waits.begin(car, region, now_s)
            self._queues[region].join(car, waits_for_energy=True)
        else:
            self._plug_in(car, now_s, self._power.close(car, now_s))

    def told_max_kwh(self, energy_kwh: FloatArray) -> FloatArray:
        """What each battery holds, as far as its charger knows: as told, until it is full or holds more; (n,)."""
        c, holds_kwh = self._columns, self._population.energy_max_kwh
        is_full = energy_kwh >= holds_kwh - ENERGY_TOLERANCE_KWH
        return np.where(is_full, holds_kwh, np.maximum(c.told_max_kwh, energy_kwh))

    def stays(self, since_s: int) -> Stays:
        """Stays of the cars that take part that began after an instant, open ones included."""
        c, p = self._columns, self._population
        closed = self._log.tail(_UNPLUG, since_s)
        car = np.flatnonzero(c.is_plugged)
        never = np.full(len(car), NEVER_S, dtype=np.int64)
        still = [
            car,
            c.region_index[car],
            c.plug_s[car],
            never,
            c.arriving_kwh[car],
            c.declared_required_kwh[car],
            c.told_max_kwh[car],
        ]
        recent = [closed[2] > since_s, still[2] > since_s]
        rows = [np.concatenate([a[recent[0]], b[recent[1]]]) for a, b in zip(closed, still, strict=True)]
        order = np.lexsort((rows[2], rows[0]))
        order = order[p.takes_part[rows[0][order]]]  # the others are load, not cars to schedule
        vehicle, region, plug, unplug, arriving, required, told_max = (values[order] for values in rows)
        return Stays(
            vehicle_index=vehicle,
            region_index=region,
            plug_s=plug,
            unplug_s=unplug,
            arriving_kwh=arriving,
            required_kwh=required,
            energy_min_kwh=p.energy_min_kwh[vehicle],
            energy_max_kwh=told_max,
            charge_limit_kw=p.charge_limit_kw[vehicle],
            discharge_limit_kw=p.discharge_limit_kw[vehicle],
        )

    def _plug_in_queued(self, car: int) -> None:
        now = int(self._environment.now)
        self.waits.end(car, now, Ending.PLUGGED)
        self._plug_in(car, now, self._power.close(car, now))
        self._wake(np.array([car]))

    def _turn_away(self, car: int) -> None:
        self.waits.end(car, int(self._environment.now), Ending.BALKED)

    def _plug_in(self, car: int, now_s: int, energy_kwh: float) -> None:
        c = self._columns
        c.is_plugged[car] = True
        c.plug_s[car], c.arriving_kwh[car], c.upper_since_s[car] = now_s, energy_kwh, now_s
        self._declare(car)
        full = self._takes_power or c.is_waiting.item(car) or not self._population.takes_part.item(car)
        self._power.request(
            car, now_s, energy_kwh, self._population.charge_limit_kw.item(car) if full else 0.0
        )

    def _declare(self, car: int) -> None:
        c = self._columns
        departure_s = c.departure_s.item(car)
        c.stay_departure_s[car], c.stay_required_kwh[car] = departure_s, self._trips.required_kwh(car)
        c.told_max_kwh[car] = self._trips.told_max_kwh(car)
        if self._trips.is_undeclared(car):
            c.declared_departure_s[car], c.declared_required_kwh[car] = (
                NEVER_S,
                min(self._undeclared_kwh.item(car), c.told_max_kwh.item(car)),
            )
            return
        word = declare(
            departure_s,
            self._trips.declared_kwh(car),
            error_s=self._trips.error_s(car),
            plug_s=c.plug_s.item(car),
        )
        c.declared_departure_s[car], c.declared_required_kwh[car] = word
        self._trips.note_declared(car, word.departure_s)

    def _record_stay(self, c: Columns, car: int, now_s: int) -> None:
        begun = c.region_index.item(car), c.plug_s.item(car)
        told = c.declared_required_kwh.item(car), c.told_max_kwh.item(car)
        self._log.append((car, *begun, now_s, c.arriving_kwh.item(car), *told))

    def _wake(self, cars: IntArray) -> None:
        if self._wakes:
            for car in cars.tolist():
                if car in self._wakes:
                    self._wakes.pop(car).succeed()


def _whole_seconds(gap_kwh: float, rate_kw: float) -> int:
    return max(math.ceil(gap_kwh * _HOUR_S / rate_kw), 1)
