"""The run folder's tables: one schema that validates, orders and documents them.

Conventions: instants and durations are int64 seconds since the scenario's start; powers are means over the row's
span in kW at the bus; ``battery_kw`` and ``tie_kw`` are signed (charging and into the region positive), all else
is >= 0 unless its meaning says otherwise. Balance per region and step::

    load - unserved + battery + ev_charge - ev_discharge + export
        = pv - pv_curtailed + wind - wind_curtailed + turbine + import + tie
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

Dtype = Literal["int64", "float64", "string", "bool"]
_ARROW: Final[dict[Dtype, pa.DataType]] = {
    "int64": pa.int64(),
    "float64": pa.float64(),
    "string": pa.string(),
    "bool": pa.bool_(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name, type, unit, meaning, and whether it may be null."""

    name: str
    dtype: Dtype
    unit: str
    meaning: str
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the run folder."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    def arrow_schema(self) -> pa.Schema:
        """Arrow schema, columns in order."""
        return pa.schema([pa.field(c.name, _ARROW[c.dtype], nullable=c.nullable) for c in self.columns])

    def build(self, values: Mapping[str, Any]) -> pa.Table:
        """Arrow table from columns, checked against the schema.

        Raises
        ------
        ValueError
            When columns are missing, unknown, of different lengths, null where they may not be, or not finite
            where null would say so.
        """
        expected = [column.name for column in self.columns]
        if sorted(values) != sorted(expected):
            missing, extra = set(expected) - set(values), set(values) - set(expected)
            raise ValueError(
                f"table {self.name}: missing columns {sorted(missing)}, unknown columns {sorted(extra)}"
            )
        arrays = [_as_arrow(self.name, column, values[column.name]) for column in self.columns]
        if len({len(array) for array in arrays}) > 1:
            raise ValueError(f"table {self.name}: columns differ in length")
        return pa.Table.from_arrays(arrays, schema=self.arrow_schema())


def _as_arrow(table: str, column: Column, values: Any) -> pa.Array:
    array = (
        values
        if isinstance(values, pa.Array | pa.ChunkedArray)
        else pa.array(values, type=_ARROW[column.dtype])
    )
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if not column.nullable and array.null_count:
        raise ValueError(f"table {table}: {array.null_count} nulls in {column.name}")
    if (
        column.dtype == "float64"
        and not column.nullable
        and not np.isfinite(array.to_numpy(zero_copy_only=False)).all()
    ):
        raise ValueError(f"table {table}: values of {column.name} are not finite")
    return array.cast(_ARROW[column.dtype])


def _table(
    name: str, meaning: str, *columns: tuple[str, Dtype, str, str] | tuple[str, Dtype, str, str, bool]
) -> Table:
    return Table(name, meaning, tuple(Column(*column) for column in columns))


VEHICLES: Final = _table(
    "vehicles",
    "One row per car.",
    ("vehicle_id", "int64", "", "identity, from 0"),
    ("vehicle_class", "string", "", "class of the scenario"),
    ("home_region", "string", "", "region where its days begin and end"),
    ("work_region", "string", "", "its work place (empty when the scenario has none)"),
    ("chain", "string", "", "place types visited on the first day, such as H-W-O-H"),
    ("battery_kwh", "float64", "kWh", "rated energy"),
    ("charge_limit_kw", "float64", "kW", "largest charging power at the bus"),
    ("discharge_limit_kw", "float64", "kW", "largest discharging power at the bus"),
    ("charge_efficiency", "float64", "1", "bus to battery"),
    ("discharge_efficiency", "float64", "1", "battery to bus"),
    ("soc_min", "float64", "1", "least state of charge"),
    ("soc_max", "float64", "1", "largest state of charge"),
    ("consumption_kwh_per_km", "float64", "kWh/km", "of driving"),
    ("takes_part", "bool", "", "whether it may be scheduled; others charge at full power when plugged in"),
)
TRIPS: Final = _table(
    "trips",
    "One row per planned trip that begins within the run.",
    ("vehicle_id", "int64", "", "car"),
    ("day", "int64", "", "day on which the trip is planned to begin"),
    ("trip_index", "int64", "", "number of the trip within the car's day, from 0"),
    ("origin", "string", "", "region"),
    ("destination", "string", "", "region"),
    ("planned_depart_s", "int64", "s", "as planned, independent of the policy"),
    ("planned_arrive_s", "int64", "s", "as planned"),
    ("depart_s", "int64", "s", "as it happened; null when not begun", True),
    ("arrive_s", "int64", "s", "as it happened; null when not arrived by the run's end", True),
    ("distance_km", "float64", "km", "driven distance"),
    ("energy_kwh", "float64", "kWh", "distance times consumption"),
    ("required_kwh", "float64", "kWh", "stored energy needed at departure: the domain's lower bound"),
    (
        "unmet_kwh",
        "float64",
        "kWh",
        "energy a short car was helped out with; arrival = departure - energy + unmet",
    ),
    (
        "declared_depart_s",
        "int64",
        "s",
        "departure as declared at the plug-in before; null when none was, or not plugged in",
        True,
    ),
)
SEGMENTS: Final = _table(
    "segments",
    "The life of each car: rows tile the run and end only where activity, region, plugged or power changes.",
    ("vehicle_id", "int64", "", "car"),
    ("start_s", "int64", "s", "beginning"),
    ("end_s", "int64", "s", "end"),
    ("activity", "string", "", "parked, driving or away"),
    ("region", "string", "", "where it is parked; null while driving or away", True),
    ("plugged", "bool", "", "whether it is at a charger"),
    ("power_kw", "float64", "kW", "signed: charging positive, discharging negative"),
    ("energy_start_kwh", "float64", "kWh", "stored at the beginning"),
    ("energy_end_kwh", "float64", "kWh", "stored at the end"),
)
SERVED: Final = "served"
OPEN_AT_START: Final = "open at the start"
SESSIONS: Final = _table(
    "sessions",
    "Charging sessions around the run, as their file has them (no rows where travel has another source).",
    ("session_id", "string", "", "as in the file"),
    (
        "status",
        "string",
        "",
        "served, open at the start (not simulated), or what is wrong with it: unreadable, time zone, order, "
        "declaration, battery, energy beyond the stay, duplicate, overlap",
    ),
    ("vehicle_id", "int64", "", "car that the session is; null when it is not simulated", True),
    ("region", "string", "", "where it charges"),
    ("arrive_s", "int64", "s", "arrival; null when not readable", True),
    ("depart_s", "int64", "s", "departure; null when not readable", True),
    ("energy_kwh", "float64", "kWh", "taken at the bus, which is its need; null when not readable", True),
    ("declared_depart_s", "int64", "s", "departure as the driver estimated it; null when none was", True),
    ("declared_kwh", "float64", "kWh", "energy at the bus as asked for; null when none was", True),
    ("charge_limit_kw", "float64", "kW", "largest charging power of car and charger"),
)
QUEUE: Final = _table(
    "queue",
    "Waits for a charger where there are fewer than cars (no row where one was free at once).",
    ("vehicle_id", "int64", "", "car"),
    ("region", "string", "", "where it waits"),
    ("join_s", "int64", "s", "from when on"),
    ("end_s", "int64", "s", "until when"),
    (
        "outcome",
        "string",
        "",
        "plugged; left (unplugged, at its departure); balked (found too many waiting, and parks unplugged); "
        "waiting (at the run's end)",
    ),
)
DOMAIN: Final = _table(
    "domain",
    "The plugged fleet's capacity domain at each step's beginning, summed by region.",
    ("step_start_s", "int64", "s", "beginning of the step"),
    ("region", "string", "", "region"),
    ("n_plugged", "int64", "", "cars plugged in"),
    ("energy_kwh", "float64", "kWh", "their stored energy"),
    ("lower_kwh", "float64", "kWh", "sum of backward lower bounds for the departures as declared"),
    (
        "upper_kwh",
        "float64",
        "kWh",
        "sum of forward upper bounds: full charging at every plugged second so far",
    ),
)
GRID: Final = _table(
    "grid",
    "Each region's microgrid in each step.",
    ("step_start_s", "int64", "s", "beginning of the step"),
    ("region", "string", "", "region"),
    ("load_kw", "float64", "kW", "base load as demanded"),
    ("unserved_kw", "float64", "kW", "part of it not served"),
    ("pv_kw", "float64", "kW", "photovoltaic power available"),
    ("pv_curtailed_kw", "float64", "kW", "part of it not used"),
    ("wind_kw", "float64", "kW", "wind power available"),
    ("wind_curtailed_kw", "float64", "kW", "part of it not used"),
    (
        "feed_in_cap_kw",
        "float64",
        "kW",
        "most that PV and wind may give together, as a policy set it; null where it did not",
        True,
    ),
    ("turbine_kw", "float64", "kW", "micro-turbine"),
    ("battery_kw", "float64", "kW", "signed: stationary batteries, charging positive"),
    ("battery_energy_kwh", "float64", "kWh", "stored in them at the step's end"),
    ("ev_charge_kw", "float64", "kW", "cars charging"),
    ("ev_discharge_kw", "float64", "kW", "cars discharging"),
    (
        "charger_kvar",
        "float64",
        "kvar",
        "signed: reactive power of the cars' chargers, taken from the feeder positive",
    ),
    ("import_kw", "float64", "kW", "from the grid"),
    ("export_kw", "float64", "kW", "to the grid"),
    ("tie_kw", "float64", "kW", "signed: net over ties, into the region positive"),
    ("buy_price_per_kwh", "float64", "currency/kWh", "signed: price of import"),
    ("sell_price_per_kwh", "float64", "currency/kWh", "signed: price of export"),
    ("curtailment_price_per_kwh", "float64", "currency/kWh", "price of curtailed PV and wind"),
)
STORAGE: Final = _table(
    "storage",
    "Each stationary unit in each step.",
    ("step_start_s", "int64", "s", "beginning of the step"),
    ("unit_id", "int64", "", "unit, from 0 in the scenario's order"),
    ("region", "string", "", "region"),
    ("power_kw", "float64", "kW", "signed: charging positive"),
    ("energy_kwh", "float64", "kWh", "stored at the step's end"),
    ("reactive_kvar", "float64", "kvar", "signed: reactive power, taken from the feeder positive"),
)
TIES: Final = _table(
    "ties",
    "Each electrical tie in each step (no rows when there are none).",
    ("step_start_s", "int64", "s", "beginning of the step"),
    ("from_region", "string", "", "as in the scenario"),
    ("to_region", "string", "", "as in the scenario"),
    ("flow_kw", "float64", "kW", "signed: leaving from_region; what arrives is less by loss_kw"),
    ("loss_kw", "float64", "kW", "lost on the way, at the receiving end"),
)
VOLTAGES: Final = _table(
    "voltages",
    "Voltage of each bus in each step by AC power flow (no rows without a feeder).",
    ("step_start_s", "int64", "s", "beginning of the step"),
    ("region", "string", "", "region at the bus"),
    ("bus", "string", "", "bus of the feeder"),
    ("voltage_pu", "float64", "1", "per unit of its rated voltage; null where no power flow exists", True),
)
BRANCHES: Final = _table(
    "branches",
    "Each line and transformer of the feeder in each step by AC power flow (no rows without a feeder).",
    ("step_start_s", "int64", "s", "beginning of the step"),
    ("branch", "string", "", "line or transformer"),
    ("from_region", "string", "", "region at the end nearer to the source"),
    ("to_region", "string", "", "region at its other end"),
    (
        "sent_kw",
        "float64",
        "kW",
        "signed: into the branch at from_region; null where no power flow exists, like all that follow",
        True,
    ),
    ("sent_kvar", "float64", "kvar", "signed: the same of reactive power", True),
    ("loss_kw", "float64", "kW", "lost in it", True),
    ("loss_kvar", "float64", "kvar", "signed: reactive power taken by it, less what a cable gives", True),
    (
        "loading",
        "float64",
        "1",
        "current over ampacity (transformers: power over rating) at the busier end; 0 where unlimited",
        True,
    ),
)
DECISIONS: Final = _table(
    "decisions",
    "How each decision was reached.",
    ("step_start_s", "int64", "s", "beginning of the step decided"),
    ("status", "string", "", "optimal, feasible, fallback:NAME or none"),
    ("objective", "float64", "currency", "signed: of the program whose set-points are executed", True),
    ("bound", "float64", "currency", "signed: certified lower bound on it", True),
    ("gap", "float64", "1", "(objective - bound) / max(1, |objective|)", True),
    (
        "turbine_bound",
        "float64",
        "currency",
        "signed: objective with the convex under-estimator of the fuel cost",
        True,
    ),
    ("turbine_gap", "float64", "1", "true-cost objective executed against turbine_bound, relative", True),
    ("binaries", "int64", "", "binary variables"),
    ("iterations", "int64", "", "solver iterations"),
    ("fallback", "bool", "", "whether the scenario's fallback decided"),
    ("lowered_kwh", "float64", "kWh", "by which unreachable lower bounds were lowered"),
    ("max_overlap_kw", "float64", "kW", "largest simultaneous charge and discharge in the solver's answer"),
    (
        "feeder_rounds",
        "int64",
        "",
        "solves until the plan kept the feeder's limits by AC power flow, one had no answer, or no more were allowed; "
        "0: not asked",
    ),
    (
        "feeder_unsolved",
        "bool",
        "",
        "whether the last of these solves had no answer: the plan before it stands, which leaves the limits",
    ),
    ("seconds", "float64", "s", "wall-clock, from snapshot received to set-points returned"),
)
REASONS: Final = ("departure", "cheap", "dear", "full", "kept", "waits")
"""Words of ``marginals.reason``.

Charging: for a *departure* (it would not pay otherwise), or because energy is *cheap*. Giving back: energy is *dear*.
Idle: *full*; *kept* at the least energy it may hold; or it *waits*, for neither way pays now.
"""
MARGINALS: Final = _table(
    "marginals",
    "Duals of each decision of the policies that optimise cars (rolling, margin, stochastic).",
    ("step_start_s", "int64", "s", "beginning of the step decided"),
    ("vehicle_id", "int64", "", "car; null for the region's own row", True),
    ("region", "string", "", "region"),
    (
        "marginal_value_per_kwh",
        "float64",
        "currency/kWh",
        "signed: of energy, at the bus (region) or in the battery (car)",
    ),
    ("binding_limit", "string", "", "what holds the set-point, empty when nothing does"),
    ("protected_departure_s", "int64", "s", "departure whose requirement binds; null when none", True),
    ("departure_dual_per_kwh", "float64", "currency/kWh", "signed: price of that requirement"),
    (
        "best_later_step_s",
        "int64",
        "s",
        "best later step in the stay for the same action; null when none",
        True,
    ),
    ("best_later_value_per_kwh", "float64", "currency/kWh", "signed: the marginal value there", True),
    (
        "set_point_kw",
        "float64",
        "kW",
        "signed: decided power of a car while plugged in; planned import less export of a region",
        True,
    ),
    (
        "terminal_value_per_kwh",
        "float64",
        "currency/kWh",
        "signed: of a kWh left in a car where the program stops following it",
        True,
    ),
    (
        "requirement_duals_per_kwh",
        "float64",
        "currency/kWh",
        "sum of the prices of all energies a car must still hold; marginal value = terminal value + this "
        "- full_duals_per_kwh",
        True,
    ),
    (
        "dearest_departure_s",
        "int64",
        "s",
        "departure with the highest of these prices; null when none, or when it is no departure's",
        True,
    ),
    (
        "full_duals_per_kwh",
        "float64",
        "currency/kWh",
        "sum of the prices of a car's being full later on",
        True,
    ),
    ("full_s", "int64", "s", "when it is full at the highest of these prices; null when none", True),
    (
        "limit_worth_per_kw",
        "float64",
        "currency/kW",
        "worth of one more kW, in this step, of the charge, discharge, import or export limit that binds; "
        "0 when none does",
        True,
    ),
    ("reason", "string", "", "why a car charges, gives back or waits: " + ", ".join(REASONS), True),
    (
        "ambiguous",
        "string",
        "",
        "empty, or what may have other numbers at the same cost: value, plan, value and plan",
        True,
    ),
    (
        "program",
        "string",
        "",
        "whose duals these are: relaxation, turbines off, one way (directions fixed, with binaries or without)",
        True,
    ),
)
FORECASTS: Final = _table(
    "forecasts",
    "Every forecast as issued (written up to the scenario's days and regions).",
    ("issue_step_s", "int64", "s", "when issued"),
    ("target_step_s", "int64", "s", "beginning of the step forecast"),
    ("region", "string", "", "region"),
    ("load_kw", "float64", "kW", "base load"),
    ("pv_kw", "float64", "kW", "photovoltaic power available"),
    ("wind_kw", "float64", "kW", "wind power available"),
    ("buy_price_per_kwh", "float64", "currency/kWh", "signed: price of import"),
    ("arrivals_n", "float64", "", "stays that begin in the step"),
    ("arrivals_kwh", "float64", "kWh", "their stored energy"),
    ("leaving_kwh", "float64", "kWh", "least energy of stays that end in the step"),
)

ALL_TABLES: Final[tuple[Table, ...]] = (
    VEHICLES, TRIPS, SEGMENTS, SESSIONS, QUEUE, DOMAIN, GRID, STORAGE, TIES, VOLTAGES, BRANCHES,
    DECISIONS, MARGINALS, FORECASTS,
)  # fmt: skip
BY_NAME: Final[dict[str, Table]] = {table.name: table for table in ALL_TABLES}
