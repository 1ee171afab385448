"""The loop's own arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from experiments.assemble import assemble
from experiments.shipped import load_scenario
from sim.clock import NEVER_S, STEP_S
from sim.contracts import Cars, Forecast, Schedule, Site, Snapshot
from sim.settlement import StepTruth, charging_caps, discharge_caps
from sim.simulation import Simulation, requests_kw
from sim.world import World
from tests.dispatch_cases import site
from tests.simulation_cases import simulate


def cars_holding(energy_kwh: list[float], region_index: list[int]) -> Cars:
    """Plugged cars of 6 to 27 kWh and 5 kW each way."""
    n = len(energy_kwh)
    return Cars(
        vehicle_id=np.arange(n),
        region_index=np.array(region_index),
        is_plugged=np.ones(n, dtype=np.bool_),
        energy_kwh=np.array(energy_kwh),
        departure_s=np.full(n, NEVER_S),
        required_kwh=np.zeros(n),
        energy_min_kwh=np.full(n, 6.0),
        energy_max_kwh=np.full(n, 27.0),
        charge_limit_kw=np.full(n, 5.0),
        discharge_limit_kw=np.full(n, 5.0),
        charge_efficiency=np.full(n, 0.9),
        discharge_efficiency=np.full(n, 0.9),
    )


def test_cars_that_cannot_follow_ask_for_nothing() -> None:
    """A full car does not charge and an empty one does not discharge, whatever they are told."""
    cars = cars_holding([27.0, 20.0, 6.0, 20.0, 6.0], [0, 0, 0, 1, 1])
    charge, discharge = requests_kw(cars, np.array([5.0, 4.0, -5.0, -3.0, 2.0]), 2)
    assert charge.tolist() == [4.0, 2.0]
    assert discharge.tolist() == [0.0, 3.0]


def test_only_regions_with_too_much_are_cut() -> None:
    """Without export: what is given beyond load and charging goes, and a region that is balanced keeps its own."""
    at = site(2, 0, export_limit_kw=np.zeros(2))
    zero = np.zeros(2)
    step = StepTruth(
        load_kw=np.array([3.0, 3.0]), pv_kw=zero, wind_kw=zero, buy_price_per_kwh=zero + 1.0, sell_price_per_kwh=zero,
        curtailment_price_per_kwh=zero,
    )  # fmt: skip
    caps = discharge_caps(at, step, zero[:0], zero, np.array([5.0, 4.0]), np.array([8.0, 9.0]))
    assert caps.tolist() == [np.inf, 7.0]
    joined = site(2, 0, ties=1, export_limit_kw=np.zeros(2))
    caps = discharge_caps(joined, step, zero[:0], zero, np.array([5.0, 4.0]), np.array([6.0, 9.0]))
    assert caps.tolist() == [np.inf, np.inf], "what one has too much the other takes"
    caps = discharge_caps(joined, step, zero[:0], zero, np.array([5.0, 4.0]), np.array([8.0, 9.0]))
    assert np.minimum(caps, [8.0, 9.0]).sum() == pytest.approx(15.0)


def test_full_cars_leave_the_connection_to_others() -> None:
    """Twenty full cars here, five that charge there, 60 kW for both over a tie: these five get their 25 kW."""
    at = site(2, 0, ties=1, import_limit_kw=np.array([60.0, 0.0]))
    none = np.zeros(2)
    step = StepTruth(
        load_kw=none, pv_kw=none, wind_kw=none, buy_price_per_kwh=none + 1.0, sell_price_per_kwh=none,
        curtailment_price_per_kwh=none,
    )  # fmt: skip
    cars = cars_holding([27.0] * 20 + [10.0] * 5, [0] * 20 + [1] * 5)
    charge, discharge = requests_kw(cars, cars.charge_limit_kw, 2)
    caps, _ = charging_caps(at, step, np.zeros(0), none, charge, discharge)
    assert caps[1] >= 25.0 - 1e-6


def test_charging_that_a_connection_cannot_carry_is_counted() -> None:
    """With hardly any import at home the charging that is cut is a key figure; without a limit nothing is cut."""
    settings = ["fleet.size=10", "dispatch.policy=uncontrolled"]
    free = simulate(settings)[1]
    short = simulate([*settings, "regions[0].import_limit_kw=50"])[1]
    assert free.cut_kwh == 0.0
    assert short.cut_kwh > 10.0


class Swap:
    """A policy of this test's own: two of three cars give a share of what they can, the others take it of theirs."""

    name = "swap"
    needs_own_chain = False
    charges_on_arrival = False

    def __init__(self, share: float) -> None:
        self._share = share

    def start(self, site: Site) -> None:
        """Keep the site."""
        self._site = site

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Tell the cars; all other units rest."""
        cars, site = snapshot.cars, self._site
        gives = np.arange(cars.n) % 3 > 0
        return Schedule(
            car_power_kw=self._share * np.where(gives, -cars.discharge_limit_kw, cars.charge_limit_kw),
            battery_power_kw=np.zeros(len(site.battery_region_index)),
            turbine_kw=np.zeros(site.n_regions),
        )


def without_load_and_sun(world: World) -> World:
    """What cars give back can only go to other cars."""
    nothing = {name: 0.0 * getattr(world, name) for name in ("load_kw", "pv_kw", "wind_kw")}
    return replace(world, **nothing)


@pytest.mark.parametrize("tie_limit_kw", ["", "5.0", '"unlimited"'])
@pytest.mark.parametrize(
    ("participation", "share", "seed"),
    [(1.0, 1.0, 1), (1.0, 0.1, 1), (0.9, 1.0, 1), (0.9, 0.2, 2), (0.8, 0.3, 3)],
)
def test_what_cars_give_back_ends_with_the_charging_that_takes_it(
    tie_limit_kw: str, participation: float, share: float, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cars that leave or are full within a step take no more; without export, giving back is cut then, and counted."""
    pair = 'ties=[{{from_region="home", to_region="work", limit_kw={}}}]'
    settings = [
        "fleet.size=60",
        f"simulation.seed={seed}",
        f"fleet.drivers.participation_share={participation}",
        *(f"regions[{i}].export_limit_kw=0" for i in range(3)),
        *([pair.format(tie_limit_kw)] if tie_limit_kw else []),
    ]
    within: list[float] = []
    original = Simulation._fit_discharging

    def spied(self: Simulation, now_s: int) -> float:
        cut_kwh = original(self, now_s)
        if now_s % STEP_S:
            within.append(cut_kwh)
        return cut_kwh

    monkeypatch.setattr(Simulation, "_fit_discharging", spied)
    _, recorder = simulate(settings, dispatcher=lambda _: Swap(share), alter=without_load_and_sun)
    grid = recorder.grid_columns()
    assert grid["ev_discharge_kw"].sum() > 20.0
    assert grid["export_kw"].max() <= 1e-6
    assert recorder.cut_kwh >= sum(within)
    if share < 1.0:
        assert sum(within) > 0.01, "cars leave while they charge"


def test_cuts_within_a_step_are_of_its_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing has to be cut nothing is: with what cars give back just taken, no step imports or exports."""
    settings = ["fleet.size=60", *(f"regions[{i}].export_limit_kw=0" for i in range(3))]
    _, recorder = simulate(settings, dispatcher=lambda _: Swap(1.0), alter=without_load_and_sun)
    grid = recorder.grid_columns()
    cut_steps = grid["ev_discharge_kw"] >= grid["ev_charge_kw"] - 1e-6
    assert cut_steps[grid["ev_discharge_kw"] > 1e-6].sum() > 10
    np.testing.assert_allclose(grid["ev_discharge_kw"][cut_steps], grid["ev_charge_kw"][cut_steps], atol=1e-6)


class Givers(Swap):
    """All cars give what they can."""

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """As the other."""
        schedule = super().decide(snapshot, forecast)
        return replace(schedule, car_power_kw=-snapshot.cars.discharge_limit_kw)


def test_what_cars_give_serves_what_a_feeder_loses() -> None:
    """Where no export is allowed, cars carry loads and losses: nothing is imported for these while giving is cut."""
    scenario = load_scenario("storage-network", ["fleet.size=400"])
    recorder = assemble(scenario, dispatcher=Givers(1.0))[0].run()
    grid, branches = recorder.grid_columns(), recorder.network_columns()["branches"]
    n_steps = 96
    imported, given = (
        np.asarray(grid[name]).reshape(n_steps, -1).sum(axis=1) for name in ("import_kw", "ev_discharge_kw")
    )
    lost = np.asarray(branches["loss_kw"]).reshape(n_steps, -1).sum(axis=1)
    assert recorder.cut_kwh > 100.0
    serves_all = (given > 100.0) & (imported < 0.1)
    assert serves_all.sum() > 10
    assert lost[serves_all].min() > 1.0
