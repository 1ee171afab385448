"""Independent calls shared among processes, for what an experiment does beside its studies."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable
from functools import cache
from typing import Final, TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from experiments.import_path import without_working_folder
from experiments.monte_carlo.engines.processes import available_cores

Given = TypeVar("Given")
Found = TypeVar("Found")

_LOOK_AFTER_PARENT_S: Final = 1.0


def in_processes(
    call: Callable[[Given], Found], inputs: Iterable[Given], *, workers: int | None
) -> list[Found]:
    """Results of a call on each input, in the order of the inputs.

    Parameters and processes as of `each_in_processes`.

    >>> in_processes(abs, [-2, 3], workers=0)
    [2, 3]
    """
    return list(each_in_processes(call, inputs, workers=workers))


def each_in_processes(
    call: Callable[[Given], Found], inputs: Iterable[Given], *, workers: int | None
) -> Generator[Found]:
    """Results of a call on each input as they come, in the order of the inputs.

    The processes begin when the first result is asked for and end with the last one or with this iterator, also when
    this process is killed. While they are there, the working folder is off this process's path.

    Parameters
    ----------
    call
        Of a module's top level.
    workers
        Processes, by default one per core; 0: this process.
    """
    n_processes = available_cores() if workers is None else workers
    if n_processes == 0:
        yield from map(call, inputs)
        return
    one = delayed(_call_beside)
    # one by one: calls that take milliseconds would make joblib hand out those after them in heaps
    pool = Parallel(n_jobs=n_processes, batch_size=1, return_as="generator")
    # a process that has grown is replaced between two calls: nothing is lost, and nothing is for a person to do
    warnings.filterwarnings("ignore", message="A worker stopped while some jobs", category=UserWarning)
    try:
        with without_working_folder():
            yield from pool(one(os.getpid(), call, value) for value in inputs)
    finally:  # joblib keeps its processes for the next call, which may never come
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _call_beside(parent: int, call: Callable[[Given], Found], value: Given) -> Found:
    """A call in a worker, which ends when its parent is no more: a SIGKILL no parent can tell it of."""
    if os.getpid() != parent:  # joblib makes a single call where it is
        _end_with(parent)
    return call(value)


@cache
def _end_with(parent: int) -> None:
    """Watch the parent by its number: joblib's workers have no sentinel of it, as an engine's own have."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_AFTER_PARENT_S)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
