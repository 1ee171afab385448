"""The report of a run on a feeder tells what its tables tell, and stays readable with many regions."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments import run
from experiments.palette import LAYERS
from experiments.reading import read_run
from experiments.regions_shown import FEW, balances, fleet_powers, layer_kw, region_colours
from experiments.report import render_report, write_figures
from experiments.report_data import report_data
from experiments.report_feeder import feeder_data, feeder_places, feeder_words


@pytest.fixture(scope="module")
def network_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of the shipped feeder with few cars; it is only read."""
    folder = tmp_path_factory.mktemp("feeder") / "run"
    overrides = ["fleet.size=20", "output.report=false"]
    run("storage-network", overrides=overrides, policy="uncontrolled", out=folder)
    return folder


@pytest.mark.slow
def test_feeder_in_words_and_numbers(network_run: Path) -> None:
    """Cards, tables and charts say the same as the key figures."""
    opened = read_run(network_run)
    words, data = feeder_words(opened), report_data(opened)["feeder"]
    assert words is not None
    cards = {card["label"]: card for card in words["cards"]}
    figures = opened.kpis
    lowest = opened.voltages.loc[opened.voltages["voltage_pu"].idxmin()]
    assert cards["lowest voltage"]["value"] == f"{figures['voltage_min_pu']:.3f}"
    assert cards["lowest voltage"]["where"].startswith(f"bus {lowest['bus']}")
    assert cards["largest loading"]["value"] == f"{100 * figures['loading_max']:.0f}"
    assert cards["outside the band"]["value"] == f"{figures['voltage_violations']:.0f}"
    assert min(data["low_pu"]) == pytest.approx(figures["voltage_min_pu"], abs=1e-5)
    assert max(data["high_pu"]) == pytest.approx(figures["voltage_max_pu"], abs=1e-5)
    assert sum(data["loss_kw"]) / 4 == pytest.approx(figures["feeder_loss_kwh"], abs=0.01)
    assert max(data["loading"][0]["percent"]) == pytest.approx(100 * figures["loading_max"], abs=1e-3)
    assert max(branch["percent"] for branch in data["map"]["branches"]) == max(data["loading"][0]["percent"])
    assert min(bus["lowest_pu"] for bus in data["map"]["buses"]) == min(data["low_pu"])
    assert len(data["map"]["buses"]) == 33
    text = render_report(opened)
    assert '<section id="feeder">' in text
    assert "33: substation, homes-west" in text


@pytest.mark.slow
def test_long_runs_keep_their_extremes(network_run: Path) -> None:
    """Where a point stands for several steps, it is the lowest, the highest, and the mean loss of them."""
    opened = read_run(network_run)
    one, four = feeder_data(opened, 1), feeder_data(opened, 4)
    assert one is not None
    assert four is not None
    assert len(four["low_pu"]) == 24
    assert four["low_pu"] == np.reshape(one["low_pu"], (24, 4)).min(axis=1).tolist()
    assert four["high_pu"] == np.reshape(one["high_pu"], (24, 4)).max(axis=1).tolist()
    assert four["loss_kw"] == pytest.approx(np.reshape(one["loss_kw"], (24, 4)).mean(axis=1), abs=1e-4)


@pytest.mark.slow
def test_many_regions_are_a_sum_and_a_few(network_run: Path) -> None:
    """All regions together balance, what they lose is the feeder's, and those with most energy follow."""
    opened = read_run(network_run)
    drawn, words = balances(opened)
    assert [balance.title for balance in drawn[:2]] == ["all 33 regions", "substation"]
    assert len(drawn) == 1 + FEW
    assert "all 33 regions together" in words
    kw = {layer.name: power for layer, power in drawn[0].layers}
    supply, use = (
        np.sum([power for layer, power in drawn[0].layers if layer.supplies is side], axis=0)
        for side in (True, False)
    )
    assert supply == pytest.approx(use, abs=1e-6)
    assert kw["lost between regions"].sum() / 4 == pytest.approx(opened.kpis["feeder_loss_kwh"], rel=1e-3)
    load = next(layer for layer in LAYERS if layer.name == "load")
    assert kw["load"].sum() == pytest.approx(layer_kw(load, opened.grid).sum())


@pytest.mark.slow
def test_cars_of_many_regions(network_run: Path) -> None:
    """Only regions where cars charge are shown, each in a colour of its own; nothing is lost."""
    opened = read_run(network_run)
    powers, words = fleet_powers(opened)
    assert 0 < len(powers) <= 8
    assert "of 33 regions" in words
    assert len({power.colour for power in powers}) == len(powers)
    total = sum(power.charge_kw.sum() for power in powers)
    assert total == pytest.approx(opened.grid["ev_charge_kw"].sum())
    visited = [name in set(opened.segments["region"].dropna()) for name in opened.region_names]
    colours = [
        colour for colour, is_visited in zip(region_colours(opened), visited, strict=True) if is_visited
    ]
    assert len(set(colours)) == len(colours)


@pytest.mark.slow
def test_regions_beyond_the_legend_are_summed(network_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more regions of cars than a legend holds, the smallest become one, and nothing is lost."""
    opened = read_run(network_run)
    every, _ = fleet_powers(opened)
    monkeypatch.setattr("experiments.regions_shown.MAX_REGIONS", 3)
    powers, words = fleet_powers(opened)
    assert [power.title for power in powers][2:] == [f"{len(every) - 2} others"]
    assert "the 2 with most energy are shown" in words
    assert sum(power.charge_kw.sum() for power in powers) == pytest.approx(
        sum(power.charge_kw.sum() for power in every)
    )


@pytest.mark.slow
def test_coordinates_come_from_the_table_while_it_is_there(network_run: Path, tmp_path: Path) -> None:
    """Of a run whose table of buses has coordinates the map uses them; without the table it is a tree."""
    folder, table = tmp_path / "run", tmp_path / "buses.csv"
    shutil.copytree(network_run, folder)
    assert feeder_places(read_run(folder)) is None
    rows = [f"{bus},12.66,{bus},{-bus}" for bus in range(1, 34)]
    table.write_text("\n".join(["bus,rated_kv,x,y", *rows]) + "\n")
    scenario = folder / "scenario.toml"
    scenario.write_text(scenario.read_text().replace("shipped:baran_wu_33_buses", str(table)))
    places = feeder_places(read_run(folder))
    assert places is not None
    assert places["18"] == (18.0, -18.0)
    assert "Drawn to the coordinates of its table." in render_report(read_run(folder))
    table.unlink()
    assert feeder_places(read_run(folder)) is None
    assert re.search(r"Drawn as a tree", render_report(read_run(folder)))


@pytest.mark.slow
def test_figures_of_a_feeder(network_run: Path, tmp_path: Path) -> None:
    """The feeder's pictures are written with the others."""
    names = [path.name for path in write_figures(network_run, tmp_path / "figures")]
    assert names[4:] == ["feeder.png", "voltages.png", "loading.png"]


def test_a_run_without_a_feeder_says_nothing_of_it(two_cars: Path) -> None:
    """Neither section nor numbers."""
    opened = read_run(two_cars)
    assert feeder_words(opened) is None
    assert report_data(opened)["feeder"] is None
    assert '<section id="feeder">' not in render_report(opened)
