"""Monte Carlo studies as whole commands: rates of the engines, and what each adds to a replication."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import settings
from experiments import read_study

SHORT = ("fleet.size=2", "dispatch.horizon_steps=4", "output.forecasts_max_days=0")
"""A replication of some tenths of a second: what an engine adds shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One finished study."""

    n: int
    n_workers: int
    seconds: float
    simulating_seconds: float  # summed over replications, as each worker measured it
    peak_mb: float  # of the command's own process

    @property
    def per_minute(self) -> float:
        """Replications per minute, start-up and report included."""
        return 60.0 * self.n / self.seconds

    @property
    def overhead_ms(self) -> float:
        """Worker time per replication that was not spent simulating, start-up and report included."""
        return 1e3 * (self.seconds * self.n_workers - self.simulating_seconds) / self.n


def timed_study(n: int, engine: Sequence[str], n_workers: int, overrides: Sequence[str] = ()) -> Timed:
    """Run ``voltwalk study`` on the shipped day, policy rolling, in a child process."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "study"
        command = [
            sys.executable,
            "-m",
            "experiments.cli",
            "study",
            "multi-microgrid",
            "--policies",
            "rolling",
        ]
        command += ["--replications", str(n), "--out", str(target), *engine, *settings(overrides)]
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        if status != 0:
            raise RuntimeError(f"{' '.join(command)} ended with status {status}")
        simulating = float(read_study(target).results["wall_seconds"].sum())
    return Timed(
        n=n,
        n_workers=n_workers,
        seconds=seconds,
        simulating_seconds=simulating,
        peak_mb=usage.ru_maxrss / 1024.0,
    )


@contextmanager
def local_cluster(n_workers: int) -> Iterator[str]:
    """Address of a Dask cluster on this machine, ended with the block."""
    from distributed import LocalCluster  # noqa: PLC0415 - an extra

    with LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def study_tables() -> Iterator[str]:
    """Markdown table of the engines, with the shipped 100-car day and with short replications."""
    yield (
        "| replication | engine | workers | replications | command, s | per minute | against 1 process "
        "| overhead, ms | peak MB |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    for label, counts, overrides in (
        ("100 cars", (60, 200, 60, 200), ()),
        ("short", (100, 200, 100, 200), SHORT),
    ):
        one, two, inside, cluster = counts
        base = timed_study(one, ["--workers", "1"], 1, overrides)
        yield _line(label, "processes", base, base)
        yield _line(label, "processes", timed_study(two, ["--workers", "2"], 2, overrides), base)
        yield _line(label, "in-process", timed_study(inside, ["--workers", "0"], 1, overrides), base)
        with local_cluster(2) as address:
            yield _line(label, "dask", timed_study(cluster, ["--cluster", address], 2, overrides), base)


def _line(label: str, engine: str, timed: Timed, base: Timed) -> str:
    return (
        f"| {label} | {engine} | {timed.n_workers} | {timed.n} | {timed.seconds:.1f} | {timed.per_minute:.1f} "
        f"| {timed.per_minute / base.per_minute:.2f} | {timed.overhead_ms:.0f} | {timed.peak_mb:.0f} |"
    )
