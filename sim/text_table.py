"""Tables that people hand in, as texts: cells are read by whoever knows what they mean, so that faults name rows."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sim.errors import ScenarioError


def read_text_table(
    path: Path, place: str, required: Sequence[str], optional: Sequence[str] = ()
) -> pd.DataFrame:
    """Read a CSV or Parquet file; cells are texts, empty where there is nothing.

    Parameters
    ----------
    path
        Parquet where it ends in ``.parquet``, otherwise CSV in UTF-8.
    place
        The scenario's key that names the file, for messages.
    required, optional
        Names of columns: those that must be there, and those that may.

    Raises
    ------
    ScenarioError
        When the file cannot be read, or with every missing and unknown column.
    """
    try:
        if path.suffix == ".parquet":
            raw = pd.read_parquet(path)
            table = pd.DataFrame({str(name): raw[name].map(_text) for name in raw.columns}, dtype=object)
        else:
            table = _csv_table(path)
    except (OSError, ValueError, csv.Error) as error:
        raise ScenarioError([f"{place}: cannot read {path}: {error}"]) from error
    known = (*required, *optional)
    faults = [f"{path.name}: column {name!r} is missing" for name in required if name not in table]
    faults += [
        f"{path.name}: column {name!r} is unknown ({', '.join(known)})"
        for name in table.columns
        if name not in known
    ]
    if faults:
        raise ScenarioError(faults)
    return table


def _csv_table(path: Path) -> pd.DataFrame:
    """Cells by the header's names; rows may end with empty cells, or lack them.

    Raises
    ------
    ScenarioError
        With every row that has more cells than the header has names.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [_stripped(row) for row in csv.reader(file, skipinitialspace=True, strict=True)]
    rows = [row for row in rows if row]
    if not rows:
        raise ValueError("it is empty")
    header = rows[0]
    n = len(header)
    if faults := [
        f"{path.name} row {number}: {len(row)} cells, the header has {n}"
        for number, row in enumerate(rows[1:], start=2)
        if len(row) > n
    ]:
        raise ScenarioError(faults)
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        raise ScenarioError([f"{path.name}: column {name!r} is there twice" for name in twice])
    return pd.DataFrame([row + [""] * (n - len(row)) for row in rows[1:]], columns=header, dtype=object)


def _stripped(row: list[str]) -> list[str]:
    """Cells without empty ones at the end."""
    while row and not row[-1].strip():
        row = row[:-1]
    return row


def finite_number(text: str) -> float | None:
    """Number that a text is; none where it is no finite one.

    >>> finite_number(" 2.5"), finite_number("inf"), finite_number("two")
    (2.5, None, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)
