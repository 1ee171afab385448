"""Reactive power of storage inverters: the polygons, the program against another one, and whole days on a feeder."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reactive_cases import (
    BATTERY,
    HEAD,
    NARROW,
    THIN,
    assert_first_decision_is_the_optimum,
    region,
    write_feeder,
)

from dispatch.baselines import Uncontrolled
from dispatch.conformance import check_dispatcher
from dispatch.network import MILLI, judged
from dispatch.options import DispatchOptions
from dispatch.plan import bus_demand_kvar, bus_demand_kw
from dispatch.reactive import (
    ACTIVE,
    GIVEN_AWAY,
    REACTIVE,
    SIDES,
    BranchEnds,
    capability_upper,
    carries_reactive,
    rating_upper,
)
from dispatch.rolling_horizon import RollingHorizon
from dispatch.session import Solved
from experiments import run
from experiments.assemble import assemble
from experiments.audit import audit
from experiments.reading import read_run
from experiments.shipped import faults, load_scenario
from sim.contracts import Schedule, Site
from sim.errors import PolicyError
from sim.trace import BY_NAME

STORAGE = ("homes-west", "homes-south", "shops-centre")
RATED = [f"regions.{name}.batteries.0.apparent_power_kva=200" for name in STORAGE]
SHORT = ["dispatch.horizon_steps=24", "dispatch.feeder_limits=keep", "fleet.size=25"]


def site(overrides: list[str] | None = None) -> Site:
    """The shipped feeder's site with rated inverters."""
    _, actors = assemble(load_scenario("storage-network", ["fleet.size=0", *RATED, *(overrides or [])]))
    return actors.site


def allowed(active: np.ndarray, reactive: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Which points lie below all sides of a polygon; upper has shape (..., SIDES)."""
    sides = ACTIVE * np.asarray(active)[..., None] + REACTIVE * np.asarray(reactive)[..., None]
    return (sides <= upper + 1e-9).all(axis=-1)


def test_the_inverters_polygon_lies_in_the_circle() -> None:
    """No plan is beyond an inverter's rating, and no more of it is given away than is stated."""
    at = site()
    upper, rating = capability_upper(at)[0], 200.0
    rng = np.random.default_rng(1)
    active, reactive = rng.uniform(-150.0, 150.0, 20_000), rng.uniform(-210.0, 210.0, 20_000)
    inside, apparent = allowed(active, reactive, upper), np.hypot(active, reactive)
    assert (apparent[inside] <= rating + 1e-9).all()
    assert inside[apparent <= rating * (1.0 - GIVEN_AWAY)].all()
    whole = allowed(active, reactive, np.full(SIDES, rating * (1.0 - GIVEN_AWAY)))
    assert (whole == inside).all()  # what is left out could not be touched within the battery's limits
    assert 0 < np.isinf(upper).sum() < SIDES
    assert pytest.approx(0.0192, abs=1e-4) == GIVEN_AWAY
    corners = rating * np.cos(np.arange(SIDES) * 2 * np.pi / SIDES)
    kvar = rating * np.sin(np.arange(SIDES) * 2 * np.pi / SIDES)
    assert allowed(corners, kvar, np.full(SIDES, rating * (1.0 - GIVEN_AWAY))).all()
    full = replace(at, battery_charge_limit_kw=np.full(3, rating))
    assert allowed(np.array([rating]), np.zeros(1), capability_upper(full)[0]).all()


def test_a_branchs_polygon_lies_in_its_circle_at_both_ends() -> None:
    """What the program lets through keeps the rating with losses on top, whichever way it flows."""
    at = site(["feeder.line_ampacity_a=100"])
    assert at.network is not None
    carries, n = carries_reactive(at), at.network.feeder.n_branches
    assert 0 < carries.sum() < n
    rng = np.random.default_rng(2)
    rating, known = np.full((40, n), 500.0), rng.uniform(-600.0, 600.0, (40, n))
    loss_kw, loss_kvar = rng.uniform(0.0, 20.0, (40, n)), rng.uniform(0.0, 20.0, (40, n))
    ends = (
        BranchEnds(rating_kva=rating, known_kvar=known, loss_kw=np.zeros_like(loss_kw)),
        BranchEnds(rating_kva=1.02 * rating, known_kvar=known + loss_kvar, loss_kw=loss_kw),
    )
    upper = rating_upper(at, ends)
    assert np.isinf(upper[:, ~carries]).all()
    assert np.isfinite(upper[:, carries]).any(axis=2).all()
    m = int(np.flatnonzero(carries)[0])
    for k in range(40):
        flow, decided = rng.uniform(-520.0, 520.0, 4000), rng.uniform(-600.0, 600.0, 4000)
        inside = allowed(flow, decided, upper[k, m])
        assert allowed(np.zeros(1), np.zeros(1), upper[k, m]).all()  # a plan without flow always is
        if abs(known[k, m]) + loss_kvar[k, m] > 480.0:
            continue  # the loads alone are at the rating
        for most, p, q in ((500.0, 0.0, 0.0), (510.0, loss_kw[k, m], loss_kvar[k, m])):
            apparent = np.hypot(flow + p, known[k, m] + decided + q)
            assert (apparent[inside] <= most + 1e-6).all()
        near = np.hypot(np.abs(flow) + loss_kw[k, m], np.abs(known[k, m] + decided) + loss_kvar[k, m])
        assert inside[near <= 500.0 * (1.0 - GIVEN_AWAY)].all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "kind"), [(NARROW, "persistence"), (THIN, "perfect"), ([*NARROW, *THIN], "perfect")]
)
def test_first_decision_against_another_program(more: list[str], kind: str) -> None:
    """The objective is that of a program whose polygons are means of corners and whose flows are sums along paths."""
    overrides = [*SHORT, *RATED, *more, f"forecast.kind={kind}", "dispatch.feeder_rounds=1"]
    assert_first_decision_is_the_optimum(overrides, without="battery_apparent_kva")


class Plans(RollingHorizon):
    """Keeps each decision's problem and answer."""

    def __init__(self, options: DispatchOptions) -> None:
        super().__init__(options)
        self.solved: list[Solved] = []

    def _within_feeder(self, session, problem):
        decided = super()._within_feeder(session, problem)
        self.solved.append(decided.executed)
        return decided


@pytest.mark.slow
def test_plans_have_the_voltages_that_they_say() -> None:
    """The power flow by which a plan is judged has the plan's own reactive power."""
    overrides = [*SHORT, *RATED, *NARROW, "dispatch.feeder_rounds=6", "dispatch.horizon_steps=12"]
    scenario = load_scenario("storage-network", overrides)
    policy = Plans(DispatchOptions.from_scenario(scenario))
    simulation, actors = assemble(scenario, dispatcher=policy)
    simulation.run()
    network = actors.site.network
    assert network is not None
    used = 0.0
    for solved in policy.solved[::8]:
        problem, plan = solved.problem, solved.plan
        demand = bus_demand_kw(problem, plan), bus_demand_kvar(problem, plan)
        state = judged(network, *demand)
        assert np.abs(np.sqrt(plan.voltage / MILLI) - state.expansion.voltage_pu).max() < 2e-4
        used = max(used, float(np.abs(plan.battery_kvar).max()))
    assert used > 50.0


# -- a feeder whose voltage needs reactive power ----------------------------------------------------------------


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mill behind a long line, with a load that takes as much reactive as active power and a tiny battery."""
    folder = tmp_path_factory.mktemp("mill")
    write_feeder(folder)
    regions = region("street", "H", 400.0, 0.3) + region("yard", "O", 100.0, 0.3)
    path = folder / "mill.toml"
    path.write_text(HEAD + regions + region("mill", "W", 6000.0, 1.0) + BATTERY)
    return path


PERFECT = ["forecast.kind=perfect"]
INVERTER = [*PERFECT, "regions.mill.batteries.0.apparent_power_kva=600"]


@pytest.fixture(scope="module")
def compensated(mill: Path) -> Path:
    """A day of it with an inverter; it is only read."""
    return run(mill, overrides=INVERTER, policy="rolling", out=mill.parent / "with").path


@pytest.mark.slow
def test_reactive_power_keeps_a_voltage_that_nothing_else_can(mill: Path, compensated: Path) -> None:
    """Without the inverter the band is left, with it every step is within."""
    without = read_run(run(mill, overrides=PERFECT, policy="rolling", out=mill.parent / "without").path)
    kept = read_run(compensated)
    assert without.kpis["voltage_min_pu"] < 0.96
    assert without.kpis["voltage_violations"] > 40
    assert (without.table("storage")["reactive_kvar"] == 0.0).all()
    assert kept.kpis["voltage_min_pu"] == pytest.approx(0.98, abs=1e-6)
    given = -kept.table("storage")["reactive_kvar"]
    assert given.max() > 100.0
    assert (given >= 0.0).all()
    assert (given == 0.0).any()  # none without need
    assert kept.kpis["feeder_loss_kwh"] < without.kpis["feeder_loss_kwh"]
    assert kept.kpis["clipped_kwh"] < 1e-6
    assert audit(compensated) == []


@pytest.mark.slow
def test_the_plan_of_a_day_has_it_too(mill: Path, tmp_path: Path) -> None:
    """The optimum of the whole run keeps the voltage by the same means."""
    overrides = [*INVERTER, "dispatch.horizon_steps=96"]
    made = read_run(run(mill, overrides=overrides, policy="day-ahead", out=tmp_path / "run").path)
    assert made.kpis["voltage_min_pu"] == pytest.approx(0.98, abs=1e-6)
    assert made.table("storage")["reactive_kvar"].min() < -100.0
    assert audit(tmp_path / "run") == []


@pytest.mark.slow
@pytest.mark.parametrize(("change", "check"), [(0.5, "feeder balance"), (1000.0, "inverter rating")])
def test_audit_finds_a_changed_reactive_power(
    change: float, check: str, compensated: Path, tmp_path: Path
) -> None:
    """Half a kvar more is not what the branches bring; what no inverter can give is told as that."""
    folder = tmp_path / "run"
    shutil.copytree(compensated, folder)
    frame = pd.read_parquet(folder / "storage.parquet")
    frame.loc[40, "reactive_kvar"] += change
    rows = pa.Table.from_pandas(frame, schema=BY_NAME["storage"].arrow_schema(), preserve_index=False)
    pq.write_table(rows, folder / "storage.parquet")
    assert check in {finding.check for finding in audit(folder)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "more"),
    [
        ("valley-first", []),
        ("rolling", ["dispatch.feeder_limits=ignore"]),
        ("stochastic", ["forecast.kind=persistence", "forecast.n_paths=3"]),
        ("day-ahead", ["dispatch.horizon_steps=96", "dispatch.feeder_limits=ignore"]),
    ],
)
def test_other_policies_use_none(policy: str, more: list[str], mill: Path, tmp_path: Path) -> None:
    """Policies that do not decide on reactive power leave it at zero, rating or not."""
    with_rating = run(mill, overrides=[*INVERTER, *more], policy=policy, out=tmp_path / "a")
    without = run(mill, overrides=[*PERFECT, *more], policy=policy, out=tmp_path / "b")
    storage, other = (read_run(made.path).table("storage") for made in (with_rating, without))
    assert (storage["reactive_kvar"] == 0.0).all()
    pd.testing.assert_frame_equal(storage, other)


class Asking(Uncontrolled):
    """Asks for a fixed reactive and active power of the one battery."""

    battery_kw: float = 0.0
    kvar: object = None

    def decide(self, snapshot, forecast) -> Schedule:
        """Every step the same."""
        schedule = super().decide(snapshot, forecast)
        return replace(
            schedule,
            battery_power_kw=np.full(1, self.battery_kw),
            turbine_kw=np.zeros(4),
            battery_kvar=self.kvar,
        )


def simulated(mill: Path, kvar: object, battery_kw: float = 0.0, rating: float = 600.0):
    """A day under set-points that stay the same."""
    policy = Asking()
    policy.kvar, policy.battery_kw = kvar, battery_kw
    scenario = load_scenario(mill, [*PERFECT, f"regions.mill.batteries.0.apparent_power_kva={rating}"])
    return assemble(scenario, dispatcher=policy)[0].run()


def test_more_than_an_inverter_carries_is_clipped_and_counted(mill: Path) -> None:
    """The circle holds for what is executed; the rest counts."""
    recorder = simulated(mill, np.array([-500.0]), rating=400.0)
    storage = recorder.storage_columns()
    assert np.all(storage["reactive_kvar"] == -400.0)
    assert recorder.clipped_kwh == pytest.approx(100.0 * 24.0)
    recorder = simulated(mill, np.array([5.0]), battery_kw=-2.0, rating=2.5)
    storage = recorder.storage_columns()
    apparent = np.hypot(storage["power_kw"], storage["reactive_kvar"])
    assert apparent == pytest.approx(2.5)
    assert storage["reactive_kvar"][0] == pytest.approx(1.5)


def test_settlement_and_power_flow_agree(mill: Path) -> None:
    """What settlement charges for losses is what AC power flow finds with the same reactive power."""
    lost = {}
    for kvar in (-100.0, 0.0, 300.0):
        recorder = simulated(mill, np.array([kvar]))
        tables, ties = recorder.network_columns(), recorder.tie_columns()
        loss_kw = np.asarray(tables["branches"]["loss_kw"])
        assert np.abs(loss_kw - ties["loss_kw"]).max() < 1e-6
        sent = np.asarray(tables["branches"]["sent_kvar"]).reshape(96, -1)[:, 0]
        lost[kvar] = float(loss_kw.sum()), sent
    assert lost[-100.0][0] < lost[0.0][0] < lost[300.0][0]
    assert (lost[300.0][1] - lost[0.0][1] > 300.0).all()


@pytest.mark.parametrize("kvar", [np.zeros(2), np.array([np.nan])])
def test_reactive_power_that_is_none_is_refused(kvar: np.ndarray, mill: Path) -> None:
    """One finite number for each battery, or none at all."""
    with pytest.raises(PolicyError, match="battery_kvar must be 1 finite numbers"):
        simulated(mill, kvar)


def test_a_dispatcher_gives_none_where_none_is_rated() -> None:
    """The checker knows the circle: without a rating it is a point."""

    class Gives(Uncontrolled):
        def decide(self, snapshot, forecast) -> Schedule:
            units = len(snapshot.battery_energy_kwh)
            schedule = super().decide(snapshot, forecast)
            return replace(schedule, battery_power_kw=np.zeros(units), battery_kvar=np.full(units, 3.0))

    with pytest.raises(PolicyError, match=r"battery_kvar\[0\] = 3 is outside -?0..0"):
        check_dispatcher(Gives)


def test_ratings_that_cannot_be_are_told(mill: Path) -> None:
    """An inverter carries its battery, and serves a feeder."""
    told = faults(mill, ["regions.mill.batteries.0.apparent_power_kva=1.5"])
    assert any("apparent_power_kva 1.5 is below the battery's 2 kW" in line for line in told)
    told = faults("multi-microgrid", ["regions.home.batteries.0.apparent_power_kva=500"])
    assert "regions[0].batteries[0].apparent_power_kva: the scenario has no feeder" in told
