"""Who the cars are: class, home and work region, drawn once per car."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agents.uniforms import uniform_blocks
from sim.arrays import BoolArray, FloatArray, IntArray, freeze
from sim.randomness import Stream
from sim.regions import PlaceChoice
from sim.scenario import Scenario, VehicleClass
from sim.taper import Taper

_PER_CAR_DAY: Final = -1  # draws per car carry the first day's key
_CLASS, _HOME, _WORK, _TAKES_PART = range(4)  # places in a car's block
_BLOCK: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Population:
    """Unchanging columns of the fleet, in vehicle_id order; every array has shape (n,)."""

    class_names: tuple[str, ...]
    class_index: IntArray
    home_index: IntArray
    work_index: IntArray  # -1 where the scenario has no work region
    battery_kwh: FloatArray
    energy_min_kwh: FloatArray
    energy_max_kwh: FloatArray
    initial_kwh: FloatArray
    departure_kwh: FloatArray  # S_user Q: wanted at a day's first departure from home
    charge_limit_kw: FloatArray
    discharge_limit_kw: FloatArray
    charge_efficiency: FloatArray
    discharge_efficiency: FloatArray
    soc_min: FloatArray
    soc_max: FloatArray
    consumption_kwh_per_km: FloatArray
    takes_part: BoolArray  # whether the car may be scheduled
    taper: Taper | None  # of the charging power near full; None where no class has it

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def n(self) -> int:
        """Number of cars."""
        return len(self.class_index)

    def full_power_kw(self, energy_kwh: FloatArray) -> FloatArray:
        """Largest charging power of every car that holds these energies now; (n,)."""
        if self.taper is None:
            return self.charge_limit_kw
        return self.charge_limit_kw * self.taper.share(energy_kwh)

    def full_power_of_kw(self, car: int, energy_kwh: float) -> float:
        """`full_power_kw` of one car."""
        limit = self.charge_limit_kw.item(car)
        return limit if self.taper is None else limit * self.taper.share_of(car, energy_kwh)


def draw_population(
    scenario: Scenario, choices: dict[str, PlaceChoice], n: int, stream: Stream = Stream.VEHICLE
) -> Population:
    """Draw every car's class, home and work region; car i's draws depend on nothing but i.

    Parameters
    ----------
    n
        Number of cars.
    """
    simulation = scenario.simulation
    cars = np.arange(n, dtype=np.int64)
    days = np.full(n, _PER_CAR_DAY, dtype=np.int64)
    uniforms = uniform_blocks(simulation.seed, simulation.replication, stream, cars, days, size=_BLOCK)
    shares = np.array([vehicle_class.share for vehicle_class in scenario.fleet.classes])
    cumulative = np.cumsum(shares) / shares.sum()
    class_index = np.minimum(
        np.searchsorted(cumulative, uniforms[:, _CLASS], side="right"), len(shares) - 1
    ).astype(np.int64)
    work = choices.get(scenario.travel.work)
    return populate(
        scenario,
        class_index=class_index,
        home_index=choices[scenario.travel.home].choose(uniforms[:, _HOME]),
        work_index=np.full(n, -1, dtype=np.int64) if work is None else work.choose(uniforms[:, _WORK]),
        takes_part=uniforms[:, _TAKES_PART] < scenario.fleet.drivers.participation_share,
    )


def populate(
    scenario: Scenario,
    *,
    class_index: IntArray,
    home_index: IntArray,
    work_index: IntArray,
    takes_part: BoolArray,
) -> Population:
    """Columns of cars whose class, regions and drivers are known."""
    classes = scenario.fleet.classes

    def column(name: str) -> FloatArray:
        return np.array([_number(vehicle_class, name) for vehicle_class in classes])[class_index]

    battery, soc_min, soc_max = column("battery_kwh"), column("soc_min"), column("soc_max")
    wanted = 0.0 if scenario.fleet.departure_soc == "none" else scenario.fleet.departure_soc
    return Population(
        class_names=tuple(vehicle_class.name for vehicle_class in classes),
        class_index=class_index,
        home_index=home_index,
        work_index=work_index,
        battery_kwh=battery,
        energy_min_kwh=soc_min * battery,
        energy_max_kwh=soc_max * battery,
        initial_kwh=column("initial_soc") * battery,
        departure_kwh=wanted * battery,
        charge_limit_kw=column("charge_limit_kw"),
        discharge_limit_kw=column("discharge_limit_kw"),
        charge_efficiency=column("charge_efficiency"),
        discharge_efficiency=column("discharge_efficiency"),
        soc_min=soc_min,
        soc_max=soc_max,
        consumption_kwh_per_km=column("consumption_kwh_per_km"),
        takes_part=takes_part,
        taper=_taper(classes, class_index),
    )


def _taper(classes: Sequence[VehicleClass], class_index: IntArray) -> Taper | None:
    if not any(one.is_tapered for one in classes):
        return None
    lines = [
        (one.taper_from_soc * one.battery_kwh, one.soc_max * one.battery_kwh, one.taper_to_share)
        if one.is_tapered
        else (0.0, one.battery_kwh, 1.0)
        for one in classes
    ]
    from_kwh, to_kwh, to_share = np.array(lines).T
    return Taper(from_kwh=from_kwh[class_index], to_kwh=to_kwh[class_index], to_share=to_share[class_index])


def _number(vehicle_class: VehicleClass, name: str) -> float:
    return float(getattr(vehicle_class, name))
