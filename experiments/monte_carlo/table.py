"""Result rows as tables: one schema for all files of a study."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.monte_carlo.contracts import Cell, Level, Row
from sim.key_figures import KEY_FIGURES

KEYS: Final = ("cell", "policy", "replication")
MACHINE: Final = ("wall_seconds", "peak_memory_mb")
"""Columns that may differ between two runs of the same study."""


def figure_names(currency: str) -> tuple[str, ...]:
    """Key figures of a study's rows, in their order.

    >>> figure_names("CNY")[0]
    'total_cost_cny'
    """
    return tuple(figure.name_in(currency) for figure in KEY_FIGURES)


def result_schema(cells: Sequence[Cell], currency: str) -> pa.Schema:
    """Columns of a result file: keys, levels of the factors, key figures, what the machine took."""
    keys = [("cell", pa.int64()), ("policy", pa.string()), ("replication", pa.int64())]
    levels = [(key, level_type([cell.levels[key] for cell in cells])) for key in cells[0].levels]
    figures = [(name, pa.float64()) for name in (*figure_names(currency), *MACHINE)]
    return pa.schema([pa.field(name, dtype, nullable=False) for name, dtype in [*keys, *levels, *figures]])


def level_type(levels: Sequence[Level]) -> pa.DataType:
    """Type of a factor's column: numbers and truths as they are, all else as text.

    >>> level_type([100, 300]), level_type([1, 0.5]), level_type(["perfect", 3])
    (DataType(int64), DataType(double), DataType(string))
    """
    kinds = {type(level) for level in levels}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int}:
        return pa.int64()
    return pa.float64() if kinds <= {int, float} else pa.string()


def row_table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """Rows as a table of the schema.

    Raises
    ------
    KeyError
        When a row lacks a figure.
    """
    records = [_record(row, schema) for row in rows]
    return pa.Table.from_pylist(records, schema=schema)


def rows_bytes(rows: Iterable[Row], schema: pa.Schema) -> bytes:
    """Contents of a result file: plain, for a few rows compression and dictionaries only cost time and room."""
    sink = io.BytesIO()
    pq.write_table(
        row_table(rows, schema),
        sink,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        write_page_checksum=True,
        store_schema=False,
    )
    return sink.getvalue()


def read_table(file: Path) -> pa.Table:
    """Read a result file, with its checksums and without threads: there are many files, and each is small.

    Raises
    ------
    pyarrow.ArrowException, OSError
        When the file is damaged.
    """
    with pq.ParquetFile(file, page_checksum_verification=True) as opened:
        return opened.read(use_threads=False)


def read_rows(file: Path, cells: Sequence[Cell], figures: Sequence[str]) -> list[Row]:
    """Rows of a result file with some of their figures.

    Raises
    ------
    pyarrow.ArrowException, OSError, LookupError
        When the file is damaged or another study's.
    """
    table = read_table(file).select([*KEYS, *figures, *MACHINE])
    return [
        Row(
            cell=cells[record["cell"]],
            policy=record["policy"],
            replication=record["replication"],
            figures={name: record[name] for name in figures},
            wall_seconds=record["wall_seconds"],
            peak_memory_mb=record["peak_memory_mb"],
        )
        for record in table.to_pylist()
    ]


def level_text(level: Level) -> str:
    """Level as people read it.

    >>> level_text("perfect"), level_text(date(2016, 4, 20)), level_text([1, 2]), level_text(True)
    ('perfect', '2016-04-20', '[1, 2]', 'true')
    """
    if isinstance(level, str | int | float | date) and not isinstance(level, bool):
        return str(level)
    return json.dumps(level, default=str)


def _record(row: Row, schema: pa.Schema) -> Mapping[str, Any]:
    values: dict[str, Any] = {"cell": row.cell.index, "policy": row.policy, "replication": row.replication}
    for key, level in row.cell.levels.items():
        values[key] = level_text(level) if schema.field(key).type == pa.string() else level
    values |= row.figures
    values |= {"wall_seconds": row.wall_seconds, "peak_memory_mb": row.peak_memory_mb}
    return {name: values[name] for name in schema.names}
