"""The study of model 1: its plan, its tables by hand, its folder."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.cli import main
from experiments.experiment.conduct import Experiment, conduct
from experiments.experiment.folder import open_experiment
from experiments.experiment.kept import audit_section
from experiments.experiment.page import Section, Shown, render
from experiments.experiment.sums import mean_row, means_by, paired
from experiments.monte_carlo.contracts import Cell
from experiments.monte_carlo.design.cells import cells_of
from experiments.multi_microgrid import gains, mobility, plan, regret, sections, study, survival, table5
from experiments.multi_microgrid.axes import Axis, factorial, labelled
from experiments.multi_microgrid.scores import ERRORS, scores_table
from sim.errors import RunFolderError, StudyError


def test_the_full_factorial_has_every_combination() -> None:
    """3 departure rules x 3 poolings x 3 exports x V2G x 2 turbines x 2 wear prices, 20 fleets, each cell labelled."""
    (part,) = (part for part in plan.parts(plan.FULL) if part.name == "factorial")
    cells = cells_of(part.factors, part.scenario)
    labels = labelled(cells, plan.design_axes(part.scenario, plan.FULL))
    assert len(cells) == 3 * 3 * 3 * 2 * 2 * 2
    assert part.n_replications >= 20
    assert len(labels.drop_duplicates()) == len(labels)


def test_every_part_is_a_valid_study() -> None:
    """Cells of every part of both extents are scenarios; days are spread over a year, at least 28 of them."""
    for extent in (plan.FULL, plan.QUICK):
        names = []
        for part in plan.parts(extent):
            names.append(part.name)
            assert cells_of(part.factors, part.scenario)
        assert len(names) == len(set(names))
    days = plan.days_of_year(plan.FULL.n_days)
    assert len(set(days)) >= 28
    assert {day.weekday() for day in days} == set(range(7))
    assert [days.count(day) for day in days] == [1] * len(days)
    parts = {part.name: part for part in plan.parts(plan.FULL)}
    stochastic = cells_of(parts["stochastic"].factors, parts["stochastic"].scenario)
    assert len({cell.levels["simulation.start"] for cell in stochastic}) >= 7


def test_each_day_has_a_fleet_of_its_own_in_every_part() -> None:
    """A date goes with one seed, the same in all parts on days of the year, so that they are paired."""
    seeds: dict[object, set[object]] = {}
    for part in plan.parts(plan.FULL):
        for cell in cells_of(part.factors, part.scenario):
            if "simulation.seed" in cell.levels:
                seeds.setdefault(cell.levels["simulation.start"], set()).add(cell.levels["simulation.seed"])
    assert len(seeds) == plan.FULL.n_days
    assert all(len(of_day) == 1 for of_day in seeds.values())
    assert len(set.union(*seeds.values())) == plan.FULL.n_days


def test_printed_turbine_and_pooling_reach_the_scenario() -> None:
    """Levels are what their labels say."""
    scenario = plan.base(plan.FULL)
    axes = plan.axes_of(scenario)
    assert axes["turbine"].levels["printed"]["efficiency_square"] == 0.4
    assert axes["turbine"].label(axes["turbine"].levels["physical"]) == "physical"
    assert axes["V2G"].levels == {"off": 0.0, "on": 5.0}
    with pytest.raises(KeyError, match="pooling"):
        axes["pooling"].label(7.0)


def test_fixed_batteries_have_the_cars_size() -> None:
    """All at home, or in equal parts: the fleet's energy and power in sum."""
    scenario = plan.base(plan.FULL)
    cells = list(plan.mobility_cells(scenario, plan.FULL))
    kinds = dict(zip(plan.MOBILITY, cells[:: plan.FULL.n_days], strict=True))
    for kind, places in (("fixed at home", ["home"]), ("fixed everywhere", ["home", "work", "other"])):
        extra = [kinds[kind][f"regions.{place}.batteries"][-1] for place in places]
        assert sum(battery["capacity_kwh"] for battery in extra) == pytest.approx(100 * 30.0)
        assert sum(battery["discharge_limit_kw"] for battery in extra) == pytest.approx(100 * 5.0)
        assert kinds[kind]["fleet.classes.*.discharge_limit_kw"] == 0.0
    assert kinds["V2G at home"]["regions.home.bidirectional"]
    assert not kinds["V2G at home"]["regions.work.bidirectional"]
    assert kinds["V2G everywhere"]["regions.work.bidirectional"]


def test_means_and_pairs_by_hand() -> None:
    """A t interval, groups in order of appearance, differences of complete pairs only."""
    row = mean_row(pd.Series([1.0, 2.0, 3.0, 4.0]))
    assert row["mean"] == 2.5
    assert row["ci_high"] - row["mean"] == pytest.approx(
        3.182446 * np.std([1, 2, 3, 4], ddof=1) / 2, rel=1e-5
    )
    frame = pd.DataFrame({"k": ["b", "a", "b"], "v": [1.0, 5.0, 3.0]})
    assert means_by(frame, ["k"], "v")["mean"].tolist() == [2.0, 5.0]
    frame = pd.DataFrame({"p": ["x", "y", "x"], "r": [0, 0, 1], "v": [5.0, 3.0, 9.0]})
    assert paired(frame, "p", "y", "x", "v", ["r"]).to_dict("list") == {"r": [0], "difference": [-2.0]}


def made_up(costs: dict[tuple[int, str], list[float]]) -> pd.DataFrame:
    """Rows of a study with the figures that tables need, all made of the cost."""
    rows = []
    for (cell, policy), values in costs.items():
        for replication, cost in enumerate(values):
            rows.append(
                {
                    "cell": cell,
                    "policy": policy,
                    "replication": replication,
                    "total_cost_cny": cost + 1,
                    "total_cost_net_cny": cost,
                    "ev_bill_cny": cost / 10,
                    "ev_bill_net_cny": cost / 100 - 1.0,
                    "renewables_used_kwh": 1000.0 - cost,
                    "ev_charged_kwh": 1.0,
                    "ev_discharged_kwh": 1.0,
                    "unmet_kwh": 0.0,
                    "late_departures": 0.0,
                }
            )
    return pd.DataFrame(rows)


def test_table_five_beside_made_up_rows() -> None:
    """Printed, a quarter of it, ours and both ratios."""
    rows = made_up(
        {(0, "uncontrolled"): [99.0, 101.0], (0, "own-cost"): [90.0, 90.0], (0, "rolling"): [80.0, 84.0]}
    )
    table = table5.beside_printed(rows).set_index(["scenario", "figure"])
    first = table.loc[("1 uncontrolled", "total_cost_cny")]
    assert first["ours"] == 101.0
    assert first["ours net"] == 100.0
    assert first["printed x 0.25"] == 0.25 * 62_549
    assert first["printed / ours"] == pytest.approx(62_549 / 101.0)
    holds = table5.orderings(rows).set_index("ordering")["holds in"]
    assert holds["EV bill: 1 > 2"] == 2
    assert holds["EV bill: 2 > 3"] == 2
    assert holds["total cost: 3 below 2"] == 2
    assert holds["total cost: 2 within 2 % of 1"] == 0


def test_the_bridge_moves_by_what_each_switch_changes() -> None:
    """Savings in per cent of scenario 1, and the change against the scenario as it is; crossed pooling too."""
    costs = {}
    for cell, (one, three) in enumerate([(100.0, 90.0), (100.0, 80.0), (50.0, 45.0)]):
        costs[cell, "uncontrolled"] = [one, one]
        costs[cell, "own-cost"] = [one, one]
        costs[cell, "day-ahead"] = [three, three]
    labels = pd.DataFrame(
        {"departure": ["0.5", "none", "0.5"], "pooling": ["islands", "islands", "free"]},
        index=pd.Index([0, 1, 2], name="cell"),
    )
    table = table5.bridge(made_up(costs), labels).set_index("assumption")
    assert table.loc["as printed", "saved %"] == pytest.approx(34.405, abs=1e-3)
    assert table.loc["as printed, times the missing 0.25 h", "saved"] == 5_380.0
    assert table.loc["departure: none instead of 0.5", "saved %"] == pytest.approx(20.0)
    assert table.loc["departure: none instead of 0.5", "moves by % points"] == pytest.approx(10.0)
    assert table.loc["pooling: free instead of islands", "saved %"] == pytest.approx(10.0)
    crossed = table.loc["scenario 1 islanded, scenario 3 pooled freely"]
    assert crossed["saved %"] == pytest.approx(55.0)


def two_axes() -> list[Axis]:
    """V2G and one more."""
    return [
        Axis(name="departure", key="fleet.departure_soc", levels={"0.5": 0.5, "none": "none"}),
        Axis(name="V2G", key="fleet.classes.*.discharge_limit_kw", levels={"off": 0.0, "on": 5.0}),
    ]


def test_gains_of_v2g_by_hand() -> None:
    """Cost without less cost with, paired by fleet and setting; ranked by what they explain."""
    axes = two_axes()
    cells = [
        Cell(index=i, levels={axes[0].key: a, axes[1].key: b})
        for i, (a, b) in enumerate([(0.5, 0.0), (0.5, 5.0), ("none", 0.0), ("none", 5.0)])
    ]
    rows = made_up(
        {
            (0, "day-ahead"): [100.0, 110.0],
            (1, "day-ahead"): [90.0, 98.0],
            (2, "day-ahead"): [100.0, 110.0],
            (3, "day-ahead"): [70.0, 78.0],
        }
    )
    labels = labelled(cells, axes)
    found = gains.v2g_gains(rows, labels)
    assert found.groupby("departure")["v2g_gain_cny"].apply(list).to_dict() == {
        "0.5": [10.0, 12.0],
        "none": [30.0, 32.0],
    }
    ranking = gains.ranking(rows, labels, axes)
    cost = ranking[ranking["figure"] == "total_cost_net_cny"]
    assert cost.iloc[0]["term"] == "V2G"
    assert cost["share"].sum() == pytest.approx(1.0)
    gain = ranking[ranking["figure"] == "v2g_gain_cny"]
    assert gain["term"].tolist() == ["departure"]
    assert gain.iloc[0]["swing"] == pytest.approx(20.0)
    assert factorial(axes).keys == (axes[0].key, axes[1].key)


def test_mobility_is_what_giving_back_away_from_home_adds() -> None:
    """Kinds and days are read from the cells; days are averaged over their fleets, and the interval is over days."""
    cost = {
        "charging only": 100.0,
        "V2G at home": 90.0,
        "V2G everywhere": 80.0,
        "fixed at home": 60.0,
        "fixed everywhere": 50.0,
    }
    scenario = plan.base(plan.QUICK)
    cells = [Cell(index=i, levels=c) for i, c in enumerate(plan.mobility_cells(scenario, plan.QUICK))]
    kinds = mobility.cells_by_kind(cells, scenario)
    days = plan.days_of_year(plan.QUICK.n_days)
    assert kinds["kind"].tolist() == [kind for kind in plan.MOBILITY for _ in days]
    assert kinds["day"].tolist() == days * len(plan.MOBILITY)
    extra = {
        day: 4.0 * number for number, day in enumerate(days)
    }  # V2G everywhere saves less on the second day
    rows = made_up(
        {
            (cell, "day-ahead"): [base + more, base + more + 2]
            for cell, kind, day in kinds.itertuples(name=None)
            for base, more in [(cost[kind], extra[day] if kind == "V2G everywhere" else 0.0)]
        }
    )
    saved = mobility.savings(rows, kinds)
    assert saved["V2G everywhere"].tolist() == [20.0, 16.0]
    table = mobility.mobility_gains(saved, 10).set_index("storage")
    row = table.loc["mobility: V2G everywhere less V2G at home"]
    assert row["gain"] == pytest.approx(8.0)
    assert row["share"] == pytest.approx(8.0 / 18.0)
    assert row["per car and year"] == pytest.approx(8.0 * 365 / 10)
    assert row["ci_high"] - row["gain"] == pytest.approx(
        12.706205 * np.std([10, 6], ddof=1) / np.sqrt(2), rel=1e-6
    )
    season = mobility.by_season(saved)
    assert season[season["part"] == "mobility"]["mean"].tolist() == pytest.approx(
        [8.0]
    )  # 1 February, 21 December


def test_what_is_left_of_the_optimum_by_hand() -> None:
    """Share of the day-ahead saving, fleet by fleet; settings of which the optimum was not run are left empty."""
    labels = pd.DataFrame({"pooling": ["islands", "free"]}, index=pd.Index([0, 1], name="cell"))
    rolling = made_up(
        {
            (0, "uncontrolled"): [100.0, 200.0],
            (0, "rolling"): [95.0, 190.0],
            (1, "uncontrolled"): [100.0, 200.0],
            (1, "rolling"): [90.0, 180.0],
        }
    )
    best_labels = pd.DataFrame({"pooling": ["other", "islands"]}, index=pd.Index([0, 1], name="cell"))
    best = made_up({(0, "day-ahead"): [1.0, 1.0], (1, "day-ahead"): [90.0, 160.0]})
    table = survival.savings_left(rolling, labels, best, best_labels).set_index("pooling")
    assert table.loc["islands", "saved"] == 7.5
    assert table.loc["islands", "percent"] == pytest.approx(5.0)
    assert table.loc["islands", "optimum saves"] == 25.0
    assert table.loc["islands", "share left"] == pytest.approx((0.5 + 0.25) / 2)
    assert table.loc["free", "saved"] == 15.0
    assert np.isnan(table.loc["free", "share left"])


def test_regret_and_its_split_add_up() -> None:
    """Regret by day against the yardstick; Shapley shares sum to it whatever the interactions."""
    costs = pd.DataFrame({"perfect": [10.0, 20.0], "a": [12.0, 26.0], "b": [11.0, 30.0]})
    table = regret.regrets(costs, "perfect").set_index("name")
    assert table.loc["a", "regret"] == 4.0
    assert table.loc["a", "cheapest days"] == 1
    parts = ("load", "weather", "cars")
    rng = np.random.default_rng(1)
    known = {frozenset(chosen): pd.Series(rng.random(5)) for chosen in plan.subsets(parts)}
    split = regret.regret_split(known, parts).set_index("part")
    total = (known[frozenset()] - known[frozenset(parts)]).mean()
    assert split.loc["all", "mean"] == pytest.approx(total)
    assert split.drop("all")["mean"].sum() == pytest.approx(total)


def test_costs_find_their_forecaster() -> None:
    """Rows become days by forecaster; sets of known parts are told apart, and knowing all is the perfect one."""
    extent = plan.QUICK
    days = list(plan.days_with_seeds(plan.base(extent), extent))
    frames = []
    for levels in (list(plan.forecast_cells(days, extent)), list(plan.by_forecaster(days))):
        cells = [Cell(index=i, levels=each) for i, each in enumerate(levels)]
        rows = made_up({(cell.index, "rolling"): [cell.index + 100.0 * len(frames)] for cell in cells})
        frames.append(regret.with_levels(rows, cells))
    frame = pd.concat(frames, ignore_index=True)
    assert len(frame) == len(
        frame.drop_duplicates([plan.START, regret.KIND, regret.KNOWN, regret.CARS, regret.LEAVING])
    )
    by_forecaster = regret.costs_by_forecaster(frame)
    assert list(by_forecaster.columns[:4]) == list(plan.FORECASTERS)
    assert len(by_forecaster) == extent.n_days
    by_known = regret.costs_by_known(frame, "learned", plan.PARTS)
    assert len(by_known) == 2 ** len(plan.PARTS)
    assert by_known[frozenset(plan.PARTS)].equals(by_forecaster["perfect"].rename(regret.COST))
    assert by_known[frozenset()].equals(by_forecaster["learned"].rename(regret.COST))


def policies_by_day(costs: dict[str, list[float]]) -> pd.DataFrame:
    """Rows of policies on the first days of January under one forecaster."""
    rows = made_up({(0, policy): values for policy, values in costs.items()})
    days = pd.to_datetime("2016-01-01") + pd.to_timedelta(rows["replication"], unit="D")
    return rows.assign(
        **{"simulation.start": days.dt.date.astype(str), "forecast.kind": "learned"},
        departure_shortfall_kwh=0.0,
        clipped_kwh=0.0,
    )


def test_policies_are_compared_on_the_days_they_ran() -> None:
    """Regret over a policy's own days; differences to rolling over the days that both have."""
    rows = policies_by_day({"rolling": [12.0, 15.0, 11.0], "stochastic": [11.0, 17.0]})
    perfect = pd.Series([10.0, 10.0, 10.0], index=[pd.Timestamp(f"2016-01-0{d}").date() for d in (1, 2, 3)])
    table = regret.policies_table(rows, perfect).set_index("policy")
    assert table.loc["rolling", "regret"] == pytest.approx((2 + 5 + 1) / 3)
    assert table.loc["stochastic", "regret"] == pytest.approx(4.0)
    assert table.loc["stochastic", "n"] == 2
    assert table["cheapest days"].to_dict() == {"rolling": 2, "stochastic": 1}
    change = regret.against_rolling(rows, ("stochastic",)).set_index("figure")
    assert change.loc["total_cost_net_cny", "mean"] == pytest.approx((-1 + 2) / 2)
    assert change.loc["total_cost_net_cny", "n"] == 2


def test_the_optimum_stands_beside_the_yardstick() -> None:
    """What the rolling horizon gives away even with perfect forecasts: the optimum's regret is negative."""
    costs = pd.DataFrame({"perfect": [10.0, 20.0], "a": [12.0, 26.0]}, index=pd.Index(["x", "y"]))
    table = regret.with_optimum(
        regret.regrets(costs, "perfect"), costs, pd.Series([9.0, 18.0], index=["x", "y"])
    )
    assert table["regret"].tolist() == [-1.5, 0.0, 4.0]
    assert table["percent"].iloc[0] == pytest.approx(-10.0)


def test_scores_become_a_row_per_quantity_and_forecaster() -> None:
    """Errors, coverage of chosen quantiles and the difference to the reference are taken from the scores."""
    names = [
        "quantity",
        "score",
        "level",
        "forecaster",
        "mean",
        "difference",
        "difference_low",
        "difference_high",
        "n_days",
    ]
    rows = [
        ("load_kw", "coverage", level, "learned", level + 0.01, 0.0, 0.0, 0.0, 4)
        for level in (0.05, 0.25, 0.5, 0.95)
    ]
    rows += [
        ("load_kw", name, np.nan, "learned", 1.0 + i, -1.0, -2.0, 0.5, 4) for i, name in enumerate(ERRORS)
    ]
    (row,) = scores_table(pd.DataFrame(rows, columns=names)).to_dict("records")
    assert [row[name] for name in ("MAE", "RMSE", "MASE", "pinball")] == [1.0, 2.0, 3.0, 4.0]
    assert row["below the 0.05 quantile"] == pytest.approx(0.06)
    assert (row["MAE less seasonal-naive"], row["ci_low"], row["ci_high"], row["n"]) == (-1.0, -2.0, 0.5, 4)


def test_the_page_escapes_folds_and_shows(tmp_path: Path) -> None:
    """Tables with captions, long ones folded, names escaped, nothing from elsewhere."""
    frame = pd.DataFrame({"name": ["<b>"], "value": [1234.5]})
    text = render(
        "T",
        "lead",
        [
            Section(
                title="One",
                question="Why?",
                tables=(
                    Shown(name="a", caption="plain", frame=frame),
                    Shown(name="b", caption="long", frame=frame, is_folded=True),
                ),
            )
        ],
    )
    assert "&lt;b&gt;" in text
    assert "1,234.5" in text
    assert text.count("<details>") == 1
    assert "http" not in text.replace("http-equiv", "")


def test_an_interval_stands_beside_its_figure() -> None:
    """In one cell, without columns of its own; nothing where there is none."""
    frame = pd.DataFrame({"saved": [1.5, 2.5], "low": [0.25, np.nan], "high": [2.75, np.nan], "n": [9, 1]})
    text = render(
        "T", "", [Section(title="t", question="", tables=(Shown(name="a", caption="c", frame=frame),))]
    )
    assert re.findall(r"<th(?: [^>]*)?>([^<]*)", text) == ["saved", "n"]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", text)
    assert cells == ['1.5000 <span class="interval">(0.2500, 2.7500)</span>', "9", "2.5000", "1"]


def test_a_folder_belongs_to_one_experiment(tmp_path: Path) -> None:
    """Made anew; gone on with only when asked; another extent or a foreign folder is refused."""
    target = tmp_path / "x"
    open_experiment(target, "multi-microgrid", "quick", resume=False)
    open_experiment(target, "multi-microgrid", "quick", resume=True)
    with pytest.raises(StudyError, match="was begun already; go on with --resume"):
        open_experiment(target, "multi-microgrid", "quick", resume=False)
    with pytest.raises(StudyError, match="extent is quick, not full"):
        open_experiment(target, "multi-microgrid", "full", resume=True)
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises((StudyError, RunFolderError), match="other"):
        open_experiment(other, "multi-microgrid", "quick", resume=True)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StudyError, match=r"file: is a file, not a folder; name another one with --out$"):
        open_experiment(file, "multi-microgrid", "quick", resume=True)


def test_workers_that_cannot_be_leave_no_folder(tmp_path: Path) -> None:
    """A mistake at the command line is told before anything is made: the corrected command begins anew."""
    empty = Experiment(
        name="empty", title="Empty", lead="Nothing.", extent="quick", parts=list, sheets=list,
        sections=lambda *_: [], headlines={},
    )  # fmt: skip
    with pytest.raises(StudyError, match="--workers -1: must be 0"):
        conduct(empty, tmp_path / "x", workers=-1)
    assert not (tmp_path / "x").exists()


def test_an_unknown_experiment_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one line, with what was meant."""
    monkeypatch.setattr("sys.argv", ["voltwalk", "experiment", "multi-microgrids"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "did you mean 'multi-microgrid'?" in capsys.readouterr().err


@pytest.mark.slow
def test_a_small_experiment_runs_resumes_and_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One part of it: tables, figures and page are there; resuming changes no byte, another folder the same tables."""
    extent = plan.Extent(
        name="quick",
        n_cars=3,
        n_fleets=2,
        n_fleets_a_day=1,
        n_days=1,
        stochastic_every=1,
        split_every=1,
        split_forecasters=("learned",),
        n_paths=2,
        rolling_every=1,
        drivers_every=1,
        shortened=plan.QUICK.shortened,
        bridged=plan.QUICK.bridged,
    )
    chosen = ("table5",)

    def made(done, scores, findings, extent, pictures):  # noqa: ANN001, ANN202
        yield sections._paper(done["table5"], pictures)
        yield audit_section(findings)

    monkeypatch.setattr(study, "parts", lambda extent: (p for p in plan.parts(extent) if p.name in chosen))
    monkeypatch.setattr(study, "sections", made)
    small = study.of_extent(extent)
    first = conduct(small, tmp_path / "a", workers=0)
    page = (first.path / "index.html").read_bytes()
    again = conduct(small, tmp_path / "a", resume=True, workers=0)
    assert (again.path / "index.html").read_bytes() == page
    other = conduct(small, tmp_path / "b", workers=0)
    assert first.n_audit_findings == 0
    assert first.tables["audits"]["pass"].tolist() == [1, 1, 1]
    for table in ("table5", "policies", "orderings", "audits"):
        files = [path / "tables" / f"{table}.csv" for path in (first.path, other.path)]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert list((first.path / "figures").glob("car-*.png"))
