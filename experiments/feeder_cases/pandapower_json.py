"""Networks of pandapower as ``pp.to_json`` writes them, read without pandapower (which wants an older pandas).

Read as ``pp.runpp`` would solve them: with scaling, parallel lines and switches, without buses that nothing feeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import networkx as nx

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
from sim.feeder.model import orient

_READ: Final = ("bus", "line", "trafo", "switch", "load", "ext_grid")
_RATIO_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of a table; cells that are no numbers are told."""

    table: str
    index: int
    cells: Mapping[str, Any]
    findings: Findings

    @property
    def place(self) -> str:
        label = self.cells.get("name")
        return f"{self.table} {self.index}" + (f" {label!r}" if isinstance(label, str) and label else "")

    def number(self, name: str, empty: float | None = None) -> float:
        """Value of a cell; ``empty`` where there is none; NaN, and a fault, where it is no number."""
        value = self.cells.get(name)
        if value is None and empty is not None:
            return empty
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        told = f"{name} is missing" if value is None else f"{name} {value!r} is not a number"
        self.findings.fault(self.place, told)
        return math.nan

    def bus(self, name: str) -> int | None:
        """Index of a bus that a cell names; none, and a fault, where it names nothing."""
        value = self.number(name)
        return None if math.isnan(value) else int(value)

    @property
    def serves(self) -> bool:
        return bool(self.cells.get("in_service", True))


def read_pandapower(text: str, findings: Findings) -> FeederCase | None:
    """Read a pandapower network.

    Parameters
    ----------
    text
        Contents of its file.
    findings
        Gets every fault, what was left out, and what the model cannot hold.

    Returns
    -------
    FeederCase or None
        None where so little could be read that nothing can be said about the whole.
    """
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        findings.fault("", f"is no JSON: {error}")
        return None
    if not isinstance(whole, dict) or whole.get("_class") != "pandapowerNet":
        findings.fault("", "is no network of pandapower (no _class 'pandapowerNet'); write it by pp.to_json")
        return None
    parts = whole.get("_object")
    if not isinstance(parts, dict):
        findings.fault("", "has no tables that can be read; write it by pp.to_json, without a key")
        return None
    tables = {
        name: list(_rows(name, part, findings))
        for name, part in parts.items()
        if isinstance(part, dict) and part.get("_class") == "DataFrame" and not name.startswith("res_")
    }
    missing = [name for name in _READ[:1] + _READ[-1:] if not tables.get(name)]
    if missing:
        findings.fault("", f"has no {' and no '.join(missing)}")
        return None
    hz = parts.get("f_hz", 50.0)
    return _Network(tables, float(hz) if isinstance(hz, int | float) else 50.0, findings).case()


def _rows(name: str, part: Mapping[str, Any], findings: Findings) -> Iterator[_Row]:
    """Rows of a table that stands as text in orientation ``split``."""
    held = part.get("_object")
    try:
        table: Any = json.loads(held) if isinstance(held, str) else held
        columns, index, data = table["columns"], table["index"], table["data"]
        rows = [dict(zip(columns, cells, strict=True)) for cells in data]
        for number, cells in zip(index, rows, strict=True):
            if name in _READ and not isinstance(number, int):
                raise ValueError(f"index {number!r}")
            yield _Row(name, number, cells, findings)
    except (KeyError, TypeError, ValueError) as error:
        if name in _READ:
            findings.fault(name, f"is no table of columns, index and data ({error}); write it by pp.to_json")


class _Network:
    """Tables of a network, as buses and branches."""

    def __init__(self, tables: Mapping[str, Sequence[_Row]], hz: float, findings: Findings) -> None:
        self.tables = tables
        self.hz = hz
        self.findings = findings
        self.bus_rows = {row.index: row for row in self._in_service("bus")}
        self.names = _own_names(self.bus_rows, "")
        self.line_names, self.transformer_names = _branch_names(tables)
        self.fused: nx.utils.UnionFind[int] = nx.utils.UnionFind(sorted(self.bus_rows))
        self.opened: dict[str, dict[int, set[int]]] = {"l": {}, "t": {}}  # buses at which branches are open
        self._switches()
        self.load: dict[str, list[float]] = {}  # kW and kvar by bus

    def case(self) -> FeederCase | None:
        self._tell_beyond()
        self._loads()
        lines, transformers = self._lines(), self._transformers()
        source = self._source()
        if source is None:
            return None
        return self._fed(lines, transformers, *source)

    def _in_service(self, table: str) -> list[_Row]:
        return [row for row in self.tables.get(table, ()) if row.serves]

    def _bus(self, index: int) -> str:
        """Name of the bus that a bus is one with, through closed switches."""
        return self.names[self._root[index]]

    def _switches(self) -> None:
        for row in self.tables.get("switch", ()):
            kind, closed = row.cells.get("et"), bool(row.cells.get("closed"))
            one, other = row.bus("bus"), row.bus("element")
            if one is None or other is None:
                continue
            if kind in self.opened and not closed:
                self.opened[kind].setdefault(other, set()).add(one)
            elif kind == "b" and closed and one in self.bus_rows and other in self.bus_rows:
                if row.number("z_ohm", 0.0) > 0.0:
                    self.findings.beyond_model("switches with an impedance (taken for closed)", row.place)
                if self.bus_rows[one].cells.get("vn_kv") != self.bus_rows[other].cells.get("vn_kv"):
                    self.findings.fault(row.place, "joins buses of two voltages")
                self.fused.union(one, other)
        groups = [sorted(group) for group in self.fused.to_sets()]
        self._root = {index: group[0] for group in groups for index in group}
        joined = [self.names[index] for group in groups for index in group[1:]]
        if joined:
            one_with = counted(len(joined), "bus is", "buses are")
            self.findings.notes.append(
                f"{one_with} one with another through closed switches: {named(joined)}"
            )

    def _tell_beyond(self) -> None:
        for name in sorted(set(self.tables) - set(_READ)):
            rows = [row for row in self.tables[name] if "in_service" in row.cells and row.serves]
            if name == "controller" and rows:
                self.findings.notes.append(f"{counted(len(rows), 'controller', 'controllers')} not read")
                continue
            for row in rows:
                self.findings.beyond_model(f"elements of kind {name}", row.place)

    def _loads(self) -> None:
        for row in self._in_service("load"):
            bus, scaling = row.bus("bus"), row.number("scaling", 1.0)
            if bus is None or not self._is_there(row, bus):
                continue
            shares = [name for name in row.cells if name.startswith(("const_z", "const_i"))]
            if any(row.number(name, 0.0) for name in shares):
                self.findings.beyond_model(
                    "loads that depend on voltage (taken for constant power)", row.place
                )
            self._add(bus, row.number("p_mw") * scaling * 1e3, row.number("q_mvar", 0.0) * scaling * 1e3)

    def _add(self, bus: int, kw: float, kvar: float) -> None:
        total = self.load.setdefault(self._bus(bus), [0.0, 0.0])
        total[0] += kw
        total[1] += kvar

    def _is_there(self, row: _Row, bus: int) -> bool:
        """Whether a bus is in service; one that does not exist at all is a fault."""
        if bus not in self.bus_rows and not any(other.index == bus for other in self.tables["bus"]):
            self.findings.fault(row.place, f"bus {bus} is not there")
        return bus in self.bus_rows

    def _branches(self, table: str, switch: str, ends: tuple[str, str]) -> Iterator[tuple[_Row, int, int]]:
        """Branches in service, with both their buses and closed switches."""
        off = []
        for row in self.tables.get(table, ()):
            one, other = row.bus(ends[0]), row.bus(ends[1])
            if one is None or other is None:
                continue
            there = [self._is_there(row, bus) for bus in (one, other)]
            if not row.serves or row.index in self.opened[switch] or not all(there):
                off.append(row.place)
            elif self._root[one] == self._root[other]:
                self.findings.fault(row.place, "both ends are one bus")
            else:
                yield row, one, other
            if row.serves and table == "line":
                self._tell_dangling(row, [bus for bus in (one, other) if bus in self.bus_rows])
        if off:
            what = counted(len(off), table, f"{table}s")
            self.findings.notes.append(f"{what} out of service or open left out: {named(off)}")

    def _tell_dangling(self, row: _Row, buses: list[int]) -> None:
        """Tell the charging of a line that is open at one end, which pandapower counts."""
        opened = self.opened["l"].get(row.index, set())
        fed = [bus for bus in buses if bus not in opened]
        if not opened or len(fed) != 1:
            return
        nf = row.number("c_nf_per_km", 0.0) * row.number("length_km") * row.number("parallel", 1.0)
        kvar = 2.0 * math.pi * self.hz * nf * 1e-6 * self._kv(fed[0]) ** 2
        if kvar:
            self.findings.notes.append(
                f"{row.place} is open at one end: its charging of {kvar:.3g} kvar is left out"
            )

    def _lines(self) -> list[CaseLine]:
        lines = []
        for row, one, other in self._branches("line", "l", ("from_bus", "to_bus")):
            km, parallel = row.number("length_km"), row.number("parallel", 1.0)
            if row.number("g_us_per_km", 0.0):
                self.findings.beyond_model("lines that leak (g_us_per_km)", row.place)
            if self.bus_rows[one].cells.get("vn_kv") != self.bus_rows[other].cells.get("vn_kv"):
                self.findings.fault(row.place, "joins two voltages; between them stands a transformer")
            rating_ka = row.number("max_i_ka", math.inf) * row.number("df", 1.0) * parallel
            lines.append(
                CaseLine(
                    place=row.place,
                    name=self.line_names[row.index],
                    ends=(self._bus(one), self._bus(other)),
                    r_ohm=row.number("r_ohm_per_km") * km / parallel,
                    x_ohm=row.number("x_ohm_per_km") * km / parallel,
                    b_us=2.0 * math.pi * self.hz * row.number("c_nf_per_km", 0.0) * km * parallel * 1e-3,
                    ampacity_a=rating_ka * 1e3 if 0.0 < rating_ka < math.inf else None,
                )
            )
        return lines

    def _transformers(self) -> list[CaseTransformer]:
        transformers, with_iron = [], []
        for row, high, low in self._branches("trafo", "t", ("hv_bus", "lv_bus")):
            parallel = row.number("parallel", 1.0)
            own_kva = row.number("sn_mva") * 1e3 * parallel
            derating = row.number("df", 1.0)
            ratio = self._ratio(row, high, low)
            if abs(ratio - 1.0) > _RATIO_TOLERANCE:
                self.findings.beyond_model("transformers off their rated ratio", f"{row.place} ({ratio:.4g})")
            # its impedance is per unit of its own low voltage, which need not be that of the bus
            voltages = (row.number("vn_lv_kv") / self._kv(low)) ** 2
            r_pu = row.number("vkr_percent") / 100.0 * voltages * derating
            z_pu = row.number("vk_percent") / 100.0 * voltages * derating
            if r_pu > z_pu:
                self.findings.fault(row.place, "vkr_percent is above vk_percent")
            percent, loss = transformer_values(r_pu, math.sqrt(max(z_pu**2 - r_pu**2, 0.0)))
            transformers.append(
                CaseTransformer(
                    place=row.place,
                    name=self.transformer_names[row.index],
                    ends=(self._bus(high), self._bus(low)),
                    rating_kva=own_kva * derating,
                    short_circuit_percent=percent,
                    copper_loss_kw=loss * own_kva * derating,
                )
            )
            iron_kw = row.number("pfe_kw", 0.0) * parallel
            idle_kva = row.number("i0_percent", 0.0) / 100.0 * own_kva
            if iron_kw or idle_kva:
                self._add(high, iron_kw, math.sqrt(max(idle_kva**2 - iron_kw**2, 0.0)))
                with_iron.append(row.place)
        if with_iron:
            self.findings.notes.append(
                f"iron losses and magnetising are loads at the upper bus, whatever its voltage: {named(with_iron)}"
            )
        return transformers

    def _kv(self, bus: int) -> float:
        value = self.bus_rows[bus].cells.get("vn_kv")
        return (
            float(value) if isinstance(value, int | float) and value > 0 else math.nan
        )  # told with the buses

    def _ratio(self, row: _Row, high: int, low: int) -> float:
        """Ratio of a transformer's voltages, taps and all, to that of its buses."""
        ratio = row.number("vn_hv_kv") / row.number("vn_lv_kv") / (self._kv(high) / self._kv(low))
        for tap in ("tap", "tap2"):
            steps = row.number(f"{tap}_pos", 0.0) - row.number(f"{tap}_neutral", 0.0)
            if row.cells.get(f"{tap}_pos") is None or not steps:
                continue
            kind = row.cells.get(f"{tap}_changer_type", "Ratio")
            if row.cells.get("tap_dependency_table") or kind == "Tabular":
                return math.inf  # stands in a table that is not read
            if kind not in ("Ratio", "Symmetrical") or row.cells.get(f"{tap}_phase_shifter"):
                continue  # shifts angles, which change nothing on a radial feeder
            angle = math.radians(row.number(f"{tap}_step_degree", 0.0))
            step = steps * row.number(f"{tap}_step_percent", 0.0) / 100.0
            factor = math.hypot(1.0 + step * math.cos(angle), step * math.sin(angle))
            ratio = ratio * factor if row.cells.get(f"{tap}_side") == "hv" else ratio / factor
        return ratio

    def _source(self) -> tuple[str, float] | None:
        """Bus and voltage of the one external grid."""
        grids = self._in_service("ext_grid")
        if len(grids) != 1:
            places = f": {named([row.place for row in grids])}" if grids else ""
            self.findings.fault(
                "", f"has {len(grids)} external grids in service{places}; a feeder has one source"
            )
            return None
        bus, pu = grids[0].bus("bus"), grids[0].number("vm_pu", 1.0)
        if bus is None or bus not in self.bus_rows:
            self.findings.fault(grids[0].place, f"bus {bus} is not there, or out of service")
            return None
        return self._bus(bus), pu

    def _fed(
        self, lines: list[CaseLine], transformers: list[CaseTransformer], source: str, source_pu: float
    ) -> FeederCase:
        """The part that the source feeds: the rest is out of service, as in pandapower."""
        roots = [index for index in self.bus_rows if self._root[index] == index]
        names = [self.names[index] for index in roots]
        at = {name: number for number, name in enumerate(names)}
        joined = [one.ends for one in lines] + [one.ends for one in transformers]
        ends = [(at[one], at[other]) for one, other in joined]
        _, _, unreached = orient(len(names), ends, at[source])
        dark = {names[number] for number in unreached}
        if dark:
            kw = sum(self.load.get(name, [0.0])[0] for name in dark)
            nothing = counted(len(dark), "bus that nothing feeds", "buses that nothing feeds")
            self.findings.notes.append(f"{nothing}, with {kw:g} kW of load, left out: {named(sorted(dark))}")
        off = [row for row in self.tables["bus"] if not row.serves]
        if off:
            what = counted(len(off), "bus", "buses")
            self.findings.notes.append(f"{what} out of service left out: {named([row.place for row in off])}")
        buses = [
            CaseBus(
                place=self.bus_rows[index].place,
                name=name,
                rated_kv=self.bus_rows[index].number("vn_kv"),
                load_kw=self.load.get(name, [0.0, 0.0])[0],
                load_kvar=self.load.get(name, [0.0, 0.0])[1],
            )
            for index, name in zip(roots, names, strict=True)
            if name not in dark
        ]
        return FeederCase(
            buses=buses,
            lines=[line for line in lines if line.ends[0] not in dark],
            transformers=[transformer for transformer in transformers if transformer.ends[0] not in dark],
            source_bus=source,
            source_pu=source_pu,
            band_pu=self._band(source, dark),
        )

    def _band(self, source: str, dark: set[str]) -> tuple[float, float] | None:
        """Narrowest band of the buses but the source, where all tell one."""
        rows = [row for index, row in self.bus_rows.items() if self._bus(index) not in {source, *dark}]
        lows, highs = (
            [value for row in rows if isinstance(value := row.cells.get(name), int | float)]
            for name in ("min_vm_pu", "max_vm_pu")
        )
        if not rows or len(lows) < len(rows) or len(highs) < len(rows):
            return None
        names = [self._bus(index) for index in self.bus_rows if self._bus(index) not in {source, *dark}]
        for name, least, most in zip(names, lows, highs, strict=True):
            self.findings.band(name, float(least), float(most))
        low, high = float(max(lows)), float(min(highs))
        return (low, high) if 0.0 < low < high else None


def _branch_names(tables: Mapping[str, Sequence[_Row]]) -> tuple[dict[int, str], dict[int, str]]:
    """Names of lines and of transformers; a feeder tells both apart by one name."""
    lines, transformers = ({row.index: row for row in tables.get(name, ())} for name in ("line", "trafo"))
    names = _own_names(lines, "line "), _own_names(transformers, "trafo ")
    if set(names[0].values()).isdisjoint(names[1].values()):
        return names
    return {index: f"line {index}" for index in lines}, {index: f"trafo {index}" for index in transformers}


def _own_names(rows: Mapping[int, _Row], prefix: str) -> dict[int, str]:
    """Names of a table's rows where all have one of their own, else their indices behind a prefix."""
    given = {index: row.cells.get("name") for index, row in rows.items()}
    texts = {index: name.strip() for index, name in given.items() if isinstance(name, str) and name.strip()}
    if len(set(texts.values())) == len(given):
        return texts
    return {index: f"{prefix}{index}" for index in given}
