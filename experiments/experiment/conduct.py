"""An experiment from start to end: parts and sheets run or resumed, tables, figures, page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from experiments.atomic import write_whole
from experiments.experiment.folder import open_experiment, write_tables
from experiments.experiment.kept import audit_findings
from experiments.experiment.page import Section, render
from experiments.experiment.parts import Hooks, Part, run_parts
from experiments.experiment.sheets import Sheet, run_sheets
from experiments.monte_carlo.engines.choice import engine_for
from experiments.monte_carlo.interrupt import ends_at_once
from experiments.monte_carlo.reading import Study
from sim.errors import StudyError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ran:
    """What an experiment has run, by name."""

    parts: Mapping[str, Study]
    sheets: Mapping[str, pd.DataFrame]
    findings: pd.DataFrame  # of the audit of all kept runs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Experiment:
    """What is run, and how its page is made."""

    name: str
    title: str
    lead: str
    extent: str  # a folder belongs to one
    parts: Callable[[], Iterable[Part]]
    sheets: Callable[[], Iterable[Sheet]]
    sections: Callable[[Ran, Path], Iterable[Section]]  # figures are drawn into the folder given
    headlines: Mapping[str, str]  # tables that a terminal shows, with their titles


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finished:
    """A finished experiment: its folder, its parts, its tables."""

    path: Path
    parts: Mapping[str, Study]
    tables: dict[str, pd.DataFrame]
    n_audit_findings: int  # kept runs that do not pass


def conduct(
    experiment: Experiment,
    out: str | Path,
    *,
    resume: bool = False,
    workers: int | None = None,
    hooks: Hooks | None = None,
) -> Finished:
    """Run an experiment, or go on with it.

    Parameters
    ----------
    experiment
        Which.
    out
        The folder to make: ``parts/`` with a Monte Carlo study each, ``sheets/`` with what is computed beside them,
        ``tables/`` as CSV (the same whenever it is repeated), ``timings/`` (of this machine), ``figures/`` as PNG, and
        ``index.html``.
    resume
        Go on with the folder if it exists.
    workers
        Processes, by default one per core; 0: this process.
    hooks
        Told about each part and its progress.

    Raises
    ------
    StudyError, RunFolderError
        Each with one clear message.
    StudyInterrupted
        After Ctrl-C or SIGTERM; what was done is written.
    """
    folder, told = Path(out), hooks or Hooks()
    # a number of workers that cannot be is told before there is a folder; processes start with the first part, and
    # load the simulator once for all of them
    with closing(engine_for(workers=workers)) as engine:
        open_experiment(folder, experiment.name, experiment.extent, resume=resume)
        parts = run_parts(folder, experiment.parts(), engine=engine, hooks=told)
    with ends_at_once(folder):
        sheets = run_sheets(folder, experiment.sheets(), workers=workers, on_sheet=told.on_part)
        told.on_part("audit")
        findings = audit_findings(parts, workers=workers)
        (folder / "figures").mkdir(exist_ok=True)
        made = list(
            experiment.sections(Ran(parts=parts, sheets=sheets, findings=findings), folder / "figures")
        )
        shown = [table for section in made for table in section.tables]
        tables = {table.name: table.frame for table in shown if not table.is_of_machine}
        write_tables(folder / "tables", tables)
        write_tables(folder / "timings", {table.name: table.frame for table in shown if table.is_of_machine})
        page = folder / "index.html"
        try:
            write_whole(page, render(experiment.title, experiment.lead, made).encode())
        except OSError as error:
            raise StudyError(f"{page}: {error.strerror or error}") from error
    return Finished(
        path=folder, parts=parts, tables=tables, n_audit_findings=int((findings["finding"] != "").sum())
    )
