"""Array types, and dataclasses whose arrays cannot be written to."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def freeze(value: Any) -> None:
    """Replace the arrays of a frozen dataclass by read-only copies (for use in ``__post_init__``)."""
    if not is_dataclass(value):
        raise TypeError(f"freeze: {type(value).__name__} is not a dataclass")
    for item in fields(value):
        array = getattr(value, item.name)
        if isinstance(array, np.ndarray):
            copy = array.copy()
            copy.setflags(write=False)
            object.__setattr__(value, item.name, copy)
