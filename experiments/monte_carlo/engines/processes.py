"""Engine of worker processes on this machine: one per core, one piece at a time, one solver thread each.

Each worker is a fresh interpreter ("spawn") at the other end of a pipe of its own. Nothing is shared between workers,
neither a queue nor a lock nor a thread, so the end of one is seen as the end of its pipe, and costs its piece alone.
(`concurrent.futures.ProcessPoolExecutor` loses all pieces with one worker, cannot end a running worker before Python
3.14, and waits for ever for the rest of an answer whose sender was killed: it holds the sender's end itself.)
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, current_process, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from threading import Thread
from time import monotonic
from types import ModuleType
from typing import Any, Final, Self

from experiments.import_path import without_working_folder
from experiments.monte_carlo.contracts import Done, Lost, Piece, Refused, Result, Setup
from sim.errors import StudyError, told

ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Variables that numerical libraries, and Arrow, read once, when they are loaded: a machine of 64 cores would otherwise
hold 64 idle threads for each of its 64 workers."""

STARTS: Final = 3
"""Workers in a row that may end before they are ready to take work; then the engine gives up."""

GRACE_S: Final = 2.0
"""Time that a worker has to end when it is asked to, before it is killed [s]."""


def available_cores() -> int:
    """Cores that this process may use: fewer than the machine has under ``taskset`` or a batch system.

    >>> 1 <= available_cores() <= os.cpu_count()
    True
    """
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class _Ready:
    """First message of a worker that can take work."""


@dataclass(frozen=True, slots=True)
class _Unfit:
    """First and last message of a worker that cannot."""

    reason: str


@dataclass(slots=True, kw_only=True, eq=False)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    piece: Piece | None = None
    is_ready: bool = False


class ProcessEngine:
    """Runs pieces in processes on this machine; see `experiments.monte_carlo.contracts.Engine`.

    Workers are started when the first pieces come. They ignore Ctrl-C, which a terminal sends to them too: what it
    means for the study is for the parent to say. When the parent goes away, however, they end with it.

    Parameters
    ----------
    n_workers
        Worker processes; one per available core when not given.

    Raises
    ------
    StudyError
        When the number is not positive, or when this process may not start others.
    """

    def __init__(self, n_workers: int | None = None) -> None:
        if n_workers is not None and n_workers < 1:
            raise StudyError(f"workers: {n_workers} is less than 1")
        if current_process().daemon:
            raise StudyError(
                "workers: this is a daemonic process, such as one of multiprocessing.Pool, which may not start others; "
                "run the study in this process instead"
            )
        self.n_workers: int = n_workers or available_cores()
        self._workers: list[_Worker] = []
        self._lost: list[Lost] = []
        self._n_stillborn = 0

    def __enter__(self) -> Self:
        """Give the engine itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def check(self, setup: Setup) -> None:
        """Nothing to check: workers run what this process runs, and say so of each piece."""

    def submit(self, piece: Piece) -> None:
        """Hand a piece to an idle worker, to a new one when there is none.

        Raises
        ------
        StudyError
            When the machine will not start a worker.
        """
        data = pickle.dumps(piece)
        for worker in [worker for worker in self._workers if worker.piece is None]:
            if self._hand_over(worker, piece, data):
                return
        if not self._hand_over(self._start(), piece, data):
            self._lost.append(Lost(piece=piece, reason="its worker process ended before it could start"))

    def collect(self, timeout_s: float) -> Sequence[Result]:
        """Pieces that have come back or were lost, each once; waits at most so long when there is none yet.

        Raises
        ------
        StudyError
            When workers end again and again before they can take work.
        """
        results: list[Result] = [*self._lost]
        self._lost.clear()
        deadline = monotonic() + timeout_s
        while not results and (busy := [worker for worker in self._workers if worker.piece is not None]):
            left = deadline - monotonic()
            connection.wait(
                [end for worker in busy for end in (worker.pipe, worker.process.sentinel)], max(0.0, left)
            )
            results += [result for worker in busy if (result := self._heard(worker)) is not None]
            if left <= 0.0:
                break
        return results

    def close(self) -> None:
        """End all workers at once, also in the midst of a simulation."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.process.terminate()
        deadline = monotonic() + GRACE_S
        for worker in workers:
            worker.process.join(max(0.0, deadline - monotonic()))
        for worker in workers:
            _end(worker)

    def _start(self) -> _Worker:
        pipe, other = get_context("spawn").Pipe()
        try:
            process = get_context("spawn").Process(
                target=_serve, args=(other,), name="voltwalk-worker", daemon=True
            )
            with _apart():
                process.start()
        except OSError as error:
            pipe.close()
            raise StudyError(f"workers: this machine will not start another process: {error}") from error
        finally:
            other.close()  # else the end of the worker would not be the end of the pipe
        worker = _Worker(process=process, pipe=pipe)
        self._workers.append(worker)
        return worker

    def _hand_over(self, worker: _Worker, piece: Piece, data: bytes) -> bool:
        try:
            worker.pipe.send_bytes(data)
        except OSError:  # it went away while it had nothing to do, or at its very start
            self._drop(worker)
            return False
        worker.piece = piece
        return True

    def _heard(self, worker: _Worker) -> Result | None:
        """What a worker has to say about its piece, if anything."""
        is_alive = worker.process.is_alive()  # asked first: it may say its last word and end
        try:
            if not worker.pipe.poll():
                return None if is_alive else self._bury(worker)
            message = pickle.loads(worker.pipe.recv_bytes())
        except (EOFError, OSError):
            return self._bury(worker)
        except BaseException as error:  # half of an answer may be left in the pipe
            lost = self._bury(worker, f"its worker's answer cannot be read: {type(error).__name__}: {error}")
            if isinstance(error, Exception):
                return lost
            raise
        return self._understood(worker, message)

    def _understood(self, worker: _Worker, message: Any) -> Result | None:
        match message:
            case _Ready():
                worker.is_ready, self._n_stillborn = True, 0
                return None
            case _Unfit(reason=reason):
                raise StudyError(f"workers: a process on this machine cannot load the simulator: {reason}")
            case Done() | Lost() | Refused():
                worker.piece = None
                return message
            case _:
                return self._bury(worker, f"its worker answered with {message!r:.80}")

    def _bury(self, worker: _Worker, reason: str = "") -> Lost:
        piece, is_ready = worker.piece, worker.is_ready
        assert piece is not None  # only busy workers are listened to
        fate = self._drop(worker)
        if not is_ready:
            self._n_stillborn += 1
            if self._n_stillborn >= STARTS:
                raise StudyError(
                    f"workers: {STARTS} in a row ended before they could take work; the last {fate}"
                )
        return Lost(piece=piece, reason=reason or f"its worker process {fate}")

    def _drop(self, worker: _Worker) -> str:
        self._workers.remove(worker)
        worker.process.join(GRACE_S)  # the end of the pipe comes a moment before the exit code
        return _end(worker)


def _end(worker: _Worker) -> str:
    """Make sure that a worker is gone, and give back all that it held; say how it ended."""
    if worker.process.is_alive():
        worker.process.kill()
    worker.process.join()
    code = worker.process.exitcode
    worker.process.close()
    worker.pipe.close()
    if code is None or code >= 0:
        return f"ended with exit code {code}"
    return f"was ended by {_signal_name(-code)}"


def _signal_name(number: int) -> str:
    """Name of a signal.

    >>> _signal_name(9), _signal_name(11)
    ('SIGKILL (killed, or out of memory)', 'SIGSEGV')
    """
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} (killed, or out of memory)" if number == signal.SIGKILL else name


@contextmanager
def _apart() -> Iterator[None]:
    """What is started within has one numerical thread, no main module, and is deaf to Ctrl-C from its first moment.

    A spawned process runs the parent's main module first. A worker needs nothing of it, and a script that calls a
    study without asking for its ``__name__`` would start studies without end; so it is shown an empty one. Ctrl-C that
    comes meanwhile is kept for the parent, and reaches it on leaving. The parent's environment is as before then.

    Where a user's own modules are looked for comes with the piece, when this program's are loaded.
    """
    resource_tracker.ensure_running()  # starting it would let Ctrl-C through again
    main, variables = sys.modules["__main__"], {name: os.environ.get(name) for name in ONE_THREAD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    sys.modules["__main__"] = ModuleType("__main__")
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        with without_working_folder():
            yield
    finally:
        for name, value in variables.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        sys.modules["__main__"] = main
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _serve(pipe: Connection) -> None:
    """Life of a worker: take a piece, run it, answer; until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, name="end with parent", daemon=True).start()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        pipe.send_bytes(pickle.dumps(greeting := _greeting()))
        while isinstance(greeting, _Ready):
            pipe.send_bytes(_answer(pickle.loads(pipe.recv_bytes())))


def _greeting() -> _Ready | _Unfit:
    try:
        import experiments.monte_carlo.work  # noqa: F401, PLC0415 - the simulator
    except Exception as error:  # noqa: BLE001 - whatever keeps it from loading is told
        return _Unfit(told(error))
    return _Ready()


def _answer(piece: Piece) -> bytes:
    from experiments.monte_carlo.work import run_piece  # noqa: PLC0415

    try:
        return pickle.dumps(run_piece(piece))
    except BaseException as error:  # noqa: BLE001 - also a policy's sys.exit() and an answer that cannot be sent
        reason = told(error) if isinstance(error, Exception) else f"{type(error).__name__}: {error}"
        return pickle.dumps(Lost(piece=piece, reason=reason))


def _end_with_parent() -> None:
    """End this process, whatever it does, when its parent is no more: also after a SIGKILL, which no parent can tell.

    The sentinel is the read end of a pipe whose only write end is the parent's: it is not inherited by other workers.
    """
    parent = parent_process()
    assert parent is not None  # this is a worker
    connection.wait([parent.sentinel])
    os._exit(1)
