"""The command that brings a feeder from elsewhere: ``voltwalk feeder``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def feeder(
    case: Annotated[
        Path, typer.Argument(metavar="CASE", help="A MATPOWER case (.m), or a pandapower network (.json).")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to make.")],
    leave_out: Annotated[
        bool,
        typer.Option("--leave-out", help="Convert without what a feeder cannot hold, instead of refusing."),
    ] = False,
    transformer_kva: Annotated[
        float | None,
        typer.Option(
            "--transformer-kva",
            metavar="KVA",
            help="Rating of transformers that have none in a MATPOWER case.",
        ),
    ] = None,
) -> None:
    """Convert a network to the tables of a feeder; prints the [feeder] of a scenario."""
    from experiments.feeder_cases.converting import convert
    from sim.errors import ScenarioError

    if transformer_kva is not None and not 0.0 < transformer_kva < float("inf"):
        raise ScenarioError([f"--transformer-kva {transformer_kva:g} is not a number above 0"])
    typer.echo(convert(case, out, leave_out=leave_out, transformer_kva=transformer_kva).text)
