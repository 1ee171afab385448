"""Validation faults as plain sentences: dotted place, what is wrong, the value and the bound."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from sim.scenario import Scenario

Place = tuple[str | int, ...]

_TYPES: Final = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "date_type": "a date such as 2016-04-20 (no quotes)",
    "date_from_datetime_inexact": "a date such as 2016-04-20 (no clock time)",
    "finite_number": "a finite number",
}
_WORDS: Final = {
    "missing": "is missing",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
_BOUNDS: Final = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def dotted(place: Iterable[str | int]) -> str:
    """Place as a person writes it.

    >>> dotted(("regions", 1, "pv", "rated_kw"))
    'regions[1].pv.rated_kw'
    """
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggestion for a misspelt name, or nothing.

    >>> did_you_mean("sise", ["size", "shortage"])
    "; did you mean 'size'?"
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def sentences(error: ValidationError, tables: Any, root: type[BaseModel] = Scenario) -> list[str]:
    """One line per faulty place, in the order of the scenario.

    Parameters
    ----------
    error
        From validating ``tables``.
    tables
        The raw tables, which tell keys from the names of a union's members.
    root
        Model of the tables, whose keys a misspelt one may mean.
    """
    at_place: dict[Place, list[Any]] = {}
    for fault in error.errors(include_url=False):
        at_place.setdefault(clean_place(fault["loc"], tables, fault["type"]), []).append(fault)
    return [
        f"{dotted(place) or 'scenario'}: {_sentence(place, faults, root)}"
        for place, faults in at_place.items()
    ]


def clean_place(loc: Sequence[str | int], tables: Any, kind: str) -> Place:
    """Place of a fault in the tables, without the names of a union's members."""
    node, place = tables, []
    for part in loc:
        if isinstance(part, str) and part.startswith("<"):
            continue
        if isinstance(node, dict):
            known = part in node
            node = node.get(part)
            if not known and kind != "missing":
                break
        elif isinstance(node, list) and isinstance(part, int):
            node = node[part] if part < len(node) else None
        else:
            break
        place.append(part)
    return tuple(place)


def _sentence(place: Place, faults: list[dict[str, Any]], root: type[BaseModel]) -> str:
    if len(faults) == 1:
        return _single(place, faults[0], root)
    # a number or a word, such as `unlimited`: told as one choice, unless the number is out of bounds
    bound = [fault for fault in faults if fault["type"] in _BOUNDS]
    if bound:
        return _single(place, bound[0], root)
    choices = [_TYPES[fault["type"]] for fault in faults if fault["type"] in _TYPES]
    choices += [
        fault["ctx"]["expected"].replace("'", '"') for fault in faults if fault["type"] == "literal_error"
    ]
    if not choices:
        return _single(place, faults[0], root)
    return f"must be {' or '.join(dict.fromkeys(choices))}, is {_shown(faults[0]['input'])}"


def _single(place: Place, fault: dict[str, Any], root: type[BaseModel]) -> str:
    kind, value, context = fault["type"], fault.get("input"), fault.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{did_you_mean(str(place[-1]), known_keys(fault['loc'][:-1], root))}"
    if kind == "literal_error":
        return _choice(str(context["expected"]), value)
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        return _tariff_kind(value)
    if kind == "value_error":
        return str(context["error"])
    return (
        _stated(kind, context, value) or f"{fault['msg'][:1].lower()}{fault['msg'][1:]}, is {_shown(value)}"
    )


def _stated(kind: str, context: Any, value: Any) -> str | None:
    if kind in _WORDS:
        return _WORDS[kind]
    if kind in _BOUNDS:
        word, key = _BOUNDS[kind]
        bound = f"{context[key]:g}" if isinstance(context[key], int | float) else context[key]
        return f"must be {word} {bound}, is {_shown(value)}"
    if kind in _TYPES:
        return f"must be {_TYPES[kind]}, is {_shown(value)}"
    if kind == "string_pattern_mismatch":
        return f"must match {context['pattern']}, is {_shown(value)}"
    return None


def _choice(expected: str, value: Any) -> str:
    expected = expected.replace("'", '"')
    words = expected.replace('"', "").replace(" or ", ", ").split(", ")
    return f"must be {expected}, is {_shown(value)}{did_you_mean(str(value), words)}"


def _tariff_kind(value: Any) -> str:
    if not isinstance(value, dict):
        return f"must be a table, is {_shown(value)}"
    kinds = ("periods", "schedule", "series")
    given = value.get("kind")
    return f"kind must be one of {', '.join(kinds)}, is {_shown(given)}{did_you_mean(str(given), kinds)}"


def _shown(value: Any) -> str:
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return f'"{value}"' if isinstance(value, str) else str(value)


def known_keys(loc: Sequence[str | int], root: type[BaseModel] = Scenario) -> list[str]:
    """Keys that a place of the scenario, or of another model, may have."""
    classes: set[type[BaseModel]] = {root}
    for part in loc:
        if isinstance(part, int):
            continue
        if part.startswith("<"):
            tagged = {model for model in classes if part in _tags(model)}
            classes = tagged or classes
            continue
        below = {m for c in classes if part in c.model_fields for m in models_in(c.model_fields[part])}
        classes = below or classes
    return sorted({name for model in classes for name in model.model_fields})


_TAGS: Final = {
    "LoadMix": ("<mix>",),
    "LoadSeries": ("<series>",),
    "PvWeather": ("<weather>",),
    "SupplySeries": ("<series>",),
    "WindDraw": ("<draw>",),
    "WindWeather": ("<weather>",),
    "PeriodTariff": ("<periods>",),
    "ScheduleTariff": ("<schedule>",),
    "SeriesTariff": ("<series>",),
    "SeriesRef": ("<series>",),
}


def _tags(model: type[BaseModel]) -> tuple[str, ...]:
    return _TAGS.get(model.__name__, ())


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Model classes that a field's annotation mentions, in order.

    >>> [model.__name__ for model in models_in(Scenario.model_fields["ties"])]
    ['Tie']
    """
    inner = getattr(annotation, "annotation", annotation)
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        return [inner]
    return [model for argument in get_args(inner) for model in models_in(argument)]
