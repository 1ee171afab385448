"""The queue at a region with fewer chargers than cars."""

from __future__ import annotations

import math
from collections.abc import Callable

import simpy
from simpy.resources.resource import PriorityRequest

_WAITS_FOR_ENERGY, _STOPS = 0, 1  # a car that cannot make its next trip comes first


class ChargerQueue:
    """Chargers of one region as a SimPy resource: first come, first served, cars waiting for energy first.

    Cars that come in the same second are served in vehicle_id order: their requests are collected and made
    after the second's other events, which all were scheduled before it.

    Parameters
    ----------
    environment
        The run's.
    n_chargers
        How many there are.
    plug_in
        Called with the vehicle_id when a charger is its own.
    most_waiting
        A car that finds so many waiting does not queue, unless it waits for energy.
    turn_away
        Called with its vehicle_id then.
    """

    def __init__(
        self,
        environment: simpy.Environment,
        n_chargers: int,
        plug_in: Callable[[int], None],
        *,
        most_waiting: float = math.inf,
        turn_away: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._environment = environment
        self._resource = simpy.PriorityResource(environment, capacity=n_chargers)
        self._plug_in = plug_in
        self._most_waiting = most_waiting
        self._turn_away = turn_away
        self._coming: dict[int, int] = {}  # vehicle_id: priority
        self._requests: dict[int, PriorityRequest] = {}

    def join(self, vehicle_id: int, *, waits_for_energy: bool) -> None:
        """Queue a car; one that queues already may move forward."""
        self.leave(vehicle_id)
        if not self._coming:
            self._environment.timeout(0).callbacks.append(lambda _: self._serve())
        self._coming[vehicle_id] = _WAITS_FOR_ENERGY if waits_for_energy else _STOPS

    def leave(self, vehicle_id: int) -> None:
        """Give back the charger, or the place in the queue, if the car has one."""
        self._coming.pop(vehicle_id, None)
        request = self._requests.pop(vehicle_id, None)
        if request is None:
            return
        if request.triggered:
            self._resource.release(request)
        else:
            request.cancel()

    def take_first(self, vehicle_ids: list[int]) -> list[int]:
        """Queue cars at the start of a run, in this order; return those that get a charger at once."""
        requests = {vehicle_id: self._request(vehicle_id, _STOPS) for vehicle_id in vehicle_ids}
        for vehicle_id in (served := [v for v, request in requests.items() if request.triggered]):
            requests[vehicle_id].callbacks.clear()  # the caller plugs it in
        return served

    def _serve(self) -> None:
        coming, self._coming = self._coming, {}
        for vehicle_id, priority in sorted(coming.items(), key=lambda item: (item[1], item[0])):
            if priority == _STOPS and self._is_too_long():
                self._turn_away(vehicle_id)
            else:
                self._request(vehicle_id, priority)

    def _is_too_long(self) -> bool:
        is_taken = self._resource.count >= self._resource.capacity
        return is_taken and len(self._resource.queue) >= self._most_waiting

    def _request(self, vehicle_id: int, priority: int) -> PriorityRequest:
        request = self._resource.request(priority=priority)
        self._requests[vehicle_id] = request
        request.callbacks.append(lambda event: self._grant(vehicle_id, event))
        return request

    def _grant(self, vehicle_id: int, event: simpy.Event) -> None:
        if self._requests.get(vehicle_id) is event:  # the car may have left in the same second
            self._plug_in(vehicle_id)
