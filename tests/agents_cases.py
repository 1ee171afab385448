"""Scenarios and runs shared by the tests of the fleet."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import simpy

from agents.fleet import VehicleFleet
from sim.arrays import FloatArray
from sim.clock import DAY_S, STEP_S
from sim.contracts import Cars
from sim.scenario import Scenario
from sim.simulation import Boundary
from sim.trace import SEGMENTS, TRIPS, VEHICLES

SHIPPED = Path(__file__).parents[1] / "experiments" / "scenarios" / "multi-microgrid.toml"


def scenario_of(changes: dict[str, Any] | None = None) -> Scenario:
    """Shipped scenario without its microgrids, changed at dotted keys."""
    tables = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
    for region in tables["regions"]:
        for part in ("load", "pv", "wind", "turbine", "batteries"):
            region.pop(part)
    for key, value in (changes or {}).items():
        *path, last = key.split(".")
        place: Any = tables
        for name in path:
            place = place[int(name)] if name.isdecimal() else place[name]
        place[int(last) if last.isdecimal() else last] = value
    return Scenario.model_validate(tables)


def region(name: str, place_type: str, **changes: Any) -> dict[str, Any]:
    """Make a region's table."""
    table = {
        "name": name,
        "place_type": place_type,
        "weight": 1.0,
        "chargers": "unlimited",
        "import_limit_kw": "unlimited",
        "export_limit_kw": 0.0,
    }
    return table | changes


class Run:
    """A fleet driven as the simulation drives it, by a function of instant and cars; all steps are kept."""

    def __init__(
        self,
        scenario: Scenario,
        decide: Any = None,
        *,
        base_dir: Path | None = None,
        creation_order: list[int] | None = None,
        caps: tuple[FloatArray, FloatArray] | None = None,
        yesterday: bool = True,
        fleet: VehicleFleet | None = None,
    ) -> None:
        self.fleet = fleet or VehicleFleet(
            scenario, locate=lambda file: (base_dir or Path()) / file, creation_order=creation_order
        )
        self.n_regions = len(scenario.regions)
        self.end_s = scenario.simulation.days * DAY_S
        self.decide, self.caps = decide, caps
        self.energy: list[Any] = []
        self.domains: list[Any] = []
        self.cars: list[Cars] = []
        if yesterday:
            self._live(-DAY_S, 0, charges_on_arrival=True, decide=None)
        self._live(0, self.end_s, charges_on_arrival=decide is None, decide=decide)
        self.fleet.finish(self.end_s)
        self.segments: pd.DataFrame = SEGMENTS.build(self.fleet.segment_columns()).to_pandas()
        self.trips: pd.DataFrame = TRIPS.build(self.fleet.trip_columns()).to_pandas()
        self.vehicles: pd.DataFrame = VEHICLES.build(self.fleet.vehicle_columns()).to_pandas()

    def _live(self, start_s: int, end_s: int, *, charges_on_arrival: bool, decide: Any) -> None:
        environment = simpy.Environment(initial_time=start_s)
        self.fleet.start(environment, charges_on_arrival=charges_on_arrival)
        for now_s in range(start_s, end_s + 1, STEP_S):
            environment.run(until=Boundary(environment, now_s))
            if now_s > start_s:
                closed = self.fleet.close_step(now_s)
                self.energy += [closed] if start_s == 0 else []
            if now_s == end_s or start_s < 0:
                continue
            cars = self.fleet.cars(now_s)
            self.cars.append(cars)
            no_cap = np.full(self.n_regions, np.inf)
            self.fleet.limit(*(self.caps or (no_cap, no_cap)))
            power = cars.charge_limit_kw if decide is None else decide(now_s, cars)
            self.fleet.apply(now_s, np.where(cars.is_plugged, power, 0.0))
            self.domains.append(self.fleet.domain(now_s))
