"""Key figures equal what a small case gives by hand."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from experiments.metrics import key_figures
from experiments.reading import read_run
from sim.key_figures import KEY_FIGURES
from sim.scenario import Scenario

GOLDEN = Path(__file__).parent / "golden"


def figures_of(folder: Path) -> dict[str, float]:
    """Compute the key figures of a folder."""
    run = read_run(folder)
    scenario = Scenario.model_validate(tomllib.loads((folder / "scenario.toml").read_text(encoding="utf-8")))
    tables = {name: getattr(run, name) for name in ("trips", "segments", "grid", "storage", "decisions")}
    return key_figures(scenario, tables, energy_value=0.25)


def test_every_figure_of_the_golden_case(two_cars: Path) -> None:
    """The key figures of two cars are those worked out by hand, in the documented order."""
    expected = json.loads((GOLDEN / "two_cars" / "kpis.json").read_text(encoding="utf-8"))
    figures = figures_of(two_cars)
    assert list(figures) == list(expected) == [figure.name_in("EUR") for figure in KEY_FIGURES]
    assert figures == pytest.approx(expected, abs=1e-9)
