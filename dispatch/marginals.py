"""What the duals of a decision say about each region and each plugged car."""

from __future__ import annotations

import numpy as np

from dispatch.account import account
from dispatch.bound_prices import BoundPrices
from dispatch.session import Solved
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.clock import NEVER_S
from sim.contracts import Marginals

NEAR = 1e-6


def marginals(solved: Solved, prices: BoundPrices, car_power_kw: FloatArray, program: str) -> Marginals:
    """Value of energy for each region and each plugged car in the step decided.

    A region's value is that of a kWh more at its bus (dual of its balance over h); a car's is that of a kWh more in
    its battery at the step's end. The best later step is the one in the same stay at which the same action (charging,
    discharging) would be worth most.

    Parameters
    ----------
    solved
        The program whose set-points are executed.
    prices
        Of what bounds its plan.
    car_power_kw
        Those set-points, shape (n,).
    program
        Which program it is, in words.
    """
    problem, layout = solved.problem, solved.assembly.layout
    duals = solved.assembly.row_values(solved.outcome.row_duals, layout.rows.balance)
    bus_value = duals / problem.step_h  # a kWh more of load costs this much: a kWh more of supply saves it
    in_battery = -solved.assembly.row_values(solved.outcome.row_duals, layout.rows.car)[0]
    cars = np.flatnonzero(problem.itinerary.fraction[0] > 0)
    n_regions = problem.site.n_regions
    protected, dual = _protected_departure(solved, prices.must_per_kwh, cars)
    later_step, later_value = _best_later(solved, bus_value, cars)
    none, zero = np.full(n_regions, NEVER_S), np.zeros(n_regions)
    return Marginals(
        vehicle_id=np.concatenate([np.full(n_regions, -1), problem.cars.vehicle_id[cars]]),
        region_index=np.concatenate([np.arange(n_regions), problem.itinerary.region_index[0, cars]]),
        value_per_kwh=np.concatenate([bus_value[0], in_battery[cars]]),
        binding_limit=(*_region_limits(solved), *_car_limits(solved, cars)),
        protected_departure_s=np.concatenate([none, protected]),
        departure_dual_per_kwh=np.concatenate([zero, dual]),
        best_later_step_s=np.concatenate([none, later_step]),
        best_later_value_per_kwh=np.concatenate([zero, later_value]),
        account=account(solved, cars, prices, car_power_kw, program),
    )


def _region_limits(solved: Solved) -> tuple[str, ...]:
    """What holds each region's exchange: import or export limit, curtailment, unserved load."""
    plan, site = solved.plan, solved.problem.site
    conditions = [
        ("unserved load", plan.unserved_kw[0] > NEAR),
        ("import limit", (plan.import_kw[0] > NEAR) & (plan.import_kw[0] >= site.import_limit_kw - NEAR)),
        ("export limit", (site.export_limit_kw > 0) & (plan.export_kw[0] >= site.export_limit_kw - NEAR)),
        ("curtailment", plan.curtailed_kw[0] > NEAR),
    ]
    return _first_that_holds(conditions, site.n_regions)


def _car_limits(solved: Solved, who: IntArray) -> tuple[str, ...]:
    """What holds each car's set-point."""
    plan, itinerary, cars = solved.plan, solved.problem.itinerary, solved.problem.cars
    fraction, energy = itinerary.fraction[0, who], plan.energy_kwh[0, who]
    charge, discharge = plan.charge_kw[0, who], plan.discharge_kw[0, who]
    at_lower = energy <= itinerary.lower_kwh[0, who] + NEAR
    conditions = [
        ("charge limit", charge >= cars.charge_limit_now_kw[who] * fraction - NEAR),
        (
            "discharge limit",
            (discharge > NEAR) & (discharge >= cars.discharge_limit_kw[who] * fraction - NEAR),
        ),
        ("departure requirement", at_lower & (itinerary.departure_s[0, who] != NEVER_S)),
        ("energy minimum", at_lower),
        ("energy maximum", energy >= itinerary.upper_kwh[0, who] - NEAR),
    ]
    return _first_that_holds(conditions, len(who))


def _first_that_holds(conditions: list[tuple[str, BoolArray]], size: int) -> tuple[str, ...]:
    names = np.full(size, "", dtype=object)
    for name, holds in reversed(conditions):
        names[holds] = name
    return tuple(names.tolist())


def _protected_departure(solved: Solved, must: FloatArray, who: IntArray) -> tuple[IntArray, FloatArray]:
    """First departure of each car whose requirement has a price, and that price per kWh."""
    departure, price = solved.problem.itinerary.departure_s[:, who], must[:, who]
    binds = (departure != NEVER_S) & (price > NEAR)
    step, any_binds = binds.argmax(axis=0), binds.any(axis=0)
    each = np.arange(len(who))
    instant = np.where(any_binds, departure[step, each], NEVER_S)
    return instant, np.where(any_binds, price[step, each], 0.0)


def _best_later(solved: Solved, bus_value: FloatArray, who: IntArray) -> tuple[IntArray, FloatArray]:
    """Later step of the same stay at which each car's present action would be worth most, and the value at the bus."""
    problem, plan = solved.problem, solved.plan
    region = problem.itinerary.region_index[0, who]
    plugged = problem.itinerary.fraction[:, who] > 0
    same_stay = np.logical_and.accumulate(
        plugged & (problem.itinerary.region_index[:, who] == region), axis=0
    )
    left = np.logical_or.accumulate(problem.itinerary.departure_s[:, who] != NEVER_S, axis=0)
    same_stay[1:] &= ~left[:-1]
    same_stay[0] = False
    power = plan.charge_kw[0, who] - plan.discharge_kw[0, who]
    wanted = np.where(power > NEAR, -1.0, 1.0) * bus_value[:, region]
    wanted = np.where(same_stay, wanted, -np.inf)
    step = wanted.argmax(axis=0)
    exists = same_stay.any(axis=0) & (np.abs(power) > NEAR)
    instant = np.where(exists, problem.now_s + step * problem.site.step_s, NEVER_S)
    return instant, np.where(exists, bus_value[step, region], 0.0)
