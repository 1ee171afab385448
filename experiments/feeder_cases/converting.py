"""A case from elsewhere as tables of a feeder, and the ``[feeder]`` of a scenario that names them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import tomli_w

from experiments.feeder_cases.case import (
    FeederCase,
    Findings,
    check_tree,
    check_values,
    counted,
    without_what_feeds_in,
)
from experiments.feeder_cases.matpower import read_matpower
from experiments.feeder_cases.pandapower_json import read_pandapower
from experiments.run_folder import check_free, whole_folder
from sim.errors import ScenarioError
from sim.feeder.ac import ac_power_flow
from sim.feeder.model import Feeder
from sim.feeder.reading import (
    BUS_COLUMNS,
    BUS_OPTIONAL,
    LINE_COLUMNS,
    LINE_OPTIONAL,
    TRANSFORMER_COLUMNS,
    FeederFiles,
    read_feeder,
)

_BAND_PU: Final = (0.9, 1.1)  # where a case has none
_DIGITS: Final = 12  # enough for voltages to 1e-10, and few enough that 0.0922 stays 0.0922


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written, and what a person pastes into a scenario."""

    folder: Path
    text: str  # TOML, remarks as comments


def convert(
    path: Path, out: Path, *, leave_out: bool = False, transformer_kva: float | None = None
) -> Converted:
    """Write ``buses.csv``, ``lines.csv`` and, where there are transformers, ``transformers.csv`` of a case.

    Parameters
    ----------
    path
        A MATPOWER case (``.m``) or a pandapower network (``.json``).
    out
        Folder to make.
    leave_out
        Convert a case without what the model cannot hold, instead of refusing it.
    transformer_kva
        Rating of transformers that have none in a MATPOWER case.

    Raises
    ------
    ScenarioError
        With every fault, one line each, and everything that the model cannot hold.
    RunFolderError
        When the folder exists or cannot be made.
    """
    check_free(out)
    findings = Findings(path.name)
    case = _read(path, findings, transformer_kva)
    if case is not None:
        check_values(case, findings)
        check_tree(case, findings)
        case = without_what_feeds_in(case, findings)
    findings.settle(leave_out=leave_out)
    assert case is not None, "a case of which nothing is known has a fault"
    with whole_folder(out) as partial:
        names = _write(case, partial)
        feeder = read_feeder(
            FeederFiles(
                buses=partial / "buses.csv",
                lines=partial / "lines.csv",
                transformers=partial / "transformers.csv" if "transformers" in names else None,
            ),
            case.source_bus,
        )
    return Converted(out, "\n".join([*_remarks(path, case, feeder, findings), _toml(case, out, names)]))


def _read(path: Path, findings: Findings, transformer_kva: float | None) -> FeederCase | None:
    if path.suffix.lower() not in (".m", ".json"):
        raise ScenarioError([f"{path}: ends neither in .m (MATPOWER) nor in .json (pandapower)"])
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ScenarioError([f"{path}: cannot be read: {error.strerror}"]) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")  # older cases have names of authors in it; what counts is ASCII
    if path.suffix.lower() == ".m":
        return read_matpower(text, findings, transformer_kva)
    return read_pandapower(text, findings)


def _write(case: FeederCase, folder: Path) -> list[str]:
    """Write the tables; names of those written."""
    tables: dict[str, tuple[Sequence[str], list[tuple[str | float | None, ...]]]] = {
        "buses": (
            (*BUS_COLUMNS, *BUS_OPTIONAL[:2]),
            [(bus.name, bus.rated_kv, bus.load_kw, bus.load_kvar) for bus in case.buses],
        ),
        "lines": (
            (*LINE_COLUMNS, *LINE_OPTIONAL[:2]),
            [
                (line.name, *line.ends, line.r_ohm, line.x_ohm, line.b_us, line.ampacity_a)
                for line in case.lines
            ],
        ),
        "transformers": (
            TRANSFORMER_COLUMNS,
            [
                (one.name, *one.ends, one.rating_kva, one.short_circuit_percent, one.copper_loss_kw)
                for one in case.transformers
            ],
        ),
    }
    written = []
    for name, (columns, rows) in tables.items():
        if rows or name != "transformers":
            _frame(columns, rows).to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
            written.append(name)
    return written


def _frame(columns: Sequence[str], rows: Iterable[Sequence[str | float | None]]) -> pd.DataFrame:
    return pd.DataFrame(
        [[_cell(value) for value in row] for row in rows], columns=list(columns), dtype=object
    )


def _cell(value: str | float | None) -> str:
    """Text of a cell.

    >>> _cell(0.1 + 0.2), _cell(None), _cell("bus 1")
    ('0.3', '', 'bus 1')
    """
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value + 0.0:.{_DIGITS}g}"


def _remarks(path: Path, case: FeederCase, feeder: Feeder, findings: Findings) -> list[str]:
    """What there is to know, as comments: sizes, what was left out, the state by which to compare."""
    sizes = [
        counted(len(case.buses), "bus", "buses"),
        counted(len(case.lines), "line", "lines"),
        counted(len(case.transformers), "transformer", "transformers"),
    ]
    loads = f"loads of {feeder.load_kw.sum():,.10g} kW and {feeder.load_kvar.sum():,.10g} kvar"
    state = ac_power_flow(
        feeder, feeder.load_kw[np.newaxis], feeder.load_kvar[np.newaxis], source_pu=case.source_pu
    )
    if state.converged[0]:
        lowest = int(state.voltage_pu[0].argmin())
        flow = (
            f"with these loads the lowest voltage is {state.voltage_pu[0, lowest]:.4f} p.u., "
            f"at bus {feeder.bus_names[lowest]}; {state.loss_kw.sum():.1f} kW are lost"
        )
    else:
        flow = "with these loads no power flow exists"
    remarks = [f"{path.name}: {', '.join(sizes)}; {loads}", flow, *findings.notes]
    low, high = case.band_pu or _BAND_PU
    if case.band_pu is None:
        remarks.append(f"the case has no band of voltages; {low:g} to {high:g} is a start")
    if not low <= case.source_pu <= high:
        remarks.append(
            f"source_pu {case.source_pu:g} is outside the band, which a scenario refuses: change one"
        )
    if bare := sum(line.ampacity_a is None for line in case.lines):
        without = counted(bare, "line has", "lines have")
        remarks.append(f"{without} no ampacity; line_ampacity_a gives them one")
    return [f"# {' '.join(remark.split())}" for remark in remarks]


def _toml(case: FeederCase, out: Path, names: Sequence[str]) -> str:
    """The scenario's table; its paths are relative to the scenario's file."""
    low, high = case.band_pu or _BAND_PU
    table: dict[str, str | float] = {name: (out / f"{name}.csv").as_posix() for name in names}
    table |= {
        "source_bus": case.source_bus,
        "source_pu": case.source_pu,
        "voltage_min_pu": low,
        "voltage_max_pu": high,
    }
    return tomli_w.dumps({"feeder": table}).rstrip("\n")
