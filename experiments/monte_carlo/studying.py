"""A Monte Carlo study from start to end: planned, run, resumed, summed up."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from experiments.monte_carlo.analysis.stopping import MINIMUM
from experiments.monte_carlo.book import Book
from experiments.monte_carlo.conduct import Conduct, Ending, Hooks, Progress
from experiments.monte_carlo.contracts import Engine, Outcome, Unit
from experiments.monte_carlo.design.factors import Factors
from experiments.monte_carlo.engines.choice import engine_for
from experiments.monte_carlo.finish import write_derived
from experiments.monte_carlo.folder import StudyFolder, create_folder, open_folder, sweep
from experiments.monte_carlo.interrupt import StudyInterrupted, interrupts
from experiments.monte_carlo.plan import Plan, check_target, default_folder, make_plan
from experiments.monte_carlo.reading import Study, read_study
from experiments.running import resolve
from sim.errors import RunFolderError, StudyError
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
        An engine instead of either, which its owner closes; after an exception it is of no more use.
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
            lend_engine=(lambda: nullcontext(engine))
            if engine is not None
            else (lambda: closing(engine_for(workers=workers, cluster=cluster))),
            interrupted=interrupted,
            on_progress=on_progress or (lambda _: None),
        ).run()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """One attempt at a study, from its folder as it is to its folder as it shall be."""

    plan: Plan
    target: Path
    lend_engine: Callable[[], AbstractContextManager[Engine]]
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
            folder.retry_failures()
            book = Book.of(folder, self.plan)
            if units := book.missing():
                engine = engine or self._engine(stack)
                folder.discard_derived()
                self._conduct(folder, book, units, engine)
            n_final = self.plan.n_replications if book.judge.stop_at is None else book.judge.stop_at
            folder.settle(n_final)
            summed = read_study(self.target)
            self._heed("interrupted; all replications are written, the tables and the report are not")
            write_derived(summed, self.plan, book.judge.stop_at)
        return summed

    def _heed(self, text: str) -> None:
        """Raise when an interrupt came meanwhile."""
        if number := self.interrupted():
            raise StudyInterrupted(text, number, self.target)

    def _engine(self, stack: ExitStack) -> Engine:
        engine = stack.enter_context(self.lend_engine())
        engine.check(self.plan.setup)
        return engine

    def _conduct(self, folder: StudyFolder, book: Book, units: list[Unit], engine: Engine) -> None:
        lack_only_folders = book.is_enough()  # the rules held before

        def record(outcome: Outcome) -> None:
            folder.record(outcome)
            book.enter(outcome.rows)

        def is_enough() -> bool:
            return not lack_only_folders and book.is_enough()

        hooks = Hooks(
            record=record,
            is_enough=is_enough,
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


@contextmanager
def _told_disk(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        fault, cause = f"{error.filename or target}: {error.strerror or error}", error
    except RunFolderError as error:  # of a folder that is written whole: the study's own, or a kept run's
        if not isinstance(error.__cause__, OSError):
            raise
        fault, cause = str(error), error.__cause__
    else:
        return
    raise StudyError(f"{fault}; what is done is kept, go on with --resume when the disk allows") from cause
