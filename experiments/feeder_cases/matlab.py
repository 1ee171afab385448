"""The little of MATLAB that MATPOWER cases are written in: statements with their lines, matrices, scalar arithmetic.

Nothing is executed but what is understood wholly; all else is refused by name and line.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from experiments.feeder_cases.case import Findings
from sim.arrays import FloatArray

Value = float | FloatArray

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)
_FUNCTIONS: Final = {"sqrt": math.sqrt, "sin": math.sin, "cos": math.cos, "tan": math.tan, "acos": math.acos}
_OPENING, _CLOSING = "([{", ")]}"


class NotUnderstoodError(Exception):
    """An expression beyond what is read here."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement without comments; lines that it continues on with ``...`` are one."""

    line: int  # of its first character
    pieces: tuple[tuple[int, str], ...]  # what stands in each line of the file

    @property
    def text(self) -> str:
        """All of it in one line."""
        return " ".join(" ".join(piece for _, piece in self.pieces).split())

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Rows of a matrix in square brackets, each with its line, as texts of cells."""
        for line, piece in self.pieces:
            inner = piece.partition("=")[2] if "=" in piece else piece
            for row in inner.replace("[", " ").replace("]", " ").split(";"):
                if cells := row.replace(",", " ").split():
                    yield line, cells


def statements(text: str, findings: Findings) -> list[Statement]:
    """Statements of a file in order; a bracket that is never closed is told."""
    found: list[Statement] = []
    pieces: list[tuple[int, str]] = []
    depth, opened = 0, 0

    def finish() -> None:
        kept = tuple((at, piece.strip()) for at, piece in pieces if piece.strip())
        if kept:
            found.append(Statement(kept[0][0], kept))
        pieces.clear()

    for line, code in _code_lines(text):
        start = 0
        for at, character in _outside_strings(code):
            if character in _OPENING:
                depth, opened = depth + 1, opened if depth else line
            elif character in _CLOSING:
                depth = max(depth - 1, 0)
            elif character == ";" and not depth:
                pieces.append((line, code[start:at]))
                finish()
                start = at + 1
        pieces.append((line, code[start:]))
        if not depth:
            finish()
    if depth:
        findings.fault(f"line {opened}", "a bracket is opened and never closed")
    finish()
    return found


def _code_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, with their numbers; a line that ends in ``...`` goes on in the next."""
    held, held_line, in_block = "", 0, 0
    for line, raw in enumerate(text.splitlines(), start=1):
        if raw.strip() in ("%{", "%}"):
            in_block = max(in_block + (1 if raw.strip() == "%{" else -1), 0)
            continue
        if in_block:
            continue
        code = next((raw[:at] for at, character in _outside_strings(raw) if character == "%"), raw)
        held_line = held_line or line
        head, dots, _ = code.partition("...")
        held += f"{head} "
        if not dots:
            yield held_line, held
            held, held_line = "", 0
    if held:
        yield held_line, held


def _outside_strings(code: str) -> Iterator[tuple[int, str]]:
    """Characters outside quoted texts; a quote right after a value transposes it."""
    quote, before = "", " "
    for at, character in enumerate(code):
        if quote:  # two quotes within a text are one of its characters: it ends and begins again
            quote = "" if character == quote else quote
            before = " " if code[at + 1 : at + 2] == "'" else character
            continue
        if character == '"' or (character == "'" and not (before.isalnum() or before in "_)]}.'")):
            quote = character
        else:
            yield at, character
        before = character


def number(text: str) -> float | None:
    """Number as MATLAB writes it; none where the text is none.

    >>> number("1.5e-3"), number(".5"), number("Inf"), number("12/sqrt(3)")
    (0.0015, 0.5, inf, None)
    """
    return float(text.lower().replace("d", "e")) if _NUMBER.fullmatch(text) else None


def evaluate(text: str, names: Mapping[str, Value]) -> Value:
    """Value of an expression of numbers, names, the four operations, powers, roots and angles.

    Parameters
    ----------
    names
        Numbers, or columns of a table, which may be scaled and added to but not multiplied with each other.

    Raises
    ------
    NotUnderstoodError
        When it is anything else, or has no finite value.

    >>> evaluate("2 * (Vbase^2 / 4e3)", {"Vbase": 100.0})
    5.0
    """
    if "**" in text:
        raise NotUnderstoodError(text)
    try:
        value = _value(ast.parse(text.strip().replace("^", "**"), mode="eval").body, names)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError) as error:
        raise NotUnderstoodError(str(error)) from error
    if isinstance(value, float) and not math.isfinite(value):
        raise NotUnderstoodError("has no finite value")
    return value


def _value(node: ast.expr, names: Mapping[str, Value]) -> Value:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as constant):
            return float(constant)
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            value = _value(argument, names)
            if isinstance(value, float):
                return _FUNCTIONS[name](value)
        case ast.BinOp(op=ast.Pow(), right=ast.BinOp(op=ast.Pow())):
            pass  # a^b^c begins at the left there and at the right here
        case ast.BinOp(left=left, op=operation, right=right):
            return _operated(operation, _value(left, names), _value(right, names))
    raise NotUnderstoodError(ast.unparse(node))


def _operated(operation: ast.operator, left: Value, right: Value) -> Value:
    columns = isinstance(left, np.ndarray) + isinstance(right, np.ndarray)
    match operation:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult() if columns < 2:  # of two columns it is a product of matrices
            return left * right
        case ast.Div() if isinstance(right, float) and right:
            return left / right
        case ast.Pow() if isinstance(left, float) and isinstance(right, float):
            power = left**right
            if isinstance(power, float):
                return power
    raise NotUnderstoodError("an operation on columns, or another one than + - * / ^")
