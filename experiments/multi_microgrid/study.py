"""The study of model 1 from start to end: parts run or resumed, tables, figures, page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from experiments.atomic import write_whole
from experiments.experiment.folder import open_experiment, write_tables
from experiments.experiment.page import Section, render
from experiments.experiment.parts import Hooks, run_parts
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
        The folder to make: ``parts/`` with a Monte Carlo study each, ``tables/`` as CSV, ``figures/`` as PNG, and
        ``index.html``.
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
    open_experiment(folder, NAME, extent.name, resume=resume)
    done = run_parts(folder, parts(extent), workers=workers, hooks=hooks or Hooks())
    (folder / "figures").mkdir(exist_ok=True)
    made = list(sections(done, extent, folder / "figures"))
    tables = dict(_named_tables(made))
    write_tables(folder, tables)
    text = render(TITLE, _lead(extent), made)
    try:
        write_whole(folder / "index.html", text.encode())
    except OSError as error:
        raise StudyError(f"{folder}: {error.strerror or error}") from error
    return Finished(path=folder, parts=done, tables=tables)


def _lead(extent: Extent) -> str:
    if extent is FULL:
        return LEAD
    return f"{LEAD} This is a quick run: {extent.n_fleets} fleets of {extent.n_cars} cars. Its numbers say nothing."


def _named_tables(made: list[Section]) -> Iterator[tuple[str, pd.DataFrame]]:
    for section in made:
        yield from ((shown.name, shown.frame) for shown in section.tables)
