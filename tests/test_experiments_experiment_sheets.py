"""Sheets of an experiment: made once, call by call."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytest

from experiments.experiment.sheets import Sheet, run_sheets
from sim.errors import ScenarioError, SeriesError, StudyError


def squares(number: int) -> pd.DataFrame:
    """Two rows a call."""
    return pd.DataFrame({"number": [number, -number], "square": [number**2, number**2]})


def refusing(number: int) -> pd.DataFrame:
    """Fail at 3, as a scenario does."""
    if number == 3:  # noqa: PLR2004
        raise SeriesError(["first fault", "second fault"])
    return squares(number)


def waiting(note: Path) -> pd.DataFrame:
    """Wait for a note, if it is one to come."""
    until = time.monotonic() + 60.0
    while note.name == "note" and not note.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return pd.DataFrame({"found": [note.exists()]})


def noting(note: Path) -> pd.DataFrame:
    """Write it."""
    note.write_text("here")
    return pd.DataFrame({"found": [True]})


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_come_in_the_order_of_the_inputs(tmp_path: Path, workers: int) -> None:
    """Whoever computed them."""
    told: list[str] = []
    made = run_sheets(
        tmp_path,
        [Sheet(name="a", call=squares, inputs=[3, 1, 2]), Sheet(name="b", call=squares, inputs=[5])],
        workers=workers,
        on_sheet=told.append,
    )
    assert made["a"]["number"].tolist() == [3, -3, 1, -1, 2, -2]
    assert made["b"]["square"].tolist() == [25, 25]
    assert told == ["a", "b"]


def test_a_later_sheet_is_made_beside_the_last_calls_of_the_one_before(tmp_path: Path) -> None:
    """The first sheet's second call waits for a file that the second sheet's call writes."""
    note = tmp_path / "note"
    made = run_sheets(
        tmp_path,
        [
            Sheet(name="a", call=waiting, inputs=[tmp_path / "none-needed", note]),
            Sheet(name="b", call=noting, inputs=[note]),
        ],
        workers=2,
        on_sheet=lambda _: None,
    )
    assert made["a"]["found"].tolist() == [False, True]


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    """After a failure the calls that had ended are kept; only the others are made."""
    with pytest.raises(ScenarioError, match="first fault\nsecond fault"):
        run_sheets(
            tmp_path,
            [Sheet(name="a", call=refusing, inputs=[1, 2, 3])],
            workers=0,
            on_sheet=lambda _: None,
        )
    assert sorted(path.name for path in (tmp_path / "sheets" / "a").iterdir()) == [
        "0000.parquet",
        "0001.parquet",
    ]
    pd.DataFrame({"number": [70], "square": [7]}).to_parquet(tmp_path / "sheets" / "a" / "0001.parquet")
    made = run_sheets(
        tmp_path, [Sheet(name="a", call=squares, inputs=[1, 2, 3])], workers=0, on_sheet=lambda _: None
    )
    assert made["a"]["number"].tolist() == [1, -1, 70, 3, -3]


def test_faults_survive_a_worker(tmp_path: Path) -> None:
    """What a call raises in another process is raised here with every line."""
    with pytest.raises(SeriesError) as raised:
        run_sheets(
            tmp_path,
            [Sheet(name="a", call=refusing, inputs=[3, 1])],
            workers=2,
            on_sheet=lambda _: None,
        )
    assert raised.value.faults == ("first fault", "second fault")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """And how to go on."""
    sheet = Sheet(name="a", call=squares, inputs=[1])
    run_sheets(tmp_path, [sheet], workers=0, on_sheet=lambda _: None)
    (tmp_path / "sheets" / "a" / "0000.parquet").write_bytes(b"PAR1")
    with pytest.raises(StudyError, match=r"0000\.parquet: damaged .*--resume makes it again"):
        run_sheets(tmp_path, [sheet], workers=0, on_sheet=lambda _: None)
