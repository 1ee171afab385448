"""The command of the papers' studies: ``voltwalk experiment``."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Final

import typer

from experiments.cli_parts import OutOption, console
from experiments.cli_study import interruptible
from sim.errors import StudyError
from sim.scenario_messages import did_you_mean

MODULES: Final = {
    "multi-microgrid": "experiments.multi_microgrid.study",
    "charging-station": "experiments.charging_station.study",
    "storage-network": "experiments.storage_network.study",
}
"""Where each experiment is; imported when it is run."""


def experiment(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="multi-microgrid, charging-station or storage-network: the studies of models 1 to 3.",
        ),
    ],
    quick: Annotated[bool, typer.Option("--quick", help="A few small cases, to see that all works.")] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="W", help="Processes, default one per core; 0: this process."),
    ] = None,
    out: OutOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the folder if it exists.")] = False,
) -> None:
    """A paper's study: its tables beside the printed ones, figures, a page; the last line printed is its folder."""
    from experiments.experiment.conduct import conduct
    from experiments.experiment.parts import Hooks
    from experiments.progress import study_progress
    from experiments.tables import frame_table

    if name not in MODULES:
        known = ", ".join(MODULES)
        raise StudyError(f"no experiment is called {name!r} (known: {known}){did_you_mean(name, MODULES)}")
    chosen = import_module(MODULES[name]).experiment(quick=quick)
    target = out if out is not None else Path("experiments-out") / (f"{name}-quick" if quick else name)
    with interruptible(out), study_progress() as on_progress:
        done = conduct(
            chosen,
            target,
            resume=resume,
            workers=workers,
            hooks=Hooks(on_part=lambda part: console(stderr=True).print(part), on_progress=on_progress),
        )
    for table, title in chosen.headlines.items():
        console().print(frame_table(done.tables[table], title=title))
    typer.echo(done.path / "index.html")
    typer.echo(done.path)
    if done.n_audit_findings:
        sys.stderr.write(f"voltwalk: {done.n_audit_findings} kept runs do not pass the audit; see the page\n")
        raise typer.Exit(1)
