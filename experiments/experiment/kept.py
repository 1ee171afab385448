"""What kept run folders of an experiment's parts say: whether they pass the audit, and how long decisions took."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from experiments.audit import audit
from experiments.experiment.page import Section, Shown
from experiments.experiment.processes import in_processes
from experiments.monte_carlo.reading import Study

COLUMNS: Final = ("part", "policy", "run", "finding")


def audit_findings(parts: Mapping[str, Study], *, workers: int | None) -> pd.DataFrame:
    """Audit every run folder that the parts have kept.

    Parameters
    ----------
    parts
        By name.
    workers
        Processes, by default one per core; 0: this process.

    Returns
    -------
    DataFrame
        A row per run: ``part``, ``policy``, ``run`` (its place below the part) and ``finding``: the first, with how
        many more there are, or nothing when the run passes.
    """
    kept = [
        (name, policy, run.path.relative_to(study.path).as_posix(), run.path)
        for name, study in parts.items()
        for _, policy, run in study.kept_runs()
    ]
    findings = in_processes(_first_finding, [path for *_, path in kept], workers=workers)
    rows = [(*place, finding) for (*place, _), finding in zip(kept, findings, strict=True)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def audits_by_part(findings: pd.DataFrame) -> pd.DataFrame:
    """How many kept runs of each part and policy were audited, and how many pass.

    >>> rows = [("drivers", "rolling", "a", ""), ("drivers", "rolling", "b", "grid: balance")]
    >>> audits_by_part(pd.DataFrame(rows, columns=list(COLUMNS)))[["runs audited", "pass"]].to_numpy().tolist()
    [[2, 1]]
    """
    rows = [
        {
            "part": part,
            "policy": policy,
            "runs audited": len(group),
            "pass": int((group["finding"] == "").sum()),
            "first finding": next((text for text in group["finding"] if text), ""),
        }
        for (part, policy), group in findings.groupby(["part", "policy"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["part", "policy", "runs audited", "pass", "first finding"])


def audit_section(findings: pd.DataFrame) -> Section:
    """Section of an experiment's page that tells whether all kept runs pass."""
    by_part = audits_by_part(findings)
    failing = len(findings) - int(by_part["pass"].sum())
    verdict = "all pass." if not failing else f"{failing} of {len(findings)} have findings."
    return Section(
        title="Audit",
        question=(
            "Every run folder that the study kept, derived again from its tables by code of its own (voltwalk audit): "
            + verdict
        ),
        tables=(Shown(name="audits", caption="Kept runs audited", frame=by_part),),
    )


def decision_seconds(study: Study, by: str | None = None) -> pd.DataFrame:
    """Wall-clock of single decisions in kept runs, from snapshot received to set-points returned.

    Parameters
    ----------
    study
        A part.
    by
        A key among its cells' levels, to tell decisions apart beside their policy; none: by policy alone.

    Returns
    -------
    DataFrame
        A row per level and policy: median, 95 % quantile and longest [ms], and how many decisions. Machine time:
        another run has others.
    """
    levels = {cell.index: "" if by is None else cell.levels[by] for cell in study.cells}
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for cell, policy, run in study.kept_runs():
        seconds = run.decisions["seconds"].to_numpy(np.float64)
        found.setdefault((str(levels[cell]), policy), []).append(1000.0 * seconds)
    table = pd.DataFrame([_times(level, policy, np.concatenate(ms)) for (level, policy), ms in found.items()])
    return table.drop(columns="forecaster") if by is None else table


def _times(level: str, policy: str, ms: np.ndarray) -> dict[str, object]:
    median, high = np.quantile(ms, [0.5, 0.95])
    return {
        "forecaster": level,
        "policy": policy,
        "median [ms]": float(median),
        "95 % below [ms]": float(high),
        "longest [ms]": float(ms.max()),
        "decisions": len(ms),
    }


def _first_finding(path: Path) -> str:
    findings = audit(path)
    if not findings:
        return ""
    return str(findings[0]) + (f" (and {len(findings) - 1} more)" if len(findings) > 1 else "")
