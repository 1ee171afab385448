"""How far back a scenario's world reaches, and what a longer past may not change."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.shipped import load_scenario, locate
from sim.errors import ScenarioError
from sim.history import days_before, needs_history, wants_paths, wants_quantiles
from sim.world import World, build_world

SERIES = ("load_kw", "pv_kw", "wind_kw", "buy_price_per_kwh")


def world(*overrides: str) -> World:
    """Build the shipped world."""
    return build_world(load_scenario("multi-microgrid", list(overrides)), locate)


@pytest.mark.parametrize(
    ("overrides", "days"),
    [
        ((), 1),
        (("forecast.kind=perfect", "forecast.spread=always"), 1),
        (("forecast.kind=seasonal-naive",), 28),
        (("forecast.kind=learned", "forecast.history_days=21"), 21),
        (("forecast.spread=always",), 28),
        (("dispatch.policy=margin",), 28),
        (("dispatch.policy=stochastic",), 28),
        (("forecast.spread=always", "forecast.quantile_levels=[]", "forecast.n_paths=0"), 1),
    ],
)
def test_a_history_is_there_where_it_is_needed(overrides: tuple[str, ...], days: int) -> None:
    """Long pasts belong to the kinds that look back, and to quantiles; the default has a yesterday only."""
    scenario = load_scenario("multi-microgrid", list(overrides))
    assert days_before(scenario) == days
    assert needs_history(scenario) == (days > 1)


def test_paths_belong_to_the_policy_that_uses_them() -> None:
    """`margin` gets quantiles, `stochastic` paths as well, other policies neither."""
    asked = {
        policy: load_scenario("multi-microgrid", [f"dispatch.policy={policy}"])
        for policy in ("rolling", "margin", "stochastic")
    }
    assert [wants_quantiles(scenario) for scenario in asked.values()] == [False, True, True]
    assert [wants_paths(scenario) for scenario in asked.values()] == [False, False, True]


def test_a_longer_past_leaves_the_rest_of_the_world_alone() -> None:
    """From day -1 on the world is the same to the bit; a longer history extends a shorter one."""
    plain = world()
    some = world("forecast.kind=seasonal-naive", "forecast.history_days=9")
    more = world("forecast.kind=seasonal-naive", "forecast.history_days=15")
    assert (plain.first_step, some.first_step, more.first_step) == (-96, -9 * 96, -15 * 96)
    assert plain.end_step == some.end_step == more.end_step
    for name in SERIES:
        np.testing.assert_array_equal(getattr(some, name)[8 * 96 :], getattr(plain, name))
        np.testing.assert_array_equal(getattr(more, name)[6 * 96 :], getattr(some, name))


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        (["forecast.kind=seasonal-naive", "forecast.history_days=6"], "needs at least 7, is 6"),
        (["forecast.kind=learned", "forecast.history_days=13"], "needs at least 14, is 13"),
        (["forecast.spread=always", "forecast.history_days=7"], "with quantiles needs at least 8, is 7"),
        (["forecast.quantile_levels=[0.5, 0.25]"], "forecast.quantile_levels: must rise"),
        (["forecast.spread=always", "forecast.quantile_levels=[0.5]"], "paths need at least 2"),
    ],
)
def test_faults_across_sections(overrides: list[str], fault: str) -> None:
    """A past too short for the forecaster, and levels that do not rise, are told with their place."""
    with pytest.raises(ScenarioError, match=r"forecast\.") as caught:
        load_scenario("multi-microgrid", overrides)
    assert fault in str(caught.value)
