"""Ctrl-C and the batch system's notice, as a question that a loop asks when it is ready for the answer."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StudyInterrupted(KeyboardInterrupt):  # noqa: N818 - an interruption is no error
    """A study that was interrupted; what was done is written, and it can be resumed.

    Parameters
    ----------
    text
        What a person reads.
    signal_number
        Of the signal that came.
    folder
        The study's.
    """

    def __init__(self, text: str, signal_number: int, folder: Path) -> None:
        super().__init__(text)
        self.signal_number, self.folder = signal_number, folder


@contextmanager
def interrupts() -> Iterator[Callable[[], int | None]]:
    """While the block runs, the first Ctrl-C or SIGTERM is only noted; a second one raises at once.

    Yields a function that gives the signal's number, or none. Outside the main thread, where no signal arrives,
    nothing is changed.
    """
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    with _handled_by(note):
        yield lambda: noted[0] if noted else None


@contextmanager
def ends_at_once(folder: Path) -> Iterator[None]:
    """Ctrl-C or SIGTERM ends the block at once: for work whose every file is written whole.

    Raises
    ------
    StudyInterrupted
        With what a person reads.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        raise StudyInterrupted("interrupted; every call that was done is written", number, folder)

    with _handled_by(end):
        yield


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Give both signals to a handler; outside the main thread, where none arrives, nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
