"""Files that are whole or not there: written under a temporary name, then renamed."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

PARTIAL: Final = ".partial-"
"""Part of the name of everything that is not yet whole; what follows is the writer's process id."""


def partial_path(target: Path) -> Path:
    """Temporary name beside a file or folder, of this process.

    >>> partial_path(Path("runs/a")).name.startswith(".a.partial-")
    True
    """
    return target.with_name(f".{target.name}{PARTIAL}{os.getpid()}")


def write_whole(target: Path, data: bytes) -> None:
    """Write a file so that it is either as before or whole, however this process ends.

    A file that holds these bytes already is left alone, so that finishing what is finished needs no right to write.
    Nothing waits for the disk: who must outlive a power failure checks what is read.

    Raises
    ------
    OSError
        When the disk refuses; the file is as before and nothing is left beside it.
    """
    if target.is_file() and target.read_bytes() == data:
        return
    partial = partial_path(target)
    try:
        partial.write_bytes(data)
        partial.replace(target)
    finally:
        with suppress(OSError):  # after an error or Ctrl-C; else it has its name by now
            partial.unlink()
