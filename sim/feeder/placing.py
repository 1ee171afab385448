"""Which region stands at which bus of a scenario's feeder, and the network that a site has of it."""

from __future__ import annotations

from typing import Final

import numpy as np

from sim.errors import ScenarioError
from sim.feeder.model import Feeder, Network
from sim.feeder.reading import FeederFiles, read_feeder
from sim.scenario import FeederPart, LoadMix, OtherBuses, Region, Scenario
from sim.scenario_messages import did_you_mean
from sim.tariff import Locate

OTHER: Final = "bus"
"""Place type of buses that no region of the scenario names; no chain leads there."""
_DAY_H: Final = 24.0


def read_part(part: FeederPart, locate: Locate) -> Feeder:
    """Read the feeder that a scenario names.

    Raises
    ------
    ScenarioError
        With every fault of its tables.
    """
    return read_feeder(
        FeederFiles(
            buses=locate(part.buses),
            lines=locate(part.lines),
            transformers=None if part.transformers is None else locate(part.transformers),
        ),
        part.source_bus,
        np.inf if part.line_ampacity_a == "unlimited" else part.line_ampacity_a,
        part.line_ampacities_a,
    )


def feeder_faults(scenario: Scenario, locate: Locate) -> list[str]:
    """One line per fault of a scenario's feeder and of how its regions stand on it."""
    part = getattr(scenario, "feeder", None)
    if part is None or not hasattr(scenario, "regions"):
        return []
    try:
        return _place_faults(scenario, part, read_part(part, locate), locate(part.buses).name)
    except ScenarioError as error:
        return list(error.faults)


def with_other_buses(scenario: Scenario, locate: Locate) -> Scenario:
    """Return a scenario in which every bus of its feeder has a region; the same where there is no feeder.

    Raises
    ------
    ScenarioError
        With every fault of the feeder's tables, and of regions on it.
    """
    part = scenario.feeder
    if part is None:
        return scenario
    feeder = read_part(part, locate)
    if faults := _place_faults(scenario, part, feeder, locate(part.buses).name):
        raise ScenarioError(faults)
    if part.other_buses is None:
        return scenario
    taken = {region.bus for region in scenario.regions}
    others = [
        _other_region(name, part.other_buses, feeder.load_kw[bus], feeder.load_kvar[bus])
        for bus, name in enumerate(feeder.bus_names)
        if name not in taken
    ]
    return scenario.model_copy(
        update={
            "regions": [*scenario.regions, *others],
            "feeder": part.model_copy(update={"other_buses": None}),
        }
    )


def build_network(scenario: Scenario, locate: Locate) -> Network | None:
    """Build the network of a scenario in which every bus has a region; none without a feeder.

    Raises
    ------
    ScenarioError
        With every fault of the feeder's tables.
    """
    part = scenario.feeder
    if part is None:
        return None
    loads = [region.load for region in scenario.regions]
    return Network(
        feeder=read_part(part, locate).ordered(tuple(region.bus or "" for region in scenario.regions)),
        source_pu=part.source_pu,
        voltage_min_pu=part.voltage_min_pu,
        voltage_max_pu=part.voltage_max_pu,
        load_kvar_per_kw=np.array([0.0 if load is None else load.kvar_per_kw for load in loads]),
    )


def _place_faults(scenario: Scenario, part: FeederPart, feeder: Feeder, file: str) -> list[str]:
    """One line per fault; ``file`` is the table of the feeder's buses, one row after its header for each."""
    faults = []
    for index, region in enumerate(scenario.regions):
        if region.bus is not None and region.bus not in feeder.bus_names:
            meant = did_you_mean(region.bus, feeder.bus_names)
            faults.append(f"regions[{index}].bus: the feeder has no bus {region.bus!r}{meant}")
    taken = {region.bus for region in scenario.regions}
    bare = [bus for bus, name in enumerate(feeder.bus_names) if name not in taken]
    if part.other_buses is None and bare:
        named = ", ".join(feeder.bus_names[bus] for bus in bare)
        faults.append(f"feeder.other_buses: is missing, no region stands at bus {named}")
    if part.other_buses is not None:
        index_by_name = {region.name: index for index, region in enumerate(scenario.regions)}
        for bus in bare:
            name, place = feeder.bus_names[bus], f"{file} row {bus + 2}: bus {feeder.bus_names[bus]!r}"
            kw, kvar = feeder.load_kw[bus], feeder.load_kvar[bus]
            if is_no_load(kw, kvar):
                faults.append(
                    f"{place}: load_kw {kw:g} and load_kvar {kvar:g} are no load for feeder.other_buses, which takes "
                    "active power; give the bus a region of its own"
                )
            if _other_name(name) in index_by_name:
                faults.append(
                    f"regions[{index_by_name[_other_name(name)]}].name: {_other_name(name)!r} is also the name of the "
                    f"region that feeder.other_buses makes of bus {name!r} ({file} row {bus + 2}); "
                    "name one of them otherwise"
                )
    return faults


def is_no_load(load_kw: float, load_kvar: float) -> bool:
    """Whether a table's load feeds in or takes reactive power alone, which no region's load can."""
    return load_kw < 0.0 or (load_kw == 0.0 and abs(load_kvar) > 0.0)


def _other_name(bus: str) -> str:
    """Name of the region of a bus that the scenario names none for."""
    return f"{OTHER} {bus}"


def _other_region(bus: str, others: OtherBuses, load_kw: float, load_kvar: float) -> Region:
    """Region of a bus that the scenario names none for: its table's load, and nothing else."""
    load = None
    if load_kw > 0.0:
        load = LoadMix(
            weights=others.weights,
            mean_kwh_per_day=float(load_kw) * others.mean_load_share * _DAY_H,
            kvar_per_kw=float(load_kvar / load_kw),
            series=others.series,
        )
    return Region(
        name=_other_name(bus),
        place_type=OTHER,
        weight=1.0,
        chargers=0,
        bus=bus,
        import_limit_kw=0.0,
        export_limit_kw=0.0,
        load=load,
        pv=None,
        wind=None,
        turbine=None,
        batteries=[],
    )
