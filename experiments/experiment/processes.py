"""Independent calls shared among processes, for what an experiment does beside its studies."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Final, TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from experiments.import_path import without_working_folder
from experiments.monte_carlo.engines.processes import available_cores
from experiments.monte_carlo.interrupt import SIGNALS, StudyInterrupted

Given = TypeVar("Given")
Found = TypeVar("Found")

_LOOK_AFTER_PARENT_S: Final = 1.0


def in_processes(
    call: Callable[[Given], Found], inputs: Iterable[Given], *, workers: int | None
) -> list[Found]:
    """Results of a call on each input, in the order of the inputs.

    The processes end with it, also when this process is killed.

    Parameters
    ----------
    call
        Of a module's top level.
    workers
        Processes, by default one per core; 0: this process.

    >>> in_processes(abs, [-2, 3], workers=0)
    [2, 3]
    """
    n_processes = available_cores() if workers is None else workers
    if n_processes == 0:
        return [call(value) for value in inputs]
    try:
        with without_working_folder():
            one = delayed(_call_beside)
            return list(Parallel(n_jobs=n_processes)(one(os.getpid(), call, value) for value in inputs))
    finally:  # joblib keeps its processes for the next call, which may never come
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


@contextmanager
def ends_at_once(folder: Path) -> Iterator[None]:
    """Ctrl-C or SIGTERM ends the block at once, for every file of an experiment's folder is written whole.

    Outside the main thread, where no signal arrives, nothing is changed.

    Raises
    ------
    StudyInterrupted
        With what a person reads.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        raise StudyInterrupted("interrupted; every call that was done is written", number, folder)

    before = {number: signal.signal(number, end) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _call_beside(parent: int, call: Callable[[Given], Found], value: Given) -> Found:
    """A call in a worker, which ends when its parent is no more: a SIGKILL no parent can tell it of."""
    if os.getpid() != parent:  # joblib makes a single call where it is
        _end_with(parent)
    return call(value)


@cache
def _end_with(parent: int) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_AFTER_PARENT_S)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
