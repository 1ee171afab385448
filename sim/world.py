"""The world as it truly is: load, PV, wind and prices of every region and step, from day -1 on.

Only settlement and the perfect forecaster look at all of it; everything else is given the past
(``sim.forecast``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import numpy as np

from sim.clock import STEPS_PER_DAY
from sim.contracts import FloatArray, freeze
from sim.errors import ScenarioError
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
from sim.series import Span, read_mix, read_series, scenario_span
from sim.settlement import StepTruth
from sim.tariff import Locate, Prices, period_prices, read_schedule, schedule_prices, series_prices
from sim.weather import WindLaw, wind_speeds_m_s

FIRST_STEP: Final = -STEPS_PER_DAY  # day -1 is drawn too
_POWER: Final = ("_kw", "_pu", "_pload")


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

    def _truth(self, rows: int | slice) -> StepTruth:
        return StepTruth(
            load_kw=self.load_kw[rows],
            pv_kw=self.pv_kw[rows],
            wind_kw=self.wind_kw[rows],
            buy_price_per_kwh=self.buy_price_per_kwh[rows],
            sell_price_per_kwh=self.sell_price_per_kwh[rows],
            curtailment_price_per_kwh=self.curtailment_price_per_kwh[rows],
        )


def build_world(scenario: Scenario, locate: Locate) -> World:
    """Draw and read the world of a scenario, from day -1 to the end of every horizon.

    Parameters
    ----------
    scenario
        Validated.
    locate
        Path of a file that the scenario names.

    Raises
    ------
    ScenarioError
        With the faults of every series and of the tariff, or where buying and selling at once would pay.
    """
    reader = _Reader(locate, _span(scenario))
    loads = [reader.load(region) for region in scenario.regions]
    pv = [reader.pv(region) for region in scenario.regions]
    wind = [reader.wind(region, scenario, index) for index, region in enumerate(scenario.regions)]
    prices = reader.prices(scenario)
    emission = reader.emission(scenario)
    reader.raise_any()
    if faults := _arbitrage_faults(scenario, prices):
        raise ScenarioError(faults)

    def for_all(values: FloatArray) -> FloatArray:
        return np.repeat(values[:, None], len(scenario.regions), axis=1)

    return World(
        first_step=FIRST_STEP,
        load_kw=np.column_stack(loads),
        pv_kw=np.column_stack(pv),
        wind_kw=np.column_stack(wind),
        buy_price_per_kwh=for_all(prices.buy_per_kwh),
        sell_price_per_kwh=for_all(prices.sell_per_kwh),
        curtailment_price_per_kwh=for_all(prices.curtailment_per_kwh),
        grid_kg_per_kwh=emission,
        prices_are_published=scenario.tariff.kind != "series",
    )


class _Reader:
    """Makes arrays over the span and collects the faults of all series before any is raised."""

    def __init__(self, locate: Locate, span: Span) -> None:
        self._locate = locate
        self._span = span
        self._faults: list[str] = []

    def raise_any(self) -> None:
        """Raise all faults found."""
        if self._faults:
            raise ScenarioError(dict.fromkeys(self._faults))

    def load(self, region: Region) -> FloatArray:
        load, place = region.load, f"regions.{region.name}.load"
        if isinstance(load, LoadMix):
            mix = load
            return self._try(place, lambda: read_mix(mix, self._locate(mix.series.file), span=self._span))
        if isinstance(load, LoadSeries):
            return load.factor * self._series(place, load.series, ("_kw",))
        return self._nothing()

    def pv(self, region: Region) -> FloatArray:
        pv, place = region.pv, f"regions.{region.name}.pv"
        if isinstance(pv, PvWeather):
            return pv_kw(
                self._series(f"{place}.irradiance", pv.irradiance, ("_w_m2",)),
                self._series(f"{place}.temperature", pv.temperature, ("_degc",)),
                rated_kw=pv.rated_kw,
                temperature_coefficient_per_degc=pv.temperature_coefficient_per_degc,
                cell_heating_degc_per_w_m2=pv.cell_heating_degc_per_w_m2,
            )
        return self._supply(place, pv)

    def wind(self, region: Region, scenario: Scenario, region_index: int) -> FloatArray:
        wind, place = region.wind, f"regions.{region.name}.wind"
        if isinstance(wind, WindWeather):
            return _turbine_kw(self._series(f"{place}.speed", wind.speed, ("_m_s",)), wind.turbine)
        if isinstance(wind, WindDraw):
            law = WindLaw(
                scale_m_s=wind.scale_m_s,
                shape=wind.shape,
                persistence=wind.persistence,
                correlation=wind.correlation,
            )
            speeds_m_s = wind_speeds_m_s(
                law,
                seed=scenario.simulation.seed,
                replication=scenario.simulation.replication,
                region_index=region_index,
                n_days=self._span.n_steps // STEPS_PER_DAY,
            )
            return _turbine_kw(speeds_m_s, wind.turbine)
        return self._supply(place, wind)

    def prices(self, scenario: Scenario) -> Prices:
        tariff, n_days = scenario.tariff, self._span.n_steps // STEPS_PER_DAY
        if isinstance(tariff, PeriodTariff):
            return self._try_prices(lambda: period_prices(tariff, n_days))
        if isinstance(tariff, ScheduleTariff):
            first_day = scenario.simulation.start - timedelta(days=1)
            return self._try_prices(
                lambda: schedule_prices(tariff, read_schedule(self._locate(tariff.file)), first_day, n_days)
            )
        unit = "_per_mwh" if tariff.per_mwh else "_per_kwh"
        return series_prices(tariff, self._series("tariff.series", tariff.series, (unit,)))

    def emission(self, scenario: Scenario) -> FloatArray:
        stated = scenario.emissions.grid_kg_per_kwh
        if isinstance(stated, SeriesRef):
            return self._series("emissions.grid_kg_per_kwh", stated, ("_kg_per_kwh",))
        return np.full(self._span.n_steps, float(stated))

    def _supply(self, place: str, supply: SupplySeries | None) -> FloatArray:
        if supply is None:
            return self._nothing()
        return supply.rated_kw * self._series(place, supply.series, _POWER)

    def _series(self, place: str, ref: SeriesRef, units: Iterable[str]) -> FloatArray:
        return self._try(
            place, lambda: read_series(ref, self._locate(ref.file), span=self._span, units=units)
        )

    def _try(self, place: str, read: Callable[[], FloatArray]) -> FloatArray:
        try:
            return read()
        except ScenarioError as error:
            self._faults += [f"{place}: {fault}" for fault in error.faults]
            return self._nothing()

    def _try_prices(self, read: Callable[[], Prices]) -> Prices:
        try:
            return read()
        except ScenarioError as error:
            self._faults += error.faults
            nothing = self._nothing()
            return Prices(buy_per_kwh=nothing, sell_per_kwh=nothing, curtailment_per_kwh=nothing)

    def _nothing(self) -> FloatArray:
        return np.zeros(self._span.n_steps)


def _span(scenario: Scenario) -> Span:
    """Days -1 to N; further when horizons are longer than a day, so that the last decisions see their end."""
    days_more = max(0, -(-scenario.dispatch.horizon_steps // STEPS_PER_DAY) - 1)
    span = scenario_span(scenario)
    return replace(span, n_steps=span.n_steps + days_more * STEPS_PER_DAY)


def _turbine_kw(speed_m_s: FloatArray, turbine: WindTurbine) -> FloatArray:
    return wind_kw(
        speed_m_s,
        rated_kw=turbine.rated_kw,
        cut_in_m_s=turbine.cut_in_m_s,
        rated_m_s=turbine.rated_m_s,
        cut_out_m_s=turbine.cut_out_m_s,
    )


def _arbitrage_faults(scenario: Scenario, prices: Prices) -> list[str]:
    """Selling above the buying price without any limit would earn without end."""
    above = np.flatnonzero(prices.sell_per_kwh > prices.buy_per_kwh)
    if above.size == 0:
        return []
    step = int(above[0])
    what = (
        f"sells at {prices.sell_per_kwh[step]:g} above the buying price {prices.buy_per_kwh[step]:g} "
        f"(first in step {step + FIRST_STEP}) and neither import nor export is limited"
    )
    return [
        f"regions.{region.name}: {what}"
        for region in scenario.regions
        if region.import_limit_kw == "unlimited" and region.export_limit_kw == "unlimited"
    ]
