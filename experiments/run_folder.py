"""Writing a run's folder: to a temporary name beside it, renamed when whole."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.atomic import PARTIAL, partial_path
from sim.errors import RunFolderError


def default_folder(parent: Path, stem: str) -> Path:
    """First folder of ``stem``, ``stem-2``, ... in a parent that neither exists nor is being written by another run."""
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", stem)
    candidate, counter = parent / stem, 1
    while candidate.exists() or any(parent.glob(f".{candidate.name}{PARTIAL}*")):
        counter += 1
        candidate = parent / f"{stem}-{counter}"
    return candidate


def check_free(target: Path) -> None:
    """Refuse an output folder that exists.

    Raises
    ------
    RunFolderError
        When it exists, or cannot be made.
    """
    try:
        exists = target.exists()
    except OSError as error:  # a name that no disk takes
        raise RunFolderError(f"{target}: {error.strerror or error}") from error
    if exists:
        raise RunFolderError(f"{target}: output folder exists; name another with --out, or remove it")
    parent = target.absolute().parent
    ancestor = next((p for p in (parent, *parent.parents) if p.exists()), parent)
    if not ancestor.is_dir():
        raise RunFolderError(f"{target}: {ancestor} is not a folder")
    if not os.access(ancestor, os.W_OK):
        raise RunFolderError(f"{target}: {ancestor} cannot be written to")


def folder_name(policy: str) -> str:
    """Name of a policy's folder within a comparison.

    >>> folder_name("own-cost"), folder_name("mine.rules:ValleyFirst")
    ('own-cost', 'mine.rules-ValleyFirst')
    """
    return policy.replace(":", "-")


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Folder to write into, that takes its name when the block ends well and vanishes when it does not.

    Raises
    ------
    RunFolderError
        When the target exists by the end, or the disk refuses.
    """
    check_free(target)
    made = [folder for folder in target.absolute().parents if not folder.exists()]
    partial = partial_path(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        check_free(target)
        partial.rename(target)
    except OSError as error:
        raise RunFolderError(f"{target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if not target.exists():
            _remove_empty(made)


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders made on the way, innermost first, as far as they are empty."""
    for folder in folders:
        if not folder.is_dir() or any(folder.iterdir()):
            return
        folder.rmdir()


def table_bytes(table: pa.Table) -> bytes:
    """Contents of a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def json_bytes(data: Mapping[str, Any]) -> bytes:
    """Contents of a readable JSON file; not-a-number is refused."""
    return (json.dumps(data, indent=2, allow_nan=False) + "\n").encode()
