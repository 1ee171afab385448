"""How drivers err when they declare: drawn per stop, before the run, whatever the policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.itineraries import Itineraries
from agents.uniforms import uniform_blocks
from sim.arrays import BoolArray, FloatArray, IntArray, freeze
from sim.laws import quantile
from sim.randomness import Stream
from sim.scenario import Scenario

_MISSING, _ERROR = range(2)
_PER_STOP = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Declarations:
    """What is declared of each trip's departure at the plug-in before it; shapes (n_trips,)."""

    is_missing: BoolArray  # no departure is declared
    error_s: IntArray  # declared minus true departure
    required_kwh: FloatArray  # declared stored energy at departure; NaN: what it needs
    limit_kwh: FloatArray  # what the battery is told to hold during the stay; NaN: what it holds

    def __post_init__(self) -> None:
        freeze(self)


def draw_declarations(scenario: Scenario, trips: Itineraries) -> Declarations:
    """Draw whether each departure is declared, and by how much the declaration is wrong.

    Car and day have a block of uniforms of their own, two for each trip of the day: a fleet of 10 is the first 10 of
    1,000, and neither share nor law shifts another draw.
    """
    drivers = scenario.fleet.drivers
    simulation = scenario.simulation
    per_day = _PER_STOP * (int(trips.trip_index.max(initial=0)) + 1)
    keys, where = np.unique(np.stack([trips.vehicle_index, trips.day]), axis=1, return_inverse=True)
    uniforms = uniform_blocks(
        simulation.seed, simulation.replication, Stream.DRIVER, keys[0], keys[1], size=per_day
    )
    row, first = where.reshape(-1), _PER_STOP * trips.trip_index
    error_min = quantile(drivers.departure_error_min, uniforms[row, first + _ERROR])
    return Declarations(
        is_missing=uniforms[row, first + _MISSING] < drivers.missing_share,
        error_s=np.rint(60.0 * error_min).astype(np.int64),
        required_kwh=np.full(trips.n_trips, np.nan),
        limit_kwh=np.full(trips.n_trips, np.nan),
    )
