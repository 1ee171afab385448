"""`voltwalk study` and `voltwalk replay`: what they print, how they end, and what a person may get wrong."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from study_cases import FULL, HALF, TESTS, tiny_scenario

from experiments import cli
from experiments.monte_carlo.conduct import Progress
from experiments.progress import StudyLines, progress_fields, study_bar
from experiments.study_reference import study_reference
from sim.scenario_reading import dump_scenario

ROOT = TESTS.parent
RAISES, SLEEPS = "study_policies:Raises", "study_policies:Sleeps"


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working folder with a tiny scenario, `tiny.toml`."""
    (tmp_path / "tiny.toml").write_text(dump_scenario(tiny_scenario()), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def voltwalk(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Exit code of the command, run in this process."""
    monkeypatch.setattr(sys, "argv", ["voltwalk", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def study(monkeypatch: pytest.MonkeyPatch, *arguments: str, n: int = 2, policies: str = FULL) -> int:
    """Exit code of a study of the tiny scenario in this process."""
    given = ["--replications", str(n), "--policies", policies, "--workers", "0"]
    return voltwalk(monkeypatch, "study", "tiny.toml", *given, *arguments)


@pytest.mark.usefixtures("town")
def test_a_study_prints_figures_and_its_folder_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Means and paired differences with their intervals, then the default folder, whole."""
    assert study(monkeypatch, n=3, policies=f"{FULL},{HALF}") == 0
    printed = capsys.readouterr().out
    assert "3 of 3 replications" in printed
    assert "95 % interval" in printed
    assert f"{HALF} - {FULL}" in printed
    folder = Path(printed.splitlines()[-1])
    assert folder.parent == Path("studies")
    assert folder.name.startswith("tiny-")
    means = pd.read_csv(folder / "statistics.csv")
    assert set(means["n"]) == {3}


@pytest.mark.usefixtures("town")
def test_lines_of_progress_are_for_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal stderr holds JSON objects, one per line, from the start to the end."""
    assert study(monkeypatch, n=3) == 0
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [set(line) for line in lines] == 2 * [
        {"done", "failed", "total", "per_second", "seconds_left", "workers", "lost"}
    ]
    assert lines[-1] == lines[-1] | {"done": 3, "failed": 0, "total": 3, "workers": 1, "lost": 0}
    assert study(monkeypatch, "--resume", n=3) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("town")
def test_many_cells_are_cut_short(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of 22 cells 20 are printed, with their levels, and the other 2 counted."""
    levels = ", ".join(str(1 + index) for index in range(11))
    factors = ("--factor", f"fleet.size=[{levels}]", "--factor", "fleet.departure_soc=[0.5, 0.75]")
    assert study(monkeypatch, *factors, n=1) == 0
    printed = capsys.readouterr().out
    assert "fleet.departure_soc" in printed
    assert "│ 19 " in printed
    assert "│ 20 " not in printed
    assert "and 2 more cells" in printed


@pytest.mark.usefixtures("town")
def test_brackets_are_printed_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys and levels with brackets are no markup."""
    assert study(monkeypatch, "--factor", "scenario.description=['[red]', '[/]']", n=1) == 0
    printed = capsys.readouterr().out
    assert "[red]" in printed
    assert "[/]" in printed


@pytest.mark.usefixtures("town")
def test_the_largest_effects_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A term each, the largest first: the fleet's size moves the cost more than what drivers want."""
    factors = ("--factor", "fleet.departure_soc=[0.5, 0.51]", "--factor", "fleet.size=[2, 9]")
    assert study(monkeypatch, *factors) == 0
    printed = capsys.readouterr().out.partition("largest effects on total_cost_net_")[2]
    assert 0 < printed.index("fleet.size ") < printed.index("fleet.departure_soc ")


@pytest.mark.usefixtures("town")
@pytest.mark.parametrize(
    ("rule", "said"), [("distance_km < 1e9", "met after 3"), ("distance_km < 1e-9", "not met within 4")]
)
def test_whether_a_rule_was_met_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rule: str, said: str
) -> None:
    """A study that its rule stopped says after how many replications, another that it did not hold."""
    assert study(monkeypatch, "--until", rule, "--min-replications", "3", n=4) == 0
    assert f"{said} replications: distance_km <" in capsys.readouterr().out


@pytest.mark.usefixtures("town")
def test_failures_are_said_plainly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1, each failure with its error and a command that shows it again; the folder is still last."""
    assert study(monkeypatch, "--out", "my study", policies=f"{FULL},{RAISES}") == 1
    told = capsys.readouterr()
    assert told.out.count("failed: replication") == 2
    assert "OddError: 1 and 2" in told.out
    assert f"voltwalk replay 'my study' 1 --cell 0 --policy {RAISES}" in told.out
    assert told.out.splitlines()[-1] == "my study"
    assert "2 failed" in told.err
    assert "Traceback" not in told.err
    assert study(monkeypatch, "--out", "my study", "--resume", policies=f"{FULL},{RAISES}") == 1
    assert "2 failed" in capsys.readouterr().err
    again = f"voltwalk replay 'my study' 1 --cell 0 --policy {RAISES}"
    assert voltwalk(monkeypatch, *shlex.split(again)[1:]) == 2
    assert "OddError: 1 and 2" in capsys.readouterr().err


@pytest.mark.usefixtures("town")
def test_a_replay_is_compared_to_the_last_bit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same figures exit with 0; one that differs is named, with how the programs differ, and exits with 1."""
    assert study(monkeypatch, "--out", "s") == 0
    capsys.readouterr()
    assert voltwalk(monkeypatch, "replay", "s", "1") == 0
    first = capsys.readouterr().out
    assert "the study's, to the last bit" in first
    assert (Path(first.splitlines()[-1]) / "segments.parquet").is_file()

    file = Path("s/results/cell-0000/replication-000001.parquet")
    rows = pq.read_table(file)
    changed = rows.to_pandas().assign(distance_km=lambda row: row["distance_km"] + 1e-9)
    pq.write_table(pa.Table.from_pandas(changed, schema=rows.schema, preserve_index=False), file)
    manifest = json.loads(Path("s/study.json").read_text(encoding="utf-8"))
    manifest["packages"]["numpy"] = "1.0"
    Path("s/study.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert voltwalk(monkeypatch, "replay", "s", "1", "--out", "again") == 1
    second = capsys.readouterr().out
    assert "not the study's figures: distance_km differ" in second
    assert "numpy 1.0 in the study" in second
    assert second.splitlines()[-1] == "again"


@pytest.mark.usefixtures("town")
def test_a_replay_beyond_the_study_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A replication that the study did not reach runs, with nothing to compare it with."""
    assert study(monkeypatch, "--out", "s") == 0
    assert voltwalk(monkeypatch, "replay", "s", "7") == 0
    assert "no figures of this replication" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("study", "tiny.toml"), "--replications"),
        (("study", "tiny.toml", "--replications", "many"), "--replications"),
        (("study", "tiny.toml", "--replications", "0"), "--replications 0"),
        (("study", "no-such", "--replications", "2"), "no-such"),
        (("study", "tiny.toml", "--replications", "2", "--policies", ","), "at least one"),
        (("study", "tiny.toml", "--replications", "2", "--policies", "roling"), "rolling"),
        (("study", "tiny.toml", "--replications", "2", "--factor", "fleet.size"), "fleet.size"),
        (("study", "tiny.toml", "--replications", "2", "--factor", "fleet.sise=[1, 2]"), "fleet.sise"),
        (("study", "tiny.toml", "--replications", "2", "--factor", "fleet.size=[1, -2]"), "fleet.size"),
        (("study", "tiny.toml", "--replications", "2", "--factors", "no.toml"), "no.toml"),
        (("study", "tiny.toml", "--replications", "2", "--design", "sobol"), "--design"),
        (
            ("study", "tiny.toml", "--replications", "2", "--factors", "f", "--factor", "fleet.size=[1]"),
            "exclude",
        ),
        (("study", "tiny.toml", "--replications", "2", "--factors", "f", "--samples", "4"), "exclude"),
        (("study", "tiny.toml", "--replications", "30", "--until", "cost"), "'cost'"),
        (("study", "tiny.toml", "--replications", "2", "--until", "distance_km < 1%"), "20"),
        (("study", "tiny.toml", "--replications", "2", "--keep", "few"), "--keep few"),
        (("study", "tiny.toml", "--replications", "2", "--workers", "-1"), "--workers -1"),
        (("study", "tiny.toml", "--replications", "2", "--workers", "two"), "--workers"),
        (
            ("study", "tiny.toml", "--replications", "2", "--workers", "1", "--cluster", "tcp://a:1"),
            "exclude",
        ),
        (("study", "tiny.toml", "--replications", "2", "--out", "taken"), "taken"),
        (("study", "tiny.toml", "--replications", "2", "--out", "taken", "--resume"), "taken"),
        (("replay", "taken", "0"), "taken"),
        (("replay", "nowhere", "0"), "nowhere"),
        (("replay", "taken", "first"), "REPLICATION"),
    ],
)
def test_mistakes_end_in_plain_lines(
    town: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    expected: str,
) -> None:
    """Exit code 2, no traceback, the place is named, and nothing is left behind."""
    (town / "taken").mkdir()
    before = sorted(town.rglob("*"))
    assert voltwalk(monkeypatch, *arguments) == 2
    told = capsys.readouterr()
    assert expected in told.err
    assert "Traceback" not in told.err
    assert sorted(town.rglob("*")) == before


@pytest.mark.usefixtures("town")
def test_another_study_in_the_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What differs is said, one line each; the study in the folder stays."""
    assert study(monkeypatch, "--out", "s") == 0
    capsys.readouterr()
    assert study(monkeypatch, "--out", "s") == 2
    assert "--resume" in capsys.readouterr().err
    assert study(monkeypatch, "--out", "s", "--resume", "--set", "fleet.size=4", "--seed", "9") == 2
    told = capsys.readouterr().err
    assert "fleet.size = 3 in the study, 4 asked for" in told
    assert "simulation.seed" in told


def test_a_study_outlives_its_reader() -> None:
    """A reader of the progress that went away does not end the study."""
    lines = StudyLines(_Broken())
    lines(_stand(1))
    lines.end()


class _Broken(io.StringIO):
    def write(self, _: str, /) -> int:
        raise BrokenPipeError


def _stand(n_done: int, seconds: float = 4.0) -> Progress:
    return Progress(
        n_done=n_done, n_failed=1, n_total=20, n_run=n_done, n_lost=2, n_workers=3, seconds=seconds
    )


def test_lines_come_now_and_then() -> None:
    """The first at once, the next when its time has come, the last at the end."""
    now = [0.0]
    stream = io.StringIO()
    lines = StudyLines(stream, 30.0, lambda: now[0])
    for second in range(60):
        now[0] = float(second)
        lines(_stand(second))
    lines.end()
    lines.end()
    assert [json.loads(line)["done"] for line in stream.getvalue().splitlines()] == [0, 30, 59]


def test_fields_of_progress_are_documented() -> None:
    """The reference explains just the fields that are written."""
    page = study_reference().partition("## Progress")[2]
    assert re.findall(r"^\| `(\w+)`", page, re.MULTILINE) == list(progress_fields(_stand(1)))


def test_the_bar_has_what_people_ask() -> None:
    """Done, failed, rate, time left, workers, and what was lost."""
    stream = io.StringIO()
    with study_bar(Console(file=stream, force_terminal=True, width=120)) as on_progress:
        on_progress(_stand(9))
    bar = stream.getvalue()
    for part in ("9/20", "1 failed", "2.2/s", "0:00:04 left", "3 workers", "2 lost"):
        assert part in bar, bar


SLOW = '''
import time
from study_policies import Full

class Slow(Full):
    """Takes its time."""

    def misbehave(self):
        time.sleep(0.005)
'''


@contextmanager
def begun(town: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a study in a process group of its own, as a terminal does; nothing of it outlives the test."""
    (town / "slow.py").write_text(SLOW, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", "study", "tiny.toml", *arguments],
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(TESTS)))}


def wait_for(folder: Path, pattern: str) -> None:
    """Wait until a study has some file."""
    deadline = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline, f"no {pattern} within a minute"
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "workers"),
    [(signal.SIGINT, 130, "2"), (signal.SIGTERM, 143, "2"), (signal.SIGINT, 130, "0")],
)
def test_an_interrupted_study_says_how_to_go_on(
    town: Path, number: signal.Signals, code: int, workers: str
) -> None:
    """What is done is written; the printed command, run as it stands, completes the study."""
    n = 12
    arguments = ("--replications", str(n), "--policies", "slow:Slow", "--workers", workers)
    with begun(town, *arguments) as process:
        wait_for(town, "studies/*/results/*/*.parquet")
        os.killpg(process.pid, number)
        printed, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert printed == ""
    said = [line for line in errors.splitlines() if line.startswith("voltwalk:")]
    n_written = len(list(town.glob("studies/*/results/*/*.parquet")))
    assert said[0] == f"voltwalk: interrupted; {n_written} of {n} replications are written"
    assert not list(town.rglob(".*partial*"))

    command = shlex.split(said[1].removeprefix("voltwalk: go on with: "))
    assert command[0] == "voltwalk"
    assert command[-1] == "--resume"
    done = subprocess.run(
        [sys.executable, "-m", "experiments.cli", *command[1:]],
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert f"{n} of {n} replications" in done.stdout
    assert done.stdout.splitlines()[-1] == command[-2]


@pytest.mark.slow
def test_a_second_ctrl_c_ends_at_once(town: Path) -> None:
    """Also where a policy never comes to an end, and still with 130."""
    arguments = ("--replications", "3", "--policies", f"{FULL},{SLEEPS}", "--workers", "0", "--out", "s")
    with begun(town, *arguments) as process:
        wait_for(town, "s/study.json")
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "--resume" in errors


@pytest.mark.slow
def test_the_package_is_a_script_too(town: Path) -> None:
    """`python -m experiments.monte_carlo` is `voltwalk study`."""
    done = subprocess.run(
        [sys.executable, "-m", "experiments.monte_carlo", "tiny.toml", "--replications", "2"]
        + ["--policies", FULL, "--workers", "0", "--out", "s"],
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "s"
