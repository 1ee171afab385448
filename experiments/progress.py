"""Progress on a terminal; silence elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


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
