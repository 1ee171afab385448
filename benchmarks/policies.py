"""Uncontrolled, own-cost and rolling over many fleets: net figures, paired differences, intervals."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from experiments import run

POLICIES = ("uncontrolled", "own-cost", "rolling")
FIGURES = (
    "ev_bill_net_cny",
    "total_cost_net_cny",
    "ev_bill_cny",
    "total_cost_cny",
    "renewables_used_kwh",
    "unmet_kwh",
)


def _one(task: tuple[str, str, int]) -> dict[str, float | str | int]:
    forecaster, policy, seed = task
    overrides = (f"forecast.kind={forecaster}", "output.report=false", "output.forecasts_max_days=0")
    with tempfile.TemporaryDirectory() as folder:
        result = run(
            "multi-microgrid", out=Path(folder) / "run", overrides=overrides, seed=seed, policy=policy
        )
        figures = {name: float(result.kpis[name]) for name in FIGURES}
    return {"forecaster": forecaster, "policy": policy, "seed": seed, **figures}


def fleets(n_fleets: int, workers: int) -> pd.DataFrame:
    """One row per forecaster, policy and fleet (seeds 1..n)."""
    tasks = list(product(("perfect", "persistence"), POLICIES, range(1, n_fleets + 1)))
    with ProcessPoolExecutor(max_workers=workers) as pool:
        return pd.DataFrame(pool.map(_one, tasks))


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean and half-width of its 95 % t interval."""
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return float(values.mean()), half


def summary(rows: pd.DataFrame) -> Iterator[str]:
    """Markdown tables: means with intervals, paired differences, and how often the order holds."""
    for forecaster, group in rows.groupby("forecaster", sort=True):
        table = {name: group.pivot_table(index="seed", columns="policy", values=name) for name in FIGURES}
        yield f"\n**{forecaster}**, {group['seed'].nunique()} fleets, mean ± half-width of the 95 % interval\n"
        yield (
            "| figure | "
            + " | ".join(POLICIES)
            + " | own-cost - uncontrolled | rolling - uncontrolled | rolling - own-cost |"
        )
        yield "|---|" + "---:|" * 6
        for name in FIGURES:
            wide = table[name]
            columns = [wide[policy] for policy in POLICIES]
            columns += [wide["own-cost"] - wide["uncontrolled"], wide["rolling"] - wide["uncontrolled"]]
            columns += [wide["rolling"] - wide["own-cost"]]
            cells = ["{:,.1f} ± {:,.1f}".format(*interval(column.to_numpy())) for column in columns]
            yield f"| {name} | " + " | ".join(cells) + " |"
        cost = table["total_cost_net_cny"]
        for other in ("uncontrolled", "own-cost"):
            holds = int((cost["rolling"] <= cost[other]).sum())
            worst = float((cost["rolling"] - cost[other]).max())
            yield f"\nrolling <= {other} in {holds} of {len(cost)} fleets (largest difference {worst:,.2f} CNY)"
