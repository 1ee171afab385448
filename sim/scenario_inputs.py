"""Files that a scenario names: where they are, and whether their contents serve the run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from sim.contracts import FloatArray
from sim.errors import ScenarioError, SeriesError
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
from sim.series import Span, read_mix, read_series, scenario_span

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
_DAY_MASKS: Final = {"ALL": range(7), "WEEKDAYS": range(5), "WEEKENDS": range(5, 7)}


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
    tariff = getattr(scenario, "tariff", None)
    if isinstance(tariff, SeriesTariff):
        units = PER_MWH if tariff.per_mwh else PER_KWH
        yield SeriesInput(place="tariff.series", ref=tariff.series, units=units)
    emissions = getattr(scenario, "emissions", None)
    if emissions is not None and isinstance(emissions.grid_kg_per_kwh, SeriesRef):
        yield SeriesInput(place="emissions.grid_kg_per_kwh", ref=emissions.grid_kg_per_kwh, units=KG_PER_KWH)


def missing_files(scenario: Scenario, locate: Locate) -> list[str]:
    """Return one line per file that a scenario names and that is not there."""
    named = [(f"{item.place}.file", item.ref.file) for item in series_inputs(scenario)]
    tariff, travel = getattr(scenario, "tariff", None), getattr(scenario, "travel", None)
    if isinstance(tariff, ScheduleTariff):
        named.append(("tariff.file", tariff.file))
    if travel is not None and travel.source == "itineraries" and travel.itineraries is not None:
        named.append(("travel.itineraries", travel.itineraries))
    faults = []
    for place, file in named:
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
    tariff = getattr(scenario, "tariff", None)
    if isinstance(tariff, ScheduleTariff) and "tariff" not in absent:
        faults += [f"tariff.file: {fault}" for fault in schedule_faults(locate(tariff.file))]
    if getattr(scenario, "simulation", None) is None:
        return faults
    try:
        span = scenario_span(scenario)
    except ScenarioError:
        return faults
    for item in series_inputs(scenario):
        if item.place in absent:
            continue
        try:
            values = item.read(locate, span)
        except SeriesError as error:
            faults += error.faults
            continue
        if item.place == "tariff.series":
            faults += _price_faults(scenario, values)
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


def _price_faults(scenario: Scenario, values: FloatArray) -> list[str]:
    from sim.scenario_checks import unbounded_trade

    tariff = scenario.tariff
    if not isinstance(tariff, SeriesTariff) or getattr(scenario, "regions", None) is None:
        return []
    price = values / 1000.0 if tariff.per_mwh else values
    buy, sell = price + tariff.buy_adder_per_kwh, price * tariff.sell_fraction
    worst = int(np.argmax(sell - buy))
    return [
        f"tariff.series: {fault}"
        for fault in unbounded_trade(
            scenario, [(f"step {worst - 96}", float(buy[worst]), float(sell[worst]))]
        )
    ]


def schedule_faults(path: Path) -> list[str]:
    """Return what is wrong with a published tariff's JSON schedule.

    Every day of the year must be served by exactly one entry of ``schedule``; an entry's ``times`` (clock hours)
    begin at 0 and rise by quarter hours, one of ``tariffs`` to each.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        return [f"{path.name} is not valid JSON: {error}"]
    entries = content.get("schedule") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        return [f"{path.name} has no list `schedule`"]
    faults = [
        f"{path.name}: schedule[{index}] {fault}"
        for index, e in enumerate(entries)
        for fault in _entry_faults(e)
    ]
    return faults or _uncovered_days(path.name, entries)


def _entry_faults(entry: Any) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield "is not a table"
        return
    for key in ("effective_start", "effective_end"):
        if _month_day(entry.get(key)) is None:
            yield f"{key} must be MM-DD, is {entry.get(key)!r}"
    if entry.get("dow_mask") not in _DAY_MASKS:
        yield f"dow_mask must be one of {', '.join(_DAY_MASKS)}, is {entry.get('dow_mask')!r}"
    times, prices = entry.get("times"), entry.get("tariffs")
    if not isinstance(times, list) or not isinstance(prices, list) or len(times) != len(prices):
        yield "needs `times` and `tariffs` of the same length"
        return
    if not all(isinstance(number, int | float) for number in [*times, *prices]):
        yield "holds something else than numbers in `times` or `tariffs`"
        return
    rising = all(a < b for a, b in zip(times, times[1:], strict=False))
    if not times or times[0] != 0 or not rising or times[-1] >= 24 or any(time * 4 % 1 for time in times):
        yield f"times must begin at 0 and rise by quarter hours below 24, are {times}"


def _month_day(text: Any) -> tuple[int, int] | None:
    try:
        month, day = (int(part) for part in str(text).split("-"))
        date(2016, month, day)
    except ValueError:
        return None
    return month, day


def _uncovered_days(name: str, entries: list[dict[str, Any]]) -> list[str]:
    faults = []
    spans = [
        (_month_day(e["effective_start"]), _month_day(e["effective_end"]), e["dow_mask"]) for e in entries
    ]
    for offset in range(366):
        day = date(2016, 1, 1) + timedelta(days=offset)
        key = (day.month, day.day)
        for kind in range(7):
            serving = sum(
                kind in _DAY_MASKS[mask]
                and (start <= key <= end if start <= end else key >= start or key <= end)
                for start, end, mask in spans
                if start is not None and end is not None
            )
            if serving != 1:
                weekday = "a weekday" if kind < 5 else "a weekend day"
                faults.append(
                    f"{name}: {day:%m-%d} as {weekday} is served by {serving} entries of `schedule`, not 1"
                )
    return faults[:1]
