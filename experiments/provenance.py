"""What made a run: versions, hashes, machine figures (the run folder's manifest)."""

from __future__ import annotations

import hashlib
import platform
import resource
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "highspy",
    "mesa",
    "networkx",
    "numpy",
    "pandas",
    "power-grid-model",
    "pyarrow",
    "pydantic",
    "pymoo",
    "rainflow",
    "scikit-learn",
    "scipy",
    "simpy",
)
_ROOT = Path(__file__).resolve().parent.parent


def version() -> str:
    """Version of the installed distribution; ``uninstalled`` when run from a bare checkout."""
    try:
        return metadata.version("voltwalk")
    except metadata.PackageNotFoundError:
        return "uninstalled"


@cache
def code_version() -> str:
    """Hash of the installed sources (Python, templates) of the four packages, whatever folder they stand in."""
    digest = hashlib.sha256()
    for package in ("agents", "dispatch", "experiments", "sim"):
        for path in sorted((_ROOT / package).rglob("*")):
            if path.suffix in {".py", ".html", ".js", ".css", ".j2"} and path.is_file():
                digest.update(str(path.relative_to(_ROOT)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on, as this process first saw them."""
    return dict(_package_versions())


@cache
def _package_versions() -> tuple[tuple[str, str], ...]:
    return (("python", platform.python_version()), *((name, metadata.version(name)) for name in PACKAGES))


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far [MB]."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 * 1024.0) if sys.platform == "darwin" else peak / 1024.0
