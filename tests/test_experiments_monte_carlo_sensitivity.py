"""Sensitivity: indices of functions whose indices are known, and against another library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments.monte_carlo.analysis.contrasts import positions
from experiments.monte_carlo.analysis.effects import effects
from experiments.monte_carlo.design import points
from experiments.monte_carlo.design.cells import cells_of
from experiments.monte_carlo.design.factors import Factors, Range
from experiments.shipped import load_scenario
from sim.errors import StudyError

BASE = load_scenario("multi-microgrid")
TURN = Range(low=-np.pi, high=np.pi)
ISHIGAMI = {"a": TURN, "b": TURN, "c": TURN}


def ishigami(levels: Mapping[str, Any]) -> float:
    """Value of sin a + 7 sin^2 b + 0.1 c^4 sin a (Ishigami and Homma 1990)."""
    a, b, c = levels["a"], levels["b"], levels["c"]
    return float(np.sin(a) + 7.0 * np.sin(b) ** 2 + 0.1 * c**4 * np.sin(a))


def study(factors: Factors, model: Callable[[Mapping[str, Any]], float], n: int = 2) -> pd.DataFrame:
    """Indices of a model; replications add what is common to all cells."""
    cells = cells_of(factors, BASE)
    y = np.array([model(cell.levels) for cell in cells])
    frame = pd.concat(
        pd.DataFrame(
            {"cell": range(len(y)), "policy": "p", "replication": k, "y": y + 100.0 * k, "same": 0.1 + k}
        )
        for k in range(n)
    )
    return effects(frame, factors, cells, ["y", "same"], ["p"])


def found(table: pd.DataFrame, kind: str, column: str = "effect", figure: str = "y") -> list[float]:
    """One column of a kind, factor by factor."""
    return list(table.loc[(table["kind"] == kind) & (table["figure"] == figure), column])


def test_sobol_indices_of_ishigamis_function_against_the_closed_form() -> None:
    """First order 0.3139, 0.4424, 0; total order 0.5576, 0.4424, 0.2437; the intervals hold them."""
    table = study(Factors(design="sobol-indices", samples=1024, factors=ISHIGAMI), ishigami)
    v_a, v_b, v_ac = 0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2, 49 / 8, 0.01 * np.pi**8 * (1 / 18 - 1 / 50)
    v = v_a + v_b + v_ac
    truth = {"first order": [v_a / v, v_b / v, 0.0], "total order": [(v_a + v_ac) / v, v_b / v, v_ac / v]}
    for kind, exact in truth.items():
        assert found(table, kind) == pytest.approx(exact, abs=0.02)
        assert (np.array(found(table, kind, "ci_low")) <= exact).all()
        assert (np.array(found(table, kind, "ci_high")) >= exact).all()
        width = np.subtract(found(table, kind, "ci_high"), found(table, kind, "ci_low"))
        assert (width < 0.25).all()
    assert list(table["term"][:3]) == ["a", "b", "c"]
    assert set(table["n"]) == {2}


def test_sobol_indices_are_the_same_each_time_and_none_where_nothing_varies() -> None:
    """Resampling has a generator of its own; a figure that no factor changes has no variance to share."""
    factors = Factors(design="sobol-indices", samples=16, factors=ISHIGAMI)
    table = study(factors, ishigami)
    pd.testing.assert_frame_equal(table, study(factors, ishigami))
    assert np.isnan(found(table, "first order", figure="same")).all()
    assert np.isfinite(found(table, "total order", "ci_high")).all()


def test_sobol_indices_take_classes_beside_ranges() -> None:
    """With y = a + [b = y] with a on [0, 1]: variances 1/12 and 1/4, no interaction."""
    factors = Factors(
        design="sobol-indices", samples=512, factors={"a": Range(low=0.0, high=1.0), "b": ["x", "y"]}
    )
    table = study(factors, lambda levels: levels["a"] + (levels["b"] == "y"))
    assert found(table, "first order") == pytest.approx([0.25, 0.75], abs=0.02)
    assert found(table, "total order") == pytest.approx([0.25, 0.75], abs=0.02)


def test_elementary_effects_of_a_linear_model_are_its_slopes() -> None:
    """Over the whole range, with sign in mu and none in mu star; no spread."""
    pytest.importorskip("SALib")
    factors = Factors(
        design="morris", samples=6, factors={"a": Range(low=0.0, high=10.0), "b": Range(low=1.0, high=3.0)}
    )
    table = study(factors, lambda levels: 2.0 * levels["a"] - 5.0 * levels["b"])
    assert found(table, "mu star") == pytest.approx([20.0, 10.0])
    assert found(table, "mu") == pytest.approx([20.0, -10.0])
    assert found(table, "sigma") == pytest.approx([0.0, 0.0], abs=1e-9)
    assert found(table, "mu", figure="same") == [0.0, 0.0]


def test_elementary_effects_of_ishigamis_function_against_salib() -> None:
    """Mu, mu star and sigma are those of SALib's own analysis."""
    analyse = pytest.importorskip("SALib.analyze.morris").analyze
    factors = Factors(design="morris", samples=40, factors=ISHIGAMI)
    cells = cells_of(factors, BASE)
    y = np.array([ishigami(cell.levels) for cell in cells])
    theirs = analyse(points.unit_problem(3), positions(factors, cells), y, num_levels=4, seed=1)
    table = study(factors, ishigami)
    assert found(table, "mu") == pytest.approx(list(theirs["mu"]), abs=1e-9)
    assert found(table, "mu star") == pytest.approx(list(theirs["mu_star"]))
    assert found(table, "sigma") == pytest.approx(list(theirs["sigma"]))
    half = np.subtract(found(table, "mu star", "ci_high"), found(table, "mu star"))
    assert half == pytest.approx(list(theirs["mu_star_conf"]), rel=0.25)  # theirs resamples


def test_elementary_effects_divide_by_what_whole_numbers_really_moved() -> None:
    """On 10, 11, 12 a step of 2/3 of the range moves by 1 or 2 of 2: the slope is still the slope."""
    pytest.importorskip("SALib")
    factors = Factors(design="morris", samples=8, factors={"a": Range(low=10, high=12)})
    assert found(study(factors, lambda levels: 3.0 * levels["a"]), "mu") == pytest.approx([6.0])


def test_morris_without_salib_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, before any work."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(points, "import_module", missing)
    with pytest.raises(StudyError, match=r"design morris needs SALib.*voltwalk\[sensitivity\]"):
        cells_of(Factors(design="morris", samples=2, factors={"a": TURN}), BASE)
