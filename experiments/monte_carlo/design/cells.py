"""From factors to the cells of a study: pure, and the same for the same factors, scenario and seed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from scipy.stats import qmc

from experiments.monte_carlo.contracts import Cell, Level
from experiments.monte_carlo.design.factors import Factors, Range, check_factors
from experiments.monte_carlo.design.points import morris_points, saltelli_points
from experiments.monte_carlo.settings import setting
from sim.arrays import FloatArray
from sim.errors import StudyError
from sim.randomness import Stream, generator
from sim.scenario import Scenario
from sim.scenario_tables import entry_places

MAX_CELLS: Final = 100_000
"""More is a mistake, and would take minutes to write down."""

_ENTITY: Final = {"latin-hypercube": 0, "sobol": 1, "sobol-indices": 2, "morris": 3}


def cells_of(factors: Factors | None, base: Scenario) -> tuple[Cell, ...]:
    """Cells of a study, numbered from 0; a single one without levels when nothing is varied.

    Parameters
    ----------
    factors
        What varies, and by which design.
    base
        The scenario as it is: its values begin a one-at-a-time design, its seed draws sampled ones.

    Returns
    -------
    tuple of Cell
        ``factorial``: all combinations, the last factor fastest. ``one-at-a-time``: cell 0 is the scenario as it
        is; then each level that differs from it, alone. ``list``: as given. ``latin-hypercube``, ``sobol``: points
        of a Latin hypercube (McKay, Beckman and Conover 1979) or of a scrambled Sobol sequence (Owen 1998).
        ``sobol-indices``, ``morris``: see ``points``.

    Raises
    ------
    StudyError
        When the factors have faults, make too many cells, or one-at-a-time finds no single value to begin with.
    ScenarioError
        When it finds none because the scenario has no such key.
    """
    if factors is None:
        return (Cell(index=0),)
    check_factors(factors)
    if (n_cells := _n_cells(factors)) > MAX_CELLS:
        raise StudyError(f"the design has {n_cells:,} cells; at most {MAX_CELLS:,} are taken")
    settings = _DESIGNS[factors.design](factors, base)
    return tuple(Cell(index=index, levels=levels) for index, levels in enumerate(settings))


def unit_points(factors: Factors, seed: int) -> FloatArray:
    """Points of a sampled design in the unit cube.

    Returns
    -------
    ndarray, shape (n_cells, n_factors)
        Fractions of each factor's range, in [0, 1].
    """
    assert factors.samples is not None  # of every sampled design
    n_factors, n_samples = len(factors.factors), factors.samples
    rng = generator(seed, 0, Stream.DESIGN, _ENTITY[factors.design], -1)
    if factors.design == "latin-hypercube":
        return np.asarray(qmc.LatinHypercube(d=n_factors, rng=rng).random(n_samples))
    if factors.design == "sobol":
        return np.asarray(qmc.Sobol(d=n_factors, scramble=True, rng=rng).random(n_samples))
    if factors.design == "sobol-indices":
        return saltelli_points(n_factors, n_samples, rng)
    return morris_points(n_factors, n_samples, rng)


def base_value(base: Scenario, key: str) -> Level:
    """Value that the scenario has for a key; of a key that means several entries, the value that all have.

    Raises
    ------
    StudyError
        When it has none, or several that differ.
    """
    tables = base.model_dump(exclude_none=True)
    try:
        found = [_value_at(tables, place) for place in entry_places(tables, key)]
    except LookupError as error:
        raise StudyError(f"{key}: {error.args[0]}") from None
    given = [value for value in found if value is not None]
    if not given or len(given) < len(found):
        raise StudyError(
            f"{key}: one-at-a-time begins with the scenario's own value, and it has none; set one in the scenario"
        )
    if any(value != given[0] for value in given):
        raise StudyError(f"{key}: one-at-a-time begins with one value, and the scenario has {_listed(given)}")
    return given[0]


def _n_cells(factors: Factors) -> int:
    """Cells of a design, at most, without making them."""
    n_factors, samples = len(factors.factors), factors.samples or 0
    if factors.design == "factorial":
        return math.prod(len(spread) for spread in factors.factors.values() if isinstance(spread, list))
    of_each = {"latin-hypercube": 1, "sobol": 1, "sobol-indices": n_factors + 2, "morris": n_factors + 1}
    return samples * of_each.get(factors.design, 0)


def _factorial(factors: Factors, _: Scenario) -> list[Mapping[str, Level]]:
    levels = [spread for spread in factors.factors.values() if isinstance(spread, list)]
    return [dict(zip(factors.factors, chosen, strict=True)) for chosen in itertools.product(*levels)]


def _list(factors: Factors, _: Scenario) -> list[Mapping[str, Level]]:
    return [{key: cell[key] for key in factors.keys} for cell in factors.cells]


def _one_at_a_time(factors: Factors, base: Scenario) -> list[Mapping[str, Level]]:
    own = _own_values(factors, base)
    cells: list[Mapping[str, Level]] = [own]
    for key, spread in factors.factors.items():
        if isinstance(spread, list):
            cells += [{**own, key: level} for level in spread if level != own[key]]
    return cells


def _own_values(factors: Factors, base: Scenario) -> dict[str, Level]:
    own, faults = {}, []
    for key, spread in factors.factors.items():
        try:
            own[key] = base_value(base, key)
        except StudyError as error:
            if isinstance(spread, list):
                setting(base, {key: spread[0]}, base.dispatch.policy)  # tells a misspelt key better
            faults.append(str(error))
    if faults:
        raise StudyError("\n".join(faults))
    return own


def _sampled(factors: Factors, base: Scenario) -> list[Mapping[str, Level]]:
    points = unit_points(factors, base.simulation.seed)
    spreads = factors.factors.items()
    return [
        {
            key: level_at(spread, float(fraction))
            for (key, spread), fraction in zip(spreads, point, strict=True)
        }
        for point in points
    ]


def level_at(spread: Sequence[Level] | Range, fraction: float) -> Level:
    """Level at a fraction of a factor; listed levels are equally likely classes.

    >>> [level_at(["a", "b"], fraction) for fraction in (0.0, 0.49, 0.5, 1.0)]
    ['a', 'a', 'b', 'b']
    """
    if isinstance(spread, Range):
        return spread.at(fraction)
    return spread[min(int(fraction * len(spread)), len(spread) - 1)]


def _value_at(node: Any, place: Sequence[str | int]) -> Any:
    for part in place:
        try:
            node = node[part]
        except (LookupError, TypeError):
            return None
    return node


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values)


_DESIGNS: Final[Mapping[str, Callable[[Factors, Scenario], list[Mapping[str, Level]]]]] = {
    "factorial": _factorial,
    "list": _list,
    "one-at-a-time": _one_at_a_time,
    "latin-hypercube": _sampled,
    "sobol": _sampled,
    "sobol-indices": _sampled,
    "morris": _sampled,
}
