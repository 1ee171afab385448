"""Figures of a feeder show what its tables say, and its map has every bus where it belongs."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_hex

from experiments.feeder_facts import (
    NEVER,
    Band,
    branch_facts,
    bus_facts,
    coordinates,
    feeder_tree,
    tree_places,
    worst_bus,
)
from experiments.feeder_figures import loading_figure, map_figure, voltage_figure
from experiments.palette import OVER, UNRATED
from experiments.report_feeder import branch_colour
from experiments.shipped import locate
from sim.errors import ScenarioError
from sim.feeder.model import Feeder
from sim.feeder.reading import FeederFiles, read_feeder

BAND = Band(low_pu=0.95, high_pu=1.05)
BUSES = ("root", "left", "right", "end")
PU = np.array([[1.05, 1.01, 0.99, 0.98], [1.05, 1.06, 0.97, 0.94], [1.05, 1.00, np.nan, np.nan]])
BRANCHES = (("A", "root", "left"), ("B", "root", "right"), ("T", "right", "end"))
LOADING = np.array([[0.3, 1.1, 0.0], [0.5, 0.9, 0.0], [np.nan, np.nan, np.nan]])
LOSS_KW = np.array([[1.0, 4.0, 0.5], [3.0, 2.0, 0.5], [np.nan, np.nan, np.nan]])


def tables(pu: np.ndarray = PU, loading: np.ndarray = LOADING) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of a feeder with four buses and three steps; the root's region is called otherwise than its bus."""
    regions = ["station", "left", "bus right", "end"]
    region_at = dict(zip(BUSES, regions, strict=True))
    voltages = pd.DataFrame(
        {
            "step_start_s": np.repeat(np.arange(len(pu)) * 900, len(BUSES)),
            "region": np.tile(regions, len(pu)),
            "bus": np.tile(BUSES, len(pu)),
            "voltage_pu": pu.ravel(),
        }
    )
    branches = pd.DataFrame(
        {
            "step_start_s": np.repeat(np.arange(len(loading)) * 900, len(BRANCHES)),
            "branch": np.tile([name for name, _, _ in BRANCHES], len(loading)),
            "from_region": np.tile([region_at[one] for _, one, _ in BRANCHES], len(loading)),
            "to_region": np.tile([region_at[other] for _, _, other in BRANCHES], len(loading)),
            "loss_kw": LOSS_KW.ravel(),
            "loading": loading.ravel(),
        }
    )
    return voltages, branches


@pytest.fixture
def read(tmp_path: Path):
    """Write a table of four buses with more columns, and read the feeder."""

    def read_with(header: str, *cells: str) -> Feeder:
        rows = [f"{bus},10{more}" for bus, more in zip(BUSES, cells, strict=True)]
        (tmp_path / "buses.csv").write_text("\n".join([f"bus,rated_kv{header}", *rows]) + "\n")
        lines = [f"{name},{one},{other},1,1" for name, one, other in BRANCHES]
        (tmp_path / "lines.csv").write_text("\n".join(["line,from_bus,to_bus,r_ohm,x_ohm", *lines]) + "\n")
        return read_feeder(FeederFiles(buses=tmp_path / "buses.csv", lines=tmp_path / "lines.csv"), "root")

    return read_with


def test_facts_of_buses_and_branches() -> None:
    """Extremes with their steps; steps without a power flow count in none of them, rows in any order."""
    voltages, branches = tables()
    shuffled = voltages.sample(frac=1.0, random_state=2), branches.sample(frac=1.0, random_state=3)
    for one, two in ((voltages, branches), shuffled):
        buses = bus_facts(one, BAND)
        assert buses.loc["end", ["lowest_pu", "lowest_s", "highest_pu", "highest_s"]].tolist() == [
            0.94,
            900,
            0.98,
            0,
        ]
        assert buses.loc[list(BUSES), "steps_outside"].tolist() == [0, 1, 0, 1]
        assert buses.loc["left", "beyond_pu"] == pytest.approx(0.01)
        facts = branch_facts(one, two).set_index("branch").loc[["A", "B", "T"]]
        assert facts[["from_bus", "to_bus"]].to_numpy().tolist() == [list(ends) for _, *ends in BRANCHES]
        assert facts["loading"].tolist() == [0.5, 1.1, 0.0]
        assert facts["loading_s"].tolist()[:2] == [900, 0]
        assert facts["loss_kwh"].tolist() == [1.0, 1.5, 0.25]
        assert facts["steps_over"].tolist() == [0, 1, 0]


def test_a_feeder_without_any_power_flow_has_no_extremes() -> None:
    """Nothing is made up where no step was solved, and figures are drawn."""
    voltages, branches = tables(np.full(PU.shape, np.nan), np.full(LOADING.shape, np.nan))
    buses = bus_facts(voltages, BAND)
    assert buses["lowest_pu"].isna().all()
    assert set(buses["lowest_s"]) == {NEVER}
    assert worst_bus(buses) is None
    for figure in (
        voltage_figure(voltages, BAND),
        loading_figure(voltages, branches),
        map_figure(voltages, branches, BAND),
    ):
        figure.canvas.draw()


def test_worst_bus() -> None:
    """It is the one furthest outside; where all keep the band the lowest, though the source is at the limit."""
    assert worst_bus(bus_facts(tables(np.array([[1.05, 1.06, 0.97, 0.945]] * 3))[0], BAND)) == "left"
    assert worst_bus(bus_facts(tables(np.array([[1.05, 1.06, 0.97, 0.935]] * 3))[0], BAND)) == "end"
    assert worst_bus(bus_facts(tables(np.array([[1.05, 1.02, 0.97, 0.965]] * 3))[0], BAND)) == "end"


def test_map_has_the_tables_values_as_colours() -> None:
    """Branches have their largest loading, buses their lowest voltage; what is beyond or without looks different."""
    figure = map_figure(*tables(), BAND)
    figure.canvas.draw()
    axis, loading_bar, voltage_bar = figure.axes
    lines = {c.get_label(): c for c in axis.collections if isinstance(c, LineCollection)}
    assert lines["loading"].get_array().tolist() == [50.0]
    assert lines["loading"].get_clim() == (0.0, 100.0)
    assert to_hex(lines["loading"].get_edgecolor()[0]) == branch_colour(0.5)
    assert to_hex(lines["above its rating"].get_edgecolor()[0]).upper() == OVER
    assert to_hex(lines["without rating or flow"].get_edgecolor()[0]).upper() == UNRATED
    marks = {c.get_label(): c for c in axis.collections if isinstance(c, PathCollection)}
    assert {label: mark.get_array().tolist() for label, mark in marks.items()} == {
        "within the band": [1.05, 0.97],
        "above it at times": [1.0],
        "below it at times": [0.94],
    }
    assert marks["within the band"].get_clim() == (0.94, 1.05)
    assert (loading_bar.get_xlabel(), voltage_bar.get_xlabel()) == (
        "largest loading [% of rating]",
        "lowest voltage [p.u.]",
    )
    told = [text.get_text() for text in axis.get_legend().get_texts()]
    assert told == ["source", *marks, "above its rating", "without rating or flow"]
    assert {text.get_text() for text in axis.texts} == {*BUSES, "station"}


def test_map_stands_at_the_coordinates_given() -> None:
    """Buses and ends of branches are where the table of buses puts them."""
    places = {"root": (0.0, 0.0), "left": (-2.0, 1.0), "right": (3.0, 1.0), "end": (5.0, -4.0)}
    axis = map_figure(*tables(), BAND, places=places).axes[0]
    within = next(c for c in axis.collections if c.get_label() == "within the band")
    assert np.asarray(within.get_offsets()).tolist() == [[0.0, 0.0], [3.0, 1.0]]
    over = next(c for c in axis.collections if c.get_label() == "above its rating")
    assert over.get_segments()[0].tolist() == [[0.0, 0.0], [3.0, 1.0]]
    assert axis.get_aspect() == 1.0


def test_voltages_over_the_day() -> None:
    """Extremes and median of each step, the worst bus by name, both limits, and the step without a power flow."""
    voltages, _ = tables()
    (axis,) = voltage_figure(voltages, BAND, start="2016-04-20").axes
    band = next(patch for patch in axis.patches if patch.get_label() == "all buses").get_data()
    assert np.asarray(band.values)[:2].tolist() == [1.05, 1.06]
    assert np.asarray(band.baseline)[:2].tolist() == [0.98, 0.94]
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in axis.lines}
    assert lines["median"][:2].tolist() == [1.0, pytest.approx(1.01)]
    assert lines["worst: bus left"].tolist() == [1.01, 1.06, 1.00, 1.00]
    assert [text.get_text() for text in axis.texts] == ["limit 0.95", "limit 1.05", "no power flow"]
    low, high = axis.get_ylim()
    assert low < 0.94
    assert high > 1.06
    assert (axis.get_ylabel(), axis.get_xlabel()) == ("voltage [p.u.]", "clock hour from 2016-04-20")


def test_loading_over_the_day() -> None:
    """The most loaded branches in order, in per cent below and above their rating; losses of all below."""
    voltages, branches = tables()
    above, below = loading_figure(voltages, branches, n_shown=2).axes
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in above.lines}
    assert list(lines)[:2] == ["B (root to right)", "A (root to left)"]
    assert lines["B (root to right)"][:2].tolist() == pytest.approx([110.0, 90.0])
    assert above.get_ylim()[1] > 110.0
    losses = np.asarray(below.patches[0].get_data().values)
    assert losses[:2].tolist() == [5.5, 5.5]
    assert np.isnan(losses[2])
    assert (above.get_ylabel(), below.get_ylabel()) == ("loading [%]", "losses [kW]")


def test_words_are_not_covered() -> None:
    """Words of limits stand beside the axes, where no curve runs; names on the map stand above all else."""
    voltages, branches = tables()
    for figure, words in (
        (voltage_figure(voltages, BAND), ("limit 0.95", "limit 1.05")),
        (loading_figure(voltages, branches), ("rating",)),
    ):
        figure.canvas.draw()
        axis = figure.axes[0]
        told = [text for text in axis.texts if text.get_text() in words]
        assert len(told) == len(words)
        for text in told:
            place = text.get_window_extent()
            assert axis.get_window_extent().x1 < place.x0 < place.x1 <= figure.bbox.x1
    axis = map_figure(voltages, branches, BAND).axes[0]
    drawn = [*axis.collections, *axis.lines]
    for text in axis.texts:
        assert text.get_zorder() > max(artist.get_zorder() for artist in drawn)
        assert [effect._gc for effect in text.get_path_effects()] == [
            {"linewidth": 3.0, "foreground": "#ffffff"}
        ]


def crossings(tree: nx.DiGraph, places: dict[str, tuple[float, float]]) -> int:
    """Pairs of branches without a common bus that touch each other."""

    def side(a, b, c) -> float:
        return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

    def within(a, b, c) -> bool:
        return all(min(a[i], b[i]) <= c[i] <= max(a[i], b[i]) for i in (0, 1))

    def touch(a, b, c, d) -> bool:
        signs = [np.sign(side(*three)) for three in ((a, b, c), (a, b, d), (c, d, a), (c, d, b))]
        if signs[0] != signs[1] and signs[2] != signs[3]:
            return True
        return any(
            sign == 0 and within(*three)
            for sign, three in zip(signs, ((a, b, c), (a, b, d), (c, d, a), (c, d, b)), strict=True)
        )

    edges = list(tree.edges)
    return sum(
        touch(*(places[bus] for bus in (*one, *other)))
        for number, one in enumerate(edges)
        for other in edges[number + 1 :]
        if not set(one) & set(other)
    )


@pytest.mark.parametrize("seed", range(12))
def test_a_tree_is_laid_out_by_depth_without_crossings(seed: int) -> None:
    """Of random trees, bushy and lean, each bus is at its depth, at a place of its own, and no branches cross."""
    rng = np.random.default_rng(seed)
    reach = int(rng.integers(1, 8))
    tree = nx.DiGraph([(str(rng.integers(max(0, bus - reach), bus)), str(bus)) for bus in range(1, 40)])
    places = tree_places(tree)
    depth = nx.shortest_path_length(tree, "0")
    assert {bus: x for bus, (x, _) in places.items()} == depth
    assert len(set(places.values())) == 40
    assert crossings(tree, places) == 0


def test_the_shipped_feeder_takes_three_rows() -> None:
    """The 33 buses: the main line straight on, two laterals above it, one below."""
    files = FeederFiles(buses=locate("shipped:baran_wu_33_buses"), lines=locate("shipped:baran_wu_33_lines"))
    feeder = read_feeder(files, "1")
    ends = zip(feeder.parent_index, feeder.child_index, strict=True)
    tree = nx.DiGraph([(feeder.bus_names[one], feeder.bus_names[other]) for one, other in ends])
    places = tree_places(tree)
    assert [places[str(bus)] for bus in range(1, 19)] == [(float(depth), 0.0) for depth in range(18)]
    assert {y for _, y in places.values()} == {-1.0, 0.0, 1.0}
    assert coordinates(feeder) is None


def test_tree_of_the_tables() -> None:
    """Branches lead away from the source and know their facts."""
    tree = feeder_tree(branch_facts(*tables()))
    assert set(tree.edges) == {("root", "left"), ("root", "right"), ("right", "end")}
    assert tree.edges["root", "right"]["loading"] == 1.1


def test_coordinates_are_read_and_kept_in_order(read) -> None:
    """Where all buses have them; another order of the buses takes them along; columns left empty are none."""
    feeder = read(",x,y", ",0,0.5", ",-1e3,1", ",2,2", ",3,3")
    assert coordinates(feeder) == {
        "root": (0.0, 0.5),
        "left": (-1000.0, 1.0),
        "right": (2.0, 2.0),
        "end": (3.0, 3.0),
    }
    turned = feeder.ordered(tuple(reversed(BUSES)))
    assert coordinates(turned) == coordinates(feeder)
    assert turned.xy is not None
    assert turned.xy[0].tolist() == [3.0, 3.0]
    assert read(",x,y", ",,", ",,", ",,", ",,").xy is None
    assert read("", "", "", "", "").xy is None


def test_coordinates_that_cannot_be_are_told(read) -> None:
    """Of some buses only, of one direction only, or no numbers: every fault with its buses."""
    for header, cells, faults in (
        (
            ",x,y",
            (",0,0", ",1,", ",,", ",3,3"),
            ["buses.csv: x and y are needed of all buses or of none, not given: left, right"],
        ),
        (
            ",x",
            (",0", ",1", ",2", ",3"),
            ["buses.csv: x and y are needed of all buses or of none, not given: root, left, right, end"],
        ),
        (
            ",x,y",
            (",0,0", ",east,1", ",2,inf", ",,3"),
            [
                "buses.csv row 3: bus 'left': x 'east' is not a number",
                "buses.csv row 4: bus 'right': y 'inf' is not a number",
                "buses.csv: x and y are needed of all buses or of none, not given: end",
            ],
        ),
    ):
        with pytest.raises(ScenarioError) as caught:
            read(header, *cells)
        assert list(caught.value.faults) == faults
