"""Reading charging sessions: a table of arrivals, departures and energies, checked row by row.

Columns ``session_id, arrival, departure, energy_kwh``; where known ``declared_departure, declared_energy_kwh,
charger_kw, charger_id, site``. Instants are ISO datetimes; with an offset from UTC, it must be that of the file's
zone at that instant. Without a column, or where a cell is empty, nothing was declared, the class' charging limit
holds, and no two sessions are taken to share a charger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from agents.sessions import Sessions
from sim.clock import DAY_S, NEVER_S
from sim.errors import ScenarioError
from sim.scenario import Scenario, SessionFile
from sim.series_time import SCENARIO_ZONE, epoch_s, standard_offset_s
from sim.text_table import finite_number, read_text_table
from sim.trace import OPEN_AT_START, SERVED

COLUMNS: Final = ("session_id", "arrival", "departure", "energy_kwh")
OPTIONAL: Final = ("declared_departure", "declared_energy_kwh", "charger_kw", "charger_id", "site")
_TOLERANCE_KWH: Final = 1e-6
_HOUR_S: Final = 3600.0


@dataclass(slots=True, kw_only=True)
class Row:
    """One session of the file: its values, as far as they can be read, and what is wrong with it."""

    number: int  # as a text editor counts: the header is row 1
    session_id: str
    region: int
    site: str = ""
    charger_id: str = ""
    arrive_s: int = NEVER_S
    depart_s: int = NEVER_S
    energy_kwh: float = float("nan")
    declared_depart_s: int = NEVER_S
    declared_kwh: float = float("nan")
    charge_limit_kw: float = float("nan")
    faults: list[tuple[str, str]] = field(default_factory=list)
    """Kind and text of each."""

    @property
    def is_timed(self) -> bool:
        """Whether arrival and departure are known and in order."""
        return NEVER_S not in (self.arrive_s, self.depart_s) and self.arrive_s < self.depart_s


def read_sessions(scenario: Scenario, locate: Callable[[str], Path]) -> Sessions:
    """Read and check a file of sessions; return those around the run, in order of arrival.

    Those that a run cannot begin with, for they are under way at its start, are marked as such. Faulty ones are
    marked too where ``travel.sessions.faults`` is ``drop``.

    Parameters
    ----------
    scenario
        With ``travel.sessions`` and one class of cars.
    locate
        From the file as the scenario names it to its path.

    Raises
    ------
    ScenarioError
        When the file cannot be read, or with every faulty session: its row, name, value and bound.
    """
    settings = scenario.travel.sessions
    assert settings is not None
    path = locate(settings.file)
    rows = list(_rows(path, scenario, settings))
    _check(rows, scenario)
    if settings.faults == "refuse" and any(row.faults for row in rows):
        raise ScenarioError(
            f"{path.name} row {row.number}: session {row.session_id!r}: {text}"
            for row in rows
            for _, text in row.faults
        )
    last_s = (scenario.simulation.days + 1) * DAY_S
    near = [row for row in rows if row.arrive_s == NEVER_S or -DAY_S <= row.arrive_s < last_s]
    near.sort(key=lambda row: (row.arrive_s, row.number))
    return Sessions(
        session_id=tuple(row.session_id for row in near),
        status=tuple(_status(row) for row in near),
        region_index=np.array([row.region for row in near], dtype=np.int64),
        arrive_s=np.array([row.arrive_s for row in near], dtype=np.int64),
        depart_s=np.array([row.depart_s for row in near], dtype=np.int64),
        energy_kwh=np.array([row.energy_kwh for row in near]),
        declared_depart_s=np.array([row.declared_depart_s for row in near], dtype=np.int64),
        declared_kwh=np.array([row.declared_kwh for row in near]),
        charge_limit_kw=np.array([row.charge_limit_kw for row in near]),
    )


def _status(row: Row) -> str:
    if row.faults:
        return row.faults[0][0]
    is_open = row.arrive_s <= 0 <= row.depart_s or row.arrive_s == -DAY_S
    return OPEN_AT_START if is_open else SERVED


def _rows(path: Path, scenario: Scenario, settings: SessionFile) -> Iterator[Row]:
    """Sessions of the sites that the scenario names."""
    table = read_text_table(path, "travel.sessions.file", COLUMNS, OPTIONAL)
    home = scenario.travel.home
    only = next((i for i, region in enumerate(scenario.regions) if region.place_type != home), -1)
    region_of = {site: scenario.region_names.index(name) for site, name in settings.regions.items()}
    if region_of and "site" not in table:
        raise ScenarioError([f"travel.sessions.regions: {path.name} has no column 'site'"])
    unknown = sorted(set(region_of) - set(table["site"])) if region_of else []
    if unknown:
        sites = ", ".join(sorted(set(table["site"])))
        raise ScenarioError(
            f"travel.sessions.regions.{site}: {path.name} has no such site ({sites})" for site in unknown
        )
    clock = Clock(scenario, settings.zone)
    names = [str(name) for name in table.columns]
    for number, values in enumerate(table.itertuples(index=False, name=None), start=2):
        cells = dict(zip(names, values, strict=True))
        region = region_of.get(cells.get("site", "")) if region_of else only
        if region is not None:
            yield _row(number, cells, region, scenario, clock)


class Clock:
    """Instants of a file on the scenario's clock.

    Parameters
    ----------
    scenario
        Whose clock it is: seconds from its first day, in its zone's standard time.
    zone
        ``travel.sessions.zone``.
    """

    def __init__(self, scenario: Scenario, zone: str) -> None:
        start = scenario.simulation.start
        self._begin_s = epoch_s(start)
        self._offset_s = standard_offset_s(scenario.simulation.time_zone, start)
        self.zone = zone
        self._info = None if zone == SCENARIO_ZONE else ZoneInfo(zone)

    def seconds(self, text: str) -> int | tuple[str, str]:
        """Seconds since the scenario's start, or the kind and text of what is wrong."""
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return "unreadable", f"{text!r} is no ISO datetime"
        if self._info is None:
            if moment.tzinfo is not None:
                return "time zone", f"{text!r} has an offset, the clock of zone {SCENARIO_ZONE!r} has none"
            return round(moment.replace(tzinfo=UTC).timestamp()) - self._begin_s
        if moment.tzinfo is None:
            placed = moment.replace(tzinfo=self._info)
            if placed.astimezone(UTC).astimezone(self._info).replace(tzinfo=None) != moment:
                return "time zone", f"{text!r} does not exist in {self.zone}"
        else:
            placed = moment
            own = moment.astimezone(self._info).utcoffset()
            if own != moment.utcoffset():
                return "time zone", f"{text!r} is not on the clock of {self.zone} (UTC{_signed(own)} then)"
        return round(placed.timestamp()) + self._offset_s - self._begin_s


def _signed(offset: timedelta | None) -> str:
    """Offset as clocks write it.

    >>> _signed(timedelta(hours=-7)), _signed(timedelta(hours=5, minutes=30))
    ('-07:00', '+05:30')
    """
    minutes = round((offset or timedelta()).total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _row(number: int, cells: dict[str, str], region: int, scenario: Scenario, clock: Clock) -> Row:
    row = Row(
        number=number,
        session_id=cells["session_id"].strip(),
        region=region,
        site=cells.get("site", ""),
        charger_id=cells.get("charger_id", "").strip(),
        charge_limit_kw=scenario.fleet.classes[0].charge_limit_kw,
    )
    if not row.session_id:
        row.faults.append(("unreadable", "session_id is empty"))
    for name, target, needed in (
        ("arrival", "arrive_s", True),
        ("departure", "depart_s", True),
        ("declared_departure", "declared_depart_s", False),
    ):
        text = cells.get(name, "").strip()
        if text or needed:
            seconds = clock.seconds(text)
            if isinstance(seconds, int):
                setattr(row, target, seconds)
            else:
                row.faults.append((seconds[0], f"{name} {seconds[1]}"))
    for name, target, needed in (
        ("energy_kwh", "energy_kwh", True),
        ("declared_energy_kwh", "declared_kwh", False),
        ("charger_kw", "charge_limit_kw", False),
    ):
        text = cells.get(name, "").strip()
        if text or needed:
            value = finite_number(text)
            if value is None or value < 0.0 or (value == 0.0 and name != "declared_energy_kwh"):
                least = "0 or more" if name == "declared_energy_kwh" else "above 0"
                row.faults.append(("unreadable", f"{name} {text!r} is not a number {least}"))
            elif target == "charge_limit_kw":
                row.charge_limit_kw = min(value, row.charge_limit_kw)
            else:
                setattr(row, target, value)
    return row


def _check(rows: list[Row], scenario: Scenario) -> None:
    """Add to the rows what is wrong with them when seen together."""
    car = scenario.fleet.classes[0]
    room_kwh = (car.soc_max - car.initial_soc) * car.battery_kwh / car.charge_efficiency
    first: dict[tuple[str, str], Row] = {}
    for row in rows:
        before = first.setdefault((row.site, row.session_id), row)
        if before is not row:
            row.faults.append(("duplicate", f"the same session_id as row {before.number}"))
        _check_row(row, room_kwh)
    _check_chargers([row for row in rows if row.charger_id and row.is_timed and not row.faults])


def _check_row(row: Row, room_kwh: float) -> None:
    if NEVER_S not in (row.arrive_s, row.depart_s) and row.arrive_s >= row.depart_s:
        row.faults.append(("order", "departure is not after arrival"))
    if row.declared_depart_s != NEVER_S and row.declared_depart_s <= row.arrive_s < NEVER_S:
        row.faults.append(("declaration", "declared_departure is not after arrival"))
    if row.energy_kwh > room_kwh + _TOLERANCE_KWH:
        row.faults.append(
            ("battery", f"takes {row.energy_kwh:g} kWh, a battery of the class takes {room_kwh:g} kWh")
        )
    if row.is_timed:
        most_kwh = row.charge_limit_kw * (row.depart_s - row.arrive_s) / _HOUR_S
        if row.energy_kwh > most_kwh + _TOLERANCE_KWH:
            row.faults.append(
                (
                    "energy beyond the stay",
                    f"takes {row.energy_kwh:g} kWh, {row.charge_limit_kw:g} kW give {most_kwh:.3f} kWh in its stay",
                )
            )


def _check_chargers(rows: list[Row]) -> None:
    """Mark sessions that begin while another one is at the same charger."""
    rows.sort(key=lambda row: (row.site, row.charger_id, row.arrive_s, row.number))
    last: Row | None = None
    for row in rows:
        same = last is not None and (row.site, row.charger_id) == (last.site, last.charger_id)
        if same and last is not None and row.arrive_s < last.depart_s:
            row.faults.append(
                ("overlap", f"begins at charger {row.charger_id!r} while row {last.number} is there")
            )
        else:
            last = row
