"""What is installed with the program: its scenarios and its data, found by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from sim.errors import ScenarioError
from sim.scenario import Scenario
from sim.scenario_reading import read_scenario, scenario_faults, with_overrides

SCENARIO_DIR: Final = Path(__file__).resolve().parent / "scenarios"
DATA_DIR: Final = Path(__file__).resolve().parent / "data"
PREFIX: Final = "shipped:"
_DATA_SUFFIXES: Final = (".csv", ".csv.gz", ".parquet", ".json")


def scenario_names() -> tuple[str, ...]:
    """Names of the shipped scenarios, sorted.

    >>> "multi-microgrid" in scenario_names()
    True
    """
    return tuple(sorted(path.stem for path in SCENARIO_DIR.glob("*.toml")))


@cache
def data_files() -> Mapping[str, Path]:
    """Shipped data files by name (the file's name without its ending).

    >>> data_files()["tmy3_greensboro"].name
    'tmy3_greensboro.csv'
    """
    return MappingProxyType(
        {
            path.name.removesuffix(suffix): path
            for path in sorted(DATA_DIR.rglob("*"))
            for suffix in _DATA_SUFFIXES
            if path.name.endswith(suffix)
        }
    )


def locate(file: str, base_dir: Path | None = None) -> Path:
    """Path of a data file: ``shipped:NAME``, an absolute path, or one relative to ``base_dir``.

    Parameters
    ----------
    file
        As written in a scenario.
    base_dir
        Folder of the scenario that names it; none: the working folder.

    Raises
    ------
    ScenarioError
        When ``shipped:NAME`` names nothing. Whether another path exists is for the reader to say.

    >>> locate("shipped:tmy3_greensboro") == data_files()["tmy3_greensboro"]
    True
    >>> str(locate("a.csv", Path("folder")))
    'folder/a.csv'
    """
    if not file.startswith(PREFIX):
        return (base_dir or Path()) / Path(file).expanduser()
    name, files = file.removeprefix(PREFIX), data_files()
    if name not in files:
        raise ScenarioError([f"no shipped file is called {name!r}{_meant(name, tuple(files))}"])
    return files[name]


def scenario_path(name_or_path: str | Path, base_dir: Path | None = None) -> Path:
    """Path of a scenario: the name of a shipped one, or a path (a file of that name goes first).

    Raises
    ------
    ScenarioError
        When neither exists.

    >>> scenario_path("multi-microgrid").name
    'multi-microgrid.toml'
    """
    path = (base_dir or Path()) / Path(name_or_path).expanduser()
    if path.is_file():
        return path
    name = str(name_or_path)
    if name in scenario_names():
        return SCENARIO_DIR / f"{name}.toml"
    known = ", ".join(scenario_names())
    raise ScenarioError(
        [f"{name}: neither a file nor a shipped scenario ({known}){_meant(name, scenario_names())}"]
    )


def load_scenario(scenario: str | Path | Scenario, overrides: Sequence[str] = ()) -> Scenario:
    """Scenario by name, by path or as it is, with ``key=value`` overrides, validated.

    Raises
    ------
    ScenarioError
        With every fault, one line each.

    >>> load_scenario("multi-microgrid", ["fleet.size=3"]).fleet.size
    3
    """
    if isinstance(scenario, Scenario):
        return with_overrides(scenario, overrides, locate) if overrides else scenario
    path = scenario_path(scenario)
    return read_scenario(path, overrides=overrides, locate=locate, find_scenario=scenario_path).scenario


def faults(name_or_path: str | Path, overrides: Sequence[str] = ()) -> tuple[str, ...]:
    """Every fault of a scenario and of the files it names; empty when it can run.

    >>> faults("multi-microgrid", ["fleet.sise=3"])
    ("fleet.sise: unknown key; did you mean 'size'?",)
    """
    path = scenario_path(name_or_path)
    return scenario_faults(path, overrides=overrides, locate=locate, find_scenario=scenario_path)


def copy_scenario(name: str, source: str, folder: Path) -> Path:
    """Copy a shipped scenario, comments and all, to ``NAME.toml`` as a start for one's own.

    Raises
    ------
    ScenarioError
        When the name is none, the file exists, or the source is not a shipped scenario.
    """
    stem = name.removesuffix(".toml")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", stem):
        raise ScenarioError([f"{name!r}: a scenario's name has letters, digits, '-', '_' and '.' only"])
    if source not in scenario_names():
        known = ", ".join(scenario_names())
        raise ScenarioError(
            [f"no shipped scenario is called {source!r} ({known}){_meant(source, scenario_names())}"]
        )
    text = (SCENARIO_DIR / f"{source}.toml").read_text(encoding="utf-8")
    named = re.sub(r'(?m)^name = ".*?"', f'name = "{stem}"', text, count=1)
    path = folder / f"{stem}.toml"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(named)
    except FileExistsError:
        raise ScenarioError([f"{path} exists already"]) from None
    except OSError as error:
        raise ScenarioError([f"{path} cannot be written: {error.strerror}"]) from None
    return path


def _meant(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
