"""Exchange between regions over electrical ties: one small program per step, solved exactly and alone.

Only regions that a tie touches take part; the rest of a site is settled region by region in closed form
(``sim.settlement``), as is each tied region once its flows are known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from sim.contracts import FloatArray, IntArray, Site

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
    """Power lost on each tie, at the receiving end; shape (T,)."""
    return np.abs(flow_kw) * site.tie_loss_fraction


def net_inflow_kw(site: Site, flow_kw: FloatArray) -> FloatArray:
    """Net power over ties into each region, shape (R,); sums to minus the losses."""
    loss_kw = tie_loss_kw(site, flow_kw)
    into = np.zeros(site.n_regions)
    np.add.at(into, site.tie_from_index, np.where(flow_kw < 0.0, -flow_kw - loss_kw, -flow_kw))
    np.add.at(into, site.tie_to_index, np.where(flow_kw > 0.0, flow_kw - loss_kw, flow_kw))
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
    headroom_kw = HEADROOM_KW if headroom_value > 0.0 else 0.0
    program = _Program(site, need, headroom_kw)
    columns = program.fill(headroom_value)
    solution = program.solve()
    if program.overlaps(solution):
        solution = program.solve_one_way()
    by_region = np.zeros((3, site.n_regions))
    for row, name in enumerate(("car_charge_cut", "car_discharge_cut", "headroom")):
        by_region[row, program.tied] = solution[columns[name]]
    forward, back = solution[columns["forward"]], solution[columns["back"]]
    return Exchange(
        flow_kw=forward - back,
        car_charge_cut_kw=by_region[0],
        car_discharge_cut_kw=by_region[1],
        headroom_kw=by_region[2],
    )


class _Program:
    """Columns of the program: each adds to or takes from regions' balances, has a cost and an upper bound."""

    def __init__(self, site: Site, need: Need, headroom_kw: float) -> None:
        self._site, self._need, self._headroom_kw = site, need, headroom_kw
        self.tied: IntArray = np.unique(np.concatenate([site.tie_from_index, site.tie_to_index]))
        self._row = {int(region): row for row, region in enumerate(self.tied)}
        self._matrix: list[FloatArray] = []
        self._cost: list[FloatArray] = []
        self._upper: list[FloatArray] = []
        self._pairs: list[tuple[NDArray[np.intp], NDArray[np.intp]]] = []
        at = self.tied
        demand_kw = np.abs(need.net_kw[at]) + need.renewable_kw[at] + need.car_charge_kw[at]
        limits_kw = np.concatenate([site.import_limit_kw[at], site.export_limit_kw[at]])
        # a bound where there is none: more than this nobody can need, send or sell
        limited_kw = limits_kw[np.isfinite(limits_kw)].sum()
        self._most_kw = 1.0 + 2.0 * float(demand_kw.sum() + limited_kw + headroom_kw * len(at))

    def fill(self, headroom_value: float) -> dict[str, NDArray[np.intp]]:
        """Add all columns; where each kind stands."""
        site, need, at = self._site, self._need, self.tied
        buy, sell = need.buy_price_per_kwh[at], need.sell_price_per_kwh[at]
        phi = need.curtailment_price_per_kwh[at]
        scale = 1.0 + float(max(np.abs(buy).max(), np.abs(sell).max(), phi.max()))
        price = [scale * _STEP_UP**rank for rank in (1, 2, 3, 4)]
        bought = self._add(1.0, buy, site.import_limit_kw[at])
        sold = self._add(-1.0, -sell, site.export_limit_kw[at])
        self._add(-1.0, phi, need.renewable_kw[at])
        columns = {
            "car_charge_cut": self._add(1.0, price[0], need.car_charge_kw[at]),
            "car_discharge_cut": self._add(-1.0, price[0], need.car_discharge_kw[at]),
            "headroom": self._add(-1.0, -headroom_value, np.full(len(at), self._headroom_kw)),
        }
        self._add(1.0, price[1], need.battery_charge_kw[at])
        self._add(-1.0, price[1], need.battery_discharge_kw[at])
        self._add(1.0, price[2], need.load_kw[at])
        self._add(-1.0, price[2], need.turbine_kw[at])
        self._add(1.0, price[3], np.full(len(at), np.inf))
        self._add(-1.0, price[3], np.full(len(at), np.inf))
        columns["forward"] = self._add_ties(site.tie_from_index, site.tie_to_index, scale)
        columns["back"] = self._add_ties(site.tie_to_index, site.tie_from_index, scale)
        self._pairs = [(bought, sold), (columns["forward"], columns["back"])]
        return columns

    def solve(self) -> FloatArray:
        """Least-cost columns; ties may flow both ways and regions buy and sell at once."""
        return self._solve(np.concatenate(self._upper))

    def solve_one_way(self) -> FloatArray:
        """Least-cost columns with each tie flowing one way, each region buying or selling.

        Binaries choose the ways; the flows are then those of the linear program that has these ways only, for
        a solver's binaries are not exactly 0 and 1.
        """
        upper = np.concatenate(self._upper)
        one, other = (np.concatenate(side) for side in zip(*self._pairs, strict=True))
        n, m = len(upper), len(one)
        rows = np.arange(m)
        ways = np.zeros((2 * m, n + m))  # x_one <= U z, x_other <= U (1 - z)
        ways[rows, one], ways[rows, n + rows] = 1.0, -upper[one]
        ways[m + rows, other], ways[m + rows, n + rows] = 1.0, upper[other]
        ceiling = np.concatenate([np.zeros(m), upper[other]])
        solution = self._solve(np.concatenate([upper, np.ones(m)]), LinearConstraint(ways, -np.inf, ceiling))
        is_one = solution[n:] > 0.5
        upper[one] = np.where(is_one, upper[one], 0.0)
        upper[other] = np.where(is_one, 0.0, upper[other])
        return self._solve(upper)

    def _solve(self, upper: FloatArray, ways: LinearConstraint | None = None) -> FloatArray:
        matrix, cost = np.hstack(self._matrix), np.concatenate(self._cost)
        n_binaries = len(upper) - len(cost)
        matrix = np.hstack([matrix, np.zeros((len(matrix), n_binaries))])
        need_kw = self._need.net_kw[self.tied]
        balance = LinearConstraint(matrix, need_kw, need_kw)
        result = milp(
            np.concatenate([cost, np.zeros(n_binaries)]),
            integrality=np.repeat([0, 1], [len(cost), n_binaries]),
            bounds=Bounds(0.0, upper),
            constraints=balance if ways is None else [balance, ways],
            options={"mip_rel_gap": 0.0},
        )
        if not result.success:
            raise ArithmeticError(f"settlement over ties found no solution: {result.message}")
        return np.maximum(np.asarray(result.x, dtype=np.float64), 0.0)

    def overlaps(self, solution: FloatArray) -> bool:
        """Whether some tie flows both ways, or some region imports and exports at once."""
        return any(bool(np.any(np.minimum(solution[a], solution[b]) > OVERLAP_KW)) for a, b in self._pairs)

    def _add(self, sign: float, cost: FloatArray | float, upper: FloatArray) -> NDArray[np.intp]:
        n = len(self.tied)
        return self._append(sign * np.eye(n), np.broadcast_to(np.asarray(cost, dtype=np.float64), n), upper)

    def _add_ties(self, sending: IntArray, receiving: IntArray, scale: float) -> NDArray[np.intp]:
        site, n_ties = self._site, len(sending)
        block = np.zeros((len(self.tied), n_ties))
        for tie in range(n_ties):
            block[self._row[int(sending[tie])], tie] -= 1.0
            block[self._row[int(receiving[tie])], tie] += 1.0 - site.tie_loss_fraction[tie]
        return self._append(block, np.full(n_ties, _FLOW_COST * scale), site.tie_limit_kw)

    def _append(self, block: FloatArray, cost: FloatArray, upper: FloatArray) -> NDArray[np.intp]:
        begin = sum(len(part) for part in self._cost)
        self._matrix.append(block)
        self._cost.append(cost)
        self._upper.append(np.minimum(upper, self._most_kw))
        return np.arange(begin, begin + len(cost))
