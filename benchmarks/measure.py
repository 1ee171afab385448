"""Whole commands, measured from outside: seconds and peak memory of a child process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments import Run, read_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One finished command."""

    seconds: float
    peak_mb: float
    decision_seconds: float
    worst_decision_seconds: float
    n_decisions: int
    n_fallbacks: int
    largest_gap: float
    n_segments: int


def settings(overrides: Sequence[str]) -> list[str]:
    """Command-line form of overrides."""
    return [part for item in overrides for part in ("--set", item)]


def run_command(scenario: str, overrides: Sequence[str], *, module: str = "experiments.cli") -> Measured:
    """Run ``voltwalk run`` in a child process with all tables and the report written."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "run"
        command = [sys.executable, "-m", module, "run", scenario, "--out", str(target), *settings(overrides)]
        begin = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        if status != 0:
            raise RuntimeError(f"{' '.join(command)} ended with status {status}")
        return _measured(read_run(target), seconds, usage.ru_maxrss / 1024.0)


def _measured(run: Run, seconds: float, peak_mb: float) -> Measured:
    decisions = run.decisions
    return Measured(
        seconds=seconds,
        peak_mb=peak_mb,
        decision_seconds=float(decisions["seconds"].sum()),
        worst_decision_seconds=float(decisions["seconds"].max()),
        n_decisions=len(decisions),
        n_fallbacks=int(decisions["fallback"].sum()),
        largest_gap=float(decisions["gap"].max()),
        n_segments=len(run.segments),
    )
