"""What an experiment computes beside its Monte Carlo studies: tables from independent calls, each kept when done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.atomic import write_whole
from experiments.experiment.processes import each_in_processes
from sim.errors import StudyError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sheet:
    """A table whose rows come from calls that know nothing of each other."""

    name: str
    call: Callable[[Any], pd.DataFrame]  # of a module's top level, or a partial of one
    inputs: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Task:
    file: Path
    call: Callable[[Any], pd.DataFrame]
    given: Any


def run_sheets(
    folder: Path, sheets: Iterable[Sheet], *, workers: int | None, on_sheet: Callable[[str], None]
) -> dict[str, pd.DataFrame]:
    """Make what is not there yet of every sheet, in the folder ``sheets`` of an experiment's.

    Each call's rows are a file that is written whole as soon as they are known, so that an experiment that was killed
    repeats no more than the calls that were under way.

    Returns
    -------
    dict
        Rows of each sheet, in the order of its inputs.

    Raises
    ------
    StudyError
        When the disk refuses, or a file is damaged.
    """
    tasks = {sheet.name: _tasks(folder / "sheets" / sheet.name, sheet) for sheet in sheets}
    missing = {name: [task for task in own if not task.file.exists()] for name, own in tasks.items()}
    done = each_in_processes(_make, chain.from_iterable(missing.values()), workers=workers)
    made: dict[str, pd.DataFrame] = {}
    with closing(done):  # one pool for all: the last call of a sheet leaves no core idle
        try:
            for name in tasks:
                (folder / "sheets" / name).mkdir(parents=True, exist_ok=True)
            for name, own in tasks.items():
                on_sheet(name)
                for _ in missing[name]:
                    next(done)
                made[name] = pd.concat([_read(task.file) for task in own], ignore_index=True)
        except OSError as error:
            raise StudyError(f"{folder / 'sheets'}: {error.strerror or error}") from error
    return made


def _tasks(place: Path, sheet: Sheet) -> list[_Task]:
    return [
        _Task(file=place / f"{number:04d}.parquet", call=sheet.call, given=given)
        for number, given in enumerate(sheet.inputs)
    ]


def _make(task: _Task) -> None:
    buffer = BytesIO()
    task.call(task.given).to_parquet(buffer, index=False)
    write_whole(task.file, buffer.getvalue())


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise StudyError(f"{file}: damaged ({error}); remove it, and --resume makes it again") from error
