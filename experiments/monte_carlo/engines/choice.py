"""Which engine a study runs on."""

from __future__ import annotations

from experiments.monte_carlo.contracts import Engine
from experiments.monte_carlo.engines.in_process import InProcessEngine
from sim.errors import StudyError


def engine_for(*, workers: int | None = None, cluster: str | None = None) -> Engine:
    """Engine for what a person asked for.

    Parameters
    ----------
    workers
        Processes on this machine, default one per core; 0 is this process.
    cluster
        Address of a Dask scheduler.

    Raises
    ------
    StudyError
        When both are given, a number is impossible, or the cluster does not answer.

    >>> type(engine_for(workers=0)).__name__
    'InProcessEngine'
    """
    if cluster is not None:
        if workers is not None:
            raise StudyError("--workers and --cluster exclude each other: a cluster's workers are its own")
        from experiments.monte_carlo.engines.dask_cluster import DaskEngine  # noqa: PLC0415 - an extra

        return DaskEngine(cluster)
    if workers == 0:
        return InProcessEngine()
    if workers is not None and workers < 0:
        raise StudyError(f"--workers {workers}: must be 0 (this process) or more")
    from experiments.monte_carlo.engines.processes import ProcessEngine  # noqa: PLC0415

    return ProcessEngine(workers)
