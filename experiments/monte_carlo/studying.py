"""A Monte Carlo study from start to end: planned, checked, run, resumed, summed up."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from experiments.monte_carlo.cell_checks import check_cells
from experiments.monte_carlo.conduct import Conduct, Ending, Hooks, Progress
from experiments.monte_carlo.contracts import Cell, Engine, Outcome, Row, Setup, Unit
from experiments.monte_carlo.designs import cells_of
from experiments.monte_carlo.engines import engine_for
from experiments.monte_carlo.factors import Factors, read_factors
from experiments.monte_carlo.finish import write_derived
from experiments.monte_carlo.folder import StudyFolder, create_folder, open_folder, sweep
from experiments.monte_carlo.identity import Identity, fingerprint_of, identity_faults, input_files
from experiments.monte_carlo.interrupt import StudyInterrupted, interrupts
from experiments.monte_carlo.keeping import kept_numbers
from experiments.monte_carlo.reading import Study, read_study
from experiments.monte_carlo.settings import base_of, base_toml
from experiments.monte_carlo.stopping import MINIMUM, Judge, Rule, read_rule
from experiments.monte_carlo.work import add_module_folder
from experiments.run_folder import check_free
from experiments.running import resolve
from sim.errors import PolicyError, StudyError
from sim.scenario import Scenario

OnProgress = Callable[[Progress], None]


def study(
    scenario: str | Path | Scenario,
    *,
    replications: int,
    policies: Sequence[str] = (),
    factors: str | Path | Factors | None = None,
    until: str | Sequence[str] = (),
    minimum: int = MINIMUM,
    keep: str | int | Sequence[int] = 0,
    workers: int | None = None,
    cluster: str | None = None,
    engine: Engine | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    on_progress: OnProgress | None = None,
) -> Study:
    """Run a Monte Carlo study: every replication under every policy in every cell of a design.

    Parameters
    ----------
    scenario
        Name of a shipped scenario, path of a TOML file, or a validated scenario.
    replications
        How many; with a stopping rule, how many at most. Replication k is the same whatever their number.
    policies
        Names, or ``package.module:Class``; default the scenario's own. Differences are later minus earlier.
    factors
        A factor table or the TOML file of one; none: the scenario as it is.
    until
        Stopping rules such as ``total_cost_net[rolling-uncontrolled] < 2%``; all must hold.
    minimum
        Replications before a rule is first looked at.
    keep
        Whose whole run folders to keep: the first so many, or their numbers (``"0,5,17"``, ``"10-12"``).
    workers
        Processes on this machine, default one per core; 0 runs everything in this process.
    cluster
        Address of a Dask scheduler instead, ``tcp://HOST:PORT``.
    engine
        An own engine instead of either; it is closed at the end.
    out
        The study's folder; default ``studies/<scenario>-<hash of scenario, policies and factors>``.
    resume
        Go on with the folder if it exists.
    overrides, seed
        As for :func:`experiments.run`.
    on_progress
        Called whenever something came back, and now and then.

    Returns
    -------
    Study
        The folder, opened. Failed replications are in ``failures``.

    Raises
    ------
    ScenarioError, PolicyError, StudyError, RunFolderError
        Each with one clear message; nothing was half-written.
    StudyInterrupted
        After Ctrl-C or SIGTERM; what was done is written.
    """
    plan = make_plan(
        resolve(scenario, overrides=overrides, seed=seed),
        replications=replications,
        policies=policies,
        factors=factors,
        until=until,
        minimum=minimum,
        keep=keep,
    )
    target = Path(out) if out is not None else default_folder(plan)
    check_target(target, plan, resume=resume)
    with interrupts() as interrupted, _told_disk(target):
        return _Session(
            plan=plan,
            target=target,
            make_engine=lambda: engine or engine_for(workers=workers, cluster=cluster),
            interrupted=interrupted,
            on_progress=on_progress or (lambda _: None),
        ).run()


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
    if not resume:
        raise StudyError(
            f"{target}: this study was begun already; go on with --resume, or name another folder with --out"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """One attempt at a study, from its folder as it is to its folder as it shall be."""

    plan: Plan
    target: Path
    make_engine: Callable[[], Engine]
    interrupted: Callable[[], int | None]
    on_progress: OnProgress

    def run(self) -> Study:
        """Do what is missing, and sum up."""
        sweep(self.target)
        with ExitStack() as stack:
            engine = None
            if not self.target.exists():
                engine = self._engine(stack)  # before the folder: a cluster that is not there leaves nothing
                create_folder(self.target, self.plan.identity, self.plan.cells)
            folder = open_folder(self.target)
            stack.enter_context(folder.locked())
            folder.tidy()
            book = Book.of(folder, self.plan)
            units = book.missing()
            if units and not book.is_enough():
                folder.discard_derived()
                self._conduct(folder, book, units, engine or self._engine(stack))
            n_final = self.plan.n_replications if book.judge.stop_at is None else book.judge.stop_at
            folder.settle(n_final)
            summed = read_study(self.target)
            write_derived(
                summed,
                n_asked=self.plan.n_replications,
                rules=self.plan.rules,
                stopped_at=book.judge.stop_at,
            )
        return summed

    def _engine(self, stack: ExitStack) -> Engine:
        engine = self.make_engine()
        stack.callback(engine.close)
        engine.check(self.plan.setup)
        return engine

    def _conduct(self, folder: StudyFolder, book: Book, units: list[Unit], engine: Engine) -> None:
        def record(outcome: Outcome) -> None:
            folder.record(outcome)
            book.enter(outcome.rows)

        hooks = Hooks(
            record=record,
            is_enough=book.is_enough,
            is_interrupted=lambda: self.interrupted() is not None,
            on_progress=self.on_progress,
        )
        n_total = len(self.plan.cells) * self.plan.n_replications
        conduct = Conduct(engine, self.plan.setup, units, hooks, n_done=n_total - len(units), n_total=n_total)
        if conduct.run() is Ending.INTERRUPTED:
            done = conduct.progress()
            raise StudyInterrupted(
                f"interrupted; {done.n_done} of {n_total} replications are written",
                self.interrupted() or signal.SIGINT,
                self.target,
            )


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
        book.enter(folder.rows())
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
        """What is to be done, replication by replication."""
        units = []
        for replication in range(self.plan.n_replications):
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


@contextmanager
def _told_disk(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or target
        raise StudyError(
            f"{place}: {error.strerror or error}; what is done is kept, go on with --resume when the disk allows"
        ) from error
