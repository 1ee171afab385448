"""Tables for people of one car's day, and of the whole fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from experiments.car_day import CarDay, car_day, car_table, fleet_table
from experiments.reading import Run, read_run, records
from sim.errors import VoltwalkError

SHOWN: Final = 50
"""Cars of the fleet's table on a terminal; ``--csv`` gives all."""
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
        Comma-separated values instead of a table, every row.
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
        _print(console, fleet, _fleet_view(opened, fleet), csv)
        return
    day = car_day(opened, vehicle)
    table = car_table(day)
    _print(console, table, _car_view(day, table), csv)
    if plot is not None:
        from experiments.figures import plot_car_day  # noqa: PLC0415 - matplotlib only where a picture is wanted

        console.print(f"picture: {plot_car_day(day, plot)}", highlight=False)


def _print(console: Console, frame: pd.DataFrame, view: Table, csv: bool) -> None:
    if csv:
        console.file.write(frame.to_csv(index=False))
    else:
        console.print(view)


def _car_view(day: CarDay, table: pd.DataFrame) -> Table:
    car, currency = day.vehicle, day.run.currency
    title = (
        f"vehicle {car['vehicle_id']}, {car['vehicle_class']} of {car['battery_kwh']:g} kWh, {car['chain']}, "
        f"home {car['home_region']}"
    )
    begun = day.trips["depart_s"].notna()
    caption = (
        f"{begun.sum()} trips, {day.trips['distance_km'][begun].sum():.1f} km, "
        f"bill {table['money'].sum():.2f} {currency}, stored {table['energy_start_kwh'].iloc[0]:.2f} -> "
        f"{table['energy_end_kwh'].iloc[-1]:.2f} kWh. Domain: bounds at the row's end."
    )
    view = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    for heading in ("from", "to", "what", "where"):
        view.add_column(heading, no_wrap=heading in ("from", "to"))
    for heading in ("kW", "kWh", "SOC", "domain kWh", f"{currency}/kWh", currency):
        view.add_column(heading, justify="right", no_wrap=True)
    view.add_column("note")
    for row in records(table):
        parked = row.activity == "parked"
        what = ("plugged" if row.plugged else "parked") if parked else str(row.activity)
        view.add_row(
            row[2], row[3], what, row.place, f"{row.power_kw:+.2f}" if row.power_kw else "",
            f"{row.energy_start_kwh:.2f} -> {row.energy_end_kwh:.2f}", f"{100 * row.soc_end:.0f} %",
            f"{row.lower_kwh:.1f}..{row.upper_kwh:.1f}", f"{row.buy_price_per_kwh:.3f}" if parked else "",
            f"{row.money:+.3f}" if row.money else "", row.note,
        )  # fmt: skip
    return view


def _fleet_view(run: Run, table: pd.DataFrame) -> Table:
    more = f", the first {SHOWN} of {len(table)} (--csv: all)" if len(table) > SHOWN else ""
    view = Table(title=f"{len(table)} cars{more}", title_justify="left")
    formats: dict[str, str] = {
        "distance_km": ".1f",
        "bill": ".3f",
        "min_soc": ".2f",
        "end_soc": ".2f",
        "late": "d",
    }
    for name in table.columns:
        heading = f"bill {run.currency}" if name == "bill" else name
        view.add_column(heading, justify="left" if name in ("vehicle_class", "chain") else "right")
    for row in table.head(SHOWN).to_dict("records"):
        view.add_row(*(_cell(value, formats.get(str(name), ".2f")) for name, value in row.items()))
    return view


def _cell(value: Any, form: str) -> str:
    return str(value) if isinstance(value, str | int | np.integer) else format(value, form)
