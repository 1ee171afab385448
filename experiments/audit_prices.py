"""Audit of prices: the scenario's tariff read again, by the table of hours, the schedule or the series."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from experiments.audit_findings import Findings, FloatArray, differs
from experiments.audit_folder import Folder
from experiments.audit_grid import Grid
from experiments.audit_series import data_file, step_values

PRICE = 1e-9
"""Two prices are the same within this, in currency per kWh."""
STEPS = 96


def check_prices(grid: Grid) -> None:
    """Compare each step's prices with the tariff; prices are the same in all regions.

    Of a price series that is not read again, only what follows from the buying price is checked; where its file is not
    there, that is a finding.
    """
    folder = grid.folder
    tariff = folder.scenario["tariff"]
    kind = tariff["kind"]
    if kind == "series":
        _check_series(grid, tariff)
        return
    days = [
        folder.scenario["simulation"]["start"] + timedelta(days=d) for d in range(folder.n_steps // STEPS)
    ]
    if kind == "periods":
        table = np.tile(_period_day(tariff), (len(days), 1))
    else:
        schedule = read_schedule(tariff["file"], grid.findings)
        if schedule is None:
            return
        buy = np.concatenate([_schedule_day(schedule, day) for day in days])
        phi = np.full(len(buy), tariff["curtailment_per_kwh"])
        table = np.column_stack([buy, tariff["sell_fraction"] * buy, phi])
    for column, expected in zip(("buy", "sell", "curtailment"), table.T, strict=True):
        values = grid[f"{column}_price_per_kwh"]
        by_row = np.repeat(expected, len(folder.regions))
        claim = f"{column} price is {{value}}, the tariff says {{expected}}"
        grid.note(differs(values, by_row, PRICE), "price", claim, value=values, expected=by_row)


def energy_value_per_kwh(folder: Folder, findings: Findings) -> float:
    """Value lambda of a stored kWh: as stated, or max(0, lowest buying price) / mean charge efficiency."""
    stated = folder.scenario["economics"]["energy_value_per_kwh"]
    if stated != "auto":
        return float(stated)
    tariff = folder.scenario["tariff"]
    if tariff["kind"] == "periods":
        lowest = min(float(period["buy_per_kwh"]) for period in tariff["periods"])
    else:
        schedule = read_schedule(tariff["file"], findings) or []
        lowest = min((min(entry["tariffs"]) for entry in schedule), default=float("nan"))
    classes = folder.scenario["fleet"]["classes"]
    shares = sum(one["share"] for one in classes)
    efficiency = sum(one["share"] * one["charge_efficiency"] for one in classes) / shares
    return float(max(0.0, lowest) / efficiency)


def read_schedule(name: str, findings: Findings) -> list[dict[str, Any]] | None:
    """Entries of a published schedule."""
    try:
        path = data_file(name) or Path(name)
        entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["schedule"]
    except (OSError, ValueError, KeyError) as error:
        findings.add("price", "grid", f"the tariff's schedule {name} cannot be read: {error}")
        return None
    return entries


def _period_day(tariff: dict[str, Any]) -> FloatArray:
    """Buying, selling and curtailment price of each step of a day, shape (96, 3)."""
    day = np.full((STEPS, 3), np.nan)
    for period in tariff["periods"]:
        prices = [period[f"{what}_per_kwh"] for what in ("buy", "sell", "curtailment")]
        for begin, end in period["hours"]:
            day[round(4 * begin) : round(4 * end)] = prices
    return day


def _schedule_day(entries: list[dict[str, Any]], day: date) -> FloatArray:
    """Buying price of each step of a day, shape (96,); not a number where no entry holds."""
    prices = np.full(STEPS, np.nan)
    today = (day.month, day.day)
    for entry in entries:
        first, last = (
            tuple(int(x) for x in entry[f"effective_{end}"].split("-")) for end in ("start", "end")
        )
        in_season = first <= today <= last if first <= last else (today >= first or today <= last)
        weekend = day.weekday() >= 5
        if not in_season or {"ALL": False, "WEEKDAYS": weekend, "WEEKENDS": not weekend}[entry["dow_mask"]]:
            continue
        hours = np.arange(STEPS) / 4
        prices = np.array(entry["tariffs"])[np.searchsorted(entry["times"], hours, side="right") - 1]
    return np.asarray(prices, dtype=np.float64)


def _check_series(grid: Grid, tariff: dict[str, Any]) -> None:
    folder = grid.folder
    values = grid["buy_price_per_kwh"]
    if data_file(tariff["series"]["file"]) is None:
        claim = f"cannot be checked: {tariff['series']['file']}, the tariff's series, is not there"
        grid.findings.add("price", "grid", claim)
    series = step_values(folder, tariff["series"])
    if series is None:  # at least the regions must agree
        buy = np.repeat(folder.by_step("buy_price_per_kwh")[:, 0], len(folder.regions))
    else:
        scale = 1000.0 if tariff["per_mwh"] else 1.0
        buy = np.repeat(series / scale + tariff["buy_adder_per_kwh"], len(folder.regions))
    sell = tariff["sell_fraction"] * (buy - tariff["buy_adder_per_kwh"])
    phi = np.full(len(values), float(tariff["curtailment_per_kwh"]))
    for column, expected in (("buy", buy), ("sell", sell), ("curtailment", phi)):
        values = grid[f"{column}_price_per_kwh"]
        claim = f"{column} price is {{value}}, the tariff says {{expected}}"
        grid.note(differs(values, expected, PRICE), "price", claim, value=values, expected=expected)
