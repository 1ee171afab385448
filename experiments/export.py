"""A run's tables as comma-separated values."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from experiments.reading import Run, read_run
from experiments.run_folder import whole_folder
from sim.trace import ALL_TABLES

KEPT: Final = ("scenario.toml", "manifest.json", "kpis.json")
"""Files that are copied as they are."""


def export_csv(run: str | Path | Run, target: str | Path) -> list[Path]:
    """Write each table of a run as a CSV file, with scenario, manifest and key figures beside them.

    Numbers are written in full, so that reading them back gives the same; empty cells stand for null.

    Parameters
    ----------
    target
        Folder to make; it must not exist.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    RunFolderError
        When the run cannot be read, or the target exists or cannot be made.
    """
    opened, folder = read_run(run), Path(target)
    names = [f"{table.name}.csv" for table in ALL_TABLES]
    with whole_folder(folder) as partial:
        for table, name in zip(ALL_TABLES, names, strict=True):
            opened.table(table.name).to_csv(partial / name, index=False)
        for name in KEPT:
            shutil.copy(opened.path / name, partial / name)
    return [folder / name for name in (*names, *KEPT)]
