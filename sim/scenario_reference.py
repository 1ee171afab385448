"""Reference of the scenario's fields, made from the models themselves.

Models that occur in many places (laws, series, turbines' curves) have a section of their own at the end.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sim.scenario import Law, MileageWindow, Scenario, SeriesRef, WindTurbine
from sim.scenario_messages import models_in

# Units by the ending of a field's name, longest first where one ends another.
_UNITS: Final = (
    ("soc", "0..1"),
    ("soc_min", "0..1"),
    ("soc_max", "0..1"),
    ("_kwh_per_day", "kWh/day"),
    ("_kwh_per_km", "kWh/km"),
    ("_kwh_per_m3", "kWh/m3"),
    ("_kg_per_kwh", "kg CO2/kWh"),
    ("_kg_per_m3", "kg CO2/m3"),
    ("_degc_per_w_m2", "degC per W/m2"),
    ("_per_degc", "1/degC"),
    ("_kw_per_h", "kW/h"),
    ("_per_kw_day", "money/(kW day)"),
    ("kvar_per_kw", "kvar/kW"),
    ("_per_kwh", "money/kWh"),
    ("_per_m3", "money/m3"),
    ("_m_s", "m/s"),
    ("_kmh", "km/h"),
    ("km", "km"),
    ("_kwh", "kWh"),
    ("_kw", "kW"),
    ("_minutes", "min"),
    ("_min", "min"),
    ("_h", "h"),
    ("_steps", "15 min"),
    ("_efficiency", "0..1"),
)
_SHARED: Final[dict[type[BaseModel], str]] = {
    Law: "law",
    MileageWindow: "mileage window",
    SeriesRef: "series",
    WindTurbine: "wind turbine",
}
_NAMES: Final = {str: "text", int: "whole number", float: "number", bool: "true/false", dict: "table"}
_SIGNS: Final = (
    (annotated_types.Gt, ">", "gt"),
    (annotated_types.Ge, ">=", "ge"),
    (annotated_types.Lt, "<", "lt"),
    (annotated_types.Le, "<=", "le"),
)
_INTRODUCTION: Final = """\
# Scenario reference

A scenario is one TOML file. Every key that exists is listed here; an unknown key is a fault. `[[...]]` marks
tables that may be repeated. Money is in the currency that `scenario.currency` names.

Besides these, a file may hold

- `extends = "NAME"`: a shipped scenario or a path; that may extend another one in turn. Tables merge key by key;
  lists and single values replace. A table that names its `kind`, `family` or `file` replaces the base's whole
  table, and so does a row of a transition matrix.
- `[set]`: single changes after that, by dotted path in quotes: `"regions.home.import_limit_kw" = 150.0`. A
region
  (or class, or any entry with a name) is meant by name, `regions.home`, by index, `regions[0]`, and all of
  them by `regions.*`. The command line's `--set key=value` does the same, and comes last.

Relative paths are relative to the file that names them (`--set`: to the working folder); `shipped:NAME` is
a data file installed with the program.
"""


def scenario_reference(example: Scenario | None = None) -> str:
    """Markdown page of all fields: path, type, unit and meaning, and the value in an example.

    Parameters
    ----------
    example
        A scenario whose values are shown, such as a shipped one; none: no such column.

    >>> scenario_reference().splitlines()[0]
    '# Scenario reference'
    """
    tables = None if example is None else example.model_dump()
    sections = [_INTRODUCTION]
    for name, field in Scenario.model_fields.items():
        value = None if tables is None else tables[name]
        for title, model, at in _tables(name, field):
            sections.append(_section(title, model, None if tables is None else _first(value, at)))
    sections += [_section(title, model, None) for model, title in _SHARED.items()]
    return "\n".join(sections)


def _tables(name: str, field: FieldInfo) -> Iterator[tuple[str, type[BaseModel], tuple[str, ...]]]:
    """Title, model and keys of a section's table and of the tables below it, in the models' order."""
    yield from _walk(name, field, ())


def _walk(
    path: str, field: FieldInfo, at: tuple[str, ...]
) -> Iterator[tuple[str, type[BaseModel], tuple[str, ...]]]:
    is_list, is_map = _holds(field.annotation, list), _holds(field.annotation, dict)
    for model in models_in(field):
        if model in _SHARED:
            continue
        title = f"{path}.NAME" if is_map else path
        yield (f"[[{title}]]" if is_list else f"[{title}]"), model, at
        for name, below in model.model_fields.items():
            yield from _walk(f"{title}.{name}", below, (*at, name))


def _section(title: str, model: type[BaseModel], value: Any) -> str:
    shown = isinstance(value, dict) and set(value) <= set(model.model_fields) and bool(value)
    heading = f"## A {title}\n" if model in _SHARED else f"## `{title}`\n"
    lines = [heading, f"{(model.__doc__ or '').strip().splitlines()[0]}\n"]
    lines += ["| key | type | unit | meaning |" + (" example |" if shown else "")]
    lines += ["|---|---|---|---|" + ("---|" if shown else "")]
    for name, field in model.model_fields.items():
        example = f" {_example(value.get(name))} |" if shown else ""
        meaning = (field.description or "") + _default(field)
        lines.append(f"| `{name}` | {_type(field)} | {unit_of(name)} | {_cell(meaning)} |{example}")
    return "\n".join([*lines, ""])


def _first(value: Any, at: tuple[str, ...]) -> Any:
    """Value at a path of keys, the first entry standing for a list or a map of tables."""
    for key in (*at, None):
        if isinstance(value, list):
            value = value[0] if value else None
        if key is None:
            return value
        value = value.get(key) if isinstance(value, dict) else None
    return value


def unit_of(name: str) -> str:
    """Tell the unit that a field's name ends in; empty for names, counts and bare ratios.

    >>> unit_of("rated_kw"), unit_of("weight"), unit_of("consumption_kwh_per_km")
    ('kW', '', 'kWh/km')
    """
    return next((unit for ending, unit in _UNITS if name.endswith(ending)), "")


def _default(field: FieldInfo) -> str:
    if field.is_required() or field.default in (None, "", []):
        return ""
    return f" Default: `{_plain(field.default)}`."


def _example(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
        return "(table)"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_plain(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _type(field: FieldInfo) -> str:
    names = _type_names(
        Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    )
    return _cell(" or ".join(dict.fromkeys(names)))


def _type_names(annotation: Any) -> list[str]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        names = _type_names(arguments[0])
        bounds = _bounds(arguments[1:])
        return [f"{names[0]} {bounds}", *names[1:]] if bounds else names
    if origin in (Union, types.UnionType):
        return [name for part in arguments if part is not type(None) for name in _type_names(part)]
    if origin is Literal:
        return [f'"{value}"' for value in arguments]
    if origin is None:
        return [_SHARED.get(annotation, _plain_type(annotation))]
    inner = " or ".join(_type_names(arguments[-1]))
    return [{list: f"list of {inner}", dict: f"table of {inner}"}.get(origin, f"[{inner}, {inner}]")]


def _plain_type(annotation: Any) -> str:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "table"
    return _NAMES.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _bounds(metadata: tuple[Any, ...]) -> str:
    """Bounds of a number, such as ``>= 0, <= 1``."""
    flat = [item for part in metadata for item in (part.metadata if isinstance(part, FieldInfo) else [part])]
    texts = []
    for item in flat:
        for kind, sign, name in _SIGNS:
            if isinstance(item, kind):
                texts.append(f"{sign} {_plain(getattr(item, name))}")
    return ", ".join(texts)


def _holds(annotation: Any, kind: type) -> bool:
    origin = get_origin(annotation)
    if origin is kind:
        return True
    parts = get_args(annotation) if origin in (Annotated, Union, types.UnionType) else ()
    return any(_holds(part, kind) for part in parts)
