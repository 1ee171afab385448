"""Key figures of a run (``kpis.json``): one list of names, units and meanings, from which docs are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One entry of ``kpis.json``; ``{cur}`` in name and unit stands for the scenario's currency."""

    name: str
    unit: str
    meaning: str

    def name_in(self, currency: str) -> str:
        """Name with the currency's lower-case code.

        >>> KeyFigure("total_cost_{cur}", "{cur}", "").name_in("CNY")
        'total_cost_cny'
        """
        return self.name.replace("{cur}", currency.lower())

    def unit_in(self, currency: str) -> str:
        """Write the unit with the currency's upper-case code.

        >>> KeyFigure("lambda_{cur}_per_kwh", "{cur}/kWh", "").unit_in("cny")
        'CNY/kWh'
        """
        return self.unit.replace("{cur}", currency.upper())


KEY_FIGURES: Final[tuple[KeyFigure, ...]] = (
    KeyFigure(
        "total_cost_{cur}",
        "{cur}",
        "fuel + operation + wear + grid + demand + curtailment, as spent within the run",
    ),
    KeyFigure("fuel_cost_{cur}", "{cur}", "turbine fuel at its true, non-convex cost (equations 18 and 19)"),
    KeyFigure(
        "operation_cost_{cur}",
        "{cur}",
        "operation of batteries (per kWh either way) and turbines (equation 20)",
    ),
    KeyFigure(
        "wear_cost_{cur}",
        "{cur}",
        "throughput price times the kWh discharged at the bus by cars and batteries",
    ),
    KeyFigure(
        "grid_cost_{cur}", "{cur}", "bought minus sold energy at each step's prices (equations 21 to 23)"
    ),
    KeyFigure(
        "demand_cost_{cur}", "{cur}", "demand charge: of each region's largest import of a step, day by day"
    ),
    KeyFigure(
        "curtailment_cost_{cur}", "{cur}", "curtailed PV and wind at the curtailment price (equation 24)"
    ),
    KeyFigure(
        "total_cost_net_{cur}",
        "{cur}",
        "total_cost minus lambda times the change of energy in cars and batteries",
    ),
    KeyFigure(
        "ev_bill_{cur}",
        "{cur}",
        "what the cars buy minus what they sell at their region's prices; not part of total_cost",
    ),
    KeyFigure("ev_bill_net_{cur}", "{cur}", "ev_bill minus lambda times the change of energy stored in cars"),
    KeyFigure("lambda_{cur}_per_kwh", "{cur}/kWh", "value of a stored kWh at the run's end"),
    KeyFigure(
        "compensation_{cur}",
        "{cur}",
        "paid to drivers per kWh that their cars discharged; a transfer, not part of total_cost or ev_bill",
    ),
    KeyFigure("energy_import_kwh", "kWh", "bought from the grid, all regions"),
    KeyFigure("energy_export_kwh", "kWh", "sold to the grid, all regions"),
    KeyFigure("peak_import_kw", "kW", "largest import of a step, summed over the regions"),
    KeyFigure(
        "peak_valley_kw", "kW", "largest less least exchange of a step, import less export over the regions"
    ),
    KeyFigure("renewables_used_kwh", "kWh", "PV and wind after curtailment"),
    KeyFigure("curtailed_kwh", "kWh", "PV and wind not used"),
    KeyFigure("ev_charged_kwh", "kWh", "taken by cars, at the bus"),
    KeyFigure("ev_discharged_kwh", "kWh", "given back by cars, at the bus"),
    KeyFigure("ev_stored_change_kwh", "kWh", "energy in cars at the end minus at the start"),
    KeyFigure(
        "battery_stored_change_kwh", "kWh", "energy in stationary batteries at the end minus at the start"
    ),
    KeyFigure("unmet_kwh", "kWh", "energy that cars were helped out with"),
    KeyFigure("departure_shortfall_kwh", "kWh", "sum over departures of max(0, required - stored)"),
    KeyFigure(
        "departures_met_share",
        "1",
        "of trips begun that require energy, the share that had it to 0.1 kWh; 1 where none does",
    ),
    KeyFigure(
        "departures_jain",
        "1",
        "Jain's fairness index of min(1, stored / required) over the same trips; 1: all alike",
    ),
    KeyFigure("late_departures", "", "trips begun later than planned, or planned and not begun by the end"),
    KeyFigure("early_departures", "", "trips begun before the departure that was declared at the plug-in"),
    KeyFigure("unserved_kwh", "kWh", "load not served"),
    KeyFigure("feeder_loss_kwh", "kWh", "lost in the lines and transformers of the feeder"),
    KeyFigure("voltage_min_pu", "1", "lowest voltage of a bus, by AC power flow; 1 without a feeder"),
    KeyFigure("voltage_max_pu", "1", "highest voltage of a bus, by AC power flow; 1 without a feeder"),
    KeyFigure("voltage_violations", "", "buses outside the scenario's voltage band, counted in each step"),
    KeyFigure("loading_max", "1", "highest loading of a line or transformer of the feeder"),
    KeyFigure(
        "overloads", "", "lines and transformers of the feeder beyond their rating, counted in each step"
    ),
    KeyFigure(
        "network_violation_steps",
        "",
        "steps with a voltage outside the band, an overload, or no power flow at all",
    ),
    KeyFigure(
        "no_power_flow_steps",
        "",
        "steps in which no power flow of the feeder exists: they have no losses, and count in no other of its figures",
    ),
    KeyFigure("emissions_kg", "kg", "CO2 of imported energy and turbine fuel"),
    KeyFigure("trips", "", "trips begun"),
    KeyFigure("distance_km", "km", "distance of the trips begun"),
    KeyFigure("queue_h", "h", "hours that cars waited for a charger, all regions"),
    KeyFigure("queued_stops", "", "stops at which a car waited for a charger"),
    KeyFigure(
        "unplugged_departures", "", "stops that a car left, or did not queue at, for want of a charger"
    ),
    KeyFigure(
        "sessions_served", "", "charging sessions that come within the run, each a car (travel from sessions)"
    ),
    KeyFigure("sessions_open_at_start", "", "charging sessions under way when the run begins; not simulated"),
    KeyFigure("sessions_dropped", "", "charging sessions within the run that cannot be, left out"),
    KeyFigure("decisions", "", "decisions taken"),
    KeyFigure("fallbacks", "", "decisions taken by the scenario's fallback"),
    KeyFigure("max_gap", "1", "largest relative gap of a decision; 0 when none states one"),
    KeyFigure("lowered_kwh", "kWh", "by which decisions lowered bounds that full charging could not reach"),
    KeyFigure(
        "clipped_kwh",
        "kWh",
        "energy of set-points that limits or the balance did not allow, cut (kvarh of reactive power too)",
    ),
)
"""In the order of ``kpis.json``."""
