"""MATPOWER cases (version 2): what their statements say, in this project's units.

Impedances are per unit of ``baseMVA`` and the base voltage, powers in MW and MVAr. Cases of distribution networks
often have ohm and kW in their tables and statements below that convert them: those are carried out, in their order and
as they stand, and a statement that is not understood refuses the case.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from experiments.feeder_cases.case import (
    CaseBus,
    CaseLine,
    CaseTransformer,
    FeederCase,
    Findings,
    counted,
    named,
    transformer_values,
)
from experiments.feeder_cases.matlab import (
    NotUnderstoodError,
    Statement,
    Value,
    evaluate,
    number,
    statements,
)
from sim.arrays import FloatArray

# outputs of idx_bus, idx_gen and idx_brch in their order: names of columns, counted from 1
_INDEX: Final = {
    "bus": (1, 2, 3, 4, *range(1, 18)),  # first the four types of buses
    "gen": (*range(1, 11), 22, 23, 24, 25, *range(11, 22)),
    "brch": (*range(1, 12), 14, 15, 16, 17, 18, 19, 12, 13, 20, 21),
}
_NAMES: Final = {
    "bus": "PQ PV REF NONE BUS_I BUS_TYPE PD QD GS BS BUS_AREA VM VA BASE_KV ZONE VMAX VMIN",
    "gen": "GEN_BUS PG QG QMAX QMIN VG MBASE GEN_STATUS PMAX PMIN",
    "brch": "F_BUS T_BUS BR_R BR_X BR_B RATE_A RATE_B RATE_C TAP SHIFT BR_STATUS",
}
_COLUMNS: Final = {"bus": 13, "gen": 8, "branch": 11}  # as many as are read
_UNREAD: Final = ("gencost", "bus_name", "gen_name", "branch_name", "gentype", "genfuel", "areas")
_BUS_TYPES: Final = (1.0, 2.0, 3.0, 4.0)
_REFERENCE, _ISOLATED = 3.0, 4.0
_RATIO_TOLERANCE: Final = 1e-6  # ratios are written with few digits
_SHOWN: Final = 90  # characters of a statement in a message


@dataclass(frozen=True, slots=True)
class _Table:
    """A matrix of a case; NaN where a cell is no number."""

    lines: tuple[int, ...]  # of the file, by row
    values: FloatArray  # (rows, columns)


class _Program:
    """A case while its statements are carried out, one after the other."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.tables: dict[str, _Table] = {}
        self.base_mva = math.nan
        self._names: dict[str, Value] = {}

    def carry_out(self, statement: Statement) -> None:
        """Carry out one statement, or tell that it is not understood."""
        text = statement.text
        try:
            if match := re.fullmatch(r"mpc\.(\w+) ?= ?(.*)", text):
                self._set_field(statement, match[1], match[2])
            elif match := re.fullmatch(r"\[([\w, ]+)\] ?= ?idx_(bus|gen|brch)(?: ?\( ?\))?", text):
                names = re.findall(r"\w+", match[1])
                self._names.update(zip(names, map(float, _INDEX[match[2]]), strict=False))
            elif text == "define_constants":
                for kind, known in _NAMES.items():
                    self._names.update(zip(known.split(), map(float, _INDEX[kind]), strict=False))
            elif match := re.fullmatch(
                r"mpc\.(bus|gen|branch) ?\( ?: ?, ?(\[[\w, ]+\]|\w+) ?\) ?= ?(.+)", text
            ):
                self._set_columns(match[1], match[2], match[3])
            elif match := re.fullmatch(r"([A-Za-z]\w*) ?= ?([^=].*)", text):
                self._names[match[1]] = self._number(match[2])
            elif not re.fullmatch(r"function mpc ?= ?\w+(?: ?\( ?\))?|end|endfunction", text):
                raise NotUnderstoodError
        except NotUnderstoodError:
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
            self.findings.fault(
                f"line {statement.line}", f"not understood, and could change what the tables mean: {shown}"
            )

    def _set_field(self, statement: Statement, field: str, text: str) -> None:
        if field == "version":
            if text.strip("'\"") != "2":
                self.findings.fault(f"line {statement.line}", f"version {text}; only version '2' is read")
        elif field == "baseMVA":
            self.base_mva = self._number(text)
        elif field in _COLUMNS and text.startswith("["):
            self.tables[field] = self._matrix(statement, field)
        elif field in _COLUMNS:
            raise NotUnderstoodError
        elif field not in _UNREAD and not re.fullmatch(r"\[ ?\]|\{ ?\}", text):
            self.findings.beyond_model("further tables", f"line {statement.line} (mpc.{field})")

    def _matrix(self, statement: Statement, field: str) -> _Table:
        rows, lines = [], []
        width, needed = 0, _COLUMNS[field]
        for line, cells in statement.rows():
            width = width or len(cells)
            if len(cells) != width or width < needed:
                wanted = f"the {width} of its first row" if len(cells) != width else f"{needed} or more"
                self.findings.fault(f"line {line}", f"mpc.{field}: {len(cells)} columns, not {wanted}")
            numbers = [number(cell) for cell in cells]
            for cell, value in zip(cells, numbers, strict=True):
                if value is None or math.isnan(value):
                    self.findings.fault(f"line {line}", f"mpc.{field}: {cell!r} is not a number")
            kept = [math.nan if value is None else value for value in numbers]
            rows.append([*kept, *[math.nan] * max(width, needed)][: max(width, needed)])
            lines.append(line)
        return _Table(tuple(lines), np.array(rows, dtype=np.float64).reshape(len(rows), max(width, needed)))

    def _set_columns(self, field: str, columns: str, text: str) -> None:
        at = self._column_numbers(field, columns)
        value = self._evaluated(text)
        if isinstance(value, np.ndarray) and value.shape != (len(self.tables[field].values), len(at)):
            raise NotUnderstoodError
        self.tables[field].values[:, at] = value

    def _number(self, text: str) -> float:
        value = self._evaluated(text)
        if not isinstance(value, float):
            raise NotUnderstoodError
        return value

    def _evaluated(self, text: str) -> Value:
        """Value of an expression, in which whole columns and single cells of tables may stand."""
        names = dict(self._names) | {"baseMVA_": self.base_mva}

        def column(match: re.Match[str]) -> str:
            name = f"columns_{len(names)}"
            names[name] = self.tables[match[1]].values[:, self._column_numbers(match[1], match[2])]
            return name

        def cell(match: re.Match[str]) -> str:
            name, values = f"cell_{len(names)}", self._values(match[1])
            (at,) = self._column_numbers(match[1], match[3])
            row = int(match[2]) - 1
            if not 0 <= row < len(values):
                raise NotUnderstoodError
            names[name] = float(values[row, at])
            return name

        text = re.sub(r"mpc\.(bus|gen|branch) ?\( ?: ?, ?(\[[\w, ]+\]|\w+) ?\)", column, text)
        text = re.sub(r"mpc\.(bus|gen|branch) ?\( ?(\d+) ?, ?(\w+) ?\)", cell, text)
        return evaluate(re.sub(r"mpc\.baseMVA\b", "baseMVA_", text), names)

    def _values(self, field: str) -> FloatArray:
        if field not in self.tables:
            raise NotUnderstoodError
        return self.tables[field].values

    def _column_numbers(self, field: str, text: str) -> list[int]:
        """Columns, from 0, that a name, a number or a list of them in brackets means."""
        n_columns = self._values(field).shape[1]
        numbers = [evaluate(name, self._names) for name in re.findall(r"\w+", text)]
        if not all(isinstance(n, float) and n.is_integer() and 1 <= n <= n_columns for n in numbers):
            raise NotUnderstoodError
        return [int(n) - 1 for n in numbers if isinstance(n, float)]


def read_matpower(text: str, findings: Findings, transformer_kva: float | None = None) -> FeederCase | None:
    """Read a MATPOWER case.

    Parameters
    ----------
    text
        Contents of its file.
    findings
        Gets every fault, what was left out, and what the model cannot hold.
    transformer_kva
        Rating of transformers that have none in the case.

    Returns
    -------
    FeederCase or None
        None where so little could be read that nothing can be said about the whole.
    """
    program = _Program(findings)
    for statement in statements(text, findings):
        program.carry_out(statement)
    missing = [f"mpc.{field}" for field in _COLUMNS if field not in program.tables]
    if math.isnan(program.base_mva):
        missing.insert(0, "mpc.baseMVA")
    if missing:
        findings.fault(
            "",
            f"{', '.join(missing)} is missing" if len(missing) == 1 else f"{', '.join(missing)} are missing",
        )
        return None
    if program.base_mva <= 0.0:
        findings.fault("", f"mpc.baseMVA of {program.base_mva:g} is not above 0")
        return None
    return _Network(program, transformer_kva).case()


class _Network:
    """The tables of a case, as buses and branches."""

    def __init__(self, program: _Program, transformer_kva: float | None) -> None:
        self.findings = program.findings
        self.base_mva = program.base_mva
        self.transformer_kva = transformer_kva
        self.tables = program.tables
        self.kv_of: dict[str, float] = {}

    def case(self) -> FeederCase | None:
        buses, sources = self._buses()
        source_pu = self._source_pu(sources)
        lines, transformers = self._branches()
        if len(sources) != 1:
            what = "no reference bus (type 3)" if not sources else f"reference buses {named(sources)}"
            self.findings.fault("", f"has {what}; a feeder has one source")
            return None
        return FeederCase(
            buses=buses,
            lines=lines,
            transformers=transformers,
            source_bus=sources[0],
            source_pu=source_pu,
            band_pu=self._band(sources[0]),
        )

    def _rows(self, field: str) -> list[tuple[str, list[float]]]:
        table = self.tables[field]
        return [
            (f"line {line}", [float(v) for v in row])
            for line, row in zip(table.lines, table.values, strict=True)
        ]

    def _buses(self) -> tuple[list[CaseBus], list[str]]:
        """Buses in service, and names of those that are references."""
        buses, sources, isolated = [], [], []
        first: dict[str, str] = {}
        for place, row in self._rows("bus"):
            name = _bus_name(row[0])
            if not row[0].is_integer():
                if not math.isnan(row[0]):
                    self.findings.fault(place, f"number of a bus, {row[0]:g}, is not a whole one")
                continue
            if first.setdefault(name, place) != place:
                self.findings.fault(place, f"bus {name} is there twice, first in {first[name]}")
                continue
            if row[1] not in _BUS_TYPES and not math.isnan(row[1]):
                self.findings.fault(place, f"bus {name}: type {row[1]:g} is none of 1, 2, 3, 4")
            if row[1] == _ISOLATED:
                isolated.append(f"{place} bus {name}")
                continue
            self._finite(place, f"bus {name}", {"Pd": row[2], "Qd": row[3], "baseKV": row[9]})
            if row[4] or row[5]:
                self.findings.beyond_model("shunts (Gs, Bs)", f"{place} bus {name}")
            if row[1] == _REFERENCE:
                sources.append(name)
            self.kv_of[name] = row[9]
            buses.append(
                CaseBus(
                    place=f"{place} bus {name}",
                    name=name,
                    rated_kv=row[9],
                    load_kw=row[2] * 1e3,
                    load_kvar=row[3] * 1e3,
                )
            )
        if isolated:
            self.findings.notes.append(
                f"{counted(len(isolated), 'isolated bus', 'isolated buses')} left out: {named(isolated)}"
            )
        return buses, sources

    def _source_pu(self, sources: list[str]) -> float:
        """Voltage that the generator of the reference bus holds; all other ones are beyond the model."""
        held: dict[float, str] = {}
        off = []
        for place, row in self._rows("gen"):
            bus, status = _bus_name(row[0]), row[7]
            if bus not in self.kv_of:
                if status > 0.0:
                    self.findings.fault(place, f"generator at bus {bus}, which is not there")
            elif not status > 0.0:
                off.append(f"{place} bus {bus}")
            elif bus in sources:
                self._finite(place, f"generator at bus {bus}", {"Vg": row[5]})
                held[row[5]] = place
            else:
                self.findings.beyond_model(
                    "generators away from the source (regions have pv, wind and batteries)",
                    f"{place} bus {bus}",
                )
        if off:
            self.findings.notes.append(
                f"{counted(len(off), 'generator', 'generators')} out of service left out: {named(off)}"
            )
        if len(held) != 1 and sources:
            what = "no generator" if not held else f"generators of {len(held)} different voltages"
            self.findings.fault("", f"{what} in service at the reference bus: its voltage is unknown")
        return next(iter(held)) if held else math.nan

    def _branches(self) -> tuple[list[CaseLine], list[CaseTransformer]]:
        lines, transformers, off = [], [], []
        names: Counter[str] = Counter()
        for place, row in self._rows("branch"):
            ends = _bus_name(row[0]), _bus_name(row[1])
            where = f"{place} branch {ends[0]}-{ends[1]}"
            if not row[10] > 0.0:
                off.append(where)
                continue
            unknown = [end for end in ends if end not in self.kv_of]
            for end in unknown:
                self.findings.fault(place, f"branch {ends[0]}-{ends[1]}: bus {end} is not there, or isolated")
            if ends[0] == ends[1]:
                self.findings.fault(place, f"branch {ends[0]}-{ends[1]}: both ends are one bus")
            self._finite(place, f"branch {ends[0]}-{ends[1]}", dict(zip("rxb", row[2:5], strict=True)))
            if row[5] < 0.0 or math.isnan(row[5]):
                self.findings.fault(place, f"branch {ends[0]}-{ends[1]}: rateA is not a number of at least 0")
            if unknown or ends[0] == ends[1]:
                continue
            names[f"{ends[0]}-{ends[1]}"] += 1
            again = names[f"{ends[0]}-{ends[1]}"]
            name = f"{ends[0]}-{ends[1]}" + (f" #{again}" if again > 1 else "")
            if row[8] and abs(row[8] - 1.0) > _RATIO_TOLERANCE:
                self.findings.beyond_model("transformers off their rated ratio", f"{where} ({row[8]:g})")
            if self.kv_of[ends[0]] == self.kv_of[ends[1]]:
                lines.append(self._line(place, name, ends, row))
            else:
                transformers.append(self._transformer(place, name, ends, row))
        if off:
            self.findings.notes.append(
                f"{counted(len(off), 'branch', 'branches')} out of service left out: {named(off)}"
            )
        return lines, transformers

    def _line(self, place: str, name: str, ends: tuple[str, str], row: list[float]) -> CaseLine:
        kv = self.kv_of[ends[0]] if self.kv_of[ends[0]] > 0.0 else math.nan  # told where it was read
        base_ohm = kv**2 / self.base_mva
        rate_mva = row[5]
        return CaseLine(
            place=f"{place} branch {name}",
            name=name,
            ends=ends,
            r_ohm=row[2] * base_ohm,
            x_ohm=row[3] * base_ohm,
            b_us=row[4] / base_ohm * 1e6,
            ampacity_a=rate_mva * 1e3 / (math.sqrt(3.0) * kv) if 0.0 < rate_mva < math.inf else None,
        )

    def _transformer(self, place: str, name: str, ends: tuple[str, str], row: list[float]) -> CaseTransformer:
        where = f"{place} branch {name}"
        if row[4]:
            self.findings.beyond_model("charging of transformers", where)
        rating_kva = row[5] * 1e3 if 0.0 < row[5] < math.inf else self.transformer_kva
        if rating_kva is None:
            self.findings.alike("transformers without a rating (rateA); give one by --transformer-kva", where)
            rating_kva = math.nan
        if row[2] < 0.0 or row[3] < 0.0:
            self.findings.alike("resistance or reactance of a transformer is below 0", where)
        own = rating_kva / (self.base_mva * 1e3)  # from per unit of the case to per unit of its rating
        percent, loss = transformer_values(row[2] * own, row[3] * own)
        return CaseTransformer(
            place=where,
            name=name,
            ends=ends,
            rating_kva=rating_kva,
            short_circuit_percent=percent,
            copper_loss_kw=loss * rating_kva,
        )

    def _band(self, source: str) -> tuple[float, float] | None:
        """Narrowest band of all buses but the source, whose own is often its voltage alone."""
        rows = [row for _, row in self._rows("bus") if row[1] != _ISOLATED and _bus_name(row[0]) != source]
        for row in rows:
            self.findings.band(_bus_name(row[0]), row[12], row[11])
        low, high = max((row[12] for row in rows), default=0.0), min((row[11] for row in rows), default=0.0)
        return (low, high) if 0.0 < low < high < math.inf else None

    def _finite(self, place: str, what: str, cells: dict[str, Any]) -> None:
        for name, value in cells.items():
            if math.isinf(value):  # NaN was told where it was read
                self.findings.fault(place, f"{what}: {name} is not a finite number")


def _bus_name(value: float) -> str:
    """Name of a bus: its number.

    >>> _bus_name(12.0)
    '12'
    """
    return f"{value:.0f}"
