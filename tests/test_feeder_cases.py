"""Cases of MATPOWER and networks of pandapower become tables of a feeder, or are refused with every reason."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments.cli import app
from experiments.feeder_cases.converting import Converted, convert
from experiments.feeder_cases.matlab import NotUnderstoodError, evaluate
from experiments.shipped import locate
from sim.errors import RunFolderError, ScenarioError
from sim.feeder.ac import PowerFlow, ac_power_flow
from sim.feeder.model import Feeder
from sim.feeder.reading import FeederFiles, read_feeder
from sim.scenario import FeederPart

GOLDEN = Path(__file__).parent / "golden" / "feeder_pandapower"

SMALL = """function mpc = small
% a street behind a transformer; what stands in comments, mpc.bus = [ for one, is nothing
%{
mpc.baseMVA = 1;
%}
mpc.version = '2';
mpc.baseMVA = 10;  % MVA
mpc.bus = [  %% bus type Pd Qd Gs Bs area Vm Va baseKV zone Vmax Vmin
  1 3 0   0    0 0 1 1 0 20  1 1    1;
  2 1 0.3 0.1  0 0 1 1 0 20  1 1.05 0.95;
  7 1 0.1 0.03 0 0 1 1 0 0.4 1 1.1  0.9;  9 4 1 1 0 0 1 1 0 20 1 1.1 0.9
];
mpc.gen = [1 0 0 10 -10 1.02 100 1 10 0];
mpc.branch = [ % fbus tbus r x b rateA rateB rateC ratio angle status
  1, 2, 0.01, 0.02, 0.001, 5, 0, 0, 0, 0, 1, -360, 360;
  2 7 0.24 ...
    0.32 0 0.4 0 0 1 30 1 -360 360
  2 1 0.5 0.5 0 0 0 0 0 0 0 -360 360
];
mpc.gencost = [2 0 0 3 0 20 0];
mpc.bus_name = {'it''s; the % source'; 'bar]'; 'street'; 'old'};
"""

CONVERSIONS = """
[PQ, PV, REF, NONE, BUS_I, BUS_TYPE, PD, QD, GS, BS, BUS_AREA, VM, ...
    VA, BASE_KV, ZONE, VMAX, VMIN, LAM_P, LAM_Q, MU_VMAX, MU_VMIN] = idx_bus;
[F_BUS, T_BUS, BR_R, BR_X, BR_B, RATE_A, RATE_B, RATE_C, ...
    TAP, SHIFT, BR_STATUS, PF, QF, PT, QT, MU_SF, MU_ST, ...
    ANGMIN, ANGMAX, MU_ANGMIN, MU_ANGMAX] = idx_brch;
Vbase = mpc.bus(1, BASE_KV) * 1e3;      %% in Volts
Sbase = mpc.baseMVA * 1e6;              %% in VA
mpc.branch(:, [BR_R BR_X]) = mpc.branch(:, [BR_R BR_X]) / (Vbase^2 / Sbase);
mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3;
"""


def of_33_buses(*, ohms_and_kw: bool) -> str:
    """The shipped feeder as a case: in ohm and kW with statements that convert them, or in per unit and MW."""
    buses = pd.read_csv(locate("shipped:baran_wu_33_buses"))
    lines = pd.read_csv(locate("shipped:baran_wu_33_lines"))
    kw, ohm = (1.0, 1.0) if ohms_and_kw else (1e-3, 10.0 / 12.66**2)
    rows = [
        f"{b.bus} {3 if b.bus == 1 else 1} {b.load_kw * kw!r} {b.load_kvar * kw!r} 0 0 1 1 0 12.66 1 1.1 0.9;"
        for b in buses.itertuples()
    ]
    branches = [
        f"{b.from_bus} {b.to_bus} {b.r_ohm * ohm!r} {b.x_ohm * ohm!r} 0 0 0 0 0 0 {b.in_service:d} -360 360;"
        for b in lines.itertuples()
    ]
    return "\n".join(
        [
            "function mpc = feeder_33",
            "mpc.version = '2'; mpc.baseMVA = 10;",
            *("mpc.bus = [", *rows, "];"),
            "mpc.gen = [1 0 0 10 -10 1 100 1 10 0];",
            *("mpc.branch = [", *branches, "];"),
            CONVERSIONS if ohms_and_kw else "",
        ]
    )


def rated(feeder: Feeder, source_pu: float) -> PowerFlow:
    """State under the loads of the feeder's own table."""
    return ac_power_flow(
        feeder, feeder.load_kw[np.newaxis], feeder.load_kvar[np.newaxis], source_pu=source_pu
    )


def tables_of(converted: Converted) -> tuple[Feeder, dict[str, Any]]:
    """The tables read again as a scenario would, and the scenario's table."""
    table = tomllib.loads(converted.text)["feeder"]
    FeederPart.model_validate(table)
    files = FeederFiles(**{name: Path(table[name]) for name in table if name in FeederFiles.__slots__})
    return read_feeder(files, table["source_bus"]), table


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Converted]:
    """Write a case and convert it."""

    def write(text: str, name: str = "case.m", **options: Any) -> Converted:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return convert(tmp_path / name, tmp_path / f"out-{len(list(tmp_path.iterdir()))}", **options)

    return write


def faults_of(write: Callable[..., Converted], text: str, name: str = "case.m", **options: Any) -> list[str]:
    """What a refused case is told."""
    with pytest.raises(ScenarioError) as caught:
        write(text, name, **options)
    return list(caught.value.faults)


def test_small_case_by_hand(written) -> None:
    """Per unit becomes ohm and microsiemens, MVA ampere; a transformer has its rating's impedance."""
    converted = written(SMALL)
    assert (converted.folder / "buses.csv").read_text() == (
        "bus,rated_kv,load_kw,load_kvar\n1,20,0,0\n2,20,300,100\n7,0.4,100,30\n"
    )
    assert (converted.folder / "lines.csv").read_text() == (
        "line,from_bus,to_bus,r_ohm,x_ohm,b_us,ampacity_a\n1-2,1,2,0.4,0.8,25,144.337567297\n"
    )  # of 40 ohm; 5 MVA at 20 kV
    assert (converted.folder / "transformers.csv").read_text() == (
        "transformer,from_bus,to_bus,rating_kva,short_circuit_percent,copper_loss_kw\n2-7,2,7,400,1.6,3.84\n"
    )  # 0.24 + 0.32j of 10 MVA are 0.0096 + 0.0128j of 400 kVA
    feeder, table = tables_of(converted)
    assert {name: value for name, value in table.items() if name not in FeederFiles.__slots__} == {
        "source_bus": "1",
        "source_pu": 1.02,
        "voltage_min_pu": 0.95,
        "voltage_max_pu": 1.05,
    }
    assert feeder.r_pu == pytest.approx([0.001, 0.024])
    remarks = [line for line in converted.text.splitlines() if line.startswith("#")]
    assert "3 buses, 1 line, 1 transformer; loads of 400 kW and 130 kvar" in remarks[0]
    assert "# 1 isolated bus left out: line 11 bus 9" in remarks
    assert "# 1 branch out of service left out: line 18 branch 2-1" in remarks


def test_small_case_is_solved_by_its_own_admittances(written) -> None:
    """Voltages fulfil the case's own equations, per unit of its own base, at every bus."""
    feeder, table = tables_of(written(SMALL))
    pu = rated(feeder, table["source_pu"]).voltage_pu[0]
    y_line, y_transformer, shunt = 1 / (0.01 + 0.02j), 1 / (0.24 + 0.32j), 0.0005j
    v = np.array([1.02, pu[1], pu[2]], dtype=complex)
    for _ in range(200):  # Gauss-Seidel of the two buses with loads
        into_2 = y_line * v[0] + y_transformer * v[2] - np.conj(0.03 + 0.01j) / np.conj(v[1])
        v[1] = into_2 / (y_line + y_transformer + shunt)
        v[2] = v[1] - np.conj(0.01 + 0.003j) / np.conj(v[2]) / y_transformer
    assert np.abs(v) == pytest.approx(pu, abs=1e-9)


@pytest.mark.parametrize("ohms_and_kw", [True, False])
def test_feeder_of_33_buses_has_its_published_state(written, ohms_and_kw: bool) -> None:
    """In ohm and kW with statements that convert them, or in per unit and MW: 0.9131 p.u. and 202.7 kW."""
    converted = written(of_33_buses(ohms_and_kw=ohms_and_kw))
    feeder, table = tables_of(converted)
    state = rated(feeder, table["source_pu"])
    assert round(float(state.voltage_pu.min()), 4) == 0.9131
    assert round(float(state.loss_kw.sum()), 1) == 202.7
    shipped = FeederFiles(
        buses=locate("shipped:baran_wu_33_buses"), lines=locate("shipped:baran_wu_33_lines")
    )
    assert np.abs(state.voltage_pu - rated(read_feeder(shipped, "1"), 1.0).voltage_pu).max() < 1e-10
    assert "lowest voltage is 0.9131 p.u., at bus 18; 202.7 kW are lost" in converted.text
    assert "# 5 branches out of service left out" in converted.text
    assert "# 32 lines have no ampacity" in converted.text


def test_power_factors_and_columns_by_number(written) -> None:
    """Statements on columns are carried out in their order, named or numbered, and other scalars with them."""
    text = (
        SMALL
        + "pf = 0.8;\nmpc.bus(:, 4) = mpc.bus(:, 3) * sin(acos(pf));\nmpc.bus(:, 3) = pf * mpc.bus(:, 3);"
    )
    feeder, _ = tables_of(written(text))
    assert feeder.load_kw == pytest.approx([0.0, 240.0, 80.0])
    assert feeder.load_kvar == pytest.approx([0.0, 180.0, 60.0])
    feeder, _ = tables_of(written(SMALL + "define_constants\nmpc.bus(:, [PD QD]) = 2 * mpc.bus(:, [PD QD]);"))
    assert feeder.load_kw == pytest.approx([0.0, 600.0, 200.0])


@pytest.mark.parametrize(
    "statement",
    [
        "mpc.bus(:, PD) = mpc.bus(:, PD) / 1e3;",  # PD was never defined
        "mpc.bus(:, 3) = mpc.bus(:, 3) .* mpc.bus(:, 4);",
        "mpc.bus(:, 3) = mpc.bus(:, 3) * mpc.bus(:, 4);",
        "mpc.bus(:, 3) = 1 / mpc.bus(:, 3);",
        "mpc.bus(:, [3 4]) = mpc.bus(:, 3) / 1e3;",
        "mpc.bus(:, 99) = 0;",
        "mpc.bus(2, 3) = 0.5;",
        "mpc.bus(2:3, 3) = 0.5;",
        "mpc.branch(:, 3) = mpc.branch(:, 3) / 2^2^3;",
        "mpc.branch(:, 3) = mpc.branch(:, 3) / 0;",
        "mpc.bus = mpc.bus(1:2, :);",
        "mpc = ext2int(mpc);",
        "if 1, mpc.baseMVA = 1; end",
        "x = mpc.bus(44, 3);",
        "mpc.branch(4, :) = [];",
        "mpc.bus(:, 3) = __import__('os').getpid();",
    ],
)
def test_statements_that_are_not_understood_refuse_the_case(written, statement: str) -> None:
    """Whatever could change the tables and is not understood is named by its line, never passed over."""
    line = SMALL.count("\n") + 1
    (fault,) = [f for f in faults_of(written, f"{SMALL}{statement}\n") if "not understood" in f][:1]
    assert fault.startswith(f"case.m line {line}: not understood, and could change what the tables mean: ")
    assert re.split("[;,]", statement, maxsplit=1)[0] in fault


def test_expressions() -> None:
    """Arithmetic is MATLAB's; names of Python and values without end are none of it."""
    assert evaluate("-2^2 + 3*(4 - 1)/2", {}) == 0.5
    for text in ("", "1,2", "x", "2**3", "True", "1e999", "acos(2)", "sqrt(1, 2)", "(1", "2i", "[1 2]"):
        with pytest.raises(NotUnderstoodError):
            evaluate(text, {})


def test_every_fault_of_a_case_is_told(written) -> None:
    """Cells, columns, names, types, impedances, supply: all at once, with file and line."""
    text = (
        SMALL.replace("2 1 0.3 0.1 ", "1 1 12/sqrt(3) 0.1 ")
        .replace("  7 1 0.1", "  7.5 1 0.1")
        .replace("9 4 1 1 0 0 1 1 0 20 1 1.1 0.9", "9 6 1 1 0 0 1 1 0 -20 1 1.1 0.9 0")
        .replace("0.01, 0.02, 0.001, 5", "0, 0, -0.001, -5")
        .replace("0.5 0.5 0 0 0 0 0 0 0 -", "Inf NaN 0 0 0 0 0 0 1 -")
        .replace("version = '2'", "version = '1'")
    )
    assert faults_of(written, text) == [
        "case.m line 6: version '1'; only version '2' is read",
        "case.m line 10: mpc.bus: '12/sqrt(3)' is not a number",
        "case.m line 11: mpc.bus: 14 columns, not the 13 of its first row",
        "case.m line 18: mpc.branch: 'NaN' is not a number",
        "case.m line 10: bus 1 is there twice, first in line 9",
        "case.m line 11: number of a bus, 7.5, is not a whole one",
        "case.m line 11: bus 9: type 6 is none of 1, 2, 3, 4",
        "case.m line 15: branch 1-2: bus 2 is not there, or isolated",
        "case.m line 15: branch 1-2: rateA is not a number of at least 0",
        "case.m line 16: branch 2-7: bus 2 is not there, or isolated",
        "case.m line 16: branch 2-7: bus 7 is not there, or isolated",
        "case.m line 18: branch 2-1: bus 2 is not there, or isolated",
        "case.m line 18: branch 2-1: r is not a finite number",
        "case.m: rated voltage is not above 0: line 11 bus 9",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("mpc.branch = [", "mpc.lines = [", r"case\.m: mpc\.branch is missing"),
        ("mpc.baseMVA = 10", "mpc.baseMVA = 0", r"baseMVA of 0 is not above 0"),
        ("mpc.gencost = [2", "mpc.gencost = {[2", r"line 20: a bracket is opened and never closed"),
        ("  1 3 0 ", "  1 1 0 ", r"no reference bus \(type 3\)"),
        ("  2 1 0.3", "  2 3 0.3", r"reference buses 1, 2; a feeder has one source"),
        ("100 1 10 0]", "100 0 10 0]", r"no generator in service at the reference bus"),
        ("0 0.4 0 0 1 30 1", "0 0 0 0 1 30 1", r"without a rating .*--transformer-kva: line 16 branch 2-7"),
        (
            "0 0 0 0 0 0 0 -360",
            "0 0 0 0 0 0 1 -360",
            r"radial, and 1 branch closes a loop: line 18 branch 2-1",
        ),
        ("1, 2, 0.01, 0.02", "1, 2, 0, 0", r"without impedance makes its buses one: line 15 branch 1-2"),
        ("1, 2, 0.01, 0.02", "1, 2, -0.01, 0.02", r"resistance of a line is below 0: line 15 branch 1-2"),
        ("0, 0, 1, -360, 360", "0, 0, 0, -360, 360", r"leads from the source, bus 1, to line 10 bus 2"),
        ("mpc.gen = [", "mpc.gen = old; mpc.x = [", r"line 13: not understood, .*: mpc\.gen = old"),
        (
            "1, -360, 360",
            "1 -360 360]; mpc.branch = [1 2 3",
            r"line 15: mpc\.branch: 3 columns, not 11 or more",
        ),
        (
            "1 10 0]",
            "1 10 0; 1 0 0 10 -10 1.03 100 1 10 0]",
            r"generators of 2 different voltages in service",
        ),
        (
            "1 10 0]",
            "1 10 0; 5 0 0 10 -10 1.03 100 1 10 0]",
            r"line 13: generator at bus 5, which is not there",
        ),
        ("7 0.24", "2 0.24", r"line 16: branch 2-2: both ends are one bus"),
        ("0.24 ...", "-0.24 ...", r"resistance or reactance of a transformer is below 0: line 16"),
        ("0.24 ...\n    0.32", "0 ...\n    0", r"a transformer without impedance: line 16 branch 2-7"),
        ("1.02 100", "-1 100", r"voltage of the source, -1 p\.u\., is not above 0"),
        ("function mpc = small", "function [baseMVA, bus] = small", r"line 1: not understood"),
    ],
)
def test_single_faults_of_a_case(written, old: str, new: str, expected: str) -> None:
    """Each is told in words of its own."""
    assert old in SMALL
    told = faults_of(written, SMALL.replace(old, new, 1))
    assert any(re.search(expected, fault) for fault in told), told


def test_what_the_model_cannot_hold_is_told_at_once_and_left_out_on_demand(written) -> None:
    """Shunts, generators, ratios and charging of transformers: one message each, refused or left out."""
    text = (
        SMALL.replace("2 1 0.3 0.1  0 0", "2 1 0.3 0.1  0.1 0.2")
        .replace("1 10 0];", "1 10 0; 2 0.1 0 1 -1 1 100 1 1 0; 2 0.1 0 1 -1 1 100 0 1 0];")
        .replace("0.32 0 0.4 0 0 1 30", "0.32 0.01 0.4 0 0 0.95 30")
        + "mpc.dcline = [1 2 3];\n"
    )
    assert faults_of(written, text) == [
        "case.m: cannot be held: further tables: line 22 (mpc.dcline)",
        "case.m: cannot be held: shunts (Gs, Bs): line 10 bus 2",
        "case.m: cannot be held: generators away from the source (regions have pv, wind and batteries): line 13 bus 2",
        "case.m: cannot be held: transformers off their rated ratio: line 16 branch 2-7 (0.95)",
        "case.m: cannot be held: charging of transformers: line 16 branch 2-7",
        "case.m: --leave-out converts it without what cannot be held",
    ]
    converted = written(text, leave_out=True)
    assert "# left out: shunts (Gs, Bs): line 10 bus 2" in converted.text
    assert "# 1 generator out of service left out: line 13 bus 2" in converted.text
    same, _ = tables_of(written(SMALL))
    feeder, _ = tables_of(converted)
    assert feeder.x_pu.tolist() == same.x_pu.tolist()


def test_loads_that_are_none_are_beyond_the_model(written) -> None:
    """Regions of buses take active power: what feeds in, or is reactive alone, is refused or left out."""
    text = SMALL.replace("2 1 0.3 0.1 ", "2 1 -0.3 0.1 ").replace("7 1 0.1 0.03", "7 1 0   0.03")
    text = text.replace("1 3 0   0 ", "1 3 -1  0 ")
    assert faults_of(written, text) == [
        "case.m: cannot be held: loads that feed in (regions have pv, wind and batteries): line 10 bus 2",
        "case.m: cannot be held: loads of reactive power alone: line 11 bus 7",
        "case.m: --leave-out converts it without what cannot be held",
    ]
    converted = written(text, leave_out=True)
    assert "# left out: loads of reactive power alone: line 11 bus 7" in converted.text
    assert (converted.folder / "buses.csv").read_text().splitlines()[1:] == [
        "1,20,-1000,0",
        "2,20,0,0",
        "7,0.4,0,0",
    ]


def test_rating_and_reactance_that_are_none(written) -> None:
    """A rating is given from outside; a transformer of resistance alone is read though digits are cut."""
    text = SMALL.replace("0.24 ...\n    0.32 0 0.4", "0.123456789123 ...\n 0 0 0")
    feeder, _ = tables_of(written(text, transformer_kva=630.0))
    assert feeder.rating_kva[1] == 630.0
    assert feeder.r_pu[1] == pytest.approx(0.0123456789123, rel=1e-9)
    assert abs(feeder.x_pu[1]) < 1e-4 * feeder.r_pu[1]


def test_bands_of_a_case(written) -> None:
    """A source outside the band of the other buses is said, for a scenario would refuse it."""
    converted = written(SMALL.replace("1.02 100", "1.07 100"))
    assert "# source_pu 1.07 is outside the band" in converted.text
    assert "voltage_max_pu = 1.05" in converted.text


def test_a_band_upside_down_is_told(written) -> None:
    """Not as a case that has none."""
    text = written(SMALL.replace("1.1  0.9;", "0.8  0.9;")).text
    assert "# bus 7: its lowest voltage 0.9 is above its highest 0.8; with it there is no band" in text
    assert "its lowest voltage" not in written(SMALL).text


def test_states_that_are_none_and_letters_of_old(written, tmp_path: Path) -> None:
    """Loads beyond what the feeder carries are said; authors' names in another encoding hinder nothing."""
    assert "# with these loads no power flow exists" in written(SMALL.replace("0.1 0.03", "99 0.03")).text
    (tmp_path / "old.m").write_bytes(SMALL.replace("a street", "Müller's street").encode("latin-1"))
    assert "3 buses" in convert(tmp_path / "old.m", tmp_path / "old").text


def frame(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A table as ``pp.to_json`` writes it."""
    columns = list(rows[0])
    table = {"columns": columns, "index": [*range(len(rows))], "data": [[*row.values()] for row in rows]}
    return {
        "_module": "pandas.core.frame",
        "_class": "DataFrame",
        "_object": json.dumps(table),
        "orient": "split",
    }


def network(**changed: list[dict[str, Any]]) -> str:
    """A station at 20 kV, two parallel cables, an open one, a street behind a transformer."""
    cable = {
        "length_km": 3.0,
        "r_ohm_per_km": 0.3,
        "x_ohm_per_km": 0.2,
        "c_nf_per_km": 250.0,
        "g_us_per_km": 0.0,
    }
    cable |= {"max_i_ka": 0.2, "df": 0.8, "parallel": 2, "in_service": True}
    names = (("grid", 20.0), ("bar", 20.0), ("far", 20.0), ("dark", 20.0), ("lv", 0.4))
    tables: dict[str, list[dict[str, Any]]] = {
        "bus": [{"name": name, "vn_kv": kv, "in_service": True} for name, kv in names],
        "ext_grid": [{"name": None, "bus": 0, "vm_pu": 1.01, "in_service": True}],
        "switch": [
            {"bus": 0, "element": 1, "et": "b", "closed": True, "z_ohm": 0.0},
            {"bus": 2, "element": 1, "et": "l", "closed": False, "z_ohm": 0.0},
        ],
        "line": [
            {"name": "A", "from_bus": 1, "to_bus": 2} | cable,
            {"name": "B", "from_bus": 3, "to_bus": 2} | cable,
        ],
        "trafo": [
            {"name": "T", "hv_bus": 2, "lv_bus": 4, "sn_mva": 0.4, "vn_hv_kv": 20.0, "vn_lv_kv": 0.4}
            | {
                "vk_percent": 6.0,
                "vkr_percent": 1.5,
                "pfe_kw": 0.6,
                "i0_percent": 0.25,
                "parallel": 2,
                "df": 0.5,
            }
            | {"tap_side": "hv", "tap_pos": 0, "tap_neutral": 0, "tap_step_percent": 2.5, "in_service": True}
        ],
        "load": [
            {"bus": 1, "p_mw": 0.4, "q_mvar": 0.1, "scaling": 0.5, "in_service": True},
            {"bus": 4, "p_mw": 0.2, "q_mvar": 0.06, "scaling": 1.0, "in_service": True},
            {"bus": 4, "p_mw": 0.1, "q_mvar": 0.0, "scaling": 1.0, "in_service": True},
            {"bus": 4, "p_mw": 9.0, "q_mvar": 0.0, "scaling": 1.0, "in_service": False},
            {"bus": 3, "p_mw": 0.7, "q_mvar": 0.0, "scaling": 1.0, "in_service": True},
        ],
    } | changed
    whole = {name: frame(rows) for name, rows in tables.items()} | {"f_hz": 60.0, "std_types": {}}
    return json.dumps({"_module": "pandapower.auxiliary", "_class": "pandapowerNet", "_object": whole})


def test_pandapower_network_by_hand(written) -> None:
    """Scaling, parallel cables, closed and open switches, iron losses, and what nothing feeds."""
    converted = written(network(), "net.json")
    assert (converted.folder / "buses.csv").read_text() == (
        "bus,rated_kv,load_kw,load_kvar\ngrid,20,200,100e-3\nfar,20,1.2,1.6\nlv,0.4,300,60\n"
    ).replace("100e-3", "50")
    charging_us = 2.0 * np.pi * 60.0 * 250e-9 * 6.0 * 1e6
    assert (converted.folder / "lines.csv").read_text() == (
        f"line,from_bus,to_bus,r_ohm,x_ohm,b_us,ampacity_a\nA,grid,far,0.45,0.3,{charging_us:.12g},320\n"
    )
    assert (converted.folder / "transformers.csv").read_text() == (
        "transformer,from_bus,to_bus,rating_kva,short_circuit_percent,copper_loss_kw\nT,far,lv,400,3,3\n"
    )  # two of 400 kVA, 6 % and 6 kW each, of which half may be used
    for remark in (
        "# 1 bus is one with another through closed switches: bar",
        "# 1 line out of service or open left out: line 1 'B'",
        "# line 1 'B' is open at one end: its charging of 226 kvar is left out",
        "# iron losses and magnetising are loads at the upper bus, whatever its voltage: trafo 0 'T'",
        "# 1 bus that nothing feeds, with 700 kW of load, left out: dark",
        "# the case has no band of voltages; 0.9 to 1.1 is a start",
    ):
        assert remark in converted.text.splitlines(), converted.text


def test_a_line_and_a_transformer_of_one_name_get_their_indices(written) -> None:
    """A pandapower network tells them apart by table, a feeder by name."""
    converted = written(network().replace('\\"T\\"', '\\"A\\"'), "net.json")
    assert tables_of(converted)[0].branch_names == ("line 0", "trafo 0")


def test_pandapower_network_has_the_voltages_that_pandapower_finds(tmp_path: Path) -> None:
    """The network as pandapower itself writes it, through 25 random states that pandapower solved."""
    feeder, table = tables_of(convert(GOLDEN / "mv_lv.json", tmp_path / "out"))
    states = pd.read_csv(GOLDEN / "states.csv", dtype={"bus": str})
    states = states[states["feeder"] == "mv_lv"]
    shape = (-1, feeder.n_buses)
    assert tuple(states["bus"][: feeder.n_buses]) == feeder.bus_names
    found = ac_power_flow(
        feeder,
        states["demand_kw"].to_numpy().reshape(shape),
        states["demand_kvar"].to_numpy().reshape(shape),
        source_pu=table["source_pu"],
    )
    assert np.abs(found.voltage_pu - states["voltage_pu"].to_numpy().reshape(shape)).max() < 1e-9


def test_what_a_network_has_beyond_the_model(written) -> None:
    """Elements, taps, leaks and loads that the model cannot hold, each kind in one message."""
    parts = json.loads(network())["_object"]

    def changed(name: str, **cells: Any) -> list[dict[str, Any]]:
        table = json.loads(parts[name]["_object"])
        return [dict(zip(table["columns"], row, strict=True)) | cells for row in table["data"]]

    text = network(
        sgen=[{"name": "roof", "bus": 4, "p_mw": 0.1, "in_service": s} for s in (True, False)],
        controller=[{"object": {}, "in_service": True}],
        trafo=changed("trafo", tap_pos=-2),
        line=changed("line", g_us_per_km=1.0),
        load=changed("load", const_z_p_percent=40.0)[:2],
        switch=changed("switch", z_ohm=0.1),
        measurement=[{"name": "m", "value": 1.0}],
    )
    assert faults_of(written, text, "net.json") == [
        "net.json: cannot be held: switches with an impedance (taken for closed): switch 0",
        "net.json: cannot be held: elements of kind sgen: sgen 0 'roof'",
        "net.json: cannot be held: loads that depend on voltage (taken for constant power): load 0, load 1",
        "net.json: cannot be held: lines that leak (g_us_per_km): line 0 'A'",
        "net.json: cannot be held: transformers off their rated ratio: trafo 0 'T' (0.95)",
        "net.json: --leave-out converts it without what cannot be held",
    ]
    assert "# 1 controller not read" in written(text, "net.json", leave_out=True).text.splitlines()
    shifted = network(trafo=changed("trafo", tap_pos=-2, tap_changer_type="Ideal"))
    assert written(shifted, "net.json").text, "angles change nothing on a radial feeder"


def test_every_fault_of_a_network_is_told(written) -> None:
    """Buses that are not there, cells that are no numbers, sources, loops and files that are no networks."""
    parts = json.loads(network())["_object"]
    lines = json.loads(parts["line"]["_object"])
    rows = [dict(zip(lines["columns"], row, strict=True)) for row in lines["data"]]
    told = faults_of(
        written,
        network(
            line=[rows[0] | {"length_km": "3"}, rows[0] | {"to_bus": 4}, rows[0] | {"to_bus": 8}],
            load=[{"bus": 77, "p_mw": 1.0}],
            ext_grid=[{"bus": bus, "in_service": True} for bus in (0, 1)],
            switch=[{"bus": 0, "element": 4, "et": "b", "closed": True}],
        ),
        "net.json",
    )
    assert told == [
        "net.json switch 0: joins buses of two voltages",
        "net.json load 0: bus 77 is not there",
        "net.json line 0 'A': length_km '3' is not a number",
        "net.json line 1 'A': joins two voltages; between them stands a transformer",
        "net.json line 2 'A': bus 8 is not there",
        "net.json: has 2 external grids in service: ext_grid 0, ext_grid 1; a feeder has one source",
    ]
    for text, expected in (
        ("{", "is no JSON"),
        ("[1]", "is no network of pandapower"),
        ('{"_class": "pandapowerNet", "_object": "secret"}', "without a key"),
        ('{"_class": "pandapowerNet", "_object": {}}', "has no bus and no ext_grid"),
        (
            network().replace('\\"index\\": [0, 1, 2, 3, 4]', '\\"index\\": [0, 1, 2, 3, 4.5]'),
            "bus: is no table of",
        ),
        (network(ext_grid=[{"bus": 9, "vm_pu": 1.0}]), "ext_grid 0: bus 9 is not there"),
    ):
        assert any(expected in fault for fault in faults_of(written, text, "net.json")), expected


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed is TOML; mistakes leave no folder."""
    monkeypatch.chdir(tmp_path)
    Path("small.m").write_text(SMALL)
    done = CliRunner().invoke(app, ["feeder", "small.m", "--out", "small"])
    assert done.exit_code == 0, done.output
    assert tomllib.loads(done.output)["feeder"]["transformers"] == "small/transformers.csv"
    assert sorted(path.name for path in Path("small").iterdir()) == [
        "buses.csv",
        "lines.csv",
        "transformers.csv",
    ]
    with pytest.raises(RunFolderError, match="exists"):
        convert(Path("small.m"), Path("small"))
    for arguments, expected in (
        (["none.m", "--out", "x"], "none.m: cannot be read"),
        (["small.mat", "--out", "x"], "ends neither in .m"),
        (["small.m", "--out", "x", "--transformer-kva", "-1"], "is not a number above 0"),
    ):
        told = CliRunner().invoke(app, ["feeder", *arguments])
        assert isinstance(told.exception, ScenarioError)
        assert expected in str(told.exception)
    Path("loop.m").write_text(SMALL.replace("0 0 0 0 0 0 0 -360", "0 0 0 0 0 0 1 -360"))
    assert CliRunner().invoke(app, ["feeder", "loop.m", "--out", "x"]).exit_code != 0
    assert sorted(path.name for path in Path().iterdir()) == ["loop.m", "small", "small.m"]
