"""Key figures of a run from its tables: costs, the cars' bill, energies, shortages, emissions. All pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from sim.arrays import FloatArray
from sim.clock import DAY_S, STEP_H, STEP_S, STEPS_PER_DAY
from sim.key_figures import KEY_FIGURES
from sim.microgrid import build_turbines
from sim.scenario import Scenario
from sim.trace import OPEN_AT_START, SERVED

WITHIN_PU: Final = 1e-6
"""By which a voltage may lie outside its band, or a loading above 1, and still count as within."""
MET_KWH: Final = 0.1
"""By which a departure may lack what it requires and still counts as served."""

Tables = Mapping[str, pd.DataFrame | pa.Table]
READ: Final = (
    "trips", "segments", "sessions", "queue", "grid", "storage", "voltages", "branches", "decisions",
)  # fmt: skip
"""Tables that key figures are made of."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GridArrays:
    """Columns of ``grid.parquet`` as arrays of shape (n_steps, R), regions in the scenario's order."""

    columns: Mapping[str, FloatArray]

    def __getitem__(self, name: str) -> FloatArray:
        """One column."""
        return self.columns[name]


def key_figures(
    scenario: Scenario,
    tables: Tables,
    *,
    energy_value: float,
    grid_kg_per_kwh: FloatArray | None = None,
    clipped_kwh: float = 0.0,
) -> dict[str, float]:
    """Key figures of a run, in the order and by the names of ``sim.key_figures.KEY_FIGURES``.

    Parameters
    ----------
    scenario
        As resolved.
    tables
        Those of `READ`, as arrow tables or pandas frames.
    energy_value
        lambda: what a kWh stored at the end is worth [currency/kWh].
    grid_kg_per_kwh : ndarray, shape (n_steps,), optional
        Emission factor of imported energy; only where the scenario names a series instead of a number.
    clipped_kwh
        What the simulation cut from set-points outside limits (not in the tables).

    Raises
    ------
    ValueError
        When the emission factor is a series and none is given, or a region lacks a row in a step.
    """
    frames = {name: _frame(tables[name]) for name in READ}
    grid = grid_arrays(frames["grid"], scenario.region_names)
    figures: dict[str, float] = {
        **_costs(grid, frames["storage"], scenario),
        **_energies(grid),
        **_cars(frames["trips"], frames["segments"]),
        **_decisions(frames["decisions"]),
        **_sessions(frames["sessions"], scenario.simulation.days * DAY_S),
        **_queue(frames["queue"]),
        **_feeder(frames["voltages"], frames["branches"], scenario),
        "emissions_kg": emissions_kg(grid, scenario, grid_kg_per_kwh),
        "battery_stored_change_kwh": battery_change_kwh(frames["storage"], scenario),
        "ev_bill_{cur}": ev_bill(frames["segments"], frames["grid"]),
        "lambda_{cur}_per_kwh": energy_value,
        "clipped_kwh": clipped_kwh,
    }
    rate = scenario.fleet.drivers.compensation_per_kwh
    figures["compensation_{cur}"] = rate * figures["ev_discharged_kwh"]
    parts = ("fuel", "operation", "wear", "grid", "demand", "curtailment")
    figures["total_cost_{cur}"] = sum(figures[f"{part}_cost_{{cur}}"] for part in parts)
    ev_change, battery_change = figures["ev_stored_change_kwh"], figures["battery_stored_change_kwh"]
    figures["ev_bill_net_{cur}"] = figures["ev_bill_{cur}"] - energy_value * ev_change
    figures["total_cost_net_{cur}"] = figures["total_cost_{cur}"] - energy_value * (
        ev_change + battery_change
    )
    currency = scenario.scenario.currency
    return {figure.name_in(currency): float(figures[figure.name]) for figure in KEY_FIGURES}


def grid_arrays(grid: pd.DataFrame, region_names: tuple[str, ...]) -> GridArrays:
    """Numeric columns of the grid table as arrays (n_steps, R).

    Raises
    ------
    ValueError
        When a region or step is missing or double.
    """
    code = pd.Categorical(grid["region"], categories=list(region_names)).codes
    step = grid["step_start_s"].to_numpy(np.int64) // STEP_S
    n_regions = len(region_names)
    n_steps = len(grid) // n_regions
    order = np.lexsort((code, step))
    expected = np.repeat(np.arange(n_steps), n_regions) * n_regions + np.tile(np.arange(n_regions), n_steps)
    if len(grid) != n_steps * n_regions or not np.array_equal(
        step[order] * n_regions + code[order], expected
    ):
        raise ValueError("table grid: not every region has exactly one row in every step")
    names = [name for name in grid.columns if name not in ("step_start_s", "region")]
    values = {name: grid[name].to_numpy(np.float64)[order].reshape(n_steps, n_regions) for name in names}
    return GridArrays(columns=values)


def daily_peaks_kw(import_kw: FloatArray) -> FloatArray:
    """Largest import of a step of each day in each region, (days, R), for steps (n_steps, R)."""
    per_day = import_kw.reshape(-1, STEPS_PER_DAY, import_kw.shape[1])
    return np.asarray(per_day.max(axis=1))


def emissions_kg(grid: GridArrays, scenario: Scenario, grid_kg_per_kwh: FloatArray | None = None) -> float:
    """CO2 of imported energy and of turbine fuel [kg].

    Raises
    ------
    ValueError
        When the scenario names a series of factors and none is given.
    """
    stated = scenario.emissions.grid_kg_per_kwh
    factor = grid_kg_per_kwh if grid_kg_per_kwh is not None else stated
    if not isinstance(factor, float | np.ndarray):
        raise ValueError(f"emissions.grid_kg_per_kwh is a series ({stated}): its values must be given")
    imported_kwh = grid["import_kw"].sum(axis=1) * STEP_H
    gas_m3 = float(build_turbines(scenario).gas_m3_per_h(grid["turbine_kw"]).sum()) * STEP_H
    return float((imported_kwh * factor).sum()) + scenario.emissions.gas_kg_per_m3 * gas_m3


def ev_bill(segments: pd.DataFrame, grid: pd.DataFrame) -> float:
    """Bill of all cars, sum of (buy Pc - sell Pd) dt at the car's region, to the second."""
    return float(segment_bills(segments, grid).sum())


def segment_bills(segments: pd.DataFrame, grid: pd.DataFrame) -> FloatArray:
    """Bill of each segment, shape (n_segments,); 0 where no power flows.

    Notes
    -----
    The integral of a price over a segment is a difference of its running integral, which is linear within
    each step: one interpolation per segment end, however many steps a segment spans.
    """
    bills = np.zeros(len(segments))
    power_kw = segments["power_kw"].to_numpy(np.float64)
    region = segments["region"].to_numpy(object)
    for name, rows in grid.groupby("region"):
        ordered = rows.sort_values("step_start_s")
        here = np.flatnonzero((power_kw != 0) & (region == name))
        if here.size == 0:
            continue
        edges_s = np.append(
            ordered["step_start_s"].to_numpy(np.int64), ordered["step_start_s"].iloc[-1] + STEP_S
        )
        start_s = segments["start_s"].to_numpy(np.int64)[here]
        end_s = segments["end_s"].to_numpy(np.int64)[here]
        for column, sign in (("buy_price_per_kwh", 1.0), ("sell_price_per_kwh", -1.0)):
            running = np.append(0.0, np.cumsum(ordered[column].to_numpy(np.float64) * STEP_S))
            price_h = (np.interp(end_s, edges_s, running) - np.interp(start_s, edges_s, running)) / 3600.0
            bills[here] += sign * np.maximum(sign * power_kw[here], 0.0) * price_h
    return bills


def battery_change_kwh(storage: pd.DataFrame, scenario: Scenario) -> float:
    """Energy in stationary batteries at the end less that at the start."""
    units = [battery for region in scenario.regions for battery in region.batteries]
    start_kwh = sum(battery.capacity_kwh * battery.initial_soc for battery in units)
    last = storage[storage["step_start_s"] == storage["step_start_s"].max()]
    return float(last["energy_kwh"].sum()) - start_kwh if units else 0.0


def energy_at_departure_kwh(trips: pd.DataFrame, segments: pd.DataFrame) -> FloatArray:
    """Energy stored at each trip's departure, shape (n_trips,); NaN for trips not begun.

    Notes
    -----
    Trips that follow each other without a stay may share a driving row: the energy of those before in the
    same row is taken off its start.
    """
    result = np.full(len(trips), np.nan)
    begun = np.flatnonzero(trips["depart_s"].notna().to_numpy())
    driving = segments[(segments["activity"] == "driving").to_numpy()]
    if begun.size == 0 or driving.empty:
        return result
    span = int(segments["end_s"].max()) + DAY_S
    row_key = driving["vehicle_id"].to_numpy(np.int64) * span + driving["start_s"].to_numpy(np.int64)
    row_order = np.argsort(row_key)
    depart_s = trips["depart_s"].iloc[begun].to_numpy(np.int64)
    trip_key = trips["vehicle_id"].iloc[begun].to_numpy(np.int64) * span + depart_s
    trip_order = np.argsort(trip_key, kind="stable")
    row = np.searchsorted(row_key[row_order], trip_key[trip_order], side="right") - 1
    spent = (trips["energy_kwh"] - trips["unmet_kwh"]).to_numpy(np.float64)[begun][trip_order]
    before = np.cumsum(spent) - spent
    _, first = np.unique(row, return_index=True)
    before -= np.repeat(before[first], np.diff(np.append(first, len(row))))
    start_kwh = driving["energy_start_kwh"].to_numpy(np.float64)[row_order][row]
    result[begun[trip_order]] = start_kwh - before
    return result


def _frame(table: pd.DataFrame | pa.Table) -> pd.DataFrame:
    if isinstance(table, pd.DataFrame):
        return table
    frame: pd.DataFrame = table.to_pandas(integer_object_nulls=False)
    return frame


def _costs(grid: GridArrays, storage: pd.DataFrame, scenario: Scenario) -> dict[str, float]:
    prices = scenario.economics
    battery_kw = storage["power_kw"].to_numpy(np.float64)
    discharged_kwh = (grid["ev_discharge_kw"].sum() + np.maximum(-battery_kw, 0.0).sum()) * STEP_H
    operation = prices.battery_operation_per_kwh * np.abs(battery_kw).sum()
    operation += prices.turbine_operation_per_kwh * grid["turbine_kw"].sum()
    traded = grid["buy_price_per_kwh"] * grid["import_kw"] - grid["sell_price_per_kwh"] * grid["export_kw"]
    curtailed = grid["curtailment_price_per_kwh"] * (grid["pv_curtailed_kw"] + grid["wind_curtailed_kw"])
    return {
        "fuel_cost_{cur}": build_turbines(scenario).fuel_cost_per_h(grid["turbine_kw"]).sum() * STEP_H,
        "operation_cost_{cur}": operation * STEP_H,
        "wear_cost_{cur}": prices.throughput_price_per_kwh * discharged_kwh,
        "grid_cost_{cur}": traded.sum() * STEP_H,
        "demand_cost_{cur}": prices.demand_price_per_kw_day * daily_peaks_kw(grid["import_kw"]).sum(),
        "curtailment_cost_{cur}": curtailed.sum() * STEP_H,
    }


def _energies(grid: GridArrays) -> dict[str, float]:
    curtailed_kwh = (grid["pv_curtailed_kw"] + grid["wind_curtailed_kw"]).sum() * STEP_H
    total_import_kw = grid["import_kw"].sum(axis=1)
    return {
        "energy_import_kwh": total_import_kw.sum() * STEP_H,
        "energy_export_kwh": grid["export_kw"].sum() * STEP_H,
        "peak_import_kw": total_import_kw.max(initial=0.0),
        "peak_valley_kw": np.ptp(total_import_kw - grid["export_kw"].sum(axis=1)),
        "renewables_used_kwh": (grid["pv_kw"] + grid["wind_kw"]).sum() * STEP_H - curtailed_kwh,
        "curtailed_kwh": curtailed_kwh,
        "ev_charged_kwh": grid["ev_charge_kw"].sum() * STEP_H,
        "ev_discharged_kwh": grid["ev_discharge_kw"].sum() * STEP_H,
        "unserved_kwh": grid["unserved_kw"].sum() * STEP_H,
    }


def _cars(trips: pd.DataFrame, segments: pd.DataFrame) -> dict[str, float]:
    begun = trips["depart_s"].notna().to_numpy()
    depart_s = trips["depart_s"].to_numpy(np.float64, na_value=np.inf)
    declared_s = trips["declared_depart_s"].to_numpy(np.float64, na_value=-np.inf)
    required_kwh = trips["required_kwh"].to_numpy(np.float64)[begun]
    stored_kwh = energy_at_departure_kwh(trips, segments)[begun]
    end_s = segments["end_s"].max() if len(segments) else 0
    first = (segments["start_s"] == 0).to_numpy()
    last = (segments["end_s"] == end_s).to_numpy()
    return {
        "ev_stored_change_kwh": segments["energy_end_kwh"][last].sum()
        - segments["energy_start_kwh"][first].sum(),
        "unmet_kwh": trips["unmet_kwh"].sum(),
        "departure_shortfall_kwh": np.maximum(required_kwh - stored_kwh, 0.0).sum(),
        **_served(required_kwh, stored_kwh),
        "late_departures": (depart_s > trips["planned_depart_s"].to_numpy(np.float64)).sum(),
        "early_departures": (depart_s < declared_s).sum(),
        "trips": begun.sum(),
        "distance_km": trips["distance_km"][begun].sum(),
    }


def _served(required_kwh: FloatArray, stored_kwh: FloatArray) -> dict[str, float]:
    """How departures that require energy were served, and how evenly (Jain, Chiu and Hawe 1984)."""
    asks = required_kwh > 0.0
    if not asks.any():
        return {"departures_met_share": 1.0, "departures_jain": 1.0}
    lacking_kwh = (required_kwh - stored_kwh)[asks]
    return {
        "departures_met_share": (lacking_kwh <= MET_KWH).mean(),
        "departures_jain": jain(np.clip(stored_kwh[asks] / required_kwh[asks], 0.0, 1.0)),
    }


def jain(shares: FloatArray) -> float:
    """Jain's fairness index (sum x)^2 / (n sum x^2): 1 where all are alike, 1/n where one has all.

    >>> jain(np.array([1.0, 0.0, 0.0, 0.0]))
    0.25
    """
    squares = float((shares**2).sum())
    return float(shares.sum()) ** 2 / (len(shares) * squares) if squares > 0.0 else 1.0


def _decisions(decisions: pd.DataFrame) -> dict[str, float]:
    gaps = decisions["gap"].to_numpy(np.float64, na_value=np.nan)
    gaps = gaps[np.isfinite(gaps)]
    return {
        "decisions": len(decisions),
        "fallbacks": decisions["fallback"].sum(),
        "max_gap": gaps.max(initial=0.0),
        "lowered_kwh": decisions["lowered_kwh"].sum(),
    }


def _sessions(sessions: pd.DataFrame, end_s: int) -> dict[str, float]:
    """Counts; of those that come before or after the run none, of those whose arrival cannot be read all."""
    status = sessions["status"].to_numpy(object)
    arrive_s = sessions["arrive_s"].to_numpy(np.float64, na_value=0.0)
    served, open_at_start = status == SERVED, status == OPEN_AT_START
    comes = (arrive_s >= 0) & (arrive_s < end_s)
    return {
        "sessions_served": (served & comes).sum(),
        "sessions_open_at_start": open_at_start.sum(),
        "sessions_dropped": (~served & ~open_at_start & comes).sum(),
    }


def _feeder(voltages: pd.DataFrame, branches: pd.DataFrame, scenario: Scenario) -> dict[str, float]:
    """What the feeder went through; a step without a power flow is a violation, and counts in no other figure."""
    part = scenario.feeder
    if part is None:
        nothing = (
            "feeder_loss_kwh",
            "voltage_violations",
            "loading_max",
            "overloads",
            "network_violation_steps",
            "no_power_flow_steps",
        )
        return {"voltage_min_pu": 1.0, "voltage_max_pu": 1.0, **dict.fromkeys(nothing, 0.0)}
    pu = voltages["voltage_pu"].to_numpy(np.float64, na_value=np.nan)
    loading = branches["loading"].to_numpy(np.float64, na_value=np.nan)
    outside = (pu < part.voltage_min_pu - WITHIN_PU) | (pu > part.voltage_max_pu + WITHIN_PU)
    over = loading > 1.0 + WITHIN_PU
    at_bus_s, at_branch_s = (table["step_start_s"].to_numpy(np.int64) for table in (voltages, branches))
    steps_s = np.concatenate([at_bus_s[outside | np.isnan(pu)], at_branch_s[over]])
    return {
        "feeder_loss_kwh": np.nansum(branches["loss_kw"].to_numpy(np.float64, na_value=np.nan)) * STEP_H,
        "voltage_min_pu": np.nanmin(pu, initial=part.source_pu),
        "voltage_max_pu": np.nanmax(pu, initial=part.source_pu),
        "voltage_violations": outside.sum(),
        "loading_max": np.nanmax(loading, initial=0.0),
        "overloads": over.sum(),
        "network_violation_steps": len(np.unique(steps_s)),
        "no_power_flow_steps": len(np.unique(at_bus_s[np.isnan(pu)])),
    }


def _queue(queue: pd.DataFrame) -> dict[str, float]:
    waited_s = (queue["end_s"] - queue["join_s"]).to_numpy(np.float64)
    outcome = queue["outcome"].to_numpy(object)
    return {
        "queue_h": waited_s.sum() / 3600.0,
        "queued_stops": (outcome != "balked").sum(),
        "unplugged_departures": np.isin(outcome, ["left", "balked"]).sum(),
    }
