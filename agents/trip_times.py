"""When each trip of a chain begins and ends, and how far it goes (Zhang 2025, Eqs. 1-8).

An attempt uses 1 + 3 M uniforms: one for the first departure, then per trip one for its duration, one for its
distance and one for the stay after it. "A chain must end by 24:00": where it does not, its times are drawn
again, the chain kept. After ``MAX_ATTEMPTS`` the last attempt is compressed without chance and counted: stays
shrink together; where the trips alone are too long the first departure moves to an earlier hour, then the
trips shrink too.

Where distances follow roads, the uniforms of duration and distance stay unused; a trip within one region has
0 km and takes one second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from sim.arrays import BoolArray, FloatArray, IntArray
from sim.clock import DAY_S
from sim.errors import ScenarioError
from sim.laws import quantile, truncated_normal
from sim.regions import RoadTables
from sim.scenario import Scenario, TripClass

MAX_ATTEMPTS: Final = 16
_LAST_S: Final = DAY_S - 1  # the last second of the day: the car is home when midnight strikes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chains:
    """Chains of n_rows car-days; two-dimensional arrays have shape (n_rows, M)."""

    day: IntArray  # (n_rows,)
    n_trips: IntArray  # (n_rows,)
    place: IntArray  # type of each stop, -1 after the chain's end
    origin_place: IntArray
    origin_index: IntArray  # regions
    destination_index: IntArray
    home_place: int

    @property
    def is_trip(self) -> BoolArray:
        """Which of the M places in a row hold a trip."""
        return self.place >= 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Times:
    """Instants since the scenario's start; shapes (n_rows, M), meaningless where there is no trip."""

    depart_s: IntArray
    arrive_s: IntArray
    distance_km: FloatArray
    redrawn_days: int
    compressed_days: int


class UniformSource(Protocol):
    """Where the uniforms of each attempt come from."""

    def uniforms(self, rows: IntArray, attempt: int) -> FloatArray:
        """Uniforms of one attempt for some rows; shape (len(rows), 1 + 3 M)."""
        ...


def draw_times(scenario: Scenario, chains: Chains, source: UniformSource, roads: RoadTables | None) -> Times:
    """Draw the times of all chains; rows whose chain does not end by 24:00 are drawn again.

    Raises
    ------
    ScenarioError
        When distances follow roads and no road joins two regions that a car travels between.
    """
    if roads is not None:
        _check_roads(scenario, chains, roads)
    shape = chains.place.shape
    start, end = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    distance = np.zeros(shape)
    pending = np.flatnonzero(chains.n_trips > 0)
    redrawn = 0
    for attempt in range(MAX_ATTEMPTS):
        first, duration, stay, km = _attempt(
            scenario, chains, pending, source.uniforms(pending, attempt), roads
        )
        is_late = first + duration.sum(axis=1) + stay.sum(axis=1) > _LAST_S
        if attempt == MAX_ATTEMPTS - 1:
            first, duration, stay = _compress(first, duration, stay)
        done = slice(None) if attempt == MAX_ATTEMPTS - 1 else ~is_late
        rows = pending[done]
        start[rows], end[rows] = _instants(chains.day[rows], first[done], duration[done], stay[done])
        distance[rows] = km[done]
        redrawn = int(is_late.sum()) if attempt == 0 else redrawn
        pending = pending[is_late]
        if not len(pending):
            break
    return Times(
        depart_s=start, arrive_s=end, distance_km=distance, redrawn_days=redrawn, compressed_days=len(pending)
    )


def _instants(
    day: IntArray, first: IntArray, duration: IntArray, stay: IntArray
) -> tuple[IntArray, IntArray]:
    length = duration + stay
    start = (day * DAY_S + first)[:, None] + np.cumsum(length, axis=1) - length
    return start, start + duration


def _attempt(
    scenario: Scenario, chains: Chains, rows: IntArray, u: FloatArray, roads: RoadTables | None
) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """First departure (n,); durations, stays (seconds, 0 beyond the chain) and distances (n, M)."""
    travel = scenario.travel
    m = travel.max_trips_per_day
    per_trip = u[:, 1:].reshape(len(rows), m, 3)
    is_trip = chains.is_trip[rows]
    first = np.rint(quantile(travel.first_departure_h, u[:, 0]) * 3600.0).astype(np.int64)
    duration, km = np.zeros(is_trip.shape, dtype=np.int64), np.zeros(is_trip.shape)
    if roads is None:
        from_home = chains.origin_place[rows] == chains.home_place
        to_home = chains.place[rows] == chains.home_place
        for trip_class, member in (
            (travel.trip_from_home, is_trip & from_home),
            (travel.trip_to_home, is_trip & ~from_home & to_home),
            (travel.trip_between, is_trip & ~from_home & ~to_home),
        ):
            duration[member] = _whole_seconds(
                quantile(trip_class.duration_min, per_trip[:, :, 0][member]) * 60.0
            )
            km[member] = _distance(scenario, trip_class, duration[member], per_trip[:, :, 1][member])
    else:
        pair = chains.origin_index[rows][is_trip], chains.destination_index[rows][is_trip]
        duration[is_trip] = _whole_seconds(roads.duration_h[pair] * 3600.0)
        km[is_trip] = roads.distance_km[pair]
    return first, duration, _stays(scenario, chains, rows, per_trip[:, :, 2]), km


def _stays(scenario: Scenario, chains: Chains, rows: IntArray, u: FloatArray) -> IntArray:
    """Seconds between a trip's arrival and the next one's departure; 0 after the last trip."""
    stay = np.zeros(u.shape, dtype=np.int64)
    has_next = np.arange(u.shape[1]) < chains.n_trips[rows, None] - 1
    for index, name in enumerate(scenario.place_types):
        member = has_next & (chains.place[rows] == index)
        if member.any():
            stay[member] = _whole_seconds(quantile(scenario.travel.dwell_min[name], u[member]) * 60.0)
    return stay


def _whole_seconds(seconds: FloatArray) -> IntArray:
    return np.maximum(np.rint(seconds), 1.0).astype(np.int64)


def _distance(scenario: Scenario, trip_class: TripClass, duration_s: IntArray, u: FloatArray) -> FloatArray:
    """Distance given the duration (Eq. 8): a normal law conditional on distance and speed being possible."""
    limits, windows = scenario.travel.limits, sorted(trip_class.mileage, key=lambda window: window.from_min)
    begins = np.array([window.from_min for window in windows])
    window = np.maximum(np.searchsorted(begins, duration_s / 60.0, side="right") - 1, 0)
    hours = duration_s / 3600.0
    return truncated_normal(
        u,
        np.array([item.mean_km for item in windows])[window],
        np.array([item.sd_km for item in windows])[window],
        limits.min_speed_kmh * hours,
        np.minimum(limits.max_km, limits.max_speed_kmh * hours),
    )


def _compress(first: IntArray, duration: IntArray, stay: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Fit chains into the day: shrink the stays, then leave earlier, then shrink the trips."""
    n_stays = (stay > 0).sum(axis=1)
    driving = duration.sum(axis=1)
    shrink = np.minimum(1.0, (_LAST_S - n_stays) / np.maximum(driving, 1))
    duration = np.where(duration > 0, np.maximum(np.floor(duration * shrink[:, None]), 1), 0).astype(np.int64)
    driving = duration.sum(axis=1)
    first = np.maximum(np.minimum(first, _LAST_S - driving - n_stays), 0)
    spare = np.maximum(_LAST_S - first - driving - n_stays, 0)
    beyond = np.maximum(stay - 1, 0)
    share = np.minimum(1.0, spare / np.maximum(beyond.sum(axis=1), 1))
    stay = np.where(stay > 0, 1 + np.floor(beyond * share[:, None]), 0).astype(np.int64)
    return first, duration, stay


def _check_roads(scenario: Scenario, chains: Chains, roads: RoadTables) -> None:
    pairs = np.stack([chains.origin_index[chains.is_trip], chains.destination_index[chains.is_trip]], axis=1)
    names = scenario.region_names
    faults = [
        f"roads: no road leads from {names[a]!r} to {names[b]!r}"
        for a, b in np.unique(pairs, axis=0)
        if not np.isfinite(roads.distance_km[a, b])
    ]
    if faults:
        raise ScenarioError(faults)
