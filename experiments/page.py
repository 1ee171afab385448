"""What all pages share: templates, style sheet, plotting library, numbers inside a script, words for key figures."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import jinja2

from sim.errors import VoltwalkError
from sim.key_figures import KEY_FIGURES, KeyFigure

TEMPLATES: Final = Path(__file__).parent / "templates"
HEADLINES: Final = (
    "total_cost_net_{cur}",
    "ev_bill_net_{cur}",
    "energy_import_kwh",
    "renewables_used_kwh",
    "ev_charged_kwh",
    "ev_discharged_kwh",
    "unmet_kwh",
    "late_departures",
)
"""Key figures at a page's head."""


def render_page(template: str, *, data: dict[str, Any], script: str, **words: Any) -> str:
    """Text of a page that opens offline: style, plotting library, scripts and data are inside.

    Parameters
    ----------
    template
        Name of a file in ``templates/``.
    data
        What the charts draw.
    script
        Name of the page's own script in ``templates/``; ``charts.js`` comes before it.
    words
        What else the template names.

    Raises
    ------
    VoltwalkError
        When plotly is not installed.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        data=script_json(data),
        style=source("report.css"),
        script=source("charts.js") + source(script),
        plotly=plotly_source(),
        **words,
    )


def script_json(data: dict[str, Any]) -> str:
    r"""JSON that may stand inside a script element: no tag can begin in it.

    >>> script_json({"name": "</script>"})
    '{"name":"\\u003c/script>"}'
    """
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def figure_label(figure: KeyFigure) -> str:
    """Name of a key figure in words.

    >>> figure_label(KeyFigure("total_cost_net_{cur}", "{cur}", ""))
    'total cost net'
    """
    name = figure.name.replace("_{cur}", "").removesuffix("_kwh").removesuffix("_kw").removesuffix("_kg")
    return name.replace("_", " ")


def figure_words(currency: str) -> list[dict[str, str]]:
    """Name, label, unit and meaning of every key figure, those of the head first.

    >>> figure_words("CNY")[0]["name"], len(figure_words("CNY")) == len(KEY_FIGURES)
    ('total_cost_net_cny', True)
    """
    rank = {name: index for index, name in enumerate(HEADLINES)}
    ordered = sorted(KEY_FIGURES, key=lambda figure: rank.get(figure.name, len(rank)))
    return [
        {
            "name": figure.name_in(currency),
            "label": figure_label(figure),
            "unit": figure.unit_in(currency),
            "meaning": figure.meaning,
        }
        for figure in ordered
    ]


def source(name: str) -> str:
    """Text of a file in ``templates/``."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def plotly_source() -> str:
    """Find plotly's own script, without importing the package."""
    spec = find_spec("plotly")
    places = spec.submodule_search_locations if spec is not None else None
    for place in places or ():
        file = Path(place) / "package_data" / "plotly.min.js"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise VoltwalkError("report: the package plotly is not installed, or lacks package_data/plotly.min.js")
