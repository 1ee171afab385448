"""Where processes that this program starts look for its packages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_SOURCES: Final = Path(__file__).resolve().parents[1]
"""Folder that holds this program's packages."""


@contextmanager
def without_working_folder() -> Iterator[None]:
    """Leave the working folder off the path that a process started within is given.

    It stands there, last, for a user's own policies. Where this program is installed as links to its sources, which
    are looked for even later, a folder there of the name of one of its packages would be taken instead.
    """
    path = list(sys.path)
    if Path.cwd() != _SOURCES:
        sys.path[:] = [entry for entry in path if entry not in {"", str(Path.cwd())}]
    try:
        yield
    finally:
        sys.path[:] = path
