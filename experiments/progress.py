"""Progress on a terminal; elsewhere silence, or of a study lines that programs read."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from experiments.monte_carlo.conduct import Progress as Stand

LINE_SECONDS: Final = 30.0
"""Least time between two lines about a study that runs without a terminal."""


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )


@contextmanager
def step_progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """Bar of one run: the callback takes (steps done, steps in all)."""
    with _progress() as progress:
        task = progress.add_task(description, total=None)

        def on_step(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield on_step


@contextmanager
def policy_progress(policies: Sequence[str]) -> Iterator[Callable[[str, int, int], None]]:
    """A bar per policy: the callback takes (policy, steps done, steps in all)."""
    with _progress() as progress:
        tasks = {policy: progress.add_task(policy, total=None) for policy in policies}

        def on_step(policy: str, done: int, total: int) -> None:
            progress.update(tasks[policy], completed=done, total=total)

        yield on_step


@contextmanager
def study_progress() -> Iterator[Callable[[Stand], None]]:
    """Bar of a study on a terminal; elsewhere a JSON object per line on stderr, now and then."""
    console = Console(stderr=True)
    if console.is_terminal:
        with study_bar(console) as on_progress:
            yield on_progress
        return
    lines = StudyLines(sys.stderr)
    try:
        yield lines
    finally:
        lines.end()


class StudyLines:
    """A study's progress for programs: one JSON object per line, at the start, now and then, and at the end.

    Parameters
    ----------
    stream
        Where lines go. When nobody reads there any more, the study goes on in silence.
    seconds
        Least time between two lines.
    clock
        Seconds that pass.
    """

    def __init__(
        self, stream: TextIO, seconds: float = LINE_SECONDS, clock: Callable[[], float] = monotonic
    ) -> None:
        self._stream, self._seconds, self._clock = stream, seconds, clock
        self._last: Stand | None = None
        self._is_told = True
        self._told_at = -math.inf

    def __call__(self, stand: Stand) -> None:
        """Take how far the study is."""
        self._last, self._is_told = stand, False
        if self._clock() - self._told_at >= self._seconds:
            self._tell(stand)

    def end(self) -> None:
        """Write where the study ended, if that was not said yet."""
        if self._last is not None and not self._is_told:
            self._tell(self._last)

    def _tell(self, stand: Stand) -> None:
        self._is_told, self._told_at = True, self._clock()
        with suppress(OSError, ValueError):
            self._stream.write(json.dumps(progress_fields(stand)) + "\n")
            self._stream.flush()


def progress_fields(stand: Stand) -> dict[str, Any]:
    """Fields of a line, in the order of the docs.

    done, failed, total: replications of a cell (with all its policies), those of earlier sessions included in done;
    per_second: those that came back in this session; seconds_left: expected, null before the first came back;
    workers: that can run at the same time; lost: pieces sent again because their worker went away.
    """
    left = stand.seconds_left
    return {
        "done": stand.n_done,
        "failed": stand.n_failed,
        "total": stand.n_total,
        "per_second": round(stand.per_second, 4),
        "seconds_left": None if left is None else round(left, 1),
        "workers": stand.n_workers,
        "lost": stand.n_lost,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _BarTexts:
    """What stands right of a study's bar."""

    failed: str = ""
    rate: str = ""
    left: str = ""
    workers: str = ""


def _bar_texts(stand: Stand) -> _BarTexts:
    workers = "1 worker" if stand.n_workers == 1 else f"{stand.n_workers} workers"
    return _BarTexts(
        failed=f"{stand.n_failed} failed",
        rate=rate_text(stand.per_second),
        left="" if stand.seconds_left is None else f"{duration_text(stand.seconds_left)} left",
        workers=workers + (f", {stand.n_lost} lost" if stand.n_lost else ""),
    )


@contextmanager
def study_bar(console: Console) -> Iterator[Callable[[Stand], None]]:
    """Bar of a study: done, failed, rate, time left, workers."""
    texts = [TextColumn(f"{{task.fields[texts].{name}}}") for name in ("failed", "rate", "left", "workers")]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *texts)
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("replications", total=None, texts=_BarTexts())

        def on_progress(stand: Stand) -> None:
            bar.update(task, completed=stand.n_done, total=stand.n_total, texts=_bar_texts(stand))

        yield on_progress


def rate_text(per_second: float) -> str:
    """Rate in the unit in which people can picture it.

    >>> rate_text(12.3), rate_text(0.5), rate_text(0.004), rate_text(0.0)
    ('12.3/s', '30.0/min', '14.4/h', '')
    """
    for factor, unit in ((1.0, "s"), (60.0, "min"), (3600.0, "h")):
        if per_second * factor >= 1.0:
            return f"{per_second * factor:.1f}/{unit}"
    return f"{per_second * 86400.0:.1f}/day" if per_second > 0.0 else ""


def duration_text(seconds: float) -> str:
    """Duration in hours, minutes and seconds.

    >>> duration_text(59.6), duration_text(3725.0), duration_text(200_000.0)
    ('0:01:00', '1:02:05', '55:33:20')
    """
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
