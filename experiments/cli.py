"""The command line: ``voltwalk``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from experiments.cli_drivers import drivers
from experiments.cli_experiment import experiment
from experiments.cli_feeder import feeder
from experiments.cli_parts import (
    OutOption,
    RunArgument,
    ScenarioArgument,
    SeedOption,
    SetOption,
    UserInterrupt,
    console,
    names_of,
)
from experiments.cli_study import replay, study
from experiments.preflight import foreign_message, foreign_packages
from experiments.provenance import code_version, version
from sim.errors import VoltwalkError

app = typer.Typer(
    name="voltwalk",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

LOST_INTERRUPT_DELAY_S: Final = 0.02


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"voltwalk {version()} (code {code_version()})")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Electric cars on travel chains, microgrids, and an exact decision every 15 minutes."""


def _interrupt(number: int, _: object) -> None:
    raise UserInterrupt(code=128 + number)


def _send_lost_interrupts_again() -> None:
    """Where an interrupt's exception cannot be raised, send its signal again a moment later.

    In finalisers and in callbacks of compiled libraries Python prints what a signal's handler raises and goes on: the
    signal would be lost, and the command with it run to its end.
    """
    default = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        lost = unraisable.exc_value
        if isinstance(lost, UserInterrupt):
            number = lost.code - 128
        elif isinstance(lost, KeyboardInterrupt):
            number = getattr(lost, "signal_number", signal.SIGINT)
        else:
            default(unraisable)
            return
        again = threading.Timer(LOST_INTERRUPT_DELAY_S, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()

    sys.unraisablehook = hook


def _interrupt_behind(error: BaseException) -> UserInterrupt | None:
    """The interrupt that an error is or comes of: of one in its loading a compiled module makes an ImportError."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, UserInterrupt):
        behind = behind.__cause__ or behind.__context__
    return behind


def _end(told: BaseException, code: int) -> NoReturn:
    for line in str(told).splitlines():
        sys.stderr.write(f"voltwalk: {line}\n")
    sys.exit(code)


def main() -> None:
    """Entry point: mistakes end in plain lines on stderr and exit code 2, Ctrl-C in 130, SIGTERM in 143."""
    _send_lost_interrupts_again()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(
            signal.SIGPIPE, signal.SIG_DFL
        )  # a reader that has seen enough ends us, as it ends any filter
    if found := foreign_packages():
        sys.stderr.write(f"voltwalk: {foreign_message(found)}\n")
        sys.exit(2)
    try:
        app()
    except VoltwalkError as error:
        _end(error, 2)
    except (UserInterrupt, Exception) as error:
        if (interrupted := _interrupt_behind(error)) is None:
            raise
        _end(interrupted, interrupted.code)


@app.command()
def run(
    scenario: ScenarioArgument,
    out: OutOption = None,
    seed: SeedOption = None,
    overrides: SetOption = None,
    policy: Annotated[str | None, typer.Option("--policy", help="Name, or package.module:Class.")] = None,
) -> None:
    """Simulate one scenario; the last line printed is the run's folder."""
    from experiments import running
    from experiments.progress import step_progress
    from experiments.tables import key_figure_table

    with step_progress("simulating") as on_step:
        result = running.run(
            scenario, out=out, overrides=overrides or (), seed=seed, policy=policy, on_step=on_step
        )
    console().print(
        key_figure_table(result.kpis, title=f"{result.scenario['scenario']['name']}: key figures")
    )
    if n_missing := int(result.kpis["no_power_flow_steps"]):
        sys.stderr.write(
            f"voltwalk: in {n_missing} steps no power flow of the feeder exists: they have no losses, and the feeder's "
            "figures are of the others\n"
        )
    typer.echo(result.path)


@app.command()
def compare(
    scenario: ScenarioArgument,
    policies: Annotated[
        str, typer.Option("--policies", help="Comma-separated; differences are to the first.")
    ],
    forecasters: Annotated[
        str | None,
        typer.Option("--forecasters", help="Comma-separated; each policy runs under each of them."),
    ] = None,
    out: OutOption = None,
    seed: SeedOption = None,
    overrides: SetOption = None,
) -> None:
    """Run several policies, under one or several forecasters, on the same travel and weather."""
    from experiments import running
    from experiments.progress import policy_progress
    from experiments.tables import comparison_table

    names, kinds = names_of(policies), None if forecasters is None else names_of(forecasters)
    with policy_progress(running.comparison_names(names, kinds or ())) as on_step:
        result = running.compare(
            scenario,
            names,
            forecasters=kinds,
            out=out,
            overrides=overrides or (),
            seed=seed,
            on_step=on_step,
        )
    console().print(comparison_table(result.table))
    typer.echo(result.path)


app.command()(study)
app.command()(replay)
app.command()(experiment)
app.command()(drivers)
app.command()(feeder)


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the scenario; the file is NAME.toml.")],
    source: Annotated[
        str, typer.Option("--from", metavar="SCENARIO", help="Shipped scenario to copy.")
    ] = "multi-microgrid",
) -> None:
    """Copy a shipped scenario, commented, as a start for one's own."""
    from experiments.shipped import copy_scenario

    typer.echo(copy_scenario(name, source, Path.cwd()))


@app.command()
def validate(scenario: ScenarioArgument, overrides: SetOption = None) -> None:
    """Check a scenario, its series and its itineraries; all faults at once."""
    from experiments.assemble import assemble
    from experiments.running import resolve
    from experiments.shipped import faults
    from sim.errors import ScenarioError

    if found := faults(scenario, overrides or ()):
        raise ScenarioError(found)
    loaded = resolve(scenario, overrides=overrides or ())
    assemble(loaded)
    typer.echo(f"{loaded.scenario.name}: no fault found")


@app.command()
def schema(
    what: Annotated[str, typer.Argument(help="tables, kpis, scenario or study.")] = "tables",
) -> None:
    """Print the data dictionary of a run's folder, of a study's, or the scenario's reference."""
    from experiments.reference import page

    typer.echo(page(what))


@app.command()
def trace(
    run: RunArgument,
    vehicle: Annotated[
        int | None, typer.Argument(metavar="[VEHICLE]", help="vehicle_id; without it, the fleet.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Also draw the car's day to a PNG.")
    ] = None,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print comma-separated values instead of a table.")
    ] = False,
    sort: Annotated[str, typer.Option("--sort", help="Column by which the fleet is sorted.")] = "vehicle_id",
) -> None:
    """One car's day, readable; without VEHICLE the fleet, sortable."""
    from experiments import trace as tracing

    tracing.print_trace(run, vehicle, plot=plot, csv=csv, sort=sort, console=console())


@app.command()
def explain(
    run: RunArgument,
    vehicle: Annotated[int, typer.Argument(metavar="VEHICLE", help="vehicle_id.")],
    time: Annotated[
        str, typer.Argument(metavar="TIME", help="HH:MM, D+HH:MM (day D from 0) or an ISO date and time.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers behind it as JSON.")] = False,
) -> None:
    """Why a car charged, gave back or waited at a time."""
    from experiments import explain as explaining

    explaining.print_explanation(run, vehicle, time, as_json=as_json, console=console())


@app.command()
def audit(run: RunArgument) -> None:
    """Re-derive everything from the folder's tables by other code; exit 1 on any fault."""
    from experiments.audit import audit as audit_run

    findings = audit_run(run)
    for finding in findings:
        typer.echo(str(finding))
    typer.echo(f"{run}: {len(findings)} faults" if findings else f"{run}: no fault found")
    if findings:
        raise typer.Exit(1)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a study's.")],
    png: Annotated[
        Path | None, typer.Option("--png", metavar="DIR", help="Also write a run's figures as PNG files.")
    ] = None,
) -> None:
    """Write report.html of a run, or study.html of a study, again from the tables."""
    from experiments.report import write_figures, write_report

    if (folder / "study.json").is_file():
        from experiments.monte_carlo.report.page import write_report as write_study_report
        from sim.errors import StudyError

        if png is not None:
            raise StudyError(f"{folder}: is a study, and --png is for runs; leave it out")
        typer.echo(write_study_report(folder))
        return
    typer.echo(write_report(folder, folder / "report.html"))
    if png is not None:
        for path in write_figures(folder, png):
            typer.echo(path)


@app.command()
def export(
    run: RunArgument,
    csv: Annotated[
        bool, typer.Option("--csv", help="As comma-separated values (the only format, and the default).")
    ] = True,
    out: OutOption = None,
) -> None:
    """Write the run's tables as CSV files, by default into RUN-csv beside the run."""
    from experiments.export import export_csv

    target = out if out is not None else run.resolve().with_name(run.resolve().name + "-csv")
    for path in export_csv(run, target):
        typer.echo(path)


if __name__ == "__main__":
    main()
