"""An experiment's folder: its mark, its parts, its tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from experiments.atomic import write_whole
from experiments.provenance import code_version
from experiments.run_folder import check_free, json_bytes
from sim.errors import StudyError

MARK: Final = "experiment.json"


def open_experiment(folder: Path, name: str, extent: str, *, resume: bool) -> None:
    """Make the experiment's folder, or see that it is this one's and may be gone on with.

    Raises
    ------
    StudyError, RunFolderError
        When it is a file or something else, another extent or code version, or exists without ``resume``.
    """
    mark = folder / MARK
    own = {"experiment": name, "extent": extent, "code_version": code_version()}
    if not folder.exists():
        check_free(folder)
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise StudyError(f"{folder}: {error.strerror or error}") from error
        write_whole(mark, json_bytes(own))
        return
    if not folder.is_dir():
        raise StudyError(f"{folder}: is a file, not a folder; name another one with --out")
    there = _read(mark)
    differing = [
        f"{key} is {there.get(key)}, not {value}" for key, value in own.items() if there.get(key) != value
    ]
    if differing:
        raise StudyError(
            f"{folder}: belongs to something else; name another folder with --out: {'; '.join(differing)}"
        )
    if not resume:
        raise StudyError(
            f"{folder}: was begun already; go on with --resume, or name another folder with --out"
        )


def _read(mark: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_tables(target: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write each table as CSV into a folder; numbers to the last bit.

    Raises
    ------
    StudyError
        When the disk refuses.
    """
    try:
        target.mkdir(exist_ok=True)
        for name, table in tables.items():
            write_whole(target / f"{name}.csv", table.to_csv(index=False, lineterminator="\n").encode())
    except OSError as error:
        raise StudyError(f"{target}: {error.strerror or error}") from error
