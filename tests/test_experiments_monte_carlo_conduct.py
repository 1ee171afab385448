"""The loop of a study, with engines that answer at once and lose what they are told to lose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from study_engines import ScriptedEngine, done, lost, outcome_of, refused

from experiments.monte_carlo.conduct import MAX_LOSSES, Conduct, Ending, Hooks, Progress
from experiments.monte_carlo.contracts import Cell, Fingerprint, Outcome, Piece, Result, Setup, Unit
from sim.errors import StudyError

SETUP = Setup(
    scenario_toml="",
    module_folder="",
    fingerprint=Fingerprint(code_version="1", packages={}, policies={}, inputs={}),
)


def units(n: int) -> list[Unit]:
    """Replications of one cell."""
    return [Unit(replication=k, cell=Cell(index=0), policies=("a", "b")) for k in range(n)]


def conducted(
    engine: ScriptedEngine,
    n: int,
    *,
    is_enough: Callable[[list[Outcome]], bool] = lambda _: False,
    is_interrupted: Callable[[list[Outcome]], bool] = lambda _: False,
    recorded: list[Outcome] | None = None,
) -> tuple[Ending, list[Outcome], list[Progress]]:
    """Run the loop; how it ended, what was recorded, what was told."""
    recorded = [] if recorded is None else recorded
    told: list[Progress] = []
    hooks = Hooks(
        record=recorded.append,
        is_enough=lambda: is_enough(recorded),
        is_interrupted=lambda: is_interrupted(recorded),
        on_progress=told.append,
    )
    ending = Conduct(engine, SETUP, units(n), hooks, n_done=0, n_total=n).run()
    return ending, recorded, told


def is_first(piece: Piece) -> bool:
    """Whether a piece begins with replication 0."""
    return piece.units[0].replication == 0


def numbers(outcomes: list[Outcome]) -> list[int]:
    """Replications of some outcomes."""
    return sorted(outcome.unit.replication for outcome in outcomes)


@pytest.mark.parametrize("n_workers", [1, 2, 7])
@pytest.mark.parametrize("shuffle_seed", [None, 3])
def test_every_unit_is_recorded_once(n_workers: int, shuffle_seed: int | None) -> None:
    """Whatever the number of workers and the order of completion, each unit comes to be written exactly once."""
    ending, recorded, told = conducted(ScriptedEngine(n_workers, shuffle_seed=shuffle_seed), 60)
    assert ending is Ending.COMPLETE
    assert numbers(recorded) == list(range(60))
    assert (told[-1].n_done, told[-1].n_failed, told[-1].n_total) == (60, 0, 60)


def test_short_units_travel_together_and_the_first_alone() -> None:
    """Once a unit's time is known, several go in a piece; before, and towards the end, they go alone."""
    engine = ScriptedEngine(1)
    conducted(engine, 100)
    sizes = [len(piece.units) for piece in engine.sent]
    assert sizes[0] == 1
    assert max(sizes) > 10
    assert sizes[-1] == 1


def test_a_lost_piece_is_sent_again_unit_by_unit() -> None:
    """A worker that goes away takes only its piece, whose units then travel alone."""
    taken: list[Piece] = []

    def answer(piece: Piece) -> Result:
        if len(piece.units) > 1 and not taken:
            taken.append(piece)
            return lost(piece)
        return done(piece)

    engine = ScriptedEngine(1, answer=answer)
    ending, recorded, told = conducted(engine, 50)
    assert ending is Ending.COMPLETE
    assert numbers(recorded) == list(range(50))
    again = engine.sent[taken[0].number + 1 : taken[0].number + 1 + len(taken[0].units)]
    assert [piece.units for piece in again] == [(unit,) for unit in taken[0].units]
    assert told[-1].n_lost == 1


def test_a_unit_that_takes_every_worker_is_a_failure_and_the_others_go_on() -> None:
    """After so many workers lost with one unit it is recorded as failed; no other unit is."""
    engine = ScriptedEngine(
        1, answer=lambda piece: lost(piece) if any(u.replication == 7 for u in piece.units) else done(piece)
    )
    ending, recorded, told = conducted(engine, 30)
    failed = [outcome for outcome in recorded if outcome.failures]
    assert ending is Ending.COMPLETE
    assert numbers(recorded) == list(range(30))
    assert [outcome.unit.replication for outcome in failed] == [7]
    assert [failure.policy for failure in failed[0].failures] == ["a", "b"]
    assert f"lost {MAX_LOSSES} times (exit code -9)" in failed[0].failures[0].error
    assert told[-1].n_failed == 1


def test_a_piece_that_comes_back_twice_counts_once() -> None:
    """An engine that reruns a task it believed lost may answer twice: the second answer is passed over."""

    class Twice(ScriptedEngine):
        def collect(self, timeout_s: float) -> list[Result]:
            back = list(super().collect(timeout_s))
            return [*back, *back]

    _, recorded, _ = conducted(Twice(2), 20)
    assert numbers(recorded) == list(range(20))


def test_a_worker_unlike_the_study_ends_it_with_the_versions() -> None:
    """No figure of a worker with other packages is written."""
    engine = ScriptedEngine(1, answer=refused)
    with pytest.raises(StudyError, match=r"numpy 2\.3 in the study, 2\.4 here"):
        conducted(engine, 5)


def test_what_came_back_beside_a_worker_unlike_the_study_is_written() -> None:
    """What others did before and at the same time counts."""
    engine = ScriptedEngine(2, answer=lambda piece: refused(piece) if is_first(piece) else done(piece))
    recorded: list[Outcome] = []
    with pytest.raises(StudyError, match=r"numpy 2\.3 in the study, 2\.4 here"):
        conducted(engine, 5, recorded=recorded)
    assert numbers(recorded) == [1]


def test_the_rule_ends_the_loop() -> None:
    """When it is enough, nothing more is sent."""
    engine = ScriptedEngine(1)
    ending, recorded, _ = conducted(engine, 1000, is_enough=lambda rows: len(rows) >= 3)
    assert ending is Ending.STOPPED
    *written, last = engine.sent  # the last was sent while the one before was written
    assert numbers(recorded) == [unit.replication for piece in written for unit in piece.units]
    assert last.units[-1].replication < 999


def test_an_interrupt_writes_what_came_back_meanwhile() -> None:
    """Results that wait when the interrupt is seen are recorded before the loop ends."""
    engine = ScriptedEngine(2)
    ending, recorded, _ = conducted(engine, 1000, is_interrupted=lambda rows: len(rows) >= 5)
    assert ending is Ending.INTERRUPTED
    assert numbers(recorded) == numbers([outcome_of(u) for p in engine.sent for u in p.units])


def test_no_worker_for_a_while_is_waited_for() -> None:
    """A cluster whose workers come later gets its pieces later; nothing is given up."""

    class Late(ScriptedEngine):
        asked = 0

        def __getattribute__(self, name: str) -> Any:
            if name == "n_workers":
                Late.asked += 1
                return 0 if Late.asked < 5 else 2
            return super().__getattribute__(name)

    ending, recorded, _ = conducted(Late(), 4)
    assert ending is Ending.COMPLETE
    assert numbers(recorded) == [0, 1, 2, 3]


def test_progress_tells_rate_and_time_left() -> None:
    """Rate counts this session's units; the time left follows from it."""
    progress = Progress(n_done=30, n_failed=10, n_total=100, n_run=20, n_lost=0, n_workers=2, seconds=5.0)
    assert progress.per_second == 4.0
    assert progress.seconds_left == 15.0
    fresh = Progress(n_done=0, n_failed=0, n_total=100, n_run=0, n_lost=0, n_workers=2, seconds=5.0)
    assert fresh.seconds_left is None
