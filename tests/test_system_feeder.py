"""Runs on a feeder: who stands at which bus, what settlement loses, what the tables tell, what the audit finds."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from experiments import run
from experiments.assemble import assemble
from experiments.audit import audit
from experiments.reading import read_run
from experiments.shipped import faults, load_scenario
from sim.errors import ScenarioError
from sim.feeder.ac import ac_power_flow
from sim.feeder.exact import exact_flow
from sim.trace import BY_NAME

GOLDEN = Path(__file__).parent / "golden" / "feeder_pandapower"
SERIES = (
    '{ file = "shipped:simbench_2016_loads", column = "*", time_column = "time", step_minutes = 15, '
    'zone = "scenario", stamp = "beginning", to_quarter_hours = "mean", wrap = "year" }'
)


def region(name: str, bus: str, place_type: str, kwh_per_day: float, more: str = "") -> str:
    """A region at a bus, without a connection of its own."""
    return f"""
[[regions]]
name = "{name}"
bus = "{bus}"
place_type = "{place_type}"
weight = 1.0
chargers = "unlimited"
import_limit_kw = 0.0
export_limit_kw = 0.0
{more}
[regions.load]
mean_kwh_per_day = {kwh_per_day}
kvar_per_kw = 0.3
weights = {{ "H0-A_pload" = 1.0 }}
series = {SERIES}
"""


SOURCE = """
[[regions]]
name = "station"
bus = "station"
place_type = "bus"
weight = 1.0
chargers = 0
import_limit_kw = "unlimited"
export_limit_kw = 0.0
"""
FEEDER = f"""extends = "multi-microgrid"
[scenario]
name = "village"
[fleet]
size = 12
[feeder]
buses = "{GOLDEN}/mv_lv_buses.csv"
lines = "{GOLDEN}/mv_lv_lines.csv"
transformers = "{GOLDEN}/mv_lv_transformers.csv"
source_bus = "station"
source_pu = 1.02
voltage_min_pu = 0.95
voltage_max_pu = 1.05
[feeder.other_buses]
mean_load_share = 0.5
weights = {{ "H0-B_pload" = 1.0 }}
series = {SERIES}
"""
MILL, YARD = region("mill", "mill", "W", 6000.0), region("yard", "yard", "O", 400.0)
PLACES = region("street", "street", "H", 1200.0) + MILL + YARD


def write(folder: Path, table: str, frame: pd.DataFrame) -> None:
    """Put a table in place of a run's, in its schema."""
    rows = pa.Table.from_pandas(frame, schema=BY_NAME[table].arrow_schema(), preserve_index=False)
    pq.write_table(rows, folder / f"{table}.parquet")


@pytest.fixture
def scenario(tmp_path: Path):
    """Write a scenario from its parts; returns its path."""

    def write(feeder: str = FEEDER, regions: str = SOURCE + PLACES) -> Path:
        path = tmp_path / "village.toml"
        path.write_text(feeder + regions)
        return path

    return write


@pytest.fixture(scope="module")
def network_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day of the shipped feeder with few cars; it is only read."""
    folder = tmp_path_factory.mktemp("feeder") / "run"
    run("storage-network", overrides=["fleet.size=40", "output.report=false"], policy="rolling", out=folder)
    return folder


def test_every_bus_becomes_a_region(scenario) -> None:
    """Buses that no region names get one with their table's load; reading what was resolved changes nothing."""
    loaded = load_scenario(scenario())
    assert loaded.region_names == ("station", "street", "mill", "yard", "bus village", "bus village-lv")
    assert loaded.feeder is not None
    assert loaded.feeder.other_buses is None
    assert load_scenario(loaded, ["fleet.size=3"]).region_names == loaded.region_names
    shipped = load_scenario("storage-network")
    other = next(place for place in shipped.regions if place.name == "bus 30")
    assert len(shipped.regions) == 33
    assert other.load is not None
    assert other.load.kvar_per_kw == 3.0
    assert other.load.mean_kwh_per_day == 200.0 * 0.3 * 24.0  # type: ignore[union-attr]


def test_regions_and_buses_that_do_not_fit_are_told_at_once(scenario) -> None:
    """Where regions stand, and what they may have, is checked with everything else."""
    bad = (
        SOURCE.replace('bus = "station"', 'bus = "mill"')
        + region("street", "stret", "H", 1.0).replace("import_limit_kw = 0.0", "import_limit_kw = 5.0")
        + region("mill", "mill", "W", 1.0)
        + region("yard", "yard", "O", 1.0).replace('bus = "yard"\n', "")
        + '[[ties]]\nfrom_region = "mill"\nto_region = "yard"\nlimit_kw = 3.0\n'
    )
    told = faults(scenario(FEEDER.replace("source_pu = 1.02", "source_pu = 1.2"), bad))
    assert any("source_pu 1.2 is outside the band 0.95..1.05" in line for line in told)
    told = faults(scenario(regions=bad))
    for expected in (
        "ties: regions on a feeder have no other ties",
        "regions: 2 regions stand at bus 'mill'; each bus has one",
        "feeder.source_bus: no region stands at bus 'station'; it has the connection's limits",
        "regions[1].import_limit_kw: must be 0, only bus 'station' of the feeder has a connection; is 5.0",
        "regions[3].bus: is missing, the scenario has a feeder",
        "regions[1].bus: the feeder has no bus 'stret'; did you mean 'street'?",
    ):
        assert expected in told
    assert "regions[0].bus: the scenario has no feeder" in faults("multi-microgrid", ['regions.home.bus="1"'])
    without = FEEDER.partition("[feeder.other_buses]")[0]
    assert "feeder.other_buses: is missing, no region stands at bus village, village-lv" in faults(
        scenario(without)
    )
    gone = faults(scenario(FEEDER.replace("mv_lv_lines", "no_lines")))
    assert len(gone) == 1
    assert gone[0].startswith("feeder.lines: no file ")


def test_faults_of_the_feeders_tables_are_told_with_the_others(scenario, tmp_path: Path) -> None:
    """A line in a loop and a misspelt key are told together."""
    lines = (GOLDEN / "mv_lv_lines.csv").read_text() + "extra,mill,station,1,1,,\n"
    (tmp_path / "lines.csv").write_text(lines)
    text = FEEDER.replace(f"{GOLDEN}/mv_lv_lines.csv", "lines.csv").replace("size = 12", "sise = 12")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(scenario(text))
    assert "lines.csv row 6: line 'extra': closes a loop; a feeder is radial" in caught.value.faults
    assert any("fleet.sise" in fault for fault in caught.value.faults)


def test_regions_named_like_those_of_other_buses_are_told(scenario) -> None:
    """A bus without a region gets one called by it: no other region may have that name."""
    path = scenario(regions=SOURCE + PLACES.replace('name = "mill"', 'name = "bus village"'))
    expected = (
        "regions[2].name: 'bus village' is also the name of the region that feeder.other_buses makes of bus "
        "'village' (mv_lv_buses.csv row 3); name one of them otherwise"
    )
    assert faults(path) == (expected,)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert caught.value.faults == (expected,)


def test_loads_that_are_none_are_told_with_their_row(scenario, tmp_path: Path) -> None:
    """What feeds in, or takes reactive power alone, is no load of a bus that no region names."""
    (tmp_path / "buses.csv").write_text(
        "bus,rated_kv,load_kw,load_kvar\nstation,20,-1,\nvillage,20,-120,40\nvillage-lv,0.4,,5\n"
        "street,0.4,-1,\nyard,0.4,,\nmill,20,,\n"
    )
    told = faults(scenario(FEEDER.replace(f"{GOLDEN}/mv_lv_buses.csv", "buses.csv")))
    rest = "are no load for feeder.other_buses, which takes active power; give the bus a region of its own"
    assert told == (
        f"buses.csv row 3: bus 'village': load_kw -120 and load_kvar 40 {rest}",
        f"buses.csv row 4: bus 'village-lv': load_kw 0 and load_kvar 5 {rest}",
    )


@pytest.mark.slow
def test_a_village_behind_a_transformer_runs_and_passes_its_audit(scenario, tmp_path: Path) -> None:
    """Two voltages, a transformer, cables with charging, cars at three buses."""
    folder = run(scenario(), policy="rolling", out=tmp_path / "run").path
    assert audit(folder) == []
    kpis = read_run(folder).kpis
    assert 0.9 < kpis["voltage_min_pu"] < kpis["voltage_max_pu"] <= 1.05
    assert kpis["feeder_loss_kwh"] > 0.0


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["uncontrolled", "own-cost", "valley-first", "margin"])
def test_policies_run_on_a_feeder(policy: str, scenario, tmp_path: Path) -> None:
    """Policies that know nothing of a feeder run on it, and what it loses is bought at the source."""
    folder = run(scenario(), policy=policy, out=tmp_path / "run").path
    assert audit(folder) == []
    tables = read_run(folder)
    others = tables.grid["region"] != "station"
    assert (tables.grid.loc[others, ["import_kw", "export_kw"]] == 0.0).all(axis=None)
    lost = tables.ties.groupby("step_start_s")["loss_kw"].sum()
    brought = tables.grid.groupby("step_start_s")["tie_kw"].sum()
    assert np.abs(lost + brought).max() < 1e-8
    assert lost.min() > 0.0


@pytest.mark.slow
def test_what_the_feeder_loses_is_paid(network_run: Path) -> None:
    """Without losses the substation would import less, by just the energy lost."""
    tables = read_run(network_run)
    grid = tables.grid.groupby("step_start_s")[
        ["load_kw", "ev_charge_kw", "ev_discharge_kw", "battery_kw", "pv_kw", "pv_curtailed_kw", "import_kw"]
    ].sum()
    used = grid["load_kw"] + grid["ev_charge_kw"] - grid["ev_discharge_kw"] + grid["battery_kw"]
    supplied = grid["pv_kw"] - grid["pv_curtailed_kw"] + grid["import_kw"]
    lost_kwh = float((supplied - used).sum() * 0.25)
    assert lost_kwh == pytest.approx(tables.kpis["feeder_loss_kwh"], rel=1e-9)
    assert lost_kwh > 100.0
    assert audit(network_run) == []


@pytest.mark.parametrize("has_cables", [False, True])
def test_exact_flow_against_newton_raphson(has_cables: bool, scenario) -> None:
    """The state that settlement charges losses by is that of power-grid-model, charging cables included."""
    _, actors = assemble(load_scenario(scenario() if has_cables else "storage-network", ["fleet.size=0"]))
    network = actors.site.network
    assert network is not None
    feeder = network.feeder
    rated_kw = np.array([0.0, 110.0, 900.0, 60.0, 120.0, 0.0]) if has_cables else feeder.load_kw
    assert (feeder.b_pu > 0.0).any() == has_cables
    rng = np.random.default_rng(8)
    for _ in range(20):
        demand_kw = rated_kw * rng.uniform(-1.5, 1.5, feeder.n_buses)
        demand_kvar = 0.4 * rated_kw * rng.uniform(-0.5, 1.5, feeder.n_buses)
        state = exact_flow(network, demand_kw, demand_kvar)
        judge = ac_power_flow(
            feeder, demand_kw[np.newaxis], demand_kvar[np.newaxis], source_pu=network.source_pu
        )
        assert state is not None
        assert np.abs(state.loss_kw - judge.loss_kw[0]).max() < 1e-6
        assert np.abs(state.received_kw + state.loss_kw - judge.sent_kw[0]).max() < 1e-6
    assert exact_flow(network, 50.0 * rated_kw, rated_kw) is None


@pytest.mark.slow
def test_losses_within_a_limited_connection(scenario, tmp_path: Path) -> None:
    """Where the connection binds, losses are part of what it carries: nothing goes over its limit."""
    tight = SOURCE.replace('"unlimited"', "250.0")
    folder = run(scenario(regions=tight + PLACES), policy="uncontrolled", out=tmp_path / "run").path
    grid = read_run(folder).grid
    assert grid["import_kw"].max() == pytest.approx(250.0)
    assert grid["unserved_kw"].sum() > 0.0
    assert audit(folder) == []


@pytest.mark.slow
def test_a_demand_that_the_feeder_cannot_carry_is_counted(scenario, tmp_path: Path) -> None:
    """A step without a power flow has no voltages, is a violation, and hides nothing else."""
    heavy = SOURCE + region("street", "street", "H", 40_000.0) + MILL + YARD
    folder = run(scenario(regions=heavy), policy="uncontrolled", out=tmp_path / "run").path
    tables = read_run(folder)
    unsolved = (
        tables.table("voltages").groupby("step_start_s")["voltage_pu"].apply(lambda pu: pu.isna().any())
    )
    assert 0 < unsolved.sum() < 96
    assert tables.kpis["network_violation_steps"] >= unsolved.sum() == tables.kpis["no_power_flow_steps"]
    assert np.isfinite(tables.kpis["voltage_min_pu"])
    assert audit(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "column", "change", "check"),
    [
        ("voltages", "voltage_pu", 1e-5, "feeder voltage drop"),
        ("branches", "loss_kw", 0.01, "feeder loss"),
        ("branches", "sent_kvar", 0.5, "feeder balance"),
        ("branches", "loading", 0.01, "feeder loading"),
        ("ties", "loss_kw", 0.01, "tie loss"),
        ("ties", "flow_kw", 0.5, "tie flow"),
    ],
)
def test_audit_finds_what_was_changed(
    table: str, column: str, change: float, check: str, network_run: Path, tmp_path: Path
) -> None:
    """One value of one row changed in any table of the feeder does not pass."""
    folder = tmp_path / "run"
    shutil.copytree(network_run, folder)
    frame = pd.read_parquet(folder / f"{table}.parquet")
    frame.loc[40, column] += change
    write(folder, table, frame)
    assert check in {finding.check for finding in audit(folder)}


FLOWS = ["sent_kw", "sent_kvar", "loss_kw", "loss_kvar", "loading"]


def without_power_flow(folder: Path, *, buses: int, flows: bool, losses: bool) -> None:
    """Tell of a step in the tables that it has no power flow, of some buses or of all, and of what hangs on it."""
    voltages = pd.read_parquet(folder / "voltages.parquet")
    voltages.loc[33 * 40 : 33 * 40 + buses - 1, "voltage_pu"] = np.nan
    write(folder, "voltages", voltages)
    if flows:
        branches = pd.read_parquet(folder / "branches.parquet")
        branches.loc[32 * 40 : 32 * 41 - 1, FLOWS] = np.nan
        write(folder, "branches", branches)
    if losses:
        ties = pd.read_parquet(folder / "ties.parquet")
        ties.loc[32 * 40 : 32 * 41 - 1, "loss_kw"] = 0.0
        write(folder, "ties", ties)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("buses", "flows", "losses", "claim"),
    [
        (1, False, False, "some voltages and flows are null, others are not"),
        (33, False, False, "some voltages and flows are null, others are not"),
        (33, True, False, "without a power flow"),
        (33, True, True, "is said to have no power flow, and has one"),
    ],
)
def test_audit_finds_power_flows_that_are_denied(
    buses: int, flows: bool, losses: bool, claim: str, network_run: Path, tmp_path: Path
) -> None:
    """A step that has a power flow cannot be told to have none, in part or with all that hangs on it."""
    folder = tmp_path / "run"
    shutil.copytree(network_run, folder)
    without_power_flow(folder, buses=buses, flows=flows, losses=losses)
    found = [finding for finding in audit(folder) if finding.check == "feeder rows"]
    assert any(claim in finding.claim for finding in found)


@pytest.mark.slow
def test_audit_tells_what_it_cannot_check(scenario, tmp_path: Path) -> None:
    """A feeder's table that went away, or that holds words for numbers, leaves a run unchecked: it does not pass."""
    for kind in ("buses", "lines", "transformers"):
        shutil.copy(GOLDEN / f"mv_lv_{kind}.csv", tmp_path / f"{kind}.csv")
    text = FEEDER.replace(f"{GOLDEN}/mv_lv_", f"{tmp_path}/")
    folder = run(scenario(text), policy="uncontrolled", out=tmp_path / "run").path
    assert audit(folder) == []
    buses = (tmp_path / "buses.csv").read_text()
    (tmp_path / "buses.csv").write_text(buses.replace("20", "twenty", 1))
    (finding,) = audit(folder)
    assert (finding.check, finding.table) == ("feeder tables", "branches")
    assert "buses.csv" in finding.claim
    assert "cannot be read (could not convert string to float: 'twenty')" in finding.claim
    (tmp_path / "buses.csv").write_text(buses)
    (tmp_path / "transformers.csv").unlink()
    (finding,) = audit(folder)
    assert finding.claim == f"cannot be checked: {tmp_path / 'transformers.csv'} is not there"


@pytest.mark.slow
def test_audit_tells_prices_that_went_away(network_run: Path, tmp_path: Path) -> None:
    """Prices whose file is not there cannot be compared with it: they do not pass."""
    folder = tmp_path / "run"
    shutil.copytree(network_run, folder)
    text = (folder / "scenario.toml").read_text()
    assert text.count("shipped:dayahead_nl_2019_2020") == 1
    (folder / "scenario.toml").write_text(
        text.replace("shipped:dayahead_nl_2019_2020", "/nowhere/prices.csv")
    )
    claims = [finding.claim for finding in audit(folder) if finding.check == "price"]
    assert claims == ["cannot be checked: /nowhere/prices.csv, the tariff's series, is not there"]


@pytest.mark.slow
@pytest.mark.parametrize(("limits", "rounds"), [("ignore", 1), ("keep", 0), ("keep", 7)])
def test_audit_knows_how_many_rounds_there_may_be(limits: str, rounds: int, scenario, tmp_path: Path) -> None:
    """None where plans ignore the feeder; where they keep its limits at least one, and no more than are allowed."""
    overrides = [f"dispatch.feeder_limits={limits}", "dispatch.horizon_steps=8"]
    folder = run(scenario(), policy="rolling", overrides=overrides, out=tmp_path / "run").path
    assert audit(folder) == []
    decisions = pd.read_parquet(folder / "decisions.parquet")
    decisions.loc[5, "feeder_rounds"] = rounds
    write(folder, "decisions", decisions)
    (finding,) = audit(folder)
    assert finding.check == "decisions"
    assert f"{rounds} rounds within the feeder's limits" in finding.claim


@pytest.mark.slow
def test_audit_does_not_mind_the_order_of_rows(network_run: Path, tmp_path: Path) -> None:
    """Shuffled tables of the feeder are the same tables."""
    folder = tmp_path / "run"
    shutil.copytree(network_run, folder)
    for table in ("voltages", "branches", "ties"):
        frame = pd.read_parquet(folder / f"{table}.parquet").sample(frac=1.0, random_state=1)
        write(folder, table, frame)
    assert audit(folder) == []


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("dispatch.feeder_voltage_margin_pu=0.1", "leaves nothing of the band 0.9..1.1"),
        ("feeder.voltage_min_pu=1.5", "voltage_min_pu 1.5 is not below voltage_max_pu 1.1"),
    ],
)
def test_a_band_of_nothing_is_told(override: str, told: str) -> None:
    """Ends of the band in the wrong order, and margins that meet."""
    with pytest.raises(ScenarioError, match=re.escape(told)):
        load_scenario("storage-network", [override])


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            'file = "shipped:simbench_2016_loads"',
            'file = "gone.csv"',
            "feeder.other_buses.series.file: no file ",
        ),
        ('column = "*"', 'column = "H0-B_pload"', 'feeder.other_buses.series.column: must be "*" in a mix'),
        ('zone = "scenario"', 'zone = "Erope/Berlin"', "feeder.other_buses.series.zone: "),
    ],
)
def test_the_series_of_other_buses_is_told_by_its_place(scenario, before: str, after: str, told: str) -> None:
    """Not as one of a region that the scenario does not name."""
    head, part, tail = FEEDER.partition("[feeder.other_buses]")
    found = faults(scenario(head + part + tail.replace(before, after)))
    assert len(found) == 1
    assert found[0].startswith(told)


def test_limits_that_are_not_there_are_told() -> None:
    """Plans cannot keep a feeder's limits where there is no feeder; before, they said nothing."""
    with pytest.raises(
        ScenarioError, match=r'dispatch\.feeder_limits: is "keep", the scenario has no feeder'
    ):
        load_scenario("multi-microgrid", ["dispatch.feeder_limits=keep"])


STORAGE = """
[[regions.batteries]]
capacity_kwh = 200.0
charge_limit_kw = 100.0
discharge_limit_kw = 100.0
charge_efficiency = 0.9
discharge_efficiency = 0.9
soc_min = 0.1
soc_max = 0.9
initial_soc = 0.5
"""


def test_a_plan_within_limits_may_burn_energy_where_that_lowers_a_voltage(scenario, tmp_path: Path) -> None:
    """Cables, almost no load and a source near the upper limit: storage wastes energy, and the audit claims nothing."""
    feeder = FEEDER.replace("source_pu = 1.02", "source_pu = 1.0499").replace("_share = 0.5", "_share = 0.01")
    places = region("street", "street", "H", 20.0) + region("mill", "mill", "W", 20.0) + STORAGE
    places += region("yard", "yard", "O", 20.0)
    more = ["dispatch.feeder_limits=keep", "fleet.size=0", "output.report=false"]
    ran = run(scenario(feeder, SOURCE + places), policy="rolling", overrides=more, out=tmp_path / "run")
    assert ran.decisions["max_overlap_kw"].max() > 1.0, "it does"
    assert [finding for finding in audit(ran.path) if finding.check == "exclusivity"] == []
