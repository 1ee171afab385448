"""The site as built from a scenario, and what its units can physically do."""

import pickle
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.battery import stored_energy
from sim.errors import PolicyError, ScenarioError
from sim.microgrid import (
    admissible_battery_kw,
    admissible_turbine_kw,
    battery_energy_after_kwh,
    battery_units,
    build_site,
    initial_battery_kwh,
)
from sim.scenario import Scenario, Tie

TOML = Path(__file__).resolve().parent.parent / "experiments" / "scenarios" / "multi-microgrid.toml"
SHIPPED = Scenario.model_validate(tomllib.loads(TOML.read_text(encoding="utf-8")))
SITE = build_site(SHIPPED)


def region_changed(index: int, **changes: Any) -> Scenario:
    """Return the shipped scenario with one region changed."""
    regions = list(SHIPPED.regions)
    regions[index] = regions[index].model_copy(update=changes)
    return SHIPPED.model_copy(update={"regions": regions})


def test_shipped_site() -> None:
    """Three regions with a battery and a turbine each, no export, no ties; figures as stated."""
    assert SITE.region_names == ("home", "work", "other")
    assert SITE.end_s == SHIPPED.simulation.days * 86_400
    np.testing.assert_array_equal(SITE.import_limit_kw, [np.inf] * 3)
    np.testing.assert_array_equal(SITE.export_limit_kw, [0.0] * 3)
    np.testing.assert_array_equal(SITE.battery_region_index, [0, 1, 2])
    np.testing.assert_allclose(SITE.battery_energy_min_kwh, [50.0] * 3)
    np.testing.assert_allclose(SITE.battery_energy_max_kwh, [237.5] * 3)
    np.testing.assert_allclose(SITE.turbine_ramp_kw_per_step, [5.0] * 3)
    np.testing.assert_allclose(initial_battery_kwh(SHIPPED), [125.0] * 3)
    assert len(SITE.tie_from_index) == 0
    assert SITE.energy_value_per_kwh == pytest.approx(0.35 / 0.9)
    full = np.full(3, 65.0)
    np.testing.assert_allclose(SITE.turbine_fuel_cost_per_h(full) / 65.0, [2.9 / 10.1 / 0.29] * 3)


def test_absent_units_and_unlimited_ties() -> None:
    """What a region leaves out it has not; unlimited becomes inf; units keep the scenario's order."""
    battery = SHIPPED.regions[0].batteries[0]
    bare = region_changed(1, turbine=None, batteries=[battery, battery], export_limit_kw="unlimited")
    ties = [
        Tie(from_region="home", to_region="other", limit_kw="unlimited", loss_fraction=0.1),
        Tie(from_region="other", to_region="work", limit_kw=30.0),
    ]
    site = build_site(bare.model_copy(update={"ties": ties}))
    np.testing.assert_array_equal(site.turbine_limit_kw, [65.0, 0.0, 65.0])
    assert site.turbine_fuel_cost_per_h(np.zeros(3))[1] == 0.0
    np.testing.assert_array_equal(site.battery_region_index, [0, 1, 1, 2])
    assert [region for region, _ in battery_units(bare)] == [0, 1, 1, 2]
    np.testing.assert_array_equal(site.export_limit_kw, [0.0, np.inf, 0.0])
    np.testing.assert_array_equal(site.tie_limit_kw, [np.inf, 30.0])
    np.testing.assert_array_equal(site.tie_from_index, [0, 2])
    np.testing.assert_array_equal(site.tie_to_index, [2, 1])
    np.testing.assert_array_equal(site.tie_loss_fraction, [0.1, 0.0])


def test_a_site_travels_to_other_processes() -> None:
    """A site can be pickled, its fuel cost included."""
    copy = pickle.loads(pickle.dumps(SITE))
    power = np.array([10.0, 20.0, 65.0])
    np.testing.assert_array_equal(copy.turbine_fuel_cost_per_h(power), SITE.turbine_fuel_cost_per_h(power))


def test_all_faults_of_a_site_at_once() -> None:
    """Unknown ends, a tie to itself and an impossible turbine are named together."""
    turbine = SHIPPED.regions[0].turbine
    assert turbine is not None
    broken = region_changed(0, turbine=turbine.model_copy(update={"efficiency_square": 5.0}))
    ties = [
        Tie(from_region="hme", to_region="work", limit_kw=1.0),
        Tie(from_region="work", to_region="work", limit_kw=1.0),
    ]
    with pytest.raises(ScenarioError) as caught:
        build_site(broken.model_copy(update={"ties": ties}))
    assert len(caught.value.faults) == 3
    assert caught.value.faults[0] == "ties.0.from_region: no region is named 'hme'"
    assert caught.value.faults[1] == "ties.1: both ends are 'work'"
    assert caught.value.faults[2].startswith("regions.home.turbine: efficiency falls to -")


@settings(deadline=None)
@given(
    energy=st.lists(st.floats(50.0, 237.5), min_size=3, max_size=3),
    asked=st.lists(st.floats(-500.0, 500.0), min_size=3, max_size=3),
)
def test_admissible_battery_power_keeps_all_limits(energy: list[float], asked: list[float]) -> None:
    """Whatever is asked, power and energy stay in their limits, and the rest is reported to the kW."""
    admissible, clipped = admissible_battery_kw(SITE, np.array(energy), np.array(asked))
    assert (np.abs(admissible) <= 45.0).all()
    after = stored_energy(
        np.array(energy),
        admissible,
        900,
        SITE.battery_charge_efficiency,
        SITE.battery_discharge_efficiency,
    )
    assert (after >= 50.0 - 1e-9).all()
    assert (after <= 237.5 + 1e-9).all()
    np.testing.assert_allclose(np.abs(np.array(asked) - admissible), clipped)
    again, rest = admissible_battery_kw(SITE, np.array(energy), admissible)
    np.testing.assert_allclose(again, admissible)
    np.testing.assert_allclose(rest, 0.0, atol=1e-9)


@settings(deadline=None)
@given(
    energy=st.floats(0.0, 237.5),
    asked=st.floats(-500.0, 500.0),
    kept=st.floats(0.5, 1.0),
)
def test_self_discharge_keeps_all_limits(energy: float, asked: float, kept: float) -> None:
    """Admissible power keeps what self-discharge leaves within the limits; only rest lets it fall below the least."""
    site = replace(SITE, battery_kept_per_step=np.full(3, kept))
    before = np.full(3, energy)
    admissible, _ = admissible_battery_kw(site, before, np.full(3, asked))
    after = battery_energy_after_kwh(site, before, admissible)
    assert (after <= 237.5 + 1e-9).all()
    at_rest = battery_energy_after_kwh(site, before, np.zeros(3))
    np.testing.assert_allclose(at_rest, kept * energy)
    assert (after >= np.minimum(50.0, at_rest) - 1e-9).all()
    if asked < 0.0:
        assert (after <= at_rest + 1e-9).all()


def test_self_discharge_of_a_day_at_rest() -> None:
    """A fifth a day leaves four fifths after 96 steps, whatever the steps before."""
    regions = [
        region.model_copy(
            update={
                "batteries": [
                    unit.model_copy(update={"self_discharge_per_day": 0.2}) for unit in region.batteries
                ]
            }
        )
        for region in SHIPPED.regions
    ]
    site = build_site(SHIPPED.model_copy(update={"regions": regions}))
    energy = np.array([200.0, 100.0, 60.0])
    for _ in range(96):
        energy = battery_energy_after_kwh(site, energy, np.zeros(3))
    np.testing.assert_allclose(energy, [160.0, 80.0, 48.0])


def test_admissible_turbine_power_by_hand() -> None:
    """From 10 kW a step reaches 5 to 15; from 63 no more than 65; from 2 no less than 0."""
    last, asked = np.array([10.0, 63.0, 2.0]), np.array([65.0, 80.0, -3.0])
    admissible, clipped = admissible_turbine_kw(SITE, last, asked)
    np.testing.assert_allclose(admissible, [15.0, 65.0, 0.0])
    np.testing.assert_allclose(clipped, [50.0, 15.0, 3.0])
    down, _ = admissible_turbine_kw(SITE, last, np.zeros(3))
    np.testing.assert_allclose(down, [5.0, 58.0, 0.0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_set_points_that_are_no_numbers_are_the_policys_fault(value: float) -> None:
    """NaN and infinity are refused, not clipped."""
    with pytest.raises(PolicyError, match="battery_power_kw must be finite"):
        admissible_battery_kw(SITE, np.full(3, 100.0), np.array([0.0, value, 0.0]))
    with pytest.raises(PolicyError, match="turbine_kw must be finite"):
        admissible_turbine_kw(SITE, np.zeros(3), np.array([0.0, value, 0.0]))
