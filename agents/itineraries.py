"""The fleet's planned trips as flat arrays, sorted by car and departure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arrays import BoolArray, FloatArray, IntArray, freeze
from sim.clock import DAY_S


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Itineraries:
    """Planned trips of every car, independent of any policy.

    Trips of car i are ``first_trip[i]:first_trip[i + 1]``; all other arrays have shape (n_trips,). A car is
    at its home region before its first trip, and stays at a trip's destination until its next one.
    """

    first_trip: IntArray  # (n + 1,)
    vehicle_index: IntArray
    day: IntArray  # on which the trip is planned to begin, from -1
    trip_index: IntArray  # within the car's day, from 0
    origin_index: IntArray
    destination_index: IntArray
    depart_s: IntArray
    arrive_s: IntArray
    distance_km: FloatArray
    plugs_in: BoolArray  # the destination stop's plug-in draw
    is_first_from_home: BoolArray  # a day's first departure from home
    follows_night_at_home: BoolArray  # the stay before it is at home and holds a midnight: absorbs delays
    redrawn_days: int = 0  # car-days whose times were drawn again, because the chain did not end by 24:00
    compressed_days: int = 0  # car-days whose times were compressed, because redrawing did not help

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def n_trips(self) -> int:
        """Number of trips of the whole fleet."""
        return len(self.vehicle_index)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PlannedTrips:
    """Trips sorted by car and departure, as a source of travel gives them; shapes (n_trips,)."""

    vehicle_index: IntArray
    origin_index: IntArray
    destination_index: IntArray
    depart_s: IntArray
    arrive_s: IntArray
    distance_km: FloatArray
    plugs_in: BoolArray


def assemble_itineraries(
    home_index: IntArray, trips: PlannedTrips, *, redrawn_days: int = 0, compressed_days: int = 0
) -> Itineraries:
    """Derive offsets, numbering and flags of trips; ``home_index`` (n,) is each car's home region."""
    vehicle_index, origin_index = trips.vehicle_index, trips.origin_index
    depart_s, arrive_s = trips.depart_s, trips.arrive_s
    day = depart_s // DAY_S
    is_new_car = np.diff(vehicle_index, prepend=-1) != 0
    is_new_day = is_new_car | (np.diff(day, prepend=day[:1]) != 0)
    from_home = origin_index == home_index[vehicle_index]
    arrived_day = np.where(is_new_car, day - 1, np.roll(arrive_s, 1) // DAY_S) if len(day) else day
    return Itineraries(
        first_trip=np.searchsorted(vehicle_index, np.arange(len(home_index) + 1)),
        vehicle_index=vehicle_index,
        day=day,
        trip_index=_position_in_group(is_new_day),
        origin_index=origin_index,
        destination_index=trips.destination_index,
        depart_s=depart_s,
        arrive_s=arrive_s,
        distance_km=trips.distance_km,
        plugs_in=trips.plugs_in,
        is_first_from_home=_first_true_in_group(is_new_day, from_home),
        follows_night_at_home=from_home & (arrived_day < day),
        redrawn_days=redrawn_days,
        compressed_days=compressed_days,
    )


def _position_in_group(starts: BoolArray) -> IntArray:
    """Position of each entry since the last start.

    >>> _position_in_group(np.array([True, False, False, True])).tolist()
    [0, 1, 2, 0]
    """
    index = np.arange(len(starts), dtype=np.int64)
    return index - np.maximum.accumulate(np.where(starts, index, 0))


def _first_true_in_group(starts: BoolArray, flags: BoolArray) -> BoolArray:
    """Mark the first true flag of each group.

    >>> starts, flags = np.array([True, False, True, False]), np.array([False, True, True, True])
    >>> _first_true_in_group(starts, flags).tolist()
    [False, True, True, False]
    """
    if not len(flags):
        return flags
    before: IntArray = np.cumsum(flags) - flags
    at_start: IntArray = before[np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))]
    is_first: BoolArray = flags & (before == at_start)
    return is_first
