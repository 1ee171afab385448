"""Scenarios, runs, audits, reports and the command line.

>>> from experiments import run, compare, read_run, study, read_study, replay
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.monte_carlo.reading import Study, read_study
    from experiments.monte_carlo.replaying import replay
    from experiments.monte_carlo.studying import study
    from experiments.reading import Run, read_run
    from experiments.running import Comparison, compare, run

__all__ = ["Comparison", "Run", "Study", "compare", "read_run", "read_study", "replay", "run", "study"]

_HOMES = {
    "Run": "experiments.reading",
    "read_run": "experiments.reading",
    "Comparison": "experiments.running",
    "compare": "experiments.running",
    "run": "experiments.running",
    "Study": "experiments.monte_carlo.reading",
    "read_study": "experiments.monte_carlo.reading",
    "replay": "experiments.monte_carlo.replaying",
    "study": "experiments.monte_carlo.studying",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are first asked for: ``voltwalk --help`` must not load a solver."""
    if name not in _HOMES:
        raise AttributeError(f"module 'experiments' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    from experiments.preflight import foreign_message, foreign_packages  # noqa: PLC0415

    if found := foreign_packages():
        raise ImportError(foreign_message(found))
    return getattr(import_module(_HOMES[name]), name)
