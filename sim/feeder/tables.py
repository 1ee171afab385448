"""Columns of ``voltages.parquet`` and ``branches.parquet``: what a run did to its feeder, by AC power flow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from sim.arrays import FloatArray, IntArray
from sim.feeder.ac import PowerFlow, ac_power_flow
from sim.feeder.model import Network
from sim.trace import BRANCHES, VOLTAGES

Columns = dict[str, Any]


def network_columns(
    network: Network | None,
    region_names: tuple[str, ...],
    step_start_s: IntArray,
    demand_kw: FloatArray,
    demand_kvar: FloatArray,
) -> dict[str, Columns]:
    """Columns of both tables by name; without rows where there is no network.

    Parameters
    ----------
    step_start_s : ndarray, shape (K,)
        Beginnings of the steps.
    demand_kw, demand_kvar : ndarray, shape (K, R)
        What each region took from the feeder; that of the source's region does not matter.
    """
    if network is None:
        return {table.name: {column.name: () for column in table.columns} for table in (VOLTAGES, BRANCHES)}
    feeder = network.feeder
    states = ac_power_flow(feeder, demand_kw, demand_kvar, source_pu=network.source_pu)
    names = np.array(region_names, dtype=object)
    n_steps = len(step_start_s)
    voltages = {
        "step_start_s": np.repeat(step_start_s, feeder.n_buses),
        "region": np.tile(names, n_steps),
        "bus": np.tile(np.array(feeder.bus_names, dtype=object), n_steps),
        "voltage_pu": _nullable(states.voltage_pu),
    }
    return {"voltages": voltages, "branches": _branch_columns(network, names, step_start_s, states)}


def _branch_columns(network: Network, names: Any, step_start_s: IntArray, states: PowerFlow) -> Columns:
    feeder, n_steps = network.feeder, len(step_start_s)
    return {
        "step_start_s": np.repeat(step_start_s, feeder.n_branches),
        "branch": np.tile(np.array(feeder.branch_names, dtype=object), n_steps),
        "from_region": np.tile(names[feeder.parent_index], n_steps),
        "to_region": np.tile(names[feeder.child_index], n_steps),
        **{
            name: _nullable(getattr(states, name))
            for name in ("sent_kw", "sent_kvar", "loss_kw", "loss_kvar", "loading")
        },
    }


def _nullable(values: FloatArray) -> pa.Array:
    """Values of all states in rows; null where a state has no power flow."""
    return pa.array(values.reshape(-1), type=pa.float64(), from_pandas=True)
