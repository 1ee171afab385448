"""The report of a study: one HTML file that opens offline, for people who must defend the numbers."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from experiments.atomic import write_whole
from experiments.monte_carlo.analysis.statistics import slowest, strangest
from experiments.monte_carlo.analysis.stopping import Rule, read_rule
from experiments.monte_carlo.contracts import Cell
from experiments.monte_carlo.reading import Study, read_study
from experiments.monte_carlo.report.data import study_data
from experiments.page import figure_words, render_page
from experiments.reading import records
from experiments.tables import readable
from sim.errors import StudyError

MAX_FAILURES: Final = 200
"""Failed replications that the page lists."""
MAX_ODD: Final = 10
"""Slowest and strangest replications that it lists."""
NAMED: Final = 12
"""Replication numbers that a sentence names."""


def write_report(study: str | Path | Study) -> Path:
    """Write ``study.html`` of a study again, from its rows.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StudyError
        When the folder is not a study's, or the file cannot be written.
    """
    opened = read_study(study)
    file, text = opened.path / "study.html", render_study_report(opened)
    try:
        write_whole(file, text.encode())
    except OSError as error:
        raise StudyError(f"{file}: {error.strerror or error}") from error
    return file


def render_study_report(study: Study) -> str:
    """Text of the report; the same for the same folder.

    Parameters
    ----------
    study
        A study, whole or not: what is missing is told on the page.
    """
    scenario = tomllib.loads(study.folder.identity.scenario_toml)
    ending = _ending(study.path / "summary.json")
    rules = [read_rule(text, study.policies, study.currency) for text in ending.get("until", [])]
    complete = complete_replications(study)
    words = {word["name"]: word for word in figure_words(study.currency)}
    data = study_data(study)
    return render_page(
        "study.html.j2",
        has_effects=data["effects"] is not None,
        data={**data, "rules": _rules(rules, study.policies), "minimum": ending.get("minimum")},
        script="study.js",
        study=study,
        scenario=scenario,
        ending=ending,
        rules=rules,
        figures=list(words.values()),
        n_rows=len(study.results),
        n_complete=len(complete),
        incomplete=_named(sorted(set(study.results["replication"]) - set(complete))),
        is_short=len(complete) < _expected(ending),
        n_expected=_expected(ending),
        design=_design(study),
        n_failures=len(study.failures),
        failures=_failures(study),
        slowest=_slowest(study),
        chief=words[rules[0].figure if rules else next(iter(words))],
        strangest=_strangest(study, words, study.figures),
        farthest=_strangest(study, words, [rules[0].figure if rules else next(iter(words))]),
    )


def complete_replications(study: Study) -> list[int]:
    """Numbers of the replications of which every cell and policy has a row."""
    sizes = study.results.groupby("replication").size()
    return [int(number) for number in sizes.index[sizes == len(study.cells) * len(study.policies)]]


def _ending(file: Path) -> dict[str, Any]:
    """What ``summary.json`` says of the study's end; nothing while there is none."""
    try:
        summary: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise StudyError(f"{file}: is damaged ({error})") from error
    return summary


def _expected(ending: dict[str, Any]) -> int:
    """Replications that the study should have: as many as it was stopped at, or asked for."""
    return int(ending.get("stopped_at") or ending.get("asked") or 0)


def _rules(rules: Iterable[Rule], policies: Sequence[str]) -> list[dict[str, Any]]:
    """Rules as the convergence chart draws them: by figure and series' label."""
    found = []
    for rule in rules:
        for policy in policies if rule.policy is None else (rule.policy,):
            found.append(
                {
                    "figure": rule.figure,
                    "policy": policy,
                    "minus": rule.minus,
                    "width": rule.width,
                    "relative": rule.unit == "%",
                    "text": str(rule),
                }
            )
    return found


def _design(study: Study) -> str:
    """Words for what is varied."""
    n_cells = len(study.cells)
    if study.factors is None:
        return "1 cell (nothing is varied)"
    keys = ", ".join(study.cells[0].levels)
    return f"{n_cells} cell{'' if n_cells == 1 else 's'}, {study.factors.design} in {keys}"


def _failures(study: Study) -> list[dict[str, Any]]:
    return [
        {**_place(study, row), "error": row.error, "command": _command(study, row)}
        for row in records(study.failures.head(MAX_FAILURES))
    ]


def _slowest(study: Study) -> list[dict[str, Any]]:
    rows = records(slowest(study.results, MAX_ODD))
    return [
        {**_place(study, row), "seconds": f"{row.wall_seconds:,.2f}", "command": _command(study, row)}
        for row in rows
    ]


def _strangest(
    study: Study, words: dict[str, dict[str, str]], figures: Sequence[str]
) -> list[dict[str, Any]]:
    rows = records(strangest(study.results, figures, MAX_ODD))
    return [
        {
            **_place(study, row),
            "figure": words[row.figure],
            "value": _number(row.value),
            "median": _number(row.median),
            "score": _number(row.z),
            "command": _command(study, row),
        }
        for row in rows
    ]


def _place(study: Study, row: Any) -> dict[str, Any]:
    cell = study.cells[row.cell]
    return {
        "replication": row.replication,
        "policy": row.policy,
        "cell": row.cell,
        "levels": _levels(cell),
    }


def _levels(cell: Cell) -> str:
    return ", ".join(f"{key} = {level}" for key, level in cell.levels.items())


def _command(study: Study, row: Any) -> str:
    return study.replay_command(row.replication, row.cell, row.policy)


def _number(value: float) -> str:
    return readable(value) if pd.notna(value) and abs(value) != float("inf") else str(value)


def _named(numbers: Sequence[int]) -> str:
    """Numbers as a sentence lists them.

    >>> _named([3, 5]), _named(range(100))
    ('3, 5', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 88 more')
    """
    more = len(numbers) - NAMED
    return ", ".join(str(number) for number in numbers[:NAMED]) + (f" and {more} more" if more > 0 else "")
