"""Effects of factors: known models are found again, and intervals hold what they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from experiments.monte_carlo.analysis.contrasts import contrasts_of
from experiments.monte_carlo.analysis.effects import effects
from experiments.monte_carlo.contracts import Cell
from experiments.monte_carlo.design.cells import cells_of
from experiments.monte_carlo.design.factors import Factors, Range
from experiments.shipped import load_scenario

Model = Callable[[Mapping[str, Any]], float]
BASE = load_scenario("multi-microgrid")
FACTORIAL = Factors(design="factorial", factors={"a": [1, 2, 4], "b": ["x", "y"], "c": [True, False]})


def rows(cells: Sequence[Cell], values: np.ndarray, policies: Sequence[str] = ("p",)) -> pd.DataFrame:
    """Rows of a study whose only figure has values of shape (n_policies, n_replications, n_cells)."""
    p, r, c = np.meshgrid(*(np.arange(n) for n in values.shape), indexing="ij")
    return pd.DataFrame(
        {
            "cell": c.ravel(),
            "policy": np.array(policies)[p.ravel()],
            "replication": r.ravel(),
            "y_kwh": values.ravel(),
        }
    )


def study(factors: Factors, model: Model, noise: np.ndarray | None = None) -> pd.DataFrame:
    """Effects of a model on the factors' cells; noise of shape (n_replications,) is common to the cells."""
    cells = cells_of(factors, BASE)
    common = np.arange(3.0) if noise is None else noise
    values = np.array([[model(cell.levels) for cell in cells]]) + common[:, None]
    return effects(rows(cells, values[None]), factors, cells, ["y_kwh"], ["p"])


def found(table: pd.DataFrame, kind: str, term: str) -> dict[str, float]:
    """Effect by level of one term."""
    chosen = table[(table["kind"] == kind) & (table["term"] == term)]
    return dict(zip(chosen["level"], chosen["effect"], strict=True))


def test_effects_of_an_additive_model_are_found_exactly() -> None:
    """Deviations of each level from the factor's mean; no interactions; common noise makes no interval wide."""
    a, b = {1: 10.0, 2: 20.0, 4: 60.0}, {"x": 1.0, "y": 4.0}
    table = study(FACTORIAL, lambda levels: a[levels["a"]] + b[levels["b"]])
    assert found(table, "main", "a") == pytest.approx({"1": -20.0, "2": -10.0, "4": 30.0})
    assert found(table, "main", "b") == pytest.approx({"x": -1.5, "y": 1.5})
    assert found(table, "main", "c") == pytest.approx({"true": 0.0, "false": 0.0}, abs=1e-12)
    assert table.loc[table["kind"] == "interaction", "effect"].abs().max() < 1e-12
    assert np.allclose(table["ci_low"].dropna(), table["ci_high"].dropna())
    share = table.drop_duplicates("term").set_index("term")["share"]
    assert share["a"] == pytest.approx(1400 / (1400 + 3 * 2.25))
    assert share["a"] + share["b"] == pytest.approx(1.0)
    assert found(table, "fit", "all terms")[""] == pytest.approx(1.0)


def test_an_interaction_is_found_exactly() -> None:
    """With y = [a = 4][b = y]: by hand from level and cell means."""
    table = study(FACTORIAL, lambda levels: float(levels["a"] == 4 and levels["b"] == "y"))
    assert found(table, "main", "a") == pytest.approx({"1": -1 / 6, "2": -1 / 6, "4": 1 / 3})
    assert found(table, "main", "b") == pytest.approx({"x": -1 / 6, "y": 1 / 6})
    assert found(table, "interaction", "a x b") == pytest.approx(
        {"1 x x": 1 / 6, "1 x y": -1 / 6, "2 x x": 1 / 6, "2 x y": -1 / 6, "4 x x": -1 / 3, "4 x y": 1 / 3}
    )
    share = table.drop_duplicates("term").set_index("term")["share"]
    assert share["a x b"] == pytest.approx((4 / 36 + 2 / 9) / 6 / (1 / 6 - 1 / 36))


def test_factorial_effects_against_means_of_means() -> None:
    """Random values: the least-squares weights give the textbook's differences of means, blocks and all."""
    cells = cells_of(FACTORIAL, BASE)
    values = np.random.default_rng(2).normal(1e6, 1.0, (7, len(cells)))
    table = effects(rows(cells, values[None]), FACTORIAL, cells, ["y_kwh"], ["p"])
    cube = values.reshape(7, 3, 2, 2)
    grand = cube.mean(axis=(1, 2, 3))
    main_a, main_c = cube.mean(axis=(2, 3)) - grand[:, None], cube.mean(axis=(1, 2)) - grand[:, None]
    both = cube.mean(axis=2) - grand[:, None, None] - main_a[:, :, None] - main_c[:, None, :]
    assert list(found(table, "main", "a").values()) == pytest.approx(main_a.mean(axis=0))
    assert list(found(table, "interaction", "a x c").values()) == pytest.approx(both.mean(axis=0).ravel())
    row = table[(table["kind"] == "interaction") & (table["level"] == "2 x false")].iloc[0]
    interval = stats.ttest_1samp(both[:, 1, 1], 0.0).confidence_interval(0.95)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((interval.low, interval.high))
    means = cube.mean(axis=0)
    eta = 4 * (main_a.mean(axis=0) ** 2).sum() / ((means - means.mean()) ** 2).sum()
    assert table.loc[table["term"] == "a", "share"].iloc[0] == pytest.approx(eta)


def test_only_complete_replications_count() -> None:
    """A row that lacks under any policy takes its whole replication out, for all policies."""
    cells = cells_of(FACTORIAL, BASE)
    values = np.random.default_rng(3).normal(size=(2, 6, len(cells)))
    table = rows(cells, values, ("p", "q"))
    part = table[~((table["replication"] == 4) & (table["cell"] == 3) & (table["policy"] == "q"))]
    shuffled = part.sample(frac=1.0, random_state=1)
    got = effects(shuffled, FACTORIAL, cells, ["y_kwh"], ["p", "q"])
    without = rows(cells, values[:, [0, 1, 2, 3, 5]], ("p", "q"))
    pd.testing.assert_frame_equal(got, effects(without, FACTORIAL, cells, ["y_kwh"], ["p", "q"]))
    assert set(got["n"]) == {5}


def test_one_replication_has_effects_without_intervals_and_none_has_none() -> None:
    """No interval is made up."""
    cells = cells_of(FACTORIAL, BASE)
    one = rows(cells, np.arange(12.0).reshape(1, 1, 12))
    table = effects(one, FACTORIAL, cells, ["y_kwh"], ["p"])
    assert table.loc[table["kind"] != "fit", "effect"].notna().all()
    assert table["ci_low"].isna().all()
    empty = effects(one[:5], FACTORIAL, cells, ["y_kwh"], ["p"])
    assert empty.empty
    assert list(empty.columns) == list(table.columns)


def test_a_figure_that_no_cell_changes_has_effects_of_exactly_zero() -> None:
    """No rounding dust, and no share of nothing."""
    table = study(FACTORIAL, lambda _: 0.1, np.array([0.2, 0.7, 0.1]))
    assert (table.loc[table["kind"] != "fit", ["effect", "ci_low", "ci_high"]] == 0.0).all(axis=None)
    assert table["share"].isna().all()


def test_a_factor_without_effect_has_none_beside_factors_that_have() -> None:
    """What rounding leaves of equal cells is no effect: it would look certain, for all replications share it."""
    noise = np.random.default_rng(5).normal(1e4, 100.0, 9)
    table = study(FACTORIAL, lambda levels: np.pi * levels["a"] ** 3.3 + 0.1 * (levels["b"] == "x"), noise)
    idle = table[table["term"].str.contains("c")]
    assert len(idle) == 2 + 6 + 4
    assert (idle[["effect", "ci_low", "ci_high", "share"]] == 0.0).all(axis=None)
    assert (table.loc[table["term"].isin(["a", "b"]), "share"] > 0.0).all()


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_a_figure_that_is_not_a_number_spoils_no_other(odd: float) -> None:
    """Its effects are NaN, the others' stand."""
    cells = cells_of(FACTORIAL, BASE)
    frame = rows(cells, np.random.default_rng(4).normal(size=(1, 3, 12)))
    frame["x_kwh"] = np.where(frame["cell"] == 2, odd, 1.0)
    table = effects(frame, FACTORIAL, cells, ["x_kwh", "y_kwh"], ["p"])
    alone = effects(frame, FACTORIAL, cells, ["y_kwh"], ["p"])
    pd.testing.assert_frame_equal(table[table["figure"] == "y_kwh"].reset_index(drop=True), alone)
    assert table.loc[table["figure"] == "x_kwh", "effect"].isna().all()


def test_one_at_a_time_is_each_cell_minus_the_base() -> None:
    """One row per level that differs from the scenario's."""
    factors = Factors(design="one-at-a-time", factors={"fleet.size": [50, 100, 300], "simulation.days": [2]})
    table = study(factors, lambda levels: levels["fleet.size"] / 10 + levels["simulation.days"] ** 2)
    assert set(table["kind"]) == {"from base"}
    assert found(table, "from base", "fleet.size") == pytest.approx({"50": -5.0, "300": 20.0})
    assert found(table, "from base", "simulation.days") == pytest.approx({"2": 3.0})


def test_a_list_is_each_cell_minus_the_first() -> None:
    """Named by the keys that differ."""
    factors = Factors(design="list", cells=[{"a": 1, "b": 2}, {"a": 1, "b": 5}, {"a": 3, "b": 7}])
    table = study(factors, lambda levels: float(levels["a"] * levels["b"]))
    assert found(table, "from first", "b") == pytest.approx({"5": 3.0})
    assert found(table, "from first", "a, b") == pytest.approx({"3, 7": 19.0})


@pytest.mark.parametrize("design", ["latin-hypercube", "sobol"])
def test_slopes_of_a_linear_model_are_found_exactly(design: str) -> None:
    """From the low to the high end, on the factor's own scale, with classes beside them."""
    factors = Factors.model_validate(
        {
            "design": design,
            "samples": 32,
            "factors": {
                "a": Range(low=2.0, high=6.0),
                "b": Range(low=1.0, high=1000.0, scale="log"),
                "c": ["x", "y", "z"],
            },
        }
    )
    worth = {"x": 1.0, "y": 2.0, "z": 6.0}
    table = study(
        factors, lambda levels: 3 * levels["a"] - np.log10(levels["b"]) + worth[levels["c"]] + 100.0
    )
    assert found(table, "slope", "a") == pytest.approx({"2.0 to 6.0": 12.0})
    assert found(table, "slope", "b") == pytest.approx({"1.0 to 1000.0": -3.0})
    assert found(table, "main", "c") == pytest.approx({"x": -2.0, "y": -1.0, "z": 3.0})
    assert found(table, "fit", "all terms")[""] == pytest.approx(1.0)
    assert table.loc[table["kind"] == "interaction", "effect"].abs().max() < 1e-9


def test_an_interaction_of_ranges_is_how_much_a_slope_grows() -> None:
    """With y = a b on [0, 2] x [0, 3]: the slope of a grows from 0 to 6, and is 3 at the middle of b."""
    factors = Factors(
        design="sobol", samples=32, factors={"a": Range(low=0.0, high=2.0), "b": Range(low=0.0, high=3.0)}
    )
    table = study(factors, lambda levels: levels["a"] * levels["b"])
    assert found(table, "interaction", "a x b") == pytest.approx({"0.0 to 2.0 x 0.0 to 3.0": 6.0})
    assert found(table, "slope", "a") == pytest.approx({"0.0 to 2.0": 3.0})


def test_few_samples_give_slopes_without_interactions_and_too_few_none() -> None:
    """Four samples of two ranges fit two slopes; two samples cannot tell the ranges apart."""
    spreads = {"a": Range(low=0.0, high=2.0), "b": Range(low=0.0, high=3.0)}
    four = study(Factors(design="latin-hypercube", samples=4, factors=spreads), lambda levels: levels["a"])
    assert set(four["kind"]) == {"slope", "fit"}
    assert found(four, "slope", "a") == pytest.approx({"0.0 to 2.0": 2.0})
    two = study(Factors(design="latin-hypercube", samples=2, factors=spreads), lambda levels: levels["a"])
    assert two.empty


@pytest.mark.parametrize(
    "factors",
    [
        FACTORIAL,
        Factors(design="list", cells=[{"a": 1}, {"a": 2}]),
        Factors(design="sobol", samples=16, factors={"a": Range(low=0, high=9), "b": ["x", "y", "z"]}),
    ],
)
def test_contrasts_ignore_what_is_common_to_all_cells(factors: Factors) -> None:
    """Weights of each effect sum to 0: that is why common random numbers narrow its interval."""
    weights = contrasts_of(factors, cells_of(factors, BASE)).weights
    assert len(weights)
    assert np.abs(weights.sum(axis=1)).max() < 1e-12


def test_intervals_cover_the_true_effect_as_often_as_they_say() -> None:
    """Of 2,000 effects from 10 replications of normal noise 95 % of the intervals hold 0, within chance."""
    factors = Factors(design="factorial", factors={"a": [1, 2], "b": [1, 2, 3]})
    cells = cells_of(factors, BASE)
    rng = np.random.default_rng(7)
    values = rng.normal(size=(2000, 10, 6)) + 5.0 * rng.normal(size=(2000, 10, 1))  # trials as policies
    names = [f"p{trial:04}" for trial in range(2000)]
    table = effects(rows(cells, values, names), factors, cells, ["y_kwh"], names)
    for kind, level in (("main", "1"), ("interaction", "1 x 3")):
        chosen = table[(table["kind"] == kind) & (table["level"] == level)]
        held = ((chosen["ci_low"] <= 0) & (chosen["ci_high"] >= 0)).mean()
        assert 0.94 < held < 0.96  # two standard deviations of 2,000 draws
        width = (chosen["ci_high"] - chosen["ci_low"]).mean()
        assert width < 1.5  # the common noise alone, of deviation 5, would make it 7
