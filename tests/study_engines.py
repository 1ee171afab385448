"""Engines for tests of a study: outcomes made up at once, and things going wrong on request."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from experiments.monte_carlo.contracts import (
    Done,
    Failure,
    Lost,
    Outcome,
    Piece,
    Refused,
    Result,
    Row,
    Setup,
    Unit,
)
from experiments.monte_carlo.table import figure_names


def figures_of(unit: Unit, policy: str) -> dict[str, float]:
    """Made-up key figures that differ by cell, policy and replication, and only by them."""
    base = 1000.0 + 7.0 * ((unit.replication * 37) % 11) + 10.0 * unit.cell.index - 3.0 * len(policy)
    return {name: base + index for index, name in enumerate(figure_names("CNY"))}


def outcome_of(unit: Unit, failing: frozenset[tuple[int, str]] = frozenset()) -> Outcome:
    """Outcome without a simulation; ``failing`` holds (replication, policy)."""
    rows = tuple(
        Row(
            cell=unit.cell,
            policy=policy,
            replication=unit.replication,
            figures=figures_of(unit, policy),
            wall_seconds=0.01,
            peak_memory_mb=100.0,
        )
        for policy in unit.policies
        if (unit.replication, policy) not in failing
    )
    failures = tuple(
        Failure(cell=unit.cell.index, policy=policy, replication=unit.replication, error="ValueError: no")
        for policy in unit.policies
        if (unit.replication, policy) in failing
    )
    return Outcome(unit=unit, rows=rows, failures=failures, kept=(), seconds=0.01)


@dataclass
class ScriptedEngine:
    """Answers at once; what each piece becomes is a function's decision.

    Parameters
    ----------
    answer
        From a piece to its result; default done, without failures.
    shuffle_seed
        When given, pieces come back in an order shuffled by this seed, several at a time.
    """

    n_workers: int = 2
    answer: Callable[[Piece], Result] | None = None
    shuffle_seed: int | None = None
    name: str = "scripted"
    sent: list[Piece] = field(default_factory=list)
    closed: int = 0
    _in_flight: list[Piece] = field(default_factory=list)
    _chance: random.Random | None = None

    def check(self, setup: Setup) -> None:
        """Every worker is like the study."""

    def submit(self, piece: Piece) -> None:
        """Take a piece; never more than there are workers."""
        assert len(self._in_flight) < self.n_workers
        self.sent.append(piece)
        self._in_flight.append(piece)

    def collect(self, timeout_s: float) -> Sequence[Result]:
        """Give back some of the pieces."""
        if self.shuffle_seed is not None:
            self._chance = self._chance or random.Random(self.shuffle_seed)
            self._chance.shuffle(self._in_flight)
            back, self._in_flight = self._in_flight[:1], self._in_flight[1:]
        else:
            back, self._in_flight = self._in_flight, []
        return [self.answer(piece) if self.answer is not None else done(piece) for piece in back]

    def close(self) -> None:
        """Count."""
        self.closed += 1


def done(piece: Piece, failing: frozenset[tuple[int, str]] = frozenset()) -> Done:
    """A piece that came back."""
    return Done(piece=piece, outcomes=tuple(outcome_of(unit, failing) for unit in piece.units))


def lost(piece: Piece) -> Lost:
    """A piece whose worker went away."""
    return Lost(piece=piece, reason="exit code -9")


def refused(piece: Piece) -> Refused:
    """A piece that a worker would not take."""
    return Refused(piece=piece, faults=("numpy 2.3 in the study, 2.4 here",))
