"""The fleet's columns of the run folder's tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from agents.itineraries import Itineraries
from agents.population import Population
from agents.recording import Segments
from agents.trip_log import TripLog
from sim.arrays import BoolArray, IntArray
from sim.clock import DAY_S, NEVER_S
from sim.scenario import Scenario


def named(index: IntArray, names: tuple[str, ...], *, absent: str | None) -> pa.Array:
    """Strings of indices; -1 becomes ``absent`` (``None``: null).

    >>> named(np.array([1, -1]), ("home", "work"), absent=None).to_pylist()
    ['work', None]
    """
    words = list(names) if absent is None else [*names, absent]
    codes = pa.array(np.where(index < 0, len(names), index), mask=(index < 0) if absent is None else None)
    return pa.DictionaryArray.from_arrays(codes.cast(pa.int32()), pa.array(words, pa.string())).cast(
        pa.string()
    )


def vehicle_columns(scenario: Scenario, population: Population, itineraries: Itineraries) -> dict[str, Any]:
    """Columns of ``vehicles.parquet``."""
    p = population
    return {
        "vehicle_id": np.arange(p.n, dtype=np.int64),
        "vehicle_class": named(p.class_index, p.class_names, absent=None),
        "home_region": named(p.home_index, scenario.region_names, absent=None),
        "work_region": named(p.work_index, scenario.region_names, absent=""),
        "chain": pa.array(_chains(scenario, p, itineraries), pa.string()),
        "battery_kwh": p.battery_kwh,
        "charge_limit_kw": p.charge_limit_kw,
        "discharge_limit_kw": p.discharge_limit_kw,
        "charge_efficiency": p.charge_efficiency,
        "discharge_efficiency": p.discharge_efficiency,
        "soc_min": p.soc_min,
        "soc_max": p.soc_max,
        "consumption_kwh_per_km": p.consumption_kwh_per_km,
        "takes_part": p.takes_part,
    }


def _chains(scenario: Scenario, population: Population, itineraries: Itineraries) -> list[str]:
    """Place types of each car's first day: where it begins, then every stop."""
    types = [region.place_type for region in scenario.regions]
    chains = [[types[home]] for home in population.home_index.tolist()]
    first_day = np.flatnonzero(itineraries.day == 0)
    cars, stops = itineraries.vehicle_index[first_day], itineraries.destination_index[first_day]
    for car, stop in zip(cars.tolist(), stops.tolist(), strict=True):
        chains[car].append(types[stop])
    return ["-".join(chain) for chain in chains]


def trip_columns(scenario: Scenario, log: TripLog, end_s: int) -> dict[str, Any]:
    """Columns of ``trips.parquet``: the trips planned to begin within the run."""
    trips = log.plan.itineraries
    within = (trips.depart_s >= 0) & (trips.depart_s < scenario.simulation.days * DAY_S)
    depart, arrive = log.depart_s[within], log.arrive_s[within]
    begun, arrived = depart < end_s, arrive <= end_s
    return {
        "vehicle_id": trips.vehicle_index[within],
        "day": trips.day[within],
        "trip_index": trips.trip_index[within],
        "origin": named(trips.origin_index[within], scenario.region_names, absent=None),
        "destination": named(trips.destination_index[within], scenario.region_names, absent=None),
        "planned_depart_s": trips.depart_s[within],
        "planned_arrive_s": trips.arrive_s[within],
        "depart_s": _nullable(depart, begun),
        "arrive_s": _nullable(arrive, begun & arrived),
        "distance_km": trips.distance_km[within],
        "energy_kwh": log.plan.energy_kwh[within],
        "required_kwh": log.plan.required_kwh[within],
        "unmet_kwh": np.where(begun, log.unmet_kwh[within], 0.0),
        "declared_depart_s": _nullable(
            log.declared_depart_s[within], log.declared_depart_s[within] != NEVER_S
        ),
    }


def segment_columns(scenario: Scenario, segments: Segments) -> dict[str, Any]:
    """Columns of ``segments.parquet``."""
    driving = (segments.region_index < 0).astype(np.int64)
    return {
        "vehicle_id": segments.vehicle_index,
        "start_s": segments.start_s,
        "end_s": segments.end_s,
        "activity": named(driving, ("parked", "driving"), absent=None),
        "region": named(segments.region_index, scenario.region_names, absent=None),
        "plugged": segments.is_plugged,
        "power_kw": segments.power_kw,
        "energy_start_kwh": segments.energy_start_kwh,
        "energy_end_kwh": segments.energy_end_kwh,
    }


def _nullable(values: IntArray, is_known: BoolArray) -> pa.Array:
    return pa.array(values, mask=~is_known)
