"""The report of a run: one HTML file that opens offline, and the same figures as PNG files."""

from __future__ import annotations

from pathlib import Path

from experiments.atomic import write_whole
from experiments.page import HEADLINES, figure_label, render_page
from experiments.reading import Run, read_run
from experiments.regions_shown import MAX_REGIONS
from experiments.report_data import MAX_CARS, report_data
from experiments.report_explanations import MAX_DAYS
from experiments.report_feeder import feeder_words
from experiments.tables import readable
from sim.errors import RunFolderError
from sim.key_figures import KEY_FIGURES, KeyFigure


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
    return render_page(
        "report.html.j2",
        data=report_data(run),
        script="report.js",
        run=run,
        scenario=run.scenario,
        manifest=run.manifest,
        headlines=[_figure(run, figure) for figure in KEY_FIGURES if figure.name in HEADLINES],
        figures=[_figure(run, figure) for figure in KEY_FIGURES],
        n_cars=len(run.vehicles),
        max_cars=MAX_CARS,
        regions=_regions(run.region_names),
        feeder=feeder_words(run),
        max_explained_days=MAX_DAYS,
    )


def _regions(names: list[str]) -> str:
    """Names of the regions; of very many the first ones and how many more.

    >>> _regions(["home", "work"]), _regions([str(n) for n in range(12)])
    ('home, work', '12: 0, 1, 2, 3, 4, 5, 6, 7 and 4 more')
    """
    if len(names) <= MAX_REGIONS:
        return ", ".join(names)
    return f"{len(names)}: {', '.join(names[:MAX_REGIONS])} and {len(names) - MAX_REGIONS} more"


def _figure(run: Run, figure: KeyFigure) -> dict[str, str]:
    """Words and number of one key figure."""
    name = figure.name_in(run.currency)
    value = run.kpis.get(name)
    return {
        "name": name,
        "label": figure_label(figure),
        "value": "-" if value is None else readable(float(value)),
        "unit": figure.unit_in(run.currency),
        "meaning": figure.meaning,
    }
