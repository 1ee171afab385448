"""The loop of a study: pieces go out to an engine, outcomes come back and are recorded, until all is done."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from time import perf_counter
from typing import Final

from experiments.monte_carlo.contracts import (
    Done,
    Engine,
    Failure,
    Lost,
    Outcome,
    Piece,
    Refused,
    Result,
    Setup,
    Unit,
)
from experiments.monte_carlo.pieces import Pace
from sim.errors import StudyError

MAX_LOSSES: Final = 3
"""A unit that took its worker with it so often is recorded as failed: it would take every worker."""

POLL_SECONDS: Final = 0.2
"""Longest wait before an interrupt is looked for."""


class Ending(Enum):
    """Why the loop ended."""

    COMPLETE = "complete"
    STOPPED = "stopped by its rule"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a study is, in units (replications of a cell)."""

    n_done: int  # with rows for every policy, those of earlier sessions included
    n_failed: int
    n_total: int
    n_run: int  # came back in this session
    n_lost: int  # pieces that were lost with their worker and sent again
    n_workers: int
    seconds: float  # since this session's first piece

    @property
    def per_second(self) -> float:
        """Units that came back per second of this session."""
        return self.n_run / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Expected time for what is left at this rate; none before the first came back."""
        left = self.n_total - self.n_done - self.n_failed
        return left / self.per_second if self.per_second > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """What the loop asks and tells."""

    record: Callable[[Outcome], None]  # makes an outcome last
    is_enough: Callable[[], bool]  # the stopping rule
    is_interrupted: Callable[[], bool]
    on_progress: Callable[[Progress], None]


class Conduct:
    """One session's loop over an engine.

    Parameters
    ----------
    units
        What is to be done, in order: replication by replication, so that the complete prefix grows.
    n_done, n_total
        Units that are complete already, and those the study asks for.
    """

    def __init__(
        self, engine: Engine, setup: Setup, units: Iterable[Unit], hooks: Hooks, *, n_done: int, n_total: int
    ) -> None:
        self._engine, self._setup, self._hooks = engine, setup, hooks
        self._waiting = deque(units)
        self._again: deque[Unit] = deque()
        self._in_flight: dict[int, Piece] = {}
        self._losses: Counter[tuple[int, int]] = Counter()
        self._pace = Pace()
        self._n_sent = self._n_lost = self._n_run = self._n_failed = 0
        self._n_done, self._n_total = n_done, n_total
        self._begin = perf_counter()

    def run(self) -> Ending:
        """Send and collect until all is done, the rule is met or an interrupt came.

        Raises
        ------
        StudyError
            When a worker is not like the study, or the engine is gone.
        OSError
            When an outcome cannot be written.
        """
        while self._waiting or self._again or self._in_flight:
            if self._hooks.is_enough():
                return Ending.STOPPED
            if self._hooks.is_interrupted():
                self._record(
                    self._accept(self._engine.collect(0.0))
                )  # what came back meanwhile is written too
                return Ending.INTERRUPTED
            self._send()
            outcomes = self._accept(self._engine.collect(POLL_SECONDS))
            self._send()  # before writing, so that no worker waits for the disk
            self._record(outcomes)
            self._hooks.on_progress(self.progress())
        return Ending.STOPPED if self._hooks.is_enough() else Ending.COMPLETE

    def progress(self) -> Progress:
        """How far the study is."""
        return Progress(
            n_done=self._n_done,
            n_failed=self._n_failed,
            n_total=self._n_total,
            n_run=self._n_run,
            n_lost=self._n_lost,
            n_workers=self._engine.n_workers,
            seconds=perf_counter() - self._begin,
        )

    def _send(self) -> None:
        n_workers = self._engine.n_workers
        while len(self._in_flight) < n_workers and (self._again or self._waiting):
            if self._again:  # alone, so that a unit that takes its worker with it takes no other unit
                units: tuple[Unit, ...] = (self._again.popleft(),)
            else:
                units = self._pace.take(self._waiting, n_left=len(self._waiting), n_workers=n_workers)
            piece = Piece(number=self._n_sent, setup=self._setup, units=units)
            self._n_sent += 1
            self._in_flight[piece.number] = piece
            self._engine.submit(piece)

    def _accept(self, results: Iterable[Result]) -> list[Outcome]:
        """Outcomes of what came back; what was lost is to be sent again."""
        outcomes: list[Outcome] = []
        faults: dict[str, None] = {}
        for result in results:
            if self._in_flight.pop(result.piece.number, None) is None:
                continue  # came back twice, as a rescheduled task may: the first counts
            match result:
                case Done():
                    outcomes += result.outcomes
                case Lost():
                    outcomes += self._lost(result)
                case Refused():
                    faults |= dict.fromkeys(result.faults)
        if faults:
            self._record(outcomes)  # what others did counts
            raise StudyError(
                f"a worker is not like the study, so its figures could differ: {'; '.join(faults)}"
            )
        return outcomes

    def _record(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self._hooks.record(outcome)
            self._n_run += 1
            if outcome.failures:  # how soon it failed says nothing about how long it takes
                self._n_failed += 1
            else:
                self._pace.learn(outcome)
                self._n_done += 1

    def _lost(self, lost: Lost) -> list[Outcome]:
        """Outcomes of the units that are given up; the others are sent again."""
        self._n_lost += 1
        given_up = []
        for unit in lost.piece.units:
            key = (unit.replication, unit.cell.index)
            if len(lost.piece.units) == 1:
                self._losses[key] += 1
            if self._losses[key] < MAX_LOSSES:
                self._again.append(unit)
            else:
                given_up.append(_lost_for_good(unit, lost.reason))
        return given_up


def _lost_for_good(unit: Unit, reason: str) -> Outcome:
    failures = tuple(
        Failure(
            cell=unit.cell.index,
            policy=policy,
            replication=unit.replication,
            error=f"its worker was lost {MAX_LOSSES} times ({reason})",
        )
        for policy in unit.policies
    )
    return Outcome(unit=unit, rows=(), failures=failures, kept=(), seconds=0.0)
