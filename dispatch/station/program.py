"""The day's plan as a mixed-integer program; linear where neither exclusivity nor the valley rule binds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from dispatch.highs import LinearProgram
from dispatch.station.day import LoadOf, StationDay
from dispatch.station.plan import StationPlan
from sim.contracts import FloatArray

STEPWISE: Final = (
    "charge", "discharge", "stored", "bought", "sold", "curtailed", "for_station",
    "stores", "has_spare",
)  # fmt: skip
"""Columns that every step has; the last two are binaries: storage charges, sun exceeds the cars."""
SINGLE: Final = ("peak", "valley", "most_bought", "money", "spread", "emission")
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
class StationProgram:
    """A program and where its columns stand."""

    program: LinearProgram
    layout: Layout

    def bounded(self, bounds: Bounds) -> StationProgram:
        """The same program under other bounds on its objectives."""
        upper = self.program.upper.copy()
        for name, single in OBJECTIVES.items():
            upper[self.layout.single(single)] = getattr(bounds, name)
        return replace(self, program=replace(self.program, upper=upper))

    def fixed(self, stores: FloatArray, has_spare: FloatArray) -> StationProgram:
        """The same program with binaries fixed where they are not NaN; shapes (K,)."""
        lower, upper = self.program.lower.copy(), self.program.upper.copy()
        for kind, values in (("stores", stores), ("has_spare", has_spare)):
            at, is_fixed = self.layout.at(kind), ~np.isnan(values)
            lower[at] = np.where(is_fixed, values, lower[at])
            upper[at] = np.where(is_fixed, values, upper[at])
        return replace(self, program=replace(self.program, lower=lower, upper=upper))

    def strict(self, steps: NDArray[np.bool_]) -> StationProgram:
        """The same program with binaries that are binary in some steps; shape (K,)."""
        is_integer = np.zeros(self.layout.n_columns, dtype=np.bool_)
        for kind in ("stores", "has_spare"):
            is_integer[self.layout.at(kind)] = steps
        return replace(self, program=replace(self.program, is_integer=is_integer))

    def plan(self, values: FloatArray) -> StationPlan:
        """Read a plan from the columns' values."""
        layout, clipped = self.layout, np.maximum(values, 0.0)
        car_kw = np.zeros(layout.shape)
        car_kw[layout.car_step, layout.car] = clipped[layout.at_cars]
        return StationPlan(
            car_kw=car_kw,
            charge_kw=clipped[layout.at("charge")],
            discharge_kw=clipped[layout.at("discharge")],
            curtailed_kw=clipped[layout.at("curtailed")],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """Columns: those of every step, the cars' in their stays, each car's unmet energy, single ones."""

    shape: tuple[int, int]  # steps, cars
    car_step: NDArray[np.intp]
    car: NDArray[np.intp]

    def at(self, kind: str) -> slice:
        """Columns of a kind that every step has."""
        n_steps, place = self.shape[0], STEPWISE.index(kind)
        return slice(place * n_steps, (place + 1) * n_steps)

    @property
    def at_cars(self) -> slice[int, int, None]:
        """Columns of the cars' powers."""
        begin = len(STEPWISE) * self.shape[0]
        return slice(begin, begin + len(self.car))

    @property
    def at_unmet(self) -> slice[int, int, None]:
        """Columns of what limits keep from each car."""
        return slice(self.at_cars.stop, self.at_cars.stop + self.shape[1])

    def single(self, kind: str) -> int:
        """The column of a kind that there is once."""
        return self.at_unmet.stop + SINGLE.index(kind)

    @property
    def n_columns(self) -> int:
        """All of them."""
        return self.at_unmet.stop + len(SINGLE)


Term = tuple[NDArray[np.intp] | slice | int, FloatArray | float]
"""A column, or one per row, and a coefficient, or one per row."""


class _Rows:
    """Rows of a program, as they are written."""

    def __init__(self) -> None:
        self._entries: list[tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]] = []
        self._lower: list[FloatArray] = []
        self._upper: list[FloatArray] = []
        self.n = 0

    def add(
        self,
        lower: FloatArray | float,
        upper: FloatArray | float,
        n: int,
        *terms: Term,
    ) -> None:
        """Add n rows; each term has a column, or one per row, and a coefficient, or one per row."""
        here = np.arange(self.n, self.n + n)
        for columns, coefficients in terms:
            at = np.arange(columns.start, columns.stop) if isinstance(columns, slice) else np.asarray(columns)
            self._entries.append(
                (here, np.broadcast_to(at, n), np.broadcast_to(np.asarray(coefficients, dtype=np.float64), n))
            )
        self._bound(lower, upper, n)

    def sums(
        self,
        lower: FloatArray | float,
        upper: FloatArray | float,
        n: int,
        row: NDArray[np.intp],
        column: NDArray[np.intp],
        coefficient: FloatArray | float,
        *terms: Term,
    ) -> None:
        """Add n rows with entries at given rows of them, and terms as in `add`."""
        coefficients = np.broadcast_to(np.asarray(coefficient, dtype=np.float64), len(row))
        self._entries.append((self.n + row, column, coefficients))
        self.add(lower, upper, n, *terms)

    def _bound(self, lower: FloatArray | float, upper: FloatArray | float, n: int) -> None:
        self._lower.append(np.broadcast_to(np.asarray(lower, dtype=np.float64), n))
        self._upper.append(np.broadcast_to(np.asarray(upper, dtype=np.float64), n))
        self.n += n

    def matrix(self, n_columns: int) -> coo_array:
        """All entries."""
        rows, columns, values = (np.concatenate(part) for part in zip(*self._entries, strict=True))
        return coo_array((values, (rows, columns)), shape=(self.n, n_columns))

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper."""
        return np.concatenate(self._lower), np.concatenate(self._upper)


def layout_of(day: StationDay) -> Layout:
    """Columns of a day's program."""
    step, car = np.nonzero(day.car_limit_kw > 0.0)
    return Layout(shape=day.car_limit_kw.shape, car_step=step, car=car)


def build(day: StationDay, load_of: LoadOf, weights: Weights) -> StationProgram:
    """Build the program of a day, its binaries relaxed and its objectives unbounded.

    Parameters
    ----------
    load_of
        Whose peak and valley count.
    weights
        Of the objectives in the sum.
    """
    layout, rows = layout_of(day), _Rows()
    _physics(day, layout, rows)
    _peak_and_valley(day, layout, rows, load_of)
    _rules(day, layout, rows)
    _objectives(day, layout, rows)
    cost = np.zeros(layout.n_columns)
    for name, single in OBJECTIVES.items():
        cost[layout.single(single)] = getattr(weights, name)
    cost[layout.at_unmet] = day.unmet_price_per_kwh * max(
        weights.cost, weights.peak_valley_kw, weights.emission_kg
    )
    return StationProgram(program=_assembled(day, layout, rows, cost), layout=layout)


def _objectives(day: StationDay, layout: Layout, rows: _Rows) -> None:
    """Rows that make the objectives' columns: everything paid, peak less valley, emissions."""
    emission = np.zeros(layout.n_columns)
    emission[layout.at("bought")] = day.step_h * day.emission_kg_per_kwh
    for coefficients, single in ((_money(day, layout), "money"), (emission, "emission")):
        at = np.flatnonzero(coefficients)
        rows.sums(
            0.0, 0.0, 1, np.zeros(len(at), dtype=np.intp), at, coefficients[at], (layout.single(single), -1.0)
        )
    rows.add(
        0.0,
        0.0,
        1,
        (layout.single("peak"), 1.0),
        (layout.single("valley"), -1.0),
        (layout.single("spread"), -1.0),
    )


def _money(day: StationDay, layout: Layout) -> FloatArray:
    """Coefficients of everything that is paid."""
    money = np.zeros(layout.n_columns)
    money[layout.at("bought")] = day.step_h * day.building_price_per_kwh
    money[layout.at("for_station")] = day.step_h * (day.station_price_per_kwh - day.building_price_per_kwh)
    money[layout.at("sold")] = -day.step_h * day.sell_price_per_kwh
    money[layout.at("discharge")] = day.step_h * day.wear_price_per_kwh
    money[layout.single("most_bought")] = day.demand_price_per_kw
    return money


def _physics(day: StationDay, layout: Layout, rows: _Rows) -> None:
    """Rows of (1), (2), (6), (10), and of what is bought for cars and storage."""
    n_steps, n_cars = layout.shape
    unit, h = day.storage, day.step_h
    charge, discharge, stored = (layout.at(kind) for kind in ("charge", "discharge", "stored"))
    before = np.arange(stored.start - 1, stored.stop - 1)
    first = np.arange(n_steps) == 0
    before[0] = stored.start  # its coefficient is 0
    start_kwh = unit.initial_soc * unit.capacity_kwh
    rows.add(
        np.where(first, start_kwh, 0.0),
        np.where(first, start_kwh, 0.0),
        n_steps,
        (stored, 1.0),
        (before, np.where(first, 0.0, -1.0)),
        (charge, -h * unit.charge_efficiency),
        (discharge, h / unit.discharge_efficiency),
    )
    cars = np.arange(layout.at_cars.start, layout.at_cars.stop)
    rows.sums(
        day.building_kw - day.pv_kw,
        day.building_kw - day.pv_kw,
        n_steps,
        layout.car_step,
        cars,
        -1.0,
        (layout.at("bought"), 1.0),
        (layout.at("sold"), -1.0),
        (layout.at("curtailed"), -1.0),
        (charge, -1.0),
        (discharge, 1.0),
    )
    rows.sums(
        -day.pv_kw,
        np.inf,
        n_steps,
        layout.car_step,
        cars,
        -1.0,
        (layout.at("for_station"), 1.0),
        (layout.at("curtailed"), -1.0),
        (charge, -1.0),
        (discharge, 1.0),
    )
    reachable = day.reachable_kwh()
    if n_cars:
        rows.sums(reachable, reachable, n_cars, layout.car, cars, h, (layout.at_unmet, 1.0))
    if day.demand_price_per_kw > 0.0:
        rows.add(0.0, np.inf, n_steps, (layout.single("most_bought"), 1.0), (layout.at("bought"), -1.0))


def _peak_and_valley(day: StationDay, layout: Layout, rows: _Rows, load_of: LoadOf) -> None:
    """Rows valley <= L <= peak."""
    n_steps = layout.shape[0]
    cars = np.arange(layout.at_cars.start, layout.at_cars.stop)
    for single, lower, upper in (("peak", -np.inf, 0.0), ("valley", 0.0, np.inf)):
        bound = (layout.single(single), -1.0)
        if load_of == "grid":
            rows.add(lower, upper, n_steps, (layout.at("bought"), 1.0), (layout.at("sold"), -1.0), bound)
            continue
        storage = (
            [(layout.at("charge"), 1.0), (layout.at("discharge"), -1.0)] if load_of == "with storage" else []
        )
        shift = -day.building_kw
        rows.sums(lower + shift, upper + shift, n_steps, layout.car_step, cars, 1.0, bound, *storage)


def _rules(day: StationDay, layout: Layout, rows: _Rows) -> None:
    """Rows of (11), one way at a time, and of Fig. 2: outside valley hours storage takes what sun leaves, or nothing.

    The binary of a step is needed only where the cars may take more than the sun; elsewhere its row is convex as it
    is, and so tight that relaxed binaries already keep most of the rule.
    """
    n_steps, unit = layout.shape[0], day.storage
    charge, discharge = layout.at("charge"), layout.at("discharge")
    most_kw = charge_caps_kw(day)
    rows.add(-np.inf, 0.0, n_steps, (charge, 1.0), (layout.at("stores"), -most_kw))
    rows.add(
        -np.inf,
        unit.discharge_limit_kw,
        n_steps,
        (discharge, 1.0),
        (layout.at("stores"), unit.discharge_limit_kw),
    )
    ruled = np.flatnonzero(~day.is_grid_charging_hour)
    spare = layout.at("has_spare").start + ruled
    rows.add(-np.inf, 0.0, len(ruled), (charge.start + ruled, 1.0), (spare, -most_kw[ruled]))
    cars = np.arange(layout.at_cars.start, layout.at_cars.stop)
    here = np.isin(layout.car_step, ruled)
    place = np.searchsorted(ruled, layout.car_step[here])
    beyond = np.maximum(day.car_limit_kw.sum(axis=1) - day.pv_kw, 0.0)[ruled]
    rows.sums(  # charge + cars <= PV + beyond (1 - has_spare)
        -np.inf,
        day.pv_kw[ruled] + beyond,
        len(ruled),
        place,
        cars[here],
        1.0,
        (charge.start + ruled, 1.0),
        (spare, beyond),
    )


def charge_caps_kw(day: StationDay) -> FloatArray:
    """Most that storage can charge in each step: outside valley hours no more than the sun."""
    if day.storage.capacity_kwh <= 0.0:
        return np.zeros(day.n_steps)
    sun = np.where(day.is_grid_charging_hour, np.inf, day.pv_kw)
    return np.asarray(np.minimum(day.storage.charge_limit_kw, sun))


def _assembled(day: StationDay, layout: Layout, rows: _Rows, cost: FloatArray) -> LinearProgram:
    lower, upper = np.zeros(layout.n_columns), np.full(layout.n_columns, np.inf)
    unit = day.storage
    has_storage = unit.capacity_kwh > 0.0
    upper[layout.at("charge")] = charge_caps_kw(day)
    upper[layout.at("discharge")] = unit.discharge_limit_kw if has_storage else 0.0
    lower[layout.at("stored")] = unit.soc_min * unit.capacity_kwh
    upper[layout.at("stored")] = unit.soc_max * unit.capacity_kwh
    last = layout.at("stored").stop - 1
    lower[last] = unit.initial_soc * unit.capacity_kwh
    upper[layout.at("bought")] = day.import_limit_kw
    upper[layout.at("sold")] = day.export_limit_kw
    upper[layout.at("curtailed")] = day.pv_kw
    upper[layout.at("stores")] = upper[layout.at("has_spare")] = 1.0
    upper[layout.at_cars] = day.car_limit_kw[layout.car_step, layout.car]
    upper[layout.at_unmet] = day.reachable_kwh()
    for kind in ("peak", "valley", "money", "emission"):  # the spread cannot be below 0
        lower[layout.single(kind)] = -np.inf
    matrix = rows.matrix(layout.n_columns).tocsc()
    row_lower, row_upper = rows.bounds
    return LinearProgram(
        cost=cost,
        lower=lower,
        upper=upper,
        row_lower=row_lower,
        row_upper=row_upper,
        starts=matrix.indptr.astype(np.int32),
        rows=matrix.indices.astype(np.int32),
        values=matrix.data,
    )
