"""Waits for a charger, as they happened."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np
import pyarrow as pa

from agents.recording import RowLog
from agents.tables import named
from sim.clock import NEVER_S
from sim.scenario import Scenario


class Ending(IntEnum):
    """How a wait for a charger ended."""

    PLUGGED = 0
    LEFT = 1
    BALKED = 2
    WAITING = 3


_WORDS: Final = tuple(ending.name.lower() for ending in Ending)


class QueueLog:
    """Writes down each wait: its car and region, when it began and ended, and how.

    Parameters
    ----------
    n
        Number of cars.
    """

    def __init__(self, n: int) -> None:
        self._since_s = np.full(n, NEVER_S, dtype=np.int64)
        self._region = np.full(n, -1, dtype=np.int64)
        self._log = RowLog((np.int64, np.int64, np.int64, np.int64, np.int64))

    def begin(self, car: int, region: int, now_s: int) -> None:
        """Let a car wait from now on, unless it waits already."""
        if self._since_s[car] == NEVER_S:
            self._since_s[car], self._region[car] = now_s, region

    def end(self, car: int, now_s: int, ending: Ending) -> None:
        """End a car's wait, if it has one; that it found a free charger at once is not worth a row."""
        since_s = self._since_s.item(car)
        if since_s == NEVER_S:
            return
        self._since_s[car] = NEVER_S
        if ending != Ending.PLUGGED or now_s > since_s:
            self._log.append((car, self._region.item(car), since_s, now_s, int(ending)))

    def columns(self, scenario: Scenario, end_s: int) -> dict[str, Any]:
        """Columns of ``queue.parquet``; who waits still does so until the end."""
        for car in np.flatnonzero(self._since_s < end_s).tolist():
            self.end(car, end_s, Ending.WAITING)
        cars, region, join_s, until_s, ending = self._log.columns()
        order = np.lexsort((cars, join_s))
        return {
            "vehicle_id": cars[order],
            "region": named(region[order], scenario.region_names, absent=None),
            "join_s": join_s[order],
            "end_s": until_s[order],
            "outcome": pa.array([_WORDS[code] for code in ending[order].tolist()], pa.string()),
        }
