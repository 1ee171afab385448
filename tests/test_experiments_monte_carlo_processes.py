"""Worker processes: what they return, how they are lost, and how they end."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from study_cases import TESTS, collected, piece_of, tiny_setup

from experiments.monte_carlo.contracts import Done, Lost, Piece, Refused, Row
from experiments.monte_carlo.engines import processes
from experiments.monte_carlo.engines.in_process import InProcessEngine
from experiments.monte_carlo.engines.processes import ProcessEngine, available_cores
from sim.errors import StudyError


@pytest.fixture
def engine() -> Iterator[ProcessEngine]:
    """Give an engine of one worker."""
    with ProcessEngine(1) as engine:
        yield engine


def one(policy: str, n: int = 1, number: int = 0) -> Piece:
    """Give a piece of some replications under one policy of the tests' own."""
    name = policy if ":" in policy else f"study_policies:{policy}"
    return piece_of(tiny_setup((name,)), range(n), (name,), number)


def worker_of(engine: ProcessEngine) -> psutil.Process:
    """Process of the only worker."""
    (worker,) = engine._workers
    return psutil.Process(worker.process.pid)


def comparable(row: Row) -> tuple[object, ...]:
    """All of a row but what depends on the machine."""
    return row.cell, row.policy, row.replication, dict(row.figures)


def until(claim: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < end, f"not so after {within_s} s"
        time.sleep(0.02)


def test_a_working_folder_does_not_hide_the_program(
    engine: ProcessEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker takes this program's packages, not a folder of the same name that happens to be where one works."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("raise ImportError('not this one')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = list(sys.path)
    engine.submit(one("Full"))
    (result,) = collected(engine, 1)
    assert isinstance(result, Done)
    assert sys.path == before


def test_a_workers_figures_are_those_of_this_process_bit_for_bit(engine: ProcessEngine) -> None:
    """The same piece has the same rows in a worker and in this process."""
    piece, here = one("Full", n=3), InProcessEngine()
    engine.submit(piece)
    here.submit(piece)
    (there,), (own,) = collected(engine, 1), here.collect(1.0)
    assert isinstance(there, Done)
    assert isinstance(own, Done)
    assert there.piece == piece
    rows = [[comparable(row) for outcome in done.outcomes for row in outcome.rows] for done in (there, own)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 3


@pytest.mark.slow
def test_pieces_come_back_once_each_and_workers_are_used_again() -> None:
    """Twelve pieces over two workers come back once each, from no more than two processes."""
    with ProcessEngine(2) as engine:
        waiting, back, pids = [one("Full", number=number) for number in range(12)], [], set()
        in_flight = 0
        while len(back) < 12:
            while waiting and in_flight < engine.n_workers:
                engine.submit(waiting.pop())
                in_flight += 1
            results = collected(engine, 1)
            in_flight -= len(results)
            back += [result.piece.number for result in results]
            pids |= {worker.process.pid for worker in engine._workers}
        assert sorted(back) == list(range(12))
        assert len(pids) == 2
        assert engine.collect(0.0) == []


def test_one_worker_per_available_core() -> None:
    """The default number of workers is that of the cores this process may use, not of the machine's."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert available_cores() == 1
        assert ProcessEngine().n_workers == 1
    finally:
        os.sched_setaffinity(0, before)
    assert ProcessEngine().n_workers == len(before)


def test_no_worker_is_refused() -> None:
    """Fewer than one worker is a mistake, told with its number."""
    with pytest.raises(StudyError, match="workers: 0 is less than 1"):
        ProcessEngine(0)


def test_a_daemonic_process_is_told_that_it_may_not_start_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Multiprocessing would fail by an assertion; the engine says what to do."""
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    with pytest.raises(StudyError, match="daemonic"):
        ProcessEngine(1)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("Killed", r"its worker process was ended by SIGKILL \(killed, or out of memory\)"),
        ("Ended", "its worker process ended with exit code 3"),
    ],
)
def test_what_takes_its_worker_along_costs_its_piece_alone(policy: str, reason: str) -> None:
    """The piece is lost with its reason, the other worker's piece comes back, and the engine still works."""
    with ProcessEngine(2) as engine:
        engine.submit(one(policy, number=0))
        engine.submit(one("Full", n=3, number=1))
        results = {result.piece.number: result for result in collected(engine, 2)}
        assert isinstance(results[0], Lost)
        assert isinstance(results[1], Done)
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(results[0].reason)
        engine.submit(one("Full", number=2))
        assert isinstance(collected(engine, 1)[0], Done)


def test_an_exception_that_cannot_be_sent_is_a_failure_like_any_other(engine: ProcessEngine) -> None:
    """Only its text leaves the worker."""
    engine.submit(one("Raises"))
    (done,) = collected(engine, 1)
    assert isinstance(done, Done)
    assert done.outcomes[0].failures[0].error.startswith("policy uncontrolled at 00:00: OddError: 1 and 2")


def test_a_policy_that_ends_python_is_a_failure_like_any_other(engine: ProcessEngine) -> None:
    """`sys.exit` in a policy costs its replication, and no worker."""
    engine.submit(one("Exits"))
    (done,) = collected(engine, 1)
    assert isinstance(done, Done)
    assert "SystemExit: that is all" in done.outcomes[0].failures[0].error


def test_a_worker_killed_while_idle_is_replaced(engine: ProcessEngine) -> None:
    """Nothing is lost with a worker that has nothing to do."""
    engine.submit(one("Full"))
    collected(engine, 1)
    first = worker_of(engine)
    first.kill()
    until(lambda: first.status() == psutil.STATUS_ZOMBIE)
    engine.submit(one("Full"))
    assert isinstance(
        collected(engine, 1)[0], Done | Lost
    )  # lost when the pipe took the piece before it broke
    engine.submit(one("Full"))
    assert isinstance(collected(engine, 1)[0], Done)
    assert worker_of(engine).pid != first.pid


def test_half_an_answer_is_a_lost_piece_and_no_endless_wait(engine: ProcessEngine) -> None:
    """A worker that ends while it sends leaves the rest of its answer unsent: that is seen."""
    engine.submit(one("Sleeps"))
    (worker,) = engine._workers
    until(lambda: worker.is_ready or bool(engine.collect(0.05)))
    real, fake = worker.pipe, multiprocessing.Pipe()
    os.write(fake[1].fileno(), b"\x00\x00\x10\x00only a part")  # of 4096 bytes
    fake[1].close()
    worker.pipe = fake[0]
    (lost,) = collected(engine, 1)
    real.close()
    assert isinstance(lost, Lost)
    assert engine._workers == []


def test_an_answer_that_is_none_is_a_lost_piece(engine: ProcessEngine) -> None:
    """What cannot be read or understood is told as such, and its sender ended."""
    for message in (b"not a pickle", b"\x80\x04K\x07."):  # the second one is the number 7
        engine.submit(one("Sleeps"))
        (worker,) = engine._workers
        until(lambda worker=worker: worker.is_ready or bool(engine.collect(0.05)))
        real, fake = worker.pipe, multiprocessing.Pipe()
        fake[1].send_bytes(message)
        worker.pipe = fake[0]
        (lost,) = collected(engine, 1)
        assert isinstance(lost, Lost)
        assert "answer" in lost.reason
        real.close()
        fake[1].close()


def test_workers_of_another_version_refuse(engine: ProcessEngine) -> None:
    """A piece planned by other code comes back with what differs."""
    piece = one("Full")
    setup = piece.setup
    other = type(setup.fingerprint)(
        code_version="0000",
        packages=setup.fingerprint.packages,
        policies=setup.fingerprint.policies,
        inputs=setup.fingerprint.inputs,
    )
    engine.submit(
        Piece(
            number=0,
            setup=type(setup)(
                scenario_toml=setup.scenario_toml, module_folder=setup.module_folder, fingerprint=other
            ),
            units=piece.units,
        )
    )
    (refused,) = collected(engine, 1)
    assert isinstance(refused, Refused)
    assert "0000 in the study" in refused.faults[0]


def test_workers_that_cannot_load_the_simulator_end_the_study(
    engine: ProcessEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken import is told at once, with its own words; it is not tried for ever."""
    (tmp_path / "threadpoolctl.py").write_text("raise ImportError('libgomp.so.1: no such file')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    engine.submit(one("Full"))
    with pytest.raises(
        StudyError, match=r"cannot load the simulator: ImportError: libgomp\.so\.1: no such file"
    ):
        collected(engine, 1)


def test_workers_that_end_before_they_are_ready_end_the_study(
    engine: ProcessEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three in a row the engine gives up, and says how the last one ended."""
    (tmp_path / "threadpoolctl.py").write_text("import os\nos._exit(7)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for _ in range(processes.STARTS - 1):
        engine.submit(one("Full"))
        assert isinstance(collected(engine, 1)[0], Lost)
    engine.submit(one("Full"))
    with pytest.raises(
        StudyError, match="3 in a row ended before they could take work; the last ended with exit code 7"
    ):
        collected(engine, 1)


def test_workers_have_one_thread_and_this_process_keeps_its_environment(
    engine: ProcessEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The libraries of a worker are loaded with one thread, whatever the user's own setting, which stays."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    engine.submit(one("Threads"))
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "OPENBLAS_NUM_THREADS" not in os.environ
    (done,) = collected(engine, 1)
    assert isinstance(done, Done)
    assert done.outcomes[0].failures == ()
    assert worker_of(engine).environ()["OPENBLAS_NUM_THREADS"] == "1"


@pytest.mark.parametrize("policy", ["Sleeps", "Spins", "Deaf"])
def test_closing_ends_a_worker_in_the_midst_of_a_simulation(policy: str) -> None:
    """Nothing of it is left, not even a zombie, also when it does not listen; closing twice is closing once."""
    engine = ProcessEngine(1)
    engine.submit(one(policy))
    until(lambda: not engine.collect(0.05) and engine._workers[0].is_ready)
    time.sleep(0.3)  # so that it has begun
    process = worker_of(engine)
    engine.close()
    engine.close()
    assert not process.is_running()
    assert multiprocessing.active_children() == []


def test_ctrl_c_does_not_reach_the_workers(engine: ProcessEngine) -> None:
    """A worker gets the terminal's SIGINT from its first moment on, and goes on."""
    piece = one("Full", n=5)
    engine.submit(piece)
    process = worker_of(engine)
    for _ in range(200):
        process.send_signal(signal.SIGINT)
        if results := engine.collect(0.02):
            break
    else:
        results = collected(engine, 1)
    assert isinstance(results[0], Done)


@pytest.mark.slow
def test_handles_are_given_back(recwarn: pytest.WarningsRecorder) -> None:
    """An engine that worked and lost a worker leaves no open file, no process and no warning, however often."""
    held: list[int] = []
    for _ in range(8):
        with ProcessEngine(2) as engine:
            engine.submit(one("Full"))
            engine.submit(one("Killed"))
            collected(engine, 2)
        gc.collect()
        held.append(psutil.Process().num_fds())
    assert held[-1] == held[0], held
    assert multiprocessing.active_children() == []
    assert not recwarn.list


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from study_cases import collected, piece_of, tiny_setup
from experiments.monte_carlo.engines.processes import ProcessEngine
print("begin", flush=True)
with ProcessEngine(1) as engine:
    name = "study_policies:{policy}"
    engine.submit(piece_of(tiny_setup((name,)), range(2), (name,)))
    print(engine._workers[0].process.pid, flush=True)
    print(type(collected(engine, 1)[0]).__name__)
"""


def script(policy: str) -> str:
    """Text of a program that asks no question about its own name."""
    return SCRIPT.format(root=str(TESTS.parent), tests=str(TESTS), policy=policy)


def run(*arguments: str, text: str | None = None) -> list[str]:
    """Lines that a program prints; it must end well and say nothing else."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return ended.stdout.split()


@pytest.mark.slow
def test_a_script_without_a_main_guard_works(tmp_path: Path) -> None:
    """A worker does not run the user's script again: as a file, as -m, as -c, from standard input."""
    (tmp_path / "careless.py").write_text(script("Full"))
    as_module = "import runpy; runpy.run_module('careless', run_name='__main__', alter_sys=True)"
    for lines in (
        run(str(tmp_path / "careless.py")),
        run("-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {as_module}"),
        run("-c", script("Full")),
        run("-", text=script("Full")),
    ):
        assert [lines[0], lines[2]] == ["begin", "Done"]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["Sleeps", "Spins"])
def test_workers_end_with_a_parent_that_is_killed(policy: str) -> None:
    """SIGKILL leaves the parent no time to end its workers: they see it themselves, at start-up and in a simulation."""
    for after_s in (0.0, 0.5, 3.0):
        parent = subprocess.Popen([sys.executable, "-c", script(policy)], stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        assert parent.stdout.readline() == "begin\n"
        worker = psutil.Process(int(parent.stdout.readline()))
        time.sleep(after_s)
        assert worker.is_running()
        parent.kill()
        parent.wait()
        parent.stdout.close()
        until(lambda worker=worker: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 10.0)
