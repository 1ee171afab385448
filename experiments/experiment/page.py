"""The study's page: question, method, tables, figures; opens offline."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import pandas as pd

from experiments.page import TEMPLATES
from experiments.tables import frame_texts


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Section:
    """One part of the page: what is asked, what the rows say."""

    title: str
    question: str
    tables: tuple[Shown, ...] = ()
    figures: dict[str, Path] = field(default_factory=dict)  # caption to PNG file
    notes: tuple[str, ...] = ()


def render(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Text of the page, pictures inside."""
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
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        sections=[
            {
                "title": section.title,
                "question": section.question,
                "notes": section.notes,
                "tables": [_table(shown) for shown in section.tables],
                "figures": [_figure(caption, file) for caption, file in section.figures.items()],
            }
            for section in sections
        ],
    )


def _table(shown: Shown) -> dict[str, object]:
    table = shown.frame
    return {
        "caption": shown.caption,
        "is_folded": shown.is_folded,
        "head": [str(name) for name in table.columns],
        "rows": frame_texts(table),
        "numeric": [pd.api.types.is_numeric_dtype(dtype) for dtype in table.dtypes],
    }


def _figure(caption: str, file: Path) -> dict[str, str]:
    return {"caption": caption, "data": base64.b64encode(file.read_bytes()).decode("ascii")}
