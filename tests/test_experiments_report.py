"""The report is one file that holds everything it shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.page import script_json
from experiments.palette import LAYERS
from experiments.reading import read_run
from experiments.regions_shown import layer_kw
from experiments.report import write_report
from experiments.report_data import report_data
from sim.errors import RunFolderError
from sim.key_figures import KEY_FIGURES

DATA = re.compile(r'<script id="data" type="application/json">(.*?)</script>', re.DOTALL)


def data_of(file: Path) -> dict[str, Any]:
    """Read the numbers that a report holds."""
    found = DATA.search(file.read_text(encoding="utf-8"))
    assert found is not None
    result: dict[str, Any] = json.loads(found.group(1))
    return result


def test_report_is_self_contained(two_cars: Path) -> None:
    """The file loads nothing from elsewhere and holds its plotting library, data and every key figure."""
    file = write_report(two_cars, two_cars / "report.html")
    text = file.read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img|iframe)\b[^>]*\b(src|href)=", text)
    assert "Plotly" in text
    assert "https://" not in text.split("<script>")[0]
    for figure in KEY_FIGURES:
        assert figure.name_in("EUR") in text
        assert figure.unit_in("EUR") in text
    assert "121.43" in text
    assert data_of(file) == report_data(read_run(two_cars))


def test_layers_add_up_to_the_balance(two_cars: Path) -> None:
    """In every step the layers above the axis reach as far as those below."""
    grid = read_run(two_cars).grid
    supply = sum(layer_kw(layer, grid) for layer in LAYERS if layer.supplies)
    use = sum(layer_kw(layer, grid) for layer in LAYERS if not layer.supplies)
    assert np.asarray(supply) == pytest.approx(np.asarray(use), abs=1e-9)


def test_cars_of_the_chooser(two_cars: Path) -> None:
    """Each car's rows, energies and bounds are those of the tables."""
    cars = report_data(read_run(two_cars))["cars"]
    assert [car["id"] for car in cars] == [0, 1]
    assert cars[0]["rows"][3] == [28_800, 30_600, -1, 0, 0.0, 18.0, 16.0]
    assert cars[0]["rows"][5] == [43_200, 46_800, 1, 1, -4.0, 16.0, 11.0]
    assert cars[1]["lower"] == [[0, 64_800, 66_600, 82_800, 86_400], [4.0] * 5]


def test_chooser_holds_the_first_cars_and_says_so(two_cars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the chooser's limit only the first cars are held, and the page says so."""
    monkeypatch.setattr("experiments.report_data.MAX_CARS", 1)
    monkeypatch.setattr("experiments.report.MAX_CARS", 1)
    file = write_report(two_cars, two_cars / "report.html")
    assert [car["id"] for car in data_of(file)["cars"]] == [0]
    assert "The chooser holds the first 1 of 2 cars." in file.read_text(encoding="utf-8")


def test_long_runs_are_averaged(two_cars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a run has more steps than a chart should, means over several steps are drawn."""
    monkeypatch.setattr("experiments.report_data.MAX_POINTS", 24)
    run = read_run(two_cars)
    data = report_data(run)
    assert data["merged"] == 4
    load = next(layer for layer in data["balance"][0]["layers"] if layer["name"] == "import")
    home = run.grid[run.grid["region"] == "home"]["import_kw"].to_numpy()
    assert load["kw"] == pytest.approx(home.reshape(24, 4).mean(axis=1), abs=1e-3)


def test_run_without_cars_and_decisions(two_cars: Path, rewrite: Any) -> None:
    """Empty tables make a report, too."""
    for table in ("vehicles", "trips", "segments", "decisions"):
        rewrite(two_cars, table, lambda frame: frame.iloc[:0])
    data = data_of(write_report(two_cars, two_cars / "report.html"))
    assert data["cars"] == []
    assert data["decisions"]["at_s"] == []


def test_nothing_ends_the_script_early() -> None:
    """Names with tags in them cannot break out of the page."""
    assert "<" not in script_json({"name": "</script><script>alert(1)</script>"})


def test_names_are_escaped(two_cars: Path) -> None:
    """A description with tags is shown, not obeyed."""
    file = two_cars / "scenario.toml"
    text = file.read_text(encoding="utf-8").replace("A commuter and", "<b>A commuter</b> and")
    file.write_text(text, encoding="utf-8")
    assert "&lt;b&gt;A commuter" in write_report(two_cars, two_cars / "r.html").read_text(encoding="utf-8")


def test_unwritable_target_is_told(two_cars: Path) -> None:
    """A target that cannot be written is a plain mistake."""
    with pytest.raises(RunFolderError, match=r"nowhere/report.html"):
        write_report(two_cars, two_cars / "nowhere" / "report.html")


def test_a_full_disk_keeps_the_old_report(two_cars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that cannot be written whole leaves the one before, and nothing beside it."""
    file = two_cars / "report.html"
    file.write_text("an earlier report", encoding="utf-8")
    before, names = file.read_bytes(), sorted(two_cars.iterdir())
    whole = Path.write_bytes

    def half(path: Path, data: bytes) -> int:
        whole(path, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(RunFolderError, match="No space left on device"):
        write_report(two_cars, file)
    assert file.read_bytes() == before
    assert sorted(two_cars.iterdir()) == names
