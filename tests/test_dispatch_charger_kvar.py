"""Reactive power of cars' chargers: its bounds, the program against another one, and whole days on a feeder."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import rewrite_table
from reactive_cases import (
    BATTERY,
    HEAD,
    NARROW,
    THIN,
    assert_first_decision_is_the_optimum,
    region,
    run_first_decision,
    write_feeder,
)
from simulation_cases import Kept

from dispatch.baselines import Uncontrolled
from dispatch.conformance import check_dispatcher
from dispatch.itinerary import declared
from dispatch.network import lossless, network_numbers
from dispatch.options import DispatchOptions
from dispatch.problem import Problem
from dispatch.reactive import carries_reactive, planned_charger_room_kvar, reach_kvar
from dispatch.rolling_horizon import RollingHorizon
from experiments import run
from experiments.assemble import assemble
from experiments.audit import audit
from experiments.reading import read_run
from experiments.shipped import faults, load_scenario
from sim.clock import NEVER_S, STEP_S
from sim.contracts import Cars, Schedule
from sim.errors import PolicyError
from sim.microgrid import charger_room_kvar

PER_KW = 0.48
LIMIT_KW = 5.0
"""Of each car of the mill."""
SHORT = ["dispatch.horizon_steps=24", "dispatch.feeder_limits=keep", "fleet.size=25"]
AT_HOMES = [f"regions.homes-{where}.charger_kvar_per_kw={PER_KW}" for where in ("west", "south", "east")]
BESIDE_STORAGE = ["regions.homes-west.batteries.0.apparent_power_kva=160"]


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mill behind a long line, where most cars of its people stay; it takes as much reactive as active power."""
    folder = tmp_path_factory.mktemp("mill")
    write_feeder(folder)
    regions = region("street", "W", 400.0, 0.3) + region("yard", "O", 100.0, 0.3)
    path = folder / "mill.toml"
    path.write_text(HEAD + regions + region("mill", "H", 4000.0, 1.0) + BATTERY)
    return path


WITHOUT = ["forecast.kind=perfect", "fleet.size=40", "travel.stay_home_share_weekday=0.8"]
WITH = [*WITHOUT, f"regions.mill.charger_kvar_per_kw={PER_KW}"]


@pytest.fixture(scope="module")
def compensated(mill: Path) -> Path:
    """A day of it with chargers that give reactive power; it is only read."""
    return run(mill, overrides=WITH, policy="rolling", out=mill.parent / "with").path


def at_mill(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of the mill, in order of time."""
    return table[table["region"] == "mill"].reset_index(drop=True)


@pytest.mark.slow
def test_chargers_keep_a_voltage_that_nothing_else_can(mill: Path, compensated: Path) -> None:
    """Without them the band is left, with them every step is within, and none gives more than its cars allow."""
    without = read_run(run(mill, overrides=WITHOUT, policy="rolling", out=mill.parent / "without").path)
    kept = read_run(compensated)
    assert without.kpis["voltage_min_pu"] < 0.975
    assert without.kpis["voltage_violations"] > 5
    assert (without.table("grid")["charger_kvar"] == 0.0).all()
    assert kept.kpis["voltage_min_pu"] == pytest.approx(0.98, abs=1e-6)
    assert kept.kpis["voltage_violations"] == 0
    grid, plugged = at_mill(kept.table("grid")), at_mill(kept.table("domain"))["n_plugged"]
    assert (grid["charger_kvar"] <= 0.0).all()
    assert (grid["charger_kvar"] == 0.0).any()  # none without need
    assert grid["charger_kvar"].min() < -50.0
    assert (-grid["charger_kvar"] <= PER_KW * LIMIT_KW * plugged + 1e-9).all()
    others = kept.table("grid")["region"] != "mill"
    assert (kept.table("grid").loc[others, "charger_kvar"] == 0.0).all()
    assert audit(compensated) == []


@pytest.mark.slow
def test_a_bound_that_is_too_tight_is_reached_and_kept(mill: Path, tmp_path: Path) -> None:
    """Where the chargers cannot mend the voltage, they give all that the cars plugged in allow, and no more.

    Half of the cars take no part; the audit knows that they give none.
    """
    little = [*WITHOUT, "regions.mill.charger_kvar_per_kw=0.1", "fleet.drivers.participation_share=0.5"]
    made = read_run(run(mill, overrides=little, policy="rolling", out=tmp_path / "run").path)
    assert made.kpis["voltage_violations"] > 0
    grid, segments, cars = (made.table(name) for name in ("grid", "segments", "vehicles"))
    taking = segments["vehicle_id"].isin(cars.loc[cars["takes_part"], "vehicle_id"])
    there = segments[taking & segments["plugged"] & (segments["region"] == "mill")]
    at_s = at_mill(grid)["step_start_s"]
    plugged = np.array([((there["start_s"] <= t) & (t < there["end_s"])).sum() for t in at_s])
    assert 0 < plugged.max() < 30
    given, room = -at_mill(grid)["charger_kvar"].to_numpy(), 0.1 * LIMIT_KW * plugged
    assert (given <= room + 1e-9).all()
    assert (given >= room - 1e-6).sum() >= made.kpis["voltage_violations"]
    assert audit(tmp_path / "run") == []

    def one_car_more(table: pd.DataFrame) -> pd.DataFrame:
        row = table.index[table["region"] == "mill"][np.argmax(given - room)]
        table.loc[row, "charger_kvar"] -= 0.1 * LIMIT_KW
        return table

    rewrite_table(tmp_path / "run", "grid", one_car_more)
    assert "charger reactive power" in {finding.check for finding in audit(tmp_path / "run")}


@pytest.mark.slow
def test_the_plan_of_a_day_has_it_too(mill: Path, tmp_path: Path) -> None:
    """The optimum of the whole run keeps the voltage by the same means."""
    overrides = [*WITH, "dispatch.horizon_steps=96"]
    made = read_run(run(mill, overrides=overrides, policy="day-ahead", out=tmp_path / "run").path)
    assert made.kpis["voltage_min_pu"] == pytest.approx(0.98, abs=1e-6)
    assert made.table("grid")["charger_kvar"].min() < -50.0
    assert audit(tmp_path / "run") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "more"),
    [
        ("valley-first", []),
        ("rolling", ["dispatch.feeder_limits=ignore"]),
        ("stochastic", ["forecast.kind=persistence", "forecast.n_paths=3"]),
    ],
)
def test_other_policies_use_none(policy: str, more: list[str], mill: Path, tmp_path: Path) -> None:
    """Policies that do not decide on reactive power run as if the chargers had none."""
    made, other = (
        read_run(run(mill, overrides=[*part, *more], policy=policy, out=tmp_path / name).path)
        for name, part in (("a", WITH), ("b", WITHOUT))
    )
    assert (made.table("grid")["charger_kvar"] == 0.0).all()
    for name in ("grid", "storage", "segments", "branches"):
        pd.testing.assert_frame_equal(made.table(name), other.table(name), check_exact=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "change", "check"),
    [
        ("mill", 0.5, "feeder balance"),
        ("mill", -1000.0, "charger reactive power"),
        ("street", 0.5, "charger reactive power"),
    ],
)
def test_audit_finds_a_changed_reactive_power(
    place: str, change: float, check: str, compensated: Path, tmp_path: Path
) -> None:
    """What the branches do not bring is told, and what no charger there can give."""
    folder = tmp_path / "run"
    shutil.copytree(compensated, folder)

    def changed(table: pd.DataFrame) -> pd.DataFrame:
        row = table.index[table["region"] == place][50]
        table.loc[row, "charger_kvar"] += change
        return table

    rewrite_table(folder, "grid", changed)
    assert check in {finding.check for finding in audit(folder)}


# -- the program -------------------------------------------------------------------------------------------------


class Problems(RollingHorizon):
    """Keeps each decision's problem and what the cars allow."""

    def __init__(self, options: DispatchOptions) -> None:
        super().__init__(options)
        self.kept: list[tuple[Problem, Cars]] = []

    def decide(self, snapshot, forecast) -> Schedule:
        """As the policy does."""
        self.kept.append((self.problem(snapshot, forecast), snapshot.cars))
        return super().decide(snapshot, forecast)


def test_a_field_of_zero_changes_nothing(mill: Path) -> None:
    """The same variables, equations and limits as without the field, and no variable for chargers."""
    for overrides, width in (([*WITHOUT, "regions.mill.charger_kvar_per_kw=0.0"], 0), (WITH, 2 * 4)):
        scenario = load_scenario(mill, overrides)
        policy = Problems(DispatchOptions.from_scenario(scenario))
        kept = Kept(policy)
        simulation, actors = assemble(scenario, dispatcher=kept)
        run_first_decision(kept, simulation)
        at = policy.session(policy.kept[0][0])._program.layout
        assert at.columns.charger_kvar_given.stop - at.columns.charger_kvar_taken.start == width
        assert at.has_reactive == (width > 0)
        assert (policy.kept[0][0].charger_room_kvar is None) == (width == 0)
        assert (actors.site.charger_kvar_per_kw is None) == (width == 0)
        assert (kept.schedules[0].charger_kvar is None) == (width == 0)


@pytest.mark.slow
def test_the_first_step_of_each_plan_is_what_execution_allows(mill: Path) -> None:
    """Whatever the cars' departures: the bound of the step that is carried out is the simulation's."""
    scenario = load_scenario(mill, [*WITH, "travel.stay_home_share_weekday=0.0"])
    policy = Problems(DispatchOptions.from_scenario(scenario))
    simulation, actors = assemble(scenario, dispatcher=policy)
    recorder = simulation.run()
    mean_is_less = 0
    for problem, cars in policy.kept:
        room = problem.charger_room_kvar
        assert room is not None
        assert (room[0] == charger_room_kvar(actors.site, cars)).all()
        assert (room[:, :-1] == 0.0).all()
        fraction = problem.itinerary.fraction[0][cars.is_plugged]
        mean_is_less += int((fraction < 1.0).any())
    assert mean_is_less > 5
    assert recorder.clipped_kwh < 1e-6


def test_a_plan_counts_on_the_cars_it_knows() -> None:
    """A car counts for the part of a step that it is plugged in, in the first for all of it; none to come."""
    _, actors = assemble(load_scenario("storage-network", ["fleet.size=0", *AT_HOMES]))
    site, one = actors.site, np.ones(3)
    west = site.region_names.index("homes-west")
    cars = Cars(
        vehicle_id=np.arange(3),
        region_index=np.full(3, west),
        is_plugged=np.array([True, True, False]),
        energy_kwh=20.0 * one,
        departure_s=np.array([STEP_S // 3, 2 * STEP_S + STEP_S // 2, NEVER_S]),
        required_kwh=0.0 * one,
        energy_min_kwh=5.0 * one,
        energy_max_kwh=40.0 * one,
        charge_limit_kw=np.array([10.0, 4.0, 7.0]),
        discharge_limit_kw=one,
        charge_efficiency=one,
        discharge_efficiency=one,
    )
    itinerary = declared(cars, 0, 4, step_s=STEP_S, keeps_tail=False)
    room = planned_charger_room_kvar(site, cars, itinerary)
    assert room is not None
    assert room[:, west] == pytest.approx(PER_KW * np.array([14.0, 4.0, 2.0, 0.0]))
    assert room.sum() == pytest.approx(room[:, west].sum())
    assert planned_charger_room_kvar(replace(site, charger_kvar_per_kw=None), cars, itinerary) is None
    reach, carries = reach_kvar(site, room), carries_reactive(site)
    assert (reach[:, ~carries] == 0.0).all()
    assert reach.max(axis=1) == pytest.approx(room.sum(axis=1))


def test_a_branch_without_cars_below_it_keeps_its_exact_bound() -> None:
    """In a step without plugged cars the limit of its flow is that of the loads alone, with some it is a polygon."""
    overrides = ["fleet.size=0", *AT_HOMES, "feeder.line_ampacity_a=100"]
    site = assemble(load_scenario("storage-network", overrides))[1].site
    assert site.network is not None
    room, load_kvar = np.zeros((2, site.n_regions)), np.full((2, site.n_regions), 20.0)
    room[1, site.region_names.index("homes-west")] = 50.0
    state = lossless(site.network, 2)
    alone = network_numbers(site.network, load_kvar, state)
    numbers = network_numbers(site.network, load_kvar, state, site, room)
    assert numbers.rating_upper is not None
    below = site.network.feeder.below @ room[1] > 0.0
    assert 0 < below.sum() < carries_reactive(site).sum()
    for name in ("forth_limit_kw", "back_limit_kw"):
        limit_kw, alone_kw = getattr(numbers, name), getattr(alone, name)
        assert (limit_kw[0] == alone_kw[0]).all()
        assert (limit_kw[1] > alone_kw[1]).tolist() == below.tolist()
    assert np.isfinite(numbers.rating_upper).any(axis=2).tolist() == [[False] * len(below), below.tolist()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "kind"),
    [
        (NARROW, "persistence"),
        ([*NARROW, *THIN], "perfect"),
        ([*NARROW, *THIN, *BESIDE_STORAGE], "perfect"),
    ],
)
def test_first_decision_against_another_program(more: list[str], kind: str) -> None:
    """The objective is that of a program written down apart, and chargers better it."""
    overrides = [*SHORT, *AT_HOMES, *more, f"forecast.kind={kind}", "dispatch.feeder_rounds=1"]
    assert_first_decision_is_the_optimum(overrides, without="charger_kvar_per_kw")


# -- set-points of one's own -------------------------------------------------------------------------------------


class Asking(Uncontrolled):
    """Asks for a fixed reactive power of each region's chargers."""

    kvar: object = None

    def decide(self, snapshot, forecast) -> Schedule:
        """Every step the same."""
        schedule = super().decide(snapshot, forecast)
        return replace(schedule, battery_power_kw=np.zeros(1), turbine_kw=np.zeros(4), charger_kvar=self.kvar)


def simulated(mill: Path, kvar: object, overrides: list[str] = WITH):
    """A day under set-points that stay the same."""
    policy = Asking()
    policy.kvar = kvar
    return assemble(load_scenario(mill, overrides), dispatcher=policy)[0].run()


def test_more_than_the_cars_plugged_in_allow_is_clipped_and_counted(mill: Path) -> None:
    """The bound follows the cars, zero where none is plugged in; the rest counts."""
    overrides = [*WITH, "regions.street.charger_kvar_per_kw=0.3", "travel.stay_home_share_weekday=0.0"]
    recorder = simulated(mill, np.array([0.0, 500.0, 0.0, -500.0]), overrides)
    plugged = np.asarray(recorder.domain_columns()["n_plugged"]).reshape(96, 4)
    kvar = np.asarray(recorder.grid_columns()["charger_kvar"]).reshape(96, 4)
    names = list(dict.fromkeys(recorder.grid_columns()["region"].to_pylist()))
    street, home = names.index("street"), names.index("mill")
    assert kvar[:, street] == pytest.approx(0.3 * LIMIT_KW * plugged[:, street])
    assert kvar[:, home] == pytest.approx(-PER_KW * LIMIT_KW * plugged[:, home])
    assert (plugged[:, street] == 0).any()
    assert (kvar[plugged == 0] == 0.0).all()
    assert recorder.clipped_kwh == pytest.approx(0.25 * (1000.0 * 96 - np.abs(kvar).sum()))


def test_cars_that_take_no_part_give_none(mill: Path) -> None:
    """What cannot be scheduled cannot be asked for reactive power either."""
    recorder = simulated(mill, np.full(4, -500.0), [*WITH, "fleet.drivers.participation_share=0.0"])
    assert (np.asarray(recorder.grid_columns()["charger_kvar"]) == 0.0).all()


def test_settlement_and_power_flow_agree(mill: Path) -> None:
    """What settlement charges for losses is what AC power flow finds with the same reactive power."""
    lost = {}
    for kvar in (-50.0, 0.0, 50.0):
        recorder = simulated(mill, np.array([0.0, 0.0, 0.0, kvar]))
        loss_kw = np.asarray(recorder.network_columns()["branches"]["loss_kw"])
        assert np.abs(loss_kw - recorder.tie_columns()["loss_kw"]).max() < 1e-6
        lost[kvar] = float(loss_kw.sum())
    assert lost[-50.0] < lost[0.0] < lost[50.0]


@pytest.mark.parametrize("kvar", [np.zeros(2), np.array([0.0, np.nan, 0.0, 0.0])])
def test_reactive_power_that_is_none_is_refused(kvar: np.ndarray, mill: Path) -> None:
    """One finite number for each region, or none at all."""
    with pytest.raises(PolicyError, match="charger_kvar must be 4 finite numbers"):
        simulated(mill, kvar)


def test_a_dispatcher_gives_none_without_a_feeder() -> None:
    """The checker knows the bound."""

    class Gives(Uncontrolled):
        def decide(self, snapshot, forecast) -> Schedule:
            schedule = super().decide(snapshot, forecast)
            return replace(schedule, charger_kvar=np.full(forecast.load_kw.shape[1], 3.0))

    with pytest.raises(PolicyError, match=r"charger_kvar\[0\] = 3 is outside -?0..0"):
        check_dispatcher(Gives)


def test_shares_that_cannot_be_are_told(mill: Path) -> None:
    """Between 0 and 1, and on a feeder."""
    told = faults(mill, ["regions.mill.charger_kvar_per_kw=1.5"])
    assert any("charger_kvar_per_kw" in line for line in told)
    told = faults("multi-microgrid", ["regions.home.charger_kvar_per_kw=0.5"])
    assert "regions[0].charger_kvar_per_kw: the scenario has no feeder" in told
