"""A Dask cluster of real processes on this machine, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parent.parent


class Cluster:
    """A scheduler and its workers; leaving it ends every process it started, whatever has happened to them.

    They would also end without it: the scheduler when it was idle for some minutes, the workers with the scheduler.

    Parameters
    ----------
    folder
        Where the processes stand and write, outside the checkout: they find the program by PYTHONPATH alone.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        file = folder / "scheduler.json"
        self.scheduler = self._start(
            ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file]
            + ["--no-dashboard", "--no-show", "--idle-timeout", "5 minutes"],
            environment or {},
        )
        until(lambda: file.exists() and bool(file.read_text().strip().endswith("}")))
        self.address: str = json.loads(file.read_text())["address"]

    def __enter__(self) -> Self:
        """Give the cluster itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        for process in reversed(self._processes):
            end(process)

    def start_worker(
        self, *options: str, environment: Mapping[str, str] | None = None, python: tuple[str, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """Start a worker of one thread, without a nanny unless ``options`` say otherwise."""
        return self._start(
            ["distributed.cli.dask_worker", self.address, "--memory-limit", "0", "--no-dashboard"]
            + ["--local-directory", self.folder, "--death-timeout", "60"]
            + list(options or ("--nthreads", "1", "--no-nanny")),
            environment or {},
            python,
        )

    @contextmanager
    def worker(
        self, *options: str, environment: Mapping[str, str] | None = None, python: tuple[str, ...] = ()
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Give one more worker for a while."""
        process = self.start_worker(*options, environment=environment, python=python)
        try:
            yield process
        finally:
            end(process)

    def _start(
        self, command: list[Any], environment: Mapping[str, str], python: tuple[str, ...] = ()
    ) -> subprocess.Popen[bytes]:
        log = self.folder / f"{len(self._processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *python, "-m", *map(str, command)],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that a test started, and what it started itself."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(10.0)
    with suppress(ProcessLookupError):  # its session is its own: a nanny's worker ends with it
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10.0)


def until(claim: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait until something is so."""
    last = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < last, f"not so after {within_s} s"
        time.sleep(0.05)
