"""Days of a feeder as one linear program that no true plan can undercut.

Columns of a step, with kappa = 2,000 / base in kVA and V the squared voltage in thousandths of a per unit:

- flow P and Q that arrive at the end of branch m into bus j, and its squared current l in kVA, loss r l [kW]:
      P_m = demand_j - sun_j + curtailed_j + charge_j - discharge_j + sum over k below j of (P_k + r_k l_k)
      Q_m = demand_j - charging_j V_j / 1,000 + sum over k below j of (Q_k + x_k l_k)
      V_j - V_i + kappa (r P + x Q) + kappa / 2 (r^2 + x^2) l = 0
      l V >= (P^2 + Q^2) 1,000 / base
- exchange with the source, storage  E_t = kept E_t-1 + h (eta_c charge - discharge / eta_d).

With equality in the fourth line these are the equations of AC power flow on a tree (Baran and Wu 1989); with ">=" they
are its second-order-cone relaxation (Farivar and Low 2013, "Branch flow model", Eqs. 13-16). (P^2 + Q^2) / V is convex
in P, Q and V together, and its tangent at any state,
      l >= (2 P0 P + 2 Q0 Q - (P0^2 + Q0^2) V / V0) / V0 x 1,000 / base,
lies below it everywhere. A program whose rows are such tangents thus bounds the AC optimum from below: nothing is
linearised but by tangents, whatever the voltages turn out to be. Ratings are convex too: of a line without charging a
bound on l; of other branches by tangents of P^2 + Q^2 <= rating^2 v^2 at both ends (v = 1 for transformers).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csc_array, vstack

from dispatch.highs import BASIC, Basis, LinearProgram
from dispatch.network import KAPPA, MILLI
from dispatch.planning.checks import BOUND, FINITE, NOT_NEGATIVE, check, check_fields, check_shape
from dispatch.planning.day import Case
from dispatch.rows import Rows, with_rows_below
from sim.arrays import FloatArray, IntArray, freeze
from sim.feeder.model import BASE_KVA, Feeder

Columns = NDArray[np.intp]
Objective = Literal["cost", "peak_valley_kw", "loss_kwh", "voltage_deviation_pu", "wear_kwh", "emission_kg"]
OBJECTIVES: Final[tuple[Objective, ...]] = (
    "cost", "peak_valley_kw", "loss_kwh", "voltage_deviation_pu", "wear_kwh", "emission_kg",
)  # fmt: skip
"""Sums over the weighted days; peak less valley of the exchange and deviation of voltages: their weighted means."""
COLUMN_UNITS: Final = np.array([1.0, 1.0, 1.0, 1e5, 1.0, 1.0])
"""How many units of an objective's column one of it makes: deviations are too small for a solver's tolerances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """One number for each objective: weights of a sum, bounds, or what a plan reaches.

    The deviation of a voltage v is |v^2 - 1| / 2, which is |v - 1| to first order and linear in the program.
    """

    cost: float = 0.0  # energy at the source (losses with it), wear, annuities, less what reserve earns
    peak_valley_kw: float = 0.0  # largest less smallest exchange of a day
    loss_kwh: float = 0.0
    voltage_deviation_pu: float = 0.0  # mean over buses and steps
    wear_kwh: float = 0.0  # discharged
    emission_kg: float = 0.0  # of what is bought

    def as_array(self) -> FloatArray:
        """In the order of ``OBJECTIVES``."""
        return np.array([getattr(self, name) for name in OBJECTIVES])

    @classmethod
    def of(cls, values: FloatArray) -> Amounts:
        """From an array in the order of ``OBJECTIVES``."""
        return cls(**dict(zip(OBJECTIVES, np.asarray(values, dtype=np.float64).tolist(), strict=True)))


UNBOUNDED: Final = Amounts.of(np.full(len(OBJECTIVES), np.inf))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reserve:
    """A market that pays for power held ready, up (discharge more) and down (charge more)."""

    up_per_kw_h: FloatArray  # (K,) price of a kW held for an hour
    down_per_kw_h: FloatArray  # (K,)
    duration_h: float  # that a full activation must be sustained
    keeps_energy: bool = True  # whether the program knows that it must

    def __post_init__(self) -> None:
        check_fields(self, FINITE, "up_per_kw_h", "down_per_kw_h")
        check_fields(self, NOT_NEGATIVE, "duration_h")
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hosts:
    """Further sun whose size is a column that is made as large as it can be; with it no sun is curtailed."""

    per_kw: FloatArray  # (K, N), means over each step of a size of 1 kW in all
    most_kw: float

    def __post_init__(self) -> None:
        check_fields(self, NOT_NEGATIVE, "per_kw", "most_kw")
        freeze(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a program holds besides."""

    has_deviation: bool = False  # whether the deviation of voltages may be bounded or minimised
    beyond_price: float | None = None
    """Cost of a thousandth of squared voltage outside the band, or of a kVA above a rating (`beyond_rating_kva`), for
    an hour; none: the limits are hard. Bounds on exports always are."""
    reserve: Reserve | None = None
    hosts: Hosts | None = None

    def __post_init__(self) -> None:
        if self.beyond_price is not None:
            check_fields(self, NOT_NEGATIVE, "beyond_price")


class Layout:
    """Where the columns are: those of every step, (T, width), then those of days, sizes, objectives and the scale."""

    def __init__(self, case: Case, options: Options) -> None:
        feeder = case.network.feeder
        m, n, c = feeder.n_branches, feeder.n_buses, case.design.n
        self.n_steps = case.n_steps
        self.sunny: Columns = np.flatnonzero(case.stacked("pv_kw").any(axis=0))
        self._next = 0
        self.flow, self.kvar, self.current = (self._stepwise(m) for _ in range(3))
        self.voltage = self._stepwise(n)
        self.bought, self.sold = self._stepwise(1)[:, 0], self._stepwise(1)[:, 0]
        self.curtailed = self._stepwise(len(self.sunny))
        self.charge, self.discharge, self.stored = (self._stepwise(c) for _ in range(3))
        self.deviation = self._stepwise(n if options.has_deviation else 0)
        is_elastic = options.beyond_price is not None
        self.low, self.high = (self._stepwise(n if is_elastic else 0) for _ in range(2))
        self.over = self._stepwise(m if is_elastic else 0)
        has_reserve = options.reserve is not None
        self.up, self.down = (self._stepwise(c if has_reserve else 0) for _ in range(2))
        self.peak, self.valley = (self._take(len(case.days)) for _ in range(2))
        self.kwh, self.kw, self.built = (self._take(c) for _ in range(3))
        self.objectives = self._take(len(OBJECTIVES))
        self.scale = self._take(1)
        self.may_scale = not is_elastic and options.hosts is None  # nothing but objectives is paid for
        self.n_columns = self._next

    def _take(self, n: int) -> Columns:
        here = np.arange(self._next, self._next + n)
        self._next += n
        return here

    def _stepwise(self, width: int) -> Columns:
        return self._take(self.n_steps * width).reshape(self.n_steps, width)

    def objective(self, name: Objective) -> int:
        """Column of an objective."""
        return int(self.objectives[OBJECTIVES.index(name)])


class _Rows(Rows):
    """Rows of many equal blocks."""

    def table(self, lower: FloatArray | float, upper: FloatArray | float, *terms: _Table) -> None:
        """Add rows of shape (T, n); a term is columns (T, w) and coefficients (n, w), a row's share of each."""
        steps, n = len(terms[0][0]), len(terms[0][1])
        first = self.n + n * np.arange(steps)[:, np.newaxis]
        for columns, coefficients in terms:
            row, place = np.nonzero(coefficients)
            at = (first + row).ravel()
            values = np.broadcast_to(coefficients[row, place], (steps, len(row))).ravel()
            self._entries.append((at, columns[:, place].ravel(), values))
        shape = (steps, n)
        self._bound(np.broadcast_to(lower, shape).ravel(), np.broadcast_to(upper, shape).ravel(), steps * n)

    def entries(self, at: Columns, columns: Columns, values: FloatArray) -> None:
        """Add coefficients to rows that are there."""
        self._entries.append((at, columns, values))

    def weighted(self, lower: float, upper: float, columns: Columns, coefficients: FloatArray) -> None:
        """Add one row."""
        self._entries.append((np.full(len(columns), self.n), columns, coefficients))
        self._bound(lower, upper, 1)


_Table = tuple[Columns, FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeederProgram:
    """A program and where its columns are."""

    program: LinearProgram
    layout: Layout
    cost_scale: float = 1.0  # what a unit of the weighted sum counts in the program

    def with_rows(self, block: csc_array, upper: FloatArray, *, are_equal: bool = False) -> FeederProgram:
        """The same program with further rows, each at most its upper bound, or equal to it."""
        grown = with_rows_below(self.program, block, upper)
        if are_equal:
            grown = replace(grown, row_lower=np.append(self.program.row_lower, upper))
        return replace(self, program=grown)

    def start(self, basis: Basis) -> Basis:
        """A basis of this program from one with fewer rows."""
        missing = len(self.program.row_lower) - len(basis.rows)
        more = np.full(missing, BASIC, dtype=np.int8)
        return Basis(columns=basis.columns, rows=np.append(basis.rows, more))

    def minimising(self, weights: Amounts) -> FeederProgram:
        """The same program with another weighted sum of the objectives."""
        for name in OBJECTIVES:
            check(f"weights: {name}", getattr(weights, name), NOT_NEGATIVE)
        cost = self.program.cost.copy()
        shares = weights.as_array() / COLUMN_UNITS
        is_scaled = shares.any() and self.layout.may_scale
        scale = 1.0 / float(shares.max()) if is_scaled else 1.0
        cost[self.layout.objectives] = scale * shares
        return replace(self, program=replace(self.program, cost=cost), cost_scale=scale)

    def slopes(self, reduced_costs: FloatArray) -> FloatArray:
        """By how much the optimum falls, at least, per unit of each objective's bound; (6,), none above 0."""
        at_columns = np.minimum(reduced_costs[self.layout.objectives], 0.0)
        return np.asarray(at_columns * COLUMN_UNITS / self.cost_scale)

    def bounded(self, bounds: Amounts) -> FeederProgram:
        """The same program under other bounds on its objectives."""
        for name in OBJECTIVES:
            check(f"bounds: {name}", getattr(bounds, name), BOUND)
        upper = self.program.upper.copy()
        upper[self.layout.objectives] = bounds.as_array() * COLUMN_UNITS
        return replace(self, program=replace(self.program, upper=upper))

    def sized(self, case: Case) -> FeederProgram:
        """The same program with the bounds on sizes of this case's design."""
        lower, upper = self.program.lower.copy(), self.program.upper.copy()
        _bound_sizes(case, self.layout, lower, upper)
        return replace(self, program=replace(self.program, lower=lower, upper=upper))


def build(case: Case, weights: Amounts, options: Options = Options()) -> FeederProgram:  # noqa: B008 - frozen
    """Build the program without any tangent, sites relaxed to shares, charging beside discharging allowed.

    Parameters
    ----------
    weights
        Of the objectives in the sum that is minimised.
    """
    _check_options(case, options)
    layout = Layout(case, options)
    rows = _Rows(layout.n_columns)
    _flows(case, options, layout, rows)
    _store(case, layout, rows)
    if options.reserve is not None:
        _hold_reserve(case, options.reserve, layout, rows)
    if options.has_deviation:
        unit = np.eye(case.network.feeder.n_buses)
        for sign in (1.0, -1.0):
            least = -sign / 2.0
            rows.table(least, np.inf, (layout.deviation, unit), (layout.voltage, -sign / (2 * MILLI) * unit))
    _peaks(case, layout, rows)
    _add_up(case, options, layout, rows)
    lower, upper = _bounds(case, options, layout)
    cost = np.zeros(layout.n_columns)
    if options.beyond_price is not None:
        price = options.beyond_price * case.step_weight[:, np.newaxis]
        for part in (layout.low, layout.high, layout.over):
            cost[part] = price
    if options.hosts is not None:
        cost[layout.scale] = -1.0
    program = FeederProgram(program=rows.program(cost, lower, upper), layout=layout)
    return program.minimising(weights)


def _check_options(case: Case, options: Options) -> None:
    """Refuse arrays of options that are not of the case's steps and buses."""
    each_day = case.days[0].n_steps
    if options.reserve is not None:
        for name in ("up_per_kw_h", "down_per_kw_h"):
            check_shape(f"Reserve: {name}", getattr(options.reserve, name), (each_day,), "steps of a day")
    if options.hosts is not None:
        shape = (each_day, case.network.feeder.n_buses)
        check_shape("Hosts: per_kw", options.hosts.per_kw, shape, "steps of a day and buses")


def _flows(case: Case, options: Options, layout: Layout, rows: _Rows) -> None:
    """Power balance of every bus and drop along every branch."""
    feeder, source = case.network.feeder, case.network.feeder.source_index
    m, n, into = feeder.n_branches, feeder.n_buses, np.arange(feeder.n_branches)
    arrives, leaves = np.zeros((n, m)), np.zeros((n, m))
    arrives[feeder.child_index, into] = leaves[feeder.parent_index, into] = 1.0
    buses = np.eye(n)
    sun = case.stacked("pv_kw")
    net_kw = case.stacked("demand_kw") - sun
    terms: list[_Table] = [
        (layout.flow, arrives - leaves),
        (layout.current, -leaves * feeder.r_pu),
        (np.stack([layout.bought, layout.sold], axis=1), np.outer(buses[source], [1.0, -1.0])),
        (layout.curtailed, -buses[:, layout.sunny]),
        (layout.charge, -buses[:, case.design.bus]),
        (layout.discharge, buses[:, case.design.bus]),
    ]
    begin = rows.n
    rows.table(net_kw, net_kw, *terms)
    if options.hosts is not None:
        per_unit = np.tile(options.hosts.per_kw, (len(case.days), 1)).ravel()
        given = np.flatnonzero(per_unit)
        rows.entries(begin + given, np.full(len(given), layout.scale[0]), per_unit[given])
    others = np.flatnonzero(np.arange(n) != source)
    rows.table(
        case.stacked("demand_kvar")[:, others],
        case.stacked("demand_kvar")[:, others],
        (layout.kvar, (arrives - leaves)[others]),
        (layout.current, (-leaves * feeder.x_pu)[others]),
        (layout.voltage, np.diag(feeder.charging_kvar / MILLI)[others]),
    )
    rows.table(
        0.0,
        0.0,
        (layout.voltage, (arrives - leaves).T),
        (layout.flow, np.diag(KAPPA * feeder.r_pu)),
        (layout.kvar, np.diag(KAPPA * feeder.x_pu)),
        (layout.current, np.diag(KAPPA / 2.0 * (feeder.r_pu**2 + feeder.x_pu**2))),
    )
    if options.beyond_price is not None:
        net = case.network
        low, high = MILLI * net.voltage_min_pu**2, MILLI * net.voltage_max_pu**2
        others_unit = buses[others]
        rows.table(low, np.inf, (layout.voltage, others_unit), (layout.low, others_unit))
        rows.table(-np.inf, high, (layout.voltage, others_unit), (layout.high, -others_unit))
        limited = np.eye(m)[np.isfinite(current_limit(feeder))]
        most = current_limit(feeder)[np.isfinite(current_limit(feeder))]
        rows.table(-np.inf, most, (layout.current, limited), (layout.over, -limited))


def _store(case: Case, layout: Layout, rows: _Rows) -> None:
    """Energy of each candidate's storage, within its sizes; sizes within what is built."""
    unit, h, design = case.storage, case.step_h, case.design
    steps, c = layout.n_steps, design.n
    each_day = case.days[0].n_steps
    is_first = (np.arange(steps) % each_day == 0)[:, np.newaxis]
    is_last = (np.arange(steps) % each_day == each_day - 1)[:, np.newaxis]
    kept = unit.kept(h)
    before = np.where(is_first, layout.kwh, np.roll(layout.stored, 1, axis=0))
    share = np.where(is_first, unit.initial_soc * kept, kept)
    count = steps * c
    sizes = np.broadcast_to(layout.kwh, (steps, c)).ravel()
    powers = np.broadcast_to(layout.kw, (steps, c)).ravel()
    charge, discharge, stored = (part.ravel() for part in (layout.charge, layout.discharge, layout.stored))
    rows.add(
        0.0, 0.0, count,
        (stored, 1.0),
        (before.ravel(), -np.broadcast_to(share, (steps, c)).ravel()),
        (charge, -h * unit.charge_efficiency),
        (discharge, h / unit.discharge_efficiency),
    )  # fmt: skip
    rows.add(-np.inf, 0.0, count, (stored, 1.0), (sizes, -unit.soc_max))
    least = np.broadcast_to(np.where(is_last, unit.initial_soc, unit.soc_min), (steps, c)).ravel()
    rows.add(0.0, np.inf, count, (stored, 1.0), (sizes, -least))
    rows.add(-np.inf, 0.0, count, (charge, 1.0), (discharge, 1.0), (powers, -1.0))
    for size, most in ((layout.kwh, design.kwh_upper), (layout.kw, design.kw_upper)):
        rows.add(-np.inf, 0.0, c, (size, 1.0), (layout.built, -most))
    if np.isfinite(unit.kw_per_kwh):
        rows.add(-np.inf, 0.0, c, (layout.kw, 1.0), (layout.kwh, -unit.kw_per_kwh))
    if design.most_sites is not None:
        rows.weighted(-np.inf, float(design.most_sites), layout.built, np.ones(c))


def _hold_reserve(case: Case, reserve: Reserve, layout: Layout, rows: _Rows) -> None:
    """Power and energy for a full activation.

    Energy at each step's end is what the schedule leaves less (more) all that is held in the steps of an activation
    that ends with it. Either way a kW counts 1 / eta_d: so much energy goes when it is discharged, and so much stays
    when a discharge is left out, which is more than charging it would give.
    """
    unit, h, c = case.storage, case.step_h, case.design.n
    steps, each_day = layout.n_steps, case.days[0].n_steps
    count = steps * c
    powers = np.broadcast_to(layout.kw, (steps, c)).ravel()
    sizes = np.broadcast_to(layout.kwh, (steps, c)).ravel()
    charge, discharge = layout.charge.ravel(), layout.discharge.ravel()
    for held, sign in ((layout.up, 1.0), (layout.down, -1.0)):
        rows.add(-np.inf, 0.0, count, (held.ravel(), 1.0), (discharge, sign), (charge, -sign), (powers, -1.0))
        if not reserve.keeps_energy:
            continue
        window = int(np.ceil(reserve.duration_h / h - 1e-9))
        step = np.arange(steps) % each_day
        terms = []
        for back in range(window):
            inside = np.broadcast_to((step >= back)[:, np.newaxis], (steps, c)).ravel()
            lasts_h = min(h, reserve.duration_h)
            earlier = np.roll(held, back, axis=0).ravel()
            terms.append((earlier, np.where(inside, -sign * lasts_h / unit.discharge_efficiency, 0.0)))
        limit = unit.soc_min if sign > 0.0 else unit.soc_max
        low, high = (0.0, np.inf) if sign > 0.0 else (-np.inf, 0.0)
        rows.add(low, high, count, (layout.stored.ravel(), 1.0), (sizes, -limit), *terms)


def _peaks(case: Case, layout: Layout, rows: _Rows) -> None:
    """Rows valley <= exchange <= peak of each day."""
    day = np.repeat(np.arange(len(case.days)), case.days[0].n_steps)
    exchange = ((layout.bought, 1.0), (layout.sold, -1.0))
    rows.add(-np.inf, 0.0, layout.n_steps, *exchange, (layout.peak[day], -1.0))
    rows.add(0.0, np.inf, layout.n_steps, *exchange, (layout.valley[day], -1.0))


def _add_up(case: Case, options: Options, layout: Layout, rows: _Rows) -> None:
    """Rows that make the objectives' columns."""
    hours, feeder = case.step_weight, case.network.feeder
    all_hours = hours[:, np.newaxis]
    mean = case.weight / case.weight.sum()
    money: list[tuple[Columns, FloatArray]] = [
        (layout.bought, hours * case.stacked("buy_per_kwh")),
        (layout.sold, -hours * case.stacked("sell_per_kwh")),
        (layout.discharge, case.storage.wear_price_per_kwh * all_hours),
    ]
    if case.capital is not None:
        prices = case.capital.per_year()
        money += [
            (size, np.full(case.design.n, price))
            for size, price in zip((layout.kwh, layout.kw, layout.built), prices, strict=True)
        ]
    if options.reserve is not None:
        for held, price in (
            (layout.up, options.reserve.up_per_kw_h),
            (layout.down, options.reserve.down_per_kw_h),
        ):
            money.append((held, -all_hours * np.tile(price, len(case.days))[:, np.newaxis]))
    parts: dict[Objective, list[tuple[Columns, FloatArray]]] = {
        "cost": money,
        "peak_valley_kw": [(layout.peak, mean), (layout.valley, -mean)],
        "loss_kwh": [(layout.current, all_hours * feeder.r_pu)],
        "voltage_deviation_pu": [(layout.deviation, all_hours / (hours.sum() * feeder.n_buses))],
        "wear_kwh": [(layout.discharge, all_hours)],
        "emission_kg": [(layout.bought, hours * case.stacked("grid_kg_per_kwh"))],
    }
    for name, terms in parts.items():
        columns = [part.ravel() for part, _ in terms]
        values = [np.broadcast_to(value, part.shape).ravel() for part, value in terms]
        rows.weighted(
            0.0,
            0.0,
            np.concatenate([*columns, [layout.objective(name)]]),
            np.concatenate([*values, [-1.0 / COLUMN_UNITS[OBJECTIVES.index(name)]]]),
        )


def current_limit(feeder: Feeder) -> FloatArray:
    """Bound on the squared current of each branch [kVA], (M,); inf where ratings are not of the series current."""
    is_current = ~feeder.is_transformer & (feeder.b_pu == 0.0)
    return np.where(is_current, feeder.rating_kva**2 / BASE_KVA, np.inf)


def _bounds(case: Case, options: Options, layout: Layout) -> tuple[FloatArray, FloatArray]:
    net, source = case.network, case.network.feeder.source_index
    lower, upper = np.zeros(layout.n_columns), np.full(layout.n_columns, np.inf)
    for part in (layout.flow, layout.kvar, layout.peak, layout.valley):
        lower[part] = -np.inf
    lower[layout.objective("cost")] = lower[layout.objective("emission_kg")] = -np.inf
    if options.beyond_price is None:
        lower[layout.voltage] = MILLI * net.voltage_min_pu**2
        upper[layout.voltage] = MILLI * net.voltage_max_pu**2
        upper[layout.current] = current_limit(net.feeder)
    lower[layout.voltage[:, source]] = upper[layout.voltage[:, source]] = MILLI * net.source_pu**2
    upper[layout.sold] = np.repeat([day.export_limit_kw for day in case.days], case.days[0].n_steps)
    upper[layout.curtailed] = case.stacked("pv_kw")[:, layout.sunny]
    _bound_sizes(case, layout, lower, upper)
    upper[layout.scale] = 0.0
    if options.hosts is not None:
        upper[layout.scale], upper[layout.curtailed] = options.hosts.most_kw, 0.0
    return lower, upper


def _bound_sizes(case: Case, layout: Layout, lower: FloatArray, upper: FloatArray) -> None:
    design = case.design
    lower[layout.kwh], upper[layout.kwh] = design.kwh_lower, design.kwh_upper
    lower[layout.kw], upper[layout.kw] = design.kw_lower, design.kw_upper
    paid = design.stands | design.is_paid
    lower[layout.built], upper[layout.built] = paid, design.may_stand | paid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class States:
    """What a program says of the feeder in each step."""

    flow_kw: FloatArray  # (T, M), arriving
    flow_kvar: FloatArray  # (T, M)
    current_kva: FloatArray  # (T, M), squared
    squared_pu: FloatArray  # (T, N), squared voltages

    def __post_init__(self) -> None:
        freeze(self)


def states_of(layout: Layout, values: FloatArray) -> States:
    """Read the feeder's states from the columns' values."""
    return States(
        flow_kw=values[layout.flow],
        flow_kvar=values[layout.kvar],
        current_kva=values[layout.current],
        squared_pu=values[layout.voltage] / MILLI,
    )


def least_current_kva(feeder: Feeder, states: States) -> FloatArray:
    """Squared current that belongs to each flow, (T, M): what tangents approach from below."""
    apparent = (states.flow_kw**2 + states.flow_kvar**2) / BASE_KVA
    return np.asarray(apparent / states.squared_pu[:, feeder.child_index])


def tangents(feeder: Feeder, layout: Layout, around: States, where: NDArray[np.bool_]) -> csc_array:
    """Tangents of the squared current at some states as rows that are at most 0, (rows, columns).

    Parameters
    ----------
    where : ndarray, shape (T, M)
        Steps and branches that get one.
    """
    step, branch = np.nonzero(where)
    child = feeder.child_index[branch]
    p, q, v = around.flow_kw[step, branch], around.flow_kvar[step, branch], around.squared_pu[step, child]
    return sparse_rows(
        layout.n_columns,
        (layout.flow[step, branch], 2.0 * p / v / BASE_KVA),
        (layout.kvar[step, branch], 2.0 * q / v / BASE_KVA),
        (layout.voltage[step, child], -(p**2 + q**2) / v**2 / BASE_KVA / MILLI),
        (layout.current[step, branch], -np.ones(len(step))),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _End:
    """One end of each branch: what goes through it by some states, and what may."""

    bus: IntArray  # (M,)
    share: float  # of the branch's loss that goes through
    own_kvar: FloatArray  # (M,) of the charging there that goes through, at rated voltage
    p_kw: FloatArray  # (T, M)
    q_kvar: FloatArray  # (T, M)
    room: FloatArray  # (T, M), the most that P^2 + Q^2 may be [kVA^2]


def _ends(feeder: Feeder, states: States) -> Iterator[_End]:
    half_kvar = feeder.b_pu / 2.0 * BASE_KVA
    for share, bus in ((0.0, feeder.child_index), (1.0, feeder.parent_index)):
        # the child's half adds to what arrives, the parent's is part of what leaves
        own_kvar, squared = (1.0 - 2.0 * share) * half_kvar, states.squared_pu[:, bus]
        q_kvar = states.flow_kvar + share * feeder.x_pu * states.current_kva
        yield _End(
            bus=bus,
            share=share,
            own_kvar=own_kvar,
            p_kw=states.flow_kw + share * feeder.r_pu * states.current_kva,
            q_kvar=q_kvar + own_kvar * squared,
            room=feeder.rating_kva**2 * np.where(feeder.is_transformer, 1.0, squared),
        )


def beyond_rating_kva(feeder: Feeder, states: States) -> FloatArray:
    """What lies above each branch's rating [kVA], (T, M): what `Options.beyond_price` is paid for.

    Of a line without charging l - rating^2 / base; of others the larger, at their ends, of (P^2 + Q^2 - rating^2 v^2) /
    base, with v = 1 for transformers.
    """
    beyond = states.current_kva - current_limit(feeder)
    is_by_end = np.isinf(current_limit(feeder))
    for end in _ends(feeder, states):
        above = (end.p_kw**2 + end.q_kvar**2 - end.room) / BASE_KVA
        beyond = np.maximum(beyond, np.where(is_by_end, above, -np.inf))
    return np.maximum(beyond, 0.0)


def rating_tangents(
    feeder: Feeder, layout: Layout, around: States, beyond_kva: FloatArray | float = 0.0
) -> tuple[csc_array, FloatArray] | None:
    """Tangents of those ratings that states exceed and that no bound on a current tells: rows and upper bounds.

    Parameters
    ----------
    beyond_kva : ndarray, shape (T, M)
        What is paid for already where limits have a price; the rows then leave room for what is paid for.
    """
    checked = np.isfinite(feeder.rating_kva) & np.isinf(current_limit(feeder))
    if not checked.any():
        return None
    blocks, limits = [], []
    at_rated, has_price = feeder.is_transformer, layout.over.size > 0
    for end in _ends(feeder, around):
        paid = BASE_KVA * beyond_kva
        step, branch = np.nonzero(checked & (end.p_kw**2 + end.q_kvar**2 > end.room * (1.0 + 1e-7) + paid))
        rating = feeder.rating_kva[branch]
        p, q = end.p_kw[step, branch] / rating, end.q_kvar[step, branch] / rating
        of_v = (2.0 * q * end.own_kvar[branch] - np.where(at_rated[branch], 0.0, rating)) / MILLI
        terms = [
            (layout.flow[step, branch], 2.0 * p),
            (layout.kvar[step, branch], 2.0 * q),
            (
                layout.current[step, branch],
                2.0 * end.share * (p * feeder.r_pu[branch] + q * feeder.x_pu[branch]),
            ),
            (layout.voltage[step, end.bus[branch]], of_v),
        ]
        if has_price:
            terms.append((layout.over[step, branch], -BASE_KVA / rating))
        blocks.append(sparse_rows(layout.n_columns, *terms))
        limits.append(rating * (p**2 + q**2 + np.where(at_rated[branch], 1.0, 0.0)))
    return csc_array(vstack(blocks, format="csc")), np.concatenate(limits)


def sparse_rows(n_columns: int, *terms: tuple[Columns, FloatArray]) -> csc_array:
    """Rows by their columns and coefficients, one of each per row in every term, (rows, columns)."""
    n = len(terms[0][0])
    at = np.tile(np.arange(n), len(terms))
    columns, values = (np.concatenate(part) for part in zip(*terms, strict=True))
    return csc_array(coo_array((values, (at, columns)), shape=(n, n_columns)))
