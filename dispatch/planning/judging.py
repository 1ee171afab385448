"""A plan for days on a feeder, and what AC power flow says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dispatch.network import MILLI
from dispatch.planning.day import Case
from dispatch.planning.program import Amounts, Layout, Options, States
from sim.arrays import FloatArray, freeze
from sim.feeder.ac import PowerFlow, ac_power_flow
from sim.feeder.model import BASE_KVA

OVERLAP_KW: Final = 1e-5
"""Power charged beside discharging up to which storage goes one way."""
_KEPT_PU: Final = 1e-5
"""A state no farther outside the band, or above a rating, is what rounding of a large program leaves."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """What is decided; T steps of all days one after the other."""

    kwh: FloatArray  # (C,)
    kw: FloatArray  # (C,)
    charge_kw: FloatArray  # (T, C)
    discharge_kw: FloatArray  # (T, C)
    stored_kwh: FloatArray  # (T, C), at each step's end
    curtailed_kw: FloatArray  # (T, N)
    up_kw: FloatArray  # (T, C), reserve held; width 0 without a market
    down_kw: FloatArray  # (T, C)
    hosted_kw: FloatArray  # (T, N), sun of the scale that is a column
    squared_pu: FloatArray  # (T, N), squared voltages that the program believes

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def overlap_kw(self) -> float:
        """Largest power charged beside discharging: above ``OVERLAP_KW`` no storage can do it."""
        return float(np.minimum(self.charge_kw, self.discharge_kw).max(initial=0.0))

    @property
    def is_one_way(self) -> bool:
        """Whether no storage charges beside discharging."""
        return self.overlap_kw <= OVERLAP_KW


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Where AC power flow leaves a limit, at its worst step."""

    what: str  # bus ..., branch ..., export, or no power flow
    day: int
    step: int
    excess: float  # [p.u.] of voltage or rating; kW of export

    @property
    def may_have_price(self) -> bool:
        """Whether ``Options.beyond_price`` can be paid for it."""
        return self.what.startswith(("bus ", "branch "))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """A plan by AC power flow."""

    reached: Amounts
    exchange_kw: FloatArray  # (T,), bought positive
    voltage_pu: FloatArray  # (T, N)
    loading: FloatArray  # (T, M)
    loss_kw: FloatArray  # (T, M)
    violations: tuple[Violation, ...]
    states: States

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def keeps_limits(self) -> bool:
        """Whether no state is outside the band or above a rating by more than 1e-5 p.u., or exports too much."""
        return not self.violations


def plan_of(case: Case, options: Options, layout: Layout, values: FloatArray) -> Plan:
    """Read a plan from a program's columns."""
    clipped = np.maximum(values, 0.0)
    curtailed = np.zeros((case.n_steps, case.network.feeder.n_buses))
    curtailed[:, layout.sunny] = clipped[layout.curtailed]
    hosts = np.zeros((case.days[0].n_steps, curtailed.shape[1]))
    if options.hosts is not None:
        hosts = options.hosts.per_kw * clipped[layout.scale[0]]
    return Plan(
        kwh=clipped[layout.kwh],
        kw=clipped[layout.kw],
        charge_kw=clipped[layout.charge],
        discharge_kw=clipped[layout.discharge],
        stored_kwh=clipped[layout.stored],
        curtailed_kw=curtailed,
        up_kw=clipped[layout.up],
        down_kw=clipped[layout.down],
        hosted_kw=np.tile(hosts, (len(case.days), 1)),
        squared_pu=values[layout.voltage] / MILLI,
    )


def taken_kw(case: Case, plan: Plan) -> FloatArray:
    """Demand of each bus under a plan, (T, N)."""
    sun_kw = case.stacked("pv_kw") - plan.curtailed_kw + plan.hosted_kw
    demand: FloatArray = case.stacked("demand_kw") - sun_kw
    np.add.at(demand.T, case.design.bus, (plan.charge_kw - plan.discharge_kw).T)
    return demand


def judge(case: Case, plan: Plan, options: Options) -> Judged:
    """Put a plan to AC power flow. Where a state does not exist, everything reached is infinite."""
    net, feeder = case.network, case.network.feeder
    demand_kw = taken_kw(case, plan)
    flow = ac_power_flow(feeder, demand_kw, case.stacked("demand_kvar"), source_pu=net.source_pu)
    exchange_kw = demand_kw.sum(axis=1) + flow.loss_kw.sum(axis=1)
    violations = _violations(case, flow, exchange_kw)
    if flow.converged.all():
        reached = _reached(case, plan, options, flow, exchange_kw)
    else:
        reached = Amounts.of(np.full(6, np.inf))
    return Judged(
        reached=reached,
        exchange_kw=exchange_kw,
        voltage_pu=flow.voltage_pu,
        loading=flow.loading,
        loss_kw=flow.loss_kw,
        violations=violations,
        states=_series(case, flow),
    )


def _series(case: Case, flow: PowerFlow) -> States:
    """States in the program's terms: flows at the end of each branch before its charging there."""
    feeder = case.network.feeder
    squared = flow.voltage_pu**2
    half_kvar = feeder.b_pu / 2.0 * BASE_KVA
    parent, child = squared[:, feeder.parent_index], squared[:, feeder.child_index]
    p, q = flow.sent_kw, flow.sent_kvar + half_kvar * parent  # what enters the series impedance
    current = (p**2 + q**2) / parent / BASE_KVA
    arriving_kw, arriving_kvar = p - feeder.r_pu * current, q - feeder.x_pu * current
    return States(
        flow_kw=arriving_kw,
        flow_kvar=arriving_kvar,
        current_kva=(arriving_kw**2 + arriving_kvar**2) / child / BASE_KVA,
        squared_pu=squared,
    )


def _reached(case: Case, plan: Plan, options: Options, flow: PowerFlow, exchange_kw: FloatArray) -> Amounts:
    hours = case.step_weight
    bought, sold = np.maximum(exchange_kw, 0.0), np.maximum(-exchange_kw, 0.0)
    money = float(hours @ (case.stacked("buy_per_kwh") * bought - case.stacked("sell_per_kwh") * sold))
    discharged = float(hours @ plan.discharge_kw.sum(axis=1))
    money += case.storage.wear_price_per_kwh * discharged
    if case.capital is not None:
        money += case.capital.annuities(case.design, plan.kwh, plan.kw)
    if options.reserve is not None:
        n_days = len(case.days)
        for held, price in (
            (plan.up_kw, options.reserve.up_per_kw_h),
            (plan.down_kw, options.reserve.down_per_kw_h),
        ):
            money -= float((hours * np.tile(price, n_days)) @ held.sum(axis=1))
    by_day = exchange_kw.reshape(len(case.days), -1)
    spread = by_day.max(axis=1) - by_day.min(axis=1)
    deviation = np.abs(flow.voltage_pu**2 - 1.0).mean(axis=1) / 2.0
    return Amounts(
        cost=money,
        peak_valley_kw=float(case.weight @ spread / case.weight.sum()),
        loss_kwh=float(hours @ flow.loss_kw.sum(axis=1)),
        voltage_deviation_pu=float(hours @ deviation / hours.sum()),
        wear_kwh=discharged,
        emission_kg=float(hours @ (case.stacked("grid_kg_per_kwh") * bought)),
    )


def _violations(case: Case, flow: PowerFlow, exchange_kw: FloatArray) -> tuple[Violation, ...]:
    net, feeder, each_day = case.network, case.network.feeder, case.days[0].n_steps
    missing = np.flatnonzero(~flow.converged)
    if len(missing):
        step = int(missing[0])
        return (Violation(what="no power flow", day=step // each_day, step=step % each_day, excess=np.inf),)
    outside = np.maximum(net.voltage_min_pu - flow.voltage_pu, flow.voltage_pu - net.voltage_max_pu)
    outside[:, feeder.source_index] = 0.0  # what the source holds no plan can change
    export_limit = np.repeat([day.export_limit_kw for day in case.days], each_day)
    found: list[Violation] = []
    kinds: Sequence[tuple[tuple[str, ...], FloatArray, float]] = (
        (tuple(f"bus {name}" for name in feeder.bus_names), outside, _KEPT_PU),
        (tuple(f"branch {name}" for name in feeder.branch_names), flow.loading - 1.0, _KEPT_PU),
        (("export",), (-exchange_kw - export_limit)[:, np.newaxis], 1e-3),
    )
    for names, excess, kept in kinds:
        worst = excess.argmax(axis=0)
        for place in np.flatnonzero(excess.max(axis=0) > kept):
            day, step = divmod(int(worst[place]), each_day)
            most = float(excess[worst[place], place])
            found.append(Violation(what=names[place], day=day, step=step, excess=most))
    return tuple(found)
