"""The study of the feeder: what it runs, what its tables say, and that a small one resumes and repeats."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dispatch.planning.day import FeederDay
from dispatch.planning.planner import UnsolvedError
from dispatch.planning.reserve import draw_activations
from dispatch.planning.siting import Sweep
from experiments import run
from experiments.experiment.conduct import conduct
from experiments.experiment.kept import audit_section
from experiments.job import Job
from experiments.running import resolve
from experiments.shipped import locate
from experiments.storage_network import days, hosting, plan, planning, sections, study
from experiments.storage_network.forecast_scores import (
    _scores,
    charging_scores,
    scores_of_days,
    scores_table,
)
from experiments.storage_network.linear_error import run_errors, taken
from experiments.storage_network.planning import Setting, feeder_days
from experiments.storage_network.planning_tables import fronts_table, reserve_table, siting_table, sun_table
from experiments.storage_network.single_day import single_day
from sim.feeder.ac import ac_power_flow
from sim.feeder.model import Feeder
from sim.feeder.placing import build_network

FIVE = plan.Extent(
    name="quick",
    n_cars=5,
    n_days=1,
    forecasters=("persistence",),
    markets_every=1,
    known_every=1,
    scored=("persistence",),
    scored_every=1,
    charging_every=1,
    n_fleets=1,
    hosting_step=10,
    hosting_most=20,
    coordinated_most=20,
    tight_every=1,
    sited=(5,),
    n_planned=1,
    n_points=2,
    seconds=("peak_valley_kw",),
    n_draws=1,
    search=plan.QUICK.search,
    n_compared=1,
)


def test_days_take_turns_through_the_week() -> None:
    """30 days from February to December, each weekday four or five times."""
    found = plan.days_of_year(30)
    assert (found[0], found[-1]) == (date(2019, 2, 5), date(2019, 12, 21))
    counts = np.bincount([day.weekday() for day in found], minlength=7)
    assert set(counts.tolist()) <= {4, 5}


def test_all_policies_run_on_the_same_days_and_fleets() -> None:
    """Every part has each day with its own seed, once for each forecaster."""
    wanted = {(day[plan.START], day[plan.SEED]) for day in plan.day_cells(plan.FULL)}
    for part in plan.parts(plan.FULL):
        cells = part.factors.cells
        found = {(cell[plan.START], cell[plan.SEED]) for cell in cells}
        assert found <= wanted
        if part.name not in ("tight", "tight-reactive", "tight-chargers", "markets", "known"):
            assert found == wanted
            kinds = {cell.get(plan.KIND) for cell in cells}
            assert len(cells) == len(wanted) * len(kinds)


@pytest.mark.parametrize(
    ("breaks_at", "cars"), [(0, 0), (1, 0), (41, 40), (100, 80), (480, 440), (10_000, 480)]
)
def test_hosting_is_found_by_halving(monkeypatch: pytest.MonkeyPatch, breaks_at: int, cars: int) -> None:
    """The largest multiple of the step below the first fleet that breaks; the search's end is told to be one."""
    asked = hosting.Hosting(mode="uncontrolled", seed=1, day=date(2019, 2, 5), step=40, most=480)
    monkeypatch.setattr(hosting, "first_broken", lambda _, n: "overloads" if n >= breaks_at else "")
    row = hosting.hosted(asked).iloc[0]
    assert row["cars"] == cars
    assert bool(row["is_at_least"]) == (breaks_at > 480)
    assert row["breaks"] == ("" if breaks_at > 480 else "overloads")


@pytest.mark.parametrize(
    ("fails", "breaks_at", "cars", "is_at_least"),
    [
        (range(480, 481), 10_000, 440, True),  # all else is taken: how many more is not known
        (range(480, 481), 41, 40, False),  # the feeder's limit is below
        (range(481), 10_000, 0, True),
        (range(200, 300), 100, 80, False),
    ],
)
def test_a_failed_decision_is_not_the_feeders_limit(
    monkeypatch: pytest.MonkeyPatch, fails: range, breaks_at: int, cars: int, is_at_least: bool
) -> None:
    """The search goes on below it; what it then comes to is marked unless the feeder breaks there."""

    def first_broken(_: hosting.Hosting, n: int) -> str:
        if n in fails:
            return hosting.SOLVER
        return "overloads" if n >= breaks_at else ""

    asked = hosting.Hosting(mode="uncontrolled", seed=1, day=date(2019, 2, 5), step=40, most=480)
    monkeypatch.setattr(hosting, "first_broken", first_broken)
    row = hosting.hosted(asked).iloc[0]
    assert row["cars"] == cars
    assert bool(row["is_at_least"]) == is_at_least
    assert row["breaks"] == (hosting.SOLVER if is_at_least else "overloads")


def test_fallbacks_are_found_whatever_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose fallbacks overload the feeder says nothing of it, nor does one whose fallbacks do not."""
    asked = hosting.Hosting(mode="uncontrolled", seed=1, day=date(2019, 2, 5), step=40, most=480)
    for steps in (7, 0):
        figures = dict.fromkeys(hosting.BREAKS, 0) | {"network_violation_steps": steps, "fallbacks": 96}
        monkeypatch.setattr(hosting, "simulated", lambda _, told=figures: SimpleNamespace(figures=told))
        assert hosting.first_broken(asked, 5) == hosting.SOLVER


def test_hosting_has_intervals_where_they_say_something(tmp_path: Path) -> None:
    """Not where a search ended before a violation, fleets are alike or fewer than three; the figure is drawn."""
    cars = {"known": [100, 200, 300], "open": [100, 200, 300], "alike": [200, 200, 200], "two": [100, 200]}
    found = pd.concat(
        pd.DataFrame(
            {
                "mode": mode,
                "cars": counts,
                "is_at_least": [mode == "open"] + [False] * (len(counts) - 1),
                "breaks": [hosting.SOLVER if mode == "open" else "overloads"]
                + ["overloads"] * (len(counts) - 1),
            }
        )
        for mode, counts in cars.items()
    )
    table = hosting.hosting_table(found).set_index("charging")
    assert table["low"].notna().to_dict() == {"known": True, "open": False, "alike": False, "two": False}
    assert table.loc["known", "high"] == pytest.approx(200.0 + 248.4, abs=0.1)
    assert table.loc["open", "reading"] == "at least"
    assert table["searches ended by a failed decision"].tolist() == [0, 1, 0, 0]
    assert table["searches ended without a violation"].tolist() == [0, 0, 0, 0]
    section = sections._hosting(found, plan.QUICK, tmp_path)
    assert all(file.stat().st_size > 0 for file in section.figures.values())


def test_cars_planned_by_a_fallback_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """No day is made of charging that a failed decision left to its fallback."""
    whole = Job.simulate

    def failed(job: Job) -> Any:
        told = whole(job)
        return replace(told, figures={**told.figures, "fallbacks": 96})

    monkeypatch.setattr(Job, "simulate", failed)
    with pytest.raises(UnsolvedError, match="2019-05-04"):
        feeder_days(Setting(days=(date(2019, 5, 4),), charging="uncontrolled", n_cars=1))


def test_hosting_runs_the_feeder() -> None:
    """A real question: few cars are taken, a thousand that charge when they come are not."""
    asked = hosting.Hosting(mode="uncontrolled", seed=1, day=date(2019, 2, 5), step=1, most=1)
    assert hosting.first_broken(asked, 5) == ""
    assert hosting.first_broken(asked, 3000) == "network_violation_steps"


def rows(policy: str, forecasts: str, costs: list[float], steps: list[int]) -> pd.DataFrame:
    """Results of two days."""
    zero = dict.fromkeys(
        ("overloads", "voltage_violations", "loading_max", "voltage_min_pu", "feeder_loss_kwh", "unmet_kwh"),
        0.0,
    )
    return pd.DataFrame(
        {
            "policy": policy,
            "forecasts": forecasts,
            "day": [date(2019, 2, 5), date(2019, 2, 16)],
            days.COST: costs,
            days.STEPS: steps,
            **zero,
            "fallbacks": [0, 0],
            "max_gap": [1e-5, 1e-4],
            "unserved_kwh": 0.0,
            "late_departures": 0,
            "clipped_kwh": 0.0,
        }
    )


def test_regret_is_paired_by_day() -> None:
    """Against the optimum within the limits of the same day, whatever the order of the rows."""
    best = rows(days.BASELINE, "perfect", [100.0, 200.0], [0, 0])
    other = rows(days.ORDER[0], "persistence", [103.0, 205.0], [4, 0]).iloc[::-1]
    table = days.compared(pd.concat([best, other], ignore_index=True)).set_index("policy")
    row = table.loc[days.ORDER[0]]
    assert row["above foresight [EUR]"] == 4.0
    assert row["violating quarter-hours"] == 2.0
    assert row["days with any"] == 1
    assert row["above low"] == pytest.approx(4.0 - 12.7062, abs=1e-3), "Student's interval of 3 and 5"
    assert table.loc[days.BASELINE, "above foresight [EUR]"] == 0.0


def test_failed_decisions_are_told_and_measure_nothing() -> None:
    """They are counted for every policy; days on which the plan with foresight failed are no yardstick."""
    best = rows(days.BASELINE, "perfect", [100.0, 900.0], [0, 0]).assign(fallbacks=[0, 96])
    other = rows(days.ORDER[0], "persistence", [103.0, 205.0], [4, 0]).assign(fallbacks=[1, 2])
    table = days.compared(pd.concat([best, other], ignore_index=True)).set_index("policy")
    assert table["fallbacks, all days"].to_dict() == {days.ORDER[0]: 3, days.BASELINE: 96}
    assert (table["largest gap of all"] == 1e-4).all()
    assert table.loc[days.ORDER[0], ["above foresight [EUR]", "n"]].tolist() == [3.0, 1.0]


def test_pairs_are_of_the_same_day() -> None:
    """Each policy under both forecasts, the margin under each, the rows with foresight; failed days are left out."""
    kept, margin = (days.NAMES[part] for part in ("kept", "margin"))
    told = [
        rows(kept, "perfect", [90.0, 190.0], [0, 0]),
        rows(days.NAMES["pooled"], "perfect", [100.0, 206.0], [4, 6]).iloc[::-1],
        rows(kept, "persistence", [100.0, 200.0], [4, 4]),
        rows(kept, "learned", [101.0, 203.0], [2, 4]),
        rows(margin, "persistence", [100.5, 200.5], [1, 0]).assign(fallbacks=[0, 1]),
        rows(days.ORDER[0], "persistence", [110.0, 210.0], [0, 0]),
    ]
    table = days.pairs(pd.concat(told, ignore_index=True))
    found = table.set_index(["of", "less"])[["more EUR", "more quarter-hours", "n"]].T.to_dict("list")
    assert found == {
        (f"{kept}, learned", f"{kept}, persistence"): [2.0, -1.0, 2.0],
        (f"{margin}, persistence", f"{kept}, persistence"): [0.5, -3.0, 1.0],
        (f"{days.NAMES['pooled']}, perfect", f"{kept}, perfect"): [13.0, 5.0, 2.0],
    }
    assert table["EUR high"].iloc[0] == pytest.approx(2.0 + 12.7062, abs=1e-3), "Student's of 1 and 3"


def study_of(costs: dict[tuple[str, ...], float], kinds: tuple[str, ...] = ()) -> SimpleNamespace:
    """Results of two days for each set of known parts (or forecaster); the second day costs 1 more."""
    levels = [{plan.KNOWN: list(known)} for known in costs]
    table = [
        {
            "cell": index,
            plan.START: start,
            plan.KIND: kinds[index] if kinds else "persistence",
            days.COST: cost + later,
            days.STEPS: 10.0 * cost,
            days.OVERLOADS: 0.0,
            days.FAILED: index,
        }
        for index, cost in enumerate(costs.values())
        for later, start in ((1.0, "2019-02-16"), (0.0, "2019-02-05"))
    ]
    cells = [SimpleNamespace(index=index, levels=level) for index, level in enumerate(levels)]
    return SimpleNamespace(results=pd.DataFrame(table), cells=cells)


def test_each_forecast_is_compared_with_knowing_it() -> None:
    """A part's error costs what the days cost more without knowing it; the price's, what they cost more than with."""
    kept = study_of({("price",): 7.0, ("learned",): 100.0}, kinds=("persistence", "learned"))
    known = study_of({(): 9.0, ("price", "load"): 4.0, ("price", "weather"): 6.5, ("price", "cars"): 7.0})
    table = days.forecast_parts(kept, known).set_index("forecast of")
    assert table["more EUR"].to_dict() == {"load": 3.0, "weather": 0.5, "cars": 0.0, "price": 2.0}
    assert table["EUR"].to_dict() == {"load": 7.5, "weather": 7.5, "cars": 7.5, "price": 9.5}
    assert table.loc["load", "more quarter-hours"] == 30.0
    assert (table["n"] == 2).all()
    assert table["fallbacks, both"].to_dict() == {"load": 2, "weather": 4, "cars": 6, "price": 0}


def test_planning_tables() -> None:
    """The cheapest of a sweep beside the exact sites, ends of fronts, delivered shares, pairs of sunny days."""
    found = pd.DataFrame(
        {
            "cars": 5,
            "method": ["exact", "sweep", "sweep"],
            "sites": ["8", "18", "33"],
            "cost": [9.0, 12.0, 11.0],
        }
    )
    assert siting_table(found)[["sites", "above exact"]].to_numpy().tolist() == [["8", 0.0], ["33", 2.0]]
    points = pd.DataFrame(
        {
            "second": "loss_kwh",
            "cost": [10.0, 11.0, 20.0],
            "value": [100.0, 60.0, 50.0],
            "gap": 1e-6,
            "keeps_limits": True,
            "is_one_way": [True, True, False],
        }
    )
    front = fronts_table(points).iloc[0]
    assert front[["change [%]", "costs [EUR a day]", "knee costs [EUR a day]"]].tolist() == [-50.0, 10.0, 1.0]
    assert front["keep the limits"] == 2
    draws = pd.DataFrame(
        {
            "keeps_energy": [True, True, False],
            "call_h": 1.0,
            "day": ["a", "b", "a"],
            "up_kw": [10.0, 20.0, 30.0],
            "down_kw": 5.0,
            "cost": 1.0,
            "gap": 0.0,
            "asked_kwh": [10.0, 10.0, 10.0],
            "delivered_kwh": [10.0, 10.0, 4.0],
            "activations": [2, 2, 2],
            "in_full": [2, 2, 0],
        }
    )
    told = reserve_table(draws).set_index("schedule")
    assert told.loc["energy kept", ["up [kW]", "energy delivered [%]"]].tolist() == [15.0, 100.0]
    assert told.loc["power alone", ["energy delivered [%]", "activations in full [%]"]].tolist() == [
        40.0,
        0.0,
    ]
    assert told[["energy low", "activations high"]].isna().all(axis=None), "equal draws have no interval"
    sun = pd.DataFrame(
        {
            "day": ["a", "a", "b", "b"],
            "storage": ["idle", "free"] * 2,
            "there_kw": 10.0,
            "further_kw": [2.0, 3.0, 1.0, 6.0],
            "bound_kw": [4.0, 5.0, 2.0, 8.0],
        }
    )
    told = sun_table(sun).set_index("storage")
    assert told["on every day [kW]"].tolist() == [1.0, 3.0, 1.0]
    assert told["no more on every day than [kW]"].tolist()[:2] == [2.0, 5.0]
    assert told["least day"].tolist() == ["b", "a", "a"]
    assert told["mean [kW]"].tolist() == [1.5, 4.5, 3.0]


def test_delivered_shares_have_intervals_over_draws() -> None:
    """As of a ratio of means: a draw that asks for much counts for more than one that asks for little."""
    draws = pd.DataFrame(
        {
            "keeps_energy": True,
            "call_h": 1.0,
            "day": ["a", "a", "b", "b"],
            "up_kw": 10.0,
            "down_kw": 5.0,
            "cost": 1.0,
            "gap": 0.0,
            "asked_kwh": [10.0, 30.0, 40.0, 0.0],
            "delivered_kwh": [10.0, 18.0, 36.0, 0.0],
            "activations": [1, 3, 4, 0],
            "in_full": [1, 1, 2, 0],
        }
    )
    row = reserve_table(draws).iloc[0]
    missed = np.array([10.0 - 8.0, 18.0 - 24.0, 36.0 - 32.0, 0.0]) / 20.0
    half = 100.0 * 3.18245 * missed.std(ddof=1) / 2.0
    assert row["energy delivered [%]"] == pytest.approx(80.0)
    assert row["energy low"] == pytest.approx(80.0 - half, abs=1e-3)
    assert row["energy high"] == 100.0, "no more than all"
    assert row["least day [%]"] == pytest.approx(70.0)
    assert row["activations in full [%]"] == pytest.approx(50.0)
    assert row["n"] == 4


@pytest.mark.parametrize("is_impossible", [True, False])
def test_a_sweep_tells_what_cannot_be_from_what_was_not_found(
    monkeypatch: pytest.MonkeyPatch, is_impossible: bool
) -> None:
    """Only what the relaxation proves is said to be impossible."""
    shape = (len(planning.CANDIDATES), len(planning.SWEPT_KWH))
    none = np.full(shape, np.nan)

    def swept(case: Any, kwh: Any, **_: Any) -> Sweep:
        impossible = np.full(shape, is_impossible)
        return Sweep(
            bus=case.design.bus, kwh=np.array(kwh), yearly_cost=none, bound=none, is_impossible=impossible
        )

    monkeypatch.setattr(planning, "sweep", swept)
    setting = Setting(days=(date(2019, 5, 4),), charging="no cars", n_cars=1)
    found = planning.sited(planning.Siting(setting=setting, method="sweep"))
    assert found["fault"].str.contains("cannot be kept").all() == is_impossible
    assert (found["fault"] != "").all()


def further_kw() -> tuple[float, float]:
    """Sun that is there and that a day in May takes beyond it, storage idle, no cars."""
    setting = Setting(days=(date(2019, 5, 4),), charging="no cars", n_cars=1)
    row = planning.lit(planning.Sun(setting=setting, is_idle=True)).iloc[0]
    return float(row["there_kw"]), float(row["further_kw"])


@pytest.fixture
def forgotten() -> Iterator[Callable[[], None]]:
    """Days that a process has remembered are forgotten, also those of other skies."""
    forget = planning._day.cache_clear
    forget()
    yield forget
    forget()


def test_further_sun_is_installed_power(
    monkeypatch: pytest.MonkeyPatch, forgotten: Callable[[], None]
) -> None:
    """A sky takes so much sun in all, however much of it is there already; half the light, twice the installed kW."""
    there_kw, more_kw = further_kw()
    assert there_kw == 1250.0
    whole, shone = single_day, planning._day
    halves = [
        f"regions.{region.name}.pv.rated_kw={region.pv.rated_kw / 2.0}"
        for region in whole(1).regions
        if region.pv is not None
    ]
    monkeypatch.setattr(planning, "single_day", lambda n, *overrides: whole(n, *overrides, *halves))
    forgotten()
    half_kw, beyond_half_kw = further_kw()
    assert half_kw == 625.0
    assert half_kw + beyond_half_kw == pytest.approx(there_kw + more_kw, abs=0.1)
    monkeypatch.setattr(planning, "single_day", whole)
    forgotten()

    def dimmed(*asked: Any) -> FeederDay:
        day = shone(*asked)
        return replace(day, pv_kw=day.pv_kw / 2.0)

    monkeypatch.setattr(planning, "_day", dimmed)
    same_kw, in_dim_kw = further_kw()
    assert same_kw == there_kw
    assert same_kw + in_dim_kw == pytest.approx(2.0 * (there_kw + more_kw), abs=0.2)


def test_storage_to_be_sited_is_the_scenarios() -> None:
    """It begins a day as full, and loses as much, as the storage that stands there."""
    own = resolve("storage-network").regions[1].batteries[0]
    setting = Setting(days=(date(2019, 5, 4),), charging="no cars", n_cars=1)
    for case in (planning._case(setting), planning._with_own_storage(setting)):
        for name in ("initial_soc", "soc_min", "soc_max", "charge_efficiency", "self_discharge_per_day"):
            assert getattr(case.storage, name) == getattr(own, name), name


def test_days_are_called_differently_and_schedules_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each day has calls of its own, the same for both of its schedules."""
    calls: list[list[int]] = []

    def noted(*asked: Any, **more: Any) -> Any:
        drawn = draw_activations(*asked, **more)
        calls.append(drawn.tolist())
        return drawn

    monkeypatch.setattr(planning, "draw_activations", noted)
    asked = [
        planning.Holding(
            setting=Setting(days=(day,), charging="no cars", n_cars=1), keeps_energy=keeps, n_draws=3
        )
        for day, keeps in ((date(2019, 2, 5), True), (date(2019, 2, 5), False), (date(2019, 5, 4), True))
    ]
    for one in asked:
        planning.held(one)
    first, alike, second = calls[:6], calls[6:12], calls[12:]
    assert first == alike
    assert first != second


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory):
    """A day of the shipped feeder with few cars; it is only read."""
    folder = tmp_path_factory.mktemp("network") / "run"
    overrides = ["fleet.size=20", "output.report=false"]
    return run("storage-network", overrides=overrides, policy="uncontrolled", out=folder)


def test_linear_errors_are_those_of_lost_losses(small_run) -> None:
    """What buses take is what the grid's table says; with its own losses the form is AC, without it promises more."""
    network = build_network(resolve("storage-network"), locate)
    assert network is not None
    grid, branches = small_run.table("grid"), small_run.table("branches")
    net = (
        grid["load_kw"] - grid["pv_kw"] + grid["pv_curtailed_kw"] + grid["battery_kw"] + grid["ev_charge_kw"]
    )
    sent, loss = (branches[name].to_numpy().reshape(-1, 32) for name in ("sent_kw", "loss_kw"))
    at_bus = taken(network.feeder, sent, loss)
    others = np.arange(33) != network.feeder.source_index
    assert np.abs(at_bus - net.to_numpy().reshape(-1, 33))[:, others].max() < 1e-6
    lossless, own = run_errors(small_run, network)
    assert np.abs(own).max() < 1e-9
    assert lossless.min() >= -1e-12
    assert 1e-4 < lossless.max() < 1e-2


class Told:
    """A run's tables of a feeder with cables at random demands."""

    def __init__(self, feeder: Feeder, source_pu: float) -> None:
        rng = np.random.default_rng(4)
        demand = rng.uniform(20.0, 120.0, (10, feeder.n_buses))
        flow = ac_power_flow(feeder, demand, 0.3 * demand, source_pu=source_pu)
        branches = ("sent_kw", "sent_kvar", "loss_kw", "loss_kvar")
        self.tables = {
            "voltages": pd.DataFrame({"voltage_pu": flow.voltage_pu.ravel()}),
            "branches": pd.DataFrame({name: getattr(flow, name).ravel() for name in branches}),
        }

    def table(self, name: str) -> pd.DataFrame:
        """As of a run."""
        return self.tables[name]


def test_linear_errors_know_what_cables_give() -> None:
    """With its own losses the form is AC with charging cables too."""
    network = build_network(resolve("storage-network"), locate)
    assert network is not None
    wired = replace(network, feeder=replace(network.feeder, b_pu=np.full(32, 0.05)))
    lossless, own = run_errors(Told(wired.feeder, wired.source_pu), wired)
    assert np.abs(own).max() < 1e-9
    assert np.abs(lossless).max() > 1e-4


def test_hours_of_the_feeder_hold_the_energy_of_its_quarters() -> None:
    """Loads, sun and the charging of cars; without cars there is none."""
    one, none = (
        feeder_days(Setting(days=(date(2019, 5, 15),), charging=charging, n_cars=20))[0]
        for charging in ("uncontrolled", "no cars")
    )
    overrides = [
        "fleet.size=20",
        "simulation.start=2019-05-15",
        "regions.*.batteries=[]",
        "output.report=false",
    ]
    scenario = resolve("storage-network", overrides=overrides, policy="uncontrolled")
    figures = Job.prepare(scenario, None, None).simulate().figures
    charged = (one.demand_kw - none.demand_kw).sum()
    assert charged == pytest.approx(figures["ev_charged_kwh"])
    assert none.pv_kw.sum() == pytest.approx(figures["renewables_used_kwh"] + figures["curtailed_kwh"])


def test_charging_is_foreseen_better_by_many_than_by_one() -> None:
    """The mean of other fleets is nearer than one of them; both readings are there."""
    table = scores_table(charging_scores((date(2019, 2, 5), 1, 40)))
    errors = table.set_index(["reading", "forecaster"])["MAE"]
    assert errors["in sum", "statistics"] < errors["in sum", "one day"]
    assert errors["per bus", "statistics"] > 0.0


def test_forecasts_of_a_day_without_wind_have_scores() -> None:
    """Every quantity at single buses and in sum, also where nothing comes of it."""
    rows = scores_of_days((date(2019, 2, 5), ("persistence",)))
    assert set(rows["quantity"]) == {"load_kw", "pv_kw", "wind_kw", "buy_price_per_kwh"}
    assert np.isfinite(rows[["mae", "rmse", "mean"]].to_numpy(np.float64)).all()
    calm = _scores("wind_kw", np.zeros((4, 8, 3)), np.zeros((4, 8, 3)), np.array([True, False, True]))
    assert [row["mae"] for row in calm] == [0.0, 0.0]


@pytest.mark.slow
def test_a_small_experiment_runs_resumes_and_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its days: tables, figures and page are there; resuming changes no byte, another folder the same tables."""

    def made(ran, extent, pictures):  # noqa: ANN001, ANN202
        rows = days.rows_of(ran.parts)
        yield sections._policies(rows, ran.parts, extent, pictures)
        yield sections._one_day(ran.parts, pictures)
        yield sections._uses(rows, ran.parts)
        yield sections._reactive(ran.parts)
        yield sections._markets(ran.parts["markets"])
        yield sections._known(ran.parts)
        yield sections._linear(ran.parts)
        yield audit_section(ran.findings)

    monkeypatch.setattr(study, "sheets", lambda _: [])
    monkeypatch.setattr(study, "sections", made)
    small = study.of_extent(FIVE)
    first = conduct(small, tmp_path / "a", workers=0)
    page = (first.path / "index.html").read_bytes()
    again = conduct(small, tmp_path / "a", resume=True, workers=0)
    assert (again.path / "index.html").read_bytes() == page
    other = conduct(small, tmp_path / "b", workers=0)
    assert first.n_audit_findings == 0
    assert set(first.tables) == {
        "policies",
        "policies_served",
        "pairs",
        "uses",
        "uses_storage",
        "reactive",
        "markets",
        "forecast_parts",
        "linear_errors",
        "audits",
    }
    for table in first.tables:
        files = [path / "tables" / f"{table}.csv" for path in (first.path, other.path)]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert {file.name for file in (first.path / "figures").glob("map-*.png")} == {
        "map-uncontrolled.png",
        "map-pooled.png",
        "map-optimum.png",
    }
