"""Designs: which cells factors make, and that chance in them is the seed's alone."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from scipy.stats import qmc

from experiments.monte_carlo.design.cells import base_value, cells_of, unit_points
from experiments.monte_carlo.design.factors import Factors, Range
from experiments.shipped import load_scenario
from sim.errors import ScenarioError, StudyError
from sim.scenario import Scenario

PRICE = "economics.throughput_price_per_kwh"


@pytest.fixture(scope="module")
def base() -> Scenario:
    """Give the shipped scenario of 100 cars."""
    return load_scenario("multi-microgrid")


def levels(factors: Factors | None, base: Scenario) -> list[dict[str, object]]:
    """Levels of the cells, whose numbers must count from 0."""
    cells = cells_of(factors, base)
    assert [cell.index for cell in cells] == list(range(len(cells)))
    return [dict(cell.levels) for cell in cells]


def test_without_factors_there_is_one_cell_without_levels(base: Scenario) -> None:
    """A study that varies nothing has one setting."""
    assert levels(None, base) == [{}]


def test_factorial_has_every_combination_with_the_last_factor_fastest(base: Scenario) -> None:
    """Order of keys and levels is that given."""
    factors = Factors(design="factorial", factors={"b": [2, 1], "a": ["x", "y", "z"]})
    assert [(cell["b"], cell["a"]) for cell in levels(factors, base)] == [
        (2, "x"),
        (2, "y"),
        (2, "z"),
        (1, "x"),
        (1, "y"),
        (1, "z"),
    ]


def test_a_list_is_taken_as_it_is_with_the_first_cells_order_of_keys(base: Scenario) -> None:
    """Keys of later cells may be in another order."""
    factors = Factors(design="list", cells=[{"a": 1, "b": 2}, {"b": 4, "a": 3}])
    assert [list(cell.items()) for cell in levels(factors, base)] == [
        [("a", 1), ("b", 2)],
        [("a", 3), ("b", 4)],
    ]


def test_one_at_a_time_begins_with_the_scenario_and_repeats_none_of_its_values(base: Scenario) -> None:
    """Cell 0 has the scenario's own values; each other cell changes one of them."""
    factors = Factors(
        design="one-at-a-time",
        factors={"fleet.size": [50, 100, 300], "simulation.start": [date(2016, 4, 20), date(2016, 7, 20)]},
    )
    april, july = date(2016, 4, 20), date(2016, 7, 20)
    assert levels(factors, base) == [
        {"fleet.size": 100, "simulation.start": april},
        {"fleet.size": 50, "simulation.start": april},
        {"fleet.size": 300, "simulation.start": april},
        {"fleet.size": 100, "simulation.start": july},
    ]


def test_one_at_a_time_needs_a_value_to_begin_with(base: Scenario) -> None:
    """A misspelt key, a missing value and several values are told apart."""
    with pytest.raises(ScenarioError, match="fleet.sise: unknown key; did you mean 'size'"):
        cells_of(Factors(design="one-at-a-time", factors={"fleet.sise": [1, 2]}), base)
    with pytest.raises(StudyError, match="no entry of regions is called 'hom'"):
        base_value(base, "regions.hom.weight")
    with pytest.raises(StudyError, match=r"regions\.\*\.import_limit_kw: .* begins with one value"):
        base_value(
            load_scenario("multi-microgrid", ["regions[0].import_limit_kw=7.0"]), "regions.*.import_limit_kw"
        )
    alike = load_scenario("multi-microgrid", ["regions.*.import_limit_kw=7.0"])
    assert base_value(alike, "regions.*.import_limit_kw") == 7.0


@pytest.mark.parametrize("design", ["latin-hypercube", "sobol", "sobol-indices"])
def test_sampled_points_come_from_the_seed_alone(design: str, base: Scenario) -> None:
    """The same seed draws the same points; another draws others; all lie in the unit cube."""
    factors = Factors.model_validate(
        {"design": design, "samples": 16, "factors": {"a": {"low": 0.0, "high": 1.0}, "b": [1, 2]}}
    )
    assert np.array_equal(unit_points(factors, 5), unit_points(factors, 5))
    assert not np.array_equal(unit_points(factors, 5), unit_points(factors, 6))
    assert unit_points(factors, 5).min() >= 0.0
    assert unit_points(factors, 5).max() <= 1.0
    own = load_scenario("multi-microgrid", ["simulation.replication=3"])
    assert levels(factors, own) == levels(factors, base)


def test_a_latin_hypercube_has_one_point_in_each_slice(base: Scenario) -> None:
    """Of n samples each of n equal slices of every range holds exactly one (McKay et al. 1979)."""
    factors = Factors(
        design="latin-hypercube",
        samples=20,
        factors={
            "a": Range(low=0.0, high=20.0),
            "b": Range(low=1.0, high=2.0**20, scale="log"),
            "c": [1, 2, 3, 4],
        },
    )
    cells = levels(factors, base)
    assert sorted(int(cell["a"]) for cell in cells) == list(range(20))
    assert sorted(int(np.log2(cell["b"])) for cell in cells) == list(range(20))
    assert sorted(cell["c"] for cell in cells) == [level for level in (1, 2, 3, 4) for _ in range(5)]


def test_sobol_points_are_balanced_and_scrambled(base: Scenario) -> None:
    """Every dyadic interval has its share of points, discrepancy is far below chance, and no point is 0."""
    factors = Factors(
        design="sobol", samples=64, factors={"a": Range(low=0.0, high=1.0), "b": Range(low=0.0, high=1.0)}
    )
    points = unit_points(factors, 1)
    assert points.min() > 0.0
    counts = np.histogram2d(points[:, 0], points[:, 1], bins=8, range=[[0, 1], [0, 1]])[0]
    assert (counts == 1).all()
    assert qmc.discrepancy(points) < 0.2 * qmc.discrepancy(np.random.default_rng(1).random((64, 2)))
    assert [cell["a"] for cell in levels(factors, base)] == pytest.approx(list(points[:, 0]), rel=1e-11)


def test_saltelli_cells_change_one_column_at_a_time(base: Scenario) -> None:
    """Page i is A with column i of B, so n (d + 2) cells in all."""
    factors = Factors(
        design="sobol-indices",
        samples=8,
        factors={key: Range(low=0.0, high=1.0) for key in ("a", "b", "c")},
    )
    points = unit_points(factors, 1).reshape(5, 8, 3)
    a, b = points[0], points[1]
    for column in range(3):
        page = points[2 + column]
        assert np.array_equal(page[:, column], b[:, column])
        others = [other for other in range(3) if other != column]
        assert np.array_equal(page[:, others], a[:, others])
    assert not np.array_equal(a, b)


def test_morris_trajectories_move_one_factor_by_two_thirds(base: Scenario) -> None:
    """Each step of a trajectory moves exactly one factor, each once."""
    pytest.importorskip("SALib")
    factors = Factors(
        design="morris", samples=5, factors={key: Range(low=0.0, high=1.0) for key in ("a", "b", "c")}
    )
    points = unit_points(factors, 1)
    assert np.array_equal(points, unit_points(factors, 1))
    steps = np.abs(np.diff(points.reshape(5, 4, 3), axis=1))
    assert np.allclose(np.sort(steps.reshape(-1, 3), axis=1), [0.0, 0.0, 2 / 3])
    assert np.allclose(steps.sum(axis=1), 2 / 3)


def test_levels_are_plain_values_of_toml(base: Scenario) -> None:
    """No numpy type reaches a cell: whole ranges give int, others float."""
    factors = Factors(
        design="latin-hypercube",
        samples=4,
        factors={"fleet.size": Range(low=5, high=9), PRICE: Range(low=0, high=0.5)},
    )
    for cell in levels(factors, base):
        assert type(cell["fleet.size"]) is int
        assert type(cell[PRICE]) is float


def test_factors_made_in_python_are_checked_like_those_of_a_file(base: Scenario) -> None:
    """No way leads round the reserved keys or the power of two."""
    with pytest.raises(StudyError, match="use --policies"):
        cells_of(Factors(design="factorial", factors={"dispatch.policy": ["rolling"]}), base)
    with pytest.raises(StudyError, match="power of two"):
        cells_of(Factors(design="sobol", samples=30, factors={"a": Range(low=0.0, high=1.0)}), base)


def test_a_design_of_too_many_cells_is_refused_before_it_is_made(base: Scenario) -> None:
    """Twelve factors of ten levels would fill any memory."""
    factors = {f"k{index}": list(range(10)) for index in range(12)}
    with pytest.raises(StudyError, match="the design has 1,000,000,000,000 cells; at most 100,000"):
        cells_of(Factors(design="factorial", factors=factors), base)
