"""What a study is and how far it shall go, fixed and checked before any work."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from experiments.monte_carlo.analysis.stopping import MINIMUM, Judge, Rule, read_rule
from experiments.monte_carlo.contracts import Cell, Setup
from experiments.monte_carlo.design.cells import cells_of
from experiments.monte_carlo.design.checks import check_cells
from experiments.monte_carlo.design.factors import Factors, read_factors
from experiments.monte_carlo.folder import open_folder
from experiments.monte_carlo.identity import Identity, fingerprint_of, identity_faults, input_files
from experiments.monte_carlo.keeping import kept_numbers
from experiments.monte_carlo.settings import base_of, base_toml, levels_toml
from experiments.monte_carlo.work import add_module_folder
from experiments.run_folder import check_free
from sim.errors import PolicyError, StudyError
from sim.scenario import Scenario

MAX_FILES: Final = 2_000_000
"""Result files of a study: beyond, the list of what is to be done no longer fits a common machine's memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a study is, and how far it shall go."""

    identity: Identity
    cells: tuple[Cell, ...]
    name: str
    currency: str
    n_replications: int
    rules: tuple[Rule, ...]
    minimum: int
    keep: frozenset[int]

    @property
    def setup(self) -> Setup:
        """What travels with every piece."""
        return Setup(
            scenario_toml=self.identity.scenario_toml,
            module_folder=str(Path.cwd()),
            fingerprint=self.identity.fingerprint,
        )

    def judge(self) -> Judge:
        """Keeper of the complete prefix and of the stopping rules, knowing no row yet."""
        return Judge(self.rules, len(self.cells), self.identity.policies, self.minimum, self.n_replications)


def make_plan(
    base: Scenario,
    *,
    replications: int,
    policies: Sequence[str] = (),
    factors: str | Path | Factors | None = None,
    until: str | Sequence[str] = (),
    minimum: int = MINIMUM,
    keep: str | int | Sequence[int] = 0,
) -> Plan:
    """Check everything that can be checked before any work, and fix what the study is.

    Raises
    ------
    ScenarioError, PolicyError, StudyError
        With every fault of a kind.
    """
    names = tuple(policies) or (base.dispatch.policy,)
    if twice := [policy for index, policy in enumerate(names) if policy in names[:index]]:
        raise PolicyError(f"policy {twice[0]!r} is named twice")
    rule_texts = [until] if isinstance(until, str) and until else list(until)
    if replications < 1:
        raise StudyError(f"--replications {replications}: must be 1 or more")
    add_module_folder(str(Path.cwd()))
    rules = tuple(read_rule(text, names, base.scenario.currency) for text in rule_texts)
    kept = kept_numbers(keep, replications)
    table = read_factors(Path(factors)) if isinstance(factors, str | Path) else factors
    cells = cells_of(table, base)
    if (n_files := len(cells) * replications) > MAX_FILES:
        raise StudyError(
            f"--replications {replications} of {len(cells)} cells make {n_files:,} result files; "
            f"a study holds {MAX_FILES:,} at most"
        )
    check_cells(base, cells, names)
    text = base_toml(base, names[0])
    identity = Identity(
        scenario_toml=text,
        seed=base.simulation.seed,
        policies=names,
        factors=table.table() if table is not None else {},
        fingerprint=fingerprint_of(names, input_files(base_of(text), cells, names[0])),
    )
    plan = Plan(
        identity=identity,
        cells=cells,
        name=base.scenario.name,
        currency=base.scenario.currency,
        n_replications=replications,
        rules=rules,
        minimum=minimum,
        keep=kept,
    )
    plan.judge()  # says when the rules can never be judged
    return plan


def default_folder(plan: Plan) -> Path:
    """Folder of a study that is given none: the same for the same study, so that it can be resumed."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", plan.name)
    return Path("studies") / f"{stem}-{plan.identity.digest[:8]}"


def check_target(target: Path, plan: Plan, *, resume: bool) -> None:
    """Refuse a folder that is in the way, or that belongs to another study.

    Raises
    ------
    StudyError, RunFolderError
        With every difference.
    """
    if not target.exists():
        check_free(target)
        return
    there = open_folder(target)
    if faults := identity_faults(there.identity, plan.identity):
        raise StudyError(
            "\n".join(
                [f"{target}: belongs to another study or version; name another folder with --out", *faults]
            )
        )
    if there.cells != tuple(
        Cell(index=c.index, levels=tomllib.loads(levels_toml(c.levels))) for c in plan.cells
    ):
        raise StudyError(f"{target}: cells.toml is not what the study's factors give; restore it")
    if not resume:
        raise StudyError(
            f"{target}: this study was begun already; go on with --resume, or name another folder with --out"
        )
