"""Charging sessions as the fleet's travel: each is a car that comes, plugs in, wants energy, and leaves.

What a car had when it came is not known: its stored energy counts from the class's initial one. What it takes is
known afterwards, so its battery holds just that much more; what its driver declared is all that others are told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from agents.declarations import Declarations
from agents.itineraries import Itineraries, PlannedTrips, assemble_itineraries
from agents.population import Population
from sim.arrays import BoolArray, FloatArray, IntArray, freeze
from sim.clock import NEVER_S
from sim.scenario import Scenario
from sim.trace import SERVED

ROAD_S: Final = 60
"""On the road before it comes and after it leaves; of no length, for where from and where to is not known."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sessions:
    """Sessions in order of arrival, those left out among them; every array has shape (n,).

    The k-th of those served is car k.
    """

    session_id: tuple[str, ...]
    status: tuple[str, ...]  # SERVED, OPEN_AT_START, or what is wrong
    region_index: IntArray
    arrive_s: IntArray  # NEVER_S where not readable
    depart_s: IntArray
    energy_kwh: FloatArray  # that the car takes, at the bus; NaN where not readable
    declared_depart_s: IntArray  # NEVER_S where none was declared
    declared_kwh: FloatArray  # at the bus; NaN where none was declared
    charge_limit_kw: FloatArray  # of car and charger

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def is_served(self) -> BoolArray:
        """Which sessions are cars of the run; (n,)."""
        return np.array([status == SERVED for status in self.status], dtype=np.bool_)

    def served(self) -> Sessions:
        """Those that are cars of the run."""
        chosen = np.flatnonzero(self.is_served)
        arrays = {
            name: getattr(self, name)[chosen]
            for name in self.__slots__
            if isinstance(getattr(self, name), np.ndarray)
        }
        ids = tuple(self.session_id[i] for i in chosen.tolist())
        return replace(self, session_id=ids, status=(SERVED,) * len(ids), **arrays)


def session_population(population: Population, served: Sessions) -> Population:
    """Cars that take what their sessions took, and no more."""
    limit_kw = np.minimum(population.charge_limit_kw, served.charge_limit_kw)
    most_kwh = population.initial_kwh + population.charge_efficiency * served.energy_kwh
    return replace(
        population,
        charge_limit_kw=limit_kw,
        energy_max_kwh=most_kwh,
        soc_max=most_kwh / population.battery_kwh,
    )


def session_itineraries(scenario: Scenario, home_index: IntArray, served: Sessions) -> Itineraries:
    """Two trips a session: from away to the charger, and away again. Who comes, comes to charge."""
    n = len(served.arrive_s)
    car = np.repeat(np.arange(n, dtype=np.int64), 2)
    comes = np.arange(2 * n) % 2 == 0
    region, home = served.region_index[car], home_index[car]
    comes_from_s = served.arrive_s - ROAD_S
    comes_from_s = np.where(served.arrive_s > 0, np.maximum(comes_from_s, 0), comes_from_s)
    planned = PlannedTrips(
        vehicle_index=car,
        origin_index=np.where(comes, home, region),
        destination_index=np.where(comes, region, home),
        depart_s=np.where(comes, comes_from_s[car], served.depart_s[car]),
        arrive_s=np.where(comes, served.arrive_s[car], served.depart_s[car] + ROAD_S),
        distance_km=np.zeros(2 * n),
        plugs_in=comes,
    )
    return assemble_itineraries(home_index, planned)


def session_wishes(population: Population) -> FloatArray:
    """Energy wanted at each trip's departure: at the charger's, what the session took; (2 n,)."""
    wanted = np.zeros(2 * population.n)
    wanted[1::2] = population.energy_max_kwh
    return wanted


def session_declarations(population: Population, rated_kwh: FloatArray, served: Sessions) -> Declarations:
    """What the drivers declared of departure and energy; nothing of the trip that brings them.

    Parameters
    ----------
    rated_kwh
        Shape (n,): what a battery of the class can hold, which is all that an undeclared energy can be.
    """
    n = population.n
    is_missing = np.zeros(2 * n, dtype=np.bool_)
    error_s = np.zeros(2 * n, dtype=np.int64)
    required_kwh = np.full(2 * n, np.nan)
    limit_kwh = np.full(2 * n, np.nan)
    told = served.declared_depart_s != NEVER_S
    is_missing[1::2] = ~told
    error_s[1::2] = np.where(told, served.declared_depart_s - served.depart_s, 0)
    asked = population.initial_kwh + population.charge_efficiency * served.declared_kwh
    required_kwh[1::2] = np.minimum(np.where(np.isnan(asked), rated_kwh, asked), rated_kwh)
    limit_kwh[1::2] = np.where(told, required_kwh[1::2], rated_kwh)
    return Declarations(
        is_missing=is_missing, error_s=error_s, required_kwh=required_kwh, limit_kwh=limit_kwh
    )


def session_columns(scenario: Scenario, sessions: Sessions | None) -> dict[str, Any]:
    """Columns of ``sessions.parquet``; no rows where travel does not come from sessions."""
    if sessions is None:
        sessions = _none()
    served = sessions.is_served
    vehicle = np.cumsum(served) - 1
    readable = sessions.arrive_s != NEVER_S
    names = np.array(scenario.region_names, dtype=object)
    return {
        "session_id": pa.array(sessions.session_id, pa.string()),
        "status": pa.array(sessions.status, pa.string()),
        "vehicle_id": pa.array(vehicle, mask=~served),
        "region": pa.array(names[sessions.region_index].tolist(), pa.string()),
        "arrive_s": pa.array(sessions.arrive_s, mask=~readable),
        "depart_s": pa.array(sessions.depart_s, mask=sessions.depart_s == NEVER_S),
        "energy_kwh": pa.array(sessions.energy_kwh, mask=np.isnan(sessions.energy_kwh)),
        "declared_depart_s": pa.array(sessions.declared_depart_s, mask=sessions.declared_depart_s == NEVER_S),
        "declared_kwh": pa.array(sessions.declared_kwh, mask=np.isnan(sessions.declared_kwh)),
        "charge_limit_kw": sessions.charge_limit_kw,
    }


def _none() -> Sessions:
    return Sessions(
        session_id=(),
        status=(),
        region_index=np.zeros(0, dtype=np.int64),
        arrive_s=np.zeros(0, dtype=np.int64),
        depart_s=np.zeros(0, dtype=np.int64),
        energy_kwh=np.zeros(0),
        declared_depart_s=np.zeros(0, dtype=np.int64),
        declared_kwh=np.zeros(0),
        charge_limit_kw=np.zeros(0),
    )
