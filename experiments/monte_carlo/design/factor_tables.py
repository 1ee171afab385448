"""Raw tables of factors before validation: nested keys made dotted, paths absolute, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sim.scenario_tables import absolute_value, split_path

SAMPLED: Final = ("latin-hypercube", "sobol", "sobol-indices", "morris")
"""Designs that draw points, and so need ``samples`` and take ranges."""

POWERS_OF_TWO: Final = ("sobol", "sobol-indices")
"""Designs of a Sobol sequence, balanced only at powers of two (Sobol 1967; warned of by scipy.stats.qmc.Sobol)."""

_LEVELS_ONLY: Final = ("factorial", "one-at-a-time")
_LEVEL_TABLES: Final = ("kind", "family", "file")  # a table that names one is whole, as in a scenario
_UNSAMPLED: Final = (*_LEVELS_ONLY, "list")
_RESERVED: Final = {
    "simulation.replication": "is set by the study; use --replications",
    "dispatch.policy": "is set by the study; use --policies",
    "scenario.currency": "is part of the figures' names, so it cannot vary within a study",
    "scenario.name": "is the name of the study, so it cannot vary within it",
}
_RESERVED_IN_DESIGNS: Final = {
    "simulation.seed": "pairs the cells of a design, so it can vary in a list only; --seed sets it for all runs",
    **_RESERVED,
}
"""In a list, days or feeders may have fleets of their own: cells of another seed have other cars, trips and weather."""

_EITHER: Final = "must be levels, as [100, 300], or a range, as { low = 0.0, high = 0.2 }"


def flattened(tables: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Tables with ``[factors.fleet] size = [..]`` written as ``"fleet.size" = [..]``; and what is given twice.

    >>> flattened({"factors": {"fleet": {"size": [1, 2]}, "economics.x": {"low": 0, "high": 1}}})
    ({'factors': {'fleet.size': [1, 2], 'economics.x': {'low': 0, 'high': 1}}}, [])
    """
    flat = dict(tables)
    faults: list[str] = []
    factors, cells = tables.get("factors"), tables.get("cells")
    if isinstance(factors, dict):
        flat["factors"] = _dotted(_leaves(factors), "", faults)
    if isinstance(cells, list):
        flat["cells"] = [
            _dotted(_cell_leaves(cell), f"cells[{index}].", faults) if isinstance(cell, dict) else cell
            for index, cell in enumerate(cells)
        ]
    return flat, faults


def with_absolute_paths(tables: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Tables with the relative paths of files among the levels counted from a folder."""
    changed = dict(tables)
    factors, cells = tables.get("factors"), tables.get("cells")
    if isinstance(factors, dict):
        changed["factors"] = {
            key: [absolute_value(key, level, folder) for level in spread]
            if isinstance(spread, list)
            else spread
            for key, spread in factors.items()
        }
    if isinstance(cells, list):
        changed["cells"] = [
            {key: absolute_value(key, level, folder) for key, level in cell.items()}
            if isinstance(cell, dict)
            else cell
            for cell in cells
        ]
    return changed


def factor_faults(tables: Mapping[str, Any]) -> list[str]:
    """Return one line per fault that the types of the values do not show.

    >>> factor_faults({"design": "sobol", "samples": 30, "factors": {"fleet.size": [100, 100]}})
    ... # doctest: +NORMALIZE_WHITESPACE
    ['fleet.size: level 100 is given twice',
     'samples: must be a power of two for design sobol (16 or 32), is 30']
    """
    design = tables.get("design")
    factors = tables.get("factors", {})
    cells = tables.get("cells", [])
    faults: list[str] = []
    if design == "list":
        faults += _list_faults(cells if isinstance(cells, list) else [])
        if factors:
            faults.append("factors: have no meaning for design list; write [[cells]] tables of key = value")
    else:
        if "cells" in tables and isinstance(design, str):
            faults.append(f'cells: have no meaning for design {design}; write design = "list"')
        if isinstance(factors, dict):
            faults += _spread_faults(factors, design)
        if not factors and tables.keys() <= {"design", "samples", "factors"}:  # no misspelt key holds them
            faults.append("factors: none is given")
    return [*faults, *_samples_faults(tables.get("samples"), design)]


def is_spread(value: Any) -> bool:
    """Whether a value may be levels or a range at all."""
    return isinstance(value, list) or (isinstance(value, dict) and bool(value))


def _dotted(leaves: Iterator[tuple[str, Any]], place: str, faults: list[str]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in leaves:
        if key in flat:
            faults.append(f"{place}{key}: is given twice")
        flat.setdefault(key, value)
    return flat


def _leaves(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        key = f"{above}.{name}" if above else name
        if isinstance(value, dict) and value and not _is_range(value):
            yield from _leaves(value, key)
        else:
            yield key, value


def _is_range(table: Mapping[str, Any]) -> bool:
    """Tell a range from factors that are themselves called low and high: those have lists."""
    return any(key in table and not isinstance(table[key], dict | list) for key in ("low", "high"))


def _cell_leaves(cell: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Levels of one cell; a table is a level itself under a dotted key, or where its keys belong together."""
    for name, value in cell.items():
        is_whole = isinstance(value, dict) and len(value) > 1 and any(key in value for key in _LEVEL_TABLES)
        if "." in name or not isinstance(value, dict) or is_whole:
            yield name, value
        else:
            yield from ((f"{name}.{key}", level) for key, level in _cell_leaves(value))


def _spread_faults(factors: Mapping[str, Any], design: Any) -> Iterator[str]:
    for key, spread in factors.items():
        yield from _key_faults(key, _RESERVED_IN_DESIGNS)
        if isinstance(spread, list):
            yield from (f"{key}: level {level} is given twice" for level in _repeated(spread))
            if design == "morris":
                yield f"{key}: design morris needs a range, as {{ low = 0.0, high = 0.2 }}, not levels"
        elif not is_spread(spread):
            yield f"{key}: {_EITHER}, is {spread if spread != {} else 'an empty table'}"
        elif design in _LEVELS_ONLY:
            yield f"{key}: design {design} needs levels, as [0.0, 0.2], not a range"


def _key_faults(key: str, reserved_keys: Mapping[str, str]) -> Iterator[str]:
    path = split_path(key)
    if path is None:
        yield f"{key}: is no dotted path (such as fleet.size or regions.home.import_limit_kw)"
        return
    for reserved, reason in reserved_keys.items():
        parts = reserved.split(".")
        if any(given not in ("*", part) for given, part in zip(path, parts, strict=False)):
            continue
        yield f"{key}: {reason}" if len(path) >= len(parts) else f"{key}: holds {reserved}, which {reason}"


def _list_faults(cells: Sequence[Any]) -> Iterator[str]:
    if not cells:
        yield "cells: none is given; write [[cells]] tables of key = value"
        return
    tables = [(index, cell) for index, cell in enumerate(cells) if isinstance(cell, dict)]
    if not tables:
        return
    first_index, first = tables[0]
    if not first:
        yield f"cells[{first_index}]: names no key"
    for key in dict.fromkeys(key for _, cell in tables for key in cell):
        yield from _key_faults(key, _RESERVED)
    for index, cell in tables[1:]:
        if cell.keys() != first.keys():
            yield (
                f"cells[{index}]: names {_named(cell)}, but cells[{first_index}] names {_named(first)}; "
                "each cell must give the same keys"
            )
    seen: list[dict[str, Any]] = []
    for index, cell in tables:
        if any(_same(cell, other) for other in seen):
            yield f"cells[{index}]: is given twice"
        seen.append(cell)


def _named(cell: Mapping[str, Any]) -> str:
    return ", ".join(cell) or "no key"


def _samples_faults(samples: Any, design: Any) -> Iterator[str]:
    if design in SAMPLED and samples is None:
        yield f"samples: are needed by design {design}"
    elif samples is not None and design in _UNSAMPLED:
        yield f"samples: have no meaning for design {design}"
    elif design == "sobol-indices" and samples == 1:
        yield "samples: must be 2 or more for design sobol-indices, is 1: one point has no variance"
    elif design in POWERS_OF_TWO and type(samples) is int and samples > 0 and samples & (samples - 1):
        below = 1 << (samples.bit_length() - 1)
        yield f"samples: must be a power of two for design {design} ({below} or {2 * below}), is {samples}"


def _repeated(levels: Sequence[Any]) -> list[Any]:
    return [
        level
        for index, level in enumerate(levels)
        if any(_same(level, other) for other in levels[:index])
        and not any(_same(level, later) for later in levels[index + 1 :])
    ]


def _same(a: Any, b: Any) -> bool:
    """Whether two levels set the same: 1 and 1.0 do, 1 and true do not."""
    return bool(a == b) and isinstance(a, bool) == isinstance(b, bool)
