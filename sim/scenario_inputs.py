"""Files that a scenario names: where they are, and whether their contents serve the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from sim.arrays import FloatArray
from sim.clock import STEP_S, STEPS_PER_DAY, label
from sim.errors import ScenarioError, SeriesError
from sim.feeder.placing import feeder_faults
from sim.scenario import (
    LoadMix,
    LoadSeries,
    PvWeather,
    Scenario,
    ScheduleTariff,
    SeriesRef,
    SeriesTariff,
    SupplySeries,
    WindWeather,
)
from sim.scenario_trade import unbounded_trade
from sim.series import Span, read_mix, read_series, scenario_span
from sim.series_time import SCENARIO_ZONE, zone_fault
from sim.tariff import read_schedule, schedule_prices, series_prices

Locate = Callable[[str], Path]
"""From a ``file`` entry (an absolute path or ``shipped:NAME``) to a path."""

KW: Final = ("_kw",)
KW_OR_PU: Final = ("_kw", "_pu")
W_PER_M2: Final = ("_w_m2",)
DEGC: Final = ("_degc",)
M_PER_S: Final = ("_m_s",)
KG_PER_KWH: Final = ("_kg_per_kwh",)
PER_MWH: Final = ("_per_mwh",)
PER_KWH: Final = ("_per_kwh",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesInput:
    """One series that a run reads: its place in the scenario, and the units its column may have."""

    place: str
    ref: SeriesRef
    units: tuple[str, ...]
    mix: LoadMix | None = None

    def read(self, locate: Locate, span: Span) -> FloatArray:
        """Quarter-hour means over the span.

        Raises
        ------
        SeriesError
            With every fault, each beginning with the place.
        """
        try:
            path = locate(self.ref.file)
            if self.mix is not None:
                return read_mix(self.mix, path, span=span)
            return read_series(self.ref, path, span=span, units=self.units)
        except ScenarioError as error:
            raise SeriesError(f"{self.place}: {fault}" for fault in error.faults) from None


def series_inputs(scenario: Scenario) -> tuple[SeriesInput, ...]:
    """Every series of a scenario, in its order; sections that are absent are passed over."""
    return tuple(_series_inputs(scenario))


def _series_inputs(scenario: Scenario) -> Iterator[SeriesInput]:
    for index, region in enumerate(getattr(scenario, "regions", ())):
        at = f"regions[{index}]"
        if isinstance(region.load, LoadMix):
            yield SeriesInput(place=f"{at}.load.series", ref=region.load.series, units=(), mix=region.load)
        elif isinstance(region.load, LoadSeries):
            yield SeriesInput(place=f"{at}.load.series", ref=region.load.series, units=KW)
        if isinstance(region.pv, PvWeather):
            yield SeriesInput(place=f"{at}.pv.irradiance", ref=region.pv.irradiance, units=W_PER_M2)
            yield SeriesInput(place=f"{at}.pv.temperature", ref=region.pv.temperature, units=DEGC)
        elif isinstance(region.pv, SupplySeries):
            yield SeriesInput(place=f"{at}.pv.series", ref=region.pv.series, units=KW_OR_PU)
        if isinstance(region.wind, WindWeather):
            yield SeriesInput(place=f"{at}.wind.speed", ref=region.wind.speed, units=M_PER_S)
        elif isinstance(region.wind, SupplySeries):
            yield SeriesInput(place=f"{at}.wind.series", ref=region.wind.series, units=KW_OR_PU)
    feeder = getattr(scenario, "feeder", None)
    if feeder is not None and feeder.other_buses is not None:  # not yet regions of their own
        others = feeder.other_buses
        mix = LoadMix(
            weights=others.weights,
            mean_kwh_per_day=others.mean_load_share,
            kvar_per_kw=0.0,
            series=others.series,
        )
        yield SeriesInput(place="feeder.other_buses.series", ref=others.series, units=(), mix=mix)
    tariff = getattr(scenario, "tariff", None)
    if isinstance(tariff, SeriesTariff):
        units = PER_MWH if tariff.per_mwh else PER_KWH
        yield SeriesInput(place="tariff.series", ref=tariff.series, units=units)
    emissions = getattr(scenario, "emissions", None)
    if emissions is not None and isinstance(emissions.grid_kg_per_kwh, SeriesRef):
        yield SeriesInput(place="emissions.grid_kg_per_kwh", ref=emissions.grid_kg_per_kwh, units=KG_PER_KWH)


def named_files(scenario: Scenario) -> list[tuple[str, str]]:
    """Place and name of every file that a run of a scenario reads."""
    named = [(f"{item.place}.file", item.ref.file) for item in series_inputs(scenario)]
    tariff, travel = getattr(scenario, "tariff", None), getattr(scenario, "travel", None)
    if isinstance(tariff, ScheduleTariff):
        named.append(("tariff.file", tariff.file))
    feeder = getattr(scenario, "feeder", None)
    if feeder is not None:
        files = (("buses", feeder.buses), ("lines", feeder.lines), ("transformers", feeder.transformers))
        named += [(f"feeder.{key}", file) for key, file in files if file is not None]
    if travel is not None and travel.source == "itineraries" and travel.itineraries is not None:
        named.append(("travel.itineraries", travel.itineraries))
    if travel is not None and travel.source == "sessions" and travel.sessions is not None:
        named.append(("travel.sessions.file", travel.sessions.file))
    return named


def missing_files(scenario: Scenario, locate: Locate) -> list[str]:
    """Return one line per file that a scenario names and that is not there."""
    faults = []
    for place, file in named_files(scenario):
        try:
            path = locate(file)
        except ScenarioError as error:
            faults += [f"{place}: {fault}" for fault in error.faults]
            continue
        if not path.is_file():
            faults.append(f"{place}: no file {path}")
    return faults


def input_faults(scenario: Scenario, locate: Locate) -> list[str]:
    """Return one line per fault in the files that a scenario names: absent, short, gappy, in other units."""
    faults = missing_files(scenario, locate)
    absent = {fault.partition(".file: ")[0] for fault in faults}
    if not any(fault.startswith("feeder.") for fault in faults):
        faults += feeder_faults(scenario, locate)
    tariff = getattr(scenario, "tariff", None)
    simulation = getattr(scenario, "simulation", None)
    if simulation is None or zone_fault(simulation.time_zone):
        return faults
    span = scenario_span(scenario)
    if isinstance(tariff, ScheduleTariff) and "tariff" not in absent:
        faults += _schedule_faults(tariff, locate(tariff.file), span)
    for item in series_inputs(scenario):
        if item.place in absent or (item.ref.zone != SCENARIO_ZONE and zone_fault(item.ref.zone)):
            continue  # told already
        try:
            values = item.read(locate, span)
        except SeriesError as error:
            faults += error.faults
            continue
        if item.place == "tariff.series":
            faults += _price_faults(scenario, values, span.first_step)
    return list(dict.fromkeys(faults))


def check_inputs(scenario: Scenario, locate: Locate) -> None:
    """Read every file that a scenario names.

    Raises
    ------
    SeriesError
        With every fault, one line each.
    """
    faults = input_faults(scenario, locate)
    if faults:
        raise SeriesError(faults)


def _price_faults(scenario: Scenario, values: FloatArray, first_step: int) -> list[str]:
    """Say when a price series would pay for buying and selling at once without end."""
    tariff = scenario.tariff
    if not isinstance(tariff, SeriesTariff) or not hasattr(scenario, "regions"):
        return []
    prices = series_prices(tariff, values)
    row = int(np.argmax(prices.sell_per_kwh - prices.buy_per_kwh))
    worst = (
        label((row + first_step) * STEP_S),
        float(prices.buy_per_kwh[row]),
        float(prices.sell_per_kwh[row]),
    )
    return [f"tariff.series: {fault}" for fault in unbounded_trade(scenario, [worst])]


def _schedule_faults(tariff: ScheduleTariff, path: Path, span: Span) -> list[str]:
    n_days = span.n_steps // STEPS_PER_DAY
    try:
        schedule_prices(tariff, read_schedule(path), span.first_day, n_days)
    except ScenarioError as error:
        return list(error.faults)
    return []
