"""A study's report is one file, holds what the rows say, and tells what is missing."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from experiments.cli import app
from experiments.monte_carlo.contracts import Cell, Failure, Row
from experiments.monte_carlo.design.cells import cells_of
from experiments.monte_carlo.design.factors import Factors
from experiments.monte_carlo.folder import StudyFolder, create_folder
from experiments.monte_carlo.identity import Identity, fingerprint_of
from experiments.monte_carlo.reading import Study, read_study
from experiments.monte_carlo.report.bins import MOST_BINS, bins_of
from experiments.monte_carlo.report.data import (
    BUDGET,
    DIFFERENCES,
    FEWEST_NUMBERS,
    MEANS_BUDGET,
    STATISTICS,
    every_of,
    steps_of,
    study_data,
    thinning,
)
from experiments.monte_carlo.report.page import render_study_report, write_report
from experiments.monte_carlo.report.series import series_of
from experiments.monte_carlo.settings import base_toml
from experiments.monte_carlo.table import figure_names, row_table
from experiments.page import TEMPLATES
from experiments.run_folder import json_bytes
from experiments.running import resolve
from sim.errors import StudyError
from sim.key_figures import KEY_FIGURES

POLICIES = ("uncontrolled", "rolling")
COST = "total_cost_net_cny"
FACTORS = Factors(
    design="factorial",
    factors={"fleet.size": [1, 2, 3], "economics.throughput_price_per_kwh": [0.0, 0.1]},
)
Missing = frozenset[tuple[int, str, int]]


def figures_of(rng: np.random.Generator, policy: str, cell: Cell) -> dict[str, float]:
    """Key figures of one run: drawn, but constant where a real study's often are."""
    shift = 10.0 * POLICIES.index(policy) + 100.0 * cell.index
    drawn = {name: float(rng.normal(1000.0 + shift, 5.0)) for name in figure_names("CNY")}
    return drawn | {"decisions": 96.0, "unserved_kwh": 0.0, "late_departures": float(rng.poisson(3))}


def make_study(
    path: Path,
    n: int,
    *,
    factors: Factors | None = None,
    missing: Missing = frozenset(),
    ending: dict[str, Any] | None = None,
    policies: tuple[str, ...] = POLICIES,
) -> Study:
    """Make a study's folder of drawn rows, as a study would leave it."""
    base = resolve("multi-microgrid")
    cells = cells_of(factors, base)
    identity = Identity(
        scenario_toml=base_toml(base, policies[0]),
        seed=base.simulation.seed,
        policies=policies,
        factors=factors.table() if factors is not None else {},
        fingerprint=fingerprint_of(policies, []),
    )
    folder = create_folder(path, identity, cells)
    for cell in cells:
        for replication in range(n):
            write_unit(folder, cell, replication, policies, missing)
    if ending is not None:
        (path / "summary.json").write_bytes(json_bytes(ending))
    return read_study(path)


def write_unit(
    folder: StudyFolder, cell: Cell, replication: int, policies: tuple[str, ...], missing: Missing
) -> None:
    """Write the rows of one replication of a cell, or the failures of those that are missing."""
    rng = np.random.default_rng([cell.index, replication])
    rows = [
        Row(
            cell=cell,
            policy=policy,
            replication=replication,
            figures=figures_of(rng, policy, cell),
            wall_seconds=0.5 + replication / 1000,
            peak_memory_mb=100.0,
        )
        for policy in policies
    ]
    file = folder.result_file(cell.index, replication)
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = [row for row in rows if (cell.index, row.policy, replication) not in missing]
    pq.write_table(row_table(kept, folder.schema), file)
    for row in rows:
        if row not in kept:
            failure = Failure(
                cell=cell.index,
                policy=row.policy,
                replication=replication,
                error="vehicle 17: <b>no</b> road",
            )
            target = folder.failure_file(cell.index, replication, row.policy)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(json_bytes(asdict(failure)))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Give a study of one cell, 30 replications and two policies."""
    return make_study(tmp_path_factory.mktemp("study") / "plain", 30, ending=ended(30))


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Give a factorial study of six cells and four replications."""
    return make_study(tmp_path_factory.mktemp("study") / "crossed", 4, factors=FACTORS, ending=ended(4))


def ended(asked: int, **more: Any) -> dict[str, Any]:
    """Make what ``summary.json`` says of the end."""
    return {"asked": asked, "until": [], "minimum": 20, "stopped_at": None} | more


def column(data: dict[str, Any], name: str) -> int:
    """Place of a key figure on the page."""
    return [word["name"] for word in data["figures"]].index(name)


def test_page_is_self_contained(plain: Study) -> None:
    """The file loads nothing from elsewhere and holds plotting library, numbers and the words of every figure."""
    text = render_study_report(plain)
    assert not re.search(r"<(script|link|img|iframe)\b[^>]*\b(src|href)=", text)
    assert "Plotly" in text
    for figure in KEY_FIGURES:
        assert figure.name_in("CNY") in text
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    held = json.loads(found.group(1))
    assert {key: held[key] for key in study_data(plain)} == study_data(plain)


def test_script_finds_all_its_places() -> None:
    """Every element that the script names is in the template."""
    script = (TEMPLATES / "study.js").read_text(encoding="utf-8")
    template = (TEMPLATES / "study.html.j2").read_text(encoding="utf-8")
    named = set(re.findall(r'\bat\("([a-z-]+)"\)', script))
    assert len(named) > 15
    assert {name for name in named if f'id="{name}"' not in template} == set()


def test_same_folder_same_bytes(plain: Study) -> None:
    """Nothing of the time or of the process is in the page."""
    assert render_study_report(read_study(plain.path)) == render_study_report(plain)


def test_estimates_on_the_page_are_those_of_the_tables(plain: Study) -> None:
    """Each policy and each difference shows its row of the statistics, to eight digits."""
    data = study_data(plain)
    assert [one["label"] for one in data["series"]] == ["uncontrolled", "rolling", "rolling − uncontrolled"]
    detail = data["detail"][column(data, COST)][0]
    for series, policy in enumerate(POLICIES):
        rows = plain.statistics[(plain.statistics["policy"] == policy) & (plain.statistics["figure"] == COST)]
        assert detail[series]["stats"] == pytest.approx(rows[list(STATISTICS)].iloc[0].tolist(), rel=1e-7)
    rows = plain.differences[plain.differences["figure"] == COST]
    assert detail[2]["stats"] == pytest.approx(rows[list(DIFFERENCES)].iloc[0].tolist(), rel=1e-7)


def test_convergence_ends_at_the_interval(plain: Study) -> None:
    """The running mean and half-width end at the mean and interval of all replications."""
    data = study_data(plain)
    for series in data["detail"][column(data, COST)][0]:
        stats = dict(zip(STATISTICS[:5], series["stats"][:5], strict=True))
        assert series["mean"][-1] == pytest.approx(stats["mean"], rel=1e-6)
        assert series["half"][-1] == pytest.approx((stats["ci_high"] - stats["ci_low"]) / 2, rel=1e-3)
        assert len(series["mean"]) == len(data["steps"][str(series["n"])])


def test_histograms_hold_every_replication(crossed: Study) -> None:
    """The counts of each histogram add up to its replications; equal values have none."""
    data = study_data(crossed)
    for figure, by_cell in zip(data["figures"], data["detail"], strict=True):
        for series in [series for by_series in by_cell for series in by_series]:
            if figure["name"] in {"decisions", "unserved_kwh"}:
                assert series["bins"] is None
            elif series["bins"] is not None:
                assert sum(series["bins"][2]) == series["n"] == 4


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=50),
    st.lists(st.one_of(st.floats(-10, 10), st.just(math.nan)), max_size=50),
)
def test_bins_cover_their_values(one: list[float], other: list[float]) -> None:
    """Every finite value lies in the bin that counts it, and no chart has more bins than it can show."""
    values = [np.array(one), np.array(other)]
    bins = bins_of(values)
    if bins is None:
        return
    assert bins.n <= MOST_BINS + 2
    for series in values:
        finite = series[np.isfinite(series)]
        first, width, counts = bins.data(series)
        assert sum(counts) == len(finite)
        for value in finite:
            place = round((value - first * width) / width - 0.5)
            assert any(counts[k] for k in (place - 1, place, place + 1) if 0 <= k < len(counts))


def test_whole_numbers_have_a_bin_each() -> None:
    """Late departures are counted one by one."""
    bins = bins_of([np.array([0.0, 0.0, 3.0, 9.0])])
    assert bins is not None
    assert bins.data(np.array([0.0, 0.0, 3.0])) == [0, 1.0, [2, 0, 0, 1]]


@pytest.mark.parametrize("n_cells", [1, 27, 300, 5000])
@pytest.mark.parametrize("n_policies", [1, 2, 3, 8])
def test_page_keeps_its_budget(n_cells: int, n_policies: int) -> None:
    """However large a study, its charts hold no more numbers than the budget, and never less than one cell."""
    n_figures, n_series = len(KEY_FIGURES), n_policies * (n_policies + 1) // 2
    held = thinning(n_figures, n_series, n_cells)
    assert 1 <= held.n_cells <= n_cells
    each = FEWEST_NUMBERS // 2 + held.n_points + 2 * held.n_steps
    if held.n_cells > 1 or n_series * n_figures * FEWEST_NUMBERS < BUDGET:
        assert n_figures * n_series * held.n_cells * each <= 1.2 * BUDGET
    assert held.n_mean_cells == 1 or 3 * n_figures * n_series * held.n_mean_cells <= MEANS_BUDGET


def test_cells_beyond_the_budget_are_left_out(crossed: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of fewer cells holds the first, and knows how many there are."""
    lines = len(figure_names("CNY")) * len(series_of(crossed.policies))
    monkeypatch.setattr("experiments.monte_carlo.report.data.BUDGET", 3 * lines * FEWEST_NUMBERS - 1)
    data = study_data(crossed)
    assert data["shown"] == [0, 1]
    assert {len(by_cell) for by_cell in data["detail"]} == {2}
    assert len(data["levels"]) == 6


def test_points_are_thinned_evenly() -> None:
    """Where not all replications are drawn, it is every k-th; running means end at the last one."""
    assert every_of(10_000, 300) == 34
    assert len(range(0, 10_000, 34)) <= 300
    steps = steps_of(10_000, 120)
    assert len(steps) <= 120
    assert (steps[0], steps[-1]) == (2, 10_000)


def test_pairs_use_what_both_have(tmp_path: Path) -> None:
    """A replication that lacks a policy is in that of the other policy alone, and the page says so."""
    missing = frozenset({(0, "rolling", 3), (0, "rolling", 7)})
    study = make_study(tmp_path / "s", 10, missing=missing, ending=ended(10))
    data = study_data(study)
    assert [series["n"] for series in data["detail"][0][0]] == [10, 8, 8]
    text = render_study_report(study)
    assert "<strong>2 runs failed</strong>" in text
    assert "Only 8 of 10 replications are complete" in text
    assert "lack rows of replication 3, 7" in text


def test_failures_are_listed_with_their_commands(tmp_path: Path) -> None:
    """Each failure has its error, harmless as text, and the command that runs it again."""
    study = make_study(tmp_path / "s", 3, missing=frozenset({(0, "rolling", 2)}), ending=ended(3))
    text = render_study_report(study)
    assert "vehicle 17: &lt;b&gt;no&lt;/b&gt; road" in text
    assert f"voltwalk replay {study.path} 2 --cell 0 --policy rolling" in text


def test_slowest_has_its_command(plain: Study) -> None:
    """The last replications were made the slowest, and stand first."""
    text = render_study_report(plain)
    slow = text[text.index("<h2>Slowest replications</h2>") :]
    first = slow[slow.index("<tbody>") : slow.index("</tr>", slow.index("<tbody>"))]
    assert f"voltwalk replay {plain.path} 29 --cell 0 --policy" in first


RULE = f"{COST}[rolling - uncontrolled] < 2%"


@pytest.mark.parametrize(
    ("ending", "said", "n_notices"),
    [
        (None, "This study is not finished", 1),
        (ended(5), "The number of replications was fixed beforehand", 0),
        (ended(9), "Only 5 of 9 replications are complete", 1),
        (ended(9, until=[RULE], stopped_at=5), "was met</strong> at N = 5 of at most 9 replications", 0),
        (ended(5, until=[RULE]), "not met</strong> by N = 5", 1),
    ],
)
def test_page_says_how_the_study_ended(
    tmp_path: Path, ending: dict[str, Any] | None, said: str, n_notices: int
) -> None:
    """Unfinished, fixed, short, stopped by its rule or not: a sentence, marked where something is missing."""
    text = render_study_report(make_study(tmp_path / "s", 5, ending=ending))
    assert said in text
    assert text.count('class="notice"') == n_notices


def test_rules_reach_the_charts(tmp_path: Path) -> None:
    """A rule for all policies is drawn for each, a rule on a difference for that difference, with the minimum."""
    ending = ended(9, until=[f"{COST} < 150", RULE], stopped_at=5)
    text = render_study_report(make_study(tmp_path / "s", 5, ending=ending))
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data = json.loads(found.group(1))
    assert [(rule["policy"], rule["minus"], rule["width"], rule["relative"]) for rule in data["rules"]] == [
        ("uncontrolled", None, 150.0, False),
        ("rolling", None, 150.0, False),
        ("rolling", "uncontrolled", 2.0, True),
    ]
    assert data["minimum"] == 20


@pytest.mark.parametrize("n", [0, 1, 2])
def test_small_studies_have_a_page(tmp_path: Path, n: int) -> None:
    """No row, one and two replications make a page; without rows it says so."""
    text = render_study_report(make_study(tmp_path / "s", n))
    assert ("This study has no row yet" in text) == (n == 0)


def test_single_policy_has_no_differences(tmp_path: Path) -> None:
    """Nothing is said of differences where there are none."""
    text = render_study_report(make_study(tmp_path / "s", 3, policies=("rolling",), ending=ended(3)))
    assert "<h2>Paired difference" not in text
    assert "variance removed</dt>" not in text


def test_infinite_figures_are_left_blank(tmp_path: Path) -> None:
    """A figure that is no number is none on the page, which stays valid JSON."""
    study = make_study(tmp_path / "s", 4)
    study.results.loc[0, COST] = math.nan
    data = study_data(study)
    detail = data["detail"][column(data, COST)][0][0]
    assert detail["points"][0] is None
    assert detail["stats"][STATISTICS.index("mean")] is None
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_means_over_cells_are_those_of_the_tables(crossed: Study) -> None:
    """The chart over the cells draws each cell's mean and interval."""
    data = study_data(crossed)
    means = data["means"][column(data, COST)]
    for series, policy in enumerate(POLICIES):
        rows = crossed.statistics[
            (crossed.statistics["policy"] == policy) & (crossed.statistics["figure"] == COST)
        ].sort_values("cell")
        for line, name in zip(means[series], ("mean", "ci_low", "ci_high"), strict=True):
            assert line == pytest.approx(rows[name].tolist(), rel=1e-7)


def test_effects_on_a_difference_are_differences_of_effects(crossed: Study) -> None:
    """Effects are linear: those on rolling minus uncontrolled are the one's minus the other's."""
    effects = study_data(crossed)["effects"]
    assert effects["n"] == 4
    kinds = {kind for kind, _, _ in effects["rows"]}
    assert kinds == {"main", "interaction", "fit"}
    linear = [i for i, row in enumerate(effects["rows"]) if row[0] != "fit"]
    for first, second, difference in effects["values"]:
        for i in linear:
            assert difference[0][i] == pytest.approx(second[0][i] - first[0][i], abs=1e-2)


def test_effects_of_a_difference_know_cells_beyond_the_first(crossed: Study) -> None:
    """The drawn figures grow by 100 from cell to cell: fleet.size by 200 a level, the price by 100."""
    data = study_data(crossed)
    values = data["effects"]["values"][column(data, COST)][0][0]
    found = {tuple(row): value for row, value in zip(data["effects"]["rows"], values, strict=True)}
    assert found["main", "fleet.size", "1"] == pytest.approx(-200, abs=10)
    assert found["main", "fleet.size", "3"] == pytest.approx(200, abs=10)


def test_report_is_written_again(plain: Study) -> None:
    """``voltwalk report`` on a study's folder writes study.html and names it; --png is refused."""
    file = write_report(plain.path)
    text = file.read_bytes()
    file.unlink()
    done = CliRunner().invoke(app, ["report", str(plain.path)])
    assert (done.exit_code, done.stdout.strip()) == (0, str(file))
    assert file.read_bytes() == text
    refused = CliRunner().invoke(app, ["report", str(plain.path), "--png", "x"])
    assert isinstance(refused.exception, StudyError)
    assert "leave it out" in str(refused.exception)


def test_a_full_disk_is_told(plain: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that cannot be written is a plain mistake."""
    (plain.path / "study.html").write_text("an earlier page", encoding="utf-8")
    whole = Path.write_bytes

    def half(path: Path, data: bytes) -> int:
        whole(path, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(StudyError, match=r"study.html: No space left on device"):
        write_report(plain)
    assert (plain.path / "study.html").read_text(encoding="utf-8") == "an earlier page"


def test_damaged_summary_is_told(tmp_path: Path) -> None:
    """A summary that is no JSON is named."""
    study = make_study(tmp_path / "s", 2)
    (study.path / "summary.json").write_text("{", encoding="utf-8")
    with pytest.raises(StudyError, match=r"summary.json: is damaged"):
        render_study_report(study)


def test_results_keep_their_order_of_rows(plain: Study) -> None:
    """Shuffled rows make the same charts."""
    shuffled = read_study(plain.path)
    rows = plain.results.sample(frac=1.0, random_state=3)
    shuffled.__dict__["results"] = rows.sort_values(["policy"], ascending=False, kind="stable")
    assert isinstance(shuffled.results, pd.DataFrame)
    first, second = study_data(plain)["detail"], study_data(shuffled)["detail"]
    assert first == second
