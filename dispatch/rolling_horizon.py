"""The exact rolling-horizon policy: every 15 minutes the whole horizon is optimised and its first step is executed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dispatch.decision import Decided, decide
from dispatch.exclusivity import net_power
from dispatch.fallback import fall_back
from dispatch.feed_in import feed_in_cap_kw
from dispatch.marginals import marginals
from dispatch.network import Expansion, shifted
from dispatch.options import DispatchOptions
from dispatch.problem import Problem, build_paths
from dispatch.reactive import has_reactive
from dispatch.session import Failure, Session, Solved
from dispatch.within_feeder import decide_within_feeder, planned_site
from sim.arrays import FloatArray
from sim.contracts import Decision, Forecast, Schedule, Site, Snapshot
from sim.errors import PolicyError
from sim.microgrid import admissible_battery_kvar

SET_POINT_DECIMALS = 9
"""Set-points are given to a microwatt: below that stands the solver's rounding, which would cut a car's rows apart."""


class RollingHorizon:
    """Joint optimum of cars, batteries, turbines and grid over the horizon, re-decided at each step.

    Parameters
    ----------
    options
        The scenario's `dispatch` part.
    name
        Of the policy that this one decides for.
    """

    needs_own_chain = False
    charges_on_arrival = False

    def __init__(self, options: DispatchOptions, name: str = "rolling") -> None:
        self.name = name
        self._options = options
        self._site: Site | None = None
        self._session: Session | None = None
        self._last: tuple[int, Expansion] | None = None  # instant and state of the last decision's plan

    def start(self, site: Site) -> None:
        """Forget the last run: the solver is born cold at the first decision."""
        self._site = planned_site(site, self._options)
        self._session, self._last = None, None

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Set-points of the optimum's first step, or of the fallback when there is no usable answer.

        Raises
        ------
        PolicyError
            When the fleet is larger than `max_exact_cars`, or `start` was not called.
        """
        problem = self.problem(snapshot, forecast)
        session = self.session(problem)
        if problem.network is None:
            decided = decide(session, problem, self._options)
        else:
            decided = self._within_feeder(session, problem)
        if isinstance(decided, Failure):
            return fall_back(self._options.fallback, snapshot, problem, iterations=decided.iterations)
        return executed_schedule(decided)

    def _within_feeder(self, session: Session, problem: Problem) -> Decided | Failure:
        """Decide around the state of the last decision's plan, moved on to now."""
        around = None
        if self._last is not None:
            then_s, last = self._last
            moved_on = (problem.now_s - then_s) // problem.site.step_s
            around = shifted(last, problem.n_steps, moved_on)
        kept = decide_within_feeder(session, problem, self._options, around)
        if isinstance(kept, Failure):
            return kept
        self._last = problem.now_s, kept.expansion
        return kept.decided

    def problem(self, snapshot: Snapshot, forecast: Forecast) -> Problem:
        """The numbers of a decision."""
        (problem,) = self.problems(snapshot, [forecast])
        return problem

    def problems(self, snapshot: Snapshot, paths: Sequence[Forecast]) -> tuple[Problem, ...]:
        """The numbers of a decision for each path that the world may take."""
        if self._site is None:
            raise PolicyError(f"policy {self.name}: decide was called before start")
        if snapshot.cars.n > self._options.max_exact_cars:
            raise PolicyError(
                f"policy {self.name}: {snapshot.cars.n} cars exceed dispatch.max_exact_cars = "
                f"{self._options.max_exact_cars}; raise it if you can wait, or choose a smaller fleet"
            )
        return build_paths(
            self._site,
            snapshot,
            paths,
            departing_energy_value=self._options.departing_energy_value,
            is_shrinking=self._options.window == "shrinking",
        )

    def session(self, problem: Problem) -> Session:
        """The run's chain of solves, begun by its first decision."""
        if self._session is None or problem.n_steps > self._session.n_slots:
            self._session = Session(
                problem.site, problem.cars, problem.n_steps, iteration_limit=self._options.iteration_limit
            )
        return self._session


def executed_schedule(decided: Decided) -> Schedule:
    """First step of a plan as set-points, with what its duals say."""
    schedule = set_points(decided.executed, decided.decision)
    told = marginals(decided.executed, decided.prices, schedule.car_power_kw, decided.program)
    return replace(schedule, marginals=told)


def set_points(executed: Solved, decision: Decision, step: int = 0) -> Schedule:
    """A step of a plan as set-points: a car's mean power over its plugged part of the step, one way only."""
    problem, plan = executed.problem, executed.plan
    cars, site, fraction = problem.cars, problem.site, problem.itinerary.fraction[step]
    mean = net_power(
        plan.charge_kw[step], plan.discharge_kw[step], cars.charge_efficiency, cars.discharge_efficiency
    )
    power = mean / np.where(fraction > 0, fraction, 1.0)
    limit_kw = cars.charge_limit_now_kw if step == 0 else cars.charge_limit_kw
    battery = net_power(
        plan.battery_charge_kw[step],
        plan.battery_discharge_kw[step],
        site.battery_charge_efficiency,
        site.battery_discharge_efficiency,
    )
    battery = _within(battery, site.battery_discharge_limit_kw, site.battery_charge_limit_kw)
    return Schedule(
        car_power_kw=_within(power, cars.discharge_limit_kw, limit_kw),
        battery_power_kw=battery,
        battery_kvar=_kvar(site, plan.battery_kvar[step], battery) if has_reactive(site) else None,
        charger_kvar=_charger_kvar(problem, plan.charger_kvar[step], step),
        turbine_kw=_within(plan.turbine_kw[step], np.zeros(site.n_regions), site.turbine_limit_kw),
        feed_in_cap_kw=feed_in_cap_kw(problem, plan, step),
        expected_car_load_kw=_car_load(executed)[step:],
        decision=decision,
    )


def _within(power: FloatArray, discharge_limit: FloatArray, charge_limit: FloatArray) -> FloatArray:
    """Power without the solver's rounding beyond a limit or around zero (answers are checked, see `session`)."""
    clipped: FloatArray = np.clip(power, -discharge_limit, charge_limit)
    return clipped.round(SET_POINT_DECIMALS) + 0.0  # a negative zero is zero


def _kvar(site: Site, kvar: FloatArray, battery_kw: FloatArray) -> FloatArray:
    """Reactive power that the inverters can carry beside the active power as it is set."""
    within, _ = admissible_battery_kvar(site, battery_kw, kvar)
    return _truncated(within)  # never out of the circle


def _charger_kvar(problem: Problem, kvar: FloatArray, step: int) -> FloatArray | None:
    """Reactive power of the chargers, within what the plan counts on."""
    if problem.charger_room_kvar is None:
        return None
    room_kvar = problem.charger_room_kvar[step]
    return _truncated(np.clip(kvar, -room_kvar, room_kvar))


def _truncated(kvar: FloatArray) -> FloatArray:
    return np.trunc(kvar * 10.0**SET_POINT_DECIMALS) / 10.0**SET_POINT_DECIMALS + 0.0


def _car_load(executed: Solved) -> FloatArray:
    """Planned net load of the cars known, per step and region."""
    plan, itinerary = executed.plan, executed.problem.itinerary
    net = plan.charge_kw - plan.discharge_kw
    regions = range(executed.problem.site.n_regions)
    return np.stack([(net * (itinerary.region_index == region)).sum(axis=1) for region in regions], axis=1)
