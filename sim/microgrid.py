"""The microgrids as built: what a dispatcher may know of the site, and what its units can physically do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sim.arrays import FloatArray, IntArray
from sim.battery import kept_share, power_limits_kw, stored_energy
from sim.clock import DAY_S, STEP_H, STEP_S
from sim.contracts import Cars, Site
from sim.errors import PolicyError, ScenarioError
from sim.feeder.model import Network
from sim.feeder.placing import build_network
from sim.generation import Turbines
from sim.scenario import Scenario, StationaryBattery
from sim.tariff import Locate, energy_value_per_kwh

Unit = tuple[int, StationaryBattery]


def build_site(scenario: Scenario, locate: Locate = Path) -> Site:
    """Build the site of a scenario.

    Parameters
    ----------
    scenario
        Validated.
    locate
        How a file's name becomes its path (a published tariff is read for lambda = ``auto``); by default the
        name is the path.

    Raises
    ------
    ScenarioError
        When ties name unknown regions or themselves, a turbine's efficiency is not positive somewhere in its
        range, or lambda cannot be found (all faults of the first two).
    """
    turbines = build_turbines(scenario)
    if faults := [*_tie_faults(scenario), *_turbine_faults(scenario, turbines)]:
        raise ScenarioError(faults)
    regions, economics = scenario.regions, scenario.economics
    network = build_network(scenario, locate)
    begins, ends, tie_limit_kw, tie_loss_fraction = _ties(scenario, network)
    units = battery_units(scenario)
    ramp_kw_per_h = [region.turbine.ramp_kw_per_h if region.turbine else 0.0 for region in regions]
    return Site(
        step_s=STEP_S,
        end_s=scenario.simulation.days * DAY_S,
        region_names=scenario.region_names,
        import_limit_kw=_limits([region.import_limit_kw for region in regions]),
        export_limit_kw=_limits([region.export_limit_kw for region in regions]),
        can_discharge_cars=np.array([region.bidirectional for region in regions], dtype=np.bool_),
        turbine_limit_kw=turbines.limit_kw,
        turbine_ramp_kw_per_step=np.array(ramp_kw_per_h) * STEP_H,
        turbine_fuel_cost_per_h=turbines.fuel_cost_per_h,
        battery_region_index=np.array([i for i, _ in units], dtype=np.int64),
        battery_energy_min_kwh=_column(units, lambda unit: unit.capacity_kwh * unit.soc_min),
        battery_energy_max_kwh=_column(units, lambda unit: unit.capacity_kwh * unit.soc_max),
        battery_charge_limit_kw=_column(units, lambda unit: unit.charge_limit_kw),
        battery_discharge_limit_kw=_column(units, lambda unit: unit.discharge_limit_kw),
        battery_charge_efficiency=_column(units, lambda unit: unit.charge_efficiency),
        battery_discharge_efficiency=_column(units, lambda unit: unit.discharge_efficiency),
        battery_kept_per_step=_column(
            units, lambda unit: kept_share(unit.self_discharge_per_day, STEP_S / DAY_S)
        ),
        tie_from_index=begins,
        tie_to_index=ends,
        tie_limit_kw=tie_limit_kw,
        tie_loss_fraction=tie_loss_fraction,
        battery_operation_per_kwh=economics.battery_operation_per_kwh,
        turbine_operation_per_kwh=economics.turbine_operation_per_kwh,
        throughput_price_per_kwh=economics.throughput_price_per_kwh,
        demand_price_per_kw_day=economics.demand_price_per_kw_day,
        unserved_price_per_kwh=economics.unserved_price_per_kwh,
        shortfall_price_per_kwh=economics.shortfall_price_per_kwh,
        energy_value_per_kwh=energy_value_per_kwh(scenario, locate),
        network=network,
        battery_apparent_kva=_apparent_kva(units),
        charger_kvar_per_kw=_charger_kvar_per_kw(scenario),
    )


def _apparent_kva(units: tuple[Unit, ...]) -> FloatArray | None:
    """Ratings of the batteries' inverters for reactive power, 0 where there is none; None where none has one."""
    ratings = _column(units, lambda unit: unit.apparent_power_kva or 0.0)
    return ratings if ratings.any() else None


def _charger_kvar_per_kw(scenario: Scenario) -> FloatArray | None:
    """Reactive power of each region's chargers per kW of their cars' limits; None where no region has any."""
    per_kw = np.array([region.charger_kvar_per_kw for region in scenario.regions], dtype=np.float64)
    return per_kw if per_kw.any() else None


def _ties(scenario: Scenario, network: Network | None) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Where ties begin and end, their limits and losses: the scenario's, or a feeder's branches.

    Limits and losses of branches are the network's to know.
    """
    if network is not None:
        feeder = network.feeder
        free = np.full(feeder.n_branches, np.inf)
        return feeder.parent_index, feeder.child_index, free, np.zeros(feeder.n_branches)
    index = {name: i for i, name in enumerate(scenario.region_names)}
    ties = scenario.ties
    return (
        np.array([index[tie.from_region] for tie in ties], dtype=np.int64),
        np.array([index[tie.to_region] for tie in ties], dtype=np.int64),
        _limits([tie.limit_kw for tie in ties]),
        np.array([tie.loss_fraction for tie in ties], dtype=np.float64),
    )


def build_turbines(scenario: Scenario) -> Turbines:
    """Micro-turbines of all regions; limit 0 kW where there is none."""

    def column(name: str, absent: float) -> FloatArray:
        units = [region.turbine for region in scenario.regions]
        return np.array([absent if unit is None else float(getattr(unit, name)) for unit in units])

    return Turbines(
        limit_kw=column("limit_kw", 0.0),
        gas_price_per_m3=column("gas_price_per_m3", 0.0),
        lower_heating_value_kwh_per_m3=column("lower_heating_value_kwh_per_m3", 1.0),
        efficiency_cubic=column("efficiency_cubic", 0.0),
        efficiency_square=column("efficiency_square", 0.0),
        efficiency_linear=column("efficiency_linear", 0.0),
        efficiency_constant=column("efficiency_constant", 1.0),
    )


def battery_units(scenario: Scenario) -> tuple[Unit, ...]:
    """Stationary batteries as (region index, battery), by region and then in the scenario's order."""
    return tuple((i, unit) for i, region in enumerate(scenario.regions) for unit in region.batteries)


def initial_battery_kwh(scenario: Scenario) -> FloatArray:
    """Energy in each stationary battery at the run's start, shape (B,)."""
    return _column(battery_units(scenario), lambda unit: unit.capacity_kwh * unit.initial_soc)


def admissible_battery_kw(
    site: Site, energy_kwh: FloatArray, power_kw: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Nearest battery set-points that keep power and energy within limits for a whole step.

    Parameters
    ----------
    energy_kwh : ndarray, shape (B,)
        Stored now.
    power_kw : ndarray, shape (B,)
        As asked, charging positive.

    Returns
    -------
    admissible_kw, clipped_kw : ndarray, shape (B,)
        What can be done, and by how much the request was cut (non-negative, to be counted).

    Raises
    ------
    PolicyError
        When a set-point is not a finite number.
    """
    _require_finite("battery_power_kw", power_kw)
    least_kw, largest_kw = power_limits_kw(
        site.battery_kept_per_step * energy_kwh,
        STEP_S,
        energy_min_kwh=site.battery_energy_min_kwh,
        energy_max_kwh=site.battery_energy_max_kwh,
        charge_limit_kw=site.battery_charge_limit_kw,
        discharge_limit_kw=site.battery_discharge_limit_kw,
        charge_efficiency=site.battery_charge_efficiency,
        discharge_efficiency=site.battery_discharge_efficiency,
    )
    return _clipped(power_kw, least_kw, largest_kw)


def battery_energy_after_kwh(site: Site, energy_kwh: FloatArray, power_kw: FloatArray) -> FloatArray:
    """Energy after a step of admissible powers: self-discharge first, then what is charged or discharged; (B,).

    What lies beyond the limits is rounding and clipped, but that self-discharge goes on below the least energy.
    """
    kept_kwh = site.battery_kept_per_step * energy_kwh
    after_kwh = stored_energy(
        kept_kwh, power_kw, STEP_S, site.battery_charge_efficiency, site.battery_discharge_efficiency
    )
    return np.clip(after_kwh, np.minimum(site.battery_energy_min_kwh, kept_kwh), site.battery_energy_max_kwh)


def admissible_battery_kvar(
    site: Site, power_kw: FloatArray, reactive_kvar: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Nearest reactive powers that the inverters can carry beside their active power: P^2 + Q^2 <= S^2.

    Parameters
    ----------
    power_kw : ndarray, shape (B,)
        Admissible set-points; what settlement cuts of them only leaves more room.
    reactive_kvar : ndarray, shape (B,)
        As asked, taken from the feeder positive; None is nothing.

    Returns
    -------
    admissible_kvar, clipped_kvar : ndarray, shape (B,)
        What can be done, and by how much the request was cut (non-negative, to be counted).

    Raises
    ------
    PolicyError
        When a set-point is not a finite number.
    """
    return _within_room_kvar("battery_kvar", reactive_kvar, reactive_room_kvar(site, power_kw))


def reactive_room_kvar(site: Site, power_kw: FloatArray) -> FloatArray:
    """Reactive power that each battery's inverter can take or give beside an active power, (B,) or (K, B)."""
    if site.network is None or site.battery_apparent_kva is None:
        return np.zeros_like(power_kw)
    return np.sqrt(np.maximum(site.battery_apparent_kva**2 - power_kw**2, 0.0))


def admissible_charger_kvar(
    site: Site, cars: Cars, reactive_kvar: FloatArray | None
) -> tuple[FloatArray, FloatArray]:
    """Nearest reactive powers that the chargers of each region can take or give for a whole step; shapes (R,).

    Parameters
    ----------
    cars
        As they stand at the step's beginning.
    reactive_kvar
        As asked, taken from the feeder positive; None is nothing.

    Returns
    -------
    admissible_kvar, clipped_kvar : ndarray, shape (R,)
        What can be done, and by how much the request was cut (non-negative, to be counted).

    Raises
    ------
    PolicyError
        When a set-point is not a finite number.
    """
    return _within_room_kvar("charger_kvar", reactive_kvar, charger_room_kvar(site, cars))


def charger_room_kvar(site: Site, cars: Cars) -> FloatArray:
    """Reactive power that the chargers of each region can take or give beside any power of the plugged cars, (R,)."""
    if site.network is None or site.charger_kvar_per_kw is None:
        return np.zeros(site.n_regions)
    region, limit_kw = cars.region_index[cars.is_plugged], cars.charge_limit_kw[cars.is_plugged]
    return site.charger_kvar_per_kw * np.bincount(region, limit_kw, site.n_regions)


def admissible_turbine_kw(
    site: Site, last_kw: FloatArray, power_kw: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Nearest turbine set-points within limit and ramp (Zhang 2025, Eqs. 27 and 28); shapes (R,).

    Returns
    -------
    admissible_kw, clipped_kw : ndarray, shape (R,)
        What can be done, and by how much the request was cut (non-negative, to be counted).

    Raises
    ------
    PolicyError
        When a set-point is not a finite number.
    """
    _require_finite("turbine_kw", power_kw)
    ramp_kw = site.turbine_ramp_kw_per_step
    least_kw = np.maximum(0.0, last_kw - ramp_kw)
    return _clipped(power_kw, least_kw, np.minimum(site.turbine_limit_kw, last_kw + ramp_kw))


def _within_room_kvar(
    name: str, reactive_kvar: FloatArray | None, most_kvar: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Nearest reactive powers within what can be taken or given, and what is cut; nothing asked is nothing."""
    if reactive_kvar is None:
        return np.zeros_like(most_kvar), np.zeros_like(most_kvar)
    _require_finite(name, reactive_kvar)
    return _clipped(reactive_kvar, -most_kvar, most_kvar)


def _clipped(
    power_kw: FloatArray, least_kw: FloatArray, largest_kw: FloatArray
) -> tuple[FloatArray, FloatArray]:
    admissible_kw = np.clip(power_kw, least_kw, largest_kw)
    return admissible_kw, np.abs(power_kw - admissible_kw)


def _require_finite(name: str, values: FloatArray) -> None:
    if not np.isfinite(values).all():
        raise PolicyError(f"{name} must be finite numbers, is {np.asarray(values).tolist()}")


def _limits(values: list[Any]) -> FloatArray:
    return np.array([np.inf if value == "unlimited" else value for value in values], dtype=np.float64)


def _column(units: tuple[Unit, ...], pick: Callable[[StationaryBattery], float]) -> FloatArray:
    return np.array([pick(unit) for _, unit in units], dtype=np.float64)


def _tie_faults(scenario: Scenario) -> list[str]:
    names = set(scenario.region_names)
    unknown = [
        f"ties.{i}.{end}: no region is named {getattr(tie, end)!r}"
        for i, tie in enumerate(scenario.ties)
        for end in ("from_region", "to_region")
        if getattr(tie, end) not in names
    ]
    loops = [
        f"ties.{i}: both ends are {tie.from_region!r}"
        for i, tie in enumerate(scenario.ties)
        if tie.from_region == tie.to_region
    ]
    return unknown + loops


def _turbine_faults(scenario: Scenario, turbines: Turbines) -> list[str]:
    return [
        f"regions.{name}.turbine: efficiency falls to {least:g} between 0 and {limit:g} kW, must stay above 0"
        for name, least, limit in zip(
            scenario.region_names, turbines.least_efficiency(), turbines.limit_kw, strict=True
        )
        if limit > 0.0 and least <= 0.0
    ]
