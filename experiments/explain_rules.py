"""Sentences about decisions of policies without prices of their own: the rule, and the facts that made it act."""

from __future__ import annotations

from typing import Final

import numpy as np

from experiments.explain_facts import Book, StepFacts
from experiments.explain_words import next_departure
from sim.clock import STEP_S, label

RULES: Final = {
    "uncontrolled": "Rule uncontrolled: charge at full power from plug-in until full.",
    "own-cost": "Rule own-cost: each car alone charges where its own bill over the next 24 h is least, and never "
    "gives back.",
    "valley-first": "Rule valley-first: charge at full power while no later step of the stay, as declared and within "
    "24 h, is forecast to be cheaper; else only what later full charging could not make up for.",
    "least-laxity": "Rule least-laxity: first what later full charging could not make up for; with the power that the "
    "region's limit leaves, cars charge in the order of the time they have to spare before their declared departure.",
    "earliest-deadline": "Rule earliest-deadline: with the power that the region's limit leaves, cars charge in the "
    "order of their declared departures.",
    "first-come": "Rule first-come: with the power that the region's limit leaves, cars charge in the order in which "
    "they were plugged in.",
    "each-alone": "Plan each-alone: every region minimises its own bill at a meter of its own, as if no other were "
    "there; it records no prices of single steps.",
    "day-ahead": "Plan day-ahead: the whole run was planned once, with loads, weather and trips as they truly come; "
    "it records no prices of single steps.",
}
CHEAPER: Final = 3
"""Cheaper later steps that are named."""


def of_the_rule(book: Book) -> str:
    """The policy's rule in a sentence."""
    if book.is_own_policy:
        return f"Policy {book.policy} is one of your own and gives no reasons; these are the facts."
    return RULES.get(book.policy, f"Policy {book.policy} records no reasons; these are the facts.")


def of_the_facts(book: Book, facts: StepFacts) -> list[str]:
    """Whether it is full, what its departure needs, and the price now against those of the stay."""
    return [*_energy(book, facts), *_prices(book, facts)]


def _energy(book: Book, facts: StepFacts) -> list[str]:
    sentences = ["It is full."] if facts.is_full else []
    trip = facts.departure
    if trip is None:
        return [*sentences, "The run's tables have no later departure of this car."]
    lacks = trip.required_kwh - facts.energy_end_kwh
    state = f"{lacks:.2f} kWh are still lacking" if lacks > 0 else "it has what it needs"
    return [*sentences, *next_departure(book, trip), f"At the step's end {state}."]


def _prices(book: Book, facts: StepFacts) -> list[str]:
    prices = book.buy_price_per_kwh[facts.region]
    now = facts.step_s // STEP_S
    end = book.n_steps if facts.stay_end_s is None else -(-facts.stay_end_s // STEP_S)
    price, later = float(prices[now]), prices[now + 1 : end]
    if not len(later):
        return [f"Buying costs {price:.3f} {book.currency} a kWh in this last step of the stay."]
    cheaper = np.flatnonzero(later < price - 1e-9)
    text = (
        f"Buying costs {price:.3f} {book.currency} a kWh; in the rest of the stay {later.min():.3f} to "
        f"{later.max():.3f}, "
    )
    if not len(cheaper):
        return [text + "never less than now."]
    cheapest = cheaper[np.argsort(later[cheaper], kind="stable")][:CHEAPER]
    named = ", ".join(
        f"{label(facts.step_s + (int(k) + 1) * STEP_S)} ({later[k]:.3f})" for k in sorted(cheapest)
    )
    return [text + f"less than now in {len(cheaper)} steps, first of the cheapest {named}."]
