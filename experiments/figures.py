"""Pictures of a run with matplotlib: one car's day, and the figures of the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from experiments.car_day import CarDay
from experiments.palette import BATTERY, DRIVING, GRID, LAYERS, PRICE, REGIONS, WIND
from experiments.reading import Run, records
from experiments.report_data import MAX_REGIONS, layer_kw
from sim.arrays import FloatArray
from sim.clock import STEP_S
from sim.errors import RunFolderError

DPI: Final = 150
STYLE: Final[Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#d9dee3",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def plot_car_day(day: CarDay, target: str | Path) -> Path:
    """Draw one car's day: where it was, its energy between its bounds, its power and the price.

    Raises
    ------
    RunFolderError
        When the file cannot be written.
    """
    with mpl.rc_context(STYLE):
        figure, axes = _panels(4, heights=(0.35, 2.2, 1.4, 0.8), size=(9.0, 6.5))
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
    with mpl.rc_context(STYLE):
        return [_save(draw(run), target / name) for name, draw in drawings.items()]


def _balance(run: Run) -> Figure:
    powers = sorted({column for layer in LAYERS for column in layer.plus})
    with_power = (run.grid[powers] != 0.0).any(axis=1).groupby(run.grid["region"]).any()
    names = [name for name in run.region_names if with_power[name]][:MAX_REGIONS] or run.region_names[:1]
    figure, axes = _panels(len(names), size=(9.0, 2.4 * len(names) + 0.6))
    seen: dict[str, str] = {}
    for axis, name in zip(axes, names, strict=True):
        grid = run.grid[run.grid["region"] == name].sort_values("step_start_s")
        reach = {True: np.zeros(len(grid)), False: np.zeros(len(grid))}
        for layer in LAYERS:
            power = layer_kw(layer, grid)
            if not power.any():
                continue
            below = reach[layer.supplies]
            above = below + (power if layer.supplies else -power)
            edges_h = _edges_h(len(grid))
            axis.fill_between(
                edges_h, _held(below), _held(above), step="post", color=layer.colour, linewidth=0
            )
            reach[layer.supplies] = above
            seen[layer.group] = layer.colour
        axis.axhline(0, color="#59636e", linewidth=0.8)
        axis.set_title(name, loc="left")
        axis.set_ylabel("power [kW]")
    handles = [Patch(color=colour, label=group) for group, colour in seen.items()]
    figure.legend(handles=handles, ncols=len(handles), loc="upper right", fontsize="small")
    _clock_axis(axes[-1], run)
    return figure


def _fleet(run: Run) -> Figure:
    figure, axes = _panels(2, heights=(1.0, 3.0), size=(9.0, 4.5))
    reach = {"ev_charge_kw": np.zeros(0), "ev_discharge_kw": np.zeros(0)}
    for i, name in enumerate(run.region_names):
        grid = run.grid[run.grid["region"] == name].sort_values("step_start_s")
        edges_h = _edges_h(len(grid))
        if i == 0:
            price = grid["buy_price_per_kwh"].to_numpy(np.float64)
            axes[0].step(edges_h, _held(price), where="post", color=PRICE)
            axes[0].set_ylim(bottom=min(0.0, float(price.min(initial=0.0))))
        for column, sign in (("ev_charge_kw", 1.0), ("ev_discharge_kw", -1.0)):
            below = reach[column] if i else np.zeros(len(grid))
            above = below + sign * grid[column].to_numpy(np.float64)
            colour, label = REGIONS[i % len(REGIONS)], name if sign > 0 else None
            axes[1].fill_between(
                edges_h, _held(below), _held(above), step="post", color=colour, linewidth=0, label=label
            )
            reach[column] = above
    axes[0].set_ylabel(f"{run.currency}/kWh")
    axes[0].set_title("buying price; power of charging (above) and discharging cars (below)", loc="left")
    axes[1].axhline(0, color="#59636e", linewidth=0.8)
    axes[1].set_ylabel("cars' power [kW]")
    axes[1].legend(ncols=4, fontsize="small")
    _clock_axis(axes[-1], run)
    return figure


def _domain(run: Run) -> Figure:
    figure, axes = _panels(2, heights=(1.0, 3.0), size=(9.0, 4.5))
    totals = run.domain.groupby("step_start_s", sort=True)[
        ["n_plugged", "energy_kwh", "lower_kwh", "upper_kwh"]
    ].sum()
    edges_h = _edges_h(len(totals))
    held = {name: _held(totals[name].to_numpy(np.float64)) for name in totals.columns}
    axes[0].step(edges_h, held["n_plugged"], where="post", color="#59636e")
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("cars")
    axes[0].set_title("cars plugged in; their energy between the bounds of the domain", loc="left")
    axes[1].fill_between(
        edges_h, held["lower_kwh"], held["upper_kwh"], step="post", color=WIND, alpha=0.25, linewidth=0
    )
    axes[1].step(edges_h, held["energy_kwh"], where="post", color=GRID)
    axes[1].set_ylabel("energy [kWh]")
    axes[1].set_ylim(bottom=0)
    _clock_axis(axes[-1], run)
    return figure


def _decisions(run: Run) -> Figure:
    figure, axes = _panels(2, size=(9.0, 4.5))
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
    names = day.run.region_names
    seen: dict[str, str] = {}
    for row in records(day.segments):
        place = row.region if row.activity == "parked" else row.activity
        colour = REGIONS[names.index(place) % len(REGIONS)] if row.activity == "parked" else DRIVING
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
    edges_h, energy = _broken(day, "energy_start_kwh", "energy_end_kwh")
    axis.plot(edges_h, energy, color=GRID, linewidth=1.6, label="stored")
    axis.set_ylim(0, float(day.vehicle["battery_kwh"]))
    axis.set_ylabel("energy [kWh]")
    axis.legend(ncols=2, loc="lower right", fontsize="small")


def _draw_power(power: Axes, price: Axes, day: CarDay) -> None:
    edges_h, kw = _broken(day, "power_kw", "power_kw")
    power.fill_between(edges_h, 0, kw, color=BATTERY, alpha=0.35, linewidth=0)
    power.plot(edges_h, kw, color=BATTERY, linewidth=1.2)
    power.set_ylabel("power [kW]")
    grid = day.run.grid[day.run.grid["region"] == day.run.region_names[0]].sort_values("step_start_s")
    values = grid["buy_price_per_kwh"].to_numpy(np.float64)
    price.step(_edges_h(len(grid)), _held(values), where="post", color=PRICE)
    price.set_ylabel(f"{day.run.currency}/kWh")
    price.set_ylim(bottom=min(0.0, float(values.min(initial=0.0))))


def _broken(day: CarDay, first: str, second: str) -> tuple[FloatArray, FloatArray]:
    """Line with both ends of each segment."""
    rows = day.segments
    hours = np.column_stack([rows["start_s"], rows["end_s"]]).ravel() / 3600.0
    return hours, np.column_stack([rows[first], rows[second]]).ravel().astype(np.float64)


def _edges_h(n_steps: int) -> FloatArray:
    return np.arange(n_steps + 1, dtype=np.float64) * (STEP_S / 3600.0)


def _held(values: FloatArray) -> FloatArray:
    """Values with the last one repeated, for a line of steps that reaches the end."""
    return np.append(values, values[-1:])


def _panels(
    n: int, *, size: tuple[float, float], heights: tuple[float, ...] | None = None
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(n, 1, sharex=True, squeeze=False, height_ratios=heights)
    return figure, list(axes[:, 0])


def _clock_axis(axis: Axes, run: Run) -> None:
    days = run.days
    axis.set_xlim(0, 24 * days)
    axis.xaxis.set_major_locator(
        MultipleLocator(2 if days == 1 else 12 if days <= 4 else 24 * -(-days // 14))
    )
    axis.xaxis.set_major_formatter(FuncFormatter(lambda hour, _: _clock(hour, days)))
    axis.set_xlabel(f"clock hour from {run.scenario['simulation']['start']}")


def _clock(hour: float, days: int) -> str:
    """Clock label; over several days with the day's number.

    >>> _clock(8.0, 1), _clock(32.0, 2)
    ('08:00', '1+08:00')
    """
    text = f"{int(hour) % 24:02d}:00"
    return text if days == 1 else f"{int(hour) // 24}+{text}"


def _save(figure: Figure, target: Path) -> Path:
    try:
        figure.savefig(target, dpi=DPI)
    except OSError as error:
        raise RunFolderError(f"{target}: {error.strerror or error}") from error
    except ValueError as error:  # matplotlib's word for an ending it does not know
        raise RunFolderError(f"{target}: {error}") from error
    return target
