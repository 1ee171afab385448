"""How many units travel together: pieces sized by measured time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from experiments.monte_carlo.contracts import Outcome, Unit

TARGET_SECONDS: Final = 2.0
"""Aimed time of a piece: sending it costs some milliseconds, and a lost worker loses at most about this."""


@dataclass(slots=True)
class Pace:
    """Mean seconds of a unit by cell, as measured so far."""

    target_seconds: float = TARGET_SECONDS
    _sums: dict[int, tuple[int, float]] = field(default_factory=dict)

    def learn(self, outcome: Outcome) -> None:
        """Take in what one unit took."""
        n, seconds = self._sums.get(outcome.unit.cell.index, (0, 0.0))
        self._sums[outcome.unit.cell.index] = (n + 1, seconds + outcome.seconds)

    def seconds(self, cell: int) -> float | None:
        """Expected seconds of a unit: the cell's own mean, else the slowest cell's; none before any came back."""
        if cell in self._sums:
            n, seconds = self._sums[cell]
            return seconds / n
        return max((seconds / n for n, seconds in self._sums.values()), default=None)

    def take(self, waiting: deque[Unit], *, n_left: int, n_workers: int) -> tuple[Unit, ...]:
        """Take the next piece's units off the queue: about the target's time, less towards the study's end.

        Parameters
        ----------
        waiting
            Units in order; at least one.
        n_left
            Units not yet sent, these included.
        n_workers
            Among whom the rest is shared: a piece is at most half of each one's share.

        >>> from experiments.monte_carlo.contracts import Cell
        >>> units = deque(Unit(replication=k, cell=Cell(index=0), policies=("a",)) for k in range(100))
        >>> pace = Pace()
        >>> len(pace.take(units, n_left=100, n_workers=2))
        1
        >>> pace.learn(Outcome(unit=units[0], rows=(), failures=(), kept=(), seconds=0.25))
        >>> len(pace.take(units, n_left=99, n_workers=2)), len(pace.take(units, n_left=8, n_workers=2))
        (8, 2)
        """
        most = max(1, n_left // (2 * max(n_workers, 1)))
        units = [waiting.popleft()]
        expected = self.seconds(units[0].cell.index)
        while waiting and expected is not None and len(units) < most:
            another = self.seconds(waiting[0].cell.index)
            if another is None or expected + another > self.target_seconds:
                break
            expected += another
            units.append(waiting.popleft())
        return tuple(units)
