"""Which replications leave their whole run folder."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sim.errors import StudyError


def kept_numbers(keep: str | int | Sequence[int], n_replications: int) -> frozenset[int]:
    """Numbers of the replications to keep.

    Parameters
    ----------
    keep
        How many, from the first; or their numbers: a sequence, or text such as ``0,5,17`` or ``10-12``.
    n_replications
        Of the study; numbers lie below it.

    Raises
    ------
    StudyError
        When it is none of these, or names a replication that the study does not have.

    >>> sorted(kept_numbers("2", 50)), sorted(kept_numbers("4,", 50)), sorted(kept_numbers("0,10-12", 50))
    ([0, 1], [4], [0, 10, 11, 12])
    """
    if isinstance(keep, int):
        ranges = [range(keep)]
        if keep < 0:
            raise StudyError(f"--keep {keep}: must be 0 or more")
    elif isinstance(keep, str):
        ranges = _parsed(keep)
    else:
        ranges = [range(number, number + 1) for number in keep]
    for numbers in ranges:  # not number by number: a mistyped range may have billions
        for end in numbers[:1], numbers[-1:]:
            if end and not 0 <= end[0] < n_replications:
                raise StudyError(
                    f"--keep {keep}: there is no replication {end[0]}; they are numbered from 0 to {n_replications - 1}"
                )
    return frozenset(number for numbers in ranges for number in numbers)


def _parsed(text: str) -> list[range]:
    if re.fullmatch(r"\s*\d+\s*", text):
        return [range(int(text))]
    ranges: list[range] = []
    for part in text.rstrip(", ").split(","):
        found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        if found is None or (found[2] is not None and int(found[2]) < int(found[1])):
            raise StudyError(
                f"--keep {text}: must be a number of replications, or numbers such as 0,5,17 or 10-12"
            )
        ranges.append(range(int(found[1]), int(found[2] or found[1]) + 1))
    return ranges
