"""The study's page: question, method, tables, figures; opens offline."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import pandas as pd

from experiments.page import TEMPLATES, plotly_source, script_json, source
from experiments.palette import REGIONS
from experiments.tables import frame_texts, interval_columns


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """A table of the page, also written as CSV under its name.

    Times that the machine took differ from run to run; they are kept apart from what must not.
    """

    name: str
    caption: str
    frame: pd.DataFrame
    is_folded: bool = False  # a long one, opened by a click
    is_of_machine: bool = False
    is_mixed: bool = False  # rows are figures of different kinds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Point:
    """A point of an explorer: what it reaches, and the series behind it."""

    group: str
    values: tuple[float, ...]  # one for each axis
    series: dict[str, tuple[float, ...]]  # name to a value for each step [kW]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explorer:
    """Points in parallel coordinates; a click on one shows its schedule over the day."""

    caption: str
    axes: tuple[str, ...]  # labels with units
    points: tuple[Point, ...]
    step_h: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """One part of the page: what is asked, what the rows say."""

    title: str
    question: str
    tables: tuple[Shown, ...] = ()
    figures: dict[str, Path] = field(default_factory=dict)  # caption to PNG file
    notes: tuple[str, ...] = ()
    explorer: Explorer | None = None


def render(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Text of the page, pictures inside; with the plotting library where a section has an explorer."""
    explorers = [section.explorer for section in sections if section.explorer is not None]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("experiment.html.j2").render(
        title=title,
        lead=lead,
        style=source("report.css"),
        script=source("charts.js") + source("explorer.js") if explorers else "",
        plotly=plotly_source() if explorers else "",
        data=script_json({"colours": REGIONS, "explorers": [_explorer(one) for one in explorers]}),
        sections=[
            {
                "title": section.title,
                "question": section.question,
                "notes": section.notes,
                "tables": [_table(shown) for shown in section.tables],
                "explorer": section.explorer,
                "figures": [_figure(caption, file) for caption, file in section.figures.items()],
            }
            for section in sections
        ],
    )


def _table(shown: Shown) -> dict[str, object]:
    """A table as it is told: an interval stands beside its figure, in one cell."""
    names = [str(name) for name in shown.frame.columns]
    is_numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in shown.frame.dtypes]
    lows = interval_columns(names)
    ends = {end for low in lows.values() for end in (low, low + 1)}
    told = [index for index in range(len(names)) if index not in ends]
    return {
        "caption": shown.caption,
        "is_folded": shown.is_folded,
        "columns": [{"name": names[index], "is_number": is_numeric[index]} for index in told],
        "rows": [
            [{"text": row[index], "interval": _interval(row, lows.get(index))} for index in told]
            for row in frame_texts(shown.frame, is_mixed=shown.is_mixed)
        ],
    }


def _interval(row: Sequence[str], low: int | None) -> str:
    if low is None or not row[low]:
        return ""
    return f"({row[low]}, {row[low + 1]})"


def _explorer(explorer: Explorer) -> dict[str, object]:
    """What the page's script draws; axes to six digits, powers to a tenth of a kW."""
    return {
        "axes": list(explorer.axes),
        "step_h": explorer.step_h,
        "points": [
            {
                "group": point.group,
                "note": point.note,
                "values": [float(f"{value:.6g}") for value in point.values],
                "series": {name: [round(kw, 1) for kw in series] for name, series in point.series.items()},
            }
            for point in explorer.points
        ],
    }


def _figure(caption: str, file: Path) -> dict[str, str]:
    return {"caption": caption, "data": base64.b64encode(file.read_bytes()).decode("ascii")}
