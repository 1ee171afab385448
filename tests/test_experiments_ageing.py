"""Ageing by hand: cycles of known depth, rest at a known state of charge."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.ageing import YEAR_S, calendar_life, cars_wear, cycle_life, storage_wear, wear_of
from sim.scenario import Ageing

AGEING = Ageing(
    cycles_at_full_depth=2000.0,
    depth_exponent=1.5,
    calendar_fade_per_year=0.02,
    calendar_soc=0.5,
    calendar_soc_factor=3.0,
    end_of_life_fade=0.2,
    replacement_cost_per_kwh=100.0,
)


def test_cycles_of_known_depth() -> None:
    """A full cycle down and up uses 1/N1; half a cycle half of that; one of half depth 0.5^1.5 of it."""
    assert cycle_life(np.array([1.0, 0.0, 1.0]), AGEING) == pytest.approx(1 / 2000)
    assert cycle_life(np.array([1.0, 0.0]), AGEING) == pytest.approx(0.5 / 2000)
    assert cycle_life(np.array([0.8, 0.3, 0.8]), AGEING) == pytest.approx(0.5**1.5 / 2000)


def test_a_small_cycle_within_a_large_one_counts_by_itself() -> None:
    """Rainflow: 0.9 -> 0.4 -> 0.6 -> 0.2 is half a cycle of 0.7 and a whole one of 0.2."""
    expected = (0.5 * 0.7**1.5 + 0.2**1.5) / 2000
    assert cycle_life(np.array([0.9, 0.4, 0.6, 0.2]), AGEING) == pytest.approx(expected)


def test_rest_uses_life_by_the_state_of_charge() -> None:
    """A year at the reference uses fade / end of life; at 1 three times that at 0."""
    at = {soc: calendar_life(*(np.array([x]) for x in (soc, soc, YEAR_S)), AGEING) for soc in (0.0, 0.5, 1.0)}
    assert at[0.5] == pytest.approx(0.1)
    assert at[1.0] / at[0.0] == pytest.approx(3.0)


def test_a_moving_state_of_charge_is_integrated() -> None:
    """An even rise from 0.2 to 0.9 is the limit of many short rests."""
    soc = np.linspace(0.2, 0.9, 100_001)
    middle = (soc[1:] + soc[:-1]) / 2
    fine = calendar_life(middle, middle, np.full(100_000, YEAR_S / 100_000), AGEING)
    assert calendar_life(np.array([0.2]), np.array([0.9]), np.array([YEAR_S]), AGEING) == pytest.approx(
        fine, rel=1e-8
    )


@given(st.lists(st.floats(0.2, 0.9), min_size=2, max_size=30))
def test_standing_still_adds_no_cycles(soc: list[float]) -> None:
    """Repeating a state of charge changes nothing, and deeper is never better than flat."""
    series = np.array(soc)
    repeated = np.repeat(series, 3)
    assert cycle_life(repeated, AGEING) == pytest.approx(cycle_life(series, AGEING), abs=1e-15)
    assert cycle_life(np.full(len(soc), soc[0]), AGEING) == 0.0


def test_wear_counts_energy_both_ways() -> None:
    """From 10 to 18 to 11 kWh of 20: 15 kWh moved are 0.375 full cycles."""
    wear = wear_of(np.array([10.0, 18.0]), np.array([18.0, 11.0]), np.array([3600.0, 3600.0]), 20.0, AGEING)
    assert wear.full_cycles == pytest.approx(15.0 / 40.0)
    assert wear.life == wear.cycle_life + wear.calendar_life


def test_cars_have_their_own_wear_and_cost() -> None:
    """A car that rests costs its time alone, one that cycles more."""
    segments = pd.DataFrame(
        {
            "vehicle_id": [0, 1, 1],
            "start_s": [0, 0, 43_200],
            "end_s": [86_400, 43_200, 86_400],
            "energy_start_kwh": [10.0, 10.0, 18.0],
            "energy_end_kwh": [10.0, 18.0, 10.0],
        }
    )
    vehicles = pd.DataFrame({"vehicle_id": [0, 1], "battery_kwh": [20.0, 20.0]})
    table = cars_wear(segments, vehicles, AGEING)
    assert table["cycle_life"].tolist() == pytest.approx([0.0, 0.4**1.5 / 2000])
    assert table["ageing_cost"][0] == pytest.approx(0.1 / 365 * 20.0 * 100.0)
    assert table["ageing_cost"][1] > table["ageing_cost"][0]


def test_storage_has_its_own_wear_and_cost() -> None:
    """Two units over a day: one rests, the other empties by half and fills again, told from its initial energy."""
    steps = np.arange(96) * 900
    moved = np.where(np.arange(96) == 95, 90.0, 40.0)
    storage = pd.DataFrame(
        {
            "step_start_s": np.repeat(steps, 2),
            "unit_id": np.tile([0, 1], 96),
            "energy_kwh": np.column_stack([np.full(96, 50.0), moved]).reshape(-1),
        }
    )
    table = storage_wear(
        storage.sample(frac=1.0, random_state=1), {0: 100.0, 1: 100.0}, {0: 50.0, 1: 90.0}, AGEING
    )
    assert table["unit_id"].tolist() == [0, 1]
    assert table["cycle_life"].tolist() == pytest.approx([0.0, cycle_life(np.array([0.9, 0.4, 0.9]), AGEING)])
    assert table["full_cycles"].tolist() == pytest.approx([0.0, 0.5])
    assert table["ageing_cost"][0] == pytest.approx(table["calendar_life"][0] * 100.0 * 100.0)
    assert table["ageing_cost"][1] > 0.0
