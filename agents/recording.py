"""What the fleet writes down: rows of segments and stays in growing columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sim.arrays import BoolArray, FloatArray, IntArray

_CHUNK: Final = 8192  # rows kept as tuples before they become arrays


class RowLog:
    """Rows appended one by one or in arrays, kept as columns.

    >>> log = RowLog((np.int64, np.float64))
    >>> log.append((3, 0.5))
    >>> log.extend(np.array([4, 5]), np.array([1.0, 2.0]))
    >>> [column.tolist() for column in log.columns()]
    [[3, 4, 5], [0.5, 1.0, 2.0]]
    """

    def __init__(self, dtypes: Sequence[type]) -> None:
        self._dtypes = tuple(dtypes)
        self._rows: list[tuple[Any, ...]] = []
        self._chunks: list[list[NDArray[Any]]] = []

    def append(self, row: tuple[Any, ...]) -> None:
        """Add one row."""
        self._rows.append(row)
        if len(self._rows) >= _CHUNK:
            self._flush()

    def extend(self, *columns: NDArray[Any]) -> None:
        """Add rows given as columns."""
        self._flush()
        self._chunks.append([np.asarray(c, dtype=t) for c, t in zip(columns, self._dtypes, strict=True)])

    def columns(self) -> list[NDArray[Any]]:
        """All rows so far, as one array per column."""
        self._flush()
        if not self._chunks:
            self._chunks = [[np.empty(0, dtype=dtype) for dtype in self._dtypes]]
        if len(self._chunks) > 1:
            self._chunks = [[np.concatenate(parts) for parts in zip(*self._chunks, strict=True)]]
        return list(self._chunks[0])

    def tail(self, column: int, above: int) -> list[NDArray[Any]]:
        """Rows where a column that never falls down the log exceeds a value; touches recent rows only.

        >>> log = RowLog((np.int64, np.float64))
        >>> log.extend(np.array([1, 2, 3]), np.array([0.1, 0.2, 0.3]))
        >>> [column.tolist() for column in log.tail(0, 1)]
        [[2, 3], [0.2, 0.3]]
        """
        self._flush()
        recent: list[list[NDArray[Any]]] = []
        for chunk in reversed(self._chunks):
            if not len(chunk[column]) or chunk[column][-1] <= above:
                break
            recent.insert(0, chunk)
        if not recent:
            return [np.empty(0, dtype=dtype) for dtype in self._dtypes]
        joined = [np.concatenate(parts) for parts in zip(*recent, strict=True)]
        first = int(np.searchsorted(joined[column], above, side="right"))
        return [values[first:] for values in joined]

    def clear(self) -> None:
        """Forget all rows."""
        self._rows.clear()
        self._chunks.clear()

    def _flush(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            self._chunks.append([np.array(c, dtype=t) for c, t in zip(columns, self._dtypes, strict=True)])
            self._rows.clear()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segments:
    """Rows of ``segments.parquet``, sorted by car and time; shapes (n_rows,)."""

    vehicle_index: IntArray
    start_s: IntArray
    end_s: IntArray
    region_index: IntArray  # -1 while driving
    is_plugged: BoolArray
    power_kw: FloatArray
    energy_start_kwh: FloatArray
    energy_end_kwh: FloatArray


class SegmentLog:
    """Pieces of the cars' lives at constant activity, region, plugged and power."""

    def __init__(self) -> None:
        self._log = RowLog(
            (np.int32, np.int64, np.int64, np.int16, np.bool_, np.float64, np.float64, np.float64)
        )
        self.is_on = False

    def append(
        self,
        car: int,
        span_s: tuple[int, int],
        place: tuple[int, bool],
        power_kw: float,
        kwh: tuple[float, float],
    ) -> None:
        """Record one piece: its span, its region and whether plugged, its power, its energy at both ends."""
        if self.is_on and span_s[1] > span_s[0]:  # pieces of no length are none
            self._log.append((car, *span_s, *place, power_kw, *kwh))

    def extend(self, **columns: NDArray[Any]) -> None:
        """Record pieces of several cars, given by the names of `Segments`."""
        if self.is_on:
            has_length = columns["end_s"] > columns["start_s"]
            if has_length.any():
                self._log.extend(*(columns[name][has_length] for name in Segments.__slots__))

    def restart(self, is_on: bool) -> None:
        """Forget everything; record from now on or not."""
        self._log.clear()
        self.is_on = is_on

    def segments(self) -> Segments:
        """Pieces in order, neighbours that differ in nothing but time joined."""
        columns = dict(zip(Segments.__slots__, self._log.columns(), strict=True))
        order = np.lexsort((columns["start_s"], columns["vehicle_index"]))
        columns = {name: values[order] for name, values in columns.items()}
        same = np.ones(max(len(order) - 1, 0), dtype=np.bool_)
        for name in ("vehicle_index", "region_index", "is_plugged", "power_kw"):
            same &= columns[name][1:] == columns[name][:-1]
        first = np.flatnonzero(np.concatenate([[True], ~same])) if len(order) else order
        last = np.append(first[1:] - 1, len(order) - 1) if len(order) else order
        at = {name: last if name in ("end_s", "energy_end_kwh") else first for name in columns}
        return Segments(**{name: values[at[name]] for name, values in columns.items()})
