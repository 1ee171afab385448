"""The equations of a decision: arrays of a `Problem` become a linear program, built on the identities of a `Layout`.

With h the length of a step in hours, eta_c and eta_d the efficiencies, per step k:

- car and battery (Zhang 2025, Eqs. 10 and 16), with kappa the share that a battery's self-discharge leaves, 1 of cars:
      E[k] - kappa E[k-1] - h (eta_c P_c[k] - P_d[k] / eta_d) - help[k] = -e[k]
- cars still to come, as one store per region:
      X[k] - X[k-1] - h (eta_c P_c[k] - P_d[k] / eta_d) + L[k] - s[k] = arriving[k]
- departures (Eqs. 12 and 13):
      E[k] + s[k] >= required, s = 0 unless an import limit may starve the cars
- balance of a region (Eqs. 25 and 26):
      import - export - curtailed + unserved - spilled + turbine + P_d - P_c + ties = load - PV - wind
- turbine (Eqs. 27 and 28):
      P = sum of the pieces of its convex cost, |P[k] - P[k-1]| <= ramp
- charging power near full, where it tapers between two energies, with s the share of the limit that a kWh takes:
      P_c[k] + s limit (E[k-1] - from) <= limit
- demand charge, where there is one:
      peak[k] >= import[k], peak[k] >= peak[k-1] within a day, paid in the last step of each day
- feeder, where its limits are kept: `dispatch.network`, and reactive power of inverters: `dispatch.reactive`
- limits (Eqs. 11, 29, 30):
      bounds of the variables, powers times the plugged fraction of the step

The objective (Eqs. 17-24) is the cost of the horizon less the value of what is stored at its end and of what drives
away: h (buy import - sell export + phi curtailed + fuel and operation of turbines + operation of batteries + wear w
P_d + unserved) + shortfalls - sum of value E.
"""

from __future__ import annotations

import numpy as np

from dispatch.assembly import Assembly
from dispatch.fuel import PiecewiseCost
from dispatch.highs import AT_LOWER, BASIC, Basis, LinearProgram, Outcome
from dispatch.layout import layout
from dispatch.matrix import Matrix
from dispatch.network import BEYOND_BAND_KW, MILLI
from dispatch.problem import Problem
from dispatch.reactive import (
    battery_rating_kva,
    capability_upper,
    carries_reactive,
    has_charger_kvar,
    has_reactive,
    reactive_price_per_kvarh,
)
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.contracts import Cars, Site


class Program:
    """The program of a run: built once, its numbers renewed at each decision, its last basis kept.

    Parameters
    ----------
    site
        The microgrids.
    cars
        The fleet, for its size and efficiencies.
    n_slots
        Longest horizon.
    fuel
        Convex cost of each region's turbine.
    """

    def __init__(self, site: Site, cars: Cars, n_slots: int, fuel: tuple[PiecewiseCost, ...]) -> None:
        self._site, self._cars = site, cars
        n_pieces = max((len(piece.width_kw) for piece in fuel), default=1)
        self.layout = layout(
            n_slots=n_slots,
            n_cars=cars.n,
            n_regions=site.n_regions,
            n_batteries=len(site.battery_region_index),
            n_ties=len(site.tie_from_index),
            n_pieces=n_pieces,
            has_shortfall=bool(np.isfinite(site.import_limit_kw).any()),
            has_demand=site.demand_price_per_kw_day > 0.0,
            has_taper=cars.taper is not None,
            has_network=site.network is not None,
            has_reactive=has_reactive(site),
            has_charger_kvar=has_charger_kvar(site),
        )
        self._matrix = Matrix(site, cars, self.layout)
        shape, height = (n_slots, self.layout.width), self.layout.height
        self._cost, self._lower, self._upper = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._row_lower, self._row_upper = np.zeros((n_slots, height)), np.zeros((n_slots, height))
        self._is_live = np.zeros(shape, bool)
        self._row_is_live = np.zeros((n_slots, height), bool)
        self._column_basis = np.full(shape, AT_LOWER, np.int8)
        self._row_basis = np.full((n_slots, height), AT_LOWER, np.int8)
        self._width, self._slope = padded_pieces(fuel, n_pieces)
        self._is_solved = False

    def assemble(self, problem: Problem) -> Assembly:
        """Renew all numbers for a decision and gather what is alive in it."""
        slots = (problem.now_s // self._site.step_s + np.arange(problem.n_steps)) % self.layout.n_slots
        column_was_live, row_was_live = self._is_live.copy(), self._row_is_live.copy()
        self._is_live[:] = False
        self._row_is_live[:] = False
        self._write_cars(problem, slots)
        self._write_batteries(problem, slots)
        self._write_pools(problem, slots)
        self._write_grid(problem, slots)
        self._write_turbines(problem, slots)
        if self.layout.has_demand:
            self._write_peaks(problem, slots)
        if self.layout.has_network:
            self._write_network(problem, slots)
        if self.layout.has_reactive:
            self._write_reactive(problem, slots)
        self._start_basis(problem, slots, column_was_live, row_was_live)
        return self._gather(slots)

    def keep(self, assembly: Assembly, outcome: Outcome) -> None:
        """Remember the basis of a solved decision as the start of the next."""
        if outcome.basis is not None:
            self._column_basis.reshape(-1)[assembly.live_columns] = outcome.basis.columns
            self._row_basis.reshape(-1)[assembly.live_rows] = outcome.basis.rows
            self._is_solved = True

    def _write_cars(self, problem: Problem, slots: IntArray) -> None:
        """Cars: Eqs. (10)-(13), limits times the plugged fraction, value at the last step that is followed."""
        at, rows, plan, cars, h = (
            self.layout.columns,
            self.layout.rows,
            problem.itinerary,
            self._cars,
            problem.step_h,
        )
        is_plugged = plan.is_known & (plan.fraction > 0)
        is_first = plan.is_known & (np.cumsum(plan.is_known, axis=0) == 1)
        largest_kw, slowed_kw_per_kwh = cars.charge_limit_kw * plan.fraction, None
        if cars.taper is not None:
            left = cars.taper.share(plan.start_kwh - plan.passed_kwh)
            slowed_kw_per_kwh = largest_kw * cars.taper.slope_per_kwh
            self._write_taper(slots, problem, largest_kw, slowed_kw_per_kwh, is_plugged & ~is_first)
            largest_kw = np.where(is_first, largest_kw * left, largest_kw)
        self._put(slots, at.charge, 0.0, 0.0, largest_kw, is_plugged)
        wear = h * self._site.throughput_price_per_kwh
        can_give = is_plugged & (cars.discharge_limit_kw > 0) & self._site.gives_from_cars(plan.region_index)
        self._put(slots, at.discharge, wear, 0.0, cars.discharge_limit_kw * plan.fraction, can_give)
        cost = np.zeros(plan.fraction.shape)
        who = np.flatnonzero(plan.last_step >= 0)
        cost[plan.last_step[who], who] = -problem.car_value_per_kwh[who]
        lower = plan.lower_kwh
        if self.layout.has_shortfall:
            lower = np.minimum(lower, plan.floor_kwh)
            self._write_requirements(problem, slots, plan.is_known & (plan.lower_kwh > lower))
        self._put(slots, at.energy, cost, lower, plan.upper_kwh, plan.is_known)
        right = -plan.leaving_kwh
        right += is_first * plan.start_kwh
        self._put_row(slots, rows.car, right, right, plan.is_known)
        self._matrix.place_cars(slots, plan.region_index, is_plugged, plan.is_known, slowed_kw_per_kwh)

    def _write_taper(
        self,
        slots: IntArray,
        problem: Problem,
        largest_kw: FloatArray,
        slowed_kw_per_kwh: FloatArray,
        is_live: BoolArray,
    ) -> None:
        """Tapering of the steps before which the program has the car's energy; in the first it is a bound."""
        taper, plan = problem.cars.taper, problem.itinerary
        assert taper is not None
        upper = largest_kw + slowed_kw_per_kwh * (taper.from_kwh + plan.passed_kwh)
        is_live = is_live & (taper.to_share < 1.0)
        self._put_row(slots, self.layout.rows.taper, np.full(upper.shape, -np.inf), upper, is_live)

    def _write_requirements(self, problem: Problem, slots: IntArray, may_miss: BoolArray) -> None:
        """Departures that an import limit may starve: what lacks has a price; a trip that lacks energy is helped."""
        at, plan = self.layout.columns, problem.itinerary
        price = self._site.shortfall_price_per_kwh
        self._put(slots, at.shortfall, price, 0.0, np.maximum(plan.lower_kwh - plan.floor_kwh, 0.0), may_miss)
        self._put(
            slots, at.help, problem.help_price_per_kwh, 0.0, np.inf, plan.is_known & (plan.leaving_kwh > 0)
        )
        no_limit = np.full(plan.lower_kwh.shape, np.inf)
        self._put_row(slots, self.layout.rows.requirement, plan.lower_kwh, no_limit, may_miss)

    def _write_batteries(self, problem: Problem, slots: IntArray) -> None:
        """Batteries: Eqs. (16), (20), (29), (30)."""
        at, site, h, n_steps = self.layout.columns, self._site, problem.step_h, problem.n_steps
        operation = h * site.battery_operation_per_kwh
        self._put(slots, at.battery_charge, operation, 0.0, site.battery_charge_limit_kw, True)
        wear = operation + h * site.throughput_price_per_kwh
        self._put(slots, at.battery_discharge, wear, 0.0, site.battery_discharge_limit_kw, True)
        lower = problem.least_battery_kwh()
        upper = np.maximum(site.battery_energy_max_kwh, problem.battery_energy_kwh)
        value = np.zeros((n_steps, 1))
        value[-1] = -site.energy_value_per_kwh
        self._put(slots, at.battery_energy, value, lower, upper, True)
        right = np.zeros((n_steps, self.layout.n_batteries))
        right[0] = site.battery_kept_per_step * problem.battery_energy_kwh
        self._put_row(slots, self.layout.rows.battery, right, right, True)

    def _write_pools(self, problem: Problem, slots: IntArray) -> None:
        """Cars still to come, one store per region; what leaves lies between its bounds and has a value."""
        pools, at, h = problem.pools, self.layout.columns, problem.step_h
        if pools is None:
            return
        self._put(slots, at.pool_charge, 0.0, 0.0, pools.charge_limit_kw, True)
        wear = h * self._site.throughput_price_per_kwh
        self._put(slots, at.pool_discharge, wear, 0.0, pools.discharge_limit_kw, True)
        value = np.zeros((problem.n_steps, 1))
        value[-1] = -self._site.energy_value_per_kwh
        self._put(slots, at.pool_energy, value, pools.lower_kwh, pools.upper_kwh, True)
        value_leaving = problem.pool_departing_value_per_kwh
        self._put(slots, at.pool_leaving, -value_leaving, pools.leaving_min_kwh, pools.leaving_max_kwh, True)
        price = self._site.shortfall_price_per_kwh + value_leaving  # what lacks does not leave
        self._put(slots, at.pool_shortfall, price, 0.0, pools.leaving_min_kwh, True)
        self._put_row(slots, self.layout.rows.pool, pools.arriving_kwh, pools.arriving_kwh, True)
        self._matrix.set_pool_efficiency(h * pools.charge_efficiency, h / pools.discharge_efficiency)

    def _write_grid(self, problem: Problem, slots: IntArray) -> None:
        """Balance (25) with import, export (21)-(23), curtailment (24), ties and the two last resorts."""
        at, site, h = self.layout.columns, self._site, problem.step_h
        self._put(slots, at.imported, h * problem.buy_price_per_kwh, 0.0, site.import_limit_kw, True)
        self._put(slots, at.exported, -h * problem.sell_price_per_kwh, 0.0, site.export_limit_kw, True)
        supply, load = problem.supply_kw, problem.load_kw
        self._put(
            slots, at.curtailed, h * problem.curtailment_price_per_kwh, 0.0, np.maximum(supply, 0.0), True
        )
        last_resort = h * site.unserved_price_per_kwh
        self._put(slots, at.unserved, last_resort, 0.0, np.maximum(load, 0.0), True)
        self._put(slots, at.spilled, last_resort, 0.0, np.inf, True)
        if problem.network is None:
            forth = back = tie_bounds_kw(problem)
        else:
            forth, back = problem.network.forth_limit_kw, problem.network.back_limit_kw
        self._put(slots, at.tie_forth, 0.0, 0.0, forth, True)
        self._put(slots, at.tie_back, 0.0, 0.0, back, True)
        self._put_row(slots, self.layout.rows.balance, load - supply, load - supply, True)

    def _write_turbines(self, problem: Problem, slots: IntArray) -> None:
        """Turbines: pieces of the fuel cost (18), operation (20), limit (27), ramp from the present power (28)."""
        at, site, h = self.layout.columns, self._site, problem.step_h
        exists = site.turbine_limit_kw > 0
        piece_exists = np.repeat(exists, self.layout.n_pieces) & (self._width > 0)
        cost = h * (self._slope + site.turbine_operation_per_kwh)
        self._put(slots, at.turbine, cost, 0.0, self._width, piece_exists)
        before = np.zeros((problem.n_steps, self.layout.n_regions))
        before[0] = problem.turbine_kw
        ramp = site.turbine_ramp_kw_per_step
        self._put_row(slots, self.layout.rows.ramp, before - ramp, before + ramp, exists)

    def _write_peaks(self, problem: Problem, slots: IntArray) -> None:
        """Largest import of each day up to each step, from what it is now; paid in the last step of each day."""
        at, rows = self.layout.columns, self.layout.rows
        ends, goes_on = problem.day_ends(), ~np.append(True, problem.day_ends()[:-1])
        is_today: BoolArray = (np.cumsum(ends) - ends == 0)[:, None]
        price = np.where(ends, self._site.demand_price_per_kw_day, 0.0)[:, None]
        self._put(slots, at.peak, price, is_today * problem.peak_import_kw, np.inf, True)
        none, no_limit = (np.full((problem.n_steps, self.layout.n_regions), value) for value in (0.0, np.inf))
        self._put_row(slots, rows.peak, none, no_limit, True)
        self._put_row(slots, rows.carry, none, no_limit, goes_on[:, None])

    def _write_network(self, problem: Problem, slots: IntArray) -> None:
        """Voltages within their band, that of the source as it is, and the drop along each branch."""
        at, network, numbers = self.layout.columns, self._site.network, problem.network
        assert network is not None
        assert numbers is not None
        lower, upper = (
            np.full(network.feeder.n_buses, MILLI * pu**2)
            for pu in (network.voltage_min_pu, network.voltage_max_pu)
        )
        source = network.feeder.source_index
        lower[source] = upper[source] = MILLI * network.source_pu**2
        self._put(slots, at.voltage, 0.0, lower, upper, True)
        price = problem.step_h * self._site.unserved_price_per_kwh * BEYOND_BAND_KW
        is_other = np.arange(network.feeder.n_buses) != source
        for part in (at.voltage_low, at.voltage_high):
            self._put(slots, part, price, 0.0, np.inf, is_other)
        self._put_row(slots, self.layout.rows.drop, numbers.drop, numbers.drop, True)

    def _write_reactive(self, problem: Problem, slots: IntArray) -> None:
        """Reactive power of inverters, what flows of it, and the polygons that it shares with active power."""
        at, rows, site = self.layout.columns, self.layout.rows, self._site
        assert problem.network is not None
        assert problem.network.rating_upper is not None
        rating_kva, carries = battery_rating_kva(site), carries_reactive(site)
        price = problem.step_h * reactive_price_per_kvarh(site)
        for part in (at.kvar_taken, at.kvar_given):
            self._put(slots, part, price, 0.0, rating_kva, rating_kva > 0.0)
        if problem.charger_room_kvar is not None:
            assert site.charger_kvar_per_kw is not None
            room_kvar, has_some = problem.charger_room_kvar, site.charger_kvar_per_kw > 0.0
            for part in (at.charger_kvar_taken, at.charger_kvar_given):
                self._put(slots, part, price, 0.0, room_kvar, has_some)
        self._put(slots, at.kvar_flow, 0.0, -np.inf, np.inf, carries)
        nothing = np.zeros((problem.n_steps, self.layout.n_ties))
        self._put_row(slots, rows.kvar_flow, nothing, nothing, carries)
        sides = np.tile(capability_upper(site).reshape(-1), (problem.n_steps, 1))
        for part, upper in (
            (rows.capability, sides),
            (rows.rating, problem.network.rating_upper.reshape(problem.n_steps, -1)),
        ):
            self._put_row(slots, part, np.full(upper.shape, -np.inf), upper, np.isfinite(upper))

    def _put(
        self,
        slots: IntArray,
        part: slice,
        cost: FloatArray | float,
        lower: FloatArray | float,
        upper: FloatArray | float,
        is_live: BoolArray | bool,
    ) -> None:
        self._cost[slots, part] = cost
        self._lower[slots, part] = lower
        self._upper[slots, part] = upper
        self._is_live[slots, part] = is_live

    def _put_row(
        self,
        slots: IntArray,
        part: slice,
        lower: FloatArray,
        upper: FloatArray,
        is_live: BoolArray | bool,
    ) -> None:
        self._row_lower[slots, part] = lower
        self._row_upper[slots, part] = upper
        self._row_is_live[slots, part] = is_live

    def _start_basis(
        self, problem: Problem, slots: IntArray, column_was_live: BoolArray, row_was_live: BoolArray
    ) -> None:
        """Give newcomers a start: energies, imports or curtailment follow from the equations, ramps are slack."""
        columns, rows = self.layout.columns, self.layout.rows
        new_column, new_row = self._is_live & ~column_was_live, self._row_is_live & ~row_was_live
        self._column_basis[new_column] = AT_LOWER
        for part in (columns.energy, columns.battery_energy, columns.pool_energy):
            view, is_new = self._column_basis[:, part], new_column[:, part]
            view[is_new] = BASIC
        is_short = np.zeros((self.layout.n_slots, self.layout.n_regions), bool)
        is_short[slots] = problem.load_kw >= problem.supply_kw
        for part, follows in ((columns.imported, is_short), (columns.curtailed, ~is_short)):
            view, is_new = self._column_basis[:, part], new_column[:, part]
            view[is_new & follows] = BASIC
        self._row_basis[new_row] = AT_LOWER
        for part in (rows.ramp, rows.requirement, rows.taper, rows.capability, rows.rating):
            view, is_new = self._row_basis[:, part], new_row[:, part]
            view[is_new] = BASIC
        if (
            self.layout.has_demand
        ):  # a new step's peak is that of the step before; a new day's first is its import
            view, is_new = self._column_basis[:, columns.peak], new_column[:, columns.peak]
            view[is_new] = BASIC
            view, is_new = self._row_basis[:, rows.peak], new_row[:, rows.peak]
            view[is_new & self._row_is_live[:, rows.carry]] = BASIC

        if self._site.network is not None:  # a bus's voltage follows from the drop along its branch
            view, is_new = self._column_basis[:, columns.voltage], new_column[:, columns.voltage]
            view[is_new] = BASIC
            view[:, self._site.network.feeder.source_index] = AT_LOWER
            view, is_new = self._column_basis[:, columns.kvar_flow], new_column[:, columns.kvar_flow]
            view[is_new] = BASIC  # it follows from what the inverters take

    def _gather(self, slots: IntArray) -> Assembly:
        live_columns, live_rows = np.flatnonzero(self._is_live), np.flatnonzero(self._row_is_live)
        starts, entry_rows, values = self._matrix.gather(self._is_live, self._row_is_live, int(slots[-1]))
        program = LinearProgram(
            cost=self._cost.reshape(-1)[live_columns],
            lower=self._lower.reshape(-1)[live_columns],
            upper=self._upper.reshape(-1)[live_columns],
            row_lower=self._row_lower.reshape(-1)[live_rows],
            row_upper=self._row_upper.reshape(-1)[live_rows],
            starts=starts,
            rows=entry_rows,
            values=values,
        )
        basis = None
        if self._is_solved:
            basis = Basis(
                columns=self._column_basis.reshape(-1)[live_columns],
                rows=self._row_basis.reshape(-1)[live_rows],
            )
        return Assembly(
            program=program,
            layout=self.layout,
            slots=slots,
            live_columns=live_columns,
            live_rows=live_rows,
            basis=basis,
        )


def tie_bounds_kw(problem: Problem) -> FloatArray:
    """Bounds of the flows over ties, shape (T,): their limits, and finite ones where energy is lost on the way.

    Without a limit such a tie could destroy energy without end by flowing both ways. Flowing one way it never needs
    more than all that is supplied, taken or exchanged within a limit in a step, and lost on the way there.
    """
    site, cars, pools = problem.site, problem.cars, problem.pools
    limits = np.concatenate([site.import_limit_kw, site.export_limit_kw])
    units = (
        np.abs(problem.load_kw).sum(axis=1).max(),
        np.abs(problem.supply_kw).sum(axis=1).max(),
        limits[np.isfinite(limits)].sum(),
        site.turbine_limit_kw.sum(),
        (site.battery_charge_limit_kw + site.battery_discharge_limit_kw).sum(),
        (cars.charge_limit_kw + cars.discharge_limit_kw).sum(),
        0.0 if pools is None else (pools.charge_limit_kw + pools.discharge_limit_kw).sum(axis=1).max(),
    )
    kept = float(np.prod(1.0 - site.tie_loss_fraction))
    return np.where(
        site.tie_loss_fraction > 0, np.minimum(site.tie_limit_kw, sum(units) / kept), site.tie_limit_kw
    )


def padded_pieces(fuel: tuple[PiecewiseCost, ...], n_pieces: int) -> tuple[FloatArray, FloatArray]:
    """Widths and slopes of all regions' pieces, flat, pieces of width 0 filled in."""
    width, slope = np.zeros((len(fuel), n_pieces)), np.zeros((len(fuel), n_pieces))
    for region, cost in enumerate(fuel):
        width[region, : len(cost.width_kw)] = cost.width_kw
        slope[region, : len(cost.width_kw)] = cost.slope_per_kwh
    return width.reshape(-1), slope.reshape(-1)
