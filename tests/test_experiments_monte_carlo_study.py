"""Studies from start to end: with made-up outcomes where only the order of things matters, with real ones elsewhere."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from study_engines import ScriptedEngine, done, refused

from experiments.monte_carlo import Study, StudyInterrupted, read_study, replay, study, studying
from experiments.monte_carlo.contracts import Piece, Result
from experiments.monte_carlo.interrupt import interrupts
from experiments.monte_carlo.keeping import kept_numbers
from experiments.run_folder import folder_name
from sim.errors import PolicyError, RunFolderError, ScenarioError, StudyError

POLICIES = ("uncontrolled", "rolling")
SMALL = ("fleet.size=2", "dispatch.horizon_steps=4")
FACTORS = """
design = "factorial"
[factors]
"fleet.size" = [2, 3]
"forecast.kind" = ["persistence", "perfect"]
"""


def made_up(out: Path, replications: int = 30, **more: Any) -> Study:
    """Run a study on an engine that answers at once."""
    asked: dict[str, Any] = {"policies": POLICIES, "engine": ScriptedEngine()} | more
    return study("multi-microgrid", replications=replications, out=out, **asked)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_row_for_every_cell_policy_and_replication(tmp_path: Path) -> None:
    """The results hold each key once, sorted, with the levels of the cell beside the figures."""
    factors = tmp_path / "factors.toml"
    factors.write_text(FACTORS)
    result = made_up(tmp_path / "study", 5, factors=factors)
    keys = list(result.results[["cell", "policy", "replication"]].itertuples(index=False, name=None))
    assert keys == [(cell, policy, k) for cell in range(4) for policy in POLICIES for k in range(5)]
    assert result.results["fleet.size"].tolist() == [2] * 20 + [3] * 20
    assert set(result.results["forecast.kind"]) == {"persistence", "perfect"}
    assert result.failures.empty


def test_going_further_equals_going_at_once(tmp_path: Path) -> None:
    """20 replications resumed to 50 are the files of 50 in one go, and so is a shuffled order of completion."""
    made_up(tmp_path / "once", 50)
    made_up(tmp_path / "twice", 20)
    made_up(tmp_path / "twice", 50, resume=True)
    made_up(tmp_path / "shuffled", 50, engine=ScriptedEngine(7, shuffle_seed=5))
    expected = read_study(tmp_path / "once").results
    for name in ("twice", "shuffled"):
        pd.testing.assert_frame_equal(read_study(tmp_path / name).results, expected, check_exact=True)
    once, shuffled = contents(tmp_path / "once"), contents(tmp_path / "shuffled")
    del once["study.json"], shuffled["study.json"]  # has the moment of its creation
    shuffled["study.html"] = shuffled["study.html"].replace(
        b"/shuffled ", b"/once "
    )  # commands name the folder
    assert once == shuffled


def test_fewer_replications_leave_the_others_aside(tmp_path: Path) -> None:
    """Asked for fewer, the results are fewer; asked for more again, nothing is run twice."""
    made_up(tmp_path / "study", 10)
    assert len(made_up(tmp_path / "study", 4, resume=True).results) == 8
    engine = ScriptedEngine()
    assert len(made_up(tmp_path / "study", 10, resume=True, engine=engine).results) == 20
    assert engine.sent == []


def test_a_finished_study_is_left_as_it_is(tmp_path: Path) -> None:
    """Resuming what is finished runs nothing and writes nothing."""
    made_up(tmp_path / "study", 6)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "study").rglob("*")}
    engine = ScriptedEngine()
    made_up(tmp_path / "study", 6, resume=True, engine=engine)
    assert engine.sent == []
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "study").rglob("*")} == stamps


def test_the_stopping_rule_ends_the_results_where_it_held(tmp_path: Path) -> None:
    """The results are the complete prefix at which the rule held, whatever came back beyond it."""
    rule = "total_cost_net[rolling] < 1.2 %"
    one = made_up(tmp_path / "one", 400, until=rule, engine=ScriptedEngine(1))
    many = made_up(tmp_path / "many", 400, until=rule, engine=ScriptedEngine(9, shuffle_seed=2))
    stopped_at = json.loads((one.path / "summary.json").read_text())["stopped_at"]
    assert 20 <= stopped_at < 400
    assert sorted(one.results["replication"].unique()) == list(range(stopped_at))
    pd.testing.assert_frame_equal(one.results, many.results)
    assert not [path for path in one.path.rglob("*.parquet") if int(path.stem[-6:]) >= stopped_at]


def test_a_failing_replication_is_recorded_and_tried_again(tmp_path: Path) -> None:
    """The study goes on without it, says so, and a later resume runs just what is missing."""
    failing = frozenset({(3, "rolling")})
    engine = ScriptedEngine(answer=lambda piece: done(piece, failing))
    result = made_up(tmp_path / "study", 10, engine=engine)
    assert len(result.results) == 19
    assert result.failures[["policy", "replication", "error"]].to_numpy().tolist() == [
        ["rolling", 3, "ValueError: no"]
    ]
    again = ScriptedEngine()
    result = made_up(tmp_path / "study", 10, engine=again, resume=True)
    assert [(u.replication, u.policies) for piece in again.sent for u in piece.units] == [(3, ("rolling",))]
    assert len(result.results) == 20
    assert result.failures.empty


def test_every_replication_may_fail(tmp_path: Path) -> None:
    """A study without a single row still ends with its folder, its failures and its report."""
    failing = frozenset((k, policy) for k in range(3) for policy in POLICIES)
    result = made_up(tmp_path / "study", 3, engine=ScriptedEngine(answer=lambda piece: done(piece, failing)))
    assert result.results.empty
    assert len(result.failures) == 6
    assert (result.path / "study.html").is_file()


def test_an_interrupt_keeps_what_is_done(tmp_path: Path) -> None:
    """After an interrupt the rows are there, no statistics of fewer rows are, and a resume completes the study."""
    import os
    import signal

    def answer(piece: Piece) -> Result:
        if piece.number == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return done(piece)

    with pytest.raises(StudyInterrupted, match="of 300 replications are written") as stopped:
        made_up(tmp_path / "study", 300, engine=ScriptedEngine(1, answer=answer))
    assert stopped.value.signal_number == signal.SIGINT
    n_written = len(list((tmp_path / "study" / "results").rglob("*.parquet")))
    assert 0 < n_written < 300
    assert not (tmp_path / "study" / "statistics.csv").exists()
    made_up(tmp_path / "study", 300, resume=True)
    made_up(tmp_path / "whole", 300)
    assert read_study(tmp_path / "study").results.equals(read_study(tmp_path / "whole").results)


def test_a_second_interrupt_ends_at_once() -> None:
    """Who presses Ctrl-C twice does not want to wait."""
    import os
    import signal

    with interrupts() as interrupted:
        assert interrupted() is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupted() == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_worker_unlike_the_study_leaves_no_row(tmp_path: Path) -> None:
    """A refusal ends the study with the versions; what came before stays for a resume."""
    engine = ScriptedEngine(answer=refused)
    with pytest.raises(StudyError, match=r"numpy 2\.3 in the study"):
        made_up(tmp_path / "study", 5, engine=engine)
    assert read_study(tmp_path / "study").results.empty


def test_a_lent_engine_serves_several_studies_and_its_own_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who brings an engine closes it; an engine that the study made for itself is closed, also after a refusal."""
    lent = ScriptedEngine()
    for name in ("one", "two"):
        made_up(tmp_path / name, 2, engine=lent)
    assert lent.closed == 0
    for name, answer, ends in (("own", done, nullcontext()), ("refused", refused, pytest.raises(StudyError))):
        own = ScriptedEngine(answer=answer)
        monkeypatch.setattr(studying, "engine_for", lambda own=own, **_: own)
        with ends:
            made_up(tmp_path / name, 2, engine=None)
        assert own.closed == 1


def test_another_study_in_the_folder_is_refused(tmp_path: Path) -> None:
    """Another scenario, seed, policy or factor is told by name, and the folder is as before."""
    made_up(tmp_path / "study", 3)
    before = contents(tmp_path / "study")
    with pytest.raises(
        StudyError, match=r"belongs to another study(.|\n)*simulation.seed = 1 in the study, 2 asked for"
    ):
        made_up(tmp_path / "study", 3, seed=2, resume=True)
    with pytest.raises(StudyError, match="policies uncontrolled, rolling in the study, rolling asked for"):
        made_up(tmp_path / "study", 3, policies=("rolling",), resume=True)
    assert contents(tmp_path / "study") == before


def test_other_code_is_refused(tmp_path: Path) -> None:
    """Rows of two versions of the program are never mixed."""
    made_up(tmp_path / "study", 3)
    file = tmp_path / "study" / "study.json"
    manifest = json.loads(file.read_text())
    file.write_text(json.dumps(manifest | {"code_version": "0" * 16}))
    with pytest.raises(StudyError, match="voltwalk's code 0000000000000000 in the study"):
        made_up(tmp_path / "study", 3, resume=True)


def test_begun_already_asks_for_resume(tmp_path: Path) -> None:
    """Without --resume an existing study is not touched; a folder that is no study is never taken."""
    made_up(tmp_path / "study", 3)
    with pytest.raises(StudyError, match="go on with --resume"):
        made_up(tmp_path / "study", 3)
    (tmp_path / "other").mkdir()
    for resume in (False, True):
        with pytest.raises((StudyError, RunFolderError), match="other"):
            made_up(tmp_path / "other", 3, resume=resume)


def test_resume_on_nothing_starts(tmp_path: Path) -> None:
    """A script may always say --resume."""
    assert len(made_up(tmp_path / "study", 3, resume=True).results) == 6


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"replications": 0}, "--replications 0: must be 1 or more"),
        ({"replications": 10**11}, "100,000,000,000 result files; a study holds 2,000,000 at most"),
        ({"replications": 10, "until": "total_cost_net < 1"}, "judged from 20 replications on, but only 10"),
        ({"replications": 10, "until": "total_cost_net < 1", "minimum": 1}, "at least 2 replications"),
        ({"replications": 30, "until": "total_costs_net < 1"}, "total_cost_net"),
        ({"replications": 3, "keep": 4}, "there is no replication 3"),
        ({"replications": 3, "keep": "0-999999999999"}, "there is no replication 999999999999"),
        ({"replications": 3, "keep": "x"}, "must be a number of replications"),
        ({"replications": 3, "policies": ("rolling", "rolling")}, "named twice"),
        ({"replications": 3, "policies": ("rollin",)}, "unknown policy 'rollin'"),
        ({"replications": 3, "overrides": ("fleet.sise=3",)}, "did you mean 'size'"),
        ({"replications": 3, "factors": "nothing.toml"}, "nothing.toml"),
        ({"replications": 3, "engine": None, "workers": -1}, "--workers -1"),
        ({"replications": 3, "engine": None, "workers": 1, "cluster": "tcp://x:1"}, "exclude each other"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_made(
    tmp_path: Path, asked: dict[str, Any], message: str
) -> None:
    """One clear message, and neither folder nor file."""
    with pytest.raises((StudyError, PolicyError, ScenarioError), match=message):
        made_up(tmp_path / "study", **asked)
    assert list(tmp_path.iterdir()) == []


def test_numbers_to_keep() -> None:
    """A single number counts from the first; a list or a range names them."""
    assert kept_numbers(2, 9) == kept_numbers("2", 9) == {0, 1}
    assert kept_numbers("3,5-7", 9) == {3, 5, 6, 7}
    assert kept_numbers((8,), 9) == kept_numbers("8,", 9) == {8}


def test_a_real_study_equals_its_runs_and_replays(tmp_path: Path) -> None:
    """In this process: rows are the key figures of runs, a kept folder is there, a replay gives the same bits."""
    result = study(
        "multi-microgrid",
        replications=2,
        policies=POLICIES,
        keep="1,",
        workers=0,
        out=tmp_path / "study",
        overrides=SMALL,
    )
    kept = result.kept(1, policy="rolling")
    row = result.results.query("policy == 'rolling' and replication == 1").iloc[0]
    assert {name: row[name] for name in result.figures} == dict(kept.kpis)
    assert kept.manifest["replication"] == 1
    assert not result.folder.kept_folder(0, 0, "rolling").exists()
    again = replay(result, 1, policy="rolling", out=tmp_path / "again")
    assert (again.is_in_study, again.differing, again.unlike) == (True, (), ())
    assert again.run.grid.equals(kept.grid)
    assert again.run.segments.equals(kept.segments)
    beyond = replay(result, 7, policy="rolling", out=tmp_path / "beyond")
    assert not beyond.is_in_study
    first, second = result.results.query("policy == 'rolling'")["total_cost_net_cny"]
    assert first != second


def test_folders_are_kept_also_where_the_rule_holds_already(tmp_path: Path) -> None:
    """A study that its rule ended is resumed for whole run folders, and its figures stay."""
    asked: dict[str, Any] = {
        "replications": 5,
        "until": "total_cost_net < 1000000000",
        "minimum": 2,
        "workers": 0,
        "policies": ("study_policies:Full",),
        "overrides": SMALL,
        "out": tmp_path / "study",
    }
    first = study("multi-microgrid", **asked).results
    assert len(first) == 2
    again = study("multi-microgrid", **asked, keep="1,4", resume=True)
    assert again.results.equals(first)
    assert again.kept(1).kpis["total_cost_net_cny"] == first["total_cost_net_cny"][1]
    assert not again.folder.kept_folder(0, 4, "study_policies:Full").exists()


def test_other_cells_than_the_factors_give_are_refused(tmp_path: Path) -> None:
    """A changed list of cells is told and costs no row."""
    factors = tmp_path / "factors.toml"
    factors.write_text(FACTORS)
    first = made_up(tmp_path / "study", 2, factors=factors)
    cells = first.path / "cells.toml"
    cells.write_text(cells.read_text().replace('"fleet.size" = 3', '"fleet.size" = 4'))
    before = contents(first.path)
    with pytest.raises(StudyError, match=r"cells\.toml is not what the study's factors give"):
        made_up(tmp_path / "study", 3, factors=factors, resume=True)
    assert contents(first.path) == before


def test_a_replay_tells_what_differs(tmp_path: Path) -> None:
    """A row that this program does not reproduce is told by the names of its figures."""
    result = study("multi-microgrid", replications=1, workers=0, out=tmp_path / "study", overrides=SMALL)
    unit_file = result.folder.result_file(0, 0)
    table = pd.read_parquet(unit_file)
    table["unmet_kwh"] += 1.0
    table.to_parquet(unit_file)
    assert replay(result.path, 0, out=tmp_path / "again").differing == ("unmet_kwh",)


def test_a_replay_needs_a_cell_and_a_policy_that_exist(tmp_path: Path) -> None:
    """Where there are several, one must be named; what does not exist is told with what does."""
    result = made_up(tmp_path / "study", 2)
    with pytest.raises(
        StudyError, match="name one policy with --policy; the study has uncontrolled, rolling"
    ):
        replay(result, 0)
    with pytest.raises(StudyError, match="no cell 4; the study has 0 to 0"):
        replay(result, 0, cell=4, policy="rolling")
    with pytest.raises(StudyError, match="numbered from 0"):
        replay(result, -1, policy="rolling")


def test_a_policy_of_ones_own_that_raises_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's policy is found in the working folder; where it raises, error and place are recorded."""
    (tmp_path / "my_study_rules.py").write_text(
        "from dispatch.baselines import Uncontrolled\n"
        "class Sulks(Uncontrolled):\n"
        "    def decide(self, snapshot, forecast):\n"
        "        raise RuntimeError('not today')\n"
    )
    monkeypatch.chdir(tmp_path)
    policies = ("uncontrolled", "my_study_rules:Sulks")
    result = study("multi-microgrid", replications=2, policies=policies, workers=0, overrides=SMALL)
    assert result.path.parent == Path("studies")
    assert result.results["policy"].tolist() == ["uncontrolled"] * 2
    assert result.failures["policy"].tolist() == [policies[1]] * 2
    assert result.failures["error"].str.contains("not today").all()
    assert list(result.path.glob(f"failures/*{folder_name(policies[1])}.json"))
    assert result.folder.identity.fingerprint.policies.keys() == {policies[1]}
