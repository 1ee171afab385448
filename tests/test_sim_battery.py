"""Battery physics: the one-way formula, its inverse, and limits that cannot be overrun."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.battery import bus_kw, inside_kw, power_limits_kw, reaching_kw, stored_energy

EFFICIENCY = st.floats(0.5, 1.0)
POWER_KW = st.floats(-100.0, 100.0)
ENERGY_KWH = st.floats(0.0, 300.0)


def one(value: float) -> np.ndarray:
    """One battery's value as an array."""
    return np.array([value])


def test_charging_stores_less_and_discharging_takes_more_than_passes_the_bus() -> None:
    """An hour at 5 kW and efficiencies of 0.9 stores 4.5 kWh; giving 4.5 kWh back takes 5."""
    energy = stored_energy(np.array([10.0, 10.0, 10.0]), np.array([5.0, -4.5, 0.0]), 3600, one(0.9), one(0.9))
    np.testing.assert_allclose(energy, [14.5, 5.0, 10.0])


@settings(deadline=None)
@given(power=POWER_KW, charge=EFFICIENCY, discharge=EFFICIENCY)
def test_power_at_the_bus_and_inside_are_inverse(power: float, charge: float, discharge: float) -> None:
    """Power inside, taken back to the bus, is the power one began with; and no direction gains energy."""
    inside = inside_kw(one(power), one(charge), one(discharge))
    np.testing.assert_allclose(bus_kw(inside, one(charge), one(discharge)), power, rtol=1e-12, atol=1e-12)
    assert inside[0] <= power + 1e-12


@settings(deadline=None)
@given(
    energy=ENERGY_KWH, target=ENERGY_KWH, seconds=st.integers(1, 900), charge=EFFICIENCY, discharge=EFFICIENCY
)
def test_reaching_power_hits_its_target(
    energy: float, target: float, seconds: int, charge: float, discharge: float
) -> None:
    """The power that is said to fill (or empty) to a target in a time does so exactly."""
    power = reaching_kw(one(energy), one(target), seconds, one(charge), one(discharge))
    after = stored_energy(one(energy), power, seconds, one(charge), one(discharge))
    np.testing.assert_allclose(after, target, atol=1e-9)


@settings(deadline=None)
@given(share=st.floats(0.0, 1.0), seconds=st.integers(1, 86_400), charge=EFFICIENCY, discharge=EFFICIENCY)
def test_powers_within_the_limits_keep_energy_within_its_limits(
    share: float, seconds: int, charge: float, discharge: float
) -> None:
    """Both ends of the admissible range, held for the duration, end inside the energy limits."""
    energy = one(50.0 + share * 187.5)
    bounds = power_limits_kw(
        energy,
        seconds,
        energy_min_kwh=one(50.0),
        energy_max_kwh=one(237.5),
        charge_limit_kw=one(45.0),
        discharge_limit_kw=one(45.0),
        charge_efficiency=one(charge),
        discharge_efficiency=one(discharge),
    )
    for power in bounds:
        after = stored_energy(energy, power, seconds, one(charge), one(discharge))
        assert 50.0 - 1e-9 <= after[0] <= 237.5 + 1e-9
    assert -45.0 <= bounds[0][0] <= 0.0 <= bounds[1][0] <= 45.0


def test_a_battery_outside_its_limits_may_rest() -> None:
    """Outside the energy limits nothing is forced: only going further out is barred."""
    least, largest = power_limits_kw(
        np.array([40.0, 240.0]),
        900,
        energy_min_kwh=one(50.0),
        energy_max_kwh=one(237.5),
        charge_limit_kw=one(45.0),
        discharge_limit_kw=one(45.0),
        charge_efficiency=one(0.9),
        discharge_efficiency=one(0.9),
    )
    np.testing.assert_array_equal(least, [0.0, -45.0])
    np.testing.assert_array_equal(largest, [45.0, 0.0])
