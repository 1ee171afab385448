"""The command that tells what a run means to drivers: ``voltwalk drivers``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from experiments.cli_parts import RunArgument, console


def drivers(
    run: RunArgument,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", metavar="RUN2", help="Another run of the same travel: what each driver gains."
        ),
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Every car, as comma-separated values.")] = False,
) -> None:
    """What each driver pays, gets and wears down, and gains against another policy."""
    from experiments.driver_accounts import driver_accounts, gains
    from experiments.reading import read_run
    from experiments.tables import statistics_table

    opened = read_run(run)
    accounts = driver_accounts(opened)
    compared = gains(opened, against) if against is not None else None
    table = (
        accounts
        if compared is None
        else accounts.merge(compared.cars[["vehicle_id", "gain"]], on="vehicle_id")
    )
    if csv:
        typer.echo(table.to_csv(index=False), nl=False)
        return
    if table.empty:
        typer.echo("the run has no cars")
        return
    numbers = table.drop(columns="vehicle_id").select_dtypes("number")
    summary = numbers.agg(["mean", "min", "median", "max"]).T.rename_axis("per car")
    console().print(statistics_table(summary, title=f"{len(table)} drivers, money in {opened.currency}"))
    if compared is not None:
        typer.echo(
            f"gain against {against}: {compared.mean:,.2f} a driver; worst off is vehicle {compared.worst_vehicle_id} "
            f"with {compared.worst:,.2f}; {compared.losing_share:.0%} lose"
        )
        typer.echo(_no_loser(compared.no_loser_per_kwh, opened.currency))


def _no_loser(per_kwh: float, currency: str) -> str:
    if per_kwh == float("inf"):
        return "no compensation per kWh makes nobody lose: somebody loses who gave nothing back"
    return f"nobody would lose with {per_kwh:.3f} {currency} per kWh given back"
