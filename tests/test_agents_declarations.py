"""What drivers declare, and what they are: draws, bounds, and what dispatchers get to see."""

from __future__ import annotations

import numpy as np
import pytest
from simulation_cases import simulate

from agents.fleet import VehicleFleet
from experiments import run
from experiments.audit import audit
from experiments.shipped import load_scenario
from sim.clock import NEVER_S

ERRING = 'fleet.drivers.departure_error_min={family="norm", scale=30.0}'


def fleet(*settings: str, size: int = 200) -> VehicleFleet:
    """The shipped fleet with drivers of another kind."""
    return VehicleFleet(load_scenario("multi-microgrid", [f"fleet.size={size}", *settings]))


def test_errors_and_silence_follow_their_laws() -> None:
    """Errors' deviation and the silent share are as stated over some hundred stops; silence does not move errors."""
    told = fleet(ERRING).plan.declarations
    partly = fleet(ERRING, "fleet.drivers.missing_share=0.3").plan.declarations
    assert told.error_s.std() / 60 == pytest.approx(30.0, rel=0.08)
    assert abs(told.error_s.mean()) / 60 < 3.0
    assert not told.is_missing.any()
    assert partly.is_missing.mean() == pytest.approx(0.3, abs=0.04)
    np.testing.assert_array_equal(told.error_s, partly.error_s)


def test_ten_cars_are_the_first_ten_of_a_thousand() -> None:
    """Declarations and participation belong to the car."""
    few, many = (
        fleet(ERRING, "fleet.drivers.missing_share=0.5", "fleet.drivers.participation_share=0.6", size=n)
        for n in (10, 300)
    )
    n_trips = few.plan.itineraries.n_trips
    np.testing.assert_array_equal(few.plan.declarations.error_s, many.plan.declarations.error_s[:n_trips])
    np.testing.assert_array_equal(
        few.plan.declarations.is_missing, many.plan.declarations.is_missing[:n_trips]
    )
    np.testing.assert_array_equal(few.population.takes_part, many.population.takes_part[:10])


def test_a_larger_share_takes_in_the_smaller_one() -> None:
    """Who takes part at 0.3 does at 0.8; shares are about as stated."""
    low, high = (fleet(f"fleet.drivers.participation_share={x}").population.takes_part for x in (0.3, 0.8))
    assert (high | ~low).all()
    assert low.mean() == pytest.approx(0.3, abs=0.1)
    assert high.mean() == pytest.approx(0.8, abs=0.1)


def test_a_range_is_wanted_at_every_departure() -> None:
    """60 km at 0.15 kWh/km above 6 kWh: no departure needs less than 15 kWh, and none less than without."""
    plain, ranged = fleet().plan, fleet("fleet.drivers.min_range_km=60.0").plan
    assert (ranged.required_kwh >= 15.0 - 1e-9).all()
    assert (ranged.required_kwh >= plain.required_kwh - 1e-9).all()
    assert (plain.required_kwh < 15.0 - 1e-9).any()


def test_dispatchers_see_what_is_declared_and_nothing_else() -> None:
    """Departures shown differ from the truth by the drawn errors; silent stops show none and what is wanted then."""
    settings = ("fleet.size=40", ERRING, "fleet.drivers.missing_share=0.4", "dispatch.policy=uncontrolled")
    kept, _ = simulate(settings)
    plan = fleet(*settings[1:3], size=40).plan
    first = kept.snapshots[0].cars
    trips = plan.itineraries
    for car in range(40):
        mine = np.flatnonzero((trips.vehicle_index == car) & (trips.depart_s >= 0))
        trip = mine[0]
        if plan.declarations.is_missing[trip]:
            assert first.departure_s[car] == NEVER_S
            assert first.required_kwh[car] == pytest.approx(0.8 * 30.0)
        else:
            said = trips.depart_s[trip] + plan.declarations.error_s[trip]
            assert first.departure_s[car] == said
            assert first.required_kwh[car] == pytest.approx(plan.required_kwh[trip])


def test_who_declares_nothing_is_charged_as_soon_as_possible() -> None:
    """Under rolling, silent cars charge at full power from the first decision until they have what is wanted."""
    kept, _ = simulate(("fleet.size=30", "fleet.drivers.missing_share=1.0"))
    first, schedule = kept.snapshots[0].cars, kept.schedules[0]
    lacks = first.is_plugged & (first.required_kwh - first.energy_kwh > 1.2)
    assert lacks.any()
    np.testing.assert_allclose(schedule.car_power_kw[lacks], first.charge_limit_kw[lacks])
    later = kept.snapshots[24].cars  # 06:00
    assert (later.energy_kwh[later.is_plugged] >= 24.0 - 1e-6).all()


@pytest.mark.parametrize("policy", ["rolling", "valley-first"])
def test_who_takes_no_part_is_load(policy: str, tmp_path) -> None:  # noqa: ANN001
    """Those cars never discharge, charge at once, are not shown, and their load is expected."""
    result = run(
        "multi-microgrid",
        policy=policy,
        overrides=["fleet.size=30", "fleet.drivers.participation_share=0.5", "output.report=false"],
        out=tmp_path / "run",
    )
    assert audit(result.path) == []
    apart = result.vehicles.loc[~result.vehicles["takes_part"], "vehicle_id"]
    assert 5 < len(apart) < 25
    rows = result.segments[result.segments["vehicle_id"].isin(apart)]
    assert (rows["power_kw"] >= 0).all()
    lacks = rows["plugged"] & (rows["energy_start_kwh"] < 27.0 - 1e-6)
    assert (rows.loc[lacks, "power_kw"] > 0).all()


def test_the_load_of_who_takes_no_part_is_foreseen() -> None:
    """Perfect forecasts hold what those cars truly draw, persistence what they drew yesterday, to the last watt."""
    settings = ("fleet.size=30", "fleet.drivers.participation_share=0.0", "dispatch.policy=uncontrolled")
    perfect, recorder = simulate((*settings, "forecast.kind=perfect"))
    grid = recorder.grid_columns()
    drawn = np.asarray(grid["ev_charge_kw"]).reshape(96, 3)
    foreseen = perfect.forecasts[0].unmanaged_car_load_kw
    assert foreseen is not None
    np.testing.assert_allclose(foreseen, drawn, atol=1e-6)
    yesterday, _ = simulate(settings)
    unmanaged = yesterday.forecasts[50].unmanaged_car_load_kw
    np.testing.assert_allclose(unmanaged, yesterday.forecasts[50].measured_car_load_kw, atol=1e-9)


def test_no_participation_is_uncontrolled_charging() -> None:
    """With nobody taking part the rolling policy's cars live as under uncontrolled charging."""
    nobody, recorder = simulate(("fleet.size=20", "fleet.drivers.participation_share=0.0"))
    _, free = simulate(("fleet.size=20", "dispatch.policy=uncontrolled"))
    np.testing.assert_allclose(
        np.asarray(recorder.grid_columns()["ev_charge_kw"]),
        np.asarray(free.grid_columns()["ev_charge_kw"]),
        atol=1e-9,
    )
    assert not nobody.snapshots[10].cars.is_plugged.any()


@pytest.mark.parametrize("policy", ["uncontrolled", "rolling"])
def test_what_is_paid_and_who_left_early_is_told(policy: str, tmp_path) -> None:  # noqa: ANN001
    """Compensation is the rate times what cars gave; departures before the declared one are counted."""
    result = run(
        "multi-microgrid",
        policy=policy,
        overrides=["fleet.size=25", ERRING, "fleet.drivers.compensation_per_kwh=0.2", "output.report=false"],
        out=tmp_path / "run",
    )
    assert audit(result.path) == []
    assert result.kpis["compensation_cny"] == pytest.approx(0.2 * result.kpis["ev_discharged_kwh"])
    trips = result.trips.dropna(subset=["depart_s", "declared_depart_s"])
    assert result.kpis["early_departures"] == (trips["depart_s"] < trips["declared_depart_s"]).sum() > 0
