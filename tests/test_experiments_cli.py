"""The command line: mistakes end in plain lines and exit code 2, nothing half-written."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import run
from experiments.cli import app
from experiments.provenance import code_version, version
from experiments.reading import read_run
from sim.errors import PolicyError

ROOT = Path(__file__).parent.parent
SMALL = ("--set", "fleet.size=5", "--set", "output.report=false")


def voltwalk(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "experiments.cli", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_run_prints_the_folder_last(tmp_path: Path) -> None:
    """Key figures first, the run's folder on the last line; the folder is whole."""
    done = voltwalk("run", "multi-microgrid", *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / done.stdout.strip().splitlines()[-1]
    assert (folder / "kpis.json").is_file()
    assert "total_cost_cny" in done.stdout
    assert folder.name == "multi-microgrid-rolling-1"
    again = voltwalk("run", "multi-microgrid", *SMALL, cwd=tmp_path)
    assert again.stdout.strip().splitlines()[-1].endswith("multi-microgrid-rolling-1-2")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "no-such-scenario"), "no-such-scenario"),
        (("run", "multi-microgird"), "multi-microgrid"),
        (("run", "multi-microgrid", "--policy", "roling"), "rolling"),
        (("run", "multi-microgrid", "--policy", "no_such_module:Policy"), "no_such_module"),
        (("run", "multi-microgrid", "--set", "fleet.sise=5"), "did you mean 'size'"),
        (("run", "multi-microgrid", "--set", "fleet.size=-5"), "fleet.size"),
        (("run", "multi-microgrid", "--set", "fleet.size"), "key=value"),
        (("run", "multi-microgrid", "--set", "simulation.days=soon"), "simulation.days"),
        (("run", "multi-microgrid", "--out", "taken"), "taken"),
        (("audit", "taken"), "taken"),
        (("trace", "nowhere"), "nowhere"),
        (("report", "taken"), "taken"),
        (("export", "taken"), "taken"),
        (("validate", "broken.toml"), "broken.toml"),
        (("compare", "multi-microgrid", "--policies", "uncontrolled,nothing"), "nothing"),
        (("compare", "multi-microgrid", "--policies", ","), "at least one"),
        (("compare", "multi-microgrid", "--policies", "rolling,rolling"), "'rolling' is named twice"),
        (("compare", "multi-microgrid", "--policies", "uncontrolled,nothing,more"), "unknown policy 'more'"),
        (
            ("compare", "multi-microgrid", "--policies", "rolling", "--forecasters", ","),
            "no forecaster to compare",
        ),
        (("compare", "multi-microgrid", "--policies", "rolling", "--forecasters", "perfect,ball"), "ball"),
        (("run", "multi-microgrid", "--out", "/proc/run"), "/proc/run"),
        (("run", "multi-microgrid", "--out", "a" * 300), "name too long"),
        (("run", "multi-microgrid", "--out", "broken.toml/run"), "is not a folder"),
        (("run", "multi-microgrid", "--seed", "-1"), "--seed"),
        (("run", "multi-microgrid", "--no-such-option"), "--no-such-option"),
    ],
)
def test_mistakes_end_in_plain_lines(tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    """Exit code 2, no traceback, the place is named, and nothing is left behind."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "broken.toml").write_text("[scenario\nname = 1", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    done = voltwalk(*arguments, cwd=tmp_path)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert expected in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    """Three mistakes, three lines."""
    mistakes = ("fleet.size=-1", "fleet.shortage=beg", "dispatch.horizon_steps=0")
    settings = [part for item in mistakes for part in ("--set", item)]
    done = voltwalk("validate", "multi-microgrid", *settings, cwd=tmp_path)
    assert done.returncode == 2
    for place in ("fleet.size", "fleet.shortage", "dispatch.horizon_steps"):
        assert place in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_no_partial_folder(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Ctrl-C or a batch system's notice in the middle of a long run: its exit code, no folder, no temporary one."""
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", "run", "multi-microgrid", "--set", "simulation.days=30"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("runs/.*partial*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2.0)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "no partial folder was left" in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.iterdir())


def test_a_run_tells_steps_without_a_power_flow(tmp_path: Path) -> None:
    """Key figures of a feeder that carries too much are of the other steps: that is said beside them."""
    heavy = ("--set", "regions.homes-west.load.mean_kwh_per_day=300000")
    done = voltwalk("run", "storage-network", "--policy", "uncontrolled", *SMALL, *heavy, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / done.stdout.strip().splitlines()[-1]
    n_steps = int(read_run(folder).kpis["no_power_flow_steps"])
    assert n_steps > 0
    assert f"voltwalk: in {n_steps} steps no power flow of the feeder exists" in done.stderr


LOST_IN_A_FINALISER = """
import signal, time
from experiments import cli

class Finalised:
    def __del__(self):
        signal.raise_signal(signal.{name})

def command():
    thing = Finalised()
    del thing  # what the signal's handler raises in there, Python ignores
    time.sleep(30)
    print("went on to its end")

cli.app = command
cli.main()
"""


WRAPPED_BY_A_MODULE = """
import signal
from experiments import cli

def command():
    try:
        signal.raise_signal(signal.{name})
    except BaseException as error:
        raise ImportError("initialization failed") from error

cli.app = command
cli.main()
"""


@pytest.mark.parametrize("program", [LOST_IN_A_FINALISER, WRAPPED_BY_A_MODULE], ids=["ignored", "wrapped"])
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupt_that_is_not_raised_still_ends_the_command(
    tmp_path: Path, name: str, code: int, program: str
) -> None:
    """A signal that falls into a finaliser, or into a compiled module's loading: the same exit code and words."""
    done = subprocess.run(
        [sys.executable, "-c", program.format(name=name)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == "voltwalk: interrupted; no partial folder was left\n"


def test_policies_that_break_their_contract_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a user's policy does wrong is one policy error with its time, and no folder is left."""
    (tmp_path / "broken_policies.py").write_text(
        "import numpy as np\n"
        "from sim.contracts import Schedule\n"
        "class Still:\n"
        "    name = 'still'; needs_own_chain = False; charges_on_arrival = False\n"
        "    def start(self, site): pass\n"
        "    def decide(self, snapshot, forecast): return self.answer(snapshot.cars.n)\n"
        "class Starts(Still):\n    def start(self, site): raise ValueError('no sun')\n"
        "class Nothing(Still):\n    def answer(self, n): pass\n"
        "class Long(Still):\n    def answer(self, n): return Schedule(car_power_kw=np.zeros(n + 1))\n"
        "class Void(Still):\n    def answer(self, n): return Schedule(car_power_kw=np.full(n, np.nan))\n"
        "class Words(Still):\n    def answer(self, n): return Schedule(car_power_kw=np.array(['a'] * n))\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = sorted(tmp_path.iterdir())
    for policy, fault in (
        ("Starts", r"still at its start: ValueError: no sun \(.*broken_policies\.py, line 8\)"),
        ("Nothing", "still at 00:00: decide must return a Schedule, gave NoneType"),
        ("Long", r"car_power_kw must be 5 finite numbers, has shape \(6,\)"),
        ("Void", r"car_power_kw must be 5 finite numbers, \[0\] is nan"),
        ("Words", "car_power_kw must be 5 finite numbers, is of <U1"),
    ):
        with pytest.raises(PolicyError, match=fault):
            run("multi-microgrid", policy=f"broken_policies:{policy}", overrides=["fleet.size=5"])
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "__pycache__"] == before


def test_the_version_is_told_with_the_code_it_is() -> None:
    """``--version`` prints the distribution's version and the hash that manifests carry."""
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0
    assert done.output == f"voltwalk {version()} (code {code_version()})\n"
