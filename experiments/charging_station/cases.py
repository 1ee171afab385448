"""The paper's four cases on one day, and how its printed reductions lie to what can be reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np
import pandas as pd

from dispatch.station.day import LoadOf, StationDay, uncontrolled_kw
from dispatch.station.optimum import RELATIVE_GAP, InfeasibleError, Optimum, StationSolver
from dispatch.station.plan import Objectives, StationPlan, grid_kw, load_kw, objectives
from dispatch.station.program import Bounds, Weights
from experiments.charging_station.instance import Year, day_of, year_of
from experiments.charging_station.returns import ReturnLaws, draw_returns

LAWS: Final = ReturnLaws()
USEFUL_KWH: Final = 1200.0
"""Capacity that the sun of every instance makes useful by equation (3) [P]."""

PRINTED: Final = {"2": (10.3, -45.7), "3": (-33.2, -47.6)}
"""Printed changes of cost and peak-valley difference against case 1, per cent [P]."""

_GAP_OF_REACH: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A day at a station: everything a worker needs to make it again."""

    building: str  # what the tables call it
    peak_kw: float
    day: int
    steps_per_hour: int = 1
    n_cars: int = 200
    seed: int = 1
    capacity_kwh: float | None = None  # the scenario's own by default
    overrides: tuple[str, ...] = ()

    @property
    def year(self) -> Year:
        """The year that the day is of."""
        year = _year(self.peak_kw, self.overrides)
        return year if self.capacity_kwh is None else year.with_storage(self.capacity_kwh)

    def made(self) -> StationDay:
        """The day, with cars of its own."""
        cars = draw_returns(LAWS, self.n_cars, seed=self.seed, day=self.day)
        return day_of(self.year, self.day, cars, LAWS, steps_per_hour=self.steps_per_hour)


@cache
def _year(peak_kw: float, overrides: tuple[str, ...]) -> Year:
    return year_of(peak_kw, overrides=overrides).sized(USEFUL_KWH)


def without_storage(day: StationDay) -> StationDay:
    """The same day without a battery: cases 1 and 2."""
    return replace(day, storage=replace(day.storage, capacity_kwh=0.0))


def without_pv(day: StationDay) -> StationDay:
    """The same day without sun."""
    return replace(day, pv_kw=np.zeros(day.n_steps))


def unordered(day: StationDay) -> StationPlan:
    """Case 1: every car at full power from its arrival, no storage."""
    nothing = np.zeros(day.n_steps)
    return StationPlan(
        car_kw=uncontrolled_kw(day), charge_kw=nothing, discharge_kw=nothing, curtailed_kw=nothing
    )


def references(day: StationDay, load_of: LoadOf) -> Objectives:
    """What case 1 comes to: F1_0 and F2_0 of (9)."""
    return objectives(day, unordered(day), load_of)


def weights_of(reference: Objectives, cost_share: float = 0.5) -> Weights:
    """Of F = w1 F1/F1_0 + w2 F2/F2_0, equation (9)."""
    return Weights(
        cost=cost_share / reference.total_cost,
        peak_valley_kw=(1.0 - cost_share) / reference.peak_valley_kw,
    )


def ordered(
    day: StationDay,
    load_of: LoadOf,
    reference: Objectives,
    cost_share: float = 0.5,
    *,
    relative_gap: float = RELATIVE_GAP,
) -> Optimum:
    """The optimum of (9)."""
    return StationSolver(day, load_of, weights_of(reference, cost_share), relative_gap=relative_gap).optimum()


def cases(setting: Setting) -> pd.DataFrame:
    """The four cases of a day, a row each; cases 2 and 3 at the optimum of (9) and at their cheapest plan.

    Returns
    -------
    DataFrame
        ``case``, ``plan``, money, energies, powers, and changes of cost and peak-valley difference against case 1
        in per cent, beside the printed ones.
    """
    day, load_of = setting.made(), setting.year.terms.load_of
    reference = references(day, load_of)
    rows = []
    for case, plan, at, on in _plans(day, load_of, reference):
        reached = objectives(on, at, load_of)
        bought_kw = np.maximum(grid_kw(on, at), 0.0)
        printed = PRINTED.get(case, (np.nan, np.nan))
        rows.append(
            {
                "building": setting.building,
                "step [h]": day.step_h,
                "case": case,
                "plan": plan,
                "cost [CNY]": reached.total_cost,
                "cost gross [CNY]": reached.gross_cost,
                "peak-valley [kW]": reached.peak_valley_kw,
                "peak [kW]": reached.peak_kw,
                "bought [kWh]": float(bought_kw.sum() * day.step_h),
                "sold [kWh]": float(np.maximum(-grid_kw(on, at), 0.0).sum() * day.step_h),
                "emissions [kg]": reached.emission_kg,
                "unmet [kWh]": reached.unmet_kwh,
                "cost %": change(reached.total_cost, reference.total_cost),
                "cost % printed": printed[0],
                "peak-valley %": change(reached.peak_valley_kw, reference.peak_valley_kw),
                "peak-valley % printed": printed[1],
            }
        )
    return pd.DataFrame(rows)


def curves(setting: Setting) -> pd.DataFrame:
    """Powers of the four cases over the day, a row per case, plan and step.

    Returns
    -------
    DataFrame
        ``hour`` of the step's beginning; building, sun, cars, storage (charging positive) and grid (buying positive)
        in kW; the load L1 + storage whose peak and valley count; price.
    """
    day, load_of = setting.made(), setting.year.terms.load_of
    frames = []
    for case, plan, at, on in _plans(day, load_of, references(day, load_of)):
        frames.append(
            pd.DataFrame(
                {
                    "building": setting.building,
                    "case": case,
                    "plan": plan,
                    "hour": np.arange(on.n_steps) * on.step_h,
                    "building [kW]": on.building_kw,
                    "PV [kW]": on.pv_kw,
                    "cars [kW]": at.car_kw.sum(axis=1),
                    "storage [kW]": at.charge_kw - at.discharge_kw,
                    "load [kW]": load_kw(on, at, load_of),
                    "grid [kW]": grid_kw(on, at),
                    "price [CNY/kWh]": on.building_price_per_kwh,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _plans(
    day: StationDay, load_of: LoadOf, reference: Objectives
) -> Iterator[tuple[str, str, StationPlan, StationDay]]:
    dark, bare = without_pv(day), without_storage(day)
    yield "1 without PV", "unordered", unordered(dark), dark
    yield "1", "unordered", unordered(day), day
    for case, on in (("2", bare), ("3", day)):
        yield case, "optimum of (9)", ordered(on, load_of, reference).plan, on
        yield case, "cheapest", ordered(on, load_of, reference, cost_share=1.0).plan, on


def change(value: float, reference: float) -> float:
    """Difference to a reference in per cent of it.

    >>> round(change(90.0, 120.0), 9)
    -25.0
    """
    return 100.0 * (value - reference) / abs(reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A setting in which one assumption is switched."""

    name: str
    setting: Setting
    cost_share: float = 0.5


def changes(variant: Variant) -> pd.DataFrame:
    """Changes of cost and peak-valley difference in cases 2 and 3 at the optimum of (9), against case 1; one row."""
    day, load_of = variant.setting.made(), variant.setting.year.terms.load_of
    reference = references(day, load_of)
    row: dict[str, object] = {"variant": variant.name, "day": variant.setting.day}
    for case, on in (("2", without_storage(day)), ("3", day)):
        reached = ordered(on, load_of, reference, variant.cost_share).reached
        row[f"cost % {case}"] = change(reached.total_cost, reference.total_cost)
        row[f"peak-valley % {case}"] = change(reached.peak_valley_kw, reference.peak_valley_kw)
    return pd.DataFrame([row])


def reach(setting: Setting) -> pd.DataFrame:
    """What cases 2 and 3 can reach on a day, and whether the printed pair of changes is among it; a row per case.

    Returns
    -------
    DataFrame
        Changes against case 1 [per cent]: of cost at the cheapest plan, of the peak-valley difference at the flattest
        (proven bound), of the peak-valley difference with the printed change of cost kept (best found, proven bound),
        and ``printed pair``: ``reached`` where a plan is at least as good in both, else ``out of reach``, proven by
        the bound; ``open`` between the two.
    """
    day, load_of = setting.made(), setting.year.terms.load_of
    reference = references(day, load_of)
    rows = []
    for case, on in (("2", without_storage(day)), ("3", day)):
        printed_cost, printed_spread = PRINTED[case]
        cheapest = StationSolver(on, load_of, Weights(cost=1.0)).optimum()
        flat = StationSolver(on, load_of, Weights(peak_valley_kw=1.0), relative_gap=_GAP_OF_REACH)
        flattest = flat.optimum()
        limit = reference.total_cost + abs(reference.total_cost) * printed_cost / 100.0
        found, bound = np.nan, np.nan
        try:
            kept = flat.optimum(Bounds(cost=limit), near=cheapest)
            found = change(kept.reached.peak_valley_kw, reference.peak_valley_kw)
            bound = change(kept.bound, reference.peak_valley_kw)
        except InfeasibleError:
            pass
        rows.append(
            {
                "building": setting.building,
                "load of": load_of,
                "day": setting.day,
                "case": case,
                "cost % at best": change(cheapest.reached.total_cost, reference.total_cost),
                "peak-valley % at best": change(flattest.reached.peak_valley_kw, reference.peak_valley_kw),
                "peak-valley % at the printed cost": found,
                "printed pair": _verdict(found, bound, printed_spread),
            }
        )
    return pd.DataFrame(rows)


def _verdict(found: float, bound: float, printed: float) -> str:
    if np.isnan(found) or bound > printed:
        return "out of reach"
    return "reached" if found <= printed else "open"
