"""What a study leaves at its end, made from its rows alone: tables, a summary, a report."""

from __future__ import annotations

import pandas as pd

from experiments.atomic import write_whole
from experiments.monte_carlo.plan import Plan
from experiments.monte_carlo.reading import Study
from experiments.monte_carlo.report.page import render_study_report
from experiments.run_folder import json_bytes


def write_derived(study: Study, plan: Plan, stopped_at: int | None) -> None:
    """Write statistics, differences, effects, summary and report; what is there already and the same stays.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    tables = {"statistics": study.statistics, "differences": study.differences, "effects": study.effects}
    for name, table in tables.items():
        if not table.empty:
            write_whole(study.path / f"{name}.csv", csv_bytes(table))
    summary = {
        **study.facts(),
        "asked": plan.n_replications,
        "until": [str(rule) for rule in plan.rules],
        "minimum": plan.minimum,
        "stopped_at": stopped_at,
    }
    write_whole(study.path / "summary.json", json_bytes(summary))
    write_whole(study.path / "study.html", render_study_report(study).encode())


def csv_bytes(table: pd.DataFrame) -> bytes:
    """Contents of a CSV file; numbers to the last bit."""
    return table.to_csv(index=False, lineterminator="\n").encode()
