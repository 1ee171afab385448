"""The report of a run: one HTML file that opens offline, and the same figures as PNG files."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import jinja2

from experiments.atomic import write_whole
from experiments.reading import Run, read_run
from experiments.report_data import MAX_CARS, MAX_REGIONS, report_data
from experiments.tables import readable
from sim.errors import RunFolderError, VoltwalkError
from sim.key_figures import KEY_FIGURES

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
"""Key figures at the report's head."""


def write_report(run: str | Path | Run, target: str | Path) -> Path:
    """Write a run's report as one HTML file, with its plotting library inside.

    Parameters
    ----------
    run
        The folder, or a run already open.
    target
        File to write; one that exists is written again.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    RunFolderError
        When the folder is not a run's, or the file cannot be written.
    """
    opened, file = read_run(run), Path(target)
    text = render_report(opened)
    try:
        write_whole(file, text.encode())
    except OSError as error:
        raise RunFolderError(f"{file}: {error.strerror or error}") from error
    return file


def write_figures(run: str | Path | Run, target: str | Path) -> list[Path]:
    """Write the figures of a run as PNG files into a folder.

    Raises
    ------
    RunFolderError
        When the folder is not a run's, or the files cannot be written.
    """
    from experiments.figures import write_pngs  # noqa: PLC0415 - matplotlib only where pictures are wanted

    return write_pngs(read_run(run), Path(target))


def render_report(run: Run) -> str:
    """Text of the report."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html.j2").render(
        run=run,
        scenario=run.scenario,
        manifest=run.manifest,
        headlines=[_figure(run, figure) for figure in KEY_FIGURES if figure.name in HEADLINES],
        figures=[_figure(run, figure) for figure in KEY_FIGURES],
        n_cars=len(run.vehicles),
        max_cars=MAX_CARS,
        max_regions=MAX_REGIONS,
        data=script_json(report_data(run)),
        style=(TEMPLATES / "report.css").read_text(encoding="utf-8"),
        script=(TEMPLATES / "report.js").read_text(encoding="utf-8"),
        plotly=_plotly_source(),
    )


def script_json(data: dict[str, Any]) -> str:
    r"""JSON that may stand inside a script element: no tag can begin in it.

    >>> script_json({"name": "</script>"})
    '{"name":"\\u003c/script>"}'
    """
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _figure(run: Run, figure: Any) -> dict[str, str]:
    """Words and number of one key figure."""
    name = figure.name_in(run.currency)
    value = run.kpis.get(name)
    return {
        "name": name,
        "label": figure.name.replace("_{cur}", "").replace("_kwh", "").replace("_kw", "").replace("_", " "),
        "value": "-" if value is None else readable(float(value)),
        "unit": figure.unit_in(run.currency),
        "meaning": figure.meaning,
    }


def _plotly_source() -> str:
    """Find plotly's own script, without importing the package."""
    spec = find_spec("plotly")
    places = spec.submodule_search_locations if spec is not None else None
    for place in places or ():
        file = Path(place) / "package_data" / "plotly.min.js"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    raise VoltwalkError("report: the package plotly is not installed, or lacks package_data/plotly.min.js")
