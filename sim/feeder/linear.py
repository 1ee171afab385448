"""Linear power flow of a radial feeder (LinDistFlow), the form in which programs know the network.

Solves P_m = sum of demand below branch m, Q_m likewise, v_child^2 = v_parent^2 - 2 (r_m P_m + x_m Q_m)
(Baran and Wu 1989, "Optimal capacitor placement on radial distribution systems", Eq. 1 without the terms in
the squared current). Losses are left out, or put in as fixed demand at the parent's end of each branch
(``losses_kw_kvar``, evaluated at a flow): the form stays linear.

Shapes: K states, N buses, M branches. Demand is positive where power is taken from the feeder.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.arrays import FloatArray, freeze
from sim.feeder.model import BASE_KVA, Feeder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearFlow:
    """States of a feeder by the linear power flow."""

    flow_kw: FloatArray  # (K, M), into the child's end of each branch
    flow_kvar: FloatArray  # (K, M)
    voltage_pu: FloatArray  # (K, N)

    def __post_init__(self) -> None:
        freeze(self)


def linear_flow(
    feeder: Feeder,
    demand_kw: FloatArray,
    demand_kvar: FloatArray,
    *,
    source_pu: float,
    loss_kw: FloatArray | None = None,
    loss_kvar: FloatArray | None = None,
) -> LinearFlow:
    """Flows and voltages of given demands.

    Parameters
    ----------
    demand_kw, demand_kvar : ndarray, shape (K, N)
        Taken at each bus; negative where it feeds in.
    source_pu
        Voltage of the source's bus.
    loss_kw, loss_kvar : ndarray, shape (K, M), optional
        Known losses of each branch. A branch feeds the losses of those below it, and its own voltage drop is
        that of the flow at its receiving end plus half its own loss. With the losses of the state itself this
        is the exact power flow, but for the charging of cables, which is that of rated voltage.

    Raises
    ------
    ArithmeticError
        When a squared voltage is not positive: the demands are far beyond what the feeder carries.
    """
    nothing = np.zeros((len(demand_kw), feeder.n_branches))
    loss_kw = nothing if loss_kw is None else loss_kw
    loss_kvar = nothing if loss_kvar is None else loss_kvar
    flow_kw = demand_kw @ feeder.below.T + loss_kw @ feeder.above.T
    flow_kvar = reactive_flow_kvar(feeder, demand_kvar, loss_kvar)
    middle_kw, middle_kvar = flow_kw + loss_kw / 2.0, flow_kvar + loss_kvar / 2.0
    drop = 2.0 * (feeder.r_pu * middle_kw + feeder.x_pu * middle_kvar) / BASE_KVA
    squared = source_pu**2 - drop @ feeder.below
    if not np.all(squared > 0.0):
        worst = int(np.argmin(squared.min(axis=0)))
        raise ArithmeticError(
            f"linear power flow: the squared voltage of bus {feeder.bus_names[worst]} falls to {squared.min():.3g}"
        )
    return LinearFlow(flow_kw=flow_kw, flow_kvar=flow_kvar, voltage_pu=np.sqrt(squared))


def reactive_flow_kvar(feeder: Feeder, demand_kvar: FloatArray, loss_kvar: FloatArray) -> FloatArray:
    """Reactive power that arrives at the end of each branch, (K, M), cables charging at rated voltage."""
    arriving: FloatArray = (demand_kvar - feeder.charging_kvar) @ feeder.below.T + loss_kvar @ feeder.above.T
    return arriving


def losses_kw_kvar(feeder: Feeder, flow: LinearFlow) -> tuple[FloatArray, FloatArray]:
    """Losses of each branch at given flows, (K, M) each: (r, x) (P^2 + Q^2) / v_child^2."""
    apparent_squared = (flow.flow_kw**2 + flow.flow_kvar**2) / BASE_KVA
    per_unit = apparent_squared / flow.voltage_pu[:, feeder.child_index] ** 2
    return feeder.r_pu * per_unit, feeder.x_pu * per_unit
