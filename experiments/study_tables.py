"""A study's results for people's terminals; every number is in the study's folder too."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments.monte_carlo.contracts import Level
from experiments.monte_carlo.reading import Study
from experiments.monte_carlo.table import level_text
from experiments.tables import readable

HEADLINES: Final = (
    "total_cost_net_{cur}",
    "ev_bill_net_{cur}",
    "peak_import_kw",
    "curtailed_kwh",
    "ev_charged_kwh",
    "ev_discharged_kwh",
    "departure_shortfall_kwh",
    "unmet_kwh",
)
"""Key figures that are printed; all are in ``statistics.csv``."""

LISTED: Final = 20
"""Cells, and failures, that are printed."""

LARGEST: Final = 8
"""Effects that are printed of each policy."""

ESTIMATES: Final = ("mean", "95 % interval", "sd", "n")


def print_study(study: Study, console: Console) -> None:
    """Print what a study found: how far it came, means, differences, effects, failures."""
    for line in progress_lines(study):
        _say(console, line)
    for table in study_tables(study):
        console.print(table)
    for line in failure_lines(study):
        _say(console, line)


def study_tables(study: Study) -> Iterator[Table]:
    """Tables that say what the study found: by figure where nothing is varied, else by cell."""
    if study.results.empty:
        return
    if len(study.cells) > 1:
        yield cell_table(study)
        if not study.effects.empty:
            yield effect_table(study)
        return
    yield mean_table(study)
    if len(study.policies) > 1:
        yield difference_table(study)


def headline_names(currency: str) -> tuple[str, ...]:
    """Headline figures of a study in one currency, the most telling first.

    >>> headline_names("CNY")[0]
    'total_cost_net_cny'
    """
    return tuple(name.replace("{cur}", currency.lower()) for name in HEADLINES)


def progress_lines(study: Study) -> Iterator[str]:
    """How far the study came, and whether its rules hold."""
    summary = json.loads((study.path / "summary.json").read_text(encoding="utf-8"))
    cells = f" of {len(study.cells)} cells" if len(study.cells) > 1 else ""
    yield f"{summary['replications']} of {summary['asked']} replications{cells}: {', '.join(study.policies)}"
    for rule in summary["until"]:
        if summary["stopped_at"] is None:
            yield f"not met within {summary['asked']} replications: {rule}"
        else:
            yield f"met after {summary['stopped_at']} replications: {rule}"


def failure_lines(study: Study, listed: int = LISTED) -> Iterator[str]:
    """Each failure in a line, and below it the command that runs it again."""
    failures = study.failures
    for row in failures.head(listed).to_dict("records"):
        cell = f"cell {row['cell']}, " if len(study.cells) > 1 else ""
        yield f"failed: replication {row['replication']}, {cell}{row['policy']}: {row['error']}"
        yield f"  {study.replay_command(row['replication'], row['cell'], row['policy'])}"
    if len(failures) > listed:
        yield f"failed: {len(failures) - listed} more, in {study.path / 'failures'}"


def mean_table(study: Study) -> Table:
    """Means of the headline figures with their intervals, a row per figure and policy."""
    table = _table("means", ["key figure", "policy"], ESTIMATES)
    for rows in _headline_rows(study.statistics, study.currency):
        for row in rows:
            _add(table, row["figure"], row["policy"], *_estimate(row))
        if len(rows) > 1:
            table.add_section()
    return table


def difference_table(study: Study) -> Table:
    """Paired differences of the headline figures, a row per figure and pair of policies."""
    table = _table("paired differences", ["key figure", "difference"], ESTIMATES)
    for rows in _headline_rows(study.differences, study.currency):
        for row in rows:
            _add(table, row["figure"], f"{row['policy']} - {row['minus']}", *_estimate(row))
        if len(rows) > 1:
            table.add_section()
    return table


def cell_table(study: Study, listed: int = LISTED) -> Table:
    """Mean and half-width of the first headline figure by cell: each policy, and its difference to the first."""
    figure, first = headline_names(study.currency)[0], study.policies[0]
    keys = list(study.cells[0].levels)
    columns = [*study.policies, *(f"{policy} - {first}" for policy in study.policies[1:])]
    table = _table(f"{figure} by cell, with half of its 95 % interval", ["cell", *keys], columns)
    known = _by_cell(study, figure)
    for cell in study.cells[:listed]:
        levels = (_short_level(cell.levels[key]) for key in keys)
        _add(table, str(cell.index), *levels, *(known.get((cell.index, name), "") for name in columns))
    if len(study.cells) > listed:
        table.caption = f"and {len(study.cells) - listed} more cells, in statistics.csv"
    return table


def effect_table(study: Study, largest: int = LARGEST) -> Table:
    """Largest effects on the first headline figure, of each term the level at which it is largest."""
    figure = headline_names(study.currency)[0]
    table = _table(
        f"largest effects on {figure}",
        ["policy", "kind", "of", "at"],
        ["effect", "95 % interval", "share"],
    )
    of_figure = study.effects[study.effects["figure"] == figure]
    for policy in study.policies:
        for row in largest_effects(of_figure[of_figure["policy"] == policy], largest):
            share = "" if math.isnan(row["share"]) else f"{row['share']:.1%}"
            level = "" if pd.isna(row["level"]) else str(row["level"])
            interval = interval_text(row["ci_low"], row["ci_high"])
            _add(table, policy, row["kind"], row["term"], level, _number(row["effect"]), interval, share)
        table.add_section()
    return table


def largest_effects(effects: pd.DataFrame, n: int) -> list[dict[Any, Any]]:
    """Rows of the largest effects of one policy and figure, the largest first.

    Of a main effect or an interaction, which has a row per level, only the level at which it is largest counts.
    """
    terms = effects[effects["kind"] != "fit"].assign(size=lambda row: row["effect"].abs())
    ordered = terms.sort_values("size", ascending=False, kind="stable")
    by_level = ordered["kind"].isin(["main", "interaction"]) & ordered.duplicated(["kind", "term"])
    return ordered[~by_level].head(n).to_dict("records")


def interval_text(low: float, high: float) -> str:
    """Ends of an interval; nothing where there is none.

    >>> interval_text(16900.0, 17300.126), interval_text(math.nan, math.nan)
    ('16,900 .. 17,300.13', '')
    """
    return "" if math.isnan(low) or math.isnan(high) else f"{readable(low)} .. {readable(high)}"


def _table(title: str, names: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    for name in names:
        table.add_column(escape(name))
    for name in numbers:
        table.add_column(escape(name), justify="right")
    return table


def _add(table: Table, *texts: str) -> None:
    """Add a row of texts as they are: brackets in names and levels are no markup."""
    table.add_row(*(escape(text) for text in texts))


def _headline_rows(frame: pd.DataFrame, currency: str) -> Iterator[list[dict[Any, Any]]]:
    """Rows of each headline figure."""
    for figure in headline_names(currency):
        yield frame[frame["figure"] == figure].to_dict("records")


def _estimate(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Cells of the columns ESTIMATES."""
    return (
        _number(row["mean"]),
        interval_text(row["ci_low"], row["ci_high"]),
        _number(row["sd"]),
        str(row["n"]),
    )


def _by_cell(study: Study, figure: str) -> dict[tuple[int, str], str]:
    """Texts by cell and column."""
    means = study.statistics[study.statistics["figure"] == figure].to_dict("records")
    texts = {(int(row["cell"]), str(row["policy"])): _with_half(row) for row in means}
    if len(study.policies) > 1:
        rows = study.differences[study.differences["figure"] == figure].to_dict("records")
        texts |= {(int(row["cell"]), f"{row['policy']} - {row['minus']}"): _with_half(row) for row in rows}
    return texts


def _with_half(row: Mapping[Any, Any]) -> str:
    half = (row["ci_high"] - row["ci_low"]) / 2.0
    return _number(row["mean"]) + ("" if math.isnan(half) else f" ± {readable(half)}")


def _number(value: float) -> str:
    return readable(value) if math.isfinite(value) else ""


def _short_level(level: Level) -> str:
    text = f"{level:.6g}" if isinstance(level, float) else level_text(level)
    return text if len(text) <= 30 else text[:29] + "…"


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
