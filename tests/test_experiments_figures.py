"""Pictures are written, of any run, and mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.car_day import car_day
from experiments.figures import _domain, _fleet, plot_car_day, write_pngs
from experiments.reading import read_run
from experiments.report import write_figures
from sim.errors import RunFolderError

PNG = b"\x89PNG"


def test_figures_are_pngs(two_cars: Path) -> None:
    """Every figure of the report is written as a PNG of some size."""
    files = write_figures(two_cars, two_cars / "figures")
    assert [file.name for file in files] == ["balance.png", "fleet.png", "domain.png", "decisions.png"]
    for file in files:
        assert file.read_bytes().startswith(PNG)
        assert file.stat().st_size > 10_000


def test_steps_of_the_domain_reach_the_end(two_cars: Path) -> None:
    """The last step is drawn to its end, and counts and prices stand on zero."""
    run = read_run(two_cars)
    for make in (_domain, _fleet):
        above = make(run).axes[0]
        hours = np.asarray(above.lines[0].get_xdata(), np.float64)
        assert hours[-1] == 24.0 * run.days
        assert above.get_ylim()[0] == 0.0


def test_a_cars_day_is_a_png(two_cars: Path) -> None:
    """One car's day is drawn, also of a car without trips."""
    for vehicle in (0, 1):
        file = plot_car_day(car_day(two_cars, vehicle), two_cars / f"car-{vehicle}.png")
        assert file.read_bytes().startswith(PNG)


def test_figures_of_an_empty_fleet(two_cars: Path, rewrite: Any) -> None:
    """A run without cars or decisions has figures."""
    for table in ("vehicles", "trips", "segments", "decisions"):
        rewrite(two_cars, table, lambda frame: frame.iloc[:0])
    assert len(write_pngs(read_run(two_cars), two_cars / "figures")) == 4


def test_unwritable_pictures_are_told(two_cars: Path) -> None:
    """Targets that cannot be written, or have an unknown ending, are plain mistakes."""
    day = car_day(two_cars, 0)
    with pytest.raises(RunFolderError, match=r"nowhere/x.png"):
        plot_car_day(day, two_cars / "nowhere" / "x.png")
    with pytest.raises(RunFolderError, match=r"x\.doc"):
        plot_car_day(day, two_cars / "x.doc")
    with pytest.raises(RunFolderError, match="kpis.json"):
        write_pngs(read_run(two_cars), two_cars / "kpis.json")
