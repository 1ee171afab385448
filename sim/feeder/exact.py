"""The exact power flow of one state, by giving the linear form its own losses until they stand.

What settlement charges losses by; ``sim.feeder.ac`` judges whole runs by another method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.arrays import FloatArray, freeze
from sim.feeder.linear import linear_flow, losses_kw_kvar
from sim.feeder.model import Network

_TOLERANCE_KW: Final = 1e-10  # change of the sum of all losses from one round to the next
_ROUNDS: Final = 1000  # few, but near the most that a feeder can carry


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExactFlow:
    """A state of a network; shapes (M,)."""

    received_kw: FloatArray  # at the child's end of each branch, away from the source positive
    loss_kw: FloatArray

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def leaving_kw(self) -> FloatArray:
        """Flow as ties tell it: what leaves the sending end, positive where that is the parent's."""
        sent_kw = self.received_kw + self.loss_kw
        leaving_kw: FloatArray = np.where(sent_kw > 0.0, sent_kw, self.received_kw)
        return leaving_kw


def exact_flow(network: Network, demand_kw: FloatArray, demand_kvar: FloatArray) -> ExactFlow | None:
    """Solve the power flow of demands at each bus, shape (N,); none where the feeder cannot carry them.

    Solves the branch flow equations by fixed-point iteration: loss = (r, x) (P^2 + Q^2) / v^2 at the receiving
    end of each branch, fed by all branches above; cables charge by the square of the voltage.
    """
    feeder = network.feeder
    loss_kw = loss_kvar = np.zeros((1, feeder.n_branches))
    charged_kvar = np.zeros(feeder.n_buses)  # beyond that of rated voltage, which the linear form takes
    for _ in range(_ROUNDS):
        try:
            # too much charging makes each round larger than the last until it is no number, which is no voltage either
            with np.errstate(over="ignore", invalid="ignore"):
                flow = linear_flow(
                    feeder,
                    demand_kw[np.newaxis],
                    (demand_kvar - charged_kvar)[np.newaxis],
                    source_pu=network.source_pu,
                    loss_kw=loss_kw,
                    loss_kvar=loss_kvar,
                )
                before = loss_kw
                loss_kw, loss_kvar = losses_kw_kvar(feeder, flow)
                charged_kvar = feeder.charging_kvar * (flow.voltage_pu[0] ** 2 - 1.0)
        except ArithmeticError:
            return None
        if np.abs(loss_kw - before).sum() < _TOLERANCE_KW:
            return ExactFlow(received_kw=flow.flow_kw[0], loss_kw=loss_kw[0])
    return None
