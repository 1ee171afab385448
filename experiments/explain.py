"""Why a car charged, gave back or waited at a time: from what the run recorded, in plain sentences."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from experiments import explain_rules as rules
from experiments import explain_words as words
from experiments.car_day import car_day
from experiments.explain_facts import Book, CarBook, StepFacts, open_book, step_facts
from experiments.reading import Run, read_run
from sim.clock import DAY_S, STEP_S, label
from sim.errors import RunFolderError, VoltwalkError

FALLBACK: Final = "fallback:"
FALLBACKS: Final = {"charge": "cars charge at full power", "idle": "cars charge only as much as they must"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """Sentences about one car in one step, and the numbers behind them."""

    vehicle_id: int
    step_start_s: int
    sentences: tuple[str, ...]
    check: str = ""  # the sum of the value in the battery, where there is one
    numbers: dict[str, float | int | str | None] = field(default_factory=dict)


def explain(run: str | Path | Run, vehicle_id: int, time: str | int) -> Explanation:
    """Explain what a car did at a time.

    Parameters
    ----------
    run
        The folder, or a run already open.
    vehicle_id
        The car.
    time
        ``HH:MM``, ``D+HH:MM`` (day D of the run, from 0), an ISO date and time, or seconds since the start.

    Raises
    ------
    VoltwalkError
        When the folder is not a run, or the car or the time is not in it.
    """
    opened = read_run(run)
    instant_s = time if isinstance(time, int) else instant_of(opened, time)
    end_s = opened.days * DAY_S
    if not 0 <= instant_s < end_s:
        raise RunFolderError(
            f"{opened.path}: {label(instant_s)} is not in the run, which lasts to {label(end_s)}"
        )
    car_day(opened, vehicle_id)  # refuses a car that is not there
    book = open_book(opened, [vehicle_id])
    return explain_at(book, book.cars[vehicle_id], instant_s)


def instant_of(run: Run, text: str) -> int:
    """Seconds since the run's start of a time as a person writes it.

    Raises
    ------
    VoltwalkError
        When it is none of the three forms.
    """
    day_text, plus, clock = text.rpartition("+")
    start = date.fromisoformat(str(run.scenario["simulation"]["start"]))
    try:
        if len(text) > len("0000-00-00") and text[4:5] == "-":
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                raise ValueError("zone")
            return int((moment - datetime(start.year, start.month, start.day)).total_seconds())  # noqa: DTZ001
        hours, minutes, *seconds = (int(part) for part in clock.split(":"))
        if (
            not (0 <= hours < 24 and 0 <= minutes < 60 and all(0 <= s < 60 for s in seconds))
            or len(seconds) > 1
        ):
            raise ValueError(text)
        return (int(day_text) if plus else 0) * DAY_S + hours * 3600 + minutes * 60 + sum(seconds)
    except ValueError:
        raise VoltwalkError(
            f"time {text!r}: write HH:MM, D+HH:MM (day D of the run, from 0) or {start.isoformat()}T08:15 in the "
            "run's own clock, without a zone"
        ) from None


def explain_at(book: Book, car: CarBook, instant_s: int) -> Explanation:
    """Explain the step that holds an instant; see `explain`."""
    step_s = instant_s // STEP_S * STEP_S
    facts = step_facts(car, step_s)
    vehicle_id = int(car.vehicle.vehicle_id)
    if facts is None:
        sentences = tuple(_elsewhere(car, instant_s, step_s))
        return Explanation(vehicle_id=vehicle_id, step_start_s=step_s, sentences=sentences)
    row = car.marginals.get(step_s)
    if row is None or row.terminal_value_per_kwh is None:
        return _by_rule(book, car, facts)
    return _by_prices(book, car, facts, row)


def _by_prices(book: Book, car: CarBook, facts: StepFacts, row: Any) -> Explanation:
    sentences = [
        *words.decided_and_done(facts, row.set_point_kw),
        words.of_the_reason(book, car, facts, row),
        *words.of_the_bus(book, facts),
        *words.of_the_battery(row, book.currency),
        *words.of_the_margins(book, car, facts, row),
        *words.of_later(facts, row),
        *words.of_the_departure(book, facts, row),
        *words.of_doubt(row),
    ]
    parts = (row.terminal_value_per_kwh, row.requirement_duals_per_kwh, row.full_duals_per_kwh)
    charging, giving = words.margins(book, car, facts, row)
    return Explanation(
        vehicle_id=int(car.vehicle.vehicle_id),
        step_start_s=facts.step_s,
        sentences=tuple(sentences),
        check=f"{parts[0]:.6f} + {parts[1]:.6f} - {parts[2]:.6f} = {parts[0] + parts[1] - parts[2]:.6f}, "
        f"recorded {row.marginal_value_per_kwh:.6f}",
        numbers={
            **_of_facts(facts),
            "bus_value_per_kwh": book.bus[facts.step_s, facts.region].marginal_value_per_kwh,
            **{
                name: getattr(row, name) for name in row._fields if name not in ("step_start_s", "vehicle_id")
            },
            "charging_margin_per_kwh": charging,
            "discharging_margin_per_kwh": giving,
        },
    )


def _by_rule(book: Book, car: CarBook, facts: StepFacts) -> Explanation:
    status = book.status.get(facts.step_s, "none")
    if status.startswith(FALLBACK):
        name = status.removeprefix(FALLBACK)
        rule = f"The program had no usable answer; the scenario's fallback {name} decided: {FALLBACKS.get(name, name)}."
    elif book.policy == "rolling" and not book.is_own_policy:
        rule = f"The decision of {label(facts.step_s)} recorded no prices for this car; these are the facts."
    else:
        rule = rules.of_the_rule(book)
    sentences = [*words.decided_and_done(facts, None), rule, *rules.of_the_facts(book, facts)]
    return Explanation(
        vehicle_id=int(car.vehicle.vehicle_id),
        step_start_s=facts.step_s,
        sentences=tuple(sentences),
        numbers=_of_facts(facts),
    )


def _of_facts(facts: StepFacts) -> dict[str, float | int | str | None]:
    return {
        "region": facts.region,
        "power_kw": facts.power_kw,
        "energy_start_kwh": facts.energy_start_kwh,
        "energy_end_kwh": facts.energy_end_kwh,
        "departure_s": None if facts.departure is None else facts.departure.planned_depart_s,
        "declared_departure_s": None if facts.departure is None else facts.departure.declared_depart_s,
        "required_kwh": None if facts.departure is None else facts.departure.required_kwh,
    }


def _elsewhere(car: CarBook, instant_s: int, step_s: int) -> list[str]:
    """Where a car was that no decision reached."""
    row = car.at(instant_s)
    span = f"from {words.minute(row.start_s)} to {words.minute(row.end_s)}"
    if row.activity == "driving":
        trip = next((t for t in car.trips if t.depart_s is not None and t.depart_s == row.start_s), None)
        way = "" if trip is None else f" to {trip.destination}"
        return [f"It was driving{way}, {span}; there was nothing to decide."]
    if row.activity == "away":
        return [f"It was away from all regions, {span}; there was nothing to decide."]
    if not row.plugged:
        where = f"It was parked at {row.region} but not plugged in, {span}"
        return [f"{where}; it could neither charge nor give back."]
    return [
        f"It plugged in at {row.region} at {words.minute(row.start_s)}, after the decision of "
        f"{label(step_s)}; the next one, at {label(step_s + STEP_S)}, counts it in. Until then its power is "
        f"{row.power_kw:.2f} kW."
    ]


def print_explanation(
    run: str | Path | Run, vehicle_id: int, time: str, *, as_json: bool = False, console: Console
) -> None:
    """Print an explanation, or with ``as_json`` its numbers and sentences as one JSON object.

    Raises
    ------
    VoltwalkError
        As `explain`.
    """
    made = explain(run, vehicle_id, time)
    if as_json:
        told = {
            "vehicle_id": made.vehicle_id,
            "step_start_s": made.step_start_s,
            "sentences": made.sentences,
            **made.numbers,
        }
        console.file.write(json.dumps(told, indent=1) + "\n")
        return
    for sentence in made.sentences:
        console.print(sentence, highlight=False, markup=False)
    if made.check:
        console.print(f"Check: {made.check}.", highlight=False, markup=False)
