"""Scenarios are read, merged and overridden as documented; each mistake is one line with its place."""

import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.shipped import SCENARIO_DIR, faults, load_scenario, locate, scenario_names, scenario_path
from sim.errors import ScenarioError
from sim.scenario import Law, PeriodTariff, Scenario
from sim.scenario_inputs import input_faults
from sim.scenario_reading import dump_scenario, read_scenario, scenario_of, with_overrides
from sim.scenario_tables import apply_overrides, merge, parse_value

BASE = "multi-microgrid"
SERIES = (
    '{ file = "shipped:dayahead_nl_2019_2020", column = "price_eur_per_mwh", time_column = "time_utc", '
    'step_minutes = 60, zone = "UTC", stamp = "beginning", to_quarter_hours = "hold", wrap = "none" }'
)
SERIES_TARIFF = (
    f'tariff={{ kind = "series", series = {SERIES}, per_mwh = true, buy_adder_per_kwh = 0.1, '
    "sell_fraction = 0.9, curtailment_per_kwh = 0.0 }"
)


def written(folder: Path, text: str, name: str = "mine.toml") -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path, *overrides: str) -> Scenario:
    """Read a scenario file with the shipped files at hand."""
    return read_scenario(path, overrides=overrides, locate=locate, find_scenario=scenario_path).scenario


def complaint(path: Path) -> str:
    """Text of the error that reading a file raises."""
    with pytest.raises(ScenarioError) as caught:
        read(path)
    return str(caught.value)


# One mistake, one line

ONE_MISTAKE: dict[str, str] = {
    "fleet.sise=3": "fleet.sise: unknown key; did you mean 'size'?",
    "fleets.size=3": "fleets: unknown key; did you mean 'fleet'?",
    "regions[1].pv.rated_kW=3.0": "regions[1].pv.rated_kW: unknown key; did you mean 'rated_kw'?",
    "travel.dwell_min.W.shap=0.4": "travel.dwell_min.W.shap: unknown key; did you mean 'shape'?",
    "regions.home.load.series.colum=3": "regions[0].load.series.colum: unknown key; did you mean 'column'?",
    "fleet.size=many": 'fleet.size: must be a whole number or "sessions", is "many"',
    "fleet.size=1.5": 'fleet.size: must be a whole number or "sessions", is 1.5',
    "fleet.size=true": 'fleet.size: must be a whole number or "sessions", is true',
    "fleet.size=-1": "fleet.size: must be at least 0, is -1",
    "simulation.days=0": "simulation.days: must be at least 1, is 0",
    "simulation.start=tomorrow": (
        'simulation.start: must be a date such as 2016-04-20 (no quotes), is "tomorrow"'
    ),
    "simulation.start=0016-04-20": "simulation.start: must be at least 1900-01-01, is 0016-04-20",
    "simulation.time_zone=Europe/Berlinn": (
        "simulation.time_zone: no time zone is called 'Europe/Berlinn' (IANA names such as "
    ),
    "forecast.kind=perfekt": (
        'forecast.kind: must be "perfect", "persistence", "seasonal-naive" or "learned", is "perfekt"; '
        "did you mean 'perfect'?"
    ),
    "fleet.departure_soc=1.7": "fleet.departure_soc: must be at most 1, is 1.7",
    "fleet.departure_soc=nope": 'fleet.departure_soc: must be a number or "none", is "nope"',
    "regions.work.chargers=few": 'regions[1].chargers: must be a whole number or "unlimited", is "few"',
    "regions.work.chargers=-2": "regions[1].chargers: must be at least 0, is -2",
    "regions.work.import_limit_kw=nan": (
        'regions[1].import_limit_kw: must be a finite number or "unlimited", is nan'
    ),
    "regions.home.load=5": "regions[0].load: must be a table, is 5",
    "regions.home.turbine.efficiency_constant=2.0": (
        "regions[0].turbine: the efficiency at 1 % of the limit is 2.00414, outside 0..1"
    ),
    "regions.home.wind.turbine.cut_in_m_s=30.0": (
        "regions[0].wind.turbine: cut_in_m_s < rated_m_s < cut_out_m_s must hold"
    ),
    "regions.home.batteries[0].soc_min=0.96": "regions[0].batteries[0]: soc_min 0.96 is not below soc_max",
    "regions.home.name=work": "regions: 2 regions are called 'work'",
    "regions=[]": "regions: must not be empty",
    "fleet.classes.car.initial_soc=0.1": "fleet.classes[0]: initial_soc 0.1 is outside 0.2..0.9",
    "fleet.classes.car.share=0": "fleet.classes: all shares are 0",
    "fleet.departure_soc=0.95": (
        "fleet.departure_soc: 0.95 is outside 0.2..0.9 of fleet.classes[0] (car); "
        '"none" asks for what the chain needs'
    ),
    "emissions.grid_kg_per_kwh=-1": "emissions.grid_kg_per_kwh: must be at least 0, is -1",
    "tariff.kind=period": (
        "tariff: kind must be one of periods, schedule, series, is \"period\"; did you mean 'periods'?"
    ),
    "tariff.periods.valley.hours=[[1, 6]]": "tariff.periods: clock hour 6 has no period",
    "tariff.periods.valley.hours=[[1, 8]]": "tariff.periods: clock hour 7 has more than one period",
    "tariff.periods.valley.hours=[[1, 7.1]]": (
        "tariff.periods: hours [1, 7.1] of valley are not two quarter-hours"
    ),
    'ties=[{from_region="home",to_region="wrk",limit_kw="unlimited"}]': (
        "ties[0].to_region: no region is called 'wrk' (home, work, other); did you mean 'work'?"
    ),
    'ties=[{from_region="home",to_region="home",limit_kw=3}]': "ties[0]: joins 'home' with itself",
    "travel.distance=road": (
        'roads: distance = "road" needs roads that join all regions; these are apart: home | work | other'
    ),
    "travel.source=itineraries": 'travel.itineraries: is missing (source = "itineraries")',
    "travel.chain.weekday.H.W=0.9": "travel.chain.weekday.H: the row sums to 1.1326, not 1",
    "travel.chain.weekday.O={ O = 1.0 }": ("travel.chain.weekday.O: no way leads home (H) from there"),
    "travel.leave_again_probability=-0.1": "travel.leave_again_probability: must be at least 0, is -0.1",
    "travel.trip_between.duration_min.high=200.0": (
        "travel.trip_between: durations of 0..200 min reach outside the windows 0..150"
    ),
    "travel.dwell_min.O.low=-5.0": "travel.dwell_min.O: can be negative (give `low`)",
    "travel.dwell_min.W.family=gama": (
        'travel.dwell_min.W.family: must be "gamma", "lognorm", "genextreme", "weibull_min", "norm", '
        '"expon", "uniform" or "constant", is "gama"; did you mean \'gamma\'?'
    ),
    "travel.first_departure_h.low=13.0": "travel.first_departure_h: low 13 is not below high 12",
    "travel.first_departure_h.high=30.0": (
        "travel.first_departure_h: reaches 30 h, after the day's end (give `high`)"
    ),
    'travel.dwell_min.W={ family = "gamma" }': "travel.dwell_min.W: a gamma law needs `shape`",
    "travel.dwell_min.W.family=norm": "travel.dwell_min.W: a norm law has no `shape`",
    "travel.dwell_min.H.shape=-1.0": "travel.dwell_min.H: `shape` of a weibull_min law must be above 0",
    "travel.dwell_min.W.low=800.0": "travel.dwell_min.W: the law has no probability between `low` and `high`",
    'travel.first_departure_h={ family = "norm", loc = 8, scale = 0.1, low = 20, high = 22 }': (
        "travel.first_departure_h: law norm: no probability between 20 and 22"
    ),
    "travel.trip_between.mileage[1].from_min=12": (
        "travel.trip_between: mileage[1]: begins at 12 min, the window before ends at 10"
    ),
    "travel.trip_between.mileage[1].to_min=5": "travel.trip_between: mileage[1]: from_min 10 is not",
    "travel.limits.min_speed_kmh=200.0": "travel.limits: min_speed_kmh 200 is not below max_speed_kmh 120",
    "travel.chain.weekday={ H = { W = 1.0 } }": (
        "travel.chain.weekday.W: is missing (cars go there and would not get away)"
    ),
    "travel.chain.weekend={ W = { H = 1.0 } }": "travel.chain.weekend.H: is missing (where days begin)",
    "travel.chain.weekday.H={ H = 1.0 }": "travel.chain.weekday.H.H: a trip from home cannot go home",
    'travel.dwell_min={ H = { family = "constant", loc = 60 } }': (
        "travel.dwell_min.O: is missing (travel.chain.weekday goes there)"
    ),
    'travel.dwell_min.W={ family = "constant", loc = 1500 }': (
        "travel.dwell_min.W: a stay of at least 25 h after a departure at 4 h cannot end by 24:00"
    ),
    "travel.dwell_min.W={ family = }": "travel.dwell_min.W: { family = } is no TOML value",
    "scenario.name=3": "scenario.name: must be text, is 3",
    'scenario.name="a b"': "scenario.name: must match ",
    'regions.home.name=""': "regions[0].name: must not be empty",
    "regions=3": "regions: must be a list, is 3",
    "tariff=3": "tariff: must be a table, is 3",
    'tariff={ kind = "schedule", file = "shipped:sce", sell_fraction = 1, curtailment_per_kwh = 0 }': (
        "tariff.file: no shipped file is called 'sce'"
    ),
    'tariff={ kind = "schedule", file = "shipped:tmy3_greensboro", sell_fraction = 1, '
    "curtailment_per_kwh = 0 }": ("tariff.file: tmy3_greensboro.csv: not JSON"),
    "regions.work.load.weights={ load_kw = 1, share_pu = 2 }": "regions[1].load.weights: different units: ",
    "travel.limits.max_km=8.0": (
        "travel.trip_from_home.mileage[8]: 100 min at travel.limits.min_speed_kmh 5 are 8.33333 km"
    ),
    "travel.home=Home": "travel.home: no region has the place type 'Home' (H, W, O)",
    "fleet.plug_in_probability={ H = 1.0, W = 0.3 }": (
        "fleet.plug_in_probability.O: is missing (the place type of a region)"
    ),
    "fleet.plug_in_probability.X=0.5": (
        "fleet.plug_in_probability: no region has the place type 'X' (H, W, O)"
    ),
    "regions.home.load.series.file=shipped:simbench": (
        "regions[0].load.series.file: no shipped file is called 'simbench'"
    ),
    "regions.home.load.series.column=load_kw": (
        "regions[0].load.series.column: must be \"*\" in a mix (see `weights`), is 'load_kw'"
    ),
    'regions.home.load.series.start="2016-01-01"': (
        "regions[0].load.series: needs `time_column`, or else `start` (the first row's instant)"
    ),
    "regions.home.load.series.zone=Mars/Base": (
        "regions[0].load.series.zone: no time zone is called 'Mars/Base'"
    ),
}


@pytest.mark.parametrize(("override", "line"), ONE_MISTAKE.items())
def test_one_mistake_is_told_at_its_place(override: str, line: str) -> None:
    """Each kind of mistake gives a line that begins with its dotted path and says what is wrong."""
    found = faults(BASE, [override])
    assert any(fault.startswith(line) for fault in found), "\n".join(found)


@pytest.mark.parametrize("name", scenario_names())
def test_shipped_scenarios_have_no_fault(name: str) -> None:
    """Every shipped scenario validates, the contents of its series included."""
    assert faults(name) == ()


def test_all_mistakes_are_told_at_once() -> None:
    """Typing, range, cross-field and file mistakes in different sections appear together, each once."""
    found = faults(
        BASE,
        [
            "fleet.sise=3",
            "regions[0].weight=-1",
            "regions.work.load.series.file=absent.parquet",
            'ties=[{from_region="home",to_region="hme",limit_kw=1}]',
            "travel.chain.weekday.H.W=0.9",
            "simulation.time_zone=Nowhere",
        ],
    )
    places = [fault.partition(": ")[0] for fault in found]
    assert sorted(places) == [
        "fleet.sise",
        "regions[0].weight",
        "regions[1].load.series.file",
        "simulation.time_zone",
        "ties[0].to_region",
        "travel.chain.weekday.H",
    ]


def test_a_missing_key_is_told_by_its_path(tmp_path: Path) -> None:
    """Leaving a key out is a fault of that key, for no physical number has a default."""
    text = (SCENARIO_DIR / f"{BASE}.toml").read_text(encoding="utf-8").replace("battery_kwh = 30.0", "")
    assert "fleet.classes[0].battery_kwh: is missing" in complaint(written(tmp_path, text))


@pytest.mark.parametrize("export", ["0.0", "500.0"])
def test_a_cap_on_export_bounds_the_gain_of_trade(export: str) -> None:
    """Selling above the buying price is a fault only where import and export have no cap."""
    dear = "tariff.periods.valley.sell_per_kwh=0.4"
    assert faults(BASE, [dear, f"regions.*.export_limit_kw={export}"]) == ()
    found = faults(BASE, [dear, "regions.home.export_limit_kw=unlimited"])
    assert found == (
        "tariff.periods: in valley selling at 0.4 pays more than buying at 0.35 per kWh, "
        "and region 'home' import and export without limit",
    )


def test_trade_through_ties_is_bounded_by_their_caps_and_losses() -> None:
    """Import here and export there is endless only over ties without a cap whose losses leave a gain."""
    common = [
        "tariff.periods.valley.sell_per_kwh=0.4",
        "regions.home.import_limit_kw=100.0",
        "regions.home.export_limit_kw=unlimited",
    ]
    tie = 'ties=[{{from_region="home",to_region="work",limit_kw={limit},loss_fraction={loss}}}]'
    assert faults(BASE, [*common, tie.format(limit="1000.0", loss=0.0)]) == ()
    assert faults(BASE, [*common, tie.format(limit='"unlimited"', loss=0.2)]) == ()
    (found,) = faults(BASE, [*common, tie.format(limit='"unlimited"', loss=0.01)])
    assert "regions 'work' and 'home' import and export without limit" in found


def test_a_schedule_sold_above_its_price_is_endless_only_without_caps() -> None:
    """A selling fraction above 1 needs a cap on import or export."""
    dear = (
        'tariff={ kind = "schedule", file = "shipped:sce_tou_ev_8_oct_2018", sell_fraction = 1.2, '
        "curtailment_per_kwh = 0 }"
    )
    assert faults(BASE, [dear]) == ()
    (found,) = faults(BASE, [dear, "regions.*.export_limit_kw=unlimited"])
    assert found.startswith(
        "tariff.sell_fraction: in any time selling at 1.2 pays more than buying at 1 per kWh"
    )


def test_a_supply_series_in_kw_is_not_scaled(tmp_path: Path) -> None:
    """A column in kW takes a rated power of 1, one per unit any."""
    wrong = "regions[0].pv.rated_kw: must be 1 for a column in kW (pv_kw), is 450"
    for column, line in (("pv_kw", wrong), ("pv_pu", "")):
        rows = "".join(f"2016-04-{19 + h // 24:02d} {h % 24:02d}:00,1\n" for h in range(72))
        (tmp_path / "pv.csv").write_text(f"time,{column}\n{rows}", encoding="utf-8")
        pv = (
            f'regions.home.pv={{ rated_kw = 450, series = {{ file = "{tmp_path / "pv.csv"}", '
            f'column = "{column}", '
            'time_column = "time", step_minutes = 60, zone = "scenario", stamp = "beginning", '
            'to_quarter_hours = "hold", wrap = "none" } }'
        )
        assert faults(BASE, [pv]) == ((line,) if line else ())


def test_two_classes_of_one_name_and_two_roads_to_nowhere(tmp_path: Path) -> None:
    """Repeated class names and unknown ends of roads are told."""
    classes = dump_scenario(load_scenario(BASE)).partition("[[fleet.classes]]")[2].partition("[[regions]]")[0]
    text = f'extends = "{BASE}"\n' + f"[[fleet.classes]]{classes}\n" * 2
    text += '[[roads]]\nfrom_region = "hme"\nto_region = "home"\nkm = 3\nspeed_kmh = 30\n'
    message = complaint(written(tmp_path, text))
    assert "fleet.classes: 2 classes are called 'car'" in message
    assert "roads[0].from_region: no region is called 'hme'" in message


def test_a_price_series_needs_a_stated_value_of_stored_energy() -> None:
    """``auto`` reads the tariff's table, which a series does not have."""
    dated = [SERIES_TARIFF, "simulation.start=2019-07-01"]
    (found,) = faults(BASE, dated)
    assert found.startswith("economics.energy_value_per_kwh: auto needs a price table")
    assert faults(BASE, [*dated, "economics.energy_value_per_kwh=0.2"]) == ()


def test_a_negative_price_sold_short_of_its_buyer_is_found_in_the_series() -> None:
    """With free export a negative price times a fraction below 1 lies above the buying price."""
    overrides = [
        SERIES_TARIFF.replace("buy_adder_per_kwh = 0.1", "buy_adder_per_kwh = 0.0"),
        "simulation.start=2020-04-13",  # -79 EUR/MWh
        "economics.energy_value_per_kwh=0.2",
        "regions.home.export_limit_kw=unlimited",
    ]
    (found,) = faults(BASE, overrides)
    assert found.startswith("tariff.series: in ")
    assert "selling at -0.0" in found


def test_a_class_that_could_wait_for_ever_is_refused() -> None:
    """With ``wait`` the longest trip must fit into the battery; with ``help`` it need not."""
    small = "fleet.classes.car.battery_kwh=20.0"
    assert faults(BASE, [small]) == ()
    (found,) = faults(BASE, [small, "fleet.shortage=wait"])
    assert found.startswith(
        "fleet.classes[0] (car): a trip of max_km 130 takes 19.5 kWh, its battery gives 14"
    )


def test_broken_toml_is_one_line_with_its_place(tmp_path: Path) -> None:
    """A syntax error names file, line and column."""
    message = complaint(written(tmp_path, "[fleet]\nsize = = 3\n"))
    assert message.count("\n") == 0
    assert "mine.toml is not valid TOML" in message
    assert "line 2, column 8" in message


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    """Absent files and undecodable bytes are told, not raised as such."""
    assert complaint(tmp_path / "no.toml") == f"no scenario file {tmp_path / 'no.toml'}"
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in complaint(tmp_path / "bytes.toml")


# Merging


def test_extends_changes_only_what_is_named(tmp_path: Path) -> None:
    """A short file is its base with the named entries changed, and nothing else."""
    path = written(tmp_path, f'extends = "{BASE}"\n[fleet]\nsize = 7\n[scenario]\nname = "mine"\n')
    base = load_scenario(BASE).model_dump()
    base["fleet"]["size"], base["scenario"]["name"] = 7, "mine"
    assert read(path).model_dump() == base


def test_extends_a_file_beside_it_that_extends_another(tmp_path: Path) -> None:
    """The base may be a path relative to the file, and have a base of its own; the nearest word counts."""
    written(tmp_path, f'extends = "{BASE}"\n[fleet]\nsize = 7\ndeparture_soc = 0.8\n', "middle.toml")
    path = written(tmp_path, 'extends = "middle.toml"\n[fleet]\ndeparture_soc = 0.7\n')
    assert (read(path).fleet.size, read(path).fleet.departure_soc) == (7, 0.7)
    written(tmp_path, 'extends = "mine.toml"\n', "middle.toml")
    assert complaint(path) == "extends: goes in a circle (mine.toml -> middle.toml -> mine.toml)"
    (tmp_path / "whole.toml").write_text(dump_scenario(load_scenario(BASE)), encoding="utf-8")
    path = written(tmp_path, 'extends = "whole.toml"\n[fleet]\nsize = 8\n')
    assert read(path).fleet.size == 8


def test_extends_something_unknown(tmp_path: Path) -> None:
    """An unknown base is told with the names that exist."""
    message = complaint(written(tmp_path, 'extends = "multi-microgird"\n'))
    assert "multi-microgird: neither a file nor a shipped scenario" in message
    assert "did you mean 'multi-microgrid'?" in message


def test_set_in_a_file_changes_regions_by_name(tmp_path: Path) -> None:
    """``[set]`` reaches into lists by dotted paths in quotes; without quotes it is told so."""
    text = f'extends = "{BASE}"\n[set]\n"regions.home.chargers" = 4\n"regions[1].import_limit_kw" = 9.0\n'
    scenario = read(written(tmp_path, text))
    assert [region.chargers for region in scenario.regions] == [4, "unlimited", "unlimited"]
    assert [region.import_limit_kw for region in scenario.regions] == ["unlimited", 9.0, "unlimited"]
    message = complaint(written(tmp_path, f'extends = "{BASE}"\n[set]\nfleet.size = 3\n'))
    assert message == 'set.fleet: write the whole dotted path in quotes, as "fleet.size" = 3'


def test_a_law_or_tariff_of_another_kind_replaces_the_whole_table(tmp_path: Path) -> None:
    """Keys of the base do not linger beside those of another kind; a matrix row is one thing."""
    text = (
        f'extends = "{BASE}"\n[travel.first_departure_h]\nfamily = "uniform"\nloc = 6.0\nscale = 2.0\n'
        '[tariff]\nkind = "schedule"\nfile = "shipped:sce_tou_ev_4_march_2019"\nsell_fraction = 0.5\n'
        "curtailment_per_kwh = 0.1\n[travel.chain.weekday]\nH = { W = 1.0 }\n"
    )
    scenario = read(written(tmp_path, text))
    assert scenario.travel.first_departure_h == Law(family="uniform", loc=6.0, scale=2.0)
    assert scenario.tariff.kind == "schedule"
    assert scenario.travel.chain.weekday["H"] == {"W": 1.0}
    assert scenario.travel.chain.weekend["H"] == {"W": 0.7674, "O": 0.2326}


def test_relative_paths_belong_to_the_file_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Base, own file and command line each count from their own folder."""
    (tmp_path / "base").mkdir()
    (tmp_path / "own").mkdir()
    rows = "time,load_kw\n" + "".join(f"2016-04-{19 + h // 24:02d} {h % 24:02d}:00,1\n" for h in range(72))
    for place in ("base/a.csv", "own/b.csv", "c.csv"):
        (tmp_path / place).write_text(rows)
    load = (
        'load={{ series = {{ file = "{file}", column = "load_kw", time_column = "time", step_minutes = 60, '
        'zone = "scenario", stamp = "beginning", to_quarter_hours = "hold", wrap = "none" }} }}'
    )
    absolute = tmp_path / "base" / "a.csv"
    whole = dump_scenario(load_scenario(BASE, ["regions.home." + load.format(file=absolute)]))
    (tmp_path / "base" / "whole.toml").write_text(whole.replace(str(absolute), "a.csv"))
    text = f'extends = "../base/whole.toml"\n[set]\n"regions.work.load" {load.format(file="b.csv")[4:]}\n'
    path = written(tmp_path / "own", text)
    monkeypatch.chdir(tmp_path)
    scenario = read(path, "regions.other." + load.format(file="c.csv"))
    files = [tables["load"]["series"]["file"] for tables in scenario.model_dump()["regions"]]
    assert files == [str(tmp_path / name) for name in ("base/a.csv", "own/b.csv", "c.csv")]


# Overrides


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("regions.home.weight", [2.0, 1.0, 1.0]),
        ("regions[1].weight", [1.0, 2.0, 1.0]),
        ("regions.2.weight", [1.0, 1.0, 2.0]),
        ("regions.*.weight", [2.0, 2.0, 2.0]),
    ],
)
def test_overrides_reach_regions(path: str, expected: list[float]) -> None:
    """A region is meant by name, by index in brackets or bare, and all regions by a star."""
    assert [region.weight for region in load_scenario(BASE, [f"{path}=2.0"]).regions] == expected


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("fleet.size", "--set fleet.size: must read key=value"),
        ("=3", "--set =3: must read key=value"),
        (
            "regions.hom.weight=1",
            "regions.hom.weight: no entry of regions is called 'hom' (home, work, other)",
        ),
        ("regions[7].weight=1", "regions[7].weight: regions has 3 entries, 0 to 2, so no [7]"),
        ("fleet..size=1", "fleet..size: is no dotted path"),
        ("fleet.=1", "fleet.: is no dotted path"),
    ],
)
def test_overrides_that_lead_nowhere(override: str, line: str) -> None:
    """A mistake in the override itself is told, and several at once."""
    found = faults(BASE, [override, "fleet[0"])
    assert found[0].startswith(line)
    assert len(found) == 2


def test_later_overrides_win_and_the_rest_stays() -> None:
    """Overrides apply in order and change nothing but what they name."""
    base, changed = load_scenario(BASE), load_scenario(BASE, ["fleet.size=3", "fleet.size=4"])
    assert changed == base.model_copy(update={"fleet": base.fleet.model_copy(update={"size": 4})})
    assert with_overrides(base, ["fleet.size=4"], locate) == changed


def test_keys_in_quotes_may_hold_dots_and_dashes() -> None:
    """A profile's column is reached by quoting it."""
    scenario = load_scenario(BASE, ['regions.work.load.weights."G1-A_pload"=3.0'])
    assert scenario.regions[1].model_dump()["load"]["weights"]["G1-A_pload"] == 3.0


scalars = st.one_of(
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(st.characters(min_codepoint=32, max_codepoint=126)),
)


@given(scalars)
def test_any_value_written_as_toml_is_read_back(value: object) -> None:
    """An override's text is TOML first: what a TOML writer writes comes back equal and of the same type."""
    import tomli_w

    text = tomli_w.dumps({"v": value}).removeprefix("v = ").strip()
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=40))
def test_an_override_never_raises_or_smuggles(text: str) -> None:
    """Whatever is typed gives one value or a line that says why not, and touches no other key."""
    tables = {"a": {"x": 1}, "b": 2}
    apply_overrides(tables, [f"a.x={text}"])
    assert set(tables) == {"a", "b"}
    assert set(tables["a"]) == {"x"}
    apply_overrides(tables, [text])


keys = st.sampled_from("abc")
trees = st.recursive(st.integers(), lambda inner: st.dictionaries(keys, inner, max_size=3), max_leaves=8)


@given(st.dictionaries(keys, trees), st.dictionaries(keys, trees))
def test_merging_is_idempotent_and_keeps_inputs(base: dict[str, object], own: dict[str, object]) -> None:
    """Merging the same file again, or an empty one, changes nothing; the base is left alone."""
    before = repr(base)
    merged = merge(base, own)
    assert merge(merged, own) == merged
    assert merge(base, {}) == base
    assert repr(base) == before


# Robustness


def places(node: object, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in nested tables and lists."""
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in below:
        yield (*above, key)
        yield from places(value, (*above, key))


JUNK = [
    "",
    "x",
    0,
    -1,
    2,
    1e300,
    1e-9,
    float("nan"),
    True,
    [],
    {},
    [[]],
    {"a": 1},
    date(2016, 2, 29),
    "*",
    "year",
]


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_entry_may_be_wrong(data: st.DataObject) -> None:
    """Whatever a single entry is exchanged for or left out, the scenario is read or its faults are told."""
    tables = tomllib.loads(dump_scenario(load_scenario("neighbourhoods")))
    place = data.draw(st.sampled_from(sorted(places(tables), key=str)))
    node = tables
    for key in place[:-1]:
        node = node[key]
    if data.draw(st.booleans()):
        node[place[-1]] = data.draw(st.sampled_from(JUNK))
    else:
        del node[place[-1]]
    scenario, told = None, ["a: b"]
    try:
        scenario = scenario_of(tables, locate)
    except ScenarioError as error:
        told = list(error.faults)
    assert told
    assert all(": " in fault for fault in told)
    if scenario is not None:
        input_faults(scenario, locate)
        assert scenario_of(tomllib.loads(dump_scenario(scenario)), locate) == scenario


# Writing


@pytest.mark.parametrize("name", scenario_names())
def test_a_written_scenario_reads_back_equal(name: str, tmp_path: Path) -> None:
    """What a run folder holds is complete: no ``extends``, equal after reading, equal text again."""
    scenario = load_scenario(name)
    text = dump_scenario(scenario)
    assert "extends" not in tomllib.loads(text)
    again = read(written(tmp_path, text))
    assert again == scenario
    assert dump_scenario(again) == text


def test_a_written_series_tariff_and_schedule_read_back_equal() -> None:
    """Parts that the shipped scenarios do not use survive as well."""
    series = [SERIES_TARIFF, "simulation.start=2019-07-01", "economics.energy_value_per_kwh=0.2"]
    emissions = f"emissions.grid_kg_per_kwh={SERIES.replace('price_eur_per_mwh', 'grid_kg_per_kwh')}"
    scenario = load_scenario(BASE, [*series, emissions])
    assert scenario_of(tomllib.loads(dump_scenario(scenario)), locate) == scenario


def test_numbers_must_be_numbers() -> None:
    """Text is not taken for a number, nor a number for a date."""
    found = faults(BASE, ['fleet.size="500"', "simulation.start=20160420", 'regions.home.weight="1.0"'])
    assert [fault.partition(": ")[0] for fault in found] == [
        "simulation.start",
        "fleet.size",
        "regions[0].weight",
    ]


def test_whole_numbers_may_stand_for_numbers() -> None:
    """``9`` is as good as ``9.0`` where a number is wanted."""
    assert load_scenario(BASE, ["regions.home.import_limit_kw=9"]).regions[0].import_limit_kw == 9.0


def test_the_shipped_tariff_is_the_printed_one() -> None:
    """Valley 01-07, peak 11-15 and 19-21, flat else; 0.35 / 1.18 / 0.68 CNY/kWh (Zhang 2025, Table 3)."""
    tariff = load_scenario(BASE).tariff
    assert isinstance(tariff, PeriodTariff)
    hours = {period.name: (period.hours, period.buy_per_kwh) for period in tariff.periods}
    assert hours["valley"] == ([(1.0, 7.0)], 0.35)
    assert hours["peak"] == ([(11.0, 15.0), (19.0, 21.0)], 1.18)
    assert hours["flat"][1] == 0.68
