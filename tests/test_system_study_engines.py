"""The same study has the same results to the last bit, wherever, in how many sessions and in which order it ran."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dask_cases import ROOT, Cluster, until

from experiments.monte_carlo import Study, read_study, study
from experiments.monte_carlo.conduct import Progress
from experiments.monte_carlo.contracts import Engine, Piece, Result, Setup
from experiments.monte_carlo.engines.dask_cluster import DaskEngine
from experiments.monte_carlo.engines.processes import ProcessEngine

POLICIES = ("uncontrolled", "rolling")
SHORT = ("fleet.size=3", "dispatch.horizon_steps=4")
N = 50


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Give two workers of one thread."""
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.start_worker()
        cluster.start_worker()
        yield cluster


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Give the study as one process runs it, in order and in one go."""
    return short_study(tmp_path_factory.mktemp("once") / "study", workers=0)


class Shuffled:
    """An engine whose pieces come back several at a time, in any order."""

    name = "shuffled"

    def __init__(self, engine: Engine, seed: int) -> None:
        self._engine = engine
        self._chance = random.Random(seed)
        self._n_inside = 0
        self._held: list[Result] = []
        self.order: list[int] = []

    @property
    def n_workers(self) -> int:
        """Those of the engine, and room for what is held back."""
        return self._engine.n_workers + len(self._held)

    def check(self, setup: Setup) -> None:
        """Ask the engine."""
        self._engine.check(setup)

    def submit(self, piece: Piece) -> None:
        """Hand it on."""
        self._n_inside += 1
        self._engine.submit(piece)

    def collect(self, timeout_s: float) -> Sequence[Result]:
        """Hold pieces back until there are some; then give all of them."""
        back = self._engine.collect(timeout_s)
        self._n_inside -= len(back)
        self._held += back
        if len(self._held) < 5 and self._n_inside > 0:
            return []
        self._chance.shuffle(self._held)
        given, self._held = self._held, []
        self.order += [result.piece.number for result in given]
        return given

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


def short_study(out: Path, replications: int = N, **more: Any) -> Study:
    """Run the study, or go on with it."""
    return study(
        "multi-microgrid",
        replications=replications,
        policies=POLICIES,
        overrides=SHORT,
        out=out,
        **{"resume": True} | more,
    )


def machine_free(table: pd.DataFrame) -> pd.DataFrame:
    """All that may not depend on the machine."""
    return table[[column for column in table if "seconds" not in column and "memory" not in column]]


def assert_same_bits(a: Study, b: Study) -> None:
    """Tables of results are the same to the last bit, signs of zeros included; so is what is made of them."""
    one, other = machine_free(a.results), machine_free(b.results)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    for column in one.select_dtypes("number"):
        assert one[column].to_numpy().tobytes() == other[column].to_numpy().tobytes(), column
    for name in ("statistics.csv", "differences.csv"):
        tables = [pd.read_csv(folder / name, dtype=str) for folder in (a.path, b.path)]
        one, other = (table[~table["figure"].str.contains("seconds|memory")] for table in tables)
        pd.testing.assert_frame_equal(one.reset_index(drop=True), other.reset_index(drop=True))


@pytest.mark.slow
def test_the_results_hold_what_was_asked_for(once: Study) -> None:
    """A row for each policy and replication, which are no copies of each other."""
    rows = once.results
    assert list(zip(rows["policy"], rows["replication"], strict=True)) == [
        (policy, k) for policy in POLICIES for k in range(N)
    ]
    assert rows.groupby("policy")["total_cost_net_cny"].nunique().tolist() == [N, N]
    assert once.failures.empty


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes(once: Study, tmp_path: Path, workers: int) -> None:
    """One or two worker processes, in one go."""
    assert_same_bits(short_study(tmp_path / "study", workers=workers), once)


@pytest.mark.slow
def test_a_cluster_of_two(once: Study, tmp_path: Path, cluster: Cluster) -> None:
    """Two workers of a Dask cluster, in one go."""
    assert_same_bits(short_study(tmp_path / "study", cluster=cluster.address), once)


@pytest.mark.slow
def test_a_cluster_of_one_and_then_processes(once: Study, tmp_path: Path) -> None:
    """20 replications on a cluster of one worker, resumed to 50 on two processes."""
    (tmp_path / "cluster").mkdir()
    with Cluster(tmp_path / "cluster") as one:
        one.start_worker()
        first = short_study(tmp_path / "study", 20, cluster=one.address)
    assert sorted(first.results["replication"].unique()) == list(range(20))
    assert_same_bits(short_study(tmp_path / "study", workers=2), once)


@pytest.mark.slow
def test_any_order_of_completion(once: Study, tmp_path: Path, cluster: Cluster) -> None:
    """20 replications on a cluster, resumed to 50 on processes, each time in shuffled order."""
    first = Shuffled(DaskEngine(cluster.address), seed=3)
    short_study(tmp_path / "study", 20, engine=first)
    then = Shuffled(ProcessEngine(2), seed=4)
    assert_same_bits(short_study(tmp_path / "study", engine=then), once)
    for engine in (first, then):
        assert engine.order != sorted(engine.order)


@pytest.mark.slow
def test_a_worker_lost_on_the_way(once: Study, tmp_path: Path, cluster: Cluster) -> None:
    """A Dask worker killed in mid-study costs nothing but time: rows come once each, and are the same."""
    third = cluster.start_worker()
    with closing(DaskEngine(cluster.address)) as engine:
        until(lambda: engine.collect(0.1) == [] and engine.n_workers == 3)

    def on_progress(progress: Progress) -> None:
        if progress.n_run >= 6 and third.poll() is None:
            third.kill()

    done = short_study(tmp_path / "study", 20, cluster=cluster.address, on_progress=on_progress)
    assert third.wait(10.0) != 0
    first_rows = once.results[once.results["replication"] < 20].reset_index(drop=True)
    pd.testing.assert_frame_equal(machine_free(done.results), machine_free(first_rows), check_exact=True)


def run_command(*options: str) -> subprocess.CompletedProcess[str]:
    """Run ``voltwalk study`` as a person does."""
    command = [sys.executable, "-m", "experiments.cli", "study", "multi-microgrid", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_on_a_cluster(tmp_path: Path, cluster: Cluster) -> None:
    """Two cells, two policies, kept run folders: the same tables, and the same files, as in one process."""
    options = ["--policies", ",".join(POLICIES), "--factor", "fleet.size=[2, 4]", "--keep", "1"]
    options += ["--set", "dispatch.horizon_steps=4", "--replications", "3"]
    for name, engine in (("there", ["--cluster", cluster.address]), ("here", ["--workers", "0"])):
        done = run_command(*options, *engine, "--out", str(tmp_path / name))
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("Traceback") == 0
        assert done.stdout.splitlines()[-1] == str(tmp_path / name)
    there, here = read_study(tmp_path / "there"), read_study(tmp_path / "here")
    assert len(here.results) == 12
    assert_same_bits(there, here)
    kept = {path.relative_to(here.path) for path in (here.path / "kept").rglob("*") if path.is_file()}
    assert kept == {
        path.relative_to(there.path) for path in (there.path / "kept").rglob("*") if path.is_file()
    }
    assert len({path.parent for path in kept}) == 4
    for path in kept:
        if path.name not in {"manifest.json", "decisions.parquet", "report.html"}:  # have the seconds it took
            assert (here.path / path).read_bytes() == (there.path / path).read_bytes(), path


@pytest.mark.slow
def test_the_command_without_its_cluster(tmp_path: Path) -> None:
    """Nobody at the address: one line, exit 2, no folder."""
    done = run_command(
        "--replications", "3", "--cluster", "tcp://127.0.0.1:9", "--out", str(tmp_path / "study")
    )
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in line
    assert not (tmp_path / "study").exists()
