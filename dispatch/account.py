"""How the value of a car's energy comes about: what it is worth in the end, what protects it, what it could spare.

Stationarity of the program in E[k], with v[k] the value of a kWh in the battery at step k's end (minus the dual of
the car's energy row), gives along the steps the program has of a car

    v[k] = v[next k] + dual of the lower bound at k - dual of the upper bound at k - what slows the next charging,

and after the last step the car's terminal value. Summed up: v[0] = terminal value + prices of what must be held
- prices of being full (or so full that the next step's charging is slower). Stationarity in the powers of step 0, at
the bus value lambda, gives what a kW more of a limit is worth: eta_c v - lambda for charging, lambda - w - v / eta_d
for discharging, per kWh.
"""

from __future__ import annotations

import numpy as np

from dispatch.bound_prices import BoundPrices
from dispatch.session import Solved
from sim.arrays import BoolArray, FloatArray, IntArray
from sim.clock import NEVER_S
from sim.contracts import Account

NEAR = 1e-6


def account(
    solved: Solved, who: IntArray, prices: BoundPrices, car_power_kw: FloatArray, program: str
) -> Account:
    """Account of all regions, then of the cars ``who``.

    Parameters
    ----------
    prices
        Of what bounds the plan.
    car_power_kw
        Set-points, shape (n,).
    program
        Which program was solved, in words.
    """
    plan, problem = solved.plan, solved.problem
    n_regions = problem.site.n_regions
    must = prices.must_per_kwh[:, who]
    full = (prices.full_per_kwh + prices.slowing_per_kwh)[:, who]
    none, nowhere = np.full(n_regions, np.nan), np.full(n_regions, NEVER_S)
    power, terminal = car_power_kw[who], problem.car_value_per_kwh[who]
    return Account(
        set_point_kw=np.concatenate([plan.import_kw[0] - plan.export_kw[0], power]),
        terminal_value_per_kwh=np.concatenate([none, terminal]),
        requirement_duals_per_kwh=np.concatenate([none, must.sum(axis=0)]),
        dearest_departure_s=np.concatenate([nowhere, _dearest(solved, must, who)]),
        full_duals_per_kwh=np.concatenate([none, full.sum(axis=0)]),
        full_s=np.concatenate([nowhere, _when_full(solved, full)]),
        limit_worth_per_kw=np.concatenate([prices.exchange_per_kw, _charger_worth(solved, who)]),
        reason=("",) * n_regions + _reasons(solved, who, power, terminal - full.sum(axis=0)),
        ambiguous=_ambiguous(solved, who),
        program=program,
    )


def _dearest(solved: Solved, must: FloatArray, who: IntArray) -> IntArray:
    step = must.argmax(axis=0)
    each = np.arange(len(who))
    departure: IntArray = solved.problem.itinerary.departure_s[step, who]
    return np.where(must[step, each] > NEAR, departure, NEVER_S)


def _when_full(solved: Solved, full: FloatArray) -> IntArray:
    step, problem = full.argmax(axis=0), solved.problem
    end_s = problem.now_s + (step + 1) * problem.site.step_s
    return np.where(full[step, np.arange(full.shape[1])] > NEAR, end_s, NEVER_S)


def _charger_worth(solved: Solved, who: IntArray) -> FloatArray:
    """Worth of a kW more of the limit at which each car charges or discharges, in this step."""
    at, cars, plan = solved.assembly.layout.columns, solved.problem.cars, solved.plan
    fraction = solved.problem.itinerary.fraction[0, who]
    worth = np.zeros(len(who))
    for part, power, limit in (
        (at.charge, plan.charge_kw, cars.charge_limit_now_kw),
        (at.discharge, plan.discharge_kw, cars.discharge_limit_kw),
    ):
        cost = solved.assembly.first_values(solved.outcome.reduced_costs, part)[who]
        upper = solved.assembly.first_values(solved.assembly.program.upper, part)[
            who
        ]  # 0 in a direction shut
        binds = (upper > NEAR) & (power[0, who] >= limit[who] * fraction - NEAR)
        worth = worth + np.where(binds, np.maximum(-cost, 0.0) * fraction, 0.0)
    return worth


def _reasons(solved: Solved, who: IntArray, power: FloatArray, worth_alone: FloatArray) -> tuple[str, ...]:
    """Reason of each car's set-point; ``worth_alone`` is its value of a kWh but for what it must hold."""
    problem = solved.problem
    itinerary, cars = problem.itinerary, problem.cars
    at, layout = itinerary.region_index[0, who], solved.assembly.layout
    bus = solved.assembly.first_row_values(solved.outcome.row_duals, layout.rows.balance)[at] / problem.step_h
    energy = solved.plan.energy_kwh[0, who]
    pays: BoolArray = cars.charge_efficiency[who] * worth_alone >= bus - NEAR
    conditions = [
        ("dear", power < -NEAR),
        ("cheap", (power > NEAR) & pays),
        ("departure", power > NEAR),
        ("full", energy >= itinerary.upper_kwh[0, who] - NEAR),
        ("kept", energy <= itinerary.lower_kwh[0, who] + NEAR),
    ]
    words = np.full(len(who), "waits", dtype=object)
    for word, holds in reversed(conditions):
        words[holds] = word
    return tuple(words.tolist())


def _ambiguous(solved: Solved, who: IntArray) -> tuple[str, ...]:
    """Which values and which set-points may be others at the same cost."""
    assembly, found = solved.assembly, solved.outcome.ambiguity
    at, rows, n_regions = assembly.layout.columns, assembly.layout.rows, solved.problem.site.n_regions
    if found is None:
        return ("value and plan",) * (n_regions + len(who))
    balance, car = (assembly.first_row_values(found.row_duals, part) > 0 for part in (rows.balance, rows.car))
    parts = (at.imported, at.exported, at.charge, at.discharge)
    imported, exported, charge, discharge = (assembly.first_values(found.values, part) > 0 for part in parts)
    value = np.concatenate([balance, car[who]])
    plan = np.concatenate([imported | exported, (charge | discharge)[who]])
    words = ("", "value", "plan", "value and plan")
    return tuple(words[code] for code in (value + 2 * plan).tolist())
