"""Where each variable and each equation of the program stands: identities that last a whole run.

The horizon is a ring of K slots; slot ``step mod K`` serves step, then step + K. Variables and equations of one slot
lie together, in the order of the classes below, cars in vehicle_id order. A decision's program holds those that are
alive in it; as an identity never changes while its step is ahead, the basis of the last decision is the start of the
next.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import accumulate

from dispatch.reactive import SIDES


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Offsets of a slot's variables; all powers are means over the step in kW, energies at the step's end in kWh."""

    charge: slice  # P_c of each car, at the bus
    discharge: slice  # P_d of each car, at the bus
    energy: slice  # E of each car
    shortfall: slice  # energy below what a departure requires (only with an import limit), kWh
    help: slice  # energy that a trip lacks even so (only with an import limit), kWh
    battery_charge: slice
    battery_discharge: slice
    battery_energy: slice
    pool_charge: slice  # of the cars still to come, per region
    pool_discharge: slice
    pool_energy: slice
    pool_leaving: slice  # energy that leaves with them, kWh
    pool_shortfall: slice
    imported: slice  # P_buy
    exported: slice  # P_sell
    curtailed: slice  # of PV and wind together
    unserved: slice  # load not served, the last resort
    spilled: slice  # surplus that nothing takes, the last resort
    turbine: slice  # piece j of region r at r * pieces + j
    tie_forth: slice
    tie_back: slice
    peak: slice  # largest import of the day up to the step (only with a demand charge), per region
    voltage: slice  # squared, thousandths of per unit, within the band (only with a feeder), per region
    voltage_low: slice  # by which the band is missed below
    voltage_high: slice  # and above
    # only where reactive power is decided:
    kvar_taken: slice  # of each battery's inverter
    kvar_given: slice
    kvar_flow: slice  # through each branch, in the order of the ties
    charger_kvar_taken: slice  # of each region's chargers (only where some can)
    charger_kvar_given: slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Offsets of a slot's equations."""

    balance: slice  # Eq. (25), per region [kW]
    car: slice  # Eq. (10), per car [kWh]
    requirement: slice  # Eqs. (12)-(13) where they may be missed (only with an import limit), per car [kWh]
    battery: slice  # Eq. (16), per battery [kWh]
    pool: slice  # the same for the cars still to come, per region [kWh]
    ramp: slice  # Eq. (28), per region [kW]
    taper: slice  # power of a car near full (only with tapering), per car [kW]
    peak: slice  # peak >= import (only with a demand charge), per region [kW]
    carry: slice  # peak >= that of the step before, of the same day [kW]
    drop: slice  # along each branch (only with a feeder), in the order of the ties [thousandths of squared p.u.]
    # only where reactive power is decided:
    capability: slice  # side j of battery b at b * sides + j [kVA]
    kvar_flow: slice  # what flows through each branch [kvar]
    rating: slice  # side j of branch m at m * sides + j [kVA]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Sizes of a run's program and the offsets that follow from them."""

    n_slots: int
    n_cars: int
    n_regions: int
    n_batteries: int
    n_ties: int
    n_pieces: int
    has_shortfall: bool
    has_demand: bool
    has_taper: bool
    has_network: bool
    has_reactive: bool
    has_charger_kvar: bool
    columns: Columns
    rows: Rows
    width: int  # variables of a slot
    height: int  # equations of a slot


def layout(
    *,
    n_slots: int,
    n_cars: int,
    n_regions: int,
    n_batteries: int,
    n_ties: int,
    n_pieces: int,
    has_shortfall: bool,
    has_demand: bool = False,
    has_taper: bool = False,
    has_network: bool = False,
    has_reactive: bool = False,
    has_charger_kvar: bool = False,
) -> Layout:
    """Lay out the program of a run.

    >>> one = layout(n_slots=2, n_cars=3, n_regions=1, n_batteries=0, n_ties=0, n_pieces=1, has_shortfall=False)
    >>> one.columns.discharge, one.width, one.height
    (slice(3, 6, None), 20, 6)
    """
    cars, batteries, regions, ties = [n_cars] * 3, [n_batteries] * 3, [n_regions] * 10, [n_ties] * 2
    n_peaks, voltages = n_regions * has_demand, [n_regions * has_network] * 3
    slack = [n_cars * has_shortfall] * 2
    inverters, branches = n_batteries * has_reactive, n_ties * has_reactive
    sizes = [*cars, *slack, *batteries, *regions, n_regions * n_pieces, *ties, n_peaks, *voltages]
    sizes += [inverters, inverters, branches, *[n_regions * has_charger_kvar] * 2]
    columns = Columns(**_slices(Columns, sizes))
    row_sizes = [
        n_regions,
        n_cars,
        n_cars * has_shortfall,
        n_batteries,
        n_regions,
        n_regions,
        n_cars * has_taper,
        n_peaks,
        n_peaks,
        n_ties * has_network,
        inverters * SIDES,
        branches,
        branches * SIDES,
    ]
    return Layout(
        n_slots=n_slots,
        n_cars=n_cars,
        n_regions=n_regions,
        n_batteries=n_batteries,
        n_ties=n_ties,
        n_pieces=n_pieces,
        has_shortfall=has_shortfall,
        has_demand=has_demand,
        has_taper=has_taper,
        has_network=has_network,
        has_reactive=has_reactive,
        has_charger_kvar=has_charger_kvar,
        columns=columns,
        rows=Rows(**_slices(Rows, row_sizes)),
        width=sum(sizes),
        height=sum(row_sizes),
    )


def _slices(kind: type[Columns] | type[Rows], sizes: list[int]) -> dict[str, slice]:
    ends = list(accumulate(sizes))
    spans = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    return dict(zip((item.name for item in fields(kind)), spans, strict=True))
