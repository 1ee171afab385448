"""Reading a radial feeder: tables of buses, lines and transformers, checked row by row and as a whole.

Columns of the buses: ``bus, rated_kv``; where there are loads ``load_kw, load_kvar``; where a map is to be drawn by
them ``x, y``, in any unit, of all buses or of none. Of the lines: ``line, from_bus, to_bus, r_ohm, x_ohm``; where known
``b_us`` (charging susceptance in microsiemens), ``ampacity_a`` (empty: no limit), ``in_service`` (``true`` or
``false``; empty: in service). Of the transformers: ``transformer, from_bus, to_bus, rating_kva,
short_circuit_percent, copper_loss_kw`` and ``in_service``; they stand at their rated ratio.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from sim.arrays import FloatArray
from sim.errors import ScenarioError
from sim.feeder.model import BASE_KVA, Feeder, orient
from sim.scenario_messages import did_you_mean
from sim.text_table import finite_number, read_text_table

BUS_COLUMNS: Final = ("bus", "rated_kv")
BUS_OPTIONAL: Final = ("load_kw", "load_kvar", "x", "y")
LINE_COLUMNS: Final = ("line", "from_bus", "to_bus", "r_ohm", "x_ohm")
LINE_OPTIONAL: Final = ("b_us", "ampacity_a", "in_service")
TRANSFORMER_COLUMNS: Final = (
    "transformer",
    "from_bus",
    "to_bus",
    "rating_kva",
    "short_circuit_percent",
    "copper_loss_kw",
)
TRANSFORMER_OPTIONAL: Final = ("in_service",)
NONE_BY_NAME: Final[Mapping[str, float]] = {}
_NAMED_AT_MOST: Final = 10  # buses that one message lists
_MOST_PU: Final = 1e3  # impedance of a line: beyond it a short circuit behind it takes less than a kVA
_LEAST_SHARE: Final = 3e-5
"""Impedance of a branch as a share of that between it and the source, at the least. AC power flow loses its digits in
the difference of two voltages that are nearly the same: in 400 random trees and chains of 5 and 33 buses at 0.4, 12.66,
20 and 110 kV it failed up to a share of 3.2e-6, whatever the voltage, and never above. No bound in ohm or per unit
tells the two apart: at 0.4 kV and 100 kW it failed up to 1.6e-7 ohm, at 110 kV and 1 MW up to 6.8e-4 ohm."""
_LEAST_PU: Final = 1e-8
"""Impedance of a branch at the least, also right behind the source: there power flow finds an answer down to 1e-25, but
what flows through the branch is wrong by 3e-5 kW at 1e-8 p.u., 3e-3 kW at 1e-10 and 40 kW at 1e-14 (measured)."""
_MOST_RISE: Final = 0.2
"""Voltage by which the charging of one line may raise its far end when nothing is drawn, in p.u. by the impedance
between it and the source: twice what distribution allows at all. A cable of 50 km at 110 kV behind 20 ohm comes to
0.05, one of 30 km at 20 kV behind 10 ohm to 0.02; from about 1 on no losses are found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederFiles:
    """Where the tables of a feeder are."""

    buses: Path
    lines: Path
    transformers: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bus:
    name: str
    rated_kv: float
    load_kw: float
    load_kvar: float
    xy: tuple[float, float]  # NaN where the table has none


@dataclass(frozen=True, slots=True, kw_only=True)
class _Branch:
    place: str  # file, row and name, for messages
    name: str
    ends: tuple[int, int]
    r_pu: float
    x_pu: float
    b_pu: float
    rating_kva: float
    is_transformer: bool


@dataclass(slots=True, kw_only=True)
class _Joint:
    """What a row in service joins, whatever else is wrong with it; NaN where a value is none."""

    place: str  # file, row and name, for messages
    ends: tuple[int, int]
    z_pu: float = np.nan
    b_pu: float = np.nan
    z_columns: str = ""  # where the impedance stands
    z_unit: tuple[float, str] = (np.nan, "")  # what 1 p.u. is there
    b_us_of_pu: float = np.nan  # what 1 p.u. of charging is in its column


@dataclass(slots=True, kw_only=True)
class _Found:
    """What is found in the tables: faults, and what is joined, also by rows with other faults."""

    faults: list[str] = field(default_factory=list)
    joints: list[_Joint] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)  # names of lines, with the first row of each
    is_whole: bool = True  # whether all tables were read, and all ends of their rows are known


def read_feeder(
    files: FeederFiles,
    source_bus: str,
    line_ampacity_a: float = np.inf,
    line_ampacities_a: Mapping[str, float] = NONE_BY_NAME,
) -> Feeder:
    """Read and check a feeder.

    Parameters
    ----------
    files
        Its tables.
    source_bus
        Name of the bus that feeds it.
    line_ampacity_a
        Of lines whose table gives none.
    line_ampacities_a
        Of single lines by name, instead of their table's.

    Raises
    ------
    ScenarioError
        When a table cannot be read, or with every fault: values that cannot be, names that are empty, unknown or
        there twice, lines between different voltages, loops, buses that nothing feeds, and impedances and charging
        with which no power flow is found.
    """
    found = _Found()
    buses = _buses(files.buses, found)
    index = {bus.name: number for number, bus in enumerate(buses)}
    branches = _lines(files.lines, buses, index, line_ampacity_a, line_ampacities_a, found)
    if files.transformers is not None:
        branches += _transformers(files.transformers, index, found)
    faults = found.faults
    if source_bus not in index and (index or not faults):
        faults.append(f"feeder.source_bus: no bus is called {source_bus!r}{did_you_mean(source_bus, index)}")
    if not buses:
        raise ScenarioError(faults)
    source_index = index.get(source_bus, 0)
    oriented, closing, unreached = orient(len(buses), [one.ends for one in found.joints], source_index)
    bare = [buses[bus].name for bus in unreached if index[buses[bus].name] == bus and buses[bus].name]
    if found.is_whole and source_bus in index and bare:
        faults.append(f"feeder: nothing in service leads from bus {source_bus} to {_named(bare)}")
    faults += [f"{found.joints[number].place}: closes a loop; a feeder is radial" for number in closing]
    if source_bus in index:
        faults += _electrical_faults(buses, found.joints, oriented, closing, source_index)
    if faults:
        raise ScenarioError(faults)
    return Feeder(
        bus_names=tuple(bus.name for bus in buses),
        load_kw=np.array([bus.load_kw for bus in buses]),
        load_kvar=np.array([bus.load_kvar for bus in buses]),
        xy=_coordinates(buses),
        source_index=source_index,
        branch_names=tuple(branch.name for branch in branches),
        parent_index=np.array([parent for parent, _ in oriented], dtype=np.int64),
        child_index=np.array([child for _, child in oriented], dtype=np.int64),
        r_pu=np.array([branch.r_pu for branch in branches]),
        x_pu=np.array([branch.x_pu for branch in branches]),
        b_pu=np.array([branch.b_pu for branch in branches]),
        rating_kva=np.array([branch.rating_kva for branch in branches]),
        is_transformer=np.array([branch.is_transformer for branch in branches], dtype=np.bool_),
    )


def _electrical_faults(
    buses: list[_Bus],
    joints: list[_Joint],
    oriented: list[tuple[int, int]],
    closing: list[int],
    source_index: int,
) -> Iterator[str]:
    """Tell branches that power flow cannot hold because of what lies between them and the source."""
    below: dict[int, list[int]] = {}
    for number, (parent, _) in enumerate(oriented):
        if number not in closing:
            below.setdefault(parent, []).append(number)
    told = {}
    reached = [(source_index, 0.0)]  # buses, with the impedance between them and the source
    for bus, path_pu in reached:
        for number in below.get(bus, ()):
            joint, child = joints[number], oriented[number][1]
            least_pu = max(_LEAST_SHARE * path_pu, _LEAST_PU)
            if joint.z_pu < least_pu:
                scale, unit = joint.z_unit
                told[number] = (
                    f"{joint.place}: {joint.z_columns} must be at least {least_pu * scale:.3g} {unit} this far from "
                    "the source, with less power flow cannot tell the voltages of its ends apart; merge buses "
                    f"{buses[bus].name!r} and {buses[child].name!r} into one"
                )
            elif joint.b_pu * (path_pu + joint.z_pu) > _MOST_RISE:
                most = _MOST_RISE / (path_pu + joint.z_pu) * joint.b_us_of_pu
                told[number] = (
                    f"{joint.place}: b_us must be at most {most:.3g} this far from the source, more would raise the "
                    f"voltage of bus {buses[child].name!r} by over {_MOST_RISE:.0%} when nothing is drawn"
                )
            reached.append((child, path_pu + joint.z_pu))
    for number in sorted(told):
        yield told[number]


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return f"{', '.join(names[:_NAMED_AT_MOST])}{more}"


class _Row:
    """One row of a table: its cells, and where faults of it are told."""

    def __init__(self, row: str, name: str, cells: dict[str, str], found: _Found) -> None:
        self.row = row  # file and number
        self.place = f"{row}: {name}"
        self._cells = cells
        self._found = found
        self.is_sound = True

    def fault(self, text: str) -> None:
        self._found.faults.append(f"{self.place}: {text}")
        self.is_sound = False

    def text(self, name: str) -> str:
        return self._cells.get(name, "").strip()

    def number(
        self, name: str, *, least: float = -np.inf, above: float = -np.inf, empty: float | None = None
    ) -> float:
        """Value of a cell; NaN, and a fault, where it is none that can be."""
        text = self.text(name)
        if not text and empty is not None:
            return empty
        value = finite_number(text)
        if value is None or value < least or value <= above:
            bounds = ((above, "above"), (least, "of at least"))
            wanted = [f" {words} {bound:g}" for bound, words in bounds if bound > -np.inf]
            self.fault(f"{name} {text!r} is not a number{''.join(wanted)}")
            return np.nan
        return value

    def joint(self, ends: tuple[int, int]) -> _Joint | None:
        """What it joins, noted whatever else is wrong with it; none where it is not in service."""
        text = self.text("in_service").lower()
        if text == "false":
            return None
        joint = _Joint(place=self.place, ends=ends)
        if text not in ("", "true"):
            self.fault(f"in_service {text!r} is neither true nor false")
            self._found.is_whole = False  # it may have been meant either way
        elif -1 in ends or ends[0] == ends[1]:
            self._found.is_whole = False  # what hangs on the other end is told once it is known
        else:
            self._found.joints.append(joint)
        return joint

    def ends(self, index: dict[str, int]) -> tuple[int, int]:
        names = self.text("from_bus"), self.text("to_bus")
        for column, name in zip(("from_bus", "to_bus"), names, strict=True):
            if name not in index and index:  # a table of buses that cannot be read is told by itself
                self.fault(f"{column} {name!r} is no bus{did_you_mean(name, index)}")
        if names[0] == names[1]:
            self.fault(f"both ends are bus {names[0]!r}")
        return index.get(names[0], -1), index.get(names[1], -1)


def _rows(
    path: Path, key: str, columns: tuple[str, ...], optional: tuple[str, ...], found: _Found
) -> Iterator[_Row]:
    """Rows with their place; the first column names them and no name is there twice."""
    try:
        table = read_text_table(path, f"feeder.{key}", columns, optional)
    except ScenarioError as error:  # the other tables' faults are told too
        found.faults.extend(error.faults)
        found.is_whole = False
        return
    header = [str(name) for name in table.columns]
    first: dict[str, int] = {}
    for number, values in enumerate(table.itertuples(index=False, name=None), start=2):
        cells = dict(zip(header, values, strict=True))
        name = cells[columns[0]].strip()
        row = _Row(f"{path.name} row {number}", f"{columns[0]} {name!r}", cells, found)
        if not name:
            row.fault("has no name")
        elif first.setdefault(name, number) != number:
            row.fault(f"is there twice, first in row {first[name]}")
        yield row
    if table.empty:
        found.faults.append(f"{path.name}: has no rows")
        found.is_whole = False


def _buses(path: Path, found: _Found) -> list[_Bus]:
    buses, told = [], []
    for row in _rows(path, "buses", BUS_COLUMNS, BUS_OPTIONAL, found):
        buses.append(
            _Bus(
                name=row.text("bus"),
                rated_kv=row.number("rated_kv", above=0.0),
                load_kw=row.number("load_kw", empty=0.0),
                load_kvar=row.number("load_kvar", empty=0.0),
                xy=(row.number("x", empty=np.nan), row.number("y", empty=np.nan)),
            )
        )
        told.append((bool(row.text("x")), bool(row.text("y"))))
    if any(one or other for one, other in told):  # half a map is none
        bare = [bus.name for bus, has in zip(buses, told, strict=True) if not all(has)]
        if bare:
            found.faults.append(
                f"{path.name}: x and y are needed of all buses or of none, not given: {_named(bare)}"
            )
    return buses


def _coordinates(buses: list[_Bus]) -> FloatArray | None:
    """Where the buses are, shape (N, 2); none where the table has no coordinates."""
    xy = np.array([bus.xy for bus in buses], dtype=np.float64)
    return None if np.isnan(xy).any() else xy


def _lines(
    path: Path,
    buses: list[_Bus],
    index: dict[str, int],
    line_ampacity_a: float,
    line_ampacities_a: Mapping[str, float],
    found: _Found,
) -> list[_Branch]:
    """Lines in service that can be; faults of all lines are told."""
    lines = []
    names = set()
    for row in _rows(path, "lines", LINE_COLUMNS, LINE_OPTIONAL, found):
        ends = row.ends(index)
        r_ohm, x_ohm = row.number("r_ohm", least=0.0), row.number("x_ohm", least=0.0)
        if r_ohm == 0.0 and x_ohm == 0.0:
            row.fault("r_ohm and x_ohm are both 0: its buses are one")
        b_us = row.number("b_us", least=0.0, empty=0.0)
        ampacity_a = row.number("ampacity_a", above=0.0, empty=line_ampacity_a)
        ampacity_a = line_ampacities_a.get(row.text("line"), ampacity_a)
        names.add(row.text("line"))
        found.branches.setdefault(row.text("line"), row.row)
        joint = row.joint(ends)
        if -1 in ends:
            continue
        kv, other_kv = (buses[end].rated_kv for end in ends)
        if kv != other_kv and np.isfinite(kv + other_kv):
            row.fault(f"joins {kv:g} kV and {other_kv:g} kV; between voltages stands a transformer")
        base_ohm = kv**2 / (BASE_KVA / 1e3)
        if np.hypot(r_ohm, x_ohm) > _MOST_PU * base_ohm:
            row.fault(f"r_ohm and x_ohm let less than {BASE_KVA / _MOST_PU:g} kVA through at {kv:g} kV")
        if row.is_sound and joint is not None:
            joint.z_pu, joint.b_pu = float(np.hypot(r_ohm, x_ohm)) / base_ohm, b_us * 1e-6 * base_ohm
            joint.z_columns, joint.z_unit = "the impedance of r_ohm and x_ohm", (base_ohm, "ohm")
            joint.b_us_of_pu = 1e6 / base_ohm
            lines.append(
                _Branch(
                    place=row.place,
                    name=row.text("line"),
                    ends=ends,
                    r_pu=r_ohm / base_ohm,
                    x_pu=x_ohm / base_ohm,
                    b_pu=b_us * 1e-6 * base_ohm,
                    rating_kva=float(np.sqrt(3.0)) * kv * ampacity_a,
                    is_transformer=False,
                )
            )
    found.faults += [
        f"feeder.line_ampacities_a: no line is called {name!r}{did_you_mean(name, names)}"
        for name in line_ampacities_a
        if name not in names
    ]
    return lines


def _transformers(path: Path, index: dict[str, int], found: _Found) -> list[_Branch]:
    """Transformers in service that can be; per unit of their own rating r = P_cu / S and z = u_k."""
    transformers = []
    for row in _rows(path, "transformers", TRANSFORMER_COLUMNS, TRANSFORMER_OPTIONAL, found):
        name = row.text("transformer")
        if name and name in found.branches:
            row.fault(f"is the name of a line too, {found.branches[name]}; each branch needs its own")
        ends = row.ends(index)
        rating_kva = row.number("rating_kva", above=0.0)
        z_own = row.number("short_circuit_percent", above=0.0) / 100.0
        r_own = row.number("copper_loss_kw", least=0.0) / rating_kva
        if r_own > z_own:
            row.fault(
                f"copper_loss_kw of {r_own * rating_kva:g} kW is more than {z_own:.2%} of {rating_kva:g} kVA"
            )
        joint = row.joint(ends)
        if row.is_sound and joint is not None:
            scale = BASE_KVA / rating_kva
            joint.z_pu, joint.b_pu = z_own * scale, 0.0
            joint.z_columns, joint.z_unit = "short_circuit_percent", (100.0 / scale, "%")
            transformers.append(
                _Branch(
                    place=row.place,
                    name=name,
                    ends=ends,
                    r_pu=r_own * scale,
                    x_pu=float(np.sqrt(z_own**2 - r_own**2)) * scale,
                    b_pu=0.0,
                    rating_kva=rating_kva,
                    is_transformer=True,
                )
            )
    return transformers
