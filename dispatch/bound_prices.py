"""Prices of what bounds a plan: needs and full batteries at each step, and the exchange limits of the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dispatch.session import Solved
from sim.arrays import FloatArray

NEAR = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoundPrices:
    """What one unit less of each bound would save; none is negative."""

    must_per_kwh: FloatArray  # (K, n): of what each car must hold at the step's end
    full_per_kwh: FloatArray  # (K, n): of what it can hold at most
    slowing_per_kwh: FloatArray  # (K, n): of charging in the next step, slower the more it holds
    exchange_per_kw: FloatArray  # (R,): of the import or export limit, in the first step


def bound_prices(solved: Solved) -> BoundPrices:
    """Prices from a program's reduced costs and the duals of its needs."""
    layout, outcome = solved.assembly.layout, solved.outcome
    price = solved.assembly.values(outcome.reduced_costs, layout.columns.energy)
    if layout.has_shortfall:
        price = price + solved.assembly.row_values(outcome.row_duals, layout.rows.requirement)
    return BoundPrices(
        must_per_kwh=np.maximum(price, 0.0),
        full_per_kwh=np.maximum(-price, 0.0),
        slowing_per_kwh=_slowing(solved),
        exchange_per_kw=_exchange(solved),
    )


def _slowing(solved: Solved) -> FloatArray:
    """What a kWh at a step's end costs because the next step's charging tapers with it; (K, n)."""
    cars, plan, layout = solved.problem.cars, solved.problem.itinerary, solved.assembly.layout
    if cars.taper is None:
        return np.zeros(plan.fraction.shape)
    dual = solved.assembly.row_values(solved.outcome.row_duals, layout.rows.taper)
    price = np.maximum(-dual, 0.0) * plan.fraction * cars.charge_limit_kw * cars.taper.slope_per_kwh
    step, car = np.nonzero(price)
    last_known = np.maximum.accumulate(np.where(plan.is_known, np.arange(plan.n_steps)[:, None], 0), axis=0)
    slowing = np.zeros_like(price)
    slowing[last_known[step - 1, car], car] = price[step, car]  # the first step has a bound, and no row
    return slowing


def expected_prices(paths: Sequence[BoundPrices]) -> BoundPrices:
    """Prices over paths whose duals carry their probabilities; the cars' first step is one for all paths.

    They are summed path by path, for a need may bind on one path while the battery is full on another.
    """
    must, full = (
        np.stack([getattr(path, name) for path in paths]) for name in ("must_per_kwh", "full_per_kwh")
    )
    return BoundPrices(
        must_per_kwh=_with_common_first_step(must),
        full_per_kwh=_with_common_first_step(full),
        slowing_per_kwh=np.sum([path.slowing_per_kwh for path in paths], axis=0),
        exchange_per_kw=np.sum([path.exchange_per_kw for path in paths], axis=0),
    )


def _with_common_first_step(prices: FloatArray) -> FloatArray:
    total: FloatArray = prices.sum(axis=0)
    total[0] = prices[0, 0]
    return total


def _exchange(solved: Solved) -> FloatArray:
    at, site, plan = solved.assembly.layout.columns, solved.problem.site, solved.plan
    worth = np.zeros(site.n_regions)
    for part, power, limit in (
        (at.imported, plan.import_kw[0], site.import_limit_kw),
        (at.exported, plan.export_kw[0], site.export_limit_kw),
    ):
        cost = solved.assembly.first_values(solved.outcome.reduced_costs, part)
        worth = worth + np.where((limit > 0) & (power >= limit - NEAR), np.maximum(-cost, 0.0), 0.0)
    return worth
