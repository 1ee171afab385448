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
    columns: dict[str, pa.Array] = {}
    for name in NUMBERS:
        numbers = np.concatenate([np.empty(0), *(_array(one, name, np.nan) for one in made)])
        columns[name] = pa.array(numbers, mask=np.isnan(numbers))
    for name in INSTANTS:
        nothing = np.empty(0, dtype=np.int64)
        instants = np.concatenate([nothing, *(_array(one, name, NEVER_S) for one in made)]).astype(np.int64)
        columns[name] = pa.array(instants, mask=instants == NEVER_S)
    for name in WORDS:
        words = [word for one in made for word in _words(one, name)]
        columns[name] = pa.array(words, type=pa.string())
    programs = [None if one.account is None else one.account.program for one in made]
    columns["program"] = pa.array(
        [program for program, one in zip(programs, made, strict=True) for _ in one.vehicle_id],
        type=pa.string(),
    )
    return columns


def _array(one: Marginals, name: str, absent: float) -> Any:
    return np.full(len(one.vehicle_id), absent) if one.account is None else getattr(one.account, name)


def _words(one: Marginals, name: str) -> Sequence[str | None]:
    return (None,) * len(one.vehicle_id) if one.account is None else getattr(one.account, name)
