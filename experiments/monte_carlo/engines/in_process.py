"""The engine for debugging: everything in this process, one piece after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from experiments.monte_carlo.contracts import Piece, Result, Setup
from experiments.monte_carlo.work import run_piece


class InProcessEngine:
    """Runs a piece when its result is asked for; a debugger stops where the simulation is."""

    n_workers = 1

    def __init__(self) -> None:
        self._waiting: deque[Piece] = deque()

    def check(self, setup: Setup) -> None:
        """Nothing to check: this process planned the study."""

    def submit(self, piece: Piece) -> None:
        """Take a piece."""
        self._waiting.append(piece)

    def collect(self, timeout_s: float) -> Sequence[Result]:
        """Run the oldest piece; without time to wait, none."""
        return [run_piece(self._waiting.popleft())] if self._waiting and timeout_s > 0 else []

    def close(self) -> None:
        """Drop what has not begun."""
        self._waiting.clear()
