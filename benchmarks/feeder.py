"""A year of AC power flows on the 33-bus feeder, days of 300 cars within its limits, and sites of storage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date
from itertools import product
from typing import Final, TypeVar

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks.measure import run_command
from experiments.shipped import locate
from experiments.storage_network.planning import (
    METHODS,
    Holding,
    Setting,
    Siting,
    Sun,
    Trade,
    held,
    lit,
    sited,
    traded,
)
from sim.feeder.ac import ac_power_flow
from sim.feeder.reading import FeederFiles, read_feeder

STATES = 35_040  # quarter-hours of a year
POINTS: Final = 9  # of a front
YEAR = (date(2019, 2, 5), date(2019, 4, 23), date(2019, 7, 9), date(2019, 9, 24))

Asked = TypeVar("Asked")


def feeder_tables() -> Iterator[str]:
    """Tables of the section."""
    yield from _year()
    yield from _days()
    yield from _sites()
    yield from _plans()


def _year() -> Iterator[str]:
    files = FeederFiles(buses=locate("shipped:baran_wu_33_buses"), lines=locate("shipped:baran_wu_33_lines"))
    feeder, rng = read_feeder(files, "1"), np.random.default_rng(1)
    share = rng.uniform(-0.5, 1.0, (STATES, feeder.n_buses))
    yield "| AC states | seconds | not converged |\n|---:|---:|---:|"
    with threadpool_limits(limits=1):
        begin = time.perf_counter()
        found = ac_power_flow(
            feeder, feeder.load_kw * share, feeder.load_kvar * np.abs(share), source_pu=1.05
        )
    yield f"| {STATES:,} | {time.perf_counter() - begin:.2f} | {int((~found.converged).sum())} |"


def _days() -> Iterator[str]:
    yield "\n| limits | forecaster | command, s | decisions, s | worst decision, s | fallbacks | largest gap |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for limits, kind in product(("ignore", "keep"), ("persistence", "perfect")):
        settings = [f"dispatch.feeder_limits={limits}", f"forecast.kind={kind}", "output.report=false"]
        one = run_command("storage-network", [*settings, "dispatch.policy=rolling"])
        yield (
            f"| {limits} | {kind} | {one.seconds:.1f} | {one.decision_seconds:.1f} | {one.worst_decision_seconds:.2f} "
            f"| {one.n_fallbacks} | {one.largest_gap:.1e} |"
        )


def _sites() -> Iterator[str]:
    yield (
        "\n| sites among 8 buses, 4 days of hours, 1,600 cars uncontrolled, the first with the days' simulation "
        "| seconds | gap |\n|---|---:|---:|"
    )
    setting = Setting(days=YEAR, charging="uncontrolled", n_cars=1600)
    for method in METHODS:
        seconds, rows = _timed(sited, Siting(setting=setting, method=method))
        yield f"| {method} | {seconds:.1f} | {rows['gap'].max():.1e} |"


def _plans() -> Iterator[str]:
    """Plans of the first day without cars, in hours, each with the making of its day (under a second)."""
    day = Setting(days=YEAR[:1], charging="no cars", n_cars=0)
    yield "\n| the day's three batteries, no cars | seconds | gap, worst and mean |\n|---|---:|---:|"
    for second in ("loss_kwh", "peak_valley_kw", "voltage_deviation_pu"):
        seconds, rows = _timed(traded, Trade(setting=day, second=second, n_points=POINTS))
        yield (
            f"| front of cost and {second}, {POINTS} points | {seconds:.1f} "
            f"| {rows['gap'].max():.1e}, {rows['gap'].mean():.1e} |"
        )
    for is_idle in (True, False):
        seconds, rows = _timed(lit, Sun(setting=day, is_idle=is_idle))
        kw, bound = rows["further_kw"].item(), rows["bound_kw"].item()
        yield (
            f"| further sun, storage {'idle' if is_idle else 'free'}: {kw:,.0f} kW "
            f"| {seconds:.1f} | {(bound - kw) / kw:.1e} |"
        )
    seconds, rows = _timed(held, Holding(setting=day, keeps_energy=True, n_draws=100))
    yield f"| reserve, 100 draws twice | {seconds:.1f} | {rows['gap'].max():.1e} |"


def _timed(call: Callable[[Asked], pd.DataFrame], asked: Asked) -> tuple[float, pd.DataFrame]:
    begin = time.perf_counter()
    rows = call(asked)
    return time.perf_counter() - begin, rows
