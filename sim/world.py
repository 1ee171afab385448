"""The world as it truly is: load, PV, wind and prices of every region and step.

It begins with day -1, or further back where the forecaster needs it. Only settlement and the perfect
forecaster look at all of it; everything else is given the past (``sim.forecasting.past``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sim.arrays import FloatArray, IntArray, freeze
from sim.clock import STEPS_PER_DAY
from sim.errors import ScenarioError, SeriesError
from sim.generation import pv_kw, wind_kw
from sim.scenario import (
    LoadMix,
    LoadSeries,
    PeriodTariff,
    PvWeather,
    Region,
    Scenario,
    ScheduleTariff,
    SeriesRef,
    SupplySeries,
    WindDraw,
    WindTurbine,
    WindWeather,
)
from sim.scenario_inputs import series_inputs
from sim.series import Span, scenario_span
from sim.settlement import StepTruth
from sim.tariff import Locate, Prices, period_prices, read_schedule, schedule_prices, series_prices
from sim.weather import WindLaw, wind_speeds_m_s

_Series = Mapping[str, FloatArray]  # by place in the scenario, as ``sim.scenario_inputs`` names it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """What truly happens, one row per step from ``first_step`` on.

    Arrays have shape (S, R) and hold means over each step; ``grid_kg_per_kwh``, the emission factor of
    imported energy, has shape (S,).
    """

    first_step: int
    load_kw: FloatArray
    pv_kw: FloatArray
    wind_kw: FloatArray
    buy_price_per_kwh: FloatArray
    sell_price_per_kwh: FloatArray
    curtailment_price_per_kwh: FloatArray
    grid_kg_per_kwh: FloatArray
    prices_are_published: bool  # a table that everybody knows ahead; a price series is not

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def end_step(self) -> int:
        """First step that is no longer drawn."""
        return self.first_step + len(self.load_kw)

    def rows(self, first_step: int, n_steps: int) -> slice:
        """Rows of the steps ``first_step`` to ``first_step + n_steps``.

        Raises
        ------
        IndexError
            When they reach outside what is drawn.
        """
        begin = first_step - self.first_step
        if begin < 0 or first_step + n_steps > self.end_step:
            raise IndexError(
                f"steps {first_step}..{first_step + n_steps} reach outside {self.first_step}..{self.end_step}"
            )
        return slice(begin, begin + n_steps)

    def step(self, step: int) -> StepTruth:
        """Truth of one step, arrays (R,)."""
        return self._truth(self.rows(step, 1).start)

    def window(self, first_step: int, n_steps: int) -> StepTruth:
        """Truth of the steps ``first_step`` to ``first_step + n_steps``, arrays (n_steps, R)."""
        return self._truth(self.rows(first_step, n_steps))

    def at(self, steps: IntArray) -> StepTruth:
        """Truth of the given steps in their order, arrays (len(steps), R)."""
        if len(steps):
            first = int(steps.min())
            self.rows(first, int(steps.max()) + 1 - first)
        return self._truth(steps - self.first_step)

    def _truth(self, rows: int | slice | IntArray) -> StepTruth:
        return StepTruth(
            load_kw=self.load_kw[rows],
            pv_kw=self.pv_kw[rows],
            wind_kw=self.wind_kw[rows],
            buy_price_per_kwh=self.buy_price_per_kwh[rows],
            sell_price_per_kwh=self.sell_price_per_kwh[rows],
            curtailment_price_per_kwh=self.curtailment_price_per_kwh[rows],
        )


def build_world(scenario: Scenario, locate: Locate) -> World:
    """Draw and read the world of a scenario, from the past that is needed to the end of every horizon.

    Parameters
    ----------
    scenario
        Validated.
    locate
        Path of a file that the scenario names.

    Raises
    ------
    ScenarioError
        With the faults of every series, or of the tariff.
    """
    span = scenario_span(scenario)
    series = _read_all(scenario, locate, span)
    prices = _prices(scenario, series, locate, span)
    regions = list(enumerate(scenario.regions))

    def for_all(values: FloatArray) -> FloatArray:
        return np.repeat(values[:, None], len(regions), axis=1)

    return World(
        first_step=span.first_step,
        load_kw=np.column_stack([_load_kw(region, i, series, span) for i, region in regions]),
        pv_kw=np.column_stack([_pv_kw(region, i, series, span) for i, region in regions]),
        wind_kw=np.column_stack([_wind_kw(scenario, i, series, span) for i, _ in regions]),
        buy_price_per_kwh=for_all(prices.buy_per_kwh),
        sell_price_per_kwh=for_all(prices.sell_per_kwh),
        curtailment_price_per_kwh=for_all(prices.curtailment_per_kwh),
        grid_kg_per_kwh=_grid_kg_per_kwh(scenario, series, span),
        prices_are_published=scenario.tariff.kind != "series",
    )


def _read_all(scenario: Scenario, locate: Locate, span: Span) -> _Series:
    """Read every series of the scenario; the faults of all are raised together."""
    series: dict[str, FloatArray] = {}
    faults: list[str] = []
    for item in series_inputs(scenario):
        try:
            series[item.place] = item.read(locate, span)
        except ScenarioError as error:
            faults += error.faults
    if faults:
        raise SeriesError(dict.fromkeys(faults))
    return series


def _load_kw(region: Region, index: int, series: _Series, span: Span) -> FloatArray:
    values = series.get(f"regions[{index}].load.series", np.zeros(span.n_steps))
    match region.load:
        case LoadSeries(factor=factor):
            return factor * values
        case LoadMix() | None:
            return values


def _pv_kw(region: Region, index: int, series: _Series, span: Span) -> FloatArray:
    at = f"regions[{index}].pv"
    match region.pv:
        case PvWeather() as pv:
            return pv_kw(
                series[f"{at}.irradiance"],
                series[f"{at}.temperature"],
                rated_kw=pv.rated_kw,
                temperature_coefficient_per_degc=pv.temperature_coefficient_per_degc,
                cell_heating_degc_per_w_m2=pv.cell_heating_degc_per_w_m2,
            )
        case SupplySeries(rated_kw=rated_kw):
            return rated_kw * series[f"{at}.series"]
        case None:
            return np.zeros(span.n_steps)


def _wind_kw(scenario: Scenario, index: int, series: _Series, span: Span) -> FloatArray:
    at = f"regions[{index}].wind"
    match scenario.regions[index].wind:
        case WindDraw() as draw:
            return _turbine_kw(_drawn_speeds_m_s(scenario, draw, index, span), draw.turbine)
        case WindWeather(turbine=turbine):
            return _turbine_kw(series[f"{at}.speed"], turbine)
        case SupplySeries(rated_kw=rated_kw):
            return rated_kw * series[f"{at}.series"]
        case None:
            return np.zeros(span.n_steps)


def _drawn_speeds_m_s(scenario: Scenario, draw: WindDraw, index: int, span: Span) -> FloatArray:
    law = WindLaw(
        scale_m_s=draw.scale_m_s,
        shape=draw.shape,
        persistence=draw.persistence,
        correlation=draw.correlation,
    )
    return wind_speeds_m_s(
        law,
        seed=scenario.simulation.seed,
        replication=scenario.simulation.replication,
        region_index=index,
        n_days=span.end_step // STEPS_PER_DAY + 1,
        days_before=-span.first_step // STEPS_PER_DAY - 1,
    )


def _turbine_kw(speed_m_s: FloatArray, turbine: WindTurbine) -> FloatArray:
    return wind_kw(
        speed_m_s,
        rated_kw=turbine.rated_kw,
        cut_in_m_s=turbine.cut_in_m_s,
        rated_m_s=turbine.rated_m_s,
        cut_out_m_s=turbine.cut_out_m_s,
    )


def _prices(scenario: Scenario, series: _Series, locate: Locate, span: Span) -> Prices:
    tariff, n_days = scenario.tariff, span.n_steps // STEPS_PER_DAY
    if isinstance(tariff, PeriodTariff):
        return period_prices(tariff, n_days)
    if isinstance(tariff, ScheduleTariff):
        return schedule_prices(tariff, read_schedule(locate(tariff.file)), span.first_day, n_days)
    return series_prices(tariff, series["tariff.series"])


def _grid_kg_per_kwh(scenario: Scenario, series: _Series, span: Span) -> FloatArray:
    stated = scenario.emissions.grid_kg_per_kwh
    if isinstance(stated, SeriesRef):
        return series["emissions.grid_kg_per_kwh"]
    return np.full(span.n_steps, float(stated))
