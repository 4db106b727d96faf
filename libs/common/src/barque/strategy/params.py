"""What a strategy's parameters are, in words: for people who configure it.

In:   a strategy class.   Out: name, type, default and meaning of each field of its `Params`.
Not:  values; the host checks those when it makes the strategy.

A field says its meaning, unit and bounds in its type, where they can be read at run time:

    fast: Annotated[int, Meta(ge=1, description="Bars of the fast average.")] = 10
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, time
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

from barque.strategy.base import Strategy

_WORDS: Mapping[Any, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    Decimal: "decimal",
    str: "text",
    time: "time of day",
    date: "date",
    NoneType: "nothing",
}
_BOUNDS = {"gt": "more than {}", "ge": "at least {}", "lt": "less than {}", "le": "at most {}"}


class ParamDescription(NamedTuple):
    """One parameter."""

    name: str
    type: str
    """In the words of TOML, bounds included: `integer, at least 1`."""
    default: str
    """As it would be written in TOML; empty where the parameter has to be given."""
    meaning: str
    """Unit included; empty where the strategy does not say."""


def describe_params(cls: type[Strategy]) -> tuple[ParamDescription, ...]:
    """Each parameter of `cls`, in the order in which they are declared."""
    hints = get_type_hints(cls.Params, include_extras=True)
    return tuple(
        ParamDescription(field.name, _type(hints[field.name]), _default(field), _meaning(hints[field.name]))
        for field in msgspec.structs.fields(cls.Params)
    )


def _type(hint: Any) -> str:
    bounds = [
        words.format(getattr(meta, name))
        for meta in _metas(hint)
        for name, words in _BOUNDS.items()
        if getattr(meta, name) is not None
    ]
    return ", ".join([_words(hint), *bounds])


def _words(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _words(arguments[0])
    if origin is Literal:
        return " or ".join(_toml(each) for each in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_words(each) for each in arguments if each is not NoneType)
    if origin in (list, tuple):
        return f"list of {_words(arguments[0])}"
    if origin is dict:
        return f"table of {_words(arguments[1])}"
    return _WORDS.get(hint) or str(getattr(hint, "__name__", hint))


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return ""
    return _toml(field.default_factory() if field.default is msgspec.NODEFAULT else field.default)


def _toml(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(each)}' for key, each in value.items())} }}" if value else "{}"
    return f'"{value}"' if isinstance(value, str | time) else str(value)


def _meaning(hint: Any) -> str:
    return " ".join(meta.description for meta in _metas(hint) if meta.description)


def _metas(hint: Any) -> Iterator[msgspec.Meta]:
    """What is said of the type itself, and of the members of a union."""
    if get_origin(hint) is Annotated:
        yield from (meta for meta in hint.__metadata__ if isinstance(meta, msgspec.Meta))
        hint = hint.__origin__
    if get_origin(hint) in (Union, UnionType):
        for member in get_args(hint):
            yield from _metas(member)
