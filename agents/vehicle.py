"""One car: a mesa agent whose life is a SimPy process."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import mesa
import simpy

if TYPE_CHECKING:
    from agents.fleet import VehicleFleet


class Vehicle(mesa.Agent):
    """A car and its driver: what it does. Its numbers are row ``vehicle_id`` of the fleet's columns."""

    model: VehicleFleet

    def __init__(self, fleet: VehicleFleet, vehicle_id: int) -> None:
        super().__init__(fleet)
        self.vehicle_id = vehicle_id

    def life(self, environment: simpy.Environment) -> Generator[simpy.Event, None, None]:
        """Parked, leave, drive, arrive, and so on until no trip is planned."""
        fleet, car = self.model, self.vehicle_id
        while fleet.has_trip(car):
            yield environment.timeout(fleet.departure_s(car) - environment.now)
            while fleet.must_wait(car, int(environment.now)):
                yield fleet.wait_for_energy(car, int(environment.now))
            arrive_s = fleet.depart(car, int(environment.now))
            yield environment.timeout(arrive_s - environment.now)
            fleet.arrive(car, arrive_s)
