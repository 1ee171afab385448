"""Energy in a battery under signed power at the bus: pure functions, for cars and stationary units alike.

Power is in kW at the bus, positive when charging; energy in kWh inside the battery; durations in seconds.
A battery charges or discharges, never both, so its energy follows from the signed power alone
(Zhang 2025, Eqs. 10 and 32).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sim.arrays import FloatArray

SECONDS_PER_HOUR: Final = 3600.0


def inside_kw(
    power_kw: FloatArray, charge_efficiency: FloatArray, discharge_efficiency: FloatArray
) -> FloatArray:
    """Rate at which the stored energy changes under a power at the bus.

    Solves dE/dt = eta_c max(P, 0) - max(-P, 0) / eta_d   (Zhang 2025, Eq. 10)

    >>> inside_kw(np.array([5.0, -4.5]), np.array([0.9, 0.9]), np.array([0.9, 0.9]))
    array([ 4.5, -5. ])
    """
    return np.where(power_kw > 0.0, power_kw * charge_efficiency, power_kw / discharge_efficiency)


def bus_kw(
    rate_kw: FloatArray, charge_efficiency: FloatArray, discharge_efficiency: FloatArray
) -> FloatArray:
    """Power at the bus that changes the stored energy at a given rate: the inverse of ``inside_kw``.

    >>> bus_kw(np.array([4.5, -5.0]), np.array([0.9, 0.9]), np.array([0.9, 0.9]))
    array([ 5. , -4.5])
    """
    return np.where(rate_kw > 0.0, rate_kw / charge_efficiency, rate_kw * discharge_efficiency)


def stored_energy(
    energy_kwh: FloatArray,
    power_kw: FloatArray,
    duration_s: float,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
) -> FloatArray:
    """Energy stored after a constant power for a duration; limits are the caller's business.

    >>> eta = np.array([0.9])
    >>> stored_energy(np.array([15.0]), np.array([5.0]), 3600, eta, eta)
    array([19.5])
    >>> stored_energy(np.array([15.0]), np.array([-5.0]), 900, eta, eta).round(4)
    array([13.6111])
    """
    return energy_kwh + inside_kw(power_kw, charge_efficiency, discharge_efficiency) * (
        duration_s / SECONDS_PER_HOUR
    )


def kept_share(self_discharge_per_day: float, days: float) -> float:
    """Share of the stored energy that self-discharge leaves after a time without power.

    >>> round(kept_share(0.19, 0.5), 12)
    0.9
    """
    return float((1.0 - self_discharge_per_day) ** days)


def reaching_kw(
    energy_kwh: FloatArray,
    target_kwh: FloatArray,
    duration_s: float,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
) -> FloatArray:
    """Power at the bus that brings the stored energy exactly to a target (full, empty, ...) in a duration.

    >>> eta = np.array([0.9, 0.9])
    >>> reaching_kw(np.array([20.0, 20.0]), np.array([22.25, 17.5]), 1800, eta, eta)
    array([ 5. , -4.5])
    """
    rate_kw = (target_kwh - energy_kwh) * (SECONDS_PER_HOUR / duration_s)
    return bus_kw(rate_kw, charge_efficiency, discharge_efficiency)


def power_limits_kw(
    energy_kwh: FloatArray,
    duration_s: float,
    *,
    energy_min_kwh: FloatArray,
    energy_max_kwh: FloatArray,
    charge_limit_kw: FloatArray,
    discharge_limit_kw: FloatArray,
    charge_efficiency: FloatArray,
    discharge_efficiency: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Least and largest constant power that keeps energy and power within their limits for a duration.

    A battery outside its energy limits is only kept from going further out, so zero is always admissible.

    Returns
    -------
    least_kw, largest_kw : ndarray, shape of ``energy_kwh``
        ``least_kw <= 0 <= largest_kw``.

    >>> one = np.array([1.0])
    >>> power_limits_kw(236 * one, 900, energy_min_kwh=50 * one, energy_max_kwh=237.5 * one,
    ...     charge_limit_kw=45 * one, discharge_limit_kw=45 * one,
    ...     charge_efficiency=0.5 * one, discharge_efficiency=one)
    (array([-45.]), array([12.]))
    """
    eta = (charge_efficiency, discharge_efficiency)
    filling_kw = reaching_kw(energy_kwh, np.maximum(energy_max_kwh, energy_kwh), duration_s, *eta)
    emptying_kw = reaching_kw(energy_kwh, np.minimum(energy_min_kwh, energy_kwh), duration_s, *eta)
    return np.maximum(-discharge_limit_kw, emptying_kw), np.minimum(charge_limit_kw, filling_kw)
