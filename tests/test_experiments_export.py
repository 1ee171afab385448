"""Exported tables hold what the run's tables hold."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from experiments.export import export_csv
from experiments.reading import read_run
from sim.errors import RunFolderError
from sim.trace import ALL_TABLES


def test_every_table_reads_back_the_same(two_cars: Path, tmp_path: Path) -> None:
    """Each CSV file gives back the table's rows, to the last digit; null is an empty cell."""
    files = export_csv(two_cars, tmp_path / "csv")
    assert {file.name for file in files} >= {f"{table.name}.csv" for table in ALL_TABLES}
    run = read_run(two_cars)
    for table in ALL_TABLES:
        frame = pd.read_csv(tmp_path / "csv" / f"{table.name}.csv", dtype=str, keep_default_na=False)
        original = getattr(run, table.name)
        assert list(frame.columns) == list(original.columns)
        assert len(frame) == len(original)
        for column in table.columns:
            if column.dtype == "float64" and not column.nullable:
                assert [float(text) for text in frame[column.name]] == original[column.name].tolist()


def test_target_must_be_free(two_cars: Path, tmp_path: Path) -> None:
    """A folder that exists is not written into; a target that cannot be made is told."""
    (tmp_path / "csv").mkdir()
    with pytest.raises(RunFolderError, match="output folder exists"):
        export_csv(two_cars, tmp_path / "csv")
    with pytest.raises(RunFolderError, match="kpis.json"):
        export_csv(two_cars, two_cars / "kpis.json" / "csv")


def test_a_full_disk_leaves_nothing(two_cars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export that cannot be finished leaves no folder, nor those made on its way."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("experiments.export.shutil.copy", full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RunFolderError, match="deep/csv: No space left on device"):
        export_csv(two_cars, tmp_path / "deep" / "csv")
    assert sorted(tmp_path.iterdir()) == before
