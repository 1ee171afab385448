"""Sentences about a decision of the rolling policy, each true by itself and made of recorded numbers only."""

from __future__ import annotations

from typing import Any, Final

from experiments.explain_facts import Book, CarBook, StepFacts, planned_for_s
from sim.clock import STEP_S, label

POWER_KW: Final = 5e-4
"""Power that is none, in words."""
VALUE: Final = 5e-4
"""Value per kWh that is none, in words."""
WHY: Final = {
    "departure": "It charges for its next departures: but for them it would not pay.",
    "cheap": "It charges because a kWh stored now is worth more than it costs.",
    "dear": "It gives back because a kWh is worth more here and now than in the battery.",
    "full": "It is full.",
    "kept": "It has just what it must hold.",
    "waits": "It waits, for neither charging nor giving back pays now.",
}
"""Sentence of each word of ``marginals.reason``."""


def decided_and_done(facts: StepFacts, set_point_kw: float | None) -> list[str]:
    """What was decided, and what became of it."""
    when = f"{label(facts.step_s)}-{label(facts.step_s + STEP_S)} at {facts.region}"
    power = f"{abs(facts.power_kw):.2f} kW"
    done = "charged " + power if facts.power_kw > POWER_KW else "gave back " + power
    if abs(facts.power_kw) <= POWER_KW:
        done = "waited"
    energies = f"{facts.energy_start_kwh:.2f} -> {facts.energy_end_kwh:.2f} kWh"
    left = facts.plugged_until_s < facts.step_s + STEP_S
    until = f" until it left at {minute(facts.plugged_until_s)}" if left else ""
    sentences = [f"{when}: {done}{until}, {energies}."]
    if set_point_kw is not None and abs(set_point_kw - facts.power_kw) > POWER_KW:
        sentences.append(_deviation(facts, set_point_kw))
    return sentences


def _deviation(facts: StepFacts, set_point_kw: float) -> str:
    cause = "cut where the region's connection or the car's own limits could not carry it"
    if set_point_kw > 0 and facts.is_full:
        cause = "for it was full before the step's end"
    elif set_point_kw < 0 and facts.is_empty:
        cause = "for it came to its least energy before the step's end"
    return f"Decided were {set_point_kw:+.2f} kW; it became {facts.power_kw:+.2f} kW, {cause}."


def of_the_reason(book: Book, car: CarBook, facts: StepFacts, row: Any) -> str:
    """Why it charges, gives back or waits."""
    charging, giving = margins(book, car, facts, row)
    if row.reason == "waits" and max(charging, giving) > -VALUE:
        return "It waits: acting now would bring no more than waiting."
    if row.reason in ("cheap", "dear") and (charging if row.reason == "cheap" else giving) < VALUE:
        what = "charges" if row.reason == "cheap" else "gives back"
        return f"It {what}, though that brings no more than waiting would."
    return WHY.get(row.reason, f"Reason given: {row.reason or 'none'}.")


def minute(instant_s: int) -> str:
    """Instant without its seconds.

    >>> minute(29_731)
    '08:15'
    """
    return label(instant_s // 60 * 60)


def of_the_bus(book: Book, facts: StepFacts) -> list[str]:
    """What a kWh is worth in the car's region."""
    row = book.bus[facts.step_s, facts.region]
    value, unit = row.marginal_value_per_kwh, book.currency
    price = float(book.buy_price_per_kwh[facts.region][facts.step_s // STEP_S])
    why = "the buying price" if abs(value - price) <= VALUE else f"while buying costs {price:.3f}"
    if why != "the buying price" and abs(row.set_point_kw or 0.0) <= POWER_KW:
        why += " and nothing is bought or sold there"
    sentences = [f"A kWh at the bus of {facts.region} is worth {value:.3f} {unit} now, {why}."]
    if why != "the buying price" and book.foresees_prices:
        sentences.append("The plan went by prices that it foresaw, not by those that came.")
    if row.binding_limit:
        worth = ""
        if row.limit_worth_per_kw and row.binding_limit.endswith("port limit"):
            worth = f"; one more kW of it for this step would be worth {row.limit_worth_per_kw:.3f} {unit}"
        sentences.append(f"What binds there: {row.binding_limit}{worth}.")
    return sentences


def of_the_battery(row: Any, currency: str) -> list[str]:
    """What a kWh in the battery is worth, and the sum behind it."""
    parts = f"{row.terminal_value_per_kwh:.3f} for what is left in the end"
    if row.requirement_duals_per_kwh > VALUE:
        parts += f" + {row.requirement_duals_per_kwh:.3f} for energy it must hold"
    if row.full_duals_per_kwh > VALUE:
        parts += f" - {row.full_duals_per_kwh:.3f} for being full"
    alone = "" if " + " in parts or " - " in parts else ", and nothing else"
    sentences = [f"In the battery it is worth {row.marginal_value_per_kwh:.3f}: {parts}{alone}."]
    if row.full_s is not None:
        sentences.append(f"It would be full, at a price, at {label(row.full_s)}.")
    return sentences


def margins(book: Book, car: CarBook, facts: StepFacts, row: Any) -> tuple[float, float]:
    """What a kWh more at the bus brings when charged, and when given back."""
    bus = book.bus[facts.step_s, facts.region].marginal_value_per_kwh
    value, vehicle = row.marginal_value_per_kwh, car.vehicle
    charging = vehicle.charge_efficiency * value - bus
    return charging, bus - book.wear_per_kwh - value / vehicle.discharge_efficiency


def of_the_margins(book: Book, car: CarBook, facts: StepFacts, row: Any) -> list[str]:
    """What the action brings per kWh, and what a kW more of its limit would."""
    bus = book.bus[facts.step_s, facts.region].marginal_value_per_kwh
    value, vehicle, unit = row.marginal_value_per_kwh, car.vehicle, book.currency
    charging, giving = margins(book, car, facts, row)
    charge = f"{value:.3f} x {vehicle.charge_efficiency:g} - {bus:.3f} = {charging:+.3f}"
    give = f"{bus:.3f} - {book.wear_per_kwh:.3f} wear - {value:.3f} / {vehicle.discharge_efficiency:g} = {giving:+.3f}"
    can_give = vehicle.discharge_limit_kw > 0
    if row.set_point_kw > POWER_KW:
        text = f"A kWh charged brings {charge} {unit}"
    elif row.set_point_kw < -POWER_KW:
        text = f"A kWh given back brings {give} {unit}"
    else:
        text = f"A kWh charged would bring {charge} {unit}" + (f", one given back {give}" if can_give else "")
    sentences = [text + "."]
    if row.binding_limit in ("charge limit", "discharge limit") and abs(row.set_point_kw) > POWER_KW:
        worth = row.limit_worth_per_kw
        much = f"one more kW for this quarter of an hour would be worth {worth:.3f} {unit}"
        little = "more of it would be worth nothing now"
        sentences.append(f"It is at its {row.binding_limit}: {much if worth > VALUE else little}.")
    return sentences


def of_the_departure(book: Book, facts: StepFacts, row: Any) -> list[str]:
    """The departure ahead, what it needs, and the price of that need."""
    trip = facts.departure
    if trip is None:
        return ["The run's tables have no later departure of this car."]
    said, planned_s = next_departure(book, trip), planned_for_s(book, trip, facts.step_s)
    if row.requirement_duals_per_kwh <= VALUE:
        return [*said, "That need has no price now."]
    if planned_s is None:
        return [*said, "What it must hold has a price now."]
    dearest_s = row.dearest_departure_s
    if dearest_s is None:
        return [*said, "Dearer than that need is the least energy it must hold at any time."]
    if row.protected_departure_s is not None and abs(row.protected_departure_s - planned_s) < STEP_S:
        worth = f"{row.departure_dual_per_kwh:.3f} {book.currency}"
        said.append(f"A kWh less needed there would save {worth}.")
    if abs(dearest_s - planned_s) >= STEP_S:
        said.append(f"The dearest need is that of the departure at {minute(dearest_s)}.")
    return said


def next_departure(book: Book, trip: Any) -> list[str]:
    """When a car leaves next, for where and with what, and what its driver had said of it."""
    leaves = minute(trip.planned_depart_s)
    to = f"Next departure at {leaves} to {trip.destination}, needing {trip.required_kwh:.2f} kWh"
    if book.knows_trips or trip.declared_depart_s == trip.planned_depart_s:
        taken = ""
        if book.departure_margin_s:
            taken = f"; it is taken to be {book.departure_margin_s / 60:g} min earlier"
        return [f"{to}{taken}."]
    if trip.declared_depart_s is None:
        wanted = f"{100 * book.undeclared_soc:.0f} % of the battery was wanted as soon as possible"
        return [f"{to}; no departure was declared, so {wanted}."]
    taken = (
        f" and taken to be {book.departure_margin_s / 60:g} min earlier" if book.departure_margin_s else ""
    )
    return [f"{to}; it was declared for {minute(trip.declared_depart_s)}{taken}, and that is what counted."]


def of_later(facts: StepFacts, row: Any) -> list[str]:
    """Best later step of the stay for the same action."""
    if row.best_later_step_s is None or abs(row.set_point_kw) <= POWER_KW:
        return []
    what = "charge" if row.set_point_kw > 0 else "give back"
    when, value = label(row.best_later_step_s), row.best_later_value_per_kwh
    return [f"The best later time of this stay to {what} is {when}, at {value:.3f} a kWh."]


def of_doubt(row: Any) -> list[str]:
    """Whose numbers these are, and whether they are the only ones."""
    sentences = {
        "value": ["For a kWh more and for one less the value may differ: one of the two is given."],
        "plan": ["Another plan costs the same: this power is one of several."],
        "value and plan": [
            "Another plan costs the same, and for a kWh more and one less the value may differ."
        ],
    }.get(row.ambiguous, [])
    if row.program == "two-stage":
        return [*sentences, "The numbers are means over the paths that the forecast holds possible."]
    if row.program != "relaxation":
        with_ways = "one way" in row.program
        off = "turbines are off" if "turbines off" in row.program else ""
        ways = "no unit charges and discharges at once" if with_ways else ""
        sentences = [
            *sentences,
            f"The numbers are of the plan that is executed, in which {' and '.join(filter(None, (off, ways)))}.",
        ]
    return sentences
