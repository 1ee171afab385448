"""The paper's method and its successor: an elitist genetic algorithm and NSGA-II, from pymoo, on repaired genes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.problem import Problem
from pymoo.optimize import minimize
from pymoo.termination.max_gen import MaximumGenerationTermination

from dispatch.station.day import LoadOf, StationDay
from dispatch.station.decoding import GENES_PER_STEP, Decoded, decode
from dispatch.station.plan import StationPlan
from sim.arrays import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How long is searched, and by how many."""

    population: int = 100
    generations: int = 1000
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """Best plans of a search: one of the genetic algorithm, those that no other beats of NSGA-II."""

    plans: tuple[StationPlan, ...]
    points: FloatArray  # (plans, 2) total cost and peak-valley difference
    values: FloatArray  # (plans, objectives) what was minimised
    history: FloatArray  # (generations,) best value so far; of one objective only


def scores(day: StationDay, decoded: Decoded, load_of: LoadOf) -> FloatArray:
    """Total cost and peak-valley difference of many plans, (P, 2), as `plan.objectives` has them."""
    h, cars = day.step_h, decoded.car_kw.sum(axis=2)
    charge, discharge = np.maximum(decoded.storage_kw, 0.0), np.maximum(-decoded.storage_kw, 0.0)
    load = day.building_kw + cars
    grid = load + decoded.storage_kw - day.pv_kw
    bought, sold = np.maximum(grid, 0.0), np.maximum(-grid, 0.0)
    station = np.minimum(np.maximum(cars + charge - day.pv_kw - discharge, 0.0), bought)
    money = day.building_price_per_kwh * bought - day.sell_price_per_kwh * sold
    money = money + (day.station_price_per_kwh - day.building_price_per_kwh) * station
    total = h * (money + day.wear_price_per_kwh * discharge).sum(axis=1)
    total = total + day.demand_price_per_kw * bought.max(axis=1)
    counted = {"building and cars": load, "with storage": load + decoded.storage_kw, "grid": grid}[load_of]
    return np.stack([total, counted.max(axis=1) - counted.min(axis=1)], axis=1)


def genetic(
    day: StationDay,
    load_of: LoadOf,
    weights: tuple[float, float],
    search: Search = Search(),  # noqa: B008 - frozen
) -> Found:
    """Minimise w1 F1 + w2 F2 by a genetic algorithm whose best survive.

    Parameters
    ----------
    weights
        Of cost and peak-valley difference, references of (9) included.
    """
    factors = np.array(weights)
    problem = _Problem(day, 1, lambda decoded: scores(day, decoded, load_of) @ factors[:, None])
    result = minimize(
        problem,
        GA(pop_size=search.population),
        MaximumGenerationTermination(search.generations),
        seed=search.seed,
        callback=problem.note,
    )
    return _found(day, load_of, result, np.array(problem.best))


def nsga2(day: StationDay, load_of: LoadOf, search: Search = Search()) -> Found:  # noqa: B008 - frozen
    """Search the front of cost and peak-valley difference by NSGA-II."""
    problem = _Problem(day, 2, lambda decoded: scores(day, decoded, load_of))
    result = minimize(
        problem,
        NSGA2(pop_size=search.population),
        MaximumGenerationTermination(search.generations),
        seed=search.seed,
    )
    return _found(day, load_of, result, np.empty(0))


def _found(day: StationDay, load_of: LoadOf, result: Any, history: FloatArray) -> Found:
    genes, values = np.atleast_2d(result.X), np.atleast_2d(result.F)
    decoded = decode(day, genes)
    return Found(
        plans=tuple(decoded.plan(individual) for individual in range(len(genes))),
        points=scores(day, decoded, load_of),
        values=np.asarray(values, dtype=np.float64),
        history=history,
    )


class _Problem(Problem):
    """Genes in [0, 1], evaluated by generations."""

    def __init__(self, day: StationDay, n_objectives: int, evaluate: Callable[[Decoded], FloatArray]) -> None:
        super().__init__(n_var=GENES_PER_STEP * day.n_steps, n_obj=n_objectives, xl=0.0, xu=1.0)
        self._day, self._values = day, evaluate
        self.best: list[float] = []

    def _evaluate(self, x: FloatArray, out: dict[str, Any], *_: Any, **__: Any) -> None:
        out["F"] = self._values(decode(self._day, x))

    def note(self, algorithm: Any) -> None:
        """Keep the best value of a generation."""
        self.best.append(float(algorithm.opt[0].F[0]))
