"""The study of model 1 from start to end: parts run or resumed, tables, figures, page."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import pandas as pd

from experiments.atomic import write_whole
from experiments.experiment.folder import open_experiment, write_tables
from experiments.experiment.kept import audit_findings
from experiments.experiment.page import render
from experiments.experiment.parts import Hooks, run_parts
from experiments.forecast_evaluation import evaluate
from experiments.monte_carlo.reading import Study
from experiments.multi_microgrid.plan import FULL, QUICK, Extent, parts
from experiments.multi_microgrid.sections import sections
from sim.errors import StudyError

NAME: Final = "multi-microgrid"
TITLE: Final = "What mobile storage is worth"
LEAD: Final = (
    "Cars as mobile storage across three microgrids: the three scenarios of Zhang et al. 2025 on one simulator, what "
    "their result depends on, and how much of it survives forecasts and drivers as they are."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A finished experiment: its folder, its parts, its tables."""

    path: Path
    parts: dict[str, Study]
    tables: dict[str, pd.DataFrame]
    n_audit_findings: int  # kept runs that do not pass


def run_experiment(
    out: str | Path,
    *,
    quick: bool = False,
    resume: bool = False,
    workers: int | None = None,
    hooks: Hooks | None = None,
) -> Finished:
    """Run the study, or go on with it.

    Parameters
    ----------
    out
        The folder to make: ``parts/`` with a Monte Carlo study each, ``tables/`` as CSV (the same whenever the study
        is repeated), ``timings/`` (of this machine), ``figures/`` as PNG, and ``index.html``.
    quick
        A few small fleets and days: to see that all works, not to learn from.
    resume
        Go on with the folder if it exists.
    workers
        Processes, by default one per core.
    hooks
        Told about each part and its progress.

    Raises
    ------
    StudyError, RunFolderError
        Each with one clear message.
    StudyInterrupted
        After Ctrl-C or SIGTERM; what was done is written.
    """
    folder, extent = Path(out), QUICK if quick else FULL
    told = hooks or Hooks()
    open_experiment(folder, NAME, extent.name, resume=resume)
    done = run_parts(folder, parts(extent), workers=workers, hooks=told)
    told.on_part("forecast scores")
    scores = _scores(folder / "parts" / "forecast-scores.parquet", extent, workers)
    told.on_part("audit")
    findings = audit_findings(done, workers=workers)
    (folder / "figures").mkdir(exist_ok=True)
    made = list(sections(done, scores, findings, extent, folder / "figures"))
    shown = [table for section in made for table in section.tables]
    tables = {table.name: table.frame for table in shown if not table.is_of_machine}
    write_tables(folder / "tables", tables)
    write_tables(folder / "timings", {table.name: table.frame for table in shown if table.is_of_machine})
    _write(folder / "index.html", render(TITLE, _lead(extent), made).encode())
    return Finished(
        path=folder, parts=done, tables=tables, n_audit_findings=int((findings["finding"] != "").sum())
    )


def _scores(file: Path, extent: Extent, workers: int | None) -> pd.DataFrame:
    """Scores of the forecasters, made once."""
    if not file.exists():
        buffer = BytesIO()
        evaluate(extent.n_days, workers=workers).to_parquet(buffer, index=False)
        _write(file, buffer.getvalue())
    return pd.read_parquet(file)


def _write(file: Path, content: bytes) -> None:
    try:
        write_whole(file, content)
    except OSError as error:
        raise StudyError(f"{file}: {error.strerror or error}") from error


def _lead(extent: Extent) -> str:
    if extent is FULL:
        return LEAD
    return f"{LEAD} This is a quick run: {extent.n_fleets} fleets of {extent.n_cars} cars. Its numbers say nothing."
