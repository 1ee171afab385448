"""What an audit says: findings, one line each, and the tolerances of every comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

ENERGY_KWH: Final = 1e-6
"""Two energies are the same within this; so are powers in kW. Far above rounding, far below any meter."""
SUM_RELATIVE: Final = 1e-9
"""Sums over a fleet may differ by this fraction besides."""
MONEY_RELATIVE: Final = 1e-6
"""Key figures and solver bounds are the same within this fraction."""
SHOWN: Final = 5
"""Findings of one kind that are spelled out; the rest are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault: which check, in which table, where, and what is wrong."""

    check: str
    table: str
    where: str
    claim: str

    def __str__(self) -> str:
        place = f"{self.table}: {self.where}: " if self.where else f"{self.table}: "
        return f"{place}{self.claim} [{self.check}]"


class Findings:
    """Collects findings; of each kind only the first few are spelled out."""

    def __init__(self) -> None:
        self.items: list[Finding] = []

    def add(self, check: str, table: str, claim: str, where: str = "") -> None:
        """Note one fault."""
        self.items.append(Finding(check=check, table=table, where=where, claim=claim))

    def rows(self, bad: Any, check: str, table: str, where: str, claim: str, **values: Any) -> None:
        """Note the rows where a mask is true.

        Parameters
        ----------
        bad : ndarray of bool, shape (n,)
            Rows at fault.
        where, claim
            Templates; ``{name}`` is the row's entry of the array of that name (instants end in ``_s``).
        values : ndarray, shape (n,)
            What the templates name.
        """
        rows = np.flatnonzero(np.asarray(bad))
        for i in rows[:SHOWN].tolist():
            row = {name: _readable(name, array[i]) for name, array in values.items()}
            self.add(check, table, claim.format(**row), where.format(**row))
        if len(rows) > SHOWN:
            self.add(check, table, f"and {len(rows) - SHOWN} more rows of this kind")


def differs(values: Any, expected: Any, tolerance: float = ENERGY_KWH) -> BoolArray:
    """Tell where two arrays are not the same; not-a-number never is.

    >>> differs(np.array([1.0, 2.0, np.nan]), np.array([1.0 + 1e-9, 2.1, 0.0]))
    array([False,  True,  True])
    """
    close: BoolArray = np.abs(np.asarray(values, dtype=np.float64) - expected) <= tolerance
    return ~close


def clock(instant_s: int) -> str:
    """Readable instant, ``D+HH:MM:SS`` without what is zero.

    >>> clock(29_700), clock(86_400 + 3_601)
    ('08:15', '1+01:00:01')
    """
    day, rest = divmod(int(instant_s), 86_400)
    seconds = f":{rest % 60:02d}" if rest % 60 else ""
    return (f"{day}+" if day else "") + f"{rest // 3600:02d}:{rest // 60 % 60:02d}{seconds}"


def number(value: float) -> str:
    """Readable number.

    >>> number(12.3456789), number(np.float64(3)), number(1e-7)
    ('12.345679', '3', '1e-07')
    """
    text = f"{float(value):.6f}".rstrip("0").rstrip(".")
    return text if float(text) != 0 or value == 0 else f"{float(value):.3g}"


def _readable(name: str, value: Any) -> str:
    if name.endswith("_s"):
        return clock(int(value))
    return value if isinstance(value, str) else number(float(value)) if value is not None else "null"
