"""How much sun a feeder takes before a limit is left, with storage idle and with storage free."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dispatch.planning.checks import NOT_NEGATIVE, POSITIVE, check, check_shape
from dispatch.planning.day import Case
from dispatch.planning.judging import Judged, Plan, judge
from dispatch.planning.planner import LimitsError, Planner, UnsolvedError
from dispatch.planning.program import Amounts, Hosts, Options
from sim.arrays import FloatArray

_TIGHTENED: Final = 4
_BISECTED: Final = 50
_SHARES: Final = (0.999, 0.995, 0.99, 0.98, 0.95, 0.9)
_WITHIN_KW: Final = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class Hosted:
    """Sun in all that keeps the limits on every day by AC power flow, and more than which cannot be."""

    kw: float
    bound_kw: float  # of the relaxation; where it is the most asked about, it says nothing
    plan: Plan
    judged: Judged


def hosting(
    case: Case, share: FloatArray, profile: FloatArray, *, most_kw: float, is_idle: bool = False
) -> Hosted:
    """Largest sun at given buses in given proportions without curtailment of any sun.

    The relaxation tells a size that cannot be exceeded; flows that go no farther make its chords tighter, so that it is
    asked again a few times. Its plan, with currents held to their expansion, is put to AC power flow; where a limit is
    left all the same, the size is bisected down with the schedule as it is; where that schedule makes room for sun that
    is not there, or by charging beside discharging, it is planned again for a little less of it, and at last storage
    stands still.

    Parameters
    ----------
    share : ndarray, shape (N,)
        Proportions of the buses.
    profile : ndarray, shape (K,)
        Mean power in each step of 1 kW.
    most_kw
        Up to which it is asked.
    is_idle
        Whether storage stands still.

    Raises
    ------
    ValueError
        When proportions or profile are not of the case, negative, or nothing but zeros.
    LimitsError
        When the limits cannot be kept even without further sun.
    UnsolvedError
        When no schedule is found that keeps them; with another one they might be kept.
    """
    for name, values, n in (
        ("share", share, case.network.feeder.n_buses),
        ("profile", profile, case.days[0].n_steps),
    ):
        check_shape(f"hosting: {name}", values, (n,), "the case")
        check(f"hosting: {name}", values, NOT_NEGATIVE)
        check(f"hosting: sum of {name}", values.sum(), POSITIVE)
    check("hosting: most_kw", most_kw, POSITIVE)
    now = replace(case, design=case.design.only([])) if is_idle else case
    per_kw = np.outer(profile, share / share.sum())
    bound = most_kw
    for _ in range(_TIGHTENED):
        options = Options(hosts=Hosts(per_kw=per_kw, most_kw=bound))
        planned = Planner(now, Amounts(), options).plan()
        before, bound = bound, max(min(bound, -planned.bound), 0.0)  # by rounding below 0
        if before - bound < _WITHIN_KW:
            break
    size = float(planned.plan.hosted_kw.max() / max(per_kw.max(), 1e-12))
    plan = planned.plan
    if is_idle and bound > size:
        plan, size = scaled(plan, bound / size) if size > 0.0 else plan, bound
    found = _bisected(now, plan, size) or _smaller(now, per_kw, bound)
    if found is None and not is_idle:
        found = _bisected(now, idle(plan), size)
    if found is None and is_idle:
        raise LimitsError("the limits cannot be kept even without further sun")
    if found is None:
        raise UnsolvedError("no schedule was found that keeps the limits by AC power flow, with whatever sun")
    return Hosted(kw=found[0], bound_kw=bound, plan=found[1], judged=judge(now, found[1], Options()))


def keeps(case: Case, plan: Plan) -> bool:
    """Whether a plan keeps all limits by AC power flow, and no storage charges beside discharging."""
    return plan.is_one_way and judge(case, plan, Options()).keeps_limits


def idle(plan: Plan) -> Plan:
    """The same sun with storage that stands still."""
    nothing = np.zeros_like(plan.charge_kw)
    return replace(plan, charge_kw=nothing, discharge_kw=nothing)


def scaled(plan: Plan, share: float) -> Plan:
    """The same schedule with a share of the hosted sun."""
    return replace(plan, hosted_kw=share * plan.hosted_kw)


def _smaller(case: Case, per_kw: FloatArray, bound: float) -> tuple[float, Plan] | None:
    """The first of sizes a little below the bound whose own plan keeps the limits."""
    for share in _SHARES:
        options = Options(hosts=Hosts(per_kw=per_kw, most_kw=share * bound))
        plan = Planner(case, Amounts(), options).plan().plan
        if keeps(case, plan):
            return float(plan.hosted_kw.max() / max(per_kw.max(), 1e-12)), plan
    return None


def _bisected(case: Case, plan: Plan, size: float) -> tuple[float, Plan] | None:
    """The largest part of a plan's sun that keeps the limits, and the plan with it."""
    if keeps(case, plan):
        return size, plan
    low, high = 0.0, 1.0
    if not keeps(case, scaled(plan, low)):
        return None
    for _ in range(_BISECTED):
        middle = (low + high) / 2.0
        if keeps(case, scaled(plan, middle)):
            low = middle
        else:
            high = middle
        if (high - low) * size < _WITHIN_KW:
            break
    return low * size, scaled(plan, low)
