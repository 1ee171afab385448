"""The perfect-foresight optimum as a policy: decided once, at the run's start, and carried out step by step.

What every rolling policy is measured against. It simulates like any other, so its tables, key figures and audit are
those of a run, and a study costs one program per run instead of one per step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from dispatch.decision import Decided, decide
from dispatch.fallback import fall_back
from dispatch.options import DispatchOptions
from dispatch.problem import Problem, build
from dispatch.rolling_horizon import set_points
from dispatch.session import Failure, Session
from dispatch.within_feeder import decide_within_feeder, planned_site
from sim.contracts import Decision, Forecast, Schedule, Site, Snapshot
from sim.errors import PolicyError


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plan:
    """The optimum, or why there is none."""

    problem: Problem
    decided: Decided | Failure


_MANY_TIES: Final = 8
"""Ties without limits beyond which presolve pays: a feeder's branches where its limits are ignored (4 times)."""


class DayAhead:
    """One joint optimum over the whole run, with perfect forecasts.

    The program is that of `rolling` with a horizon that ends with the run; stored energy is worth lambda there. With
    perfect forecasts what is planned is what happens, so the plan is not made again. A feeder's limits are kept where
    the scenario says so.

    Parameters
    ----------
    options
        The scenario's `dispatch` part.
    """

    name = "day-ahead"
    needs_own_chain = False
    charges_on_arrival = False

    def __init__(self, options: DispatchOptions) -> None:
        self._options = options
        self._site: Site | None = None
        self._plan: _Plan | None = None

    def start(self, site: Site) -> None:
        """Forget the last run."""
        self._site, self._plan = planned_site(site, self._options), None

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Set-points of the plan's next step; the plan is made when there is none that holds this instant.

        Raises
        ------
        PolicyError
            When the forecast is not perfect or does not reach the run's end, or `start` was not called.
        """
        if self._site is None:
            raise PolicyError("policy day-ahead: decide was called before start")
        is_new = self._plan is None or not self._holds(self._plan.problem, snapshot)
        if is_new:
            self._plan = self._made(self._site, snapshot, forecast)
        assert self._plan is not None
        problem, decided = self._plan.problem, self._plan.decided
        if isinstance(decided, Failure):
            return fall_back(self._options.fallback, snapshot, problem, iterations=decided.iterations)
        step = (snapshot.now_s - problem.now_s) // self._site.step_s
        decision = decided.decision if is_new else _carried_out(decided.decision)
        return set_points(decided.executed, decision, step)

    def _holds(self, problem: Problem, snapshot: Snapshot) -> bool:
        """Whether a plan has a step for this instant and these cars."""
        step = (snapshot.now_s - problem.now_s) // problem.site.step_s
        return 0 < step < problem.n_steps and snapshot.cars.n == problem.cars.n

    def _made(self, site: Site, snapshot: Snapshot, forecast: Forecast) -> _Plan:
        to_end = (site.end_s - snapshot.now_s) // site.step_s
        if forecast.trips is None:
            raise PolicyError('policy day-ahead: plans with the truth; set forecast.kind = "perfect"')
        if forecast.n_steps < to_end:
            raise PolicyError(
                f"policy day-ahead: plans to the run's end; set dispatch.horizon_steps to {to_end} or more, "
                f"is {forecast.n_steps}"
            )
        if snapshot.cars.n > self._options.max_exact_cars:
            raise PolicyError(
                f"policy day-ahead: {snapshot.cars.n} cars exceed dispatch.max_exact_cars = "
                f"{self._options.max_exact_cars}; raise it if you can wait, or choose a smaller fleet"
            )
        problem = build(
            site,
            snapshot,
            forecast,
            departing_energy_value=self._options.departing_energy_value,
            is_shrinking=True,
        )
        session = Session(
            site,
            problem.cars,
            problem.n_steps,
            iteration_limit=self._options.iteration_limit,
            presolve=problem.network is None and len(site.tie_from_index) > _MANY_TIES,
        )
        return _Plan(problem=problem, decided=self._decided(session, problem))

    def _decided(self, session: Session, problem: Problem) -> Decided | Failure:
        if problem.network is None:
            return decide(session, problem, self._options)
        kept = decide_within_feeder(session, problem, self._options, None)
        return kept if isinstance(kept, Failure) else kept.decided


def _carried_out(decision: Decision) -> Decision:
    """The plan's row without what its making took: that belongs to the step at which it was made."""
    return replace(decision, iterations=0, lowered_kwh=0.0)
