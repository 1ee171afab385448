"""Refusals of numbers that cannot be, before a solver gets them.

A NaN keeps HiGHS running for ever, and a negative size makes a program infeasible as a limit of the feeder would: both
have to be told where they come in, by the name under which they do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sim.arrays import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class Rule:
    """What numbers must be, in words and as a test of each."""

    text: str
    holds: Callable[[FloatArray], BoolArray]  # False for NaN


FINITE: Final = Rule("finite", np.isfinite)
NOT_NEGATIVE: Final = Rule("finite and not negative", lambda v: np.isfinite(v) & (v >= 0.0))
POSITIVE: Final = Rule("finite and above 0", lambda v: np.isfinite(v) & (v > 0.0))
LIMIT: Final = Rule("not negative (inf: no limit)", lambda v: v >= 0.0)
BOUND: Final = Rule("a number (inf: no bound)", lambda v: v > -np.inf)
LIFE: Final = Rule("above 0", lambda v: v > 0.0)
RATE: Final = Rule("finite and above -1", lambda v: np.isfinite(v) & (v > -1.0))
SHARE: Final = Rule("between 0 and 1", lambda v: (v >= 0.0) & (v <= 1.0))
NO_OR_YES: Final = Rule("0 or 1", lambda v: (v == 0.0) | (v == 1.0))
SHARE_BELOW_1: Final = Rule("at least 0 and below 1", lambda v: (v >= 0.0) & (v < 1.0))
EFFICIENCY: Final = Rule("above 0 and at most 1", lambda v: (v > 0.0) & (v <= 1.0))


def whole_number(least: int) -> Rule:
    """Whole numbers from one on."""
    return Rule(f"a whole number of at least {least}", lambda v: (v >= least) & (v % 1.0 == 0.0))


def positions(n: int, what: str) -> Rule:
    """Positions among so many, from 0 on."""
    return Rule(
        f"the position of one of {n} {what}, 0 to {n - 1}", lambda v: (v >= 0) & (v < n) & (v % 1.0 == 0.0)
    )


def check(place: str, values: Any, rule: Rule) -> None:
    """Refuse a number, or the first of an array, that breaks a rule.

    >>> check("Storage: charge_efficiency", 2.0, EFFICIENCY)
    Traceback (most recent call last):
    ValueError: Storage: charge_efficiency is 2.0, must be above 0 and at most 1

    Raises
    ------
    ValueError
        With place, position in an array, value and rule.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{place} is {values!r}, must be {rule.text}")
    wrong = np.argwhere(~rule.holds(array))
    if not len(wrong):
        return
    at = tuple(wrong[0].tolist())
    position = f"[{', '.join(map(str, at))}]" if at else ""
    raise ValueError(f"{place}{position} is {array[at]}, must be {rule.text}")


def check_fields(owner: object, rule: Rule, *names: str) -> None:
    """Refuse fields of an object that break a rule."""
    for name in names:
        check(f"{type(owner).__name__}: {name}", getattr(owner, name), rule)


def check_shape(place: str, values: Any, shape: tuple[int, ...], like: str) -> None:
    """Refuse an array of another shape than what it goes with."""
    if np.shape(values) != shape:
        raise ValueError(f"{place} has shape {np.shape(values)}, {like} {shape}")
