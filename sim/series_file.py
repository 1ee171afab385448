"""A time series' file: read, parsed and checked row by row, every fault with its place."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from sim.arrays import BoolArray, FloatArray, IntArray
from sim.errors import SeriesError
from sim.scenario import SeriesRef
from sim.series_time import SCENARIO_ZONE, instant_label, wall_to_utc, zone_fault

_SHOWN: Final = 3  # faulty rows of one kind that are named; the rest is counted
_CSV_ENDINGS: Final = (".csv", ".csv.gz")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeriesTable:
    """Rows of a file, evenly spaced and complete.

    ``begins_s`` are the rows' beginnings in seconds from 1970: of UTC, or of the scenario's clock where the
    reference says ``zone = "scenario"``. ``values`` holds one array of shape (n_rows,) per column.
    """

    begins_s: IntArray
    values: dict[str, FloatArray]


def read_table(ref: SeriesRef, path: Path, columns: Sequence[str]) -> SeriesTable:
    """Read the wanted columns of a series' file; the last few tables are kept.

    Raises
    ------
    SeriesError
        With every fault of the file: missing, no such column, rows that are no number or no time, gaps,
        duplicates, rows out of order.
    """
    try:
        stat = path.stat()
    except OSError:
        raise SeriesError([f"no file {path}"]) from None
    if not path.is_file():
        raise SeriesError([f"{path} is not a file"])
    return _read_table(ref, path, tuple(columns), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=16)
def _read_table(
    ref: SeriesRef, path: Path, columns: tuple[str, ...], _mtime_ns: int, _size: int
) -> SeriesTable:
    arrow = _read_arrow(path, [*([] if ref.time_column is None else [ref.time_column]), *columns])
    faults = _Faults(path)
    values = {name: _numbers(arrow[name], name, faults) for name in columns}
    begins_s = _beginnings(ref, arrow, faults)
    faults.raise_any()
    if len(begins_s) == 0:
        raise SeriesError([f"{path.name} has no rows"])
    for array in (begins_s, *values.values()):
        array.setflags(write=False)
    return SeriesTable(begins_s=begins_s, values=values)


class _Faults:
    """Faults of one file, with its rows named as an editor counts them (CSV) or from 1 (Parquet)."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.lines: list[str] = []
        self._row: Callable[[int], str] = (
            (lambda row: f"line {row + 2}")
            if path.name.endswith(_CSV_ENDINGS)
            else (lambda row: f"row {row + 1}")
        )

    def add(self, rows: BoolArray | Sequence[int], describe: Callable[[int], str]) -> None:
        """One line for each of the first few faulty rows, and how many more there are."""
        where = np.flatnonzero(rows) if isinstance(rows, np.ndarray) else np.asarray(rows, dtype=np.int64)
        for row in where[:_SHOWN]:
            self.lines.append(f"{self.name} {self._row(int(row))}: {describe(int(row))}")
        if len(where) > _SHOWN:
            self.lines.append(f"{self.name}: {len(where) - _SHOWN} more such rows")

    def raise_any(self) -> None:
        """Raise what was found."""
        if self.lines:
            raise SeriesError(self.lines)


def _read_arrow(path: Path, names: list[str]) -> pa.Table:
    is_csv = path.name.endswith(_CSV_ENDINGS)
    if not is_csv and path.suffix != ".parquet":
        raise SeriesError([f"{path.name} is neither .csv, .csv.gz nor .parquet"])
    try:
        known = _csv_header(path) if is_csv else pq.read_schema(path).names
        missing = [name for name in names if name not in known]
        if missing:
            raise SeriesError(
                [f"{path.name} has no column {name!r}; it has {_listed(known)}" for name in missing]
            )
        if not is_csv:
            return pq.read_table(path, columns=names, use_threads=False)
        as_text = pa.csv.ConvertOptions(include_columns=names, column_types=dict.fromkeys(names, pa.string()))
        return pa.csv.read_csv(path, pa.csv.ReadOptions(use_threads=False), convert_options=as_text)
    except (pa.ArrowException, OSError, UnicodeDecodeError, EOFError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SeriesError([f"{path.name} cannot be read: {reason}"]) from None


def _csv_header(path: Path) -> list[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file), [])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _numbers(column: Any, name: str, faults: _Faults) -> FloatArray:
    """Values as float64; rows that are no finite number are faults."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        try:
            column = pc.cast(column, pa.float64())
        except pa.ArrowInvalid:
            return _numbers_slowly(column.to_pylist(), name, faults)
    if not (
        pa.types.is_floating(column.type)
        or pa.types.is_integer(column.type)
        or pa.types.is_decimal(column.type)
    ):
        faults.lines.append(f"{faults.name}: column {name!r} holds {column.type}, not numbers")
        return np.empty(0)
    values = np.array(pc.cast(column, pa.float64()).to_numpy(), dtype=np.float64)
    faults.add(~np.isfinite(values), lambda row: f"column {name!r} has no value")
    return values


def _numbers_slowly(texts: list[str | None], name: str, faults: _Faults) -> FloatArray:
    values = np.array([_number(text) for text in texts])
    faults.add(
        ~np.isfinite(values),
        lambda row: f"column {name!r} " + (f"is no number: {texts[row]!r}" if texts[row] else "has no value"),
    )
    return values


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def _beginnings(ref: SeriesRef, arrow: pa.Table, faults: _Faults) -> IntArray:
    """Beginnings of the rows, seconds from 1970 (UTC, or clock hours not to be converted)."""
    if ref.zone not in {SCENARIO_ZONE, "UTC"} and (fault := zone_fault(ref.zone)):
        raise SeriesError([fault])
    step_s = ref.step_minutes * 60
    shift_s = step_s if ref.stamp == "ending" else 0
    if ref.time_column is None:
        first_s = _first_instant(ref, faults) - shift_s
        return np.asarray(first_s + step_s * np.arange(len(arrow), dtype=np.int64))
    stamps_s, aware = _stamps(arrow[ref.time_column], ref.time_column, faults)
    if len(stamps_s) == 0:
        return stamps_s
    begins_s = _to_utc(stamps_s, aware, ref, faults) - shift_s
    _check_spacing(begins_s, stamps_s, step_s, faults)
    return begins_s


def _first_instant(ref: SeriesRef, faults: _Faults) -> int:
    moment = _moment(ref.start)
    if moment is None:
        raise SeriesError([f"start {ref.start!r} is no time (ISO, such as 2016-04-20 08:15)"])
    stamp_s = _seconds(moment)
    return int(_to_utc(np.array([stamp_s], dtype=np.int64), moment.tzinfo is not None, ref, faults)[0])


def _to_utc(stamps_s: IntArray, aware: bool, ref: SeriesRef, faults: _Faults) -> IntArray:
    if aware:
        if ref.zone == SCENARIO_ZONE:
            faults.lines.append(f'{faults.name}: its times carry a zone, so zone = "scenario" cannot hold')
        return stamps_s
    if ref.zone in {SCENARIO_ZONE, "UTC"}:
        return stamps_s
    utc_s, exists = wall_to_utc(stamps_s, ref.zone)
    faults.add(
        ~exists,
        lambda row: f"{instant_label(int(stamps_s[row]))} does not exist in {ref.zone} (clocks went forward)",
    )
    return utc_s


def _stamps(column: Any, name: str, faults: _Faults) -> tuple[IntArray, bool]:
    """Stamps in seconds from 1970, and whether they carry a zone (then they are UTC)."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        for zone in (None, "UTC"):
            try:
                column = pc.cast(column, pa.timestamp("us", zone))
                break
            except pa.ArrowInvalid:
                continue
        else:
            return _parse_texts(column.to_pylist(), faults)
    if not pa.types.is_timestamp(column.type):
        faults.lines.append(f"{faults.name}: column {name!r} holds {column.type}, not times")
        return np.empty(0, dtype=np.int64), False
    aware = column.type.tz is not None
    micros = pc.cast(pc.cast(column, pa.timestamp("us", column.type.tz), safe=False), pa.int64())
    missing = np.asarray(pc.is_null(micros).to_numpy(), dtype=np.bool_)
    faults.add(missing, lambda row: f"column {name!r} has no time")
    if missing.any():
        return np.empty(0, dtype=np.int64), aware
    stamps, rest = np.divmod(np.asarray(micros.to_numpy(), dtype=np.int64), 1_000_000)
    faults.add(rest != 0, lambda row: f"the time {instant_label(int(stamps[row]))} is not a whole second")
    return stamps, aware


def _parse_texts(texts: Sequence[str | None], faults: _Faults) -> tuple[IntArray, bool]:
    """Parse the slow way, for files with faults or rarer ISO forms."""
    moments = [_moment(text) for text in texts]
    bad = [row for row, moment in enumerate(moments) if moment is None]
    faults.add(bad, lambda row: f"{texts[row] or ''!r} is no time (ISO, such as 2016-04-20 08:15)")
    known = [moment for moment in moments if moment is not None]
    aware = bool(known) and known[0].tzinfo is not None
    mixed = [row for row, m in enumerate(moments) if m is not None and (m.tzinfo is not None) != aware]
    faults.add(mixed, lambda row: f"{texts[row]!r}: some times carry a zone and some do not")
    if bad or mixed:
        return np.empty(0, dtype=np.int64), aware
    return np.array([_seconds(moment) for moment in known], dtype=np.int64), aware


def _seconds(moment: datetime) -> int:
    return int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat((text or "").strip())
    except ValueError:
        return None


def _check_spacing(begins_s: IntArray, stamps_s: IntArray, step_s: int, faults: _Faults) -> None:
    """Rows must be in order, unique and one step apart."""
    gaps = np.concatenate([[step_s], np.diff(begins_s)])

    def at(row: int) -> str:
        return instant_label(int(stamps_s[row]))

    faults.add(gaps == 0, lambda row: f"{at(row)} comes twice")
    faults.add(gaps < 0, lambda row: f"{at(row)} comes after {at(row - 1)}: not in order")
    is_gap = (gaps > step_s) & (gaps % step_s == 0)
    faults.add(
        is_gap, lambda row: f"gap: {gaps[row] // step_s - 1} rows missing between {at(row - 1)} and {at(row)}"
    )
    is_uneven = (gaps > 0) & (gaps != step_s) & ~is_gap
    faults.add(
        is_uneven,
        lambda row: (
            f"{at(row)} is {gaps[row] / 60:g} minutes after the row before, not {step_s // 60} (step_minutes)"
        ),
    )
