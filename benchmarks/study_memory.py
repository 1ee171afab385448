"""Memory of a study: what the parent and its workers hold after 20 and after 500 short replications."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import sleep

import psutil

from experiments.atomic import PARTIAL
from experiments.monte_carlo import study
from experiments.monte_carlo.conduct import Progress
from experiments.provenance import peak_memory_mb

SHORT = ("fleet.size=2", "dispatch.horizon_steps=4", "output.forecasts_max_days=0")
POLICIES = ("uncontrolled", "rolling")
MOMENTS = (20, 100, 250, 500)
LOOKS = 20
LOOK_S = 0.01
"""Time between two looks at a worker's handles; together longer than it has any file open [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the processes of a study hold at one moment."""

    n: int  # replications done
    parent_mb: float
    parent_peak_mb: float
    worker_mb: tuple[float, ...]
    worker_peak_mb: float
    n_parent_handles: int
    n_worker_handles: tuple[int, ...]
    n_temporary: int  # in the study's folder, beside it, and where the system keeps such


def memory_table() -> Iterator[str]:
    """Markdown table of one study of 500 replications, two workers, two policies, in a process of its own."""
    yield (
        "| replications | parent, MB | its peak | workers, MB | largest peak | parent's handles | workers' handles "
        "| temporary files |"
    )
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for held in held_by_a_study(MOMENTS):
        workers = ", ".join(f"{value:.0f}" for value in held.worker_mb)
        handles = ", ".join(str(value) for value in held.n_worker_handles)
        yield (
            f"| {held.n} | {held.parent_mb:.0f} | {held.parent_peak_mb:.0f} | {workers} | {held.worker_peak_mb:.0f} "
            f"| {held.n_parent_handles} | {handles} | {held.n_temporary} |"
        )


def held_by_a_study(moments: Sequence[int]) -> list[Held]:
    """Run one study up to the last of the moments, in a process of its own, and look at each."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(_held_at, tuple(moments)).result()


def _held_at(moments: tuple[int, ...]) -> list[Held]:
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder) / "tmp"
        scratch.mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)  # of this process and of its workers
        waiting, found = list(moments), list[Held]()

        def look(progress: Progress) -> None:
            if waiting and progress.n_done >= waiting[0]:
                found.append(_held(waiting.pop(0), Path(folder)))

        study(
            "multi-microgrid",
            replications=moments[-1],
            policies=POLICIES,
            workers=2,
            out=Path(folder) / "study",
            overrides=SHORT,
            on_progress=look,
        )
    return found


def _held(n: int, folder: Path) -> Held:
    me = psutil.Process()
    workers = [child for child in me.children() if "spawn_main" in " ".join(child.cmdline())]
    return Held(
        n=n,
        parent_mb=_mb(me),
        parent_peak_mb=peak_memory_mb(),
        worker_mb=tuple(_mb(worker) for worker in workers),
        worker_peak_mb=max(_peak_mb(worker) for worker in workers),
        n_parent_handles=me.num_fds(),
        n_worker_handles=tuple(_lasting_handles(worker) for worker in workers),
        n_temporary=sum(PARTIAL in path.name for path in folder.rglob("*"))
        + sum(1 for _ in (folder / "tmp").rglob("*")),
    )


def _lasting_handles(process: psutil.Process) -> int:
    """Handles that a process at work keeps: the fewest over a while, for it may have a file open at any moment."""
    fewest = process.num_fds()
    for _ in range(LOOKS):
        sleep(LOOK_S)
        fewest = min(fewest, process.num_fds())
    return fewest


def _mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20


def _peak_mb(process: psutil.Process) -> float:
    """Largest resident memory of another process so far, as Linux tells it [MB]."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return float(line.split()[1]) / 1024.0


if __name__ == "__main__":
    print("\n".join(memory_table()))
