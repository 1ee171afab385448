"""The study of the station: cases, what is within reach, searches, execution, sizes, and all of it once, small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dispatch.station.day import StationDay
from dispatch.station.optimum import InfeasibleError, StationSolver
from dispatch.station.plan import StationPlan, objectives, violation_kw
from dispatch.station.program import Bounds, Weights
from experiments.charging_station import plan, study, tables
from experiments.charging_station.cases import (
    PRINTED,
    Setting,
    cases,
    ordered,
    reach,
    references,
    unordered,
    without_storage,
)
from experiments.charging_station.execution import executed, hourly_and_real
from experiments.charging_station.fronts import Trace, against_exact, three_objectives, traced
from experiments.charging_station.instance import cheapest_share, year_of
from experiments.charging_station.real_days import against, policies_table
from experiments.charging_station.representative import representatives
from experiments.experiment.conduct import conduct
from experiments.running import resolve
from sim.errors import ScenarioError
from tests.station_cases import station_day

SMALL = Setting(building="small", peak_kw=560.0, day=165, n_cars=20)


def test_cases_are_ordered_as_they_must_be() -> None:
    """Sun saves, order never costs at the cheapest plan, storage never costs beside that."""
    table = cases(SMALL).set_index(["case", "plan"])
    cost = table["cost [CNY]"]
    assert cost["1 without PV", "unordered"] > cost["1", "unordered"]
    assert cost["1", "unordered"] >= cost["2", "cheapest"] >= cost["3", "cheapest"]
    assert table.loc[("1", "unordered"), "cost %"] == 0.0
    balance = table["bought [kWh]"] - table["sold [kWh]"]
    assert balance["1", "unordered"] == pytest.approx(balance["2", "cheapest"])  # the same energy
    assert np.ptp(table["unmet [kWh]"]) < 1e-6


def test_reach_is_proven() -> None:
    """Whoever is out of reach has a bound that says so; a plan that does both is found where it is reached."""
    full = replace(SMALL, n_cars=200)
    table = reach(full).set_index("case")
    day, load_of = full.made(), full.year.terms.load_of
    reference = references(day, load_of)
    for case, on in (("2", without_storage(day)), ("3", day)):
        best = ordered(on, load_of, reference, 1.0).reached.total_cost
        assert table.loc[case, "cost % at best"] == pytest.approx(
            100.0 * (best / reference.total_cost - 1.0), abs=1e-6
        )
        cost, spread = PRINTED[case]
        bounds = Bounds(
            cost=reference.total_cost * (1.0 + cost / 100.0),
            peak_valley_kw=reference.peak_valley_kw * (1.0 + spread / 100.0),
        )
        solver = StationSolver(on, load_of, Weights(cost=1.0))
        if table.loc[case, "printed pair"] == "reached":
            assert solver.optimum(bounds).reached.total_cost <= bounds.cost * (1.0 + 1e-6)
        else:
            assert table.loc[case, "printed pair"] == "out of reach"
            with pytest.raises(InfeasibleError):
                solver.optimum(bounds)
    assert table["printed pair"].tolist() == ["reached", "out of reach"]


def test_cheapest_hours() -> None:
    """None, some with ties, all."""
    price = np.array([0.4, 0.4, 0.7, 1.0])
    assert cheapest_share(price, 0.0).tolist() == [False] * 4
    assert cheapest_share(price, 0.25).tolist() == [True, True, False, False]
    assert cheapest_share(price, 0.75).tolist() == [True, True, True, False]
    assert cheapest_share(price, 1.0).all()
    valley = np.repeat([0.3946, 0.6950, 1.0044], [8, 8, 8])
    assert cheapest_share(valley, 0.3333).sum() == 8


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ('station.region="statoin"', "no region is called 'statoin'; did you mean 'station'?"),
        ('station.region="away"', "away has 0 batteries, a station has one"),
        ("station.grid_charging_share=1.5", "station.grid_charging_share"),
        ('station.peak_valley_of="cars"', "station.peak_valley_of"),
    ],
)
def test_faults_of_the_station_table(override: str, fault: str) -> None:
    """Each names its place."""
    with pytest.raises(ScenarioError) as raised:
        resolve("charging-station", overrides=[override])
    assert fault in str(raised.value)


def test_scenario_fields_reach_the_day() -> None:
    """Reading of the peak, adder, wear and hours of grid charging are the scenario's."""
    year = year_of(
        560.0,
        overrides=(
            'station.peak_valley_of="grid"',
            "station.station_adder_per_kwh=0.1",
            "station.grid_charging_share=1.0",
            "economics.throughput_price_per_kwh=0.05",
        ),
    )
    assert year.terms.load_of == "grid"
    day = replace(SMALL, overrides=("station.station_adder_per_kwh=0.1",)).made()
    np.testing.assert_allclose(day.station_price_per_kwh - day.building_price_per_kwh, 0.1)
    assert year.terms.wear_price_per_kwh == 0.05
    assert year.emission_kg_per_kwh.std() > 0.0  # the marginal series


def test_a_front_and_its_marks() -> None:
    """Ends and knee are there once; costs rise as the spread falls; weighted sums lie on or above the front."""
    rows = traced(Trace(setting=SMALL, case="3", n_points=5))
    line = rows[~rows["mark"].str.startswith("w1")]
    assert line["mark"].tolist().count("knee") + line["mark"].tolist().count("cheapest") >= 1
    assert (np.diff(line["cost [CNY]"]) >= -1e-6).all()
    assert (np.diff(line["peak_valley_kw"]) <= 1e-6).all()
    assert line["gap"].max() <= 1e-6
    summary = tables.fronts_table(rows).iloc[0]
    assert summary["ideal cost [CNY]"] == line["cost [CNY]"].iloc[0]
    assert summary["points"] == 5


def test_three_objectives_keep_their_bounds() -> None:
    """Tighter bounds never cost less."""
    rows = three_objectives(Trace(setting=SMALL, case="3", n_points=3))
    slack = 1.0 + 1e-9  # that the bounds are given, so that their own plans keep them
    assert (rows["peak-valley [kW]"] <= slack * rows["peak-valley below [kW]"] + 1e-6).all()
    assert (rows["emissions [kg]"] <= slack * rows["emissions below [kg]"] + 1e-6).all()
    day, load_of = SMALL.made(), SMALL.year.terms.load_of
    cheapest = StationSolver(day, load_of, Weights(cost=1.0)).optimum().reached.total_cost
    assert rows["cost [CNY]"].iloc[0] == pytest.approx(cheapest)  # at the loosest bounds
    assert (rows["cost [CNY]"] >= cheapest - 1e-6).all()
    assert len(rows) >= 5


def test_searches_beside_exact_answers_by_hand() -> None:
    """An optimum of 1.0, searches at 1.1 and 1.3; half of the front's area; a plan below its bound is counted."""
    fronts = pd.DataFrame(
        {
            "building": "b",
            "step [h]": 1.0,
            "mark": ["cheapest", "", "end", "w1 = 0.5"],
            "cost [CNY]": [0.0, 1.0, 2.0, 1.0],
            "peak_valley_kw": [2.0, 0.5, 0.0, 1.0],
            "gap": [0.0, 0.0, 0.0, 0.05],
        }
    )
    common = {"building": "b", "step [h]": 1.0, "generations": 3, "w cost": 0.5, "w peak-valley": 0.5}
    rows = [
        {"method": method, "seed": seed, "cost [CNY]": cost, "peak_valley_kw": spread, "F": f, **common}
        for method, seed, cost, spread, f in (
            ("GA", 1, 1.1, 1.1, 1.1),
            ("GA", 2, 1.3, 1.3, 1.3),
            ("GA", 3, 0.9, 0.9, 0.9),
            ("NSGA-II", 1, 1.0, 1.25, 1.125),
        )
    ]
    ga, nsga = against_exact(fronts, pd.DataFrame(rows)).to_dict("records")
    assert ga["F gap % least"] == pytest.approx(-10.0)
    assert ga["F gap % median"] == pytest.approx(10.0)
    assert ga["F gap % largest"] == pytest.approx(30.0)
    assert ga["plans below the optimum of (9)"] == 1
    assert nsga["hypervolume share median"] == pytest.approx(0.5)  # 1 x 0.75 of 1 x 1.5 below (2, 2)
    assert nsga["plans below the optimum of (9)"] == 0
    within_gap = pd.DataFrame(rows).replace({"F": {0.9: 0.96}})
    assert against_exact(fronts, within_gap)["plans below the optimum of (9)"].sum() == 0


def test_an_hourly_plan_in_quarter_hours() -> None:
    """The same energies; limits kept; a car that comes at a quarter past gets its hour's energy in what is left."""
    fine = station_day(n_cars=8, capacity_kwh=60.0, steps_per_hour=4)
    hourly = _in_hours(fine)
    load_of = "with storage"
    found = ordered(hourly, load_of, references(hourly, load_of)).plan
    carried = executed(hourly, found, fine)
    np.testing.assert_allclose(
        carried.car_kw.sum(axis=0) * fine.step_h, found.car_kw.sum(axis=0) * hourly.step_h, atol=1e-6
    )
    assert (carried.car_kw <= fine.car_limit_kw + 1e-9).all()
    assert (carried.charge_kw <= np.repeat(found.charge_kw, 4) + 1e-9).all()
    allowed = replace(fine, is_grid_charging_hour=np.ones(fine.n_steps, dtype=np.bool_))
    assert violation_kw(allowed, carried) < 1e-6  # the valley rule may break within an hour, nothing else
    limits = np.array([[0.0], [7.0], [7.0], [7.0]])
    one = _first_steps(replace(fine, car_limit_kw=np.zeros((96, 1)), car_need_kwh=np.array([3.0])), 4)
    one = replace(one, car_limit_kw=limits)
    still = np.zeros(1)
    late = StationPlan(car_kw=np.array([[3.0]]), charge_kw=still, discharge_kw=still, curtailed_kw=still)
    assert executed(_in_hours(one), late, one).car_kw[:, 0] == pytest.approx([0.0, 4.0, 4.0, 4.0])


SERIES = (
    "building_kw",
    "pv_kw",
    "building_price_per_kwh",
    "station_price_per_kwh",
    "sell_price_per_kwh",
    "emission_kg_per_kwh",
    "is_grid_charging_hour",
    "car_limit_kw",
)


def _in_hours(fine: StationDay) -> StationDay:
    """The means of each hour's quarters; prices and hours are the same in all of them."""
    n_hours = fine.n_steps // 4
    hourly = {
        name: getattr(fine, name).reshape(n_hours, 4, *getattr(fine, name).shape[1:]).mean(axis=1)
        for name in SERIES
    }
    hourly["is_grid_charging_hour"] = hourly["is_grid_charging_hour"] > 0.5
    return replace(fine, step_h=1.0, **hourly)


def _first_steps(day: StationDay, n: int) -> StationDay:
    return replace(day, **{name: getattr(day, name)[:n] for name in SERIES})


def test_hourly_plans_are_judged_where_they_are_carried_out() -> None:
    """Case 1 is the same energy in both; the table sums up differences."""
    rows = hourly_and_real(SMALL)
    assert len(rows) == 4
    table = tables.execution_table(pd.concat([rows, rows.assign(day=1)]))
    own = rows.iloc[0]
    first = table.iloc[0]
    assert first["cost % overstated"] == pytest.approx(own["cost % carried out"] - own["cost % planned"])
    assert first["n"] == 2


def test_few_days_stand_for_a_year() -> None:
    """Weights are a year; extremes are among them; more days, the same days again for the same year."""
    year = year_of(560.0).sized(1200.0)
    few, again = representatives(year, 6), representatives(year, 6)
    assert few.weights.sum() == pytest.approx(365.0)
    assert len(few.days) == 6
    np.testing.assert_array_equal(few.days, again.days)
    surplus = np.maximum(year.pv_kw - year.building_kw, 0.0).sum(axis=1)
    assert int(surplus.argmax()) in few.days
    assert int(year.building_kw.max(axis=1).argmax()) in few.days
    energy = year.building_kw.sum(axis=1)
    assert few.weights @ energy[few.days] == pytest.approx(energy.mean() * 365.0, rel=0.1)


def test_bridge_and_reach_by_hand() -> None:
    """Means over days, moves paired by day, verdicts counted."""
    changes = pd.DataFrame(
        {
            "variant": ["as it is", "as it is", "x", "x"],
            "day": [0, 1, 0, 1],
            "cost % 2": [1.0, 3.0, 2.0, 4.0],
            "peak-valley % 2": 0.0,
            "cost % 3": [-10.0, -20.0, -13.0, -25.0],
            "peak-valley % 3": 0.0,
        }
    )
    table = tables.bridge_table(changes).set_index("variant")
    assert table.loc["printed", "cost % 2"] == 10.3
    assert table.loc["printed", "peak-valley % 3"] == -47.6
    assert table.loc["x", "cost % 3"] == pytest.approx(-19.0)
    assert table.loc["x", "cost % 3 moved by"] == pytest.approx(-4.0)
    rows = pd.DataFrame(
        {
            "building": "b",
            "load of": "grid",
            "case": "3",
            "cost % at best": [-10.0, -20.0, -30.0],
            "peak-valley % at best": [-40.0, -40.0, -40.0],
            "printed pair": ["reached", "open", "reached"],
        }
    )
    (row,) = tables.reach_table(rows).to_dict("records")
    assert (row["best cost %"], row["pair reached"], row["out of reach"], row["open"]) == (-20.0, 2, 0, 1)


def test_policies_on_real_days_by_hand() -> None:
    """Regret is paired by day, also where a policy ran on some days only."""
    figures = {
        "departures_met_share": 1.0,
        "departures_jain": 1.0,
        "peak_import_kw": 5.0,
        "peak_valley_kw": 5.0,
        "late_departures": 0,
        "clipped_kwh": 0.0,
    }
    rows = pd.DataFrame(
        [
            {"name": name, "day": day, "total_cost_net_usd": cost, "departure_shortfall_kwh": lack, **figures}
            for name, day, cost, lack in (
                ("day-ahead", 1, 10.0, 0.0),
                ("day-ahead", 2, 20.0, 0.0),
                ("first-come", 1, 14.0, 3.0),
                ("first-come", 2, 22.0, 1.0),
                ("stochastic", 2, 27.0, 0.0),
            )
        ]
    )
    rows["cost with what is lacking"] = rows["total_cost_net_usd"] + 0.5 * rows["departure_shortfall_kwh"]
    table = policies_table(rows).set_index("policy")
    assert table.loc["first-come", "regret with lacking [USD]"] == pytest.approx(
        4.0
    )  # 14.0 + 1.5, 22.0 + 0.5
    assert table.loc["first-come", "regret [USD]"] == pytest.approx(3.0)
    assert table.loc["stochastic", "regret [USD]"] == pytest.approx(7.0)
    assert table.loc["first-come", "most lacking on a day [kWh]"] == 3.0
    beside = against(rows, "first-come").set_index("policy")
    assert beside.loc["stochastic", "cost difference [USD]"] == pytest.approx(5.0)
    assert beside.loc["day-ahead", "lacking difference [kWh]"] == pytest.approx(-2.0)


def test_unordered_charging_is_a_plan() -> None:
    """Case 1 keeps every rule of the day it is on."""
    day = without_storage(SMALL.made())
    assert violation_kw(day, unordered(day)) < 1e-9
    assert objectives(day, unordered(day), "grid").total_cost > 0.0


@pytest.mark.slow
def test_a_small_study_runs_resumes_and_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables, figures and page are there; resuming changes no byte, another folder and worker count the same tables."""
    extent = replace(
        plan.QUICK,
        n_cars=6,
        n_points=3,
        n_seeds=1,
        population=6,
        generations={"small": 2},
        n_real_days=1,
        representative=(2,),
        year_every=120,
    )
    chosen = {"optimum", "perfect", "real-days", "load-known", "cars-known", "learned", "stochastic"}
    monkeypatch.setattr(plan, "RULES", ("first-come", "rolling"))
    small = study.of_extent(extent)
    first = conduct(small, tmp_path / "a", workers=0)
    assert set(first.parts) == chosen
    assert first.n_audit_findings == 0
    page = (first.path / "index.html").read_bytes()
    again = conduct(small, tmp_path / "a", resume=True, workers=0)
    assert (again.path / "index.html").read_bytes() == page
    other = conduct(small, tmp_path / "b", workers=2)
    names = sorted(path.name for path in (first.path / "tables").iterdir())
    assert {"cases.csv", "reach.csv", "searches.csv", "sizes.csv", "real_days.csv"} <= set(names)
    for name in names:
        assert (first.path / "tables" / name).read_bytes() == (other.path / "tables" / name).read_bytes()
    assert first.tables["searches"]["plans below the optimum of (9)"].sum() == 0
    assert (first.path / "figures" / "fronts.png").stat().st_size > 10_000
