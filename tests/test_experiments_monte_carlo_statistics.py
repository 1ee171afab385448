"""Statistics of a study equal closed forms, and depend neither on the order of rows nor on other cells."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.monte_carlo.analysis.intervals import expanded, t_interval
from experiments.monte_carlo.analysis.statistics import convergence, differences, slowest, strangest, summary

POLICIES = ("uncontrolled", "own-cost", "rolling")
FIGURES = ("total_cost_net_cny", "unmet_kwh")


def study(n: int = 12, n_cells: int = 2, seed: int = 1) -> pd.DataFrame:
    """Results of a study whose cost is common chance, a policy's effect, and a little of its own."""
    rng = np.random.default_rng(seed)
    common = rng.normal(1000.0, 50.0, size=(n_cells, n))
    rows = [
        (cell, policy, k, common[cell, k] - 10.0 * index + rng.normal(0.0, 5.0), float(rng.random() < 0.2))
        for cell, (index, policy), k in product(range(n_cells), enumerate(POLICIES), range(n))
    ]
    frame = pd.DataFrame(rows, columns=["cell", "policy", "replication", *FIGURES])
    return frame.assign(wall_seconds=rng.random(len(frame)), peak_memory_mb=100.0)


def values_of(results: pd.DataFrame, cell: int, policy: str, figure: str = FIGURES[0]) -> np.ndarray:
    """One figure of a cell and policy by replication."""
    rows = results[(results["cell"] == cell) & (results["policy"] == policy)]
    return rows.sort_values("replication")[figure].to_numpy()


def test_summary_by_hand() -> None:
    """1, 2, 3, 4, 10 of one figure, and a constant of another."""
    results = pd.DataFrame(
        {"cell": 0, "policy": "a", "replication": range(5), "x": [3.0, 1.0, 10.0, 2.0, 4.0], "y": 0.1}
    )
    found = summary(results, ["x", "y"], seed=1).set_index("figure")
    expected = {"n": 5, "mean": 4.0, "sd": 12.5**0.5, "min": 1.0, "q05": 1.2, "q25": 2.0, "median": 3.0}
    expected |= {"q75": 4.0, "q95": 8.8, "max": 10.0, "ci_low": 4.0 - 2.7764451 * 2.5**0.5}
    assert {name: found.loc["x", name] for name in expected} == pytest.approx(expected, rel=1e-7)
    assert 1.0 <= found.loc["x", "boot_low"] < 4.0 < found.loc["x", "boot_high"] <= 10.0
    constant = found.loc["y"].drop(["cell", "policy", "n", "sd", "n_alike"])
    assert set(constant) == {0.1}
    assert found["n_alike"].to_dict() == {"x": 1, "y": 5}
    assert found.loc["y", "sd"] == 0.0


def test_summary_has_every_cell_policy_and_figure_in_order() -> None:
    """Cells by number, policies in the study's order, figures as asked for."""
    found = summary(study(), FIGURES, seed=1)
    keys = list(zip(found["cell"], found["policy"], found["figure"], strict=True))
    assert keys == list(product((0, 1), POLICIES, FIGURES))


def test_summary_against_scipy() -> None:
    """Mean, interval and quartiles of each group are those of its values alone."""
    results = study()
    found = summary(results, FIGURES, seed=1).set_index(["cell", "policy", "figure"])
    for cell, policy in product((0, 1), POLICIES):
        values, row = values_of(results, cell, policy), found.loc[(cell, policy, FIGURES[0])]
        low, high = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((low, high))
        assert row["q25"] == pytest.approx(np.percentile(values, 25))
        level = expanded(0.95, len(values))
        expected = stats.bootstrap(
            (values,), np.mean, confidence_level=level, rng=np.random.default_rng(9)
        ).confidence_interval
        width = high - low
        assert abs(row["boot_low"] - expected.low) < 0.1 * width  # other draws
        assert abs(row["boot_high"] - expected.high) < 0.1 * width


def test_nothing_depends_on_the_order_of_rows_or_on_other_cells() -> None:
    """Shuffled rows give the same bits, and a cell has the same bits when the others are gone."""
    results = study()
    mixed = results.sample(frac=1.0, random_state=3)
    by = ["cell", "policy", "figure"]
    whole = summary(results, FIGURES, 1)
    pd.testing.assert_frame_equal(
        summary(mixed, FIGURES, 1).sort_values(by, ignore_index=True),
        whole.sort_values(by, ignore_index=True),
        check_exact=True,
    )
    pairs = differences(results, FIGURES, POLICIES, 1)
    pd.testing.assert_frame_equal(differences(mixed, FIGURES, POLICIES, 1), pairs, check_exact=True)
    pd.testing.assert_frame_equal(strangest(mixed, FIGURES), strangest(results, FIGURES), check_exact=True)
    last = results[results["cell"] == 1]
    alone, part = summary(last, FIGURES, 1), whole[whole["cell"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, part, check_exact=True)
    alone, part = differences(last, FIGURES, POLICIES, 1), pairs[pairs["cell"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, part, check_exact=True)


def test_the_seed_moves_the_bootstrap_alone() -> None:
    """Another seed of the study resamples otherwise; all else is as before."""
    one, other = (summary(study(), FIGURES, seed) for seed in (1, 2))
    boot = ["boot_low", "boot_high"]
    assert not one[boot].equals(other[boot])
    pd.testing.assert_frame_equal(one.drop(columns=boot), other.drop(columns=boot))


def test_differences_by_hand() -> None:
    """10, 12, 17 and 9, 13, 14: differences 1, -1, 3; variances 13, 7 and 4, so pairing removes 1 - 4 / 20."""
    results = pd.DataFrame(
        {
            "cell": 4,
            "policy": ["b"] * 3 + ["a"] * 4,
            "replication": [2, 0, 1, 0, 1, 2, 3],
            "x": [17.0, 10.0, 12.0, 9.0, 13.0, 14.0, 99.0],
        }
    )
    (row,) = differences(results, ["x"], ["a", "b"], 1).to_dict("records")
    assert (row["cell"], row["policy"], row["minus"], row["n"], row["n_below"]) == (4, "b", "a", 3, 1)
    assert (row["mean"], row["sd"], row["variance_removed"]) == pytest.approx((1.0, 2.0, 0.8))
    assert row["ci_high"] - row["mean"] == pytest.approx(4.302652729749462 * 2 / 3**0.5)


def test_every_later_policy_minus_every_earlier() -> None:
    """Pairs follow the study's order, not the alphabet's; the interval is that of the paired t test."""
    results = study()
    found = differences(results, FIGURES, POLICIES, 1)
    pairs = [("own-cost", "uncontrolled"), ("rolling", "uncontrolled"), ("rolling", "own-cost")]
    keys = list(
        zip(found["cell"], zip(found["policy"], found["minus"], strict=True), found["figure"], strict=True)
    )
    assert keys == list(product((0, 1), pairs, FIGURES))
    table = found.set_index(["cell", "policy", "minus", "figure"])
    for cell, (policy, minus) in product((0, 1), pairs):
        test = stats.ttest_rel(values_of(results, cell, policy), values_of(results, cell, minus))
        row = table.loc[(cell, policy, minus, FIGURES[0])]
        expected = test.confidence_interval(0.95)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((expected.low, expected.high))
        assert row["variance_removed"] > 0.9  # common chance of 50, own of 5


def test_variance_removed_of_constants_is_unknown() -> None:
    """Where neither policy varies there is nothing to remove; where one is opposite, pairing adds."""
    base = {"cell": 0, "policy": ["a"] * 3 + ["b"] * 3, "replication": [0, 1, 2] * 2}
    results = pd.DataFrame({**base, "x": [1.0] * 3 + [2.0] * 3, "y": [1.0, 2.0, 3.0, 3.0, 2.0, 1.0]})
    found = differences(results, ["x", "y"], ["a", "b"], 1).set_index("figure")
    assert np.isnan(found.loc["x", "variance_removed"])
    assert found.loc["y", "variance_removed"] == pytest.approx(-1.0)
    assert (found.loc["x", "boot_low"], found.loc["x", "boot_high"]) == (1.0, 1.0)


def test_policies_without_a_common_replication_have_no_difference() -> None:
    """A pair of which no replication has both is left out, as is a policy that has no row yet."""
    results = pd.DataFrame(
        {"cell": 0, "policy": ["a", "a", "b"], "replication": [0, 1, 2], "x": [1.0, 2.0, 3.0]}
    )
    assert differences(results, ["x"], ["a", "b", "c"], 1).empty
    assert list(differences(results, ["x"], ["a", "b"], 1).columns)[:4] == [
        "cell",
        "policy",
        "minus",
        "figure",
    ]


def test_an_empty_study_has_empty_tables() -> None:
    """Before the first row there is nothing to say, and nothing raises."""
    empty = study().iloc[:0]
    tables = [summary(empty, FIGURES, 1), differences(empty, FIGURES, POLICIES, 1), strangest(empty, FIGURES)]
    assert all(table.empty and len(table.columns) for table in [*tables, slowest(empty)])


def test_one_replication_has_a_mean_and_no_interval() -> None:
    """Nothing is made up from one value, and nothing warns."""
    found = summary(study(n=1), FIGURES, 1)
    assert found["mean"].notna().all()
    assert found[["sd", "ci_low", "ci_high", "boot_low", "boot_high"]].isna().all(axis=None)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 30))
def test_convergence_against_prefixes(seed: int, n: int) -> None:
    """The running interval at n is the interval of the first n values."""
    values = np.random.default_rng(seed).lognormal(mean=3.0, size=(2, n))
    found = convergence(values)
    assert found.n.tolist() == list(range(1, n + 1))
    for k in range(1, n + 1):
        low, high = t_interval(values[:, :k])
        assert found.mean[:, k - 1] == pytest.approx(values[:, :k].mean(axis=1))
        assert found.low[:, k - 1] == pytest.approx(low, nan_ok=True)
        assert found.high[:, k - 1] == pytest.approx(high, nan_ok=True)


def test_strangest_by_hand() -> None:
    """0, 1, 2, 3, 104: median 2, MAD 1, so the last is 102 / 1.4826 away and the first 2 / 1.4826."""
    results = pd.DataFrame(
        {"cell": 0, "policy": "a", "replication": range(5), "x": [0.0, 1.0, 2.0, 3.0, 104.0], "y": 7.0}
    )
    found = strangest(results, ["y", "x"], n=2)
    assert found["replication"].tolist() == [4, 0]
    assert found["figure"].tolist() == ["x", "x"]
    assert (found["value"][0], found["median"][0]) == (104.0, 2.0)
    assert found["z"].tolist() == pytest.approx([102 / 1.4826, 2 / 1.4826])


def test_a_rare_event_is_strange_and_rounding_is_not() -> None:
    """Where most values are equal the mean deviation stands in; what only rounding tells apart is equal."""
    unmet = [0.0] * 10
    unmet[6] = 3.0
    noise = 1e6 + 1e-7 * np.arange(10)
    results = pd.DataFrame({"cell": 0, "policy": "a", "replication": range(10), "x": unmet, "y": noise})
    found = strangest(results, ["x", "y"])
    assert found["replication"].tolist() == [6]
    assert found["z"][0] == pytest.approx(3.0 / (1.2533 * 0.3))


def test_what_is_not_a_number_is_strangest() -> None:
    """A NaN or an infinity comes first, and does not hide the distance of the others."""
    results = pd.DataFrame(
        {
            "cell": 0,
            "policy": "a",
            "replication": range(6),
            "x": [0.0, 1.0, 2.0, 3.0, 104.0, np.nan],
            "y": np.nan,
        }
    )
    assert strangest(results, ["x"])["replication"].tolist()[:2] == [5, 4]
    assert np.isinf(strangest(results, ["y"])["z"]).all()


def test_a_replication_is_strange_once() -> None:
    """A day that is odd in every cell and policy takes one row, where it is oddest, so that others are seen too."""
    results = study(n=30)
    for figure, factor in ((FIGURES[0], 5.0),):
        results.loc[results["replication"] == 11, figure] *= factor
    results.loc[(results["replication"] == 3) & (results["policy"] == "rolling"), FIGURES[0]] *= 2.0
    found = strangest(results, FIGURES[:1], n=5)
    assert found["replication"].tolist()[:2] == [11, 3]
    assert found["replication"].is_unique
    assert len(found) == 5
    assert found["policy"][1] == "rolling"


def test_slowest_runs_come_first() -> None:
    """By seconds, whatever the order of rows; ties by cell, policy and replication."""
    results = study(n=5).assign(wall_seconds=1.0)
    results.loc[[7, 20], "wall_seconds"] = [3.0, 2.0]
    found = slowest(results.sample(frac=1.0, random_state=1), 4)
    assert found["wall_seconds"].tolist() == [3.0, 2.0, 1.0, 1.0]
    keys = ["cell", "policy", "replication"]
    assert found[keys].iloc[:2].to_numpy().tolist() == results.loc[[7, 20], keys].to_numpy().tolist()
    assert found[keys].iloc[2:].to_numpy().tolist() == [[0, "own-cost", 0], [0, "own-cost", 1]]


def test_cells_are_resampled_apart_and_policies_alike() -> None:
    """The same values have the same ends under another policy, and in another cell ends of other draws."""
    values = values_of(study(), 0, "rolling")
    keys = product((0, 1), ("a", "b"), range(len(values)))
    results = pd.DataFrame(keys, columns=["cell", "policy", "replication"]).assign(x=np.tile(values, 4))
    low = summary(results, ["x"], 1)["boot_low"].tolist()
    assert low[0] == low[1] != low[2] == low[3]
