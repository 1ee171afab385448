"""Which rows a study has, which it lacks, and whether its stopping rules hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from experiments.monte_carlo.analysis.stopping import Judge
from experiments.monte_carlo.contracts import Cell, Row, Unit
from experiments.monte_carlo.folder import StudyFolder
from experiments.monte_carlo.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Which rows a study has, without their numbers."""

    folder: StudyFolder
    plan: Plan
    judge: Judge
    policies: dict[tuple[int, int], set[str]]  # by cell and replication

    @classmethod
    def of(cls, folder: StudyFolder, plan: Plan) -> Book:
        """Read what a folder has."""
        book = cls(folder=folder, plan=plan, judge=plan.judge(), policies={})
        book.enter(folder.rows([rule.figure for rule in plan.rules]))
        return book

    def enter(self, rows: Iterable[Row]) -> None:
        """Note rows; those beyond the replications asked for do not count."""
        for row in rows:
            if row.replication < self.plan.n_replications:  # else it does not count
                self.policies.setdefault((row.cell.index, row.replication), set()).add(row.policy)
                self.judge.add(row)

    def is_enough(self) -> bool:
        """Whether the stopping rules hold on the complete prefix."""
        return self.judge.stop_at is not None

    def missing(self) -> list[Unit]:
        """What is to be done, replication by replication; where the rules hold, only folders are still to be kept."""
        units = []
        n = self.plan.n_replications if self.judge.stop_at is None else self.judge.stop_at
        for replication in range(n):
            for cell in self.plan.cells:
                there = self.policies.get((cell.index, replication), set())
                keep = self._to_keep(cell, replication)
                policies = [name for name in self.plan.identity.policies if name not in there or name in keep]
                if policies:
                    units.append(
                        Unit(replication=replication, cell=cell, policies=tuple(policies), keep=tuple(keep))
                    )
        return units

    def _to_keep(self, cell: Cell, replication: int) -> list[str]:
        if replication not in self.plan.keep:
            return []
        return [
            policy
            for policy in self.plan.identity.policies
            if not self.folder.kept_folder(cell.index, replication, policy).exists()
        ]
