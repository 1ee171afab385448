"""What crosses the boundaries between world, fleet, forecaster and dispatcher.

All arrays are read-only copies. Power is in kW at the bus, positive when a car or battery takes it; energy is in
kWh inside the battery; instants are integer seconds since the scenario's start.
``K`` is the number of steps of the horizon,
``n`` the number of cars, ``R`` of regions, ``B`` of stationary batteries, ``T`` of electrical ties.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from sim.arrays import BoolArray, FloatArray, IntArray, freeze
from sim.feeder.model import Network
from sim.taper import Taper


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Site:
    """What never changes during a run: the microgrids as a dispatcher may know them.

    Limits that do not exist are ``inf``. Turbines are one per region (limit 0 where there is none); batteries are
    a list of units, each in a region.
    """

    step_s: int
    end_s: int  # the run's end
    region_names: tuple[str, ...]
    import_limit_kw: FloatArray  # (R,)
    export_limit_kw: FloatArray  # (R,), 0 = no export
    can_discharge_cars: BoolArray  # (R,), whether the chargers there can take power from cars
    turbine_limit_kw: FloatArray  # (R,)
    turbine_ramp_kw_per_step: FloatArray  # (R,)
    turbine_fuel_cost_per_h: Callable[[FloatArray], FloatArray]  # true cost of running at P kW, elementwise
    battery_region_index: IntArray  # (B,)
    battery_energy_min_kwh: FloatArray  # (B,)
    battery_energy_max_kwh: FloatArray  # (B,)
    battery_charge_limit_kw: FloatArray  # (B,)
    battery_discharge_limit_kw: FloatArray  # (B,)
    battery_charge_efficiency: FloatArray  # (B,)
    battery_discharge_efficiency: FloatArray  # (B,)
    battery_kept_per_step: FloatArray  # (B,), share of what is stored that self-discharge leaves
    tie_from_index: IntArray  # (T,)
    tie_to_index: IntArray  # (T,)
    tie_limit_kw: FloatArray  # (T,), inf = free pooling; flows both ways
    tie_loss_fraction: FloatArray  # (T,), lost on the way, charged to the receiving end
    battery_operation_per_kwh: float  # per kWh charged or discharged, Eq. (20)
    turbine_operation_per_kwh: float  # Eq. (20)
    throughput_price_per_kwh: float  # wear, per kWh discharged from cars and batteries
    unserved_price_per_kwh: float
    shortfall_price_per_kwh: float  # inside a decision: a kWh a car lacks at departure
    energy_value_per_kwh: float  # lambda: a kWh stored at the horizon's end
    demand_price_per_kw_day: float = 0.0  # of a region's largest import of each day
    network: Network | None = None  # its branches are the ties: lossless and unlimited there
    battery_apparent_kva: FloatArray | None = (
        None  # (B,) of inverters, 0 = no reactive power; None: none is rated
    )
    charger_kvar_per_kw: FloatArray | None = (
        None  # (R,) reactive power of chargers per kW of the plugged cars' charge limits; None: none have any
    )

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return len(self.region_names)

    def gives_from_cars(self, region_index: IntArray) -> BoolArray:
        """Whether cars in these regions (-1: nowhere) may discharge, in the shape of ``region_index``."""
        may: BoolArray = (region_index >= 0) & self.can_discharge_cars[np.maximum(region_index, 0)]
        return may


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cars:
    """The fleet as a dispatcher sees it at a boundary; every array has shape (n,), in vehicle_id order."""

    vehicle_id: IntArray
    region_index: IntArray  # -1 while driving or away
    is_plugged: BoolArray
    energy_kwh: FloatArray  # 0 where not plugged: a car off the charger does not tell
    departure_s: IntArray  # as declared; NEVER_S when none is declared or the car is not plugged
    required_kwh: FloatArray  # declared energy at that departure; 0 when not plugged
    energy_min_kwh: FloatArray
    energy_max_kwh: FloatArray
    charge_limit_kw: FloatArray
    discharge_limit_kw: FloatArray
    charge_efficiency: FloatArray
    discharge_efficiency: FloatArray
    taper: Taper | None = None  # of the charging power near full

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def n(self) -> int:
        """Number of cars."""
        return len(self.vehicle_id)

    @property
    def charge_limit_now_kw(self) -> FloatArray:
        """Largest charging power that each car takes in the step that begins now."""
        if self.taper is None:
            return self.charge_limit_kw
        return self.charge_limit_kw * self.taper.share(self.energy_kwh)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trips:
    """True trips, in order of vehicle and departure: only for the perfect forecaster and for own-cost policies.

    Holds, for every car, the trip under way (``depart_s < now_s``) and those that begin within the horizon, shifted
    by whatever delay the car has by now. All arrays have shape (n_trips,).
    """

    vehicle_index: IntArray
    depart_s: IntArray
    arrive_s: IntArray
    region_index: IntArray  # of the destination
    is_plugged: BoolArray  # at the destination: the stop's plug-in draw (and the region has chargers)
    energy_kwh: FloatArray  # of the trip
    required_kwh: FloatArray  # at departure: the domain's lower bound
    # (n,) stored by every car now, also off the charger; of a car under way: at its departure, the trip not yet taken
    car_energy_kwh: FloatArray | None = None

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stores:
    """Cars still to come, as one store per region and step (statistics of past stays); shapes (K, R).

    A stay enters at its first whole boundary and leaves in the step of its departure, where its limits count for
    the plugged fraction of the step. Stays without a whole boundary are left out.
    """

    n_plugged: FloatArray  # at the step's start
    arriving_n: FloatArray  # stays that enter at the step's start
    charge_limit_kw: FloatArray  # summed, mean over the step
    discharge_limit_kw: FloatArray
    arriving_kwh: FloatArray  # energy of stays that enter at the step's start
    leaving_min_kwh: FloatArray  # least energy of stays that leave in the step
    leaving_max_kwh: FloatArray
    energy_min_kwh: FloatArray  # bounds of the store at the step's end (stays that remain)
    energy_max_kwh: FloatArray
    charge_efficiency: float
    discharge_efficiency: float

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """Measurements at a boundary: all a dispatcher may know of the present."""

    now_s: int
    cars: Cars
    battery_energy_kwh: FloatArray  # (B,)
    turbine_kw: FloatArray  # (R,), power of the step that ended now
    peak_import_kw: FloatArray | None = None  # (R,), largest import of a step of this day so far; None is 0
    own_trips: Trips | None = None  # only to policies that declare `needs_own_chain`

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantiles:
    """Marginal quantiles of each step's mean, levels rising; arrays (Q, K, R), sorted along Q."""

    level: FloatArray  # (Q,), each strictly between 0 and 1
    load_kw: FloatArray
    pv_kw: FloatArray
    wind_kw: FloatArray
    buy_price_per_kwh: FloatArray

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Paths:
    """Joint paths that the coming steps may take; arrays (S, K, R).

    A path is one possible course of all quantities together, with their correlation in time and between regions.
    """

    probability: FloatArray  # (S,), sums to 1
    load_kw: FloatArray
    pv_kw: FloatArray
    wind_kw: FloatArray
    buy_price_per_kwh: FloatArray
    sell_price_per_kwh: FloatArray

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """Forecast issued at ``now_s`` for the K steps from now on; arrays (K, R), means over each step."""

    now_s: int
    kind: str
    load_kw: FloatArray
    pv_kw: FloatArray
    wind_kw: FloatArray
    buy_price_per_kwh: FloatArray
    sell_price_per_kwh: FloatArray
    curtailment_price_per_kwh: FloatArray
    measured_car_load_kw: FloatArray  # net car load of the same step 24 h earlier
    trips: Trips | None = None  # perfect only
    stores: Stores | None = None  # cars still to come, where trips are not known
    quantiles: Quantiles | None = None  # where the forecaster can tell how sure it is
    paths: Paths | None = None  # where the scenario asks for some
    # buying price that a kWh which drives away in a step is expected to be worth at the bus of its later stops
    departing_price_per_kwh: FloatArray | None = None
    # load of cars that do not take part and so are not in the snapshot; None where there are none
    unmanaged_car_load_kw: FloatArray | None = None

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def n_steps(self) -> int:
        """Steps of the horizon, K."""
        return len(self.load_kw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One row of ``decisions.parquet`` less its instant and its seconds: how a decision was reached."""

    status: str  # optimal | feasible | fallback:<name> | none
    objective: float = float("nan")
    bound: float = float("nan")
    gap: float = float("nan")
    turbine_bound: float = float("nan")  # objective with the convex under-estimator of the fuel cost
    turbine_gap: float = float("nan")
    binaries: int = 0
    iterations: int = 0
    fallback: bool = False
    lowered_kwh: float = 0.0
    max_overlap_kw: float = 0.0  # largest simultaneous charge and discharge in the solver's answer
    feeder_rounds: int = (
        0  # solves until the plan kept the feeder's limits by AC power flow, or no more were allowed
    )
    feeder_unsolved: bool = False  # whether the last of them had no answer: the plan before it stands


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Account:
    """How the entries of `Marginals` come about; arrays in the same order, nan where a number does not exist.

    The value of a car's kWh is ``terminal_value_per_kwh + requirement_duals_per_kwh - full_duals_per_kwh``.
    """

    set_point_kw: (
        FloatArray  # of a car while plugged in, charging positive; planned import less export of a region
    )
    terminal_value_per_kwh: FloatArray  # of what a car has left where the program stops following it
    requirement_duals_per_kwh: FloatArray  # prices of all lower bounds ahead of a car, summed
    dearest_departure_s: IntArray  # where the dearest of them is a departure, else NEVER_S
    full_duals_per_kwh: FloatArray  # prices of all upper bounds ahead of a car, summed
    full_s: IntArray  # when the car is full at the highest such price, NEVER_S when it never is
    limit_worth_per_kw: FloatArray  # of one more kW, in this step, of the limit that binds
    reason: tuple[
        str, ...
    ]  # why a car charges, gives or waits, a word of `sim.trace.REASONS`; empty for a region
    ambiguous: tuple[str, ...]  # what need not be unique: "", "value", "plan" or "value and plan"
    program: str  # whose duals these are

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Marginals:
    """What a decision's duals say, one entry per region and per plugged car (``marginals.parquet``)."""

    vehicle_id: IntArray  # -1 for a region's own row
    region_index: IntArray
    value_per_kwh: FloatArray  # of energy: at the bus for a region, inside the battery for a car
    binding_limit: tuple[str, ...]
    protected_departure_s: IntArray  # NEVER_S when none
    departure_dual_per_kwh: FloatArray
    best_later_step_s: IntArray  # NEVER_S when none
    best_later_value_per_kwh: FloatArray
    account: Account | None = None

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schedule:
    """Set-points for the next step.

    A dispatcher may give car set-points only (batteries and turbines ``None``): a common program then schedules the
    rest, and ``expected_car_load_kw`` tells it what the policy expects to draw later (used under perfect forecasts).
    """

    car_power_kw: FloatArray  # (n,), charging positive; ignored where not plugged
    battery_power_kw: FloatArray | None = None  # (B,)
    battery_kvar: FloatArray | None = None  # (B,) reactive power, taken from the feeder positive; None is 0
    charger_kvar: FloatArray | None = None  # (R,) the same of the chargers of each region
    turbine_kw: FloatArray | None = None  # (R,)
    feed_in_cap_kw: FloatArray | None = None  # (R,) most of PV and wind together; inf, or None: all
    expected_car_load_kw: FloatArray | None = None  # (K, R), net
    decision: Decision = field(default_factory=lambda: Decision(status="none"))
    marginals: Marginals | None = None

    def __post_init__(self) -> None:
        freeze(self)


def numbers_fault(values: Any, size: int) -> str:
    """What keeps set-points from being ``size`` finite numbers; empty when nothing does.

    >>> numbers_fault(np.array([0.0, np.nan]), 2)
    'must be 2 finite numbers, [1] is nan'
    """
    wanted = f"must be {size} finite numbers"
    if np.shape(values) != (size,):
        return f"{wanted}, has shape {np.shape(values)}"
    numbers = np.asarray(values)
    if numbers.dtype.kind not in "fiu":
        return f"{wanted}, is of {numbers.dtype}"
    beyond = np.flatnonzero(~np.isfinite(numbers))
    return f"{wanted}, [{beyond[0]}] is {numbers[beyond[0]]}" if len(beyond) else ""


def finite_caps(caps: Any) -> Any:
    """Caps for `numbers_fault`: no cap at all (inf) is as good as a number."""
    numbers = np.asarray(caps)
    return np.where(np.isposinf(numbers), 0.0, numbers) if numbers.dtype.kind == "f" else caps


@runtime_checkable
class Dispatcher(Protocol):
    """Anything that turns a snapshot and a forecast into set-points, every 15 minutes."""

    name: str
    needs_own_chain: bool  # whether each car's own true chain is handed over in ``Snapshot.own_trips``
    charges_on_arrival: (
        bool  # whether a car charges at full power from the second it plugs in, before the next boundary
    )

    def start(self, site: Site) -> None:
        """Get ready for one run; called once, before the first decision."""
        ...

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Set-points for the step that begins at ``snapshot.now_s``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stays:
    """Plugged stays as they happened (measured), in order of vehicle and plug-in; shapes (n_stays,)."""

    vehicle_index: IntArray
    region_index: IntArray
    plug_s: IntArray
    unplug_s: IntArray  # NEVER_S while it lasts
    arriving_kwh: FloatArray
    required_kwh: FloatArray  # declared for its departure
    energy_min_kwh: FloatArray
    energy_max_kwh: FloatArray
    charge_limit_kw: FloatArray
    discharge_limit_kw: FloatArray

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChainStatistics:
    """A week of virtual cars, drawn from the laws of travel: their stays, and where each departure leads.

    Instants of ``stays`` and ``departs_s`` are seconds since Monday 00:00. Departures are from plugged stops; a
    stop is a later plugged stay of the same car that begins within 24 h, its times counted from the departure.
    """

    stays: Stays  # arriving_kwh is the least that the chain leaves a car with
    charge_efficiency: FloatArray  # by vehicle index
    discharge_efficiency: FloatArray
    cars_per_virtual_car: float
    departs_s: IntArray  # (n_departures,)
    departs_region_index: IntArray
    stop_departure_index: IntArray  # (n_stops,)
    stop_region_index: IntArray
    stop_begin_s: IntArray
    stop_end_s: IntArray

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepEnergy:
    """Energy at the bus that the plugged cars of each region took and gave in one step; shapes (R,)."""

    charge_kwh: FloatArray
    discharge_kwh: FloatArray
    unmanaged_kwh: FloatArray  # part of the charging that no set-point moves: cars that do not take part


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DomainSums:
    """The plugged fleet's capacity domain at an instant, per region; shapes (R,)."""

    n_plugged: IntArray
    energy_kwh: FloatArray
    lower_kwh: FloatArray
    upper_kwh: FloatArray


class Fleet(Protocol):
    """What the simulation asks of a fleet. The SimPy environment owns the clock; the fleet keeps the cars' state."""

    n: int

    def start(
        self,
        environment: Any,
        *,
        charges_on_arrival: bool,
        on_charging_lost: Callable[[int], None] = lambda now_s: None,
    ) -> None:
        """(Re)set every car to its initial energy, at home and plugged at ``environment.now``, and set it going.

        ``on_charging_lost`` is called with the instant when a car leaves that was charging.
        """
        ...

    def cars(self, now_s: int) -> Cars:
        """What plugged cars show at a boundary; those that do not take part look unplugged."""
        ...

    def unmanaged(self, now_s: int, until_s: int) -> tuple[Cars, Trips]:
        """Cars that do not take part, and their true trips from now on."""
        ...

    def unmanaged_request_kw(self, now_s: int) -> FloatArray:
        """Charging that plugged cars which do not take part ask for now, per region; shape (R,)."""
        ...

    def given_kw(self, now_s: int) -> tuple[FloatArray, FloatArray]:
        """What cars charge and discharge with at an instant, per region; shapes (R,)."""
        ...

    def step_energy(self, until_s: int) -> tuple[FloatArray, FloatArray]:
        """Energy at the bus [kWh] that cars charge and discharge in the step that ends then if all go on as they do."""
        ...

    def trips(self, now_s: int, until_s: int) -> Trips:
        """The true trips of the cars that take part from now on (under way, or beginning before ``until_s``)."""
        ...

    def stays(self, since_s: int) -> Stays:
        """Plugged stays that began after ``since_s`` (exclusive), up to now."""
        ...

    def limit(self, charge_cap_kw: FloatArray, discharge_cap_kw: FloatArray) -> None:
        """Caps on each region's total car power for the coming step (inf = none); cars are cut pro rata."""
        ...

    def share(self, now_s: int) -> None:
        """Cut what cars do now to the caps, at once."""
        ...

    def apply(self, now_s: int, car_power_kw: FloatArray) -> None:
        """Set-points of the plugged cars from now on, kW, charging positive."""
        ...

    def close_step(self, now_s: int) -> StepEnergy:
        """Integrate every car up to the boundary and return what the step that ends here took and gave."""
        ...

    def domain(self, now_s: int) -> DomainSums:
        """Sums of the capacity domain over the cars plugged now."""
        ...

    def finish(self, now_s: int) -> None:
        """Close all open segments and trips at the run's end."""
        ...

    def vehicle_columns(self) -> dict[str, Any]:
        """Columns of ``vehicles.parquet``."""
        ...

    def trip_columns(self) -> dict[str, Any]:
        """Columns of ``trips.parquet``; after ``finish``."""
        ...

    def session_columns(self) -> dict[str, Any]:
        """Columns of ``sessions.parquet``."""
        ...

    def queue_columns(self) -> dict[str, Any]:
        """Columns of ``queue.parquet``; after ``finish``."""
        ...

    def segment_columns(self) -> dict[str, Any]:
        """Columns of ``segments.parquet``; after ``finish``."""
        ...


class Forecaster(Protocol):
    """Issues forecasts from the past only (the perfect one, from the truth, is the named exception)."""

    kind: str

    def issue(self, now_s: int, n_steps: int) -> Forecast:
        """Forecast for the steps from ``now_s`` on."""
        ...
