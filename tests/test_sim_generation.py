"""PV, wind and micro-turbines against hand calculations and published figures."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.generation import Turbines, pv_kw, wind_kw

DEFAULT = {"cubic": 0.0753, "square": 0.3095, "linear": 0.4174, "constant": 0.1068}
PRINTED = {"cubic": 0.075, "square": 0.4, "linear": 0.417, "constant": 0.1}


def turbines(limit_kw: float = 65.0, **g: float) -> Turbines:
    """Two regions: a turbine, and none."""
    g = g or DEFAULT
    return Turbines(
        limit_kw=np.array([limit_kw, 0.0]),
        gas_price_per_m3=np.array([2.9, 0.0]),
        lower_heating_value_kwh_per_m3=np.array([10.1, 1.0]),
        efficiency_cubic=np.array([g["cubic"], 0.0]),
        efficiency_square=np.array([g["square"], 0.0]),
        efficiency_linear=np.array([g["linear"], 0.0]),
        efficiency_constant=np.array([g["constant"], 1.0]),
    )


def pv(irradiance_w_m2: float, temperature_degc: float) -> float:
    """Power of the default 450 kW field."""
    return float(
        pv_kw(
            np.array([irradiance_w_m2]),
            np.array([temperature_degc]),
            rated_kw=450.0,
            temperature_coefficient_per_degc=-0.0047,
            cell_heating_degc_per_w_m2=0.03,
        )[0]
    )


def test_pv_by_hand() -> None:
    """800 W/m2 at 20 degC: cell at 44 degC, 360 kW times 1 - 0.0047 * 19."""
    assert pv(800.0, 20.0) == pytest.approx(360.0 * (1 - 0.0047 * 19.0))
    assert pv(0.0, -10.0) == 0.0


def test_pv_gives_rated_power_at_standard_conditions() -> None:
    """1000 W/m2 with a cell of 25 degC (ambient -5 degC) gives the rated power."""
    assert pv(1000.0, -5.0) == pytest.approx(450.0)


@settings(deadline=None)
@given(irradiance=st.floats(0.0, 1600.0), temperature=st.floats(-90.0, 60.0))
def test_pv_falls_with_temperature_and_is_never_negative(irradiance: float, temperature: float) -> None:
    """A warmer cell gives less power, and none consumes."""
    assert pv(irradiance, temperature) >= pv(irradiance, temperature + 1.0) >= 0.0


def wind(speed_m_s: float) -> float:
    """Power of the default 200 kW turbine."""
    return float(
        wind_kw(np.array([speed_m_s]), rated_kw=200.0, cut_in_m_s=3.0, rated_m_s=10.0, cut_out_m_s=25.0)[0]
    )


@pytest.mark.parametrize(
    ("speed_m_s", "power_kw"),
    [(0.0, 0.0), (3.0, 0.0), (4.75, 50.0), (10.0, 200.0), (24.999, 200.0), (25.0, 0.0), (60.0, 0.0)],
)
def test_wind_by_hand(speed_m_s: float, power_kw: float) -> None:
    """Nothing up to cut-in, a straight line to rated speed, rated power to cut-out, nothing from there on."""
    assert wind(speed_m_s) == pytest.approx(power_kw)


def test_fuel_cost_of_the_default_turbine_at_full_load() -> None:
    """The known fit's full-load efficiency is 0.29, so a kWh costs 2.9 / 10.1 / 0.29 = 0.990."""
    unit = turbines()
    full = np.array([65.0, 0.0])
    assert unit.efficiency(full)[0] == pytest.approx(0.29)
    assert unit.fuel_cost_per_h(full)[0] / 65.0 == pytest.approx(2.9 / 10.1 / 0.29)
    assert round(unit.fuel_cost_per_h(full)[0] / 65.0, 3) == 0.990


def test_cheapest_kwh_of_the_printed_turbine() -> None:
    """With the printed coefficients no power costs less than 1.289 per kWh, above the peak tariff of 1.18."""
    power_kw = np.linspace(0.1, 65.0, 2000)
    cost = turbines(**PRINTED).fuel_cost_per_h(np.column_stack([power_kw, np.zeros_like(power_kw)]))
    per_kwh = cost[:, 0] / power_kw
    assert round(per_kwh.min(), 3) == 1.289
    assert power_kw[per_kwh.argmin()] == pytest.approx(41.0, abs=1.0)


def test_fuel_cost_broadcasts_and_rests_for_nothing() -> None:
    """Powers of shape (K, R) give costs of that shape; a turbine at rest, and no turbine, cost nothing."""
    cost = turbines().fuel_cost_per_h(np.array([[0.0, 0.0], [30.0, 0.0]]))
    assert cost.shape == (2, 2)
    np.testing.assert_array_equal(cost[0], [0.0, 0.0])
    assert cost[1, 0] > 0.0


def test_a_turbine_without_efficiency_is_refused() -> None:
    """Where the efficiency is not above 0 the cost has no meaning, and says so with its power."""
    broken = turbines(cubic=0.0, square=0.5, linear=0.0, constant=0.1)
    assert broken.least_efficiency()[0] == pytest.approx(-0.4)
    with pytest.raises(ValueError, match="turbine at 65 kW: efficiency -0.4 is not above 0"):
        broken.fuel_cost_per_h(np.array([65.0, 0.0]))


@settings(deadline=None)
@given(
    cubic=st.floats(-1, 1), square=st.floats(-1, 1), linear=st.floats(-1, 1), constant=st.floats(0.05, 0.5)
)
@example(cubic=0.0, square=2.2e-313, linear=1.0, constant=0.5)  # once overflowed
def test_least_efficiency_against_a_fine_grid(
    cubic: float, square: float, linear: float, constant: float
) -> None:
    """The least efficiency is that of 2,001 powers, or between two of them."""
    unit = turbines(cubic=cubic, square=square, linear=linear, constant=constant)
    power_kw = np.linspace(0.0, 65.0, 2001)
    on_grid = unit.efficiency(np.column_stack([power_kw, np.zeros_like(power_kw)]))[:, 0].min()
    assert unit.least_efficiency()[0] == pytest.approx(on_grid, abs=1e-6)
