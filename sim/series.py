"""Time series on the scenario's clock: from a file's rows to quarter-hour means.

Hourly (or longer) rows become quarter hours by ``hold`` (the hour's value) or ``linear`` (a straight line
between the middles of the hours, evaluated at the middle of each quarter hour; it keeps an hour's mean only
where the series is straight, and spills at most half an hour past sunrise and sunset). Finer rows are
averaged (``mean``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from sim.arrays import FloatArray, IntArray
from sim.clock import DAY_S, STEP_S, STEPS_PER_DAY
from sim.errors import SeriesError
from sim.history import days_before
from sim.scenario import LoadMix, Scenario, SeriesRef
from sim.series_file import SeriesTable, read_table
from sim.series_time import SCENARIO_ZONE, epoch_s, instant_label, second_of_year, standard_offset_s

# What a column's unit allows; outside lies a mistake of unit or a logger's error code, not weather or a
# load. Irradiance: the solar constant is 1,361 W/m2, with cloud enhancement 1,600 has been seen.
# Temperature: records are -89 and 57 degC. Wind: the record gust is 113 m/s. Emissions: lignite is near 1.2
# kg/kWh.
UNIT_BOUNDS: Final[dict[str, tuple[float, float]]] = {
    "_kw": (0.0, np.inf),
    "_pu": (0.0, np.inf),
    "_pload": (0.0, np.inf),
    "_w_m2": (0.0, 1_600.0),
    "_degc": (-90.0, 60.0),
    "_m_s": (0.0, 115.0),
    "_kg_per_kwh": (0.0, 5.0),
    "_per_kwh": (-np.inf, np.inf),
    "_per_mwh": (-np.inf, np.inf),
}
_DAYS_PER_WEEK: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The quarter hours that are wanted, on the scenario's clock (its zone's standard time, all year)."""

    start: date  # day 0
    time_zone: str
    first_step: int
    n_steps: int

    @property
    def first_day(self) -> date:
        """Calendar day in which the span begins."""
        return self.start + timedelta(days=self.first_step // STEPS_PER_DAY)

    @property
    def begin_s(self) -> int:
        """Beginning of the span, seconds from 1970 of the scenario's clock."""
        return epoch_s(self.start) + self.first_step * STEP_S

    @property
    def end_step(self) -> int:
        """First step after the span."""
        return self.first_step + self.n_steps

    @property
    def end_s(self) -> int:
        """End of the span, seconds from 1970 of the scenario's clock."""
        return self.begin_s + self.n_steps * STEP_S


def scenario_span(scenario: Scenario) -> Span:
    """Return the days -1 to N of a run of N days, and more where the horizon is longer than a day.

    So the first day has a yesterday, and the last decision sees the end of its horizon. Forecasters that learn
    from a longer past have ``forecast.history_days`` instead of one. Every series of the scenario must cover
    this (or wrap around).
    """
    simulation = scenario.simulation
    dispatch = getattr(scenario, "dispatch", None)  # a section may be left out while faults are collected
    horizon_steps = STEPS_PER_DAY if dispatch is None else dispatch.horizon_steps
    days_after = max(1, -(-horizon_steps // STEPS_PER_DAY))
    n_before = days_before(scenario)
    return Span(
        start=simulation.start,
        time_zone=simulation.time_zone,
        first_step=-STEPS_PER_DAY * n_before,
        n_steps=STEPS_PER_DAY * (n_before + simulation.days + days_after),
    )


def read_series(ref: SeriesRef, path: Path, *, span: Span, units: Iterable[str]) -> FloatArray:
    """Quarter-hour means of one column.

    Parameters
    ----------
    ref
        As the scenario names it.
    path
        The file, found.
    span
        The quarter hours wanted.
    units
        Endings of which the column's name must have one, such as ``("_kw", "_pu")``.

    Returns
    -------
    ndarray, shape (span.n_steps,)
        In the column's unit.

    Raises
    ------
    SeriesError
        With every fault of the file.
    """
    fault = unit_fault(ref.column, units)
    if fault:
        raise SeriesError([fault])
    table = read_table(ref, path, [ref.column])
    values = table.values[ref.column]
    _check_bounds(table, ref, values, path)
    return _resample(_Rows.of(table, ref, span, path.name), values, ref, span)


def read_mix(mix: LoadMix, path: Path, *, span: Span) -> FloatArray:
    """Load in kW: the weighted mix of profile columns, scaled to a mean daily energy over the whole file.

    Returns
    -------
    ndarray, shape (span.n_steps,)

    Raises
    ------
    SeriesError
        With every fault of the file, or where the whole mix is 0.
    """
    ref, names = mix.series, sorted(mix.weights)
    table = read_table(ref, path, names)
    for name in names:
        _check_bounds(table, ref.model_copy(update={"column": name}), table.values[name], path)
    blend = np.sum([mix.weights[name] * table.values[name] for name in names], axis=0)
    mean = float(blend.mean())
    if mean <= 0.0:
        raise SeriesError(
            [f"{path.name}: the mix of {', '.join(names)} is 0 throughout, so it cannot be scaled"]
        )
    load_kw = blend * (mix.mean_kwh_per_day / 24.0 / mean)
    return _resample(_Rows.of(table, ref, span, path.name), load_kw, ref, span)


def unit_fault(column: str, units: Iterable[str]) -> str | None:
    """Say what is wrong with a column's unit; none when its name ends in one of the wanted.

    >>> unit_fault("ghi_kw_m2", ["_w_m2"])
    "column 'ghi_kw_m2': its name must end in its unit, _w_m2"
    """
    wanted = tuple(units)
    if column.endswith(wanted):
        return None
    return f"column {column!r}: its name must end in its unit, {' or '.join(wanted)}"


def _check_bounds(table: SeriesTable, ref: SeriesRef, values: FloatArray, path: Path) -> None:
    unit = next((unit for unit in UNIT_BOUNDS if ref.column.endswith(unit)), None)
    if unit is None:
        return
    low, high = UNIT_BOUNDS[unit]
    outside = np.flatnonzero((values < low) | (values > high))
    if len(outside):
        row = int(outside[0])
        more = f", and {len(outside) - 1} more" if len(outside) > 1 else ""
        raise SeriesError(
            [
                f"{path.name} at {instant_label(int(table.begins_s[row]))}: column {ref.column!r} is "
                f"{values[row]:g}, outside {low:g}..{high:g} of its unit{more}"
            ]
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """Which rows of the file serve the span: beginnings (of the scenario's clock) and row numbers."""

    begins_s: IntArray
    row_index: IntArray

    @classmethod
    def of(cls, table: SeriesTable, ref: SeriesRef, span: Span, name: str) -> _Rows:
        step_s = ref.step_minutes * 60
        begins_s = table.begins_s
        if ref.zone != SCENARIO_ZONE:
            begins_s = begins_s + standard_offset_s(span.time_zone, span.start)
        _check_resolution(int(begins_s[0]), step_s, ref, name)
        phase = int(begins_s[0]) % step_s
        first, last = (span.begin_s - phase) // step_s, -((phase - span.end_s) // step_s)
        # one row more on either side, for lines between the middles
        needed_s = phase + step_s * np.arange(first - 1, last + 1, dtype=np.int64)
        if ref.wrap != "none":
            rows = _wrapped(needed_s, begins_s, step_s, ref.wrap, name)
            if ref.wrap == "weekdays":
                rows = _on_same_weekday(rows, needed_s, begins_s, step_s)
            return cls(begins_s=needed_s, row_index=rows)
        end_s = int(begins_s[-1]) + step_s
        if span.begin_s < begins_s[0] or span.end_s > end_s:
            raise SeriesError(
                [
                    f"{name} covers {instant_label(int(begins_s[0]))} to {instant_label(end_s)} of the "
                    f"scenario's clock, but {instant_label(span.begin_s)} to {instant_label(span.end_s)} is "
                    "needed (the forecaster's past, a day at least, to the last horizon's end); "
                    'wrap = "year" lets one year serve any'
                ]
            )
        index = (needed_s - begins_s[0]) // step_s
        return cls(
            begins_s=needed_s, row_index=np.clip(index, 0, len(begins_s) - 1)
        )  # edges hold their value


def _check_resolution(begin_s: int, step_s: int, ref: SeriesRef, name: str) -> None:
    faults = []
    if step_s <= STEP_S and STEP_S % step_s or step_s > STEP_S and step_s % STEP_S:
        faults.append(f"{name}: step_minutes {ref.step_minutes} neither divides 15 nor is a multiple of it")
    elif begin_s % min(step_s, STEP_S):
        grid = f"multiples of {ref.step_minutes} min" if step_s < STEP_S else "quarter hours"
        faults.append(f"{name}: its rows begin at {instant_label(begin_s)}, not on {grid}")
    if step_s > STEP_S and ref.to_quarter_hours == "mean":
        faults.append(f'{name}: rows of {ref.step_minutes} min need to_quarter_hours = "hold" or "linear"')
    if step_s < STEP_S and ref.to_quarter_hours != "mean":
        faults.append(f'{name}: rows of {ref.step_minutes} min need to_quarter_hours = "mean"')
    if ref.wrap != "none" and DAY_S % step_s:
        faults.append(
            f'{name}: wrap = "{ref.wrap}" needs step_minutes that divide a day, not {ref.step_minutes}'
        )
    if faults:
        raise SeriesError(faults)


def _wrapped(needed_s: IntArray, begins_s: IntArray, step_s: int, wrap: str, name: str) -> IntArray:
    """Row of the same clock time of the file's year; 29 February takes the 28th's where the year has none."""
    row_of_slot = _rows_of_year(int(begins_s[0]), len(begins_s), step_s, wrap, name)
    return row_of_slot[second_of_year(needed_s) // step_s]


@lru_cache(maxsize=32)  # many regions read the same few files, and a study's every cell and run does so again
def _rows_of_year(begin_s: int, n_rows: int, step_s: int, wrap: str, name: str) -> IntArray:
    """Row of each step of a year with a 29 February, of a file whose rows follow each other from `begin_s` on."""
    slots = second_of_year(begin_s + step_s * np.arange(n_rows, dtype=np.int64)) // step_s
    per_day = DAY_S // step_s
    row_of_slot = np.full(366 * per_day, -1, dtype=np.int64)
    row_of_slot[slots[::-1]] = np.arange(len(slots))[::-1]
    if n_rows > 366 * per_day or len(np.unique(slots)) < len(slots):
        raise SeriesError([f'{name} covers more than one year: wrap = "{wrap}" cannot tell which one to use'])
    leap_day = slice(59 * per_day, 60 * per_day)
    if (row_of_slot[leap_day] < 0).all():
        row_of_slot[leap_day] = row_of_slot[58 * per_day : 59 * per_day]
    missing = np.flatnonzero(row_of_slot < 0)
    if len(missing):
        where = instant_label(epoch_s(date(2016, 1, 1)) + int(missing[0]) * step_s)[5:]
        raise SeriesError(
            [
                f'{name} lacks {len(missing)} rows of a whole year (first: {where}), which wrap = "{wrap}" needs'
            ]
        )
    row_of_slot.setflags(write=False)
    return row_of_slot


def _on_same_weekday(rows: IntArray, needed_s: IntArray, begins_s: IntArray, step_s: int) -> IntArray:
    """Rows up to three days earlier or later, of the day of the week that is needed; up to six at the file's ends."""
    per_day = DAY_S // step_s
    days_off = (needed_s // DAY_S - begins_s[rows] // DAY_S + 3) % _DAYS_PER_WEEK - 3
    moved = rows + days_off * per_day
    moved = np.where(moved < 0, moved + _DAYS_PER_WEEK * per_day, moved)
    return np.where(moved >= len(begins_s), moved - _DAYS_PER_WEEK * per_day, moved)


def _resample(rows: _Rows, values: FloatArray, ref: SeriesRef, span: Span) -> FloatArray:
    step_s = ref.step_minutes * 60
    native = values[rows.row_index]
    quarter_s = span.begin_s + STEP_S * np.arange(span.n_steps, dtype=np.int64)
    if step_s <= STEP_S:
        per_quarter = STEP_S // step_s
        first = (span.begin_s - int(rows.begins_s[0])) // step_s
        taken = native[first : first + per_quarter * span.n_steps]
        return np.asarray(taken.reshape(span.n_steps, per_quarter).mean(axis=1))
    if ref.to_quarter_hours == "hold":
        return np.asarray(native[(quarter_s - rows.begins_s[0]) // step_s])
    middle_s = rows.begins_s + step_s / 2
    return np.asarray(np.interp(quarter_s + STEP_S / 2, middle_s, native), dtype=np.float64)
