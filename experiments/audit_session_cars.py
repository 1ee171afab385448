"""What an audit knows of sessions as cars: who they are, and what they need."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.audit_findings import FloatArray
from experiments.audit_folder import Folder

SERVED = "served"


def served(folder: Folder) -> pd.DataFrame:
    """Sessions that are cars of the run, in order of their cars."""
    rows = folder.sessions[folder.sessions["status"] == SERVED]
    return rows.sort_values("vehicle_id", ignore_index=True)


def has_sessions(folder: Folder) -> bool:
    """Whether the cars of the run are sessions."""
    return bool(folder.scenario["travel"]["source"] == "sessions")


def fleet_size(folder: Folder) -> int:
    """Cars that the run must have."""
    return len(served(folder)) if has_sessions(folder) else int(folder.scenario["fleet"]["size"])


def full_kwh(folder: Folder) -> FloatArray:
    """Stored energy with which a session has what it needs."""
    car = folder.scenario["fleet"]["classes"][0]
    energy_kwh = served(folder)["energy_kwh"].to_numpy(np.float64)
    return np.asarray(car["initial_soc"] * car["battery_kwh"] + car["charge_efficiency"] * energy_kwh)


def class_values(folder: Folder, field: str, stated: FloatArray) -> FloatArray:
    """What a column of ``vehicles`` must be: its class's value, but for batteries and limits of sessions."""
    if not has_sessions(folder):
        return stated
    sessions, car = served(folder), folder.scenario["fleet"]["classes"][0]
    if field == "soc_max":
        return np.asarray(full_kwh(folder) / car["battery_kwh"])
    if field == "charge_limit_kw":
        return sessions["charge_limit_kw"].to_numpy(np.float64)
    return stated
