"""Which regions a report draws by themselves: all while they are few, else their sum and those with most energy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd

from experiments.palette import LAYERS, LOAD, LOSSES, REGIONS, Layer
from experiments.reading import Run
from sim.arrays import FloatArray
from sim.clock import STEP_H

MAX_REGIONS: Final = 8
"""Regions that are all drawn by themselves."""
FEW: Final = 5
"""Regions whose balance is drawn beside the sum where there are more."""
_ZERO_KW: Final = 1e-6  # a sum over regions that cancels is not exactly 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Power balance of a region, or of all of them."""

    title: str
    layers: tuple[
        tuple[Layer, FloatArray], ...
    ]  # kW by step, never below 0; those that are always 0 left out


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPower:
    """What the cars of a region, or of several, take and give."""

    title: str
    colour: str
    charge_kw: FloatArray  # by step
    discharge_kw: FloatArray


def layer_kw(layer: Layer, grid: pd.DataFrame) -> FloatArray:
    """Power of one layer of the balance in each row, never below 0."""
    return _part(layer, _signed_kw(layer, grid))


def balances(run: Run) -> tuple[list[Balance], str]:
    """Balances to draw, and words on which they are (empty where every region is drawn)."""
    names, grid = run.region_names, run.grid.sort_values("step_start_s", kind="stable")
    own = {str(name): rows for name, rows in grid.groupby("region", sort=False)}
    balance_of = {name: _balance(name, own[name]) for name in names}
    if len(names) <= MAX_REGIONS:
        with_power = [balance_of[name] for name in names if balance_of[name].layers]
        bare = len(names) - len(with_power)
        words = "" if bare == 0 else f"{bare} of {len(names)} regions without any power are left out."
        return with_power or [balance_of[names[0]]], words
    largest = sorted(names, key=lambda name: -_energy_kwh(balance_of[name]))[:FEW]
    words = (
        f"First all {len(names)} regions together, with what is lost between them; "
        f"then the {FEW} that supply or use most energy themselves."
    )
    return [_sum(f"all {len(names)} regions", grid), *(balance_of[name] for name in largest)], words


def fleet_powers(run: Run) -> tuple[list[FleetPower], str]:
    """Cars' power by region, and words on which regions they are (empty where every region is there)."""
    names, colours = run.region_names, region_colours(run)
    grid = run.grid.sort_values("step_start_s", kind="stable")
    own = {str(name): rows for name, rows in grid.groupby("region", sort=False)}
    found = [_fleet(name, colour, own[name]) for name, colour in zip(names, colours, strict=True)]
    if len(names) <= MAX_REGIONS:
        return found, ""
    with_cars = [power for power in found if power.charge_kw.any() or power.discharge_kw.any()]
    words = f"Cars charged in {len(with_cars)} of {len(names)} regions"
    if len(with_cars) <= MAX_REGIONS:
        return with_cars, f"{words}; only these are shown."
    ranked = sorted(with_cars, key=lambda power: -(power.charge_kw.sum() + power.discharge_kw.sum()))
    shown, rest = ranked[: MAX_REGIONS - 1], ranked[MAX_REGIONS - 1 :]
    shown = [replace(power, colour=colour) for power, colour in zip(shown, REGIONS, strict=False)]
    others = FleetPower(
        title=f"{len(rest)} others",
        colour=LOAD,
        charge_kw=np.sum([power.charge_kw for power in rest], axis=0),
        discharge_kw=np.sum([power.discharge_kw for power in rest], axis=0),
    )
    return [
        *shown,
        others,
    ], f"{words}; the {len(shown)} with most energy are shown, and the sum of the others."


def region_colours(run: Run) -> list[str]:
    """Colour of each region; where there are more regions than colours, those that cars visit choose first."""
    names = run.region_names
    order = list(range(len(names)))
    if len(names) > len(REGIONS):
        visited = set(run.segments["region"].dropna())
        order.sort(key=lambda number: names[number] not in visited)
    return [REGIONS[order.index(number) % len(REGIONS)] for number in range(len(names))]


def _balance(title: str, grid: pd.DataFrame) -> Balance:
    powers = ((layer, layer_kw(layer, grid)) for layer in LAYERS)
    return Balance(title=title, layers=tuple((layer, kw) for layer, kw in powers if kw.any()))


def _sum(title: str, grid: pd.DataFrame) -> Balance:
    """Balance of all regions: what they send each other cancels but for what is lost, all else adds up."""
    step_s = grid["step_start_s"].to_numpy(np.int64)
    starts = np.flatnonzero(np.diff(step_s, prepend=-1))
    layers = []
    for layer in LAYERS:
        signed = _signed_kw(layer, grid)
        if layer.group == "ties":
            net = np.add.reduceat(signed, starts)
            kw = _part(layer, np.where(np.abs(net) < _ZERO_KW, 0.0, net))
            words = "gained" if layer.supplies else "lost"
            named = replace(layer, group="losses", name=f"{words} between regions", colour=LOSSES)
        else:
            kw, named = np.add.reduceat(_part(layer, signed), starts), layer
        if kw.any():
            layers.append((named, kw))
    return Balance(title=title, layers=tuple(layers))


def _signed_kw(layer: Layer, grid: pd.DataFrame) -> FloatArray:
    plus = sum(grid[column].to_numpy(np.float64) for column in layer.plus)
    return np.asarray(plus - sum(grid[column].to_numpy(np.float64) for column in layer.minus), np.float64)


def _part(layer: Layer, signed: FloatArray) -> FloatArray:
    part = -signed if layer.part == "negative" else signed
    return np.asarray(np.maximum(part, 0.0), np.float64)


def _energy_kwh(balance: Balance) -> float:
    """What a region supplies itself or uses itself, whichever is more; what only passes through does not count."""
    own = {True: 0.0, False: 0.0}
    for layer, kw in balance.layers:
        if layer.group != "ties":
            own[layer.supplies] += float(kw.sum()) * STEP_H
    return max(own.values())


def _fleet(title: str, colour: str, grid: pd.DataFrame) -> FleetPower:
    charge, discharge = (grid[name].to_numpy(np.float64) for name in ("ev_charge_kw", "ev_discharge_kw"))
    return FleetPower(title=title, colour=colour, charge_kw=charge, discharge_kw=discharge)
