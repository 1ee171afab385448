"""A run's folder is read as it is, and a folder that is none is named."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from experiments.reading import Run, read_run
from sim.errors import RunFolderError
from sim.trace import ALL_TABLES


def test_tables_have_the_schemas_columns(two_cars: Path) -> None:
    """Every table is an attribute, with the columns in the schema's order and integers that stay integers."""
    run = read_run(two_cars)
    for table in ALL_TABLES:
        frame = getattr(run, table.name)
        assert list(frame.columns) == [column.name for column in table.columns]
        for column in table.columns:
            if column.dtype == "int64":
                assert str(frame[column.name].dtype) == ("Int64" if column.nullable else "int64")


def test_absent_instants_are_null(two_cars: Path, rewrite: object) -> None:
    """A trip that never began has no departure: null, not a number."""
    assert callable(rewrite)
    rewrite(two_cars, "trips", lambda frame: frame.assign(depart_s=pd.NA, arrive_s=pd.NA))
    trips = read_run(two_cars).trips
    assert trips["depart_s"].isna().all()
    assert str(trips["depart_s"].dtype) == "Int64"


def test_plain_data(two_cars: Path) -> None:
    """Scenario, manifest and key figures are plain data, and a run opens a run."""
    run = read_run(str(two_cars))
    assert run.scenario["fleet"]["size"] == 2
    assert run.manifest["seed"] == 7
    assert run.kpis["trips"] == 2
    assert (run.currency, run.days, run.region_names) == ("EUR", 1, ["home", "work"])
    assert read_run(run) is run
    assert repr(run) == f"Run({str(two_cars)!r})"


def test_a_missing_folder_and_a_file(tmp_path: Path) -> None:
    """What is not there, or no folder, is said so."""
    with pytest.raises(RunFolderError, match="nowhere: no such folder"):
        read_run(tmp_path / "nowhere")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RunFolderError, match="is a file, not a run's folder"):
        read_run(tmp_path / "file")


def test_what_a_folder_lacks_is_named(two_cars: Path) -> None:
    """A folder without a run's files is refused with their names."""
    (two_cars / "ties.parquet").unlink()
    with pytest.raises(RunFolderError, match=r"not a run's folder, ties.parquet is missing"):
        read_run(two_cars)
    empty = two_cars.parent / "empty"
    empty.mkdir()
    with pytest.raises(RunFolderError, match=r"scenario.toml, manifest.json, kpis.json and 14 more are"):
        read_run(empty)


def test_a_comparison_names_its_runs(two_cars: Path) -> None:
    """The folder of a comparison is no run; its runs are named."""
    parent = two_cars.parent / "comparison"
    for name in ("rolling", "own-cost"):
        (parent / name).mkdir(parents=True)
        (parent / name / "manifest.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RunFolderError, match="holds runs, name one of them: own-cost, rolling"):
        read_run(parent)


@pytest.mark.parametrize(
    ("name", "text"), [("kpis.json", "{"), ("kpis.json", "[1]"), ("scenario.toml", "a = ")]
)
def test_broken_files_are_named(two_cars: Path, name: str, text: str) -> None:
    """A file that cannot be understood is named."""
    (two_cars / name).write_text(text, encoding="utf-8")
    run = Run(two_cars)
    with pytest.raises(RunFolderError, match=name):
        _ = run.kpis if name == "kpis.json" else run.scenario


def test_a_broken_table_is_named(two_cars: Path) -> None:
    """A table that is no Parquet file is named."""
    (two_cars / "grid.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(RunFolderError, match=r"grid.parquet: cannot be read"):
        _ = read_run(two_cars).grid
