"""AC power flow of a radial feeder in batch: what a plan's linear rows are judged by.

Solved by power-grid-model (Newton-Raphson) in per unit; every state is a balanced, symmetric one with constant
power demands. The source is stiff: its bus holds its voltage whatever is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from power_grid_model import (
    ComponentType,
    DatasetType,
    LoadGenType,
    PowerGridModel,
    initialize_array,
)

from sim.arrays import BoolArray, FloatArray, freeze
from sim.feeder.model import BASE_KVA, Feeder

_STIFF_VA: Final = 1e25  # short-circuit power of the source: its own drop is below the solver's tolerance
_UNIT_V: Final = 1000.0  # rated voltage of every bus of the per-unit network
_UNIT_OHM: Final = _UNIT_V**2 / (BASE_KVA * 1e3)
_HZ: Final = 50.0  # cancels: susceptances are handed over as capacitances at this frequency
_TOLERANCE_PU: Final = 1e-10
_STATES_AT_ONCE: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PowerFlow:
    """States of a feeder by AC power flow; rows of states that did not converge are NaN."""

    converged: BoolArray  # (K,)
    voltage_pu: FloatArray  # (K, N)
    sent_kw: FloatArray  # (K, M), into each branch at its parent's end
    sent_kvar: FloatArray  # (K, M)
    loss_kw: FloatArray  # (K, M)
    loss_kvar: FloatArray  # (K, M)
    loading: FloatArray  # (K, M), share of the rating at the busier end; 0 where there is no rating

    def __post_init__(self) -> None:
        freeze(self)


def ac_power_flow(
    feeder: Feeder, demand_kw: FloatArray, demand_kvar: FloatArray, *, source_pu: float
) -> PowerFlow:
    """Solve the AC power flow of K states.

    Parameters
    ----------
    demand_kw, demand_kvar : ndarray, shape (K, N)
        Taken at each bus, whatever its voltage; negative where it feeds in.
    source_pu
        Voltage of the source's bus.

    Raises
    ------
    ValueError
        When the demands are not finite or of another shape.
    """
    demand_kw, demand_kvar = np.asarray(demand_kw, np.float64), np.asarray(demand_kvar, np.float64)
    expected = (len(demand_kw), feeder.n_buses)
    if demand_kw.shape != expected or demand_kvar.shape != expected:
        raise ValueError(f"demands are {demand_kw.shape} and {demand_kvar.shape}, not (K, {feeder.n_buses})")
    if not (np.isfinite(demand_kw).all() and np.isfinite(demand_kvar).all()):
        raise ValueError("demands must be finite numbers")
    model = PowerGridModel(_network(feeder, source_pu), system_frequency=_HZ)
    parts = [
        _solve(
            feeder,
            model,
            demand_kw[first : first + _STATES_AT_ONCE],
            demand_kvar[first : first + _STATES_AT_ONCE],
        )
        for first in range(0, max(len(demand_kw), 1), _STATES_AT_ONCE)
    ]
    return PowerFlow(
        **{
            item.name: np.concatenate([getattr(part, item.name) for part in parts])
            for item in fields(PowerFlow)
        }
    )


def _network(feeder: Feeder, source_pu: float) -> dict[Any, Any]:
    """The feeder in per unit: nodes 0 to N - 1, then loads of the same order, lines, and the source."""
    n, m = feeder.n_buses, feeder.n_branches
    node = initialize_array(DatasetType.input, ComponentType.node, n)
    node["id"], node["u_rated"] = np.arange(n), _UNIT_V
    load = initialize_array(DatasetType.input, ComponentType.sym_load, n)
    load["id"], load["node"], load["status"] = n + np.arange(n), np.arange(n), 1
    load["type"] = LoadGenType.const_power
    load["p_specified"], load["q_specified"] = 0.0, 0.0
    line = initialize_array(DatasetType.input, ComponentType.line, m)
    line["id"] = 2 * n + np.arange(m)
    line["from_node"], line["to_node"] = feeder.parent_index, feeder.child_index
    line["from_status"], line["to_status"] = 1, 1
    line["r1"], line["x1"] = feeder.r_pu * _UNIT_OHM, feeder.x_pu * _UNIT_OHM
    line["c1"], line["tan1"] = feeder.b_pu / _UNIT_OHM / (2.0 * np.pi * _HZ), 0.0
    source = initialize_array(DatasetType.input, ComponentType.source, 1)
    source["id"], source["node"], source["status"] = 2 * n + m, feeder.source_index, 1
    source["u_ref"], source["sk"] = source_pu, _STIFF_VA
    return {
        ComponentType.node: node,
        ComponentType.sym_load: load,
        ComponentType.line: line,
        ComponentType.source: source,
    }


def _solve(
    feeder: Feeder, model: PowerGridModel, demand_kw: FloatArray, demand_kvar: FloatArray
) -> PowerFlow:
    n_states, n = demand_kw.shape
    if n_states == 0:
        return _columns(feeder, np.ones((0, n)), np.zeros((4, 0, feeder.n_branches)), np.zeros(0, np.bool_))
    update = initialize_array(DatasetType.update, ComponentType.sym_load, (n_states, n))
    update["id"] = n + np.arange(n)
    update["p_specified"], update["q_specified"] = demand_kw * 1e3, demand_kvar * 1e3
    output = model.calculate_power_flow(
        update_data={ComponentType.sym_load: update},
        error_tolerance=_TOLERANCE_PU,
        output_component_types={
            ComponentType.node: {"u_pu"},
            ComponentType.line: {"p_from", "q_from", "p_to", "q_to"},
        },
        continue_on_batch_error=True,
    )
    failed = np.zeros(n_states, dtype=np.bool_)
    if model.batch_error is not None:
        failed[model.batch_error.failed_scenarios] = True
    lines = output[ComponentType.line]
    ends = np.stack([lines[name] / 1e3 for name in ("p_from", "q_from", "p_to", "q_to")])
    return _columns(feeder, output[ComponentType.node]["u_pu"], ends, ~failed)


def _columns(feeder: Feeder, voltage_pu: FloatArray, ends: FloatArray, converged: BoolArray) -> PowerFlow:
    """What a batch says; ``ends`` is sent and received P and Q, (4, K, M), positive into the branch."""
    voltage_pu = np.where(converged[:, np.newaxis], voltage_pu, np.nan)
    sent_kw, sent_kvar, back_kw, back_kvar = np.where(converged[:, np.newaxis], ends, np.nan)
    # a line's current is what its ampacity bounds: at rated voltage it is S, elsewhere S / v
    at_rated = feeder.is_transformer
    parent_pu = np.where(at_rated, 1.0, voltage_pu[:, feeder.parent_index])
    child_pu = np.where(at_rated, 1.0, voltage_pu[:, feeder.child_index])
    busier_kva = np.maximum(np.hypot(sent_kw, sent_kvar) / parent_pu, np.hypot(back_kw, back_kvar) / child_pu)
    return PowerFlow(
        converged=converged,
        voltage_pu=voltage_pu,
        sent_kw=sent_kw,
        sent_kvar=sent_kvar,
        loss_kw=sent_kw + back_kw,
        loss_kvar=sent_kvar + back_kvar,
        loading=busier_kva / feeder.rating_kva,
    )
