"""NSGA-III on a feeder: schedules feasible whatever the genes, the judge's values, nothing below a certified bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dispatch.planning.day import Case, FeederDay, Storage, fixed_sizes, free_sizes, one_day
from dispatch.planning.evolution import (
    Evolved,
    Schedules,
    Search,
    compare,
    decode,
    ends,
    evaluate,
    first_genes,
    nsga3,
)
from dispatch.planning.judging import judge
from dispatch.planning.planner import best_plan
from dispatch.planning.program import OBJECTIVES, Amounts, Options
from sim.feeder.model import Feeder, Network

WITH_DEVIATION = Options(has_deviation=True)
SHORT = Search(partitions=2, population=24, generations=6, end_population=12, end_generations=6)


def street(band: tuple[float, float] = (0.9, 1.1)) -> Network:
    """Buses 0 - 1 - 2 - 3."""
    return Network(
        feeder=Feeder(
            bus_names=tuple("abcd"),
            load_kw=np.zeros(4),
            load_kvar=np.zeros(4),
            source_index=0,
            branch_names=("L0", "L1", "L2"),
            parent_index=np.array([0, 1, 2]),
            child_index=np.array([1, 2, 3]),
            r_pu=np.array([0.02, 0.05, 0.06]),
            x_pu=np.array([0.02, 0.03, 0.03]),
            b_pu=np.zeros(3),
            rating_kva=np.full(3, np.inf),
            is_transformer=np.zeros(3, dtype=np.bool_),
        ),
        source_pu=1.0,
        voltage_min_pu=band[0],
        voltage_max_pu=band[1],
        load_kvar_per_kw=np.zeros(4),
    )


def street_day(n_steps: int = 8, *, band: tuple[float, float] = (0.9, 1.1)) -> FeederDay:
    """A peak at noon, when energy is dear, sun at the end of the street in the middle of the day."""
    hour = (np.arange(n_steps) + 0.5) / n_steps
    load = np.outer(80.0 - 50.0 * np.cos(2.0 * np.pi * hour), [0.0, 1.0, 0.7, 0.5])
    sun = np.zeros_like(load)
    sun[:, 3] = 25.0 * np.maximum(np.sin(2.0 * np.pi * (hour - 0.25)), 0.0)
    buy = 0.2 - 0.1 * np.cos(2.0 * np.pi * hour)
    return FeederDay(
        network=street(band),
        step_h=24.0 / n_steps,
        demand_kw=load,
        demand_kvar=0.3 * load,
        pv_kw=sun,
        buy_per_kwh=buy,
        sell_per_kwh=0.5 * buy,
        grid_kg_per_kwh=0.4 + 0.2 * np.sin(2.0 * np.pi * hour),
    )


def street_case(storage: Storage = Storage(wear_price_per_kwh=0.01)) -> Case:  # noqa: B008 - frozen
    """A day of the street with two units."""
    return one_day(street_day(), storage, fixed_sizes([2, 3], [200.0, 150.0], [40.0, 25.0]))


@pytest.mark.parametrize("lost_per_day", [0.0, 0.1])
@pytest.mark.parametrize("initial", [0.1, 0.5, 0.95])
def test_whatever_the_genes_schedules_are_feasible(lost_per_day: float, initial: float) -> None:
    """Powers and energies are within their limits, and the day ends with no less than it began with."""
    case = street_case(Storage(self_discharge_per_day=lost_per_day, initial_soc=initial, soc_max=0.95))
    rng = np.random.default_rng(3)
    n = case.n_steps * 3 + 1
    genes = np.vstack([rng.random((60, n)), rng.integers(0, 2, (60, n)), first_genes(case, 40, rng)])
    found, unit, kwh = decode(case, genes), case.storage, case.design.kwh_upper
    assert (np.abs(found.net_kw) <= case.design.kw_upper + 1e-9).all()
    assert ((found.curtailed >= 0.0) & (found.curtailed <= 1.0)).all()
    energy = np.tile(unit.initial_soc * kwh, (len(genes), 1))
    for k in range(case.n_steps):
        power = found.net_kw[:, k]
        charged, discharged = np.maximum(power, 0.0), np.maximum(-power, 0.0)
        energy = unit.kept(case.step_h) * energy + case.step_h * (0.95 * charged - discharged / 0.95)
        assert (energy >= unit.soc_min * kwh - 1e-9).all()
        assert (energy <= unit.soc_max * kwh + 1e-9).all()
    assert (energy >= unit.initial_soc * kwh - 1e-9).all()


def test_what_is_left_at_the_end_was_not_charged() -> None:
    """A day that only ever charges does nothing: all that it took could be left out; unless it is to be kept."""
    case = street_case()
    genes = np.ones((2, case.n_steps * 3 + 1))
    genes[0, -1] = 0.0
    left_out, kept = decode(case, genes).net_kw
    assert left_out == pytest.approx(0.0, abs=1e-9)
    assert kept.sum(axis=0) * case.step_h * 0.95 == pytest.approx(0.45 * case.design.kwh_upper)


def test_rest_in_the_middle_of_genes() -> None:
    """Genes in the middle are a schedule without any power and all sun."""
    case = street_case()
    found = decode(case, np.full((1, case.n_steps * 3 + 1), 0.5))
    assert not found.net_kw.any()
    assert not found.curtailed.any()


def test_many_are_judged_as_one_is() -> None:
    """A batch reaches for each schedule what `judge` says of it alone, also under curtailment and a broken band."""
    case = replace(street_case(), days=(street_day(band=(0.985, 1.1)),))
    rng = np.random.default_rng(5)
    schedules = decode(case, rng.random((6, case.n_steps * 3 + 1)))
    found = evaluate(case, schedules)
    evolved = Evolved(schedules=schedules, values=found.values, exchange_kw=found.exchange_kw, evaluations=6)
    n_outside = 0
    for place in range(6):
        judged = judge(case, evolved.plan(case, place), WITH_DEVIATION)
        assert found.values[place] == pytest.approx(judged.reached.as_array(), rel=1e-9)
        assert found.exchange_kw[place] == pytest.approx(judged.exchange_kw, rel=1e-9)
        worst = max((one.excess for one in judged.violations), default=0.0)
        assert found.beyond[place].max() == pytest.approx(worst, abs=2e-5)  # judged with a tolerance
        n_outside += not judged.keeps_limits
    assert n_outside > 0
    assert evolved.plan(case, 0).curtailed_kw.sum() > 0.0


def test_a_seed_is_a_search() -> None:
    """The same seed gives the same bits, another one others."""
    case = street_case()
    one, same, other = (nsga3(case, replace(SHORT, seed=seed)) for seed in (1, 1, 2))
    assert (one.values == same.values).all()
    assert (one.schedules.net_kw == same.schedules.net_kw).all()
    assert one.values.shape != other.values.shape or (one.values != other.values).any()
    assert 0 < one.evaluations <= 6 * 12 * 6 + 24 * 6


def test_no_point_beats_another_or_its_bound() -> None:
    """Points keep the limits; none is dominated; none costs less than what is certified for all else it reaches."""
    case = street_case()
    found = nsga3(case, SHORT)
    values = found.values
    for point in values:
        assert not ((values <= point).all(axis=1) & (values < point).any(axis=1)).any()
    assert judge(case, found.plan(case, found.best("cost")), WITH_DEVIATION).keeps_limits
    compared = compare(case, found)
    assert len(compared.bound) == len(values)
    assert (compared.above > -1e-6 * np.abs(compared.cost)).all()
    assert compared.above.max() > 0.0
    for place in range(0, len(values), 5):
        limits = values[place] + 1e-6 * np.maximum(np.abs(values[place]), 1e-3)
        limits[OBJECTIVES.index("cost")] = np.inf
        planned = best_plan(case, Amounts(cost=1.0), bounds=Amounts.of(limits))
        assert compared.bound[place] == pytest.approx(planned.bound, rel=1e-3)
    least = ends(case)
    for name in OBJECTIVES:
        reached = values[:, OBJECTIVES.index(name)].min()
        assert reached >= least[name].bound - 1e-6 * max(abs(reached), 1e-3)


def test_a_long_search_finds_the_exact_ends() -> None:
    """With enough generations each objective's best is within three per cent of its certified bound."""
    case = street_case()
    found = nsga3(
        case, Search(partitions=3, population=56, generations=10, end_population=40, end_generations=80)
    )
    least = ends(case)
    idle = evaluate(case, decode(case, np.full((1, case.n_steps * 3 + 1), 0.5))).values[0]
    for place, name in enumerate(OBJECTIVES):
        best, bound = found.values[found.best(name), place], least[name].bound
        assert best <= bound + 0.03 * max(abs(bound), 1e-6), name
        if idle[place] - bound > 0.01 * bound:  # rest is not the best there is
            assert best - bound < 0.25 * (idle[place] - bound), name


def test_what_cannot_be_decoded_is_refused() -> None:
    """Several days, free sizes, and storage that loses more than it can charge."""
    case = street_case()
    genes = np.full((1, case.n_steps * 3 + 1), 0.5)
    with pytest.raises(ValueError, match="single day"):
        decode(replace(case, days=case.days * 2, weight=np.ones(2)), genes)
    with pytest.raises(ValueError, match="fixed"):
        decode(replace(case, design=free_sizes([2, 3], kwh_max=9.0, kw_max=9.0)), genes)
    leaking = Storage(self_discharge_per_day=0.9, initial_soc=0.9, soc_min=0.0)
    weak = fixed_sizes([2, 3], [200.0, 150.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="loses"):
        decode(one_day(street_day(), leaking, weak), genes)


def test_limits_that_no_schedule_keeps_are_told() -> None:
    """A band above what the street can have leaves nothing to return."""
    case = one_day(
        street_day(band=(0.9999, 1.1)), Storage(), fixed_sizes([2, 3], [200.0, 150.0], [40.0, 25.0])
    )
    with pytest.raises(ArithmeticError, match="no schedule keeps"):
        nsga3(case, SHORT)


def test_where_no_power_flow_exists_nothing_counts() -> None:
    """Demand beyond what the street carries is beyond its limits, not an error."""
    day = street_day()
    heavy = replace(day, demand_kw=300.0 * day.demand_kw)
    case = one_day(heavy, Storage(), fixed_sizes([2], [200.0], [40.0]))
    idle = Schedules(net_kw=np.zeros((1, 8, 1)), curtailed=np.zeros((1, 8)))
    found = evaluate(case, idle)
    assert (found.beyond > 0.0).all()
    assert np.isfinite(found.values).all()


def test_longer_is_never_worse_at_the_ends() -> None:
    """What any generation had as its best in an objective is there at the end."""
    case = street_case()
    short, longer = (nsga3(case, replace(SHORT, generations=n)).values.min(axis=0) for n in (2, 12))
    assert (longer <= short).all()
