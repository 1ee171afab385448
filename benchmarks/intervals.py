"""Whether intervals are honest: how many of them cover the mean of many other replications."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from dispatch.baselines import Uncontrolled
from experiments.monte_carlo.analysis.intervals import Interval, bootstrap_interval, t_factor, t_interval
from experiments.monte_carlo.analysis.stopping import Judge, read_rule
from experiments.monte_carlo.contracts import Cell, Done, Piece, Row, Setup, Unit
from experiments.monte_carlo.identity import fingerprint_of, input_files
from experiments.monte_carlo.settings import base_of, base_toml
from experiments.monte_carlo.work import run_piece
from experiments.shipped import load_scenario
from sim.contracts import Forecast, Schedule, Snapshot
from sim.randomness import Stream, generator

POLICY = "benchmarks.intervals:Idle"
SETTINGS = ("fleet.size=5", "forecast.kind=persistence", "dispatch.horizon_steps=1")
CURRENCY = "CNY"
FIGURES = (
    "total_cost_net_cny",
    "ev_bill_net_cny",
    "ev_charged_kwh",
    "peak_import_kw",
    "renewables_used_kwh",
    "curtailed_kwh",
    "trips",
    "distance_km",
    "ev_stored_change_kwh",  # the skewed one: full at midnight, but for a car now and then
)
RULES = (
    "total_cost_net < 5%",
    "total_cost_net < 1%",
    "ev_bill_net < 10%",
    "ev_bill_net < 5%",
    "distance_km < 10%",
    "distance_km < 5%",
)
SEED = 1
PIECE = 25
"""Runs that are sent to a worker together."""

WORKERS = 2


class Idle(Uncontrolled):
    """Uncontrolled charging beside batteries and turbines that stand still: no program to solve, so runs are short."""

    name = "idle"

    def decide(self, snapshot: Snapshot, forecast: Forecast) -> Schedule:
        """Full power to the cars and none to the rest."""
        assert self._site is not None
        return replace(
            super().decide(snapshot, forecast),
            battery_power_kw=np.zeros(len(self._site.battery_region_index)),
            turbine_kw=np.zeros(self._site.n_regions),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A study that a rule ended."""

    n: int
    half_width: float
    mean: float

    def covers(self, truth: float) -> bool:
        """Whether the interval at the stop holds the truth."""
        return abs(self.mean - truth) <= self.half_width


def intervals_tables(n_truth: int = 1_000, n_trials: int = 200, size: int = 20) -> Iterator[str]:
    """Markdown: coverage of intervals from a few replications, then of the intervals at which rules stopped."""
    frame = replications(n_truth + n_trials * size)
    yield (
        f"{len(frame):,} runs of `multi-microgrid` with {', '.join(SETTINGS)} and storage that stands still, "
        f"{frame['wall_seconds'].mean():.3f} s each; truth: the mean of replications 0 to {n_truth - 1:,}; "
        f"{n_trials} trials of {size} others each.\n"
    )
    yield from _coverage(frame, n_truth, n_trials, size)
    yield ""
    yield from _stops(frame, n_truth)


def replications(n: int) -> pd.DataFrame:
    """Key figures of replications 0..n-1, in order, with what each took."""
    setup = _setup()
    units = [Unit(replication=k, cell=Cell(index=0), policies=(POLICY,)) for k in range(n)]
    pieces = [
        Piece(number=first // PIECE, setup=setup, units=tuple(units[first : first + PIECE]))
        for first in range(0, n, PIECE)
    ]
    with ProcessPoolExecutor(max_workers=WORKERS) as pool:
        rows = [row for piece in pool.map(run_piece, pieces) for row in _rows(piece)]
    return pd.DataFrame([{**row.figures, "wall_seconds": row.wall_seconds} for row in rows])


def _setup() -> Setup:
    text = base_toml(load_scenario("multi-microgrid", list(SETTINGS)), POLICY)
    files = input_files(base_of(text), [Cell(index=0)], POLICY)
    return Setup(
        scenario_toml=text,
        module_folder=str(Path(__file__).parents[1]),
        fingerprint=fingerprint_of((POLICY,), files),
    )


def _rows(piece: object) -> list[Row]:
    if not isinstance(piece, Done) or any(outcome.failures for outcome in piece.outcomes):
        raise RuntimeError(f"a piece was not done: {piece}")
    return [row for outcome in piece.outcomes for row in outcome.rows]


def _coverage(frame: pd.DataFrame, n_truth: int, n_trials: int, size: int) -> Iterator[str]:
    """One row per figure: which share of the trials' intervals hold the truth, and on which side the others miss."""
    truth = frame[:n_truth].mean()
    trials = {name: frame[name][n_truth:].to_numpy().reshape(n_trials, size) for name in FIGURES}
    yield "| figure | mean | sd / mean | skewness | t covers | low, high | bootstrap covers | low, high | constant |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for name, values in trials.items():
        rng = generator(SEED, 0, Stream.BOOTSTRAP, 0, -1)
        found = t_interval(values), bootstrap_interval(values, rng)
        shares = " | ".join(_share(interval, truth[name]) for interval in found)
        column = frame[name]
        yield (
            f"| {name} | {truth[name]:,.2f} | {column.std() / abs(column.mean()):.3f} | {stats.skew(column):.2f} "
            f"| {shares} | {int((np.ptp(values, axis=1) == 0.0).sum())} |"
        )
    low, high = stats.binom.interval(0.95, n_trials, 0.95)
    yield (
        f"\nLow, high: trials whose interval lies wholly below the truth, wholly above it. Constant: trials of {size} "
        f"equal values, whose interval has no width. Of {n_trials} trials that cover at 0.95, chance makes "
        f"{low / n_trials:.3f} to {high / n_trials:.3f}. The truth has an error too, "
        f"{(size / n_truth) ** 0.5:.2f} of a trial's standard error and the same in all trials of a figure: it lowers "
        f"the share to be expected of t from 0.950 to {_expected(size, n_truth):.3f}."
    )


def _share(interval: Interval, truth: float) -> str:
    too_low, too_high = int((interval.high < truth).sum()), int((interval.low > truth).sum())
    return f"{1.0 - (too_low + too_high) / len(interval.low):.3f} | {too_low}, {too_high}"


def _expected(n: float, n_truth: int) -> float:
    """Share of t intervals from n normal values that cover another mean of n_truth values."""
    reach = t_factor(round(n)) / (1.0 + n / n_truth) ** 0.5
    return float(1.0 - 2.0 * stats.t.sf(reach, round(n) - 1))


def _stops(frame: pd.DataFrame, n_truth: int) -> Iterator[str]:
    """One row per rule: studies that follow one another without sharing a replication, each until the rule stops it."""
    yield "| rule | studies | n: mean, least, most | half-width / mean: mean, largest | covers | expected of that n |"
    yield "|---|---:|---:|---:|---:|---:|"
    for text in RULES:
        figure = read_rule(text, [POLICY], CURRENCY).figure
        stopped = list(_studies(text, frame[n_truth:]))
        if not stopped:
            yield f"| {text} | 0 | | | | |"
            continue
        truth = frame[figure][:n_truth].mean()
        n = [study.n for study in stopped]
        widths = [study.half_width / abs(study.mean) for study in stopped]
        covered = sum(study.covers(truth) for study in stopped)
        yield (
            f"| {text} | {len(stopped)} | {np.mean(n):.1f}, {min(n)}, {max(n)} "
            f"| {np.mean(widths):.4f}, {max(widths):.4f} | {covered / len(stopped):.3f} "
            f"| {_expected(float(np.mean(n)), n_truth):.3f} |"
        )
    yield (
        "\nMinimum 20; a study begins where the one before it stopped, so that none shares a replication, and the "
        "last, which nothing stopped, is left out. Expected: of a t interval from that many normal values, their "
        "number fixed beforehand, with the truth's own error."
    )


def _studies(text: str, frame: pd.DataFrame) -> Iterator[Stopped]:
    rule = read_rule(text, [POLICY], CURRENCY)
    values = frame[rule.figure].to_numpy()
    first = 0
    judge = Judge([rule], 1, [POLICY])
    for place, value in enumerate(values):
        judge.add(_row(place - first, rule.figure, float(value)))
        if judge.stop_at is not None:
            interval = t_interval(values[first : place + 1])
            half, mean = float(interval.high - interval.low) / 2.0, float(interval.high + interval.low) / 2.0
            yield Stopped(n=judge.stop_at, half_width=half, mean=mean)
            first, judge = place + 1, Judge([rule], 1, [POLICY])


def _row(replication: int, figure: str, value: float) -> Row:
    return Row(
        cell=Cell(index=0),
        policy=POLICY,
        replication=replication,
        figures={figure: value},
        wall_seconds=0.0,
        peak_memory_mb=0.0,
    )
