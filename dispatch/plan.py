"""A solved decision as arrays over the horizon, checked and priced without the program's matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dispatch.assembly import Assembly
from dispatch.fuel import FuelCost, PiecewiseCost
from dispatch.highs import Outcome
from dispatch.network import BEYOND_BAND_KW, KAPPA, MILLI
from dispatch.problem import Problem
from dispatch.reactive import (
    ACTIVE,
    REACTIVE,
    battery_rating_kva,
    has_charger_kvar,
    has_reactive,
    reactive_price_per_kvarh,
)
from sim.arrays import BoolArray, FloatArray, freeze
from sim.ties import net_inflow_kw

Number = TypeVar("Number", np.float64, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """Powers (means over a step, kW) and energies (at a step's end, kWh) of a horizon; arrays (K, ...)."""

    charge_kw: FloatArray  # (K, n)
    discharge_kw: FloatArray
    energy_kwh: FloatArray
    shortfall_kwh: FloatArray  # below a departure's requirement
    help_kwh: FloatArray
    battery_charge_kw: FloatArray  # (K, B)
    battery_discharge_kw: FloatArray
    battery_energy_kwh: FloatArray
    pool_charge_kw: FloatArray  # (K, R)
    pool_discharge_kw: FloatArray
    pool_energy_kwh: FloatArray
    pool_leaving_kwh: FloatArray
    pool_shortfall_kwh: FloatArray
    import_kw: FloatArray
    export_kw: FloatArray
    curtailed_kw: FloatArray
    unserved_kw: FloatArray
    spilled_kw: FloatArray
    turbine_kw: FloatArray
    tie_forth_kw: FloatArray  # (K, T)
    tie_back_kw: FloatArray
    voltage: FloatArray  # (K, N) squared, thousandths of per unit; without columns where there is no network
    voltage_low: FloatArray  # by which the band is missed below
    voltage_high: FloatArray  # and above
    battery_kvar: FloatArray  # (K, B) taken from the feeder; without columns where none is decided
    charger_kvar: FloatArray  # (K, R) the same of chargers; without columns where theirs is not decided

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def max_overlap_kw(self) -> float:
        """Largest simultaneous charge and discharge of a car, battery or store."""
        pairs = (
            (self.charge_kw, self.discharge_kw),
            (self.battery_charge_kw, self.battery_discharge_kw),
            (self.pool_charge_kw, self.pool_discharge_kw),
        )
        return max(float(np.minimum(charge, discharge).max(initial=0.0)) for charge, discharge in pairs)


def read_plan(assembly: Assembly, outcome: Outcome) -> Plan:
    """Plan of a solved program."""
    at, sizes = assembly.layout.columns, assembly.layout

    def part(columns: slice) -> FloatArray:
        return assembly.values(outcome.values, columns)

    pieces = part(at.turbine)
    shape = (len(pieces), sizes.n_regions, sizes.n_pieces)
    none = np.zeros((len(pieces), sizes.n_cars))
    low, high = (
        part(columns) if sizes.has_network else np.zeros((len(pieces), 0))
        for columns in (at.voltage_low, at.voltage_high)
    )
    kvar = part(at.kvar_taken) - part(at.kvar_given)
    return Plan(
        charge_kw=part(at.charge),
        discharge_kw=part(at.discharge),
        energy_kwh=part(at.energy),
        shortfall_kwh=part(at.shortfall) if sizes.has_shortfall else none,
        help_kwh=part(at.help) if sizes.has_shortfall else none,
        battery_charge_kw=part(at.battery_charge),
        battery_discharge_kw=part(at.battery_discharge),
        battery_energy_kwh=part(at.battery_energy),
        pool_charge_kw=part(at.pool_charge),
        pool_discharge_kw=part(at.pool_discharge),
        pool_energy_kwh=part(at.pool_energy),
        pool_leaving_kwh=part(at.pool_leaving),
        pool_shortfall_kwh=part(at.pool_shortfall),
        import_kw=part(at.imported),
        export_kw=part(at.exported),
        curtailed_kw=part(at.curtailed),
        unserved_kw=part(at.unserved),
        spilled_kw=part(at.spilled),
        turbine_kw=pieces.reshape(shape).sum(axis=2),
        tie_forth_kw=part(at.tie_forth),
        tie_back_kw=part(at.tie_back),
        voltage=part(at.voltage) - low + high if sizes.has_network else low,
        voltage_low=low,
        voltage_high=high,
        battery_kvar=kvar,
        charger_kvar=part(at.charger_kvar_taken) - part(at.charger_kvar_given),
    )


def violation(problem: Problem, plan: Plan) -> float:
    """Largest amount by which a plan breaks an equation or a limit (kW or kWh), worked out from the problem alone."""
    worst = (
        _car_violation(problem, plan),
        _battery_violation(problem, plan),
        _pool_violation(problem, plan),
        _grid_violation(problem, plan),
        _network_violation(problem, plan),
        _reactive_violation(problem, plan),
    )
    return max(worst) if np.isfinite(worst).all() else float("inf")


def bus_demand_kw(problem: Problem, plan: Plan) -> FloatArray:
    """What each region takes from the feeder in a plan, (K, R), what the feeder itself loses left out."""
    assert problem.network is not None
    into_kw = net_inflow_kw(problem.site, plan.tie_forth_kw - plan.tie_back_kw)
    return into_kw - problem.network.loss_at_bus_kw


def bus_demand_kvar(problem: Problem, plan: Plan) -> FloatArray:
    """Reactive power that loads and inverters take from the feeder in a plan, (K, R)."""
    assert problem.network is not None
    return problem.network.load_kvar + _inverters_kvar(problem, plan)


def _inverters_kvar(problem: Problem, plan: Plan) -> FloatArray:
    """Reactive power that inverters take at each region, (K, R)."""
    at_region = np.zeros(problem.load_kw.shape)
    if has_reactive(problem.site):
        np.add.at(at_region.T, problem.site.battery_region_index, plan.battery_kvar.T)
    return at_region + plan.charger_kvar if has_charger_kvar(problem.site) else at_region


def cost(problem: Problem, plan: Plan, fuel_cost_per_h: FuelCost | None = None) -> float:
    """Objective of a plan (Eqs. 17-24 and the values of energy), by default at the true fuel cost.

    Parameters
    ----------
    fuel_cost_per_h
        Cost of all turbines' powers, shape (K, R) to (K, R); the site's true one when None.
    """
    site, h, itinerary = problem.site, problem.step_h, problem.itinerary
    fuel = site.turbine_fuel_cost_per_h if fuel_cost_per_h is None else fuel_cost_per_h
    grid = problem.buy_price_per_kwh * plan.import_kw - problem.sell_price_per_kwh * plan.export_kw
    curtailed = problem.curtailment_price_per_kwh * plan.curtailed_kw
    turbine = fuel(plan.turbine_kw) + site.turbine_operation_per_kwh * plan.turbine_kw
    throughput = (plan.battery_charge_kw + plan.battery_discharge_kw).sum() * site.battery_operation_per_kwh
    discharged = plan.discharge_kw.sum() + plan.battery_discharge_kw.sum() + plan.pool_discharge_kw.sum()
    last_resort = site.unserved_price_per_kwh * (plan.unserved_kw.sum() + plan.spilled_kw.sum())
    last_resort += (
        site.unserved_price_per_kwh * BEYOND_BAND_KW * (plan.voltage_low.sum() + plan.voltage_high.sum())
    )
    hourly = grid.sum() + curtailed.sum() + turbine.sum() + throughput + last_resort
    hourly += site.throughput_price_per_kwh * discharged
    reactive = np.abs(plan.battery_kvar).sum() + np.abs(plan.charger_kvar).sum()
    hourly += reactive_price_per_kvarh(site) * reactive
    lacking = site.shortfall_price_per_kwh * (plan.shortfall_kwh.sum() + plan.pool_shortfall_kwh.sum())
    lacking += problem.help_price_per_kwh * plan.help_kwh.sum()
    who = np.flatnonzero(itinerary.last_step >= 0)
    stored = float((problem.car_value_per_kwh[who] * plan.energy_kwh[itinerary.last_step[who], who]).sum())
    stored += site.energy_value_per_kwh * float(
        plan.battery_energy_kwh[-1].sum() + plan.pool_energy_kwh[-1].sum()
    )
    leaving = plan.pool_leaving_kwh - plan.pool_shortfall_kwh
    stored += float((problem.pool_departing_value_per_kwh * leaving).sum())
    return float(h * hourly + lacking - stored) + demand_cost(problem, plan.import_kw)


def demand_cost(problem: Problem, import_kw: FloatArray) -> float:
    """Demand charge of the horizon's days, what this day's peak is already included; ``import_kw`` has shape (K, R)."""
    if problem.site.demand_price_per_kw_day == 0.0:
        return 0.0
    last = np.flatnonzero(problem.day_ends()) + 1
    peaks = [day.max(axis=0) for day in np.split(import_kw, last[:-1])]
    peaks[0] = np.maximum(peaks[0], problem.peak_import_kw)
    return problem.site.demand_price_per_kw_day * float(np.sum(peaks))


def piecewise_fuel(pieces: tuple[PiecewiseCost, ...]) -> FuelCost:
    """Fuel cost of all regions' turbines by piecewise-linear costs: shape (K, R) to (K, R)."""

    def cost_per_h(power_kw: FloatArray) -> FloatArray:
        return np.stack([piece(power_kw[:, region]) for region, piece in enumerate(pieces)], axis=1)

    return cost_per_h


def _outside(value: FloatArray, lower: FloatArray | float, upper: FloatArray | float) -> float:
    return float(np.maximum(lower - value, value - upper).max(initial=0.0))


def _before(energy: NDArray[Number], start: NDArray[Number]) -> NDArray[Number]:
    return np.concatenate([start[None, :], energy[:-1]])


def _last_known(energy: FloatArray, start: FloatArray, is_known: BoolArray) -> FloatArray:
    """Energy at the last known step before each step, at first the start."""
    step = np.maximum.accumulate(np.where(is_known, 1 + np.arange(len(energy))[:, None], 0), axis=0)
    return np.take_along_axis(np.concatenate([start[None, :], energy]), _before(step, 0 * step[0]), axis=0)


def _car_violation(problem: Problem, plan: Plan) -> float:
    known, cars, itinerary = problem.itinerary.is_known, problem.cars, problem.itinerary
    stored = cars.charge_efficiency * plan.charge_kw - plan.discharge_kw / cars.discharge_efficiency
    before = _last_known(plan.energy_kwh, itinerary.start_kwh, known)
    change = problem.step_h * stored - itinerary.leaving_kwh + plan.help_kwh
    residual = np.where(known, plan.energy_kwh - before - change, 0.0)
    bounded = np.where(known, plan.energy_kwh, itinerary.lower_kwh)
    has_slack = bool(np.isfinite(problem.site.import_limit_kw).any())
    lower = itinerary.floor_kwh if has_slack else itinerary.lower_kwh
    gives = itinerary.fraction * problem.site.gives_from_cars(itinerary.region_index)
    return max(
        float(np.abs(residual).max(initial=0.0)),
        _outside(bounded, lower, itinerary.upper_kwh),
        _outside(bounded + plan.shortfall_kwh, itinerary.lower_kwh, np.inf),
        _outside(plan.charge_kw, 0.0, largest_charge_kw(problem, before)),
        _outside(plan.discharge_kw, 0.0, cars.discharge_limit_kw * gives),
        _outside(np.stack([plan.shortfall_kwh, plan.help_kwh]), 0.0, np.inf),
    )


def largest_charge_kw(problem: Problem, before_kwh: FloatArray) -> FloatArray:
    """Largest mean charging power of each car in each step, for its energy at the last known step before; (K, n)."""
    cars, itinerary = problem.cars, problem.itinerary
    limit: FloatArray = cars.charge_limit_kw * itinerary.fraction
    return limit if cars.taper is None else limit * cars.taper.share(before_kwh - itinerary.passed_kwh)


def _battery_violation(problem: Problem, plan: Plan) -> float:
    site, start = problem.site, problem.battery_energy_kwh
    stored = site.battery_charge_efficiency * plan.battery_charge_kw
    stored = stored - plan.battery_discharge_kw / site.battery_discharge_efficiency
    kept = site.battery_kept_per_step * _before(plan.battery_energy_kwh, start)
    residual = plan.battery_energy_kwh - kept - problem.step_h * stored
    lower, upper = problem.least_battery_kwh(), np.maximum(site.battery_energy_max_kwh, start)
    return max(
        float(np.abs(residual).max(initial=0.0)),
        _outside(plan.battery_energy_kwh, lower, upper),
        _outside(plan.battery_charge_kw, 0.0, site.battery_charge_limit_kw),
        _outside(plan.battery_discharge_kw, 0.0, site.battery_discharge_limit_kw),
    )


def _pool_violation(problem: Problem, plan: Plan) -> float:
    pools = problem.pools
    if pools is None:
        return 0.0
    stored = (
        pools.charge_efficiency * plan.pool_charge_kw - plan.pool_discharge_kw / pools.discharge_efficiency
    )
    change = problem.step_h * stored + pools.arriving_kwh - plan.pool_leaving_kwh + plan.pool_shortfall_kwh
    before = _before(plan.pool_energy_kwh, np.zeros(plan.pool_energy_kwh.shape[1]))
    return max(
        float(np.abs(plan.pool_energy_kwh - before - change).max(initial=0.0)),
        _outside(plan.pool_energy_kwh, pools.lower_kwh, pools.upper_kwh),
        _outside(plan.pool_charge_kw, 0.0, pools.charge_limit_kw),
        _outside(plan.pool_discharge_kw, 0.0, pools.discharge_limit_kw),
        _outside(plan.pool_leaving_kwh, pools.leaving_min_kwh, pools.leaving_max_kwh),
        _outside(plan.pool_shortfall_kwh, 0.0, pools.leaving_min_kwh),
    )


def _grid_violation(problem: Problem, plan: Plan) -> float:
    site = problem.site
    net = problem.supply_kw - problem.load_kw + plan.import_kw - plan.export_kw - plan.curtailed_kw
    net = (
        net
        + plan.unserved_kw
        - plan.spilled_kw
        + plan.turbine_kw
        + plan.pool_discharge_kw
        - plan.pool_charge_kw
    )
    for region in range(site.n_regions):
        here = site.battery_region_index == region
        net[:, region] += (plan.battery_discharge_kw - plan.battery_charge_kw)[:, here].sum(axis=1)
        plugged_here = problem.itinerary.region_index == region
        net[:, region] += ((plan.discharge_kw - plan.charge_kw) * plugged_here).sum(axis=1)
    forth, back, arrives = plan.tie_forth_kw, plan.tie_back_kw, 1.0 - site.tie_loss_fraction
    for tie, (begin, end) in enumerate(zip(site.tie_from_index, site.tie_to_index, strict=True)):
        net[:, begin] += back[:, tie] * arrives[tie] - forth[:, tie]
        net[:, end] += forth[:, tie] * arrives[tie] - back[:, tie]
    steps = np.abs(np.diff(plan.turbine_kw, axis=0, prepend=problem.turbine_kw[None, :]))
    runs = site.turbine_limit_kw > 0
    limit = np.maximum(site.turbine_limit_kw, problem.turbine_kw)
    return max(
        float(np.abs(net).max(initial=0.0)),
        _outside(plan.import_kw, 0.0, site.import_limit_kw),
        _outside(plan.export_kw, 0.0, site.export_limit_kw),
        _outside(plan.curtailed_kw, 0.0, np.maximum(problem.supply_kw, 0.0)),
        _outside(plan.unserved_kw, 0.0, np.maximum(problem.load_kw, 0.0)),
        _outside(plan.spilled_kw, 0.0, np.inf),
        _outside(plan.turbine_kw, 0.0, limit),
        _outside((steps - site.turbine_ramp_kw_per_step)[:, runs], -np.inf, 0.0),
        _outside(np.stack([forth, back]), 0.0, site.tie_limit_kw),
    )


def _network_violation(problem: Problem, plan: Plan) -> float:
    """Of the drops along branches and the band, in kW that would mend them, and of the branches' ratings."""
    network, numbers = problem.site.network, problem.network
    if network is None or numbers is None:
        return 0.0
    feeder, flow = network.feeder, plan.tie_forth_kw - plan.tie_back_kw
    along = plan.voltage[:, feeder.child_index] - plan.voltage[:, feeder.parent_index]
    decided = KAPPA * feeder.x_pu * (_inverters_kvar(problem, plan) @ feeder.below.T)
    residual = along + KAPPA * feeder.r_pu * flow + decided - numbers.drop
    lower, upper = MILLI * network.voltage_min_pu**2, MILLI * network.voltage_max_pu**2
    at_source = plan.voltage[:, feeder.source_index] - MILLI * network.source_pu**2
    others = np.arange(feeder.n_buses) != feeder.source_index
    held = (plan.voltage + plan.voltage_low - plan.voltage_high)[:, others]
    return max(
        float(np.abs(residual).max(initial=0.0)),
        float(np.abs(at_source).max(initial=0.0)),
        _outside(held, lower, upper),
        _outside(np.stack([plan.voltage_low, plan.voltage_high]), 0.0, np.inf),
        _outside(plan.tie_forth_kw, 0.0, numbers.forth_limit_kw),
        _outside(plan.tie_back_kw, 0.0, numbers.back_limit_kw),
    )


def _reactive_violation(problem: Problem, plan: Plan) -> float:
    """Of inverters' circles, chargers' bounds and the polygons of branches that carry their reactive power, in kVA."""
    site, numbers = problem.site, problem.network
    if site.network is None or numbers is None or numbers.rating_upper is None:
        return 0.0
    rating_kva, power = battery_rating_kva(site), plan.battery_charge_kw - plan.battery_discharge_kw
    rated = rating_kva > 0.0
    apparent = np.hypot(power, plan.battery_kvar) - rating_kva
    room = 0.0 if problem.charger_room_kvar is None else problem.charger_room_kvar
    through = _inverters_kvar(problem, plan) @ site.network.feeder.below.T
    flow = plan.tie_forth_kw - plan.tie_back_kw
    sides = ACTIVE * flow[..., np.newaxis] + REACTIVE * through[..., np.newaxis]
    return max(
        _outside(apparent[:, rated], -np.inf, 0.0),
        _outside(plan.battery_kvar[:, ~rated], 0.0, 0.0),
        _outside(np.abs(plan.charger_kvar), 0.0, room),
        _outside(sides, -np.inf, numbers.rating_upper),
    )
