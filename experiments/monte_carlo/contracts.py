"""What passes between the parts of a study: cells, units of work, outcomes, and the engines' protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Level = Any
"""A value that TOML can hold: a level of a factor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One setting of a study: the levels that it gives to keys of the scenario; none when nothing is varied."""

    index: int
    levels: Mapping[str, Level] = field(default_factory=dict)

    def __str__(self) -> str:
        named = ", ".join(f"{key} = {level}" for key, level in self.levels.items())
        return f"cell {self.index}" + (f" ({named})" if named else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What two machines must share so that the same replication has the same figures on both."""

    code_version: str
    packages: Mapping[str, str]
    policies: Mapping[str, str]  # of policies from a user's module: hash of its source
    inputs: Mapping[str, str]  # file as the scenarios name it: hash of its contents


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What all units of a study share; small, for it travels with every piece."""

    scenario_toml: str
    module_folder: str  # where a policy of one's own is looked for, last
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One replication of one cell: the smallest work that is written, lost or done again."""

    replication: int
    cell: Cell
    policies: tuple[str, ...]
    keep: tuple[str, ...] = ()  # those of the policies whose whole run folder is wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Units that are sent together."""

    number: int
    setup: Setup
    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Key figures of one replication of one cell under one policy."""

    cell: Cell
    policy: str
    replication: int
    figures: Mapping[str, float]
    wall_seconds: float
    peak_memory_mb: float  # of the process that ran it, so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A replication that raised, or that took its worker with it again and again."""

    cell: int
    policy: str
    replication: int
    error: str  # one line
    traceback: str = ""
    has_row: bool = False  # its figures are there from earlier: it was run again for its folder alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A whole run folder, as its files' contents."""

    policy: str
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a unit."""

    unit: Unit
    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    kept: tuple[Kept, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A piece that came back."""

    piece: Piece
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A piece whose worker went away with it."""

    piece: Piece
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A piece that a worker would not take, because it is not like the study: no figure of it can be trusted."""

    piece: Piece
    faults: tuple[str, ...]


Result = Done | Lost | Refused


class Engine(Protocol):
    """Where pieces run: in this process, in processes on this machine, or on a cluster.

    An engine keeps no record of a study: what it loses is sent again.
    """

    @property
    def n_workers(self) -> int:
        """Pieces that can run at the same time; may change while a study runs."""

    def check(self, setup: Setup) -> None:
        """Refuse to begin when some worker is not like the study.

        Raises
        ------
        StudyError
            With the worker and both versions.
        """

    def submit(self, piece: Piece) -> None:
        """Take a piece. Called only while fewer than ``n_workers`` are in flight."""

    def collect(self, timeout_s: float) -> Sequence[Result]:
        """Pieces that have come back or were lost, each once; waits at most so long when there is none yet.

        Raises
        ------
        StudyError
            When the engine is gone altogether.
        """

    def close(self) -> None:
        """Drop what is in flight and end what was started; may be called twice."""
