"""A study survives what really kills it: SIGKILL, lost workers, a full disk, a disk that may only be read, Ctrl-C."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
from study_cases import FULL, HALF, TESTS, tiny_scenario

from sim.scenario_reading import dump_scenario

N, CELLS, POLICIES, WORKERS = 12, 2, (FULL, HALF), 2
N_ROWS = N * CELLS * len(POLICIES)
MARK = "VOLTWALK_TEST_OF_KILLS"
pytestmark = pytest.mark.slow


class Case:
    """A small study with its folder, run by the command line as a person runs it."""

    def __init__(self, folder: Path, *more: str, policies: tuple[str, ...] = POLICIES) -> None:
        self.folder, self.out = folder, folder / "out"
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "starts.log"
        (folder / "tiny.toml").write_text(dump_scenario(tiny_scenario()), encoding="utf-8")
        (folder / "factors.toml").write_text('design = "factorial"\n[factors]\n"fleet.size" = [2, 3]\n')
        self.arguments = [
            *(sys.executable, "-m", "experiments.cli", "study", str(folder / "tiny.toml")),
            *("--replications", str(N), "--policies", ",".join(policies), "--workers", str(WORKERS)),
            *("--factors", str(folder / "factors.toml"), "--out", str(self.out), *more),
        ]
        self.environment = os.environ | {
            "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
            "VOLTWALK_TEST_STARTS": str(self.log),
            MARK: str(folder),
        }

    def start(self) -> subprocess.Popen[str]:
        """Begin the study, in a process group of its own as under a shell."""
        with (
            (self.folder / "stdout.txt").open("w") as stdout,
            (self.folder / "stderr.txt").open("w") as stderr,
        ):
            return subprocess.Popen(
                self.arguments,
                stdout=stdout,
                stderr=stderr,
                text=True,
                env=self.environment,
                cwd=self.folder,
                start_new_session=True,
            )

    def run(self, *more: str, arguments: list[str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run the study to its end."""
        return subprocess.run(
            [*(arguments or self.arguments), *more],
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.folder,
            check=False,
            timeout=300,
        )

    def errors(self) -> str:
        """What the last started study wrote to standard error, without the lines for programs."""
        return said((self.folder / "stderr.txt").read_text())

    def files(self) -> dict[str, tuple[int, int]]:
        """Result files, and which writing of them it is."""
        files = sorted(self.out.glob("results/*/*.parquet"))
        return {str(file): (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}

    def n_starts(self) -> int:
        """Simulations that any worker has begun."""
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    def processes(self) -> list[psutil.Process]:
        """All processes of the study that live, however they are related."""
        alive = []
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get(MARK) == str(self.folder)
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    alive.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return alive

    def kill(self, process: subprocess.Popen[str]) -> None:
        """SIGKILL the parent, and see its workers go."""
        process.kill()
        process.wait()
        until(lambda: not self.processes(), "workers outlive their parent", 10.0)

    def assert_whole(self, truth: pd.DataFrame) -> None:
        """Everything is there once, as in the study that nobody disturbed, and nothing else is."""
        assert results(self.out).equals(truth)
        assert not leftovers(self.folder)
        derived = {"statistics.csv", "differences.csv", "effects.csv", "summary.json", "study.html"}
        assert derived <= {file.name for file in self.out.iterdir()}

    def resume(self, truth: pd.DataFrame) -> None:
        """Go on to the end; what had been written is not written again."""
        before = self.files()
        ended = self.run("--resume")
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.splitlines()[-1] == str(self.out)
        after = self.files()
        assert {name: after[name] for name in before} == before
        self.assert_whole(truth)


def said(text: str) -> str:
    """Lines for people."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("{"))


def leftovers(folder: Path) -> list[str]:
    """Temporary files in or beside a study's folder."""
    return [str(path) for path in folder.rglob("*") if ".partial-" in path.name]


def results(out: Path) -> pd.DataFrame:
    """All rows by key, without what depends on the machine; each key once."""
    table = pd.concat([pd.read_parquet(file) for file in sorted(out.glob("results/*/*.parquet"))])
    assert not table.duplicated(["cell", "policy", "replication"]).any()
    assert len(table) == N_ROWS
    machine = [name for name in table.columns if "seconds" in name or "memory" in name]
    return table.drop(columns=machine).sort_values(["cell", "policy", "replication"], ignore_index=True)


def until(claim: Callable[[], bool], otherwise: str, within_s: float = 60.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < end, f"{otherwise} after {within_s:.0f} s"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, float]:
    """Rows of a study that nobody disturbed, and how long it took."""
    case = Case(tmp_path_factory.mktemp("undisturbed"))
    begin = time.monotonic()
    ended = case.run()
    assert ended.returncode == 0, ended.stderr
    assert case.n_starts() == N_ROWS
    seconds = time.monotonic() - begin
    case.assert_whole(truth := results(case.out))
    return truth, seconds


@pytest.fixture
def truth(undisturbed: tuple[pd.DataFrame, float]) -> pd.DataFrame:
    """Rows of a study that nobody disturbed."""
    return undisturbed[0]


@pytest.mark.parametrize("tenth", range(10))
def test_a_killed_parent(tenth: int, undisturbed: tuple[pd.DataFrame, float], tmp_path: Path) -> None:
    """SIGKILL at any moment, from the start of the interpreter to the last report: a resume completes."""
    truth, seconds = undisturbed
    moment_s = (tenth + random.Random(tenth).random()) / 10.0 * seconds
    case = Case(tmp_path)
    process = case.start()
    time.sleep(moment_s)
    case.kill(process)
    case.resume(truth)


def test_a_parent_killed_again_and_again(truth: pd.DataFrame, tmp_path: Path) -> None:
    """A folder that sees ten kills in a row, one after every few new results, is still completed."""
    case = Case(tmp_path, "--resume")
    for _ in range(10):
        n_before = len(case.files())
        process = case.start()
        until(lambda n=n_before, p=process: len(case.files()) > n or p.poll() is not None, "no new result")
        case.kill(process)
    case.resume(truth)


def test_only_what_was_in_flight_is_done_again(truth: pd.DataFrame, tmp_path: Path) -> None:
    """Killed in the middle, each worker loses the one unit that it had in hand: begun minus written."""
    case = Case(tmp_path)
    case.environment["VOLTWALK_TEST_SLEEP"] = "1.2"  # of two policies: so that a unit is a piece
    process = case.start()
    until(lambda: len(case.files()) >= 10, "no ten results", 120.0)
    time.sleep(0.5)  # so that nothing is just being written
    case.kill(process)
    n_written = len(case.files()) * len(POLICIES)
    assert 0 < case.n_starts() - n_written <= WORKERS * len(POLICIES)
    n_before = case.n_starts()
    del case.environment["VOLTWALK_TEST_SLEEP"]
    case.resume(truth)
    assert case.n_starts() - n_before == N_ROWS - n_written


def test_killed_workers(truth: pd.DataFrame, tmp_path: Path) -> None:
    """Three workers killed one after the other cost their pieces alone: the same study, the same session."""
    case = Case(tmp_path)
    process = case.start()
    for number in range(3):
        until(lambda least=1 + 8 * number: len(case.files()) >= least, "no new results")
        case_workers = [worker for worker in case.processes() if "spawn_main" in " ".join(worker.cmdline())]
        random.Random(number).choice(case_workers).kill()
    assert process.wait(timeout=120) == 0, case.errors()
    assert not case.errors()
    case.assert_whole(truth)


def test_a_policy_that_kills_its_worker_is_a_failure_and_not_the_end(tmp_path: Path) -> None:
    """What takes every worker along is recorded as failed after a few; the rest is done, and the study exits 1."""
    case = Case(tmp_path, policies=(FULL, "study_policies:KilledOnce"))
    case.environment["VOLTWALK_TEST_KILL"] = str(case.folder / "killed")
    ended = case.run()
    assert ended.returncode == 0, ended.stderr  # one worker was killed, its piece was sent again
    assert (case.folder / "killed").exists()
    results(case.out)
    always = Case(tmp_path / "always", policies=(FULL, "study_policies:Killed"))
    always.arguments[always.arguments.index("--replications") + 1] = "2"
    ended = always.run()
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "SIGKILL" in "".join(file.read_text() for file in always.out.glob("failures/*.json"))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
@pytest.mark.parametrize("n_results", [0, 1, 12])
def test_an_interrupt_of_the_whole_group(
    number: signal.Signals, code: int, n_results: int, truth: pd.DataFrame, tmp_path: Path
) -> None:
    """Ctrl-C, or a batch system's SIGTERM, ends with a line how to go on, its own exit code and no traceback."""
    case = Case(tmp_path)
    process = case.start()
    until(lambda: case.out.exists() and len(case.files()) >= n_results, "no results")
    os.killpg(process.pid, number)
    assert process.wait(timeout=20) == code, case.errors()
    until(lambda: not case.processes(), "workers outlive their parent", 10.0)
    assert "--resume" in case.errors()
    assert "Traceback" not in case.errors()
    assert not leftovers(case.folder)
    case.resume(truth)


@pytest.mark.parametrize("after_s", [0.5, 1.0, 1.5, 2.0])
def test_an_interrupt_at_start_up(after_s: float, tmp_path: Path) -> None:
    """Ctrl-C while the program still loads ends it quietly too; nothing is left behind."""
    case = Case(tmp_path)
    process = case.start()
    time.sleep(after_s)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) == 130, case.errors()
    assert "Traceback" not in case.errors()
    until(lambda: not case.processes(), "workers outlive their parent", 10.0)
    assert not leftovers(case.folder)


IN_A_PLACE_OF_ITS_OWN = ("unshare", "--map-root-user", "--mount", "sh", "-eu", "-c")
"""A shell that may mount file systems, which nobody else sees and which are gone with it; also for who is not root."""


def may_mount(folder: Path) -> bool:
    """Whether this machine lets us have a file system of our own."""
    try:
        command = [*IN_A_PLACE_OF_ITS_OWN, f"mount -t tmpfs none {folder}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def on_a_disk(case: Case, size: str, script: str) -> None:
    """Run a script in which ``$D`` is a small disk of its own, and ``study`` runs the study on it.

    ``study NAME [OPTION]`` notes what it prints, its exit code and temporary files that it left.
    """
    if not may_mount(case.folder):
        pytest.skip(
            "this machine lets us mount no file system (unshare --map-root-user --mount): no small disk to fill"
        )
    disk = case.folder / "disk"
    disk.mkdir()
    case.out = disk / "out"
    case.arguments[case.arguments.index("--out") + 1] = str(case.out)
    command = " ".join(f"'{word}'" for word in case.arguments)
    text = f"""
    D='{disk}'
    mount -t tmpfs -o size={size} none "$D"
    begin() {{ {command} "$@"; }}
    study() {{
        name="$1"; shift
        code=0
        begin "$@" >"{case.folder}/$name.out" 2>"{case.folder}/$name.err" || code=$?
        echo $code >"{case.folder}/$name.code"
        find "$D" -name '*.partial-*' >"{case.folder}/$name.left"
    }}
    stamps() {{ find "$D" -name '*.parquet' -printf '%p %i %T@\\n' | sort >"{case.folder}/$1.stamps"; }}
    {script}
    cp -a "$D/out" "{case.folder}/copy"
    """
    ended = case.run(arguments=[*IN_A_PLACE_OF_ITS_OWN, text])
    assert ended.returncode == 0, ended.stderr + "".join(f.read_text() for f in case.folder.glob("*.err"))
    case.out = case.folder / "copy"


def noted(case: Case, name: str, what: str) -> str:
    """Return what a study on a small disk left in writing."""
    return said((case.folder / f"{name}.{what}").read_text()).strip()


@pytest.mark.parametrize(
    ("size", "keep"),
    [("8k", "0"), ("64k", "0"), ("300k", "2"), ("1500k", "0")],
    ids=["8k", "64k", "kept", "1500k"],
)
def test_a_full_disk(size: str, keep: str, truth: pd.DataFrame, tmp_path: Path) -> None:
    """It ends the study with exit 2 and a line that says so: in the manifest, in rows, in kept runs, in the report."""
    case = Case(tmp_path, "--keep", keep)
    on_a_disk(
        case,
        size,
        """
        study full
        stamps full
        study again --resume
        mount -o remount,size=100m none "$D"
        study roomy --resume
        stamps roomy
        """,
    )
    for name in ("full", "again"):
        assert noted(case, name, "code") == "2", noted(case, name, "err")
        assert "No space left on device" in noted(case, name, "err")
        assert "--resume" in noted(case, name, "err")
        assert "Traceback" not in noted(case, name, "err")
        assert noted(case, name, "left") == ""
    assert noted(case, "roomy", "code") == "0", noted(case, "roomy", "err")
    assert set(noted(case, "full", "stamps").split("\n")) - {""} <= set(
        noted(case, "roomy", "stamps").split("\n")
    )
    case.assert_whole(truth)


def test_a_disk_that_turns_read_only(truth: pd.DataFrame, tmp_path: Path) -> None:
    """A study on it ends with exit 2 and a line, so does a resume; made writable, it goes on to the end."""
    case = Case(tmp_path)
    on_a_disk(
        case,
        "100m",
        """
        study first &
        while [ "$(find "$D" -name '*.parquet' | wc -l)" -lt 5 ]; do sleep 0.05; done
        until mount -o remount,ro none "$D" 2>/dev/null; do sleep 0.01; done
        wait
        stamps first
        study again --resume
        mount -o remount,rw none "$D"
        study writable --resume
        stamps writable
        mount -o remount,ro none "$D"
        study finished --resume
        stamps finished
        """,
    )
    for name in ("first", "again"):
        assert noted(case, name, "code") == "2", noted(case, name, "err")
        assert "Read-only file system" in noted(case, name, "err")
        assert "--resume" in noted(case, name, "err")
        assert "Traceback" not in noted(case, name, "err")
    for name in ("writable", "finished"):
        assert noted(case, name, "code") == "0", noted(case, name, "err")
        assert noted(case, name, "left") == ""
    assert set(noted(case, "first", "stamps").split("\n")) <= set(
        noted(case, "writable", "stamps").split("\n")
    )
    assert noted(case, "writable", "stamps") == noted(case, "finished", "stamps")
    case.assert_whole(truth)
