"""Instants of time series: wall clocks of any zone, UTC, and the scenario's clock.

The scenario's clock is its zone's standard time, all year. Series may be stamped with the wall time of any
IANA zone (with its daylight saving jumps), with UTC, or with clock hours that are not converted (zone
``scenario``).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from sim.arrays import BoolArray, IntArray
from sim.clock import DAY_S

SCENARIO_ZONE: Final = "scenario"
_EPOCH: Final = datetime(1970, 1, 1)
_MONTH_BEGINS: Final = np.cumsum([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30])


def zone_fault(zone: str) -> str | None:
    """Say what is wrong with a zone's name; none when it is known.

    >>> zone_fault("Europe/Berlin") is None
    True
    >>> zone_fault("Europe/Berlinn")
    "no time zone is called 'Europe/Berlinn' (IANA names such as Europe/Berlin, or UTC)"
    """
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f"no time zone is called {zone!r} (IANA names such as Europe/Berlin, or UTC)"
    return None


def standard_offset_s(zone: str, day: date) -> int:
    """Seconds by which a zone's standard time is ahead of UTC, daylight saving left out.

    >>> standard_offset_s("Europe/Berlin", date(2016, 7, 20))
    3600
    >>> standard_offset_s("Etc/GMT+5", date(2016, 1, 1))
    -18000
    """
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone))
    offset, saving = noon.utcoffset(), noon.dst()
    return int(((offset or timedelta()) - (saving or timedelta())).total_seconds())


def epoch_s(day: date) -> int:
    """Seconds from 1970 to the beginning of a day, in that day's own clock.

    >>> epoch_s(date(1970, 1, 2))
    86400
    """
    return (day - _EPOCH.date()).days * DAY_S


def instant_label(instant_s: int) -> str:
    """Readable instant of a clock that counts seconds from 1970.

    >>> instant_label(86_400 + 900)
    '1970-01-02 00:15'
    """
    moment = _EPOCH + timedelta(seconds=instant_s)
    return moment.isoformat(sep=" ", timespec="seconds" if instant_s % 60 else "minutes")


def wall_to_utc(wall_s: IntArray, zone: str) -> tuple[IntArray, BoolArray]:
    """UTC of wall-clock stamps, in the file's order.

    A wall time that comes twice in autumn is daylight time where the file shows it first and standard time
    where it shows it again.

    Parameters
    ----------
    wall_s : ndarray of int, shape (n,)
        Seconds from 1970 on the zone's wall clock.
    zone
        IANA name.

    Returns
    -------
    utc_s : ndarray of int, shape (n,)
    exists : ndarray of bool, shape (n,)
        False where the wall clock skipped the instant in spring.

    >>> spring = np.array([epoch_s(date(2016, 3, 27)) + 9000])  # 02:30
    >>> wall_to_utc(spring, "Europe/Berlin")[1].tolist()
    [False]
    """
    info = ZoneInfo(zone)
    days, day_of_row = np.unique(wall_s // DAY_S, return_inverse=True)
    before = np.array([_offset_s(info, int(day) * DAY_S) for day in days], dtype=np.int64)
    after = np.array([_offset_s(info, (int(day) + 1) * DAY_S) for day in days], dtype=np.int64)
    utc_s = wall_s - before[day_of_row]
    exists = np.ones(len(wall_s), dtype=np.bool_)
    seen: set[int] = set()
    for row in np.flatnonzero((before != after)[day_of_row]):  # a few days a year
        wall = int(wall_s[row])
        utc_s[row] = wall - _offset_s(info, wall, fold=int(wall in seen))
        seen.add(wall)
        exists[row] = utc_s[row] + _utc_offset_s(info, int(utc_s[row])) == wall
    return utc_s, exists


@lru_cache(maxsize=8192)
def _offset_s(info: ZoneInfo, wall_s: int, fold: int = 0) -> int:
    moment = (_EPOCH + timedelta(seconds=wall_s)).replace(tzinfo=info, fold=fold)
    return int((moment.utcoffset() or timedelta()).total_seconds())


def _utc_offset_s(info: ZoneInfo, utc_s: int) -> int:
    moment = (_EPOCH + timedelta(seconds=utc_s)).replace(tzinfo=ZoneInfo("UTC")).astimezone(info)
    return int((moment.utcoffset() or timedelta()).total_seconds())


def second_of_year(instant_s: IntArray) -> IntArray:
    """Seconds since 1 January 00:00, counted in a year that has a 29 February.

    >>> march = epoch_s(date(2015, 3, 1)), epoch_s(date(2016, 3, 1))
    >>> (second_of_year(np.array(march)) // 86_400).tolist()
    [60, 60]
    """
    days = (instant_s // DAY_S).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    day_of_month = (days - months).astype(np.int64)
    day_of_year = _MONTH_BEGINS[months.astype(np.int64) % 12] + day_of_month
    return np.asarray(day_of_year * DAY_S + instant_s % DAY_S, dtype=np.int64)
