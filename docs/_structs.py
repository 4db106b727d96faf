"""What a struct says of itself: its sentence, and its fields with types, defaults and meanings, in wire order.

In:   a `msgspec.Struct` of this project.   Out: text for a Markdown table, taken from the source by `ast`.
Not:  judgement. What the source does not say is not here.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from types import ModuleType

import msgspec


@dataclass(frozen=True)
class Field:
    """One field as its class declares it."""

    name: str
    type: str
    default: str
    """As written; empty where the field is required."""
    text: str
    """The string below it in the source, on one line."""


def fields_of(kind: type[msgspec.Struct]) -> list[Field]:
    """Every field, inherited ones too, in the order in which they are encoded and under the name that is encoded."""
    declared = {field.name: field for base in reversed(kind.__mro__) for field in _declared_in(base)}
    names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    return [replace(declared[name], name=encoded) for name, encoded in names]


def sentence_of(kind: type) -> str:
    """The class's docstring on one line."""
    return " ".join((kind.__doc__ or "").split())


def aliases_of(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Names of a module that stand for a choice of words, with the words."""
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript) and ast.unparse(node.value.value) == "Literal":
            yield ast.unparse(node.targets[0]), ", ".join(f"`{word}`" for word in ast.literal_eval(node.value.slice))


def cell(text: str) -> str:
    """`text` fit for a cell of a Markdown table."""
    return text.replace("|", "\\|")


@cache
def _classes(module: ModuleType) -> dict[str, ast.ClassDef]:
    return {node.name: node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef)}


def _declared_in(kind: type) -> Iterator[Field]:
    if kind in msgspec.Struct.__mro__:
        return
    node = _classes(sys.modules[kind.__module__])[kind.__name__]
    for at, statement in enumerate(node.body):
        if isinstance(statement, ast.AnnAssign) and "ClassVar" not in ast.unparse(statement.annotation):
            default = "" if statement.value is None else ast.unparse(statement.value)
            below = node.body[at + 1] if at + 1 < len(node.body) else None
            yield Field(ast.unparse(statement.target), ast.unparse(statement.annotation), default, _text(below))


def _text(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
        return " ".join(statement.value.value.split())
    return ""
