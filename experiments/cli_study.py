"""The commands of Monte Carlo studies: ``voltwalk study`` and ``voltwalk replay``."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli_parts import (
    OutOption,
    ScenarioArgument,
    SeedOption,
    SetOption,
    UserInterrupt,
    console,
    names_of,
)
from sim.errors import PolicyError, StudyError

if TYPE_CHECKING:
    from experiments.monte_carlo.design.factors import Factors
    from experiments.monte_carlo.replaying import Replayed

StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY", help="A study's folder.")]


def study(
    scenario: ScenarioArgument,
    replications: Annotated[
        int, typer.Option("--replications", metavar="N", help="How many; with --until, how many at most.")
    ],
    policies: Annotated[
        str | None,
        typer.Option(
            "--policies",
            metavar="A,B",
            help="Comma-separated, default the scenario's own; differences are later minus earlier.",
        ),
    ] = None,
    factors: Annotated[
        Path | None, typer.Option("--factors", metavar="FILE", help="What is varied: a TOML file.")
    ] = None,
    factor: Annotated[
        list[str] | None,
        typer.Option(
            "--factor", metavar="KEY=LEVELS", help="What is varied, without a file: 'fleet.size=[100, 300]'."
        ),
    ] = None,
    design: Annotated[
        str | None,
        typer.Option("--design", metavar="NAME", help="How --factor combine; default factorial."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", metavar="M", help="Points of a sampled design of --factor.")
    ] = None,
    until: Annotated[
        list[str] | None,
        typer.Option(
            "--until",
            metavar="RULE",
            help="Stop when intervals are so narrow: 'total_cost_net[rolling-own-cost] < 2%'; all must hold.",
        ),
    ] = None,
    minimum: Annotated[
        int,
        typer.Option("--min-replications", metavar="M", help="Replications before --until is looked at."),
    ] = 20,
    keep: Annotated[
        str,
        typer.Option(
            "--keep", metavar="N|LIST", help="Whole run folders: of the first N, or of 0,5,17 or 10-12."
        ),
    ] = "0",
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="W",
            help="Processes on this machine, default one per core; 0: this process.",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="tcp://HOST:PORT", help="Scheduler of a Dask cluster instead."),
    ] = None,
    seed: SeedOption = None,
    overrides: SetOption = None,
    out: OutOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder if it exists.")] = False,
) -> None:
    """Many replications of a scenario, by policy and setting; the last line printed is the study's folder."""
    from experiments.monte_carlo import study as run_study
    from experiments.progress import study_progress
    from experiments.study_tables import print_study

    with interruptible(out), study_progress() as on_progress:
        done = run_study(
            scenario,
            replications=replications,
            policies=_policies(policies),
            factors=_factors(factors, factor or (), design, samples),
            until=until or (),
            minimum=minimum,
            keep=keep,
            workers=workers,
            cluster=cluster,
            out=out,
            resume=resume,
            overrides=overrides or (),
            seed=seed,
            on_progress=on_progress,
        )
    print_study(done, console())
    typer.echo(done.path)
    if n_failed := len(done.failures):
        sys.stderr.write(f"voltwalk: {n_failed} failed; the same command with --resume tries them again\n")
        raise typer.Exit(1)


def replay(
    folder: StudyArgument,
    replication: Annotated[
        int, typer.Argument(metavar="REPLICATION", help="Its number; they are counted from 0.")
    ],
    cell: Annotated[
        int | None, typer.Option("--cell", metavar="C", help="Its cell, where the study has several.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="P", help="Its policy, where the study has several.")
    ] = None,
    out: OutOption = None,
) -> None:
    """Run one replication of a study again and leave its run folder; exit 1 when its figures are not the study's."""
    from experiments.monte_carlo import replay as run_again
    from experiments.progress import step_progress
    from experiments.tables import key_figure_table

    with step_progress("simulating") as on_step:
        replayed = run_again(folder, replication, cell=cell, policy=policy, out=out, on_step=on_step)
    name = replayed.run.scenario["scenario"]["name"]
    console().print(
        key_figure_table(replayed.run.kpis, title=f"{name}: key figures of replication {replication}")
    )
    for line in _verdict(replayed):
        typer.echo(line)
    typer.echo(replayed.run.path)
    if replayed.differing:
        raise typer.Exit(1)


def _verdict(replayed: Replayed) -> list[str]:
    if not replayed.is_in_study:
        lines = ["the study has no figures of this replication to compare with"]
    elif replayed.differing:
        lines = [f"not the study's figures: {', '.join(replayed.differing)} differ"]
    else:
        lines = ["the figures are the study's, to the last bit"]
    return lines + [f"this program is not the study's: {difference}" for difference in replayed.unlike]


def _policies(text: str | None) -> Sequence[str]:
    names = names_of(text) if text is not None else []
    if text is not None and not names:
        raise PolicyError("--policies: name at least one policy")
    return names


def _factors(
    file: Path | None, options: Sequence[str], design: str | None, samples: int | None
) -> Path | Factors | None:
    """What is varied: of a file or of options, not of both."""
    from experiments.monte_carlo.design.factors import factors_from_options

    given = [
        name for name, value in (("--factor", options), ("--design", design), ("--samples", samples)) if value
    ]
    if file is not None and given:
        raise StudyError(f"--factors and {given[0]} exclude each other: the file says it all")
    if given and not options:
        raise StudyError(f"{given[0]} says nothing without --factor")
    return factors_from_options(options, design, samples) if options else file


@contextmanager
def interruptible(out: Path | None) -> Iterator[None]:
    """End an interrupted study with one message: what is written, and how to go on.

    Pipes to workers that went away are errors to handle here, not the end of the process that they are for a filter.
    """
    from experiments.monte_carlo import StudyInterrupted

    pipe = getattr(signal, "SIGPIPE", None)
    before = signal.signal(pipe, signal.SIG_IGN) if pipe is not None else None
    try:
        yield
    except StudyInterrupted as interrupted:
        command = resume_command(sys.argv[1:], None if out is not None else interrupted.folder)
        raise UserInterrupt(
            f"{interrupted}\ngo on with: {command}", 128 + interrupted.signal_number
        ) from None
    except KeyboardInterrupt:  # the second Ctrl-C: at once
        command = resume_command(sys.argv[1:], None)
        raise UserInterrupt(f"interrupted at once\ngo on with: {command}") from None
    finally:
        if pipe is not None:
            signal.signal(pipe, before)


def resume_command(arguments: Sequence[str], folder: Path | None) -> str:
    """Command line that goes on with a study that the given arguments began.

    Parameters
    ----------
    arguments
        As the person gave them, without the program's name.
    folder
        The study's, where the person named none.

    >>> resume_command(["study", "my town.toml", "--replications", "50"], Path("studies/a-1"))
    "voltwalk study 'my town.toml' --replications 50 --out studies/a-1 --resume"
    >>> resume_command(["study", "a", "--out", "b", "--resume"], None)
    'voltwalk study a --out b --resume'
    """
    words = ["voltwalk", *arguments]
    if folder is not None:
        words += ["--out", str(folder)]
    return shlex.join(words if "--resume" in arguments else [*words, "--resume"])
