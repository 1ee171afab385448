"""Reading a run's folder: its tables as pandas frames, its scenario and key figures as plain data."""

from __future__ import annotations

import json
import tomllib
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sim.errors import RunFolderError
from sim.trace import ALL_TABLES, BY_NAME

REQUIRED_FILES: Final = (
    "scenario.toml",
    "manifest.json",
    "kpis.json",
    *(f"{table.name}.parquet" for table in ALL_TABLES),
)
SHOWN: Final = 8
"""Runs within a folder that a message names."""


class Run:
    """A run's folder; each table is read when it is first asked for.

    Parameters
    ----------
    path
        The folder. Use :func:`read_run`, which checks that it is one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property
    def scenario(self) -> dict[str, Any]:
        """Scenario as resolved, as TOML has it."""
        try:
            return tomllib.loads((self.path / "scenario.toml").read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunFolderError(f"{self.path / 'scenario.toml'}: {error}") from error

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What made the run."""
        return self._json("manifest.json")

    @cached_property
    def kpis(self) -> dict[str, float]:
        """Key figures, name to number."""
        return self._json("kpis.json")

    @cached_property
    def vehicles(self) -> pd.DataFrame:
        """One row per car."""
        return self.table("vehicles")

    @cached_property
    def trips(self) -> pd.DataFrame:
        """One row per planned trip."""
        return self.table("trips")

    @cached_property
    def segments(self) -> pd.DataFrame:
        """The life of each car."""
        return self.table("segments")

    @cached_property
    def sessions(self) -> pd.DataFrame:
        """Charging sessions as their file has them."""
        return self.table("sessions")

    @cached_property
    def queue(self) -> pd.DataFrame:
        """Waits for a charger."""
        return self.table("queue")

    @cached_property
    def domain(self) -> pd.DataFrame:
        """The plugged fleet's capacity domain by step and region."""
        return self.table("domain")

    @cached_property
    def grid(self) -> pd.DataFrame:
        """Each region's microgrid in each step."""
        return self.table("grid")

    @cached_property
    def storage(self) -> pd.DataFrame:
        """Each stationary unit in each step."""
        return self.table("storage")

    @cached_property
    def ties(self) -> pd.DataFrame:
        """Each electrical tie in each step."""
        return self.table("ties")

    @cached_property
    def voltages(self) -> pd.DataFrame:
        """Voltage of each bus of the feeder in each step."""
        return self.table("voltages")

    @cached_property
    def branches(self) -> pd.DataFrame:
        """Each line and transformer of the feeder in each step."""
        return self.table("branches")

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """How each decision was reached."""
        return self.table("decisions")

    @cached_property
    def marginals(self) -> pd.DataFrame:
        """Duals of each decision."""
        return self.table("marginals")

    @cached_property
    def forecasts(self) -> pd.DataFrame:
        """Every forecast as issued."""
        return self.table("forecasts")

    @property
    def currency(self) -> str:
        """ISO code of all money in this run."""
        return str(self.scenario["scenario"]["currency"])

    @property
    def days(self) -> int:
        """Length of the run in days."""
        return int(self.scenario["simulation"]["days"])

    @property
    def region_names(self) -> list[str]:
        """Regions in the scenario's order."""
        return [str(region["name"]) for region in self.scenario["regions"]]

    def arrow(self, name: str) -> pa.Table:
        """One table as it is on disk.

        Raises
        ------
        RunFolderError
            When the file cannot be read.
        """
        file = self.path / f"{name}.parquet"
        try:
            return pq.read_table(file)
        except (OSError, pa.ArrowException) as error:
            raise RunFolderError(f"{file}: cannot be read ({str(error).splitlines()[0]})") from error

    def table(self, name: str) -> pd.DataFrame:
        """One table as a frame; integers that may be absent are ``Int64``."""
        table = self.arrow(name)
        absent = [
            column.name
            for column in BY_NAME[name].columns
            if column.nullable and column.dtype == "int64" and column.name in table.column_names
        ]
        frame: pd.DataFrame = table.drop_columns(absent).to_pandas()
        for column in absent:
            frame[column] = table.column(column).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        ordered: pd.DataFrame = frame[list(table.column_names)]
        return ordered

    def _json(self, name: str) -> dict[str, Any]:
        file = self.path / name
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise RunFolderError(f"{file}: {error}") from error
        if not isinstance(data, dict):
            raise RunFolderError(f"{file}: holds a {type(data).__name__}, not an object")
        return data


def read_run(path: str | Path | Run) -> Run:
    """Open a run's folder.

    Parameters
    ----------
    path
        The folder, or a run already open.

    Raises
    ------
    RunFolderError
        When there is no such folder, or it is not a run's; the message says what is missing, and names the
        runs within when the folder is a comparison's.
    """
    if isinstance(path, Run):
        return path
    folder = Path(path)
    if not folder.exists():
        raise RunFolderError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: is a file, not a run's folder")
    missing = [name for name in REQUIRED_FILES if not (folder / name).is_file()]
    if not missing:
        return Run(folder)
    inner = sorted(child.name for child in folder.iterdir() if (child / "manifest.json").is_file())
    if inner and "manifest.json" in missing:
        more = f" and {len(inner) - SHOWN} more" if len(inner) > SHOWN else ""
        raise RunFolderError(f"{folder}: holds runs, name one of them: {', '.join(inner[:SHOWN])}{more}")
    raise RunFolderError(f"{folder}: not a run's folder, {_listed(missing)} missing")


def records(frame: pd.DataFrame) -> list[Any]:
    """Rows of a frame as named tuples."""
    return list(frame.itertuples(index=False))


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    more = len(names) - 3
    return f"{shown} and {more} more are" if more > 0 else f"{shown} {'is' if len(names) == 1 else 'are'}"
