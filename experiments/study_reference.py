"""Reference of studies as Markdown: folder, tables, factors, rules, progress; from the code that makes them."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Final

from pydantic import BaseModel

from experiments.monte_carlo import folder as folder_module
from experiments.monte_carlo.analysis import sensitivity, statistics, stopping
from experiments.monte_carlo.analysis.effects import effects
from experiments.monte_carlo.contracts import Failure
from experiments.monte_carlo.design import factors as factors_module
from experiments.monte_carlo.design import points
from experiments.monte_carlo.design.cells import cells_of
from experiments.monte_carlo.design.factors import Factors, Range
from experiments.monte_carlo.table import KEYS, MACHINE
from experiments.progress import LINE_SECONDS

_INTRODUCTION: Final = """\
# Studies

What `voltwalk study` leaves and reads. How to use it: [Monte Carlo studies](../guides/monte-carlo.md).
"""

_RESULTS: Final = {
    "cell": ("int64", "setting of the factors, as numbered in `cells.toml`; 0 where nothing is varied"),
    "policy": ("string", "as named in the command"),
    "replication": ("int64", "its number, from 0: `simulation.replication` of the run"),
    "(a column per factor)": (
        "as given",
        "level of the key in this cell; what is no number or flag, as text",
    ),
    "(a column per key figure)": (
        "float64",
        "[key figures](tables.md#key-figures), as in a run's `kpis.json`",
    ),
    "wall_seconds": ("float64", "what the run took; may differ from machine to machine"),
    "peak_memory_mb": ("float64", "of the process that ran it, so far; may differ too"),
}

_SUMMARY: Final = {
    "replications": "replication numbers that have rows",
    "cells, policies, rows": "how many cells, which policies, how many rows the results have",
    "failures": "how many runs are recorded as failed",
    "asked": "replications asked for when the study last ended",
    "until, minimum": "stopping rules then, and the replications before they are looked at",
    "stopped_at": "number of replications at which all rules held; null: there is none, or they did not",
}

_FAILURE: Final = {
    "cell": "number of the cell",
    "policy": "as named in the command",
    "replication": "its number",
    "error": "one line",
    "traceback": "where it was raised, if it was",
    "has_row": "whether its figures are there: it was run again for its folder alone, which could not be kept",
}

_PROGRESS: Final = {
    "done": "replications of a cell, with all its policies, that are written; of earlier sessions too",
    "failed": "of this session",
    "total": "replications asked for, times cells",
    "per_second": "that came back in this session",
    "seconds_left": "at this rate; null before the first came back",
    "workers": "that can run at the same time; may change",
    "lost": "pieces of work that were sent again because their worker went away",
}


def study_reference() -> str:
    """Page of all that a study writes and reads.

    >>> study_reference().splitlines()[0]
    '# Studies'
    """
    return "\n".join([_INTRODUCTION, *_folder_sections(), *_table_sections(), *_input_sections()])


def _folder_sections() -> Iterable[str]:
    yield f"## The folder\n\n```text\n{_literal(folder_module)}```\n"
    yield (
        "`study.json` and `scenario.toml` are what the study is: `--resume` goes on only where scenario, seed, "
        "policies, factors, code, packages, policies' sources and input files are the same. "
        "How many replications, `--until`, `--keep` and where they run may change. Every file is whole or not "
        "there; what a killed process had not finished has a name with `.partial-` and is removed by the next one.\n"
    )


def _table_sections() -> Iterable[str]:
    yield "## results\n\nOne Parquet file per cell and replication, a row per policy:\n"
    rows = [(f"`{name}`", *_RESULTS[name]) for name in _result_columns()]
    yield _table(["column", "type", "meaning"], rows)
    for name, function in (
        ("statistics.csv", statistics.summary),
        ("differences.csv", statistics.differences),
        ("effects.csv", effects),
    ):
        yield f"## {name}\n\n{_markdown(_summary(function))}\n\n{_returns(function)}\n"
    yield f"Of design `sobol-indices`: {_markdown(_summary(sensitivity.sobol_table))}\n"
    yield f"Of design `morris`: {_markdown(_summary(sensitivity.morris_table))}\n"
    yield "## summary.json\n\n" + _table(["entry", "meaning"], _named(_SUMMARY))
    entries = {field.name: _FAILURE[field.name] for field in fields(Failure)}
    yield "## failures\n\nOne JSON file per run that failed:\n\n" + _table(
        ["entry", "meaning"], _named(entries)
    )


def _input_sections() -> Iterable[str]:
    yield f"## Factors\n\nA factors file is TOML:\n\n```text\n{_literal(factors_module)}```\n"
    yield _model_table(Factors)
    yield "A range:\n\n" + _model_table(Range)
    yield f"Designs:\n\n{_returns(cells_of)}\n"
    yield f"Of design `sobol-indices`: {_markdown(_summary(points.saltelli_points))}\n"
    yield f"Of design `morris`: {_markdown(_summary(points.morris_points))}\n"
    yield (
        "On the command line `--factor 'fleet.size=[100, 300]'` gives one factor, `--design` and `--samples` the "
        "rest. Keys are those of `--set`: `regions.*.export_limit_kw` varies all regions together.\n"
    )
    yield f"## Rules\n\n{_parameter(stopping.read_rule, 'text')}\n"
    yield (
        f"{_markdown(_summary(stopping.Rule))} All rules must hold in every cell, on replications 0 to n - 1 and "
        f"for some n from `--min-replications` on (default {stopping.MINIMUM}).\n"
    )
    yield (
        "## Progress\n\nWhere stderr is no terminal, `voltwalk study` writes JSON objects there, one per line: "
        f"at the start, at most every {LINE_SECONDS:.0f} s, and at the end. Other lines are messages for people and "
        "begin with `voltwalk:` or a warning's name. A study that has nothing left to do writes none.\n"
    )
    yield _table(["field", "meaning"], _named(_PROGRESS))


def _result_columns() -> Iterable[str]:
    """Columns in the order of the files; a new one must be explained here."""
    between = [name for name in _RESULTS if name.startswith("(")]
    return [*KEYS, *between, *MACHINE]


def _named(meanings: dict[str, str]) -> list[tuple[str, str]]:
    return [(", ".join(f"`{name}`" for name in key.split(", ")), text) for key, text in meanings.items()]


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown table.

    >>> print(_table(["a", "b"], [("1", "2")]), end="")
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    titles = list(head)
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


def _model_table(model: type[BaseModel]) -> str:
    rows = []
    for name, field in model.model_fields.items():
        default = "" if field.is_required() or not field.default else f" Default: `{field.default}`."
        rows.append((f"`{name}`", (field.description or "") + default))
    return _table(["key", "meaning"], rows)


def _literal(module: Any) -> str:
    """Literal block of a module's docstring."""
    block = re.search(r"::\n\n((?:    .*\n|\n)+)", f"{inspect.getdoc(module)}\n")
    assert block is not None
    return textwrap.dedent(block[1]).strip() + "\n"


def _summary(documented: Any) -> str:
    """Docstring up to its first section."""
    text = inspect.getdoc(documented) or ""
    return re.split(r"\n\w+\n-{4,}\n", text)[0].strip()


def _section(documented: Any, title: str) -> str:
    text = inspect.getdoc(documented) or ""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\w+\n-+\n|^>>>|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{documented} has no section {title}"
    return found[1]


def _returns(documented: Any) -> str:
    """What a docstring says of the value that is returned, without its type."""
    return _markdown(textwrap.dedent(_section(documented, "Returns").partition("\n")[2]).strip())


def _parameter(documented: Any, name: str) -> str:
    """What a docstring says of one parameter."""
    found = re.search(
        rf"^{name}\b.*\n((?:    .*\n|\n)+)", _section(documented, "Parameters") + "\n", re.MULTILINE
    )
    assert found is not None
    return _markdown(textwrap.dedent(found[1]).strip())


def _markdown(text: str) -> str:
    r"""Docstring's text as Markdown, a paragraph or an item per line.

    >>> _markdown("As for ``a``\nand :func:`b`.\n\n- one\n  more\n- two")
    'As for `a` and `b`.\n\n- one more\n- two'
    """
    text = re.sub(r":\w+:`([^`]+)`", r"`\1`", text.replace("``", "`"))
    text = re.sub(r"see `(?:sensitivity|points)`", "see below", text)
    return re.sub(r"(?<!\n)\n(?!\n|- )\s*", " ", text)
