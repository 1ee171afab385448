"""Monte Carlo studies: replications over fleets, weather and settings, on one core or many machines.

>>> from experiments.monte_carlo import study, replay, read_study
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.monte_carlo.interrupt import StudyInterrupted
    from experiments.monte_carlo.reading import Study, read_study
    from experiments.monte_carlo.replaying import Replayed, replay
    from experiments.monte_carlo.studying import study

__all__ = ["Replayed", "Study", "StudyInterrupted", "read_study", "replay", "study"]

_HOMES = {
    "StudyInterrupted": "experiments.monte_carlo.interrupt",
    "Study": "experiments.monte_carlo.reading",
    "read_study": "experiments.monte_carlo.reading",
    "Replayed": "experiments.monte_carlo.replaying",
    "replay": "experiments.monte_carlo.replaying",
    "study": "experiments.monte_carlo.studying",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first asked for: a worker needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module 'experiments.monte_carlo' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_HOMES[name]), name)
