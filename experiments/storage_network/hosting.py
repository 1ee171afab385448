"""How many cars the feeder takes before its first violation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import pandas as pd

from experiments.experiment.sums import mean_row
from experiments.storage_network.single_day import simulated, single_day

RATING_MARGIN: Final = 0.10
"""Share of each rating that plans leave free where a margin is kept [A]."""
_KEPT: Final = 'dispatch.feeder_limits="keep"'
FORESIGHT: Final = "coordinated, network rows, foresight"
MODES: Final = {
    "uncontrolled, no storage": ('dispatch.policy="uncontrolled"', "regions.*.batteries=[]"),
    "uncontrolled": ('dispatch.policy="uncontrolled"',),
    "each station alone": ('dispatch.policy="each-alone"',),
    "coordinated, no network rows": ('dispatch.policy="rolling"',),
    "coordinated, network rows with a margin": (
        'dispatch.policy="rolling"',
        _KEPT,
        f"dispatch.feeder_rating_margin={RATING_MARGIN}",
    ),
    FORESIGHT: ('dispatch.policy="day-ahead"', 'forecast.kind="perfect"', _KEPT),
}
"""Ways of charging; all but the last under yesterday's forecasts. Storage is scheduled by price where there is some."""

BREAKS: Final = {
    "network_violation_steps": "a voltage or a rating",
    "unserved_kwh": "load unserved",
    "late_departures": "a late departure",
    "unmet_kwh": "energy that a trip lacks",
}
"""Figures that must be 0 for a feeder to take its cars, in words."""
SOLVER: Final = "solver"
"""What breaks where a decision failed: its fallback charges otherwise than asked, and says nothing of the feeder."""
_DUST: Final = 1e-6
_FEWEST: Final = 3
"""Fleets below which an interval says nothing: Student's of two is a dozen times as wide as what lies between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosting:
    """One question: one way of charging, one fleet that grows car by car, one day."""

    mode: str
    seed: int
    day: date
    step: int  # cars
    most: int  # cars


def hosted(asked: Hosting) -> pd.DataFrame:
    """Most cars, in steps, that the feeder takes without a violation; one row.

    A feeder that breaks without cars, or with the first of them, takes none: that is looked at first. Then the search's
    end, then by halving: a larger fleet holds the smaller one, so what breaks under few cars is taken to break under
    more. Where a decision failed the search goes on below; if nothing breaks there, whether the feeder takes more is
    not known.

    Returns
    -------
    DataFrame
        ``mode``, ``seed``, ``cars``, ``is_at_least`` (no limit of the feeder ended the search: its own end was reached
        without a violation, or a decision failed), ``breaks``: the first figure that is not 0 one step further (or
        without cars), or that a decision failed there (``SOLVER``), and ``runs``.
    """
    end = asked.most // asked.step
    low, high, runs, breaks = 0, 1, 1, first_broken(asked, 0)
    if not breaks:
        breaks, runs = first_broken(asked, asked.step), 2
    if not breaks and end > 1:
        breaks, runs = first_broken(asked, end * asked.step), 3
        low, high = (1, end) if breaks else (0, 1)
    if not breaks:
        low, high = end, end + 1
    while high - low > 1:
        middle = (low + high) // 2
        broken, runs = first_broken(asked, middle * asked.step), runs + 1
        if broken:
            high, breaks = middle, broken
        else:
            low = middle
    row = {
        "mode": asked.mode,
        "seed": asked.seed,
        "cars": low * asked.step,
        "is_at_least": low == end or breaks == SOLVER,
        "breaks": breaks,
        "runs": runs,
    }
    return pd.DataFrame([row])


def first_broken(asked: Hosting, n_cars: int) -> str:
    """First figure of ``BREAKS`` that is not 0 with so many cars, ``SOLVER`` where a decision failed, or nothing."""
    scenario = single_day(
        n_cars,
        f"simulation.start={asked.day}",
        f"simulation.seed={asked.seed}",
        *MODES[asked.mode],
    )
    figures = simulated(scenario).figures
    if figures["fallbacks"]:
        return SOLVER
    return next((name for name in BREAKS if float(figures[name] or 0.0) > _DUST), "")


def hosting_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Cars that the feeder takes, by way of charging: least, median and most of the fleets, mean with its interval.

    Every count is a floor: the feeder takes so many, and not a step more. Where a search ended before a violation, the
    feeder may take any number more; the mean of such fleets is a lower bound and has no interval. Nor have fewer than
    three fleets, or fleets that all come to the same step.

    Parameters
    ----------
    rows
        Of `hosted`.
    """
    table = []
    for mode, own in rows.groupby("mode", sort=False):
        mean, is_bound = mean_row(own["cars"]), bool(own["is_at_least"].any())
        if is_bound or len(own) < _FEWEST or own["cars"].nunique() == 1:
            mean[["ci_low", "ci_high"]] = float("nan")
        is_unsolved = own["breaks"] == SOLVER
        table.append(
            {
                "charging": mode,
                "reading": "at least" if is_bound else "mean",
                "cars": mean["mean"],
                "low": mean["ci_low"],
                "high": mean["ci_high"],
                "least": int(own["cars"].min()),
                "median": float(own["cars"].median()),
                "most": int(own["cars"].max()),
                "searches ended without a violation": int((own["is_at_least"] & ~is_unsolved).sum()),
                "searches ended by a failed decision": int(is_unsolved.sum()),
                "what breaks": ", ".join(sorted({BREAKS.get(name, name) for name in own["breaks"] if name})),
                "n": mean["n"],
            }
        )
    return pd.DataFrame(table)
