"""Curtailment that keeps a feeder's limits, as caps on what PV and wind may feed in.

Settlement curtails by price and by what can be exported; it knows no limits of a feeder. A plan within these limits
may have to curtail more: then that is a set-point of the step.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from dispatch.network import KEPT_PU, judged
from dispatch.plan import Plan, bus_demand_kvar
from dispatch.problem import Problem
from sim.arrays import FloatArray
from sim.contracts import Site
from sim.settlement import Settled, StepTruth, settle

NOTHING_KW: Final = 1e-6


def feed_in_cap_kw(problem: Problem, plan: Plan, step: int) -> FloatArray | None:
    """Most that PV and wind of each region may give in a step of a plan, (R,), inf: all; None where none is capped.

    There are caps where the plan curtails and the step as settlement would balance it, with what the plan foresees,
    leaves the limits. Where it does not, settlement curtails as much as it must, and no more where loads turn out
    larger than foreseen.
    """
    curtailed_kw = plan.curtailed_kw[step]
    is_curtailed = curtailed_kw > NOTHING_KW
    if problem.site.network is None or not is_curtailed.any() or _keeps_limits(problem, plan, step):
        return None
    return np.where(is_curtailed, np.maximum(problem.supply_kw[step] - curtailed_kw, 0.0), np.inf)


def _keeps_limits(problem: Problem, plan: Plan, step: int) -> bool:
    """Whether a step of a plan, curtailed by settlement alone, keeps the feeder's limits by AC power flow."""
    site = problem.site
    assert site.network is not None
    assert problem.network is not None
    truth = StepTruth(
        load_kw=problem.load_kw[step] - problem.network.loss_at_bus_kw[step],  # settlement adds its own
        pv_kw=np.maximum(problem.supply_kw[step], 0.0),
        wind_kw=np.zeros(site.n_regions),
        buy_price_per_kwh=problem.buy_price_per_kwh[step],
        sell_price_per_kwh=problem.sell_price_per_kwh[step],
        curtailment_price_per_kwh=problem.curtailment_price_per_kwh[step],
    )
    settled = _settled(site, truth, problem, plan, step)
    demand_kvar = bus_demand_kvar(problem, plan)[step]
    state = judged(site.network, settled.tie_kw[np.newaxis], demand_kvar[np.newaxis])
    return state.beyond <= KEPT_PU


def _settled(site: Site, truth: StepTruth, problem: Problem, plan: Plan, step: int) -> Settled:
    at = problem.itinerary.region_index[step]
    is_there = at >= 0
    net_kw = (plan.charge_kw[step] - plan.discharge_kw[step])[is_there]
    pools_kw = plan.pool_charge_kw[step] - plan.pool_discharge_kw[step]
    return settle(
        site,
        truth,
        np.bincount(at[is_there], net_kw, site.n_regions) + pools_kw,
        np.zeros(site.n_regions),  # it balances what cars take less what they give
        plan.battery_charge_kw[step] - plan.battery_discharge_kw[step],
        plan.turbine_kw[step],
        plan.battery_kvar[step] if plan.battery_kvar.size else None,
        plan.charger_kvar[step] if plan.charger_kvar.size else None,
    )
