"""Independent calls shared among processes, for what an experiment does beside its studies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from experiments.import_path import without_working_folder
from experiments.monte_carlo.engines.processes import available_cores

Given = TypeVar("Given")
Found = TypeVar("Found")


def in_processes(
    call: Callable[[Given], Found], inputs: Iterable[Given], *, workers: int | None
) -> list[Found]:
    """Results of a call on each input, in the order of the inputs; the processes end with it.

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
            return list(Parallel(n_jobs=n_processes)(delayed(call)(value) for value in inputs))
    finally:  # joblib keeps its processes for the next call, which may never come
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
