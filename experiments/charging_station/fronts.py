"""Exact fronts of a day, and what evolutionary search finds beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final, Literal

import numpy as np
import pandas as pd

from dispatch.station.evolution import Search, genetic, nsga2
from dispatch.station.front import Second, front, hypervolume, weighted_sums
from dispatch.station.optimum import RELATIVE_GAP, InfeasibleError, StationSolver
from dispatch.station.program import Bounds, Weights
from experiments.charging_station.cases import Setting, ordered, references, weights_of, without_storage
from sim.arrays import FloatArray

Method = Literal["GA", "NSGA-II"]
METHODS: Final[tuple[Method, ...]] = ("GA", "NSGA-II")

SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Values of w1 whose optima of (9) are marked on a front."""
GAP_OF_QUARTER_HOURS: Final = 1e-3
"""At which such an optimum counts as found in quarter-hours, where the last tenth of a per cent takes minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Which front of a day."""

    setting: Setting
    case: Literal["2", "3"]
    n_points: int
    second: Second = "peak_valley_kw"


def traced(trace: Trace) -> pd.DataFrame:
    """A front, a row per point from the cheapest on, and the optima of weighted sums.

    Returns
    -------
    DataFrame
        Both objectives, ``gap``, ``bound`` of the cost, ``binaries``, ``mark`` (knee, ends, ``w1 = ...``), and
        ``seconds``: of the whole front, machine time.
    """
    day = trace.setting.made() if trace.case == "3" else without_storage(trace.setting.made())
    load_of = trace.setting.year.terms.load_of
    began = perf_counter()
    found = front(day, load_of, second=trace.second, n_points=trace.n_points)
    seconds = perf_counter() - began
    marks = ["" for _ in found.optima]
    marks[found.knee], marks[0], marks[-1] = "knee", "cheapest", "end"
    optima = list(found.optima)
    if trace.second == "peak_valley_kw":
        reference = references(trace.setting.made(), load_of)
        optima += weighted_sums(
            day,
            load_of,
            SHARES,
            (reference.total_cost, reference.peak_valley_kw),
            found,
            relative_gap=RELATIVE_GAP if trace.setting.steps_per_hour == 1 else GAP_OF_QUARTER_HOURS,
        )
        marks += [f"w1 = {share:g}" for share in SHARES]
    return pd.DataFrame(
        {
            "building": trace.setting.building,
            "step [h]": day.step_h,
            "case": trace.case,
            "second": trace.second,
            "mark": marks,
            "cost [CNY]": [one.reached.total_cost for one in optima],
            trace.second: [getattr(one.reached, trace.second) for one in optima],
            "gap": [one.gap for one in optima],
            "binaries": [one.binaries for one in optima],
            "seconds": seconds,
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunt:
    """One run of an evolutionary search in case 3."""

    setting: Setting
    method: Method
    search: Search


def hunted(hunt: Hunt) -> pd.DataFrame:
    """What a search found, a row per plan that it keeps.

    Returns
    -------
    DataFrame
        ``building``, ``step [h]``, ``method``, ``seed``, ``generations``, both objectives, ``F`` of (9) and the
        weights in it, and ``seconds`` of the run, machine time.
    """
    day, load_of = hunt.setting.made(), hunt.setting.year.terms.load_of
    weights = weights_of(references(day, load_of))
    began = perf_counter()
    if hunt.method == "GA":
        found = genetic(day, load_of, (weights.cost, weights.peak_valley_kw), hunt.search)
    else:
        found = nsga2(day, load_of, hunt.search)
    seconds = perf_counter() - began
    points = found.points
    return pd.DataFrame(
        {
            "building": hunt.setting.building,
            "step [h]": day.step_h,
            "method": hunt.method,
            "seed": hunt.search.seed,
            "generations": hunt.search.generations,
            "cost [CNY]": points[:, 0],
            "peak_valley_kw": points[:, 1],
            "F": points @ np.array([weights.cost, weights.peak_valley_kw]),
            "w cost": weights.cost,
            "w peak-valley": weights.peak_valley_kw,
            "seconds": seconds,
        }
    )


def against_exact(fronts: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Searches beside the exact answers, a row per building, step and method.

    Parameters
    ----------
    fronts
        Of `traced`, case 3, peak-valley difference.
    found
        Of `hunted`.

    Returns
    -------
    DataFrame
        Over the seeds: gap of the best F to the exact optimum of (9) [per cent] (least, median, largest), share of the
        exact front's hypervolume (median, largest), up to the exact front's worst of each objective, and how many
        plans beat the exact front: none, or something is wrong.
    """
    rows = []
    for (building, step, method), own in found.groupby(["building", "step [h]", "method"], sort=False):
        exact = fronts[(fronts["building"] == building) & (fronts["step [h]"] == step)]
        points = exact.loc[~exact["mark"].str.startswith("w1"), ["cost [CNY]", "peak_valley_kw"]].to_numpy()
        (half,) = exact.loc[exact["mark"] == "w1 = 0.5", ["cost [CNY]", "peak_valley_kw", "gap"]].to_numpy()
        per_seed = own.groupby("seed")
        best = float(half[:2] @ own[["w cost", "w peak-valley"]].iloc[0].to_numpy())
        bound = best - float(half[2]) * max(best, 1.0)
        gaps = 100.0 * (per_seed["F"].min() - best) / best
        whole = hypervolume(points, points.max(axis=0))
        shares = per_seed[["cost [CNY]", "peak_valley_kw"]].apply(
            lambda plans: hypervolume(plans.to_numpy(), points.max(axis=0)) / whole  # noqa: B023 - used at once
        )
        rows.append(
            {
                "building": building,
                "step [h]": step,
                "method": method,
                "seeds": int(own["seed"].nunique()),
                "generations": int(own["generations"].iloc[0]),
                "F gap % least": float(gaps.min()),
                "F gap % median": float(gaps.median()),
                "F gap % largest": float(gaps.max()),
                "hypervolume share median": float(shares.median()) if method == "NSGA-II" else np.nan,
                "hypervolume share largest": float(shares.max()) if method == "NSGA-II" else np.nan,
                "plans below the optimum of (9)": int((own["F"] < bound - 1e-6 * best).sum()),
            }
        )
    return pd.DataFrame(rows)


def times_against_exact(fronts: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Seconds of the exact fronts and of single searches, machine time."""
    exact = fronts.groupby(["building", "step [h]"], sort=False)["seconds"].first().rename("exact front [s]")
    runs = found.groupby(["building", "step [h]", "method", "seed"], sort=False)["seconds"].first()
    median = runs.groupby(level=[0, 1, 2], sort=False).median().unstack("method")
    table = pd.concat([exact, median.rename(columns=lambda name: f"{name} [s]")], axis=1)
    for name in median.columns:
        table[f"{name} / exact"] = table[f"{name} [s]"] / table["exact front [s]"]
    return table.reset_index()


def three_objectives(trace: Trace) -> pd.DataFrame:
    """Least cost where both the peak-valley difference and emissions are bounded.

    Bounds are on a grid from the worst to the best that the cheapest, the flattest and the cleanest plans have of each.

    Returns
    -------
    DataFrame
        A row per pair of bounds that can be kept: what the optimum comes to in all three, and its gap.
    """
    day, load_of = trace.setting.made(), trace.setting.year.terms.load_of
    solver = StationSolver(day, load_of, Weights(cost=1.0))
    flat = front(day, load_of, n_points=2)
    clean = front(day, load_of, second="emission_kg", n_points=2)
    ends = [one.reached for one in (*flat.optima, *clean.optima)]
    spreads = _down_from_worst([one.peak_valley_kw for one in ends], trace.n_points)
    emissions = _down_from_worst([one.emission_kg for one in ends], trace.n_points)
    rows = []
    for spread in spreads:
        for emission in emissions:
            try:
                one = solver.optimum(
                    Bounds(
                        peak_valley_kw=float(spread) * (1 + 1e-9), emission_kg=float(emission) * (1 + 1e-9)
                    )
                )
            except InfeasibleError:
                continue
            rows.append(
                {
                    "building": trace.setting.building,
                    "peak-valley below [kW]": float(spread),
                    "emissions below [kg]": float(emission),
                    "cost [CNY]": one.reached.total_cost,
                    "peak-valley [kW]": one.reached.peak_valley_kw,
                    "emissions [kg]": one.reached.emission_kg,
                    "gap": one.gap,
                }
            )
    return pd.DataFrame(rows)


def _down_from_worst(values: Sequence[float], n: int) -> FloatArray:
    return np.linspace(max(values), min(values), n)


def capacity(setting: Setting, searches: tuple[Search, ...] = ()) -> pd.DataFrame:
    """Equation (4)'s step: F of (9) at one capacity, exact and by searches, and the cheapest plan; one row."""
    day, load_of = setting.made(), setting.year.terms.load_of
    reference = references(day, load_of)
    best = ordered(day, load_of, reference)
    weights = weights_of(reference)
    found = [
        float(genetic(day, load_of, (weights.cost, weights.peak_valley_kw), search).values.min())
        for search in searches
    ]
    cheapest = ordered(day, load_of, reference, cost_share=1.0)
    return pd.DataFrame(
        [
            {
                "building": setting.building,
                "capacity [kWh]": day.storage.capacity_kwh,
                "F exact": best.objective,
                "F of the GA, best": min(found, default=np.nan),
                "F of the GA, worst": max(found, default=np.nan),
                "cost [CNY]": best.reached.total_cost,
                "peak-valley [kW]": best.reached.peak_valley_kw,
                "cheapest cost [CNY]": cheapest.reached.total_cost,
            }
        ]
    )
