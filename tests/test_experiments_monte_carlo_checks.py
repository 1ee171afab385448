"""Checks of cells: every fault told once before any work, with the levels that cause it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.monte_carlo.contracts import Cell
from experiments.monte_carlo.design import checks
from experiments.monte_carlo.design.cells import cells_of
from experiments.monte_carlo.design.checks import FAILING, check_cells
from experiments.monte_carlo.design.factors import Factors
from experiments.shipped import load_scenario
from sim.errors import PolicyError, ScenarioError
from sim.scenario import Scenario


@pytest.fixture(scope="module")
def base() -> Scenario:
    """Give the shipped scenario of 100 cars."""
    return load_scenario("multi-microgrid")


def faults(base: Scenario, factors: dict[str, list[Any]], *policies: str) -> tuple[str, ...]:
    """Lines that a factorial of these factors is refused with; none when it may run."""
    cells = cells_of(Factors(design="factorial", factors=factors), base)
    try:
        check_cells(base, cells, policies or ("rolling",))
    except ScenarioError as error:
        return error.faults
    return ()


def test_cells_that_can_run_pass(base: Scenario) -> None:
    """Neither one cell without levels nor a factorial has faults."""
    check_cells(base, (Cell(index=0),), ("uncontrolled", "own-cost", "rolling"))
    assert faults(base, {"fleet.size": [3, 5], "forecast.kind": ["perfect", "persistence"]}) == ()


def test_an_unknown_key_is_told_once_with_what_it_may_mean(base: Scenario) -> None:
    """Not once per cell; and beside it every faulty level of the other factors."""
    told = faults(base, {"fleet.sise": [3, 5], "forecast.kind": ["perfect", "perfekt", "none"]})
    kinds = 'forecast.kind: must be "perfect", "persistence", "seasonal-naive" or "learned"'
    assert told == (
        "fleet.sise: unknown key; did you mean 'size'?",
        f"{kinds}, is \"perfekt\"; did you mean 'perfect'?",
        f'{kinds}, is "none"',
    )


def test_an_unknown_key_of_many_levels_hides_no_other_fault(base: Scenario) -> None:
    """Its levels need not all be tried."""
    told = faults(base, {"fleet.sise": list(range(2 * FAILING)), "simulation.days": [1, 0]})
    assert told == (
        "fleet.sise: unknown key; did you mean 'size'?",
        "simulation.days: must be at least 1, is 0",
    )


def test_an_unknown_section_is_told_once(base: Scenario) -> None:
    """The first part of a key may be misspelt too."""
    assert faults(base, {"flet.size": [3, 5, 7]}) == ("flet: unknown key; did you mean 'fleet'?",)


def test_a_level_beyond_its_bounds_is_told_with_key_and_value(base: Scenario) -> None:
    """The line names both; a region is told by its index, as everywhere."""
    assert sorted(faults(base, {"fleet.size": [-1, 3], "simulation.days": [1, 0]})) == [
        "fleet.size: must be at least 0, is -1",
        "simulation.days: must be at least 1, is 0",
    ]
    told = faults(base, {"regions.home.weight": [-1.0, 1.0], "fleet.size": [3, 5]})
    assert len(told) == 1
    assert told[0].startswith("regions[0].weight: must be ")
    assert told[0].endswith(", is -1.0")


def test_a_fault_shown_elsewhere_names_the_levels_that_cause_it(base: Scenario, tmp_path: Path) -> None:
    """A series that is too short for a longer run is told with the run's length, and only once."""
    series = tmp_path / "load.csv"
    series.write_text("load_kw\n" + "5.0\n" * 24 * 4, encoding="utf-8")
    loads = {
        "series": {
            "file": str(series),
            "column": "load_kw",
            "start": "2016-04-19T00:00:00",
            "step_minutes": 60,
            "zone": "scenario",
            "stamp": "beginning",
            "to_quarter_hours": "hold",
            "wrap": "none",
        }
    }
    told = faults(base, {"regions.home.load": [loads], "simulation.days": [1, 2, 5], "fleet.size": [3, 5]})
    assert len(told) == 1
    assert told[0].startswith("regions[0].load")
    assert "load.csv" in told[0]
    assert told[0].endswith("(with simulation.days = 5)")


def test_series_are_read_once_per_distinct_set(base: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes and prices change no series; of several lengths only the longest is read."""
    read: list[int] = []

    def counted(scenario: Scenario, _: object) -> list[str]:
        read.append(scenario.simulation.days)
        return []

    monkeypatch.setattr(checks, "input_faults", counted)
    factors = {
        "fleet.size": list(range(1, 30)),
        "simulation.days": [1, 3, 2],
        "regions.home.load.mean_kwh_per_day": [100.0, 200.0],
    }
    assert faults(base, factors) == ()
    assert read == [3]


def test_a_missing_file_is_told(base: Scenario, tmp_path: Path) -> None:
    """With its path."""
    told = faults(base, {"travel.source": ["itineraries"], "travel.itineraries": [str(tmp_path / "no.csv")]})
    assert told
    assert all("no.csv" in line for line in told)


def test_itineraries_are_checked_too(base: Scenario, tmp_path: Path) -> None:
    """A file that names no region of the scenario is refused before any work, with its row."""
    own = tmp_path / "mine.csv"
    own.write_text("vehicle,depart,arrive,from,to,km\n0,08:00,08:30,home,nowhere,10\n", encoding="utf-8")
    told = faults(
        base, {"travel.source": ["itineraries"], "travel.itineraries": [str(own)], "fleet.size": [3, 4]}
    )
    assert len(told) == 1
    assert "mine.csv" in told[0]
    assert "nowhere" in told[0]


def test_two_names_of_one_entry_are_refused(base: Scenario) -> None:
    """The second would silently win."""
    told = faults(base, {"regions[0].weight": [1.0, 2.0], "regions.home.weight": [1.0, 2.0]})
    assert told == (
        "regions[0].weight and regions.home.weight set the same entry of the scenario; name it once",
    )
    told = faults(base, {"regions.*.weight": [1.0, 2.0], "regions.home": [{}]})
    assert told == ("regions.*.weight and regions.home set the same entry of the scenario; name it once",)


def test_unknown_policies_are_told_with_the_other_faults(base: Scenario) -> None:
    """Alone they are a PolicyError."""
    told = faults(base, {"fleet.size": [-1]}, "roling", "uncontroled")
    assert len(told) == 3
    assert "did you mean 'rolling'" in told[1]
    with pytest.raises(PolicyError, match="roling"):
        check_cells(base, (Cell(index=0),), ("rolling", "roling"))


def test_a_thousand_faulty_cells_are_not_all_read(base: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checking ends after so many cells with faults that no single level shows, and says so."""
    monkeypatch.setattr(checks, "input_faults", lambda scenario, _: [f"x: short by {scenario.fleet.size}"])
    cells = [Cell(index=index, levels={"simulation.days": 1 + index}) for index in range(3 * FAILING)]
    with pytest.raises(ScenarioError) as refused:
        check_cells(base, cells, ("rolling",))
    assert refused.value.faults[-1] == f"after {FAILING} cells with faults the others were not checked"
