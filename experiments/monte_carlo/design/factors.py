"""What a study varies: keys of the scenario with their levels or ranges, and the design that combines them.

A factors file is TOML::

    design = "factorial"            # or one-at-a-time, latin-hypercube, sobol, sobol-indices, morris, list
    samples = 32                    # of sampled designs
    [factors]
    "fleet.size" = [100, 300]       # levels: any values of TOML
    "economics.throughput_price_per_kwh" = { low = 0.0, high = 0.2 }   # a range, of sampled designs

A ``list`` has ``[[cells]]`` tables of ``key = value`` instead. The order of keys and levels is kept: it numbers
the cells.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from experiments.monte_carlo.design.factor_tables import (
    factor_faults,
    flattened,
    is_spread,
    with_absolute_paths,
)
from sim.errors import StudyError
from sim.scenario import Part
from sim.scenario_messages import sentences
from sim.scenario_tables import parse_value

Design = Literal["factorial", "list", "one-at-a-time", "latin-hypercube", "sobol", "sobol-indices", "morris"]
"""How cells are made of factors."""

_TOML: Final = "toml"


class Range(Part):
    """A factor that takes any value between two ends: whole numbers where both ends are."""

    low: Annotated[int | float, Field(description="Lower end, inclusive.")]
    high: Annotated[int | float, Field(description="Upper end, inclusive.")]
    scale: Annotated[Literal["linear", "log"], Field(description="log: equal ratios are equally likely.")] = (
        "linear"
    )

    @model_validator(mode="after")
    def _holds_together(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f'low must be above 0 where scale = "log", is {self.low:g}')
        return self

    @property
    def is_whole(self) -> bool:
        """Whether the factor takes whole numbers only."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def at(self, fraction: float) -> int | float:
        """Value at a fraction of the range, in [0, 1]; whole numbers share the range equally.

        >>> Range(low=0.0, high=0.2).at(0.5), Range(low=1.0, high=100.0, scale="log").at(0.5)
        (0.1, 10.0)
        >>> [Range(low=1, high=4).at(u) for u in (0.0, 0.24, 0.26, 1.0)]
        [1, 1, 2, 4]
        """
        end = self.high + 1 if self.is_whole else self.high
        if self.scale == "log":
            value = math.exp(math.log(self.low) + fraction * (math.log(end) - math.log(self.low)))
        else:
            value = self.low + fraction * (end - self.low)
        if self.is_whole:
            return int(min(math.floor(value + 1e-9), self.high))
        return float(min(max(float(f"{value:.12g}"), self.low), self.high))  # 0.1, not 0.10000000000000002


def _levels_or_range(value: Any) -> str:
    return "<range>" if isinstance(value, dict | Range) else "<levels>"


Spread = Annotated[
    Annotated[list[Any], Field(min_length=1), Tag("<levels>")] | Annotated[Range, Tag("<range>")],
    Discriminator(_levels_or_range),
]


class Factors(Part):
    """What a study varies, as given."""

    design: Annotated[Design, Field(description="How cells are made of the factors.")]
    samples: Annotated[
        int | None, Field(ge=1, description="Points of a sampled design; trajectories of morris.")
    ] = None
    factors: Annotated[dict[str, Spread], Field(description="Levels or range of each key.")] = {}
    cells: Annotated[list[dict[str, Any]], Field(description="Cells of the design list.")] = []

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the scenario that vary, in the order given."""
        return tuple(self.cells[0]) if self.design == "list" else tuple(self.factors)

    def table(self) -> dict[str, Any]:
        """Plain data that JSON can hold: equal for two studies only when their cells are equal.

        Order is kept in lists, since it numbers the cells; dates become ``{"toml": "2016-04-20"}``.

        >>> Factors(design="factorial", factors={"fleet.size": [100, 300]}).table()
        {'design': 'factorial', 'factors': [['fleet.size', [100, 300]]]}
        """
        table: dict[str, Any] = {"design": self.design}
        if self.samples is not None:
            table["samples"] = self.samples
        if self.design == "list":
            return table | {"cells": [[[key, _plain(cell[key])] for key in self.keys] for cell in self.cells]}
        return table | {"factors": [[key, _plain(spread)] for key, spread in self.factors.items()]}


def factors_of_table(table: Mapping[str, Any]) -> Factors | None:
    """Factors of ``Factors.table()``, also after JSON; none of an empty table.

    >>> given = Factors(design="list", cells=[{"simulation.start": date(2016, 4, 20)}])
    >>> factors_of_table(given.table()) == given
    True
    """
    if not table:
        return None
    data = {key: _value(value) for key, value in table.items() if key in {"design", "samples"}}
    if "cells" in table:
        data["cells"] = [{key: _value(level) for key, level in cell} for cell in table["cells"]]
    else:
        data["factors"] = {key: _value(spread) for key, spread in table["factors"]}
    return Factors.model_validate(data)


def read_factors(path: Path) -> Factors:
    """Read a factors file; relative paths of files among its levels count from its folder.

    Raises
    ------
    StudyError
        With every fault, one line each.
    """
    try:
        tables = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise StudyError(f"no factors file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path} is not valid TOML: {error}") from None
    return _factors(tables, [], path.parent.resolve(), f"{path.name}: ")


def factors_from_tables(tables: Mapping[str, Any]) -> Factors:
    """Factors of tables as a factors file has them; relative paths among levels count from the working folder.

    Raises
    ------
    StudyError
        With every fault, one line each.

    >>> factors_from_tables({"design": "factorial", "factors": {"fleet": {"size": [100, 300]}}}).keys
    ('fleet.size',)
    """
    return _factors(dict(tables), [], Path.cwd(), "")


def check_factors(factors: Factors) -> None:
    """Check factors that were made directly.

    Raises
    ------
    StudyError
        With every fault, one line each, that types do not show.

    >>> check_factors(Factors(design="factorial", factors={"simulation.seed": [1, 2]}))
    ... # doctest: +ELLIPSIS
    Traceback (most recent call last):
    sim.errors.StudyError: simulation.seed: pairs the cells of a design, so it can vary in a list only; ...
    """
    faults = factor_faults(factors.model_dump(exclude_unset=True))
    if faults:
        raise StudyError("\n".join(faults))


def factors_from_options(options: Sequence[str], design: str | None, samples: int | None) -> Factors:
    """Factors of a command line; relative paths among levels count from the working folder.

    Parameters
    ----------
    options
        ``key=value`` texts, values as TOML: a list of levels, or ``{low = .., high = ..}``.
    design
        None: factorial.
    samples
        Points of a sampled design.

    Raises
    ------
    StudyError
        With every fault, one line each.

    >>> factors_from_options(["fleet.size=[100, 300]"], None, None).factors
    {'fleet.size': [100, 300]}
    """
    given: dict[str, Any] = {}
    faults = []
    for option in options:
        key, equals, text = (part.strip() for part in option.partition("="))
        key = _unquoted(key)
        if not equals or not key:
            faults.append(f"--factor {option}: must read key=[level, level]")
        elif key in given:
            faults.append(f"{key}: is given twice")
        else:
            try:
                given[key] = parse_value(text)
            except ValueError as error:
                faults.append(f"{key}: {error}")
    tables: dict[str, Any] = {"design": design or "factorial", "factors": given}
    if samples is not None:
        tables["samples"] = samples
    return _factors(tables, faults, Path.cwd(), "")


def _unquoted(key: str) -> str:
    """Key without the quotes around it that a factors file would have."""
    quoted = len(key) > 1 and key[0] == key[-1] and key[0] in "\"'"
    return key[1:-1] if quoted and key[0] not in key[1:-1] else key


def _factors(tables: dict[str, Any], faults: list[str], folder: Path, prefix: str) -> Factors:
    """Validate, with all faults told at once."""
    tables, nested = flattened(tables)
    faults = [*faults, *nested, *factor_faults(tables)]
    tables = with_absolute_paths(tables, folder)
    if isinstance(tables.get("factors"), dict):  # the others are told already
        tables["factors"] = {key: value for key, value in tables["factors"].items() if is_spread(value)}
    factors = None
    try:
        factors = Factors.model_validate(tables)
    except ValidationError as error:
        # places in [factors] are keys of the scenario, which need no further name
        told = [line.removeprefix("factors.") for line in sentences(error, tables, Factors)]
        faults = [*told, *faults]
    if faults or factors is None:
        raise StudyError("\n".join(f"{prefix}{fault}" for fault in dict.fromkeys(faults)))
    return factors


def _plain(value: Any) -> Any:
    if isinstance(value, Range):
        return value.model_dump()
    if isinstance(value, dict):
        return {key: _plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_plain(below) for below in value]
    return {_TOML: value.isoformat()} if isinstance(value, date | time) else value


def _value(plain: Any) -> Any:
    if isinstance(plain, dict):
        if plain.keys() == {_TOML}:
            return parse_value(plain[_TOML])
        return {key: _value(below) for key, below in plain.items()}
    return [_value(below) for below in plain] if isinstance(plain, list) else plain
