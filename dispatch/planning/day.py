"""What a day on a feeder is, the storage that may stand on it, and what storage costs.

Shapes: K steps of a day, N buses, C candidates (buses where storage may stand).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dispatch.planning.checks import (
    EFFICIENCY,
    FINITE,
    LIFE,
    LIMIT,
    NO_OR_YES,
    NOT_NEGATIVE,
    POSITIVE,
    RATE,
    SHARE,
    SHARE_BELOW_1,
    check,
    check_fields,
    check_shape,
    positions,
    whole_number,
)
from dispatch.station.sizing import Asset, annuity
from sim.arrays import BoolArray, FloatArray, IntArray, freeze
from sim.battery import kept_share
from sim.feeder.model import Network

_DUST: Final = 1e-6
"""A site of no more than so much is none [kWh, kW]."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FeederDay:
    """One day of a feeder in K equal steps; means over each step. Demand is fixed, sun may be curtailed."""

    network: Network
    step_h: float
    demand_kw: FloatArray  # (K, N), loads and the charging of cars
    demand_kvar: FloatArray  # (K, N)
    pv_kw: FloatArray  # (K, N), of what the sun could give
    buy_per_kwh: FloatArray  # (K,), at the source
    sell_per_kwh: FloatArray  # (K,), not above what is bought
    grid_kg_per_kwh: FloatArray  # (K,), of energy bought
    export_limit_kw: float = np.inf

    def __post_init__(self) -> None:
        if self.demand_kw.ndim != 2 or len(self.demand_kw) == 0:
            raise ValueError(f"FeederDay: demand_kw has shape {self.demand_kw.shape}, must be steps by buses")
        n_steps, n_buses = self.demand_kw.shape
        if n_buses != self.network.feeder.n_buses:
            raise ValueError(
                f"FeederDay: demand_kw has {n_buses} buses, the feeder {self.network.feeder.n_buses}"
            )
        for name in ("demand_kvar", "pv_kw"):
            check_shape(f"FeederDay: {name}", getattr(self, name), (n_steps, n_buses), "demand_kw")
        for name in ("buy_per_kwh", "sell_per_kwh", "grid_kg_per_kwh"):
            if len(getattr(self, name)) != n_steps:
                raise ValueError(
                    f"FeederDay: {name} has {len(getattr(self, name))} steps, demand_kw {n_steps}"
                )
            check_shape(f"FeederDay: {name}", getattr(self, name), (n_steps,), "a price of each step")
        check_fields(self, POSITIVE, "step_h")
        check_fields(
            self, FINITE, "demand_kw", "demand_kvar", "buy_per_kwh", "sell_per_kwh", "grid_kg_per_kwh"
        )
        check_fields(self, NOT_NEGATIVE, "pv_kw")
        check_fields(self, LIMIT, "export_limit_kw")
        _check_network(self.network)
        if (self.sell_per_kwh > self.buy_per_kwh).any():
            step = int(np.argmax(self.sell_per_kwh > self.buy_per_kwh))
            raise ValueError(
                f"FeederDay: sell_per_kwh[{step}] is {self.sell_per_kwh[step]}, above buy_per_kwh "
                f"{self.buy_per_kwh[step]}: energy could be bought to be sold"
            )
        freeze(self)

    @property
    def n_steps(self) -> int:
        """Steps of the day."""
        return len(self.buy_per_kwh)


def _check_network(network: Network) -> None:
    """Refuse a band that no voltage can be in, and impedances and ratings that are no numbers."""
    check("Network: source_pu", network.source_pu, POSITIVE)
    for name in ("voltage_min_pu", "voltage_max_pu"):
        check(f"Network: {name}", getattr(network, name), NOT_NEGATIVE)
    if network.voltage_min_pu > network.voltage_max_pu:
        raise ValueError(
            f"Network: voltage_min_pu is {network.voltage_min_pu}, above voltage_max_pu {network.voltage_max_pu}"
        )
    for name in ("r_pu", "x_pu", "b_pu"):
        check(f"Feeder: {name}", getattr(network.feeder, name), FINITE)
    check("Feeder: rating_kva", network.feeder.rating_kva, LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A kind of storage; every unit ends a day with no less than it began with."""

    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    self_discharge_per_day: float = 0.0  # share of the energy stored
    soc_min: float = 0.1
    soc_max: float = 0.95
    initial_soc: float = 0.5
    kw_per_kwh: float = np.inf  # most power that a kWh of it can have
    wear_price_per_kwh: float = 0.0  # of energy discharged

    def __post_init__(self) -> None:
        check_fields(self, EFFICIENCY, "charge_efficiency", "discharge_efficiency")
        check_fields(self, SHARE_BELOW_1, "self_discharge_per_day")
        check_fields(self, SHARE, "soc_min", "initial_soc", "soc_max")
        if not self.soc_min <= self.initial_soc <= self.soc_max:
            raise ValueError(
                f"Storage: soc_min {self.soc_min}, initial_soc {self.initial_soc}, soc_max {self.soc_max} must rise"
            )
        check_fields(self, LIMIT, "kw_per_kwh")
        check_fields(self, NOT_NEGATIVE, "wear_price_per_kwh")

    def kept(self, step_h: float) -> float:
        """Share of the energy that is there after a step without charging.

        >>> round(Storage(self_discharge_per_day=0.19).kept(12.0), 12)
        0.9
        """
        return kept_share(self.self_discharge_per_day, step_h / 24.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capital:
    """What storage costs to build, and the rate of interest."""

    kwh: Asset
    kw: Asset
    site: Asset  # once for each bus that has any
    rate: float

    def __post_init__(self) -> None:
        for name in ("kwh", "kw", "site"):
            asset: Asset = getattr(self, name)
            check(f"Capital: {name}.price", asset.price, NOT_NEGATIVE)
            check(f"Capital: {name}.life_years", asset.life_years, LIFE)
        check_fields(self, RATE, "rate")

    def annuities(self, design: Design, kwh: FloatArray, kw: FloatArray) -> float:
        """Yearly payment for sizes at a design's candidates, (C,) each; sites are paid for where there is any."""
        per_kwh, per_kw, per_site = self.per_year()
        is_paid = (np.maximum(kwh, kw) > _DUST) | design.is_paid
        return float(per_kwh * kwh.sum() + per_kw * kw.sum() + per_site * np.count_nonzero(is_paid))

    def per_year(self) -> tuple[float, float, float]:
        """Yearly payment per kWh, per kW and per site."""
        one, two, three = (
            asset.price * annuity(self.rate, asset.life_years) for asset in (self.kwh, self.kw, self.site)
        )
        return one, two, three


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Design:
    """Bounds on the sizes at candidate buses, (C,) each; equal ones fix a size."""

    bus: IntArray
    kwh_lower: FloatArray
    kwh_upper: FloatArray
    kw_lower: FloatArray
    kw_upper: FloatArray
    most_sites: int | None = None
    pays_site: FloatArray | None = None  # (C,) 1 where a site is paid for whatever is built there

    def __post_init__(self) -> None:
        n = len(self.bus)
        for name in ("kwh_lower", "kwh_upper", "kw_lower", "kw_upper"):
            if np.shape(getattr(self, name)) != (n,):
                raise ValueError(f"Design: {name} has {len(getattr(self, name))} candidates, bus {n}")
        check_fields(self, whole_number(0), "bus")  # how many there are, the case knows
        check_fields(self, NOT_NEGATIVE, "kwh_lower", "kwh_upper", "kw_lower", "kw_upper")
        for size in ("kwh", "kw"):
            lower, upper = getattr(self, f"{size}_lower"), getattr(self, f"{size}_upper")
            for place in np.flatnonzero(lower > upper)[:1].tolist():
                raise ValueError(
                    f"Design: {size}_lower[{place}] is {lower[place]}, above {size}_upper {upper[place]}"
                )
        if self.pays_site is not None:
            check_shape("Design: pays_site", self.pays_site, (n,), "bus")
            check_fields(self, NO_OR_YES, "pays_site")
        if self.most_sites is not None:
            check_fields(self, whole_number(0), "most_sites")
            n_standing = np.count_nonzero(self.stands)
            if n_standing > self.most_sites:
                raise ValueError(
                    f"Design: most_sites is {self.most_sites}, {n_standing} candidates have a lower bound above 0"
                )
        freeze(self)

    @property
    def n(self) -> int:
        """Number of candidates C."""
        return len(self.bus)

    @property
    def stands(self) -> BoolArray:
        """(C,) where there is storage in any case: the lower bound of a size is above 0."""
        return np.asarray(np.maximum(self.kwh_lower, self.kw_lower) > 0.0)

    @property
    def may_stand(self) -> BoolArray:
        """(C,) where there may be storage: the upper bound of a size is above 0."""
        return np.asarray(np.maximum(self.kwh_upper, self.kw_upper) > 0.0)

    @property
    def is_paid(self) -> BoolArray:
        """(C,) where a site is paid for whatever is built there."""
        return (
            np.zeros(self.n, dtype=np.bool_) if self.pays_site is None else np.asarray(self.pays_site > 0.0)
        )

    def only(self, sites: Sequence[int]) -> Design:
        """The same candidates, nothing at others than these (positions among the candidates), whatever stands there.

        The sites are paid for, and those that are so in any case.
        """
        if len(sites):
            check("Design.only: sites", sites, positions(self.n, "candidates"))
        stays = np.isin(np.arange(self.n), np.asarray(sites, dtype=np.int64))
        return replace(
            self,
            kwh_lower=np.where(stays, self.kwh_lower, 0.0),
            kwh_upper=np.where(stays, self.kwh_upper, 0.0),
            kw_lower=np.where(stays, self.kw_lower, 0.0),
            kw_upper=np.where(stays, self.kw_upper, 0.0),
            pays_site=(stays | self.is_paid).astype(np.float64),
        )


def fixed_sizes(bus: Sequence[int], kwh: Sequence[float], kw: Sequence[float]) -> Design:
    """Storage that stands already."""
    energy, power = np.array(kwh, dtype=np.float64), np.array(kw, dtype=np.float64)
    return Design(bus=_buses(bus), kwh_lower=energy, kwh_upper=energy, kw_lower=power, kw_upper=power)


def free_sizes(bus: Sequence[int], *, kwh_max: float, kw_max: float, most_sites: int | None = None) -> Design:
    """Candidates of one largest size."""
    n = len(bus)
    return Design(
        bus=_buses(bus),
        kwh_lower=np.zeros(n),
        kwh_upper=np.full(n, kwh_max),
        kw_lower=np.zeros(n),
        kw_upper=np.full(n, kw_max),
        most_sites=most_sites,
    )


def _buses(bus: Sequence[int]) -> IntArray:
    """Positions of buses: names and fractions would become other positions unnoticed."""
    if len(bus):
        check("Design: bus", bus, whole_number(0))
    return np.array(bus, dtype=np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """Days of one feeder, how much each counts, and the storage that may serve them."""

    days: tuple[FeederDay, ...]
    weight: FloatArray  # (D,), such as days of a year that each stands for
    storage: Storage
    design: Design
    capital: Capital | None = None  # none: nothing is paid for sizes

    def __post_init__(self) -> None:
        if not self.days:
            raise ValueError("Case: days is empty, must have at least one day")
        first = self.days[0]
        for day in self.days[1:]:
            same = (day.network is first.network, day.n_steps == first.n_steps, day.step_h == first.step_h)
            if not all(same):
                raise ValueError("Case: days of a case share their network and their steps")
        if np.shape(self.weight) != (len(self.days),):
            raise ValueError(f"Case: weight has {len(self.weight)} days, days {len(self.days)}")
        check_fields(self, POSITIVE, "weight")
        check(
            "Case: design.bus",
            self.design.bus,
            positions(first.network.feeder.n_buses, "buses of the feeder"),
        )
        freeze(self)

    @property
    def network(self) -> Network:
        """That of all days."""
        return self.days[0].network

    @property
    def step_h(self) -> float:
        """Hours of a step."""
        return self.days[0].step_h

    @property
    def n_steps(self) -> int:
        """Steps of all days together, T."""
        return len(self.days) * self.days[0].n_steps

    def stacked(self, name: str) -> FloatArray:
        """An array of the days, all steps one after the other, (T, ...)."""
        return np.concatenate([getattr(day, name) for day in self.days])

    @property
    def step_weight(self) -> FloatArray:
        """Hours for which each step counts, (T,)."""
        return np.repeat(self.weight * self.step_h, self.days[0].n_steps)


def one_day(day: FeederDay, storage: Storage, design: Design) -> Case:
    """A case of a single day."""
    return Case(days=(day,), weight=np.ones(1), storage=storage, design=design)
