"""Sizes of a station's storage, sun and chargers for many weighted days, as one linear program.

Every day of `dispatch.station.program` stands in it with its binaries relaxed, and the sizes are columns: its optimum
is a certified lower bound on what any sizes can cost. What the sizes found really cost, each day's own optimum tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dispatch.highs import BASIC, Basis, LinearProgram, Solver
from dispatch.rows import Rows, with_rows_below
from dispatch.station.car_flow import CarFlow, Steps, most_kwh
from dispatch.station.day import StationDay, evenly_kw
from sim.arrays import FloatArray

_ITERATIONS: Final = 10_000_000
_SHARED_KWH: Final = 1e-6
_DUST: Final = 1e-9
STEPWISE: Final = ("cars", "charge", "discharge", "stored", "bought", "sold", "curtailed")
"""Columns that every step of every day has; each day has its largest import besides."""
SIZES: Final = ("storage_kwh", "storage_kw", "pv_kw", "chargers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """What a unit of something costs."""

    price: float
    life_years: float


def annuity(rate: float, years: float) -> float:
    """Yearly payment per unit of capital over some years.

    >>> round(annuity(0.06, 12), 6)
    0.119277
    >>> annuity(0.0, 20)
    0.05
    """
    return 1.0 / years if rate == 0.0 else rate / (1.0 - (1.0 + rate) ** -years)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capital:
    """Prices of what can be bought; in the scenario's currency."""

    storage_kwh: Asset  # per kWh
    storage_kw: Asset  # per kW of its converter
    pv_kw: Asset  # per kW
    charger: Asset  # each
    rate: float  # of interest, a year

    def per_year(self) -> FloatArray:
        """Yearly payment per unit of each of ``SIZES``."""
        assets = (self.storage_kwh, self.storage_kw, self.pv_kw, self.charger)
        return np.array([asset.price * annuity(self.rate, asset.life_years) for asset in assets])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How large everything is."""

    storage_kwh: float
    storage_kw: float
    pv_kw: float
    chargers: float  # charging points at full power: as many cars can charge at once

    def as_array(self) -> FloatArray:
        """In the order of ``SIZES``."""
        return np.array([self.storage_kwh, self.storage_kw, self.pv_kw, self.chargers])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on the sizes; equal ones fix a size."""

    lower: Sizes = Sizes(storage_kwh=0.0, storage_kw=0.0, pv_kw=0.0, chargers=0.0)
    upper: Sizes = Sizes(storage_kwh=np.inf, storage_kw=np.inf, pv_kw=np.inf, chargers=np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """Sizes of least cost, and the bound that they prove."""

    sizes: Sizes
    capital_cost: float  # a year
    operation_bound: float  # a year: operation at these sizes, binaries relaxed
    rounds: int

    @property
    def bound(self) -> float:
        """No sizes can cost less a year."""
        return self.capital_cost + self.operation_bound


def size(
    days: Sequence[StationDay],
    weights: FloatArray,
    *,
    pv_rated_kw: float,
    capital: Capital,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    charger_kw: float,
) -> Sized:
    """Sizes that cost least over weighted days.

    Minimises  sum over days of w_d [h sum (rho_b bought - rho_s sold + w discharge) + c_D max bought] + annuities,
    subject to (1), (2), (10), (11) with the sizes as columns: soc_min S <= E <= soc_max S, charge + discharge <= P,
    sun in proportion to its rated power, cars' sum <= charger_kw n, and cuts that let the cars share their sum. Of the
    flow rule only charge <= PV outside valley hours is kept.

    Parameters
    ----------
    days
        Of equal steps, one tariff for building and station, no limit of the connection; ``pv_kw`` at ``pv_rated_kw``.
        SOC limits and efficiencies of the storage are those of the first day.
    weights : ndarray, shape (D,)
        How many days of a year each stands for.
    charger_kw
        Power of a charging point.

    Raises
    ------
    ValueError
        When a day's cars and storage pay another price than the building, or the connection has a limit.
    ArithmeticError
        When no sizes serve all cars.
    """
    for day in days:
        if (day.station_price_per_kwh != day.building_price_per_kwh).any() or np.isfinite(
            day.import_limit_kw
        ):
            raise ValueError("sizes are chosen with one price for all and a connection without limit")
    model = _Model(days, weights, pv_rated_kw, capital, limits, charger_kw)
    return model.solve()


class _Model:
    def __init__(
        self,
        days: Sequence[StationDay],
        weights: FloatArray,
        pv_rated_kw: float,
        capital: Capital,
        limits: Limits,
        charger_kw: float,
    ) -> None:
        self._days, self._n_steps = days, days[0].n_steps
        self._n = len(days) * self._n_steps
        self._flows = [CarFlow(day) for day in days]
        self._inside = [evenly_kw(day).sum(axis=1) for day in days]
        self._program = self._build(weights, pv_rated_kw, capital, limits, charger_kw)
        self._per_year = capital.per_year()

    def solve(self) -> Sized:
        """Solve, cut, and solve again until the cars of every day can share their sum."""
        solver, basis, rounds = Solver(iteration_limit=_ITERATIONS), None, 0
        while True:
            rounds += 1
            outcome = solver.solve(self._program, basis, warm_method="dual")
            if outcome.status != "optimal":
                raise ArithmeticError(f"no sizes serve all cars ({outcome.status})")
            cuts = self._cuts(outcome.values[self._at("cars")].reshape(len(self._days), self._n_steps))
            if not cuts:
                break
            self._add(cuts)
            assert outcome.basis is not None
            grown = np.append(outcome.basis.rows, np.full(len(cuts), BASIC, dtype=np.int8))
            basis = Basis(columns=outcome.basis.columns, rows=grown)
        found = outcome.values[-len(SIZES) :]
        capital = float(found @ self._per_year)
        return Sized(
            sizes=Sizes(**dict(zip(SIZES, found.tolist(), strict=True))),
            capital_cost=capital,
            operation_bound=outcome.bound - capital,
            rounds=rounds,
        )

    def _at(self, kind: str) -> slice[int, int, None]:
        place = STEPWISE.index(kind)
        return slice(place * self._n, (place + 1) * self._n)

    def _cuts(self, cars_kw: FloatArray) -> list[tuple[int, Steps]]:
        """A cut of each day whose cars cannot share their sum, looked for half-way first (see `optimum`)."""
        found = []
        for number, (flow, own_kw) in enumerate(zip(self._flows, np.maximum(cars_kw, 0.0), strict=True)):
            half_way = 0.5 * (self._inside[number] + own_kw)
            for asked_kw in (half_way, own_kw):
                shared = flow.share(asked_kw)
                if shared.excess_kwh > _SHARED_KWH:
                    found.append((number, shared.cut))
                    break
                self._inside[number] = asked_kw
        return found

    def _add(self, cuts: Sequence[tuple[int, Steps]]) -> None:
        program, first = self._program, self._at("cars").start
        block = np.zeros((len(cuts), len(program.cost)))
        limits = np.empty(len(cuts))
        for row, (number, steps) in enumerate(cuts):
            day = self._days[number]
            begin = first + number * self._n_steps
            block[row, begin : begin + self._n_steps] = day.step_h * steps
            limits[row] = most_kwh(day, steps)
        self._program = with_rows_below(program, block, limits)

    def _build(
        self,
        weights: FloatArray,
        pv_rated_kw: float,
        capital: Capital,
        limits: Limits,
        charger_kw: float,
    ) -> LinearProgram:
        days, n, h = self._days, self._n, self._days[0].step_h
        unit, n_days = days[0].storage, len(self._days)
        n_columns = len(STEPWISE) * n + n_days + len(SIZES)
        most = len(STEPWISE) * n + np.repeat(np.arange(n_days), self._n_steps)
        kwh, kw, pv, chargers = range(n_columns - len(SIZES), n_columns)
        per_kw = np.concatenate([day.pv_kw for day in days]) / pv_rated_kw
        building = np.concatenate([day.building_kw for day in days])
        cars, charge, discharge, stored, bought, sold, curtailed = (self._at(kind) for kind in STEPWISE)
        rows = Rows(n_columns)
        step = np.arange(n) % self._n_steps
        first, last = step == 0, step == self._n_steps - 1
        before = np.where(first, stored.start, np.arange(stored.start - 1, stored.stop - 1))
        rows.add(
            0.0, 0.0, n,
            (stored, 1.0),
            (before, np.where(first, 0.0, -1.0)),
            (kwh, np.where(first, -unit.initial_soc, 0.0)),
            (charge, -h * unit.charge_efficiency),
            (discharge, h / unit.discharge_efficiency),
        )  # fmt: skip
        rows.add(-np.inf, 0.0, n, (stored, 1.0), (kwh, -unit.soc_max))
        rows.add(0.0, np.inf, n, (stored, 1.0), (kwh, np.where(last, -unit.initial_soc, -unit.soc_min)))
        rows.add(-np.inf, 0.0, n, (charge, 1.0), (discharge, 1.0), (kw, -1.0))
        rows.add(
            building, building, n,
            (bought, 1.0), (sold, -1.0), (cars, -1.0), (charge, -1.0), (discharge, 1.0),
            (curtailed, -1.0), (pv, per_kw),
        )  # fmt: skip
        rows.add(-np.inf, 0.0, n, (curtailed, 1.0), (pv, -per_kw))
        ruled = np.flatnonzero(~np.concatenate([day.is_grid_charging_hour for day in days]))
        rows.add(-np.inf, 0.0, len(ruled), (charge.start + ruled, 1.0), (pv, -per_kw[ruled]))
        rows.add(-np.inf, 0.0, n, (cars, 1.0), (chargers, -charger_kw))
        if any(day.demand_price_per_kw > 0.0 for day in days):
            rows.add(-np.inf, 0.0, n, (bought, 1.0), (most, -1.0))
        for number, day in enumerate(days):
            taken = np.zeros(n_columns)
            begin = cars.start + number * self._n_steps
            taken[begin : begin + self._n_steps] = h
            rows.total(float(day.reachable_kwh().sum()), taken)
        cost = np.zeros(n_columns)
        weight = np.repeat(weights, self._n_steps)
        for part, values in (
            (bought, [day.building_price_per_kwh for day in days]),
            (sold, [-day.sell_price_per_kwh for day in days]),
            (discharge, [np.full(self._n_steps, day.wear_price_per_kwh) for day in days]),
        ):
            cost[part] = h * weight * np.concatenate(values)
        cost[len(STEPWISE) * n : len(STEPWISE) * n + n_days] = weights * [
            day.demand_price_per_kw for day in days
        ]
        cost[-len(SIZES) :] = capital.per_year()
        lower, upper = np.zeros(n_columns), np.full(n_columns, np.inf)
        upper[cars] = np.concatenate([day.car_limit_kw.sum(axis=1) for day in days])
        lower[-len(SIZES) :], upper[-len(SIZES) :] = limits.lower.as_array(), limits.upper.as_array()
        return rows.program(cost, lower, upper)


def at_sizes(day: StationDay, sizes: Sizes, *, pv_rated_kw: float, charger_kw: float) -> StationDay:
    """A day, whose sun is that of a rated power, at other sizes."""
    storage = replace(
        day.storage,
        capacity_kwh=sizes.storage_kwh,
        charge_limit_kw=sizes.storage_kw,
        discharge_limit_kw=sizes.storage_kw,
    )
    return replace(
        day,
        storage=storage,
        pv_kw=day.pv_kw * (sizes.pv_kw / pv_rated_kw),
        cars_limit_kw=charger_kw * sizes.chargers * (1.0 + _DUST),
    )
