"""A study's folder on disk: the only state of a study, and only the process that runs the study writes it.

::

    study.json      what the study is: seed, policies, factors, scenario's hash, code, packages, inputs
    scenario.toml   the resolved base scenario        cells.toml   the levels of each cell, readable as a factors file
    results/        cell-0000/replication-000000.parquet: a row per policy, whole or not there
    spare/          rows beyond the last replication of the results, for a later resume
    failures/       a JSON file per replication and policy that raised
    kept/           cell-0000/<policy>/replication-000000/: whole run folders
    statistics.csv, differences.csv, effects.csv, summary.json, study.html: made at the end, from the rows alone
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import tomli_w

from experiments.atomic import PARTIAL, write_whole
from experiments.job import write_run
from experiments.monte_carlo.contracts import Cell, Failure, Fingerprint, Kept, Outcome, Row
from experiments.monte_carlo.identity import Identity
from experiments.monte_carlo.table import figure_names, read_rows, result_schema, rows_bytes
from experiments.provenance import version
from experiments.run_folder import folder_name, json_bytes, whole_folder
from sim.errors import StudyError

try:
    import fcntl
except (
    ImportError
):  # pragma: no cover - where there is no such lock, two processes on one folder go unnoticed
    fcntl = None  # type: ignore[assignment]

FORMAT: Final = 1
DERIVED: Final = (
    "statistics.csv",
    "differences.csv",
    "effects.csv",
    "summary.json",
    "study.html",
)
"""What is made from the rows at the end; never left standing beside rows that it does not know."""
DAMAGED: Final = ".damaged"
"""Ending of a file that could not be read and was set aside."""
_RESULT_NAME: Final = re.compile(r"cell-(\d+)/replication-(\d+)\.(?:parquet|rows)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFolder:
    """A study's folder: what it is, and what is in it."""

    path: Path
    identity: Identity
    cells: tuple[Cell, ...]
    currency: str

    @property
    def schema(self) -> pa.Schema:
        """Columns of the result files."""
        return result_schema(self.cells, self.currency)

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the key figures."""
        return figure_names(self.currency)

    def result_file(self, cell: int, replication: int) -> Path:
        """Where the rows of one unit are."""
        return self.path / "results" / f"cell-{cell:04d}" / f"replication-{replication:06d}.parquet"

    def spare_file(self, cell: int, replication: int) -> Path:
        """Where the rows of one unit are when it is beyond the results' last replication."""
        return self.path / "spare" / f"cell-{cell:04d}" / f"replication-{replication:06d}.rows"

    def failure_file(self, cell: int, replication: int, policy: str) -> Path:
        """Where a failure is recorded."""
        name = f"cell-{cell:04d}-replication-{replication:06d}-{folder_name(policy)}.json"
        return self.path / "failures" / name

    def kept_folder(self, cell: int, replication: int, policy: str) -> Path:
        """Where a run folder is kept."""
        place = self.path / "kept" / f"cell-{cell:04d}" / folder_name(policy)
        return place / f"replication-{replication:06d}"

    def rows(self, figures: Sequence[str]) -> Iterator[Row]:
        """Rows of all result files, set aside or not, with some of their figures.

        A file that is damaged, as after a power failure, is set aside as ``*.damaged``, so that its unit is done
        again.
        """
        for file in sorted((*self._files("results", "parquet"), *self._files("spare", "rows"))):
            try:
                yield from read_rows(file, self.cells, figures)
            except (pa.ArrowException, OSError, LookupError) as error:
                if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno is not None):
                    raise  # it cannot be read now: that says nothing about the file
                _move(file, file.with_name(f"{file.name}{DAMAGED}"))

    def failures(self) -> list[Failure]:
        """What is recorded as failed.

        Raises
        ------
        StudyError
            When a record is damaged.
        """
        return [_read_failure(file) for file in self._failure_files()]

    def retry_failures(self) -> None:
        """Forget what is tried again: records of folders that could not be kept, and damaged records."""
        for file in self._failure_files():
            try:
                is_forgotten = _read_failure(file).has_row
            except StudyError:
                _move(file, file.with_name(f"{file.name}{DAMAGED}"))
            else:
                if is_forgotten:
                    file.unlink()

    def record(self, outcome: Outcome) -> None:
        """Make an outcome last: rows first, then kept folders and failures, each file whole or not there.

        Raises
        ------
        OSError
            When the disk refuses.
        """
        cell, replication = outcome.unit.cell.index, outcome.unit.replication
        earlier = self._rows_of(cell, replication)
        if outcome.rows:
            known = {row.policy: row for row in (*outcome.rows, *earlier)}  # an earlier row stays as it is
            rows = [known[policy] for policy in self.identity.policies if policy in known]
            file = self.result_file(cell, replication)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, rows_bytes(rows, self.schema))
            self.spare_file(cell, replication).unlink(missing_ok=True)
        for kept in outcome.kept:
            self._keep(kept, cell, replication)
        for row in outcome.rows:
            self.failure_file(cell, replication, row.policy).unlink(missing_ok=True)
        there = {row.policy for row in earlier}
        for failure in outcome.failures:
            noted = replace(failure, has_row=failure.policy in there)
            file = self.failure_file(cell, replication, failure.policy)
            file.parent.mkdir(exist_ok=True)
            write_whole(file, json_bytes(asdict(noted)))

    def settle(self, n_replications: int) -> None:
        """Leave in the results just the replications below a number, set the others aside, and mend what a kill left.

        A process killed between two steps of :meth:`record` leaves rows in both places, or a failure beside the row
        of its replication's success.
        """
        for cell, replication, file in list(self._units("results", "parquet")):
            if replication >= n_replications:
                self.discard_derived()  # it was made from these rows too
                _move(file, self.spare_file(cell, replication))
        for cell, replication, file in list(self._units("spare", "rows")):
            if self.result_file(cell, replication).exists():
                file.unlink()  # the result was written after it, and holds its rows too
            elif replication < n_replications:
                self.discard_derived()
                _move(file, self.result_file(cell, replication))
        for failure in self.failures():
            rows = self._rows_of(failure.cell, failure.replication)
            is_mended = failure.policy in {row.policy for row in rows} and not failure.has_row
            if failure.replication >= n_replications or is_mended:
                self.discard_derived()
                self.failure_file(failure.cell, failure.replication, failure.policy).unlink()

    def discard_derived(self) -> None:
        """Remove what was made from fewer rows."""
        for name in DERIVED:
            (self.path / name).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what a process that was killed had not finished writing."""
        for partial in list(self.path.rglob(f".*{PARTIAL}*")):
            _remove(partial)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from running the same study; the lock goes with the process, however it ends.

        Raises
        ------
        StudyError
            When another process runs it.
        """
        with (self.path / "study.json").open("rb") as file:
            _lock(file, self.path)
            yield

    def _rows_of(self, cell: int, replication: int) -> list[Row]:
        files = (self.result_file(cell, replication), self.spare_file(cell, replication))
        return [row for file in files if file.exists() for row in read_rows(file, self.cells, self.figures)]

    def _keep(self, kept: Kept, cell: int, replication: int) -> None:
        target = self.kept_folder(cell, replication, kept.policy)
        if target.exists():
            return
        report = bool(tomllib.loads(kept.files["scenario.toml"].decode())["output"]["report"])
        with whole_folder(target) as folder:
            write_run(folder, kept.files.items(), report=report)

    def _failure_files(self) -> list[Path]:
        return sorted((self.path / "failures").glob("*.json"))

    def _files(self, place: str, ending: str) -> Iterator[Path]:
        return (self.path / place).glob(f"cell-*/replication-*.{ending}")

    def _units(self, place: str, ending: str) -> Iterator[tuple[int, int, Path]]:
        for file in self._files(place, ending):
            if found := _RESULT_NAME.search(file.as_posix()):
                yield int(found[1]), int(found[2]), file


def create_folder(path: Path, identity: Identity, cells: Sequence[Cell]) -> StudyFolder:
    """Make a study's folder: with its manifest, or not at all.

    Raises
    ------
    RunFolderError
        When it exists, or the disk refuses.
    """
    with whole_folder(path) as folder:
        (folder / "scenario.toml").write_text(identity.scenario_toml, encoding="utf-8")
        if cells[0].levels:
            tables = {"design": "list", "cells": [dict(cell.levels) for cell in cells]}
            (folder / "cells.toml").write_text(tomli_w.dumps(tables), encoding="utf-8")
        (folder / "study.json").write_bytes(json_bytes(_manifest(identity, len(cells))))
        for file in folder.iterdir():  # without them no row says anything: they outlive a power failure
            with file.open("rb") as written:
                os.fsync(written.fileno())
    return open_folder(path)


def open_folder(path: Path) -> StudyFolder:
    """Open a study's folder.

    Raises
    ------
    StudyError
        When it is none, or one that another version wrote.
    """
    if not path.is_dir():
        raise StudyError(
            f"{path}: no such folder" if not path.exists() else f"{path}: is a file, not a study's folder"
        )
    try:
        manifest = json.loads((path / "study.json").read_text(encoding="utf-8"))
        text = (path / "scenario.toml").read_text(encoding="utf-8")
        cells = _read_cells(path / "cells.toml")
        currency = str(tomllib.loads(text)["scenario"]["currency"])
        if manifest["format"] != FORMAT:
            raise StudyError(f"{path}: a study's folder of format {manifest['format']}, not {FORMAT}")
        identity = _identity_of(manifest, text)
        if len(cells) != (n_cells := int(manifest["n_cells"])):
            raise StudyError(
                f"{path}: cells.toml is damaged or missing: {len(cells)} cells, but the study has {n_cells}"
            )
    except FileNotFoundError as error:
        raise StudyError(
            f"{path}: not a study's folder, {Path(str(error.filename)).name} is missing"
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StudyError(
            f"{path}: the study's manifest is damaged ({type(error).__name__}: {error})"
        ) from error
    return StudyFolder(path=path, identity=identity, cells=cells, currency=currency)


def sweep(path: Path) -> None:
    """Remove what a killed process left beside a study's folder while it made it."""
    for partial in path.parent.glob(f".{path.name}{PARTIAL}*"):
        if not _is_alive(partial.name.rpartition("-")[2]):
            _remove(partial)


def _manifest(identity: Identity, n_cells: int) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "identity": identity.digest,
        "scenario_hash": identity.scenario_hash,
        "seed": identity.seed,
        "policies": list(identity.policies),
        "factors": dict(identity.factors),
        "n_cells": n_cells,
        "version": version(),
        "code_version": identity.fingerprint.code_version,
        "packages": dict(identity.fingerprint.packages),
        "policy_sources": dict(identity.fingerprint.policies),
        "inputs": dict(identity.fingerprint.inputs),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _identity_of(manifest: Mapping[str, Any], scenario_toml: str) -> Identity:
    return Identity(
        scenario_toml=scenario_toml,
        seed=int(manifest["seed"]),
        policies=tuple(manifest["policies"]),
        factors=manifest["factors"],
        fingerprint=Fingerprint(
            code_version=manifest["code_version"],
            packages=manifest["packages"],
            policies=manifest["policy_sources"],
            inputs=manifest["inputs"],
        ),
    )


def _read_cells(file: Path) -> tuple[Cell, ...]:
    if not file.is_file():
        return (Cell(index=0),)
    tables = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(Cell(index=index, levels=levels) for index, levels in enumerate(tables["cells"]))


def _read_failure(file: Path) -> Failure:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        return Failure(
            cell=int(data["cell"]),
            policy=str(data["policy"]),
            replication=int(data["replication"]),
            error=str(data["error"]),
            traceback=str(data["traceback"]),
            has_row=bool(data.get("has_row", False)),
        )
    except (ValueError, LookupError, TypeError) as error:
        raise StudyError(
            f"{file}: is damaged; remove it, or go on with --resume, which tries again"
        ) from error


def _move(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _lock(file: IO[bytes], path: Path) -> None:
    if fcntl is None:  # pragma: no cover
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StudyError(f"{path}: another process is running this study") from None
    except OSError:  # a file system without locks: then it is for people to start a study once
        return
