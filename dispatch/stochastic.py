"""A two-stage stochastic program over the forecast's paths: one first step for all that may come."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dispatch.bound_prices import bound_prices, expected_prices
from dispatch.decision import Decided, decision_row, runs_turbines, turbines_down
from dispatch.exclusivity import OVERLAP_KW, one_way
from dispatch.fallback import fall_back
from dispatch.options import DispatchOptions
from dispatch.rolling_horizon import RollingHorizon, executed_schedule
from dispatch.scenarios import ScenarioSession, SolvedPaths
from dispatch.session import Failure
from sim.contracts import Forecast, Schedule, Site, Snapshot
from sim.errors import ForecastLacksError


class Stochastic:
    """Least expected cost over the paths of the forecast, the step decided being the same on all of them.

    Parameters
    ----------
    options
        The scenario's `dispatch` part.
    """

    name = "stochastic"
    needs_own_chain = False
    charges_on_arrival = False

    def __init__(self, options: DispatchOptions) -> None:
        self._options = options
        self._rolling = RollingHorizon(options, self.name)
        self._session: ScenarioSession | None = None

    def start(self, site: Site) -> None:
        """Forget the last run: the solver is born cold at the first decision."""
        # it decides on no reactive power
        self._rolling.start(replace(site, battery_apparent_kva=None, charger_kvar_per_kw=None))
        self._session = None

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """First step of the least expected cost, or of the fallback when there is no usable answer.

        Raises
        ------
        PolicyError
            When the forecast carries no paths, the fleet is larger than `max_exact_cars`, or `start` was not called.
        """
        if forecast.paths is None:
            raise ForecastLacksError(self.name, "paths")
        problems = self._rolling.problems(snapshot, path_forecasts(forecast))
        if self._session is None or not self._session.fits(problems):
            self._session = ScenarioSession(problems, iteration_limit=self._options.iteration_limit)
        change = turbines_down if self._options.turbine == "off" else None
        relaxed = self._session.solve(problems, forecast.paths.probability, change)
        decided = relaxed if isinstance(relaxed, Failure) else decide(self._session, relaxed, self._options)
        if isinstance(decided, Failure):
            return fall_back(self._options.fallback, snapshot, problems[0], iterations=decided.iterations)
        return executed_schedule(decided)


def path_forecasts(forecast: Forecast) -> list[Forecast]:
    """The forecast once per path, its load, weather and prices those of the path."""
    paths = forecast.paths
    assert paths is not None
    return [
        replace(
            forecast,
            load_kw=paths.load_kw[s],
            pv_kw=paths.pv_kw[s],
            wind_kw=paths.wind_kw[s],
            buy_price_per_kwh=paths.buy_price_per_kwh[s],
            sell_price_per_kwh=paths.sell_price_per_kwh[s],
            quantiles=None,
            paths=None,
        )
        for s in range(len(paths.probability))
    ]


def decide(session: ScenarioSession, relaxed: SolvedPaths, options: DispatchOptions) -> Decided | Failure:
    """Make an answer executable: exclusive on every path, and turbines judged at their true expected cost."""
    chosen = _exclusive(session, relaxed)
    if isinstance(chosen, Failure):
        return chosen
    iterations = relaxed.outcome.iterations + (0 if chosen is relaxed else chosen.outcome.iterations)
    bound, true_cost = relaxed.outcome.bound, chosen.true_cost
    if options.turbine == "convex" and any(runs_turbines(path) for path in relaxed.paths):
        other, spent = _compared(session, relaxed)
        iterations += spent
        if other is not None and other.answer.true_cost < true_cost:
            chosen, bound, true_cost = other.answer, other.bound, other.answer.true_cost
    decision = decision_row(
        objective=chosen.outcome.objective,
        bound=bound,
        turbine_bound=relaxed.outcome.bound,
        true_cost=true_cost,
        binaries=0,
        iterations=iterations,
        lowered_kwh=relaxed.paths[0].problem.lowered_kwh,
        max_overlap_kw=relaxed.max_overlap_kw,
    )
    return Decided(
        executed=chosen.expected(),
        prices=expected_prices([bound_prices(path) for path in chosen.paths]),
        decision=decision,
        program="two-stage",
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Compared:
    answer: SolvedPaths
    bound: float


def _compared(session: ScenarioSession, relaxed: SolvedPaths) -> tuple[_Compared | None, int]:
    """Answer with the turbines ramped down on every path, and iterations spent on it.

    None where it cannot be solved: the answer with turbines is executable all the same, and `turbine_gap` bounds what
    the comparison might have gained.
    """
    off = session.solve_variant(relaxed, lambda path: turbines_down(path.problem, path.assembly))
    if isinstance(off, Failure):
        return None, off.iterations
    other = _exclusive(session, off)
    if isinstance(other, Failure):
        return None, off.outcome.iterations + other.iterations
    spent = off.outcome.iterations + (0 if other is off else other.outcome.iterations)
    return _Compared(answer=other, bound=off.outcome.bound), spent


def _exclusive(session: ScenarioSession, relaxed: SolvedPaths) -> SolvedPaths | Failure:
    """Answer in which no unit charges and discharges at once on any path."""
    if relaxed.overlap_kw <= OVERLAP_KW:
        return relaxed
    return session.solve_variant(relaxed, one_way)
