"""The engine for more than one machine: pieces run on a Dask ``distributed`` cluster that somebody else started.

Nothing is written on the cluster's machines; a worker needs the same code, packages and input files as this machine.
``distributed`` is imported here alone, and only when an engine is made: it is an extra of the installation.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from threading import Lock
from time import monotonic
from typing import Any, Final
from urllib.parse import urlsplit

from experiments.monte_carlo.contracts import Lost, Piece, Refused, Result, Setup
from experiments.monte_carlo.engines.background_loop import BackgroundLoop
from experiments.monte_carlo.engines.dask_checks import machine_faults, one_line, shortened, threaded_workers
from experiments.monte_carlo.work import run_piece
from sim.errors import StudyError

ANSWER_SECONDS: Final = 5.0
"""Longest wait for a scheduler's answer: with the start of the program it stays under ten seconds."""

FIRST_WORKER_SECONDS: Final = 10.0
"""How long a scheduler that answers may have no worker at the beginning."""

RECONNECT_SECONDS: Final = 15.0
"""How long a broken connection is tried again; what was in flight is then lost and sent again."""

CHECK_SECONDS: Final = 120.0
"""Longest wait for all workers' fingerprints: the first one imports the packages, perhaps over a network's disk."""

PATIENCE_SECONDS: Final = 60.0
"""How long a study waits for a cluster that has lost all its workers."""

LOOK_SECONDS: Final = 1.0
"""Pause between two questions for the number of workers."""

_NOISY: Final = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application")
_LOG: Final = logging.getLogger(__name__)
_ALONE = Lock()


def run_alone(piece: Piece) -> Result:
    """Run a piece on a worker, one at a time in its process: solver threads and the collector are the process's own."""
    with _ALONE:
        result = run_piece(piece)
    if isinstance(result, Refused):
        worker = import_module("distributed").get_worker().address
        return replace(result, faults=tuple(f"worker {worker}: {fault}" for fault in result.faults))
    return result


class DaskEngine:
    """Sends pieces to the workers of a cluster; lost workers' pieces are done again by the cluster itself.

    Parameters
    ----------
    address
        Of the cluster's scheduler, ``tcp://HOST:PORT``.

    Raises
    ------
    StudyError
        When ``distributed`` is not installed, when no scheduler answers there, or when it has no workers.
    """

    def __init__(self, address: str) -> None:
        self._address = _checked(address)
        self._distributed = _distributed()
        self._levels = {name: logging.getLogger(name).level for name in _NOISY}
        for name in _NOISY:  # what happens to the cluster is told by this engine's own errors
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._tasks: dict[asyncio.Task[Result], None] = {}  # in flight, in the order of their sending
        self._watch: asyncio.Task[None] | None = None
        self._client: Any = None
        self._n_workers = 0
        self._fault = ""  # why the cluster is given up, once it is
        self._is_closed = False
        self._loop = BackgroundLoop()
        try:
            self._loop.run(self._connect())
        except BaseException:
            self.close()
            raise

    @property
    def n_workers(self) -> int:
        """Workers of the cluster, whatever their threads; 0 while the scheduler is out of reach."""
        return self._n_workers if self._client is not None and self._client.status == "running" else 0

    def check(self, setup: Setup) -> None:
        """Ask all workers, before any work, whether they are like the study.

        Raises
        ------
        StudyError
            With each worker that differs and both versions.
        """
        try:
            faults = self._loop.run(asyncio.wait_for(machine_faults(self._client, setup), CHECK_SECONDS))
            threaded = self._loop.run(asyncio.wait_for(threaded_workers(self._client), ANSWER_SECONDS))
        except OSError as error:
            raise self._gone(f"its workers did not say what they are ({one_line(error)})") from None
        if faults:
            raise StudyError(
                f"the cluster at {self._address} cannot run this study, its figures could differ:\n  "
                + "\n  ".join(shortened(faults))
            )
        if threaded:
            _LOG.warning(
                "workers with several threads run one simulation at a time (%s): start one worker per core, "
                "`dask worker ADDRESS --nworkers N --nthreads 1`",
                ", ".join(shortened(threaded)),
            )

    def submit(self, piece: Piece) -> None:
        """Send a piece to the cluster, which chooses the worker."""
        self._loop.run(self._submit(piece))

    def collect(self, timeout_s: float) -> Sequence[Result]:
        """Pieces that came back; a piece is lost when several workers died of it, or when somebody cancelled it.

        Raises
        ------
        StudyError
            When the scheduler is gone, or has had no worker for a minute.
        """
        return self._loop.run(self._collect(timeout_s))

    def close(self) -> None:
        """Cancel what is in flight and leave the cluster as it is; its workers finish what they have begun."""
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(Exception):  # of a cluster that is gone: there is nothing to leave
            self._loop.run(self._leave())
        self._loop.close()
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)

    async def _connect(self) -> None:
        unanswered = f"no Dask scheduler answers at {self._address} within {ANSWER_SECONDS:.0f} s"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                with _no_version_warning(self._distributed):
                    self._client = self._distributed.Client(
                        self._address,
                        asynchronous=True,
                        set_as_default=False,
                        timeout=RECONNECT_SECONDS,
                        name="voltwalk",
                    )
                    await self._client
        except TimeoutError:
            raise StudyError(
                f"{unanswered}; start one with `dask scheduler`, or correct the address"
            ) from None
        except Exception as error:  # noqa: BLE001 - whatever else listens on that port may answer anything
            raise StudyError(f"{unanswered}: {one_line(error)}") from None
        self._n_workers = len(await self._workers())
        self._watch = asyncio.create_task(self._keep_watch())

    async def _workers(self) -> Mapping[str, Any]:
        """Describe each worker by its address, as soon as there is one."""
        end = monotonic() + FIRST_WORKER_SECONDS
        while monotonic() < end:
            with suppress(OSError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    if workers := (await self._client.scheduler.identity(n_workers=-1))["workers"]:
                        return dict(workers)
            await asyncio.sleep(0.2)
        raise StudyError(
            f"the cluster at {self._address} has no workers after {FIRST_WORKER_SECONDS:.0f} s; "
            f"start some with `dask worker {self._address} --nthreads 1`"
        )

    async def _submit(self, piece: Piece) -> None:
        if self._client.status == "closed":
            raise self._gone("its scheduler does not answer any more")
        self._tasks[asyncio.create_task(self._bring(piece))] = None

    async def _bring(self, piece: Piece) -> Result:
        future = self._client.submit(run_alone, piece, pure=False)
        try:
            result: Result = await future
        except Exception as error:  # noqa: BLE001 - workers that died, a cancelled task, a broken connection
            return Lost(piece=piece, reason=one_line(error))
        finally:
            future.release()  # the cluster forgets the result
        return replace(result, piece=piece)

    async def _collect(self, timeout_s: float) -> list[Result]:
        pause = max(timeout_s, 0.01)  # messages of the cluster are read while this waits
        if self._tasks and self._client.status == "running":
            await asyncio.wait(self._tasks, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(pause)
        if self._client.status == "closed":
            raise self._gone("its scheduler does not answer any more")
        if self._fault:
            raise self._gone(self._fault)
        if self._client.status != "running":  # it tries to connect again; then what was in flight is lost
            return []
        done = [task for task in self._tasks if task.done()]
        for task in done:
            del self._tasks[task]
        return [task.result() for task in done]

    async def _keep_watch(self) -> None:
        """Count the workers again and again; give the cluster up when there was none for too long."""
        unmanned_since: float | None = None
        while True:
            self._n_workers = await self._count()
            if self._n_workers > 0:
                unmanned_since = None
            elif unmanned_since is None:
                unmanned_since = monotonic()
            elif monotonic() - unmanned_since > PATIENCE_SECONDS:
                self._fault = f"it had no worker, or gave no answer, for {PATIENCE_SECONDS:.0f} s"
            await asyncio.sleep(LOOK_SECONDS)

    async def _count(self) -> int:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return int((await self._client.scheduler.identity(n_workers=0))["n_workers"])
        except Exception:  # noqa: BLE001 - no answer, no workers; the next look may find some
            return 0

    async def _leave(self) -> None:
        for task in (*self._tasks, *([self._watch] if self._watch is not None else [])):
            task.cancel()
        if self._client is not None:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._client.close()

    def _gone(self, why: str) -> StudyError:
        return StudyError(f"the cluster at {self._address} is gone: {why}; resume the study with --resume")


def _distributed() -> Any:
    try:
        return import_module("distributed")
    except ModuleNotFoundError as error:
        raise StudyError(
            f'a cluster needs the package distributed ({error}); install it with: pip install "voltwalk[cluster]"'
        ) from None


def _checked(address: str) -> str:
    """Give the address back when it can be one.

    >>> _checked("tcp://10.0.0.7:8786")
    'tcp://10.0.0.7:8786'
    """
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in {"tcp", "tls"} and bool(parts.hostname) and parts.port is not None
    except ValueError:
        is_address = False
    if not is_address:
        raise StudyError(f"{address!r} is not the address of a cluster: tcp://HOST:PORT is expected")
    return address


@contextmanager
def _no_version_warning(distributed: Any) -> Iterator[None]:
    """Keep the table of differing versions off the terminal: what matters is checked and refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
        yield
