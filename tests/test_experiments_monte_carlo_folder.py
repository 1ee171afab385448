"""A study's folder: rows whole or not there, nothing doubled, nothing of a killed process left."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from study_engines import figures_of, outcome_of

from experiments.monte_carlo.contracts import Cell, Failure, Fingerprint, Kept, Unit
from experiments.monte_carlo.folder import StudyFolder, create_folder, open_folder, sweep
from experiments.monte_carlo.identity import Identity, identity_faults
from experiments.monte_carlo.reading import Study
from experiments.monte_carlo.settings import base_toml
from experiments.shipped import load_scenario
from sim.errors import RunFolderError, StudyError

CELLS = (
    Cell(index=0, levels={"fleet.size": 3, "simulation.start": date(2016, 4, 20)}),
    Cell(index=1, levels={"fleet.size": 5, "simulation.start": date(2016, 7, 20)}),
)
POLICIES = ("uncontrolled", "rolling")
FINGERPRINT = Fingerprint(code_version="1f", packages={"numpy": "2.3"}, policies={}, inputs={"a.csv": "77"})


def identity(policies: Sequence[str] = POLICIES) -> Identity:
    """Identity of a study of the shipped scenario."""
    return Identity(
        scenario_toml=base_toml(load_scenario("multi-microgrid"), policies[0]),
        seed=1,
        policies=tuple(policies),
        factors={"design": "list"},
        fingerprint=FINGERPRINT,
    )


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """A study's folder without rows."""
    return create_folder(tmp_path / "study", identity(), CELLS)


def unit(replication: int, cell: int = 0, policies: tuple[str, ...] = POLICIES) -> Unit:
    """One replication of one cell."""
    return Unit(replication=replication, cell=CELLS[cell], policies=policies)


def test_a_folder_opens_as_it_was_made(folder: StudyFolder) -> None:
    """Manifest, scenario and cells come back with their types, dates included."""
    again = open_folder(folder.path)
    assert again.identity == identity()
    assert again.cells == CELLS
    assert again.currency == "CNY"


def test_rows_come_back_to_the_last_bit(folder: StudyFolder) -> None:
    """A written row is read as it was; keys come first, levels as columns."""
    outcome = outcome_of(unit(4, cell=1))
    folder.record(outcome)
    assert tuple(folder.rows(folder.figures)) == outcome.rows
    assert folder.schema.names[:5] == ["cell", "policy", "replication", "fleet.size", "simulation.start"]


def test_policies_that_come_later_join_the_rows(folder: StudyFolder) -> None:
    """A policy done in a later session is added in the study's order, and a row that is there already stays."""
    folder.record(outcome_of(unit(0, policies=("rolling",))))
    changed = outcome_of(unit(0))
    changed = replace(changed, rows=tuple(replace(row, wall_seconds=9.0) for row in changed.rows))
    folder.record(changed)
    rows = list(folder.rows(folder.figures))
    assert [row.policy for row in rows] == list(POLICIES)
    assert [row.wall_seconds for row in rows] == [9.0, 0.01]


@pytest.mark.parametrize("kept", [slice(0), slice(100), slice(None, -1)])
def test_a_file_cut_short_is_done_again(folder: StudyFolder, kept: slice) -> None:
    """A file that a failing disk left short gives no row and goes away; the others stay."""
    for replication in range(3):
        folder.record(outcome_of(unit(replication)))
    damaged = folder.result_file(0, 1)
    damaged.write_bytes(damaged.read_bytes()[kept])
    with pytest.raises(StudyError, match=r"replication-000001\.parquet: damaged"):
        _ = Study(folder).results
    assert {row.replication for row in folder.rows(folder.figures)} == {0, 2}
    assert not damaged.exists()
    assert damaged.with_name(f"{damaged.name}.damaged").exists()


def test_a_damaged_record_of_a_failure_is_told_and_tried_again(folder: StudyFolder) -> None:
    """Whoever reads is told the file; the next session sets it aside."""
    folder.record(outcome_of(unit(1), frozenset({(1, "rolling")})))
    file = folder.failure_file(0, 1, "rolling")
    file.write_text("{")
    with pytest.raises(StudyError, match=rf"{file.name}: is damaged"):
        folder.failures()
    folder.retry_failures()
    assert folder.failures() == []


def test_a_folder_that_could_not_be_kept_stays_told(folder: StudyFolder) -> None:
    """A failure of a replication whose figures are there is no leftover of a kill: only a new session forgets it."""
    folder.record(outcome_of(unit(0)))
    folder.record(outcome_of(unit(0), frozenset({(0, "rolling")})))
    folder.settle(1)
    (failure,) = folder.failures()
    assert failure.has_row
    folder.retry_failures()
    assert folder.failures() == []
    assert len(list(folder.rows(folder.figures))) == 2


def test_a_disk_that_cannot_be_read_now_costs_no_file(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the disk says nothing about the rows on it: it is raised, and the file stays."""
    folder.record(outcome_of(unit(0)))

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("experiments.monte_carlo.folder.read_rows", fail)
    with pytest.raises(OSError, match="Input/output error"):
        list(folder.rows(folder.figures))
    assert folder.result_file(0, 0).exists()


def test_no_lost_byte_changes_a_figure(folder: StudyFolder) -> None:
    """Whichever byte a disk has lost, the file's figures are as they were written, or it is done again."""
    outcome = outcome_of(unit(0))
    folder.record(outcome)
    file = folder.result_file(0, 0)
    whole, written = file.read_bytes(), [row.figures for row in outcome.rows]
    n_damaged = 0
    for place in range(0, len(whole), 17):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        assert [row.figures for row in folder.rows(folder.figures)] in ([], written)
        n_damaged += not file.exists()
    assert n_damaged > len(whole) / 17 / 2


def test_rows_beyond_the_end_are_set_aside_and_come_back(folder: StudyFolder) -> None:
    """What is beyond the last replication is no result, is still known, and returns when the study goes further."""
    for replication in range(5):
        for cell in range(2):
            folder.record(outcome_of(unit(replication, cell)))
    folder.settle(3)
    assert len(list(folder.path.rglob("*.parquet"))) == 6
    assert len(list(folder.rows(folder.figures))) == 20
    folder.settle(5)
    assert len(list(folder.path.rglob("*.parquet"))) == 10
    assert not list((folder.path / "spare").rglob("*.rows"))
    rows = list(folder.rows(folder.figures))
    assert rows[0].figures == figures_of(unit(0), rows[0].policy)


def test_a_failure_is_kept_until_its_replication_succeeds(folder: StudyFolder) -> None:
    """A failure is recorded with its error; success in a later session takes the record away."""
    folder.record(outcome_of(unit(2), frozenset({(2, "rolling")})))
    assert folder.failures() == [
        Failure(cell=0, policy="rolling", replication=2, error="ValueError: no", traceback="")
    ]
    folder.record(outcome_of(unit(2, policies=("rolling",))))
    assert folder.failures() == []
    assert [row.policy for row in folder.rows(folder.figures)] == list(POLICIES)


def test_a_kill_between_rows_and_what_they_replace_is_mended(folder: StudyFolder) -> None:
    """Killed after the rows were written, before the failure and the older rows went away: the newer rows count."""
    folder.record(outcome_of(unit(2), frozenset({(2, "rolling")})))
    folder.settle(1)
    failure, older = folder.failure_file(0, 2, "rolling"), folder.spare_file(0, 2)
    folder.record(outcome_of(unit(2), frozenset({(2, "rolling")})))
    stale = failure.read_bytes(), folder.result_file(0, 2).read_bytes()
    folder.record(outcome_of(unit(2, policies=("rolling",))))
    failure.write_bytes(stale[0])
    older.parent.mkdir(parents=True, exist_ok=True)
    older.write_bytes(stale[1])
    folder.settle(3)
    assert [row.policy for row in folder.rows(folder.figures)] == list(POLICIES)
    assert folder.failures() == []
    assert not older.exists()


def test_a_run_folder_is_kept_whole(folder: StudyFolder) -> None:
    """Files of a kept run come from the worker as bytes and make a folder of their own."""
    files = {"scenario.toml": b"[output]\nreport = false\n", "kpis.json": b"{}\n"}
    outcome = replace(outcome_of(unit(0)), kept=(Kept(policy="rolling", files=files),))
    folder.record(outcome)
    kept = folder.kept_folder(0, 0, "rolling")
    assert {file.name: file.read_bytes() for file in kept.iterdir()} == files
    folder.record(outcome)  # once more: there already


def test_what_a_killed_process_left_is_removed(folder: StudyFolder) -> None:
    """Temporary files and half-kept folders go away; whole ones stay."""
    folder.record(outcome_of(unit(0)))
    before = {path for path in folder.path.rglob("*")}
    (folder.result_file(0, 1).parent / ".replication-000001.parquet.partial-77").write_bytes(b"half")
    half = folder.path / "kept" / ".replication-000001.partial-77"
    half.mkdir(parents=True)
    (half / "kpis.json").write_bytes(b"")
    folder.tidy()
    assert {path for path in folder.path.rglob("*")} - {folder.path / "kept"} == before


def test_only_the_dead_are_swept(tmp_path: Path) -> None:
    """A folder half made by a process that is gone is removed; one that is being made stays."""
    process = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    dead = tmp_path / f".study.partial-{int(process.stdout)}"
    alive = tmp_path / f".study.partial-{os.getpid()}"
    for path in (dead, alive):
        path.mkdir()
    sweep(tmp_path / "study")
    assert not dead.exists()
    assert alive.exists()


def test_two_processes_cannot_run_one_study(folder: StudyFolder) -> None:
    """The second is told; after the first has ended, it may."""
    with folder.locked(), pytest.raises(StudyError, match="another process is running this study"):
        with open_folder(folder.path).locked():
            pytest.fail("both hold it")
    with folder.locked():
        pass


def test_a_folder_is_made_whole_or_not_at_all(folder: StudyFolder, tmp_path: Path) -> None:
    """An existing folder is refused and nothing is left beside it."""
    with pytest.raises(RunFolderError, match="exists"):
        create_folder(folder.path, identity(), CELLS)
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("study.json", None, "study.json is missing"),
        ("scenario.toml", None, "scenario.toml is missing"),
        ("study.json", "{", "manifest is damaged"),
        ("study.json", "[]", "manifest is damaged"),
        ("study.json", '{"format": 99}', "format 99"),
        ("cells.toml", "cells = 3", "manifest is damaged"),
        ("cells.toml", None, "1 cells, but the study has 2"),
        ("cells.toml", 'cells = [{"fleet.size" = 100}]', "1 cells, but the study has 2"),
    ],
)
def test_what_is_no_study_is_told(folder: StudyFolder, name: str, text: str | None, message: str) -> None:
    """A folder without a readable manifest gets one line that names the file or the fault."""
    file = folder.path / name
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(StudyError, match=message):
        open_folder(folder.path)


def test_a_file_and_nothing_are_no_studies(tmp_path: Path) -> None:
    """A path that is no folder is told as what it is."""
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match="is a file"):
        open_folder(tmp_path / "file")
    with pytest.raises(StudyError, match="no such folder"):
        open_folder(tmp_path / "nothing")


def test_every_difference_between_studies_is_named() -> None:
    """Scenario entries, policies, factors, code, packages and inputs: each difference is a line with both sides."""
    asked = replace(
        identity(("uncontrolled", "own-cost")),
        factors={},
        fingerprint=Fingerprint(
            code_version="2f", packages={"numpy": "2.4"}, policies={}, inputs={"a.csv": "78"}
        ),
        scenario_toml=base_toml(load_scenario("multi-microgrid", ["fleet.size=7"]), "uncontrolled"),
    )
    assert identity_faults(identity(), asked) == [
        "fleet.size = 100 in the study, 7 asked for",
        "policies uncontrolled, rolling in the study, uncontrolled, own-cost asked for",
        "factors.design = list in the study, absent asked for",
        "voltwalk's code 1f in the study, 2f here",
        "numpy 2.3 in the study, 2.4 here",
        "contents of a.csv 77 in the study, 78 here",
    ]
    assert identity_faults(identity(), identity()) == []


def test_an_outcome_without_rows_makes_no_result_file(folder: StudyFolder) -> None:
    """When every policy failed, there is a failure for each and no row."""
    folder.record(outcome_of(unit(1), frozenset({(1, "rolling"), (1, "uncontrolled")})))
    assert not list(folder.path.rglob("*.parquet"))
    assert len(folder.failures()) == 2
    folder.settle(1)
    assert folder.failures() == []


def test_differing_factor_tables_are_told_by_their_levels() -> None:
    """The place, and where the texts are long or alike, what differs in them."""
    ours = [*range(60)]
    theirs = [*ours[:40], 77, *ours[41:]]
    kind, level = identity_faults(
        replace(identity(), factors={"factors": {"a": [1], "b": tuple(ours)}}),
        replace(identity(), factors={"factors": {"a": ["1"], "b": tuple(theirs)}}),
    )
    assert kind == "factors.factors.a[0] = 1 (int) in the study, '1' (str) asked for"
    study, _, asked = level.removeprefix("factors.factors.b = ").partition(" in the study, ")
    assert " 39, 40, 41," in study
    assert " 39, 77, 41," in asked
    assert max(len(study), len(asked.removesuffix(" asked for"))) <= 80
