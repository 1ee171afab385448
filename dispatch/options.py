"""What a scenario says about how decisions are made, as the policies of this folder need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sim.scenario import Scenario

DepartingValue = float | Literal["median_price", "lambda", "chain_statistics"]
Exclusivity = Literal["relaxation", "repair", "milp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchOptions:
    """The scenario's `dispatch` part; the meaning of each field is told in `sim.scenario.Dispatch`."""

    departing_energy_value: DepartingValue
    exclusivity: Exclusivity
    mip_relative_gap: float
    mip_node_limit: int
    turbine: Literal["convex", "off"]
    iteration_limit: int
    fallback: Literal["charge", "idle"]
    max_exact_cars: int
    window: Literal["rolling", "shrinking"]
    margin_level: float
    departure_margin_min: float
    required_margin_soc: float
    car_limit_kw: float  # inf where there is none
    feeder_limits: Literal["ignore", "keep"]
    feeder_rounds: int
    feeder_rating_margin: float
    feeder_voltage_margin_pu: float

    @classmethod
    def from_scenario(cls, scenario: Scenario) -> DispatchOptions:
        """Options of a validated scenario."""
        part = scenario.dispatch
        return cls(
            departing_energy_value=part.departing_energy_value,
            exclusivity=part.exclusivity,
            mip_relative_gap=part.mip_relative_gap,
            mip_node_limit=part.mip_node_limit,
            turbine=part.turbine,
            iteration_limit=part.iteration_limit,
            fallback=part.fallback,
            max_exact_cars=part.max_exact_cars,
            window=part.window,
            margin_level=part.margin_level,
            departure_margin_min=part.departure_margin_min,
            required_margin_soc=part.required_margin_soc,
            car_limit_kw=float("inf") if part.car_limit_kw == "unlimited" else part.car_limit_kw,
            feeder_limits=part.feeder_limits,
            feeder_rounds=part.feeder_rounds,
            feeder_rating_margin=part.feeder_rating_margin,
            feeder_voltage_margin_pu=part.feeder_voltage_margin_pu,
        )
