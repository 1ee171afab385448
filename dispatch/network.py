"""The feeder in a decision's program: squared voltages along its branches, their band, and the branches' ratings.

With V the squared voltage in thousandths of a per unit, P what arrives at a branch's end, kappa = 2,000 / base in kVA
(Baran and Wu 1989; ``sim.feeder.linear``):

- drop along a branch from parent p to child c:
      V_c - V_p + kappa r P = -kappa (r loss / 2 + x (Q + loss_q / 2))
- band of a bus, with a price on what lies beyond it:
      min^2 <= V + low - high <= max^2
- rating of a branch, at both of its ends, as bounds of its flow; c is what half a cable gives at that end,
  v = 1 for transformers, and a guard is left of each rating:
      P^2 + (Q + c_c)^2 <= (rating v_c)^2,   (P + loss)^2 + (Q + loss_q - c_p)^2 <= (rating v_p)^2

Reactive power is that of the loads, which no decision moves, and where batteries' or chargers' inverters can give some
theirs, which is decided (``dispatch.reactive``: branches that carry it have a polygon instead of that bound). Losses
are those of the last plan's AC power flow: a plan that is solved again with its own losses until they stand has the
voltages that it says it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from dispatch.reactive import BranchEnds, rating_upper, reach_kvar
from sim.arrays import FloatArray, freeze
from sim.contracts import Site
from sim.feeder.ac import PowerFlow, ac_power_flow
from sim.feeder.linear import reactive_flow_kvar
from sim.feeder.model import BASE_KVA, Feeder, Network

MILLI: Final = 1000.0
KAPPA: Final = 2.0 * MILLI / BASE_KVA
BEYOND_BAND_KW: Final = 10.0
"""A thousandth of a per unit of squared voltage beyond the band weighs like so many kW of load unserved."""
KEPT_PU: Final = 5e-7
"""A plan whose AC power flow lies no farther outside the band, or above a rating, keeps the feeder's limits: half of
what a run counts as within them, so that a plan that comes true is not counted."""

GUARD: Final = 2e-4
"""Share of each rating that rows leave: a plan's losses differ from those that it was solved with, on the shipped
feeder by less than this in most decisions, which then need no second solve, and in hardly any after one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expansion:
    """What a program takes as given of the feeder's state in each step of its horizon."""

    loss_kw: FloatArray  # (K, M)
    loss_kvar: FloatArray  # (K, M), of the series reactance: what cables give stands at their buses
    voltage_pu: FloatArray  # (K, N), for what a line's ampacity is worth, and a cable gives

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkNumbers:
    """The feeder's numbers in one decision's program."""

    load_kvar: FloatArray  # (K, N)
    loss_at_bus_kw: FloatArray  # (K, N), fed from the parent's end of each branch
    drop: FloatArray  # (K, M), right-hand sides, thousandths of squared per unit
    forth_limit_kw: FloatArray  # (K, M), of what arrives at the child
    back_limit_kw: FloatArray  # (K, M), of what leaves it towards the parent
    rating_upper: FloatArray | None = None  # (K, M, sides) of the polygons, where reactive power is decided

    def __post_init__(self) -> None:
        freeze(self)


def lossless(network: Network, n_steps: int) -> Expansion:
    """State from which a run begins: nothing lost, all buses at the source's voltage."""
    nothing = np.zeros((n_steps, network.feeder.n_branches))
    return Expansion(
        loss_kw=nothing,
        loss_kvar=nothing,
        voltage_pu=np.full((n_steps, network.feeder.n_buses), network.source_pu),
    )


def network_numbers(
    network: Network,
    load_kvar: FloatArray,
    expansion: Expansion,
    inverters: Site | None = None,
    charger_room_kvar: FloatArray | None = None,
) -> NetworkNumbers:
    """Numbers of the program around a state.

    Parameters
    ----------
    load_kvar : ndarray, shape (K, N)
        Reactive power taken at each bus by its load.
    inverters
        Site whose inverters' reactive power is decided; none where no decision moves reactive power.
    charger_room_kvar : ndarray, shape (K, N)
        Most that its chargers can take or give; None where theirs is not decided.
    """
    feeder = network.feeder
    loss_kw, loss_kvar = expansion.loss_kw, expansion.loss_kvar
    charged_kvar = feeder.charging_kvar * (expansion.voltage_pu**2 - 1.0)  # beyond that of rated voltage
    arriving_kvar = reactive_flow_kvar(feeder, load_kvar - charged_kvar, loss_kvar)
    middle_kvar = arriving_kvar + loss_kvar / 2.0
    child, parent = _ends(feeder, arriving_kvar, expansion)
    at_bus = np.zeros_like(load_kvar)
    np.add.at(at_bus.T, feeder.parent_index, loss_kw.T)
    arrives_kw, is_sent_kw = child.room_kw, parent.room_kw
    forth_limit_kw = np.maximum(np.minimum(arrives_kw, is_sent_kw - loss_kw), 0.0)
    back_limit_kw = np.minimum(arrives_kw, is_sent_kw + loss_kw)
    sides = None
    if inverters is not None:
        sides = rating_upper(inverters, (child, parent), charger_room_kvar)
        carries = reach_kvar(inverters, charger_room_kvar) > 0.0
        largest_kva = np.maximum(child.rating_kva, parent.rating_kva)
        forth_limit_kw = np.where(carries, largest_kva, forth_limit_kw)
        back_limit_kw = np.where(carries, largest_kva + loss_kw, back_limit_kw)
    return NetworkNumbers(
        load_kvar=load_kvar,
        loss_at_bus_kw=at_bus,
        drop=-KAPPA * (feeder.r_pu * loss_kw / 2.0 + feeder.x_pu * middle_kvar),
        forth_limit_kw=forth_limit_kw,
        back_limit_kw=back_limit_kw,
        rating_upper=sides,
    )


def _ends(feeder: Feeder, arriving_kvar: FloatArray, expansion: Expansion) -> tuple[BranchEnds, BranchEnds]:
    """Both ends of each branch, at the child and at the parent, where half of a cable's charging is its own."""
    rated = feeder.is_transformer
    child_pu, parent_pu = (expansion.voltage_pu[:, bus] for bus in (feeder.child_index, feeder.parent_index))
    half_kvar, held_kva = BASE_KVA * feeder.b_pu / 2.0, (1.0 - GUARD) * feeder.rating_kva
    return (
        BranchEnds(
            rating_kva=held_kva * np.where(rated, 1.0, child_pu),
            known_kvar=arriving_kvar + half_kvar * child_pu**2,
            loss_kw=np.zeros_like(expansion.loss_kw),
        ),
        BranchEnds(
            rating_kva=held_kva * np.where(rated, 1.0, parent_pu),
            known_kvar=arriving_kvar + expansion.loss_kvar - half_kvar * parent_pu**2,
            loss_kw=expansion.loss_kw,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """A plan's states by AC power flow."""

    expansion: Expansion
    beyond: float  # most that a state lies outside the band or above a rating [p.u.]; inf without a state


def judged(network: Network, demand_kw: FloatArray, demand_kvar: FloatArray) -> Judged:
    """Solve the AC power flow of a plan's demands, shape (K, N); states that do not exist keep no losses."""
    states = ac_power_flow(network.feeder, demand_kw, demand_kvar, source_pu=network.source_pu)
    start, exists = lossless(network, len(demand_kw)), states.converged[:, np.newaxis]
    # AC power flow counts what cables give as a loss below zero
    charging_kvar = network.feeder.branch_charging_kvar(states.voltage_pu)
    return Judged(
        expansion=Expansion(
            loss_kw=np.where(exists, states.loss_kw, start.loss_kw),
            loss_kvar=np.where(exists, states.loss_kvar + charging_kvar, start.loss_kvar),
            voltage_pu=np.where(exists, states.voltage_pu, start.voltage_pu),
        ),
        beyond=_beyond(network, states),
    )


def _beyond(network: Network, states: PowerFlow) -> float:
    if not states.converged.all():
        return float("inf")
    low = network.voltage_min_pu - states.voltage_pu
    high = states.voltage_pu - network.voltage_max_pu
    return max(0.0, *(float(part.max(initial=0.0)) for part in (low, high, states.loading - 1.0)))


def shifted(expansion: Expansion, n_steps: int, by: int) -> Expansion:
    """State of the last decision's plan as the next one begins with it: moved on, its last step held."""
    rows = np.minimum(np.arange(n_steps) + by, len(expansion.loss_kw) - 1)
    return Expansion(
        loss_kw=expansion.loss_kw[rows],
        loss_kvar=expansion.loss_kvar[rows],
        voltage_pu=expansion.voltage_pu[rows],
    )
