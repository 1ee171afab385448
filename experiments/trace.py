"""Tables for people of one car's day, and of the whole fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from experiments.car_day import CarDay, car_day, car_table, fleet_table
from experiments.reading import Run, read_run, records
from sim.errors import VoltwalkError

SHOWN: Final = 50
"""Cars of the fleet's table on a terminal; ``--csv`` gives all."""
ROOMY: Final = 100
"""Width of a terminal from which energies are shown at both ends of a row."""
HEADINGS: Final = {
    "vehicle_id": "car",
    "vehicle_class": "class",
    "chain": "chain",
    "trips": "trips",
    "distance_km": "km",
    "charged_kwh": "in kWh",
    "discharged_kwh": "out kWh",
    "bill": "bill",
    "min_soc": "SOC min",
    "end_soc": "SOC end",
    "shortfall_kwh": "short kWh",
    "unmet_kwh": "unmet kWh",
    "late": "late",
}
"""Headings of the fleet's table, short enough for 80 columns."""
SMALLEST_FIRST: Final = ("vehicle_id", "vehicle_class", "chain", "min_soc", "end_soc")


def sorted_fleet(table: pd.DataFrame, sort: str) -> pd.DataFrame:
    """Fleet's table sorted by a column: largest first, but names, ``vehicle_id`` and states of charge.

    A leading ``-`` turns the order round.

    Raises
    ------
    VoltwalkError
        When there is no such column.
    """
    column = sort.removeprefix("-")
    if column not in table.columns:
        raise VoltwalkError(f"--sort {sort}: no such column; there are {', '.join(table.columns)}")
    ascending = (column in SMALLEST_FIRST) != sort.startswith("-")
    return table.sort_values([column, "vehicle_id"], ascending=[ascending, True]).reset_index(drop=True)


def print_trace(
    run: str | Path | Run,
    vehicle: int | None,
    *,
    plot: Path | None = None,
    csv: bool = False,
    sort: str = "vehicle_id",
    console: Console,
) -> None:
    """Print one car's day, or without a vehicle the fleet.

    Parameters
    ----------
    plot
        Also draw the car's day into this PNG file.
    csv
        Comma-separated values instead of a table, every row and nothing else.
    sort
        Column of the fleet's table, see `sorted_fleet`.

    Raises
    ------
    VoltwalkError
        When the folder is not a run, the car or the column does not exist, or a plot of a fleet is asked for.
    """
    opened = read_run(run)
    if vehicle is None:
        if plot is not None:
            raise VoltwalkError("--plot draws one car's day: name a VEHICLE")
        fleet = sorted_fleet(fleet_table(opened), sort)
        _print(console, fleet, _fleet_view(opened, fleet, console.width), csv)
        return
    day = car_day(opened, vehicle)
    table = car_table(day)
    _print(console, table, _car_view(day, table, console.width), csv)
    if plot is not None:
        from experiments.figures import plot_car_day  # noqa: PLC0415 - matplotlib only where a picture is wanted

        picture = plot_car_day(day, plot)
        if not csv:
            console.print(f"picture: {picture}", highlight=False)


def _print(console: Console, frame: pd.DataFrame, view: RenderableType, csv: bool) -> None:
    if csv:
        console.file.write(frame.to_csv(index=False))
    else:
        console.print(view, highlight=False)


def _car_view(day: CarDay, table: pd.DataFrame, width: int) -> RenderableType:
    car, currency = day.vehicle, day.run.currency
    title = (
        f"vehicle {car['vehicle_id']}, {car['vehicle_class']} of {car['battery_kwh']:g} kWh, {car['chain']}, "
        f"home {car['home_region']}"
    )
    view = _simple_table(title, width)
    for heading in ("from", "to", "place"):
        view.add_column(heading, no_wrap=True)
    for heading in ("kW", "kWh", "SOC", "domain", "price", currency):
        view.add_column(heading, justify="right", no_wrap=True)
    for row in records(table.rename(columns={"from": "begin", "to": "end"})):
        parked = row.activity == "parked"
        before = f"{row.energy_start_kwh:.2f} -> " if width >= ROOMY else ""
        view.add_row(
            row.begin,
            row.end,
            row.place + ("" if row.plugged else ", unplugged") if parked else row.activity,
            f"{row.power_kw:+.2f}" if row.power_kw else "",
            f"{before}{row.energy_end_kwh:.2f}",
            f"{100 * row.soc_end:.0f} %",
            f"{row.lower_kwh:.1f}..{row.upper_kwh:.1f}",
            f"{row.buy_price_per_kwh:.3f}" if parked else "",
            f"{row.money:+.3f}" if row.money else "",
        )
    trips = [
        f"{row.begin}  {row.note}" for row in records(table.rename(columns={"from": "begin"})) if row.note
    ]
    return Group(view, *(Text(line) for line in (*trips, "", _car_sums(day, table))))


def _simple_table(title: str, width: int) -> Table:
    """Table without lines, close enough for 80 columns where the terminal is narrow."""
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        collapse_padding=True,
        padding=(0, 1) if width >= ROOMY else 0,
    )


def _car_sums(day: CarDay, table: pd.DataFrame) -> str:
    begun = day.trips["depart_s"].notna()
    first, last = table["energy_start_kwh"].iloc[0], table["energy_end_kwh"].iloc[-1]
    return (
        f"{begun.sum()} trips, {day.trips['distance_km'][begun].sum():.1f} km, "
        f"bill {table['money'].sum():.2f} {day.run.currency}, stored {first:.2f} -> {last:.2f} kWh\n"
        f"energy, SOC and domain [kWh] at each row's end; price in {day.run.currency}/kWh"
    )


def _fleet_view(run: Run, table: pd.DataFrame, width: int) -> RenderableType:
    more = f", the first {SHOWN} of them (--csv: all)" if len(table) > SHOWN else ""
    view = _simple_table(f"{len(table)} cars{more}", width)
    headings = {**HEADINGS, "bill": run.currency}
    if table["vehicle_class"].nunique() < 2:
        del headings["vehicle_class"]
    for name, heading in headings.items():
        view.add_column(
            heading, justify="left" if name in ("vehicle_class", "chain") else "right", overflow="fold"
        )
    for row in table.head(SHOWN).to_dict("records"):
        view.add_row(*(_cell(name, row[name]) for name in headings))
    return Group(view, Text(f"--sort takes {', '.join(table.columns)}"))


def _cell(name: str, value: Any) -> str:
    if isinstance(value, str | int | np.integer):
        return str(value)
    return f"{value:.1f}" if name in ("distance_km", "charged_kwh", "discharged_kwh") else f"{value:.2f}"
