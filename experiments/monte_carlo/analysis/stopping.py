"""When a study has seen enough: rules on half-widths, judged on the first replications alone."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from experiments.monte_carlo.analysis.intervals import t_factor
from experiments.monte_carlo.contracts import Row
from sim.errors import StudyError
from sim.key_figures import KEY_FIGURES
from sim.scenario_messages import did_you_mean

MINIMUM: Final = 20
"""Replications before a rule is first judged: a few that lie close by chance must not end a study."""

_GRAMMAR: Final = re.compile(
    r"\s*(?P<figure>[^\[\]<>=]*?)\s*(\[(?P<inside>[^\[\]]*)\])?\s*(?P<relation><=?)\s*(?P<width>[^<>=]*?)\s*"
)
_FORMS: Final = (
    "FIGURE < WIDTH, FIGURE[POLICY] < WIDTH or FIGURE[A-B] < WIDTH, with a WIDTH such as 2% or 150"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Half-width of the 95 % t interval of a mean, and what it is to be below.

    Without a policy the rule is for every policy; with ``minus`` it is for the paired difference ``policy - minus``.
    The width is in the figure's unit, or in percent of the mean's magnitude.
    """

    figure: str
    policy: str | None = None
    minus: str | None = None
    relation: Literal["<", "<="] = "<"
    width: float
    unit: Literal["", "%"] = ""

    def __str__(self) -> str:
        inside = "" if self.policy is None else self.policy
        inside += "" if self.minus is None else f" - {self.minus}"
        width = np.format_float_positional(self.width, trim="-")
        return f"{self.figure}{f'[{inside}]' if inside else ''} {self.relation} {width}{self.unit}"


def read_rule(text: str, policies: Sequence[str], currency: str) -> Rule:
    """Read a rule as a person writes it.

    Parameters
    ----------
    text
        ``FIGURE < WIDTH``, ``FIGURE[POLICY] < WIDTH`` or ``FIGURE[A-B] < WIDTH``, also with ``<=``. A figure is a key
        figure, with or without the currency's code at its end. A width is a positive number in the figure's unit, or
        with ``%``. Policies may hold a minus of their own: one with blanks on both sides always parts two policies.
    policies
        Of the study.
    currency
        Of the scenario.

    Raises
    ------
    StudyError
        When the text has another form, or names a figure or policy that the study lacks, or can be read two ways.

    >>> str(read_rule("total_cost_net[rolling-own-cost]<2%", ["own-cost", "rolling"], "CNY"))
    'total_cost_net_cny[rolling - own-cost] < 2%'
    """
    parts = _GRAMMAR.fullmatch(text)
    if parts is None or not parts["figure"]:
        raise StudyError(f"rule {text!r}: write {_FORMS}")
    policy, minus = (None, None) if parts["inside"] is None else _policies(text, parts["inside"], policies)
    width, unit = _width(text, parts["width"])
    return Rule(
        figure=_figure(text, parts["figure"], currency),
        policy=policy,
        minus=minus,
        relation="<=" if parts["relation"] == "<=" else "<",
        width=width,
        unit=unit,
    )


def _figure(text: str, figure: str, currency: str) -> str:
    names = {entry.name.replace("_{cur}", ""): entry.name_in(currency) for entry in KEY_FIGURES}
    names |= {name: name for name in names.values()}
    if figure not in names:
        known = ", ".join(entry.name_in(currency) for entry in KEY_FIGURES)
        raise StudyError(
            f"rule {text!r}: unknown figure {figure!r}{did_you_mean(figure, names)} (known: {known})"
        )
    return names[figure]


def _policies(text: str, inside: str, policies: Sequence[str]) -> tuple[str, str | None]:
    readings: list[tuple[str, str | None]] = [(inside.strip(), None)] if inside.strip() in policies else []
    parting = " - " if " - " in inside else "-"
    for match in re.finditer(parting, inside):
        first, second = inside[: match.start()].strip(), inside[match.end() :].strip()
        if first in policies and second in policies:
            readings.append((first, second))
    if len(readings) > 1:
        raise StudyError(
            f"rule {text!r}: [{inside}] can be read in {len(readings)} ways; "
            "write blanks around the minus of a difference"
        )
    if not readings:
        raise StudyError(
            f"rule {text!r}: [{inside}] is neither a policy of the study nor a difference of two"
            f"{_near(inside, policies)} (policies: {', '.join(policies)})"
        )
    if readings[0][0] == readings[0][1]:
        raise StudyError(f"rule {text!r}: the difference of {readings[0][0]} from itself is always 0")
    return readings[0]


def _near(inside: str, policies: Sequence[str]) -> str:
    pairs = [f"{a}-{b}" for a in policies for b in policies if a != b]
    return did_you_mean(inside.replace(" ", ""), [*policies, *pairs])


def _width(text: str, width: str) -> tuple[float, Literal["", "%"]]:
    number = width.removesuffix("%")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0.0):
        raise StudyError(
            f"rule {text!r}: width {width!r} is neither a positive number in the figure's unit nor one with %"
        )
    return value, "" if number == width else "%"


class Judge:
    """Finds the replication at which a study may stop, from rows in any order.

    A replication counts once all cells and policies of it and of all before it have rows, and sums are taken in the
    order of replication numbers: when a row came never matters, to the last bit.

    Parameters
    ----------
    rules
        All must hold in every cell; with none the study never stops before its end.
    n_cells, policies
        Of the study.
    minimum
        Replications from which on the rules are judged, at every number.
    maximum
        Replications that were asked for, if there is such a bound; rows beyond it are left aside.

    Raises
    ------
    StudyError
        When there is a rule and the minimum is below 2 or above the maximum.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        n_cells: int,
        policies: Sequence[str],
        minimum: int = MINIMUM,
        maximum: int | None = None,
    ) -> None:
        if rules and minimum < 2:
            raise StudyError(
                f"a rule needs at least 2 replications to judge a spread, a minimum of {minimum} given"
            )
        if rules and maximum is not None and minimum > maximum:
            raise StudyError(
                f"a rule is judged from {minimum} replications on, but only {maximum} were asked for: "
                "ask for more, or lower the minimum"
            )
        self._n_cells = n_cells
        self._n_rows = n_cells * len(policies)
        self._maximum = math.inf if maximum is None else maximum
        self._minimum = minimum
        self._widths = _Widths(rules, n_cells, policies) if rules else None
        self._figures = tuple(dict.fromkeys(rule.figure for rule in rules))
        self._waiting: dict[int, dict[tuple[int, str], tuple[float, ...]]] = {}
        self._complete = 0
        self._stop_at: int | None = None

    @property
    def complete(self) -> int:
        """Length n of the complete prefix 0..n-1 of replication numbers."""
        return self._complete

    @property
    def stop_at(self) -> int | None:
        """Smallest number n of replications, from the minimum on, at which every rule holds on 0..n-1; or none yet."""
        return self._stop_at

    def add(self, row: Row) -> None:
        """Take a row; one that was taken before changes nothing."""
        number = row.replication
        if not self._complete <= number < self._maximum:
            return
        rows = self._waiting.setdefault(number, {})
        rows.setdefault((row.cell.index, row.policy), tuple([row.figures[name] for name in self._figures]))
        if number == self._complete and len(rows) == self._n_rows:
            self._advance()

    def _advance(self) -> None:
        while len(rows := self._waiting.get(self._complete, {})) == self._n_rows:
            del self._waiting[self._complete]
            self._complete += 1
            if self._widths is None or self._stop_at is not None:
                continue
            self._widths.add(rows)
            if self._complete >= self._minimum and self._widths.hold():
                self._stop_at = self._complete


class _Widths:
    """Running mean and squared deviations of every judged series in every cell (Welford 1962, Technometrics 4:419)."""

    def __init__(self, rules: Sequence[Rule], n_cells: int, policies: Sequence[str]) -> None:
        judged = [
            (rule, policy)
            for rule in rules
            for policy in (policies if rule.policy is None else (rule.policy,))
        ]
        position = {
            figure: index for index, figure in enumerate(dict.fromkeys(rule.figure for rule in rules))
        }
        self._series = [(position[rule.figure], policy, rule.minus) for rule, policy in judged]
        self._n_cells = n_cells
        self._relative = np.array([rule.unit == "%" for rule, _ in judged])
        self._closed = np.array([rule.relation == "<=" for rule, _ in judged])
        self._limit = np.array([rule.width / 100.0 if rule.unit == "%" else rule.width for rule, _ in judged])
        self._n = 0
        self._mean = np.zeros((n_cells, len(judged)))
        self._squares = np.zeros((n_cells, len(judged)))

    def add(self, rows: Mapping[tuple[int, str], Sequence[float]]) -> None:
        """Take one replication whole: the rules' figures, each once, by cell and policy."""
        values = np.array(
            [
                [
                    rows[cell, policy][figure] - (0.0 if minus is None else rows[cell, minus][figure])
                    for figure, policy, minus in self._series
                ]
                for cell in range(self._n_cells)
            ],
            dtype=np.float64,
        )
        self._n += 1
        with np.errstate(invalid="ignore", over="ignore"):
            step = values - self._mean
            self._mean += step / self._n
            self._squares += step * (values - self._mean)

    def hold(self) -> bool:
        """Whether every rule holds in every cell; one whose width is not a number, or no share of a mean, does not."""
        with np.errstate(invalid="ignore", over="ignore"):
            half = t_factor(self._n) * np.sqrt(self._squares / ((self._n - 1) * self._n))
            limit = np.where(self._relative, self._limit * np.abs(self._mean), self._limit)
        holds: NDArray[np.bool_] = (half < limit) | (self._closed & (half <= limit))
        return bool(np.all(holds & (limit > 0.0) & np.isfinite(half) & np.isfinite(limit)))
