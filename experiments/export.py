"""A run's tables as comma-separated values."""

from __future__ import annotations

import shutil
from pathlib import Path

from experiments.reading import Run, read_run
from sim.errors import RunFolderError
from sim.trace import ALL_TABLES


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
    if folder.exists():
        raise RunFolderError(f"{folder}: output folder exists; name another with --out, or remove it")
    try:
        folder.mkdir(parents=True)
        files = []
        for table in ALL_TABLES:
            file = folder / f"{table.name}.csv"
            opened.table(table.name).to_csv(file, index=False)
            files.append(file)
        for name in ("scenario.toml", "manifest.json", "kpis.json"):
            files.append(Path(shutil.copy(opened.path / name, folder / name)))
    except OSError as error:
        raise RunFolderError(f"{folder}: {error.strerror or error}") from error
    return files
