"""Tables that people hand in, as texts: cells are read by whoever knows what they mean, so that faults name rows."""

from __future__ import annotations

import math
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
            table = pd.read_csv(
                path, dtype=str, keep_default_na=False, skipinitialspace=True, encoding="utf-8-sig"
            )
    except (OSError, ValueError) as error:
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
