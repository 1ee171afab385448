"""Reading a study's folder: its results and what follows from them, as pandas frames."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from experiments.monte_carlo.analysis.effects import effects
from experiments.monte_carlo.analysis.statistics import differences, summary
from experiments.monte_carlo.contracts import Cell
from experiments.monte_carlo.design.factors import Factors, factors_of_table
from experiments.monte_carlo.folder import StudyFolder, open_folder
from experiments.monte_carlo.settings import base_of
from experiments.monte_carlo.table import read_table
from experiments.reading import Run, read_run
from sim.errors import StudyError
from sim.scenario import Scenario


class Study:
    """A study's folder; each table is read or made when it is first asked for.

    Parameters
    ----------
    folder
        The folder. Use :func:`read_study`, which checks that it is one.
    """

    def __init__(self, folder: StudyFolder) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"Study({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Settings, in order."""
        return self.folder.cells

    @property
    def policies(self) -> tuple[str, ...]:
        """Policies, in order; differences are later minus earlier."""
        return self.folder.identity.policies

    @property
    def seed(self) -> int:
        """Root of all chance."""
        return self.folder.identity.seed

    @property
    def currency(self) -> str:
        """ISO code of all money in this study."""
        return self.folder.currency

    @property
    def scenario(self) -> Scenario:
        """The base scenario, before any level."""
        return base_of(self.folder.identity.scenario_toml)

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the key figures."""
        return self.folder.figures

    @property
    def factors(self) -> Factors | None:
        """The factor table; none when nothing is varied."""
        table = self.folder.identity.factors
        return factors_of_table(table) if table else None

    @cached_property
    def results(self) -> pd.DataFrame:
        """One row per cell, policy and replication, sorted so (policies in the study's order).

        Raises
        ------
        StudyError
            When a result file is damaged.
        """
        schema = self.folder.schema
        files = sorted((self.path / "results").glob("cell-*/replication-*.parquet"))
        table = pa.concat_tables([schema.empty_table(), *(_table(file, schema) for file in files)])
        frame: pd.DataFrame = table.to_pandas()
        order = {policy: index for index, policy in enumerate(self.policies)}
        ranked = frame.assign(_order=frame["policy"].map(order))
        return ranked.sort_values(["cell", "_order", "replication"], ignore_index=True).drop(columns="_order")

    @cached_property
    def statistics(self) -> pd.DataFrame:
        """Mean, deviation, intervals and quantiles by cell, policy and key figure."""
        return summary(self.results, self.figures, self.seed)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """Paired differences between policies with their intervals."""
        return differences(self.results, self.figures, self.policies, self.seed)

    @cached_property
    def effects(self) -> pd.DataFrame:
        """Effects and interactions of the factors; empty when nothing is varied."""
        if self.factors is None:
            return pd.DataFrame()
        return effects(self.results, self.factors, self.cells, self.figures, self.policies)

    @property
    def failures(self) -> pd.DataFrame:
        """What raised: cell, policy, replication, error, traceback."""
        names = ["cell", "policy", "replication", "error", "traceback"]
        found = self.folder.failures()
        return pd.DataFrame([[getattr(failure, name) for name in names] for failure in found], columns=names)

    def kept(self, replication: int, *, cell: int = 0, policy: str | None = None) -> Run:
        """Run folder that was kept of one replication.

        Raises
        ------
        RunFolderError
            When it was not kept.
        """
        return read_run(self.folder.kept_folder(cell, replication, policy or self.policies[0]))

    def kept_runs(self) -> Iterator[tuple[int, str, Run]]:
        """Cell, policy and run folder of all replications that were kept, in order."""
        for cell, policy in itertools.product(self.cells, self.policies):
            place = self.folder.kept_folder(cell.index, 0, policy).parent
            for path in sorted(place.glob("replication-*")):
                yield cell.index, policy, read_run(path)

    def replay_command(self, replication: int, cell: int, policy: str) -> str:
        """Command that runs one replication again, with its whole run folder."""
        return replay_command(self.path, replication, cell, policy)

    def facts(self) -> dict[str, Any]:
        """What ``summary.json`` says of the rows."""
        return {
            "replications": int(self.results["replication"].nunique()),
            "cells": len(self.cells),
            "policies": list(self.policies),
            "rows": len(self.results),
            "failures": len(self.failures),
        }


def read_study(path: str | Path | Study) -> Study:
    """Open a study's folder.

    Raises
    ------
    StudyError
        When there is no such folder, or it is not a study's.
    """
    return path if isinstance(path, Study) else Study(open_folder(Path(path)))


def _table(file: Path, schema: pa.Schema) -> pa.Table:
    try:
        return read_table(file).select(schema.names).cast(schema)
    except (pa.ArrowException, OSError, LookupError, ValueError) as error:
        raise StudyError(f"{file}: damaged ({error}); --resume does its replication again") from error


def replay_command(path: Path, replication: int, cell: int, policy: str) -> str:
    """Command that runs one replication of a study again.

    >>> replay_command(Path("studies/a b"), 12, 3, "rolling")
    "voltwalk replay 'studies/a b' 12 --cell 3 --policy rolling"
    """
    return shlex.join(
        ["voltwalk", "replay", str(path), str(replication), "--cell", str(cell), "--policy", policy]
    )
