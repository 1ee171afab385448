"""Calls in processes: in order, and gone with whoever asked."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from experiments.experiment.processes import in_processes
from experiments.monte_carlo.interrupt import StudyInterrupted, ends_at_once

KILLED = """
import sys
from experiments.experiment.processes import in_processes
from test_experiments_experiment_processes import sleeps
in_processes(sleeps, [sys.argv[1]] * 2, workers=2)
"""

GROWN = """
from experiments.experiment.processes import in_processes
from test_experiments_experiment_processes import grows
assert len(set(in_processes(grows, range(8), workers=2))) > 2
"""
"""More processes than two: one that grew was replaced."""

HELD: list[bytes] = []


def grows(number: int) -> int:
    """Take memory and keep it, longer than the pool takes to look at it; which process this is."""
    HELD.append(b"x" * 350_000_000)
    time.sleep(1.2)
    return os.getpid()


def sleeps(note: str) -> None:
    """Write down which process this is, and go on for longer than any test waits."""
    Path(note, str(os.getpid())).touch()
    time.sleep(600.0)


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is not only waiting to be buried."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(question: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Ask until the answer is yes, or time is up."""
    deadline = time.monotonic() + seconds
    while not (answer := question()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer


def test_calls_keep_their_order_among_processes() -> None:
    """Two processes give the results of one, in the order of the inputs, and are gone afterwards."""
    values = list(range(-20, 0))
    assert in_processes(abs, values, workers=2) == in_processes(abs, values, workers=0)
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_processes_that_grow_are_replaced_without_a_word() -> None:
    """A process that has taken much memory ends between two calls; all results come, and nobody is told."""
    paths = os.pathsep.join(str(path) for path in (Path(__file__).parents[1], Path(__file__).parent))
    done = subprocess.run(  # noqa: S603 - this test
        [sys.executable, "-c", GROWN],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_processes_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    """A SIGKILL, which no program can answer, leaves no process behind."""
    paths = os.pathsep.join(str(path) for path in (Path(__file__).parents[1], Path(__file__).parent))
    parent = subprocess.Popen(  # noqa: S603 - this test
        [sys.executable, "-c", KILLED, str(tmp_path)], env={**os.environ, "PYTHONPATH": paths}
    )
    assert wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    workers = [int(path.name) for path in tmp_path.iterdir()]
    assert all(map(is_alive, workers))
    parent.kill()
    parent.wait()
    assert wait_for(lambda: not any(map(is_alive, workers)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_calls_at_once(number: int, tmp_path: Path) -> None:
    """Ctrl-C or SIGTERM in the midst of calls says which folder goes on, and ends the processes."""
    notes = tmp_path / "notes"
    notes.mkdir()

    def interrupt() -> None:
        wait_for(lambda: len(list(notes.iterdir())) == 2)
        os.kill(os.getpid(), number)

    threading.Thread(target=interrupt).start()
    with pytest.raises(StudyInterrupted) as caught, ends_at_once(tmp_path):
        in_processes(sleeps, [str(notes)] * 2, workers=2)
    assert (caught.value.signal_number, caught.value.folder) == (number, tmp_path)
    assert wait_for(lambda: not any(is_alive(int(path.name)) for path in notes.iterdir()))
