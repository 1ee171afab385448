"""Columns of ``marginals.parquet`` that tell how a car's value of energy comes about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from sim.clock import NEVER_S
from sim.contracts import Marginals

NUMBERS: Final = (
    "set_point_kw",
    "terminal_value_per_kwh",
    "requirement_duals_per_kwh",
    "full_duals_per_kwh",
    "limit_worth_per_kw",
)
INSTANTS: Final = ("dearest_departure_s", "full_s")
WORDS: Final = ("reason", "ambiguous")


def account_columns(made: Sequence[Marginals]) -> dict[str, pa.Array]:
    """Join the accounts of all decisions; null where a policy gives none."""
    columns = {name: _joined(made, name, pa.float64(), np.nan) for name in NUMBERS}
    columns |= {name: _joined(made, name, pa.int64(), NEVER_S) for name in INSTANTS}
    columns |= {name: _joined(made, name, pa.string(), None) for name in WORDS}
    programs = [[None if one.account is None else one.account.program] * len(one.vehicle_id) for one in made]
    columns["program"] = pa.array([word for part in programs for word in part], type=pa.string())
    return columns


def _joined(made: Sequence[Marginals], name: str, kind: pa.DataType, absent: Any) -> pa.Array:
    parts = [
        [absent] * len(one.vehicle_id) if one.account is None else list(getattr(one.account, name))
        for one in made
    ]
    values = [value for part in parts for value in part]
    if kind == pa.string():
        return pa.array(values, type=kind)
    array = np.array(values, dtype=np.int64 if kind == pa.int64() else np.float64)
    return pa.array(array, type=kind, mask=np.isnan(array) if kind == pa.float64() else array == absent)
