"""Factors: what a file or a command line may say, and what is told when it may not."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from experiments.monte_carlo.design.factors import (
    Factors,
    Range,
    factors_from_options,
    factors_of_table,
    read_factors,
)
from sim.errors import StudyError


def read(tmp_path: Path, text: str) -> Factors:
    """Factors of a file with this text."""
    path = tmp_path / "factors.toml"
    path.write_text(text, encoding="utf-8")
    return read_factors(path)


def faults(tmp_path: Path, text: str) -> list[str]:
    """Lines that a file with this text is refused with, without its name."""
    with pytest.raises(StudyError) as refused:
        read(tmp_path, text)
    lines = str(refused.value).splitlines()
    assert all(line.startswith("factors.toml: ") for line in lines)
    return [line.removeprefix("factors.toml: ") for line in lines]


def test_levels_of_every_type_and_ranges_are_read_in_the_order_given(tmp_path: Path) -> None:
    """Levels keep type and order; a range keeps its ends."""
    text = """
        design = "latin-hypercube"
        samples = 8
        [factors]
        "fleet.size" = [300, 100]
        "simulation.start" = [2016-04-20, 2016-07-20]
        "forecast.kind" = ["perfect", "persistence"]
        "output.report" = [true, false]
        "economics.throughput_price_per_kwh" = { low = 0.01, high = 0.2, scale = "log" }
    """
    factors = read(tmp_path, text)
    assert factors.keys == (
        "fleet.size",
        "simulation.start",
        "forecast.kind",
        "output.report",
        "economics.throughput_price_per_kwh",
    )
    assert factors.factors["fleet.size"] == [300, 100]
    assert factors.factors["simulation.start"] == [date(2016, 4, 20), date(2016, 7, 20)]
    assert factors.factors["output.report"] == [True, False]
    assert factors.factors["economics.throughput_price_per_kwh"] == Range(low=0.01, high=0.2, scale="log")


def test_nested_tables_mean_dotted_keys(tmp_path: Path) -> None:
    """[factors.fleet] size = .. is the factor fleet.size, beside dotted keys with and without quotes."""
    text = """
        design = "sobol"
        samples = 4
        [factors]
        "dispatch.horizon_steps" = [48, 96]
        forecast.kind = ["perfect", "persistence"]
        [factors.fleet]
        size = [100, 300]
        [factors.economics]
        throughput_price_per_kwh = { low = 0.0, high = 0.2 }
        [factors.regions.home]
        weight = { low = 1, high = 3 }
    """
    factors = read(tmp_path, text)
    assert factors.keys == (
        "dispatch.horizon_steps",
        "forecast.kind",
        "fleet.size",
        "economics.throughput_price_per_kwh",
        "regions.home.weight",
    )
    assert factors.factors["regions.home.weight"] == Range(low=1, high=3)


def test_a_key_given_nested_and_dotted_is_refused(tmp_path: Path) -> None:
    """The same key twice is ambiguous."""
    text = 'design = "factorial"\n[factors]\n"fleet.size" = [1, 2]\n[factors.fleet]\nsize = [3]\n'
    assert faults(tmp_path, text) == ["fleet.size: is given twice"]


def test_factors_called_low_and_high_are_no_range(tmp_path: Path) -> None:
    """A table whose low and high are lists holds two factors."""
    text = 'design = "factorial"\n[factors."travel.law"]\nlow = [0.0, 1.0]\nhigh = [2.0, 3.0]\n'
    assert read(tmp_path, text).keys == ("travel.law.low", "travel.law.high")


def test_cells_of_a_list_may_be_nested_and_in_any_order(tmp_path: Path) -> None:
    """Each cell names the same keys; the first one's order holds."""
    text = """
        design = "list"
        [[cells]]
        "fleet.size" = 100
        forecast.kind = "perfect"
        [[cells]]
        "forecast.kind" = "persistence"
        fleet.size = 300
    """
    factors = read(tmp_path, text)
    assert factors.keys == ("fleet.size", "forecast.kind")
    assert factors.table()["cells"][1] == [["fleet.size", 300], ["forecast.kind", "persistence"]]


def test_a_table_whose_keys_belong_together_is_a_level_of_a_cell(tmp_path: Path) -> None:
    """A tariff that names its kind replaces the whole tariff, as it does in a scenario."""
    text = 'design = "list"\n[[cells]]\n[cells.tariff]\nkind = "series"\nper_mwh = true\n[cells.fleet]\nsize = 3\n'
    assert read(tmp_path, text).cells == [{"tariff": {"kind": "series", "per_mwh": True}, "fleet.size": 3}]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('design = "factorail"\nfactors = {"fleet.size" = [1]}', "did you mean 'factorial'?"),
        ('factors = {"fleet.size" = [1]}', "design: is missing"),
        ('design = "factorial"', "factors: none is given"),
        ('design = "list"', "cells: none is given; write [[cells]] tables of key = value"),
        (
            'design = "factorial"\nfactor = {"fleet.size" = [1]}',
            "factor: unknown key; did you mean 'factors'?",
        ),
        ('design = "factorial"\nfactors = {"fleet.size" = []}', "fleet.size: must not be empty"),
        (
            'design = "factorial"\nfactors = {"fleet.size" = 100}',
            "fleet.size: must be levels, as [100, 300], or a range, as { low = 0.0, high = 0.2 }, is 100",
        ),
        (
            'design = "factorial"\nfactors = {fleet = {}}',
            "fleet: must be levels, as [100, 300], or a range, as { low = 0.0, high = 0.2 }, is an empty table",
        ),
        ('design = "factorial"\nfactors = {"a.b" = [1, 2, 1.0, 1]}', "a.b: level 1 is given twice"),
        ('design = "factorial"\nfactors = {"a..b" = [1]}', "a..b: is no dotted path"),
        (
            'design = "factorial"\nfactors = {"simulation.seed" = [1, 2]}',
            "simulation.seed: pairs the cells of a design, so it can vary in a list only; --seed sets it for all runs",
        ),
        (
            'design = "factorial"\nfactors = {simulation.replication = [1, 2]}',
            "simulation.replication: is set by the study; use --replications",
        ),
        (
            'design = "factorial"\nfactors = {"dispatch.policy" = ["rolling"]}',
            "dispatch.policy: is set by the study; use --policies",
        ),
        (
            'design = "factorial"\nfactors = {"dispatch" = [{policy = "rolling"}]}',
            "dispatch: holds dispatch.policy, which is set by the study; use --policies",
        ),
        ('design = "factorial"\nfactors = {"scenario.currency" = ["EUR"]}', "so it cannot vary"),
        ('design = "factorial"\nfactors = {"scenario.name" = ["a"]}', "so it cannot vary"),
        (
            'design = "factorial"\nfactors = {"a.b" = {low = 0.0, high = 1.0}}',
            "a.b: design factorial needs levels, as [0.0, 0.2], not a range",
        ),
        (
            'design = "latin-hypercube"\nsamples = 4\nfactors = {"a.b" = {low = 1.0, high = 1.0}}',
            "a.b: low 1 is not below high 1",
        ),
        (
            'design = "latin-hypercube"\nsamples = 4\nfactors = {"a.b" = {low = 0, high = 1, scale = "log"}}',
            'a.b: low must be above 0 where scale = "log", is 0',
        ),
        (
            'design = "latin-hypercube"\nsamples = 4\nfactors = {"a.b" = {low = 0, high = 1, scales = "log"}}',
            "a.b.scales: unknown key; did you mean 'scale'?",
        ),
        ('design = "latin-hypercube"\nsamples = 4\nfactors = {"a.b" = {low = 0}}', "a.b.high: is missing"),
        (
            'design = "latin-hypercube"\nsamples = 4\nfactors = {"a.b" = {low = "x", high = 1}}',
            'a.b.low: must be a whole number or a number, is "x"',
        ),
        (
            'design = "latin-hypercube"\nfactors = {"a.b" = [1, 2]}',
            "samples: are needed by design latin-hypercube",
        ),
        (
            'design = "sobol"\nsamples = 100\nfactors = {"a.b" = [1, 2]}',
            "samples: must be a power of two for design sobol (64 or 128), is 100",
        ),
        (
            'design = "sobol-indices"\nsamples = 1\nfactors = {"a.b" = [1, 2]}',
            "samples: must be 2 or more for design sobol-indices, is 1: one point has no variance",
        ),
        ('design = "sobol"\nsamples = 0\nfactors = {"a.b" = [1, 2]}', "samples: must be at least 1, is 0"),
        (
            'design = "sobol"\nsamples = 1.5\nfactors = {"a.b" = [1]}',
            "samples: must be a whole number, is 1.5",
        ),
        (
            'design = "factorial"\nsamples = 4\nfactors = {"a.b" = [1, 2]}',
            "samples: have no meaning for design factorial",
        ),
        (
            'design = "morris"\nsamples = 4\nfactors = {"a.b" = [1, 2]}',
            "a.b: design morris needs a range, as { low = 0.0, high = 0.2 }, not levels",
        ),
        (
            'design = "list"\n[[cells]]\n"a.b" = 1\n[[cells]]\n"a.c" = 1',
            "cells[1]: names a.c, but cells[0] names a.b; each cell must give the same keys",
        ),
        ('design = "list"\n[[cells]]\n"a.b" = 1\n[[cells]]\n"a.b" = 1', "cells[1]: is given twice"),
        ('design = "list"\n[[cells]]', "cells[0]: names no key"),
        ('design = "list"\n[[cells]]\n"dispatch.policy" = "rolling"', "use --policies"),
        ('design = "list"\ncells = [3]', "cells[0]: must be a table, is 3"),
        (
            'design = "list"\nfactors = {"a.b" = [1]}\n[[cells]]\n"a.b" = 1',
            "factors: have no meaning for design list; write [[cells]] tables of key = value",
        ),
        (
            'design = "factorial"\nfactors = {"a.b" = [1]}\n[[cells]]\n"a.b" = 1',
            'cells: have no meaning for design factorial; write design = "list"',
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_clear_line(tmp_path: Path, text: str, line: str) -> None:
    """Each mistake has exactly one line, which names the place, the value and the bound."""
    told = faults(tmp_path, text)
    assert len(told) == 1, told
    assert line in told[0]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """A file with five mistakes is refused with five lines."""
    text = """
        design = "sobol"
        samples = 3
        colour = "red"
        [factors]
        "simulation.seed" = [1, 2]
        "fleet.size" = []
        "economics.throughput_price_per_kwh" = { low = 2.0, high = 1.0 }
    """
    assert sorted(fault.partition(":")[0] for fault in faults(tmp_path, text)) == [
        "colour",
        "economics.throughput_price_per_kwh",
        "fleet.size",
        "samples",
        "simulation.seed",
    ]


def test_one_and_true_are_two_levels(tmp_path: Path) -> None:
    """Equality of Python's 1 and True is no repetition of a level."""
    assert read(tmp_path, 'design = "factorial"\nfactors = {"a.b" = [1, true]}').keys == ("a.b",)


def test_a_file_that_is_missing_or_no_toml_is_refused_by_name(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(StudyError, match="no factors file .*nowhere.toml"):
        read_factors(tmp_path / "nowhere.toml")
    (tmp_path / "broken.toml").write_text("design = ", encoding="utf-8")
    with pytest.raises(StudyError, match="broken.toml is not valid TOML"):
        read_factors(tmp_path / "broken.toml")
    with pytest.raises(StudyError, match="cannot be read"):
        read_factors(tmp_path)


def test_relative_files_count_from_the_factors_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not from the working folder, which is for the command line; shipped ones stay."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "deep"
    folder.mkdir()
    text = 'design = "factorial"\nfactors = {"regions.home.load.series.file" = ["a.csv", "shipped:x"]}'
    assert read(folder, text).factors["regions.home.load.series.file"] == [str(folder / "a.csv"), "shipped:x"]
    listed = read(folder, 'design = "list"\n[[cells]]\n"travel.itineraries" = "a.csv"')
    assert listed.cells == [{"travel.itineraries": str(folder / "a.csv")}]
    options = factors_from_options(["travel.itineraries=['a.csv']"], None, None)
    assert options.factors["travel.itineraries"] == [str(tmp_path / "a.csv")]


def test_options_say_what_a_file_says(tmp_path: Path) -> None:
    """The same factors by --factor and by file are equal, ranges and samples too."""
    options = ["fleet.size=[100, 300]", "'economics.throughput_price_per_kwh' = {low = 0.0, high = 0.2}"]
    text = """
        design = "sobol"
        samples = 8
        [factors]
        "fleet.size" = [100, 300]
        "economics.throughput_price_per_kwh" = { low = 0.0, high = 0.2 }
    """
    assert factors_from_options(options, "sobol", 8) == read(tmp_path, text)


@pytest.mark.parametrize(
    ("options", "design", "samples", "line"),
    [
        (["fleet.size"], None, None, "--factor fleet.size: must read key=[level, level]"),
        (["fleet.size=[1, 2"], None, None, "fleet.size: [1, 2 is no TOML value"),
        (["a.b=[1]", "a.b=[2]"], None, None, "a.b: is given twice"),
        (["a.b=1"], None, None, "a.b: must be levels"),
        (["a.b=[1]"], "sobul", None, "did you mean 'sobol'?"),
        (["a.b=[1]"], None, 3, "samples: have no meaning for design factorial"),
        ([], "list", None, "cells: none is given"),
    ],
)
def test_options_that_cannot_be_are_refused(
    options: list[str], design: str | None, samples: int | None, line: str
) -> None:
    """Each with the option's own text; a list of cells needs a file."""
    with pytest.raises(StudyError) as refused:
        factors_from_options(options, design, samples)
    assert line in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        'design = "factorial"\nfactors = {"a.b" = [1, 2.5, "x", true, 2016-04-20, [1, 2], {c = 2016-04-20}]}',
        'design = "sobol"\nsamples = 4\nfactors = {"a.b" = {low = 1, high = 10, scale = "log"}, "a.c" = [1]}',
        'design = "list"\n[[cells]]\n"a.b" = 1\n"a.c" = 2016-04-20\n[[cells]]\n"a.b" = 2\n"a.c" = "x"',
    ],
)
def test_the_table_survives_json_and_gives_the_factors_again(tmp_path: Path, text: str) -> None:
    """What stands in a study's manifest is enough to make its factors, with types."""
    factors = read(tmp_path, text)
    stored = json.loads(json.dumps(factors.table()))
    assert stored == factors.table()
    assert factors_of_table(stored) == factors
    assert factors_of_table({}) is None


def test_order_is_part_of_the_table_for_it_numbers_the_cells(tmp_path: Path) -> None:
    """Two orders of the same keys are two studies, also for a comparison that ignores the order of keys."""
    one = read(tmp_path, 'design = "factorial"\nfactors = {"a.b" = [1, 2], "a.c" = [3, 4]}')
    other = read(tmp_path, 'design = "factorial"\nfactors = {"a.c" = [3, 4], "a.b" = [1, 2]}')
    assert one.table() != other.table()


def test_a_range_reaches_both_ends_and_whole_numbers_share_it_equally() -> None:
    """Fractions 0 and 1 are the ends; each whole number has the same share."""
    real = Range(low=0.5, high=2.0, scale="log")
    assert (real.at(0.0), real.at(0.5), real.at(1.0)) == (0.5, 1.0, 2.0)
    whole = Range(low=10, high=14)
    values = [whole.at((index + 0.5) / 500) for index in range(500)]
    assert {value: values.count(value) for value in set(values)} == dict.fromkeys(range(10, 15), 100)
    assert all(isinstance(value, int) for value in values)
