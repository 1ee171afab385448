"""The reference pages of the docs, made from the code: ``python -m experiments.reference docs/reference``."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from experiments.shipped import load_scenario
from experiments.study_reference import study_reference
from sim.errors import VoltwalkError
from sim.scenario_reference import scenario_reference
from sim.trace_reference import kpis_reference, tables_reference

NOTE: Final = "<!-- Made by `make docs`; edit the code it is made from. -->\n"
_EXIT_CODES: Final = """\
## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | `audit` found a fault; replications of a `study` failed; a `replay` has other figures than the study |
| 2 | a mistake that you can mend, told in plain lines on stderr; nothing half-written is left |
| 130 | interrupted with Ctrl-C; no partial folder is left, and a `study` can be resumed |
| 143 | SIGTERM; nothing half-written is left, and a `study` or an `experiment` can be resumed |
"""


def commands_reference() -> str:
    """Page of all commands with their arguments and options, from the command line's own help."""
    import typer  # noqa: PLC0415 (the other pages need no command line)

    from experiments.cli import app  # noqa: PLC0415 (the command line imports this module)

    group: Any = typer.main.get_command(app)
    sections = [_command_section(name, command) for name, command in group.commands.items()]
    return "\n".join(["# Commands\n", f"`voltwalk`: {group.help}\n", *sections, _EXIT_CODES])


def _command_section(name: str, command: Any) -> str:
    usage = " ".join(["voltwalk", name, *(_usage(parameter) for parameter in command.params)])
    rows = [f"| `{_label(parameter)}` | {_meaning(parameter)} |" for parameter in command.params]
    table = ["| argument or option | meaning |", "|---|---|", *rows]
    return "\n".join([f"## `voltwalk {name}`\n", f"{command.help}\n", "```text", usage, "```\n", *table, ""])


def _label(parameter: Any) -> str:
    """Name as a person types it.

    >>> from types import SimpleNamespace
    >>> _label(SimpleNamespace(param_type_name="option", name="x", opts=["--x"], metavar="N", is_flag=False))
    '--x N'
    """
    placeholder = str(parameter.metavar or parameter.name.upper()).strip("[]")
    if parameter.param_type_name == "argument":
        return placeholder
    option = str(parameter.opts[0])
    return option if parameter.is_flag else f"{option} {placeholder}"


def _usage(parameter: Any) -> str:
    repeated = " ..." if parameter.param_type_name == "option" and parameter.multiple else ""
    label = _label(parameter) + repeated
    return label if parameter.required else f"[{label}]"


def _meaning(parameter: Any) -> str:
    default = parameter.default
    stated = (
        f" Default: `{default}`." if isinstance(default, str | int) and not isinstance(default, bool) else ""
    )
    return (parameter.help or "") + stated


def scenario_page() -> str:
    """Page of all fields of a scenario, with the values of the shipped one."""
    return scenario_reference(load_scenario("multi-microgrid"))


PAGES: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "scenario": scenario_page,
        "tables": lambda: tables_reference() + "\n" + kpis_reference(),
        "studies": study_reference,
        "commands": commands_reference,
    }
)
"""Reference pages of the docs by file name."""

_PRINTED: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "tables": tables_reference,
        "kpis": kpis_reference,
        "scenario": scenario_page,
        "study": study_reference,
    }
)


def page(what: str) -> str:
    """One page as ``voltwalk schema`` prints it: tables, kpis, scenario or study.

    Raises
    ------
    VoltwalkError
        When there is no such page.
    """
    if what not in _PRINTED:
        close = difflib.get_close_matches(what, _PRINTED, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else ""
        raise VoltwalkError(f"schema: no page {what!r}, known are {', '.join(_PRINTED)}{meant}")
    return _PRINTED[what]()


def write_pages(folder: Path) -> list[Path]:
    """Write every reference page into a folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, make in PAGES.items():
        path = folder / f"{name}.md"
        path.write_text(f"{NOTE}\n{make().strip()}\n", encoding="utf-8")
        paths.append(path)
    return paths


if __name__ == "__main__":
    for written in write_pages(Path(sys.argv[1])):
        sys.stdout.write(f"{written}\n")
