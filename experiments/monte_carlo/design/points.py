"""Points at which indices of Sobol and of Morris ask for the model, in the unit cube."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any, Final

import numpy as np
from scipy.stats import qmc

from sim.arrays import FloatArray
from sim.errors import StudyError

MORRIS_LEVELS: Final = 4
"""Grid levels of a Morris design; a step crosses p / (2 (p - 1)) = 2/3 of a range (Morris 1991)."""


def saltelli_points(n_factors: int, n_samples: int, rng: np.random.Generator) -> FloatArray:
    """Points A, then B, then A with column i of B for each factor i (Saltelli et al. 2010, section 5).

    A and B are the two halves of one scrambled Sobol sequence in twice the dimensions.

    Returns
    -------
    ndarray, shape (n_samples (n_factors + 2), n_factors)

    >>> saltelli_points(3, 4, np.random.default_rng(1)).shape
    (20, 3)
    """
    both = np.asarray(qmc.Sobol(d=2 * n_factors, scramble=True, rng=rng).random(n_samples))
    a, b = both[:, :n_factors], both[:, n_factors:]
    pages = [np.where(np.arange(n_factors) == factor, b, a) for factor in range(n_factors)]
    return np.concatenate([a, b, *pages])


def morris_points(n_factors: int, n_trajectories: int, rng: np.random.Generator) -> FloatArray:
    """Trajectories that move one factor at a time, by 2/3 of its range (Morris 1991), drawn by SALib.

    Returns
    -------
    ndarray, shape (n_trajectories (n_factors + 1), n_factors)

    Raises
    ------
    StudyError
        When SALib is not installed.
    """
    sample = salib("SALib.sample.morris").sample
    points = sample(unit_problem(n_factors), n_trajectories, num_levels=MORRIS_LEVELS, seed=rng)
    return np.asarray(points, dtype=np.float64)


def unit_problem(n_factors: int) -> dict[str, Any]:
    """What SALib calls a problem: factors between 0 and 1."""
    return {
        "num_vars": n_factors,
        "names": [f"x{index}" for index in range(n_factors)],
        "bounds": [[0.0, 1.0]] * n_factors,
    }


def salib(module: str) -> ModuleType:
    """Return a module of SALib, which only design morris needs.

    Raises
    ------
    StudyError
        When it is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise StudyError(
            "design morris needs SALib, which is not installed: pip install 'voltwalk[sensitivity]'"
        ) from None
