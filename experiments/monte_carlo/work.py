"""What a worker does with a piece: the only part of a study that runs simulations."""

from __future__ import annotations

import gc
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from traceback import format_exception
from typing import Final

from threadpoolctl import threadpool_limits

from experiments.job import Job
from experiments.monte_carlo.contracts import Done, Failure, Kept, Outcome, Piece, Refused, Row, Setup, Unit
from experiments.monte_carlo.identity import fingerprint_faults, own_fingerprint
from experiments.monte_carlo.settings import base_of, levels_toml, setting, with_replication
from experiments.provenance import peak_memory_mb
from sim.errors import VoltwalkError, told
from sim.scenario import Scenario

LISTED_FAULTS: Final = 3
"""Faults of a scenario that one failure's line names."""

SWEEP_SECONDS: Final = 10.0
"""Least time between two sweeps of the memory, each of which takes about 0.1 s."""


def run_piece(piece: Piece) -> Done | Refused:
    """Run all units of a piece, unless this process is not like the one that planned the study.

    A replication that raises becomes a failure; it never ends the piece.
    """
    add_module_folder(piece.setup.module_folder)
    if faults := fingerprint_faults(piece.setup.fingerprint, own_fingerprint(piece.setup)):
        return Refused(piece=piece, faults=tuple(faults))
    with threadpool_limits(limits=1):
        return Done(piece=piece, outcomes=tuple(run_unit(piece.setup, unit) for unit in piece.units))


def run_unit(setup: Setup, unit: Unit) -> Outcome:
    """Simulate one replication of one cell under each of its policies."""
    begin = perf_counter()
    rows: list[Row] = []
    failures: list[Failure] = []
    kept: list[Kept] = []
    for policy in unit.policies:
        try:
            row, files = _simulate(setup, unit, policy)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the study goes on and the error is recorded
            failures.append(_failure(unit, policy, error))
            continue
        finally:
            _SWEEPER.sweep()
        rows.append(row)
        if files is not None:
            kept.append(Kept(policy=policy, files=files))
    return Outcome(
        unit=unit,
        rows=tuple(rows),
        failures=tuple(failures),
        kept=tuple(kept),
        seconds=perf_counter() - begin,
    )


@dataclass(slots=True)
class Sweeper:
    """Gives back the memory of finished replications, now and then.

    The cars of a finished day, their processes and their clock hold each other. They have survived the day, so the
    collector counts them among the things that stay, and looks at those again only when they have grown by a quarter.
    """

    seconds: float = SWEEP_SECONDS
    clock: Callable[[], float] = perf_counter
    _last: float | None = None

    def sweep(self) -> bool:
        """Collect, unless that was done a moment ago; whether it was done."""
        now = self.clock()
        self._last = now if self._last is None else self._last
        if now - self._last < self.seconds:
            return False
        gc.collect()
        self._last = self.clock()
        return True


_SWEEPER: Final = Sweeper()  # of this process, however many pieces it takes


def add_module_folder(folder: str) -> None:
    """Make a user's own policies importable: last on the path, so that they never hide an installed module."""
    if folder not in sys.path:
        sys.path.append(folder)


def _simulate(setup: Setup, unit: Unit, policy: str) -> tuple[Row, dict[str, bytes] | None]:
    begin = perf_counter()
    scenario = _setting(setup.scenario_toml, levels_toml(unit.cell.levels), policy)
    job = Job.prepare(with_replication(scenario, unit.replication), None, None)
    simulated = job.simulate()
    row = Row(
        cell=unit.cell,
        policy=policy,
        replication=unit.replication,
        figures=simulated.figures,
        wall_seconds=perf_counter() - begin,
        peak_memory_mb=peak_memory_mb(),
    )
    return row, dict(job.contents(simulated)) if policy in unit.keep else None


@lru_cache(maxsize=64)
def _setting(scenario_toml: str, levels: str, policy: str) -> Scenario:
    return setting(base_of(scenario_toml), tomllib.loads(levels), policy)


def _failure(unit: Unit, policy: str, error: Exception | SystemExit) -> Failure:
    if isinstance(error, VoltwalkError):
        lines = str(error).splitlines() or [type(error).__name__]
        more = len(lines) - LISTED_FAULTS
        line = "; ".join(lines[:LISTED_FAULTS]) + (f"; and {more} more" if more > 0 else "")
    else:
        line = told(error)
    return Failure(
        cell=unit.cell.index,
        policy=policy,
        replication=unit.replication,
        error=line,
        traceback="".join(format_exception(error)),
    )
