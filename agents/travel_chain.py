"""Sampled travel: where each car goes on each day (Zhang 2025, Eqs. 1-9), for the whole fleet at once.

Uniforms. Car v has for day d the blocks ``(seed, replication, TRAVEL, v, d, block)`` of 64 uniforms. With M =
``max_trips_per_day``, the first 1 + 3 M of block 0 choose the chain: one for "stays at home", then per trip
one for the next place type, one for the region, one for the stop's plug-in draw. Attempts to draw its times
use 1 + 3 M each (``agents.trip_times``): as many as fit into the rest of block 0, then whole blocks filled
from their start. Every place has its own uniform whether it is needed or not, so no probability or policy
shifts another draw.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Final

import numpy as np

from agents.itineraries import Itineraries, PlannedTrips, assemble_itineraries
from agents.population import Population
from agents.trip_times import Chains, draw_times
from agents.uniforms import uniform_blocks
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.randomness import Stream
from sim.regions import RoadTables, place_choices, region_graph, road_tables
from sim.scenario import Scenario, TransitionMatrix

BLOCK_SIZE: Final = 64
_SATURDAY: Final = 5
_CAR_DAYS_AT_ONCE: Final = 16_384  # bounds the working memory


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Draws:
    """Uniforms of the chain; per trip shapes (n_rows, max_trips)."""

    stays_home: FloatArray
    place: FloatArray
    region: FloatArray
    plug: FloatArray


def sample_itineraries(
    scenario: Scenario, population: Population, stream: Stream = Stream.TRAVEL
) -> Itineraries:
    """Sample every car's trips for the days -1 to N inclusive.

    Parameters
    ----------
    stream
        Whose uniforms; another one than the run's own for cars that are not of the run.

    Raises
    ------
    ScenarioError
        When distances follow roads and no road leads where a car goes.
    """
    n, n_days = population.n, scenario.simulation.days + 2
    roads = road_tables(region_graph(scenario)) if scenario.travel.distance == "road" else None
    n_cars = max(_CAR_DAYS_AT_ONCE // n_days, 1)
    parts = [
        _sample_cars(
            scenario, population, np.arange(first, min(first + n_cars, n), dtype=np.int64), roads, stream
        )
        for first in range(0, max(n, 1), n_cars)
    ]
    return assemble_itineraries(
        population.home_index,
        PlannedTrips(
            **{
                item.name: np.concatenate([getattr(trips, item.name) for trips, _, _ in parts])
                for item in fields(PlannedTrips)
            }
        ),
        redrawn_days=sum(redrawn for _, redrawn, _ in parts),
        compressed_days=sum(compressed for _, _, compressed in parts),
    )


def _sample_cars(
    scenario: Scenario,
    population: Population,
    cars: IntArray,
    roads: RoadTables | None,
    stream: Stream,
) -> tuple[PlannedTrips, int, int]:
    """Sample trips of some cars; also the car-days whose times were redrawn, and compressed."""
    n_days = scenario.simulation.days + 2
    car = np.repeat(cars, n_days)
    day = np.tile(np.arange(-1, n_days - 1, dtype=np.int64), len(cars))
    draws, attempts = _uniforms(scenario, car, day, stream)
    place, n_trips = _chains(scenario, draws, _is_weekend(scenario, day))
    home = scenario.place_types.index(scenario.travel.home)
    origin, destination = _regions(
        scenario, population.home_index[car], population.work_index[car], place, draws
    )
    chains = Chains(
        day=day,
        n_trips=n_trips,
        place=place,
        origin_place=np.column_stack([np.full(len(car), home), place[:, :-1]]),
        origin_index=origin,
        destination_index=destination,
        home_place=home,
    )
    times = draw_times(scenario, chains, attempts, roads)
    taken = chains.is_trip
    probability = np.array(
        [scenario.fleet.plug_in_probability.get(r.place_type, 0.0) for r in scenario.regions]
    )
    trips = PlannedTrips(
        vehicle_index=np.repeat(car, n_trips),
        origin_index=origin[taken],
        destination_index=destination[taken],
        depart_s=times.depart_s[taken],
        arrive_s=times.arrive_s[taken],
        distance_km=times.distance_km[taken],
        plugs_in=(draws.plug < probability[destination])[taken],
    )
    return trips, times.redrawn_days, times.compressed_days


class _Attempts:
    """Uniforms of the attempts to draw times, as the module's text lays them out."""

    def __init__(
        self, key: tuple[int, int, Stream], car: IntArray, day: IntArray, rest: FloatArray, size: int
    ) -> None:
        self._key = key
        self._car, self._day, self._rest, self._size = car, day, rest, size

    def uniforms(self, rows: IntArray, attempt: int) -> FloatArray:
        """Uniforms of one attempt for some car-days; shape (len(rows), 1 + 3 M)."""
        in_first = self._rest.shape[1] // self._size
        if attempt < in_first:
            return self._rest[rows, attempt * self._size : (attempt + 1) * self._size]
        block, slot = divmod(attempt - in_first, BLOCK_SIZE // self._size)
        used = (slot + 1) * self._size
        drawn = uniform_blocks(*self._key, self._car[rows], self._day[rows], size=used, block=block + 1)
        return drawn[:, used - self._size :]


def _uniforms(scenario: Scenario, car: IntArray, day: IntArray, stream: Stream) -> tuple[_Draws, _Attempts]:
    m = scenario.travel.max_trips_per_day
    key = (scenario.simulation.seed, scenario.simulation.replication, stream)
    block = uniform_blocks(*key, car, day, size=BLOCK_SIZE)
    per_trip = block[:, 1 : 1 + 3 * m].reshape(len(car), m, 3)
    draws = _Draws(
        stays_home=block[:, 0], place=per_trip[:, :, 0], region=per_trip[:, :, 1], plug=per_trip[:, :, 2]
    )
    return draws, _Attempts(key, car, day, block[:, 1 + 3 * m :], 1 + 3 * m)


def _is_weekend(scenario: Scenario, day: IntArray) -> BoolArray:
    first = (scenario.simulation.start + timedelta(days=-1)).weekday()
    return (first + day + 1) % 7 >= _SATURDAY


def _cumulative(scenario: Scenario, matrix: TransitionMatrix) -> FloatArray:
    """Cumulative transition probabilities, rows and columns in the order of the scenario's place types."""
    types = scenario.place_types
    rows = np.array([[matrix.get(a, {}).get(b, 0.0) for b in types] for a in types])
    cumulative: FloatArray = np.cumsum(rows, axis=1)
    return cumulative / np.maximum(cumulative[:, -1:], np.finfo(float).tiny)


def _chains(scenario: Scenario, draws: _Draws, is_weekend: BoolArray) -> tuple[IntArray, IntArray]:
    """Place types visited, shape (n_rows, M) with -1 after the chain's end, and each chain's length."""
    travel = scenario.travel
    home = scenario.place_types.index(travel.home)
    cumulative = np.stack(
        [_cumulative(scenario, travel.chain.weekday), _cumulative(scenario, travel.chain.weekend)]
    )
    stay_share = np.where(is_weekend, travel.stay_home_share_weekend, travel.stay_home_share_weekday)
    m, matrix = travel.max_trips_per_day, is_weekend.astype(np.int64)
    place = np.full((len(is_weekend), m), -1, dtype=np.int64)
    here = np.full(len(is_weekend), home, dtype=np.int64)
    goes_on = draws.stays_home >= stay_share
    for k in range(m):
        u = draws.place[:, k]
        if k > 0:  # back home, one uniform both decides to leave again and, rescaled, where to
            leaves = (u < travel.leave_again_probability) & (k < m - 1)
            goes_on &= (here != home) | leaves
            u = np.where(here == home, u / max(travel.leave_again_probability, np.finfo(float).tiny), u)
        drawn = (cumulative[matrix, here] <= np.minimum(u, 1.0)[:, None]).sum(axis=1)
        drawn = np.minimum(drawn, len(scenario.place_types) - 1) if k < m - 1 else np.full_like(here, home)
        here = np.where(goes_on, drawn, here)
        place[:, k] = np.where(goes_on, here, -1)
    return place, (place >= 0).sum(axis=1)


def _regions(
    scenario: Scenario, home_index: IntArray, work_index: IntArray, place: IntArray, draws: _Draws
) -> tuple[IntArray, IntArray]:
    """Regions where each trip begins and ends: the car's own home and work, else by weight; (n_rows, M)."""
    choices = place_choices(scenario)
    destination = np.repeat(home_index[:, None], place.shape[1], axis=1)
    for index, name in enumerate(scenario.place_types):
        if name == scenario.travel.home:
            continue
        if name == scenario.travel.work:
            chosen = np.broadcast_to(work_index[:, None], place.shape)
        else:
            chosen = choices[name].choose(draws.region)
        destination = np.where(place == index, chosen, destination)
    return np.column_stack([home_index, destination[:, :-1]]), destination
