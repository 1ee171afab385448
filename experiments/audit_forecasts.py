"""Audit of forecasts: whole, and made of nothing but what the forecaster could know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from experiments.audit_findings import Findings, FloatArray, IntArray, differs
from experiments.audit_folder import DAY_S, STEP_S, Folder

_PART = {"load_kw": "load", "pv_kw": "weather", "wind_kw": "weather", "buy_price_per_kwh": "price"}
_REPEATS: dict[str, tuple[str, int | None]] = {
    "persistence": ("the day before", DAY_S),
    "seasonal-naive": ("the week before", 7 * DAY_S),
}


def check_forecasts(folder: Folder, findings: Findings) -> None:
    """Check forecasts against what the forecaster knew: the truth, or the same step of a day or week gone by."""
    rows = folder.forecasts
    output = folder.scenario["output"]
    is_kept = output["forecasts_max_days"] * DAY_S >= folder.end_s
    is_kept &= output["forecasts_max_regions"] >= len(folder.regions)
    if rows.empty and is_kept:
        findings.add("forecasts", "forecasts", "has no rows, though the scenario asks for them")
    if rows.empty or not _check_keys(folder, findings):
        return
    issued, target = (rows[name].to_numpy(np.int64) for name in ("issue_step_s", "target_step_s"))
    columns: dict[str, Any] = {
        "issued_s": issued,
        "target_s": target,
        "region": rows["region"].to_numpy(object),
    }
    where = "{region} at {target_s}, issued at {issued_s}"
    region = folder.region_code(rows["region"])
    names = ["load_kw", "pv_kw", "wind_kw"]
    if folder.scenario["tariff"]["kind"] == "series":
        names.append("buy_price_per_kwh")
    for name in names:
        values = rows[name].to_numpy(np.float64)
        source, period_s = _source(folder, name)
        if period_s is None:
            wrong = ~np.isfinite(values) | ((values < 0.0) & (name != "buy_price_per_kwh"))
            claim = f"{name} is {{value}}"
            findings.rows(wrong, "forecasts", "forecasts", where, claim, value=values, **columns)
            continue
        reference_s = _reference_s(issued, target, period_s)
        inside = (reference_s >= 0) & (reference_s < folder.end_s)
        place = np.where(inside, reference_s // STEP_S, 0) * len(folder.regions) + region
        expected = folder.grid[name].to_numpy(np.float64)[place]
        wrong = inside & differs(values, expected)
        claim = f"{name} is {{value}}, {source} says {{expected}}"
        findings.rows(
            wrong, "forecasts", "forecasts", where, claim, value=values, expected=expected, **columns
        )
        same = _first_of_each(reference_s * len(folder.regions) + region, values)
        claim = f"{name} is {{value}}, another forecast of the same measurement is {{same}}"
        wrong = ~inside & differs(values, same)
        findings.rows(wrong, "forecasts", "forecasts", where, claim, value=values, same=same, **columns)
    _check_known_prices(folder, rows, target, columns, findings)


def _check_keys(folder: Folder, findings: Findings) -> bool:
    """Check that each decision's forecast has one row per step ahead and region."""
    rows, dispatch = folder.forecasts, folder.scenario["dispatch"]
    ahead = np.full(folder.n_steps, dispatch["horizon_steps"])
    if dispatch["window"] == "shrinking":
        ahead = np.minimum(ahead, folder.n_steps - np.arange(folder.n_steps))
    issued = np.repeat(np.arange(folder.n_steps), ahead)
    target = issued + np.arange(len(issued)) - np.repeat(np.cumsum(ahead) - ahead, ahead)
    n_regions = len(folder.regions)
    expected = ((issued * STEP_S, "issue_step_s"), (target * STEP_S, "target_step_s"))
    regions = np.tile(np.arange(n_regions), len(issued))
    whole = len(rows) == len(regions) and np.array_equal(folder.region_code(rows["region"]), regions)
    whole = whole and all(np.array_equal(rows[name], np.repeat(keys, n_regions)) for keys, name in expected)
    if not whole:
        findings.add("forecasts", "forecasts", "not exactly one row for each decision, step ahead and region")
    return whole


def _first_of_each(keys: IntArray, values: FloatArray) -> FloatArray:
    """For each entry, the value of the first entry with the same key.

    >>> _first_of_each(np.array([5, 3, 5]), np.array([1.0, 2.0, 9.0]))
    array([1., 2., 1.])
    """
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return np.asarray(values[first[group]], dtype=np.float64)


def _reference_s(issued_s: IntArray, target_s: IntArray, period_s: int) -> IntArray:
    """Step whose measurement a forecast repeats: itself, or the latest whole periods back that has ended.

    >>> _reference_s(np.array([0, 0]), np.array([0, 86400]), 0), _reference_s(np.array([0]), np.array([900]), 86400)
    (array([    0, 86400]), array([-85500]))
    """
    if period_s == 0:
        return target_s
    periods_back: IntArray = np.maximum(-(-(target_s + STEP_S - issued_s) // period_s), 1)
    latest_s: IntArray = target_s - periods_back * period_s
    return latest_s


def _source(folder: Folder, name: str) -> tuple[str, int | None]:
    """What a column's forecasts repeat, and how many seconds back; none where they were learned."""
    forecast = folder.scenario["forecast"]
    if forecast["kind"] == "perfect" or _PART[name] in forecast["known"]:
        return "the truth", 0
    return _REPEATS.get(forecast["kind"], ("", None))


def _check_known_prices(
    folder: Folder, rows: pd.DataFrame, target_s: IntArray, columns: dict[str, Any], findings: Findings
) -> None:
    """Check forecast prices of a table of hours, which is known in advance."""
    if folder.scenario["tariff"]["kind"] != "periods":
        return
    by_step: FloatArray = folder.by_step("buy_price_per_kwh")[: DAY_S // STEP_S, 0]
    expected = by_step[target_s % DAY_S // STEP_S]
    values = rows["buy_price_per_kwh"].to_numpy(np.float64)
    where = "{region} at {target_s}, issued at {issued_s}"
    claim = "buy price is {value}, the tariff says {expected}"
    wrong = differs(values, expected, 1e-9)
    findings.rows(wrong, "forecasts", "forecasts", where, claim, value=values, expected=expected, **columns)
