"""Series that a scenario names, read again by code of its own: for prices and emission factors."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from experiments.audit_findings import FloatArray
from experiments.audit_folder import STEP_S, Folder

DATA = Path(__file__).parent / "data"
NS = 10**9


def data_file(name: str) -> Path | None:
    """Path of a file as a scenario names it, absolute or ``shipped:NAME``; none if it is not at hand."""
    shipped = name.removeprefix("shipped:")
    if shipped == name:
        return Path(name) if Path(name).is_file() else None
    found = [path for path in DATA.rglob("*") if path.name.split(".")[0] == shipped]
    return found[0] if found else None


def step_values(folder: Folder, reference: dict[str, Any]) -> FloatArray | None:
    """Value of a series in each step of the run, shape (n_steps,).

    Returns
    -------
    ndarray or None
        Nothing where the file is not at hand, or is of a kind that is not read again here (a year for all
        years, or clock hours of a zone that changes its clocks): then nothing can be said.
    """
    path = data_file(reference["file"])
    zone = reference["zone"]
    if path is None or reference["wrap"] != "none" or zone not in ("scenario", "UTC"):
        return None
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    length_s = int(reference["step_minutes"]) * 60
    begins_s = _stamps_s(folder, reference, frame, length_s)
    if reference["stamp"] == "ending":
        begins_s = begins_s - length_s
    values = frame[reference["column"]].to_numpy(np.float64)
    at_s = np.arange(folder.n_steps) * STEP_S
    if reference["to_quarter_hours"] == "linear":
        drawn: FloatArray = np.interp(at_s + STEP_S / 2, begins_s + length_s / 2, values)
        return drawn
    if length_s >= STEP_S:
        return np.asarray(values[np.searchsorted(begins_s, at_s, side="right") - 1], dtype=np.float64)
    inside = (begins_s >= 0) & (begins_s < folder.end_s)
    sums = np.bincount(begins_s[inside] // STEP_S, weights=values[inside], minlength=folder.n_steps)
    return np.asarray(sums / (STEP_S // length_s), dtype=np.float64)


def _stamps_s(folder: Folder, reference: dict[str, Any], frame: pd.DataFrame, length_s: int) -> Any:
    """Seconds from the scenario's start to each row's stamp."""
    zone = reference["zone"]
    if "time_column" in reference:
        stamps = pd.to_datetime(frame[reference["time_column"]], utc=True)
    else:
        first = pd.to_datetime(reference["start"], utc=True)
        stamps = pd.Series(first + pd.to_timedelta(np.arange(len(frame)) * length_s, unit="s"))
    since = stamps.dt.as_unit("ns").astype("int64").to_numpy() // NS
    start = pd.Timestamp(str(folder.scenario["simulation"]["start"]), tz="UTC").value // NS
    return since - start + (_offset_s(folder) if zone == "UTC" else 0)


def _offset_s(folder: Folder) -> int:
    """Standard time of the scenario's zone less UTC."""
    day = datetime.combine(
        folder.scenario["simulation"]["start"], time(12), ZoneInfo(folder.scenario["simulation"]["time_zone"])
    )
    offset, summer = day.utcoffset(), day.dst()
    assert offset is not None
    assert summer is not None
    return int((offset - summer).total_seconds())
