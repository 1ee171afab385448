"""The day's plan as a mixed-integer program in the sums of the cars' powers.

Linear where neither exclusivity nor the valley rule binds. That sums can be shared among the cars is told by cuts
(`car_flow`), added where they are broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dispatch.highs import BASIC, Basis, LinearProgram
from dispatch.rows import Rows, Term, matrix_of, with_rows_among, with_rows_below
from dispatch.station.car_flow import Steps, most_kwh
from dispatch.station.day import LoadOf, StationDay
from dispatch.station.plan import StationPlan
from sim.arrays import FloatArray

STEPWISE: Final = (
    "cars", "charge", "discharge", "stored", "bought", "sold", "curtailed", "for_station",
    "stores", "has_spare",
)  # fmt: skip
"""Columns that every step has; the last two are binaries: storage charges, sun exceeds the cars."""
BINARIES: Final = ("stores", "has_spare")
SINGLE: Final = ("unmet", "peak", "valley", "most_bought", "money", "spread", "emission")
"""Columns that there are once; the last three are the objectives, so that a bound on one is a column's bound."""
OBJECTIVES: Final = {"cost": "money", "peak_valley_kw": "spread", "emission_kg": "emission"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What is minimised: a weighted sum of the objectives. Unmet energy always costs its price."""

    cost: float = 0.0
    peak_valley_kw: float = 0.0
    emission_kg: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What may not be exceeded, for the epsilon-constraint method."""

    cost: float = np.inf
    peak_valley_kw: float = np.inf
    emission_kg: float = np.inf


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sums:
    """A plan in which the cars are taken together; arrays (K,)."""

    cars_kw: FloatArray
    charge_kw: FloatArray
    discharge_kw: FloatArray
    curtailed_kw: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ways:
    """Binaries, NaN where they are open; arrays (K,)."""

    stores: FloatArray  # 1: storage may charge, 0: it may discharge
    has_spare: FloatArray  # 1: sun exceeds the cars


def sums_of(plan: StationPlan) -> Sums:
    """A plan with its cars taken together."""
    return Sums(
        cars_kw=plan.car_kw.sum(axis=1),
        charge_kw=plan.charge_kw,
        discharge_kw=plan.discharge_kw,
        curtailed_kw=plan.curtailed_kw,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StationProgram:
    """A program, how many steps it has, and how many of its rows, the last ones, are cuts."""

    program: LinearProgram
    n_steps: int
    n_cuts: int = 0

    def at(self, kind: str) -> slice[int, int, None]:
        """Columns of a kind that every step has."""
        return at(kind, self.n_steps)

    def bounded(self, bounds: Bounds) -> StationProgram:
        """The same program under other bounds on its objectives."""
        upper = self.program.upper.copy()
        for name, kind in OBJECTIVES.items():
            upper[single(kind, self.n_steps)] = getattr(bounds, name)
        return replace(self, program=replace(self.program, upper=upper))

    def fixed(self, stores: FloatArray, has_spare: FloatArray) -> StationProgram:
        """The same program with binaries fixed where they are not NaN; shapes (K,)."""
        lower, upper = self.program.lower.copy(), self.program.upper.copy()
        for kind, values in (("stores", stores), ("has_spare", has_spare)):
            here, is_fixed = self.at(kind), ~np.isnan(values)
            lower[here] = np.where(is_fixed, values, lower[here])
            upper[here] = np.where(is_fixed, values, upper[here])
        return replace(self, program=replace(self.program, lower=lower, upper=upper))

    def strict(self, steps: Steps) -> StationProgram:
        """The same program with binaries that are binary in some steps; shape (K,)."""
        is_integer = np.zeros(n_columns(self.n_steps), dtype=np.bool_)
        for kind in BINARIES:
            is_integer[self.at(kind)] = steps
        return replace(self, program=replace(self.program, is_integer=is_integer))

    def with_cuts(self, day: StationDay, cuts: Sequence[Steps]) -> StationProgram:
        """The same program with further rows: cars take no more in these steps than they can."""
        block = np.zeros((len(cuts), len(self.program.cost)))
        block[:, self.at("cars")] = day.step_h * np.array(cuts, dtype=np.float64)
        grown = with_rows_below(self.program, block, np.array([most_kwh(day, cut) for cut in cuts]))
        return replace(self, program=grown, n_cuts=self.n_cuts + len(cuts))

    def among_cuts(self, stays: Steps) -> StationProgram:
        """The same program with some of its cuts; shape (n_cuts,)."""
        others = np.ones(len(self.program.row_lower) - self.n_cuts, dtype=np.bool_)
        fewer = with_rows_among(self.program, np.concatenate([others, stays]))
        return replace(self, program=fewer, n_cuts=int(stays.sum()))

    def room_kwh(self, cars_kw: FloatArray) -> FloatArray:
        """What the cars could take more in each cut's steps; below 0 where a cut is broken, (n_cuts,)."""
        first = len(self.program.row_lower) - self.n_cuts
        taken = matrix_of(self.program)[first:, self.at("cars")] @ cars_kw
        return np.asarray(self.program.row_upper[first:] - taken)

    def start(self, basis: Basis) -> Basis:
        """A basis of this program from one with fewer cuts."""
        missing = len(self.program.row_lower) - len(basis.rows)
        return Basis(
            columns=basis.columns, rows=np.append(basis.rows, np.full(missing, BASIC, dtype=np.int8))
        )

    def ways(self, values: FloatArray, steps: Steps) -> Ways:
        """Binaries of some steps, the others open."""
        stores, has_spare = (np.where(steps, np.rint(values[self.at(kind)]), np.nan) for kind in BINARIES)
        return Ways(stores=stores, has_spare=has_spare)

    def sums(self, values: FloatArray) -> Sums:
        """Read a plan from the columns' values."""
        clipped = np.maximum(values, 0.0)
        return Sums(
            cars_kw=clipped[self.at("cars")],
            charge_kw=clipped[self.at("charge")],
            discharge_kw=clipped[self.at("discharge")],
            curtailed_kw=clipped[self.at("curtailed")],
        )


def at(kind: str, n_steps: int) -> slice[int, int, None]:
    """Columns of a kind that every step has."""
    place = STEPWISE.index(kind)
    return slice(place * n_steps, (place + 1) * n_steps)


def single(kind: str, n_steps: int) -> int:
    """The column of a kind that there is once."""
    return len(STEPWISE) * n_steps + SINGLE.index(kind)


def n_columns(n_steps: int) -> int:
    """All of them."""
    return len(STEPWISE) * n_steps + len(SINGLE)


class _Rows(Rows):
    """Rows of a day's program, and where its columns are."""

    def __init__(self, n_steps: int) -> None:
        super().__init__(n_columns(n_steps))
        self.n_steps = n_steps

    def at(self, kind: str) -> slice[int, int, None]:
        """Columns of a kind that every step has."""
        return at(kind, self.n_steps)

    def single(self, kind: str) -> int:
        """The column of a kind that there is once."""
        return single(kind, self.n_steps)


def build(day: StationDay, load_of: LoadOf, weights: Weights) -> StationProgram:
    """Build the program of a day, its binaries relaxed, its objectives unbounded, with the cut of all steps alone.

    Parameters
    ----------
    load_of
        Whose peak and valley count.
    weights
        Of the objectives in the sum.
    """
    rows = _Rows(day.n_steps)
    _physics(day, rows)
    _rules(day, rows)
    _peak_and_valley(day, rows, load_of)
    _objectives(day, rows)
    cost = np.zeros(n_columns(day.n_steps))
    for name, kind in OBJECTIVES.items():
        cost[rows.single(kind)] = getattr(weights, name)
    largest = max(weights.cost, weights.peak_valley_kw, weights.emission_kg)
    cost[rows.single("unmet")] = day.unmet_price_per_kwh * largest
    return StationProgram(program=_assembled(day, rows, cost), n_steps=day.n_steps)


def _physics(day: StationDay, rows: _Rows) -> None:
    """Rows of (1), (2), (10), of the cars' energy, and of what is bought for cars and storage."""
    n, unit, h = day.n_steps, day.storage, day.step_h
    cars, charge, discharge, stored = (rows.at(kind) for kind in ("cars", "charge", "discharge", "stored"))
    before, first = np.arange(stored.start - 1, stored.stop - 1), np.arange(n) == 0
    start_kwh = np.where(first, unit.initial_soc * unit.capacity_kwh, 0.0)
    rows.add(
        start_kwh,
        start_kwh,
        n,
        (stored, 1.0),
        (np.where(first, stored.start, before), np.where(first, 0.0, -1.0)),
        (charge, -h * unit.charge_efficiency),
        (discharge, h / unit.discharge_efficiency),
    )
    curtailed = rows.at("curtailed")
    station = ((cars, -1.0), (curtailed, -1.0), (charge, -1.0), (discharge, 1.0))
    net_kw = day.building_kw - day.pv_kw
    rows.add(net_kw, net_kw, n, (rows.at("bought"), 1.0), (rows.at("sold"), -1.0), *station)
    rows.add(-day.pv_kw, np.inf, n, (rows.at("for_station"), 1.0), *station)
    energy = np.zeros(n_columns(n))
    energy[cars], energy[rows.single("unmet")] = h, 1.0
    rows.total(float(day.reachable_kwh().sum()), energy)
    if day.demand_price_per_kw > 0.0:
        rows.add(0.0, np.inf, n, (rows.single("most_bought"), 1.0), (rows.at("bought"), -1.0))


def _rules(day: StationDay, rows: _Rows) -> None:
    """Rows of (11), one way at a time, and of Fig. 2: outside valley hours storage takes what sun leaves, or nothing.

    The binary of a step is needed only where the cars may take more than the sun; elsewhere its row is convex as it
    is, and so tight that relaxed binaries already keep most of the rule.
    """
    n, unit = day.n_steps, day.storage
    charge, discharge, stores = (rows.at(kind) for kind in ("charge", "discharge", "stores"))
    most_kw = charge_caps_kw(day)
    rows.add(-np.inf, 0.0, n, (charge, 1.0), (stores, -most_kw))
    limit_kw = unit.discharge_limit_kw
    rows.add(-np.inf, limit_kw, n, (discharge, 1.0), (stores, limit_kw))
    ruled = np.flatnonzero(~day.is_grid_charging_hour)
    charge_there, spare = charge.start + ruled, rows.at("has_spare").start + ruled
    rows.add(-np.inf, 0.0, len(ruled), (charge_there, 1.0), (spare, -most_kw[ruled]))
    beyond = np.maximum(day.car_limit_kw.sum(axis=1) - day.pv_kw, 0.0)[ruled]
    rows.add(  # charge + cars <= PV + beyond (1 - has_spare)
        -np.inf,
        day.pv_kw[ruled] + beyond,
        len(ruled),
        (charge_there, 1.0),
        (rows.at("cars").start + ruled, 1.0),
        (spare, beyond),
    )


def charge_caps_kw(day: StationDay) -> FloatArray:
    """Most that storage can charge in each step: outside valley hours no more than the sun."""
    if day.storage.capacity_kwh <= 0.0:
        return np.zeros(day.n_steps)
    sun = np.where(day.is_grid_charging_hour, np.inf, day.pv_kw)
    return np.asarray(np.minimum(day.storage.charge_limit_kw, sun))


def _peak_and_valley(day: StationDay, rows: _Rows, load_of: LoadOf) -> None:
    """Rows valley <= L <= peak, and of their difference."""
    terms: list[Term] = [(rows.at("cars"), 1.0)]
    shift = -day.building_kw
    if load_of == "with storage":
        terms += [(rows.at("charge"), 1.0), (rows.at("discharge"), -1.0)]
    if load_of == "grid":
        terms, shift = [(rows.at("bought"), 1.0), (rows.at("sold"), -1.0)], np.zeros(day.n_steps)
    rows.add(-np.inf, shift, day.n_steps, *terms, (rows.single("peak"), -1.0))
    rows.add(shift, np.inf, day.n_steps, *terms, (rows.single("valley"), -1.0))
    spread = ((rows.single("peak"), 1.0), (rows.single("valley"), -1.0), (rows.single("spread"), -1.0))
    rows.add(0.0, 0.0, 1, *spread)


def _objectives(day: StationDay, rows: _Rows) -> None:
    """Rows that make the objectives' columns: everything paid, and emissions."""
    money, emission = np.zeros(n_columns(day.n_steps)), np.zeros(n_columns(day.n_steps))
    money[rows.at("bought")] = day.step_h * day.building_price_per_kwh
    money[rows.at("for_station")] = day.step_h * (day.station_price_per_kwh - day.building_price_per_kwh)
    money[rows.at("sold")] = -day.step_h * day.sell_price_per_kwh
    money[rows.at("discharge")] = day.step_h * day.wear_price_per_kwh
    money[rows.single("most_bought")] = day.demand_price_per_kw
    emission[rows.at("bought")] = day.step_h * day.emission_kg_per_kwh
    money[rows.single("money")] = emission[rows.single("emission")] = -1.0
    rows.total(0.0, money)
    rows.total(0.0, emission)


def _assembled(day: StationDay, rows: _Rows, cost: FloatArray) -> LinearProgram:
    lower, upper = np.zeros(len(cost)), np.full(len(cost), np.inf)
    unit = day.storage
    upper[rows.at("cars")] = np.minimum(day.car_limit_kw.sum(axis=1), day.cars_limit_kw)
    upper[rows.at("charge")] = charge_caps_kw(day)
    upper[rows.at("discharge")] = unit.discharge_limit_kw if unit.capacity_kwh > 0.0 else 0.0
    lower[rows.at("stored")] = unit.soc_min * unit.capacity_kwh
    upper[rows.at("stored")] = unit.soc_max * unit.capacity_kwh
    lower[rows.at("stored").stop - 1] = unit.initial_soc * unit.capacity_kwh
    upper[rows.at("bought")] = day.import_limit_kw
    upper[rows.at("sold")] = day.export_limit_kw
    upper[rows.at("curtailed")] = day.pv_kw
    upper[rows.at("stores")] = upper[rows.at("has_spare")] = 1.0
    if np.isfinite([day.import_limit_kw, day.cars_limit_kw]).any():
        upper[rows.single("unmet")] = float(day.reachable_kwh().sum())
    else:  # nothing but bounds on the objectives could keep energy from the cars, and they must not
        upper[rows.single("unmet")] = 0.0
    for kind in ("peak", "valley", "money", "emission"):  # the spread cannot be below 0
        lower[rows.single(kind)] = -np.inf
    return rows.program(cost, lower, upper)
