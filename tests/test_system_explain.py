"""Recorded values against what a little more or less of the thing would really change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from simulation_cases import Kept, simulate

from dispatch.decision import turbines_down
from dispatch.margin import cautious, earlier, needier
from dispatch.options import DispatchOptions
from dispatch.problem import Problem, build, build_paths
from dispatch.scenarios import ScenarioSession, SolvedPaths
from dispatch.session import Session, Solved
from dispatch.stochastic import path_forecasts
from experiments.shipped import load_scenario
from sim.clock import NEVER_S
from sim.contracts import Account, Marginals, Site

DELTA = 1e-3
"""kWh or kW: far below what a step can move, far above what the objective's last digits mean (1e-9 CNY)."""
NEARER = 2e-5
TOLERANCE = 1e-4
TAPER = ("fleet.classes.*.taper_from_soc=0.5", "fleet.classes.*.taper_to_share=0.1")
PAIRS = 17
"""Of car and time, per run; three departure rules times four cases make 204."""
Slopes = tuple[float, float]
Change = Callable[[Problem, float], Problem]


class Bench:
    """One decision's program, solved again with something changed."""

    def __init__(self, problem: Problem, program: str) -> None:
        self._session = Session(problem.site, problem.cars, problem.n_steps, iteration_limit=1_000_000)
        self._problem = problem
        self._change = turbines_down if program == "turbines off" else None
        self.cost = self._optimum(problem)
        self._base = self._session.solve(problem, self._change)

    def _optimum(self, problem: Problem) -> float:
        solved = self._session.solve(problem, self._change)
        return solved.outcome.objective if isinstance(solved, Solved) else np.inf

    def slopes(self, change: Change) -> Slopes:
        """Change of the optimum per unit less and per unit more; infinite where no plan is left.

        Where the two differ, they are taken again nearer by: a kink may lie beside the plan, not at it.
        """
        slopes = self._slopes(change, DELTA)
        return slopes if is_smooth(slopes) else self._slopes(change, NEARER)

    def _slopes(self, change: Change, delta: float) -> Slopes:
        less, more = (self._optimum(change(self._problem, way * delta)) for way in (-1.0, 1.0))
        return (self.cost - less) / delta, (more - self.cost) / delta

    def import_slopes(self, region: int) -> Slopes:
        """Change of the optimum per kW of import limit in the first step, less and more."""
        base = self._base
        assert isinstance(base, Solved)
        at = base.assembly.columns(base.assembly.layout.columns.imported)[:1, [region]]
        limit = self._problem.site.import_limit_kw[region]
        changed = [base.assembly.bounded(at, 0.0, limit + way * DELTA) for way in (-1.0, 1.0)]
        less, more = (self._session.solver.solve(one.program).objective for one in changed)
        return (self.cost - less) / DELTA, (more - self.cost) / DELTA


class PathBench:
    """A two-stage decision's program, solved again with something changed on every path."""

    def __init__(self, problems: Sequence[Problem], probability: np.ndarray, *, turbine: str) -> None:
        self._session = ScenarioSession(problems, iteration_limit=1_000_000)
        self._problems, self._probability = problems, probability
        self._change = turbines_down if turbine == "off" else None
        self.cost = self._optimum(problems)

    def _optimum(self, problems: Sequence[Problem]) -> float:
        solved = self._session.solve(problems, self._probability, self._change)
        return solved.outcome.objective if isinstance(solved, SolvedPaths) else np.inf

    def slopes(self, change: Change) -> Slopes:
        """Change of the expected optimum per unit less and per unit more; infinite where no plan is left."""
        less, more = (
            self._optimum([change(problem, way * DELTA) for problem in self._problems]) for way in (-1.0, 1.0)
        )
        return (self.cost - less) / DELTA, (more - self.cost) / DELTA


def itinerary(problem: Problem, **arrays: np.ndarray) -> Problem:
    """Change arrays of a problem's itinerary."""
    return replace(problem, itinerary=replace(problem.itinerary, **arrays))


def added(array: np.ndarray, index: int | tuple[int, int], amount: float) -> np.ndarray:
    """Add to one entry of a copy."""
    changed = array.copy()
    changed[index] += amount
    return changed


def within(slopes: Slopes, value: float) -> bool:
    """Whether a derivative lies between the slopes of its two sides."""
    return slopes[0] - TOLERANCE <= value <= slopes[1] + TOLERANCE


def is_smooth(slopes: Slopes) -> bool:
    """Tell whether both sides have one slope."""
    return abs(slopes[1] - slopes[0]) <= TOLERANCE


def problem_at(site: Site, kept: Kept, step: int) -> Problem:
    """Build the problem of one of a run's decisions."""
    return build(site, kept.snapshots[step], kept.forecasts[step], departing_energy_value="median_price")


def verdict(slopes: Slopes, is_flagged: bool) -> str:
    """Word for a pair: whether its slopes agree, and whether it was flagged."""
    return ("smooth" if is_smooth(slopes) else "kinked") + (", flagged" if is_flagged else "")


def compare(bench: Bench, told: Marginals, entry: int, problem: Problem, seen: Counter[str]) -> None:
    """Hold one car's entry, its region's, its departure's and the import limits' against finite differences."""
    compare_car(bench, told, entry, problem, seen)
    account = told.account
    assert isinstance(account, Account)
    for other in np.flatnonzero(np.isfinite(problem.site.import_limit_kw)).tolist():
        imports = bench.import_slopes(other)
        assert within(imports, -account.limit_worth_per_kw[other])
        seen["import limit: " + ("worth" if account.limit_worth_per_kw[other] > TOLERANCE else "none")] += 1


def compare_car(
    bench: Bench | PathBench, told: Marginals, entry: int, problem: Problem, seen: Counter[str]
) -> None:
    """Hold one car's entry, its region's and its departure's against finite differences."""
    account = told.account
    assert isinstance(account, Account)
    car, region = int(told.vehicle_id[entry]), int(told.region_index[entry])
    flagged = ["value" in word for word in account.ambiguous]
    energy = bench.slopes(  # at the step's end: from the start on it would also slow the step's own charging
        lambda p, d: (
            itinerary(p, start_kwh=added(p.itinerary.start_kwh, car, d))
            if p.cars.taper is None
            else itinerary(p, leaving_kwh=added(p.itinerary.leaving_kwh, (0, car), -d))
        ),
    )
    assert within(energy, -told.value_per_kwh[entry])
    seen["energy: " + verdict(energy, flagged[entry])] += 1
    load = bench.slopes(lambda p, d: replace(p, load_kw=added(p.load_kw, (0, region), d)))
    assert within((load[0] / problem.step_h, load[1] / problem.step_h), told.value_per_kwh[region])
    seen["bus: " + verdict(load, flagged[region])] += 1
    gives, cars = account.set_point_kw[entry] < 0, problem.cars
    fraction = problem.itinerary.fraction[0, car]
    limit = (cars.discharge_limit_kw if gives else cars.charge_limit_now_kw)[car]
    charger = bench.slopes(
        lambda p, d: itinerary(p, fraction=added(p.itinerary.fraction, (0, car), d * fraction / limit))
    )
    assert within(charger, -account.limit_worth_per_kw[entry])
    seen["charger: " + ("smooth" if is_smooth(charger) else "kinked")] += 1
    departs = problem.itinerary.departure_s[:, car] == told.protected_departure_s[entry]
    if told.protected_departure_s[entry] != NEVER_S:
        step = int(np.flatnonzero(departs)[0])
        need = bench.slopes(lambda p, d: itinerary(p, lower_kwh=added(p.itinerary.lower_kwh, (step, car), d)))
        assert within(need, told.departure_dual_per_kwh[entry])
        seen["need: " + ("smooth" if is_smooth(need) else "kinked")] += 1


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), TAPER], ids=["", "tapering"])
@pytest.mark.parametrize("scenario", ["multi-microgrid", "import-limited"])
@pytest.mark.parametrize("kind", ["persistence", "perfect"])
def test_recorded_values_against_finite_differences(
    kind: str, scenario: str, more: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    """A car's kWh, a region's kW, a charger's kW and a departure's need are worth what re-solving says.

    Costs are convex in each of them: a recorded value must lie between the slopes of a little less and a little
    more (1e-4 CNY). Where these differ the value must have been flagged.
    """
    seen: Counter[str] = Counter()
    for seed, rule in enumerate(("0.9", "0.5", '"none"'), start=11):
        overrides = [f"forecast.kind={kind}", f"simulation.seed={seed}", "fleet.size=12", *more]
        kept, _ = simulate([*overrides, f"fleet.departure_soc={rule}"], scenario=scenario)
        rng = np.random.default_rng(seed)
        for _ in range(PAIRS):
            step = int(rng.integers(len(kept.schedules)))
            told = kept.schedules[step].marginals
            assert told is not None
            cars = np.flatnonzero(told.vehicle_id >= 0)
            if not len(cars) or "one way" in told.account.program:
                seen["left out"] += 1
                continue
            problem = problem_at(kept.site, kept, step)
            compare(Bench(problem, told.account.program), told, int(rng.choice(cars)), problem, seen)
    record_property("pairs", dict(seen))
    assert seen["left out"] <= PAIRS // 4
    assert seen["energy: kinked"] == 0
    assert seen["bus: kinked"] == 0
    assert seen["energy: smooth"] > 5
    assert (seen["import limit: worth"] > 0) == (scenario == "import-limited")


PRICES = (
    '{file = "shipped:dayahead_nl_2019_2020", column = "price_eur_per_mwh", time_column = "time_utc", '
    'step_minutes = 60, zone = "UTC", stamp = "beginning", to_quarter_hours = "hold", wrap = "none"}'
)
FORECAST_PRICES = (
    f'tariff={{kind = "series", per_mwh = true, series = {PRICES}, buy_adder_per_kwh = 0.1, '
    "sell_fraction = 0.0, curtailment_per_kwh = 0.0}",
    "simulation.start=2020-04-20",
    "economics.energy_value_per_kwh=0.1",
)
SMALL = ("fleet.size=10", "fleet.departure_soc=0.9", "dispatch.turbine=off")


def margin_bench(kept: Kept, step: int, options: DispatchOptions) -> tuple[list[Problem], Bench]:
    """Pose one of a run's cautious decisions again."""
    snapshot = kept.snapshots[step]
    cars = needier(snapshot.cars, options.required_margin_soc)
    cars = earlier(cars, snapshot.now_s, kept.site.step_s, 60.0 * options.departure_margin_min)
    problem = build(
        kept.site,
        replace(snapshot, cars=cars),
        cautious(kept.forecasts[step], options.margin_level),
        departing_energy_value=options.departing_energy_value,
    )
    return [problem], Bench(problem, "turbines off")


def path_bench(kept: Kept, step: int, options: DispatchOptions) -> tuple[list[Problem], PathBench]:
    """Pose one of a run's two-stage decisions again."""
    forecast = kept.forecasts[step]
    assert forecast.paths is not None
    problems = build_paths(
        kept.site,
        kept.snapshots[step],
        path_forecasts(forecast),
        departing_energy_value=options.departing_energy_value,
    )
    return list(problems), PathBench(problems, forecast.paths.probability, turbine="off")


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), FORECAST_PRICES], ids=["published prices", "forecast prices"])
@pytest.mark.parametrize(("policy", "pose"), [("margin", margin_bench), ("stochastic", path_bench)])
def test_values_under_uncertainty_against_finite_differences(
    policy: str,
    pose: Callable[[Kept, int, DispatchOptions], tuple[list[Problem], Bench | PathBench]],
    more: tuple[str, ...],
    record_property: Callable[[str, object], None],
) -> None:
    """What a cautious decision records is worth so much in its cautious program, a two-stage one in expectation."""
    overrides = [*SMALL, *more, f"dispatch.policy={policy}", "forecast.n_paths=2"]
    options = DispatchOptions.from_scenario(load_scenario("multi-microgrid", overrides))
    kept, _ = simulate(overrides)
    rng, seen = np.random.default_rng(5), Counter[str]()
    for step in rng.choice(len(kept.schedules), PAIRS, replace=False).tolist():
        told = kept.schedules[step].marginals
        assert told is not None
        problems, bench = pose(kept, step, options)
        cars = np.flatnonzero(told.vehicle_id >= 0)
        if not len(cars) or abs(bench.cost - kept.schedules[step].decision.objective) > 1e-6:
            seen["left out"] += 1
            continue
        entry = int(rng.choice(cars))
        compare_car(bench, told, entry, problems[0], seen)
        values = [problem.car_value_per_kwh[told.vehicle_id[entry]] for problem in problems]
        assert told.account.terminal_value_per_kwh[entry] == pytest.approx(np.mean(values))
    record_property("pairs", dict(seen))
    assert seen["left out"] <= PAIRS // 4
    assert seen["energy: kinked"] == seen["bus: kinked"] == 0
