"""Plans that keep a feeder's limits with their own losses: solved, judged by AC power flow, solved again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dispatch.decision import Decided, decide
from dispatch.network import KEPT_PU, Expansion, judged
from dispatch.options import DispatchOptions
from dispatch.plan import bus_demand_kvar, bus_demand_kw
from dispatch.problem import Problem, expanded
from dispatch.session import Failure, Session
from sim.contracts import Site

STANDS_KW: Final = 1e-6
"""Losses of a branch that differ by no more are the same."""


def planned_site(site: Site, options: DispatchOptions) -> Site:
    """The site as plans see it: without its feeder, or with limits that leave the options' margins free.

    The band always holds the source's own voltage, which no plan can move.
    """
    network = site.network
    if network is None or options.feeder_limits == "ignore":
        return replace(site, network=None)
    feeder, margin_pu = network.feeder, options.feeder_voltage_margin_pu
    tight = replace(
        network,
        feeder=replace(feeder, rating_kva=feeder.rating_kva * (1.0 - options.feeder_rating_margin)),
        voltage_min_pu=min(network.voltage_min_pu + margin_pu, network.source_pu),
        voltage_max_pu=max(network.voltage_max_pu - margin_pu, network.source_pu),
    )
    return replace(site, network=tight)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """A decision, and the state of the feeder that its plan leads to."""

    decided: Decided
    expansion: Expansion


def decide_within_feeder(
    session: Session, problem: Problem, options: DispatchOptions, around: Expansion | None
) -> Kept | Failure:
    """Decide around a state of the feeder, and again around the plan's own until it keeps the limits.

    Of several plans that leave them, the last: its losses are nearest to its own. Where these stand and it still
    leaves the limits, no further round would change it. A round without an answer ends them, and is told.

    Parameters
    ----------
    problem
        Of a site with a network.
    around
        The state to begin with, by default a feeder without losses.
    """
    network = problem.site.network
    assert network is not None
    if around is not None:
        problem = expanded(problem, around)
    iterations, kept = 0, None
    for n_rounds in range(1, options.feeder_rounds + 1):
        again = decide(session, problem, options)
        iterations += again.iterations if isinstance(again, Failure) else again.decision.iterations
        if isinstance(again, Failure):
            return again if kept is None else _unsolved(kept, n_rounds, iterations)
        decision = replace(again.decision, iterations=iterations, feeder_rounds=n_rounds)
        plan = again.executed.plan
        state = judged(network, bus_demand_kw(problem, plan), bus_demand_kvar(problem, plan))
        kept = Kept(decided=replace(again, decision=decision), expansion=state.expansion)
        if state.beyond <= KEPT_PU or (around is not None and _stands(around, state.expansion)):
            break
        around = state.expansion
        problem = expanded(problem, around)
    assert kept is not None
    return kept


def _unsolved(kept: Kept, n_rounds: int, iterations: int) -> Kept:
    """The plan of the rounds before one without an answer, with that one counted."""
    decided = kept.decided
    decision = replace(decided.decision, feeder_rounds=n_rounds, iterations=iterations, feeder_unsolved=True)
    return replace(kept, decided=replace(decided, decision=decision))


def _stands(one: Expansion, other: Expansion) -> bool:
    """Whether two states lose the same, to what a solver's answer is exact to."""
    change = np.abs(one.loss_kw - other.loss_kw).max(), np.abs(one.loss_kvar - other.loss_kvar).max()
    return bool(max(change) <= STANDS_KW)
