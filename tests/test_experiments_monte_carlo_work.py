"""What a worker does with a piece, and what it leaves in memory."""

from __future__ import annotations

import gc

import pytest
from study_cases import piece_of, tiny_setup

from agents.fleet import VehicleFleet
from experiments.monte_carlo import work
from experiments.monte_carlo.work import Sweeper, run_piece
from experiments.provenance import package_versions


def n_fleets() -> int:
    """Fleets in memory."""
    return sum(isinstance(thing, VehicleFleet) for thing in gc.get_objects())


def test_finished_days_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finished day's cars go with the sweep that follows; without sweeps they stay, since they look long-lived."""
    gc.collect()
    before, setup = n_fleets(), tiny_setup()
    monkeypatch.setattr(work, "_SWEEPER", Sweeper(seconds=1e9))
    run_piece(piece_of(setup, range(4)))
    assert n_fleets() - before >= 3
    monkeypatch.setattr(work, "_SWEEPER", Sweeper(seconds=0.0))
    run_piece(piece_of(setup, range(4)))
    assert n_fleets() - before <= 1


def test_sweeps_keep_their_distance() -> None:
    """However short the replications, a sweep comes no sooner than some seconds after the end of the last one."""
    now = 0.0

    def clock() -> float:
        return now

    sweeper, swept = Sweeper(seconds=10.0, clock=clock), []
    for now in range(0, 40, 3):
        if sweeper.sweep():
            swept.append(now)
    assert swept == [12, 24, 36]


def test_versions_are_those_that_this_process_has_loaded() -> None:
    """A caller may do with them what it likes: the next one gets them as they were."""
    package_versions().clear()
    assert package_versions()["numpy"]
