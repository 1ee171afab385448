"""The scenario: every number that a run depends on, as validated data.

Models forbid unknown keys and carry units in field names. No physical number is a default here: numbers live
in the TOML files of ``experiments/scenarios``, which a user's scenario may extend. Reading is in
``sim.scenario_reading``; the reference page of the docs is generated from these descriptions.
"""

from __future__ import annotations

import math
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from sim.clock import STEP_H

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Unlimited = Literal["unlimited"]


class Part(BaseModel):
    """Base of all parts: unknown keys are faults; values are frozen, finite and of their own type."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


def _by_key(tag_of_key: dict[str, str], otherwise: str) -> Discriminator:
    """Choose a union's member by a key that only it has, so that faults are told of that member alone."""

    def tag(value: Any) -> str:
        for key, found in tag_of_key.items():
            if key in value if isinstance(value, dict) else hasattr(value, key):
                return found
        return otherwise

    return Discriminator(tag)


def _by_kind(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"<{kind}>" if isinstance(kind, str) else None


def _number_or_table(value: Any) -> str:
    return "<series>" if isinstance(value, dict | SeriesRef) else "<number>"


class About(Part):
    """What the scenario is, for people."""

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Short name; names run folders.")
    ]
    description: Annotated[str, Field(description="One or two sentences for people.")] = ""
    currency: Annotated[
        str, Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 code of all money in this scenario.")
    ]


class Simulation(Part):
    """When, how long, and which draw."""

    start: Annotated[
        date, Field(ge=date(1900, 1, 1), le=date(2100, 1, 1), description="First day of the run, YYYY-MM-DD.")
    ]
    time_zone: Annotated[str, Field(description="IANA zone; the clock is its standard time, all year.")]
    days: Annotated[int, Field(ge=1, le=3660, description="Length of the run in days.")]
    seed: Annotated[int, Field(ge=0, description="Root of all chance.")]
    replication: Annotated[int, Field(ge=0, description="Replication of a Monte Carlo study; 0 alone.")] = 0


class Law(Part):
    """A probability law of scipy.stats, truncated as a conditional law."""

    family: Annotated[
        Literal["gamma", "lognorm", "genextreme", "weibull_min", "norm", "expon", "uniform", "constant"],
        Field(description="Family by its scipy.stats name, or `constant`."),
    ]
    shape: Annotated[
        float | None, Field(description="Shape: gamma a, lognorm s, genextreme c, weibull_min c.")
    ] = None
    loc: Annotated[float, Field(description="Location (scipy's loc; the value of `constant`).")] = 0.0
    scale: Annotated[float, Field(gt=0, description="Scale (scipy's scale).")] = 1.0
    low: Annotated[float | None, Field(description="Lower end of the truncation.")] = None
    high: Annotated[float | None, Field(description="Upper end of the truncation.")] = None

    @model_validator(mode="after")
    def _holds_together(self) -> Law:
        shaped = {"gamma", "lognorm", "genextreme", "weibull_min"}
        if self.family in shaped and self.shape is None:
            raise ValueError(f"a {self.family} law needs `shape`")
        if self.family not in shaped and self.shape is not None:
            raise ValueError(f"a {self.family} law has no `shape`")
        if self.family in {"gamma", "lognorm", "weibull_min"} and self.shape is not None and self.shape <= 0:
            raise ValueError(f"`shape` of a {self.family} law must be above 0, is {self.shape:g}")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        low, high = self.support
        if low > high or (low == high and self.family != "constant"):
            raise ValueError("the law has no probability between `low` and `high`")
        return self

    @property
    def support(self) -> tuple[float, float]:
        """Least and largest value that can be drawn, truncation included; infinite where nothing bounds it.

        >>> Law(family="gamma", shape=2.0, scale=3.0, high=12.0).support
        (0.0, 12.0)
        """
        low, high = -math.inf, math.inf
        if self.family in {"gamma", "lognorm", "weibull_min", "expon", "uniform", "constant"}:
            low = self.loc
        if self.family == "genextreme" and self.shape:
            edge = self.loc + self.scale / self.shape
            low, high = (low, edge) if self.shape > 0 else (edge, high)
        if self.family in {"uniform", "constant"}:
            high = self.loc + (self.scale if self.family == "uniform" else 0.0)
        if self.low is not None:
            low = max(low, self.low)
        if self.high is not None:
            high = min(high, self.high)
        return low, high


class MileageWindow(Part):
    """Normal law of a trip's distance, given that its duration lies in a window."""

    from_min: Annotated[float, Field(ge=0, description="Window's beginning, minutes (inclusive).")]
    to_min: Annotated[
        float, Field(gt=0, description="Window's end, minutes (exclusive; the last window's inclusive).")
    ]
    mean_km: Annotated[float, Field(description="mu of the normal law.")]
    sd_km: Annotated[float, Field(gt=0, description="sigma of the normal law.")]


class TripClass(Part):
    """Duration and distance of one class of trips (I: from home, II: between other places, III: to home)."""

    duration_min: Annotated[Law, Field(description="Law of the duration in minutes.")]
    mileage: Annotated[
        list[MileageWindow], Field(min_length=1, description="Distance given the duration's window.")
    ]

    @model_validator(mode="after")
    def _windows_hold_every_duration(self) -> TripClass:
        for index, window in enumerate(self.mileage):
            if window.from_min >= window.to_min:
                raise ValueError(
                    f"mileage[{index}]: from_min {window.from_min:g} is not below to_min {window.to_min:g}"
                )
            if index and window.from_min != self.mileage[index - 1].to_min:
                raise ValueError(
                    f"mileage[{index}]: begins at {window.from_min:g} min, "
                    f"the window before ends at {self.mileage[index - 1].to_min:g}"
                )
        low, high = self.duration_min.support
        first, last = self.mileage[0].from_min, self.mileage[-1].to_min
        if low < first or high > last:
            raise ValueError(
                f"durations of {low:g}..{high:g} min reach outside the windows {first:g}..{last:g}"
            )
        return self


class TripLimits(Part):
    """Outside these a drawn distance is drawn again (as a conditional law)."""

    max_km: Annotated[Positive, Field(description="Longest trip.")]
    min_speed_kmh: Annotated[Positive, Field(description="Least mean speed.")]
    max_speed_kmh: Annotated[Positive, Field(description="Largest mean speed.")]

    @model_validator(mode="after")
    def _ordered(self) -> TripLimits:
        if self.min_speed_kmh >= self.max_speed_kmh:
            raise ValueError(
                f"min_speed_kmh {self.min_speed_kmh:g} is not below max_speed_kmh {self.max_speed_kmh:g}"
            )
        return self


TransitionMatrix = dict[str, dict[str, Fraction]]


class ChainMatrices(Part):
    """Markov transition matrices over place types, row sums 1; a place's own missing targets are 0."""

    weekday: Annotated[TransitionMatrix, Field(description="Rows: from; columns: to. Monday to Friday.")]
    weekend: Annotated[TransitionMatrix, Field(description="The same for Saturday and Sunday.")]


class SessionFile(Part):
    """Charging sessions from a file: each is a car that comes, wants energy, and leaves."""

    file: Annotated[str, Field(description="CSV or Parquet: relative path, absolute, or `shipped:NAME`.")]
    zone: Annotated[
        str,
        Field(
            description="IANA zone whose wall clock the instants show, `UTC`, or `scenario`: not converted."
        ),
    ]
    faults: Annotated[
        Literal["refuse", "drop"],
        Field(description="Sessions that cannot be: refuse the file, or leave them out and count them."),
    ]
    regions: Annotated[
        dict[str, str],
        Field(description="Region of each value of the column `site`; other sites' sessions are left out."),
    ] = {}


class Travel(Part):
    """How cars travel: sampled from laws, or from a user's own itineraries or sessions."""

    source: Annotated[
        Literal["sampled", "itineraries", "sessions"], Field(description="Where trips come from.")
    ]
    itineraries: Annotated[
        str | None, Field(description="CSV: vehicle, depart, arrive, from, to, km (source = itineraries).")
    ] = None
    itineraries_outside: Annotated[
        Literal["repeat", "stay"],
        Field(description="Days that the file does not cover: repeat the nearest day, or stay at home."),
    ] = "repeat"
    sessions: Annotated[SessionFile | None, Field(description="Charging sessions (source = sessions).")] = (
        None
    )
    home: Annotated[str, Field(description="Place type where days begin and end.")]
    work: Annotated[str, Field(description="Place type of which each car has one fixed region.")]
    distance: Annotated[
        Literal["law", "road"],
        Field(
            description="law: duration and distance are drawn; road: shortest path over the roads' speeds."
        ),
    ]
    max_trips_per_day: Annotated[
        int, Field(ge=2, le=12, description="A chain that would be longer goes home.")
    ]
    leave_again_probability: Annotated[
        Fraction, Field(description="After coming home, chance to set out again.")
    ]
    stay_home_share_weekday: Annotated[Fraction, Field(description="Share of cars not used on a weekday.")]
    stay_home_share_weekend: Annotated[
        Fraction, Field(description="Share of cars not used on a weekend day.")
    ]
    chain: Annotated[ChainMatrices, Field(description="Where a trip leads from each place, equation (9).")]
    first_departure_h: Annotated[Law, Field(description="Clock hour of the first departure.")]
    trip_from_home: Annotated[TripClass, Field(description="Class I.")]
    trip_between: Annotated[TripClass, Field(description="Class II.")]
    trip_to_home: Annotated[TripClass, Field(description="Class III.")]
    dwell_min: Annotated[dict[str, Law], Field(description="Length of a stay by place type, minutes.")]
    limits: Annotated[TripLimits, Field(description="Limits of a drawn distance.")]


def _require_soc_order(soc_min: float, initial_soc: float, soc_max: float) -> None:
    if soc_min >= soc_max:
        raise ValueError(f"soc_min {soc_min:g} is not below soc_max {soc_max:g}")
    if not soc_min <= initial_soc <= soc_max:
        raise ValueError(f"initial_soc {initial_soc:g} is outside {soc_min:g}..{soc_max:g}")


class VehicleClass(Part):
    """One class of cars."""

    name: Annotated[str, Field(description="Unique name.")]
    share: Annotated[NonNegative, Field(description="Share of the fleet (shares are divided by their sum).")]
    battery_kwh: Annotated[Positive, Field(description="Energy at a state of charge of 1.")]
    consumption_kwh_per_km: Annotated[NonNegative, Field(description="Energy per distance.")]
    charge_limit_kw: Annotated[Positive, Field(description="Largest charging power at the bus.")]
    discharge_limit_kw: Annotated[NonNegative, Field(description="0: no vehicle-to-grid.")]
    charge_efficiency: Annotated[
        float, Field(gt=0, le=1, description="eta_c: energy stored per energy taken.")
    ]
    discharge_efficiency: Annotated[
        float, Field(gt=0, le=1, description="eta_d: energy given per energy taken out.")
    ]
    soc_min: Annotated[Fraction, Field(description="Least state of charge.")]
    soc_max: Annotated[Fraction, Field(description="Largest state of charge.")]
    initial_soc: Annotated[Fraction, Field(description="At the start of the run, the same for all policies.")]
    taper_from_soc: Annotated[
        Fraction,
        Field(
            description="State of charge above which the largest charging power falls linearly, down to "
            "taper_to_share of charge_limit_kw at soc_max. A step's limit is that of its beginning."
        ),
    ] = 1.0
    taper_to_share: Annotated[
        float, Field(gt=0, le=1, description="Share of charge_limit_kw left at soc_max; 1: no tapering.")
    ] = 1.0

    @property
    def is_tapered(self) -> bool:
        """Whether the largest charging power falls before the car is full."""
        return self.taper_to_share < 1.0 and self.taper_from_soc < self.soc_max

    @model_validator(mode="after")
    def _ordered(self) -> VehicleClass:
        _require_soc_order(self.soc_min, self.initial_soc, self.soc_max)
        if self.is_tapered:
            steepest = (1.0 - self.taper_to_share) / ((self.soc_max - self.taper_from_soc) * self.battery_kwh)
            stored_kwh = self.charge_efficiency * self.charge_limit_kw * STEP_H
            if steepest * stored_kwh >= 1.0:
                raise ValueError(
                    f"the charging power falls from {self.charge_limit_kw:g} kW to "
                    f"{self.taper_to_share * self.charge_limit_kw:g} kW within less energy than one step stores "
                    f"({stored_kwh:g} kWh): begin at a lower taper_from_soc, or end at a higher taper_to_share"
                )
        return self


class Drivers(Part):
    """What drivers do and say, and what they are paid."""

    participation_share: Annotated[
        Fraction,
        Field(
            description="Share of cars that may be scheduled; others charge at full power when plugged in."
        ),
    ]
    missing_share: Annotated[Fraction, Field(description="Share of stops at which no departure is declared.")]
    undeclared_soc: Annotated[
        Fraction, Field(description="Wanted as soon as possible at stops without a declared departure.")
    ]
    departure_error_min: Annotated[
        Law, Field(description="Declared minus true departure in minutes, drawn once per stop.")
    ]
    balk_at: Annotated[
        Annotated[int, Field(ge=0)] | Literal["never"],
        Field(
            description="A driver who finds all chargers taken and so many cars waiting parks without queueing."
        ),
    ]
    min_range_km: Annotated[
        NonNegative, Field(description="Range above the least energy that drivers want at every departure.")
    ]
    compensation_per_kwh: Annotated[
        NonNegative, Field(description="Paid to the driver per kWh discharged; no part of the total cost.")
    ]


class FleetPart(Part):
    """How many cars, of which classes, and what their drivers want."""

    size: Annotated[
        Annotated[int, Field(ge=0, le=5_000_000)] | Literal["sessions"],
        Field(description="Number of cars; 0 is legal. `sessions`: one for each session of the file."),
    ]
    shortage: Annotated[
        Literal["help", "wait"],
        Field(
            description="A car short for its next trip is helped (unmet energy) or waits at a charger (late)."
        ),
    ]
    departure_soc: Annotated[
        Fraction | Literal["none"],
        Field(
            description="S_user: least SOC at a day's first departure from home; none: what the chain needs."
        ),
    ]
    plug_in_probability: Annotated[
        dict[str, Fraction],
        Field(description="By place type: chance that a stop plugs in, drawn once per stop."),
    ]
    arrival_power: Annotated[
        Literal["none", "full"],
        Field(
            description="Power of a car from its arrival to the next boundary, under policies that schedule."
        ),
    ]
    drivers: Annotated[Drivers, Field(description="What drivers do and say.")]
    classes: Annotated[
        list[VehicleClass],
        Field(min_length=1, description="Classes of cars; each car draws its own by the shares."),
    ]

    @property
    def n_drawn(self) -> int:
        """Number of cars that are drawn: none where sessions are the cars."""
        return 0 if self.size == "sessions" else self.size


class SeriesRef(Part):
    """A time series in a CSV or Parquet file."""

    file: Annotated[str, Field(description="Path relative to this scenario, absolute, or `shipped:NAME`.")]
    column: Annotated[str, Field(description="Column with the values; its name ends in the unit.")]
    time_column: Annotated[
        str | None, Field(description="Column with instants; none: rows follow `start` evenly.")
    ] = None
    start: Annotated[
        str | None, Field(description="Instant of the first row, without a time column (ISO).")
    ] = None
    step_minutes: Annotated[int, Field(ge=1, le=1440, description="Length of a row.")]
    zone: Annotated[
        str, Field(description="IANA zone of the instants, `UTC`, or `scenario`: clock hours, not converted.")
    ]
    stamp: Annotated[
        Literal["beginning", "ending"], Field(description="Which end of its interval a row is stamped with.")
    ]
    to_quarter_hours: Annotated[
        Literal["mean", "hold", "linear"],
        Field(description="mean of finer rows; hold an hour's value; linear between the hours' middles."),
    ]
    wrap: Annotated[
        Literal["none", "year", "weekdays"],
        Field(
            description="year: the file's one year serves any (29 February may use the 28th); weekdays: so too, by the "
            "nearest day that is the same day of the week."
        ),
    ]

    @model_validator(mode="after")
    def _has_one_clock(self) -> SeriesRef:
        if (self.time_column is None) == (self.start is None):
            raise ValueError("needs `time_column`, or else `start` (the first row's instant)")
        return self


KvarPerKw = Annotated[float, Field(description="Reactive power taken per active power; matters on a feeder.")]


class LoadMix(Part):
    """A load as a weighted mix of profile columns, scaled to a daily energy."""

    weights: Annotated[dict[str, Positive], Field(min_length=1, description="Column: weight.")]
    mean_kwh_per_day: Annotated[
        NonNegative, Field(description="The mix is scaled to this in the series' whole mean.")
    ]
    kvar_per_kw: KvarPerKw = 0.0
    series: Annotated[SeriesRef, Field(description="The file; `column` is ignored here and must be `*`.")]


class LoadSeries(Part):
    """A load as measured, in kW."""

    series: Annotated[SeriesRef, Field(description="The file; the column ends in _kw.")]
    factor: Annotated[NonNegative, Field(description="Times this.")] = 1.0
    kvar_per_kw: KvarPerKw = 0.0


class PvWeather(Part):
    """PV from irradiance and temperature, equation (14)."""

    rated_kw: Annotated[NonNegative, Field(description="Power at 1,000 W/m2 and 25 degC.")]
    temperature_coefficient_per_degc: Annotated[
        float, Field(description="k of equation (14), per degC of the cell.")
    ]
    cell_heating_degc_per_w_m2: Annotated[NonNegative, Field(description="T_cell = T_ambient + this x G.")]
    irradiance: Annotated[SeriesRef, Field(description="Global irradiance, column ending in _w_m2.")]
    temperature: Annotated[SeriesRef, Field(description="Ambient temperature, column ending in _degc.")]


class SupplySeries(Part):
    """PV or wind as a measured series, kW or per unit of rated power."""

    rated_kw: Annotated[NonNegative, Field(description="Factor of a per-unit column; 1 for a column in kW.")]
    series: Annotated[SeriesRef, Field(description="The file; the column ends in _kw or _pu.")]


class WindTurbine(Part):
    """Power curve, equation (15)."""

    rated_kw: Annotated[NonNegative, Field(description="Rated power.")]
    cut_in_m_s: Annotated[Positive, Field(description="Below this it stands still.")]
    rated_m_s: Annotated[Positive, Field(description="From here on it gives its rated power.")]
    cut_out_m_s: Annotated[Positive, Field(description="From here on it is stopped.")]

    @model_validator(mode="after")
    def _ordered(self) -> WindTurbine:
        if not self.cut_in_m_s < self.rated_m_s < self.cut_out_m_s:
            raise ValueError("cut_in_m_s < rated_m_s < cut_out_m_s must hold")
        return self


class WindDraw(Part):
    """Wind drawn per region: Weibull speeds, persistent (Gaussian copula of an AR(1)) and correlated."""

    turbine: Annotated[WindTurbine, Field(description="The turbine.")]
    scale_m_s: Annotated[Positive, Field(description="Scale of the Weibull law of wind speeds.")]
    shape: Annotated[Positive, Field(description="Shape of the Weibull law of wind speeds.")]
    persistence: Annotated[float, Field(ge=0, lt=1, description="AR(1) coefficient per 15 minutes.")]
    correlation: Annotated[Fraction, Field(description="Between regions.")]


class WindWeather(Part):
    """Wind from a speed series."""

    turbine: Annotated[WindTurbine, Field(description="The turbine.")]
    speed: Annotated[SeriesRef, Field(description="Column ending in _m_s.")]


class GasTurbine(Part):
    """Micro-turbine, equations (18), (19), (27), (28)."""

    limit_kw: Annotated[Positive, Field(description="Rated power.")]
    ramp_kw_per_h: Annotated[Positive, Field(description="Largest change of power per hour, equation (28).")]
    gas_price_per_m3: Annotated[NonNegative, Field(description="Price of the fuel.")]
    lower_heating_value_kwh_per_m3: Annotated[Positive, Field(description="Lower heating value of the fuel.")]
    efficiency_cubic: Annotated[
        float, Field(description="g1 of eta(x) = g1 x^3 - g2 x^2 + g3 x + rho, x = P / limit.")
    ]
    efficiency_square: Annotated[float, Field(description="g2")]
    efficiency_linear: Annotated[float, Field(description="g3")]
    efficiency_constant: Annotated[float, Field(gt=0, description="rho")]

    @model_validator(mode="after")
    def _efficiency_is_a_fraction(self) -> GasTurbine:
        for percent in range(1, 101):
            x = percent / 100
            eta = self.efficiency_cubic * x**3 - self.efficiency_square * x**2 + self.efficiency_linear * x
            eta += self.efficiency_constant
            if not 0.0 < eta <= 1.0:
                raise ValueError(f"the efficiency at {percent} % of the limit is {eta:g}, outside 0..1")
        return self


class StationaryBattery(Part):
    """Stationary battery, equation (16)."""

    capacity_kwh: Annotated[Positive, Field(description="Energy at a state of charge of 1.")]
    charge_limit_kw: Annotated[Positive, Field(description="Largest charging power at the bus.")]
    discharge_limit_kw: Annotated[Positive, Field(description="Largest discharging power at the bus.")]
    charge_efficiency: Annotated[
        float, Field(gt=0, le=1, description="eta_c: energy stored per energy taken.")
    ]
    discharge_efficiency: Annotated[
        float, Field(gt=0, le=1, description="eta_d: energy given per energy taken out.")
    ]
    soc_min: Annotated[Fraction, Field(description="Least state of charge.")]
    soc_max: Annotated[Fraction, Field(description="Largest state of charge.")]
    initial_soc: Annotated[Fraction, Field(description="At the start of the run.")]
    self_discharge_per_day: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="Share of what is stored that a day at rest takes; it goes on below `soc_min`.",
        ),
    ] = 0.0
    apparent_power_kva: Annotated[
        Positive | None,
        Field(
            description="Rating of its inverter, on a feeder: what active power leaves of it is for reactive power; "
            "none: no reactive power."
        ),
    ] = None

    @model_validator(mode="after")
    def _ordered(self) -> StationaryBattery:
        _require_soc_order(self.soc_min, self.initial_soc, self.soc_max)
        return self

    @model_validator(mode="after")
    def _inverter_carries_the_battery(self) -> StationaryBattery:
        most_kw = max(self.charge_limit_kw, self.discharge_limit_kw)
        if self.apparent_power_kva is not None and self.apparent_power_kva < most_kw:
            raise ValueError(
                f"apparent_power_kva {self.apparent_power_kva:g} is below the battery's {most_kw:g} kW"
            )
        return self


Load = Annotated[
    Annotated[LoadMix, Tag("<mix>")] | Annotated[LoadSeries, Tag("<series>")],
    _by_key({"weights": "<mix>", "mean_kwh_per_day": "<mix>"}, "<series>"),
]
Pv = Annotated[
    Annotated[PvWeather, Tag("<weather>")] | Annotated[SupplySeries, Tag("<series>")],
    _by_key({"series": "<series>"}, "<weather>"),
]
Wind = Annotated[
    Annotated[WindDraw, Tag("<draw>")]
    | Annotated[WindWeather, Tag("<weather>")]
    | Annotated[SupplySeries, Tag("<series>")],
    _by_key({"series": "<series>", "speed": "<weather>"}, "<draw>"),
]


class Region(Part):
    """A place with a microgrid of its own."""

    name: Annotated[str, Field(min_length=1, description="Unique name; tables and overrides use it.")]
    place_type: Annotated[
        str, Field(min_length=1, description="Such as H, W or O; several regions may share one.")
    ]
    weight: Annotated[Positive, Field(description="Weight in choosing among regions of the same type.")]
    chargers: Annotated[Annotated[int, Field(ge=0)] | Unlimited, Field(description="Number of chargers.")]
    bidirectional: Annotated[
        bool, Field(description="Whether chargers here can discharge cars; false: they only charge.")
    ] = True
    charger_kvar_per_kw: Annotated[
        Fraction,
        Field(
            description="Reactive power that chargers here can take or give beside full active power, on a feeder, per "
            "kW of the plugged car's charge limit (0.48: an inverter rated at P/0.9)."
        ),
    ] = 0.0
    bus: Annotated[
        str | None, Field(min_length=1, description="Bus of the feeder, where the scenario has one.")
    ] = None
    import_limit_kw: Annotated[NonNegative | Unlimited, Field(description="Of the grid connection.")]
    export_limit_kw: Annotated[NonNegative | Unlimited, Field(description="0: no export; unlimited: free.")]
    load: Annotated[Load | None, Field(description="Load; none where the table is left out.")]
    pv: Annotated[Pv | None, Field(description="Photovoltaics; none where the table is left out.")]
    wind: Annotated[Wind | None, Field(description="Wind power; none where the table is left out.")]
    turbine: Annotated[
        GasTurbine | None, Field(description="Micro-turbine; none where the table is left out.")
    ]
    batteries: Annotated[list[StationaryBattery], Field(description="Stationary batteries; may be empty.")]

    @model_validator(mode="before")
    @classmethod
    def _absent_is_none(cls, data: Any) -> Any:
        """TOML has no null: a region without a load, PV, ... leaves the table out."""
        if isinstance(data, dict):
            return {"load": None, "pv": None, "wind": None, "turbine": None, "batteries": [], **data}
        return data


class Tie(Part):
    """Electrical tie between two regions; flows both ways."""

    from_region: Annotated[str, Field(description="Name of a region.")]
    to_region: Annotated[str, Field(description="Name of another region.")]
    limit_kw: Annotated[NonNegative | Unlimited, Field(description="unlimited: free pooling.")]
    loss_fraction: Annotated[float, Field(ge=0, lt=1, description="Lost on the way.")] = 0.0


class OtherBuses(Part):
    """Load at the buses that no region names: each is a region of its own, where no car goes."""

    mean_load_share: Annotated[
        NonNegative,
        Field(description="Mean load of each bus as a share of its load_kw in the feeder's table."),
    ]
    weights: Annotated[dict[str, Positive], Field(min_length=1, description="Column: weight.")]
    series: Annotated[SeriesRef, Field(description="The file; `column` is ignored here and must be `*`.")]


class FeederPart(Part):
    """A radial distribution feeder that joins the regions, one at each bus (``docs/background/feeder.md``).

    Its lines and transformers take the place of ties. Energy is bought and sold at the source's bus alone.
    """

    buses: Annotated[str, Field(description="CSV or Parquet of buses: path, or `shipped:NAME`.")]
    lines: Annotated[str, Field(description="CSV or Parquet of lines.")]
    transformers: Annotated[
        str | None, Field(description="CSV or Parquet of transformers; none where left out.")
    ] = None
    line_ampacity_a: Annotated[
        Positive | Unlimited, Field(description="Ampacity of lines whose table gives none.")
    ] = "unlimited"
    line_ampacities_a: Annotated[
        dict[str, Positive],
        Field(description="Ampacity of single lines by name, whatever their table gives."),
    ] = {}
    source_bus: Annotated[str, Field(description="Bus that feeds all others; it holds its voltage.")]
    source_pu: Annotated[Positive, Field(description="Voltage there, per unit of its rated voltage.")]
    voltage_min_pu: Annotated[Positive, Field(description="Lower end of the voltage band.")]
    voltage_max_pu: Annotated[Positive, Field(description="Upper end of the voltage band.")]
    other_buses: Annotated[
        OtherBuses | None, Field(description="Of buses that no region names; none: every bus has a region.")
    ] = None

    @model_validator(mode="after")
    def _band_holds_the_source(self) -> FeederPart:
        if self.voltage_min_pu >= self.voltage_max_pu:
            raise ValueError(
                f"voltage_min_pu {self.voltage_min_pu:g} is not below voltage_max_pu {self.voltage_max_pu:g}"
            )
        if not self.voltage_min_pu <= self.source_pu <= self.voltage_max_pu:
            raise ValueError(
                f"source_pu {self.source_pu:g} is outside the band {self.voltage_min_pu:g}..{self.voltage_max_pu:g}"
            )
        return self


class Road(Part):
    """Road between two regions; both ways."""

    from_region: Annotated[str, Field(description="Name of a region.")]
    to_region: Annotated[str, Field(description="Name of another region.")]
    km: Annotated[Positive, Field(description="Length.")]
    speed_kmh: Annotated[Positive, Field(description="Travel speed.")]


class TariffPeriod(Part):
    """Prices of some clock hours."""

    name: Annotated[str, Field(description="Name, such as peak.")]
    hours: Annotated[
        list[Annotated[tuple[float, float], Field(strict=False)]],
        Field(min_length=1, description="Clock hours [from, to), multiples of 0.25."),
    ]
    buy_per_kwh: Annotated[float, Field(description="Price of imported energy.")]
    sell_per_kwh: Annotated[float, Field(description="Price of exported energy.")]
    curtailment_per_kwh: Annotated[NonNegative, Field(description="Price phi of curtailed PV and wind.")]


class PeriodTariff(Part):
    """Time-of-use table: the periods cover each day exactly once."""

    kind: Annotated[Literal["periods"], Field(description="Which kind of tariff this is.")]
    periods: Annotated[list[TariffPeriod], Field(min_length=1, description="Prices and their clock hours.")]


class ScheduleTariff(Part):
    """Time-of-use by season and weekday from a shipped or own JSON schedule (published utility tariffs)."""

    kind: Annotated[Literal["schedule"], Field(description="Which kind of tariff this is.")]
    file: Annotated[str, Field(description="JSON with a `schedule` list, or `shipped:NAME`.")]
    sell_fraction: Annotated[
        float, Field(ge=0, description="Selling price as a fraction of the buying price.")
    ]
    curtailment_per_kwh: Annotated[NonNegative, Field(description="Price phi of curtailed PV and wind.")]


class SeriesTariff(Part):
    """Buying price from a series (per MWh or per kWh by the column's unit)."""

    kind: Annotated[Literal["series"], Field(description="Which kind of tariff this is.")]
    series: Annotated[SeriesRef, Field(description="The file; the column ends in _per_mwh or _per_kwh.")]
    per_mwh: Annotated[bool, Field(description="Whether the column is per MWh.")]
    buy_adder_per_kwh: Annotated[float, Field(description="Grid fees and taxes on top.")]
    sell_fraction: Annotated[float, Field(ge=0, description="Selling price as a fraction of the series.")]
    curtailment_per_kwh: Annotated[NonNegative, Field(description="Price phi of curtailed PV and wind.")]


Tariff = Annotated[
    Annotated[PeriodTariff, Tag("<periods>")]
    | Annotated[ScheduleTariff, Tag("<schedule>")]
    | Annotated[SeriesTariff, Tag("<series>")],
    Discriminator(_by_kind),
]


class Ageing(Part):
    """How batteries age; looked at after a run, no decision depends on it."""

    cycles_at_full_depth: Annotated[
        Positive, Field(description="N1 of N(d) = N1 d^-k, cycles of depth d until the end of life.")
    ]
    depth_exponent: Annotated[Positive, Field(description="k of N(d) = N1 d^-k.")]
    calendar_fade_per_year: Annotated[
        NonNegative, Field(description="Capacity lost in a year of rest at calendar_soc.")
    ]
    calendar_soc: Annotated[Fraction, Field(description="State of charge of calendar_fade_per_year.")]
    calendar_soc_factor: Annotated[
        Positive, Field(description="Fade at a state of charge of 1 over that at 0 (exponential between).")
    ]
    end_of_life_fade: Annotated[
        float, Field(gt=0, le=1, description="Capacity lost at which a battery is replaced.")
    ]
    replacement_cost_per_kwh: Annotated[
        NonNegative, Field(description="Of a new battery, per kWh of rated capacity.")
    ]


class Economics(Part):
    """Prices inside and beside the tariff."""

    throughput_price_per_kwh: Annotated[
        NonNegative, Field(description="Wear w per kWh discharged, cars and batteries.")
    ]
    energy_value_per_kwh: Annotated[
        NonNegative | Literal["auto"],
        Field(description="lambda: a stored kWh at the end; auto: max(0, lowest price) / charge efficiency."),
    ]
    demand_price_per_kw_day: Annotated[
        NonNegative,
        Field(description="Demand charge: of each region's largest quarter-hour of import of each day."),
    ]
    battery_operation_per_kwh: Annotated[NonNegative, Field(description="theta_BA of equation (20).")]
    turbine_operation_per_kwh: Annotated[NonNegative, Field(description="theta_MT of equation (20).")]
    unserved_price_per_kwh: Annotated[Positive, Field(description="Inside a decision: load not served.")]
    shortfall_price_per_kwh: Annotated[
        Positive, Field(description="Inside a decision: energy a car lacks at departure.")
    ]
    ageing: Annotated[Ageing, Field(description="How batteries age.")]


class Emissions(Part):
    """Emission factors."""

    grid_kg_per_kwh: Annotated[
        Annotated[NonNegative, Tag("<number>")] | Annotated[SeriesRef, Tag("<series>")],
        Discriminator(_number_or_table),
        Field(description="Of imported energy: a factor, or a series in kg/kWh."),
    ]
    gas_kg_per_m3: Annotated[NonNegative, Field(description="Of turbine fuel.")]


class StationDayPlan(Part):
    """How a region's day is planned and judged as a whole (model 2, ``docs/background/station.md``)."""

    region: Annotated[
        str, Field(min_length=1, description="Which region is the station; it has one battery.")
    ]
    peak_valley_of: Annotated[
        Literal["building and cars", "with storage", "grid"],
        Field(
            description="Whose peak and valley equation (8) is about: the building's and the cars' load, that with "
            "the storage's, or the exchange with the grid."
        ),
    ]
    grid_charging_share: Annotated[
        Fraction,
        Field(
            description="Storage may be charged from the grid in this cheapest share of a day's steps (Fig. 2: the "
            "valley hours); 1: always."
        ),
    ]
    station_adder_per_kwh: Annotated[
        NonNegative, Field(description="c_e less c_b: what cars and storage pay above the building's price.")
    ]


class Dispatch(Part):
    """Which policy decides, and how its program is set."""

    policy: Annotated[
        str,
        Field(
            description="uncontrolled, own-cost, rolling, margin, stochastic, valley-first, least-laxity, "
            "earliest-deadline, first-come, each-alone, day-ahead, or package.module:Class."
        ),
    ]
    horizon_steps: Annotated[int, Field(ge=1, le=672, description="Steps ahead of 15 minutes (96 = 24 h).")]
    window: Annotated[
        Literal["rolling", "shrinking"],
        Field(description="shrinking: the horizon never reaches beyond the run's end."),
    ]
    departing_energy_value: Annotated[
        Literal["median_price", "lambda", "chain_statistics"] | NonNegative,
        Field(
            description="Worth of a kWh that drives away: eta_d x median buying price, eta_d x the expected best "
            "price at later stops (chain_statistics), lambda, or a number."
        ),
    ]
    exclusivity: Annotated[
        Literal["relaxation", "repair", "milp"],
        Field(description="Below the exact throughput price: repair the relaxation, or use binaries."),
    ]
    mip_relative_gap: Annotated[Positive, Field(description="Of exclusivity = milp.")]
    mip_node_limit: Annotated[int, Field(ge=1, description="Deterministic limit of exclusivity = milp.")]
    turbine: Annotated[
        Literal["convex", "off"],
        Field(
            description="convex: under-estimator of the fuel cost, compared at true cost; off: never started."
        ),
    ]
    iteration_limit: Annotated[int, Field(ge=1, description="Simplex iterations of one solve.")]
    fallback: Annotated[
        Literal["charge", "idle"],
        Field(description="After a failed solve cars charge at full power, or only what must be."),
    ]
    max_exact_cars: Annotated[int, Field(ge=1, description="Above this the exact policies refuse.")]
    margin_level: Annotated[
        float,
        Field(gt=0.0, lt=1.0, description="margin: load at this quantile, PV and wind at 1 less it."),
    ]
    departure_margin_min: Annotated[
        NonNegative,
        Field(description="margin: minutes by which a declared departure is taken to be earlier."),
    ]
    required_margin_soc: Annotated[
        Fraction,
        Field(description="margin: share of a car's usable battery added to what its departure needs."),
    ]
    car_limit_kw: Annotated[
        NonNegative | Unlimited,
        Field(
            description="least-laxity, earliest-deadline, first-come: limit of each region's total car charging."
        ),
    ]
    feeder_limits: Annotated[
        Literal["ignore", "keep"],
        Field(
            description="rolling, margin, stochastic, day-ahead, on a feeder: whether plans keep its limits."
        ),
    ] = "ignore"
    feeder_rounds: Annotated[
        int,
        Field(
            ge=1,
            le=20,
            description="rolling, margin: most solves of a decision until its plan keeps the limits in AC power flow.",
        ),
    ] = 6
    feeder_rating_margin: Annotated[
        float,
        Field(ge=0, lt=1, description="Share of each rating that plans leave free for what forecasts miss."),
    ] = 0.0
    feeder_voltage_margin_pu: Annotated[
        NonNegative, Field(description="By how much plans keep off the ends of the voltage band.")
    ] = 0.0


class Learner(Part):
    """Gradient-boosted trees of forecast.kind = learned."""

    retrain_days: Annotated[int, Field(ge=1, description="Days from one training to the next.")]
    iterations: Annotated[int, Field(ge=1, description="Trees per model.")]
    leaf_nodes: Annotated[int, Field(ge=2, description="Most leaves of a tree.")]
    min_samples_leaf: Annotated[int, Field(ge=1, description="Least samples of a leaf.")]
    learning_rate: Annotated[float, Field(gt=0, le=1, description="Shrinkage of each tree.")]
    origin_step: Annotated[int, Field(ge=1, description="Steps between the instants trained from.")]
    lead_step: Annotated[int, Field(ge=1, description="Steps between the leads trained per instant.")]


class ForecastPart(Part):
    """What the deciding know of the time ahead."""

    kind: Annotated[
        Literal["perfect", "persistence", "seasonal-naive", "learned"],
        Field(description="Forecaster of load, PV, wind and prices: the truth, yesterday, last week, trees."),
    ]
    cars: Annotated[
        Literal["yesterday", "statistics"],
        Field(description="Cars to come: yesterday's stays, or the travel laws' mean; perfect knows them."),
    ]
    known: Annotated[
        list[Literal["load", "weather", "price", "cars"]],
        Field(description="Parts handed over as they will be: a yardstick, not a method."),
    ]
    history_days: Annotated[
        int, Field(ge=1, le=3660, description="Measured days before day 0, where a forecaster needs them.")
    ]
    spread: Annotated[
        Literal["by_policy", "always"],
        Field(description="Quantiles and paths are issued to policies that use them, or always."),
    ]
    quantile_levels: Annotated[
        list[Annotated[float, Field(gt=0, lt=1)]], Field(description="Levels of quantiles, rising.")
    ]
    n_paths: Annotated[int, Field(ge=0, le=1000, description="Joint paths per forecast; 0: none.")]
    statistics_cars: Annotated[
        int, Field(ge=1, le=100_000, description="Virtual cars that statistics of travel are made of.")
    ]
    learner: Annotated[Learner, Field(description="Of kind = learned.")]


class Output(Part):
    """Which heavy tables a run writes."""

    report: Annotated[bool, Field(description="Whether report.html is written.")] = True
    forecasts_max_days: Annotated[
        int, Field(ge=0, description="forecasts.parquet is written up to this many days ...")
    ]
    forecasts_max_regions: Annotated[int, Field(ge=0, description="... and this many regions.")]


class Scenario(Part):
    """A whole scenario."""

    scenario: Annotated[About, Field(description="What the scenario is.")]
    simulation: Annotated[Simulation, Field(description="When, how long, which draw.")]
    dispatch: Annotated[Dispatch, Field(description="Who decides, and how.")]
    forecast: Annotated[ForecastPart, Field(description="What the deciding know.")]
    economics: Annotated[Economics, Field(description="Prices beside the tariff.")]
    emissions: Annotated[Emissions, Field(description="Emission factors.")]
    tariff: Annotated[Tariff, Field(description="Prices of imported and exported energy.")]
    travel: Annotated[Travel, Field(description="How cars travel.")]
    fleet: Annotated[FleetPart, Field(description="The cars.")]
    regions: Annotated[list[Region], Field(min_length=1, description="Places with a microgrid of their own.")]
    ties: Annotated[list[Tie], Field(description="Electrical ties; none by default.")] = []
    feeder: Annotated[
        FeederPart | None, Field(description="A distribution feeder between the regions; none by default.")
    ] = None
    roads: Annotated[list[Road], Field(description="Roads, for distance = road; none by default.")] = []
    output: Annotated[Output, Field(description="Which heavy files a run writes.")]
    station: Annotated[
        StationDayPlan | None,
        Field(description="A station planned a day ahead; for its study alone, a run has no use for it."),
    ] = None

    @property
    def region_names(self) -> tuple[str, ...]:
        """Names of the regions in order."""
        return tuple(region.name for region in self.regions)

    @property
    def place_types(self) -> tuple[str, ...]:
        """Place types in order of first appearance."""
        return tuple(dict.fromkeys(region.place_type for region in self.regions))
