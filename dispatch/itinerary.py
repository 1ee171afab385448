"""Where each car will be plugged in over the horizon, and which energies it must and may hold there.

Steps are counted from the decision's instant; the energies are those at a step's end. In the step of a departure a
car counts with the plugged fraction of the step; a car that arrives inside a step has nothing in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sim.arrays import BoolArray, FloatArray, IntArray, freeze
from sim.clock import NEVER_S
from sim.contracts import Cars, Trips


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Itinerary:
    """The fleet over a horizon of K steps; arrays (K, n) unless said otherwise."""

    is_known: BoolArray  # whether the program has the car's energy at the step's end
    fraction: FloatArray  # plugged part of the step
    region_index: IntArray  # where plugged, -1 elsewhere
    leaving_kwh: FloatArray  # energy of the trips since the last known step, less help
    passed_kwh: FloatArray  # the part of it that is taken before the step begins
    lower_kwh: FloatArray  # bounds of the energy at the step's end
    upper_kwh: FloatArray
    floor_kwh: FloatArray  # bound that holds even where a requirement is missed
    highest_kwh: FloatArray  # what full charging all the way would make
    departure_s: IntArray  # of a plugged stay that ends in the step; NEVER_S elsewhere
    required_kwh: FloatArray  # energy at the step's end that such a departure needs; 0 elsewhere
    start_kwh: FloatArray  # (n,) energy now
    last_step: IntArray  # (n,) the last step the program follows the car, -1 when there is none
    departs_with_value: BoolArray  # (n,) whether the energy after that step drives away
    lowered_kwh: float  # by which unreachable departure requirements were lowered
    help_kwh: float  # that trips lack even after charging at full power

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def n_steps(self) -> int:
        """Steps of the horizon."""
        return len(self.fraction)


@dataclass(slots=True)
class _Draft:
    """Columns being filled, before the reachable energies are known."""

    is_known: BoolArray
    fraction: FloatArray
    region_index: IntArray
    leaving_kwh: FloatArray
    required_kwh: FloatArray
    departure_s: IntArray
    soonest_kwh: FloatArray  # (n,) wanted as soon as full charging can bring it

    @classmethod
    def empty(cls, n_steps: int, n_cars: int) -> _Draft:
        shape = (n_steps, n_cars)
        return cls(
            is_known=np.zeros(shape, bool),
            fraction=np.zeros(shape),
            region_index=np.full(shape, -1, np.int64),
            leaving_kwh=np.zeros(shape),
            required_kwh=np.zeros(shape),
            departure_s=np.full(shape, NEVER_S, np.int64),
            soonest_kwh=np.zeros(n_cars),
        )

    def plug(self, car: IntArray, region: IntArray, first_step: IntArray, end_step: FloatArray) -> None:
        """Enter plugged stays: from a whole step on, up to an end in steps that need not be whole."""
        n_steps = len(self.fraction)
        last = np.ceil(np.minimum(end_step, n_steps)).astype(np.int64)
        count = np.maximum(last - first_step, 0)
        stay = np.repeat(np.arange(len(car)), count)
        step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first_step[stay]
        self.fraction[step, car[stay]] = np.minimum(end_step[stay] - step, 1.0)
        self.region_index[step, car[stay]] = region[stay]


def declared(cars: Cars, now_s: int, n_steps: int, *, step_s: int, keeps_tail: bool) -> Itinerary:
    """Itinerary of the current plugged stays as their drivers declared them; nothing is known of what follows.

    Where no departure is declared, the car may leave at any time: what it needs is wanted as soon as possible.

    Parameters
    ----------
    keeps_tail
        Whether a departure beyond the horizon bounds the energy at the horizon's end (its requirement less full
        charging).
    """
    draft = _Draft.empty(n_steps, cars.n)
    plugged = np.flatnonzero(cars.is_plugged)
    departure_s = _not_before_next_boundary(cars.departure_s, now_s, step_s)
    end_step = _in_steps(departure_s, now_s, step_s)
    draft.plug(plugged, cars.region_index[plugged], np.zeros(len(plugged), np.int64), end_step[plugged])
    draft.is_known[:] = draft.fraction > 0
    last_step = np.where(cars.is_plugged, np.minimum(np.ceil(end_step), n_steps).astype(np.int64) - 1, -1)
    leaves = cars.is_plugged & (end_step <= n_steps)
    draft.soonest_kwh[:] = np.where(cars.is_plugged & (cars.departure_s == NEVER_S), cars.required_kwh, 0.0)
    _require(draft, cars, np.flatnonzero(leaves), last_step, departure_s)
    if keeps_tail:
        _keep_tail(draft, cars, np.flatnonzero(cars.is_plugged & ~leaves), end_step, step_s)
    return _reach(draft, cars, cars.energy_kwh, last_step, leaves, step_s)


def by_trips(
    cars: Cars, trips: Trips, now_s: int, n_steps: int, *, step_s: int, keeps_tail: bool
) -> Itinerary:
    """Itinerary along true trips: every stay of the horizon is explicit, a trip under way included.

    Who knows a trip knows what it needs: a driver who asked for less is charged beyond that.
    """
    most_kwh = cars.energy_max_kwh.copy()
    np.maximum.at(most_kwh, trips.vehicle_index, trips.required_kwh)
    cars = replace(cars, energy_max_kwh=most_kwh)
    draft = _Draft.empty(n_steps, cars.n)
    draft.is_known[:] = True
    under_way = (trips.depart_s <= now_s) & ~cars.is_plugged[trips.vehicle_index]
    depart_s = np.where(under_way, trips.depart_s, _not_before_next_boundary(trips.depart_s, now_s, step_s))
    depart_step = np.where(under_way, 0.0, _in_steps(depart_s, now_s, step_s))
    first_step = -((now_s - trips.arrive_s) // step_s)
    next_end = _end_of_stay_after(trips, depart_step, n_steps)
    at_charger = np.flatnonzero(trips.is_plugged & (first_step < np.minimum(next_end, n_steps)))
    draft.plug(
        trips.vehicle_index[at_charger],
        trips.region_index[at_charger],
        first_step[at_charger],
        next_end[at_charger],
    )
    first_trip = np.full(cars.n, -1, np.int64)
    first_trip[trips.vehicle_index[::-1]] = np.arange(len(trips.depart_s))[::-1]
    current_end = _current_end(cars, first_trip, depart_step, now_s, step_s)
    plugged = np.flatnonzero(cars.is_plugged)
    draft.plug(plugged, cars.region_index[plugged], np.zeros(len(plugged), np.int64), current_end[plugged])
    _take_trips(draft, trips, depart_step, depart_s, under_way)
    if keeps_tail:
        stays_on = np.flatnonzero(cars.is_plugged & (current_end > n_steps))
        _keep_tail(draft, cars, stays_on, current_end, step_s)
    start = cars.energy_kwh if trips.car_energy_kwh is None else trips.car_energy_kwh
    last_step = np.full(cars.n, n_steps - 1)
    return _reach(draft, cars, start, last_step, np.zeros(cars.n, bool), step_s)


def _in_steps(instant_s: IntArray, now_s: int, step_s: int) -> FloatArray:
    return (np.minimum(instant_s, NEVER_S) - now_s) / step_s


def _not_before_next_boundary(departure_s: IntArray, now_s: int, step_s: int) -> IntArray:
    """A car still plugged at its departure waits for energy: it is taken to leave one step from now."""
    return np.where(departure_s <= now_s, now_s + step_s, departure_s)


def _require(draft: _Draft, cars: Cars, who: IntArray, last_step: IntArray, departure_s: IntArray) -> None:
    draft.required_kwh[last_step[who], who] = cars.required_kwh[who]
    draft.departure_s[last_step[who], who] = departure_s[who]


def _keep_tail(draft: _Draft, cars: Cars, who: IntArray, end_step: FloatArray, step_s: int) -> None:
    """Energy at the horizon's end from which full charging still reaches the requirement of a later departure."""
    n_steps = len(draft.fraction)
    tail = enough_before(cars, who, end_step[who] - n_steps, step_s)
    draft.required_kwh[n_steps - 1, who] = np.maximum(draft.required_kwh[n_steps - 1, who], tail)


def enough_before(cars: Cars, who: IntArray, later_steps: FloatArray, step_s: int) -> FloatArray:
    """Least energies from which full charging reaches what cars are required to have; shape of ``who``.

    Parameters
    ----------
    later_steps
        Steps of charging until then, the last of them in part where the number is not whole.
    """
    required, stored = cars.required_kwh[who], cars.charge_efficiency[who] * cars.charge_limit_kw[who]
    stored = stored * step_s / 3600.0
    if cars.taper is None:
        return required - stored * later_steps
    taper, whole = cars.taper.of(who), np.floor(later_steps)
    energy = taper.before(required, stored * (later_steps - whole))
    while (goes_on := (whole > 0.0) & (energy > cars.energy_min_kwh[who])).any():
        energy = np.where(goes_on, taper.before(energy, stored), energy)
        whole = whole - 1.0
    return energy


def _end_of_stay_after(trips: Trips, depart_step: FloatArray, n_steps: int) -> FloatArray:
    """When the stay at each trip's destination ends, in steps; beyond the horizon when no trip follows."""
    following = np.full(len(depart_step), n_steps + 1.0)
    same_car = trips.vehicle_index[1:] == trips.vehicle_index[:-1]
    following[:-1][same_car] = depart_step[1:][same_car]
    return following


def _current_end(
    cars: Cars, first_trip: IntArray, depart_step: FloatArray, now_s: int, step_s: int
) -> FloatArray:
    """End of each car's present stay, in steps: its first trip, or as declared when no trip is given."""
    stated = _in_steps(_not_before_next_boundary(cars.departure_s, now_s, step_s), now_s, step_s)
    has_trip = first_trip >= 0
    stated[has_trip] = depart_step[first_trip[has_trip]]
    return stated


def _take_trips(
    draft: _Draft, trips: Trips, depart_step: FloatArray, depart_s: IntArray, under_way: BoolArray
) -> None:
    """Enter the trips' energies and requirements in the steps of their departures.

    Of several trips in one step the energy needed at its end is that of each departure less all trips from it on.
    """
    n_steps = len(draft.fraction)
    step = np.maximum(np.ceil(depart_step).astype(np.int64) - 1, 0)
    chosen = np.flatnonzero(depart_step <= n_steps)
    step, car, energy = step[chosen], trips.vehicle_index[chosen], trips.energy_kwh[chosen]
    np.add.at(draft.leaving_kwh, (step, car), energy)
    total = np.cumsum(energy)
    key = car * n_steps + step
    is_last = np.append(key[1:] != key[:-1], True) if len(key) else np.zeros(0, bool)
    group_end = (
        np.flatnonzero(is_last)[np.cumsum(np.append(0, is_last[:-1])).astype(np.int64)] if len(key) else key
    )
    from_here_on = total[group_end] - total + energy
    planned = ~under_way[chosen]
    np.maximum.at(
        draft.required_kwh,
        (step[planned], car[planned]),
        (trips.required_kwh[chosen] - from_here_on)[planned],
    )
    np.minimum.at(draft.departure_s, (step[planned], car[planned]), depart_s[chosen][planned])


def _reach(
    draft: _Draft, cars: Cars, start_kwh: FloatArray, last_step: IntArray, leaves: BoolArray, step_s: int
) -> Itinerary:
    """Bounds that full charging can keep: requirements lowered and trips helped where it cannot."""
    gain_kwh = cars.charge_efficiency * cars.charge_limit_kw * step_s / 3600.0 * draft.fraction
    highest, help_kwh = np.empty_like(gain_kwh), np.zeros_like(gain_kwh)
    reached = start_kwh.astype(float)
    for k, leaving_kwh in enumerate(draft.leaving_kwh):
        gain = gain_kwh[k] if cars.taper is None else gain_kwh[k] * cars.taper.share(reached)
        full = np.maximum(np.minimum(reached + gain, cars.energy_max_kwh), reached)
        reached = full - leaving_kwh
        if leaving_kwh.any():
            help_kwh[k] = np.where(leaving_kwh > 0, np.maximum(cars.energy_min_kwh - reached, 0.0), 0.0)
            reached += help_kwh[k]
        highest[k] = reached
    draft.leaving_kwh -= help_kwh
    short = np.maximum(draft.required_kwh - highest, 0.0)
    lowered = float(short[draft.is_known & (short > 1e-9)].sum())
    np.minimum(draft.required_kwh, highest, out=draft.required_kwh)
    wanted = np.maximum(draft.required_kwh, draft.soonest_kwh)
    lower = np.minimum(np.maximum(wanted, cars.energy_min_kwh), highest)
    upper = np.maximum(cars.energy_max_kwh - np.maximum(draft.leaving_kwh, 0.0), highest)
    floor = _floor(draft.leaving_kwh, start_kwh, cars.energy_min_kwh)
    passed = _pass_over_gaps(draft, lower)
    return Itinerary(
        is_known=draft.is_known,
        fraction=draft.fraction,
        region_index=draft.region_index,
        leaving_kwh=draft.leaving_kwh,
        passed_kwh=passed,
        lower_kwh=lower,
        upper_kwh=upper,
        floor_kwh=np.minimum(floor, lower),
        highest_kwh=highest,
        departure_s=draft.departure_s,
        required_kwh=draft.required_kwh,
        start_kwh=start_kwh,
        last_step=last_step,
        departs_with_value=leaves,
        lowered_kwh=lowered,
        help_kwh=float(help_kwh.sum()),
    )


def _floor(leaving_kwh: FloatArray, start_kwh: FloatArray, at_least_kwh: FloatArray) -> FloatArray:
    """Lowest energies that can be asked for: the cars' least, or what a car that never charges has left below it."""
    floor, energy = np.empty_like(leaving_kwh), start_kwh.astype(float)
    for k, leaving in enumerate(leaving_kwh):
        if leaving.any():
            energy = np.maximum(energy - leaving, np.minimum(energy, at_least_kwh))
        floor[k] = energy
    return np.minimum(floor, at_least_kwh)


def _pass_over_gaps(draft: _Draft, lower: FloatArray) -> FloatArray:
    """Leave out the steps in which a car cannot exchange energy (all but the last of the horizon).

    Trips of such a step are taken in the next known one, and returned for that; the energy they need is asked of the
    last known one before.
    """
    n_steps, n_cars = draft.fraction.shape
    gaps = draft.is_known & (draft.fraction <= 0)
    gaps[-1:] = False
    beside: BoolArray = np.any(gaps, axis=1)
    after = np.append(beside[1:], False)  # a known step before a gap is asked for what the gap needs
    needed, departure = np.full(n_cars, -np.inf), np.full(n_cars, NEVER_S)
    for k in np.flatnonzero(beside | after)[::-1]:
        gap = gaps[k]
        asked = np.where(gap, -np.inf, needed)
        binds = asked > lower[k]
        lower[k] = np.where(binds, asked, lower[k])
        draft.required_kwh[k] = np.where(binds, asked, draft.required_kwh[k])
        draft.departure_s[k] = np.where(binds, departure, draft.departure_s[k])
        departs = gap & (lower[k] > needed)
        departure = np.where(departs & (draft.departure_s[k] != NEVER_S), draft.departure_s[k], departure)
        needed = np.where(gap, np.maximum(needed, lower[k]) + draft.leaving_kwh[k], -np.inf)
    taken, passed = np.zeros(n_cars), np.zeros(draft.fraction.shape)
    for k in np.flatnonzero(beside | np.append(False, beside[:-1])):
        passed[k] = np.where(gaps[k], 0.0, taken)
        taken = taken + draft.leaving_kwh[k]
        draft.leaving_kwh[k] = np.where(gaps[k], 0.0, taken)
        taken = np.where(gaps[k], taken, 0.0)
    draft.is_known &= ~gaps
    draft.departure_s[gaps] = NEVER_S
    draft.required_kwh[gaps] = 0.0
    return passed
