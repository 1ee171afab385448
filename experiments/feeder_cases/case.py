"""A feeder on its way into tables, and what is found wrong, left out or beyond the model meanwhile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sim.errors import ScenarioError
from sim.feeder.model import orient
from sim.feeder.placing import is_no_load

NAMED_AT_MOST: Final = 10  # places that one message lists


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseBus:
    """A bus: rated voltage in kV, load in kW and kvar."""

    place: str  # of the case's file, for messages
    name: str
    rated_kv: float
    load_kw: float
    load_kvar: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLine:
    """A line in service: ohm, charging in microsiemens, ampacity in A (none: no limit)."""

    place: str
    name: str
    ends: tuple[str, str]
    r_ohm: float
    x_ohm: float
    b_us: float
    ampacity_a: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseTransformer:
    """A transformer in service, at its rated ratio: rating in kVA, copper loss in kW at that rating."""

    place: str
    name: str
    ends: tuple[str, str]
    rating_kva: float
    short_circuit_percent: float
    copper_loss_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FeederCase:
    """A feeder as a case tells it; whether it is radial and whole is still to be checked."""

    buses: Sequence[CaseBus]
    lines: Sequence[CaseLine]
    transformers: Sequence[CaseTransformer]
    source_bus: str
    source_pu: float
    band_pu: tuple[float, float] | None  # none: the case has none


@dataclass(slots=True)
class Findings:
    """Everything that a person is told about a case."""

    file: str
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what was left out, rightly
    _alike: dict[str, list[str]] = field(default_factory=dict)
    _beyond: dict[str, list[str]] = field(default_factory=dict)

    def band(self, bus: str, least_pu: float, most_pu: float) -> None:
        """Tell a bus whose voltages nothing can keep."""
        if most_pu < least_pu:
            self.notes.append(
                f"bus {bus}: its lowest voltage {least_pu:g} is above its highest {most_pu:g}; with it there is no band"
            )

    def fault(self, place: str, text: str) -> None:
        """Tell what cannot be."""
        self.faults.append(f"{self.file} {place}: {text}" if place else f"{self.file}: {text}")

    def alike(self, text: str, place: str) -> None:
        """Tell what cannot be, in one message for all places of which the same is to be said."""
        self._alike.setdefault(text, []).append(place)

    def beyond_model(self, what: str, place: str) -> None:
        """Tell what a feeder of this program cannot hold; one message for each kind."""
        self._beyond.setdefault(what, []).append(place)

    @property
    def beyond(self) -> list[str]:
        """One line for each kind of thing that the model cannot hold."""
        return [f"{what}: {named(places)}" for what, places in self._beyond.items()]

    def settle(self, *, leave_out: bool) -> None:
        """Refuse the case unless it can be converted.

        Parameters
        ----------
        leave_out
            What the model cannot hold becomes a note instead of a fault.

        Raises
        ------
        ScenarioError
            With every fault, one line each.
        """
        refused = [] if leave_out else [f"{self.file}: cannot be held: {line}" for line in self.beyond]
        self.faults += [f"{self.file}: {text}: {named(places)}" for text, places in self._alike.items()]
        if self.faults or refused:
            hint = [f"{self.file}: --leave-out converts it without what cannot be held"] if refused else []
            raise ScenarioError([*self.faults, *refused, *hint])
        self.notes += [f"left out: {line}" for line in self.beyond]


def named(places: Sequence[str]) -> str:
    """Places in a row, the first ten of them by name.

    >>> named(["bus 3", "bus 4"])
    'bus 3, bus 4'
    """
    more = f" and {len(places) - NAMED_AT_MOST} more" if len(places) > NAMED_AT_MOST else ""
    return ", ".join(places[:NAMED_AT_MOST]) + more


def counted(number: int, one: str, many: str) -> str:
    """A number and its noun.

    >>> counted(1, "line", "lines"), counted(2, "bus", "buses")
    ('1 line', '2 buses')
    """
    return f"{number} {one if number == 1 else many}"


def check_values(case: FeederCase, findings: Findings) -> None:
    """Tell values that no table of a feeder may have; NaN stands for a value that was told already."""
    for bus in case.buses:
        if bus.rated_kv <= 0.0:
            findings.alike("rated voltage is not above 0", bus.place)
    for line in case.lines:
        for value, words in ((line.r_ohm, "resistance"), (line.x_ohm, "reactance"), (line.b_us, "charging")):
            if value < 0.0:
                findings.alike(f"{words} of a line is below 0", line.place)
        if line.r_ohm == 0.0 and line.x_ohm == 0.0:
            findings.alike("a line without impedance makes its buses one", line.place)
    for transformer in case.transformers:
        if transformer.short_circuit_percent <= 0.0:
            findings.alike("a transformer without impedance", transformer.place)
    if case.source_pu <= 0.0:
        findings.fault("", f"voltage of the source, {case.source_pu:g} p.u., is not above 0")


def without_what_feeds_in(case: FeederCase, findings: Findings) -> FeederCase:
    """Tell loads that are none, and return the case without them: buses become regions with loads of active power.

    The source's bus always has a region of its own.
    """
    feeding = "loads that feed in (regions have pv, wind and batteries)"
    reactive = "loads of reactive power alone"
    buses = []
    for bus in case.buses:
        if bus.name != case.source_bus and is_no_load(bus.load_kw, bus.load_kvar):
            findings.beyond_model(feeding if bus.load_kw < 0.0 else reactive, bus.place)
            buses.append(replace(bus, load_kw=0.0, load_kvar=0.0))
        else:
            buses.append(bus)
    return replace(case, buses=buses)


def check_tree(case: FeederCase, findings: Findings) -> None:
    """Tell branches that close loops and buses that nothing feeds; ends are buses of the case."""
    branches: list[CaseLine | CaseTransformer] = [*case.lines, *case.transformers]
    index = {bus.name: number for number, bus in enumerate(case.buses)}
    ends = [(index[branch.ends[0]], index[branch.ends[1]]) for branch in branches]
    _, closing, unreached = orient(len(index), ends, index[case.source_bus])
    if closing:
        loops = counted(len(closing), "branch closes a loop", "branches close loops")
        where = named([branches[number].place for number in closing])
        findings.fault("", f"a feeder is radial, and {loops}: {where}")
    if (
        unreached and not findings.faults
    ):  # a branch that could not be read leaves buses behind it that have none
        missed = named([case.buses[number].place for number in unreached])
        findings.fault("", f"nothing in service leads from the source, bus {case.source_bus}, to {missed}")


def transformer_values(r_pu: float, x_pu: float) -> tuple[float, float]:
    """Short-circuit voltage in percent, and copper loss per kVA, of an impedance per unit of the rating.

    >>> transformer_values(0.03, 0.04)
    (5.0, 0.03)
    """
    least = r_pu * (1.0 + 1e-10)  # where x is 0, twelve digits must not round z below r
    z_pu = max(math.hypot(r_pu, x_pu), least)
    return 100.0 * z_pu, r_pu
