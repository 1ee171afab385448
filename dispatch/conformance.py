"""A checker for anybody's dispatcher: runs it through made-up sites, snapshots and forecasts and lists every fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from dispatch.conformance_cases import Case, cases
from sim.arrays import FloatArray
from sim.contracts import Dispatcher, Schedule, finite_caps
from sim.errors import ForecastLacksError, PolicyError
from sim.microgrid import charger_room_kvar, reactive_room_kvar

SLACK_KW = 1e-6
_ATTRIBUTES = {"name": str, "needs_own_chain": bool, "charges_on_arrival": bool}


def check_dispatcher(make: Callable[[], Dispatcher]) -> None:
    """Check that a dispatcher keeps its contract.

    It is made afresh for each case (no cars, one, many, none plugged, one and several regions, one of them without
    vehicle-to-grid, true trips and declared stays, forecasts with and without quantiles and paths) and decides
    several steps. A policy that needs quantiles or paths refuses a forecast without them by a `ForecastLacksError`.
    Its schedules must have the right shapes and types, be finite and within all limits; the same inputs after a fresh
    start must give the same schedule, and inputs, which are read-only, must stay as they are.

    Parameters
    ----------
    make
        Gives a dispatcher: its class, or a function.

    Raises
    ------
    PolicyError
        With one line per fault.
    """
    faults = list(dict.fromkeys(_faults(make)))
    if faults:
        raise PolicyError("\n".join(faults))


def _faults(make: Callable[[], Dispatcher]) -> Iterator[str]:
    dispatcher = make()
    for name, kind in _ATTRIBUTES.items():
        value = getattr(dispatcher, name, None)
        if not isinstance(value, kind):
            yield f"attribute {name} must be a {kind.__name__}, is {value!r}"
    if not isinstance(dispatcher, Dispatcher):
        yield "methods start(site) and decide(snapshot, forecast) must exist"
        return
    needs_own_chain = getattr(dispatcher, "needs_own_chain", False) is True
    for case in cases(needs_own_chain=needs_own_chain):
        first, fault = _run(make, case)
        if fault:
            yield f"{case.label}: {fault}"
        if not first:
            continue
        for schedule, step in zip(first, case.steps, strict=True):
            yield from (f"{case.label}: {text}" for text in _schedule_faults(case, step.now_s, schedule))
        again, fault = _run(make, case)
        if fault:
            yield f"{case.label}: after a fresh start with the same inputs {fault}"
        elif not all(_same(one, other) for one, other in zip(first, again, strict=True)):
            yield f"{case.label}: the same inputs after a fresh start gave another schedule"


def _run(make: Callable[[], Dispatcher], case: Case) -> tuple[list[Schedule], str]:
    """Schedules of all steps of a case, or the exception that ended it; neither when it refuses the forecast."""
    try:
        dispatcher = make()
        dispatcher.start(case.site)
        return [dispatcher.decide(step.snapshot, step.forecast) for step in case.steps], ""
    except ForecastLacksError as error:
        return [], str(error) if case.has_paths else ""
    except Exception as error:  # whatever a user's code raises is a fault to be listed
        return [], f"raised {type(error).__name__}: {error}"


def _schedule_faults(case: Case, now_s: int, schedule: Schedule) -> Iterator[str]:
    if not isinstance(schedule, Schedule):
        yield f"decide must return a Schedule, gave {type(schedule).__name__}"
        return
    site, cars = case.site, next(step.snapshot.cars for step in case.steps if step.now_s == now_s)
    n_steps = case.n_steps
    caps = None if schedule.feed_in_cap_kw is None else finite_caps(schedule.feed_in_cap_kw)
    parts = (
        ("car_power_kw", schedule.car_power_kw, (cars.n,), False),
        ("battery_power_kw", schedule.battery_power_kw, (len(site.battery_region_index),), True),
        ("battery_kvar", schedule.battery_kvar, (len(site.battery_region_index),), True),
        ("charger_kvar", schedule.charger_kvar, (site.n_regions,), True),
        ("turbine_kw", schedule.turbine_kw, (site.n_regions,), True),
        ("feed_in_cap_kw", caps, (site.n_regions,), True),
        ("expected_car_load_kw", schedule.expected_car_load_kw, (n_steps, site.n_regions), True),
    )
    broken = [
        text for name, value, shape, may_lack in parts if (text := _array_fault(name, value, shape, may_lack))
    ]
    yield from broken
    if broken:
        return
    plugged = cars.is_plugged
    power = np.where(plugged, schedule.car_power_kw, 0.0)
    least = np.where(site.gives_from_cars(cars.region_index), -cars.discharge_limit_kw, 0.0)
    yield from _limit_fault("car_power_kw", power, least, cars.charge_limit_now_kw)
    if schedule.battery_power_kw is not None:
        limits = (-site.battery_discharge_limit_kw, site.battery_charge_limit_kw)
        yield from _limit_fault("battery_power_kw", schedule.battery_power_kw, *limits)
        if schedule.battery_kvar is not None:
            room = reactive_room_kvar(site, schedule.battery_power_kw)
            yield from _limit_fault("battery_kvar", schedule.battery_kvar, -room, room)
    if schedule.charger_kvar is not None:
        room = charger_room_kvar(site, cars)
        yield from _limit_fault("charger_kvar", schedule.charger_kvar, -room, room)
    if caps is not None:
        yield from _limit_fault("feed_in_cap_kw", caps, np.zeros(len(caps)), np.full(len(caps), np.inf))
    if schedule.turbine_kw is not None:
        yield from _limit_fault(
            "turbine_kw", schedule.turbine_kw, 0 * site.turbine_limit_kw, site.turbine_limit_kw
        )


def _array_fault(name: str, value: object, shape: tuple[int, ...], may_lack: bool) -> str:
    if value is None:
        return "" if may_lack else f"{name} is missing"
    if not isinstance(value, np.ndarray) or value.dtype != np.float64:
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        return f"{name} must be a float64 array, is {kind}"
    if value.shape != shape:
        return f"{name} must have shape {shape}, has {value.shape}"
    return "" if np.isfinite(value).all() else f"{name} has values that are not finite"


def _limit_fault(name: str, power: FloatArray, least: FloatArray, largest: FloatArray) -> Iterator[str]:
    beyond = np.flatnonzero((power < least - SLACK_KW) | (power > largest + SLACK_KW))
    if len(beyond):
        i = int(beyond[0])
        yield f"{name}[{i}] = {power[i]:g} is outside {least[i]:g}..{largest[i]:g}"


def _same(one: object, other: object) -> bool:
    if not isinstance(one, Schedule) or not isinstance(other, Schedule):
        return type(one) is type(other)
    pairs = (
        (one.car_power_kw, other.car_power_kw),
        (one.battery_power_kw, other.battery_power_kw),
        (one.battery_kvar, other.battery_kvar),
        (one.charger_kvar, other.charger_kvar),
        (one.turbine_kw, other.turbine_kw),
        (one.feed_in_cap_kw, other.feed_in_cap_kw),
    )
    return all(
        (left is None and right is None)
        or (left is not None and right is not None and np.array_equal(left, right))
        for left, right in pairs
    )
