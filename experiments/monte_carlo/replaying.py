"""One replication of a study again, with its whole run folder, beside the figures that the study has of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from experiments.job import OnStep
from experiments.monte_carlo.identity import fingerprint_faults, fingerprint_of
from experiments.monte_carlo.reading import Study, read_study
from experiments.monte_carlo.settings import base_of, setting, with_replication
from experiments.monte_carlo.work import add_module_folder
from experiments.reading import Run
from experiments.run_folder import default_folder, folder_name
from experiments.running import run
from sim.errors import StudyError

T = TypeVar("T", int, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A replication run again."""

    run: Run
    differing: tuple[str, ...]  # key figures that are not the study's, to the last bit
    is_in_study: bool  # the study has a row of it to compare with
    unlike: tuple[str, ...]  # how this program differs from the one that ran the study


def replay(
    study: str | Path | Study,
    replication: int,
    *,
    cell: int | None = None,
    policy: str | None = None,
    out: str | Path | None = None,
    on_step: OnStep | None = None,
) -> Replayed:
    """Run one replication of a study again and leave its run folder.

    Parameters
    ----------
    study
        The study's folder.
    replication
        Its number; also one that the study did not reach.
    cell, policy
        Which; may be left out where the study has only one.
    out
        The run's folder; default ``runs/<study>-<cell>-<policy>-<replication>``.
    on_step
        Called with (steps done, steps in all).

    Raises
    ------
    StudyError
        When the study has no such cell or policy.
    """
    opened = read_study(study)
    if replication < 0:
        raise StudyError(f"replication {replication}: they are numbered from 0")
    index = _only(cell, range(len(opened.cells)), "cell")
    name = _only(policy, opened.policies, "policy")
    identity = opened.folder.identity
    add_module_folder(str(Path.cwd()))
    scenario = setting(base_of(identity.scenario_toml), opened.cells[index].levels, name)
    stem = f"{opened.path.resolve().name}-{index}-{folder_name(name)}-{replication}"
    target = Path(out) if out is not None else default_folder(Path("runs"), stem)
    result = run(with_replication(scenario, replication), out=target, on_step=on_step)
    row = _row(opened.results, index, name, replication)
    here = fingerprint_of(identity.policies, identity.fingerprint.inputs)
    return Replayed(
        run=result,
        differing=() if row is None else tuple(k for k in opened.figures if row[k] != result.kpis[k]),
        is_in_study=row is not None,
        unlike=tuple(fingerprint_faults(identity.fingerprint, here)),
    )


def _only(asked: T | None, known: Sequence[T], what: str) -> T:
    if asked is None and len(known) == 1:
        return known[0]
    if asked is None or asked not in known:
        said = f"no {what} {asked}" if asked is not None else f"name one {what} with --{what}"
        listed = f"0 to {len(known) - 1}" if what == "cell" else ", ".join(str(one) for one in known)
        raise StudyError(f"{said}; the study has {listed}")
    return asked


def _row(results: pd.DataFrame, cell: int, policy: str, replication: int) -> pd.Series | None:
    found = results[
        (results["cell"] == cell) & (results["policy"] == policy) & (results["replication"] == replication)
    ]
    return None if found.empty else found.iloc[0]
