"""Pictures of a run with matplotlib: one car's day, and the figures of the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments.car_day import CarDay
from experiments.feeder_facts import Band
from experiments.feeder_figures import loading_figure, map_figure, voltage_figure
from experiments.palette import BATTERY, DRIVING, GRID, PRICE, WIND
from experiments.panels import DPI, STYLE, clock_axis, edges_h, held, panels
from experiments.reading import Run, records
from experiments.regions_shown import balances, fleet_powers, region_colours
from experiments.report_feeder import feeder_band, feeder_places
from sim.arrays import FloatArray
from sim.errors import RunFolderError


def plot_car_day(day: CarDay, target: str | Path) -> Path:
    """Draw one car's day: where it was, its energy between its bounds, its power and the price.

    Raises
    ------
    RunFolderError
        When the file cannot be written.
    """
    with mpl.rc_context(STYLE):
        figure, axes = panels(4, heights=(0.35, 2.2, 1.4, 0.8), size=(9.0, 6.5))
        car = day.vehicle
        figure.suptitle(f"vehicle {car['vehicle_id']}, {car['chain']}", x=0.01, ha="left", fontweight="bold")
        _draw_places(axes[0], day)
        _draw_energy(axes[1], day)
        _draw_power(axes[2], axes[3], day)
        _clock_axis(axes[-1], day.run)
        return _save(figure, Path(target))


def write_pngs(run: Run, target: Path) -> list[Path]:
    """Write the report's figures as PNG files into a folder, which is made if need be.

    Raises
    ------
    RunFolderError
        When the folder or a file cannot be written.
    """
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{target}: {error.strerror or error}") from error
    drawings: dict[str, Callable[[Run], Figure]] = {
        "balance.png": _balance,
        "fleet.png": _fleet,
        "domain.png": _domain,
        "decisions.png": _decisions,
    }
    if feeder_band(run) is not None:
        drawings |= {"feeder.png": _map, "voltages.png": _voltages, "loading.png": _loading}
    with mpl.rc_context(STYLE):
        return [_save(draw(run), target / name) for name, draw in drawings.items()]


def _map(run: Run) -> Figure:
    return map_figure(run.voltages, run.branches, _band(run), places=feeder_places(run))


def _voltages(run: Run) -> Figure:
    return voltage_figure(run.voltages, _band(run), start=run.scenario["simulation"]["start"])


def _loading(run: Run) -> Figure:
    return loading_figure(run.voltages, run.branches, start=run.scenario["simulation"]["start"])


def _band(run: Run) -> Band:
    band = feeder_band(run)
    if band is None:
        raise RunFolderError(f"{run.path}: has no feeder")
    return band


def _balance(run: Run) -> Figure:
    drawn, _ = balances(run)
    figure, axes = panels(len(drawn), size=(9.0, 2.4 * len(drawn) + 0.6))
    seen: dict[str, str] = {}
    for axis, balance in zip(axes, drawn, strict=True):
        reach: dict[bool, FloatArray | float] = {True: 0.0, False: 0.0}
        for layer, power in balance.layers:
            below = np.broadcast_to(reach[layer.supplies], power.shape)
            above = below + (power if layer.supplies else -power)
            axis.fill_between(
                edges_h(len(power)), held(below), held(above), step="post", color=layer.colour, linewidth=0
            )
            reach[layer.supplies] = above
            seen[layer.group] = layer.colour
        axis.axhline(0, color="#59636e", linewidth=0.8)
        axis.set_title(balance.title, loc="left")
        axis.set_ylabel("power [kW]")
    handles = [Patch(color=colour, label=group) for group, colour in seen.items()]
    figure.legend(handles=handles, ncols=max(1, len(handles)), loc="upper right", fontsize="small")
    _clock_axis(axes[-1], run)
    return figure


def _fleet(run: Run) -> Figure:
    figure, axes = panels(2, heights=(1.0, 3.0), size=(9.0, 4.5))
    price = (
        run.grid[run.grid["region"] == run.region_names[0]]
        .sort_values("step_start_s")["buy_price_per_kwh"]
        .to_numpy(np.float64)
    )
    hours = edges_h(len(price))
    axes[0].step(hours, held(price), where="post", color=PRICE)
    axes[0].set_ylim(bottom=min(0.0, float(price.min(initial=0.0))))
    reach = {1.0: np.zeros(len(price)), -1.0: np.zeros(len(price))}
    powers, _ = fleet_powers(run)
    for power in powers:
        for sign, kw in ((1.0, power.charge_kw), (-1.0, power.discharge_kw)):
            below = reach[sign]
            above = below + sign * kw
            label = power.title if sign > 0 else None
            axes[1].fill_between(
                hours, held(below), held(above), step="post", color=power.colour, linewidth=0, label=label
            )
            reach[sign] = above
    axes[0].set_ylabel(f"{run.currency}/kWh")
    axes[0].set_title("buying price; power of charging (above) and discharging cars (below)", loc="left")
    axes[1].axhline(0, color="#59636e", linewidth=0.8)
    axes[1].set_ylabel("cars' power [kW]")
    if powers:
        axes[1].legend(ncols=4, fontsize="small")
    _clock_axis(axes[-1], run)
    return figure


def _domain(run: Run) -> Figure:
    figure, axes = panels(2, heights=(1.0, 3.0), size=(9.0, 4.5))
    totals = run.domain.groupby("step_start_s", sort=True)[
        ["n_plugged", "energy_kwh", "lower_kwh", "upper_kwh"]
    ].sum()
    hours = edges_h(len(totals))
    lines = {name: held(totals[name].to_numpy(np.float64)) for name in totals.columns}
    axes[0].step(hours, lines["n_plugged"], where="post", color="#59636e")
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("cars")
    axes[0].set_title("cars plugged in; their energy between the bounds of the domain", loc="left")
    axes[1].fill_between(
        hours, lines["lower_kwh"], lines["upper_kwh"], step="post", color=WIND, alpha=0.25, linewidth=0
    )
    axes[1].step(hours, lines["energy_kwh"], where="post", color=GRID)
    axes[1].set_ylabel("energy [kWh]")
    axes[1].set_ylim(bottom=0)
    _clock_axis(axes[-1], run)
    return figure


def _decisions(run: Run) -> Figure:
    figure, axes = panels(2, size=(9.0, 4.5))
    rows = run.decisions.sort_values("step_start_s")
    hours = rows["step_start_s"].to_numpy(np.float64) / 3600.0
    gaps = np.abs(rows["gap"].to_numpy(np.float64, na_value=np.nan))
    axes[0].plot(hours, 1000.0 * rows["seconds"].to_numpy(np.float64), ".", color=GRID)
    axes[0].set_ylabel("time [ms]")
    axes[0].set_title("each decision's time and relative gap", loc="left")
    known = np.isfinite(gaps)
    axes[1].plot(hours[known], np.maximum(gaps[known], 1e-12), ".", color=PRICE)
    axes[1].set_ylabel("relative gap (0 at $10^{-12}$)")
    if known.any():
        axes[1].set_yscale("log")
    else:
        axes[1].text(0.5, 0.5, "no decision states a gap", transform=axes[1].transAxes, ha="center")
    _clock_axis(axes[-1], run)
    return figure


def _draw_places(axis: Axes, day: CarDay) -> None:
    colours = dict(zip(day.run.region_names, region_colours(day.run), strict=True))
    seen: dict[str, str] = {}
    for row in records(day.segments):
        place = row.region if row.activity == "parked" else row.activity
        colour = colours[place] if row.activity == "parked" else DRIVING
        faint = row.activity == "parked" and not row.plugged
        span = (row.end_s - row.start_s) / 3600.0
        axis.broken_barh(
            [(row.start_s / 3600.0, span)], (0, 1), color=colour, alpha=0.45 if faint else 1.0, linewidth=0
        )
        seen[place] = colour
    handles = [Patch(color=colour, label=place) for place, colour in seen.items()]
    axis.legend(
        handles=handles, ncols=len(handles), loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize="small"
    )
    axis.set_yticks([])
    axis.set_ylabel("place", rotation=0, ha="right", va="center")
    axis.grid(visible=False)


def _draw_energy(axis: Axes, day: CarDay) -> None:
    lower, upper = day.domain.lower, day.domain.upper
    instants_s = np.union1d(lower.at_s, upper.at_s)
    bounds = (lower.at(instants_s), upper.at(instants_s))
    axis.fill_between(instants_s / 3600.0, *bounds, color=WIND, alpha=0.25, linewidth=0, label="domain")
    for line in (lower, upper):
        axis.plot(line.at_s / 3600.0, line.kwh, color=WIND, linewidth=0.8)
    hours, energy = _broken(day, "energy_start_kwh", "energy_end_kwh")
    axis.plot(hours, energy, color=GRID, linewidth=1.6, label="stored")
    axis.set_ylim(0, float(day.vehicle["battery_kwh"]))
    axis.set_ylabel("energy [kWh]")
    axis.legend(ncols=2, loc="lower right", fontsize="small")


def _draw_power(power: Axes, price: Axes, day: CarDay) -> None:
    hours, kw = _broken(day, "power_kw", "power_kw")
    power.fill_between(hours, 0, kw, color=BATTERY, alpha=0.35, linewidth=0)
    power.plot(hours, kw, color=BATTERY, linewidth=1.2)
    power.set_ylabel("power [kW]")
    grid = day.run.grid[day.run.grid["region"] == day.run.region_names[0]].sort_values("step_start_s")
    values = grid["buy_price_per_kwh"].to_numpy(np.float64)
    price.step(edges_h(len(grid)), held(values), where="post", color=PRICE)
    price.set_ylabel(f"{day.run.currency}/kWh")
    price.set_ylim(bottom=min(0.0, float(values.min(initial=0.0))))


def _broken(day: CarDay, first: str, second: str) -> tuple[FloatArray, FloatArray]:
    """Line with both ends of each segment."""
    rows = day.segments
    hours = np.column_stack([rows["start_s"], rows["end_s"]]).ravel() / 3600.0
    return hours, np.column_stack([rows[first], rows[second]]).ravel().astype(np.float64)


def _clock_axis(axis: Axes, run: Run) -> None:
    clock_axis(axis, run.days, run.scenario["simulation"]["start"])


def _save(figure: Figure, target: Path) -> Path:
    try:
        figure.savefig(target, dpi=DPI)
    except OSError as error:
        raise RunFolderError(f"{target}: {error.strerror or error}") from error
    except ValueError as error:  # matplotlib's word for an ending it does not know
        raise RunFolderError(f"{target}: {error}") from error
    return target
