"""The capacity domain against brute force, second by second."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agents.capacity_domain import highest_at_departure, lower_bound, required_at_departure, upper_bound

E_MIN, E_MAX = 6.0, 27.0
TICK_S = 60


@st.composite
def days(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Give one car's trips: gaps and drives in ticks, energies, wishes, plug-in draws."""
    n = draw(st.integers(0, 5))
    numbers = st.lists(st.integers(1, 300), min_size=n, max_size=n)
    gaps, drives = np.array(draw(numbers), dtype=int), np.array(draw(numbers), dtype=int)
    depart = np.cumsum(gaps) + np.cumsum(drives) - drives
    amounts = st.lists(st.floats(0, 20), min_size=n, max_size=n)
    wishes = st.lists(st.sampled_from([0.0, 15.0, 30.0]), min_size=n, max_size=n)
    return {
        "depart_s": depart * TICK_S,
        "arrive_s": (depart + drives) * TICK_S,
        "energy_kwh": np.array(draw(amounts), dtype=float),
        "wanted_kwh": np.array(draw(wishes), dtype=float),
        "plugs_in": np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool),
    }


def merged(cars: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Join cars into the flat arrays of a fleet."""
    flat = {name: np.concatenate([car[name] for car in cars]) for name in cars[0]}
    counts = [len(car["depart_s"]) for car in cars]
    n = len(cars)
    return flat | {
        "first_trip": np.concatenate([[0], np.cumsum(counts)]),
        "charge_kw": np.linspace(2.0, 6.0, n),
        "energy_min_kwh": np.full(n, E_MIN),
        "energy_max_kwh": np.full(n, E_MAX),
    }


def brute_required(car: dict[str, np.ndarray], rate: float) -> list[float]:
    """Walk backward tick by tick."""
    required, level = [0.0] * len(car["depart_s"]), E_MIN
    for k in reversed(range(len(required))):
        if k + 1 < len(required):
            for _ in range(car["arrive_s"][k], car["depart_s"][k + 1], TICK_S):
                level -= rate * TICK_S / 3600.0 if car["plugs_in"][k] else 0.0
            level = max(level, E_MIN)
        level = max(E_MIN, car["wanted_kwh"][k], level + car["energy_kwh"][k])
        level = required[k] = min(level, E_MAX)
    return required


def brute_highest(car: dict[str, np.ndarray], rate: float, start: float) -> list[float]:
    """Walk forward tick by tick."""
    highest, level, now, plugged = [], start, 0, True
    for k in range(len(car["depart_s"])):
        for _ in range(now, car["depart_s"][k], TICK_S):
            level = min(E_MAX, level + rate * TICK_S / 3600.0) if plugged else level
        highest.append(level)
        level = max(level - car["energy_kwh"][k], E_MIN)
        now, plugged = car["arrive_s"][k], car["plugs_in"][k]
    return highest


@given(cars=st.lists(days(), min_size=1, max_size=4))
def test_required_against_walking_backward(cars: list[dict[str, np.ndarray]]) -> None:
    """The vectorised backward bound equals a walk in one-minute ticks, for every car of a fleet."""
    fleet = merged(cars)
    expected = [
        v for car, rate in zip(cars, fleet["charge_kw"], strict=True) for v in brute_required(car, rate)
    ]
    np.testing.assert_allclose(required_at_departure(**fleet), expected, atol=1e-9)


@given(cars=st.lists(days(), min_size=1, max_size=4), start=st.floats(E_MIN, E_MAX))
def test_highest_against_walking_forward(cars: list[dict[str, np.ndarray]], start: float) -> None:
    """The vectorised forward bound equals a walk in one-minute ticks."""
    fleet = merged(cars)
    fleet.pop("wanted_kwh")
    highest = highest_at_departure(
        **fleet, plugged_at_start=np.ones(len(cars), bool), start_s=0, start_kwh=np.full(len(cars), start)
    )
    rates = fleet["charge_kw"]
    expected = [v for car, rate in zip(cars, rates, strict=True) for v in brute_highest(car, rate, start)]
    np.testing.assert_allclose(highest, expected, atol=1e-9)


@given(car=days())
def test_full_charging_from_the_lower_bound_serves_every_trip(car: dict[str, np.ndarray]) -> None:
    """Whoever leaves with what is required and charges fully wherever plugged is never short (L < E_max)."""
    fleet = merged([car])
    fleet["wanted_kwh"] = np.zeros_like(fleet["wanted_kwh"])
    required = required_at_departure(**fleet)
    if not len(required) or (required >= E_MAX).any():
        return
    level, rate = required[0], fleet["charge_kw"][0]
    for k in range(len(required)):
        assert level >= required[k] - 1e-9
        level -= car["energy_kwh"][k]
        assert level >= E_MIN - 1e-9
        if k + 1 < len(required) and car["plugs_in"][k]:
            level = min(E_MAX, level + rate * (car["depart_s"][k + 1] - car["arrive_s"][k]) / 3600.0)


def test_bounds_in_a_stay_by_hand() -> None:
    """At 4.5 kW: an hour before needing 20 kWh, 15.5; two hours after 10 kWh, 19; within the battery."""
    one = np.array
    assert lower_bound(0, one([3600]), one([20.0]), one([4.5]), one([6.0])).item() == 15.5
    assert lower_bound(0, one([36000]), one([20.0]), one([4.5]), one([6.0])).item() == 6.0
    assert upper_bound(7200, one([0]), one([10.0]), one([4.5]), one([27.0])).item() == 19.0
    assert upper_bound(36000, one([0]), one([10.0]), one([4.5]), one([27.0])).item() == 27.0
