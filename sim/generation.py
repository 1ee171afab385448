"""Photovoltaics, wind turbines and gas micro-turbines: pure functions (Zhang 2025, Eqs. 14, 15, 18, 19)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arrays import FloatArray, freeze

STANDARD_IRRADIANCE_W_M2 = 1000.0  # standard test conditions, IEC 60904-3
STANDARD_CELL_DEGC = 25.0  # standard test conditions, IEC 60904-3


def pv_kw(
    irradiance_w_m2: FloatArray,
    temperature_degc: FloatArray,
    *,
    rated_kw: float,
    temperature_coefficient_per_degc: float,
    cell_heating_degc_per_w_m2: float,
) -> FloatArray:
    """Photovoltaic power; never below zero.

    Solves P = P_stc G / 1000 (1 + k (T_cell - 25)), T_cell = T_ambient + c G   (Zhang 2025, Eq. 14)

    Parameters
    ----------
    irradiance_w_m2
        Global irradiance G, non-negative [W/m2].
    temperature_degc
        Ambient temperature [degC], same shape.
    rated_kw
        P_stc, power at 1000 W/m2 and a cell of 25 degC [kW].
    temperature_coefficient_per_degc
        k, usually negative [1/degC].
    cell_heating_degc_per_w_m2
        c, warming of the cell by irradiance [degC per W/m2].

    >>> pv_kw(np.array([0.0, 1000.0, 500.0]), np.array([5.0, 25.0, 10.0]), rated_kw=450.0,
    ...     temperature_coefficient_per_degc=-0.0047, cell_heating_degc_per_w_m2=0.03)
    array([  0.  , 386.55, 225.  ])
    """
    cell_degc = temperature_degc + cell_heating_degc_per_w_m2 * irradiance_w_m2
    derating = 1.0 + temperature_coefficient_per_degc * (cell_degc - STANDARD_CELL_DEGC)
    power_kw = rated_kw * irradiance_w_m2 / STANDARD_IRRADIANCE_W_M2 * derating
    return np.maximum(power_kw, 0.0)


def wind_kw(
    speed_m_s: FloatArray, *, rated_kw: float, cut_in_m_s: float, rated_m_s: float, cut_out_m_s: float
) -> FloatArray:
    """Wind turbine's power: 0 below cut-in and from cut-out on, linear up to the rated speed.

    Solves P = P_r min(1, max(0, (v - v_in) / (v_r - v_in))) for v < v_out, else 0   (Zhang 2025, Eq. 15)

    >>> speeds_m_s = np.array([2.9, 3.0, 6.5, 10.0, 24.9, 25.0])
    >>> wind_kw(speeds_m_s, rated_kw=200.0, cut_in_m_s=3.0, rated_m_s=10.0, cut_out_m_s=25.0)
    array([  0.,   0., 100., 200., 200.,   0.])
    """
    rising = np.clip((speed_m_s - cut_in_m_s) / (rated_m_s - cut_in_m_s), 0.0, 1.0)
    return np.where(speed_m_s >= cut_out_m_s, 0.0, rated_kw * rising)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Turbines:
    """Gas micro-turbines, one per region; regions without one have a limit of 0 kW.

    Efficiency is eta(x) = g1 x^3 - g2 x^2 + g3 x + rho with x = P / limit (Zhang 2025, Eq. 19). Arrays have
    shape (R,); methods broadcast over any leading axes, so powers may be (R,) or (K, R).
    """

    limit_kw: FloatArray
    gas_price_per_m3: FloatArray
    lower_heating_value_kwh_per_m3: FloatArray
    efficiency_cubic: FloatArray  # g1
    efficiency_square: FloatArray  # g2
    efficiency_linear: FloatArray  # g3
    efficiency_constant: FloatArray  # rho

    def __post_init__(self) -> None:
        freeze(self)

    def efficiency(self, power_kw: FloatArray) -> FloatArray:
        """Electrical efficiency at P kW, Eq. (19); where there is no turbine, its constant term."""
        x = power_kw / np.where(self.limit_kw > 0.0, self.limit_kw, 1.0)
        slope = (self.efficiency_cubic * x - self.efficiency_square) * x + self.efficiency_linear
        result: FloatArray = slope * x + self.efficiency_constant
        return result

    def gas_m3_per_h(self, power_kw: FloatArray) -> FloatArray:
        """Gas burnt per hour at P kW: P / (LHV eta), 0 at P = 0.

        Raises
        ------
        ValueError
            When a turbine is asked to run where its efficiency is not positive.
        """
        power_kw = np.asarray(power_kw, dtype=np.float64)
        efficiency = self.efficiency(power_kw)
        runs = power_kw > 0.0
        if np.any(runs & (efficiency <= 0.0)):
            worst = int(np.argmin(np.where(runs, efficiency, np.inf)))
            power, value = power_kw.flat[worst], efficiency.flat[worst]
            raise ValueError(f"turbine at {power:g} kW: efficiency {value:g} is not above 0")
        heat_kw = power_kw / np.where(runs, efficiency, 1.0)
        return np.where(runs, heat_kw / self.lower_heating_value_kwh_per_m3, 0.0)

    def fuel_cost_per_h(self, power_kw: FloatArray) -> FloatArray:
        """Cost of the fuel of an hour at P kW, Eq. (18): the true one, not convex.

        >>> one = np.array([1.0])
        >>> turbine = Turbines(
        ...     limit_kw=65 * one, gas_price_per_m3=2.9 * one, lower_heating_value_kwh_per_m3=10.1 * one,
        ...     efficiency_cubic=0.0753 * one, efficiency_square=0.3095 * one, efficiency_linear=0.4174 * one,
        ...     efficiency_constant=0.1068 * one)
        >>> (turbine.fuel_cost_per_h(np.array([65.0])) / 65.0).round(3)
        array([0.99])
        """
        return self.gas_m3_per_h(power_kw) * self.gas_price_per_m3

    def least_efficiency(self) -> FloatArray:
        """Smallest efficiency between 0 and the limit, shape (R,): at an end or where the slope is zero.

        The slope 3 g1 x^2 - 2 g2 x + g3 is zero at q / (3 g1) and g3 / q with q = g2 +- sqrt(g2^2 - 3 g1 g3).
        Only quotients in [0, 1) are formed, so that no coefficient is too small to divide by.
        """
        g1, g2, g3 = self.efficiency_cubic, self.efficiency_square, self.efficiency_linear
        q = g2 + np.copysign(np.sqrt(np.maximum(g2**2 - 3.0 * g1 * g3, 0.0)), g2)
        parts = [_part(q, 3.0 * g1), _part(g3, q), np.zeros_like(g1), np.ones_like(g1)]
        least: FloatArray = np.min([self.efficiency(part * self.limit_kw) for part in parts], axis=0)
        return least


def _part(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotient where it lies in [0, 1), else 0."""
    inside = np.abs(numerator) < np.abs(denominator)
    return np.maximum(np.divide(numerator, denominator, out=np.zeros_like(numerator), where=inside), 0.0)
