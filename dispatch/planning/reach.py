"""How far flows and voltages can go whatever a plan decides, and what that bounds currents by from above.

The relaxation may pretend more current than a flow has, which burns energy. A current is convex in flow and voltage, so
between the ends of what a flow can be it lies below the chord:
      l V_min <= ((P_lo + P_hi) P - P_lo P_hi + (Q_lo + Q_hi) Q - Q_lo Q_hi) 1,000 / base
Ends come from interval arithmetic on the equations of ``program``: losses at most those of the largest flows at the
lowest voltages, from the leaves to the source, flows at most demand with those losses, and voltages at least what such
flows leave, a few times over. Every plan within hard limits keeps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csc_array

from dispatch.planning.day import Case
from dispatch.planning.program import Layout, Options, States, current_limit, sparse_rows
from sim.arrays import BoolArray, FloatArray, freeze
from sim.feeder.model import BASE_KVA

_ROUNDS: Final = 4
_LEAST_SQUARED: Final = 0.25  # where no hard band says how low voltages may be: half the rated voltage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reach:
    """Ends of what every plan within hard limits keeps; arrays (T, M) but the voltages' (T, N), squared p.u."""

    flow_low: FloatArray
    flow_high: FloatArray
    kvar_low: FloatArray
    kvar_high: FloatArray
    current_high: FloatArray  # kVA
    squared_low: FloatArray

    def __post_init__(self) -> None:
        freeze(self)


def reach(case: Case, options: Options) -> Reach | None:
    """Ends of a case's states; none where the limits are soft."""
    if options.beyond_price is not None:
        return None
    net, feeder, design = case.network, case.network.feeder, case.design
    high_kw = case.stacked("demand_kw").copy()
    low_kw = high_kw - case.stacked("pv_kw")
    np.add.at(high_kw.T, design.bus, design.kw_upper[:, np.newaxis])
    np.add.at(low_kw.T, design.bus, -design.kw_upper[:, np.newaxis])
    if options.hosts is not None:
        low_kw -= options.hosts.most_kw * np.tile(options.hosts.per_kw, (len(case.days), 1))
    kvar = case.stacked("demand_kvar")
    shape = high_kw.shape
    low, high = np.full(shape, net.voltage_min_pu**2), np.full(shape, net.voltage_max_pu**2)
    low = np.maximum(low, _LEAST_SQUARED)
    low[:, feeder.source_index] = high[:, feeder.source_index] = net.source_pu**2
    most_kva = np.broadcast_to(current_limit(feeder), (shape[0], feeder.n_branches))
    flow_low, kvar_low = low_kw @ feeder.below.T, (kvar - feeder.charging_kvar * high) @ feeder.below.T
    depth = int(feeder.feeds.sum(axis=0).max())
    band_low = low.copy()
    for _ in range(_ROUNDS):
        flow_high = high_kw @ feeder.below.T
        kvar_high = lossless_kvar = (kvar - feeder.charging_kvar * low) @ feeder.below.T
        for _ in range(depth):  # losses above depend on those below alone: after so many sweeps they stand
            largest = np.maximum(flow_low**2, flow_high**2) + np.maximum(kvar_low**2, kvar_high**2)
            current_high = np.minimum(largest / low[:, feeder.child_index] / BASE_KVA, most_kva)
            flow_high = high_kw @ feeder.below.T + (feeder.r_pu * current_high) @ feeder.above.T
            kvar_high = lossless_kvar + (feeder.x_pu * current_high) @ feeder.above.T
        drop = 2.0 / BASE_KVA * (feeder.r_pu * flow_high + feeder.x_pu * kvar_high)
        drop += (feeder.r_pu**2 + feeder.x_pu**2) * current_high / BASE_KVA
        low = np.maximum(band_low, net.source_pu**2 - drop @ feeder.below)
        low[:, feeder.source_index] = net.source_pu**2
    return Reach(
        flow_low=flow_low,
        flow_high=flow_high,
        kvar_low=kvar_low,
        kvar_high=kvar_high,
        current_high=current_high,
        squared_low=low,
    )


def chords(case: Case, layout: Layout, ends: Reach, where: BoolArray) -> tuple[csc_array, FloatArray]:
    """Bounds on currents by chords as rows and their upper bounds; ``where`` (T, M) tells which."""
    feeder = case.network.feeder
    step, branch = np.nonzero(where)
    low, high, down, up = (
        part[step, branch] for part in (ends.flow_low, ends.flow_high, ends.kvar_low, ends.kvar_high)
    )
    scale = BASE_KVA * ends.squared_low[step, feeder.child_index[branch]]
    block = sparse_rows(
        layout.n_columns,
        (layout.current[step, branch], np.ones(len(step))),
        (layout.flow[step, branch], -(low + high) / scale),
        (layout.kvar[step, branch], -(down + up) / scale),
    )
    return block, -(low * high + down * up) / scale


def chord_excess(ends: Reach, states: States, squared_low: FloatArray) -> FloatArray:
    """By how much currents lie above their chords [kVA], (T, M)."""
    chord = (ends.flow_low + ends.flow_high) * states.flow_kw - ends.flow_low * ends.flow_high
    chord += (ends.kvar_low + ends.kvar_high) * states.flow_kvar - ends.kvar_low * ends.kvar_high
    return np.asarray(states.current_kva - chord / (BASE_KVA * squared_low))
