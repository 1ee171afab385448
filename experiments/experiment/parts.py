"""An experiment's parts: Monte Carlo studies that are run one after the other, each resumed by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from experiments.monte_carlo.conduct import Progress
from experiments.monte_carlo.contracts import Engine
from experiments.monte_carlo.design.factors import Factors
from experiments.monte_carlo.reading import Study
from experiments.monte_carlo.studying import study
from sim.errors import StudyError
from sim.scenario import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One Monte Carlo study."""

    name: str
    scenario: Scenario
    policies: tuple[str, ...]
    factors: Factors | None
    n_replications: int
    keep: str = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Who is told how far the experiment is."""

    on_part: Callable[[str], None] = lambda _: None
    on_progress: Callable[[Progress], None] = lambda _: None


def run_parts(folder: Path, parts: Iterable[Part], *, engine: Engine, hooks: Hooks) -> dict[str, Study]:
    """Run what is not done yet of every part, in the folder ``parts`` of an experiment's.

    Raises
    ------
    StudyError
        When replications failed: how many, and the command that runs one again.
    StudyInterrupted
        After Ctrl-C or SIGTERM; what was done is written.
    """
    (folder / "parts").mkdir(exist_ok=True)
    done: dict[str, Study] = {}
    for part in parts:
        hooks.on_part(part.name)
        done[part.name] = _run(folder / "parts" / part.name, part, engine, hooks)
    return done


def _run(folder: Path, part: Part, engine: Engine, hooks: Hooks) -> Study:
    finished = study(
        part.scenario,
        replications=part.n_replications,
        policies=part.policies,
        factors=part.factors,
        keep=part.keep,
        engine=engine,
        out=folder,
        resume=True,
        on_progress=hooks.on_progress,
    )
    failures = finished.failures
    if len(failures):
        first = failures.iloc[0]
        again = finished.replay_command(int(first["replication"]), int(first["cell"]), str(first["policy"]))
        raise StudyError(f"{folder}: {len(failures)} replications failed ({first['error']}); see {again}")
    return finished
