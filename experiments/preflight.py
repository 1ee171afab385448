"""Checks made before anything heavy is imported."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def foreign_packages() -> tuple[str, ...]:
    """Names of our top-level packages that another distribution shadows, with their places.

    >>> foreign_packages()
    ()
    """
    ours = Path(__file__).resolve().parent.parent
    found = []
    for name in ("sim", "agents", "dispatch"):
        spec = find_spec(name)
        origin = None if spec is None else spec.origin
        if origin is None or Path(origin).resolve().parent.parent != ours:
            found.append(f"{name} ({origin})")
    return tuple(found)


def foreign_message(found: tuple[str, ...]) -> str:
    """What a person reads when another distribution shadows a package of ours.

    >>> foreign_message(("agents (elsewhere)",))
    'another distribution shadows agents (elsewhere); install voltwalk in a fresh virtual environment'
    """
    return f"another distribution shadows {', '.join(found)}; install voltwalk in a fresh virtual environment"
