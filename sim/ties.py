"""Exchange between regions over electrical ties: one small program per step, solved exactly and alone.

Only regions that a tie touches take part; the rest of a site is settled region by region in closed form
(``sim.settlement``), as is each tied region once its flows are known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np

from sim.arrays import FloatArray, IntArray
from sim.contracts import Site
from sim.small_programs import SmallProgram, solve

OVERLAP_KW: Final = 1e-7  # a flow both ways below this is the solver's rounding
HEADROOM_KW: Final = 1e5  # more than any chargers draw: a cap this far away does not bind
_FLOW_COST: Final = 1e-6  # of the largest price: among equal solutions, the one with the least flow
_STEP_UP: Final = 50.0  # each kind of cut costs this many times the one before it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Need:
    """What is to be balanced in each region, arrays (R,); kW."""

    net_kw: FloatArray  # demand less all supply, nothing curtailed or cut
    renewable_kw: FloatArray  # may be curtailed
    load_kw: FloatArray  # may go unserved
    battery_charge_kw: FloatArray  # may be cut
    battery_discharge_kw: FloatArray  # may be cut
    turbine_kw: FloatArray  # may be cut
    car_charge_kw: FloatArray  # may be cut (0 in settlement: the cars have drawn it already)
    car_discharge_kw: FloatArray  # may be cut
    buy_price_per_kwh: FloatArray
    sell_price_per_kwh: FloatArray
    curtailment_price_per_kwh: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exchange:
    """How the regions balance together; flows (T,), signed as leaving ``tie_from_index``, the rest (R,)."""

    flow_kw: FloatArray
    car_charge_cut_kw: FloatArray
    car_discharge_cut_kw: FloatArray
    headroom_kw: FloatArray  # car charging that could be added in each region, all at once


def tie_loss_kw(site: Site, flow_kw: FloatArray) -> FloatArray:
    """Power lost on each tie, at the receiving end; shape (..., T), that of the flows."""
    return np.abs(flow_kw) * site.tie_loss_fraction


def net_inflow_kw(site: Site, flow_kw: FloatArray) -> FloatArray:
    """Net power over ties into each region, shape (..., R) for flows (..., T); sums to minus the losses."""
    loss_kw = tie_loss_kw(site, flow_kw)
    into = np.zeros((*flow_kw.shape[:-1], site.n_regions))
    np.add.at(into.T, site.tie_from_index, np.where(flow_kw < 0.0, -flow_kw - loss_kw, -flow_kw).T)
    np.add.at(into.T, site.tie_to_index, np.where(flow_kw > 0.0, flow_kw - loss_kw, flow_kw).T)
    return into


def exchange(site: Site, need: Need, *, headroom_value: float = 0.0) -> Exchange:
    """Balance the tied regions at least cost.

    Minimises sum(buy P_buy - sell P_sell + phi P_cur) plus the prices of cuts, which rise steeply from one
    kind to the next: cars, stationary batteries, then load and turbines.

    Parameters
    ----------
    need
        Of the step.
    headroom_value
        Worth of a kW of further car charging that the regions could serve; 0 leaves headroom alone.

    Raises
    ------
    ArithmeticError
        When the solver fails; the program always has a solution.
    """
    layout = _layout(site)
    program = _program(site, layout, need, headroom_value)
    solution = solve(program)
    if layout.overlaps(solution):
        solution = _one_way(layout, program)
    by_region = np.zeros((3, site.n_regions))
    for row, name in enumerate(("car_charge_cut", "car_discharge_cut", "headroom")):
        by_region[row, layout.tied] = solution[layout.at(name)]
    forward, back = solution[layout.at("forward")], solution[layout.at("back")]
    return Exchange(
        flow_kw=forward - back,
        car_charge_cut_kw=by_region[0],
        car_discharge_cut_kw=by_region[1],
        headroom_kw=by_region[2],
    )


KINDS: Final = {
    "bought": 1.0,
    "sold": -1.0,
    "curtailed": -1.0,
    "car_charge_cut": 1.0,
    "car_discharge_cut": -1.0,
    "headroom": -1.0,
    "battery_charge_cut": 1.0,
    "battery_discharge_cut": -1.0,
    "unserved": 1.0,
    "turbine_cut": -1.0,
    "beyond_import": 1.0,
    "beyond_export": -1.0,
}
"""Columns that each tied region has, and their sign in its balance; the ties' columns follow."""
_PAIRS: Final = (("bought", "sold"), ("forward", "back"))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Layout:
    """What a site's programs share: who takes part, where columns stand, and the balance, (regions, columns)."""

    tied: IntArray
    begin: dict[str, int]
    balance: FloatArray

    def at(self, kind: str) -> slice:
        """Columns of one kind."""
        length = (self.balance.shape[1] - self.begin["forward"]) // 2 if kind in _PAIRS[1] else len(self.tied)
        return slice(self.begin[kind], self.begin[kind] + length)

    def overlaps(self, solution: FloatArray) -> bool:
        """Whether some tie flows both ways, or some region imports and exports at once."""
        return any(
            bool(np.any(np.minimum(solution[self.at(a)], solution[self.at(b)]) > OVERLAP_KW))
            for a, b in _PAIRS
        )


@lru_cache(maxsize=8)
def _layout(site: Site) -> _Layout:
    tied = np.unique(np.concatenate([site.tie_from_index, site.tie_to_index]))
    n, n_ties = len(tied), len(site.tie_from_index)
    sending, receiving = (np.searchsorted(tied, index) for index in (site.tie_from_index, site.tie_to_index))
    forward, back = np.zeros((n, n_ties)), np.zeros((n, n_ties))
    ties, arrives = np.arange(n_ties), 1.0 - site.tie_loss_fraction
    forward[sending, ties], forward[receiving, ties] = -1.0, arrives
    back[receiving, ties], back[sending, ties] = -1.0, arrives
    begin = {kind: n * place for place, kind in enumerate(KINDS)}
    begin |= {"forward": n * len(KINDS), "back": n * len(KINDS) + n_ties}
    own = [sign * np.eye(n) for sign in KINDS.values()]
    return _Layout(tied=tied, begin=begin, balance=np.hstack([*own, forward, back]))


def _program(site: Site, layout: _Layout, need: Need, headroom_value: float) -> SmallProgram:
    """Costs and upper bounds of a step; ties may flow both ways and regions buy and sell at once."""
    at, nothing = layout.tied, np.zeros(len(layout.tied))
    headroom_kw = HEADROOM_KW if headroom_value > 0.0 else 0.0
    demand_kw = np.abs(need.net_kw[at]) + need.renewable_kw[at] + need.car_charge_kw[at]
    limits_kw = np.concatenate([site.import_limit_kw[at], site.export_limit_kw[at]])
    # a bound where there is none: more than this nobody can need, send or sell
    limited_kw = limits_kw[np.isfinite(limits_kw)].sum()
    most_kw = 1.0 + 2.0 * float(demand_kw.sum() + limited_kw + headroom_kw * len(at))
    buy, sell = need.buy_price_per_kwh[at], need.sell_price_per_kwh[at]
    phi = need.curtailment_price_per_kwh[at]
    scale = 1.0 + float(max(np.abs(buy).max(), np.abs(sell).max(), phi.max()))
    cars, batteries, others, beyond = (nothing + scale * _STEP_UP**rank for rank in (1, 2, 3, 4))
    columns = {
        "bought": (buy, site.import_limit_kw[at]),
        "sold": (-sell, site.export_limit_kw[at]),
        "curtailed": (phi, need.renewable_kw[at]),
        "car_charge_cut": (cars, need.car_charge_kw[at]),
        "car_discharge_cut": (cars, need.car_discharge_kw[at]),
        "headroom": (nothing - headroom_value, nothing + headroom_kw),
        "battery_charge_cut": (batteries, need.battery_charge_kw[at]),
        "battery_discharge_cut": (batteries, need.battery_discharge_kw[at]),
        "unserved": (others, need.load_kw[at]),
        "turbine_cut": (others, need.turbine_kw[at]),
        "beyond_import": (beyond, nothing + np.inf),
        "beyond_export": (beyond, nothing + np.inf),
    }
    flow = np.full(len(site.tie_limit_kw), _FLOW_COST * scale)
    cost = [columns[kind][0] for kind in KINDS]
    upper = [columns[kind][1] for kind in KINDS]
    return SmallProgram(
        cost=np.concatenate([*cost, flow, flow]),
        upper=np.minimum(np.concatenate([*upper, site.tie_limit_kw, site.tie_limit_kw]), most_kw),
        matrix=layout.balance,
        row_lower=need.net_kw[at],
        row_upper=need.net_kw[at],
    )


def _one_way(layout: _Layout, program: SmallProgram) -> FloatArray:
    """Least-cost columns with each tie flowing one way, each region buying or selling.

    Binaries choose the ways; the flows are then those of the linear program that has these ways only, for
    a solver's binaries are not exactly 0 and 1.
    """
    positions = np.arange(len(program.cost))
    one, other = (
        np.concatenate([positions[layout.at(kind)] for kind in side]) for side in zip(*_PAIRS, strict=True)
    )
    upper, n, m = program.upper.copy(), len(program.cost), len(one)
    rows = np.arange(m)
    ways = np.zeros((2 * m, n + m))  # x_one <= U z, x_other <= U (1 - z)
    ways[rows, one], ways[rows, n + rows] = 1.0, -upper[one]
    ways[m + rows, other], ways[m + rows, n + rows] = 1.0, upper[other]
    balance = np.hstack([program.matrix, np.zeros((len(program.matrix), m))])
    chosen = solve(
        SmallProgram(
            cost=np.append(program.cost, np.zeros(m)),
            upper=np.append(upper, np.ones(m)),
            matrix=np.vstack([balance, ways]),
            row_lower=np.append(program.row_lower, np.full(2 * m, -np.inf)),
            row_upper=np.concatenate([program.row_upper, np.zeros(m), upper[other]]),
            is_integer=np.arange(n + m) >= n,
        )
    )
    is_one = chosen[n:] > 0.5
    upper[one] = np.where(is_one, upper[one], 0.0)
    upper[other] = np.where(is_one, 0.0, upper[other])
    return solve(replace(program, upper=upper))
