"""NSGA-III over a day's schedules of storage on a feeder: all six objectives at once, each by AC power flow.

In six objectives nearly no schedule dominates another: many directions are kept, not what is good in any. Each
objective is therefore searched alone first, by an elitist genetic algorithm, and half of the first generation is what
that left.

What a certified front tells of two or three objectives, evolutionary search tells of all, without any certificate.
Here every point gets one afterwards: the least cost that any plan has whose other objectives are no larger.

NSGA-III is that of Deb and Jain (2014), "An Evolutionary Many-Objective Optimization Algorithm Using Reference-Point-
Based Nondominated Sorting Approach, Part I", from pymoo; its directions are those of Das and Dennis (1998).

Shapes: P individuals, K steps, C units, N buses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from pymoo.algorithms.moo.nsga3 import NSGA3
from pymoo.algorithms.soo.nonconvex.ga import GA
from pymoo.core.problem import Problem
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM
from pymoo.optimize import minimize
from pymoo.termination.max_gen import MaximumGenerationTermination
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from pymoo.util.ref_dirs import get_reference_directions

from dispatch.planning.checks import check_fields, whole_number
from dispatch.planning.day import Case
from dispatch.planning.judging import Plan
from dispatch.planning.planner import RELATIVE_GAP, Planned, Planner
from dispatch.planning.program import OBJECTIVES, UNBOUNDED, Amounts, Objective, Options
from sim.arrays import FloatArray, IntArray, freeze
from sim.feeder.ac import ac_power_flow

_IDLE: Final = 0.15
"""Share of a gene's range, either side of its middle, that means no power: rest would otherwise never be found."""
_NO_FLOW: Final = 1e9
"""Of every objective where no power flow exists; such plans are beyond a limit too."""
_CURTAILS: Final = 8
"""Of so many schedules of a first generation one curtails."""
_MUTATED: Final = 3.0
"""Genes of a child that mutation changes, in the mean."""
_LOOSE: Final = 1e-7
"""Share by which a point's own values are loosened as bounds, lest rounding leaves nothing within them."""
_ROUNDS: Final = 12
_COST: Final = OBJECTIVES.index("cost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How long is searched, by how many, and in how many directions."""

    partitions: int = 4  # of each objective's axis: 126 directions at six objectives
    population: int = 126
    generations: int = 80
    end_population: int = 40  # of the search for each objective alone
    end_generations: int = 90
    seed: int = 1

    def __post_init__(self) -> None:
        check_fields(
            self,
            whole_number(1),
            "partitions",
            "population",
            "generations",
            "end_population",
            "end_generations",
        )
        check_fields(self, whole_number(0), "seed")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedules:
    """What P individuals do."""

    net_kw: FloatArray  # (P, K, C), charging positive
    curtailed: FloatArray  # (P, K), share of all sun

    def __post_init__(self) -> None:
        freeze(self)

    def at(self, places: IntArray) -> Schedules:
        """Some of them."""
        return Schedules(net_kw=self.net_kw[places], curtailed=self.curtailed[places])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluated:
    """What many schedules reach by AC power flow."""

    values: FloatArray  # (P, 6) in the order of ``OBJECTIVES``
    beyond: FloatArray  # (P, 3) of the band [p.u.], of ratings and of the export limit, shares; 0: kept
    exchange_kw: FloatArray  # (P, K), bought positive

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evolved:
    """Schedules of which none is better than another in every objective; all keep the limits."""

    schedules: Schedules
    values: FloatArray  # (n, 6) in the order of ``OBJECTIVES``
    exchange_kw: FloatArray  # (n, K)
    evaluations: int

    def __post_init__(self) -> None:
        freeze(self)

    def plan(self, case: Case, place: int) -> Plan:
        """One of them, as `judging.judge` takes it."""
        net_kw = self.schedules.net_kw[place]
        charge_kw, discharge_kw = np.maximum(net_kw, 0.0), np.maximum(-net_kw, 0.0)
        kept, energy = case.storage.kept(case.step_h), case.storage.initial_soc * case.design.kwh_upper
        stored = np.empty_like(net_kw)
        for k, power in enumerate(net_kw):
            energy = stored[k] = kept * energy + _gained_kwh(case, power)
        nothing, n_buses = np.zeros((case.n_steps, 0)), case.network.feeder.n_buses
        return Plan(
            kwh=case.design.kwh_upper.copy(),
            kw=case.design.kw_upper.copy(),
            charge_kw=charge_kw,
            discharge_kw=discharge_kw,
            stored_kwh=stored,
            curtailed_kw=case.stacked("pv_kw") * self.schedules.curtailed[place][:, np.newaxis],
            up_kw=nothing,
            down_kw=nothing.copy(),
            hosted_kw=np.zeros((case.n_steps, n_buses)),
            squared_pu=np.full((case.n_steps, n_buses), np.nan),
        )

    def best(self, name: Objective) -> int:
        """Position of the schedule with least of an objective."""
        return int(self.values[:, OBJECTIVES.index(name)].argmin())


def decode(case: Case, genes: FloatArray) -> Schedules:
    """Schedules of genes (P, K (C + 1) + 1) in [0, 1], feasible in power and energy whatever the genes.

    In each step a gene for each unit, its power from full discharge to full charge, nothing in the middle, and one for
    the share of all sun that is curtailed, nothing in its lower half. Repair goes through the steps: power is cut to
    what keeps the energy within its limits, and high enough for the day to end with what it began with if everything
    left is charged. What a day would end with beyond that is taken off its last charging, unless the last gene of all
    is in its upper half.

    Raises
    ------
    ValueError
        For a case of several days, of free sizes, or of a unit that cannot make up for its own losses.
    """
    unit, h, kwh, kw = case.storage, case.step_h, case.design.kwh_upper, case.design.kw_upper
    if len(case.days) != 1:
        raise ValueError(f"genes are a single day's, the case has {len(case.days)}")
    if (case.design.kwh_lower != kwh).any() or (case.design.kw_lower != kw).any():
        raise ValueError("genes are schedules of storage that stands: sizes must be fixed")
    n_steps, kept = case.n_steps, unit.kept(h)
    by_step = 2.0 * genes[:, :-1].reshape(len(genes), n_steps, case.design.n + 1) - 1.0
    share = by_step[:, :, :-1]
    wanted = np.sign(share) * np.maximum(np.abs(share) - _IDLE, 0.0) / (1.0 - _IDLE) * kw
    floor = np.empty(
        (n_steps + 1, case.design.n)
    )  # least energy from which the day can still end full enough
    floor[n_steps] = unit.initial_soc * kwh
    for k in reversed(range(n_steps)):
        floor[k] = np.maximum(unit.soc_min * kwh, (floor[k + 1] - unit.charge_efficiency * kw * h) / kept)
    energy = np.tile(unit.initial_soc * kwh, (len(genes), 1))
    if (floor[0] > energy[0] + 1e-9).any():
        raise ValueError("a unit cannot charge as much as it loses")
    power, stored = np.empty_like(wanted), np.empty_like(wanted)
    for k in range(n_steps):
        left = kept * energy
        least = np.maximum(_power_kw(case, floor[k + 1] - left), -kw)
        most = np.minimum(_power_kw(case, unit.soc_max * kwh - left), kw)
        power[:, k] = np.minimum(np.maximum(wanted[:, k], least), most)
        energy = stored[:, k] = left + _gained_kwh(case, power[:, k])
    trimmed = _trimmed(case, power, stored, floor)
    power = np.where(genes[:, -1, np.newaxis, np.newaxis] > 0.5, power, trimmed)
    return Schedules(net_kw=power, curtailed=np.maximum(by_step[:, :, -1], 0.0))


def _trimmed(case: Case, power: FloatArray, stored: FloatArray, floor: FloatArray) -> FloatArray:
    """Powers with what is left at the day's end taken off the last charging, as far as energies in between let it."""
    less_kw = np.zeros_like(power)
    gain = case.step_h * case.storage.charge_efficiency
    grown = case.storage.kept(case.step_h) ** -np.arange(
        1.0, case.n_steps + 1
    )  # a kWh at the end was so much here
    spare = np.full_like(power[:, 0], np.inf)  # that all later energies have, in terms of the first
    for k in reversed(range(case.n_steps)):
        spare = np.minimum(spare, grown[k] * np.maximum(stored[:, k] - floor[k + 1], 0.0))
        charged = grown[k] * gain * np.maximum(power[:, k], 0.0)
        less = np.minimum(spare, charged)
        less_kw[:, k] = less / (grown[k] * gain)
        spare = spare - less
    return power - less_kw


def _power_kw(case: Case, gained_kwh: FloatArray) -> FloatArray:
    """Power at the bus that changes what is stored by so much in a step."""
    charging = gained_kwh / case.storage.charge_efficiency
    discharging = gained_kwh * case.storage.discharge_efficiency
    return np.asarray(np.where(gained_kwh > 0.0, charging, discharging) / case.step_h)


def _gained_kwh(case: Case, power_kw: FloatArray) -> FloatArray:
    charging = case.storage.charge_efficiency * power_kw
    discharging = power_kw / case.storage.discharge_efficiency
    return np.asarray(case.step_h * np.where(power_kw > 0.0, charging, discharging))


def evaluate(case: Case, schedules: Schedules) -> Evaluated:
    """Put schedules of a day to AC power flow, all in one batch; they reach what `judging.judge` says."""
    (day,), net, net_kw = case.days, case.network, schedules.net_kw
    feeder, n = net.feeder, len(net_kw)
    place = np.zeros((case.design.n, feeder.n_buses))
    place[np.arange(case.design.n), case.design.bus] = 1.0
    sun_kw = day.pv_kw * (1.0 - schedules.curtailed[:, :, np.newaxis])
    demand_kw = day.demand_kw - sun_kw + net_kw @ place
    flat = (n * case.n_steps, feeder.n_buses)
    demand_kvar = np.broadcast_to(day.demand_kvar, demand_kw.shape).reshape(flat)
    flow = ac_power_flow(feeder, demand_kw.reshape(flat), demand_kvar, source_pu=net.source_pu)

    def by_plan(values: FloatArray) -> FloatArray:
        return values.reshape(n, case.n_steps, -1)

    loss = by_plan(flow.loss_kw).sum(axis=2)
    exchange = demand_kw.sum(axis=2) + loss
    bought, sold = np.maximum(exchange, 0.0), np.maximum(-exchange, 0.0)
    voltage, hours = by_plan(flow.voltage_pu), case.step_weight
    discharged = np.maximum(-net_kw, 0.0).sum(axis=2) @ hours
    money = bought @ (hours * day.buy_per_kwh) - sold @ (hours * day.sell_per_kwh)
    deviation = np.abs(voltage**2 - 1.0).mean(axis=2) / 2.0
    values = np.stack(
        [
            money + case.storage.wear_price_per_kwh * discharged + _annuities(case),
            exchange.max(axis=1) - exchange.min(axis=1),
            loss @ hours,
            deviation @ hours / hours.sum(),
            discharged,
            bought @ (hours * day.grid_kg_per_kwh),
        ],
        axis=1,
    )
    outside = np.maximum(net.voltage_min_pu - voltage, voltage - net.voltage_max_pu)
    outside[:, :, feeder.source_index] = 0.0
    exported = sold - day.export_limit_kw
    beyond = np.stack(
        [
            outside.max(axis=(1, 2)),
            by_plan(flow.loading).max(axis=(1, 2), initial=0.0) - 1.0,
            exported.max(axis=1) / max(float(np.abs(day.demand_kw).sum(axis=1).max()), 1.0),
        ],
        axis=1,
    )
    missing = ~flow.converged.reshape(n, case.n_steps).all(axis=1)
    values[missing], beyond[missing] = _NO_FLOW, 1.0
    return Evaluated(values=values, beyond=np.maximum(beyond, 0.0), exchange_kw=exchange)


def _annuities(case: Case) -> float:
    """What storage that stands costs, whatever it does."""
    if case.capital is None:
        return 0.0
    return case.capital.annuities(case.design, case.design.kwh_upper, case.design.kw_upper)


def nsga3(case: Case, search: Search = Search()) -> Evolved:  # noqa: B008 - frozen
    """Search schedules of a day that no other beats in all six objectives.

    The last generation, and the best in each objective that any generation had: directions keep a spread, not ends.

    Raises
    ------
    ArithmeticError
        When no schedule was found that keeps the limits.
    """
    problem, rng = _Problem(case), np.random.default_rng(search.seed)
    first = first_genes(case, search.population, rng)
    each = search.population // (2 * len(OBJECTIVES))
    alone = [_alone(problem, place, search, rng)[:each] for place in range(len(OBJECTIVES))]
    algorithm = NSGA3(
        ref_dirs=get_reference_directions("das-dennis", len(OBJECTIVES), n_partitions=search.partitions),
        pop_size=search.population,
        sampling=np.vstack([*alone, first[sum(map(len, alone)) :]]),
        **_variation(problem),
    )
    result = minimize(problem, algorithm, MaximumGenerationTermination(search.generations), seed=search.seed)
    genes = np.vstack([np.atleast_2d(result.pop.get("X")), *problem.best])
    schedules = decode(case, np.unique(genes, axis=0))
    found = evaluate(case, schedules)
    keeps = np.flatnonzero((found.beyond <= 0.0).all(axis=1))
    if not len(keeps):
        raise ArithmeticError(f"no schedule keeps the limits after {search.generations} generations")
    stays = keeps[_undominated(found.values[keeps])]
    return Evolved(
        schedules=schedules.at(stays),
        values=found.values[stays],
        exchange_kw=found.exchange_kw[stays],
        evaluations=problem.evaluations,
    )


def _alone(problem: _Problem, place: int, search: Search, rng: np.random.Generator) -> FloatArray:
    """Genes of the last generation that was after one objective alone, the best first."""
    result = minimize(
        _Single(problem, place),
        GA(
            pop_size=search.end_population,
            sampling=first_genes(problem.case, search.end_population, rng),
            **_variation(problem),
        ),
        MaximumGenerationTermination(search.end_generations),
        seed=search.seed,
    )
    last = result.pop
    order = np.lexsort([last.get("F")[:, 0], last.get("CV")[:, 0]])
    return np.asarray(last.get("X")[order], dtype=np.float64)


def _variation(problem: Problem) -> dict[str, Any]:
    """Children take each gene from either parent; a few are moved."""
    return {"crossover": UX(), "mutation": PM(eta=10, prob_var=_MUTATED / problem.n_var)}


def first_genes(case: Case, n: int, rng: np.random.Generator) -> FloatArray:
    """Genes (n, K (C + 1) + 1) of a first generation: rest, and charging where prices, emissions and demand are low.

    Each schedule weighs the three at random and follows them more or less strongly, with noise of its own in each step.
    In every eighth schedule some sun is curtailed, and a day may end with more than it began with.
    """
    (day,) = case.days
    load = (day.demand_kw - day.pv_kw).sum(axis=1)
    signals = np.stack([_standard(values) for values in (day.buy_per_kwh, day.grid_kg_per_kwh, load)])
    weight = rng.dirichlet(np.full(len(signals), 0.5), size=n)
    follows = _standard(weight @ signals)[:, :, np.newaxis]  # (n, K, 1)
    noise = 0.3 * rng.normal(size=(n, case.n_steps, case.design.n))
    strength = rng.random((n, 1, case.design.n)) * np.linspace(0.0, 5.0, n)[:, np.newaxis, np.newaxis]
    signal = follows + noise
    beyond = np.maximum(np.abs(signal) - rng.uniform(0.0, 1.5, (n, 1, 1)), 0.0)
    units = 0.5 - 0.5 * strength * np.sign(signal) * beyond
    curtails = (np.arange(n) % _CURTAILS == _CURTAILS - 1)[:, np.newaxis, np.newaxis]
    sun = np.where(curtails, rng.random((n, case.n_steps, 1)), 0.0)
    by_step = np.clip(np.concatenate([units, sun], axis=2), 0.0, 1.0).reshape(n, -1)
    return np.hstack([by_step, curtails[:, :, 0]])


def _standard(values: FloatArray) -> FloatArray:
    """Values less their mean, in standard deviations, along the last axis."""
    spread = values.std(axis=-1, keepdims=True)
    return np.asarray((values - values.mean(axis=-1, keepdims=True)) / np.where(spread > 0.0, spread, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """Points of a search beside what no plan can undercut that is no worse in all other objectives."""

    places: IntArray  # (n,) of the points among the search's
    cost: FloatArray  # (n,)
    bound: FloatArray  # (n,) certified

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def above(self) -> FloatArray:
        """By how much each point costs more than its bound."""
        return self.cost - self.bound


def compare(
    case: Case, found: Evolved, places: IntArray | None = None, *, relative_gap: float = RELATIVE_GAP
) -> Compared:
    """Certify how far the cost of points is from the least under the same bounds on the other five objectives.

    Every point is a plan within its own bounds, so that none can cost less than its bound.

    Parameters
    ----------
    places
        Of the points that are compared; all by default. Each takes some linear programs.
    """
    chosen = np.arange(len(found.values)) if places is None else places
    planner = Planner(case, Amounts(cost=1.0), Options(has_deviation=True), relative_gap=relative_gap)
    bounds = []
    for values in found.values[chosen]:
        limits = values + _LOOSE * np.maximum(np.abs(values), 1e-3)
        limits[_COST] = np.inf
        bounds.append(_least_cost(planner, Amounts.of(limits)))
    return Compared(places=chosen, cost=found.values[chosen, _COST], bound=np.array(bounds))


def _least_cost(planner: Planner, limits: Amounts) -> float:
    """Bound on the cost of plans within limits: `Planner.plan`'s, without the plan, which is a point of the search."""
    bound = -np.inf
    for _ in range(_ROUNDS):
        outcome = planner.relaxed(bounds=limits)
        stands = outcome.bound - bound < planner.relative_gap * abs(outcome.bound)
        bound = max(bound, outcome.bound)
        if stands or not planner.tighten(outcome.values):
            break
    return float(bound)


def ends(case: Case, *, relative_gap: float = RELATIVE_GAP) -> dict[Objective, Planned]:
    """Plans of the least of each objective alone, with certified bounds."""
    planner = Planner(case, Amounts(), Options(has_deviation=True), relative_gap=relative_gap)
    least: dict[Objective, Planned] = {}
    for name in OBJECTIVES:
        planner.aim(replace(Amounts(), **{name: 1.0}))
        least[name] = planner.plan(bounds=UNBOUNDED)
    return least


def _undominated(values: FloatArray) -> IntArray:
    return np.sort(NonDominatedSorting().do(values, only_non_dominated_front=True)).astype(np.int64)


class _Problem(Problem):
    """Genes in [0, 1], evaluated by generations; keeps the best in each objective."""

    def __init__(self, case: Case) -> None:
        super().__init__(
            n_var=case.n_steps * (case.design.n + 1) + 1,
            n_obj=len(OBJECTIVES),
            n_ieq_constr=3,
            xl=0.0,
            xu=1.0,
        )
        self.case = case
        self._least = np.full(len(OBJECTIVES), np.inf)
        self._best: dict[int, FloatArray] = {}
        self.evaluations = 0

    @property
    def best(self) -> list[FloatArray]:
        """Genes of the best in each objective that keep the limits."""
        return list(self._best.values())

    def _evaluate(self, x: FloatArray, out: dict[str, Any], *_: Any, **__: Any) -> None:
        out["F"], out["G"] = self.reached(x)

    def reached(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Objectives of genes, and what lies beyond limits; the best of them are kept."""
        found = evaluate(self.case, decode(self.case, x))
        self.evaluations += len(x)
        values = np.where((found.beyond > 0.0).any(axis=1, keepdims=True), np.inf, found.values)
        first = values.argmin(axis=0)
        for place, individual in enumerate(first.tolist()):
            if values[individual, place] < self._least[place]:
                self._least[place], self._best[place] = values[individual, place], x[individual]
        return found.values, found.beyond


class _Single(Problem):
    """One of the objectives alone."""

    def __init__(self, whole: _Problem, place: int) -> None:
        super().__init__(n_var=whole.n_var, n_obj=1, n_ieq_constr=3, xl=0.0, xu=1.0)
        self._whole, self._place = whole, place

    def _evaluate(self, x: FloatArray, out: dict[str, Any], *_: Any, **__: Any) -> None:
        values, out["G"] = self._whole.reached(x)
        out["F"] = values[:, self._place : self._place + 1]
