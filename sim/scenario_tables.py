"""A scenario's raw tables before validation: TOML, ``extends``, ``[set]`` and ``--set``.

Merging with the base: tables merge key by key; lists and single values replace. A table that names its
``kind``, ``family`` or ``file`` replaces the base's whole table, and so does a row of a transition matrix,
for their keys belong together. Then ``[set]`` of the file and ``--set`` of the command line change single
entries by dotted path, where ``regions.home``, ``regions[0]`` and ``regions.*`` are one region by name, by
index, and all of them.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sim.errors import ScenarioError

FindScenario = Callable[[str, Path], Path]
"""From a name or path, and the folder of the file that says it, to a scenario's path."""

_WHOLE_TABLES: Final = ("kind", "family", "file")
_MATRICES: Final = (("travel", "chain", "weekday"), ("travel", "chain", "weekend"))
_PATH_KEYS: Final = ("file", "itineraries", "buses", "lines", "transformers")
_SHIPPED: Final = "shipped:"
_NO_PATH: Final = "is no dotted path (such as fleet.size or regions.home.import_limit_kw)"
_TOKEN: Final = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|\[(\d+)\]|([^.\[\]"'\s]+))\s*(\.|(?=\[)|$)""")


def read_tables(path: Path, overrides: Sequence[str], find_scenario: FindScenario) -> dict[str, Any]:
    """Tables of a scenario, with its base merged in, paths absolute and overrides applied.

    Parameters
    ----------
    path
        The scenario's file.
    overrides
        ``key=value`` strings; relative paths in them are relative to the working folder.
    find_scenario
        Finds what ``extends`` names.

    Raises
    ------
    ScenarioError
        When a file is missing or broken, or an override leads nowhere.
    """
    tables = _with_base(path, find_scenario, ())
    faults = apply_overrides(tables, overrides)
    if faults:
        raise ScenarioError(faults)
    return tables


def apply_overrides(tables: dict[str, Any], overrides: Sequence[str]) -> list[str]:
    """Change entries as ``--set`` says; returns what is wrong with the overrides themselves.

    >>> tables = {"fleet": {"size": 100}}
    >>> apply_overrides(tables, ["fleet.size=3", "fleet.departure_soc=none", "fleet"]), tables
    (['--set fleet: must read key=value'], {'fleet': {'size': 3, 'departure_soc': 'none'}})
    """
    return [fault for text in overrides for fault in _override(tables, text)]


def merge(base: Mapping[str, Any], own: Mapping[str, Any], place: tuple[str, ...] = ()) -> dict[str, Any]:
    """Put one's own tables over the base's.

    >>> merge({"a": {"x": 1, "y": 2}, "b": [1, 2]}, {"a": {"y": 3}, "b": [4]})
    {'a': {'x': 1, 'y': 3}, 'b': [4]}
    >>> merge({"law": {"family": "gamma", "shape": 2}}, {"law": {"family": "expon"}})
    {'law': {'family': 'expon'}}
    """
    merged = dict(base)
    for key, value in own.items():
        below = merged.get(key)
        whole = place in _MATRICES or (
            isinstance(value, dict) and any(name in value for name in _WHOLE_TABLES)
        )
        if isinstance(below, dict) and isinstance(value, dict) and not whole:
            merged[key] = merge(below, value, (*place, key))
        else:
            merged[key] = value
    return merged


def set_entry(tables: dict[str, Any], dotted: str, value: Any) -> list[str]:
    """Set the entries that a dotted path means; returns what is wrong with the path.

    >>> tables = {"regions": [{"name": "home", "weight": 1.0}, {"name": "work", "weight": 1.0}]}
    >>> set_entry(tables, "regions.home.weight", 2.0), set_entry(tables, "regions.*.chargers", 4)
    ([], [])
    >>> tables["regions"]
    [{'name': 'home', 'weight': 2.0, 'chargers': 4}, {'name': 'work', 'weight': 1.0, 'chargers': 4}]
    >>> set_entry(tables, "regions.*.batteries.*.soc_min", 0.1)
    ['regions.*.batteries.*.soc_min: means no entry']
    >>> set_entry(tables, "regions.home.batteries[0].soc_min", 0.1)
    ['regions.home.batteries[0].soc_min: regions.0 has no batteries, so no [0]']
    >>> set_entry(tables, "regions.hom.weight", 2.0)
    ["regions.hom.weight: no entry of regions is called 'hom' (home, work)"]
    """
    keys = split_path(dotted)
    if keys is None:
        return [f"{dotted}: {_NO_PATH}"]
    try:
        n_set = _set(tables, keys, value, ())
    except LookupError as error:
        return [f"{dotted}: {error.args[0]}"]
    return [] if n_set else [f"{dotted}: means no entry"]


def entry_places(tables: dict[str, Any], dotted: str) -> list[tuple[str | int, ...]]:
    """Places of the entries that a dotted path means, whether or not the tables on the way are there.

    Raises
    ------
    LookupError
        When the path names an entry of a list that is not there, or is no path.

    >>> tables = {"regions": [{"name": "home", "weight": 1.0}, {"name": "work", "weight": 2.0}]}
    >>> entry_places(tables, "regions.work.weight"), entry_places(tables, "regions.*.weight")
    ([('regions', 1, 'weight')], [('regions', 0, 'weight'), ('regions', 1, 'weight')])
    """
    keys = split_path(dotted)
    if keys is None:
        raise LookupError(_NO_PATH)
    found: list[tuple[tuple[str | int, ...], Any]] = [((), tables)]
    for key in keys:
        found = [
            ((*place, entry), _below(node, entry))
            for place, node in found
            for entry in _entries(node, key, place)
        ]
    return [place for place, _ in found]


def absolute_value(key: str, value: Any, folder: Path) -> Any:
    """Value of an entry, with relative paths in it counted from a folder; other values as they are.

    >>> absolute_value("travel.itineraries", "shipped:days", Path("/folder")), absolute_value("a.b", "c", Path())
    ('shipped:days', 'c')
    """
    if isinstance(value, dict | list):
        value = copy.deepcopy(value)
        _make_paths_absolute(value, folder)
        return value
    is_path = key.rpartition(".")[2] in _PATH_KEYS and isinstance(value, str)
    if not is_path or value.startswith(_SHIPPED):
        return value
    return str((folder / Path(value).expanduser()).resolve())


def split_path(dotted: str) -> list[str | int] | None:
    """Elements of a dotted path, or nothing when it is none.

    >>> split_path("regions[0].weight"), split_path('regions."my home".weight'), split_path("fleet.")
    (['regions', 0, 'weight'], ['regions', 'my home', 'weight'], None)
    """
    keys: list[str | int] = []
    position = 0
    while position < len(dotted):
        match = _TOKEN.match(dotted, position)
        if match is None or match.end() == position:
            return None
        double, single, index, bare, end = match.groups()
        keys.append(
            int(index) if index is not None else next(k for k in (double, single, bare) if k is not None)
        )
        position = match.end()
        if end == "." and position == len(dotted):
            return None
    return keys or None


def parse_value(text: str) -> Any:
    """Value of an override: TOML, or else the bare text.

    Raises
    ------
    ValueError
        When it begins like a list, a table or a text in quotes and is none.

    >>> parse_value("3"), parse_value("0.5"), parse_value("none"), parse_value("[1, 2]")
    (3, 0.5, 'none', [1, 2])
    """
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        parsed = {}
    if parsed.keys() == {"value"}:
        return parsed["value"]
    if text.lstrip()[:1] in {"[", "{", '"', "'"}:
        raise ValueError(f"{text.strip()} is no TOML value")
    return text.strip()


def _override(tables: dict[str, Any], text: str) -> list[str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        return [f"--set {text}: must read key=value"]
    try:
        parsed = parse_value(value)
    except ValueError as error:
        return [f"{key.strip()}: {error}"]
    return set_entry(tables, key.strip(), absolute_value(key.strip(), parsed, Path.cwd()))


def _with_base(path: Path, find_scenario: FindScenario, above: tuple[Path, ...]) -> dict[str, Any]:
    """Tables of a file over those of what it extends, and so on; ``above`` are the files that led here."""
    chain = (*above, path.resolve())
    if path.resolve() in above:
        raise ScenarioError([f"extends: goes in a circle ({' -> '.join(file.name for file in chain)})"])
    tables = _read_toml(path)
    name, changes = tables.pop("extends", None), tables.pop("set", {})
    if name is not None:
        if not isinstance(name, str):
            raise ScenarioError([f"extends: must be the name or path of a scenario, is {name!r}"])
        tables = merge(_with_base(find_scenario(name, path.parent), find_scenario, chain), tables)
    faults = _apply_set(tables, changes, path.parent.resolve())
    if faults:
        raise ScenarioError(faults)
    return tables


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ScenarioError([f"no scenario file {path}"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([f"{path} cannot be read: {error}"]) from None
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError([f"{path} is not valid TOML: {error}"]) from None
    _make_paths_absolute(tables, path.parent.resolve())
    return tables


def _make_paths_absolute(node: Any, folder: Path) -> None:
    """Paths are relative to the file that names them, so they are settled before files are merged."""
    if isinstance(node, list):
        for item in node:
            _make_paths_absolute(item, folder)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in _PATH_KEYS:
                node[key] = absolute_value(key, value, folder)
            _make_paths_absolute(value, folder)


def _apply_set(tables: dict[str, Any], changes: Any, folder: Path) -> list[str]:
    """Change entries as a file's ``[set]`` says; returns what is wrong with it."""
    if not isinstance(changes, dict):
        return ["set: must be a table of dotted paths in quotes"]
    faults = []
    for key, value in changes.items():
        if "." not in key and "[" not in key:  # written without quotes, TOML makes nested tables of a path
            faults.append(f'set.{key}: write the whole dotted path in quotes, as "fleet.size" = 3')
        else:
            faults += set_entry(tables, key, absolute_value(key, value, folder))
    return faults


def _set(node: Any, keys: list[str | int], value: Any, place: tuple[str | int, ...]) -> int:
    """Set what a path means below a node; returns how many entries that are."""
    key, rest, n_set = keys[0], keys[1:], 0
    for found in _entries(node, key, place):
        if not rest:
            node[found] = copy.deepcopy(value)
            n_set += 1
            continue
        if isinstance(node, dict) and found not in node and _is_of_a_list(rest[0]):
            if rest[0] == "*":  # all of none
                continue
            where = ".".join(str(part) for part in place) or "the scenario"
            raise LookupError(f"{where} has no {found}, so no [{rest[0]}]")
        below = node.setdefault(found, {}) if isinstance(node, dict) else node[found]
        if not isinstance(below, dict | list):
            below = node[found] = {}
        n_set += _set(below, rest, value, (*place, found))
    return n_set


def _is_of_a_list(key: str | int) -> bool:
    return isinstance(key, int) or key == "*"


def _below(node: Any, key: str | int) -> Any:
    """What stands under a key; an empty table where nothing does, or a single value."""
    below = node.get(key) if isinstance(node, dict) else node[key]
    return below if isinstance(below, dict | list) else {}


def _entries(node: Any, key: str | int, place: tuple[str | int, ...]) -> Sequence[Any]:
    """Keys or indices of a node that one element of a path means."""
    where = ".".join(str(part) for part in place) or "the scenario"
    if isinstance(node, dict):
        return list(node) if key == "*" else [str(key)]
    if key == "*":
        return range(len(node))
    index = int(key) if isinstance(key, int) or key.isdigit() else None
    if index is not None:
        if index >= len(node):
            raise LookupError(f"{where} has {len(node)} entries, 0 to {len(node) - 1}, so no [{index}]")
        return [index]
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in node]
    if key not in names:
        known = ", ".join(str(name) for name in names if name is not None) or "none has a name"
        raise LookupError(f"no entry of {where} is called {key!r} ({known})")
    return [names.index(key)]
