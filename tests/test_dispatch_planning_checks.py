"""Inputs of planning that cannot be: each is refused where it comes in, by class, field, position and value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dispatch.planning.day import Capital, Case, Design, FeederDay, Storage, fixed_sizes, free_sizes, one_day
from dispatch.planning.evolution import Search
from dispatch.planning.front import front, grid
from dispatch.planning.hosting import hosting
from dispatch.planning.planner import Planner, best_plan
from dispatch.planning.program import UNBOUNDED, Amounts, Hosts, Options, Reserve
from dispatch.planning.reserve import draw_activations, execute
from dispatch.station.sizing import Asset
from sim.feeder.model import Feeder, Network

N_STEPS, N_BUSES = 3, 4
NAN, INF = float("nan"), float("inf")


def network(**changes: Any) -> Network:
    """A street of four buses; changes are the network's or its feeder's."""
    m = N_BUSES - 1
    of_feeder = {
        "bus_names": tuple("abcd"),
        "load_kw": np.zeros(N_BUSES),
        "load_kvar": np.zeros(N_BUSES),
        "source_index": 0,
        "branch_names": tuple("xyz"),
        "parent_index": np.arange(m),
        "child_index": np.arange(1, N_BUSES),
        "r_pu": np.full(m, 0.02),
        "x_pu": np.full(m, 0.02),
        "b_pu": np.zeros(m),
        "rating_kva": np.full(m, INF),
        "is_transformer": np.zeros(m, dtype=np.bool_),
    }
    of_network = {
        "source_pu": 1.0,
        "voltage_min_pu": 0.9,
        "voltage_max_pu": 1.1,
        "load_kvar_per_kw": np.zeros(N_BUSES),
    }
    feeder = Feeder(**(of_feeder | {name: changes[name] for name in changes if name in of_feeder}))
    own = {name: changes[name] for name in changes if name in of_network}
    return Network(feeder=feeder, **(of_network | own))


def day(**changes: Any) -> FeederDay:
    """Three hours with a load at every bus."""
    load = np.full((N_STEPS, N_BUSES), 20.0)
    values = {
        "network": network(),
        "step_h": 1.0,
        "demand_kw": load,
        "demand_kvar": 0.3 * load,
        "pv_kw": 0.0 * load,
        "buy_per_kwh": np.array([0.1, 0.2, 0.3]),
        "sell_per_kwh": np.array([0.05, 0.1, 0.15]),
        "grid_kg_per_kwh": np.full(N_STEPS, 0.4),
    }
    return FeederDay(**(values | changes))


def put(values: np.ndarray, at: int | tuple[int, int], value: float) -> np.ndarray:
    """The array with another value at one position."""
    changed = values.copy()
    changed[at] = value
    return changed


def design(**changes: Any) -> Design:
    """Two candidates."""
    values = {
        "bus": np.array([1, 3]),
        "kwh_lower": np.zeros(2),
        "kwh_upper": np.full(2, 100.0),
        "kw_lower": np.zeros(2),
        "kw_upper": np.full(2, 50.0),
    }
    return Design(**(values | changes))


def case(**changes: Any) -> Case:
    """One day with two candidates."""
    values = {"days": (day(),), "weight": np.ones(1), "storage": Storage(), "design": design()}
    return Case(**(values | changes))


def capital(**changes: Any) -> Capital:
    """What storage costs."""
    asset = Asset(price=100.0, life_years=10.0)
    return Capital(**({"kwh": asset, "kw": asset, "site": asset, "rate": 0.05} | changes))


def hosted(**changes: Any) -> Any:
    """Further sun at the last bus."""
    values = {"share": np.array([0.0, 0.0, 0.0, 1.0]), "profile": np.ones(N_STEPS), "most_kw": 100.0}
    return hosting(case(), **(values | changes))


def refused(call: Callable[..., Any], message: str, **values: Any) -> None:
    """The call raises a single line that begins so."""
    with pytest.raises(ValueError, match="^" + re.escape(message)) as told:
        call(**values)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("step_h", 0.0, "FeederDay: step_h is 0.0, must be finite and above 0"),
        ("step_h", -1.0, "FeederDay: step_h is -1.0, must be"),
        ("step_h", NAN, "FeederDay: step_h is nan, must be"),
        ("demand_kw", np.full((N_STEPS, N_BUSES), NAN), "FeederDay: demand_kw[0, 0] is nan, must be finite"),
        ("demand_kw", np.ones(N_BUSES), "FeederDay: demand_kw has shape (4,), must be steps by buses"),
        ("demand_kw", np.ones((0, N_BUSES)), "FeederDay: demand_kw has shape (0, 4), must be steps by buses"),
        ("demand_kw", np.ones((N_STEPS, 2)), "FeederDay: demand_kw has 2 buses, the feeder 4"),
        ("demand_kvar", put(np.ones((N_STEPS, N_BUSES)), (2, 1), INF), "FeederDay: demand_kvar[2, 1] is inf"),
        ("demand_kvar", np.ones((2, N_BUSES)), "FeederDay: demand_kvar has shape (2, 4), demand_kw (3, 4)"),
        ("pv_kw", put(np.zeros((N_STEPS, N_BUSES)), (1, 2), -1.0), "FeederDay: pv_kw[1, 2] is -1.0, must be"),
        ("pv_kw", put(np.zeros((N_STEPS, N_BUSES)), (1, 2), NAN), "FeederDay: pv_kw[1, 2] is nan, must be"),
        ("buy_per_kwh", np.array([0.1, NAN, 0.3]), "FeederDay: buy_per_kwh[1] is nan, must be finite"),
        ("buy_per_kwh", np.array([0.1, INF, 0.3]), "FeederDay: buy_per_kwh[1] is inf, must be finite"),
        ("buy_per_kwh", np.ones(5), "FeederDay: buy_per_kwh has 5 steps, demand_kw 3"),
        ("buy_per_kwh", np.ones((N_STEPS, 1)), "FeederDay: buy_per_kwh has shape (3, 1)"),
        ("sell_per_kwh", np.array([NAN, 0.0, 0.0]), "FeederDay: sell_per_kwh[0] is nan, must be finite"),
        ("sell_per_kwh", np.array([-INF, 0.0, 0.0]), "FeederDay: sell_per_kwh[0] is -inf, must be finite"),
        (
            "sell_per_kwh",
            np.array([0.0, 0.5, 0.0]),
            "FeederDay: sell_per_kwh[1] is 0.5, above buy_per_kwh 0.2",
        ),
        ("grid_kg_per_kwh", np.array([0.0, 0.0, NAN]), "FeederDay: grid_kg_per_kwh[2] is nan, must be"),
        ("export_limit_kw", -5.0, "FeederDay: export_limit_kw is -5.0, must be not negative (inf: no limit)"),
        ("export_limit_kw", NAN, "FeederDay: export_limit_kw is nan, must be"),
    ],
)
def test_a_day_is_refused(name: str, value: Any, message: str) -> None:
    """A NaN among the prices would keep the solver running for ever."""
    refused(day, message, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("voltage_min_pu", 1.2, "Network: voltage_min_pu is 1.2, above voltage_max_pu 1.1"),
        ("voltage_min_pu", -0.9, "Network: voltage_min_pu is -0.9, must be"),
        ("voltage_max_pu", NAN, "Network: voltage_max_pu is nan, must be"),
        ("source_pu", 0.0, "Network: source_pu is 0.0, must be"),
        ("r_pu", np.array([0.1, NAN, 0.1]), "Feeder: r_pu[1] is nan, must be finite"),
        ("rating_kva", np.array([INF, INF, NAN]), "Feeder: rating_kva[2] is nan, must be"),
    ],
)
def test_a_network_is_refused(name: str, value: Any, message: str) -> None:
    """An inverted band is no bus that leaves it."""
    refused(day, message, network=network(**{name: value}))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("charge_efficiency", 2.0, "Storage: charge_efficiency is 2.0, must be above 0 and at most 1"),
        ("charge_efficiency", 0.0, "Storage: charge_efficiency is 0.0, must be"),
        ("discharge_efficiency", NAN, "Storage: discharge_efficiency is nan, must be"),
        ("discharge_efficiency", -0.9, "Storage: discharge_efficiency is -0.9, must be"),
        (
            "self_discharge_per_day",
            1.0,
            "Storage: self_discharge_per_day is 1.0, must be at least 0 and below 1",
        ),
        ("self_discharge_per_day", NAN, "Storage: self_discharge_per_day is nan, must be"),
        ("soc_min", -0.1, "Storage: soc_min is -0.1, must be between 0 and 1"),
        ("soc_max", 1.5, "Storage: soc_max is 1.5, must be between 0 and 1"),
        ("initial_soc", NAN, "Storage: initial_soc is nan, must be between 0 and 1"),
        ("initial_soc", 0.99, "Storage: soc_min 0.1, initial_soc 0.99, soc_max 0.95 must rise"),
        ("kw_per_kwh", -1.0, "Storage: kw_per_kwh is -1.0, must be"),
        ("kw_per_kwh", NAN, "Storage: kw_per_kwh is nan, must be"),
        ("wear_price_per_kwh", -0.01, "Storage: wear_price_per_kwh is -0.01, must be"),
        ("wear_price_per_kwh", INF, "Storage: wear_price_per_kwh is inf, must be"),
    ],
)
def test_a_storage_is_refused(name: str, value: float, message: str) -> None:
    """Storage that makes energy would get a certified cost."""
    refused(Storage, message, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("bus", np.array([1, -1]), "Design: bus[1] is -1, must be a whole number of at least 0"),
        ("bus", np.array([1.0, 1.5]), "Design: bus[1] is 1.5, must be a whole number of at least 0"),
        ("kwh_lower", np.array([0.0, 200.0]), "Design: kwh_lower[1] is 200.0, above kwh_upper 100.0"),
        ("kw_lower", np.array([60.0, 0.0]), "Design: kw_lower[0] is 60.0, above kw_upper 50.0"),
        ("kw_lower", np.array([-1.0, 0.0]), "Design: kw_lower[0] is -1.0, must be finite and not negative"),
        ("kwh_upper", np.array([INF, 1.0]), "Design: kwh_upper[0] is inf, must be finite and not negative"),
        ("kw_upper", np.array([1.0, NAN]), "Design: kw_upper[1] is nan, must be finite and not negative"),
        ("kw_upper", np.ones(1), "Design: kw_upper has 1 candidates, bus 2"),
        ("most_sites", -1, "Design: most_sites is -1, must be a whole number of at least 0"),
        ("pays_site", np.ones(3), "Design: pays_site has shape (3,), bus (2,)"),
        ("pays_site", np.array([0.5, 1.0]), "Design: pays_site[0] is 0.5, must be 0 or 1"),
        ("pays_site", np.array([1.0, 2.0]), "Design: pays_site[1] is 2.0, must be 0 or 1"),
    ],
)
def test_a_design_is_refused(name: str, value: Any, message: str) -> None:
    """Python would take a negative position from the end."""
    refused(design, message, **{name: value})


def test_sizes_are_refused() -> None:
    """Sizes that stand, candidates, and positions among them."""
    refused(fixed_sizes, "Design: bus[0] is -1, must be", bus=[-1], kwh=[1.0], kw=[1.0])
    refused(fixed_sizes, "Design: bus is ['33'], must be", bus=["33"], kwh=[1.0], kw=[1.0])
    refused(fixed_sizes, "Design: kwh_lower[0] is -1.0, must be", bus=[1], kwh=[-1.0], kw=[1.0])
    refused(free_sizes, "Design: kw_upper[0] is nan, must be", bus=[1], kwh_max=1.0, kw_max=NAN)
    refused(
        design().only, "Design.only: sites[0] is 2, must be the position of one of 2 candidates", sites=[2]
    )
    standing = {"kwh_lower": np.ones(2), "most_sites": 1}
    refused(design, "Design: most_sites is 1, 2 candidates have a lower bound above 0", **standing)
    assert fixed_sizes([], [], []).n == free_sizes([], kwh_max=1.0, kw_max=1.0).n == 0


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("days", (), "Case: days is empty, must have at least one day"),
        ("weight", np.ones(2), "Case: weight has 2 days, days 1"),
        ("weight", np.array([NAN]), "Case: weight[0] is nan, must be finite and above 0"),
        ("weight", np.array([INF]), "Case: weight[0] is inf, must be finite and above 0"),
        ("weight", np.array([0.0]), "Case: weight[0] is 0.0, must be finite and above 0"),
        (
            "design",
            design(bus=np.array([1, 77])),
            "Case: design.bus[1] is 77, must be the position of one of 4 buses of the feeder, 0 to 3",
        ),
    ],
)
def test_a_case_is_refused(name: str, value: Any, message: str) -> None:
    """What only days and design together tell."""
    refused(case, message, **{name: value})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kwh", Asset(price=-1.0, life_years=10.0), "Capital: kwh.price is -1.0, must be"),
        ("kw", Asset(price=NAN, life_years=10.0), "Capital: kw.price is nan, must be"),
        ("site", Asset(price=1.0, life_years=0.0), "Capital: site.life_years is 0.0, must be above 0"),
        ("rate", NAN, "Capital: rate is nan, must be finite and above -1"),
        ("rate", -1.0, "Capital: rate is -1.0, must be finite and above -1"),
    ],
)
def test_capital_is_refused(name: str, value: Any, message: str) -> None:
    """Prices, lives and the rate of interest."""
    refused(capital, message, **{name: value})


def test_weights_and_bounds_are_refused() -> None:
    """Objectives are minimised: a negative weight is none, and a bound is a number."""
    refused(best_plan, "weights: cost is -1.0, must be", case=case(), weights=Amounts(cost=-1.0))
    refused(best_plan, "weights: loss_kwh is nan, must be", case=case(), weights=Amounts(loss_kwh=NAN))
    planner = Planner(case(), Amounts(cost=1.0))
    refused(planner.aim, "weights: wear_kwh is inf, must be", weights=Amounts(wear_kwh=INF))
    refused(planner.plan, "bounds: cost is nan, must be a number", bounds=replace(UNBOUNDED, cost=NAN))
    refused(planner.plan, "bounds: loss_kwh is -inf, must be", bounds=replace(UNBOUNDED, loss_kwh=-INF))


def test_options_are_refused() -> None:
    """Prices beyond limits, of reserve, further sun, and the search."""
    price = np.full(N_STEPS, 0.01)
    refused(Options, "Options: beyond_price is nan, must be", beyond_price=NAN)
    bad = {"up_per_kw_h": price, "down_per_kw_h": put(price, 1, NAN), "duration_h": 1.0}
    refused(Reserve, "Reserve: down_per_kw_h[1] is nan, must be finite", **bad)
    long = {"up_per_kw_h": price, "down_per_kw_h": price, "duration_h": INF}
    refused(Reserve, "Reserve: duration_h is inf, must be", **long)
    refused(Hosts, "Hosts: most_kw is inf, must be", per_kw=np.ones((N_STEPS, N_BUSES)), most_kw=INF)
    refused(Search, "Search: population is 0, must be a whole number of at least 1", population=0)
    refused(Search, "Search: seed is -1, must be a whole number of at least 0", seed=-1)


def test_options_of_other_steps_are_refused() -> None:
    """Shapes that the case alone tells."""
    price, cost = np.full(5, 0.01), Amounts(cost=1.0)
    market = Options(reserve=Reserve(up_per_kw_h=price, down_per_kw_h=price, duration_h=1.0))
    told = "Reserve: up_per_kw_h has shape (5,), steps of a day (3,)"
    refused(Planner, told, case=case(), weights=cost, options=market)
    sun = Options(hosts=Hosts(per_kw=np.ones((5, N_BUSES)), most_kw=1.0))
    told = "Hosts: per_kw has shape (5, 4), steps of a day and buses (3, 4)"
    refused(Planner, told, case=case(), weights=cost, options=sun)


def test_settings_of_a_planner_are_refused() -> None:
    """Gap and number of nodes."""
    cost = Amounts(cost=1.0)
    refused(Planner, "relative_gap is nan, must be", case=case(), weights=cost, relative_gap=NAN)
    refused(Planner, "node_limit is -1, must be", case=case(), weights=cost, node_limit=-1)


def test_fronts_are_refused() -> None:
    """Too few points, and objectives that there are not."""
    refused(front, "front: n_points is 1, must be", case=case(), second="loss_kwh", n_points=1)
    refused(front, "no objective 'losses', there are cost, peak_valley_kw", case=case(), second="losses")
    both = {"second": "loss_kwh", "third": "wear_kwh"}
    refused(grid, "grid: n_points is 0, must be", case=case(), n_points=0, **both)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("share", np.zeros(N_BUSES), "hosting: sum of share is 0.0, must be finite and above 0"),
        ("share", np.array([2.0, -1.0, 0.0, 0.0]), "hosting: share[1] is -1.0, must be"),
        ("share", np.ones(2), "hosting: share has shape (2,), the case (4,)"),
        ("profile", np.array([1.0, NAN, 0.0]), "hosting: profile[1] is nan, must be"),
        ("profile", np.zeros(N_STEPS), "hosting: sum of profile is 0.0, must be"),
        ("profile", np.ones(2), "hosting: profile has shape (2,), the case (3,)"),
        ("most_kw", INF, "hosting: most_kw is inf, must be finite and above 0"),
    ],
)
def test_further_sun_is_refused(name: str, value: Any, message: str) -> None:
    """Proportions, profile and the most that is asked about."""
    refused(hosted, message, **{name: value})


def test_calls_are_refused() -> None:
    """Chances are shares, and steps have a length."""
    rng = np.random.default_rng(1)
    drawn = {"rng": rng, "n_steps": 3, "probability": 1.5, "persistence": 0.0}
    refused(draw_activations, "draw_activations: probability is 1.5, must be between 0 and 1", **drawn)
    planned = best_plan(one_day(day(), Storage(), design()), Amounts(cost=1.0))
    called = {"plan": planned.plan, "storage": Storage(), "calls": np.zeros(N_STEPS, dtype=np.int64)}
    refused(execute, "execute: step_h is 0.0, must be", step_h=0.0, steps_per_day=N_STEPS, **called)
    refused(execute, "execute: steps_per_day is 0, must be", step_h=1.0, steps_per_day=0, **called)


def test_what_can_be_is_taken() -> None:
    """No limits, perfect storage, prices below zero, equal ends of a band, a size of nothing, two units at a bus."""
    negative = day(buy_per_kwh=np.full(N_STEPS, -0.1), sell_per_kwh=np.full(N_STEPS, -0.2))
    assert negative.export_limit_kw == INF
    assert day(network=network(voltage_min_pu=1.0, voltage_max_pu=1.0)).n_steps == N_STEPS
    perfect = Storage(
        charge_efficiency=1.0, discharge_efficiency=1.0, soc_min=0.0, soc_max=1.0, initial_soc=0.0
    )
    assert perfect.kw_per_kwh == INF
    assert case(design=fixed_sizes([0, 0], [0.0, 1.0], [0.0, 1.0]), capital=capital(rate=0.0)).n_steps == 3
    assert best_plan(case(), Amounts(cost=1.0)).is_found
