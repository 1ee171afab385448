"""What an audit starts from: tables, checked against the schema, and the scenario as plain TOML."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from experiments.audit_findings import ENERGY_KWH, Findings, FloatArray, IntArray
from experiments.reading import Run
from sim.errors import RunFolderError
from sim.trace import ALL_TABLES, Table

STEP_S = 900
STEP_H = 0.25
DAY_S = 86_400
ABSENT = -1  # stands for a null instant


@dataclass(frozen=True)
class Folder:
    """A run as the audit sees it: frames in one order, whatever the order of their rows on disk."""

    scenario: dict[str, Any]
    manifest: dict[str, Any]
    kpis: dict[str, float]
    vehicles: pd.DataFrame
    trips: pd.DataFrame
    segments: pd.DataFrame
    sessions: pd.DataFrame
    queue: pd.DataFrame
    domain: pd.DataFrame
    grid: pd.DataFrame
    storage: pd.DataFrame
    ties: pd.DataFrame
    voltages: pd.DataFrame
    branches: pd.DataFrame
    decisions: pd.DataFrame
    marginals: pd.DataFrame
    forecasts: pd.DataFrame

    @cached_property
    def end_s(self) -> int:
        """End of the run."""
        return int(self.scenario["simulation"]["days"]) * DAY_S

    @cached_property
    def n_steps(self) -> int:
        """Steps of the run."""
        return self.end_s // STEP_S

    @cached_property
    def regions(self) -> list[dict[str, Any]]:
        """Regions as the scenario has them."""
        return list(self.scenario["regions"])

    @cached_property
    def region_names(self) -> list[str]:
        """Their names."""
        return [region["name"] for region in self.regions]

    @cached_property
    def n_vehicles(self) -> int:
        """Number of cars."""
        return len(self.vehicles)

    def region_code(self, names: pd.Series[Any]) -> IntArray:
        """Index of each region's name in the scenario; -1 where null or unknown."""
        return pd.Index(self.region_names).get_indexer(pd.Index(names)).astype(np.int64)

    def region_limits(self, key: str) -> FloatArray:
        """One limit of each region, shape (R,); infinite where unlimited."""
        return np.array([np.inf if region[key] == "unlimited" else region[key] for region in self.regions])

    def by_step(self, column: str) -> FloatArray:
        """Column of the grid table as (n_steps, R); only once the grid's keys are known to be whole."""
        return self.grid[column].to_numpy(np.float64).reshape(self.n_steps, len(self.regions))


def read_folder(run: Run, findings: Findings) -> Folder | None:
    """Read a run's tables and check them against the schema.

    Returns
    -------
    Folder or None
        Nothing when a table breaks the schema or cannot be read: then no further check makes sense.
    """
    frames: dict[str, pd.DataFrame] = {}
    for table in ALL_TABLES:
        try:
            arrow = run.arrow(table.name)
        except RunFolderError as error:
            findings.add("readable", table.name, str(error))
            continue
        if _check_schema(table, arrow, findings):
            frames[table.name] = run.table(table.name)
    if findings.items:
        return None
    scenario = run.scenario
    for name, frame in frames.items():
        _check_regions(name, frame, scenario, findings)
    if findings.items:
        return None
    ordered = {name: _ordered(name, frame, scenario) for name, frame in frames.items()}
    return Folder(scenario=scenario, manifest=run.manifest, kpis=run.kpis, **ordered)


def check_signs(folder: Folder, findings: Findings) -> None:
    """Check that nothing is below 0 but what the schema calls signed."""
    for table in ALL_TABLES:
        frame: pd.DataFrame = getattr(folder, table.name)
        for column in table.columns:
            if column.dtype != "float64" or column.meaning.startswith("signed"):
                continue
            values = frame[column.name].to_numpy(np.float64, na_value=np.nan)
            claim = f"{column.name} is {{value}}, below 0"
            findings.rows(
                values < -ENERGY_KWH,
                "signs",
                table.name,
                "row {row}",
                claim,
                row=np.arange(len(values)),
                value=values,
            )


def instants(column: pd.Series[Any]) -> IntArray:
    """Instants as integers, null as ``ABSENT``."""
    return column.fillna(ABSENT).to_numpy(np.int64)


def _check_schema(table: Table, arrow: pa.Table, findings: Findings) -> bool:
    before = len(findings.items)
    expected = {field.name: field.type for field in table.arrow_schema()}
    for name in expected.keys() - set(arrow.column_names):
        findings.add("schema", table.name, f"column {name} is missing")
    for name in set(arrow.column_names) - expected.keys():
        findings.add("schema", table.name, f"column {name} is unknown")
    for column in table.columns:
        if column.name not in arrow.column_names:
            continue
        values = arrow.column(column.name)
        if values.type != expected[column.name]:
            found, wanted = values.type, expected[column.name]
            findings.add("schema", table.name, f"column {column.name} is {found}, should be {wanted}")
        elif values.null_count and not column.nullable:
            findings.add("schema", table.name, f"column {column.name} has {values.null_count} nulls")
        elif column.dtype == "float64":
            finite = np.isfinite(values.drop_null().to_numpy())
            if not finite.all():
                findings.add(
                    "schema", table.name, f"column {column.name} has {(~finite).sum()} values not finite"
                )
    return len(findings.items) == before


def _check_regions(name: str, frame: pd.DataFrame, scenario: dict[str, Any], findings: Findings) -> None:
    known = {region["name"] for region in scenario["regions"]}
    for column in (
        "region",
        "home_region",
        "work_region",
        "origin",
        "destination",
        "from_region",
        "to_region",
    ):
        if column in frame:
            allowed = known | ({""} if column == "work_region" else set())
            for unknown in sorted(set(frame[column].dropna().unique()) - allowed):
                findings.add("regions", name, f"{column} {unknown!r} is no region of the scenario")


def _ordered(name: str, frame: pd.DataFrame, scenario: dict[str, Any]) -> pd.DataFrame:
    """Rows in the order of their keys, regions as the scenario lists them."""
    keys = {
        "vehicles": ["vehicle_id"],
        "trips": ["vehicle_id", "planned_depart_s", "day", "trip_index"],
        "segments": ["vehicle_id", "start_s", "end_s"],
        "sessions": ["vehicle_id"],
        "queue": ["join_s", "vehicle_id"],
        "storage": ["step_start_s", "unit_id"],
        "ties": ["step_start_s"],
        "forecasts": ["issue_step_s", "target_step_s"],
    }.get(name, ["step_start_s"])
    place: Any = np.zeros(len(frame), dtype=np.int64)
    names = [region["name"] for region in scenario["regions"]]
    if name in ("domain", "grid", "forecasts", "voltages"):
        place = pd.Categorical(frame["region"], categories=names).codes
    if name in ("ties", "branches") and scenario.get("feeder") is not None:
        ends_of = (pd.Categorical(frame[end], categories=names).codes for end in ("from_region", "to_region"))
        place = np.ravel_multi_index(tuple(ends_of), (len(names), len(names)))
    elif name == "ties":
        ends = {(tie["from_region"], tie["to_region"]): i for i, tie in enumerate(scenario.get("ties", []))}
        place = [ends.get(pair, -1) for pair in zip(frame["from_region"], frame["to_region"], strict=True)]
    ordered = frame.assign(_place=place).sort_values([*keys, "_place"], kind="stable")
    return ordered.drop(columns="_place").reset_index(drop=True)
