"""A year of AC power flows on the 33-bus feeder, days of 300 cars within its limits, and sites of storage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from itertools import product

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.measure import run_command
from experiments.shipped import locate
from experiments.storage_network.planning import METHODS, Setting, Siting, sited
from sim.feeder.ac import ac_power_flow
from sim.feeder.reading import FeederFiles, read_feeder

STATES = 35_040  # quarter-hours of a year
YEAR = (date(2019, 2, 5), date(2019, 4, 23), date(2019, 7, 9), date(2019, 9, 24))


def feeder_tables() -> Iterator[str]:
    """Tables of the section."""
    yield from _year()
    yield from _days()
    yield from _sites()


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
    yield "\n| sites among 8 buses, 4 days of hours, 300 cars uncontrolled | seconds | gap |\n|---|---:|---:|"
    setting = Setting(days=YEAR, charging="uncontrolled", n_cars=300)
    for method in METHODS:
        begin = time.perf_counter()
        rows = sited(Siting(setting=setting, method=method))
        gap = rows["gap"].max()
        yield f"| {method} (with the days' simulation) | {time.perf_counter() - begin:.1f} | {gap:.1e} |"
