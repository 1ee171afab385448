"""A feeder is read with all its faults told, and its power flow is that of other solvers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.shipped import locate
from sim.errors import ScenarioError
from sim.feeder.ac import ac_power_flow
from sim.feeder.exact import exact_flow
from sim.feeder.linear import linear_flow, losses_kw_kvar
from sim.feeder.model import Feeder, Network
from sim.feeder.reading import FeederFiles, read_feeder

GOLDEN = Path(__file__).parent / "golden" / "feeder_pandapower"

BUSES = "bus,rated_kv,load_kw,load_kvar\nroot,10,0,0\nleft,10,300,100\nright,10,200,50\nlow,0.4,40,10\n"
LINES = "line,from_bus,to_bus,r_ohm,x_ohm,ampacity_a\nA,root,left,0.5,0.4,200\nB,right,root,0.7,0.3,\n"
TRANSFORMERS = (
    "transformer,from_bus,to_bus,rating_kva,short_circuit_percent,copper_loss_kw\nT,right,low,100,4,1.5\n"
)


@pytest.fixture(scope="module")
def ieee33() -> Feeder:
    """The shipped feeder of Baran and Wu."""
    files = FeederFiles(buses=locate("shipped:baran_wu_33_buses"), lines=locate("shipped:baran_wu_33_lines"))
    return read_feeder(files, "1")


@pytest.fixture(scope="module")
def two_voltages() -> Feeder:
    """A feeder with cables at 20 kV and a street behind a transformer."""
    files = FeederFiles(
        buses=GOLDEN / "mv_lv_buses.csv",
        lines=GOLDEN / "mv_lv_lines.csv",
        transformers=GOLDEN / "mv_lv_transformers.csv",
    )
    return read_feeder(files, "station")


@pytest.fixture
def written(tmp_path: Path):
    """Write three tables and read them; each can be given anew."""

    def read(buses: str = BUSES, lines: str = LINES, transformers: str = TRANSFORMERS, source: str = "root"):
        for name, text in (("buses", buses), ("lines", lines), ("transformers", transformers)):
            (tmp_path / f"{name}.csv").write_text(text)
        files = FeederFiles(
            buses=tmp_path / "buses.csv",
            lines=tmp_path / "lines.csv",
            transformers=tmp_path / "transformers.csv",
        )
        return read_feeder(files, source)

    return read


def test_base_case_of_the_33_buses_is_the_published_one(ieee33: Feeder) -> None:
    """Baran and Wu's loads behind a stiff source: 0.9131 p.u. at bus 18 and 202.7 kW of losses."""
    state = ac_power_flow(ieee33, ieee33.load_kw[np.newaxis], ieee33.load_kvar[np.newaxis], source_pu=1.0)
    assert (ieee33.load_kw.sum(), ieee33.load_kvar.sum()) == (3715.0, 2300.0)
    assert ieee33.bus_names[int(state.voltage_pu[0].argmin())] == "18"
    assert round(float(state.voltage_pu.min()), 4) == 0.9131
    assert round(float(state.loss_kw.sum()), 1) == 202.7
    assert state.voltage_pu[0, ieee33.source_index] == 1.0


@pytest.mark.parametrize("name", ["baran_wu_33", "mv_lv"])
def test_ac_power_flow_against_pandapower(name: str, ieee33: Feeder, two_voltages: Feeder) -> None:
    """Voltages of random states agree with pandapower's, with charging cables and a transformer too."""
    feeder = {"baran_wu_33": ieee33, "mv_lv": two_voltages}[name]
    states = pd.read_csv(GOLDEN / "states.csv", dtype={"bus": str})
    states = states[states["feeder"] == name]
    shape = (-1, feeder.n_buses)
    assert tuple(states["bus"][: feeder.n_buses]) == feeder.bus_names
    found = ac_power_flow(
        feeder,
        states["demand_kw"].to_numpy().reshape(shape),
        states["demand_kvar"].to_numpy().reshape(shape),
        source_pu=float(states["source_pu"].iloc[0]),
    )
    expected = states["voltage_pu"].to_numpy().reshape(shape)
    assert len(expected) == 25
    assert np.abs(found.voltage_pu - expected).max() < 1e-9


def test_linear_flow_with_its_own_losses_is_the_ac_power_flow(ieee33: Feeder) -> None:
    """Fed with the losses of the state itself, the linear form solves the whole branch flow equations."""
    rng = np.random.default_rng(5)
    demand_kw = ieee33.load_kw * rng.uniform(-0.5, 1.3, (40, 33))
    demand_kvar = ieee33.load_kvar * rng.uniform(0.0, 1.2, (40, 33))
    flow = linear_flow(ieee33, demand_kw, demand_kvar, source_pu=1.05)
    for _ in range(40):
        loss_kw, loss_kvar = losses_kw_kvar(ieee33, flow)
        flow = linear_flow(
            ieee33, demand_kw, demand_kvar, source_pu=1.05, loss_kw=loss_kw, loss_kvar=loss_kvar
        )
    state = ac_power_flow(ieee33, demand_kw, demand_kvar, source_pu=1.05)
    assert np.abs(flow.voltage_pu - state.voltage_pu).max() < 1e-9
    assert np.abs(losses_kw_kvar(ieee33, flow)[0] - state.loss_kw).max() < 1e-6


def test_linear_flow_without_losses_shows_voltages_too_high(ieee33: Feeder) -> None:
    """Where power flows away from the source only, leaving losses out can only raise voltages."""
    rng = np.random.default_rng(6)
    demand_kw = ieee33.load_kw * rng.uniform(0.0, 1.0, (100, 33))
    demand_kvar = ieee33.load_kvar * rng.uniform(0.0, 1.0, (100, 33))
    flow = linear_flow(ieee33, demand_kw, demand_kvar, source_pu=1.0)
    above = flow.voltage_pu - ac_power_flow(ieee33, demand_kw, demand_kvar, source_pu=1.0).voltage_pu
    assert above.min() > -1e-12
    assert above.max() < 4e-3


def test_linear_flow_by_hand(written) -> None:
    """One branch: 300 kW and 100 kvar over 0.5 + 0.4j ohm at 10 kV."""
    feeder = written()
    demand_kw, demand_kvar = feeder.load_kw[np.newaxis], feeder.load_kvar[np.newaxis]
    flow = linear_flow(feeder, demand_kw, demand_kvar, source_pu=1.0)
    left = feeder.bus_names.index("left")
    assert flow.flow_kw[0].tolist() == [300.0, 240.0, 40.0]
    assert flow.voltage_pu[0, left] ** 2 == pytest.approx(1.0 - 2.0 * (0.5 * 0.3 + 0.4 * 0.1) / 100.0)
    assert feeder.rating_kva.tolist() == pytest.approx([np.sqrt(3.0) * 10.0 * 200.0, np.inf, 100.0])
    with pytest.raises(ArithmeticError, match="bus left"):
        linear_flow(feeder, demand_kw * np.array([1.0, 1e3, 1.0, 1.0]), demand_kvar, source_pu=1.0)


def test_transformer_in_short_circuit_takes_its_rating(written) -> None:
    """At its rated power the loss of a transformer is its copper loss, and z is its short-circuit voltage."""
    feeder = written()
    r, x = feeder.r_pu[2], feeder.x_pu[2]  # of 1,000 kVA; the transformer has 100
    assert r * 0.1 == pytest.approx(1.5 / 100.0)
    assert np.hypot(r, x) * 0.1 == pytest.approx(0.04)


def test_a_line_is_loaded_by_current_a_transformer_by_power(written) -> None:
    """Loading is the share of ampacity at the state's own voltage, and of a transformer's rating in kVA."""
    feeder = written()
    demand_kw = np.array([[0.0, 3000.0, 0.0, 80.0]])
    state = ac_power_flow(feeder, demand_kw, np.zeros((1, 4)), source_pu=1.0)
    kv = 10.0 * state.voltage_pu[0, 1]
    assert state.loading[0, 0] == pytest.approx(3000.0 / (np.sqrt(3.0) * kv) / 200.0, rel=1e-9)
    sent_kva = np.hypot(state.sent_kw[0, 2], state.sent_kvar[0, 2])
    assert state.loading[0, 2] == pytest.approx(sent_kva / 100.0, rel=1e-9)
    assert state.loading[0, 1] == 0.0, "no ampacity, no loading"


def test_states_without_a_solution_are_told_apart(ieee33: Feeder) -> None:
    """A demand beyond what the feeder can carry has no state; its neighbours in the batch keep theirs."""
    scale = np.array([[1.0], [20.0], [0.5]])
    state = ac_power_flow(ieee33, ieee33.load_kw * scale, ieee33.load_kvar * scale, source_pu=1.0)
    assert state.converged.tolist() == [True, False, True]
    assert np.isnan(state.voltage_pu[1]).all()
    assert np.isnan(state.loss_kw[1]).all()
    assert np.isfinite(state.voltage_pu[[0, 2]]).all()


def test_power_flow_refuses_demands_that_are_none(ieee33: Feeder) -> None:
    """Shapes and values are checked before the solver sees them; no states are no states."""
    with pytest.raises(ValueError, match="33"):
        ac_power_flow(ieee33, np.zeros((2, 32)), np.zeros((2, 32)), source_pu=1.0)
    with pytest.raises(ValueError, match="finite"):
        ac_power_flow(ieee33, np.full((1, 33), np.nan), np.zeros((1, 33)), source_pu=1.0)
    assert ac_power_flow(ieee33, np.zeros((0, 33)), np.zeros((0, 33)), source_pu=1.0).voltage_pu.shape == (
        0,
        33,
    )


def test_no_demand_means_source_voltage_everywhere(ieee33: Feeder) -> None:
    """Without demand nothing flows."""
    state = ac_power_flow(ieee33, np.zeros((1, 33)), np.zeros((1, 33)), source_pu=1.03)
    assert np.abs(state.voltage_pu - 1.03).max() < 1e-12
    assert np.abs(state.loss_kw).max() < 1e-9


def test_rows_are_told_with_every_fault(written) -> None:
    """Values, names and voltages that cannot be are told all at once, each with its row."""
    buses = "bus,rated_kv,load_kw,load_kvar\nroot,10,0,0\nleft,-1,x,0\nleft,10,0,0\n,10,0,0\nlow,0.4,0,0\n"
    lines = (
        "line,from_bus,to_bus,r_ohm,x_ohm,ampacity_a,in_service\n"
        "A,root,lefd,0.5,0.4,0,true\nA,root,root,0,0,inf,maybe\nC,root,low,-1,0.1,,\n"
    )
    transformers = TRANSFORMERS.replace("right", "root").replace("1.5", "7")
    with pytest.raises(ScenarioError) as caught:
        written(buses, lines, transformers, "roof")
    assert list(caught.value.faults) == [
        "buses.csv row 3: bus 'left': rated_kv '-1' is not a number above 0",
        "buses.csv row 3: bus 'left': load_kw 'x' is not a number",
        "buses.csv row 4: bus 'left': is there twice, first in row 3",
        "buses.csv row 5: bus '': has no name",
        "lines.csv row 2: line 'A': to_bus 'lefd' is no bus; did you mean 'left'?",
        "lines.csv row 2: line 'A': ampacity_a '0' is not a number above 0",
        "lines.csv row 3: line 'A': is there twice, first in row 2",
        "lines.csv row 3: line 'A': both ends are bus 'root'",
        "lines.csv row 3: line 'A': r_ohm and x_ohm are both 0: its buses are one",
        "lines.csv row 3: line 'A': ampacity_a 'inf' is not a number above 0",
        "lines.csv row 3: line 'A': in_service 'maybe' is neither true nor false",
        "lines.csv row 4: line 'C': r_ohm '-1' is not a number of at least 0",
        "lines.csv row 4: line 'C': joins 10 kV and 0.4 kV; between voltages stands a transformer",
        "transformers.csv row 2: transformer 'T': copper_loss_kw of 7 kW is more than 4.00% of 100 kVA",
        "feeder.source_bus: no bus is called 'roof'; did you mean 'root'?",
        "transformers.csv row 2: transformer 'T': closes a loop; a feeder is radial",
    ]


def test_tables_are_told_with_every_fault(written, tmp_path: Path) -> None:
    """Columns that are missing or unknown, in all tables at once; a file that is not there."""
    with pytest.raises(ScenarioError) as caught:
        written("bus,kv\nroot,10\n", "line,from_bus,to_bus,r_ohm\n", TRANSFORMERS.partition("\n")[0] + "\n")
    assert [fault.split(" (")[0] for fault in caught.value.faults] == [
        "buses.csv: column 'rated_kv' is missing",
        "buses.csv: column 'kv' is unknown",
        "lines.csv: column 'x_ohm' is missing",
        "transformers.csv: has no rows",
    ]
    with pytest.raises(ScenarioError, match=r"feeder\.lines: cannot read .*no\.csv"):
        read_feeder(FeederFiles(buses=tmp_path / "buses.csv", lines=tmp_path / "no.csv"), "root")


def test_rows_with_more_cells_than_names_are_told(written) -> None:
    """The row that is too long is named, and nothing else; empty cells at the end of rows are none."""
    with pytest.raises(ScenarioError) as caught:
        written(lines=LINES.replace("\n", ",,\n", 1) + "C,left,right,0.1,0.1,,true,9\n")
    assert list(caught.value.faults) == ["lines.csv row 4: 8 cells, the header has 6"]
    commas = written(lines=LINES.replace("\n", ",,\n"))
    assert commas.branch_names == written().branch_names
    with pytest.raises(ScenarioError, match=r"lines\.csv: column 'r_ohm' is there twice"):
        written(lines=LINES.replace("x_ohm", "r_ohm"))


def test_impossible_impedances_are_told(written) -> None:
    """Through ten million ohms nothing can be fed: a table in other units."""
    with pytest.raises(
        ScenarioError, match=r"row 4: line 'C': r_ohm and x_ohm let less than 1 kVA through at 10 kV"
    ):
        written(lines=LINES + "C,left,right,1e7,0.1,\n")


def test_a_feeder_is_radial_and_whole(written) -> None:
    """Loops are named by the line that closes them, buses without supply by name."""
    with pytest.raises(ScenarioError, match=r"row 4: line 'C': closes a loop; a feeder is radial"):
        written(lines=LINES + "C,left,right,0.1,0.1,\n")
    with pytest.raises(ScenarioError, match=r"nothing in service leads from bus root to right, low$"):
        written(lines="\n".join(LINES.split("\n")[:2]) + "\n")
    open_loop = (
        LINES.replace("\n", ",\n").replace("_a,", "_a,in_service", 1) + "C,left,right,0.1,0.1,,false\n"
    )
    assert written(lines=open_loop).branch_names == ("A", "B", "T")


def test_loops_and_islands_are_told_beside_faults_of_rows(written) -> None:
    """A line of an impossible value still joins its buses; one to an unknown bus says nothing of the rest."""
    buses = BUSES + "far,10,0,0\nfarther,10,0,0\n"
    lines = LINES.replace("0.5", "-1") + "C,left,right,0.1,0.1,\nD,far,farther,0.1,0.1,\n"
    with pytest.raises(ScenarioError) as caught:
        written(buses, lines)
    assert list(caught.value.faults) == [
        "lines.csv row 2: line 'A': r_ohm '-1' is not a number of at least 0",
        "feeder: nothing in service leads from bus root to far, farther",
        "lines.csv row 4: line 'C': closes a loop; a feeder is radial",
    ]
    with pytest.raises(ScenarioError) as caught:
        written(buses, lines.replace("D,far", "D,fär"), source="roof")
    assert [fault.rpartition(": ")[2] for fault in caught.value.faults] == [
        "r_ohm '-1' is not a number of at least 0",
        "from_bus 'fär' is no bus; did you mean 'far'?",
        "no bus is called 'roof'; did you mean 'root'?",
        "closes a loop; a feeder is radial",
    ]


def test_rows_at_fault_have_no_followers(written) -> None:
    """A row of which it is not known what it joins says nothing about loops, nor about buses behind it."""
    lines = LINES.replace("\n", ",\n").replace("_a,", "_a,in_service", 1) + "C,left,right,0.1,0.1,,no\n"
    with pytest.raises(ScenarioError) as caught:
        written(lines=lines)
    assert list(caught.value.faults) == [
        "lines.csv row 4: line 'C': in_service 'no' is neither true nor false"
    ]
    with pytest.raises(ScenarioError) as caught:
        written(lines=LINES.replace("right,root", "right,right"))
    assert list(caught.value.faults) == ["lines.csv row 3: line 'B': both ends are bus 'right'"]


def test_a_transformer_has_no_lines_name(written) -> None:
    """Branches are told apart by name, whatever they are; told with every other fault."""
    with pytest.raises(ScenarioError) as caught:
        written(lines=LINES.replace("0.4,200", "-1,200"), transformers=TRANSFORMERS.replace("T,", "B,"))
    assert list(caught.value.faults) == [
        "lines.csv row 2: line 'A': x_ohm '-1' is not a number of at least 0",
        "transformers.csv row 2: transformer 'B': is the name of a line too, lines.csv row 3; "
        "each branch needs its own",
    ]


def test_branches_too_short_for_power_flow_are_told(written) -> None:
    """A switch or a busbar far from the source is refused, beside other faults; a little more of it works."""
    buses = BUSES + "end,10,1,0\n"
    text = LINES + "switch,end,left,{},{},\nD,root,end,-1,1,\n"
    with pytest.raises(ScenarioError) as caught:
        written(buses, text.format(1e-7, 1e-7), TRANSFORMERS.replace("100,4,1.5", "1e9,1e-4,0"))
    assert list(caught.value.faults) == [
        "lines.csv row 5: line 'D': r_ohm '-1' is not a number of at least 0",
        "lines.csv row 5: line 'D': closes a loop; a feeder is radial",
        "lines.csv row 4: line 'switch': the impedance of r_ohm and x_ohm must be at least 1.92e-05 ohm this far from "
        "the source, with less power flow cannot tell the voltages of its ends apart; merge buses 'left' and 'end' "
        "into one",
        "transformers.csv row 2: transformer 'T': short_circuit_percent must be at least 22.8 % this far from the "
        "source, with less power flow cannot tell the voltages of its ends apart; merge buses 'right' and 'low' "
        "into one",
    ]
    feeder = written(buses, text.format(2e-5, 0.0).partition("D,")[0])
    scale = np.array([[0.0], [0.1], [1.0], [-1.0]])
    assert ac_power_flow(
        feeder, feeder.load_kw * scale, feeder.load_kvar * scale, source_pu=1.0
    ).converged.all()
    with pytest.raises(
        ScenarioError, match=r"row 2: line 'A': .* at least 1e-06 ohm .* buses 'root' and 'left'"
    ):
        written(lines=LINES.replace("0.5,0.4", "1e-7,1e-7"))
    first = written(lines=LINES.replace("0.5,0.4", "1e-6,1e-7"))
    state = ac_power_flow(first, first.load_kw[np.newaxis], first.load_kvar[np.newaxis], source_pu=1.0)
    assert state.sent_kw[0, 0] == pytest.approx(300.0, abs=1e-3)


def test_absurd_charging_is_told(written) -> None:
    """Susceptance in other units would raise the voltage beyond anything; the most that is possible is told."""
    lines = LINES.replace("ampacity_a", "ampacity_a,b_us").replace("0.4,200", "0.4,200,480")
    lines = lines.replace("0.3,", "0.3,,4e7")
    with pytest.raises(ScenarioError) as caught:
        written(lines=lines)
    assert list(caught.value.faults) == [
        "lines.csv row 3: line 'B': b_us must be at most 2.63e+05 this far from the source, more would raise the "
        "voltage of bus 'right' by over 20% when nothing is drawn"
    ]
    feeder = written(lines=lines.replace("4e7", "2.6e5"))
    rated = feeder.load_kw[np.newaxis], feeder.load_kvar[np.newaxis]
    assert ac_power_flow(feeder, *rated, source_pu=1.0).converged.all()


def test_losses_that_grow_without_end_are_none(ieee33: Feeder) -> None:
    """Cables that charge more than the feeder carries have no exact flow, and no warning of numbers too large."""
    charged = replace(ieee33, b_pu=np.full(32, 500.0))
    network = Network(
        feeder=charged, source_pu=1.0, voltage_min_pu=0.9, voltage_max_pu=1.1, load_kvar_per_kw=np.zeros(33)
    )
    assert exact_flow(network, ieee33.load_kw, ieee33.load_kvar) is None


def test_order_of_rows_does_not_matter(ieee33: Feeder, tmp_path: Path) -> None:
    """The same feeder with its lines shuffled and turned has the same voltages."""
    lines = pd.read_csv(locate("shipped:baran_wu_33_lines"), dtype=str)
    shuffled = lines.sample(frac=1.0, random_state=3)
    shuffled[["from_bus", "to_bus"]] = shuffled[["to_bus", "from_bus"]].to_numpy()
    shuffled.to_csv(tmp_path / "lines.csv", index=False)
    other = read_feeder(
        FeederFiles(buses=locate("shipped:baran_wu_33_buses"), lines=tmp_path / "lines.csv"), "1"
    )
    one, two = (
        ac_power_flow(f, f.load_kw[np.newaxis], f.load_kvar[np.newaxis], source_pu=1.0).voltage_pu
        for f in (ieee33, other)
    )
    assert np.abs(one - two).max() < 1e-12
    assert other.feeds.sum() == ieee33.feeds.sum()
