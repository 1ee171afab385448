"""What the commands share: arguments, options, the console, and how an interruption ends a command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

ScenarioArgument = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A path, or the name of a shipped scenario.")
]
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a scenario key.")
]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Root of all chance.")]
OutOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="The folder to make.")]


class UserInterrupt(BaseException):
    """Ctrl-C; not a KeyboardInterrupt, which the command-line library would turn into a word of its own.

    Parameters
    ----------
    text
        What a person reads.
    code
        The command's exit code: 128 and the signal's number, as shells count.
    """

    def __init__(self, text: str = "interrupted; no partial folder was left", code: int = 130) -> None:
        super().__init__(text)
        self.code = code


def console(*, stderr: bool = False) -> Console:
    """Console for tables; where no terminal gives a width, wide enough that nothing is cut."""
    given = Console(stderr=stderr)
    return given if given.is_terminal else Console(width=500, stderr=stderr)


def names_of(text: str) -> list[str]:
    """Names of a comma-separated list.

    >>> names_of("own-cost, rolling,")
    ['own-cost', 'rolling']
    """
    return [name.strip() for name in text.split(",") if name.strip()]
