"""The coefficients of the program: where each variable enters each equation."""

from __future__ import annotations

import numpy as np

from dispatch.ambiguity import IndexArray
from dispatch.layout import Layout
from dispatch.network import KAPPA
from dispatch.reactive import ACTIVE, REACTIVE, SIDES
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.contracts import Cars, Site
from sim.feeder.model import Network


class Matrix:
    """Entries of all slots, ordered by column; cars' places in the balances change as the cars move.

    Parameters
    ----------
    site, cars
        For regions, efficiencies and losses.
    layout
        Identities of columns and rows.
    """

    def __init__(self, site: Site, cars: Cars, layout: Layout) -> None:
        self._layout = layout
        draft = _Entries()
        _enter_storages(draft, site, cars, layout)
        _enter_grid(draft, site, layout)
        if site.network is not None:
            _enter_network(draft, site.network, layout)
            if layout.has_reactive:
                _enter_reactive(draft, site, site.network, layout)
        column, row, shift, value = draft.sorted()
        n_slots = layout.n_slots
        slot = np.arange(n_slots)[:, None]
        self._is_link = shift > 0
        self._column = slot * layout.width + column
        self._row = (slot + shift) % n_slots * layout.height + row
        self._value = np.repeat(value[None, :], n_slots, axis=0)
        self._is_cut = np.zeros(self._row.shape, bool)  # links of cars behind their last known step
        at, rows = layout.columns, layout.rows
        in_balance = (row >= rows.balance.start) & (row < rows.balance.stop)
        self._car_charge = np.flatnonzero(in_balance & _within(column, at.charge))
        self._car_discharge = np.flatnonzero(in_balance & _within(column, at.discharge))
        self._car_link = np.flatnonzero(_within(row, rows.car) & (shift > 0) & _within(column, at.energy))
        of_taper = _within(row, rows.taper)
        self._car_taper = np.flatnonzero(of_taper & _within(column, at.energy))
        self._pool_charge = np.flatnonzero(~in_balance & _within(column, at.pool_charge))
        self._pool_discharge = np.flatnonzero(~in_balance & _within(column, at.pool_discharge))

    def place_cars(
        self,
        slots: IntArray,
        region_index: IntArray,
        is_plugged: BoolArray,
        is_known: BoolArray,
        slowed_kw_per_kwh: FloatArray | None = None,
    ) -> None:
        """Enter each plugged car's powers in the balance of its region, its energy in its next equations; (K, n).

        Parameters
        ----------
        slowed_kw_per_kwh
            By how much each kWh before a step lowers the largest power in it; None without tapering.
        """
        rows = slots[:, None] * self._layout.height + np.where(is_plugged, region_index, 0)
        self._row[slots[:, None], self._car_charge[None, :]] = rows
        self._row[slots[:, None], self._car_discharge[None, :]] = rows
        n_steps = len(slots)
        step = np.where(is_known, np.arange(n_steps)[:, None], n_steps)
        following = np.minimum.accumulate(step[::-1], axis=0)[::-1]
        following = np.concatenate([following[1:], np.full((1, step.shape[1]), n_steps)])
        slot = np.append(slots, slots[-1])[following]  # after the last known step the link is cut
        base = slot * self._layout.height + self._layout.rows.car.start
        self._row[slots[:, None], self._car_link[None, :]] = base + np.arange(step.shape[1])
        self._is_cut[:] = False
        self._is_cut[slots[:, None], self._car_link[None, :]] = following == n_steps
        if slowed_kw_per_kwh is not None:
            links = self._car_taper[None, :]
            base = slot * self._layout.height + self._layout.rows.taper.start
            self._row[slots[:, None], links] = base + np.arange(step.shape[1])
            ahead = np.minimum(following, n_steps - 1)
            self._value[slots[:, None], links] = np.take_along_axis(slowed_kw_per_kwh, ahead, axis=0)
            self._is_cut[slots[:, None], links] = following == n_steps

    def set_pool_efficiency(self, charge_h: float, discharge_h: float) -> None:
        """Set h eta_c and h / eta_d of the cars still to come."""
        self._value[:, self._pool_charge] = -charge_h
        self._value[:, self._pool_discharge] = discharge_h

    def gather(
        self, is_live: BoolArray, row_is_live: BoolArray, last_slot: int
    ) -> tuple[IndexArray, IndexArray, FloatArray]:
        """Column starts, rows and values of what is alive, without links from the horizon's end to its beginning."""
        keep = is_live.reshape(-1)[self._column]
        keep &= row_is_live.reshape(-1)[self._row]
        keep &= ~self._is_cut
        keep[last_slot, self._is_link] = False
        new_row = np.cumsum(row_is_live.reshape(-1), dtype=np.int32) - 1
        per_column = np.bincount(self._column[keep], minlength=is_live.size)[is_live.reshape(-1)]
        starts = np.concatenate([[0], np.cumsum(per_column)]).astype(np.int32)
        return starts, new_row[self._row[keep]].astype(np.int32), self._value[keep]


class _Entries:
    """Entries of one slot as they are written down."""

    def __init__(self) -> None:
        self._parts: list[tuple[IntArray, IntArray, IntArray, FloatArray]] = []

    def enter(
        self,
        columns: slice,
        rows: slice,
        value: FloatArray | float,
        shift: int = 0,
        index: IntArray | None = None,
    ) -> None:
        """Each of the columns in a row of its own of ``rows``, or in the row that ``index`` tells."""
        column = np.arange(columns.start, columns.stop)
        row = rows.start + (np.arange(len(column)) if index is None else index)
        values = np.broadcast_to(np.asarray(value, dtype=float), column.shape)
        self._parts.append((column, row, np.full(len(column), shift), values))

    def place(self, columns: IntArray, rows: IntArray, value: FloatArray | float) -> None:
        """Each of the columns in the row beside it."""
        values = np.broadcast_to(np.asarray(value, dtype=float), columns.shape)
        self._parts.append((columns, rows, np.zeros(len(columns), np.int64), values))

    def sorted(self) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        """Columns, rows, shifts of the slot and values, ordered by column."""
        column, row, shift, value = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        order = np.argsort(column, kind="stable")
        return column[order], row[order], shift[order], np.round(value[order], 15)


def _enter_storages(draft: _Entries, site: Site, cars: Cars, layout: Layout) -> None:
    """E[k] - kept E[k-1] - h eta_c P_c + h / eta_d P_d - help, P_d - P_c in the balance, E + shortfall on leaving."""
    at, rows, h = layout.columns, layout.rows, site.step_s / 3600.0
    somewhere = np.zeros(layout.n_cars, np.int64)
    places = (somewhere, site.battery_region_index, np.arange(layout.n_regions))
    charges = (at.charge, at.battery_charge, at.pool_charge)
    discharges = (at.discharge, at.battery_discharge, at.pool_discharge)
    energies = (at.energy, at.battery_energy, at.pool_energy)
    equations = (rows.car, rows.battery, rows.pool)
    one = np.ones(layout.n_regions)
    charge_efficiencies = (cars.charge_efficiency, site.battery_charge_efficiency, one)
    discharge_efficiencies = (cars.discharge_efficiency, site.battery_discharge_efficiency, one)
    kept_shares = (1.0, site.battery_kept_per_step, 1.0)
    for place, charge, discharge, energy, equation, eta_c, eta_d, kept in zip(
        places,
        charges,
        discharges,
        energies,
        equations,
        charge_efficiencies,
        discharge_efficiencies,
        kept_shares,
        strict=True,
    ):
        draft.enter(charge, rows.balance, -1.0, index=place)
        draft.enter(charge, equation, -h * eta_c)
        draft.enter(discharge, rows.balance, 1.0, index=place)
        draft.enter(discharge, equation, h / eta_d)
        draft.enter(energy, equation, 1.0)
        draft.enter(energy, equation, -kept, shift=1)
    draft.enter(at.pool_leaving, rows.pool, 1.0)
    draft.enter(at.pool_shortfall, rows.pool, -1.0)
    if layout.has_shortfall:
        draft.enter(at.help, rows.car, -1.0)
        draft.enter(at.shortfall, rows.requirement, 1.0)
        draft.enter(at.energy, rows.requirement, 1.0)
    if layout.has_taper:
        draft.enter(at.charge, rows.taper, 1.0)
        draft.enter(at.energy, rows.taper, 0.0, shift=1)  # see `place_cars`


def _enter_grid(draft: _Entries, site: Site, layout: Layout) -> None:
    """Balance of each region, losses at the receiving end of a tie, ramps of the turbines, peaks of the days."""
    at, rows = layout.columns, layout.rows
    for columns, sign in ((at.imported, 1.0), (at.exported, -1.0), (at.curtailed, -1.0), (at.unserved, 1.0)):
        draft.enter(columns, rows.balance, sign)
    draft.enter(at.spilled, rows.balance, -1.0)
    region = np.repeat(np.arange(layout.n_regions), layout.n_pieces)
    draft.enter(at.turbine, rows.balance, 1.0, index=region)
    draft.enter(at.turbine, rows.ramp, 1.0, index=region)
    draft.enter(at.turbine, rows.ramp, -1.0, shift=1, index=region)
    if layout.has_demand:
        draft.enter(at.peak, rows.peak, 1.0)
        draft.enter(at.imported, rows.peak, -1.0)
        draft.enter(at.peak, rows.carry, 1.0)
        draft.enter(at.peak, rows.carry, -1.0, shift=1)
    arrives = 1.0 - site.tie_loss_fraction
    for columns, begins, ends in (
        (at.tie_forth, site.tie_from_index, site.tie_to_index),
        (at.tie_back, site.tie_to_index, site.tie_from_index),
    ):
        draft.enter(columns, rows.balance, -1.0, index=begins)
        draft.enter(columns, rows.balance, arrives, index=ends)


def _enter_network(draft: _Entries, network: Network, layout: Layout) -> None:
    """V_c - V_p + kappa r P in the drop along each branch, with V = voltage - low + high."""
    at, rows = layout.columns, layout.rows
    drops = np.arange(rows.drop.start, rows.drop.stop)
    for part, sign in ((at.voltage, 1.0), (at.voltage_low, -1.0), (at.voltage_high, 1.0)):
        draft.place(part.start + network.feeder.child_index, drops, sign)
        draft.place(part.start + network.feeder.parent_index, drops, -sign)
    draft.enter(at.tie_forth, rows.drop, KAPPA * network.feeder.r_pu)
    draft.enter(at.tie_back, rows.drop, -KAPPA * network.feeder.r_pu)


def _enter_reactive(draft: _Entries, site: Site, network: Network, layout: Layout) -> None:
    """D = q + D of the branches below, its drop kappa x D, and the sides of the polygons (`dispatch.reactive`)."""
    at, rows, feeder = layout.columns, layout.rows, network.feeder
    flows = np.arange(rows.kvar_flow.start, rows.kvar_flow.stop)
    branch_into = np.full(feeder.n_buses, -1)
    branch_into[feeder.child_index] = np.arange(feeder.n_branches)
    above = branch_into[feeder.parent_index]
    draft.enter(at.kvar_flow, rows.kvar_flow, 1.0)
    draft.place(at.kvar_flow.start + np.flatnonzero(above >= 0), flows[above[above >= 0]], -1.0)
    draft.enter(at.kvar_flow, rows.drop, KAPPA * feeder.x_pu)
    charging_regions = np.arange(layout.n_regions * layout.has_charger_kvar)
    for part, sign, buses in (
        (at.kvar_taken, 1.0, site.battery_region_index),
        (at.kvar_given, -1.0, site.battery_region_index),
        (at.charger_kvar_taken, 1.0, charging_regions),
        (at.charger_kvar_given, -1.0, charging_regions),
    ):
        into = branch_into[buses]
        draft.place(part.start + np.flatnonzero(into >= 0), flows[into[into >= 0]], -sign)
    units, sides = np.arange(layout.n_batteries) * SIDES, np.arange(layout.n_ties) * SIDES
    for side in range(SIDES):
        for part, value in (
            (at.battery_charge, ACTIVE[side]),
            (at.battery_discharge, -ACTIVE[side]),
            (at.kvar_taken, REACTIVE[side]),
            (at.kvar_given, -REACTIVE[side]),
        ):
            draft.enter(part, rows.capability, value, index=units + side)
        for part, value in (
            (at.tie_forth, ACTIVE[side]),
            (at.tie_back, -ACTIVE[side]),
            (at.kvar_flow, REACTIVE[side]),
        ):
            draft.enter(part, rows.rating, value, index=sides + side)


def _within(column: IntArray, part: slice) -> BoolArray:
    within: BoolArray = (column >= part.start) & (column < part.stop)
    return within
