"""A study's pieces on a real Dask cluster: what comes back, what is lost, who is refused, and how it ends."""

from __future__ import annotations

import asyncio
import http.server
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from dask_cases import ROOT, Cluster, until
from study_cases import TESTS, collected, piece_of, tiny_setup

from experiments.monte_carlo.contracts import Done, Lost, Piece, Refused, Result, Row, Setup
from experiments.monte_carlo.engines import dask_cluster
from experiments.monte_carlo.engines.dask_cluster import DaskEngine, run_alone
from experiments.monte_carlo.work import run_piece
from experiments.provenance import code_version
from sim.errors import StudyError


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Give two workers of one thread; tests leave them as they were."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.start_worker()
        cluster.start_worker()
        yield cluster


@pytest.fixture
def engine(cluster: Cluster) -> Iterator[DaskEngine]:
    """Give an engine that sees both workers."""
    with closing(DaskEngine(cluster.address)) as engine:
        see(engine, 2)
        yield engine


@pytest.fixture(scope="module")
def setup() -> Setup:
    """Give what the units of a tiny study share."""
    return tiny_setup()


def see(engine: DaskEngine, n_workers: int) -> None:
    """Wait until the engine counts so many workers."""

    def is_so() -> bool:
        assert not engine.collect(0.1)
        return engine.n_workers == n_workers

    until(is_so)


def comparable(row: Row) -> tuple[object, ...]:
    """All of a row but what depends on the machine."""
    return row.cell, row.policy, row.replication, dict(row.figures)


def rows_of(done: object) -> list[tuple[object, ...]]:
    """Rows of a piece that came back."""
    assert isinstance(done, Done)
    return [comparable(row) for outcome in done.outcomes for row in outcome.rows]


def n_kept_results(cluster: Cluster) -> int:
    """How many results the cluster's workers hold."""
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:
        return len(client.who_has())


def test_a_clusters_figures_are_those_of_this_process_bit_for_bit(engine: DaskEngine, setup: Setup) -> None:
    """Pieces come back once each, with the rows that this process gives them."""
    engine.check(setup)
    pieces = [piece_of(setup, (2 * n, 2 * n + 1), number=n) for n in range(4)]
    for piece in pieces:
        engine.submit(piece)
    back = sorted(collected(engine, 4), key=lambda result: result.piece.number)
    assert [result.piece for result in back] == pieces
    assert [rows_of(result) for result in back] == [rows_of(run_piece(piece)) for piece in pieces]


def test_the_cluster_keeps_no_result(engine: DaskEngine, cluster: Cluster, setup: Setup) -> None:
    """What was collected is forgotten by the workers and the scheduler: memory is flat."""
    for number in range(20):
        engine.submit(piece_of(setup, (), number=number))
    assert len(collected(engine, 20)) == 20
    engine.collect(0.1)
    until(lambda: n_kept_results(cluster) == 0)


def test_closing_leaves_the_cluster_and_nothing_here(cluster: Cluster, setup: Setup) -> None:
    """No thread, no changed logger; what was in flight is dropped by the cluster, which serves the next engine."""
    threads = set(threading.enumerate())
    levels = {
        name: logging.getLogger(name).level for name in ("distributed", "distributed.client", "tornado")
    }
    engine = DaskEngine(cluster.address)
    for number in range(6):
        engine.submit(piece_of(setup, range(5), number=number))
    engine.collect(0.0)
    engine.close()
    engine.close()
    assert set(threading.enumerate()) <= threads
    assert {name: logging.getLogger(name).level for name in levels} == levels
    with closing(DaskEngine(cluster.address)) as another:
        another.submit(piece_of(setup, (0,), number=99))
        (back,) = collected(another, 1)
        assert back.piece.number == 99


def test_it_works_where_an_event_loop_runs_already(cluster: Cluster, setup: Setup) -> None:
    """As in a notebook."""

    async def in_a_notebook() -> object:
        with closing(DaskEngine(cluster.address)) as engine:
            engine.submit(piece_of(setup, (0,)))
            return collected(engine, 1)[0]

    assert isinstance(asyncio.run(in_a_notebook()), Done)


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--no-nanny",), ("--nanny",)])
def test_a_killed_workers_piece_is_done_again(tmp_path: Path, setup: Setup, options: tuple[str, ...]) -> None:
    """SIGKILL in mid-piece costs that piece's time alone: all come back whole, once each, with the same rows."""
    from distributed import Client

    with Cluster(tmp_path) as cluster:
        for _ in range(2):
            cluster.start_worker("--nthreads", "1", *options)
        with (
            closing(DaskEngine(cluster.address)) as engine,
            Client(cluster.address, set_as_default=False) as eye,
        ):
            see(engine, 2)
            engine.check(setup)
            pieces = [piece_of(setup, range(10 * n, 10 * n + 10), number=n) for n in range(2)]
            for piece in pieces:
                engine.submit(piece)
            engine.collect(0.5)
            address, pid = next(iter(eye.run(os.getpid).items()))
            assert eye.processing()[address]
            os.kill(pid, signal.SIGKILL)
            back = sorted(collected(engine, 2), key=lambda result: result.piece.number)
            assert [rows_of(result) for result in back] == [rows_of(run_piece(piece)) for piece in pieces]
            see(engine, 2 if options == ("--nanny",) else 1)


@pytest.mark.slow
def test_a_piece_that_kills_its_workers_is_lost(tmp_path: Path) -> None:
    """The cluster gives such a piece up; it is told as lost, with the reason, and the study may go on."""
    deadly = "study_policies:Killed"
    with Cluster(tmp_path, {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}) as cluster:
        cluster.start_worker()
        with closing(DaskEngine(cluster.address)) as engine:
            engine.submit(piece_of(tiny_setup((deadly,)), (0,), (deadly,)))
            (back,) = collected(engine, 1)
    assert isinstance(back, Lost)
    assert "KilledWorker" in back.reason


@pytest.mark.slow
def test_a_cancelled_piece_is_lost(engine: DaskEngine, cluster: Cluster, setup: Setup) -> None:
    """Somebody who cancels a task on the cluster costs that piece alone."""
    from distributed import Client, Future

    engine.submit(piece_of(setup, range(60)))
    engine.collect(0.2)
    with Client(cluster.address, set_as_default=False) as other:
        ((key,),) = [keys for keys in other.processing().values() if keys]
        other.cancel([Future(key, other)], force=True)
    (back,) = collected(engine, 1)
    assert isinstance(back, Lost)
    assert "Cancelled" in back.reason


def changed_copy(target: Path) -> Path:
    """Copy the program, and change a line of it."""
    for package in ("agents", "dispatch", "experiments", "sim"):
        shutil.copytree(ROOT / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (target / "sim" / "battery.py").open("a") as file:
        file.write("# another version\n")
    return target


def another_version(target: Path, package: str) -> Path:
    """Make the installed version of a package another one, for who looks here first."""
    info = target / f"{package}-1.99.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.99.0\n")
    return target


def refusal(engine: DaskEngine, cluster: Cluster, setup: Setup, environment: Mapping[str, str]) -> str:
    """What is said about a cluster with one worker more."""
    with cluster.worker(environment=environment):
        see(engine, 3)
        with pytest.raises(StudyError) as refused:
            engine.check(setup)
    see(engine, 2)
    engine.check(setup)
    return str(refused.value)


def test_a_worker_with_other_code_is_refused(
    engine: DaskEngine, cluster: Cluster, setup: Setup, tmp_path: Path
) -> None:
    """One changed line: named with the worker's address and both versions; without that worker the study may run."""
    environment = {"PYTHONPATH": str(changed_copy(tmp_path))}
    text = refusal(engine, cluster, setup, environment)
    there = subprocess.run(
        [sys.executable, "-c", "from experiments.provenance import code_version; print(code_version())"],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert f"voltwalk's code {code_version()} in the study, {there} there" in text
    assert "worker tcp://127.0.0.1:" in text
    assert text.count("worker tcp://") == 1


@pytest.mark.parametrize("package", ["numpy", "highspy", "distributed"])
def test_a_worker_with_another_package_is_refused(
    engine: DaskEngine, cluster: Cluster, setup: Setup, tmp_path: Path, package: str
) -> None:
    """With the worker's address and both versions; distributed's own warnings stay away."""
    from importlib.metadata import version

    path = os.pathsep.join([str(another_version(tmp_path, package)), str(ROOT)])
    text = refusal(engine, cluster, setup, {"PYTHONPATH": path})
    assert f"{package} {version(package)} in the study, 1.99.0 " in text
    assert text.count("worker tcp://127.0.0.1:") == 1


def test_a_worker_without_the_file_is_refused(engine: DaskEngine, cluster: Cluster, tmp_path: Path) -> None:
    """A policy's module that differs on a worker's disk is named."""
    shutil.copy(TESTS / "study_policies.py", tmp_path / "own_policies.py")
    environment = {"PYTHONPATH": f"{tmp_path / 'there'}{os.pathsep}{ROOT}"}
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "own_policies.py").write_text((tmp_path / "own_policies.py").read_text() + "\n")
    sys.path.append(str(tmp_path))
    try:
        own = tiny_setup(("own_policies:Full",), tmp_path)
        text = refusal(engine, cluster, own, environment)
    finally:
        sys.path.remove(str(tmp_path))
    assert "source of policy own_policies:Full" in text


def packages_but_ours(folder: Path) -> Path:
    """Make a folder of all installed packages but voltwalk, however it is installed."""
    folder.mkdir()
    for package in Path(np.__file__).parents[1].iterdir():
        if package.name not in ("sim", "agents", "dispatch", "experiments"):
            (folder / package.name).symlink_to(package)
    return folder


def test_a_worker_without_voltwalk_is_refused(
    engine: DaskEngine, cluster: Cluster, setup: Setup, tmp_path: Path
) -> None:
    """Before any work; when it comes later it ends with its first piece, which is done by another worker."""
    packages = str(packages_but_ours(tmp_path / "packages"))
    bare = ("-S",)  # finds these packages, but not the folders that an editable installation points to
    with cluster.worker(environment={"PYTHONPATH": packages}, python=bare):
        see(engine, 3)
        with pytest.raises(StudyError, match=r"worker tcp://127.*: cannot import voltwalk .*No module named"):
            engine.check(setup)
        results = on_all_workers(engine, setup)
        assert all(isinstance(result, Done) for result in results)
        see(engine, 2)


def test_a_worker_that_comes_late_is_refused_by_itself(
    engine: DaskEngine, cluster: Cluster, setup: Setup, tmp_path: Path
) -> None:
    """A worker that joins after the check runs nothing when it is not like the study."""
    engine.check(setup)
    path = os.pathsep.join([str(another_version(tmp_path, "numpy")), str(ROOT)])
    with cluster.worker(environment={"PYTHONPATH": path}):
        see(engine, 3)
        results = on_all_workers(engine, setup)
    (faults, *_) = [result.faults[0] for result in results if isinstance(result, Refused)]
    assert "worker tcp://127.0.0.1:" in faults
    assert "1.99.0 here" in faults
    see(engine, 2)


def on_all_workers(engine: DaskEngine, setup: Setup) -> list[Result]:
    """Results of so many pieces that each worker gets one."""
    for number in range(6):
        engine.submit(piece_of(setup, (number,), number=number))
    return collected(engine, 6)


@pytest.mark.parametrize("answer", ["nobody", "silence", "a web server"])
def test_what_is_no_scheduler_is_told(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody at the port, or something else: one line, no thread left."""
    monkeypatch.setattr(dask_cluster, "ANSWER_SECONDS", 1.0)
    server: http.server.HTTPServer | socket.socket
    if answer == "a web server":
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
    else:
        server = socket.create_server(("127.0.0.1", 0))
        port = server.getsockname()[1]
    if answer == "nobody":
        server.close()
    threads = set(threading.enumerate())
    with pytest.raises(StudyError, match=f"no Dask scheduler answers at tcp://127.0.0.1:{port}") as told:
        DaskEngine(f"tcp://127.0.0.1:{port}")
    assert "\n" not in str(told.value)
    of_server = {thread for thread in threading.enumerate() if "process_request_thread" in thread.name}
    assert set(threading.enumerate()) - of_server <= threads
    if isinstance(server, http.server.HTTPServer):
        server.shutdown()
        server.server_close()
    else:
        server.close()


@pytest.mark.parametrize(
    "address", ["localhost:8786", "tcp://", "tcp://host", "tcp://host:port", "http://a:1", ""]
)
def test_what_is_no_address_is_told(address: str) -> None:
    """What is expected is said, and nothing is tried."""
    with pytest.raises(StudyError, match="tcp://HOST:PORT is expected"):
        DaskEngine(address)


def test_a_name_that_is_nowhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that does not exist."""
    monkeypatch.setattr(dask_cluster, "ANSWER_SECONDS", 1.0)
    with pytest.raises(StudyError, match="no Dask scheduler answers at tcp://no-such-host.invalid:1"):
        DaskEngine("tcp://no-such-host.invalid:1")


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster is an extra."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(StudyError, match=r'pip install "voltwalk\[cluster\]"'):
        DaskEngine("tcp://127.0.0.1:1")


def test_nothing_is_loaded_before_a_cluster_is_asked_for() -> None:
    """Who runs no cluster need not have the package, nor wait for its import."""
    code = "import sys, experiments.monte_carlo.engines.dask_cluster; sys.exit('distributed' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
def test_workers_come_and_go(tmp_path: Path, setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """None at the beginning, several threads in one, none again, and at last the scheduler gone: each is told."""
    monkeypatch.setattr(dask_cluster, "FIRST_WORKER_SECONDS", 1.0)
    monkeypatch.setattr(dask_cluster, "PATIENCE_SECONDS", 1.0)
    with Cluster(tmp_path) as cluster:
        with pytest.raises(StudyError, match="has no workers"):
            DaskEngine(cluster.address)
        with cluster.worker("--nthreads", "2", "--no-nanny"):
            engine = connected(cluster)
        with (
            closing(engine),
            pytest.raises(StudyError, match="no worker, .* for 1 s; resume the study with --resume"),
        ):
            collected(engine, 1)


def connected(cluster: Cluster) -> DaskEngine:
    """Connect as soon as there is a worker."""
    last = time.monotonic() + 60.0
    while True:
        try:
            return DaskEngine(cluster.address)
        except StudyError:
            assert time.monotonic() < last


@pytest.mark.slow
def test_a_worker_of_several_threads_counts_once(
    tmp_path: Path, setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    """It runs one simulation at a time, and the person is told how to use its cores."""
    with Cluster(tmp_path) as cluster:
        cluster.start_worker("--nthreads", "4", "--no-nanny")
        with closing(connected(cluster)) as engine:
            assert engine.n_workers == 1
            engine.check(setup)
    (record,) = [record for record in caplog.records if record.name == dask_cluster.__name__]
    assert "--nworkers N --nthreads 1" in record.getMessage()


def test_one_simulation_at_a_time_in_a_process(monkeypatch: pytest.MonkeyPatch, setup: Setup) -> None:
    """Two threads of a worker take turns."""
    running, most = [], []

    def slow(piece: Piece) -> Done:
        running.append(piece)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()
        return Done(piece=piece, outcomes=())

    monkeypatch.setattr(dask_cluster, "run_piece", slow)
    threads = [threading.Thread(target=run_alone, args=(piece_of(setup, ()),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4


def test_the_end_of_the_scheduler_is_told(
    tmp_path: Path, setup: Setup, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Killed in mid-piece: the study ends with how to resume, without hanging and without noise."""
    with Cluster(tmp_path) as cluster:
        cluster.start_worker()
        monkeypatch.setattr(dask_cluster, "RECONNECT_SECONDS", 1.0)
        engine = connected(cluster)
        threads = set(threading.enumerate())
        engine.submit(piece_of(setup, range(60)))
        engine.collect(0.3)
        os.kill(cluster.scheduler.pid, signal.SIGKILL)
        with pytest.raises(StudyError, match="is gone: .*; resume the study with --resume"):
            collected(engine, 1)
        engine.close()
        assert set(threading.enumerate()) < threads
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_scheduler_that_says_nothing_any_more_is_given_up(
    tmp_path: Path, setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped, not ended, its connections open: the study does not wait for ever, neither does closing."""
    with Cluster(tmp_path) as cluster:
        cluster.start_worker()
        engine = connected(cluster)
        monkeypatch.setattr(dask_cluster, "ANSWER_SECONDS", 1.0)
        monkeypatch.setattr(dask_cluster, "PATIENCE_SECONDS", 1.0)
        threads = set(threading.enumerate())
        os.kill(cluster.scheduler.pid, signal.SIGSTOP)
        try:
            engine.submit(piece_of(setup, (0,)))
            with pytest.raises(StudyError, match="gave no answer"):
                collected(engine, 1)
            engine.close()
            assert set(threading.enumerate()) < threads
        finally:
            os.kill(cluster.scheduler.pid, signal.SIGCONT)


def test_a_broken_connection_is_made_again(engine: DaskEngine, setup: Setup) -> None:
    """What was in flight is lost, and can be sent again at once."""

    async def break_it() -> None:
        engine._client.scheduler_comm.comm.abort()

    piece = piece_of(setup, range(2))
    engine.submit(piece)
    engine.collect(0.1)
    engine._loop.run(break_it())
    (back,) = collected(engine, 1)
    assert isinstance(back, Lost)
    engine.submit(piece)
    (back,) = collected(engine, 1)
    assert isinstance(back, Done)
