"""Explanations inside the report: the sentences of `voltwalk explain`, each kept once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from experiments.explain import explain_at
from experiments.explain_facts import open_book
from experiments.reading import Run
from sim.clock import DAY_S, STEP_S

MAX_DAYS: Final = 2
"""Days that are explained in the report; of longer runs the first ones."""


def explanations(run: Run, vehicle_ids: Sequence[int]) -> dict[str, Any]:
    """Collect sentences, and by car and step the numbers of those that explain it.

    Returns
    -------
    dict
        ``sentences``, ``cars`` (by car and step a list of indices into them) and ``end_s``, up to where.
    """
    end_s = min(run.days, MAX_DAYS) * DAY_S
    book = open_book(run, vehicle_ids)
    known: dict[str, int] = {}
    cars = [
        [
            [
                known.setdefault(sentence, len(known))
                for sentence in explain_at(book, book.cars[vehicle_id], step_s).sentences
            ]
            for step_s in range(0, end_s if book.cars[vehicle_id].segments else 0, STEP_S)
        ]
        for vehicle_id in vehicle_ids
    ]
    return {"sentences": list(known), "cars": cars, "end_s": end_s}
